"""
Tests of `txdicom.storage.fileformat` and `txdicom.storage.naming`: the head of a file, read by hand and by pydicom.
"""

from __future__ import annotations

import struct
from io import BytesIO

from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import FileMetaDataset
from twisted.trial.unittest import SynchronousTestCase

from tests.headvectors import SYNTAXES
from tests.scripted import CT, INSTANCE, dataSet, storeRQ
from txdicom.services.storage import ReceivedInstance
from txdicom.storage.fileformat import encodeFileHead
from txdicom.storage.naming import nameOfInstance
from txdicom.uids import FILE_PREFIXES, IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"

#: The letters the original storescp, as it is today, begins the names of its files with.
PREFIXES = {
    "1.2.840.10008.5.1.4.1.1.1": "CR",
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.20": "NM",
    "1.2.840.10008.5.1.4.1.1.5": "NMr",
    "1.2.840.10008.5.1.4.1.1.6.1": "US",
    "1.2.840.10008.5.1.4.1.1.6": "USr",
    "1.2.840.10008.5.1.4.1.1.3.1": "USm",
    "1.2.840.10008.5.1.4.1.1.3": "USf",
    "1.2.840.10008.5.1.4.1.1.7": "SC",
    "1.2.840.10008.5.1.4.1.1.12.1": "XA",
    "1.2.840.10008.5.1.4.1.1.12.3": "XB",
    "1.2.840.10008.5.1.4.1.1.12.2": "RF",
    "1.2.840.10008.5.1.4.1.1.8": "OV",
    "1.2.840.10008.5.1.4.1.1.9": "CV",
    "1.2.840.10008.5.1.4.1.1.10": "ML",
    "1.2.840.10008.5.1.4.1.1.11": "VO",
}

uids = st.from_regex(r"[0-9]+(\.[0-9]+)*", fullmatch=True).filter(lambda uid: len(uid) <= 64)


def elementsOf(head: bytes) -> list[tuple[int, bytes, bytes]]:
    """Take the file meta information apart by hand: element number, VR, value."""
    elements = []
    position = 132
    while position < len(head):
        group, number, vr, length = struct.unpack_from("<HH2sH", head, position)
        position += 8
        if vr == b"OB":
            (length,) = struct.unpack_from("<I", head, position)
            position += 4
        if group != 2:
            raise AssertionError(f"group {group:04X}")
        elements.append((number, vr, head[position : position + length]))
        position += length
    return elements


