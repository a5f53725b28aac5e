"""
Tests for `txdicom.upperlayer.protocol`: what it does about every PDU, primitive and loss, in every state there is.

What should happen is derived from the table that `tests.test_machine` has typed, so that table, code and wire agree.
The questions of who decides, who waits, and who holds back are in the files beside this one.
"""

from __future__ import annotations

from twisted.internet.error import ConnectionDone
from zope.interface.verify import verifyObject

from tests.conversations import (
    AC,
    CASES,
    DATA,
    PATHS,
    RJ,
    RQ,
    SIZES,
    Conversation,
    ConversationTestCase,
    RecordingUser,
)
from tests.test_machine import CELLS, CHOICES
from txdicom.errors import (
    AbortReason,
    AssociationAborted,
    AssociationLost,
    AssociationRejected,
    LocalProtocolError,
    MessageError,
    PDUError,
)
from txdicom.interfaces import IPDUReceiver, IUpperLayerUser
from txdicom.upperlayer.machine import State
from txdicom.upperlayer.pdu import AAbort, AReleaseRP, AReleaseRQ

#: Event -> a PDU that brings it about. The A-ABORT has a source and a reason that the standard does not have.
PDUS = {3: AC, 4: RJ, 6: RQ, 10: DATA, 12: AReleaseRQ(), 13: AReleaseRP(), 16: AAbort(1, 77)}
#: What is no PDU, and the reason of the A-ABORT that answers it where one does.
INVALID = {
    b"\x09\0\0\0\0\4abcd": AbortReason.UNRECOGNIZED_PDU,
    b"\0\0\xff\xff\xff\xff": AbortReason.UNRECOGNIZED_PDU,
    b"\x01\0\0\0\0\x43": AbortReason.INVALID_PDU_PARAMETER_VALUE,
    b"\x01\0\xff\xff\xff\xff": AbortReason.INVALID_PDU_PARAMETER_VALUE,
    b"\x04\0\xff\xff\xff\xff": AbortReason.INVALID_PDU_PARAMETER_VALUE,
    b"\x04\0\0\0\4\1": AbortReason.INVALID_PDU_PARAMETER_VALUE,
    b"\x07\0\0\0\0\5abcde": AbortReason.INVALID_PDU_PARAMETER_VALUE,
}
#: What is said to the user by which action.
INDICATIONS = {
    "AE-3": ["associationEstablished"],
    "AE-4": ["associationEnded"],
    "AE-6": ["associationRequested"],
    "AR-2": ["releaseRequested"],
    "AR-3": ["associationEnded"],
    "AR-8": ["releaseRequested"],
    "AA-1": ["associationEnded"],
    "AA-3": ["associationEnded"],
    "AA-8": ["associationEnded"],
}
#: Why the association ended by which action.
REASONS = {
    "AE-4": AssociationRejected,
    "AR-3": ConnectionDone,
    "AA-1": PDUError,
    "AA-2": AssociationAborted,
    "AA-3": AssociationAborted,
    "AA-8": PDUError,
}
CLOSING = ("AE-4", "AR-3", "AA-2", "AA-3")
#: Primitive of the user -> the event it is.
PRIMITIVES = {"send": 9, "requestRelease": 11, "acceptRelease": 14}
ANY_END = (AssociationAborted, AssociationLost, AssociationRejected, ConnectionDone, PDUError)


