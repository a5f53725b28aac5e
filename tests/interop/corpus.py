"""The DICOM files that pydicom and pydicom-data bring along, as files to send: `findFiles`, `batches`."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydicom import dcmread

from tests.interop.case import OFFERED, SYNTAXES, storedName
from tests.interop.peers import requireModule

__all__ = ["CorpusFile", "batches", "findFiles", "namedFiles"]


@dataclass(frozen=True)
class CorpusFile:
    """
    A file, and what pydicom reads of it; "" for what is not there.

    :ivar transferSyntaxUID: for a file without file meta information, which pydicom takes to be.
    """

    path: Path
    sopClassUID: str
    sopInstanceUID: str
    transferSyntaxUID: str

    @property
    def storedName(self) -> str:
        """The name that the receiver has to give it."""
        return storedName(self.sopClassUID, self.sopInstanceUID)

    @property
    def identified(self) -> bool:
        """Whether it says which instance it is."""
        return bool(self.sopClassUID and self.sopInstanceUID)

    @property
    def offered(self) -> bool:
        """Whether the receiver takes its SOP class."""
        return self.sopClassUID in OFFERED

    @property
    def uncompressed(self) -> bool:
        """Whether the receiver takes its transfer syntax."""
        return self.transferSyntaxUID in SYNTAXES


@cache
def findFiles() -> tuple[CorpusFile, ...]:
    """Find every file of both packages that has the name or the preamble of a DICOM file."""
    folders = [requireModule(package).__path__[0] for package in ("pydicom.data", "data_store")]
    paths = [path for folder in folders for path in sorted(Path(folder).rglob("*")) if path.is_file()]
    return tuple(_described(path) for path in paths if path.suffix == ".dcm" or _hasPreamble(path))


def _hasPreamble(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _described(path: Path) -> CorpusFile:
    with warnings.catch_warnings():
        # Some of these files are wrong on purpose.
        warnings.simplefilter("ignore")
        dataSet = dcmread(path, stop_before_pixels=True, force=True)
        syntax = dataSet.file_meta.get("TransferSyntaxUID")
        if syntax is None:
            implicit, little = dataSet.original_encoding
            syntax = SYNTAXES[2] if implicit else SYNTAXES[0] if little else SYNTAXES[1]
        return CorpusFile(path, dataSet.get("SOPClassUID") or "", dataSet.get("SOPInstanceUID") or "", syntax)


def batches(files: Iterable[CorpusFile]) -> list[list[CorpusFile]]:
    """
    Part files in such a way that no two of a part get the same name, for the second would replace the first.

    Those that can get none, because they do not say what they are, are all in the first part.
    """
    parts: list[dict[object, CorpusFile]] = [{}]
    for file in files:
        key = file.storedName if file.identified else file.path
        for part in parts:
            if key not in part:
                part[key] = file
                break
        else:
            parts.append({key: file})
    return [list(part.values()) for part in parts]


def namedFiles(*names: str) -> list[CorpusFile]:
    """Find files by their names, each of which has to be there."""
    found = {file.path.name: file for file in findFiles()}
    return [found[name] for name in names]
