"""
Tests of `txdicom.storage.withdrawal`: files that are taken away again, and what they have replaced.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import errno
import os
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import globalLogPublisher
from zope.interface.verify import verifyObject

from tests.headvectors import EXPLICIT_LITTLE
from tests.scripted import CT, INSTANCE, storeRQ
from tests.storing import EIO, NAME, FileStoreTestCase, openFiles, systemError
from txdicom.errors import DIMSEError
from txdicom.interfaces import IWithdrawableWriter
from txdicom.services.storage import ReceivedInstance
from txdicom.storage.filestore import Duplicates
from txdicom.storage.withdrawal import WithdrawableWriter
from txdicom.testing import requestor


class WithdrawableWriterTests(FileStoreTestCase):
    """Writers that are used by hand."""

    def setUp(self) -> None:
        super().setUp()
        self.keeping = self.makeStore(withdrawable=True)
        self.logged: list[str] = []
        globalLogPublisher.addObserver(self.log)
        self.addCleanup(globalLogPublisher.removeObserver, self.log)

    def log(self, event: dict[str, Any]) -> None:
        """Note what is logged."""
        self.logged.append(event["log_format"].format(**event))

    def done(self, result: Any) -> Any:
        """Wait for a result."""
        deferred = Deferred.fromCoroutine(result) if hasattr(result, "send") else result
        if not isinstance(deferred, Deferred):
            return deferred
        outcome: list[Any] = []
        deferred.addBoth(outcome.append)
        self.settle()
        return self.successResultOf(deferred) if outcome[0] is None else outcome[0]

    def written(self, data: bytes) -> WithdrawableWriter:
        """Open a writer and write."""
        instance = ReceivedInstance(CT, INSTANCE, EXPLICIT_LITTLE, storeRQ(), {})
        writer: WithdrawableWriter = self.done(self.keeping.store(requestor(self.clock), instance))
        self.done(writer.write([memoryview(data)]))
        return writer

    def committed(self, data: bytes) -> WithdrawableWriter:
        """Store a file that is neither kept nor withdrawn yet."""
        writer = self.written(data)
        self.assertEqual(self.done(writer.commit()), 0)
        return writer

    def assertFiles(self, **contents: bytes) -> None:
        """These are there, and nothing else."""
        self.assertEqual(self.unfinished(), [])
        self.assertEqual({name: self.stored(name) for name in self.names()}, contents)

    def assertKept(self, data: bytes) -> None:
        """One file is there, under its own name."""
        self.assertFiles(**{NAME: data})

    def test_interface(self) -> None:
        writer = self.written(b"one")
        self.assertTrue(verifyObject(IWithdrawableWriter, writer))
        self.assertEqual(writer.path, str(self.directory.absolute() / NAME))
        writer.abort(None)  # type: ignore[arg-type]

    def test_kept(self) -> None:
        for data in (b"one", b"two"):
            self.done(self.committed(data).keep())
            self.assertKept(data)

    def test_withdrawn(self) -> None:
        self.done(self.committed(b"one").withdraw())
        self.assertFiles()

    def test_replacedComesBack(self) -> None:
        self.done(self.committed(b"one").keep())
        self.done(self.committed(b"two").withdraw())
        self.assertKept(b"one")

    def test_folders(self) -> None:
        """The same in a directory of its own, below the output directory."""
        self.keeping = self.makeStore(withdrawable=True, naming=lambda instance: f"a/b/{NAME}")
        path = f"a/b/{NAME}"
        self.done(self.committed(b"one").withdraw())
        self.assertFalse((self.directory / path).exists())
        writer = self.committed(b"two")
        self.assertEqual(writer.path, str(self.directory.absolute() / path))
        self.done(writer.keep())
        self.done(self.committed(b"three").withdraw())
        self.assertEqual((self.stored(path), self.unfinished()), (b"two", []))
        self.keeping = self.makeStore(
            withdrawable=True, naming=lambda instance: f"a/b/{NAME}", duplicates=Duplicates.RENAME
        )
        writer = self.committed(b"four")
        self.assertEqual(writer.path, str(self.directory.absolute() / f"{path}.1"))
        self.done(writer.withdraw())
        self.assertEqual(os.listdir(self.directory / "a" / "b"), [NAME])

    def test_othersStay(self) -> None:
        """What somebody else has put there meanwhile is not taken away; nor is it missed if it is gone."""
        self.done(self.committed(b"one").keep())
        writer = self.committed(b"two")
        self.done(self.committed(b"three").keep())
        self.done(writer.withdraw())
        self.assertKept(b"three")
        writer = self.committed(b"four")
        (self.directory / NAME).unlink()
        self.done(writer.withdraw())
        self.assertFiles()

    def test_keptDuplicate(self) -> None:
        """What was there before, and stayed, is not what is withdrawn."""
        for duplicates in (Duplicates.KEEP, Duplicates.RENAME):
            self.keeping = self.makeStore(withdrawable=True, duplicates=duplicates)
            self.done(self.committed(b"one").keep())
            writer = self.committed(b"two")
            self.done(writer.withdraw())
            self.assertKept(b"one")
            self.done(self.committed(b"two").keep())
            (self.directory / f"{NAME}.1").unlink(missing_ok=True)
            (self.directory / NAME).unlink()

    def test_rejectedDuplicate(self) -> None:
        self.keeping = self.makeStore(withdrawable=True, duplicates=Duplicates.REJECT)
        self.done(self.committed(b"one").keep())
        failure = self.done(self.written(b"two").commit()) if self.inThreads else None
        if failure is None:
            self.assertRaises(DIMSEError, self.written(b"two").commit)
        else:
            failure.trap(DIMSEError)
        self.assertKept(b"one")

    def test_placingFails(self) -> None:
        """What cannot get its name leaves the old one there, and nothing open."""
        self.done(self.committed(b"one").keep())
        before = openFiles(self.directory)
        writer = self.written(b"two")
        with self.failing("rename", EIO):
            failure = self.done(writer.commit()) if self.inThreads else None
            if failure is None:
                self.assertRaises(DIMSEError, writer.commit)
        self.assertKept(b"one")
        self.assertEqual(openFiles(self.directory), before)

    def test_withdrawingFails(self) -> None:
        """That is logged, and nothing is left open."""
        before = openFiles(self.directory)
        writer = self.committed(b"one")
        with self.failing("unlink", systemError(errno.EROFS)):
            self.done(writer.withdraw())
        self.assertKept(b"one")
        self.assertEqual(self.logged, [f"{NAME} cannot be withdrawn: [Errno 30] Read-only file system"])
        self.assertEqual(openFiles(self.directory), before)

    def test_needsHardLinks(self) -> None:
        """A directory without hard links is refused at the start, not when it is too late."""
        with self.failing("link", systemError(errno.EPERM)):
            self.assertRaises(OSError, self.makeStore, withdrawable=True)


class SlowWithdrawableWriterTests(WithdrawableWriterTests):
    """The same on a slow disk."""

    inThreads = True


class SyncedWithdrawableWriterTests(WithdrawableWriterTests):
    """The same with syncs, which are waited for in threads."""

    fsync = True
    inThreads = True
