"""What plugins and commands are told: `InstanceStored` and `StudyEnded`."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

from txdicom.services.head import uidValue
from txdicom.services.storage import ReceivedInstance
from txdicom.uids import isValidUID

__all__ = ["SERIES_INSTANCE_UID", "STUDY_INSTANCE_UID", "Event", "InstanceStored", "StudyEnded"]

STUDY_INSTANCE_UID = 0x0020000D
SERIES_INSTANCE_UID = 0x0020000E


@dataclass(frozen=True, slots=True)
class InstanceStored:
    """
    An instance has been stored, and its sender told so, or about to be (``--exec-sync``).

    :ivar instance: which one.
    :ivar path: its file, absolute, under its final name; None if none is kept (``--ignore``).
    :ivar size: of its data set, in bytes, as it was received.
    :ivar callingAETitle: who sent it, as the peer calls itself: any characters of latin-1, unchecked.
    :ivar calledAETitle: whom it was sent to, likewise.
    :ivar peer: the network address it came from; empty for a UNIX socket.
    """

    instance: ReceivedInstance
    path: str | None
    size: int
    callingAETitle: str
    calledAETitle: str
    peer: str

    @property
    def directory(self) -> str | None:
        """The directory of the file."""
        return None if self.path is None else os.path.dirname(self.path)

    @property
    def studyInstanceUID(self) -> str:
        """Study Instance UID (0020,000D); empty if the instance has none that is valid."""
        return self._uid(STUDY_INSTANCE_UID)

    @property
    def seriesInstanceUID(self) -> str:
        """Series Instance UID (0020,000E); empty if the instance has none that is valid."""
        return self._uid(SERIES_INSTANCE_UID)

    def describe(self) -> dict[str, Any]:
        """Describe the event as JSON has it."""
        return {
            "event": "instance-stored",
            "sopClassUID": self.instance.sopClassUID,
            "sopInstanceUID": self.instance.sopInstanceUID,
            "studyInstanceUID": self.studyInstanceUID,
            "seriesInstanceUID": self.seriesInstanceUID,
            "transferSyntaxUID": self.instance.transferSyntaxUID,
            "path": self.path,
            "directory": self.directory,
            "bytes": self.size,
            "callingAETitle": self.callingAETitle,
            "calledAETitle": self.calledAETitle,
            "peer": self.peer,
        }

    def __str__(self) -> str:
        return f"instance {self.instance.sopInstanceUID} stored"

    def _uid(self, tag: int) -> str:
        uid = uidValue(self.instance.attributes.get(tag))
        return uid if isValidUID(uid) else ""


@dataclass(frozen=True, slots=True)
class StudyEnded:
    """
    Nothing more has come of a study for a while (``--eostudy-timeout``).

    :ivar studyInstanceUID: which one.
    :ivar directory: of the file that was stored last; None if none are kept.
    :ivar files: the absolute paths of its files, in the order in which they were stored first.
    :ivar objects: how many instances there are; one that came twice and replaced itself counts once.
    :ivar size: of their data sets, in bytes.
    :ivar series: how many series they belong to.
    :ivar callingAETitle: who sent the last one; `calledAETitle` and `peer` likewise, as in `InstanceStored`.
    """

    studyInstanceUID: str
    directory: str | None
    files: tuple[str, ...]
    objects: int
    size: int
    series: int
    callingAETitle: str
    calledAETitle: str
    peer: str

    def describe(self) -> dict[str, Any]:
        """Describe the event as JSON has it."""
        described = {"event": "study-ended", **asdict(self)}
        described["bytes"] = described.pop("size")
        return described

    def __str__(self) -> str:
        return f"study {self.studyInstanceUID} ended"


Event = InstanceStored | StudyEnded
