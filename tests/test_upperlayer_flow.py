"""
Tests for `txdicom.upperlayer.protocol`: how it holds the peer back, and what it does about peers that do not read.
"""

from __future__ import annotations

from tests.conversations import CONFIGURATION, DATA, SIZES, Conversation, ConversationTestCase
from txdicom.errors import AssociationAborted, AssociationTimeout, PDUError
from txdicom.upperlayer.machine import State
from txdicom.upperlayer.pdu import PDV, AAbort, AReleaseRP, AReleaseRQ, PDataTF
from txdicom.upperlayer.protocol import UpperLayerProtocol

ARTIM = CONFIGURATION.artimTimeout
SEND = CONFIGURATION.sendTimeout
#: Just before a time is up; a power of two, so that sums of times are exact.
EARLY = 2**-10


class PausedTests(ConversationTestCase):
    """`pauseReceiving` and `resumeReceiving`."""

    def test_reasons(self) -> None:
        """Nothing is handed on until the last reason is gone; each counts once, and unknown ones do not count."""
        conversation = self.enter(False, 6)
        for reason in ("a", "b", "a"):
            conversation.ask("pauseReceiving", reason)
        conversation.peer.send(DATA)
        for reason in ("a", "c"):
            conversation.ask("resumeReceiving", reason)
            self.assertEqual(conversation.user.data, [])
        conversation.ask("resumeReceiving", "b")
        self.assertEqual(len(conversation.user.data), 2)

    def test_transportIsPausedLate(self) -> None:
        """The transport is paused when bytes come that cannot be handed on, not before."""
        for size in SIZES:
            conversation = self.enter(False, 6, size)
            conversation.ask("pauseReceiving", "busy")
            self.assertFalse(conversation.transport.paused)
            conversation.peer.send(DATA)
            self.assertTrue(conversation.transport.paused)
            conversation.ask("resumeReceiving", "busy")
            self.assertFalse(conversation.transport.paused)
            self.assertEqual(conversation.user.data, [(1, 3, b"command"), (1, 2, b"data set")])

    def test_backlogFirst(self) -> None:
        """What waits is handed on before the transport is resumed."""
        conversation = self.enter(False, 6)
        conversation.ask("pauseReceiving", "busy")
        conversation.peer.send(DATA)
        paused = []
        conversation.user.reactions["fragmentsReceived"] = lambda: paused.append(conversation.transport.paused)
        conversation.ask("resumeReceiving", "busy")
        self.assertEqual(paused, [True, True])

    def test_pausedAgain(self) -> None:
        """A user that pauses within each fragment gets them one by one; the transport rests till all have gone."""
        numbered = [(1, 2, bytes((number,))) for number in range(6)]
        for size in SIZES:
            conversation = self.enter(False, 6, size)
            conversation.user.reactions["fragmentsReceived"] = lambda c=conversation: c.protocol.pauseReceiving("busy")
            conversation.peer.send(PDataTF(tuple(PDV(*value) for value in numbered)))
            for number in range(1, 7):
                self.assertEqual(conversation.user.data, numbered[:number])
                self.assertEqual(conversation.transport.paused, number < 6)
                conversation.ask("resumeReceiving", "busy")
            self.assertEqual(conversation.user.data, numbered)
            self.assertFalse(conversation.transport.paused)

    def test_resumedWithinTheCall(self) -> None:
        """A pause that is taken back within the same call is none."""
        for size in SIZES:
            conversation = self.enter(False, 6, size)

            def react(protocol: UpperLayerProtocol = conversation.protocol) -> None:
                protocol.pauseReceiving("busy")
                protocol.resumeReceiving("busy")

            conversation.user.reactions["fragmentsReceived"] = react
            conversation.peer.send(DATA, DATA, AReleaseRQ())
            self.assertEqual(len(conversation.user.data), 4)
            self.assertEqual(conversation.user.told[-1], "releaseRequested")
            self.assertFalse(conversation.transport.paused)

    def test_errorsBehindThePause(self) -> None:
        """What is wrong in the bytes that wait is answered when they are looked at."""
        conversation = self.enter(False, 6)
        conversation.ask("pauseReceiving", "busy")
        self.assertEqual(conversation.peer.send(DATA, bytes(6)), [])
        conversation.ask("resumeReceiving", "busy")
        self.assertEqual(conversation.peer.takePDUs(), [AAbort(2, 1)])
        self.assertEqual(len(conversation.user.data), 2)
        self.assertEnded(conversation, PDUError)

    def test_endWhilePaused(self) -> None:
        """When the association ends nothing of what waits is handed on, and the transport reads again."""
        for end in ("abort", "lose"):
            conversation = self.enter(False, 6)
            conversation.ask("pauseReceiving", "busy")
            conversation.peer.send(DATA, DATA)
            self.assertTrue(conversation.transport.paused)
            if end == "abort":
                conversation.ask("abort")
                self.assertFalse(conversation.transport.paused)
                conversation.peer.transport.loseConnection()
                conversation.link.flush()
            else:
                conversation.link.lose()
                # There is nobody left to be resumed.
                self.assertTrue(conversation.transport.paused)
            conversation.ask("resumeReceiving", "busy")
            self.assertEqual(conversation.user.data, [])
            self.assertFalse(conversation.link.connected)
            self.assertEqual(conversation.clock.getDelayedCalls(), [])

    def test_timeGoesOn(self) -> None:
        """A pause does not stop the timer: what we asked for has to come all the same."""
        conversation = self.enter(True, 7)
        conversation.ask("pauseReceiving", "busy")
        conversation.peer.send(AReleaseRP())
        conversation.advance(ARTIM)
        self.assertEqual(conversation.peer.takePDUs(), [AAbort(0, 0)])
        self.assertEnded(conversation, AssociationTimeout)
        self.assertFalse(conversation.transport.paused)