class ReceivedPDUTests(ConversationTestCase):
    """What a PDU does, in every state in which one can come."""

    def assertAction(
        self, requestor: bool, state: int, size: int | None, event: int, data: bytes, reason: AbortReason
    ) -> None:
        """
        Assert that bytes from the peer do what the table has for them.

        :param reason: of the A-ABORT, where the table has one for it.
        """
        action, following = CELLS[event, state]
        conversation = self.enter(requestor, state, size)
        user = conversation.user
        told = list(user.told)
        indications = INDICATIONS.get(action, [])
        if action == "AA-2" and state == 2:
            indications = ["associationEnded"]
        answers = conversation.peer.send(data)
        aborted = action in ("AA-1", "AA-7", "AA-8")
        self.assertEqual(answers, [AAbort(*reason.value)] if aborted else [])
        expected = following[0] if len(following) == 1 else CHOICES[action, requestor]
        self.assertEqual(conversation.state, expected)
        self.assertEqual(user.told, told + indications)
        self.assertEqual(user.data, [(1, 3, b"command"), (1, 2, b"data set")] if action in ("DT-2", "AR-6") else [])
        self.assertEqual(conversation.link.connected, action not in CLOSING)
        if indications == ["associationEnded"]:
            error = self.assertEnded(conversation, REASONS[action])
            if isinstance(error, PDUError):
                self.assertEqual(error.reason, reason)
        conversation.link.lose()
        self.assertOver(conversation, *ANY_END)

    def test_everyPDUInEveryState(self) -> None:
        """The table is followed: on the wire, towards the user, and for the connection."""
        for requestor, state, size in CASES:
            for event, pdu in PDUS.items():
                with self.subTest(requestor=requestor, state=state, size=size, pdu=pdu):
                    self.assertAction(requestor, state, size, event, pdu.encode(), AbortReason.UNEXPECTED_PDU)

    def test_invalidPDUsInEveryState(self) -> None:
        """What is no PDU ends the association, with the reason that says why."""
        for requestor, state, size in CASES:
            for data, reason in INVALID.items():
                with self.subTest(requestor=requestor, state=state, size=size, data=data):
                    self.assertAction(requestor, state, size, 19, data, reason)

    def test_unexpectedBeforeTheBody(self) -> None:
        """A PDU that has no place in the present state is answered at its header, without waiting for its body."""
        for requestor, state in PATHS:
            for event, pdu in PDUS.items():
                if CELLS[event, state][0] in ("AA-1", "AA-8"):
                    conversation = self.enter(requestor, state)
                    self.assertEqual(conversation.peer.send(pdu.encode()[:5]), [])
                    self.assertEqual(conversation.peer.send(pdu.encode()[5:6]), [AAbort(2, 2)])
                    self.assertIn("state", str(self.assertEnded(conversation, PDUError)))

    def test_undecodableBodies(self) -> None:
        """A PDU that is expected but cannot be decoded is answered with the reason of what is wrong with it."""
        wrongItem = AC.encode().replace(b"\x21\0", b"\x20\0", 1)
        cutItem = RQ.encode()[:-1]
        cutItem = cutItem[:2] + (len(cutItem) - 6).to_bytes(4, "big") + cutItem[6:]
        for requestor, state, data, reason in (
            (True, 5, wrongItem, AbortReason.UNEXPECTED_PDU_PARAMETER),
            (False, 2, cutItem, AbortReason.INVALID_PDU_PARAMETER_VALUE),
        ):
            for size in SIZES:
                conversation = self.enter(requestor, state, size)
                self.assertEqual(conversation.peer.send(data), [AAbort(*reason.value)])
                self.assertEqual(self.assertEnded(conversation, PDUError).reason, reason)
                self.assertNotIn("associationRequested", conversation.user.told)

    def test_reservedBytes(self) -> None:
        """Reserved fields mean nothing, whatever they hold."""
        for size in SIZES:
            conversation = Conversation(False, size)
            conversation.user.decision = lambda request: AC
            request = bytearray(RQ.encode())
            request[1] = 0xFF
            request[8:10] = b"\xff\xff"
            request[42:74] = b"\xff" * 32
            self.assertEqual(conversation.peer.send(bytes(request)), [AC])
            data = bytearray(DATA.encode())
            data[1] = 0xFF
            conversation.peer.send(bytes(data))
            self.assertEqual(conversation.user.data, [(1, 3, b"command"), (1, 2, b"data set")])
            self.assertEqual(conversation.peer.send(b"\5\xff\0\0\0\4\xff\xff\xff\xff"), [])
            self.assertEqual(conversation.state, State.AWAITING_LOCAL_RELEASE)
            conversation.peer.send(b"\7\xff\0\0\0\4\xff\xff\2\6")
            error = self.assertOver(conversation, AssociationAborted)
            self.assertEqual((error.source, error.reason, error.byPeer), (2, 6, True))

    def test_reservedBytesOfAnswers(self) -> None:
        """Likewise what the acceptor of an association answers."""
        conversation = Conversation(True)
        conversation.peer.takePDUs()
        response = bytearray(AC.encode())
        response[1] = 0xFF
        response[8:74] = b"\xff" * 66
        conversation.peer.send(bytes(response))
        self.assertEqual(conversation.state, State.ESTABLISHED)
        conversation.ask("requestRelease")
        conversation.peer.send(b"\6\xff\0\0\0\4\xff\xff\xff\xff")
        self.assertOver(conversation, ConnectionDone)

    def test_rejectionAsItCame(self) -> None:
        """A rejection is told with its three numbers, also if the standard does not have them."""
        conversation = self.enter(True, 5)
        conversation.peer.send(b"\3\xff\0\0\0\4\xff\x05\x06\x07")
        error = self.assertOver(conversation, AssociationRejected)
        self.assertEqual((error.result, error.source, error.reason), (5, 6, 7))

    def test_nothingCountsAfterTheEnd(self) -> None:
        """Whatever comes in one read behind what ended the association is lost in silence."""
        for trailing in (*[pdu.encode() for pdu in PDUS.values()], *INVALID, b"\4\0", bytes(1000)):
            for requestor, state in PATHS:
                for event, pdu in PDUS.items():
                    action = CELLS[event, state][0]
                    if action not in (*CLOSING, "AA-1", "AA-8"):
                        continue
                    conversation = self.enter(requestor, state)
                    answers = conversation.peer.send(pdu.encode() + trailing)
                    self.assertEqual(answers, [] if action in CLOSING else [AAbort(2, 2)])
                    self.assertEqual(conversation.user.told.count("associationEnded"), 1)
                    self.assertEqual(conversation.user.data, [])
                    conversation.link.lose()
                    self.assertOver(conversation, *ANY_END)

    def test_silentAfterOurAbort(self) -> None:
        """When we have aborted nothing is answered any more, and we wait for the peer to close."""
        for event, pdu in PDUS.items():
            conversation = self.enter(False, 6)
            conversation.ask("abort")
            self.assertEqual(conversation.peer.send(pdu), [AAbort(0, 0)], event)
            self.assertEqual(conversation.state, State.AWAITING_CLOSE)
            conversation.peer.transport.loseConnection()
            conversation.link.flush()
            self.assertOver(conversation, AssociationAborted)

    def test_dataAfterRejection(self) -> None:
        """Data that a peer sends although it was rejected reaches nobody, and is not answered."""
        for size in SIZES:
            conversation = self.enter(False, 13, size)
            self.assertEqual(conversation.peer.send(DATA, DATA), [])
            self.assertEqual(conversation.user.data, [])
            self.assertEqual(conversation.state, State.AWAITING_CLOSE)


