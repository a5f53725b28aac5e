"""
Data sets in another transfer syntax: `convert`.

Theory of operation. Between the uncompressed transfer syntaxes (PS3.5 Annex A) only headers, lengths and the order of
bytes in numbers differ. So one walk over the data set copies each value, swapped if it has to be, behind a new header;
nothing is decoded, and text keeps its bytes whatever its character set. Sequences and items get undefined lengths,
since theirs are known only afterwards; group lengths, which would be wrong, are left out (PS3.5 7.2). Where there is no
VR, pydicom's dictionary has it, or it is UN.

This is work for a thread: it takes as long as the data set is large, though next to no memory.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Callable
from struct import Struct
from typing import Any, BinaryIO, NamedTuple, TypeAlias

from txdicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)

__all__ = ["CONVERTIBLE", "ConversionError", "convert"]

#: The transfer syntaxes that can be converted, each into all of these and into the deflated one.
CONVERTIBLE = frozenset({IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN})

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_DELIMITER, _SEQUENCE_DELIMITER = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_DELIMITER_GROUP = 0xFFFE
_BITS_ALLOCATED, _PIXEL_REPRESENTATION, _PIXEL_DATA = 0x00280100, 0x00280103, 0x7FE00010
_MAXIMUM_NESTING = 64
#: How many bytes of a value are copied at once: a multiple of each size.
_PIECE = 1 << 20

#: VRs whose explicit length has 16 bits (PS3.5 Table 7.1-2).
_SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
#: How many bytes make a number of a VR, and what `array` calls as many.
_SWAPPED = (
    dict.fromkeys(b"AT OW SS US".split(), (2, "H"))
    | dict.fromkeys(b"FL OF OL SL UL".split(), (4, "I"))
    | dict.fromkeys(b"FD OD OV SV UV".split(), (8, "Q"))
)
_Write: TypeAlias = Callable[[bytes], object]


class ConversionError(ValueError):
    """A data set cannot be converted, because it is malformed, or has what the other transfer syntax cannot have."""


class _Syntax(NamedTuple):
    """
    How a transfer syntax writes headers.

    :ivar order: the order of bytes, as `struct` writes it.
    :ivar tag: the layout of a tag.
    :ivar item: of a header without a VR: group, element, length.
    :ivar short: of one with a VR and a length of 16 bits.
    :ivar long: of one with a VR, two reserved bytes and a length of 32 bits.
    """

    order: str
    isExplicit: bool
    tag: Struct
    item: Struct
    short: Struct
    long: Struct


def _syntax(order: str, isExplicit: bool) -> _Syntax:
    return _Syntax(order, isExplicit, *(Struct(order + layout) for layout in ("HH", "HHI", "HH2sH", "HH2sHI")))


_SYNTAXES = {
    IMPLICIT_VR_LITTLE_ENDIAN: _syntax("<", False),
    EXPLICIT_VR_LITTLE_ENDIAN: _syntax("<", True),
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: _syntax("<", True),
    EXPLICIT_VR_BIG_ENDIAN: _syntax(">", True),
}


class _Pixels(NamedTuple):
    """What tells the VR of an element that may have several: of the data set that it is in, or of one around that."""

    bitsAllocated: int = 16
    isSigned: bool = False


class _Header(NamedTuple):
    """One element as it is found: its VR is resolved, and its value begins at `start`."""

    tag: int
    vr: bytes
    length: int
    start: int


def convert(dataSet: BinaryIO, length: int, sourceSyntax: str, targetSyntax: str, write: _Write) -> None:
    """
    Write a data set in another transfer syntax.

    :param dataSet: a file that begins with it; it should be buffered.
    :param length: how many bytes it has.
    :param sourceSyntax: the UID of the transfer syntax that it is in, one of `CONVERTIBLE`.
    :param targetSyntax: likewise that to write; it may also be the deflated one.
    :param write: takes the parts of the result.
    :raises ConversionError: it cannot be converted. Some of it may have been written by then.
    """
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS) if targetSyntax == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN else None
    written = 0

    def deflate(part: bytes) -> None:
        nonlocal written
        deflated = compressor.compress(part)  # type: ignore[union-attr]
        written += len(deflated)
        write(deflated)

    walk = _Walk(dataSet, _SYNTAXES[sourceSyntax], _SYNTAXES[targetSyntax], deflate if compressor else write)
    walk.elements(0, length, _Pixels(), 0)
    if compressor:
        rest = compressor.flush()
        # PS3.5 A.5: a byte that is zero makes the length even.
        write(rest + b"\0" * ((written + len(rest)) % 2))


class _Walk:
    """Goes over a data set and writes it anew."""

    def __init__(self, data: BinaryIO, source: _Syntax, target: _Syntax, write: _Write) -> None:
        self._data = data
        self._source = source
        self._target = target
        self._write = write

    def elements(self, position: int, end: int, pixels: _Pixels, depth: int, isDelimited: bool = False) -> int:
        """
        Copy the elements of the data set, or of an item.

        :param end: where the data set or item ends, or what is around an item that is delimited.
        :return: the position behind the last of them, and behind the delimiter.
        """
        while position < end:
            if self._unpack(self._source.tag, position)[0] == _DELIMITER_GROUP:
                tag, _ = self._item(position)
                if tag != _ITEM_DELIMITER or not isDelimited:
                    raise ConversionError(f"{_text(tag)} where an element should be")
                return position + 8
            header = self._header(position, pixels)
            position = self._element(header, end, pixels, depth)
            pixels = self._noted(header, pixels)
        if isDelimited or position > end:
            raise ConversionError("the data set, or an item in it, ends too early")
        return position

    def _element(self, header: _Header, end: int, pixels: _Pixels, depth: int) -> int:
        tag, vr, length, start = header
        if vr == b"SQ" or (length == _UNDEFINED and vr == b"UN"):
            return self._sequence(header, end, pixels, depth)
        if length == _UNDEFINED:
            raise ConversionError(f"{_text(tag)} has an undefined length")
        if start + length > end:
            raise ConversionError(f"{_text(tag)} is longer than what it is in")
        if tag & 0xFFFF:
            self._writeHeader(tag, vr, length)
            self._copyValue(header)
        return start + length

    def _sequence(self, header: _Header, end: int, pixels: _Pixels, depth: int) -> int:
        """Copy a sequence (PS3.5 7.5)."""
        if depth >= _MAXIMUM_NESTING:
            raise ConversionError(f"{_text(header.tag)} is nested more than {_MAXIMUM_NESTING} deep")
        outer = self._source
        if header.vr == b"UN" and outer.isExplicit:
            # Whoever did not know its VR left it in implicit VR little endian (PS3.5 6.2.2, note 2).
            self._source = _SYNTAXES[IMPLICIT_VR_LITTLE_ENDIAN]
        self._writeHeader(header.tag, b"SQ", _UNDEFINED)
        isDelimited = header.length == _UNDEFINED
        position = header.start
        last = end if isDelimited else position + header.length
        if last > end:
            raise ConversionError(f"{_text(header.tag)} is longer than what it is in")
        while position < last:
            tag, length = self._item(position)
            position += 8
            if tag == _SEQUENCE_DELIMITER and isDelimited:
                break
            if tag != _ITEM:
                raise ConversionError(f"{_text(tag)} where an item of a sequence should be")
            position = self._copiedItem(position, length, last, pixels, depth)
        else:
            if isDelimited:
                raise ConversionError(f"{_text(header.tag)} has no end")
        self._write(self._target.item.pack(_SEQUENCE_DELIMITER >> 16, _SEQUENCE_DELIMITER & 0xFFFF, 0))
        self._source = outer
        return position

    def _copiedItem(self, position: int, length: int, last: int, pixels: _Pixels, depth: int) -> int:
        self._write(self._target.item.pack(_ITEM >> 16, _ITEM & 0xFFFF, _UNDEFINED))
        if length == _UNDEFINED:
            position = self.elements(position, last, pixels, depth + 1, True)
        elif position + length > last:
            raise ConversionError("an item is longer than the sequence that it is in")
        else:
            position = self.elements(position, position + length, pixels, depth + 1)
        self._write(self._target.item.pack(_ITEM_DELIMITER >> 16, _ITEM_DELIMITER & 0xFFFF, 0))
        return position

    def _item(self, position: int) -> tuple[int, int]:
        group, element, length = self._unpack(self._source.item, position)
        return group << 16 | element, length

    def _header(self, position: int, pixels: _Pixels) -> _Header:
        if not self._source.isExplicit:
            tag, length = self._item(position)
            return _Header(tag, _vrOf(tag, length, pixels), length, position + 8)
        group, element, vr, length = self._unpack(self._source.short, position)
        tag = group << 16 | element
        if vr in _SHORT_VRS:
            return _Header(tag, vr, length, position + 8)
        if not (vr.isalpha() and vr.isupper()):
            raise ConversionError(f"{_text(tag)} has no VR")
        return _Header(tag, vr, self._unpack(self._source.long, position)[4], position + 12)

    def _writeHeader(self, tag: int, vr: bytes, length: int) -> None:
        group, element = tag >> 16, tag & 0xFFFF
        if not self._target.isExplicit:
            self._write(self._target.item.pack(group, element, length))
        elif vr not in _SHORT_VRS:
            self._write(self._target.long.pack(group, element, vr, 0, length))
        elif length <= 0xFFFF:
            self._write(self._target.short.pack(group, element, vr, length))
        else:
            # PS3.5 6.2.2: the short form has no room for it.
            self._write(self._target.long.pack(group, element, b"UN", 0, length))

    def _copyValue(self, header: _Header) -> None:
        size, code = _SWAPPED.get(header.vr, (1, ""))
        swaps = code and self._source.order != self._target.order
        if swaps and header.length % size:
            raise ConversionError(f"{_text(header.tag)} has {header.length} bytes, which is no multiple of {size}")
        for position in range(0, header.length, _PIECE):
            piece = self._read(header.start + position, min(_PIECE, header.length - position))
            if swaps:
                numbers = array(code, piece)
                numbers.byteswap()
                piece = numbers.tobytes()
            self._write(piece)

    def _unpack(self, layout: Struct, position: int) -> tuple[Any, ...]:
        return layout.unpack(self._read(position, layout.size))

    def _read(self, position: int, length: int) -> bytes:
        self._data.seek(position)
        content = self._data.read(length)
        if len(content) < length:
            raise ConversionError("the data set ends within a header")
        return content

    def _noted(self, header: _Header, pixels: _Pixels) -> _Pixels:
        """Take note of what tells the VR of elements that follow."""
        if header.tag not in (_BITS_ALLOCATED, _PIXEL_REPRESENTATION) or header.length != 2:
            return pixels
        number = int.from_bytes(self._read(header.start, 2), "little" if self._source.order == "<" else "big")
        if header.tag == _BITS_ALLOCATED:
            return pixels._replace(bitsAllocated=number)
        return pixels._replace(isSigned=bool(number))


def _vrOf(tag: int, length: int, pixels: _Pixels) -> bytes:
    """Find the VR of an element that has none (PS3.5 A.1 and PS3.6)."""
    from pydicom.datadict import dictionary_VR

    if not tag & 0xFFFF:
        return b"UL"
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        # Private, or not known. Of undefined length it can only be a sequence.
        return b"SQ" if length == _UNDEFINED else b"UN"
    if tag == _PIXEL_DATA:
        return b"OB" if pixels.bitsAllocated <= 8 else b"OW"
    if len(vr) == 2:
        return vr.encode("ascii")
    choices = vr.split(" or ")
    if "OW" in choices:
        return b"OW"
    return b"SS" if pixels.isSigned else b"US"


def _text(tag: int) -> str:
    """Write a tag as the standard does."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
