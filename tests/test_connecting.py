"""Tests of `txdicom.requestor`: associations that we request, what is proposed for them, and what is sent."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.data import get_testdata_file
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.headvectors import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from txdicom.configuration import Configuration
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.errors import AssociationLost, AssociationRejected, LocalProtocolError, SourceError
from txdicom.requestor import (
    AssociationService,
    RequestorAssociation,
    RequestorFactory,
    connect,
    contextsFor,
    proposalsFor,
)
from txdicom.services.datasets import decodeDataSet
from txdicom.services.instances import Identity, openInstance
from txdicom.services.storage import StorageService
from txdicom.services.verification import VerificationService
from txdicom.storage.disk import Disk
from txdicom.storage.fileformat import encodeFileHead
from txdicom.testing import MemoryEndpoint, RecordingStore
from txdicom.uids import STORAGE_SOP_CLASSES, VERIFICATION
from txdicom.upperlayer.pdu import AAssociateRJ
from txdicom.upperlayer.subitems import RoleSelection, UserIdentityRQ

CT, MR = STORAGE_SOP_CLASSES[1], STORAGE_SOP_CLASSES[2]
JPEG = "1.2.840.10008.1.2.4.50"
CT_FILE = str(get_testdata_file("CT_small.dcm"))
BIG_FILE = str(get_testdata_file("ExplVR_BigEnd.dcm"))
JPEG_FILE = str(get_testdata_file("JPEG2000.dcm"))


@implementer(IStreamClientEndpoint)
class SlowEndpoint:
    """Connects when the test says so."""

    def __init__(self) -> None:
        self.attempts: list[tuple[Any, Deferred[Any]]] = []

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        self.attempts.append((protocolFactory, Deferred()))
        return self.attempts[-1][1]


class SlowDisk(Disk):
    """Does what takes long when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[tuple[Any, Deferred[Any]]] = []

    def inThread(self, function: Any, *arguments: object) -> Deferred[Any]:
        waiting: Deferred[Any] = Deferred()
        self._waiting.append((lambda: function(*arguments), waiting))
        return waiting

    def work(self) -> None:
        """Do it all."""
        waiting, self._waiting = self._waiting, []
        for function, result in waiting:
            result.callback(function())


def converted(path: str, to: str) -> str:
    """Write a copy in implicit VR."""
    instance = openInstance(path)
    instance.encodeAs(IMPLICIT_LITTLE)
    identity = instance.identity
    head = encodeFileHead(identity.sopClassUID, identity.sopInstanceUID, IMPLICIT_LITTLE, "")
    Path(to).write_bytes(head + bytes(instance.read(1 << 24)))
    return to


class ConnectTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.store = RecordingStore()
        self.refusal: AAssociateRJ | None = None
        self.factory = AcceptorFactory(
            [VerificationService(), StorageService(self.store)],
            Configuration(),
            self.clock,
            admit=lambda association, request: self.refusal,
        )
        self.endpoint = MemoryEndpoint(self.factory)

    def connecting(self, *arguments: Any, **parameters: Any) -> Deferred[RequestorAssociation]:
        connecting = connect(self.endpoint, *arguments, clock=self.clock, disk=Disk(), **parameters)
        self.endpoint.flush()
        return connecting

    def connect(self, *arguments: Any, **parameters: Any) -> RequestorAssociation:
        return self.successResultOf(self.connecting(*arguments, **parameters))


