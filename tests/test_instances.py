"""Tests of `txdicom.services.instances` and `txdicom.services.datasets`: what is sent, read from wherever it is."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID
from twisted.trial.unittest import SynchronousTestCase

from tests.headvectors import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from txdicom.errors import MessageError, SourceError
from txdicom.services.datasets import CONVERTIBLE, convert, decodeDataSet, encodeDataSet
from txdicom.services.instances import Identity, OpenInstance, identify, openInstance
from txdicom.storage.fileformat import encodeFileHead
from txdicom.uids import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN as DEFLATED
from txdicom.uids import EXPLICIT_VR_BIG_ENDIAN as BIG

CT = "1.2.840.10008.5.1.4.1.1.2"


def example(pixels: int = 8, syntax: str = EXPLICIT_LITTLE) -> bytes:
    """Encode a small instance."""
    dataSet = Dataset()
    dataSet.SOPClassUID, dataSet.SOPInstanceUID, dataSet.PatientName = CT, "1.2.3", "Doe^Jane"
    dataSet.add_new(0x7FE00010, "OW", bytes(index % 256 for index in range(pixels)))
    return encodeDataSet(dataSet, syntax)


def readAll(instance: OpenInstance, size: int = 1000) -> bytes:
    """Read a data set piece by piece; only the last may be short."""
    pieces = []
    while piece := bytes(instance.read(size)):
        pieces.append(piece)
    assert all(len(piece) == size for piece in pieces[:-1])
    return b"".join(pieces)


class FileTests(SynchronousTestCase):
    def file(self, content: bytes) -> str:
        path = self.mktemp()
        Path(path).write_bytes(content)
        return path

    def test_asItLies(self) -> None:
        """Of whatever length and read in whatever pieces, and the file is closed at its end."""
        for pixels in (8, 4096, (1 << 20) - 200, 1 << 20, 3 << 20):
            data = example(pixels)
            path = self.file(encodeFileHead(CT, "1.2.3", EXPLICIT_LITTLE, "") + data)
            for source in (path, Path(path), BytesIO(Path(path).read_bytes())):
                for size in (1000, 1 << 18):
                    if isinstance(source, BytesIO):
                        source.seek(0)
                    instance = openInstance(source)
                    self.assertEqual(instance.identity, Identity(CT, "1.2.3", EXPLICIT_LITTLE))
                    self.assertEqual(readAll(instance, size), data)
                    self.assertTrue(instance.exhausted)

    def test_wholeInOnePiece(self) -> None:
        """What is read of a small file at first is all there is: nobody looks for more, and nothing is copied."""
        path = self.file(encodeFileHead(CT, "1.2.3", EXPLICIT_LITTLE, "") + example(4096))
        instance = openInstance(path)
        self.assertTrue(instance.exhausted)
        self.assertIsInstance(instance.read(1 << 20), memoryview)
        partly = openInstance(path, first=1024)
        self.assertFalse(partly.exhausted)
        partly.close()

    def test_everyEncoding(self) -> None:
        """With file meta information, and without, where it can be seen."""
        for syntax in CONVERTIBLE:
            data = example(8, syntax)
            head = encodeFileHead(CT, "1.2.3", syntax, "")
            contents = [head + data, head[132:] + data]
            if syntax != DEFLATED:
                contents.append(data)
            for content in contents:
                path = self.file(content)
                self.assertEqual(identify(path), Identity(CT, "1.2.3", syntax))
                self.assertEqual(readAll(openInstance(path)), data)

    def test_pydicomsFiles(self) -> None:
        """What pydicom reads is what is identified, and the bytes are those of the file."""
        for name in ("CT_small.dcm", "JPEG2000.dcm", "image_dfl.dcm", "ExplVR_BigEnd.dcm", "MR_small_RLE.dcm"):
            path = str(get_testdata_file(name))
            expected = dcmread(path)
            instance = openInstance(path)
            self.assertEqual(instance.identity.sopInstanceUID, expected.SOPInstanceUID)
            self.assertEqual(instance.identity.transferSyntaxUID, expected.file_meta.TransferSyntaxUID)
            data = readAll(instance)
            self.assertEqual(len(data) % 2, 0)
            content = Path(path).read_bytes()
            self.assertTrue(content.endswith(data) or (content + b"\0").endswith(data))

    def test_identifyLeavesAFileWhereItWas(self) -> None:
        file = BytesIO(encodeFileHead(CT, "1.2.3", EXPLICIT_LITTLE, "") + example())
        self.assertEqual(identify(file), identify(file))
        self.assertFalse(file.closed)

    def test_oddLength(self) -> None:
        """A deflated data set gets the byte that it lacks; any other cannot be right."""
        data = zlib.compress(example())[2:-4]
        data += b"\0" * (1 - len(data) % 2)
        path = self.file(encodeFileHead(CT, "1.2.3", DEFLATED, "") + data)
        self.assertEqual(readAll(openInstance(path)), data + b"\0")
        path = self.file(encodeFileHead(CT, "1.2.3", EXPLICIT_LITTLE, "") + example() + b"\0")
        self.assertRaises(SourceError, openInstance, path)

    def test_notToBeSent(self) -> None:
        """Each is told in a sentence, and nothing stays open."""
        head = encodeFileHead(CT, "1.2.3", EXPLICIT_LITTLE, "")
        before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
        for content in (
            b"",
            b"hello",
            b"hello, this is no DICOM file at all, but a rather long text without a sense\n",
            head,
            head[:150],
            head[:200],
            head + example()[:12],
            encodeFileHead(CT, "1.2.3", DEFLATED, "") + b"\xff" * 20,
        ):
            self.assertRaises(SourceError, openInstance, self.file(content))
        error = self.assertRaises(SourceError, openInstance, self.mktemp())
        self.assertEqual(str(error), "No such file or directory")
        self.assertRaises(SourceError, openInstance, os.path.dirname(os.path.abspath(__file__)))
        if before:
            self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_isNoDICOMFile(self) -> None:
        """What nothing speaks for being one is not told what is wrong with it as a data set, be it odd or even."""
        for content in (b"some text that is long enough", b"some text that is long enough."):
            error = self.assertRaises(SourceError, openInstance, self.file(content))
            self.assertEqual(str(error), "it is no DICOM file")
        error = self.assertRaises(SourceError, openInstance, self.file(example() + b"\0"))
        self.assertEqual(str(error), "its data set has an odd number of bytes")

    @given(st.binary(max_size=400))
    def test_anyBytes(self, content: bytes) -> None:
        for data in (content, encodeFileHead(CT, "1.2.3", EXPLICIT_LITTLE, "")[:140] + content):
            try:
                openInstance(BytesIO(data))
            except SourceError:
                continue


class ConversionTests(SynchronousTestCase):
    """What the peer has not accepted is encoded anew by pydicom."""

    def test_everyToEvery(self) -> None:
        """Numbers that pydicom keeps as bytes included: they have the byte order of the transfer syntax."""
        for source in CONVERTIBLE:
            for target in CONVERTIBLE:
                path = self.mktemp()
                Path(path).write_bytes(encodeFileHead(CT, "1.2.3", source, "") + example(8, source))
                instance = openInstance(path)
                instance.encodeAs(target)
                self.assertEqual(decodeDataSet(readAll(instance), target).PatientName, "Doe^Jane")
        little, big = (
            example(8, EXPLICIT_LITTLE),
            convert(decodeDataSet(example(), EXPLICIT_LITTLE), EXPLICIT_LITTLE, BIG),
        )
        self.assertEqual(little[-8:], bytes(range(8)))
        self.assertEqual(big[-8:], bytes([1, 0, 3, 2, 5, 4, 7, 6]))
        self.assertEqual(convert(decodeDataSet(big, BIG), BIG, EXPLICIT_LITTLE), little)

    def test_dataSetsOfPydicoms(self) -> None:
        """They stay as they are."""
        for name, syntax in (("CT_small.dcm", IMPLICIT_LITTLE), ("ExplVR_BigEnd.dcm", EXPLICIT_LITTLE)):
            dataSet = dcmread(str(get_testdata_file(name)))
            before = encodeDataSet(dataSet, dataSet.file_meta.TransferSyntaxUID)
            instance = openInstance(dataSet)
            self.assertEqual(instance.identity.transferSyntaxUID, dataSet.file_meta.TransferSyntaxUID)
            instance.encodeAs(syntax)
            converted = decodeDataSet(readAll(instance), syntax)
            self.assertEqual(converted.SOPInstanceUID, dataSet.SOPInstanceUID)
            self.assertEqual(encodeDataSet(dataSet, dataSet.file_meta.TransferSyntaxUID), before)

    def test_madeDataSet(self) -> None:
        """Without file meta information it is sent in explicit VR; without UIDs it is none."""
        dataSet = Dataset()
        dataSet.SOPClassUID, dataSet.SOPInstanceUID = CT, "1.2.3"
        self.assertEqual(identify(dataSet).transferSyntaxUID, EXPLICIT_LITTLE)
        instance = openInstance(dataSet)
        instance.encodeAs(EXPLICIT_LITTLE)
        self.assertEqual(readAll(instance), encodeDataSet(dataSet, EXPLICIT_LITTLE))
        self.assertRaises(SourceError, openInstance, Dataset())

    def test_cannotBeDone(self) -> None:
        dataSet = Dataset()
        dataSet.PatientName = "Doe"
        self.assertRaises(SourceError, convert, dataSet, EXPLICIT_LITTLE, "1.2.840.10008.1.2.4.50")
        self.assertRaises(SourceError, convert, dataSet, "1.2.840.10008.1.2.4.50", EXPLICIT_LITTLE)
        odd: Any = Dataset()
        odd.add_new(0x7FE00010, "OW", b"abc")
        odd.set_original_encoding(False, True)
        self.assertRaises(SourceError, convert, odd, EXPLICIT_LITTLE, BIG)

    @given(st.binary(max_size=200), st.sampled_from(CONVERTIBLE))
    def test_anyIdentifier(self, data: bytes, syntax: str) -> None:
        """Arbitrary bytes give a data set or a MessageError."""
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                decodeDataSet(data, syntax)
            except MessageError:
                return


class CompressedTests(SynchronousTestCase):
    """Compressed pixel data, for a peer that takes none."""

    def test_pixels(self) -> None:
        """By all decoders of the extra `convert`: every pixel is what pydicom makes of the file."""
        for name in (
            "JPEG2000.dcm",
            "MR_small_jp2klossless.dcm",
            "MR_small_jpeg_ls_lossless.dcm",
            "MR_small_RLE.dcm",
            "SC_rgb_jpeg_gdcm.dcm",
            "SC_rgb_small_odd_jpeg.dcm",
            "JPGLosslessP14SV1_1s_1f_8b.dcm",
            "color3d_jpeg_baseline.dcm",
        ):
            path = str(get_testdata_file(name))
            before = dcmread(path)
            for syntax in (IMPLICIT_LITTLE, EXPLICIT_LITTLE):
                instance = openInstance(path)
                instance.encodeAs(syntax)
                after = decodeDataSet(readAll(instance, 1 << 20), syntax)
                self.assertEqual(after.SOPInstanceUID, before.SOPInstanceUID)
                after.file_meta = FileMetaDataset()
                after.file_meta.TransferSyntaxUID = UID(syntax)
                self.assertTrue((after.pixel_array == before.pixel_array).all(), name)

    def test_cannotBeDecoded(self) -> None:
        """Whatever is wrong is told in one line."""
        path = str(get_testdata_file("JPEG2000-embedded-sequence-delimiter.dcm"))
        error = self.assertRaises(SourceError, openInstance(path).encodeAs, IMPLICIT_LITTLE)
        self.assertIn("1.2.840.10008.1.2.4.91 cannot be decompressed by pydicom: ", str(error))
        self.assertNotIn("\n", str(error))
        video = dcmread(str(get_testdata_file("JPEG2000.dcm")))
        video.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.100")
        with self.assertRaisesRegex(SourceError, "cannot be decompressed by pydicom: "):
            convert(video, video.file_meta.TransferSyntaxUID, IMPLICIT_LITTLE)

    def test_withoutDecoders(self) -> None:
        """In an interpreter without numpy, or without pylibjpeg, it says what to install."""
        for missing, name in (("numpy", "MR_small_RLE.dcm"), ("numpy", "JPEG2000.dcm"), ("pylibjpeg", "JPEG2000.dcm")):
            code = f"""
import sys
sys.modules[{missing!r}] = None
from txdicom.services.instances import openInstance
openInstance({str(get_testdata_file(name))!r}).encodeAs({IMPLICIT_LITTLE!r})
"""
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(
                done.stderr.splitlines()[-1],
                r"SourceError: pixel data in 1\.2\.840\.10008\.1\.2\.[0-9.]+ cannot be decompressed"
                r" without numpy and pylibjpeg: install txdicom\[convert\]$",
            )
