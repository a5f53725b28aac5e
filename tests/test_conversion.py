"""
Tests of `txdicom.storage.conversion`: by hand, there and back, and against pydicom's reader.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import contextlib
import struct
import warnings
import zlib
from io import BytesIO

from hypothesis import given
from hypothesis import strategies as st
from pydicom.filereader import read_dataset
from twisted.trial.unittest import SynchronousTestCase

from tests.headvectors import (
    CHARACTER_SET,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    ITEM,
    ITEM_DELIMITER,
    PATIENT_ID,
    PATIENT_NAME,
    PIXEL_DATA,
    SEQUENCE_DELIMITER,
    SYNTAXES,
    UNDEFINED,
    element,
    header,
)
from tests.interop.corpus import findFiles
from tests.test_head_properties import EXAMPLES, dataSets, encode
from txdicom.storage.conversion import CONVERTIBLE, ConversionError, convert

DEFLATED = "1.2.840.10008.1.2.1.99"
ROWS, BITS_ALLOCATED, PIXEL_REPRESENTATION, SMALLEST = 0x00280010, 0x00280100, 0x00280103, 0x00280106
SEQUENCE = 0x00081115
PRIVATE = 0x00091001


def converted(data: bytes, source: str, target: str) -> bytes:
    """Convert a data set."""
    parts: list[bytes] = []
    convert(BytesIO(data), len(data), source, target, parts.append)
    return b"".join(parts)


def short(number: int, syntax: str) -> bytes:
    """Write a number of 16 bits."""
    return struct.pack((">" if syntax == EXPLICIT_BIG else "<") + "H", number)


def sequence(syntax: str, *items: bytes, vr: bytes = b"SQ", tag: int = SEQUENCE) -> bytes:
    """Write a sequence as the conversion does, with undefined lengths."""
    content = b"".join(
        header(syntax, ITEM, b"", UNDEFINED) + content + header(syntax, ITEM_DELIMITER, b"", 0) for content in items
    )
    return header(syntax, tag, vr, UNDEFINED) + content + header(syntax, SEQUENCE_DELIMITER, b"", 0)


class VectorTests(SynchronousTestCase):
    """One data set in all transfer syntaxes, and what is not the same in two of them."""

    def dataSet(self, syntax: str) -> bytes:
        """Write one that has a bit of everything."""
        swap = syntax == EXPLICIT_BIG
        order = ">" if swap else "<"
        return b"".join(
            (
                element(syntax, CHARACTER_SET, b"CS", b"ISO 2022 IR 6\\ISO 2022 IR 87 "),
                sequence(syntax, element(syntax, PATIENT_ID, b"LO", b"ID"), b"", sequence(syntax)),
                sequence(syntax),
                element(syntax, PATIENT_NAME, b"PN", b"\xff\x1b$B;3ED\x1b(B="),
                element(syntax, 0x00101020, b"DS", b""),
                element(syntax, 0x00189074, b"DT", b"2026"),
                element(syntax, 0x00189087, b"FD", struct.pack(order + "d", 1.5)),
                element(syntax, 0x00209165, b"AT", struct.pack(order + "HH", 0x0020, 0x9057)),
                element(syntax, ROWS, b"US", short(258, syntax)),
                element(syntax, BITS_ALLOCATED, b"US", short(16, syntax)),
                element(syntax, PIXEL_REPRESENTATION, b"US", short(1, syntax)),
                element(syntax, SMALLEST, b"SS", struct.pack(order + "h", -2)),
                element(syntax, 0x00660016, b"OF", struct.pack(order + "2f", 1.5, 2.5)),
                element(syntax, PIXEL_DATA, b"OW", struct.pack(order + "3H", 1, 2, 0xFFFE)),
            )
        )

    def test_eachIntoEach(self) -> None:
        for source in SYNTAXES:
            for target in SYNTAXES:
                self.assertEqual(converted(self.dataSet(source), source, target), self.dataSet(target))
        self.assertEqual(frozenset(SYNTAXES), CONVERTIBLE)

    def test_deflated(self) -> None:
        """What is deflated is explicit VR little endian, and has an even length (PS3.5 A.5)."""
        padding = set()
        for source in SYNTAXES:
            for number in range(8):
                more = element(source, PIXEL_DATA + 0x100, b"OB", bytes(range(number * 2)))
                deflated = converted(self.dataSet(source) + more, source, DEFLATED)
                decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
                more = converted(more, source, EXPLICIT_LITTLE)
                self.assertEqual(decompressor.decompress(deflated), self.dataSet(EXPLICIT_LITTLE) + more)
                self.assertEqual(len(deflated) % 2, 0)
                padding.add(decompressor.unused_data)
        self.assertEqual(padding, {b"", b"\0"})

    def test_definedLengths(self) -> None:
        """Sequences and items of defined lengths get undefined ones; group lengths go."""
        for source in SYNTAXES:
            inner = element(source, 0x00080000, b"UL", bytes(4)) + element(source, PATIENT_ID, b"LO", b"ID")
            item = header(source, ITEM, b"", len(inner)) + inner
            data = element(source, SEQUENCE, b"SQ", item + item)
            data += element(source, 0x00100000, b"UL", bytes(4)) + element(source, PATIENT_ID, b"LO", b"ID")
            for target in SYNTAXES:
                identity = element(target, PATIENT_ID, b"LO", b"ID")
                self.assertEqual(converted(data, source, target), sequence(target, identity, identity) + identity)

    def test_vrs(self) -> None:
        """What an element without a VR gets."""
        for before, tag, value, vr in (
            (b"", PRIVATE, b"ab", b"UN"),
            (b"", 0x00081FFF, b"ab", b"UN"),
            (b"", SMALLEST, b"ab", b"US"),
            (element(IMPLICIT_LITTLE, PIXEL_REPRESENTATION, b"", b"\1\0"), SMALLEST, b"ab", b"SS"),
            (element(IMPLICIT_LITTLE, PIXEL_REPRESENTATION, b"", b""), SMALLEST, b"ab", b"US"),
            (element(IMPLICIT_LITTLE, BITS_ALLOCATED, b"", b"\x08\0"), PIXEL_DATA, b"ab", b"OB"),
            (element(IMPLICIT_LITTLE, BITS_ALLOCATED, b"", b"\x10\0"), PIXEL_DATA, b"ab", b"OW"),
            (b"", PIXEL_DATA, b"ab", b"OW"),
            (b"", 0x60003000, b"ab", b"OW"),
            (b"", 0x00283006, b"ab", b"OW"),
            (b"", PATIENT_ID, b"ab", b"LO"),
        ):
            data = before + element(IMPLICIT_LITTLE, tag, b"", value)
            result = converted(data, IMPLICIT_LITTLE, EXPLICIT_LITTLE)
            self.assertTrue(result.endswith(element(EXPLICIT_LITTLE, tag, vr, value)), (tag, vr, result))

    def test_vrsWithinItems(self) -> None:
        """An item knows what the data set around it said before, unless it says so itself."""
        signed, unsigned = (element(IMPLICIT_LITTLE, PIXEL_REPRESENTATION, b"", value) for value in (b"\1\0", b"\0\0"))
        smallest = element(IMPLICIT_LITTLE, SMALLEST, b"", b"ab")
        data = signed + sequence(IMPLICIT_LITTLE, smallest, unsigned + smallest, tag=0x00283010) + b""
        explicit = EXPLICIT_LITTLE
        self.assertEqual(
            converted(data, IMPLICIT_LITTLE, explicit),
            element(explicit, PIXEL_REPRESENTATION, b"US", b"\1\0")
            + sequence(
                explicit,
                element(explicit, SMALLEST, b"SS", b"ab"),
                element(explicit, PIXEL_REPRESENTATION, b"US", b"\0\0") + element(explicit, SMALLEST, b"US", b"ab"),
                tag=0x00283010,
            ),
        )

    def test_sequencesOfUnknownVR(self) -> None:
        """UN of undefined length is a sequence in implicit VR little endian; so is what is private there."""
        inner = element(IMPLICIT_LITTLE, PATIENT_ID, b"", b"ID")
        for source in (EXPLICIT_LITTLE, EXPLICIT_BIG):
            content = sequence(IMPLICIT_LITTLE, inner)[8:]
            data = header(source, PRIVATE, b"UN", UNDEFINED) + content + element(source, PATIENT_ID, b"LO", b"ID")
            for target in SYNTAXES:
                identity = element(target, PATIENT_ID, b"LO", b"ID")
                self.assertEqual(converted(data, source, target), sequence(target, identity, tag=PRIVATE) + identity)
        self.assertEqual(
            converted(sequence(IMPLICIT_LITTLE, inner, tag=PRIVATE), IMPLICIT_LITTLE, EXPLICIT_LITTLE),
            sequence(EXPLICIT_LITTLE, element(EXPLICIT_LITTLE, PATIENT_ID, b"LO", b"ID"), tag=PRIVATE),
        )

    def test_newVRs(self) -> None:
        """A VR that is yet to be invented has the long form, and bytes that we do not know how to swap."""
        for source in (EXPLICIT_LITTLE, EXPLICIT_BIG):
            data = header(source, PRIVATE, b"ZZ", 4) + b"abcd"
            for target in (EXPLICIT_LITTLE, EXPLICIT_BIG):
                self.assertEqual(converted(data, source, target), header(target, PRIVATE, b"ZZ", 4) + b"abcd")

    def test_longValues(self) -> None:
        """A value that is too long for its VR's header becomes UN; one that is swapped is so in all of its pieces."""
        value = b"x" * 0x10000
        data = element(IMPLICIT_LITTLE, PATIENT_ID, b"", value)
        result = converted(data, IMPLICIT_LITTLE, EXPLICIT_LITTLE)
        self.assertEqual(result, element(EXPLICIT_LITTLE, PATIENT_ID, b"UN", value))
        data = element(EXPLICIT_LITTLE, PIXEL_DATA, b"OW", b"ab" * (3 << 19))
        result = converted(data, EXPLICIT_LITTLE, EXPLICIT_BIG)
        self.assertEqual(result, element(EXPLICIT_BIG, PIXEL_DATA, b"OW", b"ba" * (3 << 19)))


