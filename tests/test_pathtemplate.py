"""
Tests of `txdicom.storage.pathtemplate` and `txdicom.services.text`: paths that are made of what a peer sends.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import hashlib
import os
import unicodedata
import warnings

from hypothesis import given
from hypothesis import strategies as st
from pydicom.charset import python_encoding
from pydicom.datadict import tag_for_keyword
from twisted.trial.unittest import SynchronousTestCase

from tests.headvectors import CHARACTER_SET, PATIENT_ID, PATIENT_NAME, STUDY_DATE
from tests.scripted import CT, INSTANCE, storeRQ
from txdicom.services.storage import ReceivedInstance
from txdicom.services.text import textOf
from txdicom.storage.pathtemplate import PathTemplate, TemplateError
from txdicom.uids import isValidUID

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
SERIES = 0x0020000E
PRIVATE = 0x00091001


def instance(attributes: dict[int, bytes], uid: str = INSTANCE) -> ReceivedInstance:
    """Make an instance that has these attributes."""
    return ReceivedInstance(CT, uid, EXPLICIT_LITTLE, storeRQ(), attributes)


class RenderingTests(SynchronousTestCase):
    """What becomes of templates that are good."""

    def assertPath(self, template: str, expected: str, attributes: dict[int, bytes] | None = None) -> None:
        """An instance is called so."""
        self.assertEqual(PathTemplate(template)(instance(attributes or {})), expected)

    def test_example(self) -> None:
        template = PathTemplate("{StudyDate}/{PatientID}/{SeriesInstanceUID}/{SOPInstanceUID}.dcm")
        received = instance({STUDY_DATE: b"20260131", PATIENT_ID: b"ID 7", SERIES: b"1.2.3\0"})
        self.assertEqual(template(received), f"20260131/ID_7/1.2.3/{INSTANCE}.dcm")
        self.assertEqual(template.wanted, {CHARACTER_SET, STUDY_DATE, PATIENT_ID, SERIES, 0x00080018})
        self.assertTrue(template.isUnique)

    def test_tags(self) -> None:
        """Tags are as good as keywords; an element that the dictionary does not know is taken for text."""
        for field in ("PatientID", "00100020", "0010,0020"):
            self.assertPath(f"{{{field}}}", "ID", {PATIENT_ID: b"ID"})
        self.assertPath("{00091001}", "Grün", {PRIVATE: b"Gr\xfcn ", CHARACTER_SET: b"ISO_IR 100"})
        self.assertPath("{0009,100a}", "unknown")

    def test_missing(self) -> None:
        """There is always something: what the template says, or "unknown"."""
        for value in ({}, {PATIENT_ID: b""}, {PATIENT_ID: b"  "}, {PATIENT_ID: b"\0 "}):
            self.assertPath("{PatientID}", "unknown", value)
            self.assertPath("a{PatientID|none@all}b", "anone@allb", value)
            self.assertPath("{PatientID:hash2|00}", "00", value)
        self.assertPath("{PatientName|x}", "x", {PATIENT_NAME: b"^^^="})

    def test_hash(self) -> None:
        digest = hashlib.sha256(INSTANCE.encode()).hexdigest()
        self.assertPath("{SOPInstanceUID:hash2}/x", f"{digest[:2]}/x")
        self.assertPath("{SOPInstanceUID:hash8}", digest[:8])
        digest = hashlib.sha256("Bär".encode()).hexdigest()
        self.assertPath("{PatientID:hash1}", digest[:1], {PATIENT_ID: b"B\xe4r "})

    def test_hashSpreads(self) -> None:
        template = PathTemplate("{SOPInstanceUID:hash2}/{SOPInstanceUID}")
        names = [template(instance({}, f"1.2.{number}")) for number in range(4000)]
        self.assertEqual(len({name[:2] for name in names}), 256)

    def test_braces(self) -> None:
        self.assertPath("{{{PatientID}}}.{{}}", "{ID}.{}", {PATIENT_ID: b"ID"})

    def test_harmless(self) -> None:
        """Separators, control characters, what a shell or Windows would take for something else: all gone."""
        for value, expected in (
            (b"a/b\\c", "a_b_c"),
            (b"..", "_."),
            (b".hidden", "_hidden"),
            (b"-rf", "_rf"),
            (b"a\0b", "a_b"),
            (b"a\r\nb\x1f\x7f", "a__b__"),
            (b"$(x);`y`|z&*?\"'<>:~%!#", "__x___y__z____________"),
            (b" a b ", "a_b"),
            (b"-_.^+=@,", "__.^+=@,"),
        ):
            self.assertPath("{PatientID}", expected, {PATIENT_ID: value})
        # What is between two literals need not be the beginning.
        self.assertPath("a{PatientID}", "a..", {PATIENT_ID: b".."})
        # A change of direction, a blank without width, and half of a pair.
        for character in "\u202e\u200b\u2028\u00a0\ufffd":
            self.assertPath("{PatientID}", "a_b", {PATIENT_ID: f"a{character}b".encode(), CHARACTER_SET: b"ISO_IR 192"})

    def test_long(self) -> None:
        """A value has 64 bytes at most, and no half characters."""
        self.assertPath("{PatientID}", "x" * 64, {PATIENT_ID: b"x" * 1024})
        self.assertPath("{PatientID}", "ä" * 32, {PATIENT_ID: b"\xe4" * 1024, CHARACTER_SET: b"ISO_IR 100"})
        self.assertPath(
            "{PatientID}", "x" + "山" * 21, {PATIENT_ID: ("x" + "山" * 99).encode(), CHARACTER_SET: b"ISO_IR 192"}
        )

    def test_composed(self) -> None:
        """Letters that are written with a mark of their own are the same letter."""
        value = {PATIENT_ID: "Ba\u0308r".encode(), CHARACTER_SET: b"ISO_IR 192"}
        self.assertPath("{PatientID}", "B\u00e4r", value)

    def test_identityIsTheCheckedOne(self) -> None:
        """Whatever the attributes say."""
        self.assertPath("{SOPInstanceUID}", INSTANCE, {0x00080018: b"9.9"})

    @given(
        st.lists(
            st.sampled_from(
                [
                    "{PatientID}",
                    "{PatientName|x}",
                    "{SOPInstanceUID}",
                    "lit",
                    "{SOPInstanceUID:hash2}",
                    "{{",
                ]
            ),
            min_size=1,
            max_size=3,
        ),
        st.dictionaries(st.sampled_from([PATIENT_ID, PATIENT_NAME]), st.binary(max_size=200)),
        st.sampled_from(sorted(python_encoding)) | st.text(max_size=20),
    )
    def test_alwaysConfined(self, pieces: list[str], attributes: dict[int, bytes], characters: str) -> None:
        """The result is a relative path of as many parts as the template, each of them a good file name."""
        template = PathTemplate("/".join(("".join(pieces), "{PatientID}", "x{PatientName}")))
        sets = {CHARACTER_SET: characters.encode("ascii", "replace")}
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            parts = template(instance(attributes | sets)).split("/")
        self.assertEqual(len(parts), 3)
        for part in parts:
            encoded = os.fsencode(part)
            self.assertTrue(0 < len(encoded) <= 240)
            self.assertNotIn(part[0], ".-")
            self.assertEqual({unicodedata.category(c)[0] for c in part} & {"C", "Z"}, set())
            self.assertNotIn(b"\0", encoded)

    @given(st.binary(max_size=100), st.binary(max_size=100), st.text("0123456789.", max_size=30))
    def test_uniqueIsUnique(self, one: bytes, other: bytes, uid: str) -> None:
        """Where a template promises so, two instances have different names whatever else they have."""
        uids = [candidate for candidate in dict.fromkeys((uid, uid[:-1], uid[1:])) if isValidUID(candidate)]
        for text in ("{PatientID}_{SOPInstanceUID}.1", "1{SOPInstanceUID}-{PatientID}", "{SOPInstanceUID}/{PatientID}"):
            template = PathTemplate(text)
            self.assertTrue(template.isUnique)
            names = {
                template(instance({PATIENT_ID: value}, name))
                for name, value in zip(uids, (one, other, b"."), strict=False)
            }
            self.assertEqual(len(names), len(uids))


class CheckingTests(SynchronousTestCase):
    """Templates that are refused, or do not keep instances apart."""

    def assertRefused(self, template: str, reason: str) -> None:
        """A template is refused."""
        self.assertEqual(str(self.assertRaises(TemplateError, PathTemplate, template)), reason)

    def test_refused(self) -> None:
        for template, reason in (
            ("", "has an empty part"),
            ("/{PatientID}", "has an empty part"),
            ("{PatientID}/", "has an empty part"),
            ("a//b", "has an empty part"),
            ("..", "has a part that begins with '.': '..'"),
            ("a/../b", "has a part that begins with '.': '..'"),
            ("a/.txdicom-1", "has a part that begins with '.': '.txdicom-1'"),
            ("-{PatientID}", "has a part that begins with '-': '-{PatientID}'"),
            ("a\nb", "has a character that cannot be printed, in 'a\\nb'"),
            ("a\0", "has a character that cannot be printed, in 'a\\x00'"),
            ("\udcff", "has a character that cannot be printed, in '\\udcff'"),
            ("{PatientID", "has a brace that stands alone, in '{PatientID'"),
            ("PatientID}", "has a brace that stands alone, in 'PatientID}'"),
            ("{Patient/ID}", "has a brace that stands alone, in '{Patient'"),
            ("{}", "has a field that is neither keyword nor tag: ''"),
            ("{Patient ID}", "has a field that is neither keyword nor tag: 'Patient ID'"),
            ("{PatientID:hash}", "has a field that is neither keyword nor tag: 'PatientID:hash'"),
            ("{PatientID:hash9}", "has a field that is neither keyword nor tag: 'PatientID:hash9'"),
            ("{PatientID|}", "has a field that is neither keyword nor tag: 'PatientID|'"),
            ("{0010020}", "has a field that is neither keyword nor tag: '0010020'"),
            ("{Patient}", "has the keyword 'Patient', which is not in the data dictionary"),
            ("{PixelData}", "has a field that does not stand before the pixel data: 'PixelData'"),
            ("{00020010}", "has a field that does not stand before the pixel data: '00020010'"),
            ("{Rows}", "has a field that is not text: 'Rows'"),
            ("{OtherPatientIDsSequence}", "has a field that is not text: 'OtherPatientIDsSequence'"),
            (
                "{PatientID|a b}",
                "has 'a b' for a missing value, which is too long or not fit for a file name",
            ),
            (
                "{PatientID}{PatientName}{StudyDate}{StudyTime}",
                "has a part of up to 256 bytes, and 240 are possible, 64 of each field: "
                "'{PatientID}{PatientName}{StudyDate}{StudyTime}'",
            ),
            ("/".join("a" * 17), "has more than 16 parts"),
        ):
            self.assertRefused(template, reason)

    def test_longest(self) -> None:
        """The longest template that is taken gives names that a file system takes, with a number behind them."""
        template = PathTemplate("{PatientID}" * 3 + "ä" * 24)
        self.assertEqual(len(template(instance({PATIENT_ID: b"x" * 80})).encode()), 240)
        self.assertRaises(TemplateError, PathTemplate, "{PatientID}" * 3 + "ä" * 24 + "x")
        self.assertEqual(PathTemplate("/".join("a" * 16))(instance({})), "/".join("a" * 16))

    def test_unique(self) -> None:
        for template, isUnique in (
            ("{SOPInstanceUID}", True),
            ("{0008,0018}.dcm", True),
            ("{SOPInstanceUID}/x.dcm", True),
            ("{PatientID}/{SOPInstanceUID}.dcm", True),
            ("{Modality}.{SOPInstanceUID}", False),
            ("{Modality}-{SOPInstanceUID}.dcm", True),
            ("{SOPInstanceUID}_{Modality}", True),
            ("a-{SOPInstanceUID}_{Modality}", True),
            ("{SOPInstanceUID}1{Modality}", False),
            ("{Modality}{SOPInstanceUID}", False),
            ("{Modality}_{SOPInstanceUID}_{Modality}", False),
            ("{SOPInstanceUID:hash8}", False),
            ("{PatientID}/{InstanceNumber}.dcm", False),
            ("constant", False),
        ):
            self.assertEqual(PathTemplate(template).isUnique, isUnique, template)

    @given(st.text(alphabet="{}ab/.-|:hash2PatientID0018,\0é", max_size=40))
    def test_anyText(self, text: str) -> None:
        """A template is refused with one sentence, or gives a path."""
        try:
            template = PathTemplate(text)
        except TemplateError:
            return
        self.assertEqual(template(instance({})).count("/"), text.count("/"))


class TextTests(SynchronousTestCase):
    """Values in all the ways in which they may be encoded."""

    def test_examplesOfTheStandard(self) -> None:
        """PS3.5 Annexes H, I, J and K: names in several character sets, some of them in one value."""
        yamada = "Yamada^Tarou=山田^太郎=やまだ^たろう"
        for value, characters, vr, expected in (
            (
                b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
                b"\\ISO 2022 IR 87",
                "LO",
                yamada,
            ),
            (
                b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
                b"ISO 2022 IR 13\\ISO 2022 IR 87",
                "LO",
                "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
            ),
            (
                b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
                b"\\ISO 2022 IR 149",
                "PN",
                "Hong^Gildong",
            ),
            (
                b"\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7 ",
                b"\\ISO 2022 IR 149",
                "PN",
                "洪^吉洞",
            ),
            ("Wang^XiaoDong=王^小东".encode(), b"ISO_IR 192", "LO", "Wang^XiaoDong=王^小东"),
            ("Wang^XiaoDong=王^小东".encode("gb18030"), b"GB18030", "LO", "Wang^XiaoDong=王^小东"),
            ("=王^小东".encode("gb18030"), b"GB18030 ", "PN", "王^小东"),
            ("Buc^Jérôme".encode("latin-1"), b"ISO_IR 100", "PN", "Buc^Jérôme"),
            ("Жижин^Илья".encode("iso8859-5"), b"ISO_IR 144", "PN", "Жижин^Илья"),
            # 0x3D within a character is no "=".
            (b"\x1b$B=i\x1b(B", b"\\ISO 2022 IR 87", "PN", "初"),
        ):
            self.assertEqual(textOf(value, vr, characters), expected)

    def test_wrong(self) -> None:
        """What cannot be decoded, or says that it is what nobody knows, gives something all the same."""
        self.assertEqual(textOf(b"B\xe4r", "LO", b""), "Bär")
        self.assertEqual(textOf(b"B\xe4r", "LO", b"ISO_IR 192"), "B\ufffdr")
        self.assertEqual(textOf(b"B\xe4r", "CS", b"ISO_IR 100"), "B\ufffdr")
        self.assertEqual(textOf(b"B\xe4r", "LO", b"ISO_IR 1"), "Bär")
        self.assertEqual(textOf(b"a\x1b$Xb", "LO", b""), "a\x1b$Xb")

    def test_codecsArePeersToNameOnlyWithinReason(self) -> None:
        """Python has codecs that are no character sets, which no peer may have used."""
        for name in (b"zlib", b"idna", b"unicode_escape", b"rot13", b"utf-7", b"punycode"):
            self.assertEqual(textOf(b"+AGE-\\u0041\xe4", "LO", name), "+AGE-\\u0041ä")

    @given(
        st.binary(max_size=60)
        | st.lists(st.sampled_from([b"\x1b$B", b"\x1b(B", b"\x1b$)C", b"=", b"^", b";3", b"\xfb"])).map(b"".join),
        st.sampled_from(["PN", "LO", "CS", "UI"]),
        st.lists(st.sampled_from(sorted(python_encoding))).map("\\".join).map(str.encode) | st.binary(max_size=20),
    )
    def test_anyBytes(self, value: bytes, vr: str, characters: bytes) -> None:
        """Any value gives text, and nobody is warned."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            text = textOf(value, vr, characters)
        self.assertEqual(text, text.rstrip("\0 "))

    def test_keywordsOfTheDocumentation(self) -> None:
        """The ones that are named in the manual are there."""
        for keyword in ("StudyDate", "PatientID", "PatientName", "SeriesInstanceUID", "SOPInstanceUID", "Modality"):
            self.assertIsNotNone(tag_for_keyword(keyword))
