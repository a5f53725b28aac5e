"""
Instances as files: `FileStore` keeps them, `DiscardingStore` does not.

Theory of operation. An instance is written under a temporary name in the directory it will stay in, and gets its own
name by one rename when it is whole. So whatever has that name is complete, and an instance that the sender aborts, that
the connection loses or that the disk refuses leaves nothing behind. Files are created relative to the directory's
descriptor: no name that comes from a peer is ever looked up as a path.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING

from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.dimse.status import Status
from txdicom.errors import DIMSEError
from txdicom.interfaces import IDataSetWriter, IStorageSCP
from txdicom.services.storage import ReceivedInstance
from txdicom.storage.fileformat import encodeFileHead
from txdicom.storage.naming import nameOfInstance

if TYPE_CHECKING:
    from txdicom.dimse.association import Association

__all__ = ["DiscardingStore", "FileStore"]

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


@implementer(IStorageSCP)
class FileStore:
    """
    Keeps every instance as a file of its own (PS3.10), the data set as it came.

    An instance that is stored twice replaces its file.

    :param directory: where; it has to exist.
    :param naming: gives an instance its file name, which must not have a path separator.
    :raises OSError: the directory cannot be opened.
    """

    def __init__(
        self, directory: str | os.PathLike[str], naming: Callable[[ReceivedInstance], str] = nameOfInstance
    ) -> None:
        self._directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._naming = naming
        # Temporary names that no other process, thread or later run uses.
        self._token = secrets.token_hex(4)
        self._serial = count()

    def __del__(self) -> None:
        directory = getattr(self, "_directory", None)
        if directory is not None:
            os.close(directory)

    def store(self, association: Association, instance: ReceivedInstance) -> IDataSetWriter:
        """
        Create the file.

        :raises DIMSEError: 0xA700, it cannot be created.
        """
        head = encodeFileHead(
            instance.sopClassUID, instance.sopInstanceUID, instance.transferSyntaxUID, association.callingAETitle
        )
        temporary = f".txdicom-{os.getpid()}-{self._token}-{next(self._serial)}.part"
        return _FileWriter(self, self._directory, temporary, self._naming(instance), head)


@implementer(IDataSetWriter)
class _FileWriter:
    """Writes one file; the store is referred to so that its directory stays open as long."""

    __slots__ = ("_directory", "_file", "_head", "_name", "_store", "_temporary")

    _log = Logger()

    def __init__(self, store: FileStore, directory: int, temporary: str, name: str, head: bytes) -> None:
        self._store = store
        self._directory = directory
        self._temporary = temporary
        self._name = name
        self._head = head
        try:
            self._file = os.open(temporary, _CREATE, 0o666, dir_fd=directory)
        except OSError as error:
            raise self._refusal("created", error) from error

    def write(self, fragment: memoryview) -> None:
        """
        Append to the file.

        :raises DIMSEError: 0xA700, it cannot be written.
        """
        try:
            if self._head:
                head, self._head = self._head, b""
                written = os.writev(self._file, (head, fragment)) - len(head)
                if written < 0:
                    self._writeRest(memoryview(head)[written:])
                    written = 0
            else:
                written = os.write(self._file, fragment)
            if written < len(fragment):
                self._writeRest(fragment[written:])
        except OSError as error:
            raise self._refusal("written", error) from error

    def commit(self) -> int:
        """
        Give the file its name.

        :raises DIMSEError: 0xA700, it cannot be; nothing is left then.
        """
        try:
            self._close()
            os.rename(self._temporary, self._name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        except OSError as error:
            self._remove()
            raise self._refusal("completed", error) from error
        return Status.SUCCESS

    def abort(self, reason: Failure) -> None:
        """Remove the file."""
        try:
            self._close()
        except OSError as error:
            self._log.error("{name}: {error}", name=self._temporary, error=error)
        self._remove()

    def _writeRest(self, rest: memoryview) -> None:
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def _close(self) -> None:
        file, self._file = self._file, -1
        os.close(file)

    def _remove(self) -> None:
        try:
            os.unlink(self._temporary, dir_fd=self._directory)
        except OSError as error:
            self._log.error("{name} cannot be removed: {error}", name=self._temporary, error=error)

    def _refusal(self, done: str, error: OSError) -> DIMSEError:
        self._log.error("{name} cannot be {done}: {error}", name=self._name, done=done, error=error)
        return DIMSEError(Status.OUT_OF_RESOURCES, f"file cannot be {done}: {error.strerror}")


@implementer(IStorageSCP, IDataSetWriter)
class DiscardingStore:
    """Takes every instance and keeps none."""

    def store(self, association: Association, instance: ReceivedInstance) -> IDataSetWriter:
        """Give a writer; it is this object itself, because there is nothing to remember."""
        return self

    def write(self, fragment: memoryview) -> None:
        """Forget the bytes."""

    def commit(self) -> int:
        """Say that the instance was stored, for that is what it is there for."""
        return Status.SUCCESS

    def abort(self, reason: Failure) -> None:
        """Forget the instance."""
