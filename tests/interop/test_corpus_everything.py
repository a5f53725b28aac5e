"""Every DICOM file there is to hand, sent as it is to a receiver that accepts everything: stored as it was sent."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from pydicom import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, generate_uid

from tests.interop.case import BIG, IMPLICIT, LITTLE, OTHERS, SYNTAXES, ReceiverTestCase, Talk, storedName
from tests.interop.comparison import differences
from tests.interop.corpus import CorpusFile, batches, findFiles

_TRANSFER = "1.2.840.10008.1.2."
_DEFLATED = _TRANSFER + "1.99"
#: The compressed transfer syntaxes of the corpus, lossless and lossy, with the option that has storescu propose each.
_LOSSLESS = {
    _DEFLATED: "--propose-deflated",
    _TRANSFER + "4.70": "--propose-lossless",
    _TRANSFER + "4.80": "--propose-jls-lossless",
    _TRANSFER + "4.90": "--propose-j2k-lossless",
    _TRANSFER + "5": "--propose-rle",
}
_LOSSY = {
    _TRANSFER + "4.50": "--propose-jpeg8",
    _TRANSFER + "4.51": "--propose-jpeg12",
    _TRANSFER + "4.81": "--propose-jls-lossy",
    _TRANSFER + "4.91": "--propose-j2k-lossy",
}
#: Video, for which DCMTK has options too, each proposing nothing else.
_VIDEO = {
    _TRANSFER + "4.100": "--propose-mpeg2",
    _TRANSFER + "4.101": "--propose-mpeg2-high",
    _TRANSFER + "4.102": "--propose-mpeg4",
    _TRANSFER + "4.103": "--propose-mpeg4-bd",
    _TRANSFER + "4.104": "--propose-mpeg4-2-2d",
    _TRANSFER + "4.105": "--propose-mpeg4-2-3d",
    _TRANSFER + "4.106": "--propose-mpeg4-2-st",
    _TRANSFER + "4.107": "--propose-hevc",
    _TRANSFER + "4.108": "--propose-hevc10",
}
#: What the senders are answered where they name an instance otherwise than its data set does: by what is no UID, or
#: by "31", which is what DCMTK makes of a UID whose VR is UN.
_REFUSED = {"dccc9599087131742838cc1162a630fea87ba9bf61ac09bfda90d4adfa5ddaed": 0xC000, "31": 0xA900}
#: The files that this happens to, and those that DCMTK cannot read or write, compressed ones and others.
_COMPRESSED_NOT_SENT = {
    "bad_sequence.dcm",
    "explicit_VR-UN.dcm",
    "rtdose_rle.dcm",
    "rtdose_rle_1frame.dcm",
    "SC_rgb_jpeg.dcm",
    "emri_small_jpeg_2k_lossless_too_short.dcm",
}
_OTHERS_NOT_SENT = {"MR_truncated.dcm", "rtplan_truncated.dcm"}
_PRIVATE = "1.2.826.0.1.3680043.9.9999.1"
_WORKLIST = "1.2.840.10008.5.1.4.31"


class EverythingTestCase(ReceiverTestCase):
    """A receiver that accepts everything; senders only propose storage, Verification and what they need."""

    options: ClassVar[tuple[str, ...]] = ("--accept-all", "--promiscuous")
    modules = ("pydicom.data", "data_store")

    def due(self, abstract: str, transfers: Sequence[str]) -> tuple[int, str]:
        """The sender's first lossless proposal, else its first lossy one."""
        if abstract == _WORKLIST:
            return 3, ""
        lossless = [syntax for syntax in transfers if syntax in SYNTAXES or syntax in _LOSSLESS]
        lossy = [syntax for syntax in transfers if syntax in _LOSSY or syntax in _VIDEO]
        return 0, (lossless + lossy)[0]

    def assertSame(self, talk: Talk, files: list[CorpusFile]) -> int:
        """
        What arrived of these files says the same as they do, what was compressed in the same transfer syntax.

        :return: how many did arrive.
        """
        arrived = 0
        for file in files:
            content = talk.stored.get(file.storedName)
            if content is not None:
                arrived += 1
                self.assertEqual(differences(file.path, content), [], file.path)
                if not file.uncompressed:
                    self.assertIn(b"UI%c\0%s" % (_evenLength(file), file.transferSyntaxUID.encode()), content[132:500])
        return arrived


