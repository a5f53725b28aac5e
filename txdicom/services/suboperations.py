"""
How a C-GET or C-MOVE is performed: the C-STORE sub-operations, and what is said of them: `Retrieval`.

Theory of operation. The application says which instances are meant, and each is sent by a C-STORE of its own, one after
the other. What fails of one instance is counted and listed, and the next is sent::

    identifier -> instances -> (C-STORE -> pending response)* -> last response

The peer is told how far it is after each instance, and every few seconds while one takes long, so that it need not give
up. Nothing here waits for ever: connecting, reading, sending and the answer to a C-STORE have each their own time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from txdicom.dimse.answers import Answer, closeEach
from txdicom.dimse.commands import GenericCommand
from txdicom.dimse.elements import ELEMENTS, Tag, Value
from txdicom.dimse.status import Status, StatusCategory, category, describe
from txdicom.errors import AssociationLost, DICOMError, DIMSEError
from txdicom.interfaces import IRetrieveSCP
from txdicom.services.datasets import encodeDataSet
from txdicom.services.instances import HeldInstance
from txdicom.services.sending import IWaiting, send

if TYPE_CHECKING:
    from pydicom import Dataset

    from txdicom.dimse.association import Association
    from txdicom.upperlayer.negotiation import PresentationContext

__all__ = ["Retrieval", "RetrieveStatus"]

_T = TypeVar("_T")

_TAGS = {keyword: tag for tag, (_, keyword) in ELEMENTS.items()}
#: How many sub-operations can be counted at most: the numbers of a response have 16 bits.
_MOST = 0xFFFF
#: How many seconds pass at most until the peer is told again how far it is.
_TELLING = 10.0
#: How much of a list of UIDs an element with a length of 16 bits can hold, in bytes.
_LONGEST_LIST = 0xFFFE
#: How many characters of a reason are logged.
_LONGEST_REASON = 200
#: Which numbers of a response count what.
_STATES = {
    "Completed": StatusCategory.SUCCESS,
    "Failed": StatusCategory.FAILURE,
    "Warning": StatusCategory.WARNING,
}


class RetrieveStatus(IntEnum):
    """What C-GET and C-MOVE are answered with besides what `Status` has (PS3.4 Tables C.4-2 and C.4-3)."""

    #: Refused: it cannot be told how many instances there are.
    CANNOT_COUNT = 0xA701
    #: Refused: not one of the instances could be sent.
    CANNOT_SEND = 0xA702
    #: Refused: the destination of a C-MOVE is not known.
    DESTINATION_UNKNOWN = 0xA801
    #: Warning: done, but for some instances that failed, or were taken with a warning.
    SOME_FAILED = 0xB000


class Retrieval(ABC):
    """
    One C-GET or C-MOVE that is being answered.

    :param association: that of the request.
    """

    _log: ClassVar = Logger()

    def __init__(
        self,
        association: Association,
        context: PresentationContext,
        request: GenericCommand,
        provider: IRetrieveSCP,
        disk: IWaiting,
    ) -> None:
        self.association = association
        self.request = request
        self._transferSyntax = context.transferSyntax
        self._provider = provider
        self._disk = disk
        # Over which association the instances go; None before there is one.
        self._receiver: Association | None = None
        self._unreachable = False
        self._remaining = 0
        self._counts = dict.fromkeys((StatusCategory.SUCCESS, StatusCategory.FAILURE, StatusCategory.WARNING), 0)
        # Those that failed, as many as a list of them can hold, and its length.
        self._failed: list[str] = []
        self._listLength = 0

    @abstractmethod
    async def connect(self, instances: Sequence[HeldInstance]) -> Association:
        """Give the association that the instances are to go over."""

    @abstractmethod
    def interrupt(self, storing: Deferred[None]) -> None:
        """The peer has cancelled while an instance is being sent, and that takes long."""

    @abstractmethod
    def finish(self, receiver: Association) -> None:
        """Nothing more will be sent."""

    async def answers(self, identifier: Dataset) -> AsyncIterator[Answer]:
        """Send the instances, and give the responses."""
        instances = await self._find(identifier)
        self._remaining = len(instances)
        try:
            for instance in instances:
                if self._isOver():
                    break
                storing = Deferred.fromCoroutine(self._store(instance, instances))
                try:
                    while await self._takesLong(storing):
                        if self._isOver():
                            self.interrupt(storing)
                        else:
                            yield self._answer(Status.PENDING)
                finally:
                    storing.cancel()
                if self._remaining and not self.association.cancelled:
                    yield self._answer(Status.PENDING)
            yield self._last(instances)
        finally:
            if self._receiver is not None and self._receiver.endReason is None:
                self.finish(self._receiver)

    def _isOver(self) -> bool:
        """Tell whether no more instances are to be sent, or can be."""
        return self.association.cancelled or self._isLost

    @property
    def _isLost(self) -> bool:
        return self._unreachable or (self._receiver is not None and self._receiver.endReason is not None)

    async def _find(self, identifier: Dataset) -> list[HeldInstance]:
        instances: list[HeldInstance] = []
        found = self._provider.retrieve(self.association, self.request.affectedSOPClassUID or "", identifier)
        try:
            async for instance in found:
                if self.association.cancelled:
                    raise DIMSEError(Status.CANCEL)
                if len(instances) == _MOST:
                    raise DIMSEError(RetrieveStatus.CANNOT_COUNT, f"there are more than {_MOST} instances")
                # A tuple will do, and anything else fails here and now.
                instances.append(HeldInstance(*instance))
        finally:
            await closeEach(found)
        return instances

    async def _takesLong(self, storing: Deferred[None]) -> bool:
        """Wait until an instance has been sent, but not longer than the peer may be left without a word."""
        if storing.called:
            return False
        moved: Deferred[None] = Deferred()
        # More often than the time that our own association has for the next response.
        time = min(_TELLING, self.association.configuration.providerTimeout / 2)
        timer = self.association.clock.callLater(time, _tell, moved)
        storing.addCallback(lambda _: _tell(moved))
        try:
            await moved
            return not timer.active()
        finally:
            if timer.active():
                timer.cancel()

    async def _store(self, instance: HeldInstance, instances: Sequence[HeldInstance]) -> None:
        """Send one, and count it; never raises."""
        try:
            if self._receiver is None:
                self._receiver = await self._connected(instances)
            status = await self._send(self._receiver, instance)
        except CancelledError:
            self._notSent(instance, "it was given up")
        except DICOMError as error:
            self._notSent(instance, str(error) or type(error).__name__)
        except Exception:
            self._log.failure("instance {uid} could not be sent", uid=instance.identity.sopInstanceUID)
            self._count(instance, StatusCategory.FAILURE)
        else:
            kind = category(status)
            if kind in (StatusCategory.SUCCESS, StatusCategory.WARNING):
                self._count(instance, kind)
            else:
                self._notSent(instance, f"answered 0x{status:04X} {describe(status)}")

    async def _connected(self, instances: Sequence[HeldInstance]) -> Association:
        try:
            return await self.connect(instances)
        except CancelledError:
            raise
        except Exception as error:
            # Endpoints fail in many ways.
            self._unreachable = True
            reason = str(error) or type(error).__name__
            raise AssociationLost(f"the destination cannot be reached: {reason}") from error

    async def _send(self, receiver: Association, instance: HeldInstance) -> int:
        priority = self.request.elements.get(Tag.PRIORITY)
        response = await send(
            receiver,
            instance.source,
            _InTime(receiver, self._disk),
            priority if isinstance(priority, int) else 0,
            self.moveOriginator(),
            instance.identity.sopInstanceUID,
        )
        return response.status

    def moveOriginator(self) -> tuple[str, int] | None:
        """Tell who asked for a C-MOVE, and in which message."""
        return None

    def _notSent(self, instance: HeldInstance, reason: str) -> None:
        # What comes from decoders may have many lines.
        reason = " ".join(reason.split())[:_LONGEST_REASON]
        self._log.warn("instance {uid} was not sent: {reason}", uid=instance.identity.sopInstanceUID, reason=reason)
        self._count(instance, StatusCategory.FAILURE)

    def _count(self, instance: HeldInstance, kind: StatusCategory) -> None:
        self._counts[kind] += 1
        self._remaining -= 1
        if kind is StatusCategory.FAILURE:
            uid = instance.identity.sopInstanceUID
            self._listLength += len(uid) + 1
            if self._listLength <= _LONGEST_LIST:
                self._failed.append(uid)

    def _last(self, instances: Sequence[HeldInstance]) -> Answer:
        """Give the last response."""
        if self._isLost and not self.association.cancelled:
            for instance in instances[len(instances) - self._remaining :]:
                self._count(instance, StatusCategory.FAILURE)
        failed, warned = self._counts[StatusCategory.FAILURE], self._counts[StatusCategory.WARNING]
        if self._remaining:
            return self._answer(Status.CANCEL)
        if failed == len(instances) > 0:
            comment = "the destination cannot be reached" if self._unreachable else "no instance could be sent"
            return self._answer(RetrieveStatus.CANNOT_SEND, comment)
        return self._answer(RetrieveStatus.SOME_FAILED if failed or warned else Status.SUCCESS)

    def _answer(self, status: int, comment: str = "") -> Answer:
        """Tell how far it is, and in the last response what failed (PS3.4 C.4.2.1.4 to C.4.2.1.9)."""
        elements: dict[int, Value] = {
            _TAGS[f"NumberOf{name}Suboperations"]: self._counts[kind] for name, kind in _STATES.items()
        }
        isLast = category(status) is not StatusCategory.PENDING
        if not isLast or status == Status.CANCEL:
            elements[_TAGS["NumberOfRemainingSuboperations"]] = self._remaining
        if comment:
            elements[Tag.ERROR_COMMENT] = comment
        return Answer(status, self._listOfFailed() if isLast and self._failed else None, elements)

    def _listOfFailed(self) -> bytes:
        from pydicom import Dataset

        dataSet = Dataset()
        dataSet.FailedSOPInstanceUIDList = self._failed
        return encodeDataSet(dataSet, self._transferSyntax)


class _InTime:
    """Waits for a disk no longer than an association waits for its providers; then that is aborted."""

    def __init__(self, association: Association, disk: IWaiting) -> None:
        self._association = association
        self._disk = disk

    def soon(self, function: Callable[[], _T]) -> _T | Deferred[_T]:
        """Call something that may have to wait, now or in a thread."""
        result = self._disk.soon(function)
        return self._timed(result) if isinstance(result, Deferred) else result

    def inThread(self, function: Callable[[], _T]) -> Deferred[_T]:
        """Call something that takes long."""
        return self._timed(self._disk.inThread(function))

    def _timed(self, result: Deferred[_T]) -> Deferred[_T]:
        return result.addBoth(self._stop, self._association.startWaiting(False))

    def _stop(self, result: _T, timer: IDelayedCall) -> _T:
        self._association.stopWaiting(timer)
        return result


def _tell(waiting: Deferred[None]) -> None:
    if not waiting.called:
        waiting.callback(None)
