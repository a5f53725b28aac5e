"""
Tests for `txdicom.dimse.commands`, `commandsets` and `elements`.

The byte vectors are typed from PS3.7 6.3, 9.3 and Annex E, not made with the code under test.
"""

# mypy: allow-untyped-calls

from __future__ import annotations

import struct
from dataclasses import FrozenInstanceError

from pydicom._dicom_dict import DicomDictionary
from twisted.trial.unittest import SynchronousTestCase

from txdicom.dimse.commands import (
    DATA_SET_PRESENT,
    ELEMENTS,
    NO_DATA_SET,
    CCancelRQ,
    CEchoRQ,
    CEchoRSP,
    Command,
    CommandField,
    CStoreRQ,
    CStoreRSP,
    GenericCommand,
    responseTo,
)
from txdicom.dimse.commandsets import decodeCommand, elementsOf, encodeCommand
from txdicom.errors import LocalProtocolError, MessageError

VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"

ECHO_RQ = bytes.fromhex(
    "00000000 04000000 38000000"
    "00000200 12000000 312e322e3834302e31303030382e312e3100"
    "00000001 02000000 3000"
    "00001001 02000000 0700"
    "00000008 02000000 0101"
)
STORE_RQ = bytes.fromhex(
    "00000000 04000000 58000000"
    "00000200 1a000000 312e322e3834302e31303030382e352e312e342e312e312e3200"
    "00000001 02000000 0100"
    "00001001 02000000 3412"
    "00000007 02000000 0200"
    "00000008 02000000 0000"
    "00000010 06000000 312e322e3334"
)
STORE_RSP = bytes.fromhex(
    "00000000 04000000 58000000"
    "00000200 1a000000 312e322e3834302e31303030382e352e312e342e312e312e3200"
    "00000001 02000000 0180"
    "00002001 02000000 3412"
    "00000008 02000000 0101"
    "00000009 02000000 0000"
    "00000010 06000000 312e322e3334"
)
FAILED_STORE_RSP = bytes.fromhex(
    "00000000 04000000 46000000"
    "00000001 02000000 0180"
    "00002001 02000000 0100"
    "00000008 02000000 0101"
    "00000009 02000000 00a9"
    "00000109 08000000 08001600 10001000"
    "00000209 06000000 6f6f70732120"
)
FIND_RQ = bytes.fromhex(
    "00000000 04000000 34000000"
    "00000200 04000000 312e3200"
    "00000001 02000000 2000"
    "00001001 02000000 0500"
    "00000007 02000000 0000"
    "00000008 02000000 0100"
)
CANCEL_RQ = bytes.fromhex(
    "00000000 04000000 1e000000 00000001 02000000 ff0f 00002001 02000000 0500 00000008 02000000 0101"
)
VECTORS: list[tuple[bytes, Command]] = [
    (ECHO_RQ, CEchoRQ(7)),
    (STORE_RQ, CStoreRQ(0x1234, CT, "1.2.34", priority=2)),
    (STORE_RSP, CStoreRSP(0x1234, 0, CT, "1.2.34")),
    (FAILED_STORE_RSP, CStoreRSP(1, 0xA900, None, None, "oops!", (0x00080016, 0x00100010))),
    (FIND_RQ, GenericCommand(0x0020, {0x0002: "1.2", 0x0110: 5, 0x0700: 0, 0x0800: 1})),
    (CANCEL_RQ, CCancelRQ(5)),
]


def element(tag: int, value: bytes, group: int = 0) -> bytes:
    return struct.pack("<HHI", group, tag, len(value)) + value


def number(tag: int, value: int) -> bytes:
    return element(tag, struct.pack("<H", value))


def commandSet(*elements: bytes) -> bytes:
    body = b"".join(elements)
    return element(0, struct.pack("<I", len(body))) + body


