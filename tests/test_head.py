"""
Tests of `txdicom.services.head`: vectors made by hand in all encodings, and bytes made to harm.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Iterable

from twisted.trial.unittest import SynchronousTestCase

from tests.headvectors import (
    CHARACTER_SET,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    ITEM,
    ITEM_DELIMITER,
    JPEG,
    LONG_VRS,
    PATIENT_ID,
    PIXEL_DATA,
    SEQUENCE_DELIMITER,
    SHORT_VRS,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    STUDY_DATE,
    SYNTAXES,
    UNDEFINED,
    WANTED,
    HeadTestCase,
    Outcome,
    cut,
    element,
    header,
    item,
    read,
    sequence,
)
from txdicom.services.head import HeadError, HeadReader, uidValue
from txdicom.uids import isValidUID


class WalkTests(HeadTestCase):
    """Vectors made by hand, in all encodings."""

    def test_stopsAtHighestWantedElement(self) -> None:
        """It is done with the last byte of the highest wanted value, and ignores what follows."""
        for syntax in SYNTAXES:
            data = element(syntax, SOP_CLASS_UID, b"UI", b"1.2\0") + element(syntax, SOP_INSTANCE_UID, b"UI", b"1.2.3 ")
            reader = HeadReader(syntax, {SOP_CLASS_UID, SOP_INSTANCE_UID})
            self.assertFalse(reader.feed(data[:-1]))
            self.assertEqual(reader.attributes, {SOP_CLASS_UID: b"1.2\0"})
            self.assertTrue(reader.feed(data[-1:] + b"\xff" * 100))
            self.assertTrue(reader.feed(b"\xff" * 100))
            self.assertEqual(reader.attributes, {SOP_CLASS_UID: b"1.2\0", SOP_INSTANCE_UID: b"1.2.3 "})

    def test_stopsAtAnyElementBeyond(self) -> None:
        """The header of an element beyond the highest wanted one is enough, even if its value never comes."""
        for syntax in SYNTAXES:
            data = element(syntax, SOP_CLASS_UID, b"UI", b"1.2\0") + header(syntax, STUDY_DATE, b"UN", UNDEFINED)
            outcome = self.readEachWay(data, syntax, {SOP_CLASS_UID, SOP_INSTANCE_UID})
            self.assertEqual(outcome, Outcome({SOP_CLASS_UID: b"1.2\0"}, True, ""))

    def test_nothingWanted(self) -> None:
        """A reader of no elements is done before anything is fed."""
        reader = HeadReader(EXPLICIT_LITTLE, ())
        self.assertTrue(reader.done)
        self.assertTrue(reader.feed(b"\xff" * 20))

    def test_emptyAndOddValues(self) -> None:
        """Values of no bytes or of an odd number of them are given as they came."""
        for syntax in SYNTAXES:
            data = element(syntax, CHARACTER_SET, b"CS", b"") + element(syntax, 0x00080008, b"CS", b"ABC")
            data += element(syntax, SOP_CLASS_UID, b"UI", b"1.2") + element(syntax, SOP_INSTANCE_UID, b"UI", b"")
            outcome = self.readEachWay(data, syntax, {CHARACTER_SET, SOP_CLASS_UID, SOP_INSTANCE_UID})
            self.assertEqual(
                outcome, Outcome({CHARACTER_SET: b"", SOP_CLASS_UID: b"1.2", SOP_INSTANCE_UID: b""}, True, "")
            )

    def test_firstOfTwoCounts(self) -> None:
        """A wanted element that comes again is stepped over, whatever its length."""
        for syntax in SYNTAXES:
            data = element(syntax, SOP_CLASS_UID, b"UI", b"1.2\0")
            data += element(syntax, SOP_CLASS_UID, b"UT", bytes(5000))
            data += sequence(syntax, SOP_CLASS_UID, item(syntax))
            data += element(syntax, SOP_INSTANCE_UID, b"UI", b"1.4\0")
            outcome = self.readEachWay(data, syntax, {SOP_CLASS_UID, SOP_INSTANCE_UID})
            self.assertEqual(outcome, Outcome({SOP_CLASS_UID: b"1.2\0", SOP_INSTANCE_UID: b"1.4\0"}, True, ""))

    def test_elementsOutOfOrder(self) -> None:
        """An element that comes too late is taken as long as none beyond the highest wanted one has come."""
        for syntax in SYNTAXES:
            data = b"".join(
                element(syntax, tag, b"UI", b"%d " % (tag & 7)) for tag in (0x00080020, 0x00080016, 0x00080018)
            )
            expected = {SOP_CLASS_UID: b"6 ", SOP_INSTANCE_UID: b"0 "}
            self.assertEqual(self.readEachWay(data, syntax, {*expected, 0x00080021}), Outcome(expected, False, ""))
            self.assertEqual(self.readEachWay(data, syntax, expected), Outcome({}, True, ""))

    def test_eachFormOfLength(self) -> None:
        """The VRs of both explicit forms, and such as may be defined one day, are stepped over by their length."""
        for vr in (*SHORT_VRS, *LONG_VRS, b"ZZ"):
            for syntax in SYNTAXES:
                data = element(syntax, 0x00080001, vr, b"\xff" * 300) + element(syntax, SOP_CLASS_UID, vr, b"1.2\0")
                outcome = self.readEachWay(data, syntax, {SOP_CLASS_UID})
                self.assertEqual((vr, outcome), (vr, Outcome({SOP_CLASS_UID: b"1.2\0"}, True, "")))

    def test_othersAreExplicitLittleEndian(self) -> None:
        """A transfer syntax that is not one of the special two is read as explicit VR little endian."""
        data = element(EXPLICIT_LITTLE, SOP_CLASS_UID, b"UI", b"1.2\0")
        self.assertEqual(self.readEachWay(data, JPEG, {SOP_CLASS_UID}), Outcome({SOP_CLASS_UID: b"1.2\0"}, True, ""))

    def test_sequencesAreNotTheHead(self) -> None:
        """What is within sequences is never taken for a top level element, in whichever way their ends are marked."""
        for syntax in SYNTAXES:
            decoy = element(syntax, SOP_INSTANCE_UID, b"UI", b"9.9\0") + element(syntax, PIXEL_DATA, b"OW", bytes(4))
            deeper = sequence(syntax, 0x00081199, item(syntax, decoy), element(syntax, ITEM, b"", decoy), item(syntax))
            for data in (
                sequence(syntax, 0x00080010, item(syntax, decoy + deeper), element(syntax, ITEM, b"", deeper)),
                sequence(syntax, 0x00080010, item(syntax, deeper), item(syntax, deeper + decoy)),
                element(syntax, 0x00080010, b"SQ", item(syntax, deeper)),
                sequence(syntax, 0x00080010),
                element(syntax, 0x00080010, b"SQ", b""),
                sequence(syntax, 0x00080010, item(syntax), element(syntax, ITEM, b"", b"")),
            ):
                data += element(syntax, SOP_INSTANCE_UID, b"UI", b"1.2\0")
                outcome = self.readEachWay(data, syntax, {SOP_INSTANCE_UID})
                self.assertEqual(outcome, Outcome({SOP_INSTANCE_UID: b"1.2\0"}, True, ""))

    def test_sequencesOfUnknownVR(self) -> None:
        """A UN of undefined length is in implicit VR little endian down to its own delimiter, and not further."""
        for syntax in (EXPLICIT_LITTLE, EXPLICIT_BIG):
            deepest = sequence(IMPLICIT_LITTLE, 0x00091002, item(IMPLICIT_LITTLE), item(IMPLICIT_LITTLE))
            content = element(IMPLICIT_LITTLE, 0x00091003, b"", b"EXPLICIT")
            unknown = sequence(syntax, 0x00091001, item(IMPLICIT_LITTLE, content + deepest + content), vr=b"UN")
            after = element(syntax, 0x00091010, b"UT", b"text")
            nested = sequence(syntax, 0x00091004, item(syntax, after + unknown + after), item(syntax, after))
            data = unknown + nested + after + nested + unknown + element(syntax, PATIENT_ID, b"LO", b"ID")
            outcome = self.readEachWay(data, syntax, {PATIENT_ID})
            self.assertEqual(outcome, Outcome({PATIENT_ID: b"ID"}, True, ""))

    def test_iconsOfEncapsulatedPixelData(self) -> None:
        """Pixel data of undefined length is stepped over within an item, where an icon may have it."""
        for vr in (b"OB", b"OW"):
            for syntax in (EXPLICIT_LITTLE, EXPLICIT_BIG):
                frames = element(syntax, ITEM, b"", b"") + element(syntax, ITEM, b"", b"\xff" * 99)
                icon = item(syntax, sequence(syntax, PIXEL_DATA, frames, vr=vr))
                data = sequence(syntax, 0x00091001, icon) + element(syntax, PATIENT_ID, b"LO", b"ID")
                self.assertEqual(self.readEachWay(data, syntax, {PATIENT_ID}), Outcome({PATIENT_ID: b"ID"}, True, ""))

    def test_delimitersWithALength(self) -> None:
        """The length of a delimiter, which should be zero, means nothing."""
        for syntax in SYNTAXES:
            data = header(syntax, 0x00080010, b"SQ", UNDEFINED) + header(syntax, ITEM, b"", UNDEFINED)
            data += header(syntax, ITEM_DELIMITER, b"", 77) + header(syntax, SEQUENCE_DELIMITER, b"", UNDEFINED)
            data += element(syntax, SOP_INSTANCE_UID, b"UI", b"1.2\0")
            outcome = self.readEachWay(data, syntax, {SOP_INSTANCE_UID})
            self.assertEqual(outcome, Outcome({SOP_INSTANCE_UID: b"1.2\0"}, True, ""))


class HostileHeadTests(HeadTestCase):
    """What is no head gives `HeadError`, or is never done."""

    def test_foreignGroups(self) -> None:
        """Command sets, file meta information, and zeros, are not data sets."""
        for syntax in SYNTAXES:
            for tag in (0x00000000, 0x00000002, 0x00020000, 0x00020010):
                self.assertFails(element(syntax, tag, b"UL", bytes(4)), syntax, "does not belong into a data set")
            self.assertFails(bytes(4000), syntax, "(0000,0000) does not belong")

    def test_delimitersWithoutASequence(self) -> None:
        """Items and delimiters are not elements, also where the caller wants all there is."""
        for syntax in SYNTAXES:
            for tag in (ITEM, ITEM_DELIMITER, SEQUENCE_DELIMITER):
                data = header(syntax, tag, b"", 0)
                self.assertFails(data, syntax, "outside of any sequence")
                self.assertIn("outside of any sequence", read([data], syntax, {0xFFFFFFFF}).error)

    def test_misplacedDelimiters(self) -> None:
        """Each level has its own delimiter."""
        for syntax in SYNTAXES:
            begin = header(syntax, 0x00080010, b"SQ", UNDEFINED)
            openItem = header(syntax, ITEM, b"", UNDEFINED)
            for tag in (ITEM_DELIMITER, SOP_CLASS_UID, 0x00000000):
                self.assertFails(begin + header(syntax, tag, b"UI", 0), syntax, "where an item of a sequence should be")
            for tag in (ITEM, SEQUENCE_DELIMITER):
                self.assertFails(
                    begin + openItem + header(syntax, tag, b"", 0), syntax, "where an element of an item should be"
                )

    def test_undefinedLengths(self) -> None:
        """Only sequences, and what may be one, have no length."""
        for syntax in (EXPLICIT_LITTLE, EXPLICIT_BIG):
            for vr in (*(vr for vr in LONG_VRS if vr not in (b"SQ", b"UN")), b"ZZ"):
                plain = header(syntax, 0x00080010, vr, UNDEFINED)
                self.assertFails(plain, syntax, "(0008,0010) has an undefined length")
                nested = header(syntax, 0x00080001, b"SQ", UNDEFINED) + header(syntax, ITEM, b"", UNDEFINED) + plain
                self.assertFails(nested, syntax, "(0008,0010) has an undefined length")
            reason = read([header(syntax, PIXEL_DATA, b"OB", UNDEFINED)], syntax, {PIXEL_DATA + 1}).error
            self.assertEqual(reason, "(7FE0,0010) has an undefined length")

    def test_noVR(self) -> None:
        """Two bytes that are not capital letters are no VR, at the top or below."""
        for syntax in (EXPLICIT_LITTLE, EXPLICIT_BIG):
            for vr in (b"\0\0", b"ob", b"O1", b"A ", b"\xc4\xd6", b"S\xff"):
                data = header(syntax, 0x00080010, vr, 4)
                self.assertFails(data, syntax, "(0008,0010) has no VR")
                begin = header(syntax, 0x00080001, b"SQ", UNDEFINED) + header(syntax, ITEM, b"", UNDEFINED)
                self.assertFails(begin + data, syntax, "(0008,0010) has no VR")

    def test_valueTooLong(self) -> None:
        """A wanted value is refused by its announced length, before any of it has come."""
        for syntax in SYNTAXES:
            for length in (11, 0xFFFE):
                data = header(syntax, SOP_CLASS_UID, b"UI", length)
                self.assertFails(data, syntax, "(0008,0016) is longer than 10 bytes", maximumValueLength=10)
            for length in (1025, 0xFFFFFFFE, UNDEFINED):
                data = header(syntax, SOP_CLASS_UID, b"UN", length)
                self.assertFails(data, syntax, "(0008,0016) is longer than 1024 bytes")
            data = element(syntax, SOP_CLASS_UID, b"UI", bytes(10))
            self.assertEqual(
                self.readEachWay(data, syntax, maximumValueLength=10).attributes, {SOP_CLASS_UID: bytes(10)}
            )

    def test_headTooLong(self) -> None:
        """The head may be just as long as its bound, whatever it consists of, and not a byte longer."""
        for syntax in SYNTAXES:
            last = element(syntax, SOP_INSTANCE_UID, b"UI", b"1.2\0")
            for data in (
                element(syntax, 0x00080010, b"UN", bytes(900)) + last,
                element(syntax, SOP_CLASS_UID, b"UI", bytes(100)) + last,
                sequence(syntax, 0x00080010, *[item(syntax)] * 20) + last,
                element(syntax, 0x00080010, b"CS", b"") * 50 + last,
            ):
                wanted, size = {SOP_CLASS_UID, SOP_INSTANCE_UID}, len(data)
                self.assertTrue(self.readEachWay(data + b"more", syntax, wanted, maximumHeadLength=size).done)
                outcome = self.readEachWay(data + b"more", syntax, wanted, maximumHeadLength=size - 1)
                self.assertEqual(outcome.done, False)
                self.assertEqual(outcome.error, f"head of the data set is longer than {size - 1} bytes")
                self.assertEqual(read([data[:-1]], syntax, wanted, maximumHeadLength=size - 1).error, "")

    def test_deepNesting(self) -> None:
        """Sequences may be nested 32 deep, and no amount of nesting gives any other error."""
        for syntax in SYNTAXES:
            for vr in (b"SQ", b"UN"):
                begin = header(syntax, 0x00081140, vr, UNDEFINED)
                inner = IMPLICIT_LITTLE if vr == b"UN" else syntax
                level = header(inner, ITEM, b"", UNDEFINED) + header(inner, 0x00081140, b"SQ", UNDEFINED)
                close = header(inner, SEQUENCE_DELIMITER, b"", 0)
                nested = begin + 31 * level + close + 31 * (header(inner, ITEM_DELIMITER, b"", 0) + close)
                data = nested + nested + element(syntax, PATIENT_ID, b"LO", b"ID")
                self.assertEqual(self.readEachWay(data, syntax).attributes, {PATIENT_ID: b"ID"})
                self.assertFails(begin + 32 * level, syntax, "(0008,1140) is nested more than 32 deep")
                self.assertFails(begin + 5000 * level, syntax, "(0008,1140) is nested more than 32 deep")

    def test_failsForGood(self) -> None:
        """After an error each further call raises it again, whatever comes."""
        reader = HeadReader(EXPLICIT_LITTLE, WANTED)
        errors = [self.assertRaises(HeadError, reader.feed, data) for data in (bytes(8), b"", bytes(100))]
        self.assertEqual({str(error) for error in errors}, {"(0000,0000) does not belong into a data set"})
        self.assertIsInstance(errors[0], ValueError)

    def test_skippedIsNotKept(self) -> None:
        """A long element is stepped over in many fragments without keeping them."""
        for syntax in SYNTAXES:
            reader = HeadReader(syntax, WANTED)
            reader.feed(header(syntax, 0x00080010, b"UN", 0xFFFFFFF0))
            fragment = memoryview(bytes(0x4000))
            tracemalloc.start()
            try:
                for _ in range(63):
                    self.assertFalse(reader.feed(fragment))
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            self.assertLess(peak, 4096)
            self.assertRaises(HeadError, reader.feed, fragment)

    def test_noViewIsKept(self) -> None:
        """Neither a value nor the beginning of one holds on to the fragment it came in."""
        data = bytearray(element(EXPLICIT_LITTLE, SOP_CLASS_UID, b"UI", b"1.2\0"))
        data += header(EXPLICIT_LITTLE, SOP_INSTANCE_UID, b"UI", 8) + b"1.2"
        reader = HeadReader(EXPLICIT_LITTLE, WANTED)
        with memoryview(data) as view:
            reader.feed(view)
        data.clear()
        reader.feed(b".3.4\0")
        self.assertEqual(reader.attributes, {SOP_CLASS_UID: b"1.2\0", SOP_INSTANCE_UID: b"1.2.3.4\0"})

    def test_workPerByteIsBounded(self) -> None:
        """No input makes the reader do more than a few steps for each byte or fragment."""
        for syntax in SYNTAXES:
            begin = header(syntax, 0x00080010, b"SQ", UNDEFINED)
            for data in (
                element(syntax, 0x00080010, b"CS", b"") * 500,
                element(syntax, 0x00080010, b"UN", b"") * 500,
                begin + item(syntax) * 300,
                begin + element(syntax, ITEM, b"", b"") * 500,
                sequence(syntax, 0x00080010) * 300,
                header(syntax, 0x00080010, b"UN", 0xFFFFFFF0) + bytes(4000),
                header(syntax, SOP_CLASS_UID, b"UT", 1024) + bytes(1023),
            ):
                self.assertLess(callsToRead([data], syntax), len(data) // 2)
                self.assertLess(callsToRead(cut(data, [1] * len(data)), syntax), 8 * len(data))


def callsToRead(fragments: Iterable[bytes], syntax: str) -> int:
    """Count the calls of Python functions that it takes to feed the fragments."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    listed = list(fragments)
    reader = HeadReader(syntax, WANTED)
    sys.setprofile(count)
    try:
        for fragment in listed:
            reader.feed(fragment)
    finally:
        sys.setprofile(before)
    return calls


