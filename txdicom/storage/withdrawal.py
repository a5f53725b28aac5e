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

    def _place(self) -> None:
        self._identity = _identityOf(self._temporary, self._directory.run)
        if self._duplicates is Duplicates.OVERWRITE:
            replaced = f"{self._temporary}.replaced"
            with suppress(FileNotFoundError):
                os.link(self._name, replaced, src_dir_fd=self._directory.descriptor, dst_dir_fd=self._directory.run)
                self._replaced = replaced
        super()._place()

    def _keep(self) -> None:
        self._forget()
        self._directory.release()

    def _withdraw(self) -> None:
        directory = self._directory
        try:
            if _identityOf(self._name, directory.descriptor) != self._identity:
                self._forget()
            elif self._replaced is None:
                os.unlink(self._name, dir_fd=directory.descriptor)
            else:
                os.rename(self._replaced, self._name, src_dir_fd=directory.run, dst_dir_fd=directory.descriptor)
        except FileNotFoundError:
            self._forget()
        except OSError as error:
            _log.error("{name} cannot be withdrawn: {error}", name=self._name, error=error)
        directory.release()

    def _forget(self) -> None:
        if self._replaced is not None:
            with suppress(OSError):
                os.unlink(self._replaced, dir_fd=self._directory.run)


def _identityOf(name: str, directory: int) -> tuple[int, int]:
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    return status.st_dev, status.st_ino
