"""Conversations of every kind, as tshark understands them: nothing malformed, and the values that there have to be."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from tests.interop.case import LITTLE, VERIFICATION, ReceiverTestCase, dataSetOf
from tests.interop.corpus import namedFiles
from tests.interop.judge import Verdict, judge
from tests.interop.peers import requireModule, run
from tests.interop.rawsender import RELEASE_REQUEST, RawSender
from tests.interop.relay import Conversation
from tests.interop.scripts import associatePrimitive, associateRequest, dimseRequest

_CT = "1.2.840.10008.5.1.4.1.1.2"
#: The names of PDU types in tshark's fields.
_RQ, _AC, _RJ, _DATA, _RELEASE_RQ, _RELEASE_RP, _ABORT = (f"0x{kind:02x}" for kind in range(1, 8))
#: tshark warns of rejections and aborts as such.
_REJECTED, _ABORTED = "Association rejected", "Association aborted"


class TsharkTests(ReceiverTestCase):
    """The receiver's side of conversations."""

    programs = ("tshark", "echoscu", "storescu")
    modules = ("pynetdicom", "pydicom.data")

    def judged(self) -> Verdict:
        """What tshark understood of what has been said."""
        return judge(self.conversations(), Path(self.mktemp()).absolute())

    def say(self, *pieces: bytes, answers: int) -> None:
        """Say things one by one, waiting for an answer to each of the first ones."""
        with RawSender(self.relay.port) as sender:
            for number, piece in enumerate(pieces):
                sender.send(piece)
                if number < answers:
                    sender.receive()
            sender.finish()

    def answered(self, verdict: Verdict, field: str) -> list[str]:
        """The values of a field in what the receiver said."""
        return verdict.values(field, toSender=True)

    def assertConversation(self, verdict: Verdict, asked: list[str], answered: list[str]) -> None:
        """These PDUs were exchanged, and none of them is wrong."""
        self.assertEqual(verdict.complaints, [])
        self.assertEqual(verdict.values("dicom.pdu.type", toSender=False), asked)
        self.assertEqual(self.answered(verdict, "dicom.pdu.type"), answered)

    def test_echo(self) -> None:
        """An echo and a release."""
        self.assertFinished(run("echoscu", "-aet", "JUDGED", "-aec", "JUDGE", "localhost", self.relay.port))
        verdict = self.judged()
        self.assertConversation(verdict, [_RQ, _DATA, _RELEASE_RQ], [_AC, _DATA, _RELEASE_RP])
        self.assertEqual(self.answered(verdict, "dicom.assoc.version"), ["1"])
        self.assertEqual(self.answered(verdict, "dicom.assoc.ae.calling"), ["JUDGED".ljust(16)])
        self.assertEqual(self.answered(verdict, "dicom.assoc.ae.called"), ["JUDGE".ljust(16)])
        self.assertEqual(self.answered(verdict, "dicom.max_pdu_len"), ["16384"])
        self.assertEqual(self.answered(verdict, "dicom.pctx.result"), ["0x00"])
        self.assertEqual(self.answered(verdict, "dicom.pdv.flags"), ["0x03"])
        self.assertIn("1.2.840.10008.3.1.1.1", self.answered(verdict, "dicom.actx")[0])
        self.assertIn("P-DATA, C-ECHO-RSP ID=1 (Success)", self.answered(verdict, "_ws.col.Info"))

    def test_storeInEverySyntax(self) -> None:
        """Stores in each of the encodings; the objects tshark puts together are those that were stored."""
        files = namedFiles("CT_small.dcm", "MR_small.dcm")
        for option, syntax in (("-xi", "1.2.840.10008.1.2"), ("-xe", LITTLE), ("-xb", "1.2.840.10008.1.2.2")):
            finished = run("storescu", "-R", option, "localhost", self.relay.port, *(file.path for file in files))
            self.assertFinished(finished)
            verdict = self.judged()
            self.assertEqual(verdict.complaints, [])
            self.assertEqual(self.answered(verdict, "dicom.pdu.type"), [_AC, _DATA, _DATA, _RELEASE_RP], option)
            self.assertEqual(set(self.answered(verdict, "dicom.pctx.result")), {"0x00"})
            self.assertIn(f"({syntax})", self.answered(verdict, "dicom.pctx.xfer.syntax")[0])
            info = self.answered(verdict, "_ws.col.Info")
            for number in (1, 2):
                self.assertIn(f"P-DATA, C-STORE-RSP ID={number} (Success)", info)
            reassembled = [dataSetOf(each) for each in verdict.objects]
            stored = self.receiver.take()
            self.assertEqual(len(stored), 2)
            for name, file in stored.items():
                self.assertTrue(dataSetOf(file) in reassembled, name)

    def test_refusedContexts(self) -> None:
        """Contexts that are refused, beside one that is not."""
        files = namedFiles("JPEG2000.dcm", "rtplan.dcm", "CT_small.dcm")
        options = ("-nh", "-R", "-xw")
        self.assertFinished(run("storescu", *options, "localhost", self.relay.port, *(file.path for file in files)))
        verdict = self.judged()
        self.assertEqual(verdict.complaints, [])
        # Each class has a context for JPEG 2000 and one for the uncompressed syntaxes.
        self.assertEqual(verdict.numbers("dicom.pctx.result", toSender=True), [4, 0, 3, 3, 4, 0])

    def test_rejections(self) -> None:
        """Associations that are rejected, by the user and by the provider."""
        wrongContext = associatePrimitive()
        wrongContext.application_context_name = "1.2.3.4.5"
        self.say(associateRequest(wrongContext), answers=1)
        self.say(associateRequest(protocol_version=2), answers=1)
        verdict = self.judged()
        fields = [f"dicom.assoc.reject.{part}" for part in ("result", "source", "reason")]
        for number, codes in enumerate(([1, 1, 2], [1, 2, 2])):
            rejected = verdict.connection(number)
            self.assertEqual(self.answered(rejected, "dicom.pdu.type"), [_RJ])
            self.assertEqual(rejected.complaints, [_REJECTED])
            self.assertEqual(rejected.numbers(*fields, toSender=True), codes)

    def test_abortOfTheSender(self) -> None:
        """An abort is not answered."""
        run("echoscu", "--abort", "localhost", self.relay.port)
        verdict = self.judged()
        self.assertEqual(self.answered(verdict, "dicom.pdu.type"), [_AC, _DATA])
        self.assertEqual(verdict.complaints, [_ABORTED])

    def test_abortsOfTheReceiver(self) -> None:
        """What breaks the protocol is aborted by the provider, with the reason that says how."""
        echo = dimseRequest("C_ECHO", 3, MessageID=1, AffectedSOPClassUID=VERIFICATION)
        strange = dimseRequest("C_ECHO", 99, MessageID=1, AffectedSOPClassUID=VERIFICATION)
        request = associateRequest()
        violations = (
            ((echo,), [_ABORT], [2, 2]),
            ((RELEASE_REQUEST,), [_ABORT], [2, 2]),
            ((request, request), [_AC, _ABORT], [2, 2]),
            ((request, strange), [_AC, _ABORT], [2, 6]),
            ((request, b"\x77\0\0\0\0\4\0\0\0\0"), [_AC, _ABORT], [2, 1]),
        )
        for pieces, _, _ in violations:
            self.say(*pieces, answers=len(pieces))
        verdict = self.judged()
        for number, (_, kinds, codes) in enumerate(violations):
            aborted = verdict.connection(number)
            self.assertEqual(self.answered(aborted, "dicom.pdu.type"), kinds)
            fields = ("dicom.assoc.abort.source", "dicom.assoc.abort.reason")
            self.assertEqual(aborted.numbers(*fields, toSender=True), codes)
            self.assertEqual(self.answered(aborted, "_ws.malformed"), [])

    def test_negotiatedItems(self) -> None:
        """A window of asynchronous operations, and roles."""
        primitives = requireModule("pynetdicom.pdu_primitives")
        item = primitives.AsynchronousOperationsWindowNegotiation()
        item.maximum_number_operations_invoked = item.maximum_number_operations_performed = 8
        role = requireModule("pynetdicom").build_role(_CT, scu_role=True, scp_role=True)
        primitive = associatePrimitive()
        primitive.user_information = [*primitive.user_information, item, role]
        self.say(associateRequest(primitive), RELEASE_REQUEST, answers=2)
        verdict = self.judged()
        self.assertConversation(verdict, [_RQ, _RELEASE_RQ], [_AC, _RELEASE_RP])
        window = ("dicom.userinfo.asyncneg.maxnumopsinv", "dicom.userinfo.asyncneg.maxnumopsper")
        self.assertEqual(verdict.numbers(*window, toSender=True), [1, 1])
        roles = ("dicom.userinfo.rolesel.scurole", "dicom.userinfo.rolesel.scprole")
        self.assertEqual(verdict.numbers(*roles, toSender=True), [1, 0])

    def test_failedRequests(self) -> None:
        """Responses that tell of a failure, with error comments and offending elements."""
        identifier = BytesIO(b"\x10\0\x10\0PN\0\0")
        find = dimseRequest("C_FIND", MessageID=1, AffectedSOPClassUID=_CT, Priority=2, Identifier=identifier)
        dataSet = BytesIO(b"\x08\0\x16\0UI\x04\x001.2\0\x08\0\x18\0UI\x04\x001.3\0\x10\0\x10\0PN\0\0")
        store = dimseRequest(
            "C_STORE",
            MessageID=2,
            AffectedSOPClassUID=_CT,
            AffectedSOPInstanceUID="1.3",
            Priority=2,
            DataSet=dataSet,
        )
        self.say(associateRequest(), find, store, RELEASE_REQUEST, answers=4)
        verdict = self.judged()
        self.assertConversation(
            verdict,
            [_RQ, *[_DATA] * verdict.values("dicom.pdu.type", toSender=False).count(_DATA), _RELEASE_RQ],
            [_AC, _DATA, _DATA, _RELEASE_RP],
        )
        found, stored = (text for text in self.answered(verdict, "_ws.col.Info") if "-RSP" in text)
        self.assertIn("C-FIND-RSP (Unrecognized operation", found)
        self.assertIn("C-STORE-RSP (Error: Data Set does not match SOP Class", stored)
        self.assertEqual(self.receiver.take(), {})

    def test_judgeFindsFaults(self) -> None:
        """The judge is no yes-man: a PDU whose inner length is wrong is found."""
        run("echoscu", "localhost", self.relay.port)
        (conversation,) = self.conversations()
        pieces = [
            (fromSender, piece[:9] + b"\x7f" + piece[10:] if piece[:1] == b"\4" and not fromSender else piece)
            for fromSender, piece in conversation.pieces
        ]
        verdict = judge([Conversation(pieces)], Path(self.mktemp()).absolute())
        self.assertNotEqual(verdict.complaints, [])
