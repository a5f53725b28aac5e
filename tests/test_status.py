"""Tests for `txdicom.dimse.status`."""

# mypy: allow-untyped-calls

from __future__ import annotations

from pynetdicom import status as oracle
from twisted.trial.unittest import SynchronousTestCase

from txdicom.dimse.status import Status, StatusCategory, category, describe


class CategoryTests(SynchronousTestCase):
    """What kind of outcome a status is (PS3.7 Annex C)."""

    def test_everyCodeHasTheCategoryOfAnnexC(self) -> None:
        """Typed out from the table at the head of Annex C, for all 65536 codes."""
        expected = dict.fromkeys(range(0x10000), StatusCategory.FAILURE)
        expected |= dict.fromkeys([0x0001, 0x0107, 0x0116, *range(0xB000, 0xC000)], StatusCategory.WARNING)
        expected |= {0x0000: StatusCategory.SUCCESS, 0xFE00: StatusCategory.CANCEL}
        expected |= {0xFF00: StatusCategory.PENDING, 0xFF01: StatusCategory.PENDING}
        self.assertEqual({code: category(code) for code in range(0x10000)}, expected)

    def test_numbersOutOfRangeAreFailures(self) -> None:
        for code in (-1, 0x10000, 0x1B000):
            self.assertEqual(category(code), StatusCategory.FAILURE)

    def test_agreesWithPynetdicomOnSharedAndStorageCodes(self) -> None:
        for code, (kind, _) in (oracle.GENERAL_STATUS | oracle.STORAGE_SERVICE_CLASS_STATUS).items():
            self.assertEqual(category(code).value, kind.lower(), f"0x{code:04X}")


class StatusTests(SynchronousTestCase):
    """The codes that have names."""

    def test_everySharedCodeOfAnnexCHasAName(self) -> None:
        self.assertEqual(set(oracle.GENERAL_STATUS) - set(Status), set())

    def test_namesStandForTheStandardsNumbers(self) -> None:
        for name, code in [
            ("SUCCESS", 0x0000),
            ("PROCESSING_FAILURE", 0x0110),
            ("DUPLICATE_SOP_INSTANCE", 0x0111),
            ("INVALID_SOP_INSTANCE", 0x0117),
            ("SOP_CLASS_NOT_SUPPORTED", 0x0122),
            ("NOT_AUTHORIZED", 0x0124),
            ("DUPLICATE_INVOCATION", 0x0210),
            ("UNRECOGNIZED_OPERATION", 0x0211),
            ("MISTYPED_ARGUMENT", 0x0212),
            ("RESOURCE_LIMITATION", 0x0213),
            ("OUT_OF_RESOURCES", 0xA700),
            ("DATA_SET_DOES_NOT_MATCH_SOP_CLASS", 0xA900),
            ("COERCION_OF_DATA_ELEMENTS", 0xB000),
            ("ELEMENTS_DISCARDED", 0xB006),
            ("DATA_SET_DOES_NOT_MATCH_SOP_CLASS_WARNING", 0xB007),
            ("CANNOT_UNDERSTAND", 0xC000),
            ("CANCEL", 0xFE00),
            ("PENDING", 0xFF00),
            ("PENDING_WARNING", 0xFF01),
        ]:
            self.assertEqual(Status[name], code)


class DescribeTests(SynchronousTestCase):
    """The wording for log lines."""

    def test_namedCodesAreDescribedByTheirNames(self) -> None:
        self.assertEqual(describe(0x0000), "success")
        self.assertEqual(describe(0x0112), "no such SOP instance")
        self.assertEqual(describe(Status.UNRECOGNIZED_OPERATION), "unrecognized operation")

    def test_codesWithinAStorageRangeShareItsWording(self) -> None:
        for first in (0xA700, 0xA900):
            self.assertEqual(describe(first + 0x42), describe(first))
        self.assertEqual(describe(0xCFFF), describe(0xC000))
        self.assertEqual(describe(0xC000), "cannot understand")

    def test_warningsWithoutANameAreCalledWarnings(self) -> None:
        self.assertEqual(describe(0xB123), "warning")

    def test_dataSetMismatchReadsTheSameAsFailureAndAsWarning(self) -> None:
        self.assertEqual(describe(0xB007), describe(0xA900))

    def test_unknownCodesAreUnknownFailures(self) -> None:
        for code in (0x0199, 0xA800, 0xD000, 0xFFFF, 0x10000, -1):
            self.assertEqual(describe(code), "unknown failure")

    def test_everyCodeHasAWordingThatFitsItsCategory(self) -> None:
        for code in range(0x10000):
            if "warning" in describe(code):
                self.assertEqual(category(code), StatusCategory.WARNING)
            if describe(code) == "unknown failure":
                self.assertEqual(category(code), StatusCategory.FAILURE)
