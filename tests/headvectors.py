"""
What the tests of `txdicom.services.head` share: an encoder of data sets, and a test case that feeds them in many ways.

The encoder is written from PS3.5 7 and takes nothing from the code under test.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Iterable, Iterator
from random import Random
from typing import NamedTuple

from twisted.trial.unittest import SynchronousTestCase

from txdicom.services.head import HeadError, HeadReader

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
JPEG = "1.2.840.10008.1.2.4.50"
SYNTAXES = (IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG)

CHARACTER_SET = 0x00080005
SOP_CLASS_UID = 0x00080016
SOP_INSTANCE_UID = 0x00080018
STUDY_DATE = 0x00080020
REFERENCED_SERIES_SEQUENCE = 0x00081115
PATIENT_NAME = 0x00100010
PATIENT_ID = 0x00100020
STUDY_INSTANCE_UID = 0x0020000D
WANTED = (
    CHARACTER_SET,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    STUDY_DATE,
    PATIENT_NAME,
    PATIENT_ID,
    STUDY_INSTANCE_UID,
)
PIXEL_DATA = 0x7FE00010
ITEM = 0xFFFEE000
ITEM_DELIMITER = 0xFFFEE00D
SEQUENCE_DELIMITER = 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF
LONG_VRS = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
SHORT_VRS = tuple(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())


class Outcome(NamedTuple):
    """All that can be seen of a reader after it was fed."""

    attributes: dict[int, bytes]
    done: bool
    error: str


def header(syntax: str, tag: int, vr: bytes, length: int) -> bytes:
    """Encode what comes before a value (PS3.5 7.1.2 and 7.1.3)."""
    order = ">" if syntax == EXPLICIT_BIG else "<"
    tagged = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if syntax == IMPLICIT_LITTLE or tag >> 16 == 0xFFFE:
        return tagged + struct.pack(order + "I", length)
    if vr in SHORT_VRS:
        return tagged + vr + struct.pack(order + "H", length)
    return tagged + vr + b"\0\0" + struct.pack(order + "I", length)


def element(syntax: str, tag: int, vr: bytes, value: bytes) -> bytes:
    """Encode an element of defined length."""
    return header(syntax, tag, vr, len(value)) + value


def enclosed(syntax: str, tag: int, vr: bytes, content: bytes, delimiter: int) -> bytes:
    """Encode a sequence or an item of undefined length; all of one of VR UN is in implicit VR little endian."""
    inner = IMPLICIT_LITTLE if vr == b"UN" else syntax
    return header(syntax, tag, vr, UNDEFINED) + content + header(inner, delimiter, b"", 0)


def sequence(syntax: str, tag: int, *items: bytes, vr: bytes = b"SQ") -> bytes:
    """Encode a sequence of undefined length."""
    return enclosed(syntax, tag, vr, b"".join(items), SEQUENCE_DELIMITER)


def item(syntax: str, content: bytes = b"") -> bytes:
    """Encode an item of undefined length."""
    return enclosed(syntax, ITEM, b"", content, ITEM_DELIMITER)


def deflate(data: bytes, level: int = 6) -> bytes:
    """Deflate as PS3.5 A.5 wants it: without a header, padded to an even length."""
    deflater = zlib.compressobj(level, zlib.DEFLATED, -15)
    deflated = deflater.compress(data) + deflater.flush()
    return deflated + b"\0" * (len(deflated) % 2)


def cut(data: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    """Cut data into fragments of these sizes, and what remains."""
    position = 0
    for size in sizes:
        yield data[position : position + size]
        position += size
    yield data[position:]


def read(
    fragments: Iterable[bytes | memoryview],
    syntax: str,
    wanted: Collection[int] = WANTED,
    maximumValueLength: int = 1024,
    maximumHeadLength: int = 1 << 20,
) -> Outcome:
    """Feed a new reader with all the fragments, or until it fails."""
    reader = HeadReader(syntax, wanted, maximumValueLength, maximumHeadLength)
    try:
        for fragment in fragments:
            if reader.feed(fragment) is not reader.done:
                raise AssertionError("feed must return done")
    except HeadError as error:
        return Outcome(reader.attributes, reader.done, str(error))
    return Outcome(reader.attributes, reader.done, "")


class HeadTestCase(SynchronousTestCase):
    """What the cases below have in common."""

    def readEachWay(
        self,
        data: bytes,
        syntax: str,
        wanted: Collection[int] = WANTED,
        maximumValueLength: int = 1024,
        maximumHeadLength: int = 1 << 20,
    ) -> Outcome:
        """Read data in several fragmentations, which must not make a difference."""
        random = Random(len(data))
        sizes = [random.choice((0, 1, 2, 3, 7, 8, 11, 12, 13, 60, 400)) for _ in range(1000)]
        fragmentations: list[Iterable[bytes | memoryview]] = [
            [memoryview(data)],
            [b"", data, b""],
            cut(data, [1] * min(len(data), 3000)),
            cut(data, sizes),
            (memoryview(fragment) for fragment in cut(data, reversed(sizes))),
        ]
        outcome = read([data], syntax, wanted, maximumValueLength, maximumHeadLength)
        for fragments in fragmentations:
            self.assertEqual(read(fragments, syntax, wanted, maximumValueLength, maximumHeadLength), outcome)
        return outcome

    def assertFails(self, data: bytes, syntax: str, reason: str, maximumValueLength: int = 1024) -> None:
        """Reading has to end in this error."""
        outcome = self.readEachWay(data, syntax, maximumValueLength=maximumValueLength)
        self.assertIn(reason, outcome.error)
        self.assertFalse(outcome.done)
