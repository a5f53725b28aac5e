"""The router of docs/composition.rst does what the page says of it: in memory, with real associations."""

# trial's assertions are not annotated, and neither are the listings:
# mypy: allow-untyped-calls

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from pydicom import dcmread
from twisted.application.service import IServiceCollection, loadApplication
from twisted.internet.defer import execute
from zope.interface.verify import verifyObject

from tests.documents import LISTINGS, loadModule
from tests.test_composition import ALL, CT, MR, CompositionTestCase, uidOf
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.dimse.status import Status
from txdicom.errors import DIMSEError
from txdicom.interfaces import IDataSetWriter, IStorageSCP
from txdicom.services.storage import StorageService
from txdicom.storage.filestore import FileStore
from txdicom.testing import RecordingStore, associateRQ, requestor

queueing = loadModule(LISTINGS / "queueing.py")
forwarding = loadModule(LISTINGS / "forwarding.py")


class RouterTests(CompositionTestCase):
    """queueing.py and forwarding.py, put together as in router.tac, with one peer more."""

    def setUp(self) -> None:
        """Make a router with two peers."""
        super().setUp()
        for name in ("arrived", "quick", "other"):
            (self.directory / name).mkdir()
        self.files = FileStore(self.directory / "arrived", queueing.nameByArrival)
        self.queues = [str(self.directory / name) for name in ("quick", "other")]
        self.store = queueing.QueueingStore(self.files, self.queues, execute)
        self.router = self.endpoint(self.store)
        self.stores = [RecordingStore(), RecordingStore()]
        self.quick, self.other = self.peers = [self.endpoint(store) for store in self.stores]
        self.forwarders = [
            forwarding.Forwarder(queue, peer, self.clock, inThread=execute, calledAETitle="PEER")
            for queue, peer in zip(self.queues, self.peers, strict=True)
        ]

    def start(self) -> None:
        """Start forwarding."""
        for forwarder in self.forwarders:
            forwarder.startService()
            self.addCleanup(forwarder.stopService)

    def delivered(self) -> list[list[str]]:
        """Tell what each peer has committed, in order."""
        return [
            [record.instance.sopInstanceUID for record in store.stored if record.outcome == "committed"]
            for store in self.stores
        ]

    def queued(self) -> list[int]:
        """Tell how much waits for each peer."""
        return [len(os.listdir(queue)) for queue in self.queues]

    def test_forwards(self) -> None:
        """Both get everything in order, byte for byte, in the transfer syntax that it has."""
        self.assertEqual(self.send(self.router, *ALL), [0, 0, 0])
        self.assertEqual(self.queued(), [3, 3])
        self.assertEqual([path for path in os.listdir(self.directory / "arrived") if path.endswith(".dcm")], [])
        self.start()
        for peer in self.peers:
            peer.flush()
        uids = [uidOf(path) for path in ALL]
        self.assertEqual(self.delivered(), [uids, uids])
        self.assertEqual(self.queued(), [0, 0])
        for record, path in zip(self.stores[0].stored, ALL, strict=True):
            self.assertTrue(Path(path).read_bytes().endswith(record.dataSet), path)

    def test_oneIsDown(self) -> None:
        """What it should get waits on the disk, also for another run, and the other peer gets it meanwhile."""
        self.other.isUp = False
        self.start()
        self.send(self.router, *ALL)
        self.clock.advance(10)
        self.quick.flush()
        self.assertEqual([len(uids) for uids in self.delivered()], [3, 0])
        self.assertEqual(self.queued(), [0, 3])
        self.successResultOf(self.forwarders[1].stopService())
        self.other.isUp = True
        again = forwarding.Forwarder(self.queues[1], self.other, self.clock, inThread=execute)
        again.startService()
        self.addCleanup(again.stopService)
        self.other.flush()
        self.assertEqual([len(uids) for uids in self.delivered()], [3, 3])
        self.assertEqual(self.queued(), [0, 0])

    def test_triesAgain(self) -> None:
        """A peer that comes back is noticed within ten seconds."""
        self.other.isUp = False
        self.send(self.router, CT)
        self.start()
        self.clock.advance(10)
        self.other.isUp = True
        self.clock.advance(9)
        self.assertEqual(self.other.links, [])
        self.clock.advance(1)
        self.other.flush()
        self.assertEqual(self.delivered()[1], [uidOf(CT)])

    def test_oneIsSlow(self) -> None:
        """One that takes nothing for the moment holds up nobody, and gets no second association for that."""
        self.send(self.router, CT)
        self.start()
        for _ in range(2):
            self.send(self.router, CT)
            self.clock.advance(10)
            self.quick.flush()
        self.assertEqual([len(uids) for uids in self.delivered()], [3, 0])
        self.assertEqual(len(self.other.links), 1)
        self.assertEqual(self.queued(), [0, 3])
        self.other.flush()
        self.assertEqual([len(uids) for uids in self.delivered()], [3, 3])

    def test_connectionIsLost(self) -> None:
        """What was not acknowledged is sent again."""
        self.send(self.router, *ALL)
        self.stores[1].failures["commit"] = DIMSEError(Status.OUT_OF_RESOURCES)
        self.start()
        self.other.links[0].server.pauseProducing()
        self.other.links[0].lose()
        self.assertEqual(self.queued()[1], 3)
        self.stores[1].failures.clear()
        self.clock.advance(10)
        self.other.flush()
        self.assertEqual(self.delivered()[1], [uidOf(path) for path in ALL])

    def test_noRoom(self) -> None:
        """A peer that lacks resources is left alone for a while, and then asked again."""
        self.send(self.router, *ALL)
        self.stores[1].failures["commit"] = DIMSEError(Status.OUT_OF_RESOURCES)
        self.start()
        self.other.flush()
        self.assertEqual((self.queued()[1], len(self.stores[1].stored)), (3, 1))
        self.stores[1].failures.clear()
        self.stores[1].stored.clear()
        self.clock.advance(10)
        self.other.flush()
        self.assertEqual((self.queued()[1], len(self.delivered()[1])), (0, 3))

    def test_refused(self) -> None:
        """What a peer will never take is put aside, and what comes after it is sent."""
        self.send(self.router, CT)
        self.stores[1].failures["store"] = DIMSEError(Status.CANNOT_UNDERSTAND)
        self.start()
        self.other.flush()
        self.stores[1].failures.clear()
        self.send(self.router, MR)
        self.clock.advance(10)
        self.other.flush()
        self.assertEqual(self.delivered()[1], [uidOf(MR)])
        [aside] = os.listdir(self.queues[1])
        self.assertTrue(aside.endswith(".dcm.refused"))
        self.assertEqual(str(dcmread(Path(self.queues[1]) / aside).SOPInstanceUID), uidOf(CT))

    def test_notAccepted(self) -> None:
        """Likewise what it accepts no presentation context for."""
        services = [StorageService(self.stores[1], [str(dcmread(MR).SOPClassUID)])]
        self.other._factory = AcceptorFactory(services, clock=self.clock)
        self.send(self.router, CT, MR)
        self.start()
        self.other.flush()
        self.assertEqual(self.delivered()[1], [uidOf(MR)])
        self.assertEqual([name.rpartition(".")[2] for name in os.listdir(self.queues[1])], ["refused"])

    def test_stopsAtOnce(self) -> None:
        """A peer that does not answer does not hold up the end."""
        self.send(self.router, *ALL)
        self.start()
        self.successResultOf(self.forwarders[1].stopService())
        self.assertEqual(self.queued()[1], 3)

    def test_acknowledgesWhatIsQueued(self) -> None:
        """If a queue cannot take an instance its sender is told, and nothing is left where it arrived."""
        os.rmdir(self.queues[1])
        self.assertEqual(self.send(self.router, CT), [Status.OUT_OF_RESOURCES])
        self.assertEqual(list((self.directory / "arrived").glob("*.dcm")), [])

    def test_interfaces(self) -> None:
        verifyObject(IStorageSCP, self.store)
        association = requestor(self.clock, associateRQ())
        inner = RecordingStore()
        writer = inner.store(association, None)  # type: ignore[arg-type]
        verifyObject(IDataSetWriter, queueing.QueueingWriter(self.store, writer))

    def test_application(self) -> None:
        """router.tac puts them together: a receiver and a forwarder for each peer."""
        with contextlib.chdir(self.directory):
            application = loadApplication(str(LISTINGS / "router.tac"), "python")
        receiver, *forwarders = IServiceCollection(application)
        [listening] = receiver
        self.assertEqual(listening.endpoint._port, 11112)
        self.assertEqual([forwarder.queue for forwarder in forwarders], ["ARCHIVE", "RESEARCH"])
        self.assertEqual([forwarder.endpoint._host for forwarder in forwarders], ["192.0.2.1", "192.0.2.2"])
        self.assertTrue((self.directory / "RESEARCH").is_dir())