class VectorTests(SynchronousTestCase):
    """Command sets as typed from the standard."""

    def test_typedVectorsDecode(self) -> None:
        for data, command in VECTORS:
            self.assertEqual(decodeCommand(data), command)

    def test_typedVectorsAreWhatIsEncoded(self) -> None:
        for data, command in VECTORS:
            self.assertEqual(encodeCommand(command), data)

    def test_anyKindOfBufferDecodes(self) -> None:
        for data, command in VECTORS:
            self.assertEqual(decodeCommand(bytearray(data)), command)
            self.assertEqual(decodeCommand(memoryview(b"xx" + data + b"yy")[2:-2]), command)

    def test_commandFieldsAreThoseOfTheStandard(self) -> None:
        requests = {field.value: field.name for field in CommandField if not field & 0x8000}
        self.assertEqual(
            requests,
            {
                0x0001: "C_STORE_RQ",
                0x0010: "C_GET_RQ",
                0x0020: "C_FIND_RQ",
                0x0021: "C_MOVE_RQ",
                0x0030: "C_ECHO_RQ",
                0x0100: "N_EVENT_REPORT_RQ",
                0x0110: "N_GET_RQ",
                0x0120: "N_SET_RQ",
                0x0130: "N_ACTION_RQ",
                0x0140: "N_CREATE_RQ",
                0x0150: "N_DELETE_RQ",
                0x0FFF: "C_CANCEL_RQ",
            },
        )
        for value, name in requests.items():
            if value != 0x0FFF:
                self.assertEqual(CommandField[name.replace("_RQ", "_RSP")], value | 0x8000)
        self.assertEqual(len(CommandField), 23)

    def test_elementTableIsThatOfPydicom(self) -> None:
        current = {
            tag: (vr, keyword)
            for tag, (vr, _, _, status, keyword) in DicomDictionary.items()
            if 0 < tag < 0x10000 and status != "Retired"
        }
        self.assertEqual(ELEMENTS, current)


