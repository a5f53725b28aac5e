"""The head of a DICOM file: preamble and file meta information (PS3.10 clause 7.1)."""

from __future__ import annotations

from functools import lru_cache
from struct import Struct

from txdicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

__all__ = ["encodeFileHead"]

_PREAMBLE = bytes(128) + b"DICM"
#: Explicit VR little endian: tag, VR, 16 bit length.
_packShort = Struct("<HH2sH").pack
_packGroupLength = Struct("<HH2sHI").pack
#: (0002,0001) OB, version 1: the long form of the length, two reserved bytes before it.
_VERSION = Struct("<HH2sHI2s").pack(0x0002, 0x0001, b"OB", 0, 2, b"\0\1")


def encodeFileHead(sopClassUID: str, sopInstanceUID: str, transferSyntaxUID: str, sourceAETitle: str) -> bytes:
    """
    Encode everything that stands before the data set.

    :param sourceAETitle: who sent the instance (0002,0016); left out when it is empty.
    """
    before, after = _constantParts(sopClassUID, transferSyntaxUID, sourceAETitle)
    instance = _element(0x0003, b"UI", sopInstanceUID, b"\0")
    length = len(before) + len(instance) + len(after)
    return b"".join((_PREAMBLE, _packGroupLength(0x0002, 0x0000, b"UL", 4, length), before, instance, after))


@lru_cache(maxsize=1024)
def _constantParts(sopClassUID: str, transferSyntaxUID: str, sourceAETitle: str) -> tuple[bytes, bytes]:
    """What is the same for all instances of one class from one sender: before and after the SOP Instance UID."""
    # An AE title is one value of characters of the default repertoire (PS3.5 6.2); a peer may send anything.
    title = "".join(c if " " <= c <= "~" and c != "\\" else "?" for c in sourceAETitle)
    return (
        _VERSION + _element(0x0002, b"UI", sopClassUID, b"\0"),
        b"".join(
            (
                _element(0x0010, b"UI", transferSyntaxUID, b"\0"),
                _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID, b"\0"),
                _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME, b" "),
                _element(0x0016, b"AE", title, b" ") if title else b"",
            )
        ),
    )


def _element(element: int, vr: bytes, value: str, padding: bytes) -> bytes:
    encoded = value.encode("ascii")
    if len(encoded) % 2:
        encoded += padding
    return _packShort(0x0002, element, vr, len(encoded)) + encoded
