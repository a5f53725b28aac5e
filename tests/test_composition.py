"""
The compositions of docs/composition.rst do what the page says of them: each listing in memory, with real associations.

The router, which is the largest of them, is in ``test_composition_router.py``.
"""

# trial's assertions are not annotated, and neither are the listings:
# mypy: allow-untyped-calls

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from twisted.application.service import IServiceCollection, loadApplication
from twisted.enterprise.adbapi import ConnectionPool
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, execute, fail
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.documents import LISTINGS, loadModule
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.dimse.status import Status
from txdicom.errors import AssociationRejected, DIMSEError
from txdicom.interfaces import IAssociationObserver, IDataSetWriter, IStorageSCP
from txdicom.requestor import RequestorAssociation, connect
from txdicom.services.storage import StorageService
from txdicom.services.verification import VerificationService
from txdicom.storage.filestore import FileStore
from txdicom.testing import MemoryEndpoint, RecordingStore, associateRQ, requestor
from txdicom.uids import ACCEPT_ALL, OTHER_STORAGE_SOP_CLASSES, VERIFICATION

deidentify = loadModule(LISTINGS / "deidentify.py")
indexing = loadModule(LISTINGS / "indexing.py")
policy = loadModule(LISTINGS / "policy.py")

CT = str(get_testdata_file("CT_small.dcm"))
#: Pixel data that is compressed.
JPEG = str(get_testdata_file("JPEG2000.dcm"))
MR = str(get_testdata_file("MR_small.dcm"))
ALL = (CT, MR, JPEG)


def uidOf(path: str) -> str:
    return str(dcmread(path, stop_before_pixels=True).SOPInstanceUID)


