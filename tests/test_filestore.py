"""
Tests of `txdicom.storage.filestore`: instances received over an association, and what is in the directory when.

What a disk may do wrong is in ``test_filestore_errors.py``.
"""

from __future__ import annotations

import contextlib
import gc
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydicom import dcmread

from tests.headvectors import EXPLICIT_LITTLE, PIXEL_DATA, SYNTAXES, element
from tests.scripted import (
    CT,
    CT_CONTEXT,
    ECHO_CONTEXT,
    INSTANCE,
    MR,
    VERIFICATION,
    ConversationTestCase,
    dataSet,
    message,
    pData,
    storeRQ,
)
from tests.test_fileformat import PREFIXES
from txdicom.dimse.commands import CEchoRQ, CEchoRSP, CStoreRQ
from txdicom.services.storage import ReceivedInstance, StorageService
from txdicom.services.verification import VerificationService
from txdicom.storage.filestore import DiscardingStore, FileStore
from txdicom.testing import RawPeer, associateRQ, requestor
from txdicom.upperlayer.pdu import AAbort

STORE = message(CT_CONTEXT, storeRQ())
NAME = f"CT.{INSTANCE}"
PROPOSED_CT = {CT: [EXPLICIT_LITTLE]}


def openFiles(directory: str | Path) -> int:
    """Count what this process has open of a directory: itself, what is or was in it; and /dev/full in place of it."""
    count = 0
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            target = os.readlink(f"/proc/self/fd/{descriptor}")
            count += target.startswith((str(Path(directory).resolve()), "/dev/full"))
    return count


class FileStoreTestCase(ConversationTestCase):
    """
    An acceptor that stores in files.

    :ivar directory: where.
    """

    if not os.path.isdir("/proc/self/fd"):
        skip = "needs /proc to count open files"

    def setUp(self) -> None:
        """Make a store in a new directory."""
        super().setUp()
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.store = FileStore(self.directory)
        self.serve(VerificationService(), StorageService(self.store))

    def names(self) -> list[str]:
        """List what is in the directory."""
        return sorted(path.name for path in self.directory.iterdir())

    def stored(self, name: str = NAME) -> bytes:
        """Return the data set in a file: what comes after the file meta information, whose length is in it."""
        content = (self.directory / name).read_bytes()
        self.assertEqual(content[128:132], b"DICM")
        return content[144 + int.from_bytes(content[140:144], "little") :]

    def assertStores(self, peer: RawPeer, data: bytes) -> None:
        """The instance is taken."""
        self.assertEqual(self.statusesOf(self.ask(peer, message(CT_CONTEXT, storeRQ(), data))), [(1, 0)])

    def assertClosed(self) -> None:
        """No file is open but the directory of the store, no association is left."""
        self.assertNothingLeft()
        self.assertEqual(openFiles(self.directory), 1)