class DecodeTests(SynchronousTestCase):
    """What peers may get wrong, and what they may not."""

    #: The elements of a valid C-STORE-RQ, to be left out or replaced.
    PARTS = {
        0x0002: element(0x0002, b"1.2\0"),
        0x0100: number(0x0100, 1),
        0x0110: number(0x0110, 9),
        0x0700: number(0x0700, 0),
        0x0800: number(0x0800, 1),
        0x1000: element(0x1000, b"1.3\0"),
    }

    def decode(self, changes: dict[int, bytes]) -> Command:
        """Decode the C-STORE-RQ with some of its elements replaced, or added."""
        parts = self.PARTS | changes
        return decodeCommand(commandSet(*[parts[tag] for tag in sorted(parts)]))

    def assertRefused(self, data: bytes, word: str) -> None:
        error = self.assertRaises(MessageError, decodeCommand, data)
        self.assertIn(word, str(error))

    def test_noBytesAreNoCommand(self) -> None:
        self.assertRefused(b"", "CommandField")

    def test_headerCutShortIsRefused(self) -> None:
        for cut in range(1, 8):
            self.assertRefused(STORE_RQ + ECHO_RQ[:cut], "header")

    def test_valueCutShortIsRefused(self) -> None:
        self.assertRefused(STORE_RQ[:-1], "value")
        self.assertRefused(commandSet(struct.pack("<HHI", 0, 0x0902, 0xFFFFFFFF)), "value")

    def test_elementOfAnotherGroupIsRefused(self) -> None:
        self.assertRefused(STORE_RQ + element(0x0016, b"1.2\0", group=8), "group 0000")
        self.assertRefused(element(0x0100, b"\1\0", group=2), "group 0000")

    def test_repeatedElementIsRefused(self) -> None:
        self.assertRefused(STORE_RQ + number(0x0110, 9), "(0000,0110) twice")
        self.assertRefused(STORE_RQ + ECHO_RQ[:12], "(0000,0000) twice")
        self.assertRefused(STORE_RQ + element(0x4000, b"") * 2, "(0000,4000) twice")

    def test_missingOrEmptyMandatoryElementIsRefused(self) -> None:
        response = {0x0100: number(0x0100, 0x8001), 0x0120: number(0x0120, 9), 0x0900: number(0x0900, 0)}
        for tag, keyword, parts in [
            (0x0100, "CommandField", self.PARTS),
            (0x0110, "MessageID", self.PARTS),
            (0x0800, "CommandDataSetType", self.PARTS),
            (0x0120, "MessageIDBeingRespondedTo", self.PARTS | response),
            (0x0900, "Status", self.PARTS | response),
            (0x0120, "MessageIDBeingRespondedTo", self.PARTS | response | {0x0100: number(0x0100, 0x0FFF)}),
            (0x0110, "MessageID", self.PARTS | {0x0100: number(0x0100, 0x0777)}),
        ]:
            decodeCommand(commandSet(*parts.values()))
            self.assertRefused(commandSet(*[parts[key] for key in parts if key != tag]), f"no {keyword}")
            self.assertRefused(commandSet(*(parts | {tag: element(tag, b"")}).values()), f"no {keyword}")

    def test_numberOfAnotherLengthIsRefused(self) -> None:
        for tag in (0x0100, 0x0110, 0x0700, 0x0800, 0x1031):
            for length in (1, 3, 4):
                error = self.assertRaises(MessageError, self.decode, {tag: element(tag, bytes(length))})
                self.assertIn(f"(0000,{tag:04X})", str(error))

    def test_tagListOfAnotherLengthIsRefused(self) -> None:
        for length in (1, 2, 6):
            self.assertRaises(MessageError, self.decode, {0x0901: element(0x0901, bytes(length))})

    def test_uidsAreAsciiOfAtMost64Characters(self) -> None:
        """What can be no UID counts as not sent, also in the layout that has a way of its own."""
        for value, uid in ((b"1" * 64, "1" * 64), (b"1" * 65, ""), (b"1" * 66, ""), (b"1.\xe4\0", "")):
            for tag in (0x0002, 0x1000):
                for more in ({}, {0x1001: element(0x1001, b"1" * 65)}):
                    command = self.decode({tag: element(tag, value), **more})
                    assert isinstance(command, CStoreRQ)
                    uids = {0x0002: command.affectedSOPClassUID, 0x1000: command.affectedSOPInstanceUID}
                    self.assertEqual(uids[tag], uid)

    def test_paddingOfUIDsIsStripped(self) -> None:
        command = self.decode({0x0002: element(0x0002, b"1.2 \0\0"), 0x1000: element(0x1000, b"1" * 64 + b" ")})
        self.assertEqual(command, CStoreRQ(9, "1.2", "1" * 64))

    def test_wrongGroupLengthIsIgnored(self) -> None:
        body = STORE_RQ[12:]
        for start in (b"", element(0, b"\xff\xff\xff\xff"), element(0, b""), element(0, bytes(3))):
            self.assertEqual(decodeCommand(start + body), decodeCommand(STORE_RQ))

    def test_storeRequestWithoutUIDsHasEmptyOnes(self) -> None:
        parts = [self.PARTS[tag] for tag in (0x0100, 0x0110, 0x0800)]
        self.assertEqual(decodeCommand(commandSet(*parts)), CStoreRQ(9, "", ""))

    def test_echoRequestWithoutClassHasAnEmptyOne(self) -> None:
        parts = [number(0x0100, 0x30), number(0x0110, 9), number(0x0800, 0x0101)]
        self.assertEqual(decodeCommand(commandSet(*parts)), CEchoRQ(9, ""))

    def test_emptyOptionalNumberIsAsGoodAsNone(self) -> None:
        self.assertEqual(self.decode({0x0700: element(0x0700, b"")}), CStoreRQ(9, "1.2", "1.3"))
        self.assertEqual(self.decode({0x1031: element(0x1031, b"")}), CStoreRQ(9, "1.2", "1.3"))

    def test_onlyOneDataSetTypeMeansNone(self) -> None:
        for value in (0x0000, 0x0001, 0x0100, 0x0102, 0xFEFE):
            self.assertTrue(self.decode({0x0800: number(0x0800, value)}).hasDataSet)
        self.assertFalse(self.decode({0x0800: number(0x0800, NO_DATA_SET)}).hasDataSet)

    def test_moveOriginatorIsDecoded(self) -> None:
        changes = {0x1030: element(0x1030, b" MOVER\0"), 0x1031: number(0x1031, 77)}
        self.assertEqual(self.decode(changes), CStoreRQ(9, "1.2", "1.3", 0, "MOVER", 77))

    def test_textIsLatin1WithoutPadding(self) -> None:
        changes = {0x0600: element(0x0600, b" PACS  "), 0x0902: element(0x0902, b"gr\xfcn \0")}
        command = self.decode(changes | {0x0100: number(0x0100, CommandField.C_MOVE_RQ)})
        assert isinstance(command, GenericCommand)
        self.assertEqual((command.elements[0x0600], command.elements[0x0902]), ("PACS", "gr\xfcn"))

    def test_retiredElementsAreKeptByGenericCommandsOnly(self) -> None:
        changes = {0x0001: element(0x0001, b"abc"), 0xABCD: element(0xABCD, b"")}
        self.assertEqual(self.decode(changes), CStoreRQ(9, "1.2", "1.3"))
        command = self.decode(changes | {0x0100: number(0x0100, CommandField.N_SET_RQ)})
        assert isinstance(command, GenericCommand)
        self.assertEqual((command.elements[0x0001], command.elements[0xABCD]), (b"abc", b""))
        self.assertEqual(decodeCommand(encodeCommand(command)), command)

    def test_unknownCommandFieldGivesAGenericCommand(self) -> None:
        command = self.decode({0x0100: number(0x0100, 0x7777)})
        assert isinstance(command, GenericCommand)
        self.assertEqual((command.commandField, command.isRequest, command.messageID), (0x7777, True, 9))


