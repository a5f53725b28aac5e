"""Tests of `txdicom.storescp.pacing`: when a store that sleeps does what."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.receivers import ECHO_CONTEXT, PROPOSED, dataPDUs, dataSet, filesIn, statusesIn, storeRQ
from txdicom.configuration import Configuration
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.dimse.association import Association
from txdicom.dimse.commands import CEchoRQ
from txdicom.dimse.commandsets import encodeCommand
from txdicom.dimse.messages import encodeMessage
from txdicom.dimse.status import Status
from txdicom.errors import DIMSEError
from txdicom.interfaces import IAnsweredWriter, IDataSetWriter, IStorageSCP
from txdicom.services.storage import ReceivedInstance, StorageService
from txdicom.services.verification import VerificationService
from txdicom.storage.filestore import FileStore
from txdicom.storescp.pacing import PacedStore
from txdicom.testing import RawPeer, RecordingStore, associateRQ, connectRaw
from txdicom.upperlayer.pdu import AAbort, AAssociateAC, AReleaseRP, AReleaseRQ

ECHO = encodeMessage(ECHO_CONTEXT, encodeCommand(CEchoRQ(9)), None, 0)
#: A data set in three fragments, the first of which has its UIDs.
FRAGMENTS = (dataSet(), b"second", b"third!")
INSTANCE_PDUS = (storeRQ(), *dataPDUs(*FRAGMENTS))


@implementer(IStorageSCP, IAnsweredWriter)
class DeferringStore:
    """
    Gives a Deferred for everything.

    :ivar calls: the steps that wait, and their Deferreds.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, Deferred[Any]]] = []

    def _later(self, step: str) -> Deferred[Any]:
        deferred: Deferred[Any] = Deferred()
        self.calls.append((step, deferred))
        return deferred

    def store(self, association: Association, instance: ReceivedInstance) -> Deferred[IDataSetWriter]:
        """Open, later."""
        return self._later("store")

    def write(self, fragments: list[memoryview]) -> Deferred[None]:
        """Write, later."""
        return self._later("write")

    def commit(self) -> Deferred[int]:
        """Commit, later."""
        return self._later("commit")

    def abort(self, reason: Failure) -> None:
        """Note it."""
        self.calls.append(("abort", Deferred()))

    def answered(self, status: int) -> Deferred[None]:
        """Take note of the response, later."""
        return self._later(f"answered {status}")


class PacedTestCase(SynchronousTestCase):
    """A receiver that sleeps on a clock."""

    def setUp(self) -> None:
        """Begin with an empty store."""
        self.clock = Clock()
        self.recording = RecordingStore()
        self.peers: list[RawPeer] = []

    def serve(self, during: float = 0.0, after: float = 0.0, store: IStorageSCP | None = None) -> None:
        """Set the receiver up."""
        self.paced = PacedStore(store or self.recording, self.clock, during, after)
        self.factory = AcceptorFactory(
            [VerificationService(), StorageService(self.paced)],
            Configuration(artimTimeout=1000.0, providerTimeout=1000.0),
            self.clock,
        )

    def associate(self) -> RawPeer:
        """Connect a peer that has an association."""
        peer = connectRaw(self.factory)
        self.peers.append(peer)
        (response,) = peer.send(associateRQ(PROPOSED))
        self.assertIsInstance(response, AAssociateAC)
        return peer

    def ask(self, peer: RawPeer, *data: bytes) -> list[tuple[int, int]]:
        """Send bytes; return message ID and status of all responses that have come."""
        return statusesIn(peer.send(*data))

    def advance(self, *seconds: float) -> None:
        """Let time go by, in steps; between them moves what peers have sent while nobody read."""
        for step in seconds:
            self.clock.advance(step)
            for peer in self.peers:
                peer.link.flush()

    def seen(self, peer: RawPeer) -> tuple[int, str, list[tuple[int, int]]]:
        """Return how many fragments the last instance has, what became of it, and the new responses."""
        answers = self.ask(peer)
        if not self.recording.stored:
            return (0, "not begun", answers)
        last = self.recording.stored[-1]
        return (len(last.fragments), last.outcome, answers)

    def assertNothingLeft(self) -> None:
        """No timer, no association is remembered, and nothing was logged."""
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual((self.factory.associations, self.paced._sleeps), (set(), {}))
        self.assertEqual(self.flushLoggedErrors(), [])


