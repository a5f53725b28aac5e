"""A store that has plugins told of what it keeps: `HookedStore`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.dimse.status import StatusCategory, category
from txdicom.interfaces import (
    IAnnouncer,
    IAnsweredWriter,
    IDataSetWriter,
    IFileWriter,
    IStorageSCP,
    IWantingStorageSCP,
    IWithdrawableWriter,
    Soon,
)
from txdicom.services.storage import ReceivedInstance, wantedBy
from txdicom.soon import settled
from txdicom.storescp.hooks.events import SERIES_INSTANCE_UID, STUDY_INSTANCE_UID, InstanceStored

if TYPE_CHECKING:
    from txdicom.dimse.association import Association

__all__ = ["HookedStore"]

#: The elements of a data set that events tell of.
_WANTED = frozenset({STUDY_INSTANCE_UID, SERIES_INSTANCE_UID})


@implementer(IWantingStorageSCP)
class HookedStore:
    """
    Tells of every instance that another store has kept, when its sender has the answer.

    :param asking: whether the plugins are asked before the answer instead. If one of them does not agree the instance
        is withdrawn, and its sender told so; instances that are to have the same file wait for each other then.
    """

    def __init__(self, store: IStorageSCP, announcer: IAnnouncer, asking: bool = False) -> None:
        self._store = store
        self.wanted = (*wantedBy(store), *_WANTED)
        self.announcer = announcer
        self.asking = asking
        # What is to be done should an association end now: one that stores waits for one thing at a time.
        self._ending: dict[Association, Callable[[], None] | None] = {}

    async def store(self, association: Association, instance: ReceivedInstance) -> IDataSetWriter:
        """Wait until there is room to tell of one more, then open the store's writer."""
        if association not in self._ending:
            self._ending[association] = None
            association.whenEnded().addCallback(self._ended, association)
        if self.announcer.isFull:
            room = self.announcer.room()
            self.whenEnded(association, room.cancel)
            await room
            self.whenEnded(association, None)
        return _HookedWriter(self, association, instance, await settled(self._store.store(association, instance)))

    def whenEnded(self, association: Association, action: Callable[[], None] | None) -> None:
        """Say what is to be done if an association ends; at once, if it has ended."""
        if association in self._ending:
            self._ending[association] = action
        elif action is not None:
            action()

    def _ended(self, _: None, association: Association) -> None:
        action = self._ending.pop(association)
        if action is not None:
            action()


@implementer(IAnsweredWriter)
class _HookedWriter:
    def __init__(
        self, store: HookedStore, association: Association, instance: ReceivedInstance, writer: IDataSetWriter
    ) -> None:
        self._store = store
        self._announcer = store.announcer
        self._association = association
        self._writer = writer
        self._size = 0
        self._event = InstanceStored(
            instance,
            None,
            0,
            association.callingAETitle,
            association.calledAETitle,
            str(getattr(association.peer, "host", "")),
        )
        self._announcer.began(self._event.studyInstanceUID)

    def write(self, fragments: list[memoryview]) -> Soon[None]:
        """Count the bytes."""
        self._size += sum(map(len, fragments))
        return self._writer.write(fragments)

    async def commit(self) -> int:
        """Have the instance stored and, if that is wanted, agreed on."""
        try:
            status = await (self._commitAsking() if self._store.asking else self._commit())
        except Exception:
            self._gone()
            raise
        self._store.whenEnded(self._association, self._gone)
        return status

    def abort(self, reason: Failure) -> None:
        """Let the writer abort."""
        self._gone()
        self._writer.abort(reason)

    def answered(self, status: int) -> Soon[None]:
        """Tell of the instance."""
        self._store.whenEnded(self._association, None)
        if category(status) not in (StatusCategory.SUCCESS, StatusCategory.WARNING):
            self._gone()
        elif self._store.asking:
            self._announcer.judged(self._event)
        else:
            self._announcer.stored(self._event)
        return self._writer.answered(status) if IAnsweredWriter.providedBy(self._writer) else None

    def _gone(self) -> None:
        self._announcer.gone(self._event.studyInstanceUID)

    async def _commit(self) -> int:
        status: int = await settled(self._writer.commit())
        path = self._writer.path if IFileWriter.providedBy(self._writer) else None
        self._event = replace(self._event, path=path, size=self._size)
        return status

    async def _commitAsking(self) -> int:
        writer = self._writer
        if not IWithdrawableWriter.providedBy(writer):
            status = await self._commit()
            await settled(self._announcer.judge(self._event))
            return status
        release = await settled(self._announcer.alone(writer.path))
        try:
            status = await self._commit()
            try:
                await settled(self._announcer.judge(self._event))
            except Exception:
                await settled(writer.withdraw())
                raise
            await settled(writer.keep())
        finally:
            release()
        return status
