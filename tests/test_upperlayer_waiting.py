"""
Tests for `txdicom.upperlayer.protocol`: who waits for whom, and how long: timers and releases.
"""

from __future__ import annotations

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock

from tests.conversations import (
    AC,
    ADDRESS,
    CONFIGURATION,
    DATA,
    PATHS,
    RJ,
    RQ,
    SIZES,
    Conversation,
    ConversationTestCase,
    RecordingUser,
)
from txdicom.configuration import Configuration
from txdicom.errors import AssociationAborted, AssociationRejected, AssociationTimeout, PDUError
from txdicom.testing import MemoryLink
from txdicom.upperlayer.machine import State
from txdicom.upperlayer.pdu import AAbort, AReleaseRP, AReleaseRQ
from txdicom.upperlayer.protocol import UpperLayerProtocol

ARTIM = CONFIGURATION.artimTimeout
#: Just before a time is up; a power of two, so that sums of times are exact.
EARLY = 2**-10


class TimerTests(ConversationTestCase):
    """ARTIM, and the same timer where it bounds the peer's answer."""

    def assertClosesIn(self, conversation: Conversation, seconds: float) -> None:
        """Assert that the connection is closed after exactly so much more time, and nothing said meanwhile."""
        conversation.advance(seconds - EARLY)
        self.assertTrue(conversation.link.connected)
        conversation.advance(EARLY)
        self.assertFalse(conversation.link.connected)
        self.assertEqual(conversation.peer.takePDUs(), [])

    def assertAbortsIn(self, conversation: Conversation, seconds: float, artim: float = ARTIM) -> None:
        """Assert that we abort after exactly so much more time, and close when ARTIM has run out as well."""
        conversation.advance(seconds - EARLY)
        self.assertEqual(conversation.peer.takePDUs(), [])
        self.assertEqual(conversation.user.reasons, [])
        conversation.advance(EARLY)
        self.assertEqual(conversation.peer.takePDUs(), [AAbort(0, 0)])
        self.assertEnded(conversation, AssociationTimeout)
        self.assertClosesIn(conversation, artim)
        self.assertOver(conversation, AssociationTimeout)

    def test_silentConnection(self) -> None:
        """A connection on which no association is requested is closed without a word."""
        conversation = Conversation(False)
        self.assertClosesIn(conversation, ARTIM)
        self.assertOver(conversation, AssociationTimeout)

    def test_configured(self) -> None:
        """The time is the configuration's."""
        for requestor, state in PATHS:
            for seconds in (0.5, 7):
                configuration = Configuration(artimTimeout=seconds)
                conversation = self.enter(requestor, state, configuration=configuration)
                if conversation.state in (State.AWAITING_ASSOCIATE_RQ, State.AWAITING_CLOSE):
                    self.assertClosesIn(conversation, seconds)
                elif conversation.clock.getDelayedCalls():
                    self.assertAbortsIn(conversation, seconds, seconds)

    def test_drippingRequest(self) -> None:
        """A request that comes a byte at a time has no more time than others."""
        conversation = Conversation(False)
        for byte in RQ.encode()[:29]:
            conversation.advance(1)
            conversation.peer.send(bytes((byte,)))
        self.assertClosesIn(conversation, 1)
        self.assertOver(conversation, AssociationTimeout)

    def test_waitsForNobodyWhenEstablished(self) -> None:
        """An established association has all the time it wants, and so has a user who was asked for a release."""
        for requestor, state in ((False, 6), (True, 6), (False, 8), (True, 8), (False, 12)):
            conversation = self.enter(requestor, state)
            self.assertEqual(conversation.clock.getDelayedCalls(), [])
            conversation.advance(1_000_000)
            self.assertTrue(conversation.link.connected)
            conversation.link.lose()

    def test_peerThatDoesNotAnswer(self) -> None:
        """The peer has a bounded time to accept an association, and to answer a request for release."""
        for requestor, state in ((True, 5), (True, 7), (False, 7), (False, 10), (True, 11)):
            self.assertAbortsIn(self.enter(requestor, state), ARTIM)

    def test_peerThatNeverReleasesAsItSends(self) -> None:
        """Data does not prolong the time for the answer to a request for release."""
        conversation = self.enter(True, 7)
        for _ in range(int(ARTIM) - 1):
            conversation.advance(1)
            conversation.peer.send(DATA)
        self.assertEqual(len(conversation.user.data), 2 * (int(ARTIM) - 1))
        self.assertAbortsIn(conversation, 1)

    def test_userThatDoesNotDecide(self) -> None:
        """The user has as long for the decision, counted from the request."""
        conversation = Conversation(False)
        conversation.advance(ARTIM - 1)
        conversation.peer.send(RQ)
        self.assertAbortsIn(conversation, ARTIM)

    def test_restartedByRejection(self) -> None:
        """A peer that was rejected has the whole time to close."""
        conversation = self.enter(False, 3)
        conversation.advance(ARTIM - 1)
        conversation.decide(RJ)
        self.assertEqual(conversation.peer.takePDUs(), [RJ])
        self.assertClosesIn(conversation, ARTIM)
        self.assertOver(conversation, AssociationRejected)

    def test_restartedByAbort(self) -> None:
        """Likewise one that was aborted, by the user or for what it sent."""
        for requestor, state in PATHS:
            if state == 13:
                continue
            conversation = self.enter(requestor, state)
            conversation.advance(ARTIM - 1)
            self.assertEqual(conversation.peer.send(bytes(6)), [AAbort(2, 1)])
            self.assertClosesIn(conversation, ARTIM)
            self.assertOver(conversation, PDUError)
            if state == 2:
                continue
            conversation = self.enter(requestor, state)
            conversation.advance(ARTIM - 1)
            conversation.ask("abort")
            self.assertEqual(conversation.peer.takePDUs(), [AAbort(0, 0)])
            self.assertClosesIn(conversation, ARTIM)
            self.assertOver(conversation, AssociationAborted)

    def test_startedByRelease(self) -> None:
        """Likewise one whose release was answered."""
        for requestor, state in ((False, 8), (True, 8), (False, 12)):
            conversation = self.enter(requestor, state)
            conversation.advance(ARTIM - 1)
            conversation.ask("acceptRelease")
            self.assertEqual(conversation.peer.takePDUs(), [AReleaseRP()])
            self.assertClosesIn(conversation, ARTIM)
            self.assertOver(conversation, ConnectionDone)

    def test_notRestartedWhileAwaitingClose(self) -> None:
        """Whatever a peer sends when it should close, it does not get more time for it."""
        for pdu, answers in ((RQ, [AAbort(2, 2)]), (AC, []), (RJ, []), (DATA, []), (AReleaseRQ(), [])):
            conversation = self.enter(False, 13)
            conversation.advance(ARTIM - 1)
            self.assertEqual(conversation.peer.send(pdu), answers)
            self.assertClosesIn(conversation, 1)
            self.assertOver(conversation, AssociationRejected)

    def test_peerThatReadsNothingOfTheEnd(self) -> None:
        """A connection that we close is cut when the peer does not read what was sent on it before."""
        for requestor, state, pdu, reason in (
            (False, 6, AAbort(0, 0), AssociationAborted),
            (True, 7, AReleaseRP(), ConnectionDone),
            (True, 5, RJ, AssociationRejected),
        ):
            conversation = self.enter(requestor, state)
            conversation.peer.transport.pauseProducing()
            if state == 6:
                conversation.ask("send", DATA.encode())
            else:
                conversation.transport.write(b"not read by the peer")
            conversation.peer.send(pdu)
            self.assertEnded(conversation, reason)
            self.assertClosesIn(conversation, ARTIM)
            self.assertTrue(conversation.transport.aborted)
            self.assertOver(conversation, reason)