class UnreadTests(ConversationTestCase):
    """Peers that do not read."""

    def unread(self, state: int = 6) -> Conversation:
        """Begin a conversation whose peer reads nothing, and fill the send buffer."""
        conversation = self.enter(False, state)
        conversation.transport.capacity = 100
        conversation.peer.transport.pauseProducing()
        conversation.ask("send", PDataTF((PDV(1, 2, bytes(100)),)).encode())
        return conversation

    def test_pauses(self) -> None:
        """While our answers are not read nothing is handed on; when they are, everything is."""
        conversation = self.unread()
        conversation.peer.send(DATA)
        self.assertEqual(conversation.user.data, [])
        self.assertTrue(conversation.transport.paused)
        conversation.advance(SEND - EARLY)
        conversation.peer.transport.resumeProducing()
        conversation.link.flush()
        self.assertEqual(len(conversation.user.data), 2)
        self.assertEqual(conversation.clock.getDelayedCalls(), [])
        self.assertFalse(conversation.transport.paused)

    def test_otherReasonsStay(self) -> None:
        """A user's own reason outlasts the peer's reading, and the other way round."""
        conversation = self.unread()
        conversation.ask("pauseReceiving", "busy")
        conversation.peer.send(DATA)
        conversation.ask("resumeReceiving", "busy")
        self.assertEqual(conversation.user.data, [])
        conversation.ask("pauseReceiving", "busy")
        conversation.peer.transport.resumeProducing()
        conversation.link.flush()
        self.assertEqual(conversation.user.data, [])
        conversation.ask("resumeReceiving", "busy")
        self.assertEqual(len(conversation.user.data), 2)

    def test_cut(self) -> None:
        """A peer that goes on not reading is cut after exactly the time it has."""
        conversation = self.unread()
        conversation.advance(SEND - EARLY)
        self.assertTrue(conversation.link.connected)
        conversation.peer.send(DATA)
        conversation.advance(EARLY)
        self.assertOver(conversation, AssociationTimeout)
        self.assertEqual(conversation.user.data, [])

    def test_cutWhileStreaming(self) -> None:
        """What comes of it after that is lost, though nothing was held back for a user that paces itself."""
        conversation = self.enter(False, 6)
        conversation.protocol.streaming = True
        conversation.transport.producer.pauseProducing()
        conversation.clock.advance(SEND)
        conversation.link.client.write(DATA.encode() + AReleaseRQ().encode())
        conversation.link.flush()
        self.assertOver(conversation, AssociationTimeout)
        self.assertEqual(conversation.user.told[-1], "associationEnded")
        self.assertEqual(conversation.user.data, [])

    def test_toldTwice(self) -> None:
        """A transport that says again that its buffer is full gives the peer no more time."""
        conversation = self.enter(False, 6)
        for _ in range(2):
            conversation.transport.producer.pauseProducing()
            conversation.advance(SEND / 2)
        self.assertOver(conversation, AssociationTimeout)

    def test_eachTimeAnew(self) -> None:
        """A peer that reads in time may be as slow the next time."""
        conversation = self.unread()
        for _ in range(3):
            conversation.advance(SEND - EARLY)
            conversation.peer.transport.resumeProducing()
            conversation.link.flush()
            conversation.peer.transport.pauseProducing()
            conversation.ask("send", PDataTF((PDV(1, 2, bytes(100)),)).encode())
        conversation.advance(SEND - EARLY)
        self.assertTrue(conversation.link.connected)
        conversation.advance(EARLY)
        self.assertOver(conversation, AssociationTimeout)

    def test_end(self) -> None:
        """A peer that does not read even our A-ABORT is cut when ARTIM has run out."""
        conversation = self.unread()
        conversation.ask("abort")
        conversation.advance(ARTIM - EARLY)
        self.assertTrue(conversation.link.connected)
        conversation.advance(EARLY)
        self.assertOver(conversation, AssociationAborted)

    def test_lost(self) -> None:
        """No timer is left when the connection goes meanwhile."""
        conversation = self.unread()
        conversation.link.lose()
        self.assertEqual(conversation.clock.getDelayedCalls(), [])
        self.assertEqual(conversation.state, State.IDLE)
