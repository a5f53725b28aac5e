"""
Tests of `txdicom.storage.disk` and `txdicom.storage.filesystem`: where a disk is waited for.

What a slow disk means for associations is in ``test_filestore_slow.py``.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from threading import Barrier, Event
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.programs import CHECKOUT
from tests.storing import EIO, PATIENCE, ThreadedClock
from txdicom.storage import filesystem
from txdicom.storage.disk import CALM, LONGEST_CALM, SLOW, Disk
from txdicom.storage.filestore import FileStore
from txdicom.storage.filesystem import _typesOf, freeSpace, isRemote

#: Uses a disk's thread in a real reactor, and forgets to close it.
FORGETFUL = """
from twisted.internet import reactor
from txdicom.storage.disk import Disk
reactor.callWhenRunning(lambda: Disk(reactor).inThread(lambda: print("done")).addCallback(lambda _: reactor.stop()))
reactor.run()
"""

#: From proc_pid_mountinfo(5), and what else is to be seen there.
MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:21 / /proc rw,nosuid shared:1 master:2 - proc proc rw
36 35 0:50 /mnt1 /mnt/far\\040away rw,noatime master:1 - nfs4 server:/x rw,errors=continue
37 35 0:51 / /mnt/local rw - tmpfs tmpfs rw
38 35 0:510 / /mnt/fuse rw - fuse.sshfs host:/ rw
a line of a kind that is not known yet
39 35
"""


class DiskTestCase(SynchronousTestCase):
    """
    A disk, and a reactor to which its threads return when they are let.

    :ivar disk: on it.
    """

    def setUp(self) -> None:
        """Make them."""
        self.clock = ThreadedClock()
        self.disk = Disk(self.clock)

    def tearDown(self) -> None:
        """End all threads."""
        closed = self.disk.close()
        while self.disk._running:
            self.clock.returnFromThread()
        self.successResultOf(closed)

    def taking(self, seconds: float, result: object = None) -> Callable[[], object]:
        """Return a call that takes so long, and tells in which thread it was."""

        def call() -> object:
            self.clock.rightNow += seconds
            if isinstance(result, Exception):
                raise result
            return threading.current_thread() is threading.main_thread()

        return call

    def finished(self, result: Any) -> Any:
        """Wait for what is done in a thread."""
        self.assertNoResult(result)
        self.clock.returnFromThread()
        return result


