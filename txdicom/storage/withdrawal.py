"""
Files that can be taken away again when they have their names: `WithdrawableWriter`.

Theory of operation. What a file replaces gets a second name in the run directory first. To withdraw the file is to
rename that back over it, or to remove the file if there was none: one step either way. In between, the file is there
under its final name. A receiver that is killed then leaves it there, whole and not acknowledged, and what it replaced
is gone, as after any instance that was sent again.
"""

from __future__ import annotations

import os
from contextlib import suppress

from twisted.logger import Logger
from zope.interface import implementer

from txdicom.interfaces import IWithdrawableWriter, Soon
from txdicom.storage.filewriter import Duplicates, FileWriter
from txdicom.storage.folder import Folder

__all__ = ["WithdrawableWriter"]

_log = Logger()


@implementer(IWithdrawableWriter)
class WithdrawableWriter(FileWriter):
    """Writes one file, that may be withdrawn; the file system has to have hard links."""

    __slots__ = ("_identity", "_replaced")

    def keep(self) -> Soon[None]:
        """Forget what was replaced."""
        return self._disk.soon(self._keep)

    def withdraw(self) -> Soon[None]:
        """Take the file away, and put back what it has replaced."""
        return self._disk.soon(self._withdraw)

    def _complete(self) -> None:
        self._replaced: str | None = None
        self._directory.hold()
        try:
            super()._complete()
        except Exception:
            self._keep()
            raise

    def _place(self, directory: int, name: str) -> None:
        self._identity = _identityOf(self._temporary, self._directory.run)
        if self._duplicates is Duplicates.OVERWRITE:
            replaced = f"{self._temporary.partition('.')[0]}.part.replaced"
            with suppress(FileNotFoundError):
                os.link(name, replaced, src_dir_fd=directory, dst_dir_fd=self._directory.run)
                self._replaced = replaced
        super()._place(directory, name)

    def _keep(self) -> None:
        self._forget()
        self._directory.release()

    def _withdraw(self) -> None:
        *parts, name = self._name.split("/")
        try:
            folder = Folder(self._directory.descriptor, parts)
            try:
                self._withdrawFrom(folder.descriptor, name)
            finally:
                folder.close()
        except OSError as error:
            _log.error("{name} cannot be withdrawn: {error}", name=self._name, error=error)
        self._directory.release()

    def _withdrawFrom(self, directory: int, name: str) -> None:
        try:
            isOurs = _identityOf(name, directory) == self._identity
        except FileNotFoundError:
            isOurs = False
        if not isOurs:
            self._forget()
        elif self._replaced is None:
            os.unlink(name, dir_fd=directory)
        else:
            os.rename(self._replaced, name, src_dir_fd=self._directory.run, dst_dir_fd=directory)

    def _forget(self) -> None:
        if self._replaced is not None:
            with suppress(OSError):
                os.unlink(self._replaced, dir_fd=self._directory.run)


def _identityOf(name: str, directory: int) -> tuple[int, int]:
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    return status.st_dev, status.st_ino
