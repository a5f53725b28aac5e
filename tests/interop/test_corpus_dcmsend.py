"""Every DICOM file there is to hand, sent by DCMTK's dcmsend, which decompresses as it goes."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pydicom import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from tests.interop.case import OFFERED, VERIFICATION, ReceiverTestCase
from tests.interop.comparison import differences
from tests.interop.corpus import CorpusFile, batches, findFiles

#: What dcmsend decompresses, and when. There is no JPEG 2000 in it.
_DEFLATED = frozenset({"1.2.840.10008.1.2.1.99"})
_LOSSLESS = _DEFLATED | {"1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.5"}
_LOSSY = frozenset({"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81"})
#: What dcmsend's report says of an instance.
_SUCCESS = "0x0000 (Success)"
_CANNOT_UNDERSTAND = "0xc000 (Error: CannotUnderstand)"
_NOT_SENT = frozenset({"<not sent>", "<no acceptable presentation context>"})


def _isUID(value: str) -> bool:
    return re.fullmatch(r"[0-9.]{1,64}", value) is not None


class DcmsendCorpusTests(ReceiverTestCase):
    """dcmsend, which proposes for each SOP class and transfer syntax what it needs."""

    programs = ("dcmsend",)
    modules = ("pydicom.data", "data_store")

    def test_neverDecompressing(self) -> None:
        """Uncompressed files arrive; the syntaxes of all others are refused with result 4."""
        self._sendAll("--decompress-never", frozenset())

    def test_decompressingLosslessly(self) -> None:
        """By default what was compressed without loss arrives decompressed."""
        self._sendAll("--decompress-lossless", _LOSSLESS)

    def test_decompressingAll(self) -> None:
        """Everything arrives that dcmsend can decompress."""
        self._sendAll("--decompress-lossy", _LOSSLESS | _LOSSY)

    def test_severalAssociations(self) -> None:
        """What needs more than 128 presentation contexts takes several associations, one after the other."""
        folder = Path(self.mktemp())
        folder.mkdir()
        # SOP classes that nobody knows are among them, and are refused.
        unknown = [f"1.2.826.0.1.3680043.9.9999.{number}" for number in range(1, 141)]
        storage = [sopClass for sopClass in OFFERED if sopClass != VERIFICATION]
        for sopClass in unknown[:70] + storage + unknown[70:]:
            _writeInstance(folder / f"{len(os.listdir(folder)):03d}.dcm", sopClass)
        talk = self.runSender("dcmsend", "-v", "-nh", "-nuc", "+sd", "localhost", "PORT", folder)
        self.assertFinished(talk.result)
        self.assertEqual(len(talk.exchanges), 2, talk.result.output[-2000:])
        self.assertEqual(self.assertStored(talk), len(storage))
        results = [result for exchange in talk.exchanges for result, _ in exchange.answered.values()]
        self.assertEqual((results.count(0), results.count(3)), (len(storage), len(unknown)))

    def _sendAll(self, option: str, decompressed: frozenset[str]) -> None:
        seen = set()
        for files in batches(findFiles()):
            report = self.mktemp()
            arguments = ("--verbose", "--no-halt", "--read-file", option, "--create-report-file", report)
            talk = self.runSender("dcmsend", *arguments, "localhost", "PORT", *(file.path for file in files))
            # A SOP Instance UID that is none makes no file name: that instance is not kept.
            refused = {file.sopInstanceUID: 0xC000 for file in files if not _isUID(file.sopInstanceUID)}
            succeeded = self.assertStored(talk, refused)
            reported = _reported(report)
            self.assertEqual(succeeded, list(reported.values()).count(_SUCCESS))
            for exchange in talk.exchanges:
                self.assertEqual(exchange.kinds[0][-1], 5, "no release was requested")
                seen |= {result for result, _ in exchange.answered.values()}
            for file in files:
                outcome = reported.get(str(file.path), "<not sent>")
                damaged = f"cannot send SOP instance from file: {file.path}:" in talk.result.output
                if not file.offered or damaged or not (file.uncompressed or file.transferSyntaxUID in decompressed):
                    self.assertIn(outcome, _NOT_SENT, file.path)
                else:
                    good = _isUID(file.sopInstanceUID)
                    self.assertEqual(outcome, _SUCCESS if good else _CANNOT_UNDERSTAND, file.path)
                self._checkContent(file, talk.stored)
        self.assertEqual(seen, {0, 3, 4})

    def _checkContent(self, file: CorpusFile, stored: dict[str, bytes]) -> None:
        """What was not decompressed says the same as the file that was sent."""
        if file.uncompressed and file.storedName in stored:
            self.assertEqual(differences(file.path, stored[file.storedName]), [], file.path)


def _reported(path: str) -> dict[str, str]:
    """File name -> outcome, from a report of dcmsend's; there is none when nothing could be sent."""
    if not os.path.exists(path):
        return {}
    text = Path(path).read_text("utf-8", "replace")
    return dict(re.findall(r"^Filename +: (.*)$(?:\n.+)*?\nDIMSE Status +: (.*)$", text, re.MULTILINE))


def _writeInstance(path: Path, sopClass: str) -> None:
    instance = Dataset()
    instance.SOPClassUID = sopClass
    instance.SOPInstanceUID = generate_uid()
    instance.PatientName = "Interop^Several"
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    instance.save_as(path, enforce_file_format=True)
