"""
Tests of `txdicom.storage.filestore` with a disk that does not do what it should.

Each error is a real one where there is a harmless way to have it; the others are put in place of the system's calls.
Real disks that are full or read-only are in ``test_filestore_disks.py``.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from tests.programs import CHECKOUT
from tests.scripted import CT_CONTEXT, ECHO_CONTEXT, INSTANCE, VERIFICATION, dataSet, message, pData
from tests.storing import EIO, EMFILE, ENOSPC, NAME, OPEN, STORE, FileStoreTestCase, openFiles, systemError
from txdicom.dimse.commands import CEchoRQ, CEchoRSP
from txdicom.storage.filestore import Duplicates, FileStore
from txdicom.testing import RawPeer

PARTS = (pData(CT_CONTEXT, 0, dataSet()), pData(CT_CONTEXT, 0, b"middle"), pData(CT_CONTEXT, 2, b"last"))
WHOLE = dataSet() + b"middlelast"

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
store = FileStore(directory)
peer = connectRaw(AcceptorFactory([StorageService(store)], clock=Clock()))
peer.send(associateRQ(PROPOSED))
for limit in (100, 400, 1000, 5000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    data = dataSet(rest=bytes(4000))
    (response,) = commandsIn(peer.send(message(CT_CONTEXT, storeRQ(), data, 1000)))
    print(f"{response.status:04X}", response.errorComment, [path.name for path in directory.glob("**/[!.l]*")])
store.close()
"""

#: Stores one instance again and again, with one more descriptor to be had each time.
EXHAUSTED = """
import os, resource, sys
from twisted.internet.task import Clock
from tests.scripted import CT_CONTEXT, PROPOSED, commandsIn, dataSet, message, storeRQ
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.services.storage import StorageService
from txdicom.storage.filestore import FileStore
from txdicom.testing import associateRQ, connectRaw
store = FileStore(sys.argv[1])
peer = connectRaw(AcceptorFactory([StorageService(store)], clock=Clock()))
peer.send(associateRQ(PROPOSED))
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
taken = []
try:
    while True:
        taken.append(os.dup(0))
except OSError:
    pass
(before,) = taken[-1:]
while True:
    (response,) = commandsIn(peer.send(message(CT_CONTEXT, storeRQ(), dataSet())))
    os.close(taken.pop())
    print(f"{response.status:04X}", response.errorComment, len(os.listdir(sys.argv[1])))
    if not response.status:
        break
store.close()
print(taken[-1] - before, sorted(map(int, os.listdir("/proc/self/fd")))[-1] - taken[-1], os.listdir(sys.argv[1]))
"""


def run(script: str, *arguments: str) -> str:
    """Run a script in a process of its own, because what it limits holds for all that a process does."""
    result = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return result.stdout + result.stderr


class DiskErrorTestCase(FileStoreTestCase):
    """What has to hold after every error."""

    def assertRefuses(self, peer: RawPeer, comment: str, left: Sequence[str] = (), opened: int = OPEN) -> None:
        """A store is answered 0xA700 at its end; nothing is left of it, and the association lives on."""
        for data in (STORE, *PARTS[:-1]):
            self.assertEqual(self.ask(peer, data), [])
        (response,) = self.ask(peer, PARTS[-1])
        self.assertEqual((response.status, response.errorComment), (0xA700, comment))
        self.assertEqual(response.affectedSOPInstanceUID, INSTANCE)
        if self.directory.exists():
            self.assertEqual((self.names(), self.unfinished()), (list(left), []))
        self.assertEqual(self.ask(peer, message(ECHO_CONTEXT, CEchoRQ(2))), [CEchoRSP(2, 0, VERIFICATION)])
        self.assertEqual(openFiles(self.directory), opened)

    def assertRecovers(self, peer: RawPeer) -> None:
        """When the disk is well again, the same association stores."""
        self.assertEqual(self.statusesOf(self.ask(peer, STORE, *PARTS)), [(1, 0)])
        self.assertEqual(self.names(), [NAME])
        self.assertEqual(self.stored(), WHOLE)
        peer.link.lose()
        self.assertClosed()


