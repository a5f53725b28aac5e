"""
Tests for `txdicom.upperlayer.protocol`: how the user of an acceptor answers a request, and what the requestor gets.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock

from tests.conversations import AC, CONFIGURATION, DATA, RJ, RQ, SIZES, Conversation, ConversationTestCase
from txdicom.configuration import Configuration
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.errors import (
    AssociationAborted,
    AssociationLost,
    AssociationRejected,
    AssociationTimeout,
    LocalProtocolError,
)
from txdicom.services.verification import VerificationService
from txdicom.testing import connectRaw
from txdicom.uids import VERIFICATION
from txdicom.upperlayer.items import UserInformation
from txdicom.upperlayer.machine import State
from txdicom.upperlayer.negotiation import AcceptorPolicy, negotiate
from txdicom.upperlayer.pdu import AAbort, AAssociateAC, AAssociateRJ, AAssociateRQ

#: What a peer gets when we cannot decide: rejected transient, provider (presentation), temporary congestion.
CONGESTION = AAssociateRJ(2, 3, 1)


class DecidingTests(ConversationTestCase):
    """Every way to answer `associationRequested`."""

    def decided(self, decision: Any, size: int | None = None) -> tuple[Conversation, list[Any]]:
        """Have a request answered by a function; return the conversation and what the peer got."""
        conversation = Conversation(False, size)
        conversation.user.decision = decision
        return conversation, conversation.peer.send(RQ)

    def test_accepted(self) -> None:
        """An acceptance may come as a value, a Deferred or a coroutine, now or later."""

        async def coroutine(request: AAssociateRQ) -> AAssociateAC:
            return AC

        async def waiting(request: AAssociateRQ) -> AAssociateAC:
            await later
            return AC

        for size in SIZES:
            later: Deferred[None] = Deferred()
            for decision in (lambda request: AC, lambda request: succeed(AC), coroutine, waiting):
                conversation, answers = self.decided(decision, size)
                if decision is waiting:
                    self.assertEqual(answers, [])
                    self.assertEqual(conversation.state, State.AWAITING_LOCAL_RESPONSE)
                    later.callback(None)
                    conversation.link.flush()
                    answers = conversation.peer.takePDUs()
                self.assertEqual(answers, [AC])
                self.assertEqual(conversation.user.told, ["associationRequested", "associationEstablished"])
                self.assertEqual((conversation.user.request, conversation.user.response), (RQ, AC))
                self.assertEqual(conversation.clock.getDelayedCalls(), [])

    def test_rejected(self) -> None:
        """A rejection is sent with its own numbers, and is the end."""
        for decision in (lambda request: RJ, lambda request: succeed(RJ)):
            conversation, answers = self.decided(decision)
            self.assertEqual(answers, [RJ])
            error = self.assertEnded(conversation, AssociationRejected)
            self.assertEqual((error.result, error.source, error.reason), (RJ.result, RJ.source, RJ.reason))
            self.assertEqual(conversation.state, State.AWAITING_CLOSE)

    def test_rejectedWhilePaused(self) -> None:
        """What waited behind a pause is kept no longer, nor is what comes after it, and handed to nobody."""
        later: Deferred[AAssociateRJ] = Deferred()
        conversation, answers = self.decided(lambda request: later)
        conversation.ask("pauseReceiving", "busy")
        self.assertEqual((answers, conversation.peer.send(DATA)), ([], []))
        later.callback(RJ)
        conversation.link.flush()
        self.assertEqual(conversation.peer.takePDUs(), [RJ])
        self.assertEqual(conversation.peer.send(DATA), [])
        self.assertFalse(conversation.protocol._parser.backlogged)
        self.assertFalse(conversation.transport.paused)
        self.assertEnded(conversation, AssociationRejected)
        self.assertEqual(conversation.user.data, [])

    def test_failed(self) -> None:
        """A decision that fails is logged, and the peer may try again later."""

        def raising(request: AAssociateRQ) -> AAssociateAC:
            raise ZeroDivisionError

        async def coroutine(request: AAssociateRQ) -> AAssociateAC:
            raise ZeroDivisionError

        for decision in (raising, coroutine, lambda request: fail(ZeroDivisionError())):
            conversation, answers = self.decided(decision)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            self.assertEqual(answers, [CONGESTION])
            self.assertEnded(conversation, AssociationRejected)

    def test_cancelledByTheUser(self) -> None:
        """A user that cancels its own work has failed to decide, like any other."""
        conversation, answers = self.decided(lambda request: fail(CancelledError()))
        self.assertEqual(len(self.flushLoggedErrors(CancelledError)), 1)
        self.assertEqual(answers, [CONGESTION])
        self.assertEnded(conversation, AssociationRejected)

    def test_nonsense(self) -> None:
        """What is no decision, or cannot be put on the wire, is logged, and the peer is not kept waiting."""
        tooLong = replace(AC, userInformation=UserInformation(implementationVersionName="x" * 17))
        for decision, error in (
            (None, AttributeError),
            (True, AttributeError),
            (tooLong, LocalProtocolError),
            (replace(AC, calledAETitle="x" * 17), LocalProtocolError),
            (AAssociateRJ(1, 1, 256), LocalProtocolError),
        ):
            conversation, answers = self.decided(lambda request, decision=decision: decision)
            self.assertEqual(len(self.flushLoggedErrors(error)), 1, decision)
            self.assertEqual(answers, [CONGESTION], decision)
            self.assertEqual(conversation.user.told, ["associationRequested", "associationEnded"])
            self.assertEnded(conversation, AssociationRejected)

    def test_tooLate(self) -> None:
        """A decision that comes when the association is over changes nothing."""
        for decision in (AC, RJ):
            for end in ("lose", "abort", "peer"):
                late: Deferred[Any] = Deferred(lambda waiting, decision=decision: waiting.callback(decision))
                conversation, answers = self.decided(lambda request, late=late: late)
                self.assertEqual(answers, [])
                if end == "lose":
                    conversation.link.lose()
                elif end == "abort":
                    conversation.ask("abort")
                else:
                    conversation.peer.send(AAbort(0, 0))
                self.assertNotIn("associationEstablished", conversation.user.told)
                self.assertNotIn(decision, conversation.peer.takePDUs())
                conversation.link.lose()
                self.assertOver(conversation, AssociationAborted, AssociationLost)

    def test_cancelled(self) -> None:
        """When the association ends while it is being decided on, the Deferred is cancelled, quietly."""
        for end in ("lose", "abort", "peer", "time"):
            cancelled: list[Deferred[Any]] = []
            conversation = Conversation(False)
            conversation.user.decision = lambda request, cancelled=cancelled: Deferred(cancelled.append)
            conversation.peer.send(RQ)
            self.assertEqual(cancelled, [])
            if end == "lose":
                conversation.link.lose()
            elif end == "abort":
                conversation.ask("abort")
            elif end == "peer":
                conversation.peer.send(AAbort(0, 0))
            else:
                conversation.advance(CONFIGURATION.artimTimeout)
            self.assertEqual(len(cancelled), 1, end)
            self.assertEnded(conversation, AssociationAborted, AssociationLost, AssociationTimeout)
            conversation.link.lose()
            self.assertEqual(conversation.clock.getDelayedCalls(), [])

    def test_usedAtOnce(self) -> None:
        """A user may send, or ask for a release, as soon as it is told that the association is there."""
        for requestor in (False, True):
            conversation = Conversation(requestor)
            conversation.user.decision = lambda request: AC
            conversation.user.reactions["associationEstablished"] = conversation.protocol.requestRelease
            conversation.peer.takePDUs()
            answers = conversation.peer.send(AC if requestor else RQ)
            self.assertEqual([type(pdu).__name__ for pdu in answers][-1], "AReleaseRQ")
            self.assertEqual(answers[:-1], [] if requestor else [AC])


class RequestTests(ConversationTestCase):
    """The requestor's side."""

    def test_requests(self) -> None:
        """The request goes out as soon as there is a connection, and nothing else does."""
        for size in SIZES:
            conversation = Conversation(True, size)
            self.assertEqual(conversation.peer.takePDUs(), [RQ])
            self.assertEqual(conversation.state, State.AWAITING_ASSOCIATE_AC)
            self.assertTrue(conversation.protocol.isRequestor)
            self.assertEqual(conversation.user.told, [])

    def test_accepted(self) -> None:
        """The user is given the request and the answer."""
        for size in SIZES:
            conversation = Conversation(True, size)
            conversation.peer.send(AC)
            self.assertEqual((conversation.user.request, conversation.user.response), (RQ, AC))
            self.assertEqual(conversation.clock.getDelayedCalls(), [])

    def test_rejected(self) -> None:
        """A rejection closes the connection at once."""
        for size in SIZES:
            conversation = Conversation(True, size)
            conversation.peer.send(RJ)
            self.assertEqual(str(self.assertOver(conversation, AssociationRejected)).count("2"), 2)

    def test_impossibleRequest(self) -> None:
        """A request that cannot be put on the wire is told where the connection is made."""
        impossible = replace(RQ, callingAETitle="x" * 17)
        self.assertRaises(LocalProtocolError, Conversation, True, None, CONFIGURATION, impossible)


