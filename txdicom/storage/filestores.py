"""Several stores that are opened and closed together: `FileStores`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from txdicom.storage.filestore import FileStore

__all__ = ["FileStores"]


class FileStores:
    """
    Opens and closes stores; what is to be stored goes to each of them directly.

    :param stores: which ones.
    """

    def __init__(self, stores: Iterable[FileStore]) -> None:
        self._stores = tuple(stores)

    def open(self) -> None:
        """
        Open all of them, or none.

        :raises OSError: one cannot be opened.
        """
        opened: list[FileStore] = []
        for store in self._stores:
            try:
                store.open()
            except OSError:
                for earlier in opened:
                    earlier.close()
                raise
            opened.append(store)

    def close(self) -> Deferred[Any]:
        """
        Close all of them.

        :return: fires when nothing is done in threads any more.
        """
        return gatherResults([store.close() for store in self._stores])
