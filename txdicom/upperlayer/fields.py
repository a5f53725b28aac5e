"""
The fields that items and PDUs are made of: numbers, counted bytes, UIDs, and sequences of items (PS3.8 9.3.1).

What a peer got wrong raises `PDUError` (invalid PDU parameter value), what our own caller got wrong
`LocalProtocolError`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, TypeAlias

from txdicom.errors import AbortReason, LocalProtocolError, PDUError

__all__ = [
    "MAX_UID_LENGTH",
    "FieldReader",
    "ItemType",
    "Octets",
    "decodeUID",
    "encodeCounted",
    "encodeItem",
    "encodeNumber",
    "encodeUID",
    "invalid",
    "walkItems",
]

#: What a decoder reads from; it keeps no reference to it.
Octets: TypeAlias = bytes | memoryview

#: Characters in a UID (PS3.5 9.1).
MAX_UID_LENGTH: Final = 64

_ITEM_HEADER: Final = struct.Struct(">BBH")


class ItemType(IntEnum):
    """The first byte of each item and sub-item that has a meaning here."""

    APPLICATION_CONTEXT = 0x10
    PRESENTATION_CONTEXT_RQ = 0x20
    PRESENTATION_CONTEXT_AC = 0x21
    ABSTRACT_SYNTAX = 0x30
    TRANSFER_SYNTAX = 0x40
    USER_INFORMATION = 0x50
    MAXIMUM_LENGTH = 0x51
    IMPLEMENTATION_CLASS_UID = 0x52
    ASYNCHRONOUS_OPERATIONS_WINDOW = 0x53
    ROLE_SELECTION = 0x54
    IMPLEMENTATION_VERSION_NAME = 0x55
    EXTENDED_NEGOTIATION = 0x56
    COMMON_EXTENDED_NEGOTIATION = 0x57
    USER_IDENTITY_RQ = 0x58
    USER_IDENTITY_AC = 0x59


def invalid(message: str) -> PDUError:
    """Make the error for a parameter whose value, or whose length, is not allowed."""
    return PDUError(AbortReason.INVALID_PDU_PARAMETER_VALUE, message)


class FieldReader:
    """
    Reads the fields of one item or PDU from first to last.

    :param octets: what to read from.
    """

    __slots__ = ("_octets", "_offset")

    def __init__(self, octets: Octets) -> None:
        self._octets = octets
        self._offset = 0

    def take(self, size: int, name: str) -> Octets:
        """
        Return the next `size` bytes.

        :param name: what they are, for the error's message.
        :raises PDUError: if fewer than that are left.
        """
        end = self._offset + size
        if end > len(self._octets):
            left = len(self._octets) - self._offset
            raise invalid(f"{name} has {size} bytes, but only {left} are left of what contains it")
        taken = self._octets[self._offset : end]
        self._offset = end
        return taken

    def number(self, size: int, name: str) -> int:
        """Return the next `size` bytes as an unsigned number; errors as for `take`."""
        return int.from_bytes(self.take(size, name), "big")

    def counted(self, name: str) -> Octets:
        """Return the bytes that a two byte length announces; errors as for `take`."""
        return self.take(self.number(2, f"length of {name}"), name)

    def rest(self) -> Octets:
        """Return all that is left."""
        taken = self._octets[self._offset :]
        self._offset = len(self._octets)
        return taken

    def __bool__(self) -> bool:
        return self._offset < len(self._octets)


def walkItems(octets: Octets, container: str) -> Iterator[tuple[int, int, Octets]]:
    """
    Go through a sequence of items, which must fill `octets` exactly.

    :param container: what the items are in, for the error's message.
    :return: of each its type, the second byte of its header (reserved in all but one kind), and its value.
    :raises PDUError: if an item or its header runs past the end.
    """
    offset, end = 0, len(octets)
    while offset < end:
        start = offset + _ITEM_HEADER.size
        if start > end:
            raise invalid(f"{end - offset} bytes at the end of {container} are too few for an item header")
        itemType, second, length = _ITEM_HEADER.unpack_from(octets, offset)
        offset = start + length
        if offset > end:
            raise invalid(f"item 0x{itemType:02X} has {length} bytes, but {container} has only {end - start} left")
        yield itemType, second, octets[start:offset]


def encodeNumber(value: int, size: int, name: str) -> bytes:
    """
    Encode an unsigned number in `size` bytes, most significant first.

    :param name: what it is, for the error's message.
    :raises LocalProtocolError: if it does not fit.
    """
    try:
        return value.to_bytes(size, "big")
    except OverflowError:
        raise LocalProtocolError(f"{name} {value} does not fit in {size} bytes") from None


def encodeItem(itemType: int, value: bytes, second: int = 0) -> bytes:
    """
    Put an item header before `value`.

    :param second: the second byte of the header.
    :raises LocalProtocolError: if `value` is longer than the 65535 bytes that an item can hold.
    """
    header = encodeNumber(itemType, 1, "item type") + encodeNumber(second, 1, "second byte of item header")
    return header + encodeCounted(value, f"item 0x{itemType:02X}")


def encodeUID(uid: str, name: str) -> bytes:
    """
    Encode a UID, unpadded as PS3.8 Annex F wants it.

    :param name: what it is, for the error's message.
    :raises LocalProtocolError: if it is not ASCII or has more than `MAX_UID_LENGTH` characters.
    """
    if not uid.isascii() or len(uid) > MAX_UID_LENGTH:
        raise LocalProtocolError(f"{name} {uid!r} is not ASCII of at most {MAX_UID_LENGTH} characters")
    return uid.encode("ascii")


def decodeUID(octets: Octets, name: str) -> str:
    """
    Decode a UID without the spaces and NULs that some peers pad it with.

    Its syntax is not looked at: negotiation will simply not know a UID that is none.

    :param name: what it is, for the error's message.
    :raises PDUError: if it is not ASCII or has more than `MAX_UID_LENGTH` characters.
    """
    try:
        uid = str(octets, "ascii").rstrip("\0 ")
    except UnicodeDecodeError:
        raise invalid(f"{name} is not ASCII") from None
    if len(uid) > MAX_UID_LENGTH:
        raise invalid(f"{name} has {len(uid)} characters, more than {MAX_UID_LENGTH}")
    return uid


def encodeCounted(value: bytes, name: str) -> bytes:
    """Put a two byte length before `value`; errors as for `encodeNumber`."""
    return encodeNumber(len(value), 2, f"length of {name}") + value
