"""
Tests of connections that are closed without a word: `UpperLayerProtocol.drop` and `Association.drop`.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock

from tests.conversations import AC, DATA, PATHS, RQ, Conversation, ConversationTestCase
from tests.headvectors import EXPLICIT_LITTLE
from tests.scripted import CT, INSTANCE, PROPOSED, dataSet
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.errors import AbortReason, AssociationAborted, AssociationLost, AssociationRejected, MessageError, PDUError
from txdicom.services.storage import StorageService, store
from txdicom.testing import RecordingStore, associateRQ, connectInMemory, requestor
from txdicom.upperlayer.machine import State
from txdicom.upperlayer.pdu import AAbort, AAssociateRJ, AReleaseRP, AReleaseRQ


class DropTests(ConversationTestCase):
    """`UpperLayerProtocol.drop` and `Association.drop`."""

    def test_dropInEveryState(self) -> None:
        """Nothing is sent, the connection is closed at once, and the user is told, once."""
        for isRequestor, state in PATHS:
            conversation = self.enter(isRequestor, state)
            told = list(conversation.user.told)
            conversation.protocol.drop()
            self.assertTrue(conversation.transport.aborted)
            conversation.link.flush()
            self.assertEqual(conversation.peer.takePDUs(), [])
            self.assertTrue(conversation.peer.lost)
            if state == State.AWAITING_CLOSE:
                self.assertEqual(conversation.user.told, told)
                self.assertOver(conversation, ConnectionDone, AssociationRejected)
            else:
                self.assertEqual(conversation.user.told, [*told, "associationEnded"])
                self.assertOver(conversation, AssociationLost)

    def test_dropWithinEveryIndication(self) -> None:
        """Whatever came with it is lost."""
        for isRequestor, state, pdu, indication in (
            (False, 2, RQ, "associationRequested"),
            (True, 5, AC, "associationEstablished"),
            (False, 6, DATA, "fragmentsReceived"),
            (True, 6, AReleaseRQ(), "releaseRequested"),
        ):
            conversation = self.enter(isRequestor, state)
            conversation.user.reactions[indication] = conversation.protocol.drop
            self.assertEqual(conversation.peer.send(pdu.encode() + DATA.encode() + AAbort(0, 0).encode()), [])
            self.assertEqual(conversation.user.data, [(1, 3, b"command")] if pdu is DATA else [])
            self.assertOver(conversation, AssociationLost)

    def test_errorsBehindIt(self) -> None:
        """What the user raises after that is told to nobody: neither the peer nor the user."""
        for isRequestor, state, pdu, indication in (
            (False, 2, RQ, "associationRequested"),
            (True, 5, AC, "associationEstablished"),
            (False, 6, DATA, "fragmentsReceived"),
            (True, 6, AReleaseRQ(), "releaseRequested"),
        ):
            for error in (PDUError(AbortReason.NOT_SPECIFIED, "too late"), MessageError("too late")):
                conversation = self.enter(isRequestor, state)

                def dropAndRaise(conversation: Conversation = conversation, error: Exception = error) -> None:
                    conversation.protocol.drop()
                    raise error

                conversation.user.reactions[indication] = dropAndRaise
                self.assertEqual(conversation.peer.send(pdu), [])
                self.assertOver(conversation, AssociationLost)

    def test_dropEndsAllThatWaits(self) -> None:
        """A decision that is not made, a peer that does not read, data that is held back."""
        cancelled: list[object] = []
        conversation = Conversation(False)
        conversation.user.decision = lambda request: Deferred(cancelled.append)
        conversation.peer.send(RQ)
        conversation.protocol.drop()
        self.assertEqual(len(cancelled), 1)
        conversation.link.flush()
        self.assertOver(conversation, AssociationLost)
        conversation = self.enter(False, 6)
        conversation.transport.capacity = 10
        conversation.protocol.pauseReceiving("a test")
        conversation.link.client.write(DATA.encode())
        conversation.link.flush()
        self.assertTrue(conversation.transport.paused)
        conversation.protocol.send(DATA.encode())
        conversation.protocol.drop()
        conversation.link.flush()
        self.assertEqual(conversation.user.data, [])
        self.assertEqual(conversation.peer.takePDUs(), [])
        self.assertOver(conversation, AssociationLost)

    def test_dropOfWhatIsClosed(self) -> None:
        """Nothing happens twice, and nothing without a connection."""
        conversation = self.enter(False, 6)
        for _ in range(2):
            conversation.protocol.drop()
        conversation.link.flush()
        conversation.protocol.drop()
        conversation.protocol.abort()
        self.assertOver(conversation, AssociationLost)
        requestor(conversation.clock).drop()
        self.assertEqual(conversation.clock.getDelayedCalls(), [])

    def test_dropOfAnAssociation(self) -> None:
        clock = Clock()
        factory = AcceptorFactory([StorageService(RecordingStore())], clock=clock)
        association = requestor(clock, associateRQ(PROPOSED))
        link = connectInMemory(factory, association)
        (accepted,) = factory.associations
        answer = store(association, CT, INSTANCE, EXPLICIT_LITTLE, dataSet())
        association.drop()
        link.flush()
        self.failureResultOf(answer, AssociationLost)
        self.successResultOf(association.whenEnded())
        self.successResultOf(accepted.whenEnded())
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_connectionLostWithinTheEnd(self) -> None:
        """Whoever is told that the association is over may cut the connection, as the network may: nothing is left."""
        for isRequestor, state, pdu, reason in (
            (True, 5, AAssociateRJ(1, 1, 1), AssociationRejected),
            (True, 6, AAbort(0, 0), AssociationAborted),
            (False, 6, b"\xff" * 6, PDUError),
            (True, 7, AReleaseRP(), ConnectionDone),
        ):
            conversation = self.enter(isRequestor, state)
            conversation.user.reactions["associationEnded"] = conversation.link.lose
            self.assertEqual(conversation.peer.send(pdu), [])
            self.assertOver(conversation, reason)
        conversation = self.enter(False, 6)
        conversation.user.reactions["releaseRequested"] = conversation.protocol.acceptRelease
        conversation.user.reactions["associationEnded"] = conversation.link.lose
        self.assertEqual(conversation.peer.send(AReleaseRQ()), [])
        self.assertOver(conversation, ConnectionDone)
        self.assertEqual(self.flushLoggedErrors(), [])