class EncodeTests(SynchronousTestCase):
    """What becomes of what our own callers hand in."""

    def comment(self, comment: str) -> str:
        command = decodeCommand(encodeCommand(CStoreRSP(1, 0xC000, None, None, comment)))
        assert isinstance(command, CStoreRSP)
        return command.errorComment

    def test_commentIsCutTo64Characters(self) -> None:
        self.assertEqual(self.comment("x" * 64), "x" * 64)
        self.assertEqual(self.comment("x" * 65), "x" * 64)

    def test_charactersThatACommentMayNotHaveAreReplaced(self) -> None:
        self.assertEqual(self.comment("a\r\n\x1b\x7f\0b \u00fc\u20ac\U0001f600"), "a?????b ???")
        self.assertEqual(self.comment("C:\\tmp"), "C:/tmp")

    def test_oddValuesArePaddedToEvenLength(self) -> None:
        self.assertIn(element(0x0902, b"odd "), encodeCommand(CEchoRSP(1, 0x0110, None, "odd")))
        self.assertIn(element(0x0002, b"1.2\0"), encodeCommand(CEchoRSP(1, 0, "1.2")))
        self.assertIn(element(0x1030, b"ABC "), encodeCommand(CStoreRQ(1, "1.2", "1.3", 0, "ABC", 2)))

    def test_emptyUIDsAreSentEmptyAndMissingOnesNotAtAll(self) -> None:
        self.assertIn(element(0x1000, b""), encodeCommand(CStoreRSP(1, 0, "1.2", "")))
        self.assertEqual(encodeCommand(CStoreRSP(1, 0, None, None))[12:][:8], number(0x0100, 1)[:8])
        self.assertEqual(encodeCommand(CStoreRSP(1, 0, "1.2", None))[-10:], number(0x0900, 0))

    def test_genericCommandWithoutDataSetTypeIsSentAsOneWithoutDataSet(self) -> None:
        command = GenericCommand(CommandField.N_DELETE_RQ, {0x0110: 1})
        self.assertFalse(command.hasDataSet)
        self.assertIn(number(0x0800, NO_DATA_SET), encodeCommand(command))

    def test_genericCommandsOwnFieldsWin(self) -> None:
        """Group length and Command Field among the elements would contradict the message."""
        command = GenericCommand(0x0150, {0x0000: 1, 0x0100: 2, 0x0110: 3})
        self.assertEqual(decodeCommand(encodeCommand(command)), GenericCommand(0x0150, {0x0110: 3, 0x0800: 0x0101}))

    def test_valuesThatDoNotFitAreOurOwnCallersFault(self) -> None:
        for command in (
            CStoreRSP(0x10000, 0, "1.2", "1.3"),
            CStoreRSP(1, -1, "1.2", "1.3"),
            CStoreRSP(1, 0x10000, None, None, "slow path"),
            CStoreRSP(1, 0, "1" * 65, "1.3"),
            CStoreRSP(1, 0, "1.2", "1" * 65),
            CEchoRSP(1, 0, "\u00e4"),
            CEchoRQ(70000),
            CCancelRQ(-1),
            CStoreRQ(1, "1.2", "1.3", 0, "A" * 17, 1),
            CStoreRQ(1, "1.2", "1.3", 0, "\u20ac", 1),
            CEchoRSP(1, 0xA900, "1.2", "", (1 << 32,)),
            GenericCommand(0x0020, {0x0110: "1"}),
            GenericCommand(0x0020, {0x0110: 1, 0x0002: 5}),
            GenericCommand(0x0020, {0x0110: 1, 0x1005: 5}),
            GenericCommand(0x0020, {0x0110: 1, 0x4000: "text"}),
            GenericCommand(0x0020, {0x0110: 1, 0x10000: b""}),
            GenericCommand(0x10000, {0x0110: 1}),
        ):
            self.assertRaises(LocalProtocolError, encodeCommand, command)


