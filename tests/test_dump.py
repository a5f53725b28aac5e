"""Tests of `txdicom.storescp.log.dump`: how commands, negotiations and data sets look as lines of text."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.headvectors import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    PIXEL_DATA,
    SYNTAXES,
    deflate,
    element,
    item,
    sequence,
)
from tests.receivers import CT, PROPOSED
from tests.test_dictionary_loading import PydicomTestCase
from txdicom.dimse.commands import GenericCommand
from txdicom.storescp.log.dump import describeAnswer, describeCommand, describeDataSet, describeRequest, printable
from txdicom.testing import associateRQ
from txdicom.upperlayer.items import ContextResult, PresentationContextAC, UserInformation
from txdicom.upperlayer.pdu import AAssociateAC
from txdicom.upperlayer.subitems import RoleSelection, SOPClassExtendedNegotiation, UserIdentityRQ

UNDEFINED_ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
NASTY = "A\nB\r\x1b[2J\x9b\u2028\0"


class PrintableTests(SynchronousTestCase):
    """`printable`."""

    def test_escapes(self) -> None:
        """What cannot be printed is escaped; letters of any script and backslashes stay."""
        self.assertEqual(printable(NASTY), "A\\nB\\r\\x1b[2J\\x9b\\u2028\\x00")
        self.assertEqual(printable("Ä\\語 x"), "Ä\\語 x")
        self.assertEqual(printable(None), "None")

    def test_cuts(self) -> None:
        """What is too long is cut, and shown to be."""
        self.assertEqual(printable("x" * 64), "x" * 64)
        self.assertEqual(printable("x" * 65), "x" * 64 + "...")
        self.assertEqual(printable("\n" * 9, 2), "\\n\\n...")

    @settings(deadline=None, max_examples=100)
    @given(st.text())
    def test_alwaysPrintable(self, text: str) -> None:
        """It is one line of bounded length whatever it was."""
        shown = printable(text, 10)
        self.assertTrue(shown.isprintable())
        self.assertTrue(len(shown) <= 10 * len("\\U0010ffff") + 3)


class NegotiationTests(SynchronousTestCase):
    """`describeRequest` and `describeAnswer`."""

    def test_userInformation(self) -> None:
        """All that is proposed is shown but who the user is, which may be a password."""
        information = UserInformation(
            maximumLength=16384,
            implementationClassUID="1.2.3",
            implementationVersionName="TEST",
            roleSelections=(RoleSelection(CT, True, False),),
            extendedNegotiations=(SOPClassExtendedNegotiation(CT, b"\1\n"),),
            userIdentity=UserIdentityRQ(2, True, b"jane", b"secret"),
        )
        lines = list(describeRequest(associateRQ(PROPOSED, userInformation=information)))
        self.assertEqual(
            lines[:4],
            [
                "Application Context Name: DICOM Application Context Name (1.2.840.10008.3.1.1.1)",
                "Maximum Length: 16384",
                "Implementation Class UID: 1.2.3",
                "Implementation Version Name: TEST",
            ],
        )
        self.assertIn("User Identity: present", lines)
        text = "\n".join(lines)
        self.assertIn("RoleSelection(", text)
        self.assertIn("SOPClassExtendedNegotiation(", text)
        for private in ("jane", "secret", "6a616e65"):
            self.assertNotIn(private, text)

    def test_absentAndUnknown(self) -> None:
        """What is not there, and UIDs that nobody knows, are shown as well."""
        answer = AAssociateAC(
            calledAETitle="",
            callingAETitle="",
            presentationContexts=(
                PresentationContextAC(1, ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED, ""),
                PresentationContextAC(3, ContextResult.ACCEPTANCE, "1.2\n3"),
            ),
            userInformation=UserInformation(),
        )
        self.assertEqual(
            list(describeAnswer(answer)),
            [
                "Maximum Length: None",
                "Implementation Class UID: None",
                "Implementation Version Name: None",
                "Context 1: result 3, -",
                "Context 3: result 0, 1.2\\n3 (1.2\\n3)",
            ],
        )


class CommandTests(SynchronousTestCase):
    """`describeCommand`."""

    def test_values(self) -> None:
        """Numbers, UIDs, text, tags and what is unknown are each shown in a way of their own, and bounded."""
        command = GenericCommand(
            0x8001,
            {0x0002: CT, 0x0120: 3, 0x0900: 0xA900, 0x0901: (0x00080018,) * 20, 0x0902: NASTY, 0x5010: b"\0" * 500},
        )
        lines = dict(line.split(" ", 1) for line in describeCommand(command))
        self.assertEqual(lines["(0000,0002)"], f"AffectedSOPClassUID (UI) [{CT}]")
        self.assertEqual(lines["(0000,0900)"], "Status (US) [43264]")
        self.assertEqual(lines["(0000,0901)"], "OffendingElement (AT) [" + "\\".join(["(0008,0018)"] * 8) + "]")
        self.assertEqual(lines["(0000,0902)"], f"ErrorComment (LO) [{printable(NASTY)}]")
        self.assertTrue(all(len(line) < 600 for line in lines.values()))

    @settings(deadline=None, max_examples=100)
    @given(
        st.dictionaries(
            st.integers(1, 0xFFFF),
            st.one_of(st.integers(0, 0xFFFF), st.text(), st.binary(), st.tuples(st.integers(0, 1))),
        )
    )
    def test_hostile(self, elements: dict[int, Any]) -> None:
        """Any elements at all give printable lines of bounded length."""
        for line in describeCommand(GenericCommand(0x0777, elements)):
            self.assertTrue(line.isprintable())
            self.assertTrue(len(line) < 1500)


class DataSetTests(SynchronousTestCase):
    """`describeDataSet`."""

    def describe(self, head: bytes, syntax: str = EXPLICIT_LITTLE) -> list[str]:
        """Describe, while a warning would be an error; lines have to be fit for a log."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            lines = describeDataSet(head, syntax)
        for line in lines:
            self.assertTrue(line.isprintable(), ascii(line))
            self.assertTrue(len(line) < 500, len(line))
        return lines

    def test_deflated(self) -> None:
        """A deflated data set is shown inflated, no more of it than what came, and what cannot be inflated is not."""
        syntax = "1.2.840.10008.1.2.1.99"
        data = element(EXPLICIT_LITTLE, 0x00100010, b"PN", b"Doe^Jane") + element(
            EXPLICIT_LITTLE, 0x00110010, b"UN", bytes(1 << 20)
        )
        self.assertEqual(self.describe(deflate(data), syntax)[0], "(0010,0010) PatientName (PN) [Doe^Jane]")
        self.assertEqual(self.describe(deflate(data)[:100], syntax)[0], "(0010,0010) PatientName (PN) [Doe^Jane]")
        self.assertEqual(self.describe(b"\xff" * 100, syntax), ["... (error)"])
        self.assertEqual(self.describe(b"", syntax), [])

    def test_everySyntax(self) -> None:
        """Names, VRs and values are shown, whether the data set itself has VRs or not."""
        for syntax in SYNTAXES:
            order = ">" if syntax == EXPLICIT_BIG else "<"
            head = b"".join(
                (
                    element(syntax, 0x00080016, b"UI", CT.encode() + b"\0"),
                    element(syntax, 0x00100010, b"PN", b"Doe^Jane"),
                    element(syntax, 0x00100020, b"LO", b""),
                    element(syntax, 0x00189087, b"FD", struct.pack(order + "d", 0.5)),
                    element(syntax, 0x00280009, b"AT", struct.pack(order + "HH", 0x0018, 0x1063)),
                    element(syntax, 0x00280010, b"US", struct.pack(order + "H", 512)),
                    element(syntax, PIXEL_DATA, b"OW", bytes(64)),
                )
            )
            lines = self.describe(head, syntax)
            self.assertEqual(
                lines[:-1],
                [
                    f"(0008,0016) SOPClassUID (UI) [{CT}]",
                    "(0010,0010) PatientName (PN) [Doe^Jane]",
                    "(0010,0020) PatientID (LO) []",
                    "(0018,9087) DiffusionBValue (FD) [0.5]",
                    "(0028,0009) FrameIncrementPointer (AT) [(0018,1063)]",
                    "(0028,0010) Rows (US) [512]",
                ],
            )
            vr = "OB or OW" if syntax == IMPLICIT_LITTLE else "OW"
            self.assertEqual(lines[-1], f"(7fe0,0010) PixelData ({vr}) [64 bytes]")

    def test_sequences(self) -> None:
        """A sequence is named, of whatever length; what it holds is not shown."""
        for syntax in SYNTAXES:
            content = item(syntax, element(syntax, 0x00080018, b"UI", b"1.2\0"))
            for encoded in (element(syntax, 0x00081115, b"SQ", content), sequence(syntax, 0x00081115, content)):
                lines = self.describe(encoded + element(syntax, 0x00100020, b"LO", b"ID"), syntax)
                self.assertEqual(
                    lines, ["(0008,1115) ReferencedSeriesSequence (SQ) [sequence]", "(0010,0020) PatientID (LO) [ID]"]
                )

    def test_manyNumbers(self) -> None:
        """Of many numbers the first ones are shown, of an odd end nothing."""
        (line,) = self.describe(element(EXPLICIT_LITTLE, 0x00283006, b"US", struct.pack("<9H", *range(9)) + b"x"))
        self.assertTrue(line.endswith("(US) [0\\1\\2\\3\\4\\5\\6\\7...]"), line)
        (line,) = self.describe(element(EXPLICIT_LITTLE, 0x00283006, b"US", struct.pack("<8H", *range(8))))
        self.assertTrue(line.endswith("(US) [0\\1\\2\\3\\4\\5\\6\\7]"), line)

    def test_cutShort(self) -> None:
        """An element that the head ends within is not shown, and the end is."""
        whole = element(EXPLICIT_LITTLE, 0x00100020, b"LO", b"ID")
        for length in range(9, len(whole) + 8):
            head = whole + element(EXPLICIT_LITTLE, 0x00100021, b"LO", b"issuer")
            lines = self.describe(head[: length + len(whole)])
            self.assertEqual(lines[0], "(0010,0020) PatientID (LO) [ID]")
            self.assertEqual(lines[1:], ["..."] if length + len(whole) < len(head) else lines[1:2])

    def test_unknownElements(self) -> None:
        """What no dictionary has is shown by its tag; a private creator is at least known as one."""
        head = element(EXPLICIT_LITTLE, 0x00090010, b"LO", b"NOBODY") + element(
            EXPLICIT_LITTLE, 0x00091001, b"SH", b"x "
        )
        self.assertEqual(
            self.describe(head + element(EXPLICIT_LITTLE, 0x00120FF0, b"SH", b"y ")),
            [
                "(0009,0010) PrivateCreator (LO) [NOBODY]",
                "(0009,1001) Unknown (SH) [x]",
                "(0012,0ff0) Unknown (SH) [y]",
            ],
        )

    def test_forgedVR(self) -> None:
        """A VR is two bytes of the peer's choice as well."""
        self.assertEqual(
            self.describe(struct.pack("<HH2sH", 0x10, 0x10, b"B\n", 0)), ["(0010,0010) PatientName (B\\n) []"]
        )

    def test_forgedValues(self) -> None:
        """No value breaks out of its line, be it text, a character set or a private creator."""
        for tag, vr in ((0x00080005, b"CS"), (0x00100010, b"PN"), (0x00090010, b"LO"), (0x00104000, b"UT")):
            (line,) = self.describe(element(EXPLICIT_LITTLE, tag, vr, b"A\nB\r\x1b[2J\x9b"))
            self.assertTrue(line.endswith("[A\\nB\\r\\x1b[2J\\x9b]"), line)

    def test_deepNesting(self) -> None:
        """Sequences nested deeper than any reader goes end the description, and nothing else."""
        explicit = struct.pack("<HH2sHI", 0x8, 0x1115, b"SQ", 0, 0xFFFFFFFF) + UNDEFINED_ITEM
        implicit = struct.pack("<HHI", 0x8, 0x1115, 0xFFFFFFFF) + UNDEFINED_ITEM
        for level, syntax in ((explicit, EXPLICIT_LITTLE), (implicit, IMPLICIT_LITTLE)):
            head = element(syntax, 0x00080005, b"CS", b"X ") + level * 800
            self.assertEqual(self.describe(head, syntax)[1:], ["... (RecursionError)"])

    @settings(deadline=None, max_examples=200)
    @given(st.binary(max_size=600), st.sampled_from(SYNTAXES))
    def test_anyBytes(self, head: bytes, syntax: str) -> None:
        """Bytes are described or given up, never worse."""
        self.assertTrue(len(self.describe(head, syntax)) <= len(head) // 8 + 1)

    @settings(deadline=None, max_examples=200)
    @given(st.data(), st.sampled_from(SYNTAXES))
    def test_anyElements(self, data: st.DataObject, syntax: str) -> None:
        """So are elements of any tag, VR and length, which get further than bytes do."""
        order = ">" if syntax == EXPLICIT_BIG else "<"
        tags = st.sampled_from(
            [0x00080005, 0x00081115, 0x00090010, 0x00091001, 0x00189087, PIXEL_DATA, 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD]
        )
        vrs = st.one_of(
            st.sampled_from([b"SQ", b"UN", b"OB", b"US", b"FD", b"AT", b"CS"]), st.binary(min_size=2, max_size=2)
        )
        head = b""
        for tag, vr, value, length in data.draw(_elements(tags, vrs)):
            head += struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
            if syntax != IMPLICIT_LITTLE and tag >> 16 != 0xFFFE:
                head += vr + (b"\0\0" if vr in (b"SQ", b"UN", b"OB") else struct.pack(order + "H", min(length, 0xFFFF)))
            if syntax == IMPLICIT_LITTLE or tag >> 16 == 0xFFFE or vr in (b"SQ", b"UN", b"OB"):
                head += struct.pack(order + "I", length)
            head += value
        self.assertTrue(len(self.describe(head, syntax)) <= len(head) // 8 + 1)


def _elements(tags: st.SearchStrategy[int], vrs: st.SearchStrategy[bytes]) -> st.SearchStrategy[Iterable[Any]]:
    """Elements whose length is that of their value, or undefined, or a lie."""
    right = st.binary(max_size=20).map(lambda value: (value, len(value)))
    wrong = st.tuples(st.binary(max_size=20), st.sampled_from([0, 1, 0xFFFF, 0xFFFFFFFE, 0xFFFFFFFF]))
    return st.lists(st.builds(lambda tag, vr, pair: (tag, vr, *pair), tags, vrs, st.one_of(right, wrong)), max_size=8)


class DictionaryTests(PydicomTestCase):
    """Names from dictionaries that DCMDICTPATH has named."""

    def test_namesOfOtherDictionaries(self) -> None:
        """Standard and private elements are named as the dictionary has them, in any block and without a VR as well."""
        self.load(
            '(0009,"ACME 1.0",10)\tUS\tBoltCount\t1\tPrivateTag',
            "(0012,0ff0)\tLO\tTrialNickname\t1\tTest",
        )
        for syntax in (EXPLICIT_LITTLE, IMPLICIT_LITTLE):
            head = b"".join(
                (
                    element(syntax, 0x00090010, b"LO", b"ACME 1.0"),
                    element(syntax, 0x00090033, b"LO", b"ACME 1.0"),
                    element(syntax, 0x00091010, b"US", b"\5\0"),
                    element(syntax, 0x00093310, b"US", b"\6\0"),
                    element(syntax, 0x00093410, b"US", b"\7\0"),
                    element(syntax, 0x00120FF0, b"LO", b"Nick"),
                )
            )
            lines = describeDataSet(head, syntax)
            self.assertEqual(lines[2:4], ["(0009,1010) Bolt Count (US) [5]", "(0009,3310) Bolt Count (US) [6]"])
            self.assertTrue(lines[4].startswith("(0009,3410) Unknown "))
            self.assertEqual(lines[5], "(0012,0ff0) TrialNickname (LO) [Nick]")
