"""Takes a DICOM file apart (PS3.10 clause 7.1), written apart from txdicom, to be its judge: `checkedDataSet`."""

from __future__ import annotations

from collections.abc import Mapping
from struct import unpack_from

from benchmarks.soaking.contents import EXPLICIT_VR_LITTLE_ENDIAN, Instance

__all__ = ["CALLING_AE_TITLE", "Damage", "checkedDataSet"]

#: What all senders of the soak are called, and so what (0002,0016) has to be.
CALLING_AE_TITLE = "SOAK"

_PREAMBLE = 128
#: Preamble, "DICM" and the group length element, after which the other elements of group 0002 begin.
_META = _PREAMBLE + 4 + 12


class Damage(Exception):
    """A file is not what it should be; says in which way."""


def checkedDataSet(content: bytes, instance: Instance) -> bytes:
    """
    Check what stands before the data set, and return the data set.

    :param content: the whole file.
    :param instance: what should be in it.
    :raises Damage: something before the data set is wrong.
    """
    if len(content) < _META:
        raise Damage(f"the file has only {len(content)} bytes")
    if content[:_PREAMBLE].strip(b"\0") or content[_PREAMBLE : _PREAMBLE + 4] != b"DICM":
        raise Damage("no preamble of 128 zero bytes and DICM")
    group, element, vr, valueLength, length = unpack_from("<HH2sHI", content, _PREAMBLE + 4)
    if (group, element, vr, valueLength) != (2, 0, b"UL", 4):
        raise Damage("no group length after the preamble")
    end = _META + length
    if end > len(content):
        raise Damage("the file ends within the file meta information")
    _checkValues(_metaElements(content, end), instance)
    return content[end:]


def _metaElements(content: bytes, end: int) -> dict[int, tuple[bytes, bytes]]:
    """Read VR and value of the elements of group 0002, which have to be in order and to end at the group's length."""
    found: dict[int, tuple[bytes, bytes]] = {}
    position, last = _META, 0
    while position + 8 <= end:
        group, element, vr, length = unpack_from("<HH2sH", content, position)
        position += 8
        if vr == b"OB":
            # The long form: what is read as the length is reserved.
            if length or position + 4 > end:
                raise Damage(f"({group:04X},{element:04X}) has no length")
            (length,) = unpack_from("<I", content, position)
            position += 4
        if group != 2 or element <= last:
            raise Damage(f"({group:04X},{element:04X}) is out of place in the file meta information")
        found[element] = vr, content[position : position + length]
        position += length
        last = element
    if position != end:
        raise Damage("the group length is not that of the file meta information")
    return found


def _checkValues(found: Mapping[int, tuple[bytes, bytes]], instance: Instance) -> None:
    expected = {
        0x0001: (b"OB", "\0\1", ""),
        0x0002: (b"UI", instance.sopClassUID, "\0"),
        0x0003: (b"UI", instance.uid, "\0"),
        0x0010: (b"UI", EXPLICIT_VR_LITTLE_ENDIAN, "\0"),
        0x0016: (b"AE", CALLING_AE_TITLE, " "),
    }
    for element, (vr, text, padding) in expected.items():
        value = found.get(element)
        if value != (vr, (text + padding * (len(text) % 2)).encode()):
            raise Damage(f"(0002,{element:04X}) is {value!r} instead of {text!r}")
    # What the receiver says of itself may be anything.
    vr, implementation = found.get(0x0012, (b"", b""))
    if vr != b"UI" or not implementation:
        raise Damage("no implementation class UID")
