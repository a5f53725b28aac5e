"""Which files are meant by the paths of a command line: `find`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from txdicom.cli.outcomes import Kind, Outcome
from txdicom.errors import SourceError

__all__ = ["Found", "find"]

_DIRECTORY_NAME = "DICOMDIR"


@dataclass
class Found:
    """
    The files that are meant.

    :ivar files: each once, in the order of the paths, and by name within a folder.
    :ivar incidental: those of them that nobody has named, but that are in a folder.
    :ivar missing: what there should have been, and why it is not in `files`.
    """

    files: list[str] = field(default_factory=list)
    incidental: set[str] = field(default_factory=set)
    missing: list[Outcome] = field(default_factory=list)


def find(paths: Iterable[str]) -> Found:
    """
    Find all files below some paths; symbolic links are followed, and no folder is looked through twice.

    It reads directories, and so belongs into a thread.
    """
    found = Found()
    # Path -> whether it is incidental; they keep their order.
    files: dict[str, bool] = {}
    seen: set[str] = set()

    def miss(path: str, error: OSError | SourceError) -> None:
        found.missing.append(Outcome(path, Kind.FAILED, getattr(error, "strerror", None) or str(error)))

    for path in paths:
        try:
            isFolder = os.path.isdir(path)
            for file in _below(path, seen, miss) if isFolder else _namedBy(path):
                files[file] = isFolder and files.get(file, True)
        except (OSError, SourceError) as error:
            miss(path, error)
    found.files = list(files)
    found.incidental = {file for file, isIncidental in files.items() if isIncidental}
    return found


def _namedBy(path: str) -> Iterator[str]:
    if os.path.basename(path).upper() == _DIRECTORY_NAME:
        yield from _listed(path)
    else:
        # Raises what is wrong with it.
        os.stat(path)
        yield path


def _isNew(folder: str, seen: set[str]) -> bool:
    """Whether a folder is not among those seen, by where they really are: links may lead to one in many ways."""
    path = os.path.realpath(folder)
    if path in seen:
        return False
    seen.add(path)
    return True


def _below(folder: str, seen: set[str], miss: Callable[[str, OSError], None]) -> Iterator[str]:
    if not _isNew(folder, seen):
        return
    # A folder that cannot be read costs no other.
    for directory, folders, names in os.walk(folder, onerror=lambda e: miss(e.filename, e), followlinks=True):
        folders[:] = [name for name in sorted(folders) if _isNew(os.path.join(directory, name), seen)]
        for name in sorted(names):
            # What it lists is in the folder as well.
            if name.upper() != _DIRECTORY_NAME:
                yield os.path.join(directory, name)


def _listed(path: str) -> Iterator[str]:
    """List the files that a DICOMDIR refers to."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        records = dcmread(path).get("DirectoryRecordSequence") or []
        listed = [record.ReferencedFileID for record in records if "ReferencedFileID" in record]
    except OSError:
        raise
    except InvalidDicomError as error:
        raise SourceError("it is no DICOMDIR") from error
    except Exception as error:
        raise SourceError(f"pydicom cannot read it: {error}") from error
    if not listed:
        # An instance that has this name, or a list of nothing; if it cannot be sent, that will be told.
        yield path
    root = Path(path).parent
    for parts in listed:
        names = [parts] if isinstance(parts, str) else list(parts)
        # Components are names, and nothing leads out of the folder of the DICOMDIR (PS3.10 8.2).
        if any(name in ("", ".", "..") or "/" in name or "\0" in name for name in names):
            raise SourceError(f"it refers to {names!r}, which is no file of its folder")
        yield str(root.joinpath(*names))
