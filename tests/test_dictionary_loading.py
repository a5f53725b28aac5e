"""Tests for `txdicom.storescp.dictionary`: what pydicom knows when dictionaries have been loaded."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

from pydicom import datadict, dcmwrite
from pydicom._dicom_dict import DicomDictionary
from pydicom._private_dict import private_dictionaries
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from twisted.logger import Logger, LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase

import txdicom
from txdicom.storescp import dictionary
from txdicom.storescp.dictionary import (
    DictionaryError,
    loadDictionaries,
)

#: Where Debian's package libdcmtk puts its dictionaries, the directory being named for the library's version.
DEBIAN = sorted(Path("/usr/share").glob("libdcmtk*/dicom.dic"))


class PydicomTestCase(SynchronousTestCase):
    """Gives pydicom its own dictionaries back after each test."""

    def setUp(self) -> None:
        super().setUp()
        self.events: list[dict[str, object]] = []
        self.log = Logger(namespace="test", observer=self.events.append)  # type: ignore[arg-type]
        rows = dict(DicomDictionary)
        keywords = dict(datadict.keyword_dict)
        creators = {creator: dict(rows) for creator, rows in private_dictionaries.items()}

        def restore() -> None:
            for target, snapshot in (
                (DicomDictionary, rows),
                (datadict.keyword_dict, keywords),
                (private_dictionaries, creators),
            ):
                target.clear()
                target.update(snapshot)  # type: ignore[arg-type]

        self.addCleanup(restore)

    def warnings(self) -> list[str]:
        """Return the warnings so far, and check that nothing worse was said."""
        self.assertEqual({event["log_level"] for event in self.events} - {LogLevel.debug, LogLevel.warn}, set())
        return [formatEvent(event) for event in self.events if event["log_level"] == LogLevel.warn]

    def write(self, *lines: str) -> str:
        """Write a dictionary and return its name."""
        name: str = self.mktemp()
        Path(name).write_text("\n".join(lines), encoding="utf-8")
        return name

    def load(self, *lines: str) -> int:
        """Load one dictionary of these lines, all of which must be good."""
        count = loadDictionaries(self.write(*lines), self.log)
        self.assertEqual(self.warnings(), [])
        return count


def recoded(dataSet: Dataset) -> Dataset:
    """Write a data set in implicit VR, read it, write it in explicit VR and read that."""
    implicit, explicit = io.BytesIO(), io.BytesIO()
    dcmwrite(implicit, dataSet, implicit_vr=True, little_endian=True)
    implicit.seek(0)
    decoded = read_dataset(implicit, True, True)
    decoded.decode()
    dcmwrite(explicit, decoded, implicit_vr=False, little_endian=True)
    explicit.seek(0)
    return read_dataset(explicit, False, True)


class PublicTests(PydicomTestCase):
    """Elements of the standard, as pydicom knows them afterwards."""

    def test_newElementsAreKnownByTagAndByKeyword(self) -> None:
        count = self.load("(4322,0010)\tFD\tSpeedOfThought\t1-n", "(4322,0012)\tUI\tRETIRED_OldThing")
        self.assertEqual(count, 2)
        self.assertEqual(datadict.get_entry(0x43220010), ("FD", "1-n", "Speed Of Thought", "", "SpeedOfThought"))
        self.assertEqual(datadict.tag_for_keyword("SpeedOfThought"), 0x43220010)
        self.assertEqual(datadict.get_entry(0x43220012), ("UI", "1", "Old Thing", "Retired", "OldThing"))
        self.assertEqual(datadict.tag_for_keyword("OldThing"), 0x43220012)

    def test_newElementsAreReadInImplicitVR(self) -> None:
        self.load("(4322,0010)\tUS\tSpeedOfThought\t1-n")
        dataSet = Dataset()
        dataSet.SpeedOfThought = [7, 8]
        self.assertEqual(recoded(dataSet).SpeedOfThought, [7, 8])

    def test_aFileGoesBeforePydicomsDictionary(self) -> None:
        self.load("(0010,0010)\tLO\tComponentName\t1-n")
        self.assertEqual(datadict.get_entry(0x00100010), ("LO", "1-n", "Component Name", "", "ComponentName"))
        self.assertEqual(datadict.tag_for_keyword("ComponentName"), 0x00100010)
        self.assertEqual(datadict.tag_for_keyword("PatientName"), 0x00100010)

    def test_pydicomsNameOfAnElementStays(self) -> None:
        self.load("(0010,0010)\tPN\tPatientName\t1")
        self.assertEqual(datadict.dictionary_description(0x00100010), "Patient's Name")

    def test_aLaterLineGoesBeforeAnEarlierOne(self) -> None:
        self.assertEqual(self.load("(4322,0010)\tFD\tFirst", "(4322,0010)\tLO\tSecond"), 1)
        self.assertEqual(datadict.dictionary_VR(0x43220010), "LO")
        self.assertEqual(datadict.tag_for_keyword("Second"), 0x43220010)
        self.assertIsNone(datadict.tag_for_keyword("First"))

    def test_aLaterFileGoesBeforeAnEarlierOne(self) -> None:
        first, second = self.write("(4322,0010)\tFD\tFirst"), self.write("(4322,0010)\tLO\tSecond")
        loadDictionaries(os.pathsep.join((second, first)), self.log)
        self.assertEqual(datadict.keyword_for_tag(0x43220010), "First")

    def test_oneTagGoesBeforeARange(self) -> None:
        self.load("(4322,0012)\tLO\tSingle", "(4322,0010-0014)\tFD\tSeveral")
        keywords = [datadict.keyword_for_tag(0x43220000 + element) for element in range(0x10, 0x16)]
        self.assertEqual(keywords, ["Several", "", "Single", "", "Several", ""])

    def test_rangesOfGroupsAreKnownByTagOnly(self) -> None:
        self.assertEqual(self.load("(4320-u-4323,0010)\tFD\tSeveral"), 1)
        known = [group for group in range(0x431F, 0x4325) if datadict.keyword_for_tag(group << 16 | 0x10)]
        self.assertEqual(known, [0x4320, 0x4322])
        self.assertIsNone(datadict.tag_for_keyword("Several"))

    def test_rulesThatPydicomHasAnywayAreNotExpanded(self) -> None:
        rows = len(DicomDictionary)
        count = self.load("(0000-u-FFFF,0000)\tUL\tGenericGroupLength", "(0009-o-FFFF,0010-u-00FF)\tLO\tPrivateCreator")
        self.assertEqual((count, len(DicomDictionary)), (2, rows))

    def test_keywordsOfPydicomKeepTheirTags(self) -> None:
        self.load("(4322,0010)\tLO\tPatientID", "(4322,0012)\tLO\tOverlayRows")
        self.assertEqual(datadict.tag_for_keyword("PatientID"), 0x00100020)
        self.assertIsNone(datadict.tag_for_keyword("OverlayRows"))
        self.assertEqual(datadict.keyword_for_tag(0x43220010), "PatientID")
        self.assertEqual(datadict.keyword_for_tag(0x60020010), "OverlayRows")

    def test_attributesOfPydicomsDataSetsStayAttributes(self) -> None:
        self.load("(4322,0010)\tLO\tpreamble", "(4322,0012)\tLO\twalk")
        dataSet = Dataset()
        dataSet.preamble = b"-"
        dataSet.walk(lambda dataSet, element: self.fail())
        self.assertEqual((dataSet.preamble, len(dataSet)), (b"-", 0))

    def test_VRsOfSeveralAreAsPydicomResolvesThem(self) -> None:
        self.load(
            "(7FE0,0010)\tpx\tPixelData",
            "(0028,3006)\tlt\tLUTData\t1-n",
            "(0028,0106)\txs\tSmallestImagePixelValue",
            "(6000-60FF,3000)\tox\tOverlayData",
        )
        for tag, vr in (
            (0x7FE00010, "OB or OW"),
            (0x00283006, "US or OW"),
            (0x00280106, "US or SS"),
            (0x60FE3000, "OB or OW"),
        ):
            self.assertEqual(datadict.dictionary_VR(tag), vr)

    def test_VRsOfSeveralThatPydicomCannotResolveAreSettled(self) -> None:
        self.load("(4322,0010)\tox\tBlob", "(4322,0012)\txs\tNumber", "(4322,0014)\tlt\tTable")
        dataSet = Dataset()
        dataSet.add_new(0x43220010, "OB", b"\x01\x02")
        dataSet.add_new(0x43220012, "US", 7)
        dataSet.add_new(0x43220014, "OW", b"\x01\x02")
        self.assertEqual(recoded(dataSet), dataSet)


class PrivateTests(PydicomTestCase):
    """Private elements, as pydicom knows them afterwards."""

    def test_twoDigitsStandForAnyBlock(self) -> None:
        self.assertEqual(self.load('(0029,"ACME, 1",08)\tCS\tSomeType\t1-2'), 1)
        for tag in (0x00291008, 0x0029FF08):
            self.assertEqual(datadict.get_private_entry(tag, "ACME, 1"), ("CS", "1-2", "Some Type", ""))
        self.assertRaises(KeyError, datadict.get_private_entry, 0x00291008, "ACME")

    def test_fourDigitsStandForThemselves(self) -> None:
        self.load('(0021,"ACME",1000)\tIS\tNumber', '(0021,"ACME",1100)\tDA\tRETIRED_ScanDate')
        self.assertEqual(datadict.get_private_entry(0x00211000, "ACME"), ("IS", "1", "Number", ""))
        self.assertEqual(datadict.get_private_entry(0x00211100, "ACME"), ("DA", "1", "Scan Date", "Retired"))
        self.assertRaises(KeyError, datadict.get_private_entry, 0x00211200, "ACME")

    def test_rangesStandForOddGroups(self) -> None:
        self.load('(6001-o-60ff,"ACME",10-u-11)\tUS\tRows')
        self.assertEqual(datadict.private_dictionary_VR(0x60011010, "ACME"), "US")
        self.assertEqual(datadict.private_dictionary_VR(0x60FF2011, "ACME"), "US")
        self.assertRaises(KeyError, datadict.private_dictionary_VR, 0x60FF2012, "ACME")

    def test_aFileGoesBeforePydicomsDictionary(self) -> None:
        self.assertEqual(datadict.private_dictionary_VR(0x00091000, "ACUSON"), "IS")
        self.load('(0009,"ACUSON",00)\tLO\tOverridden')
        self.assertEqual(datadict.private_dictionary_VR(0x00091000, "ACUSON"), "LO")
        self.assertEqual(datadict.private_dictionary_VR(0x00091008, "ACUSON"), "LT")

    def test_oneElementGoesBeforeARange(self) -> None:
        self.load('(0029,"ACME",10)\tLO\tSingle', '(0029-o-0031,"ACME",10)\tUS\tSeveral')
        self.assertEqual(datadict.private_dictionary_VR(0x00291010, "ACME"), "LO")
        self.assertEqual(datadict.private_dictionary_VR(0x00311010, "ACME"), "US")

    def test_privateElementsAreReadInImplicitVRAndWrittenInExplicitVR(self) -> None:
        self.load('(0029,"ACME",08)\tUS\tCount', '(0029,"ACME",09)\tox\tBlob')
        dataSet = Dataset()
        block = dataSet.private_block(0x0029, "ACME", create=True)
        block.add_new(0x08, "US", 7)
        block.add_new(0x09, "OB", b"\x01\x02")
        self.assertEqual(recoded(dataSet), dataSet)


class FileTests(PydicomTestCase):
    """Which files are used, and what is said of the others."""

    GOOD = "(4322,0010)\tFD\tSpeedOfThought"

    def assertUnusable(self, name: str, reason: str) -> None:
        """Load this file and a good one, and expect one warning, and the good one's entry."""
        self.assertEqual(loadDictionaries(os.pathsep.join((name, self.write(self.GOOD))), self.log), 1)
        self.assertEqual(self.warnings(), [f"Cannot use data dictionary {name!r}: {reason}."])
        self.assertEqual(datadict.tag_for_keyword("SpeedOfThought"), 0x43220010)

    def test_withoutAFileNothingIsDone(self) -> None:
        rows = dict(DicomDictionary)
        for path in (None, "", os.pathsep, os.pathsep * 3):
            self.assertEqual(loadDictionaries(path, self.log), 0)
        self.assertEqual(self.events, [])
        self.assertEqual(DicomDictionary, rows)

    def test_emptyNamesAreSkipped(self) -> None:
        self.assertEqual(loadDictionaries(os.pathsep + self.write(self.GOOD) + os.pathsep, self.log), 1)
        self.assertEqual(self.warnings(), [])

    def test_aMissingFileIsWarnedOf(self) -> None:
        self.assertUnusable("no/such\nfile", "No such file or directory")

    def test_aDirectoryIsWarnedOf(self) -> None:
        name: str = self.mktemp()
        os.mkdir(name)
        self.assertUnusable(name, "it is not a regular file")

    def test_aFIFOIsWarnedOfAndNotWaitedFor(self) -> None:
        name: str = self.mktemp()
        os.mkfifo(name)
        self.assertUnusable(name, "it is not a regular file")

    def test_anImpossibleNameIsWarnedOf(self) -> None:
        self.assertEqual(loadDictionaries(os.pathsep.join(("nul\0", self.write(self.GOOD))), self.log), 1)
        self.assertEqual(len(self.warnings()), 1)
        self.assertIn("Cannot use data dictionary 'nul\\x00': ", self.warnings()[0])

    def test_aBinaryFileIsWarnedOf(self) -> None:
        self.assertUnusable(self.write(self.GOOD, "\0"), "it is not a text file")

    def test_aFileWithoutAUsableLineIsWarnedOf(self) -> None:
        self.assertUnusable(self.write("# only a comment"), "no line of it can be used")

    def test_aFileOfMalformedLinesIsWarnedOfOnce(self) -> None:
        name = self.write("# comment", "(4322,0010)\tXX\tA", *["nonsense"] * 99)
        self.assertUnusable(name, "no line of it can be used (line 2: 'XX' is not a VR)")

    def test_aFileThatIsTooLargeIsWarnedOf(self) -> None:
        self.patch(dictionary, "MAX_FILE_SIZE", len(self.GOOD))
        self.assertUnusable(self.write(self.GOOD + " "), f"it is larger than {len(self.GOOD)} bytes")

    def test_aFileOfTooManyTagsIsWarnedOf(self) -> None:
        self.patch(dictionary, "MAX_FILE_TAGS", 0x10000)
        ranges = [f"({group},0000-u-7fff)\tLO\tX" for group in (4324, 4326)]
        self.assertEqual(loadDictionaries(self.write("(0000-u-ffff,0000)\tUL\tX", *ranges), self.log), 3)
        self.assertUnusable(self.write(*ranges, "(4328,0000)\tLO\tX"), "it names more than 65536 tags")

    def test_withoutAnyUsableFileThereIsAnError(self) -> None:
        other = self.write("nonsense")
        error = self.assertRaises(DictionaryError, loadDictionaries, f"/no/such/file{os.pathsep}{other}", self.log)
        self.assertEqual(
            str(error),
            f"None of the data dictionaries that DCMDICTPATH names could be loaded: '/no/such/file', {other!r}.",
        )
        self.assertEqual(len(self.warnings()), 2)

    def test_malformedLinesAreWarnedOfAndTheOthersUsed(self) -> None:
        name = self.write("# comment", "(4322,0012)\tXX\tA", self.GOOD, "(4322,0014)\tLO\tB\tmany")
        self.assertEqual(loadDictionaries(name, self.log), 1)
        self.assertEqual(
            self.warnings(),
            [
                f"Line 2 of data dictionary {name!r} is left out: 'XX' is not a VR.",
                f"Line 4 of data dictionary {name!r} is left out: 'many' is not a VM.",
            ],
        )
        self.assertEqual(datadict.dictionary_VR(0x43220010), "FD")

    def test_warningsOfMalformedLinesAreBoundedForEachFile(self) -> None:
        names = [self.write(self.GOOD, *["nonsense"] * bad) for bad in (10, 15)]
        loadDictionaries(os.pathsep.join(names), self.log)
        warnings = self.warnings()
        self.assertEqual(len(warnings), 10 + 11)
        self.assertEqual(warnings[-1], f"5 more lines of data dictionary {names[1]!r} are left out.")

    def test_lineEndsAndByteOrderMarkAndLatin1CommentsAreNoTrouble(self) -> None:
        name: str = self.mktemp()
        Path(name).write_bytes(b"\xef\xbb\xbf(4322,0010)\tFD\tA\r\n# J\xf6rg\r(4322,0012)\tFD\tB # \xf6\n")
        self.assertEqual(loadDictionaries(name, self.log), 2)
        self.assertEqual(self.warnings(), [])