class RealErrorTests(DiskErrorTestCase):
    """Errors that the system itself gives."""

    def test_directoryIsGone(self) -> None:
        """As long as it is; once it is there again, files go to the new one."""
        peer = self.associate()
        shutil.rmtree(self.directory)
        for _ in range(2):
            self.assertRefuses(peer, "file cannot be created: No such file or directory", opened=0)
        self.directory.mkdir()
        self.assertRecovers(peer)

    def test_directoryGoesAwayMeanwhile(self) -> None:
        """With all that is in it."""
        for part in range(3):
            peer = self.associate()
            self.send(peer, STORE, *PARTS[:part])
            shutil.rmtree(self.directory)
            (response,) = self.ask(peer, *PARTS[part:])
            doing = "completed" if part else "created"
            self.assertEqual(
                (response.status, response.errorComment), (0xA700, f"file cannot be {doing}: No such file or directory")
            )
            self.directory.mkdir()
            self.assertRecovers(peer)

    def test_fileIsTakenAwayMeanwhile(self) -> None:
        """An abort has nothing to remove then, which disturbs nobody."""
        for end in (lambda peer: peer.link.lose(), lambda peer: peer.send(PARTS[2])):
            peer = self.associate()
            self.send(peer, STORE, PARTS[0])
            self.unfinished()[0].unlink()
            end(peer)
            self.settle()
            self.assertEqual((self.names(), self.unfinished()), ([], []))
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
        openFile = os.open

        def openFull(path: Any, *arguments: Any, **keywords: Any) -> int:
            os.close(openFile(path, *arguments, **keywords))
            return openFile("/dev/full", os.O_WRONLY | os.O_CLOEXEC)

        peer = self.associate()
        with self.replaced("open", openFull):
            self.assertRefuses(peer, "file cannot be written: No space left on device")
        self.assertRecovers(peer)


class SyncedRealErrorTests(RealErrorTests):
    """The same with files that are synced."""

    fsync = True


class ThreadedRealErrorTests(RealErrorTests):
    """The same on a slow disk."""

    inThreads = True


class LimitTests(FileStoreTestCase):
    """Limits of a process."""

    def test_fileSize(self) -> None:
        refused = "A700 file cannot be written: File too large []\n"
        self.assertEqual(run(LIMITED, str(self.directory.resolve())), refused * 3 + f"0000  ['{NAME}']\n")
        self.assertEqual(self.stored(), dataSet(rest=bytes(4000)))

    def test_descriptors(self) -> None:
        """However few the store can have of those it begins with: it closes them, and begins when there are enough."""
        directory = self.directory / "exhausted"
        directory.mkdir()
        refused = "A700 file cannot be created: Too many open files"
        self.assertEqual(
            run(EXHAUSTED, str(directory.resolve())).splitlines(),
            # When it has all of its own, the one for the file is still missing.
            [f"{refused} 0", f"{refused} 0", f"{refused} 0", f"{refused} 1", "0000  2", f"-5 1 ['{NAME}']"],
        )
        self.assertEqual(self.names(), ["exhausted"])


