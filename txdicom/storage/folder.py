"""
Directories within the output directory: `Folder`.

Theory of operation. Each part of a path is opened relative to the one before, or made there, and never if it is a
symbolic link. So wherever a directory is moved to, or whatever is put in its place, nothing is written outside of the
output directory. Nothing is kept open from one file to the next: somebody may move a directory away when he has what he
wants, and what comes later has to go to a new one of that name, not after it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

__all__ = ["Folder"]

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: How often a directory may be removed by somebody between its being made and being opened, until we give up.
_ATTEMPTS = 10


class Folder:
    """
    An open directory, with those between it and the output directory.

    :param root: descriptor of the output directory.
    :param parts: the names of the directories, from there on; those that are not there are made.
    :ivar descriptor: of the directory.
    :raises OSError: one cannot be opened or made, or is something else.
    """

    def __init__(self, root: int, parts: Sequence[str]) -> None:
        self._descriptors: list[int] = []
        self.descriptor = root
        try:
            for part in parts:
                self.descriptor = _opened(self.descriptor, part)
                self._descriptors.append(self.descriptor)
        except OSError:
            self.close()
            raise

    def sync(self) -> None:
        """
        Have what was named in these directories on stable storage, and their own names but the first.

        They may be younger than we are, whoever made them, and nobody can tell whether they have been synced.
        """
        for descriptor in reversed(self._descriptors):
            os.fsync(descriptor)

    def close(self) -> None:
        """Close all of them."""
        for descriptor in self._descriptors:
            os.close(descriptor)


def _opened(parent: int, name: str) -> int:
    """Open a directory in another one; if there is none, make it."""
    for _ in range(_ATTEMPTS):
        with suppress(FileNotFoundError):
            return os.open(name, _OPEN, dir_fd=parent)
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=parent)
    return os.open(name, _OPEN, dir_fd=parent)
