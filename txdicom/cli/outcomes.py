"""What became of a file: `Outcome`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Kind", "Outcome"]


class Kind(Enum):
    """How it ended with a file; in the order of, and with the words that the summary has."""

    STORED = "stored"
    SKIPPED = "skipped"
    #: Because of the file.
    FAILED = "failed"
    #: Because of the peer, or the user, who wanted no more.
    UNSENT = "unsent"


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What became of one file.

    :ivar path: which.
    :ivar kind: how it ended.
    :ivar what: the status or error, in words; the same for all files that it happened to.
    :ivar size: of the file, in bytes, if it was sent.
    :ivar comment: what else the peer says.
    """

    path: str
    kind: Kind
    what: str
    size: int = 0
    comment: str = ""