class DcmsendTests(EverythingTestCase):
    """dcmsend, told never to decompress: each file in its own transfer syntax."""

    programs = ("dcmsend",)

    def test_everyFile(self) -> None:
        """Every file that dcmsend can read arrives, whatever its class and its transfer syntax."""
        arrived, missing = set(), set()
        for files in batches(file for file in findFiles() if file.identified):
            talk = self._send(*(file.path for file in files))
            self.assertStored(talk, _REFUSED)
            self.assertSame(talk, files)
            for file in files:
                (arrived if file.storedName in talk.stored else missing).add(file)
        self.assertEqual({file.path.name for file in missing}, _COMPRESSED_NOT_SENT | _OTHERS_NOT_SENT)
        self.assertEqual({file.transferSyntaxUID for file in arrived}, {*SYNTAXES, *_LOSSLESS, *_LOSSY})
        self.assertLessEqual(set(OTHERS), {file.sopClassUID for file in arrived})

    def test_unknownClassesAndVideo(self) -> None:
        """SOP classes that nobody knows arrive, and every video syntax that DCMTK knows."""
        folder = Path(self.mktemp())
        folder.mkdir()
        classes = [f"{_PRIVATE}.{number}" for number in range(1, 20)]
        syntaxes = [LITTLE, *_VIDEO, *_LOSSY, *(syntax for syntax in _LOSSLESS if syntax != _DEFLATED)]
        written = {}
        for number, sopClass in enumerate(classes):
            path = folder / f"{number:03d}.dcm"
            instance = _instance(sopClass, syntaxes[number % len(syntaxes)])
            instance.save_as(path, enforce_file_format=True)
            written[storedName(sopClass, instance.SOPInstanceUID)] = path
        talk = self._send("-nuc", "+sd", folder)
        self.assertEqual(self.assertStored(talk), len(classes))
        self.assertEqual(sorted(talk.stored), sorted(written))
        self.assertEqual({name.partition(".")[0] for name in talk.stored}, {"UNKNOWN"})
        for name, path in written.items():
            self.assertEqual(differences(path, talk.stored[name]), [])

    def _send(self, *arguments: object) -> Talk:
        options = ("--verbose", "--no-halt", "--read-file", "--decompress-never")
        talk = self.runSender("dcmsend", *options, "localhost", "PORT", *arguments)
        self.assertFinished(talk.result)
        return talk


class StorescuTests(EverythingTestCase):
    """storescu, each transfer syntax by the option that proposes it."""

    programs = ("storescu",)

    def test_everyCompressedFile(self) -> None:
        """Each arrives in its own transfer syntax, which storescu proposes in a context of its own."""
        missing: set[str] = set()
        for syntax, option in (_LOSSLESS | _LOSSY).items():
            files = [file for file in findFiles() if file.transferSyntaxUID == syntax and file.identified]
            for batch in batches(files):
                talk = self._send(option, *batch)
                self.assertSame(talk, batch)
                missing |= {file.path.name for file in batch if file.storedName not in talk.stored}
        self.assertEqual(missing, _COMPRESSED_NOT_SENT)

    def test_everyUncompressedFile(self) -> None:
        """Each arrives; the first of the encodings that storescu proposes is taken, whichever it is."""
        for option, expected in (
            ("--propose-little", LITTLE),
            ("--propose-big", BIG),
            ("--propose-implicit", IMPLICIT),
        ):
            arrived = 0
            for batch in batches(file for file in findFiles() if file.uncompressed and file.identified):
                talk = self._send(option, *batch, "--combine")
                accepted = {transfer for _, transfer in talk.exchange.answered.values()}
                self.assertEqual(accepted, {expected})
                arrived += len(talk.stored)
                # What is private, and of a VR that storescu does not know, cannot be put into another byte order.
                self.assertSame(talk, [file for file in batch if (expected == BIG) == (file.transferSyntaxUID == BIG)])
            self.assertGreater(arrived, 150)

    def test_losslessIsPreferredToLossy(self) -> None:
        """Where a lossy syntax and uncompressed ones are proposed together, an uncompressed one is taken."""
        files = [file for file in findFiles() if file.uncompressed and file.identified][:1]
        talk = self._send("--propose-jpeg8", *files, "--combine")
        ((_, proposed),) = talk.exchange.proposed.values()
        self.assertEqual(proposed[0], _TRANSFER + "4.50")
        self.assertEqual(set(talk.exchange.answered.values()), {(0, proposed[1])})
        self.assertIn(proposed[1], SYNTAXES)

    def test_everyVideoSyntax(self) -> None:
        for syntax, option in _VIDEO.items():
            path = Path(self.mktemp())
            instance = _instance("1.2.840.10008.5.1.4.1.1.7.4", syntax)
            instance.save_as(path, enforce_file_format=True)
            talk = self.runSender("storescu", "--required", option, "localhost", "PORT", path)
            self.assertFinished(talk.result)
            (content,) = talk.stored.values()
            self.assertEqual(list(talk.stored), [f"SCc.{instance.SOPInstanceUID}"])
            self.assertEqual(differences(path, content), [])

    def _send(self, option: str, *files: object) -> Talk:
        paths = [file.path if isinstance(file, CorpusFile) else file for file in files]
        talk = self.runSender("storescu", "--verbose", "--no-halt", "--required", option, "localhost", "PORT", *paths)
        self.assertFinished(talk.result)
        said = len(re.findall(r"^I: Received Store Response \(Success\)", talk.result.output, re.MULTILINE))
        self.assertEqual(self.assertStored(talk, _REFUSED), said)
        return talk


def _evenLength(file: CorpusFile) -> int:
    return (len(file.transferSyntaxUID) + 1) & ~1


def _instance(sopClass: str, syntax: str) -> Dataset:
    """Make an instance with encapsulated pixel data, or without any if it is not compressed."""
    instance = Dataset()
    instance.SOPClassUID = sopClass
    instance.SOPInstanceUID = generate_uid()
    instance.PatientName = "Interop^Everything"
    if syntax not in SYNTAXES:
        instance.Rows = instance.Columns = 8
        instance.BitsAllocated = 8
        instance.PixelData = encapsulate([b"\0\1\2\3" * 100])
        instance["PixelData"].VR = "OB"
        instance["PixelData"].is_undefined_length = True
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = UID(syntax)
    return instance
