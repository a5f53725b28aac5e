"""
Where files are written before they have their names: `RunDirectory`.

Theory of operation. Every run of a store has a hidden directory of its own inside the output directory, so that giving
a file its name is a rename within one file system. The run holds a lock (flock(2)) on a file in it as long as its
process lives, however that ends. What a killed run has left is recognised by its lock being free, not by its name or
age, and is removed when the next store begins; what another process is using is left alone. It is a file that is
locked, and not the directory itself, because network file systems tell other machines of locks on files only.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
from contextlib import suppress

from twisted.logger import Logger

__all__ = ["RunDirectory", "removeStale"]

_PREFIX = ".txdicom-"
_LOCK = "lock"
#: What we remove has to look like ours in every respect: somebody's own hidden directory is not touched.
_RUN = re.compile(r"\.txdicom-[0-9a-f]{16}")
_UNFINISHED = re.compile(r"[0-9]+\.part(?:\.[a-z]+)?")
_OPEN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | _OPEN
_CREATE = os.O_RDONLY | os.O_CREAT | os.O_EXCL | _OPEN
#: What flock(2) says where there are no locks.
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
#: How often a directory is made anew that another store has taken for stale.
_ATTEMPTS = 100
_log = Logger()


class RunDirectory:
    """
    A locked hidden directory for one run's unfinished files.

    :param parent: descriptor of the output directory.
    :ivar descriptor: of the run's own directory.
    :raises OSError: it cannot be made.
    """

    def __init__(self, parent: int) -> None:
        self._parent = parent
        self._lock: int | None = None
        if not any(self._make() for _ in range(_ATTEMPTS)):
            raise OSError(errno.EBUSY, "others remove the directory for unfinished files as soon as it is there")

    def close(self) -> None:
        """Remove the directory, with any file that could not be removed when it should have been."""
        try:
            _empty(self.descriptor)
            # What is open while it is removed may stay for a while under another name (NFS).
            self._unlock()
            os.rmdir(self._name, dir_fd=self._parent)
        except FileNotFoundError:
            # Somebody else has removed it: that is all right now.
            pass
        except OSError as error:
            _log.warn("unfinished files in {name} cannot be removed: {error}", name=self._name, error=error)
        self._unlock()
        os.close(self.descriptor)

    def _make(self) -> bool:
        """Make the directory and lock it, unless another store removes it before it is locked."""
        self._name = f"{_PREFIX}{secrets.token_hex(8)}"
        os.mkdir(self._name, 0o700, dir_fd=self._parent)
        try:
            self.descriptor = os.open(self._name, _OPEN_DIRECTORY, dir_fd=self._parent)
            try:
                os.close(os.open(_LOCK, _CREATE, 0o600, dir_fd=self.descriptor))
                self._lock = self._locked()
            except OSError:
                with suppress(OSError):
                    os.unlink(_LOCK, dir_fd=self.descriptor)
                os.close(self.descriptor)
                raise
        except FileNotFoundError:
            return False
        except OSError:
            with suppress(OSError):
                os.rmdir(self._name, dir_fd=self._parent)
            raise
        return True

    def _locked(self) -> int | None:
        try:
            return _lock(self.descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            # No store can lock it then, so none will take it for stale; but nor will it ever be removed.
            _log.warn("{name} cannot be locked: {error}", name=self._name, error=error)
            return None

    def _unlock(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)


def removeStale(parent: int) -> int:
    """
    Remove what runs have left that ended without `RunDirectory.close`.

    What is not quite as such a run leaves it stays, and the log has a warning.

    :param parent: descriptor of the output directory.
    :return: how many unfinished files were removed.
    """
    removed = 0
    with os.scandir(parent) as entries:
        names = [entry.name for entry in entries if _RUN.fullmatch(entry.name)]
    for name in names:
        try:
            removed += _removeIfStale(parent, name)
        except FileNotFoundError:
            # Another store that begins was faster.
            pass
        except OSError as error:
            _log.warn("unfinished files in {name} cannot be removed: {error}", name=name, error=error)
    return removed


def _removeIfStale(parent: int, name: str) -> int:
    descriptor = os.open(name, _OPEN_DIRECTORY, dir_fd=parent)
    try:
        try:
            lock = _lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Its run is alive.
            return 0
        except FileNotFoundError:
            # Its run was killed before it made the lock, or after it removed it.
            lock = None
        try:
            removed = _empty(descriptor, lock is not None)
        finally:
            if lock is not None:
                os.close(lock)
        os.rmdir(name, dir_fd=parent)
    finally:
        os.close(descriptor)
    return removed


def _lock(directory: int, operation: int) -> int:
    """
    Open the lock of a run's directory, and lock it.

    :raises FileNotFoundError: there is none, or not any more.
    :raises BlockingIOError: it is locked, and we are not to wait.
    """
    # Opened for writing where it has to be (NFS) and nowhere else: a file system on which something is open for writing
    # cannot be remounted read-only.
    for access in (os.O_RDONLY, os.O_RDWR):
        descriptor = os.open(_LOCK, access | _OPEN, dir_fd=directory)
        try:
            fcntl.flock(descriptor, operation)
            os.stat(_LOCK, dir_fd=directory, follow_symlinks=False)
        except OSError as error:
            os.close(descriptor)
            if error.errno != errno.EBADF:
                raise
        else:
            return descriptor
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def _empty(directory: int, hasLock: bool = True) -> int:
    """
    Remove all that is in a run's directory, the lock last.

    :param hasLock: whether there is one; without it there is nothing else either that a run has left.
    :return: how many unfinished files there were.
    :raises OSError: it cannot be removed, or there is something that is no run's; then nothing is removed.
    """
    with os.scandir(directory) as entries:
        isOurs = {
            entry.name: hasLock
            and (entry.name == _LOCK or _UNFINISHED.fullmatch(entry.name) is not None)
            and entry.is_file(follow_symlinks=False)
            for entry in entries
        }
    for name, ours in isOurs.items():
        if not ours:
            raise OSError(errno.ENOTEMPTY, f"{name!r} is there, which is not ours")
    # Digits come before letters, so the lock is the last: what is left if we are killed here is removed another time.
    for name in sorted(isOurs):
        os.unlink(name, dir_fd=directory)
    return max(len(isOurs) - 1, 0)
