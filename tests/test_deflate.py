"""
Tests for `txdicom.services.deflate`: deflated heads, cut anywhere, and streams made to harm.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Iterable, Iterator

from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file
from twisted.trial.unittest import SynchronousTestCase

from tests.headvectors import (
    EXPLICIT_LITTLE,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    STUDY_DATE,
    WANTED,
    Outcome,
    cut,
    deflate,
    element,
    header,
    read,
)
from txdicom.services.deflate import InflatingHeadReader, readerOf
from txdicom.services.head import HeadError, HeadReader

DEFLATED = "1.2.840.10008.1.2.1.99"
IDENTITY = (SOP_CLASS_UID, SOP_INSTANCE_UID)
EXAMPLES = settings(deadline=None, max_examples=150, derandomize=True, database=None)
LIMIT = 1 << 16

HEAD = (
    element(EXPLICIT_LITTLE, SOP_CLASS_UID, b"UI", b"1.2\0")
    + element(EXPLICIT_LITTLE, 0x00080017, b"UT", b"text that repeats itself " * 40)
    + element(EXPLICIT_LITTLE, SOP_INSTANCE_UID, b"UI", b"1.2.3 ")
)
FOUND = {SOP_CLASS_UID: b"1.2\0", SOP_INSTANCE_UID: b"1.2.3 "}
#: A block of deflate that holds nothing, and is not the last one (RFC 1951 3.2.4).
EMPTY_BLOCK = b"\0\0\0\xff\xff"


def inflateHead(
    fragments: Iterable[bytes], wanted: Iterable[int] = WANTED, maximumValueLength: int = 1024, limit: int = 1 << 20
) -> Outcome:
    """Feed a new reader with all the fragments, or until it fails; then each further one fails in the same way."""
    reader = readerOf(DEFLATED, tuple(wanted), maximumValueLength, limit)
    remaining: Iterator[bytes] = iter(fragments)
    try:
        for fragment in remaining:
            if reader.feed(memoryview(fragment)) is not reader.done:
                raise AssertionError("feed must return done")
    except HeadError as error:
        for fragment in (*remaining, b"", HEAD):
            try:
                reader.feed(fragment)
            except HeadError as again:
                if str(again) != str(error):
                    raise AssertionError("each further call must raise the same error") from again
            else:
                raise AssertionError("each further call must raise the same error")
        return Outcome(dict(reader.attributes), reader.done, str(error))
    return Outcome(dict(reader.attributes), reader.done, "")


class InflatingTests(SynchronousTestCase):
    """Data sets as they should be."""

    def test_eachWay(self) -> None:
        """At every level of compression, whole and byte by byte; what follows is ignored."""
        following = header(EXPLICIT_LITTLE, STUDY_DATE, b"DA", 8) + bytes(range(256)) * 1000
        for level in (0, 1, 6, 9):
            deflated = deflate(HEAD + following, level)
            for sizes in ([], [1] * 3000, [7] * 1000):
                self.assertEqual(inflateHead(cut(deflated, sizes), IDENTITY), Outcome(FOUND, True, ""))

    def test_noMoreThanTheHead(self) -> None:
        """What cannot be inflated does not matter when the head is done."""
        deflater = zlib.compressobj(6, zlib.DEFLATED, -15)
        deflated = deflater.compress(HEAD) + deflater.flush(zlib.Z_SYNC_FLUSH)
        reader = readerOf(DEFLATED, IDENTITY)
        self.assertTrue(reader.feed(deflated))
        self.assertTrue(reader.feed(b"\xff" * LIMIT))
        self.assertEqual(reader.attributes, FOUND)

    def test_nothingWanted(self) -> None:
        reader = readerOf(DEFLATED, ())
        self.assertTrue(reader.done)
        self.assertTrue(reader.feed(b"\xff" * 20))

    def test_realFile(self) -> None:
        """The file that pydicom brings along, one byte after the other."""
        path = get_testdata_file("image_dfl.dcm", read=False)
        with open(str(path), "rb") as file:
            content = file.read()
        meta = dcmread(str(path)).file_meta
        self.assertEqual(meta.TransferSyntaxUID, DEFLATED)
        data = content[144 + meta.FileMetaInformationGroupLength :]
        outcome = inflateHead(cut(data, [1] * 1000), IDENTITY)
        self.assertEqual(outcome.attributes[SOP_CLASS_UID].rstrip(b"\0").decode(), meta.MediaStorageSOPClassUID)
        self.assertEqual(outcome.attributes[SOP_INSTANCE_UID].rstrip(b"\0").decode(), meta.MediaStorageSOPInstanceUID)

    def test_whichSyntaxes(self) -> None:
        for uid in (DEFLATED, "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"):
            self.assertIs(type(readerOf(uid, IDENTITY)), InflatingHeadReader)
        for uid in (EXPLICIT_LITTLE, "1.2.840.10008.1.2", "1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.8.1"):
            self.assertIs(type(readerOf(uid, IDENTITY)), HeadReader)

    @EXAMPLES
    @given(
        st.lists(st.tuples(st.sampled_from(WANTED), st.binary(max_size=60)), max_size=9),
        st.lists(st.integers(0, 30), max_size=40),
        st.sampled_from((0, 1, 9)),
    )
    def test_sameAsInflatedBefore(self, elements: list[tuple[int, bytes]], sizes: list[int], level: int) -> None:
        """It finds what the plain reader finds in the plain data set."""
        data = b"".join(element(EXPLICIT_LITTLE, tag, b"LO", value) for tag, value in elements)
        expected = read([data], EXPLICIT_LITTLE)
        if not expected.done:
            expected = expected._replace(error="the deflated data set ends within its head")
        self.assertEqual(inflateHead(cut(deflate(data, level), sizes)), expected)


class HarmTests(SynchronousTestCase):
    """Streams that are none, or too much of one."""

    @EXAMPLES
    @given(st.binary(max_size=200), st.lists(st.integers(0, 9), max_size=30))
    def test_anyBytes(self, data: bytes, sizes: list[int]) -> None:
        """Arbitrary bytes give an outcome; of what cannot be inflated, more may come out the finer it is cut."""
        whole = inflateHead([data], IDENTITY)
        for fragments in (cut(data, sizes), cut(data, [1] * len(data))):
            outcome = inflateHead(fragments, IDENTITY)
            if not whole.error.startswith("the data set cannot be inflated"):
                self.assertEqual(outcome, whole)

    def test_notDeflated(self) -> None:
        """What is plain, or has a header of zlib's or gzip's, is not deflated."""
        for data in (HEAD, zlib.compress(HEAD), b"\x1f\x8b\x08\0" + deflate(HEAD)):
            outcome = inflateHead([data], IDENTITY)
            self.assertRegex(outcome.error, "^the data set cannot be inflated: ")
            self.assertFalse(outcome.done)

    def test_endsWithinTheHead(self) -> None:
        """A stream that is over says so at once; one that is cut off may go on."""
        deflated = deflate(HEAD[:-1])
        self.assertEqual(inflateHead([deflated], IDENTITY).error, "the deflated data set ends within its head")
        self.assertEqual(inflateHead([deflated[:-10]], IDENTITY), Outcome({SOP_CLASS_UID: b"1.2\0"}, False, ""))

    def test_bomb(self) -> None:
        """A few KiB that inflate to 64 MiB are given up when they have given as much as a head may have."""
        bomb = deflate(header(EXPLICIT_LITTLE, 0x00080005, b"UT", 0x7FFFFFF0) + bytes(1 << 26), 9)
        self.assertLess(len(bomb), LIMIT + 1024)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        outcome = inflateHead([bomb], IDENTITY, limit=LIMIT)
        self.assertLess(tracemalloc.get_traced_memory()[1], LIMIT)
        self.assertEqual(outcome, Outcome({}, False, f"head of the data set is longer than {LIMIT} bytes"))

    def test_nothingComesOut(self) -> None:
        """Blocks that hold nothing are given up when there are as many bytes of them as a head may have."""
        error = f"head of the data set is longer than {LIMIT} bytes, deflated"
        blocks = EMPTY_BLOCK * (LIMIT // len(EMPTY_BLOCK))
        for fragments in ([blocks], cut(blocks, [1] * len(blocks)), cut(blocks, [1000] * 65)):
            self.assertEqual(inflateHead(fragments, IDENTITY, limit=LIMIT), Outcome({}, False, ""))
        for fragments in ([blocks + EMPTY_BLOCK], cut(blocks + EMPTY_BLOCK, [1000] * 66)):
            self.assertEqual(inflateHead(fragments, IDENTITY, limit=LIMIT), Outcome({}, False, error))
        self.assertEqual(inflateHead([blocks, EMPTY_BLOCK], IDENTITY, limit=LIMIT).error, error)

    def test_headAtTheLimit(self) -> None:
        """A head of just as many bytes as it may have is read."""
        data = element(EXPLICIT_LITTLE, 0x00080005, b"UT", bytes(LIMIT - 12 - 14)) + HEAD[-14:]
        self.assertEqual(len(data), LIMIT)
        self.assertEqual(
            inflateHead([deflate(data, 9)], IDENTITY, limit=LIMIT), Outcome({SOP_INSTANCE_UID: b"1.2.3 "}, True, "")
        )

    def test_valueTooLong(self) -> None:
        """The plain reader's errors come through."""
        data = element(EXPLICIT_LITTLE, SOP_CLASS_UID, b"UI", bytes(65))
        outcome = inflateHead([deflate(data)], IDENTITY, maximumValueLength=64)
        self.assertEqual(outcome.error, "(0008,0016) is longer than 64 bytes")
