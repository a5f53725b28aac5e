"""
What the benchmarks send, and whether it was stored: `Kind` and `Batch`.

Each object is a head, which differs from that of the others by its UID, and pixel data, which are one pool of random
bytes read around from a place that depends on the object's number. So all objects differ, none is ever held in memory,
and what was stored can be compared with what was sent, byte for byte. `loadgen.c` makes them in the same way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from struct import pack, unpack_from
from typing import BinaryIO

from benchmarks.soaking.contents import EXPLICIT_VR_LITTLE_ENDIAN, seededRandom

__all__ = ["KINDS", "Batch", "Kind", "pool"]

#: A prime number, so that no piece that is exchanged for another one of a usual length is the same.
_POOL_LENGTH = 4194301
#: How far apart the pixel data of one object and the next begin in it.
_STEP = 524287
_NUMBER_DIGITS = 12
_BLOCK = 1 << 20
_PREAMBLE = 128
_META_HEADER = 12


@cache
def pool() -> memoryview:
    """Make what all pixel data are taken from."""
    return memoryview(seededRandom("benchmarks").randbytes(_POOL_LENGTH))


@dataclass(frozen=True, slots=True)
class Kind:
    """
    A kind of object.

    :ivar name: its size in words.
    :ivar rows: of each frame; there are as many columns, of 16 bits each, as make `columns`.
    """

    name: str
    sopClassUID: str
    modality: str
    rows: int
    columns: int
    frames: int = 1

    @property
    def pixelLength(self) -> int:
        """Bytes of pixel data."""
        return 2 * self.rows * self.columns * self.frames


#: Of each size one, all of classes that storescp accepts by default.
KINDS = {
    kind.name: kind
    for kind in (
        Kind("5 KiB", "1.2.840.10008.5.1.4.1.1.7", "OT", 32, 80),
        Kind("32 KiB", "1.2.840.10008.5.1.4.1.1.7", "OT", 128, 128),
        Kind("128 KiB", "1.2.840.10008.5.1.4.1.1.4", "MR", 256, 256),
        Kind("512 KiB", "1.2.840.10008.5.1.4.1.1.2", "CT", 512, 512),
        Kind("8 MiB", "1.2.840.10008.5.1.4.1.1.3.1", "US", 512, 512, 16),
        Kind("64 MiB", "1.2.840.10008.5.1.4.1.1.3.1", "US", 512, 512, 128),
        Kind("1 GiB", "1.2.840.10008.5.1.4.1.1.3.1", "US", 512, 512, 2048),
    )
}


class Batch:
    """
    The objects of one kind that one run sends; their numbers go from 0 up.

    :param run: tells the UIDs of one run from those of others, 0 to 999999999.
    :ivar uidPrefix: what all UIDs begin with; the number of the object follows, in 12 digits.
    :ivar uidOffset: where the UID is in the data set.
    :ivar head: the data set up to the pixel data, that of object 0.
    """

    def __init__(self, kind: Kind, run: int) -> None:
        self.kind = kind
        self.uidPrefix = f"2.25.1{run:09d}"
        self.head = b"".join(_head(kind, self.uid(0), run))
        self.uidOffset = self.head.index(self.uid(0).encode())

    @property
    def length(self) -> int:
        """Bytes of the data set."""
        return len(self.head) + self.kind.pixelLength

    def uid(self, number: int) -> str:
        """Give the SOP Instance UID of an object."""
        return f"{self.uidPrefix}{number:0{_NUMBER_DIGITS}d}"

    def dataSet(self, number: int) -> Iterator[bytes | memoryview]:
        """Give the data set of an object, in explicit VR little endian, piece by piece."""
        uid = self.uid(number).encode()
        yield self.head[: self.uidOffset] + uid + self.head[self.uidOffset + len(uid) :]
        position, left = number * _STEP % _POOL_LENGTH, self.kind.pixelLength
        while left:
            piece = pool()[position : position + min(left, _BLOCK)]
            yield piece
            left -= len(piece)
            position = (position + len(piece)) % _POOL_LENGTH

    def faultsIn(self, directory: Path, count: int, first: int = 0) -> str:
        """
        Compare all files below a directory with the objects of certain numbers, whatever the files are called.

        Files that are not DICOM's, such as a receiver's index, do not count, nor do those of other batches.

        :return: what is wrong, empty if each object is there once and whole.
        """
        missing = set(range(first, first + count))
        for path in _files(directory):
            with path.open("rb") as file:
                head = _dataSetHead(file, len(self.head))
                if head is None:
                    continue
                uid = head[self.uidOffset : self.uidOffset + len(self.uid(0))].decode("ascii", "replace")
                if not uid.startswith(self.uidPrefix):
                    continue
                number = uid.removeprefix(self.uidPrefix)
                if len(number) != _NUMBER_DIGITS or not number.isdigit() or int(number) not in missing:
                    return f"{path.name} is none of the objects that are to be there"
                if not self._isWhole(file, head, int(number)):
                    return f"{path.name} is not what was sent"
                missing.remove(int(number))
        return f"{len(missing)} of {count} objects are not there" if missing else ""

    def _isWhole(self, file: BinaryIO, head: bytes, number: int) -> bool:
        pieces = self.dataSet(number)
        return head == next(pieces) and all(file.read(len(piece)) == piece for piece in pieces) and not file.read(1)

    def write(self, directory: Path, count: int, first: int = 0) -> None:
        """Write objects as files (PS3.10), for clients that send files."""
        for number in range(first, first + count):
            meta = b"".join(
                (
                    pack("<HH2sHI2s", 2, 1, b"OB", 0, 2, b"\0\1"),
                    _element(2, 2, b"UI", self.kind.sopClassUID),
                    _element(2, 3, b"UI", self.uid(number)),
                    _element(2, 0x10, b"UI", EXPLICIT_VR_LITTLE_ENDIAN),
                    _element(2, 0x12, b"UI", "2.25.77130459172936412907211953462810173395"),
                )
            )
            with (directory / f"{number:06d}.dcm").open("wb") as file:
                file.write(bytes(_PREAMBLE) + b"DICM" + pack("<HH2sHI", 2, 0, b"UL", 4, len(meta)) + meta)
                file.writelines(self.dataSet(number))


def _files(directory: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(directory):
        for name in names:
            yield Path(folder, name)


def _dataSetHead(file: BinaryIO, length: int) -> bytes | None:
    """Read over the file meta information, and return the first bytes of the data set; None if it is no DICOM file."""
    start = file.read(_PREAMBLE + 4 + _META_HEADER)
    if start[_PREAMBLE : _PREAMBLE + 4] != b"DICM" or len(start) < _PREAMBLE + 4 + _META_HEADER:
        return None
    file.seek(unpack_from("<I", start, len(start) - 4)[0], os.SEEK_CUR)
    return file.read(length)


def _head(kind: Kind, uid: str, run: int) -> Iterator[bytes]:
    yield _element(0x0008, 0x0005, b"CS", "ISO_IR 100")
    yield _element(0x0008, 0x0016, b"UI", kind.sopClassUID)
    yield _element(0x0008, 0x0018, b"UI", uid)
    yield _element(0x0008, 0x0020, b"DA", "20260101")
    yield _element(0x0008, 0x0060, b"CS", kind.modality)
    yield _element(0x0010, 0x0010, b"PN", "BENCHMARK^RUN")
    yield _element(0x0010, 0x0020, b"LO", f"RUN {run}")
    yield _element(0x0020, 0x000D, b"UI", f"2.25.2{run:09d}")
    yield _element(0x0020, 0x000E, b"UI", f"2.25.3{run:09d}")
    yield pack("<HH2sHH", 0x0028, 0x0002, b"US", 2, 1)
    yield _element(0x0028, 0x0004, b"CS", "MONOCHROME2")
    if kind.frames > 1:
        yield _element(0x0028, 0x0008, b"IS", str(kind.frames))
    for element, value in ((0x10, kind.rows), (0x11, kind.columns), (0x100, 16), (0x101, 16), (0x102, 15), (0x103, 0)):
        yield pack("<HH2sHH", 0x0028, element, b"US", 2, value)
    yield pack("<HH2sxxI", 0x7FE0, 0x0010, b"OW", kind.pixelLength)


def _element(group: int, element: int, vr: bytes, text: str) -> bytes:
    value = text.encode()
    if len(value) % 2:
        value += b"\0" if vr == b"UI" else b" "
    return pack("<HH2sH", group, element, vr, len(value)) + value
