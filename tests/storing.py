"""
What the tests of the file store share: a store in a directory of its own, on the spot or in threads, and a disk whose
calls can be made to fail, to wait, or to be noted.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from twisted.internet.task import Clock

from tests.scripted import CT_CONTEXT, INSTANCE, ConversationTestCase, commandsIn, message, storeRQ
from txdicom.interfaces import IAssociationObserver
from txdicom.services.storage import StorageService
from txdicom.services.verification import VerificationService
from txdicom.storage import filewriter
from txdicom.storage.disk import Disk
from txdicom.storage.filestore import FileStore
from txdicom.testing import RawPeer
from txdicom.upperlayer.pdu import PDU

STORE = message(CT_CONTEXT, storeRQ())
NAME = f"CT.{INSTANCE}"
#: What a store has open of its directory: that itself, the one for unfinished files, and the lock in there.
OPEN = 3
#: No thread takes a tenth of this, in seconds, not even on a busy machine.
PATIENCE = 30.0


def systemError(number: int) -> OSError:
    """Make an error as the system gives it."""
    return OSError(number, os.strerror(number))


ENOSPC, EIO, EMFILE = systemError(errno.ENOSPC), systemError(errno.EIO), systemError(errno.EMFILE)


def openFiles(directory: str | Path) -> int:
    """Count what this process has open of a directory: itself, what is or was in it; and /dev/full in place of it."""
    count = 0
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            target = os.readlink(f"/proc/self/fd/{descriptor}")
            count += target.startswith((str(Path(directory).resolve()), "/dev/full"))
    return count


class ThreadedClock(Clock):
    """A clock to which threads return when the test lets them."""

    def __init__(self) -> None:
        super().__init__()
        self._returning: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        self.triggers: list[tuple[Any, ...]] = []

    def callFromThread(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> None:
        """Keep a call for `returnFromThread`."""
        self._returning.put(partial(function, *arguments, **keywords))

    def returnFromThread(self) -> None:
        """Wait for the next call that comes from a thread, and do it."""
        self.comingFromThread()()

    def comingFromThread(self) -> Callable[[], Any]:
        """Wait for the next call that comes from a thread, and leave it to the test when to do it."""
        return self._returning.get(timeout=PATIENCE)

    def addSystemEventTrigger(self, *trigger: Any) -> tuple[Any, ...]:
        """Note what is to be called in the end."""
        self.triggers.append(trigger)
        return trigger

    def removeSystemEventTrigger(self, trigger: tuple[Any, ...]) -> None:
        """Forget it."""
        self.triggers.remove(trigger)


class FileStoreTestCase(ConversationTestCase):
    """
    An acceptor that stores in files.

    :cvar fsync: whether files are synced.
    :cvar inThreads: whether all is done in threads, as on a slow disk.
    :cvar atOnce: whether every byte is written when it comes, and not held until there are more.
    :ivar directory: where.
    """

    fsync = False
    inThreads = False
    atOnce = True
    clock: ThreadedClock

    if not os.path.isdir("/proc/self/fd"):
        skip = "needs /proc to count open files"

    def setUp(self) -> None:
        """Make a store in a new directory."""
        super().setUp()
        self.clock = ThreadedClock()
        if self.atOnce:
            self.patch(filewriter, "_FEW_BYTES", 0)
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self._disks: list[Disk] = []
        self.store = self.makeStore()
        self.serveFiles()

    def makeStore(self, **keywords: Any) -> FileStore:
        """Open another store in the directory; it is closed at the end, which has to leave nothing open."""
        disk = Disk(self.clock)
        self._disks.append(disk)
        store = FileStore(self.directory, fsync=self.fsync, disk=disk, **keywords)
        store.open()
        # What the directory itself happens to be on does not matter here.
        disk.isSlow, disk._isTrusted = self.inThreads, not self.inThreads
        self.addCleanup(self._close, store)
        return store

    def serveFiles(self, store: FileStore | None = None, observer: IAssociationObserver | None = None) -> None:
        """Have an acceptor store in files."""
        self.serve(VerificationService(), StorageService(store or self.store), observer=observer)

    def _close(self, store: FileStore) -> None:
        closed = store.close()
        self.settle()
        self.successResultOf(closed)
        if store is self.store:
            self.assertEqual(openFiles(self.directory), 0)

    def settle(self) -> None:
        """Wait until no thread does anything any more."""
        while self.isBusy():
            self.clock.returnFromThread()

    def isBusy(self) -> bool:
        """Whether anything is being done in a thread."""
        return any(disk._running for disk in self._disks)

    def send(self, peer: RawPeer, *data: bytes | PDU) -> list[PDU]:
        """Send bytes or PDUs, wait until all threads are done, and return the PDUs that have come back."""
        pdus = peer.send(*data)
        while self.isBusy():
            self.clock.returnFromThread()
            pdus += peer.send()
        return pdus

    def ask(self, peer: RawPeer, *data: bytes | PDU) -> list[Any]:
        """Send bytes or PDUs, and return the commands they were answered with."""
        return commandsIn(self.send(peer, *data))

    def names(self) -> list[str]:
        """List what is in the directory, but for where unfinished files are."""
        return sorted(name for name in os.listdir(self.directory) if not name.startswith(".txdicom-"))

    def unfinished(self) -> list[Path]:
        """List the unfinished files."""
        return sorted(path for path in self.directory.glob(".txdicom-*/*") if path.name != "lock")

    def stored(self, name: str = NAME) -> bytes:
        """Return the data set in a file: what comes after the file meta information, whose length is in it."""
        content = (self.directory / name).read_bytes()
        self.assertEqual(content[128:132], b"DICM")
        return content[144 + int.from_bytes(content[140:144], "little") :]

    def assertStores(self, peer: RawPeer, data: bytes) -> None:
        """The instance is taken."""
        self.assertEqual(self.statusesOf(self.ask(peer, message(CT_CONTEXT, storeRQ(), data))), [(1, 0)])

    def assertClosed(self) -> None:
        """Nothing is open but what the store always has, and no association is left."""
        self.assertNothingLeft()
        self.assertEqual((openFiles(self.directory), self.unfinished()), (OPEN, []))

    @contextlib.contextmanager
    def replaced(self, name: str, function: Callable[..., Any]) -> Iterator[None]:
        """Put a function in the place of one of `os` for as long as a ``with`` block lasts."""
        patcher = self.patch(os, name, function)
        try:
            yield
        finally:
            patcher.restore()

    def failing(
        self, name: str, error: OSError, good: int = 0, afterwards: bool = False
    ) -> contextlib.AbstractContextManager[None]:
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

        return self.replaced(name, fails)