class DuringTests(PacedTestCase):
    """Sleeps at each step of a store."""

    def test_eachStepSleeps(self) -> None:
        """The begin, every fragment and the end come each so much after the step before it, to the moment."""
        self.serve(during=2.0)
        peer = self.associate()
        peer.send(*INSTANCE_PDUS)
        expected = [
            (0, "not begun", []),
            (0, "open", []),
            (1, "open", []),
            (2, "open", []),
            (3, "open", []),
            (3, "committed", [(1, 0x0000)]),
        ]
        for step, state in enumerate(expected):
            if step:
                self.advance(1.75)
                self.assertEqual(self.seen(peer), (*expected[step - 1][:2], []))
                self.advance(0.25)
            self.assertEqual(self.seen(peer), state)
        self.assertEqual(self.recording.stored[0].fragments, list(FRAGMENTS))

    def test_fragmentsThatComeLate(self) -> None:
        """A sleep begins when its fragment has come, not before."""
        self.serve(during=2.0)
        peer = self.associate()
        peer.send(*INSTANCE_PDUS[:2])
        self.advance(2, 2)
        self.assertEqual(self.seen(peer), (1, "open", []))
        self.advance(60)
        peer.send(INSTANCE_PDUS[2])
        self.advance(1.75)
        self.assertEqual(self.seen(peer), (1, "open", []))
        self.advance(0.25)
        self.assertEqual(self.seen(peer), (2, "open", []))

    def test_otherAssociationsAreNotDelayed(self) -> None:
        """While one sleeps, the others come, store (and sleep their own sleeps), are answered and go."""
        self.serve(during=10.0)
        sleeper = self.associate()
        sleeper.send(*INSTANCE_PDUS)
        self.advance(5)
        other = self.associate()
        self.assertEqual(self.ask(other, ECHO), [(9, 0x0000)])
        self.assertEqual(self.ask(other, storeRQ(2), *dataPDUs(dataSet())), [])
        self.advance(5, 5, 5, 5, 5, 4.75)
        self.assertEqual(self.ask(other), [])
        self.advance(0.25)
        self.assertEqual(self.ask(other), [(2, 0x0000)])
        self.advance(5, 5, 4.75)
        self.assertEqual(self.ask(sleeper), [])
        self.advance(0.25)
        self.assertEqual(self.ask(sleeper), [(1, 0x0000)])

    def test_refusals(self) -> None:
        """A store that refuses is heard when it is its turn, and the association lives on."""
        for step, sleeps in (("store", 1), ("write", 2), ("commit", 3)):
            self.recording = RecordingStore.full(step)
            self.serve(during=2.0)
            peer = self.associate()
            peer.send(storeRQ(), *dataPDUs(dataSet()))
            self.advance(*[2] * (sleeps - 1), 1.75)
            self.assertEqual(self.ask(peer), [])
            self.advance(0.25)
            self.assertEqual(self.ask(peer), [(1, 0xA700)])
            self.assertEqual(self.ask(peer, ECHO), [(9, 0x0000)])


