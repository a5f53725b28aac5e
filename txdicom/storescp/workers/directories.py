"""
Directories that are called by the time when a study began, with several workers.

The parent gives each study its directory. A worker asks once for a study (`AskedDirectories`), before its first
instance gets a name (`PlacedStore`), and is told when the study has been forgotten, as it is when it has ended
(`DirectoryDesk`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import implementer

from txdicom.interfaces import IDataSetWriter, IStorageSCP, IWantingStorageSCP
from txdicom.services.storage import ReceivedInstance, wantedBy
from txdicom.soon import settled
from txdicom.storage.naming import NameOf
from txdicom.storage.sorting import StudyDirectories, studyOf
from txdicom.storescp.workers.announcing import Ask
from txdicom.storescp.workers.channel import ParentEnd

if TYPE_CHECKING:
    from txdicom.dimse.association import Association

__all__ = ["AskedDirectories", "DirectoryDesk", "PlacedStore"]

#: How many studies a worker remembers; it asks again for others.
_REMEMBERED = 10000


class AskedDirectories:
    """
    Calls directories as the parent does, as `txdicom.storage.sorting.StudyDirectories`.

    :param beginning: what stands before the time, of a study's first instance.
    """

    def __init__(self, beginning: NameOf, ask: Ask, remembered: int = _REMEMBERED) -> None:
        self._beginning = beginning
        self._ask = ask
        self._remembered = remembered
        self._directories: dict[str, str] = {}

    async def find(self, instance: ReceivedInstance) -> None:
        """Ask for an instance's directory, unless it is known."""
        study = studyOf(instance)
        if study not in self._directories:
            self._directories[study] = await self._ask("directory", [study, self._beginning(instance)])
            if len(self._directories) > self._remembered:
                self.forget(next(iter(self._directories)))

    def __call__(self, instance: ReceivedInstance) -> str:
        """Return the directory of an instance for which it has just been found."""
        return self._directories[studyOf(instance)]

    def forget(self, study: str) -> None:
        """Ask again if more of a study comes."""
        self._directories.pop(study, None)


@implementer(IWantingStorageSCP)
class PlacedStore:
    """Has another store store instances whose directory has been found."""

    def __init__(self, store: IStorageSCP, directories: AskedDirectories) -> None:
        self._store = store
        self.wanted = wantedBy(store)
        self._directories = directories

    async def store(self, association: Association, instance: ReceivedInstance) -> IDataSetWriter:
        """Find the directory, then open the store's writer."""
        await self._directories.find(instance)
        return await settled(self._store.store(association, instance))


class DirectoryDesk:
    """
    Says which directories studies have, and to all workers that one is forgotten.

    :param subject: of what it tells.
    """

    def __init__(self, directories: StudyDirectories, subject: str) -> None:
        self._directories = directories
        self._subject = subject
        self._workers: list[ParentEnd] = []
        directories.whenForgotten.append(self._forgotten)

    def serve(self, worker: ParentEnd) -> None:
        """Tell one more."""
        self._workers.append(worker)
        worker.whenLost.append(lambda: self._workers.remove(worker))

    def find(self, question: list[str]) -> str:
        """Answer a question of `AskedDirectories`."""
        study, beginning = question
        return self._directories.find(study, lambda: beginning)

    def _forgotten(self, study: str) -> None:
        for worker in self._workers:
            worker.tell(self._subject, study)