class ReleaseTests(ConversationTestCase):
    """The orderly end."""

    def test_asked(self) -> None:
        """The peer's answer to our request closes the connection at once."""
        for requestor in (False, True):
            for size in SIZES:
                conversation = self.enter(requestor, 6, size)
                conversation.ask("requestRelease")
                self.assertEqual(conversation.peer.takePDUs(), [AReleaseRQ()])
                conversation.peer.send(DATA)
                self.assertEqual(len(conversation.user.data), 2)
                self.assertEqual(conversation.peer.send(AReleaseRP()), [])
                self.assertOver(conversation, ConnectionDone)

    def test_answered(self) -> None:
        """Our answer to the peer's request is sent when the user gives it, and the peer closes."""
        for requestor in (False, True):
            for size in SIZES:
                for atOnce in (False, True):
                    conversation = self.enter(requestor, 6, size)
                    if atOnce:
                        conversation.user.reactions["releaseRequested"] = conversation.protocol.acceptRelease
                    self.assertEqual(conversation.peer.send(AReleaseRQ()), [AReleaseRP()] if atOnce else [])
                    if not atOnce:
                        conversation.ask("acceptRelease")
                        self.assertEqual(conversation.peer.takePDUs(), [AReleaseRP()])
                    self.assertEnded(conversation, ConnectionDone)
                    self.assertTrue(conversation.link.connected)
                    conversation.peer.transport.loseConnection()
                    conversation.link.flush()
                    self.assertOver(conversation, ConnectionDone)

    def test_collisionAsRequestor(self) -> None:
        """The requestor of the association answers first, and is done when it is answered."""
        for size in SIZES:
            conversation = self.enter(True, 9, size)
            self.assertEqual(conversation.user.told[-1], "releaseRequested")
            conversation.ask("acceptRelease")
            self.assertEqual(conversation.peer.takePDUs(), [AReleaseRP()])
            self.assertEqual(conversation.state, State.COLLISION_REQUESTOR_RP)
            self.assertEqual(conversation.peer.send(AReleaseRP()), [])
            self.assertOver(conversation, ConnectionDone)

    def test_collisionAsAcceptor(self) -> None:
        """The acceptor's answer goes out after the requestor's, whichever of them was there first."""
        for size in SIZES:
            for early in (False, True):
                conversation = self.enter(False, 10, size)
                if early:
                    conversation.ask("acceptRelease")
                self.assertEqual(conversation.peer.takePDUs(), [])
                self.assertEqual(conversation.peer.send(AReleaseRP()), [AReleaseRP()] if early else [])
                if not early:
                    self.assertEqual(conversation.state, State.COLLISION_ACCEPTOR_LOCAL)
                    conversation.ask("acceptRelease")
                    self.assertEqual(conversation.peer.takePDUs(), [AReleaseRP()])
                self.assertEqual(conversation.state, State.AWAITING_CLOSE)
                conversation.peer.transport.loseConnection()
                conversation.link.flush()
                self.assertOver(conversation, ConnectionDone)

    def test_collisionOfTwo(self) -> None:
        """Two upper layers that both ask for a release part in peace, whoever of the users is slow to answer."""
        for size in SIZES:
            for slow in ((), ("client",), ("server",), ("server", "client"), ("client", "server")):
                clock = Clock()
                users = {"client": RecordingUser(), "server": RecordingUser()}
                client = UpperLayerProtocol(users["client"], CONFIGURATION, clock, RQ)
                server = UpperLayerProtocol(users["server"], CONFIGURATION, clock)
                protocols = {"client": client, "server": server}
                users["server"].decision = lambda request: AC
                for name, user in users.items():
                    if name not in slow:
                        user.reactions["releaseRequested"] = protocols[name].acceptRelease
                link = MemoryLink(client, server, ADDRESS, size)
                link.flush()
                server.requestRelease()
                client.requestRelease()
                link.flush()
                for name in slow:
                    protocols[name].acceptRelease()
                    link.flush()
                self.assertFalse(link.connected, slow)
                self.assertEqual([users[name].reasons[0].type for name in users], [ConnectionDone] * 2)
                self.assertEqual(clock.getDelayedCalls(), [])