class SwitchedEndpoint(MemoryEndpoint):
    """
    A peer that may be down.

    :ivar isUp: whether it is not.
    """

    isUp = True

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Refuse the connection, or make one that is in use at once."""
        if not self.isUp:
            return fail(ConnectionRefusedError())
        return super().connect(protocolFactory)


class CompositionTestCase(SynchronousTestCase):
    """
    What the tests share: peers in memory, under one clock.

    :ivar directory: an empty one.
    """

    def setUp(self) -> None:
        """Make the directory."""
        self.clock = Clock()
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()

    def endpoint(self, store: IStorageSCP, **parameters: Any) -> SwitchedEndpoint:
        """Make a peer that stores everything there is."""
        services = [VerificationService(), StorageService(store, [OTHER_STORAGE_SOP_CLASSES], ACCEPT_ALL, **parameters)]
        return SwitchedEndpoint(AcceptorFactory(services, clock=self.clock))

    def result(self, endpoint: MemoryEndpoint, result: Deferred[Any]) -> Any:
        """Let all talk until something is there."""
        endpoint.flush()
        return self.successResultOf(result)

    def associate(self, endpoint: MemoryEndpoint, paths: tuple[str, ...] = ALL) -> RequestorAssociation:
        """Get an association to send instances over."""
        association: RequestorAssociation = self.result(endpoint, connect(endpoint, send=paths, clock=self.clock))
        return association

    def send(self, endpoint: MemoryEndpoint, *paths: str) -> list[int]:
        """Send instances, and return the statuses."""
        association = self.associate(endpoint, paths)
        statuses = [self.result(endpoint, association.store(path)).status for path in paths]
        self.result(endpoint, association.release())
        return statuses


class StatusPageTests(CompositionTestCase):
    """statuspage.tac"""

    def setUp(self) -> None:
        """Load it where it may keep files."""
        super().setUp()
        (self.directory / "received").mkdir()
        with contextlib.chdir(self.directory):
            application = loadApplication(str(LISTINGS / "statuspage.tac"), "python")
        receiver, web = IServiceCollection(application)
        [listening] = receiver
        self.factory = listening.factory
        self.site = web.factory
        self.site.reactor = self.clock

    def page(self) -> str:
        """Ask for the page."""
        transport = StringTransport()
        channel = self.site.buildProtocol(IPv4Address("TCP", "127.0.0.1", 40000))
        channel.makeConnection(transport)
        channel.dataReceived(b"GET / HTTP/1.0\r\n\r\n")
        head, _, body = transport.value().partition(b"\r\n\r\n")
        self.assertIn(b"200 OK", head)
        return str(body, "utf-8")

    def test_listsAssociations(self) -> None:
        """As long as there is one it is on the page, with what it has asked for."""
        self.assertEqual(self.page().count("<tr>"), 1)
        link, association = self.connect("<MODALITY>")
        self.successResultOf(self.flushed(link, association.echo()))
        self.assertIn("<tr><td>127.0.0.1</td><td>&lt;MODALITY&gt;</td><td>1</td></table>", self.page())
        self.successResultOf(self.flushed(link, association.release()))
        self.assertEqual(self.page().count("<tr>"), 1)

    def test_isAnObserver(self) -> None:
        verifyObject(IAssociationObserver, self.site.resource)

    def connect(self, title: str) -> tuple[MemoryEndpoint, RequestorAssociation]:
        endpoint = MemoryEndpoint(self.factory)
        connecting = connect(endpoint, [VERIFICATION], callingAETitle=title, clock=self.factory._clock)
        return endpoint, self.successResultOf(self.flushed(endpoint, connecting))

    def flushed(self, endpoint: MemoryEndpoint, result: Deferred[Any]) -> Deferred[Any]:
        endpoint.flush()
        return result


class DeidentifyTests(CompositionTestCase):
    """deidentify.py"""

    def setUp(self) -> None:
        """Make a store around a recording one."""
        super().setUp()
        self.inner = RecordingStore()
        self.store = deidentify.DeidentifyingStore(self.inner, b"key", inThread=execute)
        self.receiver = self.endpoint(self.store)

    def kept(self) -> list[Dataset]:
        """Read what has been stored."""
        return [
            deidentify.decodeDataSet(record.dataSet, record.instance.transferSyntaxUID) for record in self.inner.stored
        ]

    def test_removes(self) -> None:
        """Nothing of the patient is left, and the image is the same."""
        self.assertEqual(self.send(self.receiver, *ALL), [0, 0, 0])
        for path, kept in zip(ALL, self.kept(), strict=True):
            original = dcmread(path)
            self.assertNotIn("PatientName", kept)
            self.assertNotIn("StudyDate", kept)
            self.assertFalse(any(element.tag.is_private or element.VR == "SQ" for element in kept))
            self.assertEqual(kept.PixelData, original.PixelData)
            self.assertEqual((kept.Rows, kept.BitsStored), (original.Rows, original.BitsStored))
            for text in (str(original.PatientName), str(original.PatientID), str(original.StudyInstanceUID)):
                self.assertNotIn(text, str(kept))

    def test_uids(self) -> None:
        """They are others, the same ones again for the same, and with another key others still."""
        self.send(self.receiver, CT, CT)
        first, second = self.kept()
        self.assertEqual(first.StudyInstanceUID, second.StudyInstanceUID)
        self.assertNotEqual(first.StudyInstanceUID, dcmread(CT).StudyInstanceUID)
        self.assertEqual(first.SOPInstanceUID, self.inner.stored[0].instance.sopInstanceUID)
        other = deidentify.DeidentifyingStore(self.inner, b"other")
        self.assertNotEqual(other.newUID(uidOf(CT)), first.SOPInstanceUID)

    def test_asFiles(self) -> None:
        """A file has the new UID in its name and in its meta information."""
        files = FileStore(self.directory)
        self.send(self.endpoint(deidentify.DeidentifyingStore(files, b"key", inThread=execute)), CT)
        [path] = self.directory.glob("CT.2.25.*")
        file = dcmread(path)
        self.assertEqual(file.file_meta.MediaStorageSOPInstanceUID, file.SOPInstanceUID)
        self.assertNotIn(uidOf(CT).encode(), path.read_bytes())

    def test_failures(self) -> None:
        """What the inner store says is the answer, and it is told to forget what it has not taken."""
        self.inner.failures["write"] = DIMSEError(Status.OUT_OF_RESOURCES)
        self.assertEqual(self.send(self.receiver, CT), [Status.OUT_OF_RESOURCES])
        self.assertEqual([record.outcome for record in self.inner.stored], ["aborted"])

    def test_unreadable(self) -> None:
        """What pydicom cannot read is refused, and none of it is stored."""
        broken = self.directory / "broken.dcm"
        rows = b"\x28\0\x10\0US\x02\0"
        content = Path(CT).read_bytes()
        self.assertIn(rows, content)
        broken.write_bytes(content.replace(rows, rows.replace(b"US", b"FD")))
        self.assertEqual(self.send(self.receiver, str(broken)), [Status.CANNOT_UNDERSTAND])
        self.assertEqual(self.inner.stored, [])

    def test_tooLong(self) -> None:
        """What is longer than is held is refused."""
        store = deidentify.DeidentifyingStore(self.inner, b"key", 10000, execute)
        self.assertEqual(self.send(self.endpoint(store), CT), [Status.OUT_OF_RESOURCES])
        self.assertEqual(self.inner.stored, [])

    def test_interfaces(self) -> None:
        verifyObject(IStorageSCP, self.store)
        association = requestor(self.clock, associateRQ())
        verifyObject(IDataSetWriter, self.store.store(association, None))


class InlinePool:
    """A pool of threads that has none."""

    def callInThreadWithCallback(
        self, onResult: Callable[[bool, Any], object], function: Callable[..., Any], *arguments: Any, **keywords: Any
    ) -> None:
        """Call it now."""
        try:
            outcome = True, function(*arguments, **keywords)
        except Exception as error:
            outcome = False, _failure(error)
        onResult(*outcome)


def _failure(error: Exception) -> Any:
    from twisted.python.failure import Failure

    return Failure(error)


class InlineReactor(Clock):
    """A clock to which threads, of which there are none, return."""

    def callFromThread(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call it now."""
        function(*arguments)

    def callWhenRunning(self, function: Callable[..., Any]) -> object:
        """It never runs, so that no threads are started."""
        return function


