"""
Tests for `txdicom.upperlayer.pdu`.

The byte vectors are typed from PS3.8 9.3, not made with the code under test; pynetdicom's codec is a second opinion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pynetdicom import pdu as oracle
from pynetdicom import pdu_primitives as primitives
from pynetdicom.presentation import build_context
from twisted.trial.unittest import SynchronousTestCase

from tests.test_items import (
    EXAMPLES,
    INVALID,
    byte,
    contextsAC,
    contextsRQ,
    filled,
    mutations,
    octets,
    outcome,
    small,
    tuples,
    uids,
    userInformations,
)
from txdicom.errors import AbortReason, LocalProtocolError, PDUError, RejectReason, RejectResult
from txdicom.upperlayer.items import ContextResult, PresentationContextAC, PresentationContextRQ, UserInformation
from txdicom.upperlayer.pdu import (
    PDV,
    AAbort,
    AAssociateAC,
    AAssociateRJ,
    AAssociateRQ,
    AReleaseRP,
    AReleaseRQ,
    PDataTF,
    PDUType,
    aeTitle,
    decodePDU,
)
from txdicom.upperlayer.subitems import UserIdentityRQ

ASSOCIATE_START = "0001 rrrr 'STORESCP        ' 'ECHOSCU         '" + " rrrrrrrr" * 8
APPLICATION_CONTEXT = " 10 rr 0015 '1.2.840.10008.3.1.1.1'"

# Each layout is a whole PDU. The first six bytes are its header, which `decode` does not get.
RQ_LAYOUT = (
    f"01 rr 000000c4 {ASSOCIATE_START} {APPLICATION_CONTEXT}"
    " 20 rr 0045 01 rr rr rr"
    " 30 rr 0011 '1.2.840.10008.1.1' 40 rr 0013 '1.2.840.10008.1.2.1' 40 rr 0011 '1.2.840.10008.1.2'"
    " 50 rr 001a 51 rr 0004 00004000 52 rr 0005 '1.2.3' 55 rr 0005 'TXD_1'"
)
RQ = AAssociateRQ(
    calledAETitle="STORESCP",
    callingAETitle="ECHOSCU",
    presentationContexts=(PresentationContextRQ(1, "1.2.840.10008.1.1", ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")),),
    userInformation=UserInformation(16384, "1.2.3", "TXD_1"),
)
AC_LAYOUT = (
    f"02 rr 00000092 {ASSOCIATE_START} {APPLICATION_CONTEXT}"
    " 21 rr 0019 01 rr 00 rr 40 rr 0011 '1.2.840.10008.1.2' 21 rr 0008 03 rr 03 rr 40 rr 0000"
    " 50 rr 0008 51 rr 0004 00000000"
)
AC = AAssociateAC(
    calledAETitle="STORESCP",
    callingAETitle="ECHOSCU",
    presentationContexts=(
        PresentationContextAC(1, ContextResult.ACCEPTANCE, "1.2.840.10008.1.2"),
        PresentationContextAC(3, ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED, ""),
    ),
    userInformation=UserInformation(0),
)
VECTORS: list[tuple[str, Any]] = [
    (RQ_LAYOUT, RQ),
    (AC_LAYOUT, AC),
    ("03 rr 00000004 rr 01 02 03", AAssociateRJ(result=1, source=2, reason=3)),
    (
        "04 rr 00000011 00000006 01 03 cafebabe 00000003 ff 02 00",
        PDataTF((PDV(1, 3, b"\xca\xfe\xba\xbe"), PDV(255, 2, b"\0"))),
    ),
    ("05 rr 00000004 rr rr rr rr", AReleaseRQ()),
    ("06 rr 00000004 rr rr rr rr", AReleaseRP()),
    ("07 rr 00000004 rr rr 02 06", AAbort(source=2, reason=6)),
]

titles = st.text(st.characters(max_codepoint=0xFF), max_size=16).map(lambda title: title.rstrip(" "))
plainTitles = st.from_regex(r"[A-Z0-9_]{1,16}", fullmatch=True)
number2 = st.integers(0, 0xFFFF)


def contextTuples(contexts: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(contexts, max_size=4, unique_by=lambda context: context.contextID).map(tuple)


def associates(pduClass: Any, contexts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(pduClass, titles, titles, contextTuples(contexts), userInformations, uids | st.just(""), number2)


requests = associates(AAssociateRQ, contextsRQ)
responses = associates(AAssociateAC, contextsAC)
anyPDU = (
    requests
    | responses
    | st.builds(AAssociateRJ, byte, byte, byte)
    | st.builds(PDataTF, tuples(st.builds(PDV, byte, byte, small)))
    | st.builds(AReleaseRQ)
    | st.builds(AReleaseRP)
    | st.builds(AAbort, byte, byte)
)


def forOracle(value: Any, title: str, applicationContextName: str) -> Any:
    """Leave out of an A-ASSOCIATE what pynetdicom cannot read."""
    identity = value.userInformation.userIdentity
    if isinstance(identity, UserIdentityRQ) and not identity.primaryField:
        identity = None
    information = replace(value.userInformation, userIdentity=identity, unknown=())
    value = replace(value, calledAETitle=title, callingAETitle=title[::-1], userInformation=information)
    return replace(value, applicationContextName=applicationContextName)


def associate(pduClass: Any, variableItems: str) -> Any:
    """Decode an A-ASSOCIATE that has these items after its fixed fields."""
    return pduClass.decode(octets(ASSOCIATE_START + " " + variableItems))


class PDUTestCase(SynchronousTestCase):
    def assertPDUError(self, reason: AbortReason, message: str, decode: Callable[..., Any], *args: Any) -> None:
        """Fail unless the call raises a `PDUError` with this reason and a message that contains `message`."""
        with self.assertRaises(PDUError) as caught:
            decode(*args)
        self.assertEqual(caught.exception.reason, reason)
        self.assertIn(message, str(caught.exception))


class VectorTests(PDUTestCase):
    def test_encodesAsTheStandardLaysOut(self) -> None:
        for layout, value in VECTORS:
            self.assertEqual(value.encode(), octets(layout), layout)

    def test_decodesAsTheStandardLaysOut(self) -> None:
        for layout, value in VECTORS:
            encoded = octets(layout)
            self.assertEqual(decodePDU(encoded[0], encoded[6:]), value, layout)

    def test_reservedBytesAreIgnored(self) -> None:
        for layout, value in VECTORS:
            self.assertEqual(type(value).decode(octets(layout, reserved=0xFF)[6:]), value, layout)

    def test_typeIsTheFirstByte(self) -> None:
        self.assertEqual([value.pduType for _, value in VECTORS], list(PDUType))
        self.assertEqual([octets(layout)[0] for layout, _ in VECTORS], [1, 2, 3, 4, 5, 6, 7])

    def test_truncatedAssociateDecodesBetweenItemsOnly(self) -> None:
        for layout, value, ends in (
            (RQ_LAYOUT, RQ, [68, 68 + 25, 68 + 25 + 73]),
            (AC_LAYOUT, AC, [68, 68 + 25, 68 + 25 + 29, 68 + 25 + 29 + 12]),
        ):
            body = octets(layout)[6:]
            results = [outcome(type(value).decode, body[:end]) for end in range(len(body))]
            self.assertEqual([end for end, result in enumerate(results) if isinstance(result, type(value))], ends)

    def test_truncatedPDataDecodesBetweenPDVsOnly(self) -> None:
        body = octets(VECTORS[3][0])[6:]
        results = [outcome(PDataTF.decode, body[:end]) for end in range(len(body))]
        self.assertEqual([end for end, result in enumerate(results) if isinstance(result, PDataTF)], [0, 10])

    def test_unknownTypeIsUnrecognized(self) -> None:
        for pduType in (0, 8, 255):
            self.assertPDUError(AbortReason.UNRECOGNIZED_PDU, f"0x{pduType:02X}", decodePDU, pduType, bytes(4))


class ShortPDUTests(PDUTestCase):
    def test_bodyIsFourBytesExactly(self) -> None:
        for pduClass in (AAssociateRJ, AReleaseRQ, AReleaseRP, AAbort):
            for length in (0, 3, 5, 68):
                self.assertPDUError(INVALID, pduClass.pduType.name, pduClass.decode, bytes(length))

    def test_valuesThatTheStandardDoesNotHaveAreKept(self) -> None:
        self.assertEqual(AAssociateRJ.decode(b"\0\xff\xfe\xfd"), AAssociateRJ(255, 254, 253))
        self.assertEqual(AAbort.decode(b"\0\0\1\x09"), AAbort(1, 9))

    def test_rejectionIsMadeOfAPairThatExists(self) -> None:
        rejection = AAssociateRJ.of(RejectResult.TRANSIENT, RejectReason.LOCAL_LIMIT_EXCEEDED)
        self.assertEqual(rejection.encode(), octets("03 00 00000004 00 02 03 02"))
        rejection = AAssociateRJ.of(RejectResult.PERMANENT, RejectReason.CALLED_AE_TITLE_NOT_RECOGNIZED)
        self.assertEqual(rejection.encode(), octets("03 00 00000004 00 01 01 07"))

    def test_abortIsMadeOfAPairThatExists(self) -> None:
        self.assertEqual(AAbort.of(AbortReason.SERVICE_USER).encode(), octets("07 00 00000004 00 00 00 00"))
        self.assertEqual(AAbort.of(AbortReason.UNEXPECTED_PDU).encode(), octets("07 00 00000004 00 00 02 02"))

    def test_whatCannotBeSentIsRefused(self) -> None:
        for value in (
            AAssociateRJ(256, 1, 1),
            AAssociateRJ(1, -1, 1),
            AAssociateRJ(1, 1, 256),
            AAbort(256, 0),
            AAbort(2, -1),
        ):
            self.assertRaises(LocalProtocolError, value.encode)


class PDataTests(PDUTestCase):
    def test_controlHeaderTellsCommandAndLast(self) -> None:
        flags = [(pdv.isCommand, pdv.isLast) for pdv in (PDV(1, control, b"") for control in (0, 1, 2, 3, 0xFC))]
        self.assertEqual(flags, [(False, False), (True, False), (False, True), (True, True), (False, False)])

    def test_fragmentMayBeEmpty(self) -> None:
        self.assertEqual(PDataTF.decode(octets("00000002 01 02")), PDataTF((PDV(1, 2, b""),)))

    def test_lengthThatDoesNotCoverItsOwnHeaderIsInvalid(self) -> None:
        self.assertPDUError(INVALID, "context ID of PDV", PDataTF.decode, octets("00000000 01 02"))
        self.assertPDUError(INVALID, "control header of PDV", PDataTF.decode, octets("00000001 01 02"))

    def test_pdvPastTheEndIsInvalid(self) -> None:
        for layout in ("00000003 01 02", "ffffffff 01 02", "00000002 01 02 000000"):
            self.assertPDUError(INVALID, "PDV", PDataTF.decode, octets(layout))

    def test_whatCannotBeSentIsRefused(self) -> None:
        for pdv in (PDV(256, 0, b""), PDV(1, 256, b"")):
            self.assertRaises(LocalProtocolError, PDataTF((pdv,)).encode)


class AETitleTests(PDUTestCase):
    @EXAMPLES
    @given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
    def test_anyTitlesComeBackByteForByte(self, called: bytes, calling: bytes) -> None:
        request = AAssociateRQ.decode(b"\0\1\0\0" + called + calling + bytes(32))
        echo = AAssociateAC(request.calledAETitle, request.callingAETitle, (), UserInformation())
        self.assertEqual(echo.encode()[10:42], called + calling)

    def test_reservedBytesBehindTheTitlesAreKept(self) -> None:
        """They mean nothing, and do not make one request differ from another, but can be echoed."""
        plain = AAssociateRQ("A", "B", (), UserInformation())
        reserved = bytes(range(32))
        body = bytearray(plain.encode()[6:])
        body[36:68] = reserved
        request = AAssociateRQ.decode(bytes(body))
        self.assertEqual(request, plain)
        self.assertEqual(request.reserved, reserved)
        self.assertEqual(request.encode()[6:], bytes(body))

    def test_oddTitlesOfRealMachinesComeBack(self) -> None:
        for field in (b" " * 16, b"\0" * 16, b"  PACS" + b"\0" * 10, b"PACS\0" + b" " * 11, b"M\xdcNCHEN \0 \0     "):
            request = AAssociateRQ.decode(b"\0\1\0\0" + field + field + bytes(32))
            self.assertEqual(request.encode()[10:42], field + field)

    def test_significantPartIsWithoutSpacesAndNULs(self) -> None:
        for field, title in (("  PACS", "PACS"), ("PACS\0\0 ", "PACS"), (" \0", ""), ("MY PACS", "MY PACS")):
            self.assertEqual(aeTitle(field), title)

    def test_titlesThatDoNotFitAreRefused(self) -> None:
        for title in ("A" * 17, "\u20ac"):
            self.assertRaises(LocalProtocolError, replace(RQ, calledAETitle=title).encode)
            self.assertRaises(LocalProtocolError, replace(AC, callingAETitle=title).encode)


class AssociateTests(PDUTestCase):
    def test_bodyShorterThanItsFixedFieldsIsInvalid(self) -> None:
        body = octets(ASSOCIATE_START)
        for pduClass in (AAssociateRQ, AAssociateAC):
            for length in range(68):
                self.assertPDUError(INVALID, "left", pduClass.decode, body[:length])

    def test_missingItemsAreEmpty(self) -> None:
        self.assertEqual(
            associate(AAssociateRQ, ""),
            AAssociateRQ("STORESCP", "ECHOSCU", (), UserInformation(), applicationContextName=""),
        )

    def test_protocolVersionIsNotJudged(self) -> None:
        body = b"\xff\xfe" + octets(ASSOCIATE_START)[2:]
        self.assertEqual(AAssociateRQ.decode(body).protocolVersion, 0xFFFE)

    def test_unknownItemsAreSkipped(self) -> None:
        decoded = associate(AAssociateRQ, "00 00 0000 60 00 0003 ffffff 10 00 0003 '1.2' 51 00 0001 00")
        self.assertEqual((decoded.applicationContextName, decoded.userInformation), ("1.2", UserInformation()))

    def test_firstOfARepeatedItemCounts(self) -> None:
        once = "10 00 0003 '1.2' 50 00 0007 52 00 0003 '3.4'"
        twice = once + " 10 00 0001 ff 50 00 0001 52"
        self.assertEqual(associate(AAssociateRQ, twice), associate(AAssociateRQ, once))

    def test_itemPastTheEndIsInvalid(self) -> None:
        for layout in ("10 00 0004 '1.2'", "60 00 ffff", "60 00 00"):
            self.assertPDUError(INVALID, "A-ASSOCIATE", associate, AAssociateAC, layout)

    def test_subItemPastItsItemIsInvalid(self) -> None:
        # The bytes are there, but belong to the next item.
        layout = "20 00 000b 01 00 00 00 30 00 0004 '1.2' 50 00 0000"
        self.assertPDUError(INVALID, "presentation context 1", associate, AAssociateRQ, layout)

    def test_contextOfTheOtherKindIsUnexpected(self) -> None:
        unexpected = AbortReason.UNEXPECTED_PDU_PARAMETER
        self.assertPDUError(unexpected, "0x21", associate, AAssociateRQ, "21 00 0008 01 00 03 00 40 00 0000")
        self.assertPDUError(unexpected, "0x20", associate, AAssociateAC, "20 00 0008 01 00 00 00 30 00 0000")

    def test_repeatedContextIDIsInvalid(self) -> None:
        for pduClass, item in ((AAssociateRQ, "20 00 0004 07 00 00 00"), (AAssociateAC, "21 00 0004 07 00 01 00")):
            self.assertEqual(len(associate(pduClass, item).presentationContexts), 1)
            self.assertPDUError(INVALID, "ID 7 is repeated", associate, pduClass, f"{item} {item}")

    def test_everyContextIDMayBeUsed(self) -> None:
        contexts = tuple(PresentationContextRQ(contextID, "1.2", ("3.4",)) for contextID in range(1, 256, 2))
        request = replace(RQ, presentationContexts=contexts)
        self.assertEqual(len(AAssociateRQ.decode(request.encode()[6:]).presentationContexts), 128)

    def test_contextsAreBounded(self) -> None:
        layout = " ".join(f"21 00 0004 {contextID % 256:02x} 00 01 00" for contextID in range(1, 259, 2))
        self.assertPDUError(INVALID, "more than 128 presentation contexts", associate, AAssociateAC, layout)

    def test_whatCannotBeSentIsRefused(self) -> None:
        for value in (
            replace(RQ, presentationContexts=RQ.presentationContexts * 2),
            replace(RQ, presentationContexts=(PresentationContextRQ(2, "1.2", ()),)),
            replace(RQ, protocolVersion=0x10000),
            replace(RQ, applicationContextName="1" * 65),
            replace(AC, userInformation=UserInformation(unknown=((0x5F, bytes(0xFFFF)),))),
        ):
            self.assertRaises(LocalProtocolError, value.encode)


class OracleTests(PDUTestCase):
    """Agreement with pynetdicom, which knows no unknown sub-items and misreads an identity without a primary field."""

    def assertReadAlike(self, theirs: Any, ours: Any) -> None:
        encoded = ours.encode()
        theirs.decode(encoded)
        self.assertEqual(theirs.encode(), encoded)
        self.assertEqual(theirs.protocol_version, ours.protocolVersion)
        self.assertEqual(theirs.application_context_name, ours.applicationContextName)
        information = theirs.user_information
        self.assertEqual(information.maximum_length, ours.userInformation.maximumLength)
        self.assertEqual(information.implementation_class_uid, ours.userInformation.implementationClassUID)
        self.assertEqual(information.implementation_version_name, ours.userInformation.implementationVersionName)

    @EXAMPLES
    @given(st.builds(forOracle, requests, plainTitles, uids))
    def test_requestIsReadAlike(self, ours: AAssociateRQ) -> None:
        theirs = oracle.A_ASSOCIATE_RQ()
        self.assertReadAlike(theirs, ours)
        titles = (ours.calledAETitle, ours.callingAETitle)
        self.assertEqual((theirs.called_ae_title, theirs.calling_ae_title), titles)
        self.assertEqual(
            [(c.context_id, c.abstract_syntax, c.transfer_syntax) for c in theirs.presentation_context],
            [(c.contextID, c.abstractSyntax, list(c.transferSyntaxes)) for c in ours.presentationContexts],
        )

    @EXAMPLES
    @given(st.builds(forOracle, responses, plainTitles, uids))
    def test_responseIsReadAlike(self, ours: AAssociateAC) -> None:
        theirs = oracle.A_ASSOCIATE_AC()
        self.assertReadAlike(theirs, ours)
        self.assertEqual(
            [(c.context_id, c.result, c.transfer_syntax) for c in theirs.presentation_context],
            [(c.contextID, c.result, c.transferSyntax) for c in ours.presentationContexts],
        )

    def test_requestThatPynetdicomBuildsIsRead(self) -> None:
        context = build_context("1.2.840.10008.1.1", "1.2.840.10008.1.2")
        context.context_id = 5
        theirs = filled(
            primitives.A_ASSOCIATE(),
            application_context_name="1.2.840.10008.3.1.1.1",
            called_ae_title="ANY-SCP",
            calling_ae_title="PYNET",
            presentation_context_definition_list=[context],
            user_information=[filled(primitives.MaximumLengthNotification(), maximum_length_received=16382)],
        )
        contexts = (PresentationContextRQ(5, "1.2.840.10008.1.1", ("1.2.840.10008.1.2",)),)
        ours = AAssociateRQ("ANY-SCP", "PYNET", contexts, UserInformation(16382))
        self.assertEqual(AAssociateRQ.decode(oracle.A_ASSOCIATE_RQ(theirs).encode()[6:]), ours)

    @EXAMPLES
    @given(byte, byte, byte, tuples(st.builds(PDV, byte, byte, small)))
    def test_otherPDUsAreReadAlike(self, first: int, second: int, third: int, pdvs: tuple[PDV, ...]) -> None:
        rejection: Any = oracle.A_ASSOCIATE_RJ()
        rejection.decode(AAssociateRJ(first, second, third).encode())
        self.assertEqual((rejection.result, rejection.source, rejection.reason_diagnostic), (first, second, third))
        abort: Any = oracle.A_ABORT_RQ()
        abort.decode(AAbort(first, second).encode())
        self.assertEqual((abort.source, abort.reason_diagnostic), (first, second))
        data: Any = oracle.P_DATA_TF()
        data.decode(PDataTF(pdvs).encode())
        theirs = [(i.context_id, i.presentation_data_value) for i in data.presentation_data_value_items]
        self.assertEqual(theirs, [(pdv.contextID, bytes((pdv.control,)) + pdv.data) for pdv in pdvs])

    def test_otherPDUsAreWrittenAlike(self) -> None:
        self.assertEqual(AReleaseRQ().encode(), oracle.A_RELEASE_RQ().encode())
        self.assertEqual(AReleaseRP().encode(), oracle.A_RELEASE_RP().encode())


class PropertyTests(PDUTestCase):
    @EXAMPLES
    @given(anyPDU)
    def test_decodingGivesBackWhatWasEncoded(self, value: Any) -> None:
        encoded = value.encode()
        self.assertEqual(encoded[:6], bytes((value.pduType, 0)) + (len(encoded) - 6).to_bytes(4, "big"))
        self.assertEqual(decodePDU(encoded[0], encoded[6:]), value)
        self.assertEqual(decodePDU(encoded[0], memoryview(encoded)[6:]), value)

    @EXAMPLES
    @given(st.integers(0, 9), st.sampled_from([b"", octets(ASSOCIATE_START)]), st.binary(max_size=80))
    def test_arbitraryBytesGiveAValueOrPDUError(self, pduType: int, start: bytes, rest: bytes) -> None:
        body = start + rest
        result = outcome(lambda data: decodePDU(pduType, data), body)
        self.assertEqual(result, outcome(lambda data: decodePDU(pduType, memoryview(data)), body))

    @EXAMPLES
    @given(anyPDU.flatmap(lambda value: st.tuples(st.just(type(value)), mutations(st.just(value.encode()[6:])))))
    def test_mutatedBytesGiveAValueOrPDUError(self, case: tuple[Any, bytes]) -> None:
        pduClass, body = case
        result = outcome(pduClass.decode, body)
        self.assertTrue(isinstance(result, pduClass | tuple), result)

    @EXAMPLES
    @given(requests | responses, st.data())
    def test_truncationGivesAValueOrPDUError(self, value: Any, data: st.DataObject) -> None:
        body = value.encode()[6:]
        result = outcome(type(value).decode, body[: data.draw(st.integers(0, len(body) - 1))])
        self.assertTrue(isinstance(result, type(value)) or (isinstance(result, tuple) and result[0] is INVALID), result)