class UIDTests(SynchronousTestCase):
    """UIDs as they come in values, and which of them may be trusted."""

    def test_uidValueDropsPadding(self) -> None:
        """NULs and spaces at the end are padding, all else belongs to the value."""
        for value, uid in (
            (b"1.2.3", "1.2.3"),
            (b"1.2.3\0", "1.2.3"),
            (b"1.2.3 \0 \0\0", "1.2.3"),
            (b" 1.2\0.3\n", " 1.2\0.3\n"),
            (b"1.2\\1.3 ", "1.2\\1.3"),
            (b"\0\0", ""),
            (b"", ""),
            (None, ""),
            (b"1.2.\xb2", ""),
            ("1.2.\u0663".encode(), ""),
        ):
            self.assertEqual(uidValue(value), uid)

    def test_validUIDs(self) -> None:
        """Numbers with single dots between them, 1 to 64 characters, are UIDs."""
        for uid in ("1", "0", "1.2.840.10008.1.2", "1.02.003", "00.0", "9" * 64, "1." * 31 + "12"):
            self.assertTrue(isValidUID(uid), uid)

    def test_invalidUIDs(self) -> None:
        """All else is none, and above all what would mean something in a path."""
        for uid in (
            "",
            ".",
            "..",
            "1.",
            ".1",
            "1..2",
            "1.2\n",
            "\n1.2",
            "1.2 ",
            "1.2\0",
            "1,2",
            "-1",
            "1.2/..",
            "a",
            "1\\2",
        ):
            self.assertFalse(isValidUID(uid), uid)
        for uid in ("9" * 65, "1." * 32 + "1", "." * 1000000, "\u0661.\u0662", "1.\u00b2", "\uff11"):
            self.assertFalse(isValidUID(uid), uid)
