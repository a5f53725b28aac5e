"""
The directories by which instances are sorted: one for each study.

Theory of operation. A directory is called by the study's UID, or by the time when the first instance of the study came.
In the second case it has to be remembered which study has which directory: instances of several studies may arrive at
once, on several associations, and those of one study on several as well.
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable
from functools import partial

from txdicom.dimse.status import Status
from txdicom.errors import DIMSEError
from txdicom.services.head import uidValue
from txdicom.services.storage import ReceivedInstance
from txdicom.services.text import SPECIFIC_CHARACTER_SET, textOf
from txdicom.storage.naming import NameOf, timestamp
from txdicom.uids import isValidUID

__all__ = ["BY_PATIENT_NAME", "BY_STUDY", "StudyDirectories", "byPatientName", "byPrefix", "byStudyUID", "studyOf"]

_PATIENT_NAME = 0x00100010
_STUDY_INSTANCE_UID = 0x0020000D
#: The elements that are needed for a study's directory, and for one with the patient's name in it.
BY_STUDY = frozenset({_STUDY_INSTANCE_UID})
BY_PATIENT_NAME = frozenset({_STUDY_INSTANCE_UID, _PATIENT_NAME, SPECIFIC_CHARACTER_SET})

#: Characters of a patient's name that a directory gets.
_MAXIMUM_NAME = 128
_MAXIMUM_UID = 64
_ANONYMOUS = "ANONYMOUS"
#: Letters that are not just a letter of ASCII with a mark.
_LETTERS = str.maketrans(
    {"Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ẞ": "SS"}
    | {"Æ": "A", "æ": "a", "Ø": "O", "ø": "o", "Ð": "D", "ð": "d", "Đ": "D", "đ": "d", "Ł": "L", "ł": "l"}
)


def byStudyUID(prefix: str) -> NameOf:
    """Call the directories ``<prefix>_<Study Instance UID>``, or by the UID alone if the prefix is empty."""

    def directoryOf(instance: ReceivedInstance) -> str:
        uid = _studyUIDOf(instance)
        if not isValidUID(uid):
            raise DIMSEError(Status.CANNOT_UNDERSTAND, "Study Instance UID is not a UID", (_STUDY_INSTANCE_UID,))
        return _joined(prefix, uid)

    return directoryOf


class StudyDirectories:
    """
    Calls the directories ``<beginning>_YYYYMMDD_HHMMSSmmm`` by when the first instance of each study came.

    No two studies get the same: of two that begin in one millisecond, the second is said to begin in the next. A study
    keeps its directory until so many others had instances after it that it is forgotten, or the receiver ends.

    :param beginning: what stands before the time, of a study's first instance; if it is empty, the time stands alone.
    :param now: gives the seconds since 1970.
    :param remembered: how many studies are not forgotten.
    :ivar whenForgotten: each is called with a study that is forgotten.
    """

    def __init__(self, beginning: NameOf, now: Callable[[], float] = time.time, remembered: int = 10000) -> None:
        self._beginning = beginning
        self._now = now
        self._remembered = remembered
        # By study, the one that had an instance last at the end; and the same the other way round.
        self._directories: dict[str, str] = {}
        self._taken: dict[str, str] = {}
        self.whenForgotten: list[Callable[[str], None]] = []

    def __call__(self, instance: ReceivedInstance) -> str:
        """Return the directory of an instance."""
        return self.find(studyOf(instance), partial(self._beginning, instance))

    def find(self, study: str, beginning: Callable[[], str]) -> str:
        """
        Return the directory of a study.

        :param study: as `studyOf` has it.
        :param beginning: gives what stands before the time, if it has none yet.
        """
        directory = self._directories.pop(study, "") or self._newDirectory(beginning())
        self._directories[study] = directory
        self._taken[directory] = study
        if len(self._directories) > self._remembered:
            self.forget(next(iter(self._directories)))
        return directory

    def forget(self, study: str) -> None:
        """Give a study another directory if more of its instances come."""
        directory = self._directories.pop(study, "")
        if not directory:
            return
        del self._taken[directory]
        for action in self.whenForgotten:
            action(study)

    def _newDirectory(self, beginning: str) -> str:
        seconds = self._now()
        while (directory := _joined(beginning, timestamp(seconds, "_"))) in self._taken:
            seconds += 0.001
        return directory


def byPrefix(prefix: str) -> NameOf:
    """Have the directories of `StudyDirectories` begin with a text."""
    return lambda instance: prefix


def byPatientName(instance: ReceivedInstance) -> str:
    """
    Have the directories of `StudyDirectories` begin with the patient's name.

    It is written with the letters and digits of ASCII, others without their marks, and with ``_`` for anything else:
    ``Mueller_Joerg``; or it is ``ANONYMOUS``, if the instance has none.
    """
    attributes = instance.attributes
    name = textOf(attributes.get(_PATIENT_NAME, b""), "PN", attributes.get(SPECIFIC_CHARACTER_SET, b""))
    return "".join(_folded(character) for character in name)[:_MAXIMUM_NAME] or _ANONYMOUS


def _folded(character: str) -> str:
    """Write one character with the letters and digits of ASCII."""
    plain = character.translate(_LETTERS)
    if not plain.isascii():
        plain = unicodedata.normalize("NFD", plain)[0]
    return plain if plain.isascii() and plain.isalnum() else "_"


def _joined(beginning: str, rest: str) -> str:
    return f"{beginning}_{rest}" if beginning else rest


def studyOf(instance: ReceivedInstance) -> str:
    """
    Return what tells an instance's study from others.

    :raises DIMSEError: 0xC000, it has none.
    """
    # More than that of what should be a UID is not needed.
    return _studyUIDOf(instance)[:_MAXIMUM_UID]


def _studyUIDOf(instance: ReceivedInstance) -> str:
    uid = uidValue(instance.attributes.get(_STUDY_INSTANCE_UID)).strip()
    if not uid:
        raise DIMSEError(Status.CANNOT_UNDERSTAND, "Study Instance UID not found", (_STUDY_INSTANCE_UID,))
    return uid