class ErrorsOfTheUserTests(ConversationTestCase):
    """What the user raises from within an indication."""

    def test_fragmentsReceived(self) -> None:
        """An error of the user's becomes an A-ABORT: with the error's own code, or source provider if it has none."""
        for error, wire, logged in (
            (PDUError(AbortReason.INVALID_PDU_PARAMETER_VALUE, "context"), AAbort(2, 6), 0),
            (MessageError("no command"), AAbort(0, 0), 0),
            (ZeroDivisionError("a bug"), AAbort(2, 0), 1),
        ):

            def fail(error: Exception = error) -> None:
                raise error

            for size in SIZES:
                conversation = self.enter(False, 6, size)
                conversation.user.reactions["fragmentsReceived"] = fail
                self.assertEqual(conversation.peer.send(DATA, DATA), [wire])
                reason = self.assertEnded(conversation, AssociationAborted, PDUError, MessageError)
                self.assertIn(str(error), str(reason))
                self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), logged)
                conversation.link.lose()
                self.assertOver(conversation, type(reason))

    def test_everyIndication(self) -> None:
        """A user that fails in an indication loses the association, and the connection with it, in either role."""
        for requestor, state, pdu, name in (
            (False, 2, RQ, "associationEstablished"),
            (True, 5, AC, "associationEstablished"),
            (False, 6, AReleaseRQ(), "releaseRequested"),
            (True, 7, AReleaseRQ(), "releaseRequested"),
        ):
            conversation = self.enter(requestor, state)
            conversation.user.decision = lambda request: AC
            conversation.user.reactions[name] = lambda: 1 / 0
            self.assertEqual(conversation.peer.send(pdu)[-1:], [AAbort(2, 0)], (requestor, name))
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            conversation.link.lose()
            self.assertOver(conversation, AssociationAborted)

    def test_associationEnded(self) -> None:
        """A user that fails when it is told of the end does not keep the connection open."""
        for requestor, state in PATHS:
            if state == 13:
                continue
            conversation = self.enter(requestor, state)
            conversation.user.reactions["associationEnded"] = lambda: 1 / 0
            conversation.peer.send(AAbort(0, 0))
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            self.assertOver(conversation, AssociationAborted)
            conversation = self.enter(requestor, state)
            conversation.user.reactions["associationEnded"] = lambda: 1 / 0
            conversation.link.lose()
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            self.assertOver(conversation, AssociationLost)


