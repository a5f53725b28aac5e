"""
One instance becoming a file: `FileWriter`.

Theory of operation. What comes is written at once as long as the disk is quick, but for the last few bytes, which wait
for more or for the end. When it is slow (`Disk`), one thread at a time writes for this file; what comes meanwhile is
gathered, and beyond a bound the association has to wait. In the end the file is closed and gets its name, all in one
call, which for ``--fsync`` includes the syncs, in this order: the file, its name, the directory. So nothing has a name
that is not whole, and nothing is acknowledged that is not there.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from itertools import count

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.dimse.status import Status
from txdicom.errors import DIMSEError
from txdicom.interfaces import IFileWriter, Soon
from txdicom.storage.disk import Disk
from txdicom.storage.folder import Folder
from txdicom.storage.outputdirectory import CREATE, CREATE_READABLE, OutputDirectory
from txdicom.storage.outputform import Conversion

__all__ = ["Duplicates", "FileWriter", "refusal"]

#: Fewer bytes than this wait for more: most small instances are written by the call that completes them.
_FEW_BYTES = 1 << 14
#: How much is gathered while a thread writes: bytes, and pieces.
_MOST_BYTES = 1 << 18
_MOST_PIECES = 512
#: How many pieces the system takes at a time (IOV_MAX of Linux).
_MOST_PIECES_AT_ONCE = 1024
#: How often a directory may be removed by somebody before a file is in it, until we give up.
_ATTEMPTS = 10
_log = Logger()


class Duplicates(Enum):
    """What to do with an instance whose file is there already."""

    #: The new one takes the place of the old, atomically.
    OVERWRITE = "overwrite"
    #: The old one stays, and the sender is told success.
    KEEP = "keep"
    #: The old one stays, and the sender is told 0x0111 (duplicate SOP instance).
    REJECT = "reject"
    #: Both stay; the new one's name has ``.1``, ``.2`` and so on appended.
    RENAME = "rename"


def refusal(name: str, done: str, error: OSError) -> DIMSEError:
    """Log what the disk did, and make the error that tells the sender."""
    _log.error("{name} cannot be {done}: {error}", name=name, done=done, error=error)
    return DIMSEError(Status.OUT_OF_RESOURCES, f"file cannot be {done}: {error.strerror}")


@implementer(IFileWriter)
class FileWriter:
    """
    Writes one file.

    :param directory: where; held by the caller, and released when the file is done.
    :param temporary: the name of the file in the run directory.
    :param name: its name in the output directory; may be a path of several parts, see `Folder`.
    :param head: what stands before the data set; a conversion writes its own.
    :param fsync: whether it has to be on stable storage in the end.
    :param conversion: makes the file that is kept of the one that was received.
    :raises OSError: it cannot be created.
    """

    __slots__ = (
        "_aborted",
        "_conversion",
        "_directory",
        "_disk",
        "_doing",
        "_duplicates",
        "_failure",
        "_file",
        "_fsync",
        "_gathered",
        "_name",
        "_pieces",
        "_temporary",
        "_waiting",
        "_writing",
    )

    def __init__(
        self,
        disk: Disk,
        directory: OutputDirectory,
        temporary: str,
        name: str,
        head: bytes,
        duplicates: Duplicates,
        fsync: bool,
        conversion: Conversion | None = None,
    ) -> None:
        self._disk = disk
        self._directory = directory
        self._temporary = temporary
        self._name = name
        self._duplicates = duplicates
        self._fsync = fsync
        self._conversion = conversion
        # What has not been written yet, and how many bytes of it came while a thread was writing.
        self._pieces: list[bytes | memoryview] = [head] if conversion is None else []
        self._gathered = 0
        # Whether a thread is writing, and who waits for it.
        self._writing = False
        self._waiting: Deferred[None] | None = None
        self._failure: BaseException | None = None
        self._aborted = False
        self._doing = "written"
        access = CREATE if conversion is None else CREATE_READABLE
        self._file = os.open(temporary, access, 0o666, dir_fd=directory.run)

    @property
    def path(self) -> str:
        """Where the file will be, and after `commit` where it is."""
        return os.path.join(self._directory.path, self._name)

    def write(self, fragments: list[memoryview]) -> Soon[None]:
        """
        Append to the file.

        :raises DIMSEError: 0xA700, it cannot be written.
        """
        if self._failure is not None:
            raise self._failure
        self._pieces += fragments
        self._gathered += sum(map(len, fragments))
        if self._gathered < (_MOST_BYTES if self._writing else _FEW_BYTES) and len(self._pieces) < _MOST_PIECES:
            return None
        if self._writing:
            return self._written()
        self._write()
        return None

    def commit(self) -> Soon[int]:
        """
        Give the file its name, on stable storage if that is asked for.

        :raises DIMSEError: 0xA700, it cannot be, or 0x0111, it is there already; nothing is left then, but for a file
            that has its name and whose directory cannot be synced.
        """
        if self._writing or self._fsync or self._disk.isSlow or self._conversion or self._failure is not None:
            return self._commitLater()
        try:
            self._disk.soon(self._complete)
        except OSError as error:
            raise refusal(self._name, self._doing, error) from error
        return Status.SUCCESS

    def abort(self, reason: Failure) -> None:
        """Remove the file, when no thread is writing it any more."""
        self._aborted = True
        if not self._writing:
            self._disk.soon(self._discard)

    async def _commitLater(self) -> int:
        try:
            while self._writing:
                await self._written()
            if self._failure is not None:
                raise self._failure
        except Exception:
            self._disk.soon(self._discard)
            raise
        try:
            if self._conversion is None:
                await self._disk.inThread(self._complete)
            else:
                await self._conversion.turns.run(self._disk.inThread, self._complete)
        except OSError as error:
            raise refusal(self._name, self._doing, error) from error
        return int(Status.SUCCESS)

    def _write(self) -> None:
        """Write what has been gathered, here and now or in a thread."""
        pieces, self._pieces = self._pieces, []
        self._gathered = 0
        try:
            writing = self._disk.soon(_writeAll, self._file, pieces)
        except OSError as error:
            raise refusal(self._name, "written", error) from error
        if writing is not None:
            self._writing = True
            writing.addCallbacks(self._threadWrote, self._threadFailed)

    def _written(self) -> Deferred[None]:
        """Return what fires when the thread has written what it was given, and goes on with the rest."""
        self._waiting = Deferred()
        return self._waiting

    def _threadFailed(self, failure: Failure) -> None:
        error = failure.value
        self._failure = refusal(self._name, "written", error) if isinstance(error, OSError) else error
        self._threadWrote(None)

    def _threadWrote(self, _: None) -> None:
        self._writing = False
        if self._aborted:
            self._disk.soon(self._discard)
        elif self._pieces and self._failure is None:
            try:
                self._write()
            except DIMSEError as error:
                self._failure = error
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            if self._failure is not None:
                waiting.errback(self._failure)
            else:
                waiting.callback(None)

    def _discard(self) -> None:
        try:
            self._close()
        except OSError as error:
            _log.error("{name}: {error}", name=self._temporary, error=error)
        self._remove()
        self._directory.release()

    def _complete(self) -> None:
        """
        Do all that is left to do; nothing else touches the writer meanwhile.

        :raises OSError: it cannot be done; `_doing` says what.
        :raises DIMSEError: 0x0111, the name is taken and `Duplicates.REJECT` is asked for.
        """
        folder = None
        try:
            try:
                try:
                    _writeAll(self._file, self._pieces)
                    self._doing = "completed"
                    if self._conversion is not None:
                        self._convert(self._conversion)
                    if self._fsync:
                        os.fsync(self._file)
                finally:
                    self._close()
                folder = self._placeInFolder()
            except Exception:
                self._remove()
                raise
            if self._fsync:
                # If this fails the file stays, whole as it is: it may have replaced one that was acknowledged.
                self._doing = "made to last"
                if folder is not None:
                    folder.sync()
                self._directory.sync()
        finally:
            if folder is not None:
                folder.close()
            self._directory.release()

    def _convert(self, conversion: Conversion) -> None:
        """Put what is made of the file in its place."""
        self._doing = "converted"
        received, name = self._file, self._temporary
        converted = f"{name}.converted"
        self._file = os.open(converted, CREATE, 0o666, dir_fd=self._directory.run)
        self._temporary = converted
        try:
            conversion.convert(received, self._file)
        finally:
            os.close(received)
            os.unlink(name, dir_fd=self._directory.run)
        self._doing = "completed"

    def _placeInFolder(self) -> Folder | None:
        """
        Give the file its name, where that says.

        :return: the directories on the way there, which are still open; None if there are none.
        """
        if "/" not in self._name:
            self._place(self._directory.descriptor, self._name)
            return None
        *parts, name = self._name.split("/")
        for _ in range(_ATTEMPTS):
            # Whoever removes a directory that is empty does not know that we are about to fill it.
            with suppress(FileNotFoundError):
                return self._placeInNew(Folder(self._directory.descriptor, parts), name)
        return self._placeInNew(Folder(self._directory.descriptor, parts), name)

    def _placeInNew(self, folder: Folder, name: str) -> Folder:
        try:
            self._place(folder.descriptor, name)
        except Exception:
            folder.close()
            raise
        return folder

    def _place(self, directory: int, name: str) -> None:
        """Give the file a name in a directory, in one step that either happens or does not."""
        if self._duplicates is Duplicates.OVERWRITE:
            os.rename(self._temporary, name, src_dir_fd=self._directory.run, dst_dir_fd=directory)
            return
        if not self._link(directory, name):
            if self._duplicates is Duplicates.REJECT:
                raise DIMSEError(Status.DUPLICATE_SOP_INSTANCE, "this instance is stored already")
            if self._duplicates is Duplicates.RENAME:
                self._linkBeside(directory, name)
            elif not stat.S_ISREG(os.stat(name, dir_fd=directory).st_mode):
                # Success means that the instance is there, so it does not do that something is.
                raise OSError(errno.EEXIST, "what has its name is no file")
        self._remove()

    def _link(self, directory: int, name: str) -> bool:
        """Give the file a name, unless that is taken."""
        try:
            os.link(self._temporary, name, src_dir_fd=self._directory.run, dst_dir_fd=directory)
        except FileExistsError:
            return False
        return True

    def _linkBeside(self, directory: int, name: str) -> None:
        """Give the file the first name that is free; found in few steps even where thousands are taken."""
        taken, free = 0, 1
        while _isTaken(directory, f"{name}.{free}"):
            taken, free = free, 2 * free
        while free - taken > 1:
            middle = (taken + free) // 2
            if _isTaken(directory, f"{name}.{middle}"):
                taken = middle
            else:
                free = middle
        names = (f"{name}.{number}" for number in count(free))
        found = next(name for name in names if self._link(directory, name))
        self._name = self._name[: -len(name)] + found

    def _close(self) -> None:
        file, self._file = self._file, -1
        os.close(file)

    def _remove(self) -> None:
        try:
            os.unlink(self._temporary, dir_fd=self._directory.run)
        except OSError as error:
            _log.error("{name} cannot be removed: {error}", name=self._temporary, error=error)


def _isTaken(directory: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _writeAll(file: int, pieces: Sequence[bytes | memoryview]) -> None:
    """Write all pieces, also if the system takes less at a time."""
    if not pieces:
        return
    length = sum(map(len, pieces))
    written = os.writev(file, pieces[:_MOST_PIECES_AT_ONCE])
    if written == length:
        return
    rest = memoryview(b"".join(pieces))[written:]
    while rest:
        written = os.write(file, rest)
        if not written:
            raise OSError(errno.EIO, "nothing more is written")
        rest = rest[written:]
