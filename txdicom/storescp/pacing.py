"""A store that takes its time: ``--sleep-during`` and ``--sleep-after``, for people who test their senders."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.errors import AssociationLost
from txdicom.interfaces import IAnsweredWriter, IDataSetWriter, IStorageSCP, IWantingStorageSCP
from txdicom.services.storage import ReceivedInstance, wantedBy
from txdicom.soon import settled

if TYPE_CHECKING:
    from txdicom.dimse.association import Association

__all__ = ["PacedStore"]


@implementer(IWantingStorageSCP)
class PacedStore:
    """
    Puts sleeps around another store; only the association that stores waits for them, and its end ends them.

    :param clock: sleeps on it.
    :param during: seconds before each step of a store: its begin, every fragment, its end.
    :param after: seconds after the response, before the association's next request is answered.
    """

    def __init__(self, store: IStorageSCP, clock: IReactorTime, during: float = 0.0, after: float = 0.0) -> None:
        self._store = store
        self.wanted = wantedBy(store)
        self._clock = clock
        self.during = during
        self.after = after
        # The last sleep of every association that is there; one at a time is all it can have.
        self._sleeps: dict[Association, Deferred[None] | None] = {}

    async def store(self, association: Association, instance: ReceivedInstance) -> IDataSetWriter:
        """Sleep, then open the store's writer."""
        if association not in self._sleeps:
            self._sleeps[association] = None
            association.whenEnded().addCallback(self._ended, association)
        await self.sleep(association, self.during)
        return _PacedWriter(self, association, await settled(self._store.store(association, instance)))

    async def sleep(self, association: Association, seconds: float) -> None:
        """
        Let that much time go by.

        :raises CancelledError: the association has ended meanwhile.
        """
        if seconds and association in self._sleeps:
            sleeping: Deferred[None] = deferLater(self._clock, seconds)
            self._sleeps[association] = sleeping
            await sleeping

    def _ended(self, _: None, association: Association) -> None:
        sleeping = self._sleeps.pop(association)
        if sleeping is not None:
            sleeping.cancel()


@implementer(IAnsweredWriter)
class _PacedWriter:
    def __init__(self, pace: PacedStore, association: Association, writer: IDataSetWriter) -> None:
        self._pace = pace
        self._association = association
        self._writer = writer

    async def write(self, fragments: list[memoryview]) -> None:
        """Sleep before each of the fragments, then write it."""
        for fragment in fragments:
            await self._pace.sleep(self._association, self._pace.during)
            await settled(self._writer.write([fragment]))

    async def commit(self) -> int:
        """Sleep, then commit; nobody would hear of an instance whose association ends meanwhile, so that is aborted."""
        try:
            await self._pace.sleep(self._association, self._pace.during)
        except CancelledError:
            self._writer.abort(Failure(AssociationLost("the association ended before the end of a sleep")))
            raise
        return await settled(self._writer.commit())

    def abort(self, reason: Failure) -> None:
        """Abort without delay."""
        self._writer.abort(reason)

    async def answered(self, status: int) -> None:
        """Tell the writer, then sleep."""
        if IAnsweredWriter.providedBy(self._writer):
            await settled(self._writer.answered(status))
        with suppress(CancelledError):
            await self._pace.sleep(self._association, self._pace.after)
