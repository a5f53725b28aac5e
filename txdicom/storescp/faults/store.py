"""
A store that makes faults happen around another one: `FaultyStore`.

To each object the first fault of the plan happens that applies to it, and to the others none at all. An object whose
fault takes its success away does not reach the other store at all, so nothing of it is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.dimse.status import Status, StatusCategory, category
from txdicom.errors import AbortSource, AssociationAborted, AssociationLost, DIMSEError
from txdicom.interfaces import IAnsweredWriter, IDataSetWriter, IStorageSCP, IWantingStorageSCP, Soon
from txdicom.services.storage import ReceivedInstance, wantedBy
from txdicom.soon import settled
from txdicom.storescp.faults.plan import Answer, Delay, Ending, Fault, FaultPlan

if TYPE_CHECKING:
    from txdicom.dimse.association import Association

__all__ = ["FaultyStore"]

_ON_PURPOSE = "a fault that was asked for"
#: The outcomes after which the object is kept.
_KEPT = (StatusCategory.SUCCESS, StatusCategory.WARNING)


@implementer(IWantingStorageSCP)
class FaultyStore:
    """
    Makes the faults of a plan happen around another store.

    An object that is refused before the store is asked for a writer, because it is not what its request says, is not
    numbered.

    :param clock: delays run on it.
    :param plan: the faults.
    :param draw: numbers objects, as `FaultPlan.draw` does, for all stores that share the plan; None if this is alone.
    """

    _log = Logger()

    def __init__(
        self,
        store: IStorageSCP,
        clock: IReactorTime,
        plan: Sequence[Fault],
        draw: Callable[[str], Soon[tuple[int, int | None]]] | None = None,
    ) -> None:
        self._store = store
        self.wanted = wantedBy(store)
        self._clock = clock
        self._plan = tuple(plan)
        self._draw = FaultPlan(plan).draw if draw is None else draw
        # The last delay of every association that had one; one at a time is all it can have.
        self._delays: dict[Association, Deferred[None]] = {}

    def store(self, association: Association, instance: ReceivedInstance) -> Soon[IDataSetWriter]:
        """Open the store's writer, or one that makes a fault."""
        drawn = self._draw(instance.sopInstanceUID)
        if isinstance(drawn, tuple):
            return self._begin(drawn, association, instance)
        return self._beginLater(drawn, association, instance)

    async def _beginLater(
        self, drawing: Soon[tuple[int, int | None]], association: Association, instance: ReceivedInstance
    ) -> IDataSetWriter:
        return await settled(self._begin(await settled(drawing), association, instance))

    def _begin(
        self, drawn: tuple[int, int | None], association: Association, instance: ReceivedInstance
    ) -> Soon[IDataSetWriter]:
        number, place = drawn
        if place is None:
            return self._store.store(association, instance)
        fault = self._plan[place]
        self._log.info(
            "fault {fault} for object {number}, {uid}", fault=fault, number=number, uid=instance.sopInstanceUID
        )
        what = fault.what
        if isinstance(what, Ending):
            return _endingWriter(what, association)
        if isinstance(what, Answer) and category(what.status) is StatusCategory.FAILURE:
            return _LosingWriter(what.status)
        return self._keep(what, association, instance)

    async def _keep(self, what: Answer | Delay, association: Association, instance: ReceivedInstance) -> IDataSetWriter:
        writer = await settled(self._store.store(association, instance))
        if isinstance(what, Answer):
            return _WarningWriter(writer, what.status)
        return _LateWriter(writer, partial(self._delay, association, what.seconds))

    def _delay(self, association: Association, seconds: float) -> Deferred[None]:
        """Let that much time go by; the association's end cancels what this returns."""
        isFirst = association not in self._delays
        delay: Deferred[None] = deferLater(self._clock, seconds)
        self._delays[association] = delay
        if isFirst:
            association.whenEnded().addCallback(self._ended, association)
        return delay

    def _ended(self, _: None, association: Association) -> None:
        self._delays.pop(association).cancel()


def _endingWriter(ending: Ending, association: Association) -> IDataSetWriter:
    if ending is Ending.DROP:
        return _LosingWriter(Status.PROCESSING_FAILURE, during=association.drop)
    abort = partial(association.abort, AssociationAborted(AbortSource.SERVICE_USER, 0, False, _ON_PURPOSE))
    if ending is Ending.ABORT:
        return _LosingWriter(Status.PROCESSING_FAILURE, during=abort)
    return _LosingWriter(Status.PROCESSING_FAILURE, after=abort)


@implementer(IDataSetWriter)
class _LosingWriter:
    """
    Keeps nothing.

    :param status: the answer, if the association lives to hear it.
    :param during: called with the first bytes, and all others.
    :param after: called when the data set has come whole.
    """

    __slots__ = ("_after", "_during", "_status")

    def __init__(
        self, status: int, during: Callable[[], None] | None = None, after: Callable[[], None] | None = None
    ) -> None:
        self._status = status
        self._during = during
        self._after = after

    def write(self, fragments: list[memoryview]) -> None:
        """Forget the bytes."""
        if self._during is not None:
            self._during()

    def commit(self) -> int:
        """
        Fail.

        :raises DIMSEError: always.
        """
        if self._after is not None:
            self._after()
        raise DIMSEError(self._status, _ON_PURPOSE)

    def abort(self, reason: Failure) -> None:
        """There is nothing to forget."""


class _KeepingWriter:
    """Hands on to another writer whatever it is told."""

    __slots__ = ("_writer",)

    def __init__(self, writer: IDataSetWriter) -> None:
        self._writer = writer

    def write(self, fragments: list[memoryview]) -> Soon[None]:
        """Let the writer write."""
        return self._writer.write(fragments)

    def abort(self, reason: Failure) -> None:
        """Let the writer abort."""
        self._writer.abort(reason)

    def answered(self, status: int) -> Soon[None]:
        """Tell the writer, if it wants to know."""
        return self._writer.answered(status) if IAnsweredWriter.providedBy(self._writer) else None


@implementer(IAnsweredWriter)
class _WarningWriter(_KeepingWriter):
    """Answers with a warning what another writer has kept."""

    __slots__ = ("_status",)

    def __init__(self, writer: IDataSetWriter, status: int) -> None:
        super().__init__(writer)
        self._status = status

    async def commit(self) -> int:
        """Let the writer commit; if it has not kept the instance, its own answer tells that."""
        status = await settled(self._writer.commit())
        return self._status if category(status) in _KEPT else status


@implementer(IAnsweredWriter)
class _LateWriter(_KeepingWriter):
    """
    Lets time go by before another writer commits.

    :param delay: lets it go by, and raises `CancelledError` if the association ends meanwhile.
    """

    __slots__ = ("_delay",)

    def __init__(self, writer: IDataSetWriter, delay: Callable[[], Deferred[None]]) -> None:
        super().__init__(writer)
        self._delay = delay

    async def commit(self) -> int:
        """Wait, then commit; nobody would hear of an instance whose association ends meanwhile, so that is aborted."""
        try:
            await self._delay()
        except CancelledError:
            self._writer.abort(Failure(AssociationLost("the association ended before the end of a delay")))
            raise
        return await settled(self._writer.commit())
