"""
Tests of `txdicom.storage.naming` and `txdicom.storage.sorting`: the names and directories that scripts rely on.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import re
import time

from twisted.trial.unittest import SynchronousTestCase

from tests.headvectors import CHARACTER_SET, PATIENT_NAME, STUDY_INSTANCE_UID
from tests.scripted import CT, INSTANCE, MR, storeRQ
from txdicom.errors import DIMSEError
from txdicom.services.storage import ReceivedInstance
from txdicom.storage.naming import (
    NameOf,
    Naming,
    TimeNames,
    nameOfInstance,
    timestamp,
    uniqueName,
    withDirectory,
    withExtension,
)
from txdicom.storage.sorting import BY_PATIENT_NAME, BY_STUDY, StudyDirectories, byPatientName, byPrefix, byStudyUID
from txdicom.uids import isValidUID

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
UNKNOWN_CLASS = "1.2.3.4.5"
#: A moment, and what it is called in UTC.
MOMENT, CALLED = 1_700_000_000.1236, "20231114221320123"


def instance(sopClass: str = CT, uid: str = INSTANCE, **attributes: bytes) -> ReceivedInstance:
    """Make an instance that has these attributes, by short names."""
    tags = {"study": STUDY_INSTANCE_UID, "name": PATIENT_NAME, "characters": CHARACTER_SET}
    return ReceivedInstance(
        sopClass, uid, EXPLICIT_LITTLE, storeRQ(), {tags[name]: value for name, value in attributes.items()}
    )


class UTCTestCase(SynchronousTestCase):
    """A case for which local time is UTC."""

    def setUp(self) -> None:
        """Be in Greenwich."""
        self.addCleanup(self.beIn, os.environ.get("TZ"))
        self.beIn("UTC0")

    def beIn(self, zone: str | None) -> None:
        """Be in a time zone, or where the computer is."""
        os.environ.pop("TZ", None)
        if zone is not None:
            os.environ["TZ"] = zone
        time.tzset()


class NameTests(UTCTestCase):
    """File names."""

    def test_default(self) -> None:
        self.assertEqual(Naming().name(instance()), f"CT.{INSTANCE}")
        self.assertEqual(nameOfInstance(instance(UNKNOWN_CLASS)), f"UNKNOWN.{INSTANCE}")
        self.assertEqual((Naming().wanted, Naming().isUnique), (frozenset(), True))

    def test_unique(self) -> None:
        """A UID of our own is in it, another each time, that everybody may make from a UUID."""
        names = {uniqueName(instance(MR)) for _ in range(50)}
        self.assertEqual(len(names), 50)
        for name in names:
            self.assertRegex(name, r"^MR\.X\.2\.25\.[1-9][0-9]*$")
            self.assertTrue(isValidUID(name.removeprefix("MR.X.")))
        self.assertTrue(uniqueName(instance(UNKNOWN_CLASS)).startswith("UNKNOWN.X.2.25."))

    def test_time(self) -> None:
        moments = [MOMENT, MOMENT, MOMENT + 0.0001, MOMENT, MOMENT + 0.001, MOMENT]
        classes = [CT, CT, MR, CT, CT, CT]
        names = TimeNames(iter(moments).__next__)
        self.assertEqual(
            [names(instance(sopClass)) for sopClass in classes],
            [
                "20231114221320123.CT",
                "20231114221320123_0000.CT",
                "20231114221320123.MR",
                "20231114221320123_0001.CT",
                "20231114221320124.CT",
                "20231114221320123.CT",
            ],
        )

    def test_timeNow(self) -> None:
        """Without a clock it is the system's."""
        before = timestamp(time.time())
        name = TimeNames()(instance())
        self.assertTrue(before <= name.removesuffix(".CT") <= timestamp(time.time()), name)

    def test_timestamp(self) -> None:
        self.assertEqual(timestamp(MOMENT), CALLED)
        self.assertEqual(timestamp(MOMENT, "_"), "20231114_221320123")
        self.assertEqual(timestamp(1_700_000_000.0), "20231114221320000")
        self.assertEqual(timestamp(1_700_000_000.9999), "20231114221320999")

    def test_localTime(self) -> None:
        self.beIn("XYZ-2")
        self.assertEqual(timestamp(MOMENT), "20231115001320123")

    def test_extension(self) -> None:
        self.assertEqual(withExtension(nameOfInstance, ".dcm")(instance()), f"CT.{INSTANCE}.dcm")
        self.assertEqual(withExtension(nameOfInstance, "dcm")(instance()), f"CT.{INSTANCE}dcm")

    def test_directory(self) -> None:
        self.assertEqual(withDirectory(byPrefix("a"), nameOfInstance)(instance()), f"a/CT.{INSTANCE}")