class FileHeadTests(SynchronousTestCase):
    """`encodeFileHead`."""

    def meta(self, head: bytes, data: bytes = b"") -> FileMetaDataset:
        """Read the file meta information with pydicom."""
        return dcmread(BytesIO(head + (data or dataSet()))).file_meta

    def test_elements(self) -> None:
        """All that PS3.10 7.1 requires, in order, each of even length."""
        head = encodeFileHead(CT, "1.2.3", EXPLICIT_LITTLE, "SCANNER")
        self.assertEqual(head[:128], bytes(128))
        self.assertEqual(head[128:132], b"DICM")
        elements = elementsOf(head)
        self.assertEqual(
            elements[1:],
            [
                (0x0001, b"OB", b"\x00\x01"),
                (0x0002, b"UI", b"1.2.840.10008.5.1.4.1.1.2\x00"),
                (0x0003, b"UI", b"1.2.3\x00"),
                (0x0010, b"UI", b"1.2.840.10008.1.2.1\x00"),
                (0x0012, b"UI", IMPLEMENTATION_CLASS_UID.encode() + b"\x00" * (len(IMPLEMENTATION_CLASS_UID) % 2)),
                (0x0013, b"SH", IMPLEMENTATION_VERSION_NAME.encode() + b" " * (len(IMPLEMENTATION_VERSION_NAME) % 2)),
                (0x0016, b"AE", b"SCANNER "),
            ],
        )
        length = len(head) - 132 - 12
        self.assertEqual(elements[0], (0x0000, b"UL", struct.pack("<I", length)))

    def test_identityIsOurOwn(self) -> None:
        """Not that of any library we learned from, and one that PS3.5 and PS3.7 allow."""
        self.assertRegex(IMPLEMENTATION_CLASS_UID, r"^2\.25\.[1-9][0-9]{1,38}$")
        self.assertTrue(IMPLEMENTATION_VERSION_NAME.startswith("TXDICOM"))
        self.assertLessEqual(len(IMPLEMENTATION_VERSION_NAME), 16)

    def test_pydicomReadsIt(self) -> None:
        for syntax in SYNTAXES:
            for sopClass in PREFIXES:
                data = dataSet(syntax, sopClass)
                read = dcmread(BytesIO(encodeFileHead(sopClass, INSTANCE, syntax, "SCANNER") + data))
                meta = read.file_meta
                self.assertEqual(meta.MediaStorageSOPClassUID, sopClass)
                self.assertEqual(meta.MediaStorageSOPInstanceUID, INSTANCE)
                self.assertEqual(meta.TransferSyntaxUID, syntax)
                self.assertEqual(meta.ImplementationClassUID, IMPLEMENTATION_CLASS_UID)
                self.assertEqual(meta.ImplementationVersionName, IMPLEMENTATION_VERSION_NAME)
                self.assertEqual(meta.SourceApplicationEntityTitle, "SCANNER")
                self.assertEqual(
                    (read.SOPClassUID, read.SOPInstanceUID, read.PatientName), (sopClass, INSTANCE, "Doe^Jane")
                )

    def test_titles(self) -> None:
        """An AE title is printable ASCII without backslash; whatever else a peer called itself is replaced."""
        for title, written in (
            ("A", "A"),
            ("CT SCANNER ROOM3", "CT SCANNER ROOM3"),
            ("A\\B", "A?B"),
            ("R\u00d6NTGEN", "R?NTGEN"),
            ("\x1b[31mRED\x7f", "?[31mRED?"),
            ("a\nb\0c", "a?b?c"),
        ):
            head = encodeFileHead(CT, INSTANCE, EXPLICIT_LITTLE, title)
            self.assertEqual(self.meta(head).SourceApplicationEntityTitle, written)
            self.assertEqual(len(elementsOf(head)[-1][2]) % 2, 0)

    def test_noTitle(self) -> None:
        """There is nothing to tell then, and the element is optional (PS3.10 Table 7.1-1)."""
        head = encodeFileHead(CT, INSTANCE, EXPLICIT_LITTLE, "")
        self.assertEqual([number for number, _, _ in elementsOf(head)], [0, 1, 2, 3, 0x10, 0x12, 0x13])
        self.assertNotIn("SourceApplicationEntityTitle", self.meta(head))

    @settings(deadline=None, max_examples=100)
    @given(uids, uids, uids, st.text(st.characters(max_codepoint=255), max_size=16))
    def test_groupLengthLeadsToTheDataSet(self, sopClass: str, sopInstance: str, syntax: str, title: str) -> None:
        """Whatever the values, also when one of them has been met before."""
        for instance in (sopInstance, INSTANCE):
            head = encodeFileHead(sopClass, instance, syntax, title)
            elements = {number: value for number, _, value in elementsOf(head)}
            self.assertEqual(144 + struct.unpack("<I", elements[0])[0], len(head))
            self.assertEqual([len(value) % 2 for value in elements.values()], [0] * len(elements))
            values = [elements[number].rstrip(b"\0").decode() for number in (0x0002, 0x0003, 0x0010)]
            self.assertEqual(values, [sopClass, instance, syntax])


class NamingTests(SynchronousTestCase):
    """`nameOfInstance`."""

    def nameOf(self, sopClass: str, sopInstance: str) -> str:
        """Name an instance."""
        return nameOfInstance(ReceivedInstance(sopClass, sopInstance, EXPLICIT_LITTLE, storeRQ(), {}))

    def test_classesOfTheOriginal(self) -> None:
        self.assertEqual(len(PREFIXES), 17)
        for sopClass, prefix in PREFIXES.items():
            self.assertEqual(self.nameOf(sopClass, INSTANCE), f"{prefix}.{INSTANCE}")

    def test_everyKnownClass(self) -> None:
        """Each has letters that may be part of a file name anywhere."""
        self.assertGreater(len(FILE_PREFIXES), 150)
        for sopClass, prefix in FILE_PREFIXES.items():
            self.assertRegex(prefix, r"^[A-Za-z0-9_]{1,5}$")
            self.assertEqual(self.nameOf(sopClass, "1.2.3"), f"{prefix}.1.2.3")

    def test_unknownClass(self) -> None:
        for sopClass in ("1.2.3", "1.2.840.10008.5.1.4.1.1", "1.2.840.10008.5.1.4.1.1.2 "):
            self.assertEqual(self.nameOf(sopClass, "1.2.3"), "UNKNOWN.1.2.3")

    def test_longestUID(self) -> None:
        self.assertEqual(self.nameOf(CT, "1" * 64), "CT." + "1" * 64)