class ConnectTests(ConnectTestCase):
    def test_established(self) -> None:
        self.assertTrue(verifyObject(IStreamClientEndpoint, self.endpoint))
        association = self.connect([VERIFICATION], calledAETitle="THEM", callingAETitle="US")
        self.assertEqual((association.calledAETitle, association.callingAETitle), ("THEM", "US"))
        self.assertEqual(association.window, 1)
        answer = association.echo()
        released = association.release()
        self.endpoint.flush()
        self.assertEqual(self.successResultOf(answer).status, 0)
        self.successResultOf(released)
        self.assertFalse(self.endpoint.links[0].connected)

    def test_rejected(self) -> None:
        self.refusal = AAssociateRJ(1, 1, 7)
        self.failureResultOf(self.connecting([VERIFICATION]), AssociationRejected)

    def test_notReached(self) -> None:
        endpoint = SlowEndpoint()
        connecting = connect(endpoint, [VERIFICATION], clock=self.clock)
        endpoint.attempts[0][1].errback(ConnectionRefusedError())
        self.failureResultOf(connecting, ConnectionRefusedError)

    def test_cancelledWhileConnecting(self) -> None:
        endpoint = SlowEndpoint()
        connecting = connect(endpoint, [VERIFICATION], clock=self.clock)
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.assertTrue(endpoint.attempts[0][1].called)

    def test_cancelledWhileNegotiating(self) -> None:
        """The connection is aborted."""
        connecting = connect(self.endpoint, [VERIFICATION], clock=self.clock, disk=Disk())
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.endpoint.flush()
        self.assertEqual(self.factory.associations, set())

    def test_whatCannotBeProposed(self) -> None:
        for contexts in ([], [f"1.2.{number}" for number in range(129)], ["not a UID, and much too long" * 9]):
            self.failureResultOf(self.connecting(contexts), LocalProtocolError)
        self.failureResultOf(self.connecting([VERIFICATION], callingAETitle="x" * 17), LocalProtocolError)
        self.assertEqual(self.endpoint.links, [])

    def test_sourceThatCannotBeRead(self) -> None:
        self.failureResultOf(self.connecting(send=[self.mktemp()]), SourceError)

    def test_roles(self) -> None:
        """What our providers provide is proposed with us as SCP; what we use as well, with both roles."""
        factory = RequestorFactory(
            [CT],
            providers=[StorageService(self.store, [CT, MR])],
            clock=self.clock,
            userIdentity=UserIdentityRQ(1, b"somebody"),
        )
        information = factory._request.userInformation
        self.assertEqual(information.roleSelections, (RoleSelection(CT, True, True), RoleSelection(MR, False, True)))
        self.assertEqual(information.userIdentity, UserIdentityRQ(1, b"somebody"))


class ContextsTests(SynchronousTestCase):
    def test_everySyntaxHasItsOwn(self) -> None:
        """And each class is also proposed in the usual ones that are not among them."""
        identities = [Identity(CT, "1", JPEG), Identity(CT, "2", EXPLICIT_LITTLE), Identity(MR, "3", IMPLICIT_LITTLE)]
        self.assertEqual(
            contextsFor([*identities, *identities]),
            [
                (CT, (JPEG,)),
                (CT, (EXPLICIT_LITTLE,)),
                (CT, (IMPLICIT_LITTLE,)),
                (MR, (IMPLICIT_LITTLE,)),
                (MR, (EXPLICIT_LITTLE,)),
            ],
        )

    def test_asManyAssociationsAsItTakes(self) -> None:
        identities = [Identity(f"1.2.{number}", "1", JPEG) for number in range(100)]
        proposals = proposalsFor(identities)
        self.assertEqual([len(proposal) for proposal in proposals], [128, 72])
        self.assertEqual([context for proposal in proposals for context in proposal], contextsFor(identities))


