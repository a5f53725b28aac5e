"""Tests for `txdicom.storescp.dictionary`."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom import datadict, dcmwrite
from pydicom._dicom_dict import DicomDictionary
from pydicom._private_dict import private_dictionaries
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.valuerep import STANDARD_VR
from twisted.logger import Logger, LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase

import txdicom
from txdicom.storescp import dictionary
from txdicom.storescp.dictionary import (
    DictionaryEntry,
    DictionaryError,
    MalformedLine,
    loadDictionaries,
    parseDictionary,
    parseLine,
)

#: Where Debian's package libdcmtk puts its dictionaries, the directory being named for the library's version.
DEBIAN = sorted(Path("/usr/share").glob("libdcmtk*/dicom.dic"))


class ParseLineTests(SynchronousTestCase):
    """What one line says, or why it says nothing."""

    def parsed(self, line: str) -> DictionaryEntry:
        entry = parseLine(line)
        assert entry is not None
        return entry

    def assertMalformed(self, line: str, reason: str) -> None:
        error = self.assertRaises(MalformedLine, parseLine, line)
        self.assertEqual(str(error), reason)

    def test_aLineOfFiveFieldsIsAnEntry(self) -> None:
        self.assertEqual(
            parseLine("(0008,0018)\tUI\tSOPInstanceUID\t1\tDICOM\n"),
            DictionaryEntry(range(8, 9), range(0x18, 0x19), "UI", "SOPInstanceUID", "1", None, False),
        )

    def test_commentsAndBlankLinesAreNone(self) -> None:
        for line in ("", "\n", " \t \r\n", "# (0008,0018)\tUI\tSOPInstanceUID\t1", "   #"):
            self.assertIsNone(parseLine(line))

    def test_unknownAndDelimiterVRsAreNone(self) -> None:
        self.assertIsNone(parseLine("(FFFE,E000)\tna\tItem\t1\tDICOM"))
        self.assertIsNone(parseLine("(0008,0018)\t??\tSOPInstanceUID\t1\tDICOM"))

    def test_VMAndVersionMayBeLeftOut(self) -> None:
        self.assertEqual(self.parsed("(0008,0018)\tUI\tSOPInstanceUID").vm, "1")
        self.assertEqual(self.parsed("(0008,0008)\tCS\tImageType\t2-n").vm, "2-n")

    def test_trailingCommentsAreNotRead(self) -> None:
        self.assertEqual(self.parsed("(0008,0008)\tCS\tImageType # 2-n").vm, "1")
        self.assertEqual(self.parsed("(0008,0008)\tCS\tImageType\t2-n#\tx").vm, "2-n")

    def test_anyWhiteSpaceSeparatesFields(self) -> None:
        expected = parseLine("(0008,0008)\tCS\tImageType\t2-n\tDICOM")
        for line in ("  (0008,0008) CS  ImageType   2-n DICOM", "( 0008 , 8 )\t\tCS\t\t Image Type\t2 - n\t"):
            self.assertEqual(parseLine(line), expected)

    def test_rangesAreEvenUnlessTheySayOtherwise(self) -> None:
        for text, numbers in (
            ("6000-60ff", range(0x6000, 0x60FF, 2)),
            ("6001-6004", range(0x6002, 0x6005, 2)),
            ("6000-e-6003", range(0x6000, 0x6004, 2)),
            ("6000-O-6003", range(0x6001, 0x6004, 2)),
            ("6001-u-6003", range(0x6001, 0x6004)),
            ("6002-u-6002", range(0x6002, 0x6003)),
        ):
            self.assertEqual(self.parsed(f"(0010,{text})\tLO\tRange\t1").elements, numbers)
        self.assertEqual(self.parsed("(0020-0022,3100)\tLO\tRange").groups, range(0x20, 0x24, 2))

    def test_tagsAreThoseOfTheRightParity(self) -> None:
        public = self.parsed("(0010-u-0013,0001-0003)\tLO\tRange")
        self.assertEqual(list(public.tags()), [0x00100002, 0x00120002])
        private = self.parsed('(0010-u-0013,"A",02-o-05)\tLO\tRange')
        self.assertEqual(list(private.tags()), [0x00110003, 0x00110005, 0x00130003, 0x00130005])

    def test_privateCreatorsMayHoldAnythingPrintable(self) -> None:
        entry = self.parsed('(0029,"SIEMENS (CSA), #1\xfc  X ",08)\tCS\tImage Header=\t1')
        self.assertEqual(entry.creator, "SIEMENS (CSA), #1\xfc  X")
        self.assertEqual(entry.elements, range(8, 9))
        self.assertEqual(entry.keyword, "ImageHeader=")

    def test_VRsOfDCMTKBecomeThoseOfPydicom(self) -> None:
        for vr, expected in (
            ("ox", "OB or OW"),
            ("px", "OB or OW"),
            ("xs", "US or SS"),
            ("lt", "US or SS or OW"),
            ("up", "UL"),
        ):
            self.assertEqual(self.parsed(f"(0010,0010)\t{vr}\tSomething").vr, expected)

    def test_everyVRThatPydicomKnowsIsKnown(self) -> None:
        for vr in STANDARD_VR:
            self.assertEqual(self.parsed(f"(0010,0010)\t{vr.value}\tSomething").vr, vr.value)

    def test_multiplicitiesOfTheStandardAreTaken(self) -> None:
        for vm in ("1", "3", "1-3", "1-n", "2-2n", "1-99", "n", "2n"):
            self.assertEqual(self.parsed(f"(0010,0010)\tUS\tSomething\t{vm}").vm, vm)
        self.assertEqual(self.parsed("(0010,0010)\tUS\tSomething\t1-N").vm, "1-n")

    def test_thePrefixForRetiredIsNoPartOfTheKeyword(self) -> None:
        entry = self.parsed("(0008,0001)\tUL\tRETIRED_LengthToEnd\t1\tDICOM/retired")
        self.assertEqual((entry.keyword, entry.retired), ("LengthToEnd", True))

    def test_namesAreTheKeywordsWords(self) -> None:
        for keyword, name in (
            ("PatientID", "Patient ID"),
            ("SOPClassUID", "SOP Class UID"),
            ("OtherPatientIDs", "Other Patient IDs"),
            ("OtherIDsSequence", "Other IDs Sequence"),
            ("ReferencedSOPClassUIDInFile", "Referenced SOP Class UID In File"),
            ("ACR_NEMA_2C_CodeLabel", "ACR NEMA 2C Code Label"),
            ("Sample2Rate", "Sample2 Rate"),
            ("Unknown", "Unknown"),
        ):
            self.assertEqual(self.parsed(f"(0008,0018)\tUI\t{keyword}").name, name)

    def test_groupLengthsAndPrivateCreatorsOfManyGroupsAreRules(self) -> None:
        for line in (
            "(0000-u-FFFF,0000)\tUL\tGenericGroupLength",
            "(0009-o-FFFF,0000)\tUL\tPrivateGroupLength",
            "(0009-o-FFFF,0010-u-00FF)\tLO\tPrivateCreator",
            "(0009,0010)\tLO\tPrivateCreator",
        ):
            self.assertTrue(self.parsed(line).isRule, line)
        for line in (
            "(0008,0000)\tUL\tGroupLength",
            "(0010-0020,0010)\tLO\tSomething",
            '(0009-o-0011,"A",10)\tLO\tSomething',
        ):
            self.assertFalse(self.parsed(line).isRule, line)

    def test_linesThatSayTooLittleAreMalformed(self) -> None:
        self.assertMalformed("hello", "no tag such as (0010,0020) at the beginning of 'hello'")
        self.assertMalformed("(0008,0018)\tUI", "a tag, a VR and a keyword are needed")
        self.assertMalformed("(0008,0018)", "a tag, a VR and a keyword are needed")
        self.assertMalformed("(0008,0018)\tUI\tRETIRED_", "'' is not a keyword")

    def test_badFieldsAreMalformed(self) -> None:
        self.assertMalformed("(0010,zz)\tLO\tX", "'zz' is neither a hexadecimal number nor a range of them")
        self.assertMalformed("(10010,10)\tLO\tX", "'10010' is neither a hexadecimal number nor a range of them")
        self.assertMalformed(
            "(0010-x-0012,10)\tLO\tX", "'0010-x-0012' is neither a hexadecimal number nor a range of them"
        )
        self.assertMalformed("(0012-0010,0010)\tLO\tX", "no number is in the range '0012-0010'")
        self.assertMalformed("(0011-e-0011,0010)\tLO\tX", "no number is in the range '0011-e-0011'")
        self.assertMalformed("(0010,0010)\tlo\tX", "'lo' is not a VR")
        self.assertMalformed("(0010,0010)\tLO\tX\tmany", "'many' is not a VM")
        self.assertMalformed("(0010,0010)\tLO\tX-Y", "'X-Y' is not a keyword")
        self.assertMalformed("(0010,0010)\tLO\t_dict", "'_dict' is not a keyword")
        self.assertMalformed("(0010,0010)\tLO\tH\xf6he", "'H\xf6he' is not a keyword")
        self.assertMalformed('(0011,"A",10)\tLO\tX\x07', "'X\\x07' is not a keyword")

    def test_badPrivateTagsAreMalformed(self) -> None:
        self.assertMalformed('(0010,"A",10)\tLO\tX', "a private creator needs an odd group")
        self.assertMalformed('(0011-0015,"A",10)\tLO\tX', "a private creator needs an odd group")
        self.assertMalformed("(0011,1010)\tLO\tX", "an odd group needs a private creator")
        self.assertMalformed('(0011,"",10)\tLO\tX', "'' is not a private creator")
        self.assertMalformed('(0011,"A\x1b",10)\tLO\tX', "'A\\x1b' is not a private creator")
        reason = "a private element is 00 to FF, of any block, or 1000 to FFFF"
        self.assertMalformed('(0011,"A",0100)\tLO\tX', reason)
        self.assertMalformed('(0011,"A",00f0-1010)\tLO\tX', reason)

    def test_rangesAreBounded(self) -> None:
        self.assertMalformed("(0010-u-0011,0000-u-ffff)\tLO\tX", "more than 65536 tags")
        self.assertEqual(len(list(self.parsed("(0010,0000-u-ffff)\tLO\tX").tags())), 65536)

    def test_linesAreBounded(self) -> None:
        line = "(0010,0010)\tLO\tX\t1\t"
        self.assertMalformed(line + "y" * 2048, "longer than 2048 characters")
        self.assertEqual(self.parsed(line + "y" * (2048 - len(line))).keyword, "X")

    def test_messagesDoNotRepeatMoreThanIsUseful(self) -> None:
        self.assertMalformed("(0010,0010)\tLO\tX\t" + "y" * 99, f"'{'y' * 37}...' is not a VM")


#: Lines that are nearly right, which plain text hardly ever is.
_NUMBER = st.from_regex(r"[0-9a-fA-F]{1,5}(-([oeuxOEU]-)?[0-9a-fA-F]{1,4})?", fullmatch=True)
_NEARLY = st.builds(
    "{0}{1},{2}{3}{4}{5}{4}{6}{4}{7}".format,
    st.sampled_from(["(", "", " ("]),
    _NUMBER,
    st.sampled_from(["", '"A",', '"",', '"', "\udcff,"]),
    _NUMBER,
    st.sampled_from([")\t", ") ", "\t", "\v"]),
    st.sampled_from(["LO", "ox", "na", "??", "ZZ", ""]),
    st.text(max_size=5) | st.just("PatientID"),
    st.text("0123456789-nN", max_size=8),
)


class ArbitraryLineTests(SynchronousTestCase):
    """Nothing but the documented outcomes, whatever the line."""

    @settings(deadline=None, max_examples=400)
    @given(st.text() | _NEARLY | st.text('()-,"#\t 0123456789ABCDEFoeunLOX', max_size=60))
    @example('(0009,"A",10)\tLO\tX')
    def test_arbitraryTextIsAnEntryNothingOrMalformed(self, line: str) -> None:
        try:
            entry = parseLine(line)
        except MalformedLine as error:
            self.assertTrue(str(error).isprintable())
            return
        if entry is not None and not entry.isRule:
            tag = next(entry.tags())
            self.assertEqual(tag >> 16 & 1, entry.creator is not None)

    @settings(deadline=None, max_examples=100)
    @given(
        st.integers(0, 0x7FFF),
        st.integers(0, 0xFF) | st.integers(0x1000, 0xFFFF),
        st.sampled_from([vr.value for vr in STANDARD_VR]),
        st.from_regex(r"[A-Z][A-Za-z0-9]{0,20}", fullmatch=True),
        st.none() | st.text("ABC .-()#,/", min_size=1).filter(lambda creator: creator == creator.rstrip() != ""),
    )
    def test_whatIsWrittenIsRead(self, half: int, element: int, vr: str, keyword: str, creator: str | None) -> None:
        group = half * 2 + (creator is not None)
        where = "" if creator is None else f'"{creator}",'
        self.assertEqual(
            parseLine(f"({group:04x},{where}{element:X})\t{vr}\t{keyword}\t1-n\t"),
            DictionaryEntry(range(group, group + 1), range(element, element + 1), vr, keyword, "1-n", creator),
        )


class ParseDictionaryTests(SynchronousTestCase):
    """Many lines."""

    def test_malformedLinesAreToldByNumberAndLeftOut(self) -> None:
        lines = ["# comment", "(0010,0010)\tPN\tOne", "nonsense", "", "(0010,0020)\tPN\tTwo", "(0010,0030)\tXX\tThree"]
        problems: list[tuple[int, str]] = []
        entries = list(parseDictionary(lines, lambda number, reason: problems.append((number, reason))))
        self.assertEqual([entry.keyword for entry in entries], ["One", "Two"])
        self.assertEqual([number for number, reason in problems], [3, 6])
        self.assertEqual(problems[1][1], "'XX' is not a VR")


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
