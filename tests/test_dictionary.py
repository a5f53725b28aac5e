"""Tests for `txdicom.storescp.dictionary`: what the lines of a dictionary say."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom.valuerep import STANDARD_VR
from twisted.trial.unittest import SynchronousTestCase

from txdicom.storescp.dictionary import (
    DictionaryEntry,
    MalformedLine,
    parseDictionary,
    parseLine,
)


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