class ImportTests(SynchronousTestCase):
    """What importing the module costs."""

    def test_pydicomIsNotImported(self) -> None:
        program = (
            "import sys; from txdicom.storescp.dictionary import loadDictionaries;"
            "loadDictionaries('', None); print('pydicom' in sys.modules)"
        )
        root = str(Path(txdicom.__file__).parent.parent)
        result = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": root},
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertEqual(result.stdout, "False\n")


class DebianTests(PydicomTestCase):
    """DCMTK's own dictionaries, as Debian ships them."""

    if not DEBIAN:
        skip = "DCMTK's data dictionaries are not installed (Debian's package libdcmtk17)"

    def loadDebian(self, *names: str) -> int:
        return loadDictionaries(os.pathsep.join(str(DEBIAN[-1].with_name(name)) for name in names), self.log)

    def test_allLinesOfAllFilesAreGood(self) -> None:
        count = self.loadDebian("dicom.dic", "private.dic", "acrnema.dic", "diconde.dic")
        self.assertEqual(self.warnings(), [])
        self.assertGreater(count, 7500)

    def test_pydicomsKeywordsKeepTheirTags(self) -> None:
        keywords = dict(datadict.keyword_dict)
        self.loadDebian("dicom.dic", "private.dic", "acrnema.dic", "diconde.dic")
        self.assertEqual({keyword: datadict.tag_for_keyword(keyword) for keyword in keywords}, keywords)
        for keyword in datadict.REPEATER_KEYWORDS:
            self.assertIsNone(datadict.tag_for_keyword(keyword))

    def test_dicomDicAgreesWithPydicomOnVRsKeywordsAndNames(self) -> None:
        own = {tag: (vr, name, keyword) for tag, (vr, _vm, name, _retired, keyword) in DicomDictionary.items()}
        own |= {tag: self.told(tag) for tag in (0x60000010, 0x60FE3000, 0x50103000, 0x7F020010, 0x00203102)}
        self.loadDebian("dicom.dic")
        self.assertEqual({tag: self.told(tag) for tag in own}, own)

    def told(self, tag: int) -> tuple[str, str, str]:
        vr, _vm, name, _retired, keyword = datadict.get_entry(tag)
        return (vr, name, keyword)

    def test_acrnemaAndDicondeRenameElements(self) -> None:
        self.loadDebian("dicom.dic", "acrnema.dic", "diconde.dic")
        self.assertEqual(datadict.keyword_for_tag(0x00100010), "ComponentName")
        self.assertEqual(datadict.keyword_for_tag(0x60020110), "ACR_NEMA_OverlayFormat")
        self.assertEqual(datadict.tag_for_keyword("PatientName"), 0x00100010)

    def test_privateElementsAreKnown(self) -> None:
        self.loadDebian("private.dic")
        for tag, creator, vr in (
            (0x00291008, "SIEMENS CSA HEADER", "CS"),
            (0x60031010, "PAPYRUS 3.0", "US"),
            (0x00211100, "PHILIPS MR/PART", "DA"),
            (0x00211000, "PHILIPS MR/PART", "IS"),
        ):
            self.assertEqual(datadict.private_dictionary_VR(tag, creator), vr)
