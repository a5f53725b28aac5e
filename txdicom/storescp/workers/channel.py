"""
What a parent and a worker say to each other, by AMP (`twisted.protocols.amp`).

======== ======= =======================================================================================================
`Ready`  worker  serves from now on; connections may be handed to it
`Leave`  worker  begins to stop, and refuses associations; connections are handed to others, as long as there are any
`Finish` worker  has done what it had to; when this is answered, no connections are handed to it any more
`Ask`    worker  wants to know something that is decided in one place for all workers
`Stop`   parent  as SIGTERM does for one process
`Hurry`  parent  as a second SIGTERM does
`Tell`   parent  something that was decided has changed
======== ======= =======================================================================================================
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.amp import AMP, Argument, BinaryBoxProtocol, Command, Unicode
from twisted.python.failure import Failure

from txdicom.errors import DICOMError

if TYPE_CHECKING:
    from txdicom.storescp.workers.run import Run

__all__ = ["Answer", "Answers", "NoAnswerError", "ParentEnd", "WorkerEnd"]

_log = Logger("storescp")

#: What answers the questions on one subject: it is given what was asked and returns, now or later, what JSON can hold.
Answer: TypeAlias = "Callable[[Any], Any | Deferred[Any] | Coroutine[Deferred[Any], Any, Any]]"

#: Gives what answers the questions of one worker, by their subject; is called for each of its processes.
Answers: TypeAlias = "Callable[[ParentEnd], Mapping[str, Answer]]"


class _JSON(Argument):
    """A value that JSON can hold, of at most 64 KiB."""

    def toString(self, value: Any) -> bytes:
        return json.dumps(value).encode("ascii")

    def fromString(self, text: bytes) -> Any:
        return json.loads(text)


class Ready(Command):
    """The worker serves from now on."""


class Leave(Command):
    """The worker begins to stop."""


class Finish(Command):
    """The worker has no association any more."""


class NoAnswerError(DICOMError):
    """The parent has no answer to a worker's question; its log says why."""


class Ask(Command):
    """The worker asks something."""

    arguments = [(b"subject", Unicode()), (b"question", _JSON())]
    response = [(b"answer", _JSON())]
    # Any other error would close the channel, and thereby stop the worker.
    errors = {NoAnswerError: b"NO_ANSWER"}


class Stop(Command):
    """The worker shall stop: refuse new associations, let messages finish, end."""


class Hurry(Command):
    """The worker shall abort all that is still there."""


class Tell(Command):
    """The worker is told something; it need not answer."""

    arguments = [(b"subject", Unicode()), (b"news", _JSON())]
    requiresAnswer = False


class _End(AMP):
    """AMP, but for what it logs of every connection, which is of no interest here."""

    def makeConnection(self, transport: Any) -> None:
        """Begin."""
        BinaryBoxProtocol.makeConnection(self, transport)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Let everything fail that has not been answered."""
        BinaryBoxProtocol.connectionLost(self, reason)
        self.transport = None


class ParentEnd(_End):
    """
    The parent's end of the channel to one run of a worker.

    :param run: is told what the worker tells.
    :param answers: gives who answers its questions.
    :ivar whenLost: each is called when nothing more is heard of that process.
    """

    def __init__(self, run: Run, answers: Answers) -> None:
        super().__init__()
        self._run = run
        self.whenLost: list[Callable[[], None]] = []
        self._answersOf = answers
        self._answers: Mapping[str, Answer] = {}

    def makeConnection(self, transport: Any) -> None:
        """Begin to answer."""
        self._answers = self._answersOf(self)
        super().makeConnection(transport)

    @Ready.responder
    def _ready(self) -> dict[str, Any]:
        self._run.ready()
        return {}

    @Leave.responder
    def _leave(self) -> dict[str, Any]:
        self._run.leave()
        return {}

    @Finish.responder
    def _finish(self) -> Deferred[dict[str, Any]]:
        return self._run.finish().addCallback(lambda _: {})

    @Ask.responder
    def _asked(self, subject: str, question: Any) -> Deferred[dict[str, Any]]:
        def refuse(failure: Failure) -> NoReturn:
            _log.failure("a worker's question about {subject!r} has no answer", failure, subject=subject)
            raise NoAnswerError(f"the parent has no answer about {subject!r}")

        answering: Deferred[Any] = maybeDeferred(lambda: self._answers[subject](question))
        return answering.addCallbacks(lambda answer: {"answer": answer}, refuse)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Hand nothing more to a worker that cannot say whether it takes it."""
        super().connectionLost(reason)
        self._run.gone()
        for action in self.whenLost:
            action()

    def stop(self) -> None:
        """Tell the worker to stop."""
        self._command(Stop)

    def hurry(self) -> None:
        """Tell the worker to be quick about it."""
        self._command(Hurry)

    def tell(self, subject: str, news: Any) -> None:
        """Tell the worker what `WorkerEnd.hear` waits for: what JSON can hold, at most 64 KiB of it."""
        if self.transport is not None:
            self.callRemote(Tell, subject=subject, news=news)

    def close(self) -> None:
        """Close the channel, if it is open."""
        if self.transport is not None:
            self.transport.loseConnection()

    def _command(self, command: type[Command]) -> None:
        if self.transport is not None:
            # If the worker is gone, it need not be told any more.
            self.callRemote(command).addErrback(lambda _: None)


class WorkerEnd(_End):
    """
    The worker's end.

    :param stop: called when the worker shall stop; also when the parent is gone. May be called several times.
    :param hurry: called when it shall be quick about it.
    """

    def __init__(self, stop: Callable[[], None], hurry: Callable[[], None]) -> None:
        super().__init__()
        self._stop = stop
        self._hurry = hurry
        self._listening: dict[str, Callable[[Any], None]] = {}

    def hear(self, subject: str, listener: Callable[[Any], None]) -> None:
        """Have something called with what the parent tells about a subject."""
        self._listening[subject] = listener

    def ready(self) -> Deferred[Any]:
        """Tell that this worker serves."""
        telling: Deferred[Any] = self.callRemote(Ready)
        return telling

    def leave(self) -> Deferred[Any]:
        """Tell that this worker begins to stop."""
        telling: Deferred[Any] = self.callRemote(Leave)
        return telling

    def finish(self) -> Deferred[Any]:
        """Tell that this worker has no association any more; if this is answered, no more connections will come."""
        telling: Deferred[Any] = self.callRemote(Finish)
        return telling

    async def ask(self, subject: str, question: Any) -> Any:
        """
        Ask the parent.

        :param subject: says who answers.
        :param question: what JSON can hold, at most 64 KiB of it.
        :return: the answer.
        :raises NoAnswerError: there is none.
        :raises ConnectionClosed: the parent is gone (`twisted.internet.error`), and this worker about to stop.
        """
        return (await self.callRemote(Ask, subject=subject, question=question))["answer"]

    @Tell.responder
    def _told(self, subject: str, news: Any) -> dict[str, Any]:
        listener = self._listening.get(subject)
        if listener is not None:
            listener(news)
        return {}

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
