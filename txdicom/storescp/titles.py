"""The AE titles of a configuration file, each with its own store and its own guests: `makeTitles`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from twisted.internet.interfaces import IReactorTime

from txdicom.dimse.entity import ApplicationEntity
from txdicom.storage.filestore import FileStore
from txdicom.storage.filestores import FileStores
from txdicom.storescp.assembly import makeAdmission, makeFileStore, makeProviders, makeStore

__all__ = ["Titles", "makeTitles"]


class Titles(NamedTuple):
    """
    What there is for the AE titles.

    :ivar entities: what each of them offers.
    :ivar files: where they keep it.
    """

    entities: Mapping[str, ApplicationEntity]
    files: list[FileStore]

    def stores(self, files: FileStore | None) -> FileStore | FileStores | None:
        """Return all stores that have to be opened and closed, those here and one more."""
        if not self.files:
            return files
        return FileStores([*([] if files is None else [files]), *self.files])


def makeTitles(options: Mapping[str, Any], reactor: Any) -> Titles:
    """
    Build what the options say of AE titles.

    :raises OSError: one of the stores cannot work with its directory.
    """
    entities = {}
    stores = []
    for title, own in options["titles"].items():
        files = None if own["ignore"] else makeFileStore(own, reactor)
        if files is not None:
            stores.append(files)
        store = makeStore(own, files, IReactorTime(reactor))
        entities[title] = ApplicationEntity(makeProviders(own, store), makeAdmission(own))
    return Titles(entities, stores)
