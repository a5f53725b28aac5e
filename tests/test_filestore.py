"""
Tests of `txdicom.storage.filestore`: instances received over an association, and what is in the directory when.

What a disk may do wrong is in ``test_filestore_errors.py``, duplicates are in ``test_duplicates.py``.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydicom import dcmread
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

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
from tests.storing import NAME, OPEN, STORE, FileStoreTestCase, openFiles
from tests.test_fileformat import PREFIXES
from txdicom.dimse.commands import CEchoRQ, CEchoRSP, CStoreRQ
from txdicom.interfaces import IWantingStorageSCP
from txdicom.services.storage import ReceivedInstance, StorageService
from txdicom.services.verification import VerificationService
from txdicom.storage.filestore import DiscardingStore, FileStore
from txdicom.storage.pathtemplate import PathTemplate
from txdicom.testing import associateRQ, exampleDataSet, requestor, sendTo
from txdicom.upperlayer.pdu import AAbort

PROPOSED_CT = {CT: [EXPLICIT_LITTLE]}


class ContentsTests(FileStoreTestCase):
    """What is in a file, and what it is called."""

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
        self.serveFiles(self.makeStore(naming=lambda instance: f"{instance.sopInstanceUID}.dcm"))
        self.assertStores(self.associate(), dataSet())
        self.assertEqual(self.names(), [f"{INSTANCE}.dcm"])

    def test_namingThatNeedsAttributes(self) -> None:
        """The store asks for what its naming needs."""
        store = self.makeStore(naming=PathTemplate("{PatientID}.{SOPInstanceUID}"))
        self.assertTrue(verifyObject(IWantingStorageSCP, store))
        self.assertEqual([each.status for each in sendTo(store, exampleDataSet(PatientID="4711"))], [0])
        self.assertEqual(self.names(), ["4711.1.2.3"])
        self.assertEqual(set(self.makeStore().wanted), set())

    def test_ownNamingThatLeadsAstray(self) -> None:
        """Whatever somebody makes a name of, nothing is written anywhere else, or under no name at all."""
        outside = self.directory.parent / "outside"
        outside.write_bytes(b"precious")
        (self.directory / "below").mkdir()
        peer = self.associate()
        for name in (
            *("../outside", str(outside.resolve()), "below/../../outside", "below/./x", "below//x", "below/", "/x"),
            *("", ".", "..", "x\0y", "below/x\0y", "\ud800"),
        ):
            self.patch(self.store, "_naming", lambda instance, name=name: name)
            (response,) = self.ask(peer, message(CT_CONTEXT, storeRQ(), dataSet()))
            self.assertEqual(
                (response.status, response.errorComment), (0xC000, "there is no file name for this instance")
            )
            self.assertEqual((self.names(), os.listdir(self.directory / "below")), (["below"], []))
        self.assertEqual(outside.read_bytes(), b"precious")
        peer.link.lose()
        self.assertClosed()

    def test_permissionsAreThoseOfTheUmask(self) -> None:
        """The directory for unfinished files is nobody else's, whatever the umask."""
        before = os.umask(0o027)
        try:
            self.assertStores(self.associate(), dataSet())
        finally:
            os.umask(before)
        self.assertEqual(stat.S_IMODE((self.directory / NAME).stat().st_mode), 0o640)
        (run,) = self.directory.glob(".txdicom-*")
        self.assertEqual(stat.S_IMODE(run.stat().st_mode), 0o700)


