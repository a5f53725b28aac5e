"""What became of a file: `Outcome`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Outcome"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What became of one file.

    :ivar path: which.
    :ivar succeeded: whether the peer has it.
    :ivar what: the status or error, in words; the same for all files that it happened to.
    :ivar size: of the file, in bytes, if it was sent.
    """

    path: str
    succeeded: bool
    what: str
    size: int = 0
