"""Tests of `txdicom.storescp.profiles`: files of DCMTK's format, and what their names stand for."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txdicom.storescp.profiles.names import _NAMES, uidOf
from txdicom.storescp.profiles.reader import LONGEST_FILE, readProfile
from txdicom.uids import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    VERIFICATION,
    isValidUID,
)

PROFILE = Path(__file__).parent / "profile.cfg"
CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
BOTH = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)


class NamesTests(SynchronousTestCase):
    """`uidOf`."""

    def test_names(self) -> None:
        """DCMTK's own names, the standard's keywords, retired or not, and UIDs."""
        own, other = EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN
        if sys.byteorder == "big":
            own, other = other, own
        for name, uid in (
            ("VerificationSOPClass", VERIFICATION),
            ("Verification", VERIFICATION),
            ("CTImageStorage", CT),
            ("RETIRED_NuclearMedicineImageStorage", "1.2.840.10008.5.1.4.1.1.5"),
            ("NuclearMedicineImageStorage", "1.2.840.10008.5.1.4.1.1.20"),
            ("RETIRED_XRayAngiographicBiPlaneImageStorage", "1.2.840.10008.5.1.4.1.1.12.3"),
            ("JPEGLossless:Non-hierarchical-1stOrderPrediction", "1.2.840.10008.1.2.4.70"),
            ("JPEG2000", "1.2.840.10008.1.2.4.91"),
            ("RLELossless", "1.2.840.10008.1.2.5"),
            ("LocalEndianExplicit", own),
            ("OppositeEndianExplicit", other),
            ("1.2.3", "1.2.3"),
        ):
            self.assertEqual(uidOf(name), uid, name)

    def test_noNames(self) -> None:
        for name in ("", "ctimagestorage", "RETIRED_", "1..2", "CT Image Storage", "1.2.3\n"):
            self.assertIsNone(uidOf(name), name)

    def test_everyUIDIsOne(self) -> None:
        self.assertTrue(all(map(isValidUID, _NAMES.values())))


class ReaderTests(SynchronousTestCase):
    """`readProfile`."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def write(self, text: str) -> str:
        """Write a file, and return its path."""
        self.path.write_text(text)
        return str(self.path)

    def assertFails(self, text: str, sentence: str, profile: str = "Default") -> None:
        """A file is refused with a sentence, which names the file."""
        path = self.write(text)
        with self.assertRaises(ValueError) as caught:
            readProfile(path, profile)
        self.assertEqual(str(caught.exception), f"{path}{sentence}")

    def changed(self, old: str, new: str) -> str:
        """Return the example with one change."""
        text = PROFILE.read_text()
        self.assertIn(old, text)
        return text.replace(old, new)

    def test_example(self) -> None:
        """In the order of the file; names of profiles are told without their case and spaces."""
        for name in ("Default", "default", "DE FAULT"):
            self.assertEqual(
                list(readProfile(str(PROFILE), name).items()),
                [(VERIFICATION, BOTH), (CT, BOTH), (MR, (IMPLICIT_VR_LITTLE_ENDIAN,))],
            )
        self.assertEqual(readProfile(str(PROFILE), "Plain"), {CT: (IMPLICIT_VR_LITTLE_ENDIAN,)})

    def test_twiceTheSameClass(self) -> None:
        """The transfer syntaxes are added, each once."""
        text = self.changed("1.2.840.10008.5.1.4.1.1.4\\One", "CTImageStorage\\One").replace(
            "2 = CTImageStorage\\Both", "9 = CTImageStorage\\Both"
        )
        self.assertEqual(readProfile(self.write(text), "Default")[CT], BOTH[::-1])

    def test_numbersGiveTheOrder(self) -> None:
        """They need not be without gaps, and 10 comes after 9."""
        text = self.changed("TransferSyntax2", "TransferSyntax10").replace(
            "TransferSyntax1 = LittleEndianExplicit", "TransferSyntax9 = LittleEndianExplicit"
        )
        self.assertEqual(readProfile(self.write(text), "Default")[CT], BOTH)

    def test_lineEnds(self) -> None:
        """Files come from other systems, with other bytes in comments."""
        self.path.write_bytes(b"# \xe4\r\n" + PROFILE.read_bytes().replace(b"\n", b"\r\n"))
        self.assertEqual(readProfile(str(self.path), "Plain"), readProfile(str(PROFILE), "Plain"))

    def test_notAFile(self) -> None:
        with self.assertRaisesRegex(ValueError, "none cannot be read: No such file or directory"):
            readProfile("/none", "Default")
        self.path.write_bytes(b"#" * (LONGEST_FILE + 1))
        with self.assertRaisesRegex(ValueError, f"has more than {LONGEST_FILE} bytes"):
            readProfile(str(self.path), "Default")

    def test_noSuchProfile(self) -> None:
        self.assertFails("", " has no profile 'Default'; there are: none")
        self.assertFails(PROFILE.read_text(), " has no profile 'x'; there are: DEFAULT, PLAIN", "x")

    def test_syntax(self) -> None:
        """What is wrong in a line is told with its number."""
        for text, sentence in (
            ("a = b", ", line 1: a key stands in no section, such as [Default]"),
            ("\n[Default]", ", line 2: [Default] stands in no section, such as [[Profiles]]"),
            ("[[Profiles]]\n[a]\nb", ", line 3: 'b' is neither a section nor a key and a value"),
            ("[[Profiles]]\n[a]\n[A]", ", line 3: [A] is there twice"),
            ("[[Profiles]]\n[a]\nb=1\n# c\nB =2", ", line 5: B is there twice"),
            ("[[Profiles]]\n[Default]", ": profile 'Default' does not say which PresentationContexts it has"),
        ):
            self.assertFails(text, sentence)

    def test_contents(self) -> None:
        """So is what cannot be offered."""
        for old, new, sentence in (
            ("CTImageStorage\\Both", "CTImage\\Both", ", line 12: 'CTImage' is neither a UID nor the name of one"),
            (
                "CTImageStorage\\Both",
                "CTImageStorage",
                ", line 12: 'CTImageStorage' is not an abstract syntax, a backslash, and a list of transfer syntaxes",
            ),
            ("CTImageStorage\\Both", "CTImageStorage\\X", ", line 12: there is nothing in 'X' of TRANSFERSYNTAXES"),
            (
                "CTImageStorage\\Both",
                "1.2.840.10008.5.1.4.31\\Both",
                ", line 12: 1.2.840.10008.5.1.4.31 is no storage SOP class",
            ),
            ("TransferSyntax2", "Syntax2", ", line 4: SYNTAX2 is not TRANSFERSYNTAX and a number"),
            ("= LittleEndianExplicit", "= Little", ", line 5: 'Little' is neither a UID nor the name of one"),
            ("Contexts = Receiver", "Contexts = X", ", line 23: there is nothing in 'X' of PRESENTATIONCONTEXTS"),
            (
                "\\SCU",
                "\\BOTH",
                ", line 19: 'CTImageStorage\\\\BOTH' asks for a peer that is SCP, and a receiver is SCP itself",
            ),
            (
                "SCPSCURoleSelection = Fine",
                "ExtendedNegotiation = Fine",
                ", line 24: extended negotiation is not offered; take the line out",
            ),
            (
                "SCPSCURoleSelection = Fine",
                "SCPSCURoleSelection = X",
                ", line 24: there is nothing in 'X' of SCPSCUROLESELECTION",
            ),
        ):
            self.assertFails(self.changed(old, new), sentence)

    @given(st.text(st.sampled_from("[]=#\n\\ aDefaultProfilsPntCox1"), max_size=200))
    def test_anyText(self, text: str) -> None:
        """Whatever is in a file, it is read or refused with a sentence."""
        self.setUp()
        try:
            readProfile(self.write(text), "Default")
        except ValueError as error:
            self.assertTrue(str(error).startswith(str(self.path)))
