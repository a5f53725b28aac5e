"""
Tests of `txdicom.dimse.watchdog`: peers that stop in the middle of something, or do nothing at all.

Nobody may have less time than the configuration says, and nobody more than a quarter of it longer.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred

from tests.scripted import (
    CT_CONTEXT,
    ECHO_CONTEXT,
    PROPOSED,
    AnsweredWriter,
    ConversationTestCase,
    RecordingObserver,
    ScriptedProvider,
    ScriptedWriter,
    dataSet,
    later,
    message,
    pData,
    storeRQ,
)
from txdicom.configuration import Configuration
from txdicom.dimse.commands import CEchoRQ
from txdicom.errors import AssociationTimeout, DIMSEError
from txdicom.services.storage import StorageService
from txdicom.services.verification import VerificationService, echo
from txdicom.storescp.pacing import PacedStore
from txdicom.testing import MemoryLink, RawPeer, RecordingStore, associateRQ, connectRaw, requestor
from txdicom.upperlayer.items import ContextResult, PresentationContextAC, UserInformation
from txdicom.upperlayer.pdu import AAbort, AAssociateAC, AReleaseRP, AReleaseRQ

#: The times of most tests, in seconds: powers of two, so that sums are exact.
STALL, IDLE = 8.0, 16.0
STEP = 0.125
LONG = 100 * STALL
#: More than any of the other times.
PATIENT = {f"{name}Timeout": 10 * LONG for name in ("response", "provider", "send", "artim")}
ECHO = message(ECHO_CONTEXT, CEchoRQ(1))
#: A message of many PDUs, both in its command set and in its data set.
STORE = message(CT_CONTEXT, storeRQ(), dataSet(rest=bytes(100)), 40)
#: One whose data set has begun; its UIDs have come.
BEGUN = message(CT_CONTEXT, storeRQ()) + pData(CT_CONTEXT, 0, dataSet())


class WatchdogTestCase(ConversationTestCase):
    """
    An acceptor that watches its associations.

    :ivar recording: where instances are stored, unless a provider of the test's own takes them.
    """

    def watch(self, *providers: Any, **configuration: Any) -> RawPeer:
        """Set up the acceptor, by default with `STALL`, and connect a peer that has an association."""
        self.recording = RecordingStore()
        self.observer = RecordingObserver()
        services = (VerificationService(), *(providers or (StorageService(self.recording),)))
        self.serve(*services, observer=self.observer, **{"socketTimeout": STALL, **PATIENT, **configuration})
        return self.associate()

    def passes(self, peer: RawPeer, seconds: float) -> None:
        """Let time go by in which nothing is said and nothing happens."""
        self.clock.pump([STEP] * int(seconds / STEP))
        self.assertEqual(peer.send(), [])
        self.assertFalse(peer.lost)

    def assertCut(self, peer: RawPeer, seconds: float, spent: float = 0.0) -> None:
        """
        The peer is aborted in that time or up to a quarter of it later, and nothing is left of it.

        :param spent: how much of it has passed already.
        """
        self.passes(peer, seconds - spent - STEP)
        self.clock.pump([STEP] * int(seconds / 4 / STEP + 1))
        self.assertEqual(peer.send(), [AAbort(0, 0)])
        assert self.observer.reason is not None
        self.assertIsInstance(self.observer.reason.value, AssociationTimeout)
        self.assertEqual(self.observer.events.count("ended"), 1)
        peer.link.lose()
        self.assertNothingLeft()

    def assertLives(self, peer: RawPeer) -> None:
        """The association answers an echo."""
        self.assertEqual(self.statusesOf(self.ask(peer, ECHO)), [(1, 0x0000)])


class StallTests(WatchdogTestCase):
    """Peers that owe the rest of something."""

    def test_anywhere(self) -> None:
        """In a PDU or between two, in the command set or in the data set, and whenever the watchdog last looked."""
        for end in range(1, len(STORE), 5):
            for before in (0, STEP, STALL / 8, STALL - STEP):
                peer = self.watch()
                self.passes(peer, before)
                peer.send(STORE[:end])
                self.assertCut(peer, STALL)
                self.assertIn([stored.outcome for stored in self.recording.stored], ([], ["aborted"]))
        # The data set had got as far as the store, in the end.
        self.assertEqual(len(self.recording.stored), 1)

    def test_afterMuch(self) -> None:
        """What came before does not count."""
        peer = self.watch()
        peer.send(BEGUN)
        for _ in range(50):
            self.passes(peer, 1.5)
            peer.send(pData(CT_CONTEXT, 0, bytes(5000)))
        self.assertCut(peer, STALL)
        (stored,) = self.recording.stored
        self.assertEqual((stored.outcome, stored.reason.type), ("aborted", AssociationTimeout))

    def test_laterMessage(self) -> None:
        """However many messages came whole."""
        peer = self.watch()
        for _ in range(30):
            self.passes(peer, 1.5)
            self.assertLives(peer)
        peer.send(ECHO[:-1])
        self.assertCut(peer, STALL)

    def test_refusedDataSet(self) -> None:
        """It is drained, but not for ever."""
        for provider in (ScriptedProvider(0xA700), ScriptedProvider(DIMSEError(0x0124))):
            peer = self.watch(provider)
            peer.send(BEGUN)
            self.assertCut(peer, STALL)
        peer = self.watch(maximumDataSetLength=10)
        peer.send(BEGUN)
        self.assertCut(peer, STALL)

    def test_othersAreLeftAlone(self) -> None:
        """Each association has a watchdog of its own."""
        stalled = self.watch()
        good = self.associate()
        stalled.send(BEGUN)
        for _ in range(10):
            self.clock.pump([STEP] * 8)
            self.assertLives(good)
        self.assertEqual((stalled.send(), good.lost), ([AAbort(0, 0)], False))

    def test_ourRequest(self) -> None:
        """A peer that we asked may take its time with the answer, but has to finish what it begins."""
        association = requestor(self.clock, configuration=Configuration(socketTimeout=STALL, **PATIENT))
        peer = RawPeer()
        peer.link = MemoryLink(association.protocol, peer, IPv4Address("TCP", "127.0.0.1", 50000))
        peer.send()
        context = PresentationContextAC(1, ContextResult.ACCEPTANCE, PROPOSED[0][1][0])
        peer.send(AAssociateAC("STORESCP", "STORESCU", (context,), UserInformation(maximumLength=16384)))
        answer = echo(association)
        self.assertEqual(len(peer.send()), 1)
        self.passes(peer, LONG)
        peer.send(ECHO[:20])
        self.passes(peer, STALL - STEP)
        self.assertNoResult(answer)
        self.clock.pump([STEP] * 17)
        self.failureResultOf(answer, AssociationTimeout)
        self.assertEqual(peer.send(), [AAbort(0, 0)])


class ProgressTests(WatchdogTestCase):
    """Peers that do send, but little at a time."""

    def drip(self, peer: RawPeer, size: int, every: float) -> float:
        """Send a data set, so many bytes at a time, until it is whole or aborted; return how long that took."""
        peer.send(message(CT_CONTEXT, storeRQ()), pData(CT_CONTEXT, 0, bytes(1 << 10))[:12])
        passed = 0.0
        for _ in range(0, 1 << 10, size):
            self.clock.pump([STEP] * int(every / STEP))
            passed += every
            if peer.send(bytes(size)):
                break
        return passed

    def test_singleBytes(self) -> None:
        """They do not count as progress, as many as they are."""
        passed = self.drip(self.watch(), 1, STEP)
        self.assertTrue(STALL <= passed <= 1.25 * STALL + STEP, passed)
        self.assertEqual(self.observer.reason.type, AssociationTimeout)

    def test_singleBytesOfACommand(self) -> None:
        peer = self.watch()
        sent = 0
        while not peer.send(STORE[sent : sent + 1]):
            sent += 1
            self.clock.advance(STEP)
        self.assertTrue(STALL <= STEP * sent <= 1.25 * STALL + STEP, sent)

    def test_enoughInTime(self) -> None:
        """Whoever sends `minimumProgress` in every `socketTimeout` lives, evenly or in bursts."""
        for size, every in ((64, STALL), (32, STALL / 2), (8, 1.0), (1, STEP), (512, STALL)):
            passed = self.drip(self.watch(minimumProgress=64), size, every)
            self.assertEqual(passed, every * ((1 << 10) // size))
            self.assertIsNone(self.observer.reason)

    def test_tooLittleInTime(self) -> None:
        """A little less, or a little later, is not enough; the time for idle associations changes nothing."""
        for dimseTimeout in (0.0, 1.0, 3.0, 100.0):
            for size, every in ((63, STALL), (7, 1.0), (2, 0.5), (64, 1.5 * STALL)):
                passed = self.drip(self.watch(minimumProgress=64, dimseTimeout=dimseTimeout), size, every)
                self.assertTrue(STALL <= passed <= 2.75 * STALL, (dimseTimeout, size, every, passed))


class OurTurnTests(WatchdogTestCase):
    """Peers that cannot do anything, because they have to wait for us."""

    def assertWaitsFor(self, peer: RawPeer, waiting: list[Deferred[Any]], result: Any) -> None:
        """A Deferred may take all the time it wants; the peer's begins when it is done."""
        self.passes(peer, LONG)
        waiting.pop().callback(result)
        self.assertCut(peer, STALL)

    def test_provider(self) -> None:
        waiting: list[Deferred[Any]] = []
        peer = self.watch(ScriptedProvider(later(waiting)))
        peer.send(BEGUN, STORE[:3])
        self.assertWaitsFor(peer, waiting, ScriptedWriter())

    def test_store(self) -> None:
        waiting: list[Deferred[Any]] = []
        peer = self.watch(ScriptedProvider(ScriptedWriter([later(waiting)])))
        peer.send(BEGUN)
        self.assertWaitsFor(peer, waiting, None)

    def test_commit(self) -> None:
        """The peer has sent all that it could."""
        for writer in (ScriptedWriter, AnsweredWriter):
            waiting: list[Deferred[Any]] = []
            peer = self.watch(ScriptedProvider(writer(commit=later(waiting))), dimseTimeout=IDLE)
            peer.send(STORE)
            self.passes(peer, LONG)
            waiting.pop().callback(0)
            self.assertEqual(self.statusesOf(self.ask(peer)), [(1, 0x0000)])
            self.assertCut(peer, IDLE)

    def test_answered(self) -> None:
        """Likewise when it has been answered, but the next request has to wait; it is told when it is its turn."""
        waiting: list[Deferred[Any]] = []
        writer = AnsweredWriter(answered=later(waiting))
        peer = self.watch(ScriptedProvider(writer), dimseTimeout=IDLE)
        self.assertEqual(self.statusesOf(self.ask(peer, STORE, ECHO)), [(1, 0x0000)])
        self.passes(peer, LONG)
        waiting.pop().callback(None)
        self.assertEqual(self.statusesOf(self.ask(peer)), [(1, 0x0000)])
        self.assertCut(peer, IDLE)

    def test_sleep(self) -> None:
        """``--sleep-during`` and ``--sleep-after`` are ours as well."""
        recording = RecordingStore()
        paced = PacedStore(recording, self.clock, during=LONG, after=LONG)
        peer = self.watch(StorageService(paced))
        peer.send(message(CT_CONTEXT, storeRQ(), dataSet()), ECHO)
        self.passes(peer, 2 * LONG)
        self.clock.pump([STEP] * int(LONG / STEP))
        self.assertEqual(self.statusesOf(self.ask(peer)), [(1, 0x0000)])
        self.passes(peer, LONG - STEP)
        self.clock.advance(STEP)
        self.assertEqual(self.statusesOf(self.ask(peer)), [(1, 0x0000)])

    def test_unreadResponses(self) -> None:
        """What a peer leaves unread has a time of its own."""
        peer = self.watch()
        peer.link.server.capacity = 10
        peer.transport.pauseProducing()
        peer.send(ECHO, BEGUN)
        self.clock.pump([STEP] * int(LONG / STEP))
        self.assertEqual(self.recording.stored, [])
        peer.transport.resumeProducing()
        self.assertEqual(self.statusesOf(self.ask(peer)), [(1, 0x0000)])
        self.assertEqual([stored.outcome for stored in self.recording.stored], ["open"])
        self.assertCut(peer, STALL)