class AfterTests(PacedTestCase):
    """Sleeps after the response."""

    def test_onlyTheNextCommandWaits(self) -> None:
        """The instance is stored and answered at once; whatever command comes next is answered after the sleep."""
        self.serve(after=5.0)
        peer = self.associate()
        self.assertEqual(self.ask(peer, *INSTANCE_PDUS), [(1, 0x0000)])
        self.assertEqual(self.recording.stored[0].outcome, "committed")
        self.assertEqual(self.ask(peer, ECHO), [])
        self.advance(4.75)
        self.assertEqual(self.ask(peer), [])
        self.advance(0.25)
        self.assertEqual(self.ask(peer), [(9, 0x0000)])
        self.assertEqual(self.ask(peer, ECHO), [(9, 0x0000)])

    def test_nothingWaitsAfterTheSleep(self) -> None:
        """A command that comes later than that is answered at once."""
        self.serve(after=5.0)
        peer = self.associate()
        self.ask(peer, *INSTANCE_PDUS)
        self.advance(5)
        self.assertEqual(self.ask(peer, ECHO), [(9, 0x0000)])

    def test_everyStoreSleeps(self) -> None:
        """Each of several instances that are sent without waiting is answered one sleep after the one before."""
        self.serve(after=5.0)
        peer = self.associate()
        pdus = [pdu for messageID in (1, 2, 3) for pdu in (storeRQ(messageID), *dataPDUs(*FRAGMENTS))]
        self.assertEqual(self.ask(peer, *pdus), [(1, 0x0000)])
        for messageID in (2, 3):
            self.advance(4.75)
            self.assertEqual(self.ask(peer), [])
            self.advance(0.25)
            self.assertEqual(self.ask(peer), [(messageID, 0x0000)])

    def test_otherAssociationsAreNotDelayed(self) -> None:
        """Nobody else waits."""
        self.serve(after=5.0)
        sleeper, other = self.associate(), self.associate()
        self.ask(sleeper, *INSTANCE_PDUS)
        self.assertEqual(self.ask(sleeper, ECHO), [])
        self.assertEqual(self.ask(other, *INSTANCE_PDUS), [(1, 0x0000)])
        self.assertEqual(self.ask(self.associate(), ECHO), [(9, 0x0000)])

    def test_refusedInstances(self) -> None:
        """After a failed commit there is no sleep: nothing was stored."""
        self.recording = RecordingStore.full("commit")
        self.serve(after=5.0)
        peer = self.associate()
        self.assertEqual(self.ask(peer, *INSTANCE_PDUS, ECHO), [(1, 0xA700)])


class EndedTests(PacedTestCase):
    """Associations that end while they sleep."""

    def test_lostWhileSleeping(self) -> None:
        """Whichever sleep it is, the instance is aborted at once, never written to again, and no timer is left."""
        for sleeps, outcomes in enumerate(([], ["aborted"], ["aborted"], ["aborted"], ["aborted"])):
            self.recording = RecordingStore()
            self.serve(during=2.0)
            peer = self.associate()
            peer.send(*INSTANCE_PDUS)
            self.advance(*[2] * sleeps)
            peer.link.lose()
            self.assertEqual([stored.outcome for stored in self.recording.stored], outcomes)
            self.assertNothingLeft()

    def test_abortedBeforeTheEnd(self) -> None:
        """An A-ABORT that follows a whole instance is heard while the end is slept for."""
        self.serve(during=2.0)
        peer = self.associate()
        peer.send(*INSTANCE_PDUS)
        self.advance(2, 2, 2, 2)
        peer.send(AAbort(0, 0))
        self.assertEqual(self.recording.stored[0].outcome, "aborted")
        self.assertNothingLeft()

    def test_lostAfterTheResponse(self) -> None:
        """What was acknowledged stays, and the sleep ends."""
        self.serve(after=5.0)
        peer = self.associate()
        self.ask(peer, *INSTANCE_PDUS)
        peer.link.lose()
        self.assertEqual(self.recording.stored[0].outcome, "committed")
        self.assertNothingLeft()

    def test_filesAreRemoved(self) -> None:
        """No file stays of an instance whose association is lost before its end."""
        directory = self.mktemp()
        os.makedirs(directory)
        for sleeps in range(5):
            files = FileStore(directory)
            self.serve(during=2.0, store=files)
            peer = self.associate()
            peer.send(*INSTANCE_PDUS)
            self.advance(*[2] * sleeps)
            self.assertEqual(len(filesIn(directory)), 1 if sleeps else 0)
            peer.link.lose()
            self.assertEqual(filesIn(directory), [])
            self.assertNothingLeft()
            files.close()
            self.assertEqual(os.listdir(directory), [])

    def test_endsWithoutSleeping(self) -> None:
        """An association that ends in order is forgotten as well, and nothing else is touched."""
        self.serve(during=2.0, after=5.0)
        staying, going = self.associate(), self.associate()
        staying.send(*INSTANCE_PDUS)
        going.send(*INSTANCE_PDUS)
        self.advance(*[2] * 5, 5)
        self.assertEqual(going.send(AReleaseRQ())[-1], AReleaseRP())
        self.assertEqual(self.ask(staying, ECHO), [(1, 0x0000), (9, 0x0000)])
        self.assertEqual(len(self.paced._sleeps), 1)


