"""
Tests of `txdicom.storescp.hooks.renaming`: numbers for the files of a study, and nothing lost by them.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.hooking import ended
from tests.scripted import CT, MR
from txdicom.storage.disk import Disk
from txdicom.storescp.hooks import renaming
from txdicom.storescp.hooks.events import StudyEnded
from txdicom.storescp.hooks.renaming import renameFiles, renameWithoutReplacing
from txdicom.storescp.hooks.studies import Kept


class RenameFilesTests(SynchronousTestCase):
    """Studies in a directory."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()

    def end(self, **classes: str) -> list[str]:
        """End a study of these files, by SOP class; return what they are called then."""
        paths = {str(self.directory / name): Kept(sopClass, 10) for name, sopClass in classes.items()}
        for path in paths:
            if not os.path.exists(path):
                Path(path).write_text(path)
        event = ended(*paths)
        renamed: StudyEnded = self.successResultOf(Deferred.fromCoroutine(renameFiles(Disk(), event, paths)))
        for before, after in zip(paths, renamed.files, strict=True):
            self.assertEqual(Path(after).read_text(), before)
        return [os.path.relpath(path, self.directory) for path in renamed.files]

    def test_numbers(self) -> None:
        """One count for the study, two letters of what the class of each file has."""
        self.assertEqual(self.end(a=CT, b=MR, c="1.2.3", d=CT), ["CT000001", "MR000002", "UN000003", "CT000004"])
        self.assertEqual(len(list(self.directory.iterdir())), 4)

    def test_taken(self) -> None:
        """Names that are there already stay what they are."""
        (self.directory / "CT000002").mkdir()
        self.assertEqual(self.end(a=CT, b=CT), ["CT000001", "CT000003"])
        self.assertEqual(self.end(c=CT, d=CT), ["CT000004", "CT000005"])

    def test_directories(self) -> None:
        """Each file stays in its directory."""
        for name in ("x", "y"):
            (self.directory / name).mkdir()
        self.assertEqual(self.end(**{"x/a": CT, "y/a": CT}), ["x/CT000001", "y/CT000002"])

    def test_fails(self) -> None:
        """What cannot be renamed keeps its name, and the others do not suffer."""
        logged: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(logged.append)
        self.addCleanup(globalLogPublisher.removeObserver, logged.append)
        rename = renameWithoutReplacing

        def failing(source: str, target: str) -> None:
            if source.endswith("b"):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            rename(source, target)

        self.patch(renaming, "renameWithoutReplacing", failing)
        self.assertEqual(self.end(a=CT, b=CT, c=CT), ["CT000001", "b", "CT000003"])
        (event,) = logged
        self.assertEqual(
            event["log_format"].format(**event),
            f"{self.directory / 'b'} cannot be renamed: [Errno 5] Input/output error",
        )

    def test_gone(self) -> None:
        """A file that somebody has taken away is not missed by the others."""
        path = str(self.directory / "a")
        event = ended(path)
        renamed = self.successResultOf(Deferred.fromCoroutine(renameFiles(Disk(), event, {path: Kept(CT, 1)})))
        self.assertEqual(renamed, event)


class RenameWithoutReplacingTests(SynchronousTestCase):
    """One file."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.source, self.target = self.directory / "source", self.directory / "target"
        self.source.write_text("source")

    def rename(self) -> None:
        """Rename it."""
        renameWithoutReplacing(str(self.source), str(self.target))

    def test_renamed(self) -> None:
        self.rename()
        self.assertEqual((self.source.exists(), self.target.read_text()), (False, "source"))

    def test_taken(self) -> None:
        self.target.write_text("target")
        self.assertRaises(FileExistsError, self.rename)
        self.assertEqual((self.source.read_text(), self.target.read_text()), ("source", "target"))

    def test_missing(self) -> None:
        self.source.unlink()
        error = self.assertRaises(FileNotFoundError, self.rename)
        self.assertEqual(error.filename, str(self.source))

    def test_notThere(self) -> None:
        """A system that cannot do it in one step does not do it in two."""
        self.patch(renaming.ctypes, "CDLL", lambda *_, **__: object())
        self.assertEqual(self.assertRaises(OSError, self.rename).errno, errno.ENOSYS)
        self.assertTrue(self.source.exists())
