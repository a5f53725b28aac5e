"""``--rename-on-eostudy``: the files of a study get numbers when it has ended."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import count

from twisted.logger import Logger

from txdicom.soon import settled
from txdicom.storage.disk import Disk
from txdicom.storescp.hooks.events import StudyEnded
from txdicom.storescp.hooks.studies import Kept
from txdicom.uids import FILE_PREFIXES

__all__ = ["renameFiles", "renameWithoutReplacing"]

_RENAME_NOREPLACE = 1

_log = Logger("storescp")


async def renameFiles(disk: Disk, event: StudyEnded, instances: dict[str, Kept]) -> StudyEnded:
    """
    Call the files of a study ``CT000001``, ``CT000002``, ``MR000003`` and so on, in the order in which they came.

    A number whose name is taken is passed over. A file that cannot be renamed keeps its name, which is logged.

    :param instances: what is known of the files, by path.
    :return: the event with the new names.
    """
    return await settled(disk.inThread(partial(_renameFiles, event, instances)))


def _renameFiles(event: StudyEnded, instances: dict[str, Kept]) -> StudyEnded:
    number = count(1)
    files = []
    for path in event.files:
        prefix = FILE_PREFIXES.get(instances[path].sopClassUID, "UNKNOWN")[:2]
        try:
            files.append(_rename(path, prefix, number))
        except OSError as error:
            _log.error("{path} cannot be renamed: {error}", path=path, error=error)
            files.append(path)
    return replace(event, files=tuple(files))


def _rename(path: str, prefix: str, numbers: Iterator[int]) -> str:
    directory = os.path.dirname(path)
    while True:
        renamed = os.path.join(directory, f"{prefix}{next(numbers):06d}")
        try:
            renameWithoutReplacing(path, renamed)
        except FileExistsError:
            continue
        return renamed


def renameWithoutReplacing(source: str, target: str) -> None:
    """
    Give a file another name in one step, unless that is taken.

    Linking and unlinking would not do: between the two, the old name may be given to an instance that came again, and
    that would be unlinked.

    :raises OSError: it cannot be done, FileExistsError if the name is taken, ENOSYS or EINVAL if the system or the
        file system cannot do it in one step.
    """
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), source)
    here = -100  # AT_FDCWD, which a path that is absolute does not need
    if function(here, os.fsencode(source), here, os.fsencode(target), _RENAME_NOREPLACE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), source)