class FileStoreTests(FileStoreTestCase):
    """What is kept, and when it is to be seen."""

    def test_fileIsReadByPydicom(self) -> None:
        """All classes and syntaxes of the original, under their names, with who sent them."""
        pixels = b"\x01\x02\x03\x04" * 50
        for syntax in SYNTAXES:
            request = associateRQ([(uid, [syntax]) for uid in PREFIXES], callingAETitle="SCANNER")
            peer = self.associate(request=request)
            for number, (sopClass, prefix) in enumerate(PREFIXES.items()):
                instance = f"1.2.3.{number}"
                data = dataSet(syntax, sopClass, instance, element(syntax, PIXEL_DATA, b"OW", pixels))
                command = CStoreRQ(1, sopClass, instance)
                self.ask(peer, message(2 * number + 1, command, data, 100))
                name = f"{prefix}.{instance}"
                self.assertEqual(self.stored(name), data)
                read = dcmread(self.directory / name)
                self.assertEqual((read.SOPClassUID, read.SOPInstanceUID), (sopClass, instance))
                self.assertEqual(read.file_meta.TransferSyntaxUID, syntax)
                self.assertEqual(read.file_meta.SourceApplicationEntityTitle, "SCANNER")
                self.assertEqual((read.PatientName, read.PixelData), ("Doe^Jane", pixels))
            peer.link.lose()
        self.assertEqual(self.names(), sorted(f"{prefix}.1.2.3.{n}" for n, prefix in enumerate(PREFIXES.values())))
        self.assertClosed()

    def test_dataSetIsKeptAsItCame(self) -> None:
        """However it was cut, whatever its length, and whatever comes after the head."""
        for size in (None, 1, 7):
            peer = self.associate(size)
            for length in (0, 1, 2, 3, 1001):
                data = dataSet(rest=bytes(range(256)) * 4)[: len(dataSet()) + length]
                for maximumLength in (8, 60, 16384):
                    self.ask(peer, message(CT_CONTEXT, storeRQ(), data, maximumLength))
                    self.assertEqual(self.stored(), data)
            peer.link.lose()
        self.assertEqual(self.names(), [NAME])
        self.assertClosed()

    def test_odditiesOfTitles(self) -> None:
        for title, kept in (("  LEFT", "LEFT"), ("A\\B\xd6", "A?B?"), ("  ", None)):
            peer = self.associate(request=replace(associateRQ(PROPOSED_CT), callingAETitle=title))
            self.ask(peer, message(1, storeRQ(), dataSet()))
            meta = dcmread(self.directory / NAME).file_meta
            self.assertEqual(meta.get("SourceApplicationEntityTitle"), kept)
            peer.link.lose()

    def test_unknownClass(self) -> None:
        self.serve(StorageService(self.store, ["1.2.3.4"]))
        peer = self.associate(request=associateRQ({"1.2.3.4": [EXPLICIT_LITTLE]}))
        data = dataSet(sopClass="1.2.3.4")
        self.assertEqual(self.statusesOf(self.ask(peer, message(1, storeRQ(sopClass="1.2.3.4"), data))), [(1, 0)])
        self.assertEqual(self.names(), [f"UNKNOWN.{INSTANCE}"])

    def test_ownNaming(self) -> None:
        store = FileStore(self.directory, lambda instance: f"{instance.sopInstanceUID}.dcm")
        self.serve(StorageService(store))
        self.assertStores(self.associate(), dataSet())
        self.assertEqual(self.names(), [f"{INSTANCE}.dcm"])

    def test_nameAppearsWithTheWholeInstance(self) -> None:
        """Until then there is a hidden file that nobody takes for an instance."""
        peer = self.associate()
        peer.send(STORE, pData(CT_CONTEXT, 0, dataSet()[:20]))
        self.assertEqual(self.names(), [])
        peer.send(pData(CT_CONTEXT, 0, dataSet()[20:]))
        (temporary,) = self.names()
        self.assertRegex(temporary, rf"^\.txdicom-{os.getpid()}-[0-9a-f]+-[0-9]+\.part$")
        self.assertTrue((self.directory / temporary).read_bytes().endswith(dataSet()))
        peer.send(pData(CT_CONTEXT, 0, b"more"))
        self.assertEqual(self.names(), [temporary])
        peer.send(pData(CT_CONTEXT, 2, b"end"))
        self.assertEqual(self.names(), [NAME])
        self.assertEqual(self.stored(), dataSet() + b"moreend")

    def test_whatDoesNotComeWholeLeavesNothing(self) -> None:
        """Be the association aborted, by whom ever, or the connection lost."""
        for end in (
            lambda peer: peer.link.lose(),
            lambda peer: peer.send(AAbort(0, 0)),
            lambda peer: peer.send(b"\xff" * 6),
            lambda peer: peer.send(STORE),
            lambda peer: next(iter(self.factory.associations)).abort(),
        ):
            peer = self.associate()
            peer.send(STORE, pData(CT_CONTEXT, 0, dataSet()))
            self.assertEqual(len(self.names()), 1)
            end(peer)
            self.assertEqual(self.names(), [])
            peer.link.lose()
            self.assertClosed()

    def test_refusedIdentityLeavesNothing(self) -> None:
        peer = self.associate()
        self.ask(peer, message(CT_CONTEXT, storeRQ(), dataSet(sopClass=MR)))
        self.ask(peer, message(CT_CONTEXT, storeRQ(sopInstance="../x"), dataSet(sopInstance="../x")))
        self.assertEqual(self.names(), [])
        self.assertEqual([path.name for path in self.directory.parent.iterdir()], [self.directory.name])

    def test_secondCopyReplacesTheFirst(self) -> None:
        """In one moment: until it is whole, the first is there, and whoever has it open keeps it."""
        peer = self.associate()
        self.assertStores(peer, dataSet(rest=b"first"))
        with (self.directory / NAME).open("rb") as reader:
            peer.send(STORE, pData(CT_CONTEXT, 0, dataSet(rest=b"2nd")))
            self.assertEqual(self.stored(), dataSet(rest=b"first"))
            peer.send(pData(CT_CONTEXT, 2, b"!"))
            self.assertEqual(self.stored(), dataSet(rest=b"2nd!"))
            self.assertTrue(reader.read().endswith(b"first"))
        self.assertEqual(self.names(), [NAME])

    def test_brokenSecondCopyLeavesTheFirst(self) -> None:
        peer = self.associate()
        self.assertStores(peer, dataSet(rest=b"first"))
        peer.send(STORE, pData(CT_CONTEXT, 0, dataSet(rest=b"second")))
        peer.link.lose()
        self.assertEqual(self.names(), [NAME])
        self.assertEqual(self.stored(), dataSet(rest=b"first"))

    def test_oneInstanceOnManyAssociations(self) -> None:
        """Each is written by itself; the last to be complete stays. Several stores may share a directory."""
        peers = [self.associate() for _ in range(3)]
        self.serve(VerificationService(), StorageService(FileStore(self.directory)))
        peers.append(self.associate())
        for number, peer in enumerate(peers):
            peer.send(STORE, pData(CT_CONTEXT, 0, dataSet(rest=bytes([number]) * 8)))
        self.assertEqual(len(self.names()), 4)
        for number in (2, 3, 1, 0):
            self.assertEqual(self.statusesOf(self.ask(peers[number], pData(CT_CONTEXT, 2, b"end"))), [(1, 0)])
            self.assertEqual(self.stored(), dataSet(rest=bytes([number]) * 8 + b"end"))
        self.assertEqual(self.names(), [NAME])

    def test_linkIsReplacedAndNotFollowed(self) -> None:
        """Whatever somebody has put there under the name of an instance, nothing outside is written to."""
        outside = self.directory.parent / "outside"
        outside.write_bytes(b"precious")
        (self.directory / NAME).symlink_to(outside.resolve())
        self.assertStores(self.associate(), dataSet())
        self.assertFalse((self.directory / NAME).is_symlink())
        self.assertEqual(outside.read_bytes(), b"precious")

    def test_directoryMayBeMoved(self) -> None:
        """Files go where the directory is, not where a path says it was."""
        peer = self.associate()
        peer.send(STORE, pData(CT_CONTEXT, 0, dataSet()))
        moved = self.directory.with_name("moved")
        self.directory.rename(moved)
        self.directory.mkdir()
        peer.send(pData(CT_CONTEXT, 2, b"end"))
        self.assertEqual(self.names(), [])
        self.assertEqual([path.name for path in moved.iterdir()], [NAME])

    def test_permissionsAreThoseOfTheUmask(self) -> None:
        before = os.umask(0o027)
        try:
            self.assertStores(self.associate(), dataSet())
        finally:
            os.umask(before)
        self.assertEqual((self.directory / NAME).stat().st_mode & 0o777, 0o640)

    def test_directoryHasToExist(self) -> None:
        self.assertRaises(FileNotFoundError, FileStore, self.directory / "not there")
        (self.directory / "file").touch()
        self.assertRaises(NotADirectoryError, FileStore, self.directory / "file")
        self.assertClosed()

    def test_descriptorsAreClosed(self) -> None:
        """That of the directory with the store, or with the last of its files if that is later."""
        store = FileStore(self.directory)
        instance = ReceivedInstance(CT, INSTANCE, EXPLICIT_LITTLE, storeRQ(), {})
        writer = store.store(requestor(self.clock), instance)
        del store
        gc.collect()
        self.assertEqual(openFiles(self.directory), 3)
        writer.write(memoryview(dataSet()))
        self.assertEqual(writer.commit(), 0)
        self.assertEqual(self.names(), [NAME])
        del writer
        gc.collect()
        self.assertEqual(openFiles(self.directory), 1)