class IdleTests(WatchdogTestCase):
    """Peers that owe nothing."""

    def test_forEver(self) -> None:
        """Between messages a peer may be silent for as long as it wants, by default."""
        peer = self.watch()
        self.passes(peer, 10 * LONG)
        for _ in range(3):
            self.assertLives(peer)
            self.passes(peer, LONG)
        self.assertEqual(Configuration().dimseTimeout, 0)

    def test_dimseTimeout(self) -> None:
        """Where it is bounded, any message begins the time anew."""
        for socketTimeout in (STALL, 0.0, 2 * IDLE):
            peer = self.watch(socketTimeout=socketTimeout, dimseTimeout=IDLE)
            self.assertCut(peer, IDLE)
            peer = self.watch(socketTimeout=socketTimeout, dimseTimeout=IDLE)
            for seconds in (IDLE - STEP, 1, 2 * STEP, IDLE - STEP, IDLE / 2):
                self.passes(peer, seconds)
                self.assertLives(peer)
            self.assertCut(peer, IDLE)

    def test_bothTimes(self) -> None:
        """Each keeps to its bounds, whatever the other one is."""
        times = (2.0, 5.0, 5.5, 7.75, 30.0)
        for socketTimeout in times:
            for dimseTimeout in times:
                peer = self.watch(socketTimeout=socketTimeout, dimseTimeout=dimseTimeout)
                self.assertCut(peer, dimseTimeout)
                peer = self.watch(socketTimeout=socketTimeout, dimseTimeout=dimseTimeout)
                self.passes(peer, 1.0)
                peer.send(BEGUN)
                self.assertCut(peer, socketTimeout)

    def test_whatIsLogged(self) -> None:
        """The reason says what did not come."""
        for data, what in ((b"", "no message has come for 16 s"), (BEGUN, "the rest of a message has not come for")):
            peer = self.watch(dimseTimeout=IDLE)
            peer.send(data)
            self.clock.pump([STEP] * int(2 * IDLE / STEP))
            self.assertIn(what, str(self.observer.reason.value))


