"""
What a parent and a worker say to each other, by AMP (`twisted.protocols.amp`).

=========== ======= ====================================================================================================
`Ready`     worker  serves from now on; connections may be handed to it
`Leave`     worker  will stop; when this is answered, no more are handed to it
`Ask`       worker  wants to know something that is decided in one place for all workers
`Stop`      parent  as SIGTERM does for one process
`Hurry`     parent  as a second SIGTERM does
=========== ======= ====================================================================================================
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import connectionDone
from twisted.protocols.amp import AMP, Argument, Command, Unicode
from twisted.python.failure import Failure

__all__ = ["Answer", "ParentEnd", "WorkerEnd"]

#: What answers the questions on one subject: it is given what was asked and returns, now or later, what JSON can hold.
Answer: TypeAlias = "Callable[[Any], Any | Deferred[Any] | Coroutine[Deferred[Any], Any, Any]]"


class _JSON(Argument):
    """A value that JSON can hold, of at most 64 KiB."""

    def toString(self, value: Any) -> bytes:
        return json.dumps(value).encode("ascii")

    def fromString(self, text: bytes) -> Any:
        return json.loads(text)


class Ready(Command):
    """The worker serves from now on."""


class Leave(Command):
    """The worker is going to stop."""


class Ask(Command):
    """The worker asks something; that it fails, and not how, is told to the worker, and the parent's log has more."""

    arguments = [(b"subject", Unicode()), (b"question", _JSON())]
    response = [(b"answer", _JSON())]


class Stop(Command):
    """The worker shall stop: refuse new associations, let messages finish, end."""


class Hurry(Command):
    """The worker shall abort all that is still there."""


class ParentEnd(AMP):
    """
    The parent's end of the channel to one run of a worker.

    :param ready: called when the worker serves.
    :param leaving: called when nothing more shall be handed to it.
    :param answers: who answers questions, by their subject.
    """

    def __init__(self, ready: Callable[[], None], leaving: Callable[[], None], answers: Mapping[str, Answer]) -> None:
        super().__init__()
        self._ready = ready
        self._leaving = leaving
        self._answers = answers

    @Ready.responder
    def _isReady(self) -> dict[str, Any]:
        self._ready()
        return {}

    @Leave.responder
    def _leaves(self) -> dict[str, Any]:
        self._leaving()
        return {}

    @Ask.responder
    def _asked(self, subject: str, question: Any) -> Deferred[dict[str, Any]]:
        answering: Deferred[Any] = maybeDeferred(self._answers[subject], question)
        return answering.addCallback(lambda answer: {"answer": answer})

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Hand nothing more to a worker that cannot say whether it takes it."""
        super().connectionLost(reason)
        self._leaving()

    def stop(self) -> None:
        """Tell the worker to stop."""
        self._tell(Stop)

    def hurry(self) -> None:
        """Tell the worker to be quick about it."""
        self._tell(Hurry)

    def close(self) -> None:
        """Close the channel, if it is open."""
        if self.transport is not None:
            self.transport.loseConnection()

    def _tell(self, command: type[Command]) -> None:
        if self.transport is not None:
            # If the worker is gone, it need not be told any more.
            self.callRemote(command).addErrback(lambda _: None)


class WorkerEnd(AMP):
    """
    The worker's end.

    :param stop: called when the worker shall stop; also when the parent is gone. May be called several times.
    :param hurry: called when it shall be quick about it.
    """

    def __init__(self, stop: Callable[[], None], hurry: Callable[[], None]) -> None:
        super().__init__()
        self._stop = stop
        self._hurry = hurry

    def ready(self) -> Deferred[Any]:
        """Tell that this worker serves."""
        telling: Deferred[Any] = self.callRemote(Ready)
        return telling

    def leave(self) -> Deferred[Any]:
        """Tell that this worker takes no more connections; if this is answered, no more will come."""
        telling: Deferred[Any] = self.callRemote(Leave)
        return telling

    async def ask(self, subject: str, question: Any) -> Any:
        """
        Ask the parent.

        :param subject: says who answers.
        :param question: what JSON can hold, at most 64 KiB of it.
        :return: the answer.
        :raises Exception: there is none, because the parent failed to give it or is gone.
        """
        return (await self.callRemote(Ask, subject=subject, question=question))["answer"]

    @Stop.responder
    def _stopped(self) -> dict[str, Any]:
        self._stop()
        return {}

    @Hurry.responder
    def _hurried(self) -> dict[str, Any]:
        self._hurry()
        return {}

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop, for there is no parent any more."""
        super().connectionLost(reason)
        self._stop()
