"""
Tests of how much an acceptor takes: associations, in all and of one peer, idle connections, and bytes of a data set.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred

from tests import receivers
from tests.scripted import (
    CT_CONTEXT,
    ECHO_CONTEXT,
    PROPOSED,
    ConversationTestCase,
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
from txdicom.dimse.admission import CalledAETitles
from txdicom.dimse.commands import CEchoRQ
from txdicom.errors import DIMSEError
from txdicom.services.storage import StorageService
from txdicom.services.verification import VerificationService
from txdicom.testing import MemoryLink, RawPeer, RecordingStore, associateRQ, connectRaw
from txdicom.upperlayer.items import UserInformation
from txdicom.upperlayer.pdu import AAbort, AAssociateAC, AAssociateRJ, AReleaseRP, AReleaseRQ

#: Transient, by the presentation related service provider, local limit exceeded (PS3.8 Table 9-21).
FULL = AAssociateRJ(2, 3, 2)
ECHO = message(ECHO_CONTEXT, CEchoRQ(1))
#: A data set, and where a writer has seen who it is.
WHOLE = dataSet(rest=bytes(1000))


class LimitsTestCase(ConversationTestCase):
    """An acceptor with limits, and peers from anywhere."""

    def limit(self, **configuration: Any) -> None:
        """Set up the acceptor."""
        self.recording = RecordingStore()
        self.serve(VerificationService(), StorageService(self.recording), **configuration)

    def connect(self, host: str = "192.0.2.1", port: int = 50000) -> RawPeer:
        """Connect a peer from some address."""
        address = IPv6Address("TCP", host, port) if ":" in host else IPv4Address("TCP", host, port)
        peer = RawPeer()
        peer.link = MemoryLink(peer, self.factory.buildProtocol(address), address)
        return peer

    def accepts(self, peer: RawPeer) -> bool:
        """Ask for an association; the only way to refuse it is `FULL`."""
        (answer,) = peer.send(associateRQ(PROPOSED))
        if isinstance(answer, AAssociateAC):
            return True
        self.assertEqual(answer, FULL)
        return False


class AssociationsTests(LimitsTestCase):
    """`Configuration.maximumAssociations`."""

    def test_oneTooMany(self) -> None:
        """It is rejected, and those that there are do not notice."""
        self.limit(maximumAssociations=2)
        peers = [self.associate(), self.associate()]
        late = self.connect()
        late.transport.write(associateRQ(PROPOSED).encode())
        late.link.flush()
        self.assertEqual(late.received, bytes.fromhex("0300 00000004 00 02 03 02"))
        for peer in peers:
            self.assertEqual(self.statusesOf(self.ask(peer, ECHO)), [(1, 0)])

    def test_placeIsFreed(self) -> None:
        """As soon as an association is over, even if its connection is still open."""

        def wait(peer: RawPeer) -> None:
            peer.send(message(CT_CONTEXT, storeRQ()))
            self.clock.pump([1.0] * 10)
            self.assertEqual(peer.send(), [AAbort(0, 0)])

        ends: list[tuple[Callable[[RawPeer], object], bool]] = [
            (lambda peer: self.assertEqual(peer.send(AReleaseRQ()), [AReleaseRP()]), True),
            (lambda peer: peer.send(AAbort(0, 0)), False),
            (lambda peer: peer.link.lose(), False),
            (lambda peer: self.assertEqual(peer.send(associateRQ()), [AAbort(2, 2)]), True),
            (wait, True),
        ]
        for end, connected in ends:
            self.limit(maximumAssociations=2, socketTimeout=8.0)
            self.associate()
            # Were a place lost or won by each of them, it would show.
            for _ in range(5):
                peer = self.associate()
                self.assertFalse(self.accepts(self.connect()))
                end(peer)
                self.assertEqual(peer.link.connected, connected)
            self.associate()
            self.assertFalse(self.accepts(self.connect()))

    def test_othersDoNotCount(self) -> None:
        """Those who have not asked yet, those who were rejected, and those that are over."""
        self.limit(maximumAssociations=1)
        silent = [self.connect() for _ in range(3)]
        silent[0].send(associateRQ(PROPOSED).encode()[:50])
        rejected = self.connect()
        self.assertEqual(
            rejected.send(associateRQ(PROPOSED, userInformation=UserInformation(maximumLength=1))),
            [AAssociateRJ(1, 2, 1)],
        )
        released = self.associate()
        self.assertEqual(released.send(AReleaseRQ()), [AReleaseRP()])
        self.assertTrue(self.accepts(silent[1]))
        self.assertFalse(self.accepts(silent[2]))
        self.assertFalse(self.accepts(self.connect()))
        for peer in (*silent, rejected, released):
            peer.link.lose()
        self.assertTrue(self.accepts(self.connect()))

    def test_withoutAcceptedContexts(self) -> None:
        """An association on which nothing can be done is one all the same."""
        self.limit(maximumAssociations=1)
        (answer,) = self.connect().send(associateRQ({"1.2.3": ["1.2.4"]}))
        self.assertIsInstance(answer, AAssociateAC)
        self.assertFalse(self.accepts(self.connect()))

    def test_strangersHearThatFirst(self) -> None:
        """Whom the policy refuses is told so, be there a place or not; and takes none."""
        self.factory = AcceptorFactory(
            [VerificationService()],
            Configuration(maximumAssociations=1),
            self.clock,
            admit=CalledAETitles(frozenset({"US"})),
        )
        ours, others = associateRQ(calledAETitle="US"), associateRQ(calledAETitle="THEM")
        for expected in (AAssociateAC, AAssociateRJ):
            self.assertEqual(self.connect().send(others), [AAssociateRJ(1, 1, 7)])
            (answer,) = self.connect().send(ours)
            self.assertIsInstance(answer, expected)

    def test_answerThatCannotBeSent(self) -> None:
        """It takes no place."""
        self.serve(VerificationService(), maximumAssociations=1, implementationVersionName="more than 16 characters")
        for _ in range(3):
            self.assertEqual(self.connect().send(associateRQ()), [AAssociateRJ(2, 3, 1)])
        self.assertEqual(len(self.flushLoggedErrors()), 3)

    def test_noLimit(self) -> None:
        """0 is none; by default there is one."""
        self.limit(maximumAssociations=0)
        self.assertTrue(all(self.accepts(self.connect()) for _ in range(50)))
        self.assertEqual(Configuration().maximumAssociations, 1000)

    def test_nothingIsLeft(self) -> None:
        self.limit(maximumAssociations=1, maximumAssociationsPerPeer=1)
        peers = [self.connect() for _ in range(3)]
        self.assertEqual([self.accepts(peer) for peer in peers], [True, False, False])
        for peer in peers:
            peer.link.lose()
        self.assertNothingLeft()
        self.assertEqual((self.factory._established, self.factory._idle, self.factory._perPeer), (set(), {}, {}))


class PeerTests(LimitsTestCase):
    """`Configuration.maximumAssociationsPerPeer`."""

    def test_oneTooMany(self) -> None:
        """A peer is a host; its ports do not matter, and neither do other hosts."""
        self.limit(maximumAssociationsPerPeer=2)
        for host in ("192.0.2.1", "192.0.2.2", "2001:db8::1"):
            self.assertEqual([self.accepts(self.connect(host, port)) for port in (1, 2, 3)], [True, True, False])

    def test_placeIsFreed(self) -> None:
        """For that peer."""
        self.limit(maximumAssociationsPerPeer=1)
        peers = [self.connect(host) for host in ("192.0.2.1", "192.0.2.2")]
        self.assertTrue(all(self.accepts(peer) for peer in peers))
        self.assertEqual(peers[0].send(AReleaseRQ()), [AReleaseRP()])
        self.assertFalse(self.accepts(self.connect("192.0.2.2")))
        self.assertTrue(self.accepts(self.connect("192.0.2.1")))
        self.assertFalse(self.accepts(self.connect("192.0.2.1")))

    def test_bothLimits(self) -> None:
        """Whichever is reached first."""
        self.limit(maximumAssociations=3, maximumAssociationsPerPeer=2)
        accepted = [self.accepts(self.connect(f"192.0.2.{host}")) for host in (1, 1, 1, 2, 2, 3)]
        self.assertEqual(accepted, [True, True, False, True, False, False])

    def test_noLimit(self) -> None:
        """There is none by default."""
        self.limit()
        self.assertTrue(all(self.accepts(self.connect()) for _ in range(20)))


class IdleConnectionsTests(LimitsTestCase):
    """`Configuration.maximumIdleConnections`."""

    def lost(self, *peers: RawPeer) -> list[bool]:
        """Tell which of these peers have lost their connections."""
        for peer in peers:
            peer.link.flush()
        return [peer.lost for peer in peers]

    def test_oldestIsClosed(self) -> None:
        """Without a word, when there is one too many; it makes no difference how much of a request it has sent."""
        self.limit(maximumIdleConnections=3)
        peers = [self.connect() for _ in range(3)]
        peers[0].send(associateRQ().encode()[:-1])
        self.assertEqual(self.lost(*peers), [False] * 3)
        peers.append(self.connect())
        self.assertEqual(self.lost(*peers), [True, False, False, False])
        peers.append(self.connect())
        self.assertEqual(self.lost(*peers), [True, True, False, False, False])
        self.assertEqual([peer.received for peer in peers], [b""] * 5)
        self.assertTrue(self.accepts(peers[2]))

    def test_associationsAreNeverClosed(self) -> None:
        """As many as there are, and as old."""
        self.limit(maximumIdleConnections=2)
        peers = [self.associate() for _ in range(10)]
        for _ in range(10):
            self.connect()
        self.assertEqual(self.lost(*peers), [False] * 10)
        for peer in peers:
            self.assertEqual(self.statusesOf(self.ask(peer, ECHO)), [(1, 0)])

    def test_thoseThatAreOver(self) -> None:
        """A connection that has lost its association is the youngest without one; one that was rejected stays old."""
        self.limit(maximumIdleConnections=3, maximumAssociations=1)
        released = self.associate()
        silent, rejected = self.connect(), self.connect()
        self.assertFalse(self.accepts(rejected))
        self.assertEqual(released.send(AReleaseRQ()), [AReleaseRP()])
        for expected in ([True, False, False], [True, True, False], [True, True, True]):
            self.connect()
            self.assertEqual(self.lost(silent, rejected, released), expected)

    def test_endOfAnAssociation(self) -> None:
        """It may be the one that is too many."""
        self.limit(maximumIdleConnections=2)
        peers = [self.associate(), self.connect(), self.connect()]
        self.assertEqual(peers[0].send(AReleaseRQ()), [AReleaseRP()])
        self.assertEqual(self.lost(*peers), [False, True, False])

    def test_endOfItsConnection(self) -> None:
        """Nobody has to make room for one that is gone."""
        self.limit(maximumIdleConnections=2)
        peers = [self.associate(), self.connect(), self.connect()]
        peers[0].link.lose()
        self.assertEqual(self.lost(*peers), [True, False, False])

    def test_placeIsFreed(self) -> None:
        """Who goes, or gets an association, makes room."""
        self.limit(maximumIdleConnections=2)
        peers = [self.connect(), self.connect()]
        peers[1].link.lose()
        peers.append(self.connect())
        self.assertTrue(self.accepts(peers[2]))
        peers.append(self.connect())
        self.assertEqual(self.lost(*peers), [False, True, False, False])

    def test_thousandConnections(self) -> None:
        """They leave no more than the bound, and no timers of those that are gone."""
        self.limit(maximumIdleConnections=50)
        established = self.associate()
        peers = [self.connect() for _ in range(1000)]
        self.assertEqual(self.lost(*peers), [True] * 950 + [False] * 50)
        self.assertEqual(len(self.factory.associations), 51)
        self.assertEqual(len(self.clock.getDelayedCalls()), 50)
        self.assertEqual(self.statusesOf(self.ask(established, ECHO)), [(1, 0)])

    def test_noLimit(self) -> None:
        """0 is none; by default there is one."""
        self.limit(maximumIdleConnections=0)
        self.assertEqual(self.lost(*[self.connect() for _ in range(50)]), [False] * 50)
        self.assertEqual(Configuration().maximumIdleConnections, 2000)


class DataSetLengthTests(LimitsTestCase):
    """`Configuration.maximumDataSetLength`."""

    def test_exactBound(self) -> None:
        """A data set may be as long as the bound, one byte more is refused; each is counted for itself."""
        for size in (None, 1, 7):
            self.limit(maximumDataSetLength=len(WHOLE))
            peer = self.associate(size)
            sent = message(CT_CONTEXT, storeRQ(1), WHOLE, 100), message(CT_CONTEXT, storeRQ(2), WHOLE + b"\0", 100)
            for _ in range(3):
                self.assertEqual(self.statusesOf(self.ask(peer, *sent)), [(1, 0x0000), (2, 0xA700)])
            self.assertEqual([stored.outcome for stored in self.recording.stored], ["committed", "aborted"] * 3)

    def test_answerComesWhenAllIsDrained(self) -> None:
        """The writer is aborted at once, once, and told why; the association lives."""
        writer = ScriptedWriter()
        self.serve(VerificationService(), ScriptedProvider(writer), maximumDataSetLength=10)
        peer = self.associate()
        self.assertEqual(peer.send(message(CT_CONTEXT, storeRQ()), pData(CT_CONTEXT, 0, b"123456")), [])
        self.assertEqual(peer.send(pData(CT_CONTEXT, 0, b"78901")), [])
        self.assertEqual((writer.calls, writer.data), (["write", "abort"], b"123456"))
        self.assertEqual((writer.reason.type, writer.reason.value.status), (DIMSEError, 0xA700))
        for _ in range(10):
            self.assertEqual(peer.send(pData(CT_CONTEXT, 0, bytes(10000))), [])
        (response,) = self.ask(peer, pData(CT_CONTEXT, 2, b"end!"))
        self.assertEqual(
            (response.status, response.errorComment), (0xA700, "the data set is longer than is allowed here")
        )
        self.assertEqual(writer.calls, ["write", "abort"])
        self.assertEqual(self.statusesOf(self.ask(peer, ECHO)), [(1, 0)])
        self.assertLogged()

    def test_tooLongInTheFirstFragment(self) -> None:
        """The store does not hear of it."""
        self.limit(maximumDataSetLength=100)
        response = self.ask(self.associate(), message(CT_CONTEXT, storeRQ(), WHOLE))
        self.assertEqual((self.statusesOf(response), self.recording.stored), ([(1, 0xA700)], []))

    def test_slowWriter(self) -> None:
        """What it is still writing is not taken from under it."""
        waiting: list[Deferred[Any]] = []
        writer = ScriptedWriter([later(waiting)])
        self.serve(ScriptedProvider(writer), maximumDataSetLength=10)
        peer = self.associate()
        peer.send(message(CT_CONTEXT, storeRQ()), *(pData(CT_CONTEXT, last, b"123456") for last in (0, 2)))
        self.assertEqual(writer.calls, ["write"])
        waiting.pop().callback(None)
        self.assertEqual(self.statusesOf(self.ask(peer)), [(1, 0xA700)])
        self.assertEqual(writer.calls, ["write", "abort"])

    def test_otherRefusalsComeFirst(self) -> None:
        """A provider or a writer that has refused already is the one that is heard."""
        for refusing in (0x0124, DIMSEError(0x0124), ScriptedWriter([DIMSEError(0x0124)])):
            self.serve(ScriptedProvider(refusing), maximumDataSetLength=10)
            peer = self.associate()
            answers = self.ask(
                peer, message(CT_CONTEXT, storeRQ()), pData(CT_CONTEXT, 0, b"123"), pData(CT_CONTEXT, 2, bytes(100))
            )
            self.assertEqual(self.statusesOf(answers), [(1, 0x0124)])

    def test_noLimit(self) -> None:
        """There is none by default."""
        self.limit()
        response = self.ask(self.associate(), message(CT_CONTEXT, storeRQ(), dataSet(rest=bytes(1 << 24))))
        self.assertEqual(self.statusesOf(response), [(1, 0)])


class OptionTests(receivers.ReceiverTestCase):
    """The options that set the limits, in the whole receiver."""

    def test_associations(self) -> None:
        """``--max-associations`` and ``--max-associations-per-peer``."""
        for option in ("--max-associations=2", "--max-associations-per-peer=2"):
            factory = self.serve(option)
            for _ in range(2):
                self.associate(factory)
            self.assertEqual(connectRaw(factory).send(associateRQ()), [FULL])

    def test_objectSize(self) -> None:
        """``--max-object-size``: nothing is left of what is too long."""
        data = receivers.dataSet(bytes(1 << 11))
        self.assertTrue(1 << 11 < len(data) < 3 << 10)
        for size, status, files in (("2K", 0xA700, 0), ("3K", 0x0000, 1)):
            peer = self.associate(self.serve(f"--max-object-size={size}"))
            first, *rest = receivers.dataPDUs(data[:200], data[200:1500], data[1500:])
            self.assertEqual(self.ask(peer, receivers.storeRQ(), first), [])
            self.assertEqual(len(receivers.filesIn(self.directory)), 1)
            self.assertEqual(self.ask(peer, *rest), [(1, status)])
            self.assertEqual(len(receivers.filesIn(self.directory)), files)