class InjectedErrorTests(DiskErrorTestCase):
    """Errors at each of the system's calls that a file is written with."""

    def assertRefusesOnce(self, name: str, error: OSError, comment: str, **keywords: Any) -> None:
        """One failing call refuses one instance."""
        peer = self.associate()
        with self.failing(name, error, **keywords):
            self.assertRefuses(peer, comment)
        self.assertRecovers(peer)
        (self.directory / NAME).unlink()

    def test_create(self) -> None:
        for error in (ENOSPC, EIO, EMFILE, systemError(30)):
            self.assertRefusesOnce("open", error, f"file cannot be created: {error.strerror}")

    def test_write(self) -> None:
        """The first, a middle or the last fragment."""
        for good in range(3):
            for error in (ENOSPC, EIO):
                self.assertRefusesOnce("writev", error, f"file cannot be written: {error.strerror}", good=good)

    def test_close(self) -> None:
        """Network file systems tell at the end what went wrong before; the descriptor is gone all the same."""
        for error in (EIO, ENOSPC):
            self.assertRefusesOnce("close", error, f"file cannot be completed: {error.strerror}", afterwards=True)

    def test_rename(self) -> None:
        for error in (EIO, ENOSPC):
            self.assertRefusesOnce("rename", error, f"file cannot be completed: {error.strerror}")

    def test_somethingElse(self) -> None:
        """What is no error of the disk's is a fault of ours, but it leaves nothing either."""
        for name in ("open", "writev", "rename"):
            peer = self.associate()
            with self.failing(name, RuntimeError("surprise")):  # type: ignore[arg-type]
                self.assertEqual(self.statusesOf(self.ask(peer, STORE, *PARTS)), [(1, 0x0110)])
            self.assertLogged(RuntimeError)
            self.assertRecovers(peer)
            (self.directory / NAME).unlink()

    def test_closeWithinAbort(self) -> None:
        """The file is removed all the same."""
        peer = self.associate()
        self.send(peer, STORE, *PARTS[:2])
        with self.failing("close", EIO, afterwards=True):
            peer.link.lose()
            self.settle()
        self.assertEqual((self.names(), self.unfinished()), ([], []))
        self.assertClosed()

    def test_removeWithinAbort(self) -> None:
        """What cannot be removed is left, but closed, and has no name; it goes when the store closes."""
        peer = self.associate()
        self.send(peer, STORE, *PARTS[:2])
        with self.failing("unlink", EIO):
            peer.link.lose()
            self.settle()
        self.assertEqual((self.names(), len(self.unfinished()), openFiles(self.directory)), ([], 1, OPEN))
        self.successResultOf(self.store.close())
        self.assertEqual(os.listdir(self.directory), [])

    def test_brokenSecondCopyLeavesTheFirst(self) -> None:
        peer = self.associate()
        self.assertStores(peer, dataSet())
        for name in ("writev", "rename"):
            with self.failing(name, ENOSPC):
                doing = "completed" if name == "rename" else "written"
                self.assertRefuses(peer, f"file cannot be {doing}: No space left on device", [NAME])
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

            with self.replaced("write", writeLess), self.replaced("writev", self.writingLess(most)):
                self.assertEqual(self.statusesOf(self.ask(peer, STORE, *PARTS)), [(1, 0)])
            self.assertEqual((self.directory / NAME).read_bytes(), expected)
        peer.link.lose()
        self.assertEqual(self.names(), [NAME])
        self.assertClosed()

    def writingLess(self, most: int) -> Callable[[int, Sequence[Any]], int]:
        """Return what writes some bytes only of what it is given."""
        writeReally = os.write
        return lambda file, parts: writeReally(file, b"".join(parts)[:most])

    def test_shortWriteThenError(self) -> None:
        """As a disk does that is filled by the very fragment: some of it fits."""
        for most in (1, 200, 400):
            peer = self.associate()
            with self.replaced("writev", self.writingLess(most)), self.failing("write", ENOSPC):
                self.assertRefuses(peer, "file cannot be written: No space left on device")
            self.assertRecovers(peer)
            (self.directory / NAME).unlink()

    def test_shortWriteThenNothing(self) -> None:
        """A system that takes nothing more, and does not say why, is not asked for ever."""
        peer = self.associate()
        with self.replaced("writev", self.writingLess(10)), self.replaced("write", lambda file, data: 0):
            self.assertRefuses(peer, "file cannot be written: nothing more is written")
        self.assertRecovers(peer)


class SyncedErrorTests(InjectedErrorTests):
    """The same with files that are synced, and errors of the syncs."""

    fsync = True

    def test_fsync(self) -> None:
        for error in (EIO, ENOSPC):
            self.assertRefusesOnce("fsync", error, f"file cannot be completed: {error.strerror}")

    def test_fsyncOfTheDirectory(self) -> None:
        """The file is whole and stays, for it may have replaced one that was acknowledged; but this one is not."""
        for error in (EIO, ENOSPC):
            peer = self.associate()
            with self.failing("fsync", error, good=1):
                self.assertRefuses(peer, f"file cannot be made to last: {error.strerror}", [NAME])
            self.assertEqual(self.stored(), WHOLE)
            self.assertRecovers(peer)


class ThreadedErrorTests(InjectedErrorTests):
    """The same on a slow disk."""

    inThreads = True


class OpeningErrorTests(FileStoreTestCase):
    """Errors at each of the system's calls by which a store begins."""

    def setUp(self) -> None:
        """Close the store that all tests have."""
        super().setUp()
        self.successResultOf(self.store.close())

    def test_nothingIsLeft(self) -> None:
        """Neither open nor in the directory, whichever call fails; and the next try may do."""
        failed = 0
        for module, name in (*((os, name) for name in ("open", "scandir", "mkdir", "stat", "link")), (fcntl, "flock")):
            for good in range(4):
                store = FileStore(self.directory, duplicates=Duplicates.KEEP)
                function, calls = getattr(module, name), iter(range(good + 1))

                def fails(*arguments: Any, good: int = good, **keywords: Any) -> Any:
                    if next(calls, None) == good:  # noqa: B023 - it is called within this very round
                        raise EIO
                    return function(*arguments, **keywords)  # noqa: B023 - likewise

                patcher = self.patch(module, name, fails)
                try:
                    store.open()
                except OSError as error:
                    failed += 1
                    self.assertIn("Input/output error", str(error))
                    self.assertEqual((os.listdir(self.directory), openFiles(self.directory)), ([], 0), (name, good))
                finally:
                    patcher.restore()
                store.open()
                self.assertEqual(openFiles(self.directory), OPEN)
                store.close()
                self.assertEqual((os.listdir(self.directory), openFiles(self.directory)), ([], 0))
        # Directory, directory, lock twice, file; list; directory; lock; link; lock.
        self.assertEqual(failed, 4 + 1 + 1 + 1 + 1 + 1)
