"""
Tests of `txdicom.storage.filestore` with a disk that does not do what it should.

Each error is a real one where there is a harmless way to have it; the others are put in place of the system's calls.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from tests.scripted import CT_CONTEXT, ECHO_CONTEXT, INSTANCE, VERIFICATION, dataSet, message, pData, storeRQ
from tests.test_filestore import NAME, STORE, FileStoreTestCase, openFiles
from txdicom.dimse.commands import CEchoRQ, CEchoRSP
from txdicom.testing import RawPeer

PARTS = (pData(CT_CONTEXT, 0, dataSet()), pData(CT_CONTEXT, 0, b"middle"), pData(CT_CONTEXT, 2, b"last"))
WHOLE = dataSet() + b"middlelast"

ENOSPC = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
EIO = OSError(errno.EIO, os.strerror(errno.EIO))

#: Stores one instance again and again, with room for more and more bytes in a file.
LIMITED = """
import resource, sys
from pathlib import Path
from twisted.internet.task import Clock
from tests.scripted import CT_CONTEXT, PROPOSED, commandsIn, dataSet, message, storeRQ
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.services.storage import StorageService
from txdicom.storage.filestore import FileStore
from txdicom.testing import associateRQ, connectRaw
directory = Path(sys.argv[1])
peer = connectRaw(AcceptorFactory([StorageService(FileStore(directory))], clock=Clock()))
peer.send(associateRQ(PROPOSED))
for limit in (100, 400, 1000, 5000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    data = dataSet(rest=bytes(4000))
    (response,) = commandsIn(peer.send(message(CT_CONTEXT, storeRQ(), data, 1000)))
    print(f"{response.status:04X}", response.errorComment, [path.name for path in directory.iterdir()])
"""


class DiskErrorTestCase(FileStoreTestCase):
    """What has to hold after every error."""

    def assertRefuses(self, peer: RawPeer, comment: str, left: Sequence[str] = ()) -> None:
        """A store is answered 0xA700; nothing is left of it, and the association lives on."""
        (response,) = self.ask(peer, STORE, *PARTS)
        self.assertEqual((response.status, response.errorComment), (0xA700, comment))
        self.assertEqual(response.affectedSOPInstanceUID, INSTANCE)
        if self.directory.exists():
            self.assertEqual(self.names(), list(left))
        self.assertEqual(self.ask(peer, message(ECHO_CONTEXT, CEchoRQ(2))), [CEchoRSP(2, 0, VERIFICATION)])
        self.assertEqual(openFiles(self.directory), 1)

    def assertRecovers(self, peer: RawPeer) -> None:
        """When the disk is well again, the same association stores."""
        self.assertEqual(self.statusesOf(self.ask(peer, STORE, *PARTS)), [(1, 0)])
        self.assertEqual(self.names(), [NAME])
        self.assertEqual(self.stored(), WHOLE)
        peer.link.lose()
        self.assertClosed()


class _Patched:
    """
    Puts a function in place of one of `os` for as long as a ``with`` block lasts.

    :param name: which.
    :param function: what is called instead.
    """

    def __init__(self, case: FileStoreTestCase, name: str, function: Callable[..., Any]) -> None:
        self._patch = case.patch
        self._name = name
        self._function = function

    def __enter__(self) -> None:
        self._patcher = self._patch(os, self._name, self._function)

    def __exit__(self, *error: object) -> None:
        self._patcher.restore()


class RealErrorTests(DiskErrorTestCase):
    """Errors that the system itself gives."""

    def test_directoryIsGone(self) -> None:
        peer = self.associate()
        self.directory.rmdir()
        self.assertRefuses(peer, "file cannot be created: No such file or directory")

    def test_directoryGoesAwayMeanwhile(self) -> None:
        """With all that is in it."""
        peer = self.associate()
        peer.send(STORE, *PARTS[:2])
        shutil.rmtree(self.directory)
        (response,) = self.ask(peer, PARTS[2])
        self.assertEqual(
            (response.status, response.errorComment), (0xA700, "file cannot be completed: No such file or directory")
        )
        peer.send(STORE, *PARTS)
        peer.link.lose()
        self.assertClosed()

    def test_fileIsTakenAwayMeanwhile(self) -> None:
        """An abort has nothing to remove then, which disturbs nobody."""
        for end in (lambda peer: peer.link.lose(), lambda peer: peer.send(PARTS[2])):
            peer = self.associate()
            peer.send(STORE, PARTS[0])
            (self.directory / self.names()[0]).unlink()
            end(peer)
            self.assertEqual(self.names(), [])
            peer.link.lose()
            self.assertClosed()

    def test_nameIsDirectory(self) -> None:
        peer = self.associate()
        (self.directory / NAME).mkdir()
        self.assertRefuses(peer, "file cannot be completed: Is a directory", [NAME])
        (self.directory / NAME).rmdir()
        self.assertRecovers(peer)

    def test_nameIsTooLong(self) -> None:
        self.patch(self.store, "_naming", lambda instance: "x" * 256)
        self.assertRefuses(self.associate(), "file cannot be completed: File name too long")

    def test_diskIsFull(self) -> None:
        """As /dev/full is, to which every byte is one too many."""
        if not os.path.exists("/dev/full"):
            self.skipTest("needs /dev/full")
        peer = self.associate()
        with self.diskFull():
            self.assertRefuses(peer, "file cannot be written: No space left on device")
        self.assertRecovers(peer)

    def diskFull(self) -> Any:
        """Have new files write to /dev/full instead."""
        openFile = os.open

        def openFull(path: Any, *arguments: Any, **keywords: Any) -> int:
            os.close(openFile(path, *arguments, **keywords))
            return openFile("/dev/full", os.O_WRONLY | os.O_CLOEXEC)

        return _Patched(self, "open", openFull)

    def test_fileSizeIsLimited(self) -> None:
        """In a process of its own, because the limit holds for all that a process writes."""
        result = subprocess.run(
            [sys.executable, "-c", LIMITED, str(self.directory.resolve())],
            cwd=os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        refused = "A700 file cannot be written: File too large []\n"
        self.assertEqual(result.stdout, refused * 3 + f"0000  ['{NAME}']\n", result.stderr)
        self.assertEqual(self.stored(), dataSet(rest=bytes(4000)))


class InjectedErrorTests(DiskErrorTestCase):
    """Errors at each of the system's calls that a file is written with."""

    def failing(self, name: str, error: OSError, good: int = 0, afterwards: bool = False) -> _Patched:
        """
        Have one call of a function of `os` fail.

        :param good: how many calls work before.
        :param afterwards: whether it does its work all the same, as close does.
        """
        function = getattr(os, name)
        calls = iter(range(good + 1))

        def fails(*arguments: Any, **keywords: Any) -> Any:
            number = next(calls, None)
            result = function(*arguments, **keywords) if afterwards or number != good else None
            if number == good:
                raise error
            return result

        return _Patched(self, name, fails)

    def assertRefusesOnce(self, name: str, error: OSError, comment: str, **keywords: Any) -> None:
        """One failing call refuses one instance."""
        peer = self.associate()
        with self.failing(name, error, **keywords):
            self.assertRefuses(peer, comment)
        self.assertRecovers(peer)
        (self.directory / NAME).unlink()

    def test_create(self) -> None:
        for error in (ENOSPC, EIO, OSError(errno.EMFILE, os.strerror(errno.EMFILE))):
            self.assertRefusesOnce("open", error, f"file cannot be created: {error.strerror}")

    def test_firstWrite(self) -> None:
        for error in (ENOSPC, EIO):
            self.assertRefusesOnce("writev", error, f"file cannot be written: {error.strerror}")

    def test_laterWrites(self) -> None:
        for good in (0, 1):
            self.assertRefusesOnce("write", ENOSPC, "file cannot be written: No space left on device", good=good)

    def test_close(self) -> None:
        """Network file systems tell at the end what went wrong before; the descriptor is gone all the same."""
        for error in (EIO, ENOSPC):
            self.assertRefusesOnce("close", error, f"file cannot be completed: {error.strerror}", afterwards=True)

    def test_rename(self) -> None:
        for error in (EIO, ENOSPC):
            self.assertRefusesOnce("rename", error, f"file cannot be completed: {error.strerror}")

    def test_closeWithinAbort(self) -> None:
        """The file is removed all the same."""
        peer = self.associate()
        peer.send(STORE, *PARTS[:2])
        with self.failing("close", EIO, afterwards=True):
            peer.link.lose()
        self.assertEqual(self.names(), [])
        self.assertClosed()

    def test_removeWithinAbort(self) -> None:
        """What cannot be removed is left, but closed, and still has no name of an instance."""
        peer = self.associate()
        peer.send(STORE, *PARTS[:2])
        with self.failing("unlink", EIO):
            peer.link.lose()
        self.assertEqual([name.startswith(".txdicom-") for name in self.names()], [True])
        self.assertClosed()

    def test_brokenSecondCopyLeavesTheFirst(self) -> None:
        peer = self.associate()
        self.assertEqual(self.statusesOf(self.ask(peer, message(CT_CONTEXT, storeRQ(), dataSet()))), [(1, 0)])
        for name in ("writev", "write", "rename"):
            with self.failing(name, ENOSPC):
                self.assertRefuses(
                    peer,
                    f"file cannot be {'completed' if name == 'rename' else 'written'}: No space left on device",
                    [NAME],
                )
            self.assertEqual(self.stored(), dataSet())
        self.assertRecovers(peer)

    def test_shortWrites(self) -> None:
        """A system that takes less than it is given is given the rest, be the cut in the head or behind it."""
        writeReally = os.write
        peer = self.associate()
        self.assertEqual(self.statusesOf(self.ask(peer, STORE, *PARTS)), [(1, 0)])
        expected = (self.directory / NAME).read_bytes()
        for most in (1, 2, 100, 300, 400, 401, 450, 500):

            def writeLess(file: int, data: Any, most: int = most) -> int:
                return writeReally(file, memoryview(data)[:most])

            def writeLessOfMany(file: int, parts: Sequence[Any], most: int = most) -> int:
                return writeReally(file, b"".join(parts)[:most])

            with _Patched(self, "write", writeLess), _Patched(self, "writev", writeLessOfMany):
                self.assertEqual(self.statusesOf(self.ask(peer, STORE, *PARTS)), [(1, 0)])
            self.assertEqual((self.directory / NAME).read_bytes(), expected)
        peer.link.lose()
        self.assertEqual(self.names(), [NAME])
        self.assertClosed()

    def test_shortWriteThenError(self) -> None:
        """As a disk does that is filled by the very fragment: some of it fits."""
        writeReally = os.write
        for most in (1, 200, 400):

            def writeLessOfMany(file: int, parts: Sequence[Any], most: int = most) -> int:
                return writeReally(file, b"".join(parts)[:most])

            peer = self.associate()
            with _Patched(self, "writev", writeLessOfMany), self.failing("write", ENOSPC):
                self.assertRefuses(peer, "file cannot be written: No space left on device")
            self.assertRecovers(peer)
            (self.directory / NAME).unlink()
