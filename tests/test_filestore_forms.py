"""Tests of `txdicom.storage.filestore` and `txdicom.storage.outputform`: files that are not just what came."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import threading
import zlib
from typing import Any

from pydicom import dcmread
from twisted.internet.defer import Deferred

from tests.headvectors import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, JPEG, PIXEL_DATA, SYNTAXES, element
from tests.scripted import CT, CT_CONTEXT, ECHO_CONTEXT, INSTANCE, dataSet, message, storeRQ
from tests.storing import EIO, ENOSPC, NAME, FileStoreTestCase, openFiles
from txdicom.dimse.commands import CEchoRQ
from txdicom.services.storage import ReceivedInstance, StorageService
from txdicom.services.verification import VerificationService
from txdicom.storage.filestore import Duplicates, FileStore
from txdicom.storage.outputform import Conversion, OutputForm
from txdicom.testing import RawPeer, associateRQ
from txdicom.uids import IMPLEMENTATION_CLASS_UID

DEFLATED = "1.2.840.10008.1.2.1.99"


class FormTestCase(FileStoreTestCase):
    """A store of files in some form."""

    def makeStore(self, **keywords: Any) -> FileStore:
        """Make such a store."""
        self.form = self.makeForm()
        return super().makeStore(**{"form": self.form, **keywords})

    def makeForm(self) -> OutputForm:
        """Say what the files have in them."""
        return OutputForm(transferSyntaxUID=EXPLICIT_LITTLE)

    def associated(self, syntax: str) -> RawPeer:
        """Associate, with a context for CT in one transfer syntax, and one for echoes."""
        self.serve(VerificationService(), StorageService(self.store, transferSyntaxes=(*SYNTAXES, JPEG)))
        return self.associate(request=associateRQ([("1.2.840.10008.1.1", [IMPLICIT_LITTLE]), (CT, [syntax])]))

    def store_(self, syntax: str, data: bytes) -> tuple[int, str]:
        """Have a data set stored."""
        peer = self.associated(syntax)
        (response,) = self.ask(peer, message(CT_CONTEXT, storeRQ(), data))
        peer.link.lose()
        self.assertEqual(self.unfinished(), [])
        return response.status, response.errorComment


class DataSetTests(FormTestCase):
    """Data sets without file meta information."""

    def makeForm(self) -> OutputForm:
        """Say what the files have in them."""
        return OutputForm(hasFileMeta=False)

    def test_dataSetAlone(self) -> None:
        for syntax in SYNTAXES:
            self.assertEqual(self.store_(syntax, dataSet(syntax)), (0, ""))
            self.assertEqual((self.directory / NAME).read_bytes(), dataSet(syntax))

    def test_converted(self) -> None:
        store = OutputForm(hasFileMeta=False, transferSyntaxUID=IMPLICIT_LITTLE)
        self.patch(self.store, "_form", store)
        self.assertEqual(self.store_(EXPLICIT_BIG, dataSet(EXPLICIT_BIG)), (0, ""))
        self.assertEqual((self.directory / NAME).read_bytes(), dataSet(IMPLICIT_LITTLE))


class ConversionTests(FormTestCase):
    """Data sets in another transfer syntax."""

    def pixels(self, syntax: str) -> bytes:
        """Encode a data set with pixels."""
        return dataSet(syntax, rest=element(syntax, PIXEL_DATA, b"OW", b"\1\0" if syntax != EXPLICIT_BIG else b"\0\1"))

    def test_eachIntoEach(self) -> None:
        for target in (*SYNTAXES, DEFLATED):
            self.patch(self.store, "_form", OutputForm(transferSyntaxUID=target))
            for source in SYNTAXES:
                self.assertEqual(self.store_(source, self.pixels(source)), (0, ""))
                stored = self.stored()
                if target == DEFLATED:
                    stored = zlib.decompressobj(-zlib.MAX_WBITS).decompress(stored)
                self.assertEqual(stored, self.pixels(EXPLICIT_LITTLE if target == DEFLATED else target))
                read = dcmread(self.directory / NAME)
                self.assertEqual(
                    (read.file_meta.TransferSyntaxUID, read.file_meta.ImplementationClassUID, read.PatientName),
                    (target, IMPLEMENTATION_CLASS_UID, "Doe^Jane"),
                )
                self.assertEqual(read.file_meta.MediaStorageSOPInstanceUID, INSTANCE)

    def test_sameIsKept(self) -> None:
        """What is in the transfer syntax already is not touched, malformed as it may be."""
        data = dataSet(rest=b"\xff" * 99)
        self.assertEqual(self.store_(EXPLICIT_LITTLE, data), (0, ""))
        self.assertEqual(self.stored(), data)

    def test_compressedIsKept(self) -> None:
        """With the transfer syntax that it has in its file meta information."""
        data = dataSet(rest=b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff")
        self.assertEqual(self.store_(JPEG, data), (0, ""))
        self.assertEqual(self.stored(), data)
        self.assertEqual(dcmread(self.directory / NAME, stop_before_pixels=True).file_meta.TransferSyntaxUID, JPEG)

    def test_malformed(self) -> None:
        """It is refused, and what is there stays."""
        self.assertEqual(self.store_(IMPLICIT_LITTLE, self.pixels(IMPLICIT_LITTLE)), (0, ""))
        status, comment = self.store_(IMPLICIT_LITTLE, dataSet(IMPLICIT_LITTLE, rest=b"\xe0\x7f"))
        self.assertEqual((status, comment), (0xC000, "cannot be converted: the data set ends within a header"))
        self.assertEqual(self.stored(), self.pixels(EXPLICIT_LITTLE))
        self.assertEqual(self.names(), [NAME])

    def test_diskFails(self) -> None:
        """In each step; nothing is left, and nothing open."""
        before = openFiles(self.directory)
        for name, good, doing in (
            ("open", 1, "converted"),
            ("fstat", 0, "converted"),
            ("unlink", 0, "converted"),
            ("rename", 0, "completed"),
        ):
            peer = self.associated(IMPLICIT_LITTLE)
            with self.failing(name, EIO, good=good):
                (response,) = self.ask(peer, message(CT_CONTEXT, storeRQ(), dataSet(IMPLICIT_LITTLE)))
            peer.link.lose()
            self.assertEqual(
                (response.status, response.errorComment), (0xA700, f"file cannot be {doing}: Input/output error"), name
            )
            self.assertEqual((self.names(), openFiles(self.directory)), ([], before), name)
            for path in self.unfinished():
                path.unlink()

    def test_full(self) -> None:
        conversion = Conversion.convert

        def fails(*arguments: Any) -> None:
            conversion(*arguments)
            raise ENOSPC

        self.patch(Conversion, "convert", fails)
        self.assertEqual(
            self.store_(IMPLICIT_LITTLE, dataSet(IMPLICIT_LITTLE)),
            (0xA700, "file cannot be converted: No space left on device"),
        )
        self.assertEqual(self.names(), [])

    def test_inThread(self) -> None:
        """Never in the reactor's, and others are served meanwhile."""
        threads: list[threading.Thread] = []
        conversion = Conversion.convert

        def noting(*arguments: Any) -> None:
            threads.append(threading.current_thread())
            conversion(*arguments)

        self.patch(Conversion, "convert", noting)
        peer, other = self.associated(IMPLICIT_LITTLE), self.associate()
        peer.send(message(CT_CONTEXT, storeRQ(), dataSet(IMPLICIT_LITTLE)))
        self.assertEqual(len(other.send(message(ECHO_CONTEXT, CEchoRQ(1)))), 1)
        self.assertEqual(self.statusesOf(self.ask(peer)), [(1, 0)])
        self.assertEqual(len(threads), 1)
        self.assertIsNot(threads[0], threading.main_thread())

    def test_fewAtOnce(self) -> None:
        """Two of them; the others wait for their turn."""
        turns = self.form.turns
        held: list[Deferred[Any]] = [turns.acquire(), turns.acquire()]
        self.assertTrue(all(one.called for one in held))
        peer = self.associated(IMPLICIT_LITTLE)
        self.assertEqual(self.ask(peer, message(CT_CONTEXT, storeRQ(), dataSet(IMPLICIT_LITTLE))), [])
        turns.release()
        self.assertEqual(self.statusesOf(self.ask(peer)), [(1, 0)])
        turns.release()

    def test_lostMeanwhile(self) -> None:
        """An association that ends before its data set has come whole leaves nothing."""
        peer = self.associated(IMPLICIT_LITTLE)
        data = message(CT_CONTEXT, storeRQ(), dataSet(IMPLICIT_LITTLE, rest=bytes(9000)), 200)
        self.send(peer, data[:4000])
        peer.link.lose()
        self.settle()
        self.assertEqual((self.names(), self.unfinished()), ([], []))

    def test_duplicates(self) -> None:
        store = self.makeStore(duplicates=Duplicates.RENAME)
        self.serve(StorageService(store))
        peer = self.associate(request=associateRQ([(CT, [IMPLICIT_LITTLE])]))
        for _ in range(2):
            self.assertEqual(self.statusesOf(self.ask(peer, message(1, storeRQ(), dataSet(IMPLICIT_LITTLE)))), [(1, 0)])
        self.assertEqual(self.names(), [NAME, f"{NAME}.1"])
        self.assertEqual(self.stored(f"{NAME}.1"), dataSet())


class SyncedConversionTests(ConversionTests):
    """The same, synced."""

    fsync = True

    def test_whatIsSyncedIsTheConverted(self) -> None:
        synced: list[int] = []
        fsync = os.fsync

        def noting(descriptor: int) -> None:
            synced.append(os.fstat(descriptor).st_ino)
            fsync(descriptor)

        with self.replaced("fsync", noting):
            self.assertEqual(self.store_(IMPLICIT_LITTLE, dataSet(IMPLICIT_LITTLE)), (0, ""))
        self.assertIn((self.directory / NAME).stat().st_ino, synced)


class SlowConversionTests(ConversionTests):
    """The same on a slow disk."""

    inThreads = True


class OutputFormTests(FormTestCase):
    """`OutputForm` by itself."""

    def test_converts(self) -> None:
        def converts(source: str, target: str) -> bool:
            instance = ReceivedInstance(CT, INSTANCE, source, storeRQ(), {})
            return OutputForm(transferSyntaxUID=target).converts(instance)

        for target in ("", *SYNTAXES, DEFLATED):
            for source in (*SYNTAXES, DEFLATED, JPEG):
                expected = bool(target) and source in SYNTAXES and source != target
                self.assertEqual(converts(source, target), expected, (source, target))