class WhereTests(DiskTestCase):
    """On the spot, or in a thread."""

    def test_quickDisk(self) -> None:
        """As long as calls take no time, they are done at once, and there is no thread."""
        for _ in range(3):
            self.assertIs(self.disk.soon(self.taking(SLOW / 2)), True)
        before = threading.active_count()
        self.assertEqual((self.disk.isSlow, self.clock.triggers), (False, []))
        self.assertEqual(threading.active_count(), before)

    def inThread(self, seconds: float = 0) -> None:
        """Have something done that takes so long, and is done in a thread."""
        self.assertIs(self.successResultOf(self.finished(self.disk.soon(self.taking(seconds)))), False)

    def test_slowDisk(self) -> None:
        """After one slow call, threads do it; after a quiet time, they do not any more."""
        self.assertIs(self.disk.soon(self.taking(2 * SLOW)), True)
        for _ in range(2):
            self.inThread()
        calm = CALM * 2 * SLOW
        self.clock.advance(calm - 0.1)
        self.inThread(2 * SLOW)
        self.clock.advance(calm - 0.1)
        self.inThread()
        self.clock.advance(0.2)
        # Nobody knows yet; this one finds out.
        self.inThread()
        self.assertIs(self.disk.soon(self.taking(0)), True)

    def test_slower(self) -> None:
        """The longer a call took, the longer the quiet time; another one that took less does not shorten it."""
        for longest, calm in ((10 * SLOW, CALM * 10 * SLOW), (3600, LONGEST_CALM)):
            self.assertIs(self.disk.soon(self.taking(longest)), True)
            self.inThread(SLOW)
            self.clock.advance(calm - SLOW - 0.1)
            self.inThread()
            self.assertTrue(self.disk.isSlow)
            self.clock.advance(0.2)
            self.inThread()
            self.assertFalse(self.disk.isSlow)

    def test_busyReactor(self) -> None:
        """What the reactor was late to hear of was quick all the same."""
        self.disk.soon(self.taking(SLOW))
        calling = self.disk.soon(self.taking(0))
        result = self.clock.comingFromThread()
        self.clock.advance(LONGEST_CALM)
        result()
        self.assertIs(self.successResultOf(calling), False)
        self.assertFalse(self.disk.isSlow)

    def test_busyThreads(self) -> None:
        """How long a call waited for its thread does not make the disk slow."""
        self.disk = Disk(self.clock, threads=1)
        self.disk.soon(self.taking(SLOW))
        begun, go = Event(), Event()

        def call() -> None:
            begun.set()
            go.wait(PATIENCE)

        results = [self.disk.soon(call), self.disk.soon(self.taking(0))]
        begun.wait(PATIENCE)
        self.clock.advance(LONGEST_CALM)
        go.set()
        first, second = self.clock.comingFromThread(), self.clock.comingFromThread()
        first()
        self.assertTrue(self.disk.isSlow)
        self.clock.advance(LONGEST_CALM)
        second()
        self.assertFalse(self.disk.isSlow)
        self.assertEqual([self.successResultOf(result) for result in results], [None, False])

    def test_slowFailure(self) -> None:
        """A call that fails tells how quick the disk is as well."""
        self.assertRaises(OSError, self.disk.soon, self.taking(0, EIO))
        self.assertFalse(self.disk.isSlow)
        self.assertRaises(OSError, self.disk.soon, self.taking(2 * SLOW, EIO))
        self.assertTrue(self.disk.isSlow)
        self.assertIs(self.failureResultOf(self.finished(self.disk.soon(self.taking(0, EIO)))).value, EIO)

    def test_knownToTakeLong(self) -> None:
        """It is done in a thread on a quick disk as well, and does not make that a slow one."""
        self.assertIs(self.successResultOf(self.finished(self.disk.inThread(self.taking(10 * SLOW)))), False)
        self.assertIs(self.disk.soon(self.taking(0)), True)

    def test_distrusted(self) -> None:
        """One that may never return is never waited for on the spot."""
        self.disk.distrust()
        for _ in range(3):
            self.assertIs(self.successResultOf(self.finished(self.disk.soon(self.taking(0)))), False)
            self.clock.advance(LONGEST_CALM)

    def test_withoutReactor(self) -> None:
        """There are no threads at all."""
        disk = Disk()
        disk.distrust()
        self.assertIs(disk.soon(self.taking(10)), True)
        self.assertIs(disk.soon(self.taking(10)), True)
        self.assertIs(self.successResultOf(disk.inThread(self.taking(10))), True)
        self.assertRaises(OSError, disk.soon, self.taking(0, EIO))
        self.assertIs(self.failureResultOf(disk.inThread(self.taking(0, EIO))).value, EIO)
        self.successResultOf(disk.close())