class StoreTests(ConnectTestCase):
    def test_everyKindOfSource(self) -> None:
        """They arrive whole and in order, also those that had to be converted; the others byte for byte."""
        data = Path(CT_FILE).read_bytes()
        sources = [CT_FILE, Path(CT_FILE), BytesIO(data), dcmread(CT_FILE), BIG_FILE]
        association = self.connect(send=sources)
        answers = [association.store(source) for source in sources]
        released = association.release()
        self.endpoint.flush()
        self.assertEqual([self.successResultOf(answer).status for answer in answers], [0] * 5)
        self.successResultOf(released)
        stored = [record.dataSet for record in self.store.stored]
        for sent in stored[:3]:
            self.assertTrue(data.endswith(sent))
        self.assertEqual(self.store.stored[4].instance.sopInstanceUID, dcmread(BIG_FILE).SOPInstanceUID)
        self.assertEqual({record.outcome for record in self.store.stored}, {"committed"})

    def test_notAccepted(self) -> None:
        """What the peer takes in no form fails by itself, and so does what is no instance."""
        association = self.connect([VERIFICATION, CT])
        self.failureResultOf(association.store(BIG_FILE), LocalProtocolError)
        self.failureResultOf(association.store(self.mktemp()), SourceError)
        answer = association.store(CT_FILE)
        self.endpoint.flush()
        self.assertEqual(self.successResultOf(answer).status, 0)

    def test_convertedInAThread(self) -> None:
        """What has to be decompressed is, where nobody else waits for it; others are sent meanwhile."""
        disk = SlowDisk()
        contexts = [(CT, [IMPLICIT_LITTLE]), ("1.2.840.10008.5.1.4.1.1.7", [IMPLICIT_LITTLE])]
        connecting = connect(self.endpoint, contexts, clock=self.clock, disk=disk)  # type: ignore[arg-type]
        self.endpoint.flush()
        association = self.successResultOf(connecting)
        compressed, other = association.store(JPEG_FILE), association.store(converted(CT_FILE, self.mktemp()))
        self.endpoint.flush()
        self.assertNoResult(compressed)
        self.assertEqual(self.successResultOf(other).status, 0)
        disk.work()
        self.endpoint.flush()
        self.assertEqual(self.successResultOf(compressed).status, 0)
        stored = decodeDataSet(self.store.stored[-1].dataSet, IMPLICIT_LITTLE)
        self.assertEqual(len(stored.PixelData), 2 * stored.Rows * stored.Columns)

    def test_refused(self) -> None:
        self.endpoint = MemoryEndpoint(
            AcceptorFactory([StorageService(RecordingStore.full())], Configuration(), self.clock)
        )
        association = self.connect(send=[CT_FILE])
        answer = association.store(CT_FILE)
        self.endpoint.flush()
        self.assertEqual(self.successResultOf(answer).status, 0xA700)

    def test_manyAtOnce(self) -> None:
        """Only so many files are open as are needed, and when the association ends, all are told why."""
        association = self.connect(send=[CT_FILE])
        answers = [association.store(CT_FILE) for _ in range(2000)]
        self.assertEqual(association._turns._inside, 2)
        self.endpoint.links[0].lose()
        for answer in answers:
            self.failureResultOf(answer, AssociationLost)
        self.failureResultOf(association.store(CT_FILE), AssociationLost)
        self.assertLessEqual(len(self.store.stored), 1)

    def test_manyThatCannotBeRead(self) -> None:
        association = self.connect([CT])
        missing = self.mktemp()
        for answer in [association.store(missing) for _ in range(2000)]:
            self.failureResultOf(answer, SourceError)
        self.assertFalse(association._turns.taken)

    def test_cancelled(self) -> None:
        """One whose turn has not come is taken back."""
        association = self.connect(send=[CT_FILE])
        answers = [association.store(CT_FILE) for _ in range(4)]
        answers[3].cancel()
        self.failureResultOf(answers[3], CancelledError)
        self.endpoint.flush()
        self.assertEqual([self.successResultOf(answer).status for answer in answers[:3]], [0] * 3)
        self.assertFalse(association._turns.taken)


class ServiceTests(ConnectTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.service = AssociationService(
            self.endpoint,
            RequestorFactory([VERIFICATION], clock=self.clock, disk=Disk()),
            retryPolicy=lambda failures: 5.0,
            clock=self.clock,
        )
        self.service.startService()
        self.addCleanup(self.service.stopService)

    def test_comesBack(self) -> None:
        waiting = self.service.whenEstablished()
        self.assertNoResult(waiting)
        self.endpoint.flush()
        first = self.successResultOf(waiting)
        self.endpoint.links[0].lose()
        again = self.service.whenEstablished()
        self.clock.advance(5)
        self.endpoint.flush()
        second = self.successResultOf(again)
        self.assertIsNot(first, second)
        self.assertIs(second.endReason, None)

    def test_refused(self) -> None:
        """It tries again, and tells those who do not want to wait for ever."""
        self.refusal = AAssociateRJ(1, 1, 7)
        waiting = self.service.whenEstablished(failAfterFailures=1)
        self.endpoint.flush()
        self.failureResultOf(waiting, AssociationRejected)
        self.refusal = None
        self.clock.advance(5)
        self.endpoint.flush()
        self.successResultOf(self.service.whenEstablished())

    def test_stops(self) -> None:
        """The association is released."""
        self.endpoint.flush()
        association = self.successResultOf(self.service.whenEstablished())
        stopped = self.service.stopService()
        self.endpoint.flush()
        self.successResultOf(stopped)
        self.assertIsNot(association.endReason, None)
        self.clock.advance(60)
        self.assertEqual(len(self.endpoint.links), 1)
