"""
Tests of `txdicom.storage.filestore` where names have directories in them, and of `txdicom.storage.folder`.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import errno
import os
import shutil
from typing import Any

from tests.scripted import CT_CONTEXT, INSTANCE, MR, MR_CONTEXT, dataSet, message, storeRQ
from tests.storing import EIO, ENOSPC, NAME, STORE, FileStoreTestCase, openFiles, systemError
from tests.test_filestore_errors import PARTS, WHOLE
from txdicom.storage.filestore import Duplicates, FileStore
from txdicom.storage.folder import Folder
from txdicom.storage.naming import nameOfInstance, withDirectory

BELOW = f"a/b b/{NAME}"


class FolderTestCase(FileStoreTestCase):
    """A store that puts everything into two directories below the output directory."""

    def makeStore(self, **keywords: Any) -> FileStore:
        """Make such a store."""
        return super().makeStore(**{"naming": withDirectory(lambda instance: "a/b b", nameOfInstance), **keywords})

    def status(self, data: bytes = b"") -> tuple[int, str]:
        """Have an instance stored, or what is given as one, on an association of its own."""
        peer = self.associate()
        (response,) = self.ask(peer, message(CT_CONTEXT, storeRQ(), data or dataSet()))
        peer.link.lose()
        return response.status, response.errorComment

    def files(self) -> list[str]:
        """List all files that have names."""
        paths = (path for path in self.directory.rglob("*") if path.is_file() or path.is_symlink())
        names = (str(path.relative_to(self.directory)) for path in paths)
        return sorted(name for name in names if not name.startswith(".txdicom-"))


class FolderTests(FolderTestCase):
    """What comes of them, whatever is in their place."""

    def test_stored(self) -> None:
        """The directories are made, once, and used again."""
        self.assertEqual((self.status(), self.files()), ((0, ""), [BELOW]))
        self.assertEqual(self.stored(BELOW), dataSet())
        self.assertEqual(self.status(dataSet(rest=b"\x10\0\x20\0LO\2\0ID")), (0, ""))
        self.assertEqual(self.stored(BELOW), dataSet(rest=b"\x10\0\x20\0LO\2\0ID"))
        self.assertEqual(self.files(), [BELOW])
        self.assertNothingLeft()

    def test_madeWithTheFirstWholeInstance(self) -> None:
        """What is broken off leaves no directory either."""
        peer = self.associate()
        self.send(peer, STORE, *PARTS[:2])
        peer.link.lose()
        self.settle()
        self.assertEqual((self.names(), self.unfinished()), ([], []))
        peer = self.associate()
        self.assertEqual(self.statusesOf(self.ask(peer, STORE, *PARTS)), [(1, 0)])
        self.assertEqual(self.stored(BELOW), WHOLE)

    def test_permissions(self) -> None:
        """They are those of the umask."""
        self.addCleanup(os.umask, os.umask(0o027))
        self.status()
        self.assertEqual((self.directory / "a" / "b b").stat().st_mode & 0o777, 0o750)

    def test_linksAreNotFollowed(self) -> None:
        """A directory that somebody has put elsewhere is refused, wherever it stands in the path."""
        outside = self.directory.parent / "outside"
        outside.mkdir()
        for link in (self.directory / "a", self.directory / "a" / "b b"):
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(outside.resolve())
            status, comment = self.status()
            self.assertEqual(status, 0xA700)
            self.assertIn("file cannot be completed", comment)
            self.assertEqual((os.listdir(outside), self.unfinished()), ([], []))
            link.unlink()
        self.assertEqual(self.status(), (0, ""))

    def test_linkOfTheFilesNameIsReplaced(self) -> None:
        target = self.directory.parent / "target"
        target.write_bytes(b"precious")
        (self.directory / "a" / "b b").mkdir(parents=True)
        (self.directory / BELOW).symlink_to(target.resolve())
        self.assertEqual(self.status(), (0, ""))
        self.assertEqual((target.read_bytes(), self.stored(BELOW)), (b"precious", dataSet()))

    def test_fileInTheWay(self) -> None:
        (self.directory / "a").write_bytes(b"precious")
        self.assertEqual(self.status(), (0xA700, "file cannot be completed: Not a directory"))
        self.assertEqual((self.files(), self.unfinished()), (["a"], []))

    def test_directoryInTheWay(self) -> None:
        (self.directory / BELOW).mkdir(parents=True)
        self.assertEqual(self.status(), (0xA700, "file cannot be completed: Is a directory"))
        self.assertEqual((self.files(), self.unfinished()), ([], []))

    def test_movedAway(self) -> None:
        """What comes later goes to a new directory, not after the old one."""
        self.status()
        elsewhere = self.directory.parent / "elsewhere"
        (self.directory / "a").rename(elsewhere)
        self.assertEqual(self.status(dataSet(rest=b"\x10\0\x20\0LO\2\0ID")), (0, ""))
        self.assertEqual((elsewhere / "b b" / NAME).read_bytes()[-len(dataSet()) :], dataSet())
        self.assertEqual(self.stored(BELOW), dataSet(rest=b"\x10\0\x20\0LO\2\0ID"))

    def test_removedMeanwhile(self) -> None:
        """Somebody who tidies up empty directories gets in our way in every place, and no instance is lost."""
        for function, target in (("rename", "a"), ("mkdir", "a"), ("open", "a")):
            for _ in range(2):
                self.removingBefore(function, target)
                self.assertEqual(self.status(), (0, ""))
                self.assertEqual(self.stored(BELOW), dataSet())
                shutil.rmtree(self.directory / "a")

    def removingBefore(self, name: str, target: str) -> None:
        """Have a directory removed before the second call of a function of `os` that names a part of it, if it is."""
        function = getattr(os, name)
        calls = []

        def removing(path: Any, *arguments: Any, **keywords: Any) -> Any:
            if path in ("a", "b b") or name == "rename":
                calls.append(path)
                if len(calls) == 2 or (name == "rename" and len(calls) == 1):
                    shutil.rmtree(self.directory / target, ignore_errors=True)
            return function(path, *arguments, **keywords)

        self.patch(os, name, removing)

    def test_removedForEver(self) -> None:
        """We do not go on for ever."""
        rename = os.rename

        def removing(*arguments: Any, **keywords: Any) -> None:
            shutil.rmtree(self.directory / "a")
            rename(*arguments, **keywords)

        with self.replaced("rename", removing):
            self.assertEqual(self.status(), (0xA700, "file cannot be completed: No such file or directory"))
        self.assertEqual((self.names(), self.unfinished()), ([], []))
        self.assertEqual(self.status(), (0, ""))

    def test_directoryCannotBeMade(self) -> None:
        for error in (ENOSPC, EIO):
            with self.failing("mkdir", error):
                self.assertEqual(self.status(), (0xA700, f"file cannot be completed: {error.strerror}"))
            with self.failing("mkdir", error, good=1):
                self.assertEqual(self.status(), (0xA700, f"file cannot be completed: {error.strerror}"))
            self.assertEqual((self.files(), self.unfinished()), ([], []))
            shutil.rmtree(self.directory / "a")

    def test_descriptors(self) -> None:
        """Nothing stays open, whatever happens."""
        before = openFiles(self.directory)
        self.status()
        with self.failing("rename", EIO):
            self.assertEqual(self.status()[0], 0xA700)
        with self.failing("mkdir", EIO):
            self.status()
        (self.directory / "a" / "b b" / NAME).unlink()
        (self.directory / "a" / "b b").rmdir()
        (self.directory / "a" / "b b").write_bytes(b"")
        self.assertEqual(self.status()[0], 0xA700)
        self.assertEqual(openFiles(self.directory), before)

    def test_twoClassesAtOnce(self) -> None:
        """Two associations make the same directories."""
        peers = [self.associate(), self.associate()]
        for peer, context, sopClass in zip(peers, (CT_CONTEXT, MR_CONTEXT), (None, MR), strict=True):
            keywords = {"sopClass": sopClass} if sopClass else {}
            statuses = self.statusesOf(self.ask(peer, message(context, storeRQ(**keywords), dataSet(**keywords))))
            self.assertEqual(statuses, [(1, 0)])
        self.assertEqual(self.files(), [BELOW, f"a/b b/MR.{INSTANCE}"])


class SyncedFolderTests(FolderTests):
    """The same, synced."""

    fsync = True

    def test_order(self) -> None:
        """The file, its name, then each directory from the innermost to the output directory."""
        calls: list[str] = []
        fsync, rename = os.fsync, os.rename

        def syncing(descriptor: int) -> None:
            calls.append(os.readlink(f"/proc/self/fd/{descriptor}").removeprefix(str(self.directory.resolve())))
            fsync(descriptor)

        def renaming(*arguments: Any, **keywords: Any) -> None:
            calls.append("rename")
            rename(*arguments, **keywords)

        with self.replaced("fsync", syncing), self.replaced("rename", renaming):
            self.assertEqual(self.status(), (0, ""))
        self.assertTrue(calls[0].startswith("/.txdicom-"))
        self.assertEqual(calls[1:], ["rename", "/a/b b", "/a", ""])

    def test_directoryCannotBeSynced(self) -> None:
        """The sender has no success, and the file stays."""
        for good in (1, 2, 3):
            with self.failing("fsync", EIO, good=good):
                self.assertEqual(self.status(), (0xA700, "file cannot be made to last: Input/output error"))
            self.assertEqual((self.files(), self.unfinished()), ([BELOW], []))


class ThreadedFolderTests(FolderTests):
    """The same on a slow disk."""

    inThreads = True


class DuplicateTests(FolderTestCase):
    """Names that are taken, in a directory."""

    def again(self, duplicates: Duplicates) -> tuple[int, list[str]]:
        """Store an instance three times, and return the last status and what there is."""
        naming = withDirectory(lambda instance: "a", nameOfInstance)
        self.serveFiles(self.makeStore(naming=naming, duplicates=duplicates))
        statuses = [self.status(dataSet(rest=bytes([n, 0])))[0] for n in range(3)]
        self.assertEqual(self.unfinished(), [])
        return statuses[-1], self.files()

    def test_keep(self) -> None:
        self.assertEqual(self.again(Duplicates.KEEP), (0, [f"a/{NAME}"]))
        self.assertEqual(self.stored(f"a/{NAME}")[-2:], b"\0\0")

    def test_reject(self) -> None:
        before = openFiles(self.directory)
        self.assertEqual(self.again(Duplicates.REJECT), (0x0111, [f"a/{NAME}"]))
        self.assertEqual(openFiles(self.directory), before + 3)

    def test_rename(self) -> None:
        self.assertEqual(self.again(Duplicates.RENAME), (0, [f"a/{NAME}", f"a/{NAME}.1", f"a/{NAME}.2"]))


class FlatTests(FileStoreTestCase):
    """Names without directories cost nothing more than they have to."""

    def test_calls(self) -> None:
        calls: list[str] = []

        def noting(name: str) -> Any:
            function = getattr(os, name)

            def noted(*arguments: Any, **keywords: Any) -> Any:
                calls.append(name)
                return function(*arguments, **keywords)

            return noted

        for name in ("open", "close", "mkdir", "rename", "link", "unlink", "stat", "fstat", "fsync", "writev"):
            self.patch(os, name, noting(name))
        self.assertStores(self.associate(), dataSet())
        self.assertEqual(calls, ["open", "writev", "close", "rename"])


class FolderErrorTests(FileStoreTestCase):
    """`Folder` by itself."""

    def test_removedAgainAndAgain(self) -> None:
        root = os.open(self.directory, os.O_RDONLY)
        self.addCleanup(os.close, root)
        mkdir = os.mkdir

        def removed(name: str, dir_fd: int) -> None:
            mkdir(name, dir_fd=dir_fd)
            os.rmdir(name, dir_fd=dir_fd)

        with self.replaced("mkdir", removed):
            self.assertRaises(FileNotFoundError, Folder, root, ["a"])

    def test_closesWhatItHasOpened(self) -> None:
        root = os.open(self.directory, os.O_RDONLY)
        self.addCleanup(os.close, root)
        (self.directory / "a").mkdir()
        (self.directory / "a" / "b").write_bytes(b"")
        before = openFiles(self.directory)
        error = self.assertRaises(OSError, Folder, root, ["a", "b"])
        self.assertEqual((error.errno, openFiles(self.directory)), (errno.ENOTDIR, before))
        self.assertEqual(systemError(errno.ENOTDIR).strerror, error.strerror)
