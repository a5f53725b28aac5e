"""Tests of `txdicom.services.retrieval`: C-MOVE answered, by three real associations in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from zope.interface.verify import verifyObject

from tests.retrieving import HELD, PATHS, STORED, UIDS, HungDisk, RetrieveTestCase, Unreachable, large, query
from tests.scripted import ScriptedStore, ScriptedWriter
from txdicom.configuration import Configuration
from txdicom.errors import AssociationAborted, DIMSEError
from txdicom.interfaces import IMoveDestination, IServiceProvider
from txdicom.requestor import Destination
from txdicom.services.instances import HeldInstance, Identity, identify
from txdicom.services.query import STUDY_ROOT, SubOperations
from txdicom.services.retrieval import MoveService
from txdicom.services.storage import StorageService
from txdicom.services.verification import VerificationService
from txdicom.storage.disk import Disk
from txdicom.testing import MemoryEndpoint
from txdicom.upperlayer.pdu import AAssociateRJ


class MoveTestCase(RetrieveTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.refusal: AAssociateRJ | None = None
        self.destinations: dict[str, IMoveDestination] = {}

    def third(self, stored: Mapping[str, tuple[str, ...]] = STORED) -> MemoryEndpoint:
        """Set up the third."""
        return self.listen(
            StorageService(self.store, stored), VerificationService(), admit=lambda association, request: self.refusal
        )

    def associate(self, endpoint: Any = None, **parameters: Any) -> None:
        """Make the third known, and ourselves somebody who retrieves."""
        self.thirds = endpoint or self.third()
        destination = Destination(self.thirds, clock=self.clock, disk=Disk(), **parameters)
        self.destinations["THIRD"] = destination
        self.service = MoveService(self.archive, [STUDY_ROOT.move], self.destinations, self.disk)
        self.endpoint = self.listen(self.service)
        self.association = self.connected(
            self.endpoint, [STUDY_ROOT.move], calledAETitle="ARCHIVE", callingAETitle="CONSOLE"
        )

    def move(self, endpoint: Any = None, title: str = "THIRD", **parameters: Any) -> Deferred[list[SubOperations]]:
        """Have them sent to the third."""
        self.associate(endpoint, **parameters)
        return self.collect(self.association.move(STUDY_ROOT.move, query(), title, priority=1))

    def assertAlive(self) -> None:
        """The association can be released, and then nothing is left of any."""
        self.assertIs(self.association.endReason, None)
        self.assertReleased()


class MoveTests(MoveTestCase):
    """C-MOVE: what is sent, and what is said of it."""

    def test_everything(self) -> None:
        self.assertEverything(self.move())
        request = self.store.stored[0].instance.request
        self.assertEqual((request.moveOriginatorAETitle, request.moveOriginatorMessageID), ("CONSOLE", 1))
        self.assertEqual(request.priority, 1)
        association = self.store.stored[0].association
        self.assertEqual((association.calledAETitle, association.callingAETitle), ("THIRD", "ARCHIVE"))
        self.assertEqual(len(self.thirds.links), 1)
        self.assertFalse(self.thirds.links[0].connected)
        self.assertTrue(verifyObject(IServiceProvider, self.service))
        self.assertTrue(verifyObject(IMoveDestination, self.destinations["THIRD"]))
        self.assertAlive()

    def test_asSomebodyElse(self) -> None:
        """The title by which we call may be chosen; that of a peer that named none is none."""
        self.move(callingAETitle="SENDER", calledAETitle="THEM")
        association = self.store.stored[0].association
        self.assertEqual((association.calledAETitle, association.callingAETitle), ("THEM", "SENDER"))

    def test_paddedTitle(self) -> None:
        self.assertLast(self.move(title=" THIRD "), 0x0000, (None, 3, 0, 0))

    def test_nobodyKnown(self) -> None:
        """Nobody is asked what is meant then."""
        self.assertLast(self.move(title="NOBODY"), 0xA801, (None, 0, 0, 0))
        self.assertEqual(self.comment, "move destination 'NOBODY' is not known here")
        self.assertEqual(self.archive.asked, [])
        self.assertAlive()

    def test_nothing(self) -> None:
        """Nobody is connected to then."""
        self.archive.held = []
        self.assertLast(self.move(), 0x0000, (None, 0, 0, 0))
        self.assertEqual(self.thirds.links, [])
        self.assertAlive()

    def test_notReached(self) -> None:
        retrieved = self.move(Unreachable(ConnectionRefusedError()))
        self.assertLast(retrieved, 0xA702, (None, 0, 3, 0), UIDS)
        self.assertEqual(self.comment, "the destination cannot be reached")
        self.assertAlive()

    def test_rejected(self) -> None:
        self.refusal = AAssociateRJ(1, 1, 7)
        self.assertLast(self.move(), 0xA702, (None, 0, 3, 0), UIDS)
        self.assertAlive()

    def test_classThatIsNotAccepted(self) -> None:
        mr = HELD[1].identity.sopClassUID
        self.assertLast(self.move(self.third({mr: STORED[mr]})), 0xB000, (None, 1, 2, 0), [UIDS[0], UIDS[2]])
        self.assertAlive()

    def test_someFail(self) -> None:
        self.store = ScriptedStore(ScriptedWriter(commit=0xB006), DIMSEError(0xA700), ScriptedWriter())
        self.assertLast(self.move(), 0xB000, (None, 1, 1, 1), [UIDS[1]])
        self.assertAlive()

    def test_thirdEnds(self) -> None:
        """What has been sent stays sent; the rest has failed, and is not tried."""
        self.store = ScriptedStore(ScriptedWriter(), ScriptedWriter([lambda: self.thirds.links[0].lose()]))
        self.assertLast(self.move(), 0xB000, (None, 1, 2, 0), UIDS[1:])
        self.assertEqual(len(self.thirds.links), 1)
        self.assertAlive()

    def test_moreContextsThanThereAre(self) -> None:
        """What there is room for is sent."""
        others = [
            HeldInstance(Identity(f"1.2.840.10008.5.1.4.1.1.2.{number}", f"1.2.{number}", "1.2.840.10008.1.2"), "none")
            for number in range(130)
        ]
        self.archive.held = [HELD[0], *others]
        last = self.successResultOf(self.move())[-1]
        self.assertEqual((last.status, last.completed, last.failed), (0xB000, 1, 130))
        self.assertSent(self.store, PATHS[0])


class MoveInTimeTests(MoveTestCase):
    """What takes long, and what comes between."""

    def waiting(self) -> Deferred[list[SubOperations]]:
        """Move, as far as the first C-STORE, which `commits` answers."""
        self.commits: list[Deferred[int]] = [Deferred(), Deferred(), Deferred()]
        self.writers = [ScriptedWriter(commit=commit) for commit in self.commits]
        self.store = ScriptedStore(*self.writers)
        return self.move()

    def commit(self, *numbers: int) -> None:
        for number in numbers:
            self.commits[number].callback(0)
            self.flush()

    def assertThirdIsLeft(self) -> None:
        """The third's association is over."""
        self.assertEqual(self.thirds._factory.associations, set())

    def test_toldMeanwhile(self) -> None:
        retrieved = self.waiting()
        self.advance(25)
        self.assertEqual(self.taken, [SubOperations(0xFF00, 3, 0, 0, 0)] * 2)
        self.commit(0, 1, 2)
        self.assertLast(retrieved, 0x0000, (None, 3, 0, 0))
        self.assertAlive()

    def test_toldWhileConnecting(self) -> None:
        """Nor does an endpoint that takes its time cost the one who asked its association."""
        retrieved = self.move(Unreachable())
        self.advance(400)
        self.assertEqual(self.taken, [SubOperations(0xFF00, 3, 0, 0, 0)] * 40)
        self.association.abort()
        self.flush()
        self.failureResultOf(retrieved, AssociationAborted)
        self.assertNothingLeft()

    def test_notAnswered(self) -> None:
        """A third that answers nothing costs its own association, and the one who asked is told."""
        self.store = ScriptedStore(ScriptedWriter(commit=Deferred()))
        retrieved = self.move(configuration=Configuration(responseTimeout=60.0))
        self.advance(80)
        self.assertLast(retrieved, 0xA702, (None, 0, 3, 0), UIDS)
        self.assertThirdIsLeft()
        self.assertAlive()

    def test_notRead(self) -> None:
        """So does one that reads nothing, for which no more is read than lies before it."""
        source = large()
        self.archive.held = [HeldInstance(identify(source), source), *HELD[:2]]
        self.store = ScriptedStore(ScriptedWriter([Deferred()]))
        retrieved = self.move(configuration=Configuration(sendTimeout=60.0))
        self.advance(59)
        self.assertNoResult(retrieved)
        self.advance(2)
        self.assertLess(source.tell(), 1 << 23)
        self.assertLast(
            retrieved, 0xA702, (None, 0, 3, 0), [held.identity.sopInstanceUID for held in self.archive.held]
        )
        self.assertThirdIsLeft()
        self.assertAlive()

    def test_notAccepted(self) -> None:
        """So does one that does not answer the request for association."""
        self.associate()
        collecting = Deferred.fromCoroutine(self._collect(self.association.move(STUDY_ROOT.move, query(), "THIRD")))
        for _ in range(40):
            self.endpoint.flush()
            self.clock.advance(1)
        self.endpoint.flush()
        self.assertLast(collecting, 0xA702, (None, 0, 3, 0), UIDS)

    def test_hungDisk(self) -> None:
        """The association with the third is given up for it, not that with the one who asked."""
        self.disk = HungDisk()
        retrieved = self.move()
        self.advance(320)
        self.assertLast(retrieved, 0xA702, (None, 0, 3, 0), UIDS)
        self.assertThirdIsLeft()
        self.assertAlive()

    def test_cancelled(self) -> None:
        retrieved = self.waiting()
        self.responses.cancel()
        self.flush()
        self.commit(0)
        self.assertLast(retrieved, 0xFE00, (2, 1, 0, 0))
        self.assertThirdIsLeft()
        self.assertAlive()

    def test_cancelledWhileItTakesLong(self) -> None:
        """The third has some seconds; then it is left, with whatever it has got."""
        retrieved = self.waiting()
        self.responses.cancel()
        self.flush()
        self.advance(9)
        self.assertNoResult(retrieved)
        self.advance(1)
        self.assertLast(retrieved, 0xFE00, (2, 0, 1, 0), UIDS[:1])
        self.assertThirdIsLeft()
        self.assertAlive()

    def test_cancelledWhileConnecting(self) -> None:
        endpoint = Unreachable()
        retrieved = self.move(endpoint)
        self.responses.cancel()
        self.flush()
        self.advance(10)
        self.assertLast(retrieved, 0xFE00, (2, 0, 1, 0), UIDS[:1])
        self.assertEqual(len(endpoint.cancelled), 1)
        self.assertAlive()

    def test_peerEnds(self) -> None:
        """Whatever the third has not got whole, it does not get."""
        retrieved = self.waiting()
        self.association.abort()
        self.flush()
        self.failureResultOf(retrieved, AssociationAborted)
        self.assertThirdIsLeft()
        self.advance(1)
        self.assertNothingLeft()

    def test_peerEndsWhileConnecting(self) -> None:
        endpoint = Unreachable()
        retrieved = self.move(endpoint)
        self.association.abort()
        self.flush()
        self.failureResultOf(retrieved, AssociationAborted)
        self.assertEqual(len(endpoint.cancelled), 1)
        self.assertNothingLeft()