class StudyUIDTests(SynchronousTestCase):
    """Directories that are called by the study's UID."""

    def test_directory(self) -> None:
        for value in (b"1.2.34", b"1.2.3\0", b"1.2.3 ", b" 1.2.3"):
            uid = value.strip(b"\0 ").decode()
            self.assertEqual(byStudyUID("P")(instance(study=value)), f"P_{uid}")

    def test_refused(self) -> None:
        """Nothing that is no UID becomes a path."""
        for value, comment in (
            (None, "Study Instance UID not found"),
            (b"", "Study Instance UID not found"),
            (b"\0\0", "Study Instance UID not found"),
            (b"\xff\xfe", "Study Instance UID not found"),
            (b"../evil ", "Study Instance UID is not a UID"),
            (b"1..2", "Study Instance UID is not a UID"),
            (b"1.2/3", "Study Instance UID is not a UID"),
            (b"1.2\0/3", "Study Instance UID is not a UID"),
            (b"1" * 65, "Study Instance UID is not a UID"),
        ):
            received = instance() if value is None else instance(study=value)
            error = self.assertRaises(DIMSEError, byStudyUID("P"), received)
            self.assertEqual(
                (error.status, error.comment, error.offendingElements), (0xC000, comment, (STUDY_INSTANCE_UID,))
            )

    def test_wanted(self) -> None:
        self.assertEqual(BY_STUDY, {STUDY_INSTANCE_UID})
        self.assertEqual(BY_PATIENT_NAME, {CHARACTER_SET, PATIENT_NAME, STUDY_INSTANCE_UID})


class StudyDirectoriesTests(UTCTestCase):
    """Directories that are called by when their study began."""

    def setUp(self) -> None:
        super().setUp()
        self.now = MOMENT

    def directories(self, beginning: NameOf | None = None, remembered: int = 100) -> StudyDirectories:
        """Make some that go by our clock."""
        return StudyDirectories(beginning or byPrefix("P"), lambda: self.now, remembered)

    def test_oneForEachStudy(self) -> None:
        """However its instances are mixed with those of others."""
        directoryOf = self.directories()
        first, second = instance(study=b"1.2"), instance(study=b"1.3\0")
        self.assertEqual(directoryOf(first), "P_20231114_221320123")
        self.now += 1
        self.assertEqual(directoryOf(second), "P_20231114_221321123")
        self.now += 1
        self.assertEqual(directoryOf(first), "P_20231114_221320123")
        self.assertEqual(directoryOf(second), "P_20231114_221321123")

    def test_twoAtOnce(self) -> None:
        """Two studies do not get one directory, not even if they begin in one millisecond."""
        directoryOf = self.directories()
        names = [directoryOf(instance(study=f"1.{n}".encode())) for n in range(3)]
        self.assertEqual(names, ["P_20231114_221320123", "P_20231114_221320124", "P_20231114_221320125"])

    def test_forgotten(self) -> None:
        """The study goes that had no instance for the longest time."""
        directoryOf = self.directories(remembered=2)
        for study in (b"1.1", b"1.2", b"1.1", b"1.3"):
            directoryOf(instance(study=study))
        self.now += 1
        self.assertEqual(directoryOf(instance(study=b"1.1")), "P_20231114_221320123")
        self.assertEqual(directoryOf(instance(study=b"1.2")), "P_20231114_221321123")
        self.assertEqual(len(directoryOf._directories), 2)
        self.assertEqual(directoryOf._taken.keys(), set(directoryOf._directories.values()))

    def test_forget(self) -> None:
        """A study that has ended begins anew; to forget one that is not known is nothing."""
        directoryOf = self.directories()
        directoryOf(instance(study=b"1.1"))
        directoryOf.forget("1.1")
        directoryOf.forget("1.1")
        self.now += 1
        self.assertEqual(directoryOf(instance(study=b"1.1")), "P_20231114_221321123")

    def test_oddUIDs(self) -> None:
        """Studies are told apart by whatever is in the place of their UID, in bounded memory, and it is in no path."""
        directoryOf = self.directories()
        names = [directoryOf(instance(study=study)) for study in (b"../x", b"x" * 1000, b"x" * 900)]
        self.assertEqual(names, ["P_20231114_221320123", "P_20231114_221320124", "P_20231114_221320124"])
        self.assertLessEqual(max(map(len, directoryOf._directories)), 64)

    def test_noStudy(self) -> None:
        for received in (instance(), instance(study=b" ")):
            self.assertEqual(self.assertRaises(DIMSEError, self.directories(), received).status, 0xC000)

    def test_patientName(self) -> None:
        """It is that of the study's first instance."""
        directoryOf = self.directories(byPatientName)
        self.assertEqual(directoryOf(instance(study=b"1.1", name=b"Doe^Jane")), "Doe_Jane_20231114_221320123")
        self.assertEqual(directoryOf(instance(study=b"1.1", name=b"Roe^Jane")), "Doe_Jane_20231114_221320123")
        self.assertEqual(directoryOf(instance(study=b"1.2", name=b"Roe^Jane")), "Roe_Jane_20231114_221320123")