class IndexTests(CompositionTestCase):
    """indexing.py"""

    def setUp(self) -> None:
        """Make a store with an index."""
        super().setUp()
        self.files = FileStore(self.directory, withdrawable=True)
        self.index: ConnectionPool = indexing.openIndex(":memory:", cp_reactor=InlineReactor())
        self.index.threadpool = InlinePool()
        self.addCleanup(self.index.connect().close)
        self.receiver = self.endpoint(indexing.IndexingStore(self.files, self.index))

    def rows(self) -> list[tuple[str, ...]]:
        """Read the index."""
        columns = "SOPInstanceUID, SOPClassUID, syntax, PatientName, StudyInstanceUID, SeriesInstanceUID, path"
        found = self.successResultOf(self.index.runQuery(f"SELECT {columns} FROM instance ORDER BY path"))
        return [tuple(row) for row in found]

    def test_indexes(self) -> None:
        """Each instance is a row, also when it comes again."""
        self.successResultOf(self.index.runOperation(indexing.TABLE))
        self.assertEqual(self.send(self.receiver, CT, MR, CT), [0, 0, 0])
        expected = []
        for path in (CT, MR):
            instance = dcmread(path)
            name = f"{instance.Modality}.{instance.SOPInstanceUID}"
            expected.append(
                (
                    instance.SOPInstanceUID,
                    instance.SOPClassUID,
                    instance.file_meta.TransferSyntaxUID,
                    str(instance.PatientName),
                    instance.StudyInstanceUID,
                    instance.SeriesInstanceUID,
                    str(self.directory / name),
                )
            )
        self.assertEqual(self.rows(), expected)
        self.assertEqual(len(list(self.directory.glob("[CM]*"))), 2)

    def test_indexFails(self) -> None:
        """Then nothing has been stored, and the sender knows."""
        self.assertEqual(self.send(self.receiver, CT), [Status.OUT_OF_RESOURCES])
        self.assertEqual(list(self.directory.glob("[CM]*")), [])

    def test_diskFails(self) -> None:
        """What has no file is not in the index."""
        self.successResultOf(self.index.runOperation(indexing.TABLE))

        def full(*arguments: object, **keywords: object) -> None:
            raise OSError(errno.ENOSPC, "full")

        self.patch(os, "rename", full)
        self.assertEqual(self.send(self.receiver, CT), [Status.OUT_OF_RESOURCES])
        self.assertEqual(self.rows(), [])

    def test_interfaces(self) -> None:
        store = indexing.IndexingStore(self.files, self.index)
        verifyObject(IStorageSCP, store)
        writer = RecordingStore().store(requestor(self.clock, associateRQ()), None)  # type: ignore[arg-type]
        verifyObject(IDataSetWriter, indexing.IndexingWriter(None, writer, self.index))


class PolicyTests(CompositionTestCase):
    """policy.py"""

    def setUp(self) -> None:
        """Make an acceptor that knows two senders."""
        super().setUp()
        admit = policy.KnownSenders({"CT1": "127.0.0.0/8", "FAR": "192.0.2.0/24"})
        self.acceptor = MemoryEndpoint(AcceptorFactory([VerificationService()], clock=self.clock, admit=admit))

    def ask(self, title: str) -> Deferred[RequestorAssociation]:
        """Ask for an association."""
        connecting = connect(self.acceptor, [VERIFICATION], callingAETitle=title, clock=self.clock)
        self.acceptor.flush()
        return connecting

    def refusal(self, title: str) -> tuple[int, int, int]:
        """Tell why an association is refused."""
        error = self.failureResultOf(self.ask(title), AssociationRejected).value
        return error.result, error.source, error.reason

    def test_admits(self) -> None:
        self.successResultOf(self.ask("CT1"))

    def test_strangers(self) -> None:
        """Neither a title that is not known comes in, nor one from elsewhere."""
        self.assertEqual(self.refusal("CT2"), (1, 1, 3))
        self.assertEqual(self.refusal("FAR"), (1, 1, 3))

    def test_notTooOften(self) -> None:
        """The third association has to wait for the end of one of the others."""
        first, _ = (self.successResultOf(self.ask("CT1")) for _ in range(2))
        self.assertEqual(self.refusal("CT1"), (2, 3, 2))
        first.abort()
        self.acceptor.flush()
        self.successResultOf(self.ask("CT1"))
