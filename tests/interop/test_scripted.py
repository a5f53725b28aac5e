"""What no sender does by itself: PDUs and messages that pynetdicom encodes, sent one by one."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from tests.interop.case import VERIFICATION, ReceiverTestCase
from tests.interop.corpus import namedFiles
from tests.interop.peers import requireModule, run
from tests.interop.rawsender import ABORT_REQUEST, RELEASE_REQUEST, RawSender
from tests.interop.scripts import associatePrimitive, associateRequest, dimseRequest
from tests.interop.wire import ABORT, AC, DATA, RELEASE_RP, RELEASE_RQ, RJ, RQ, Exchange, pdus

_CT = "1.2.840.10008.5.1.4.1.1.2"
_UNRECOGNIZED_OPERATION = 0x0211


class ScriptedTests(ReceiverTestCase):
    """Rejections and refusals."""

    modules = ("pynetdicom",)

    def assertRejected(self, request: bytes, result: int, source: int, reason: int) -> None:
        """A request for association is rejected with these codes."""
        with RawSender(self.relay.port) as sender:
            sender.send(request)
            rejection = requireModule("pynetdicom.pdu").A_ASSOCIATE_RJ()
            rejection.decode(sender.receive())
        self.assertEqual((rejection.result, rejection.source, rejection.reason_diagnostic), (result, source, reason))
        (conversation,) = self.conversations()
        self.assertEqual(Exchange(conversation).kinds, ([RQ], [RJ]))

    def test_wrongApplicationContext(self) -> None:
        """Another application context is rejected: permanent, service user, name not supported."""
        primitive = associatePrimitive()
        primitive.application_context_name = "1.2.840.10008.3.1.1.2"
        self.assertRejected(associateRequest(primitive), 1, 1, 2)

    def test_wrongProtocolVersion(self) -> None:
        """A protocol version without bit 0 is rejected: permanent, service provider (ACSE), version not supported."""
        for version in (0x0000, 0x0002, 0xFFFE):
            self.assertRejected(associateRequest(protocol_version=version), 1, 2, 2)

    def test_laterProtocolVersion(self) -> None:
        """Only bit 0 of the protocol version is looked at (PS3.8 9.3.2)."""
        with RawSender(self.relay.port) as sender:
            sender.send(associateRequest(protocol_version=0x0003))
            self.assertEqual(sender.receive()[0], AC)
            sender.send(RELEASE_REQUEST)
            self.assertEqual(sender.receive()[0], RELEASE_RP)

    def test_operationsThatAreNotProvided(self) -> None:
        """Each is answered 0x0211, unrecognized operation, data set or not; the association lives on."""
        identifier = {"Identifier": BytesIO(b"\x10\0\x10\0PN\0\0")}
        instance = {"RequestedSOPClassUID": _CT, "RequestedSOPInstanceUID": "1.2.3"}
        affected = {"AffectedSOPClassUID": _CT}
        requests: dict[str, dict[str, Any]] = {
            "C_FIND": {**affected, **identifier, "Priority": 2},
            "C_GET": {**affected, **identifier, "Priority": 2},
            "C_MOVE": {**affected, **identifier, "Priority": 2, "MoveDestination": "ELSEWHERE"},
            "N_GET": instance,
            "N_SET": {**instance, "ModificationList": BytesIO(b"\x10\0\x10\0PN\0\0")},
            "N_ACTION": {**instance, "ActionTypeID": 1},
            "N_CREATE": {**affected, "AffectedSOPInstanceUID": "1.2.3"},
            "N_DELETE": instance,
            "N_EVENT_REPORT": {**affected, "AffectedSOPInstanceUID": "1.2.3", "EventTypeID": 1},
        }
        with RawSender(self.relay.port) as sender:
            sender.send(associateRequest())
            sender.receive()
            for kind, values in requests.items():
                sender.send(dimseRequest(kind, MessageID=7, **values))
                self.assertEqual(sender.receive()[0], DATA, kind)
            sender.send(dimseRequest("C_ECHO", 3, MessageID=7, AffectedSOPClassUID=VERIFICATION))
            sender.receive()
            sender.send(RELEASE_REQUEST)
            self.assertEqual(sender.receive()[0], RELEASE_RP)
        (conversation,) = self.conversations()
        exchange = Exchange(conversation)
        self.assertEqual(exchange.statuses, [_UNRECOGNIZED_OPERATION] * len(requests) + [0x0000])
        fields = [(message.number(0x0100), message.number(0x0120)) for message in exchange.responses]
        asked = [message.number(0x0100) for message in exchange.requests]
        self.assertEqual(fields, [(field | 0x8000, 7) for field in asked])

    def test_cancelOfNothing(self) -> None:
        """A C-CANCEL that comes too late is not answered, and does no harm."""
        with RawSender(self.relay.port) as sender:
            sender.send(associateRequest())
            sender.receive()
            sender.send(dimseRequest("C_CANCEL", MessageIDBeingRespondedTo=7))
            sender.send(dimseRequest("C_ECHO", 3, MessageID=7, AffectedSOPClassUID=VERIFICATION))
            self.assertEqual(sender.receive()[0], DATA)
            sender.send(RELEASE_REQUEST)
            self.assertEqual(sender.receive()[0], RELEASE_RP)


class InterruptedTests(ReceiverTestCase):
    """What storescu once said, said again, and broken off."""

    programs = ("storescu",)
    modules = ("pydicom.data",)

    def recorded(self) -> tuple[bytes, bytes]:
        """An A-ASSOCIATE-RQ, and the messages of two C-STORE-RQs."""
        paths = [file.path for file in namedFiles("CT_small.dcm", "MR_small.dcm")]
        finished = run("storescu", "--required", "localhost", self.relay.port, *paths)
        self.assertFinished(finished)
        (conversation,) = self.conversations()
        self.assertEqual(len(self.receiver.take()), 2)
        stream = conversation.sent
        length = 6 + int.from_bytes(stream[2:6], "big")
        return stream[:length], stream[length : -len(RELEASE_REQUEST)]

    def test_abortWithinDataSet(self) -> None:
        """After an abort in the middle of a data set there is no answer, and nothing is left of the instance."""
        request, messages = self.recorded()
        cut = messages[: _boundary(messages, 20000)]
        with RawSender(self.relay.port) as sender:
            sender.send(request)
            self.assertEqual(sender.receive()[0], AC)
            sender.send(cut, ABORT_REQUEST)
            self.assertTrue(sender.isClosed())
        (conversation,) = self.conversations()
        self.assertEqual(Exchange(conversation).kinds, ([RQ, DATA, ABORT], [AC]))
        self.assertEqual(self.receiver.take(), {})

    def test_connectionLostAnywhere(self) -> None:
        """Wherever the connection ends: what came whole is there, and nothing of anything else."""
        request, messages = self.recorded()
        counts = []
        for length in (1, 5, 6, 11, 12, 100, 1000, 20000, len(messages) - 5000, len(messages) - 1, len(messages)):
            with RawSender(self.relay.port) as sender:
                sender.send(request)
                self.assertEqual(sender.receive()[0], AC)
                sender.send(messages[:length])
                sender.finish()
            (conversation,) = self.conversations()
            stored = self.receiver.take()
            # An answer may come too late for a sender that has closed its end.
            answers = [kind for kind, _ in pdus(conversation.answered)]
            self.assertIn(answers, [[AC] + [DATA] * count for count in range(len(stored) + 1)])
            self.assertEqual([name for name in stored if not name.startswith(("CT.", "MR."))], [])
            counts.append(len(stored))
        self.assertEqual(counts, [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2])

    def test_everyPieceForItself(self) -> None:
        """The same bytes are understood in whatever pieces they come."""
        request, messages = self.recorded()
        with RawSender(self.relay.port) as sender:
            for start in range(0, len(request), 7):
                sender.send(request[start : start + 7])
            sender.receive()
            pieces = [messages[start : start + 61] for start in range(0, len(messages), 61)]
            sender.send(*pieces)
            self.assertEqual([sender.receive()[0] for _ in range(2)], [DATA, DATA])
            sender.send(RELEASE_REQUEST)
            self.assertEqual(sender.receive()[0], RELEASE_RP)
        (conversation,) = self.conversations()
        self.assertEqual(Exchange(conversation).kinds, ([RQ, DATA, RELEASE_RQ], [AC, DATA, RELEASE_RP]))
        self.assertEqual(Exchange(conversation).statuses, [0, 0])
        self.assertEqual(len(self.receiver.take()), 2)


def _boundary(stream: bytes, least: int) -> int:
    """Where the first PDU begins behind an offset."""
    position = 0
    while position < least:
        position += 6 + int.from_bytes(stream[position + 2 : position + 6], "big")
    return position
