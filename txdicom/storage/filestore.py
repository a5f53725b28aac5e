"""
Instances as files: `FileStore` keeps them, `DiscardingStore` does not.

Theory of operation. An instance is written in a directory of this run's own below the output directory, and gets its
name by one rename or link when it is whole. So whatever has a name is complete, and an instance that the sender aborts,
that the connection loses or that the disk refuses leaves nothing behind.
"""

from __future__ import annotations

import errno
import os
import re
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.dimse.status import Status
from txdicom.errors import DIMSEError
from txdicom.interfaces import IDataSetWriter, IStorageSCP, IWantingStorageSCP, Soon
from txdicom.services.storage import ReceivedInstance
from txdicom.storage.disk import Disk
from txdicom.storage.filesystem import freeSpace
from txdicom.storage.filewriter import Duplicates, FileWriter, refusal
from txdicom.storage.naming import NameOf, nameOfInstance
from txdicom.storage.outputdirectory import OutputDirectory
from txdicom.storage.outputform import Conversion, OutputForm
from txdicom.storage.withdrawal import WithdrawableWriter

if TYPE_CHECKING:
    from txdicom.dimse.association import Association

__all__ = ["DiscardingStore", "Duplicates", "FileStore"]

#: The usual name, of which there is nothing more to ask: it begins with a letter, and has no separator.
_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9.]*")
#: What a part of a path must not be.
_ELSEWHERE = frozenset({b"", b".", b".."})
#: What the system says of a directory that has been removed, here or on the server that it comes from.
_VANISHED = (errno.ENOENT, errno.ESTALE)


@implementer(IWantingStorageSCP)
class FileStore:
    """
    Keeps every instance as a file of its own (PS3.10), the data set as it came.

    It opens its directory when it is first needed, or by `open`, so that a program may drop its privileges before. If
    the directory is removed, it takes the one that is at its path then.

    :param directory: where; it has to exist by then. What killed runs have left unfinished in it is removed.
    :param naming: gives an instance its name: a relative path, of several parts if it is to be in directories below.
        Those are made as they are needed, and never found by a symbolic link. If it needs attributes it has them in
        `wanted`, as `PathTemplate` does.
    :param duplicates: what to do with an instance that is there already.
    :param minimumFreeSpace: refuse new instances (0xA700) when fewer bytes than that are free; 0 asks nothing.
    :param fsync: have files on stable storage before they are acknowledged, or leave that to the system.
    :param form: what the files have in them.
    :param withdrawable: have files that can be taken away again when they have their names (`IWithdrawableWriter`).
    :param disk: where to wait for the disk; None does all on the spot, and a disk that is slow holds up the reactor.
    :ivar wanted: the tags (0xGGGGEEEE) that `naming` needs.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        naming: NameOf = nameOfInstance,
        duplicates: Duplicates = Duplicates.OVERWRITE,
        minimumFreeSpace: int = 0,
        fsync: bool = False,
        withdrawable: bool = False,
        form: OutputForm | None = None,
        disk: Disk | None = None,
    ) -> None:
        self._path = os.path.abspath(directory)
        self._naming = naming
        self.wanted: frozenset[int] = getattr(naming, "wanted", frozenset())
        self._duplicates = duplicates
        self._minimumFreeSpace = minimumFreeSpace
        self._fsync = fsync
        self._writerClass = WithdrawableWriter if withdrawable else FileWriter
        self._needsHardLinks = withdrawable or duplicates is not Duplicates.OVERWRITE
        self._form = form or OutputForm()
        self._disk = disk or Disk()
        self._serial = count()
        self._directory: OutputDirectory | None = None
        # Who opens the directory or gives it up, in whatever thread.
        self._lock = Lock()

    def open(self) -> None:
        """
        Open the directory, unless it is open.

        :raises OSError: it cannot be opened or written to, or `duplicates` or `withdrawable` need hard links and there
            are none.
        """
        self._held().release()

    def close(self) -> Deferred[None]:
        """
        Let go of the directory and of all threads.

        What is being stored may still be completed. An instance that comes later opens the directory again.

        :return: fires when nothing is done in threads any more. If nothing is being stored then, nothing is left.
        """
        with self._lock:
            directory, self._directory = self._directory, None
        if directory is not None:
            directory.release()
        return self._disk.close()

    def store(self, association: Association, instance: ReceivedInstance) -> Soon[IDataSetWriter]:
        """
        Create the file.

        :raises DIMSEError: 0xA700, it cannot be created, or 0xC000, there is no name for it.
        """
        head = self._form.head(instance, association.callingAETitle)
        conversion = self._form.conversion(instance, head)
        name = self._naming(instance)
        if not _staysBelow(name):
            raise DIMSEError(Status.CANNOT_UNDERSTAND, "there is no file name for this instance")
        try:
            creating = self._disk.soon(self._create, name, head, conversion)
        except OSError as error:
            raise refusal(name, "created", error) from error
        return creating if isinstance(creating, FileWriter) else _created(creating, name)

    def _create(self, name: str, head: bytes, conversion: Conversion | None) -> FileWriter:
        directory = self._held()
        try:
            return self._createIn(directory, name, head, conversion)
        except OSError as error:
            if error.errno not in _VANISHED:
                raise
            self._giveUp(directory)
        return self._createIn(self._held(), name, head, conversion)

    def _createIn(
        self, directory: OutputDirectory, name: str, head: bytes, conversion: Conversion | None
    ) -> FileWriter:
        temporary = f"{next(self._serial)}.part"
        try:
            if self._minimumFreeSpace and freeSpace(directory.descriptor) < self._minimumFreeSpace:
                raise OSError(errno.ENOSPC, f"less than {self._minimumFreeSpace} bytes are free")
            return self._writerClass(
                self._disk, directory, temporary, name, head, self._duplicates, self._fsync, conversion
            )
        except Exception:
            directory.release()
            raise

    def _held(self) -> OutputDirectory:
        """Return the directory, opened if it is not, and held for the caller."""
        with self._lock:
            if self._directory is None:
                self._directory = OutputDirectory(self._path, self._needsHardLinks)
                if self._directory.isRemote:
                    self._disk.distrust()
            self._directory.hold()
            return self._directory

    def _giveUp(self, directory: OutputDirectory) -> None:
        """Open the directory anew next time, for this one is not at its path any more."""
        with self._lock:
            if self._directory is not directory:
                return
            self._directory = None
        directory.release()


def _staysBelow(name: str) -> bool:
    """Whether a relative path leads to a file in a given directory, or below, and to nothing elsewhere."""
    if _PLAIN_NAME.fullmatch(name):
        return True
    try:
        encoded = os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return _ELSEWHERE.isdisjoint(encoded.split(b"/")) and b"\0" not in encoded


async def _created(creating: Deferred[FileWriter], name: str) -> IDataSetWriter:
    try:
        return await creating
    except OSError as error:
        raise refusal(name, "created", error) from error


@implementer(IStorageSCP, IDataSetWriter)
class DiscardingStore:
    """Takes every instance and keeps none."""

    def store(self, association: Association, instance: ReceivedInstance) -> IDataSetWriter:
        """Give a writer; it is this object itself, because there is nothing to remember."""
        return self

    def write(self, fragments: list[memoryview]) -> None:
        """Forget the bytes."""

    def commit(self) -> int:
        """Say that the instance was stored, for that is what it is there for."""
        return Status.SUCCESS

    def abort(self, reason: Failure) -> None:
        """Forget the instance."""
