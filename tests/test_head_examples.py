"""
Does `txdicom.services.head` find what pydicom finds, in data sets that pydicom wrote and in files that came with it?
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
from pydicom.data.data_manager import DATA_ROOT, external_data_sources
from pydicom.dataelem import RawDataElement
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from tests.headvectors import (
    CHARACTER_SET,
    EXPLICIT_BIG,
    IMPLICIT_LITTLE,
    JPEG,
    PATIENT_ID,
    PATIENT_NAME,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    STUDY_DATE,
    STUDY_INSTANCE_UID,
    SYNTAXES,
    WANTED,
    HeadTestCase,
    Outcome,
    cut,
    read,
)

DEFLATED = "1.2.840.10008.1.2.1.99"


def exampleDataSet(undefined: bool) -> pydicom.Dataset:
    """Make a data set with elements of short and long form and nested sequences around the wanted elements."""
    inner = pydicom.Dataset()
    inner.ReferencedSOPClassUID = "1.2.3"
    inner.ReferencedSOPInstanceUID = "1.2.3.9"
    series = pydicom.Dataset()
    series.ReferencedInstanceSequence = [inner, pydicom.Dataset(), inner]
    series.SeriesInstanceUID = "1.2.3.8"
    dataSet = pydicom.Dataset()
    dataSet.SpecificCharacterSet = "ISO_IR 192"
    dataSet.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataSet.SOPInstanceUID = "1.2.3.4"
    dataSet.StudyDate = "20240229"
    dataSet.ReferencedSeriesSequence = [series, pydicom.Dataset()]
    dataSet.add_new(0x00090010, "LO", "SOMEBODY")
    dataSet.add_new(0x00091001, "OB", bytes(3000))
    dataSet.add_new(0x00091002, "UT", "text")
    dataSet.add_new(0x00091003, "FD", [1.5, 2.5])
    dataSet.PatientName = "M\u00fcller^J\u00fcrg"
    dataSet.PatientID = ""
    dataSet.StudyInstanceUID = "1.2.34"
    dataSet.Rows = 512
    for one in (dataSet["ReferencedSeriesSequence"], series["ReferencedInstanceSequence"]):
        one.is_undefined_length = undefined
        for each in one.value:
            each.is_undefined_length_sequence_item = undefined
    return dataSet


def writtenByPydicom(dataSet: pydicom.Dataset, syntax: str) -> bytes:
    """Encode a data set with pydicom."""
    target = DicomBytesIO()
    target.is_implicit_VR = syntax == IMPLICIT_LITTLE
    target.is_little_endian = syntax != EXPLICIT_BIG
    write_dataset(target, dataSet)
    return target.getvalue()


def exampleFiles() -> Iterator[Path]:
    """Find pydicom's example files that are on this disk; its own functions would try to download more."""
    for directory in ("test_files", "charset_files"):
        yield from Path(DATA_ROOT, directory).rglob("*")
    for source in external_data_sources().values():
        yield from map(Path, source.get_paths("**/*", 0))


def readByPydicom(path: Path) -> tuple[str, bytes, dict[int, bytes]] | None:
    """
    Read a file with pydicom.

    :return: transfer syntax UID, encoded data set and wanted values; None if the file does not say how it is encoded.
    """
    content = path.read_bytes() if path.is_file() else b""
    if content[128:132] != b"DICM":
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataSet = pydicom.dcmread(BytesIO(content), specific_tags=list(WANTED), stop_before_pixels=True)
    meta = dataSet.file_meta
    if "FileMetaInformationGroupLength" not in meta or "TransferSyntaxUID" not in meta:
        return None
    data = content[144 + meta.FileMetaInformationGroupLength :]
    if meta.TransferSyntaxUID == DEFLATED:
        data = zlib.decompress(data, -zlib.MAX_WBITS)
    return str(meta.TransferSyntaxUID), data, {tag: rawValue(dataSet, tag) for tag in WANTED if tag in dataSet}


def rawValue(dataSet: pydicom.Dataset, tag: int) -> bytes:
    """Give the bytes of a value as pydicom keeps them; it decodes Specific Character Set alone at once."""
    found: Any = dataSet.get_item(tag)
    if isinstance(found, RawDataElement):
        raw = found.value or b""
        return raw.rstrip() if tag == CHARACTER_SET else raw
    return "\\".join([found.value] if isinstance(found.value, str) else found.value).encode()


class RealHeadTests(HeadTestCase):
    """Data sets that pydicom wrote, or that came with it, are read as pydicom reads them."""

    def test_dataSetsOfAllSyntaxes(self) -> None:
        """The values are those pydicom wrote, whatever the encoding, and whatever stands between them."""
        for syntax in SYNTAXES:
            for undefined in (False, True):
                expected = {
                    CHARACTER_SET: b"ISO_IR 192",
                    SOP_CLASS_UID: b"1.2.840.10008.5.1.4.1.1.7\0",
                    SOP_INSTANCE_UID: b"1.2.3.4\0",
                    STUDY_DATE: b"20240229",
                    PATIENT_NAME: "M\u00fcller^J\u00fcrg ".encode(),
                    PATIENT_ID: b"",
                    STUDY_INSTANCE_UID: b"1.2.34",
                }
                data = writtenByPydicom(exampleDataSet(undefined), syntax)
                self.assertEqual(self.readEachWay(data, syntax), Outcome(expected, True, ""))

    def test_filesThatComeWithPydicom(self) -> None:
        """Each of pydicom's example files, compressed ones included, gives the values that pydicom finds."""
        checked = 0
        for path in exampleFiles():
            found = readByPydicom(path)
            if found is None or path.name == "SC_rgb_jpeg.dcm":
                continue
            syntax, data, expected = found
            outcome = self.readEachWay(data, syntax, maximumHeadLength=1 << 24)
            attributes = outcome.attributes
            if CHARACTER_SET in attributes:
                attributes[CHARACTER_SET] = attributes[CHARACTER_SET].rstrip()
            self.assertEqual((path.name, attributes, outcome.error), (path.name, expected, ""))
            checked += 1
        self.assertGreater(checked, 100)

    def test_fileInAnotherEncodingThanAnnounced(self) -> None:
        """A file that says JPEG, and so explicit VR, but is in implicit VR, is not understood."""
        data = Path(DATA_ROOT, "test_files", "SC_rgb_jpeg.dcm").read_bytes()
        start = data.index(bytes.fromhex("08000800"), 132)
        self.assertFails(data[start:], JPEG, "has no VR")
        self.assertEqual(read([data[start:]], IMPLICIT_LITTLE, WANTED).error, "")

    def test_truncated(self) -> None:
        """A data set that ends early, anywhere, is not done, and that is all."""
        for syntax in SYNTAXES:
            for undefined in (False, True):
                data = writtenByPydicom(exampleDataSet(undefined), syntax)
                end = data.index(b"1.2.34") + 6
                for length in (*range(1000), *range(end - 100, end)):
                    outcome = read(cut(data[:length], [length // 3, 5]), syntax, WANTED)
                    self.assertEqual((outcome.done, outcome.error), (False, ""))
                self.assertTrue(read([data[:end]], syntax, WANTED).done)