class FileStoreTests(FileStoreTestCase):
    """What is to be seen, and when."""

    def test_nameAppearsWithTheWholeInstance(self) -> None:
        """Until then there is a file in a hidden directory, that nobody takes for an instance."""
        peer = self.associate()
        self.send(peer, STORE, pData(CT_CONTEXT, 0, dataSet()[:20]))
        self.assertEqual((self.names(), self.unfinished()), ([], []))
        self.send(peer, pData(CT_CONTEXT, 0, dataSet()[20:]))
        (unfinished,) = self.unfinished()
        self.assertRegex(str(unfinished.relative_to(self.directory)), r"^\.txdicom-[0-9a-f]{16}/[0-9]+\.part$")
        self.assertTrue(unfinished.read_bytes().endswith(dataSet()))
        self.send(peer, pData(CT_CONTEXT, 0, b"more"))
        self.assertEqual((self.names(), self.unfinished()), ([], [unfinished]))
        self.send(peer, pData(CT_CONTEXT, 2, b"end"))
        self.assertEqual((self.names(), self.unfinished()), ([NAME], []))
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
            self.send(peer, STORE, pData(CT_CONTEXT, 0, dataSet()))
            self.assertEqual(len(self.unfinished()), 1)
            end(peer)
            self.settle()
            self.assertEqual((self.names(), self.unfinished()), ([], []))
            peer.link.lose()
            self.assertClosed()

    def test_refusedIdentityLeavesNothing(self) -> None:
        peer = self.associate()
        self.ask(peer, message(CT_CONTEXT, storeRQ(), dataSet(sopClass=MR)))
        self.ask(peer, message(CT_CONTEXT, storeRQ(sopInstance="../x"), dataSet(sopInstance="../x")))
        self.assertEqual((self.names(), self.unfinished()), ([], []))
        self.assertEqual([path.name for path in self.directory.parent.iterdir()], [self.directory.name])

    def test_linkIsReplacedAndNotFollowed(self) -> None:
        """Whatever somebody has put there under the name of an instance, nothing outside is written to."""
        outside = self.directory.parent / "outside"
        outside.write_bytes(b"precious")
        (self.directory / NAME).symlink_to(outside.resolve())
        self.assertStores(self.associate(), dataSet())
        self.assertFalse((self.directory / NAME).is_symlink())
        self.assertEqual(outside.read_bytes(), b"precious")

    def test_headAlone(self) -> None:
        """A writer that is given nothing writes what stands before the data set all the same."""
        instance = ReceivedInstance(CT, INSTANCE, EXPLICIT_LITTLE, storeRQ(), {})
        writer = self.outcome(self.store.store(requestor(self.clock), instance))
        self.assertEqual(self.outcome(writer.commit()), 0)
        self.assertEqual(self.stored(), b"")
        self.assertClosed()

    def outcome(self, result: Any) -> Any:
        """Wait for a result that may be there already."""
        if not hasattr(result, "__await__"):
            return result
        waiting = Deferred.fromCoroutine(result)
        self.settle()
        return self.successResultOf(waiting)


class HeldBytesTests(FileStoreTestCase):
    """Bytes that are too few to be written by themselves."""

    atOnce = False

    def test_fewBytesWaitForMore(self) -> None:
        """They are written with those that come next."""
        peer = self.associate()
        few = bytes(16383 - len(dataSet()))
        self.send(peer, STORE, pData(CT_CONTEXT, 0, dataSet()), pData(CT_CONTEXT, 0, few))
        (unfinished,) = self.unfinished()
        self.assertEqual(unfinished.read_bytes(), b"")
        self.send(peer, pData(CT_CONTEXT, 0, b"more"))
        self.assertTrue(unfinished.read_bytes().endswith(dataSet() + few + b"more"))
        self.send(peer, pData(CT_CONTEXT, 0, b"again few"))
        self.assertTrue(unfinished.read_bytes().endswith(b"more"))
        self.send(peer, pData(CT_CONTEXT, 2, b"end"))
        self.assertEqual(self.stored(), dataSet() + few + b"moreagain fewend")

    def test_manyPiecesDoNotWait(self) -> None:
        """A peer that sends its bytes one by one does not make us keep many of them."""
        peer = self.associate()
        self.send(peer, STORE, pData(CT_CONTEXT, 0, dataSet()))
        (unfinished,) = self.unfinished()
        for _ in range(509):
            self.send(peer, pData(CT_CONTEXT, 0, b"x"))
        self.assertEqual(unfinished.read_bytes(), b"")
        self.send(peer, pData(CT_CONTEXT, 0, b"x"))
        self.assertTrue(unfinished.read_bytes().endswith(dataSet() + b"x" * 510))
        peer.send(AAbort(0, 0))

    def test_aborted(self) -> None:
        """What is held is forgotten."""
        peer = self.associate()
        self.send(peer, STORE, pData(CT_CONTEXT, 0, dataSet()))
        peer.send(AAbort(0, 0))
        self.assertEqual((self.names(), self.unfinished()), ([], []))


class SyncedFileStoreTests(FileStoreTests):
    """The same with files that are synced."""

    fsync = True


class ThreadedFileStoreTests(FileStoreTests):
    """The same on a slow disk."""

    inThreads = True