class CommandTests(SynchronousTestCase):
    """What dispatching code sees."""

    def test_commandsCannotBeChanged(self) -> None:
        for _, command in VECTORS:
            with self.assertRaises((FrozenInstanceError, TypeError)):
                command.hasDataSet = True  # type: ignore[misc]

    def test_requestsAndResponsesAreToldApart(self) -> None:
        kinds = [(command.commandField, command.isRequest) for _, command in VECTORS]
        self.assertEqual(
            kinds, [(0x30, True), (0x01, True), (0x8001, False), (0x8001, False), (0x20, True), (0xFFF, True)]
        )
        self.assertFalse(CEchoRSP(1, 0, None).isRequest)
        self.assertFalse(GenericCommand(0x8020, {}).isRequest)

    def test_genericCommandGivesItsElementsByName(self) -> None:
        response = GenericCommand(0x8110, {0x0120: 4, 0x0900: 0x0112, 0x0800: DATA_SET_PRESENT, 0x0002: "1.2"})
        self.assertEqual((response.messageIDBeingRespondedTo, response.status), (4, 0x0112))
        self.assertTrue(response.hasDataSet)
        self.assertEqual((response.affectedSOPClassUID, response.affectedSOPInstanceUID), ("1.2", None))

    def test_genericCommandTakesRequestedForAffectedUIDs(self) -> None:
        request = GenericCommand(0x0110, {0x0110: 4, 0x0003: "1.5", 0x1001: "1.6"})
        self.assertEqual((request.affectedSOPClassUID, request.affectedSOPInstanceUID), ("1.5", "1.6"))

    def test_missingNumberOfAGenericCommandIsNamed(self) -> None:
        command = GenericCommand(0x0020, {})
        error = self.assertRaises(LocalProtocolError, lambda: command.messageID)
        self.assertEqual(str(error), "command 0x0020 has no MessageID")
        self.assertRaises(LocalProtocolError, lambda: command.messageIDBeingRespondedTo)
        self.assertRaises(LocalProtocolError, lambda: command.status)

    def test_elementsAreListedInAscendingOrder(self) -> None:
        self.assertEqual(
            elementsOf(CStoreRQ(5, CT, "1.2", 1, "MOVER", 6)),
            [
                (0x0002, "UI", CT),
                (0x0100, "US", 0x0001),
                (0x0110, "US", 5),
                (0x0700, "US", 1),
                (0x0800, "US", DATA_SET_PRESENT),
                (0x1000, "UI", "1.2"),
                (0x1030, "AE", "MOVER"),
                (0x1031, "US", 6),
            ],
        )
        generic = GenericCommand(0x0020, {0x4000: b"x", 0x0110: 1, 0x0800: 1})
        self.assertEqual(
            elementsOf(generic), [(0x0100, "US", 0x20), (0x0110, "US", 1), (0x0800, "US", 1), (0x4000, "UN", b"x")]
        )


