"""
Tests for `txdicom.upperlayer.items`.

The byte vectors are typed from PS3.8 9.3.2 and 9.3.3 and PS3.7 Annex D.3, not made with the code under test.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom import pdu_primitives as primitives
from pynetdicom.pdu_items import UserInformationItem
from twisted.trial.unittest import SynchronousTestCase

from txdicom.errors import AbortReason, LocalProtocolError, PDUError
from txdicom.upperlayer import items
from txdicom.upperlayer.items import PresentationContextAC, PresentationContextRQ, UserInformation
from txdicom.upperlayer.subitems import (
    AsynchronousOperationsWindow,
    RoleSelection,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityAC,
    UserIdentityRQ,
)

INVALID = AbortReason.INVALID_PDU_PARAMETER_VALUE
EXAMPLES = settings(deadline=None, max_examples=40, derandomize=True, database=None)


def octets(layout: str, reserved: int = 0) -> bytes:
    """
    Read a byte vector as it is typed in these tests.

    :param layout: hexadecimal digits, with `rr` for a reserved byte, and text in single quotes; spaces do not count.
    :param reserved: the value that every reserved byte gets.
    """
    parts = []
    for text, digits in re.findall(r"'([^']*)'|(\S+)", layout):
        parts.append(bytes.fromhex(digits.replace("rr", f"{reserved:02x}")) if digits else text.encode("ascii"))
    return b"".join(parts)


def filled(primitive: Any, **values: object) -> Any:
    """Set attributes, and return what they were set on."""
    for name, value in values.items():
        setattr(primitive, name, value)
    return primitive


def outcome(decode: Callable[[Any], Any], encoded: bytes) -> object:
    """Return what `decode` returns, or the reason and message of the `PDUError` that it raises; others pass through."""
    try:
        return decode(encoded)
    except PDUError as error:
        return error.reason, str(error)


def mutations(encoded: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Bytes that were valid, with some of them replaced, then cut, then followed by others."""

    def mutate(original: bytes, changes: list[tuple[int, int]], cut: int, tail: bytes) -> bytes:
        mutated = bytearray(original)
        for index, value in changes:
            mutated[index % len(mutated)] = value
        return bytes(mutated[: len(mutated) - cut]) + tail

    index = st.integers(0, 4096)
    changes = st.lists(st.tuples(index, st.sampled_from([0, 1, 2, 0x20, 0x30, 0x40, 0x7F, 0x80, 0xFF])), max_size=4)
    return st.builds(mutate, encoded.filter(bool), changes, st.sampled_from([0, 0, 1, 4]), st.binary(max_size=6))


uids = st.lists(st.integers(0, 9_999_999), min_size=2, max_size=6).map(lambda arcs: ".".join(map(str, arcs)))
bytes2 = st.integers(0, 0xFFFF)
byte = st.integers(0, 255)
contextIDs = st.integers(0, 127).map(lambda n: 2 * n + 1)
small = st.binary(max_size=12)


