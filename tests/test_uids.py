"""
Tests for `txdicom.uids`: its tables, compared with pydicom's dictionary of UIDs, and what it says of unknown ones.
"""

from __future__ import annotations

import sys

import pynetdicom  # noqa: F401 - it adds to pydicom's dictionary what is younger
from pydicom._uid_dict import UID_dictionary
from twisted.trial.unittest import SynchronousTestCase

from txdicom.uids import (
    ACCEPT_ALL,
    DEFLATED_TRANSFER_SYNTAXES,
    FILE_PREFIXES,
    LOSSLESS_TRANSFER_SYNTAXES,
    LOSSY_TRANSFER_SYNTAXES,
    OTHER_STORAGE_SOP_CLASSES,
    STORAGE_SOP_CLASSES,
    UNCOMPRESSED_TRANSFER_SYNTAXES,
    mayBeStorageSOPClass,
)

#: What is called so, and is none that an instance on the network can have.
STORAGE_BY_NAME_ONLY = {
    "1.2.840.10008.1.3.10",  # Media Storage Directory Storage
    "1.2.840.10008.1.20.1",  # Storage Commitment Push Model
    "1.2.840.10008.1.20.2",  # Storage Commitment Pull Model
}
#: SOP classes that were retired so long ago that nobody remembers their names.
NAMELESS = {"1.2.840.10008.5.1.4.1.1.12.77", "1.2.840.10008.5.1.4.1.1.40"}
#: Transfer syntaxes that no data set of a C-STORE has: MIME, XML, parts of real-time video, Papyrus.
NOT_OF_DATA_SETS = {
    "1.2.840.10008.1.2.6.1",
    "1.2.840.10008.1.2.6.2",
    "1.2.840.10008.1.2.7.1",
    "1.2.840.10008.1.2.7.2",
    "1.2.840.10008.1.2.7.3",
    "1.2.840.10008.1.20",
}
#: Those that may be too young for either dictionary.
YOUNG = {f"1.2.840.10008.1.2.{number}" for number in ("4.110", "4.111", "4.112", "8.1")}


def ofType(*types: str) -> set[str]:
    """Return the UIDs of these types that pydicom knows."""
    return {uid for uid, entry in UID_dictionary.items() if entry[1] in types}


class SOPClassTests(SynchronousTestCase):
    """Storage SOP classes."""

    def test_everyStorageSOPClass(self) -> None:
        """Each that pydicom knows is known here."""
        storage = {uid for uid in ofType("SOP Class") if "Storage" in UID_dictionary[uid][0]} - STORAGE_BY_NAME_ONLY
        self.assertGreater(len(storage), 200)
        self.assertEqual(storage - set(FILE_PREFIXES), set())
        self.assertLessEqual(set(STORAGE_SOP_CLASSES), set(FILE_PREFIXES))
        for uid in FILE_PREFIXES:
            self.assertTrue(mayBeStorageSOPClass(uid), uid)

    def test_otherServices(self) -> None:
        """No SOP class of another service is taken for one of storage, and no other kind of UID either."""
        others = set(UID_dictionary) - set(FILE_PREFIXES) - NAMELESS - ofType("Well-known SOP Instance")
        self.assertEqual({uid for uid in others if mayBeStorageSOPClass(uid)}, set())
        self.assertGreater(len(others & ofType("SOP Class", "Meta SOP Class")), 90)

    def test_unknown(self) -> None:
        """A private one may be one, and so may one that the standard will have at the place of those."""
        for uid in ("1.2.3", "1.3.12.2.1107.5.9.1", "2.25.1", "1.2.840.10008.5.1.4.1.1.999", "1.2.840.100080.1"):
            self.assertTrue(mayBeStorageSOPClass(uid), uid)
        for uid in ("1.2.840.10008.5.1.4.1.1", "1.2.840.10008.5.1.4.99.1", "1.2.840.10008.99"):
            self.assertFalse(mayBeStorageSOPClass(uid), uid)

    def test_noUID(self) -> None:
        for text in ("", ".", "1..2", "1.2.", ".1", "1.2\n", "1.2.3 ", "CT", "../1", "\u0661.\u0662", "1" * 65):
            self.assertFalse(mayBeStorageSOPClass(text), text)
        self.assertFalse(mayBeStorageSOPClass(OTHER_STORAGE_SOP_CLASSES))


class TransferSyntaxTests(SynchronousTestCase):
    """Transfer syntaxes."""

    def test_everyTransferSyntax(self) -> None:
        """Each of the standard's that a data set can have is either lossless or lossy."""
        known = ofType("Transfer Syntax")
        self.assertEqual(LOSSLESS_TRANSFER_SYNTAXES | LOSSY_TRANSFER_SYNTAXES, known - NOT_OF_DATA_SETS | YOUNG)
        self.assertEqual(LOSSLESS_TRANSFER_SYNTAXES & LOSSY_TRANSFER_SYNTAXES, set())
        self.assertEqual(ACCEPT_ALL, (LOSSLESS_TRANSFER_SYNTAXES, LOSSY_TRANSFER_SYNTAXES))

    def test_lossless(self) -> None:
        """What is called lossless is, and what is not compressed; of the rest some are."""
        for uid in sorted(LOSSLESS_TRANSFER_SYNTAXES | LOSSY_TRANSFER_SYNTAXES):
            name = UID_dictionary.get(uid, [""])[0]
            if "Lossless" in name and "Near-Lossless" not in name:
                self.assertIn(uid, LOSSLESS_TRANSFER_SYNTAXES, name)
            if any(word in name for word in ("Lossy", "JPIP", "MPEG", "HEVC", "Baseline", "Extended")):
                self.assertIn(uid, LOSSY_TRANSFER_SYNTAXES, name)
        self.assertLessEqual(set(UNCOMPRESSED_TRANSFER_SYNTAXES), LOSSLESS_TRANSFER_SYNTAXES)

    def test_deflated(self) -> None:
        """Those that deflate the whole data set, not each frame of its pixel data."""
        names = {uid: UID_dictionary[uid][0] for uid in ofType("Transfer Syntax")}
        deflated = {uid for uid, name in names.items() if "Deflate" in name and "Frame" not in name}
        self.assertEqual(DEFLATED_TRANSFER_SYNTAXES, deflated)

    def test_uncompressed(self) -> None:
        """Explicit encodings come first, the one of this machine's byte order before the other."""
        explicit = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"]
        self.assertEqual(
            list(UNCOMPRESSED_TRANSFER_SYNTAXES),
            [*(explicit if sys.byteorder == "little" else explicit[::-1]), "1.2.840.10008.1.2"],
        )