class DiscardingStoreTests(ConversationTestCase):
    """`DiscardingStore`."""

    def test_keepsNothing(self) -> None:
        """The instances are checked and acknowledged like any others; that is all."""
        directory = Path(self.mktemp())
        directory.mkdir()
        before = os.getcwd()
        os.chdir(directory)
        self.addCleanup(os.chdir, before)
        self.serve(VerificationService(), StorageService(DiscardingStore()))
        peers = [self.associate(), self.associate(1)]
        responses: list[Any] = []
        for peer in peers:
            responses += self.ask(peer, message(CT_CONTEXT, storeRQ(1), dataSet(rest=bytes(5000)), 1000))
            responses += self.ask(peer, message(CT_CONTEXT, storeRQ(2), dataSet(sopClass=MR)))
            peer.send(STORE, pData(CT_CONTEXT, 0, dataSet()))
        self.assertEqual(self.statusesOf(responses), [(1, 0), (2, 0xA900)] * 2)
        peers[0].link.lose()
        self.assertEqual(self.statusesOf(self.ask(peers[1], pData(CT_CONTEXT, 2, b""))), [(1, 0)])
        self.assertEqual(self.ask(peers[1], message(ECHO_CONTEXT, CEchoRQ(3))), [CEchoRSP(3, 0, VERIFICATION)])
        peers[1].link.lose()
        self.assertNothingLeft()
        self.assertEqual((os.listdir("."), openFiles(".")), ([], 0))