class DeferringTests(PacedTestCase):
    """Around a store that takes its own time."""

    def step(self, expected: str, result: Any) -> None:
        """Check that one step waits, and let it end."""
        ((step, deferred),) = self.deferring.calls
        self.assertEqual(step, expected)
        self.deferring.calls.clear()
        deferred.callback(result)

    def setUp(self) -> None:
        """Serve with a store that defers."""
        super().setUp()
        self.deferring = DeferringStore()
        self.serve(during=2.0, after=5.0, store=self.deferring)

    def test_sleepsComeFirst(self) -> None:
        """Each step is begun after its sleep, and waited for; the writer hears of the response before the last one."""
        peer = self.associate()
        peer.send(storeRQ(), *dataPDUs(dataSet()))
        for expected, result in (("store", self.deferring), ("write", None), ("commit", Status.SUCCESS)):
            self.assertEqual(self.deferring.calls, [])
            self.advance(2)
            self.step(expected, result)
        self.assertEqual(self.ask(peer, ECHO), [(1, 0x0000)])
        self.step("answered 0", None)
        self.advance(4.75)
        self.assertEqual(self.ask(peer), [])
        self.advance(0.25)
        self.assertEqual(self.ask(peer), [(9, 0x0000)])

    def test_lostWhileTheStoreTakesItsTime(self) -> None:
        """A writer that is opened too late is aborted."""
        peer = self.associate()
        peer.send(storeRQ(), *dataPDUs(dataSet()))
        self.advance(2)
        peer.link.lose()
        self.step("store", self.deferring)
        self.assertEqual([step for step, _ in self.deferring.calls], ["abort"])
        self.assertNothingLeft()

    def test_lostBeforeTheWriterKnows(self) -> None:
        """After an association has ended no sleep begins."""
        peer = self.associate()
        peer.send(storeRQ(), *dataPDUs(dataSet()))
        for expected, result in (("store", self.deferring), ("write", None), ("commit", Status.SUCCESS)):
            self.advance(2)
            self.step(expected, result)
        peer.link.lose()
        self.step("answered 0", None)
        self.assertNothingLeft()

    def test_commitFails(self) -> None:
        """A failure that comes late gives the answer all the same."""
        peer = self.associate()
        peer.send(storeRQ(), *dataPDUs(dataSet()))
        for expected, result in (
            ("store", self.deferring),
            ("write", None),
            ("commit", Failure(DIMSEError(Status.OUT_OF_RESOURCES))),
        ):
            self.advance(2)
            self.step(expected, result)
        self.assertEqual(self.ask(peer), [(1, 0xA700)])


class InterfaceTests(PacedTestCase):
    """What is promised in `txdicom.interfaces`."""

    def test_provided(self) -> None:
        """Store and writer provide all of their interfaces."""
        self.serve()
        verifyObject(IStorageSCP, self.paced)
        self.associate().send(*INSTANCE_PDUS)
        (stored,) = self.recording.stored
        writer = self.successResultOf(Deferred.fromCoroutine(self.paced.store(stored.association, stored.instance)))
        verifyObject(IAnsweredWriter, writer)