class TitleTests(ConversationTestCase):
    """AE titles."""

    titles = (
        (b"STORESCP        ", b"STORESCU        "),
        (b"  LEADING       ", b"   SPACES       "),
        (b"NUL\0\0\0\0\0\0\0\0\0\0\0\0\0", b"\0" * 16),
        (b"SPACE THEN NUL \0", b"NUL THEN SPACE\0 "),
        (b" " * 16, b" " * 16),
        (b"\xc4\xd6\xdc\xdf\xe4\xf6\xfc\xff\x80\x9f      ", b"\x01\x02\\\r\n\t        \x7f "),
    )

    def test_echoed(self) -> None:
        """An acceptance carries the titles of the request and the reserved bytes behind them, byte for byte."""
        clock = Clock()
        for called, calling in self.titles:
            for size in SIZES:
                factory = AcceptorFactory([VerificationService()], Configuration(), clock)
                peer = connectRaw(factory, size)
                request = RQ.encode()
                reserved = bytes(range(1, 33))
                peer.transport.write(request[:10] + called + calling + reserved + request[74:])
                peer.link.flush()
                self.assertEqual(peer.received[:1], b"\2")
                self.assertEqual(peer.received[10:74], called + calling + reserved)
                peer.link.lose()
                self.assertEqual(factory.associations, set())
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_negotiated(self) -> None:
        """Likewise where a user negotiates by itself."""
        policy = AcceptorPolicy(presentationContexts={VERIFICATION: ("1.2.840.10008.1.2",)}, maximumLength=0)
        for called, calling in self.titles:
            conversation = Conversation(False)
            conversation.user.decision = lambda request: negotiate(request, policy)
            request = RQ.encode()
            conversation.peer.transport.write(request[:10] + called + calling + request[42:])
            conversation.link.flush()
            self.assertEqual(conversation.peer.received[10:42], called + calling)