class PatientNameTests(SynchronousTestCase):
    """What a patient's name becomes."""

    def assertFolded(self, name: bytes, expected: str, characters: bytes = b"") -> None:
        """A name in a character set is written so."""
        self.assertEqual(byPatientName(instance(name=name, characters=characters)), expected)

    def test_asDCMTKDoes(self) -> None:
        """All of Latin-1; what is expected was seen of DCMTK's storescp 3.6.7."""
        self.assertFolded(b"CompressedSamples^CT1 ", "CompressedSamples_CT1")
        self.assertFolded("Bär^Jürgen Öß".encode("latin-1"), "Baer_Juergen_Oess", b"ISO_IR 100")
        # Without a character set as well.
        self.assertFolded("Bär^Jürgen".encode("latin-1"), "Baer_Juergen")
        for first, last, expected in (
            (0xA1, 0xC7, "_______________________________AAAAAeAAC"),
            (0xC8, 0xDF, "EEEEIIIIDNOOOOOe_OUUUUeY_ss"),
            (0xE0, 0xFF, "aaaaaeaaceeeeiiiidnoooooe_ouuuuey_y"),
        ):
            name = bytes(range(first, last + 1))
            # ª, º, ¹ and the like are letters and digits, but not of those.
            self.assertFolded(name, expected, b"ISO_IR 100")
        self.assertFolded(b" !\"#$%&'()*+,-./:;<>?@[]_`{|}~ab ", "_" * 30 + "ab")

    def test_otherCharacterSets(self) -> None:
        """Better than DCMTK, which takes all for Latin-1."""
        self.assertFolded("Bär^Jürgen".encode(), "Baer_Juergen", b"ISO_IR 192")
        self.assertFolded("Čapek^Łukasz".encode("iso8859-2"), "Capek_Lukasz", b"ISO_IR 101")
        self.assertFolded("Διονυσιος".encode("iso8859-7"), "_________", b"ISO_IR 126")
        self.assertFolded("Yamada^Tarou=山田^太郎".encode(), "Yamada_Tarou", b"ISO_IR 192")
        self.assertFolded(b"\xff\xfe", "__", b"ISO_IR 192")

    def test_anonymous(self) -> None:
        self.assertEqual(byPatientName(instance()), "ANONYMOUS")
        for name in (b"", b"  ", b"^^^^", b"=", b"\0\0"):
            self.assertFolded(name, "ANONYMOUS")

    def test_long(self) -> None:
        self.assertFolded(b"A" * 1000, "A" * 128)
        self.assertFolded(b"\xdf" * 1000, ("s" * 128), b"ISO_IR 100")

    def test_anyByte(self) -> None:
        """Whatever is in it, letters, digits and underscores come out."""
        for characters in (b"", b"ISO_IR 192", b"ISO 2022 IR 6\\ISO 2022 IR 87", b"zlib", b"\xff"):
            for byte in range(256):
                folded = byPatientName(instance(name=bytes([byte, 0x1B, byte, 0x41]), characters=characters))
                self.assertTrue(re.fullmatch("[0-9A-Za-z_]+", folded), folded)
