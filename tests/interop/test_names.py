"""
DCMTK's storescp and ours side by side: the same options, the same senders, the same files.

What differs on purpose is in `test_whatDiffers`, and nowhere else.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from twisted.trial.unittest import SynchronousTestCase

from tests.interop.peers import Finished, requireProgram, run
from tests.interop.receiver import Receiver
from tests.interop.sidebyside import filesBelow
from tests.interop.theirs import Theirs


def elementsOf(content: bytes, syntax: str = "") -> list[tuple[int, str, str]]:
    """Read a file: its transfer syntax, then tags, VRs and values of all elements but group lengths and sequences."""
    dataset = dcmread(BytesIO(content), force=bool(syntax))
    elements = [(item.tag, str(item.VR), repr(item.value)) for item in dataset.iterall()]
    found = [item for item in elements if item[0] & 0xFFFF and item[1] != "SQ"]
    return [(0x00020010, "UI", str(dataset.file_meta.TransferSyntaxUID)), *found]


class SendingTestCase(SynchronousTestCase):
    """Files to send to both."""

    def setUp(self) -> None:
        """Have some files to send: three studies, and names of patients that are difficult."""
        requireProgram("storescp")
        requireProgram("storescu")
        self.files = Path(self.mktemp())
        self.files.mkdir()
        self.write("ct", "CT_small.dcm")
        self.write("mr", "MR_small.dcm")
        self.write("latin", "CT_small.dcm", uid="1.2.3.1", study="1.2.3", name="Bär^Jürgen", characters="ISO_IR 100")
        self.write("noname", "MR_small.dcm", uid="1.2.4.1", study="1.2.4", name="")

    def write(self, file: str, original: str, uid: str = "", study: str = "", **changes: Any) -> None:
        """Write a file that is nearly one of pydicom's."""
        path = get_testdata_file(original)
        assert isinstance(path, str)
        dataset: Dataset = dcmread(path)
        if uid:
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
            del dataset.StudyInstanceUID
            if study:
                dataset.StudyInstanceUID = study
        if "characters" in changes:
            dataset.SpecificCharacterSet = changes["characters"]
        dataset.PatientName = changes.get("name", dataset.PatientName)
        dataset.save_as(self.files / f"{file}.dcm")

    def send(self, port: int, *arguments: str) -> Finished:
        """Have DCMTK's storescu send all files, in the order of their names, over one association."""
        files = [str(self.files / f"{name}.dcm") for name in ("ct", "ct", "mr", "latin", "noname", "ct")]
        return run("storescu", "-nh", *arguments, "127.0.0.1", port, *files)


class SideBySideTests(SendingTestCase):
    """One option after the other."""

    def both(
        self, *options: str, sending: tuple[str, ...] = (), theirOptions: tuple[str, ...] = ()
    ) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """Have both receive the same, and return what DCMTK's has, and ours."""
        theirs = Theirs(*options, *theirOptions)
        self.addCleanup(theirs.stop)
        ours = Receiver(*options)
        self.addCleanup(ours.stop)
        sent = [self.send(receiver.port, *sending) for receiver in (theirs, ours)]
        self.assertEqual(sent[0].status, sent[1].status, sent[1].output)
        return filesBelow(theirs.directory), filesBelow(ours.directory)

    def test_names(self) -> None:
        """The same names for every way to make names."""
        for options in (
            (),
            ("-uf",),
            ("+uf",),
            ("-tn",),
            ("-fe", ".dcm"),
            ("+uf", "-fe", "x"),
            ("-su", "STUDY"),
            ("-su", "S", "-fe", ".dcm"),
            ("-su", "S", "-tn"),
        ):
            theirs, ours = self.both(*options)
            self.assertEqual(sorted(ours), sorted(theirs), options)
            self.assertGreater(len(ours), 3)

    def test_studiesByTime(self) -> None:
        """The same directories, as long as one study comes after the other."""
        for options in (("-ss", "P"), ("-sp",), ("-sp", "-tn")):
            theirs, ours = self.both(*options)
            if "-tn" in options:
                self.assertEqual(sorted(ours), sorted(theirs), options)
            else:
                # The last instance is of the first study again, which begins anew for DCMTK's: it is there twice. And
                # two studies that begin in the same millisecond share a directory there: the order tells nothing.
                self.assertEqual(sorted(ours), sorted(name for name in theirs if not name.endswith("+")), options)

    def test_forms(self) -> None:
        """The same elements in the same transfer syntax."""
        for option, sending in (("+te", "-xi"), ("+tb", "-xe"), ("+ti", "-xe"), ("+td", "-xi"), ("+t=", "-xb")):
            theirs, ours = self.both(option, sending=(sending,))
            self.assertEqual(list(ours), list(theirs), option)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for name, content in ours.items():
                    self.assertEqual(self.comparable(content), self.comparable(theirs[name]), (option, name))

    def comparable(self, content: bytes) -> list[tuple[int, str, str]]:
        """Read a file; elements that no dictionary knows have VRs and bytes that only their sender knows of."""
        return [item for item in elementsOf(content) if not item[0] >> 16 & 1]

    def test_dataSetAlone(self) -> None:
        """The same bytes, where DCMTK's keeps them."""
        theirs, ours = self.both("-F", theirOptions=("+B",))
        self.assertEqual(ours, theirs)

    def test_refused(self) -> None:
        """A study that has no UID gets the same status."""
        self.write("ct", "CT_small.dcm", uid="1.2.5.1", study="")
        for option in ("-su", "-ss"):
            theirs, ours = Theirs(option, "P"), Receiver(option, "P")
            self.addCleanup(theirs.stop)
            self.addCleanup(ours.stop)
            said = [
                [line for line in self.send(receiver.port, "-v").lines if "Response" in line]
                for receiver in (theirs, ours)
            ]
            self.assertEqual(said[1], said[0])
            self.assertIn("CannotUnderstand", " ".join(said[0]))

    def test_whatDiffers(self) -> None:
        """A study keeps its directory when another one comes between, and names are read in their character set."""
        theirs, ours = self.both("-ss", "P")
        self.assertGreaterEqual(len(theirs), len(ours))
        self.assertEqual(len(ours), 4)
        self.write("latin", "CT_small.dcm", uid="1.2.3.1", study="1.2.3", name="Bär", characters="ISO_IR 192")
        theirs, ours = self.both("-sp")
        self.assertIn("Baer_<time>/CT.1.2.3.1", ours)
        self.assertNotIn("Baer_<time>/CT.1.2.3.1", theirs)


class TemplateTests(SendingTestCase):
    """What DCMTK's has not: names made of attributes, with a real sender."""

    def test_template(self) -> None:
        ours = Receiver("--path", "{PatientName}/{Modality}/{SOPInstanceUID}.dcm")
        self.addCleanup(ours.stop)
        self.assertEqual(self.send(ours.port).status, 0)
        self.assertEqual(
            sorted(filesBelow(ours.directory)),
            [
                "Bär^Jürgen/CT/1.2.3.1.dcm",
                "CompressedSamples^CT1/CT/1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322.dcm",
                "CompressedSamples^MR1/MR/1.3.6.1.4.1.5962.1.1.4.1.1.20040826185059.5457.dcm",
                "unknown/MR/1.2.4.1.dcm",
            ],
        )