class RefusedTests(SynchronousTestCase):
    """What cannot be converted."""

    def assertFails(self, data: bytes, reason: str, source: str = EXPLICIT_LITTLE, target: str = EXPLICIT_BIG) -> None:
        """A data set is refused."""
        self.assertEqual(str(self.assertRaises(ConversionError, converted, data, source, target)), reason)

    def test_refused(self) -> None:
        little = EXPLICIT_LITTLE
        begin = header(little, SEQUENCE, b"SQ", UNDEFINED)
        item = header(little, ITEM, b"", UNDEFINED)
        for data, reason in (
            (b"\x10\0", "the data set ends within a header"),
            (header(little, PATIENT_ID, b"UT", 4)[:9], "the data set ends within a header"),
            (header(little, PATIENT_ID, b"LO", 4) + b"abc", "(0010,0020) is longer than what it is in"),
            (header(little, PATIENT_ID, b"lo", 4), "(0010,0020) has no VR"),
            (header(little, PIXEL_DATA, b"OB", UNDEFINED), "(7FE0,0010) has an undefined length"),
            (header(little, ITEM_DELIMITER, b"", 0), "(FFFE,E00D) where an element should be"),
            (header(little, ITEM, b"", 0), "(FFFE,E000) where an element should be"),
            (element(little, ROWS, b"US", b"abc"), "(0028,0010) has 3 bytes, which is no multiple of 2"),
            (begin, "(0008,1115) has no end"),
            (begin + element(little, ROWS, b"US", b"ab"), "(0028,0010) where an item of a sequence should be"),
            (begin + item, "the data set, or an item in it, ends too early"),
            (begin + item + header(little, SEQUENCE_DELIMITER, b"", 0), "(FFFE,E0DD) where an element should be"),
            (begin + header(little, ITEM, b"", 9), "an item is longer than the sequence that it is in"),
            (header(little, SEQUENCE, b"SQ", 8), "(0008,1115) is longer than what it is in"),
            ((begin + item) * 65, "(0008,1115) is nested more than 64 deep"),
            ((begin + item) * 20000, "(0008,1115) is nested more than 64 deep"),
        ):
            self.assertFails(data, reason)

    @given(st.binary(max_size=100), st.sampled_from(SYNTAXES), st.sampled_from((*SYNTAXES, DEFLATED)))
    def test_anyBytes(self, data: bytes, source: str, target: str) -> None:
        """Whatever it is, it is converted or refused."""
        with contextlib.suppress(ConversionError):
            converted(data, source, target)