class OpeningTests(FileStoreTestCase):
    """When the directory is opened and closed."""

    def test_opensWhenNeeded(self) -> None:
        """Without `open`, with the first instance; and nothing is made or opened before."""
        self.successResultOf(self.store.close())
        self.assertEqual((os.listdir(self.directory), openFiles(self.directory)), ([], 0))
        peer = self.associate()
        self.assertEqual((os.listdir(self.directory), openFiles(self.directory)), ([], 0))
        self.assertStores(peer, dataSet())
        peer.link.lose()
        self.assertClosed()

    def test_openIsDoneOnce(self) -> None:
        before = os.listdir(self.directory)
        self.store.open()
        self.assertEqual((os.listdir(self.directory), openFiles(self.directory)), (before, OPEN))

    def test_mayBeOpenedAgain(self) -> None:
        for _ in range(3):
            self.successResultOf(self.store.close())
            self.successResultOf(self.store.close())
            self.assertEqual((self.names(), openFiles(self.directory)), ([], 0))
            self.store.open()
            self.assertStores(self.associate(), dataSet())
            (self.directory / NAME).unlink()

    def test_directoryHasToExist(self) -> None:
        (self.directory / "file").touch()
        for name, error in (("not there", FileNotFoundError), ("file", NotADirectoryError)):
            store = FileStore(self.directory / name)
            for _ in range(2):
                self.assertRaises(error, store.open)
        self.assertEqual(openFiles(self.directory), OPEN)

    def test_pathIsThatOfTheBeginning(self) -> None:
        """A relative path is not looked up again in another directory."""
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        store = FileStore("." / self.directory)
        os.chdir("/")
        store.open()
        store.close()
        os.chdir(before)

    def test_closedWhileInstancesAreUnderWay(self) -> None:
        """They are completed, or removed, all the same; then nothing is left of the store."""
        peers = [self.associate() for _ in range(2)]
        for peer in peers:
            peer.send(STORE, pData(CT_CONTEXT, 0, dataSet()))
        self.successResultOf(self.store.close())
        self.assertEqual(len(self.unfinished()), 2)
        self.assertEqual(self.statusesOf(self.ask(peers[0], pData(CT_CONTEXT, 2, b"end"))), [(1, 0)])
        self.assertEqual((self.names(), len(self.unfinished())), ([NAME], 1))
        peers[1].link.lose()
        self.assertEqual((os.listdir(self.directory), openFiles(self.directory)), ([NAME], 0))

    def test_directoryMayBeMoved(self) -> None:
        """Files go where the directory is, not where a path says it was."""
        peer = self.associate()
        peer.send(STORE, pData(CT_CONTEXT, 0, dataSet()))
        moved = self.directory.with_name("moved")
        self.directory.rename(moved)
        self.directory.mkdir()
        peer.send(pData(CT_CONTEXT, 2, b"end"))
        self.assertEqual(os.listdir(self.directory), [])
        self.assertEqual([path.name for path in moved.glob("[!.]*")], [NAME])

    def test_directoryIsMadeAnew(self) -> None:
        """What comes then goes to the new one, and nothing of the old one stays open."""
        peer = self.associate()
        for _ in range(3):
            shutil.rmtree(self.directory)
            self.directory.mkdir()
            self.assertStores(peer, dataSet())
            self.assertEqual((self.names(), openFiles(self.directory)), ([NAME], OPEN))

    def test_directoryForUnfinishedFilesIsRemoved(self) -> None:
        """By somebody who tidies up: what was in it is refused, what comes afterwards is not."""
        peers = [self.associate() for _ in range(3)]
        for peer in peers[:2]:
            peer.send(STORE, pData(CT_CONTEXT, 0, dataSet()))
        (run,) = self.directory.glob(".txdicom-*")
        shutil.rmtree(run)
        self.assertStores(peers[2], dataSet(rest=b"new"))
        self.assertEqual(openFiles(self.directory), 2 * OPEN + 2)
        (response,) = self.ask(peers[0], pData(CT_CONTEXT, 2, b"end"))
        self.assertEqual(
            (response.status, response.errorComment), (0xA700, "file cannot be completed: No such file or directory")
        )
        peers[1].link.lose()
        self.assertEqual((self.stored(), openFiles(self.directory)), (dataSet(rest=b"new"), OPEN))

    def test_severalStoresShareADirectory(self) -> None:
        """One that begins, or ends, does not touch what another one is writing."""
        stores = [self.store, *(self.makeStore() for _ in range(2))]
        peers = []
        for number, store in enumerate(stores):
            self.serveFiles(store)
            peers.append(self.associate())
            self.assertStores(peers[-1], dataSet(rest=bytes([number])))
            self.assertEqual(self.stored(), dataSet(rest=bytes([number])))
            peers[-1].send(STORE, pData(CT_CONTEXT, 0, dataSet(rest=bytes([number]))))
        stores[0].close()
        self.makeStore().close()
        self.assertEqual(len(self.unfinished()), 3)
        for number, peer in enumerate(peers):
            self.assertEqual(self.statusesOf(self.ask(peer, pData(CT_CONTEXT, 2, b"!"))), [(1, 0)])
            self.assertEqual(self.stored(), dataSet(rest=bytes([number]) + b"!"))
        self.assertEqual((self.names(), openFiles(self.directory)), ([NAME], 2 * OPEN))


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
