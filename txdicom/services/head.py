"""
Reads chosen elements of the head of a data set while it streams past.

Theory of operation::

    feed(fragment)
      bounds     no more than `maximumHeadLength` bytes are ever looked at
      stitch     an element that began in an earlier fragment is completed first, in `_held`
      walk       depth 0     top level elements: collect the wanted, step over the others by their length
                 depth odd   within a sequence of undefined length: items, or the delimiter that ends it
                 depth even  within an item of undefined length: elements, or the delimiter that ends it
      remember   either how many bytes there still are to step over, or the first bytes of what straddles

Only what has no length of its own is ever entered; everything else is stepped over. That is why nesting needs no stack:
sequences and items alternate, so one number says both how deep we are and what has to come next.

Nothing here depends on where the fragments begin and end: each outcome is decided by the first byte that decides it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

__all__ = ["HeadError", "HeadReader", "uidValue"]

_Bytes: TypeAlias = bytes | bytearray | memoryview

_IMPLICIT_LITTLE_UID = "1.2.840.10008.1.2"
_EXPLICIT_BIG_UID = "1.2.840.10008.1.2.2"

_UNDEFINED = 0xFFFFFFFF
_COMMAND_GROUP = 0x0000
_FILE_META_GROUP = 0x0002
_DELIMITER_GROUP = 0xFFFE
_ITEM = 0xFFFEE000
_ITEM_DELIMITER = 0xFFFEE00D
_SEQUENCE_DELIMITER = 0xFFFEE0DD
_PIXEL_DATA = 0x7FE00010

_SHORT_HEADER = 8
_LONG_HEADER = 12
_MAXIMUM_NESTING = 32

#: The VRs whose length is in the first eight bytes (PS3.5 Table 7.1-2); the empty one stands for an implicit VR.
_SHORT_VRS = frozenset({b"", *b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()})

#: The groups that no data set has at its top level.
_FOREIGN_GROUPS = frozenset({_COMMAND_GROUP, _FILE_META_GROUP, _DELIMITER_GROUP})


class _Encoding(NamedTuple):
    """How the headers of one transfer syntax are laid out: each function takes a buffer and a position."""

    #: The eight bytes all elements begin with: group, element, VR (empty if implicit), length (16 bit if explicit).
    element: Callable[[_Bytes, int], tuple[int, int, bytes, int]]
    #: The eight bytes of an item or delimiter, which never have a VR: group, element, length.
    item: Callable[[_Bytes, int], tuple[int, int, int]]
    #: The 32 bit length that follows the first eight bytes of the long explicit form.
    longLength: Callable[[_Bytes, int], tuple[int]]


def _encoding(element: str, byteOrder: str) -> _Encoding:
    """Compile the layouts of one encoding."""
    readers: list[Any] = [struct.Struct(byteOrder + layout).unpack_from for layout in (element, "HHI", "I")]
    return _Encoding(*readers)


# An implicit VR is unpacked as a string of no bytes, so that one loop reads all three encodings.
_IMPLICIT_LITTLE = _encoding("HH0sI", "<")
_EXPLICIT_LITTLE = _encoding("HH2sH", "<")
_EXPLICIT_BIG = _encoding("HH2sH", ">")
_ENCODINGS = {_IMPLICIT_LITTLE_UID: _IMPLICIT_LITTLE, _EXPLICIT_BIG_UID: _EXPLICIT_BIG}


class HeadError(ValueError):
    """The head of a data set cannot be understood, or is longer than it may be."""


class HeadReader:
    """
    Collects the values of chosen top level elements from a data set that is fed in fragments of any size.

    It is done when the element with the highest of the wanted tags has come, or any top level element beyond it. An
    element that is out of order but not beyond it is read like all others; of two with the same tag the first counts.
    No more is kept between two calls than the header (12 bytes) and the value of one wanted element.

    Besides the wanted elements there may be welcome ones: they are collected likewise, but the lack of one is no error.
    Once all wanted ones have been found, what would otherwise be an error just ends the reading.

    :ivar attributes: tag (0xGGGGEEEE) -> value as it came, padding included, for each such element found so far.
    :ivar done: whether nothing more needs to be read.
    """

    __slots__ = (
        "_allowance",
        "_depth",
        "_encoding",
        "_failure",
        "_held",
        "_last",
        "_maximumHeadLength",
        "_maximumValueLength",
        "_needed",
        "_outerDepth",
        "_outerEncoding",
        "_skip",
        "_wanted",
        "_welcome",
        "attributes",
        "done",
    )

    def __init__(
        self,
        transferSyntaxUID: str,
        wanted: Collection[int],
        maximumValueLength: int = 1024,
        maximumHeadLength: int = 1 << 20,
        welcome: Collection[int] = (),
    ) -> None:
        """
        Begin before the first byte of a data set.

        :param transferSyntaxUID: implicit VR little endian and explicit VR big endian are known by their UIDs, any
            other is read as explicit VR little endian (PS3.5 A). What is deflated has to be inflated before it is fed.
        :param wanted: tags (0xGGGGEEEE) of data elements; with none of them the reader is done at once.
        :param maximumValueLength: bound of the value of a wanted element, in bytes.
        :param maximumHeadLength: how many bytes may go by until the reader is done.
        :param welcome: tags of data elements that are collected if they come within the bounds.
        """
        self.attributes: dict[int, bytes] = {}
        self.done = not wanted and not welcome
        self._wanted, self._welcome, self._last = _search(frozenset(wanted), frozenset(welcome))
        self._maximumValueLength = maximumValueLength
        self._maximumHeadLength = maximumHeadLength
        self._allowance = maximumHeadLength
        self._outerEncoding = self._encoding = _ENCODINGS.get(transferSyntaxUID, _EXPLICIT_LITTLE)
        self._outerDepth = 0
        self._depth = 0
        self._skip = 0
        self._held = bytearray()
        self._needed = _SHORT_HEADER
        self._failure = ""

    def feed(self, fragment: memoryview | bytes) -> bool:
        """
        Read the next bytes of the data set; those after the head are ignored.

        :return: `done`.
        :raise HeadError: if an element is malformed, a wanted value is too long, sequences are nested more than 32
            deep, or the head is too long, unless all wanted elements were found before. Each further call raises the
            same error.
        """
        if self.done:
            return True
        if self._failure:
            raise HeadError(self._failure)
        try:
            self._feed(fragment)
        except HeadError:
            if not self.settle():
                raise
        return self.done

    def settle(self) -> bool:
        """
        Be done with what there is, if all wanted elements have been found.

        :return: `done`.
        """
        self.done = self.attributes.keys() >= self._wanted
        return self.done

    def _feed(self, fragment: _Bytes) -> None:
        """Read as much of a fragment as the bound allows."""
        length = len(fragment)
        if length <= self._allowance:
            self._allowance -= length
            self._read(fragment)
        else:
            self._read(memoryview(fragment)[: self._allowance])
            if not self.done:
                raise self._failed(f"head of the data set is longer than {self._maximumHeadLength} bytes")

    def _read(self, fragment: _Bytes) -> None:
        """Walk over all of a fragment, and remember what the next one begins with."""
        position = self._walk(fragment, self._stitch(fragment) if self._held else self._skip)
        self._skip = max(0, position - len(fragment))
        if position < len(fragment) and not self.done:
            self._held += fragment[position:]

    def _stitch(self, fragment: _Bytes) -> int:
        """
        Complete the element whose first bytes are held, taking no byte that is not its own.

        :return: the position in the fragment, or beyond it, at which to go on.
        """
        held = self._held
        position = 0
        while position < len(fragment) and not self.done:
            part = fragment[position : position + self._needed - len(held)]
            held += part
            position += len(part)
            following = self._walk(held, 0)
            if following:
                position += following - len(held)
                held.clear()
                self._needed = _SHORT_HEADER
                break
        return position

    def _walk(self, view: _Bytes, position: int) -> int:
        """
        Walk from one header to the next, until done or until one of them, or a wanted value, is not all there.

        :return: where the first element begins that was not read: perhaps beyond the end.
        """
        # A step that reads nothing has raised `_needed` beyond what there is.
        while position + self._needed <= len(view) and not self.done:
            if self._depth == 0:
                position = self._walkTopLevel(view, position)
            elif self._depth % 2:
                position = self._stepInSequence(view, position)
            else:
                position = self._stepInItem(view, position)
        return position

    def _walkTopLevel(self, view: _Bytes, position: int) -> int:
        """Collect and step over elements until done, until a sequence has to be entered, or until the end."""
        unpack, end = self._encoding.element, len(view)
        wanted, welcome, last, attributes = self._wanted, self._welcome, self._last, self.attributes
        while position + _SHORT_HEADER <= end:
            group, element, vr, length = unpack(view, position)
            tag = group << 16 | element
            if tag > last or group in _FOREIGN_GROUPS:
                self._leaveHead(group, tag)
                return position
            start = position + _SHORT_HEADER
            if vr not in _SHORT_VRS:
                longLength = self._longLength(tag, vr, view, position)
                if longLength is None:
                    return position
                start, length = position + _LONG_HEADER, longLength
            following = start + length
            if (tag in wanted or (tag in welcome and length <= self._maximumValueLength)) and tag not in attributes:
                if length > self._maximumValueLength:
                    raise self._failed(f"{_tagText(tag)} is longer than {self._maximumValueLength} bytes")
                if following > end:
                    self._needed = following - position
                    return position
                attributes[tag] = bytes(view[start:following])
                if tag == last:
                    self.done = True
                    return following
            elif length == _UNDEFINED:
                self._enterSequence(tag, vr)
                return start
            position = following
        return position

    def _leaveHead(self, group: int, tag: int) -> None:
        """Decide what a top level tag means that is not one of the head's: its end, or that this is no data set."""
        if group == _DELIMITER_GROUP:
            raise self._failed(f"{_tagText(tag)} outside of any sequence")
        if group in _FOREIGN_GROUPS:
            raise self._failed(f"{_tagText(tag)} does not belong into a data set")
        self.done = True

    def _stepInSequence(self, view: _Bytes, position: int) -> int:
        """Enter or step over one item, or leave the sequence (PS3.5 7.5)."""
        group, element, length = self._encoding.item(view, position)
        tag = group << 16 | element
        start = position + _SHORT_HEADER
        if tag == _SEQUENCE_DELIMITER:
            self._leaveSequence()
            return start
        if tag != _ITEM:
            raise self._failed(f"{_tagText(tag)} where an item of a sequence should be")
        if length == _UNDEFINED:
            self._depth += 1
            return start
        return start + length

    def _stepInItem(self, view: _Bytes, position: int) -> int:
        """Enter or step over one element of an item, or leave the item (PS3.5 7.5)."""
        group, element, vr, length = self._encoding.element(view, position)
        tag = group << 16 | element
        start = position + _SHORT_HEADER
        if group == _DELIMITER_GROUP:
            if tag != _ITEM_DELIMITER:
                raise self._failed(f"{_tagText(tag)} where an element of an item should be")
            self._depth -= 1
            return start
        if vr not in _SHORT_VRS:
            longLength = self._longLength(tag, vr, view, position)
            if longLength is None:
                return position
            start, length = position + _LONG_HEADER, longLength
        if length == _UNDEFINED:
            self._enterSequence(tag, vr)
            return start
        return start + length

    def _longLength(self, tag: int, vr: bytes, view: _Bytes, position: int) -> int | None:
        """
        Read the length of an element in the long explicit form, which VRs yet to be invented have too (PS3.5 6.2).

        :return: None if the header is not all there.
        """
        if not (vr.isalpha() and vr.isupper()):
            raise self._failed(f"{_tagText(tag)} has no VR")
        if position + _LONG_HEADER > len(view):
            self._needed = _LONG_HEADER
            return None
        return self._encoding.longLength(view, position + _SHORT_HEADER)[0]

    def _enterSequence(self, tag: int, vr: bytes) -> None:
        """Go into an element of undefined length, if it may have one."""
        if not self._mayBeUndefined(tag, vr):
            raise self._failed(f"{_tagText(tag)} has an undefined length")
        if self._depth >= 2 * _MAXIMUM_NESTING:
            raise self._failed(f"{_tagText(tag)} is nested more than {_MAXIMUM_NESTING} deep")
        if vr == b"UN":
            # Its sender did not know the VR either and passed it on as it was in implicit VR little endian.
            self._encoding = _IMPLICIT_LITTLE
            self._outerDepth = self._depth
        self._depth += 1

    def _mayBeUndefined(self, tag: int, vr: bytes) -> bool:
        """
        Tell whether an element is a sequence, or may be one for all we know (PS3.5 6.2.2, note 2).

        The encapsulated pixel data of an icon has the form of a sequence too, and is met within items only.
        """
        return vr in (b"", b"SQ", b"UN") or (tag == _PIXEL_DATA and vr in (b"OB", b"OW") and self._depth > 0)

    def _leaveSequence(self) -> None:
        """Go back to what is around a sequence; after the one that was of unknown VR, in its own encoding."""
        self._depth -= 1
        if self._depth == self._outerDepth:
            self._encoding = self._outerEncoding

    def _failed(self, reason: str) -> HeadError:
        """Make the error to raise, now and from then on."""
        self._failure = reason
        return HeadError(reason)


@lru_cache(maxsize=64)
def _search(wanted: frozenset[int], welcome: frozenset[int]) -> tuple[frozenset[int], frozenset[int], int]:
    """Tell what is wanted, what is only welcome, and the highest tag of them all; few readers want anything new."""
    return wanted, welcome - wanted, max(wanted | welcome, default=0)


def _tagText(tag: int) -> str:
    """Write a tag as the standard does."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def uidValue(value: bytes | None) -> str:
    """
    Decode the value of an element of VR UI, without the padding at its end: NULs, or the spaces some machines send.

    The result is not checked otherwise, see `txdicom.uids.isValidUID`.

    :return: the empty string for None, and for what is not ASCII.
    """
    if value is None or not value.isascii():
        return ""
    return value.rstrip(b"\0 ").decode("ascii")