class PrimitiveTests(ConversationTestCase):
    """What the user may ask for, in every state."""

    def test_user(self) -> None:
        """The doubles used here, and what is under test, provide what they say."""
        verifyObject(IUpperLayerUser, RecordingUser())
        verifyObject(IPDUReceiver, Conversation(False).protocol)

    def test_empties(self) -> None:
        """Where the table has no cell the caller is told, and neither the state nor the wire changes."""
        for requestor, state in PATHS:
            for primitive, event in PRIMITIVES.items():
                # The acceptor in State 10 may answer before its turn: the answer is kept.
                if (event, state) in CELLS or (primitive, state) == ("acceptRelease", 10):
                    continue
                conversation = self.enter(requestor, state)
                arguments = (DATA.encode(),) if primitive == "send" else ()
                before = list(conversation.user.told)
                self.assertRaises(LocalProtocolError, conversation.ask, primitive, *arguments)
                self.assertEqual(conversation.state, state)
                self.assertEqual(conversation.peer.takePDUs(), [])
                self.assertEqual(conversation.user.told, before)
                self.assertTrue(conversation.link.connected)

    def test_afterTheEnd(self) -> None:
        """When it is all over data and releases are refused, and an abort is not worth a word."""
        conversation = self.enter(False, 6)
        conversation.link.lose()
        for primitive in PRIMITIVES:
            arguments = (b"",) if primitive == "send" else ()
            self.assertRaises(LocalProtocolError, conversation.ask, primitive, *arguments)
        conversation.ask("abort")
        conversation.ask("pauseReceiving", "late")
        conversation.ask("resumeReceiving", "late")
        self.assertOver(conversation, AssociationLost)

    def test_send(self) -> None:
        """Data goes out as it was given, when established and also when the peer wants to release."""
        for requestor in (False, True):
            for state in (6, 8):
                for size in SIZES:
                    conversation = self.enter(requestor, state, size)
                    conversation.ask("send", DATA.encode() * 2)
                    self.assertEqual(conversation.peer.takePDUs(), [DATA, DATA])
                    self.assertEqual(conversation.state, state)

    def test_abortInEveryState(self) -> None:
        """An abort is sent as the service user's, wherever there is anybody to send it to."""
        for requestor, state, size in CASES:
            if state == 13:
                continue
            conversation = self.enter(requestor, state, size)
            error = MessageError("enough")
            conversation.ask("abort", error)
            self.assertIs(self.assertEnded(conversation, MessageError), error)
            self.assertEqual(conversation.peer.takePDUs(), [AAbort(0, 0)] if state != 2 else [])
            conversation.ask("abort")
            self.assertEqual(conversation.peer.takePDUs(), [])
            self.assertEqual(conversation.link.connected, state != 2)
            conversation.link.lose()
            self.assertOver(conversation, MessageError)

    def test_abortWithoutReason(self) -> None:
        """An abort for no reason given is told as what went over the wire."""
        for requestor, state in PATHS:
            if state == 13:
                continue
            conversation = self.enter(requestor, state)
            conversation.ask("abort")
            error = self.assertEnded(conversation, AssociationAborted)
            self.assertEqual((error.source, error.reason, error.byPeer), (0, 0, False))

    def test_abortBeforeAnyRequestIsFinal(self) -> None:
        """A request that was on its way when we cut the connection reaches nobody."""
        conversation = self.enter(False, 2)
        conversation.peer.transport.write(RQ.encode())
        conversation.ask("abort")
        self.assertOver(conversation, AssociationAborted)

    def test_abortInState13(self) -> None:
        """When the association is over an abort sends nothing more."""
        for requestor in (False, True):
            conversation = self.enter(requestor, 13)
            conversation.ask("abort")
            self.assertEqual(conversation.peer.takePDUs(), [])
            self.assertEqual(conversation.state, State.AWAITING_CLOSE)

    def test_abortFromWithinEachIndication(self) -> None:
        """An abort from within an indication is the end: nothing is said after it."""
        for requestor, state, pdu, name in (
            (False, 2, RQ, "associationRequested"),
            (False, 2, RQ, "associationEstablished"),
            (True, 5, AC, "associationEstablished"),
            (False, 6, DATA, "fragmentsReceived"),
            (True, 6, AReleaseRQ(), "releaseRequested"),
            (True, 6, AAbort(0, 0), "associationEnded"),
        ):
            conversation = self.enter(requestor, state)
            conversation.user.decision = lambda request: AC
            conversation.user.reactions[name] = conversation.protocol.abort
            answers = conversation.peer.send(pdu.encode() + DATA.encode())
            self.assertEqual([a for a in answers if a != AC], [] if name == "associationEnded" else [AAbort(0, 0)])
            self.assertLessEqual(len(conversation.user.data), 1 if name == "fragmentsReceived" else 0)
            conversation.link.lose()
            self.assertOver(conversation, AssociationAborted)