class ResponseTests(SynchronousTestCase):
    """`responseTo` for every kind of request."""

    def test_storeResponseNamesTheInstance(self) -> None:
        request = CStoreRQ(7, CT, "1.2.3", 1, "MOVER", 2)
        self.assertEqual(responseTo(request, 0), CStoreRSP(7, 0, CT, "1.2.3"))
        self.assertEqual(
            responseTo(request, 0xA900, "differs", (0x00080016,)),
            CStoreRSP(7, 0xA900, CT, "1.2.3", "differs", (0x00080016,)),
        )

    def test_uidsThatTheRequestDidNotHaveAreLeftOut(self) -> None:
        self.assertEqual(responseTo(CStoreRQ(7, "", ""), 0x0117), CStoreRSP(7, 0x0117, None, None))
        self.assertEqual(responseTo(CEchoRQ(7, ""), 0), CEchoRSP(7, 0, None))

    def test_echoResponseNamesTheClass(self) -> None:
        self.assertEqual(responseTo(CEchoRQ(7), 0), CEchoRSP(7, 0, VERIFICATION))
        self.assertEqual(responseTo(CEchoRQ(7), 0x0110, "no"), CEchoRSP(7, 0x0110, VERIFICATION, "no"))

    def test_everyOtherRequestIsAnsweredByItsOwnResponse(self) -> None:
        for commandField in CommandField:
            if commandField & 0x8000 or commandField in (0x0001, 0x0030, 0x0FFF):
                continue
            request = GenericCommand(commandField, {0x0110: 3, 0x0700: 0, 0x0800: 0, 0x0002: "1.2", 0x1000: "1.3"})
            response = responseTo(request, 0x0211)
            self.assertEqual(
                response,
                GenericCommand(
                    commandField | 0x8000,
                    {0x0002: "1.2", 0x0120: 3, 0x0800: NO_DATA_SET, 0x0900: 0x0211, 0x1000: "1.3"},
                ),
            )
            self.assertEqual(decodeCommand(encodeCommand(response)), response)

    def test_requestedUIDsAreEchoedAsAffectedOnes(self) -> None:
        request = GenericCommand(0x0110, {0x0110: 3, 0x0800: 0x0101, 0x0003: "1.2", 0x1001: "1.3"})
        self.assertEqual(
            responseTo(request, 0x0211, "no", (0x00080016,)),
            GenericCommand(
                0x8110,
                {
                    0x0002: "1.2",
                    0x0120: 3,
                    0x0800: NO_DATA_SET,
                    0x0900: 0x0211,
                    0x0901: (0x00080016,),
                    0x0902: "no",
                    0x1000: "1.3",
                },
            ),
        )

    def test_cancelAndResponsesAreNotAnswered(self) -> None:
        for command in (CCancelRQ(1), CStoreRSP(1, 0, None, None), CEchoRSP(1, 0, None), GenericCommand(0x8020, {})):
            self.assertRaises(LocalProtocolError, responseTo, command, 0)
