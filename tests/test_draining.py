"""
Tests of how an acceptor ends its associations: `AcceptorFactory.drain`.

How it ends the connections, and the whole receiver, is in ``test_stopping.py``.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone

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
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.dimse.admission import refuseAll
from txdicom.dimse.commands import CEchoRQ, CommandField
from txdicom.dimse.commandsets import decodeCommand
from txdicom.errors import AssociationAborted, DIMSEError
from txdicom.services.storage import StorageService
from txdicom.services.verification import VerificationService
from txdicom.testing import RawPeer, RecordingStore, associateRQ, connectRaw
from txdicom.upperlayer.pdu import PDU, AAbort, AAssociateRJ, AReleaseRP, AReleaseRQ, PDataTF

GRACE = 10.0
ABORT = AAbort(0, 0)
#: Transient, by the presentation related service provider, temporary congestion (PS3.8 Table 9-21).
CONGESTION = AAssociateRJ(2, 3, 1)
ECHO = message(ECHO_CONTEXT, CEchoRQ(1))
STORE = message(CT_CONTEXT, storeRQ(7), dataSet(rest=bytes(300)), 100)
#: A message whose data set has got as far as the store.
BEGUN = message(CT_CONTEXT, storeRQ(7)) + pData(CT_CONTEXT, 0, dataSet())
ECHO_OPERATION = (CommandField.C_ECHO_RQ,)


def heard(pdus: list[PDU]) -> list[object]:
    """Put statuses in the place of responses; other PDUs stay what they are."""
    return [
        decodeCommand(pdu.pdvs[0].data).status if isinstance(pdu, PDataTF) else pdu  # type: ignore[union-attr]
        for pdu in pdus
    ]


class DrainingTestCase(ConversationTestCase):
    """
    An acceptor that is going to end.

    :ivar drained: the result of `AcceptorFactory.drain`.
    """

    def begin(self, *providers: Any, **configuration: Any) -> None:
        """Set up the acceptor."""
        self.recording = RecordingStore()
        self.observer = RecordingObserver()
        services = providers or (VerificationService(), StorageService(self.recording))
        self.serve(*services, observer=self.observer, **configuration)

    def drain(self, grace: float = GRACE) -> None:
        """Drain it."""
        self.drained = self.factory.drain(grace)

    def hears(self, peer: RawPeer, *data: bytes | PDU) -> list[object]:
        """Send something, and return what has come from the acceptor."""
        return heard(peer.send(*data))

    def assertDrained(self, *peers: RawPeer) -> None:
        """Nothing is left of the associations; of timers there is ARTIM, as long as the peers do not close."""
        self.successResultOf(self.drained)
        self.assertEqual(self.factory.associations, set())
        self.assertEqual(len(self.clock.getDelayedCalls()), sum(peer.link.connected for peer in peers))
        for peer in peers:
            peer.link.lose()
        self.assertNothingLeft()


class IdleTests(DrainingTestCase):
    """Associations that do nothing, and connections without one."""

    def test_areAbortedAtOnce(self) -> None:
        """They could stay like this for ever."""
        self.begin()
        peers = [self.associate() for _ in range(3)]
        self.assertEqual(self.hears(peers[1], ECHO, STORE), [0, 0])
        self.drain()
        self.assertEqual([self.hears(peer) for peer in peers], [[ABORT]] * 3)
        self.assertEqual(self.observer.events.count("ended"), 3)
        self.assertEqual(
            str(self.observer.reason.value), "association aborted by us, source 0, reason 0: shutting down"
        )
        self.assertDrained(*peers)

    def test_beginOfAPDU(self) -> None:
        """Headers of which nothing has followed are no message yet."""
        for end in (1, 5, 6, 12):
            self.begin()
            peer = self.associate()
            peer.send(STORE[:end])
            self.drain()
            self.assertEqual(self.hears(peer), [ABORT])
            self.assertDrained(peer)

    def test_nobodyThere(self) -> None:
        """There is nothing to wait for, and no timer is left."""
        self.begin()
        self.drain()
        self.assertDrained()
        silent = connectRaw(self.factory)
        self.drain()
        self.successResultOf(self.drained)
        silent.link.lose()
        self.assertNothingLeft()

    def test_newAssociations(self) -> None:
        """They are rejected, be their connections new or not, while others are waited for and afterwards."""
        self.begin()
        early, running = connectRaw(self.factory), self.associate()
        running.send(BEGUN)
        self.drain()
        early.transport.write(associateRQ().encode())
        early.link.flush()
        self.assertEqual(early.received, bytes.fromhex("0300 00000004 00 02 03 01"))
        peers = [connectRaw(self.factory) for _ in range(3)]
        for peer in peers:
            self.assertEqual(self.hears(peer, associateRQ(PROPOSED)), [CONGESTION])
        self.assertNoResult(self.drained)
        self.assertEqual(self.hears(running, pData(CT_CONTEXT, 2, b"")), [0, ABORT])
        late = connectRaw(self.factory)
        self.assertEqual(self.hears(late, associateRQ(PROPOSED)), [CONGESTION])
        self.assertDrained(early, running, late, *peers)

    def test_strangers(self) -> None:
        """Even those who would never come in are told that it is not their fault now."""
        self.factory = AcceptorFactory([VerificationService()], Configuration(), self.clock, refuseAll)
        self.drain()
        self.assertEqual(self.hears(connectRaw(self.factory), associateRQ()), [CONGESTION])


class RunningTests(DrainingTestCase):
    """Associations with a message under way: it is answered, and then they are aborted."""

    def test_anywhereInAMessage(self) -> None:
        """Be it in the command set or in the data set, in a PDU or between two of them."""
        for end in range(13, len(STORE), 9):
            self.begin()
            peer = self.associate()
            peer.send(STORE[:end])
            self.drain()
            self.clock.advance(GRACE - 0.125)
            self.assertEqual(self.hears(peer, STORE[end:-1]), [])
            self.assertNoResult(self.drained)
            self.assertEqual(self.hears(peer, STORE[-1:]), [0, ABORT])
            self.assertEqual([stored.outcome for stored in self.recording.stored], ["committed"])
            self.assertDrained(peer)

    def test_waitingForUs(self) -> None:
        """Whatever it is that we are not done with."""
        steps: list[tuple[Callable[[Callable[[], Any]], ScriptedProvider], object]] = [
            (ScriptedProvider, ScriptedWriter()),
            (lambda step: ScriptedProvider(ScriptedWriter([step])), None),
            (lambda step: ScriptedProvider(ScriptedWriter(commit=step)), 0),
            (ScriptedProvider, 0),
        ]
        for make, result in steps:
            waiting: list[Deferred[Any]] = []
            self.begin(make(later(waiting)))
            peer = self.associate()
            self.assertEqual(self.hears(peer, STORE), [])
            self.drain()
            self.assertEqual(self.hears(peer), [])
            self.assertNoResult(self.drained)
            waiting.pop().callback(result)
            self.assertEqual(self.hears(peer), [0, ABORT])
            self.assertDrained(peer)

    def test_echo(self) -> None:
        waiting: list[Deferred[Any]] = []
        self.begin(ScriptedProvider(later(waiting), operations=ECHO_OPERATION))
        peer = self.associate()
        peer.send(ECHO)
        self.drain()
        waiting.pop().callback(0)
        self.assertEqual(self.hears(peer), [0, ABORT])
        self.assertDrained(peer)

    def test_refusedMessages(self) -> None:
        """A refusal is an answer, when the data set has been drained."""
        self.begin(ScriptedProvider(DIMSEError(0x0124)))
        peer = self.associate()
        peer.send(BEGUN)
        self.drain()
        self.assertEqual(self.hears(peer, pData(CT_CONTEXT, 0, bytes(100))), [])
        self.assertEqual(self.hears(peer, pData(CT_CONTEXT, 2, b"")), [0x0124, ABORT])
        self.assertDrained(peer)

    def test_whatFollowsTheAnswer(self) -> None:
        """A writer that wants to know of the answer is waited for."""
        waiting: list[Deferred[Any]] = []
        self.begin(ScriptedProvider(AnsweredWriter(answered=later(waiting))))
        peer = self.associate()
        self.assertEqual(self.hears(peer, STORE), [0])
        self.drain()
        self.assertEqual(self.hears(peer), [])
        waiting.pop().callback(None)
        self.assertEqual(self.hears(peer), [ABORT])
        self.assertDrained(peer)

    def test_nextRequestIsNotBegun(self) -> None:
        """As much of it as may be there already: nobody has promised anything for it."""
        nexts = [STORE, ECHO, BEGUN, STORE + STORE, STORE[:20], STORE[:3]]
        for following in nexts:
            waiting: list[Deferred[Any]] = []
            provider = ScriptedProvider(ScriptedWriter(commit=later(waiting)))
            self.begin(VerificationService(), provider)
            peer = self.associate()
            peer.send(STORE, following)
            self.drain()
            self.assertEqual(self.hears(peer), [])
            waiting.pop().callback(0)
            self.assertEqual(self.hears(peer), [0, ABORT], following)
            self.assertEqual(len(provider.requests), 1)
            self.assertDrained(peer)

    def test_lastOneCounts(self) -> None:
        """Each goes when it is done; the last one is what is waited for, however it ends."""
        ends: list[Callable[[RawPeer], object]] = [
            lambda peer: self.assertEqual(self.hears(peer, pData(CT_CONTEXT, 2, b"")), [0, ABORT]),
            lambda peer: peer.send(AAbort(0, 0)),
            lambda peer: peer.link.lose(),
            lambda peer: self.assertEqual(self.hears(peer, bytes(6)), [AAbort(2, 1)]),
        ]
        self.begin()
        peers = [self.associate() for _ in ends]
        for peer in peers:
            peer.send(BEGUN)
        self.drain()
        for end, peer in zip(ends, peers, strict=True):
            self.assertNoResult(self.drained)
            end(peer)
        self.assertEqual([stored.outcome for stored in self.recording.stored], ["committed"] + ["aborted"] * 3)
        self.assertDrained(*peers)


class ReleaseTests(DrainingTestCase):
    """Releases that wait for a message."""

    def test_beforeAndAfterTheDrain(self) -> None:
        """They are answered as if nothing had happened."""
        for before in (True, False):
            waiting: list[Deferred[Any]] = []
            self.begin(ScriptedProvider(ScriptedWriter(commit=later(waiting))))
            peer = self.associate()
            peer.send(STORE)
            steps = [lambda peer=peer: self.assertEqual(self.hears(peer, AReleaseRQ()), []), self.drain]
            for step in steps if before else reversed(steps):
                step()
            self.assertNoResult(self.drained)
            waiting.pop().callback(0)
            self.assertEqual(self.hears(peer), [0, AReleaseRP()])
            self.assertIs(self.observer.reason.type, ConnectionDone)
            self.assertDrained(peer)

    def test_afterTheRelease(self) -> None:
        """What is released already is not touched."""
        self.begin()
        peer = self.associate()
        self.assertEqual(self.hears(peer, AReleaseRQ()), [AReleaseRP()])
        self.drain()
        self.assertEqual(self.hears(peer), [])
        self.assertDrained(peer)


class GraceTests(DrainingTestCase):
    """The grace period."""

    def test_isOver(self) -> None:
        """Then all that is left is aborted; every writer that was open is told so, once."""
        waiting: list[Deferred[Any]] = []
        slow, stalled = ScriptedWriter([later(waiting)]), ScriptedWriter()
        self.begin(ScriptedProvider(slow, stalled, later(waiting)))
        peers = [self.associate() for _ in range(3)]
        peers[0].send(STORE)
        peers[1].send(BEGUN)
        peers[2].send(BEGUN)
        self.drain()
        self.clock.advance(GRACE - 0.125)
        self.assertEqual([self.hears(peer) for peer in peers], [[]] * 3)
        self.assertNoResult(self.drained)
        self.clock.advance(0.125)
        self.assertEqual([self.hears(peer) for peer in peers], [[ABORT]] * 3)
        # What comes too late is of no use.
        late = ScriptedWriter()
        waiting.pop().callback(late)
        waiting.pop().callback(None)
        for writer in (slow, stalled):
            self.assertEqual(writer.calls, ["write", "abort"])
            self.assertEqual(writer.reason.type, AssociationAborted)
        self.assertEqual(late.calls, ["abort"])
        self.assertDrained(*peers)

    def test_commitIsNotInterrupted(self) -> None:
        """A writer that has been told to commit is not told to abort as well; there is no answer any more."""
        waiting: list[Deferred[Any]] = []
        writer = ScriptedWriter(commit=later(waiting))
        self.begin(ScriptedProvider(writer))
        peer = self.associate()
        peer.send(STORE)
        self.drain()
        self.clock.advance(GRACE)
        self.assertEqual(self.hears(peer), [ABORT])
        waiting.pop().callback(0)
        self.assertEqual((self.hears(peer), writer.calls[-1]), ([], "commit"))
        self.assertDrained(peer)

    def test_none(self) -> None:
        """A grace of 0 seconds is one of no seconds."""
        self.begin()
        peer = self.associate()
        peer.send(BEGUN)
        self.drain(0.0)
        self.clock.advance(0)
        self.assertEqual(self.hears(peer), [ABORT])
        self.assertDrained(peer)

    def test_twice(self) -> None:
        """Who asks again waits for the same end; nobody gets more time by it."""
        self.begin()
        peer = self.associate()
        peer.send(BEGUN)
        first = self.factory.drain(GRACE)
        self.clock.advance(GRACE / 2)
        self.drain(10 * GRACE)
        self.clock.advance(GRACE / 2 - 0.125)
        for deferred in (first, self.drained):
            self.assertNoResult(deferred)
        self.clock.advance(0.125)
        self.successResultOf(first)
        self.assertEqual(self.hears(peer), [ABORT])
        self.assertDrained(peer)

    def test_endedByHand(self) -> None:
        """`AcceptorFactory.abortAll` is what the end of the grace period does."""
        self.begin()
        peers = [self.associate(), self.associate(), connectRaw(self.factory)]
        peers[0].send(BEGUN)
        self.drain()
        self.factory.abortAll()
        self.assertEqual([self.hears(peer) for peer in peers], [[ABORT], [ABORT], []])
        self.assertTrue(peers[2].lost)
        self.assertDrained(*peers)