class ThreadTests(DiskTestCase):
    """The threads."""

    def test_sideBySide(self) -> None:
        """Calls do not wait for each other, up to the bound."""
        barrier = Barrier(32, timeout=PATIENCE)
        results = [self.disk.inThread(barrier.wait) for _ in range(32)]
        for _ in results:
            self.clock.returnFromThread()
        self.assertEqual(sorted(map(self.successResultOf, results)), list(range(32)))

    def test_bound(self) -> None:
        """One more than there may be threads is done when one of them is free."""
        self.disk = Disk(self.clock, threads=2)
        go, began = Event(), []

        def call() -> None:
            began.append(None)
            go.wait(PATIENCE)

        results = [self.disk.inThread(call) for _ in range(5)]
        names = [thread.name for thread in threading.enumerate() if thread.name.startswith("PoolThread-disk-")]
        self.assertEqual(len(names), 2)
        go.set()
        for _ in results:
            self.clock.returnFromThread()
        self.assertEqual((len(began), [self.successResultOf(result) for result in results]), (5, [None] * 5))

    def test_noThreadToBeHad(self) -> None:
        """What has to be done is done on the spot then; and closing goes well."""

        def start(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        patcher = self.patch(threading.Thread, "start", start)
        self.assertIs(self.successResultOf(self.disk.inThread(self.taking(0))), True)
        self.assertIs(self.failureResultOf(self.disk.inThread(self.taking(0, EIO))).value, EIO)
        patcher.restore()
        self.assertIs(self.successResultOf(self.finished(self.disk.inThread(self.taking(0)))), False)
        self.successResultOf(self.disk.close())

    def test_closeWaits(self) -> None:
        """For all that is under way, and for what comes of it."""
        go = Event()
        following: list[Deferred[Any]] = []
        first = self.disk.inThread(lambda: go.wait(PATIENCE))
        first.addCallback(lambda _: following.append(self.disk.inThread(self.taking(0))))
        closed = [self.disk.close(), self.disk.close()]
        go.set()
        for _ in range(2):
            self.assertNoResult(closed[0])
            self.clock.returnFromThread()
        self.successResultOf(following[0])
        for waiting in closed:
            self.successResultOf(waiting)
        self.assertEqual([name for name in map(_name, threading.enumerate()) if "disk" in name], [])
        self.assertEqual(self.clock.triggers, [])

    def test_usedAgain(self) -> None:
        for _ in range(2):
            self.successResultOf(self.disk.close())
            self.assertIs(self.successResultOf(self.finished(self.disk.inThread(self.taking(0)))), False)

    def test_processEnds(self) -> None:
        """Also if nobody closes the disk: its threads end with the reactor."""
        self.successResultOf(self.finished(self.disk.inThread(self.taking(0))))
        ((phase, event, stop),) = self.clock.triggers
        self.assertEqual((phase, event), ("after", "shutdown"))
        stop()
        self.assertEqual([name for name in map(_name, threading.enumerate()) if "disk" in name], [])
        self.clock.triggers.clear()
        done = subprocess.run([sys.executable, "-c", FORGETFUL], cwd=CHECKOUT, capture_output=True, timeout=PATIENCE)
        self.assertEqual((done.stdout, done.stderr), (b"done\n", b""))


def _name(thread: threading.Thread) -> str:
    return thread.name


class FileSystemTests(SynchronousTestCase):
    """What is known of the file system."""

    def test_types(self) -> None:
        for device, types in (((254, 0), ["ext4"]), ((0, 50), ["nfs4"]), ((0, 510), ["fuse.sshfs"]), ((0, 5), [])):
            self.assertEqual(_typesOf(os.makedev(*device), MOUNTS), types)

    def setUp(self) -> None:
        """Open a directory."""
        path = self.mktemp()
        os.mkdir(path)
        self.descriptor = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, self.descriptor)

    def mountedAs(self, kind: str) -> None:
        """Have the system say that the directory is on such a file system."""
        device = os.fstat(self.descriptor).st_dev
        mounts = Path(self.mktemp())
        mounts.write_text(f"22 1 {os.major(device)}:{os.minor(device)} / / rw - {kind} /dev/vda rw\n")
        self.patch(filesystem, "_MOUNTS", str(mounts))

    def test_remote(self) -> None:
        """Those that wait for other machines, or other programs."""
        kinds = {
            True: ("nfs", "nfs4", "cifs", "smb3", "fuse", "fuseblk", "fuse.sshfs", "9p", "ceph", "virtiofs", "lustre"),
            False: ("ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "f2fs", "vfat", "notnfs"),
        }
        for remote, names in kinds.items():
            for name in names:
                self.mountedAs(name)
                self.assertIs(isRemote(self.descriptor), remote, name)

    def test_notToBeKnown(self) -> None:
        """Systems other than Linux do not say it there."""
        self.patch(filesystem, "_MOUNTS", "/nonesuch")
        self.assertIs(isRemote(self.descriptor), False)

    def test_storeOnARemoteOne(self) -> None:
        """It distrusts its disk from the beginning."""
        for kind, distrusted in (("ext4", False), ("nfs4", True)):
            self.mountedAs(kind)
            disk = Disk(ThreadedClock())
            directory = self.mktemp()
            os.mkdir(directory)
            store = FileStore(directory, disk=disk)
            store.open()
            self.assertIs(disk.isSlow, distrusted)
            self.successResultOf(store.close())

    def test_freeSpace(self) -> None:
        state = os.fstatvfs(self.descriptor)
        self.patch(os, "fstatvfs", {self.descriptor: state}.__getitem__)
        self.assertEqual(freeSpace(self.descriptor), state.f_bavail * state.f_frsize)
