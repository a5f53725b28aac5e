"""A store that takes its time: ``--sleep-during`` and ``--sleep-after``, for people who test their senders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.interfaces import IAnsweredWriter, IDataSetWriter, IStorageSCP
from txdicom.services.storage import ReceivedInstance

if TYPE_CHECKING:
    from txdicom.dimse.association import Association

__all__ = ["PacedStore"]


@implementer(IStorageSCP)
class PacedStore:
    """
    Puts sleeps around another store; only the association that stores waits for them.

    :param clock: sleeps on it.
    :param during: seconds before each step of a store: its begin, every fragment, its end.
    :param after: seconds after the response, before the association's next request is answered.
    """

    def __init__(self, store: IStorageSCP, clock: IReactorTime, during: float = 0.0, after: float = 0.0) -> None:
        self._store = store
        self._clock = clock
        self.during = during
        self.after = after

    async def store(self, association: Association, instance: ReceivedInstance) -> IDataSetWriter:
        """Sleep, then open the store's writer."""
        await self.sleep(self.during)
        return _PacedWriter(self, await _settled(self._store.store(association, instance)))

    async def sleep(self, seconds: float) -> None:
        """Let that much time go by."""
        if seconds:
            await deferLater(self._clock, seconds)


@implementer(IAnsweredWriter)
class _PacedWriter:
    def __init__(self, pace: PacedStore, writer: IDataSetWriter) -> None:
        self._pace = pace
        self._writer = writer

    async def write(self, fragment: memoryview) -> None:
        """Sleep, then write."""
        await self._pace.sleep(self._pace.during)
        await _settled(self._writer.write(fragment))

    async def commit(self) -> int:
        """Sleep, then commit."""
        await self._pace.sleep(self._pace.during)
        return cast("int", await _settled(self._writer.commit()))

    def abort(self, reason: Failure) -> None:
        """Abort without delay."""
        self._writer.abort(reason)

    async def answered(self, status: int) -> None:
        """Tell the writer, then sleep."""
        if IAnsweredWriter.providedBy(self._writer):
            await _settled(self._writer.answered(status))
        await self._pace.sleep(self._pace.after)


async def _settled(result: Any) -> Any:
    """Wait for a result that may be there already."""
    return await result if hasattr(result, "__await__") else result
