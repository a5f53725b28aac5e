"""
Commands and plugins with several workers: `DistantAnnouncer` in a worker, and `AnnouncerDesk` in its parent.

Theory of operation. There is one `txdicom.storescp.hooks.announcer.Announcer`, and it is in the parent; so events have
one order, a study is one whichever workers its instances come by, and limits are those of one process. What a worker
would tell it goes over the channel, which keeps the order. `DistantAnnouncer.stored` is answered when there is room for
another event, and a worker takes no instances while too many are not answered. What a worker had begun when it ends is
taken for gone.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import astuple
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionClosed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.dimse.commands import CStoreRQ
from txdicom.errors import DIMSEError
from txdicom.interfaces import IAnnouncer
from txdicom.services.storage import ReceivedInstance
from txdicom.soon import settled
from txdicom.storescp.hooks.events import InstanceStored
from txdicom.storescp.workers.channel import Answer, NoAnswerError, ParentEnd

__all__ = ["AnnouncerDesk", "Ask", "DistantAnnouncer", "packed", "unpacked"]

#: How many events of one worker may wait for room in the parent before its instances have to wait as well.
_MOST_UNANSWERED = 16

_log = Logger("storescp")


class Ask(Protocol):
    """Asks the parent: see `txdicom.storescp.workers.channel.WorkerEnd.ask`."""

    def __call__(self, subject: str, question: Any, /) -> Coroutine[Deferred[Any], Any, Any]:
        """Return the answer."""


@implementer(IAnnouncer)
class DistantAnnouncer:
    """Passes all on to the parent's announcer."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._unanswered = 0
        self._heldUp: set[Deferred[None]] = set()

    @property
    def isFull(self) -> bool:
        """Whether the parent does not keep up."""
        return self._unanswered >= _MOST_UNANSWERED

    def room(self) -> Deferred[None]:
        """Return what fires when it does again; it may be cancelled."""
        room: Deferred[None] = Deferred(self._heldUp.discard)
        self._heldUp.add(room)
        self._makeRoom()
        return room

    def began(self, studyInstanceUID: str) -> None:
        """Have the parent told, if there is a study."""
        if studyInstanceUID:
            self._tell("began", studyInstanceUID)

    def gone(self, studyInstanceUID: str) -> None:
        """Likewise."""
        if studyInstanceUID:
            self._tell("gone", studyInstanceUID)

    def stored(self, event: InstanceStored) -> None:
        """Have it told, and count it until there is room for another."""
        self._unanswered += 1
        self._tell("stored", packed(event)).addBoth(self._answered)

    async def alone(self, path: str) -> Callable[[], None]:
        """Wait until nobody is asked about a file, whichever worker has it; return what lets go of it."""
        await self._ask("alone", path)

        def release() -> None:
            self._tell("release", path)

        return release

    async def judge(self, event: InstanceStored) -> None:
        """
        Have plugins asked.

        :raises DIMSEError: one does not agree.
        :raises NoAnswerError: one has failed; the parent's log says with what.
        """
        refusal = await self._ask("judge", packed(event))
        if refusal is not None:
            status, comment, offendingElements = refusal
            raise DIMSEError(status, comment, tuple(offendingElements))

    def judged(self, event: InstanceStored) -> None:
        """Have the parent told."""
        self._tell("judged", packed(event))

    def _tell(self, subject: str, what: Any) -> Deferred[Any]:
        return Deferred.fromCoroutine(self._ask(subject, what)).addErrback(_notTold)

    def _answered(self, _: object) -> None:
        self._unanswered -= 1
        self._makeRoom()

    def _makeRoom(self) -> None:
        if self._heldUp and not self.isFull:
            heldUp, self._heldUp = self._heldUp, set()
            for room in heldUp:
                room.callback(None)


def _notTold(failure: Failure) -> None:
    # With no parent there is no log, and what the parent could not do is in there already.
    if not failure.check(ConnectionClosed, NoAnswerError):
        _log.failure("the parent could not be told", failure)


class AnnouncerDesk:
    """
    Does with an announcer what one process of a worker asks.

    :param worker: the process.
    """

    def __init__(self, announcer: IAnnouncer, worker: ParentEnd) -> None:
        self._announcer = announcer
        self._isLeft = False
        self._coming: Counter[str] = Counter()
        self._releases: dict[str, Callable[[], None]] = {}
        worker.whenLost.append(self._left)

    @property
    def answers(self) -> Mapping[str, Answer]:
        """Who answers the questions of `DistantAnnouncer`."""
        return {
            "began": self._began,
            "gone": self._gone,
            "stored": self._stored,
            "alone": self._alone,
            "release": self._release,
            "judge": self._judge,
            "judged": self._judged,
        }

    def _began(self, study: str) -> None:
        self._coming[study] += 1
        self._announcer.began(study)

    def _gone(self, study: str) -> None:
        self._coming[study] -= 1
        self._announcer.gone(study)

    async def _stored(self, question: Any) -> None:
        event = unpacked(question)
        self._coming[event.studyInstanceUID] -= 1
        self._announcer.stored(event)
        if self._announcer.isFull:
            await self._announcer.room()

    async def _judge(self, question: Any) -> list[Any] | None:
        try:
            await settled(self._announcer.judge(unpacked(question)))
        except DIMSEError as error:
            return [int(error.status), error.comment, list(error.offendingElements)]
        return None

    def _judged(self, question: Any) -> None:
        event = unpacked(question)
        self._coming[event.studyInstanceUID] -= 1
        self._announcer.judged(event)

    async def _alone(self, path: str) -> None:
        release = await settled(self._announcer.alone(path))
        if self._isLeft:
            release()
        else:
            self._releases[path] = release

    def _release(self, path: str) -> None:
        self._releases.pop(path)()

    def _left(self) -> None:
        """Take what it had begun for gone, and let go of its files."""
        self._isLeft = True
        for study in list(self._coming.elements()):
            self._announcer.gone(study)
        for release in self._releases.values():
            release()


def packed(event: InstanceStored) -> list[Any]:
    """Write an event as JSON has it, with all that plugins may look at; it takes at most 64 KiB, or is not told."""
    instance = event.instance
    return [
        [instance.sopClassUID, instance.sopInstanceUID, instance.transferSyntaxUID],
        astuple(instance.request),
        [[tag, b64encode(value).decode()] for tag, value in instance.attributes.items()],
        [event.path, event.size, event.callingAETitle, event.calledAETitle, event.peer],
    ]


def unpacked(question: Any) -> InstanceStored:
    """Read what `packed` has written."""
    (sopClassUID, sopInstanceUID, transferSyntaxUID), request, attributes, rest = question
    values = {tag: b64decode(value) for tag, value in attributes}
    instance = ReceivedInstance(sopClassUID, sopInstanceUID, transferSyntaxUID, CStoreRQ(*request), values)
    return InstanceStored(instance, *rest)
