"""
The directory of a store while it is open: `OutputDirectory`.

Theory of operation. Files are created, linked and renamed relative to the descriptors that are kept here, so no name is
ever looked up as a path, and a directory that is moved takes with it what is being written. Each file that is under way
holds the directory. Its owner may let go of it at any time; it is closed when the last file is done as well.
"""

from __future__ import annotations

import os
from threading import Lock

from txdicom.storage.filesystem import isRemote
from txdicom.storage.rundirectory import RunDirectory, removeStale
from txdicom.storage.stability import SharedSync

__all__ = ["CREATE", "CREATE_READABLE", "OutputDirectory"]

_CREATE = os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
CREATE = os.O_WRONLY | _CREATE
CREATE_READABLE = os.O_RDWR | _CREATE
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class OutputDirectory:
    """
    An open output directory and its run directory; all methods may be called in any thread.

    What killed runs have left in it is removed first.

    :param path: where it is.
    :param hardLinks: whether files will be given names by link(2).
    :ivar path: where it was when it was opened.
    :ivar descriptor: of the directory.
    :ivar run: descriptor of where files are before they have their names.
    :ivar isRemote: whether the file system waits for another machine.
    :raises OSError: it cannot be opened or written to, or needs hard links and has none.
    """

    def __init__(self, path: str, hardLinks: bool) -> None:
        self.path = path
        self.descriptor = os.open(path, _OPEN_DIRECTORY)
        try:
            removeStale(self.descriptor)
            self._run = RunDirectory(self.descriptor)
            try:
                if hardLinks:
                    _tryLink(self._run.descriptor)
            except OSError:
                self._run.close()
                raise
        except OSError:
            os.close(self.descriptor)
            raise
        self.run = self._run.descriptor
        self.isRemote = isRemote(self.descriptor)
        # Has the names in this directory on stable storage.
        self.sync = SharedSync(self.descriptor).sync
        self._lock = Lock()
        # The owner, and the files under way.
        self._holders = 1

    def hold(self) -> None:
        """Keep the directory open; the caller holds it already, or is its owner."""
        with self._lock:
            self._holders += 1

    def release(self) -> None:
        """Let go of the directory; the last one closes it."""
        with self._lock:
            self._holders -= 1
            isLast = not self._holders
        if isLast:
            self._run.close()
            os.close(self.descriptor)


def _tryLink(directory: int) -> None:
    """Find out before anything is received whether a file can be given a name that must not be taken."""
    name, linked = "0.part", "1.part"
    os.close(os.open(name, CREATE, 0o600, dir_fd=directory))
    try:
        os.link(name, linked, src_dir_fd=directory, dst_dir_fd=directory)
        os.unlink(linked, dir_fd=directory)
    except OSError as error:
        raise OSError(error.errno, f"it has to have hard links, but: {error.strerror}") from error
    finally:
        os.unlink(name, dir_fd=directory)