class LossTests(ConversationTestCase):
    """Connections that go away."""

    def test_inEveryState(self) -> None:
        """The user is told, once, and nothing is left of the connection."""
        for requestor, state, size in CASES:
            conversation = self.enter(requestor, state, size)
            before = list(conversation.user.reasons)
            conversation.link.lose()
            if state == 13:
                self.assertEqual(conversation.user.reasons, before)
                self.assertOver(conversation, AssociationRejected, ConnectionDone)
            else:
                self.assertIn("abort", str(self.assertOver(conversation, AssociationLost)))

    def test_orderlyCloseIsALossAsWell(self) -> None:
        """A peer that closes its connection without a release has lost it."""
        for requestor, state in PATHS:
            if state == 13:
                continue
            conversation = self.enter(requestor, state)
            conversation.peer.transport.loseConnection()
            conversation.link.flush()
            self.assertOver(conversation, AssociationLost)

    def test_inTheMiddle(self) -> None:
        """A connection may go at any byte of a conversation."""
        stream = RQ.encode() + DATA.encode() + AReleaseRQ().encode()
        for end in range(len(stream)):
            conversation = Conversation(False)
            conversation.user.decision = lambda request: AC
            conversation.user.reactions["releaseRequested"] = conversation.protocol.acceptRelease
            conversation.peer.send(stream[:end])
            self.assertEqual(conversation.user.reasons, [])
            conversation.link.lose()
            self.assertOver(conversation, AssociationLost)