class ThereAndBackTests(SynchronousTestCase):
    """Nothing gets lost."""

    @EXAMPLES
    @given(dataSets, st.sampled_from(SYNTAXES), st.sampled_from((EXPLICIT_LITTLE, EXPLICIT_BIG)))
    def test_explicit(self, nodes: list, source: str, target: str) -> None:  # type: ignore[type-arg]
        """From explicit VR to another one and back is what it was, in the form that a conversion gives it."""
        source = EXPLICIT_LITTLE if source == IMPLICIT_LITTLE else source
        try:
            plain = converted(encode(source, nodes), source, source)
            there = converted(plain, source, target)
        except ConversionError:
            return
        self.assertEqual(converted(there, target, source), plain)

    def test_corpus(self) -> None:
        """What pydicom reads before and after is the same, of all files that come with it."""
        count = 0
        for file in findFiles():
            content = file.path.read_bytes()
            if file.transferSyntaxUID not in CONVERTIBLE or content[128:140] != b"DICM\x02\0\0\0UL\4\0":
                continue
            data = content[144 + int.from_bytes(content[140:144], "little") :]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                count += self.compare(data, file.transferSyntaxUID)
        self.assertGreater(count, 100)

    def compare(self, data: bytes, source: str) -> bool:
        """
        Convert a data set into the other syntaxes.

        :return: whether that can be done.
        """
        try:
            results = {target: converted(data, source, target) for target in (IMPLICIT_LITTLE, EXPLICIT_LITTLE)}
        except ConversionError:
            return False
        for target, result in results.items():
            before, after = (elements(data, source), elements(result, target))
            self.assertEqual([tag for tag, _, _ in before], [tag for tag, _, _ in after])
            for (tag, vr, value), (_, vrAfter, valueAfter) in zip(before, after, strict=True):
                # pydicom swaps numbers, but not words.
                if vr == vrAfter and not (vr == "OW" and source == EXPLICIT_BIG):
                    self.assertEqual(value, valueAfter, f"{tag:08X}")
        return True


def elements(data: bytes, syntax: str) -> list[tuple[int, str, str]]:
    """Have pydicom read a data set: tags, VRs and values of all elements but sequences and group lengths."""
    dataset = read_dataset(BytesIO(data), syntax == IMPLICIT_LITTLE, syntax != EXPLICIT_BIG)
    return [
        (item.tag, item.VR, repr(item.value)) for item in dataset.iterall() if item.tag & 0xFFFF and item.VR != "SQ"
    ]
