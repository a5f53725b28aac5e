"""Tests of `txdicom.storage.filestores`: several stores, opened and closed together."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from txdicom.storage.filestore import FileStore
from txdicom.storage.filestores import FileStores


class FileStoresTests(SynchronousTestCase):
    """`FileStores`."""

    def setUp(self) -> None:
        self.home = Path(self.mktemp())
        for name in ("a", "b"):
            (self.home / name).mkdir(parents=True)

    def entries(self) -> list[int]:
        """Return how much there is in each directory: what a store that is open has there, is hidden."""
        return [len(os.listdir(self.home / name)) for name in ("a", "b")]

    def test_opensAndClosesAll(self) -> None:
        stores = FileStores(FileStore(self.home / name) for name in ("a", "b"))
        stores.open()
        self.assertEqual(self.entries(), [1, 1])
        self.successResultOf(stores.close())
        self.assertEqual(self.entries(), [0, 0])

    def test_allOrNone(self) -> None:
        """If one cannot be opened, none is left open."""
        stores = FileStores(FileStore(self.home / name) for name in ("a", "none", "b"))
        self.assertRaises(OSError, stores.open)
        self.assertEqual(self.entries(), [0, 0])

    def test_sharedDirectory(self) -> None:
        """Two stores may have the same directory."""
        stores = FileStores(FileStore(self.home / "a") for _ in range(2))
        stores.open()
        self.assertEqual(self.entries(), [2, 0])
        self.successResultOf(stores.close())
        self.assertEqual(self.entries(), [0, 0])
