"""
Instances that are to be sent, from files, file-like objects and pydicom's data sets: `openInstance`.

Theory of operation. Of a file no more is understood than it takes to send it: the file meta information, for the
transfer syntax, and the head of the data set, for its two UIDs. The data set itself goes out as it lies, read when it
is needed. Everything here may wait for a disk.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from struct import Struct
from threading import RLock
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TypeAlias, cast

from txdicom.errors import SourceError
from txdicom.services.datasets import convert, encodeDataSet
from txdicom.services.head import HeadError, HeadReader, uidValue
from txdicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    isValidUID,
)
from txdicom.upperlayer.fields import Octets

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["HeldInstance", "Identity", "OpenInstance", "Source", "identify", "openInstance"]

#: What an instance may be given as: the path of a file, a binary file at its first byte, or a data set of pydicom's.
Source: TypeAlias = "str | os.PathLike[str] | BinaryIO | Dataset"

#: What is read of a file at once when it is opened, in bytes: all of most files.
_FIRST = 1 << 20
#: How much of it tells which instance it is, as a rule far less.
_HEAD = 1 << 16
_PREAMBLE = 128
_MAGIC = b"DICM"
_META_GROUP = 2
_SOP_CLASS_UID = 0x00080016
_SOP_INSTANCE_UID = 0x00080018
_TRANSFER_SYNTAX_UID = 0x0010
#: An element of the file meta information: group, element, VR, 16 bit length; the long form has 32 bits behind it.
_META_HEADER = Struct("<HH2sH")
_LONG_LENGTH = Struct("<I")
_LONG_VRS = (b"OB", b"UN")
#: How much of a deflated data set is looked at for its UIDs, in bytes.
_INFLATED_HEAD = 1 << 16


@dataclass(frozen=True, slots=True)
class Identity:
    """
    Which instance something is, and how it is encoded.

    :ivar sopClassUID: as its data set says.
    :ivar sopInstanceUID: likewise.
    :ivar transferSyntaxUID: as its file meta information says, or as can be seen where there is none.
    """

    sopClassUID: str
    sopInstanceUID: str
    transferSyntaxUID: str


class HeldInstance(NamedTuple):
    """
    An instance that a `txdicom.interfaces.IRetrieveSCP` can have sent.

    :ivar identity: which one, as an index has it, or `identify` finds out.
    :ivar source: where it is, as a rule a path; opened when it is its turn. If another instance is found there, this
        one has failed.
    """

    identity: Identity
    source: Source


class OpenInstance:
    """
    An instance that is about to be sent.

    :param first: how much of a file is read when it is opened, in bytes.
    :ivar identity: which one.
    :ivar dataSet: pydicom's, if that is what it was given as.
    """

    def __init__(self, source: Source, first: int = _FIRST) -> None:
        self._source = source
        self._first = first
        # Whoever gives up in the midst of it closes while a thread may be reading.
        self._lock = RLock()
        self._file: BinaryIO | None = None
        self._head = memoryview(b"")
        self._padding = b""
        self.dataSet: Dataset | None = None
        if isinstance(source, str | os.PathLike):
            # It is read in large pieces, which a buffer would only copy.
            self._file = open(source, "rb", buffering=0)  # noqa: SIM115 - `close` closes it
        elif hasattr(source, "read"):
            self._file = cast("BinaryIO", source)
        else:
            self.dataSet = cast("Dataset", source)
        try:
            self.identity = self._identify()
        except BaseException:
            self.close()
            raise

    @property
    def atHand(self) -> int:
        """How many bytes `read` gives without looking at the file."""
        return len(self._head)

    @property
    def exhausted(self) -> bool:
        """Whether there is nothing more in the file."""
        return self._file is None

    def read(self, size: int) -> Octets:
        """Return the next bytes of the data set; fewer than `size` only at its end."""
        head, self._head = self._head[:size], self._head[size:]
        if len(head) == size or not (self._file or self._padding):
            return head
        pieces: list[Octets] = [head]
        size -= len(head)
        with self._lock:
            while size and self._file is not None:
                piece = self._file.read(size)
                if piece:
                    pieces.append(piece)
                    size -= len(piece)
                else:
                    self.close()
        if size and self._padding:
            pieces.append(self._padding)
            self._padding = b""
        return b"".join(pieces)

    def encodeAs(self, transferSyntaxUID: str) -> None:
        """
        Have `read` give the data set in another transfer syntax; what it was before is read whole, by pydicom.

        :raises SourceError: that cannot be done.
        """
        dataSet = self.dataSet
        identity = self.identity
        if dataSet is None:
            dataSet = self._decoded()
            self.close()
        elif transferSyntaxUID != identity.transferSyntaxUID:
            from copy import deepcopy

            # It is the caller's, and decompressing would change it.
            dataSet = deepcopy(dataSet)
        if transferSyntaxUID == identity.transferSyntaxUID:
            encoded = encodeDataSet(dataSet, transferSyntaxUID)
        else:
            encoded = convert(dataSet, identity.transferSyntaxUID, transferSyntaxUID)
        self._head = memoryview(encoded)
        self._padding = b""

    def close(self) -> None:
        """Close the file, unless it was given open."""
        with self._lock:
            file, self._file = self._file, None
            if file is not None and file is not self._source:
                file.close()

    def _identify(self) -> Identity:
        if self.dataSet is not None:
            return _identityOf(self.dataSet)
        first = self._readFirst()
        start = _PREAMBLE + len(_MAGIC) if first[_PREAMBLE : _PREAMBLE + len(_MAGIC)] == _MAGIC else 0
        transferSyntaxUID, start = _readMeta(first, start)
        self._head = memoryview(first)[start:]
        if len(self._head) < 8:
            raise SourceError("it is no DICOM file, or has no data set")
        if not transferSyntaxUID:
            transferSyntaxUID = _guess(self._head)
        try:
            uids = _identityIn(self._head, transferSyntaxUID)
        except SourceError as error:
            if start == 0:
                # Nothing says that it is one; what is wrong with it as a data set would only puzzle.
                raise SourceError("it is no DICOM file") from error
            raise
        if (self._length(len(first)) - start) % 2:
            # Nothing of an odd length may be sent; what follows the end of a deflated stream is ignored (PS3.5 A.5).
            if transferSyntaxUID != DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
                raise SourceError("its data set has an odd number of bytes")
            self._padding = b"\0"
        return Identity(*uids, transferSyntaxUID)

    def _length(self, known: int) -> int:
        """Tell how long the file is; of one that was given open, and has not been read to its end, it is not known."""
        if self._file is None or self._file is self._source:
            return known
        return os.fstat(self._file.fileno()).st_size

    def _readFirst(self) -> bytes:
        wanted, whole = self._first, -1
        if self._file is not None and self._file is not self._source:
            # Asked for no more than there is: memory for the rest would cost as much as the reading.
            whole = os.fstat(self._file.fileno()).st_size
            wanted = min(wanted, whole)
        first = b""
        while self._file is not None and len(first) < wanted:
            piece = self._file.read(wanted - len(first))
            if not piece:
                self.close()
            first = first + piece if first else piece
        if len(first) == whole:
            # To look for more would cost memory again, and joining it to the rest a copy.
            self.close()
        return first

    def _decoded(self) -> Dataset:
        """Read the rest, and all of it with pydicom."""
        from pydicom import dcmread
        from pydicom.dataset import FileMetaDataset
        from pydicom.filebase import DicomBytesIO
        from pydicom.filewriter import write_file_meta_info
        from pydicom.uid import UID

        meta = FileMetaDataset()
        meta.TransferSyntaxUID = UID(self.identity.transferSyntaxUID)
        file = DicomBytesIO()
        file.write(bytes(_PREAMBLE) + _MAGIC)
        write_file_meta_info(file, meta, enforce_standard=False)
        while piece := self.read(_FIRST):
            file.write(piece)
        file.seek(0)
        try:
            return dcmread(file)
        except Exception as error:
            raise SourceError(f"pydicom cannot read it: {error}") from error


def openInstance(source: Source, first: int = _FIRST) -> OpenInstance:
    """
    Open an instance, so that `OpenInstance.read` gives its data set; a data set of pydicom's is encoded by `encodeAs`.

    :raises SourceError: it cannot be opened, or is no instance.
    """
    try:
        return OpenInstance(source, first)
    except OSError as error:
        raise SourceError(error.strerror or str(error)) from error


def identify(source: Source) -> Identity:
    """
    Tell which instance something is; a file-like object is at its first byte again afterwards.

    :raises SourceError: it cannot be opened, or is no instance.
    """
    instance = openInstance(source, _HEAD)
    instance.close()
    if not isinstance(source, str | os.PathLike) and hasattr(source, "seek"):
        source.seek(0)
    return instance.identity


def _readMeta(data: bytes, position: int) -> tuple[str, int]:
    """Read the file meta information, always explicit VR little endian; return the transfer syntax, and its end."""
    transferSyntaxUID = ""
    while position + _META_HEADER.size <= len(data):
        group, element, vr, length = _META_HEADER.unpack_from(data, position)
        if group != _META_GROUP:
            break
        value = position + _META_HEADER.size
        if vr in _LONG_VRS:
            if value + _LONG_LENGTH.size > len(data):
                raise SourceError("its file meta information is cut short")
            (length,) = _LONG_LENGTH.unpack_from(data, value)
            value += _LONG_LENGTH.size
        position = value + length
        if position > len(data):
            raise SourceError("its file meta information is cut short")
        if element == _TRANSFER_SYNTAX_UID:
            transferSyntaxUID = uidValue(data[value:position])
            if not transferSyntaxUID:
                raise SourceError("its transfer syntax is not a UID")
    return transferSyntaxUID, position


def _guess(head: memoryview) -> str:
    """Tell how a data set without file meta information is encoded: it begins with a low group, as a rule 0008."""
    group, vr = bytes(head[:2]), bytes(head[4:6])
    if not (vr.isalpha() and vr.isupper()):
        return IMPLICIT_VR_LITTLE_ENDIAN
    return EXPLICIT_VR_BIG_ENDIAN if group[0] < group[1] else EXPLICIT_VR_LITTLE_ENDIAN


def _identityIn(head: memoryview, transferSyntaxUID: str) -> tuple[str, str]:
    if transferSyntaxUID == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        try:
            head = memoryview(zlib.decompressobj(-zlib.MAX_WBITS).decompress(head, _INFLATED_HEAD))
        except zlib.error as error:
            raise SourceError(f"its data set cannot be inflated: {error}") from error
    reader = HeadReader(transferSyntaxUID, (_SOP_CLASS_UID, _SOP_INSTANCE_UID))
    try:
        reader.feed(head)
    except HeadError as error:
        raise SourceError(f"its data set cannot be read: {error}") from error
    sopClassUID, sopInstanceUID = (
        uidValue(reader.attributes.get(tag, b"")) for tag in (_SOP_CLASS_UID, _SOP_INSTANCE_UID)
    )
    if not sopClassUID or not sopInstanceUID:
        raise SourceError("it has no SOP Class UID, or no SOP Instance UID")
    return sopClassUID, sopInstanceUID


def _identityOf(dataSet: Dataset) -> Identity:
    sopClassUID, sopInstanceUID = str(dataSet.get("SOPClassUID", "")), str(dataSet.get("SOPInstanceUID", ""))
    if not isValidUID(sopClassUID) or not isValidUID(sopInstanceUID):
        raise SourceError("it has no SOP Class UID, or no SOP Instance UID")
    meta = getattr(dataSet, "file_meta", None)
    transferSyntaxUID = str(meta.get("TransferSyntaxUID", "")) if meta is not None else ""
    if not transferSyntaxUID:
        implicit, little = dataSet.original_encoding
        transferSyntaxUID = IMPLICIT_VR_LITTLE_ENDIAN if implicit else EXPLICIT_VR_LITTLE_ENDIAN
        if little is False:
            transferSyntaxUID = EXPLICIT_VR_BIG_ENDIAN
    return Identity(sopClassUID, sopInstanceUID, transferSyntaxUID)