class TimerTests(WatchdogTestCase):
    """The timer itself."""

    def test_zeroIsNever(self) -> None:
        """Without times there is no timer; the one does not stand in for the other."""
        for data in (b"", BEGUN):
            peer = self.watch(socketTimeout=0.0)
            peer.send(data)
            self.assertEqual(self.clock.getDelayedCalls(), [])
        peer = self.watch(socketTimeout=0.0, dimseTimeout=1.0)
        peer.send(BEGUN)
        self.passes(peer, LONG)

    def test_oneForAnAssociation(self) -> None:
        """There is none before there is an association, and one from then on, whatever happens."""
        peer = self.watch(dimseTimeout=IDLE)
        for data in (b"", ECHO, BEGUN):
            peer.send(data)
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
            self.passes(peer, 1.0)
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_endsWithTheAssociation(self) -> None:
        """However it ends."""
        for data, answer in ((AReleaseRQ(), [AReleaseRP()]), (AAbort(0, 0), []), (bytes(6), [AAbort(2, 1)])):
            peer = self.watch(dimseTimeout=IDLE)
            self.assertEqual(peer.send(data), answer)
            # What is left is ARTIM, if we wait for the peer to close.
            self.assertEqual(len(self.clock.getDelayedCalls()), len(answer))
            peer.link.lose()
            self.assertNothingLeft()
        self.watch(dimseTimeout=IDLE).link.lose()
        self.assertNothingLeft()

    def test_refusedAssociation(self) -> None:
        """One that never was is not watched."""
        self.watch(maximumAssociations=1).link.lose()
        self.associate()
        connectRaw(self.factory).send(associateRQ()).clear()
        self.assertEqual(len(self.clock.getDelayedCalls()), 2)


class HalfOpenTests(WatchdogTestCase):
    """Before there is an association, ARTIM is all that counts."""

    def test_beginOfARequest(self) -> None:
        """A request for association that does not come whole has no more time than none at all, and no less."""
        request = associateRQ().encode()
        for length in (0, 1, 5, 6, 100, len(request) - 1):
            self.watch(artimTimeout=30.0).link.lose()
            peer = connectRaw(self.factory)
            peer.send(request[:length])
            self.passes(peer, 30.0 - STEP)
            self.clock.advance(STEP)
            self.assertEqual((peer.send(), peer.lost), ([], True))
            self.assertNothingLeft()

    def test_dripOfARequest(self) -> None:
        """A drip does not begin the time anew."""
        self.watch(artimTimeout=30.0).link.lose()
        peer = connectRaw(self.factory)
        for byte in associateRQ().encode()[:119]:
            peer.send(bytes((byte,)))
            self.passes(peer, 0.25)
        self.passes(peer, 0.125)
        self.clock.advance(STEP)
        self.assertEqual((peer.send(), peer.lost), ([], True))
        self.assertNothingLeft()
