"""Tests of `txdicom.services.retrieval`: C-GET answered, by two real associations in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from tests.retrieving import HELD, PATHS, STORED, UIDS, HungDisk, RetrieveTestCase, dataSetOf, large, query
from tests.scripted import ScriptedStore, ScriptedWriter
from txdicom.configuration import Configuration
from txdicom.dimse.commands import CEchoRQ, CommandField, GenericCommand
from txdicom.errors import AssociationAborted, AssociationTimeout, DICOMError, DIMSEError
from txdicom.interfaces import IRequestingProvider, IRetrieveSCP
from txdicom.services import suboperations
from txdicom.services.instances import HeldInstance, Identity, identify
from txdicom.services.query import STUDY_ROOT, SubOperations
from txdicom.services.retrieval import GetService
from txdicom.services.storage import StorageService
from txdicom.services.verification import VerificationService
from txdicom.testing import RecordingStore, message
from txdicom.uids import VERIFICATION


class GetTestCase(RetrieveTestCase):
    def associate(self, stored: Mapping[str, tuple[str, ...]] = STORED, **configuration: Any) -> None:
        """Make ourselves somebody who retrieves, and takes these storage SOP classes."""
        self.service = GetService(self.archive, [STUDY_ROOT.get], self.disk)
        self.endpoint = self.listen(self.service, VerificationService())
        self.association = self.connected(
            self.endpoint,
            [STUDY_ROOT.get, VERIFICATION],
            providers=[StorageService(self.store, stored)] if stored else [],
            configuration=Configuration(**configuration),
        )

    def get(self, stored: Mapping[str, tuple[str, ...]] = STORED) -> Deferred[list[SubOperations]]:
        """Retrieve."""
        self.associate(stored)
        return self.collect(self.association.get(STUDY_ROOT.get, query(), priority=2))

    @property
    def acceptor(self) -> Any:
        """The archive's side of the association."""
        (acceptor,) = self.endpoint._factory.associations
        return acceptor

    def assertAlive(self) -> None:
        """The association can still be used, and released."""
        echo = self.association.echo()
        self.flush()
        self.assertEqual(self.successResultOf(echo).status, 0)
        self.assertReleased()