def tuples(elements: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(elements, max_size=3).map(tuple)


contextsRQ = st.builds(PresentationContextRQ, contextIDs, uids, tuples(uids))
contextsAC = st.builds(PresentationContextAC, contextIDs, byte, uids)
windows = st.builds(AsynchronousOperationsWindow, bytes2, bytes2)
roles = st.builds(RoleSelection, uids, st.booleans(), st.booleans())
extended = st.builds(SOPClassExtendedNegotiation, uids, small)
common = st.builds(SOPClassCommonExtendedNegotiation, uids, uids, tuples(uids))
identitiesRQ = st.builds(UserIdentityRQ, byte, small, small, st.booleans())
identitiesAC = st.builds(UserIdentityAC, small)
userInformations = st.builds(
    UserInformation,
    maximumLength=st.none() | st.integers(0, 0xFFFFFFFF),
    implementationClassUID=st.none() | uids,
    implementationVersionName=st.none() | st.from_regex(r"[A-Za-z0-9_.]{1,16}", fullmatch=True),
    asynchronousOperations=st.none() | windows,
    roleSelections=tuples(roles),
    extendedNegotiations=tuples(extended),
    commonExtendedNegotiations=tuples(common),
    userIdentity=st.none() | identitiesRQ | identitiesAC,
    unknown=tuples(st.tuples(st.integers(0x5A, 0xFF), small)),
)
anyItem = contextsRQ | contextsAC | windows | roles | extended | common | identitiesRQ | identitiesAC | userInformations

DECODERS: list[Callable[[Any], Any]] = [
    PresentationContextRQ.decode,
    PresentationContextAC.decode,
    AsynchronousOperationsWindow.decode,
    RoleSelection.decode,
    SOPClassExtendedNegotiation.decode,
    SOPClassCommonExtendedNegotiation.decode,
    UserIdentityRQ.decode,
    UserIdentityAC.decode,
    UserInformation.decode,
]

# Each layout is a whole item. The first four bytes are its header, which `decode` does not get.
VECTORS: list[tuple[str, Any]] = [
    (
        "20 rr 0045 03 rr rr rr"
        " 30 rr 0011 '1.2.840.10008.1.1' 40 rr 0013 '1.2.840.10008.1.2.1' 40 rr 0011 '1.2.840.10008.1.2'",
        PresentationContextRQ(3, "1.2.840.10008.1.1", ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")),
    ),
    ("20 rr 0008 ff rr rr rr 30 rr 0000", PresentationContextRQ(255, "", ())),
    (
        "21 rr 0019 03 rr 00 rr 40 rr 0011 '1.2.840.10008.1.2'",
        PresentationContextAC(3, 0, "1.2.840.10008.1.2"),
    ),
    ("21 rr 0008 05 rr 03 rr 40 rr 0000", PresentationContextAC(5, 3, "")),
    ("53 rr 0004 0102 fffe", AsynchronousOperationsWindow(0x0102, 0xFFFE)),
    ("54 rr 0009 0005 '1.2.3' 01 00", RoleSelection("1.2.3", True, False)),
    ("54 rr 0007 0003 '1.2' 00 01", RoleSelection("1.2", False, True)),
    ("56 rr 000a 0005 '1.2.3' 020001", SOPClassExtendedNegotiation("1.2.3", b"\x02\x00\x01")),
    ("56 rr 0005 0003 '1.2'", SOPClassExtendedNegotiation("1.2", b"")),
    (
        "57 00 001a 0005 '1.2.3' 0003 '4.5' 000c 0005 '6.7.8' 0003 '9.1'",
        SOPClassCommonExtendedNegotiation("1.2.3", "4.5", ("6.7.8", "9.1")),
    ),
    ("57 00 000c 0003 '1.2' 0003 '4.5' 0000", SOPClassCommonExtendedNegotiation("1.2", "4.5")),
    ("58 rr 0012 02 01 0005 'alice' 0007 'sesame!'", UserIdentityRQ(2, b"alice", b"sesame!", True)),
    ("58 rr 0009 01 00 0003 'bob' 0000", UserIdentityRQ(1, b"bob")),
    ("59 rr 0006 0004 01020304", UserIdentityAC(b"\1\2\3\4")),
    ("50 rr 0000", UserInformation()),
    (
        "50 rr 0065 51 rr 0004 00004000 52 rr 0005 '1.2.3' 53 rr 0004 0001 0002"
        " 54 rr 0007 0003 '1.2' 01 01 54 rr 0007 0003 '1.3' 00 01 55 rr 0005 'TXD_1'"
        " 56 rr 0006 0003 '1.2' aa 57 00 000c 0003 '1.2' 0003 '4.5' 0000"
        " 58 rr 0009 01 00 0003 'bob' 0000 5f rr 0002 beef",
        UserInformation(
            maximumLength=16384,
            implementationClassUID="1.2.3",
            implementationVersionName="TXD_1",
            asynchronousOperations=AsynchronousOperationsWindow(1, 2),
            roleSelections=(RoleSelection("1.2", True, True), RoleSelection("1.3", False, True)),
            extendedNegotiations=(SOPClassExtendedNegotiation("1.2", b"\xaa"),),
            commonExtendedNegotiations=(SOPClassCommonExtendedNegotiation("1.2", "4.5"),),
            userIdentity=UserIdentityRQ(1, b"bob"),
            unknown=((0x5F, b"\xbe\xef"),),
        ),
    ),
]


class ItemTestCase(SynchronousTestCase):
    def assertInvalid(self, decode: Callable[[Any], Any], layout: str, message: str) -> None:
        """Fail unless decoding gives an invalid PDU parameter value with a message that contains `message`."""
        with self.assertRaises(PDUError) as caught:
            decode(octets(layout))
        self.assertEqual(caught.exception.reason, INVALID)
        self.assertIn(message, str(caught.exception))


class VectorTests(ItemTestCase):
    def test_encodesAsTheStandardLaysOut(self) -> None:
        for layout, value in VECTORS:
            self.assertEqual(value.encode(), octets(layout), layout)

    def test_decodesAsTheStandardLaysOut(self) -> None:
        for layout, value in VECTORS:
            self.assertEqual(type(value).decode(octets(layout)[4:]), value, layout)

    def test_reservedBytesAreIgnored(self) -> None:
        for layout, value in VECTORS:
            self.assertEqual(type(value).decode(octets(layout, reserved=0xFF)[4:]), value, layout)

    def test_truncationOfItemsWithoutOpenEndIsInvalid(self) -> None:
        openEnded = (PresentationContextRQ, PresentationContextAC, SOPClassExtendedNegotiation, UserInformation)
        for layout, value in VECTORS:
            if not isinstance(value, openEnded):
                encoded = octets(layout)[4:]
                for end in range(len(encoded)):
                    result = outcome(type(value).decode, encoded[:end])
                    self.assertIsInstance(result, tuple, f"{layout} cut to {end}")

    def test_truncationWithinASubItemIsInvalid(self) -> None:
        layout, value = VECTORS[0]
        encoded = octets(layout)[4:]
        whole = {end: outcome(type(value).decode, encoded[:end]) for end in range(len(encoded))}
        self.assertEqual(
            [end for end, result in whole.items() if isinstance(result, PresentationContextRQ)],
            [4, 4 + 21, 4 + 21 + 23],
        )

    def test_bytesAfterTheLastFieldAreIgnored(self) -> None:
        for layout, value in VECTORS:
            isFixed = isinstance(value, AsynchronousOperationsWindow | RoleSelection | UserIdentityRQ | UserIdentityAC)
            if isFixed or isinstance(value, SOPClassCommonExtendedNegotiation):
                self.assertEqual(type(value).decode(octets(layout + "c0ffee")[4:]), value, layout)

    def test_decodedValuesKeepNoReferenceToTheInput(self) -> None:
        for layout, value in VECTORS:
            received = bytearray(octets(layout)[4:])
            with memoryview(received) as view:
                decoded = type(value).decode(view)
            received.clear()  # BufferError if a view of it were still alive
            self.assertEqual(decoded, value)

    def test_secretsStayOutOfRepr(self) -> None:
        for value in (UserIdentityRQ(2, b"alice", b"sesame!"), UserIdentityAC(b"sesame!")):
            self.assertNotIn("sesame", repr(value))


class PresentationContextTests(ItemTestCase):
    def test_evenIDIsInvalid(self) -> None:
        for contextID in ("00", "02", "fe"):
            layout = contextID + "00 00 00 30 00 0003 '1.2' 40 00 0003 '1.2'"
            self.assertInvalid(PresentationContextRQ.decode, layout, "is not odd")
            self.assertInvalid(PresentationContextAC.decode, layout, "is not odd")

    def test_unknownSubItemsAreSkipped(self) -> None:
        layout = "01 00 00 00 77 00 0002 ffff 30 00 0003 '1.2' 41 00 0000 40 00 0003 '3.4'"
        self.assertEqual(PresentationContextRQ.decode(octets(layout)), PresentationContextRQ(1, "1.2", ("3.4",)))
        self.assertEqual(PresentationContextAC.decode(octets(layout)), PresentationContextAC(1, 0, "3.4"))

    def test_missingSubItemsOfAProposalAreEmpty(self) -> None:
        self.assertEqual(PresentationContextRQ.decode(octets("01 00 00 00")), PresentationContextRQ(1, "", ()))

    def test_firstAbstractSyntaxCounts(self) -> None:
        decoded = PresentationContextRQ.decode(octets("01 00 00 00 30 00 0003 '1.2' 30 00 0003 '3.4'"))
        self.assertEqual(decoded.abstractSyntax, "1.2")

    def test_transferSyntaxesAreBounded(self) -> None:
        layout = "01 00 00 00 30 00 0003 '1.2'" + " 40 00 0003 '3.4'" * items.MAX_TRANSFER_SYNTAXES
        self.assertEqual(len(PresentationContextRQ.decode(octets(layout)).transferSyntaxes), 256)
        self.assertInvalid(PresentationContextRQ.decode, layout + " 40 00 0003 '3.4'", "over 256 syntaxes")

    def test_acceptedContextNeedsATransferSyntax(self) -> None:
        for layout in ("01 00 00 00", "01 00 00 00 40 00 0000", "01 00 00 00 30 00 0003 '1.2'"):
            self.assertInvalid(PresentationContextAC.decode, layout, "accepted without a transfer syntax")
        self.assertInvalid(PresentationContextAC.decode, "01 00 00 00 40 00 0001 ff", "transfer syntax is not ASCII")

    def test_transferSyntaxOfARejectedContextIsNotSignificant(self) -> None:
        for rest in ("", "40 00 0000", "40 00 0001 ff", "40 00 0009 '1.2'", "40"):
            decoded = PresentationContextAC.decode(octets("01 00 04 00 " + rest))
            self.assertEqual(decoded, PresentationContextAC(1, 4, ""), rest)

    def test_anyResultIsKept(self) -> None:
        for result in (1, 5, 255):
            self.assertEqual(PresentationContextAC.decode(bytes((1, 0, result, 0))).result, result)

    def test_whatCannotBeSentIsRefused(self) -> None:
        for value in (
            PresentationContextRQ(2, "1.2", ("3.4",)),
            PresentationContextRQ(257, "1.2", ("3.4",)),
            PresentationContextRQ(-1, "1.2", ("3.4",)),
            PresentationContextRQ(1, "1.\u00e9", ("3.4",)),
            PresentationContextRQ(1, "1.2", ("3" * 65,)),
            PresentationContextRQ(1, "1.2", ("3" * 64,) * 1000),
            PresentationContextAC(2, 0, "1.2"),
            PresentationContextAC(1, 256, "1.2"),
            PresentationContextAC(1, 0, ""),
        ):
            self.assertRaises(LocalProtocolError, value.encode)


class UIDTests(ItemTestCase):
    def decode(self, value: bytes) -> str:
        return items.decodeUID(value, "the UID")

    def test_paddingIsStripped(self) -> None:
        for padding in (b"\0", b" ", b"\0\0", b" \0 "):
            self.assertEqual(self.decode(b"1.2.3" + padding), "1.2.3")

    def test_atMost64CharactersAfterStripping(self) -> None:
        self.assertEqual(self.decode(b"1" * 64 + b"\0" * 9), "1" * 64)
        with self.assertRaises(PDUError) as caught:
            self.decode(b"1" * 65)
        self.assertEqual((caught.exception.reason, str(caught.exception)[:7]), (INVALID, "the UID"))

    def test_nonASCIIIsInvalid(self) -> None:
        with self.assertRaises(PDUError) as caught:
            self.decode(b"1.2.\xb2")
        self.assertEqual((caught.exception.reason, str(caught.exception)), (INVALID, "the UID is not ASCII"))

    def test_oddSyntaxIsNoError(self) -> None:
        self.assertEqual(self.decode(b"urn:oid 1..02"), "urn:oid 1..02")


class SubItemTests(ItemTestCase):
    def test_onlyTheValueOneTakesARole(self) -> None:
        decoded = RoleSelection.decode(octets("0003 '1.2' 02 ff"))
        self.assertEqual((decoded.scuRole, decoded.scpRole), (False, False))

    def test_versionOfCommonExtendedNegotiationIsInTheHeader(self) -> None:
        value = SOPClassCommonExtendedNegotiation("1.2", "4.5", version=7)
        encoded = octets("57 07 000c 0003 '1.2' 0003 '4.5' 0000")
        self.assertEqual(value.encode(), encoded)
        self.assertEqual(UserInformation.decode(encoded).commonExtendedNegotiations, (value,))

    def test_relatedUIDPastItsListIsInvalid(self) -> None:
        layout = "0003 '1.2' 0003 '4.5' 0006 0005 '6.7.8'"
        self.assertInvalid(SOPClassCommonExtendedNegotiation.decode, layout, "related general SOP class UID")

    def test_fieldPastItsItemIsNamed(self) -> None:
        for decode, layout, name in (
            (AsynchronousOperationsWindow.decode, "0001 00", "maximum number operations performed"),
            (RoleSelection.decode, "0004 '1.2'", "SOP class UID of role selection"),
            (RoleSelection.decode, "0003 '1.2' 01", "SCP role"),
            (SOPClassExtendedNegotiation.decode, "ffff '1.2'", "SOP class UID of extended negotiation"),
            (UserIdentityRQ.decode, "01 00 0004 'bob'", "primary field"),
            (UserIdentityRQ.decode, "01 00 0003 'bob' 0001", "secondary field"),
            (UserIdentityAC.decode, "0001", "server response"),
        ):
            self.assertInvalid(decode, layout, name)

    def test_whatCannotBeSentIsRefused(self) -> None:
        for value in (
            AsynchronousOperationsWindow(0x10000, 0),
            AsynchronousOperationsWindow(0, -1),
            SOPClassExtendedNegotiation("1.2", bytes(0xFFFF)),
            SOPClassCommonExtendedNegotiation("1.2", "4.5", ("1" * 64,) * 1000),
            SOPClassCommonExtendedNegotiation("1.2", "4.5", version=256),
            UserIdentityRQ(256, b""),
            UserIdentityRQ(1, bytes(0x10000)),
        ):
            self.assertRaises(LocalProtocolError, value.encode)


class UserInformationTests(ItemTestCase):
    def test_firstOfARepeatedSubItemCounts(self) -> None:
        layout = (
            "51 00 0004 00000001 51 00 0004 00000002 52 00 0003 '1.2' 52 00 0001 ff 55 00 0001 'A' 55 00 0001 'B'"
            " 53 00 0004 0001 0001 53 00 0001 00 59 00 0003 0001 'x' 58 00 0006 01 00 0000 0000"
        )
        self.assertEqual(
            UserInformation.decode(octets(layout)),
            UserInformation(1, "1.2", "A", AsynchronousOperationsWindow(1, 1), userIdentity=UserIdentityAC(b"x")),
        )

    def test_noLimitIsNotTheSameAsNoMaximumLength(self) -> None:
        self.assertEqual(UserInformation.decode(octets("51 00 0004 00000000")).maximumLength, 0)
        self.assertEqual(UserInformation(maximumLength=0).encode(), octets("50 00 0008 51 00 0004 00000000"))

    def test_maximumLengthTooShortIsInvalid(self) -> None:
        self.assertInvalid(UserInformation.decode, "51 00 0003 000000", "maximum length")

    def test_subItemPastTheEndIsInvalid(self) -> None:
        self.assertInvalid(UserInformation.decode, "5f 00 0003 0000", "user information")
        self.assertInvalid(UserInformation.decode, "5f 00 0000 5f", "user information")

    def test_subItemsAreBounded(self) -> None:
        layout = "5f 00 0000 " * items.MAX_USER_INFORMATION_ITEMS
        self.assertEqual(len(UserInformation.decode(octets(layout)).unknown), 1024)
        self.assertInvalid(UserInformation.decode, layout + "5f 00 0000", "more than 1024 sub-items")

    def test_versionNameIsReadTolerantly(self) -> None:
        for field, name in ((b" A\xe9 \0", "A\u00e9"), (b"A" * 64 + b"  ", "A" * 64), (b"", "")):
            encoded = bytes((0x55, 0, 0, len(field))) + field
            self.assertEqual(UserInformation.decode(encoded).implementationVersionName, name)
        self.assertInvalid(UserInformation.decode, "55 00 0041" + "41" * 65, "implementation version name")

    def test_versionNameIsSentStrictly(self) -> None:
        self.assertIn(b"A" * 16, UserInformation(implementationVersionName="A" * 16).encode())
        for name in ("A" * 17, "A\u00e9"):
            self.assertRaises(LocalProtocolError, UserInformation(implementationVersionName=name).encode)

    def test_maximumLengthThatDoesNotFitIsRefused(self) -> None:
        for length in (-1, 1 << 32):
            self.assertRaises(LocalProtocolError, UserInformation(maximumLength=length).encode)


class OracleTests(ItemTestCase):
    def test_userInformationThatPynetdicomBuildsIsRead(self) -> None:
        window = primitives.AsynchronousOperationsWindowNegotiation()
        general: Any = primitives.SOPClassCommonExtendedNegotiation()
        general.related_general_sop_class_identification = ["1.2.8"]
        identity = filled(primitives.UserIdentityNegotiation(), user_identity_type=2, positive_response_requested=True)
        ofClass: Any = primitives.SOPClassExtendedNegotiation()
        theirs = [
            filled(primitives.MaximumLengthNotification(), maximum_length_received=16382),
            filled(primitives.ImplementationClassUIDNotification(), implementation_class_uid="1.2.3"),
            filled(primitives.ImplementationVersionNameNotification(), implementation_version_name="PYNET"),
            filled(window, maximum_number_operations_invoked=3, maximum_number_operations_performed=4),
            filled(primitives.SCP_SCU_RoleSelectionNegotiation(), sop_class_uid="1.2.4", scu_role=False, scp_role=True),
            filled(ofClass, sop_class_uid="1.2.5", service_class_application_information=b"\2\0"),
            filled(general, sop_class_uid="1.2.6", service_class_uid="1.2.7"),
            filled(identity, primary_field=b"alice", secondary_field=b"sesame!"),
        ]
        item = UserInformationItem()
        item.from_primitive(theirs)
        ours = UserInformation(
            maximumLength=16382,
            implementationClassUID="1.2.3",
            implementationVersionName="PYNET",
            asynchronousOperations=AsynchronousOperationsWindow(3, 4),
            roleSelections=(RoleSelection("1.2.4", False, True),),
            extendedNegotiations=(SOPClassExtendedNegotiation("1.2.5", b"\2\0"),),
            commonExtendedNegotiations=(SOPClassCommonExtendedNegotiation("1.2.6", "1.2.7", ("1.2.8",)),),
            userIdentity=UserIdentityRQ(2, b"alice", b"sesame!", True),
        )
        self.assertEqual(UserInformation.decode(item.encode()[4:]), ours)


class PropertyTests(ItemTestCase):
    @EXAMPLES
    @given(anyItem)
    def test_decodingGivesBackWhatWasEncoded(self, value: Any) -> None:
        encoded = value.encode()
        self.assertEqual(int.from_bytes(encoded[2:4], "big"), len(encoded) - 4)
        self.assertEqual(type(value).decode(encoded[4:]), value)

    @EXAMPLES
    @given(st.binary(max_size=80), st.sampled_from(DECODERS))
    def test_arbitraryBytesGiveAValueOrPDUError(self, encoded: bytes, decode: Callable[[Any], Any]) -> None:
        self.assertEqual(outcome(decode, encoded), outcome(lambda data: decode(memoryview(data)), encoded))

    @EXAMPLES
    @given(anyItem.flatmap(lambda v: st.tuples(st.just(type(v)), mutations(st.just(v.encode()[4:])))))
    def test_mutatedBytesGiveAValueOrPDUError(self, case: tuple[Any, bytes]) -> None:
        itemClass, encoded = case
        result = outcome(itemClass.decode, encoded)
        self.assertTrue(isinstance(result, itemClass) or (isinstance(result, tuple) and result[0] is INVALID), result)