class GetTests(GetTestCase):
    """C-GET: what is sent, and what is said of it."""

    def test_everything(self) -> None:
        self.assertEverything(self.get())
        self.assertEqual([one.instance.request.priority for one in self.store.stored], [2, 2, 2])
        self.assertEqual([one.instance.request.moveOriginatorMessageID for one in self.store.stored], [None] * 3)
        self.assertEqual(self.archive.asked, [(STUDY_ROOT.get, query())])
        self.assertTrue(self.archive.closed)
        self.assertTrue(verifyObject(IRetrieveSCP, self.archive))
        self.assertTrue(verifyObject(IRequestingProvider, self.service))
        self.assertAlive()

    def test_nothing(self) -> None:
        """There is nothing that could have failed."""
        self.archive.held = []
        self.assertLast(self.get(), 0x0000, (None, 0, 0, 0))
        self.assertAlive()

    def test_tuples(self) -> None:
        self.archive.held = [tuple(held) for held in HELD]
        self.assertLast(self.get(), 0x0000, (None, 3, 0, 0))

    def test_converted(self) -> None:
        """What is not accepted as it is, is sent in a syntax that is."""
        self.archive.held = HELD[:1]
        self.assertLast(self.get({HELD[0].identity.sopClassUID: ("1.2.840.10008.1.2.2",)}), 0x0000, (None, 1, 0, 0))
        self.assertNotEqual(self.store.stored[0].dataSet, dataSetOf(PATHS[0]))

    def test_warnings(self) -> None:
        """Those that were taken with a warning have not failed."""
        self.store = ScriptedStore(ScriptedWriter(), ScriptedWriter(commit=0xB000), ScriptedWriter())
        self.assertLast(self.get(), 0xB000, (None, 2, 0, 1))
        self.assertAlive()

    def test_someFail(self) -> None:
        self.store = ScriptedStore(ScriptedWriter(), DIMSEError(0xA700), ScriptedWriter(commit=0xC123))
        self.assertLast(self.get(), 0xB000, (None, 1, 2, 0), UIDS[1:])
        self.assertAlive()

    def test_allFail(self) -> None:
        self.store = RecordingStore.full()
        self.assertLast(self.get(), 0xA702, (None, 0, 3, 0), UIDS)
        self.assertEqual(self.comment, "no instance could be sent")
        self.assertAlive()

    def test_pendingIsNoAnswer(self) -> None:
        """A peer that answers a C-STORE so has not said that it has the instance."""
        self.store = ScriptedStore(ScriptedWriter(commit=0xFF00), *[ScriptedWriter() for _ in range(2)])
        self.assertLast(self.get(), 0xB000, (None, 2, 1, 0), UIDS[:1])

    def test_withoutTheRole(self) -> None:
        """Nothing is sent to a peer that is not the SCP of it, be it its SCU."""
        service = GetService(self.archive, [STUDY_ROOT.get], self.disk)
        endpoint = self.listen(service, StorageService(RecordingStore(), STORED))
        self.association = self.connected(endpoint, {STUDY_ROOT.get: ["1.2.840.10008.1.2"], **STORED})
        self.assertEqual(len(self.association.contexts), 4)
        retrieved = self.collect(self.association.get(STUDY_ROOT.get, query()))
        self.assertLast(retrieved, 0xA702, (None, 0, 3, 0), UIDS)

    def test_classThatIsNotAccepted(self) -> None:
        ct = HELD[0].identity.sopClassUID
        self.assertLast(self.get({ct: STORED[ct]}), 0xB000, (None, 1, 2, 0), UIDS[1:])

    def test_fileThatIsGone(self) -> None:
        self.archive.held = [HELD[0], HELD[1]._replace(source=self.mktemp()), HELD[2]]
        self.assertLast(self.get(), 0xB000, (None, 2, 1, 0), [UIDS[1]])
        self.assertAlive()

    def test_anotherInstance(self) -> None:
        """An index that is out of date gives nobody what was not asked for."""
        self.archive.held = [HELD[0]._replace(source=PATHS[1])]
        self.assertLast(self.get(), 0xA702, (None, 0, 1, 0), [UIDS[0]])
        self.assertEqual(self.store.stored, [])

    def test_unexpectedFailureOfOne(self) -> None:
        with mock.patch.object(suboperations, "send", side_effect=[KeyError()]):
            self.archive.held = HELD[:1]
            self.assertLast(self.get(), 0xA702, (None, 0, 1, 0), UIDS[:1])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.assertAlive()

    def test_listThatIsTooLong(self) -> None:
        """As many as the element holds are listed; all are counted."""
        long = "1." + "2" * 62
        identity = Identity(HELD[0].identity.sopClassUID, long, "1.2.840.10008.1.2")
        self.archive.held = [HeldInstance(identity, "nothing")] * 1100
        last = self.successResultOf(self.get())[-1]
        self.assertEqual((last.status, last.failed), (0xA702, 1100))
        self.assertEqual(len(last.identifier.FailedSOPInstanceUIDList), 0xFFFE // 65)
        self.assertAlive()


class GetRefusedTests(GetTestCase):
    """What leads to no C-STORE at all."""

    def assertRefused(self, status: int) -> None:
        self.assertLast(self.get(), status, (None, 0, 0, 0))
        self.assertEqual(self.store.stored, [])
        self.assertTrue(self.archive.closed)
        self.assertAlive()

    def test_byTheProvider(self) -> None:
        self.archive.held = [HELD[0], DIMSEError(0xA900, "no such level")]
        self.assertRefused(0xA900)
        self.assertEqual(self.comment, "no such level")

    def test_unexpectedly(self) -> None:
        self.archive.held = [HELD[0], KeyError()]
        self.assertRefused(0x0110)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_whatIsNoInstance(self) -> None:
        self.archive.held = [PATHS[0]]
        self.assertRefused(0x0110)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_tooMany(self) -> None:
        """So many as can be counted; one more is too many."""
        with mock.patch.object(suboperations, "_MOST", 2):
            self.assertRefused(0xA701)
        with mock.patch.object(suboperations, "_MOST", 3):
            self.assertLast(self.get(), 0x0000, (None, 3, 0, 0))

    def statusOf(self, identifier: bytes) -> int:
        """Ask by an identifier of any bytes; the archive must not hear of it, and the association must live on."""
        self.associate()
        context = self.association.contextFor(STUDY_ROOT.get)
        request = GenericCommand(CommandField.C_GET_RQ, {0x0002: STUDY_ROOT.get, 0x0110: 9, 0x0800: 0})
        answer = self.association.requests.send(context, request, identifier)
        self.flush()
        status: int = self.successResultOf(answer).status
        self.assertEqual(self.archive.asked, [])
        self.assertAlive()
        return status

    def test_identifierThatIsNone(self) -> None:
        self.assertEqual(self.statusOf(b"\x10\x00\x10\x00ZZ\x02\x00ab"), 0xC000)

    def test_identifierThatIsTooLong(self) -> None:
        """One byte more than is held, and far more."""
        self.configuration = Configuration(maximumIdentifierLength=20)
        for length in (21, 1 << 20):
            self.assertEqual(self.statusOf(bytes(length)), 0xA700)


class GetInTimeTests(GetTestCase):
    """What takes long, and what comes between."""

    def waiting(self, **configuration: Any) -> Deferred[list[SubOperations]]:
        """Retrieve, as far as the answer to the first C-STORE, which `commits` gives."""
        self.commits: list[Deferred[int]] = [Deferred(), Deferred(), Deferred()]
        writers = [ScriptedWriter(commit=commit) for commit in self.commits]
        self.store = ScriptedStore(*writers)
        self.associate(**configuration)
        return self.collect(self.association.get(STUDY_ROOT.get, query()))

    def commit(self, *numbers: int) -> None:
        for number in numbers:
            self.commits[number].callback(0)
            self.flush()

    def test_toldMeanwhile(self) -> None:
        """While an instance takes long the peer hears of us, and so nobody's patience ends."""
        retrieved = self.waiting()
        self.advance(290)
        self.assertEqual(set(self.taken), {SubOperations(0xFF00, 3, 0, 0, 0)})
        self.assertEqual(len(self.taken), 29)
        self.commit(0, 1, 2)
        self.assertLast(retrieved, 0x0000, (None, 3, 0, 0))
        self.assertAlive()

    def test_impatientProvider(self) -> None:
        """Our own patience with providers counts anew with each response, however short it is."""
        self.configuration = Configuration(providerTimeout=4.0)
        retrieved = self.waiting()
        self.advance(30)
        self.assertEqual(len(self.taken), 15)
        self.commit(0, 1, 2)
        self.assertLast(retrieved, 0x0000, (None, 3, 0, 0))

    def test_notAnswered(self) -> None:
        """A peer that does not answer a C-STORE is not waited for longer than any other."""
        self.configuration = Configuration(responseTimeout=60.0)
        retrieved = self.waiting()
        acceptor = self.acceptor
        self.advance(80)
        self.assertTrue(acceptor.endReason.check(AssociationTimeout))
        self.assertIn("no response", str(acceptor.endReason.value))
        self.failureResultOf(retrieved, AssociationAborted)
        self.clock.advance(100)
        self.assertNothingLeft()

    def test_notRead(self) -> None:
        """A peer that reads nothing is cut in time, and no more is read for it than lies before it."""
        self.configuration = Configuration(sendTimeout=60.0)
        source = large()
        self.archive.held = [HeldInstance(identify(source), source)]
        self.associate()
        self.endpoint.links[0].client.pauseProducing()
        retrieved = self.collect(self.association.get(STUDY_ROOT.get, query()))
        acceptor = self.acceptor
        self.advance(59)
        self.assertIsNone(acceptor.endReason)
        self.advance(2)
        self.assertTrue(acceptor.endReason.check(AssociationTimeout))
        self.assertLess(source.tell(), 1 << 23)
        self.failureResultOf(retrieved, DICOMError)
        self.assertNothingLeft()

    def test_hungDisk(self) -> None:
        """What is read of never is waited for as long as any provider."""
        self.disk = HungDisk()
        retrieved = self.get()
        self.advance(301)
        self.failureResultOf(retrieved, AssociationAborted)
        self.assertNothingLeft()

    def test_hungProvider(self) -> None:
        self.archive.gate = Deferred()
        retrieved = self.get()
        self.advance(301)
        self.failureResultOf(retrieved, AssociationAborted)
        self.assertTrue(self.archive.closed)
        self.assertNothingLeft()

    def test_cancelled(self) -> None:
        """The instance that is being sent is the last one; what remains is told."""
        retrieved = self.waiting()
        self.responses.cancel()
        self.flush()
        self.advance(20)
        self.assertEqual(self.taken, [])
        self.commit(0)
        self.assertLast(retrieved, 0xFE00, (2, 1, 0, 0))
        self.assertAlive()

    def test_cancelledAfterAFailure(self) -> None:
        """The list of those that failed goes with it."""
        retrieved = self.waiting()
        self.responses.cancel()
        self.flush()
        self.commits[0].callback(0xA700)
        self.flush()
        self.assertLast(retrieved, 0xFE00, (2, 0, 1, 0), UIDS[:1])

    def test_cancelledAtTheLast(self) -> None:
        """It was too late: everything has been sent."""
        retrieved = self.waiting()
        self.commit(0, 1)
        self.responses.cancel()
        self.flush()
        self.commit(2)
        self.assertLast(retrieved, 0x0000, (None, 3, 0, 0))

    def test_cancelledWhileSearching(self) -> None:
        self.archive.gate = Deferred()
        retrieved = self.get()
        self.responses.cancel()
        self.flush()
        self.archive.gate.callback(None)
        self.flush()
        self.assertLast(retrieved, 0xFE00, (None, 0, 0, 0))
        self.assertTrue(self.archive.closed)
        self.assertEqual(self.store.stored, [])
        self.assertAlive()

    def test_peerEnds(self) -> None:
        retrieved = self.waiting()
        self.association.abort()
        self.flush()
        self.failureResultOf(retrieved, AssociationAborted)
        self.advance(1)
        self.assertNothingLeft()

    def test_peerEndsWhileSearching(self) -> None:
        self.archive.gate = Deferred()
        retrieved = self.get()
        self.association.abort()
        self.flush()
        self.failureResultOf(retrieved, AssociationAborted)
        self.assertTrue(self.archive.closed)

    def test_lostConnection(self) -> None:
        retrieved = self.waiting()
        self.endpoint.links[0].lose()
        self.failureResultOf(retrieved, DICOMError)
        self.assertNothingLeft()

    def test_requestInTheMidst(self) -> None:
        """What the peer does not wait for with, the answer to our C-STORE is stuck behind."""
        retrieved = self.waiting()
        context = self.association.contextFor(VERIFICATION)
        self.association.protocol.send(message(context.contextID, CEchoRQ(99)))
        self.flush()
        self.failureResultOf(retrieved, AssociationAborted)
        self.assertNothingLeft()

    def test_draining(self) -> None:
        """An acceptor that stops lets it finish."""
        retrieved = self.waiting()
        drained = self.endpoint._factory.drain(10)
        self.commit(0, 1, 2)
        self.assertLast(retrieved, 0x0000, (None, 3, 0, 0))
        self.successResultOf(drained)
