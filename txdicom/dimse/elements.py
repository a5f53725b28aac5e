"""
The elements that a command set is made of: their table, and the codec of their values.

This is implicit VR little endian for group 0000 and nothing else (PS3.7 6.3.1 and E.1). Which elements make up which
message is the business of `txdicom.dimse.commandsets`. What peers get wrong without harm is put up with: any group
length, any order, values padded or not.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from txdicom.errors import LocalProtocolError, MessageError

__all__ = [
    "ELEMENTS",
    "Tag",
    "Value",
    "decodeUID",
    "decodeValue",
    "encodeElement",
    "encodeHeader",
    "encodeUID",
    "joinElements",
    "splitElements",
    "vrOf",
    "withGroupLength",
]

#: The value of an element: US -> int, AT -> tuple of 0xGGGGEEEE, text and UIDs -> str, tags not in `ELEMENTS` -> bytes.
Value: TypeAlias = int | str | tuple[int, ...] | bytes


class Tag:
    """The tags that the library itself works with; plain integers, for the decoder's sake."""

    GROUP_LENGTH = 0x0000
    AFFECTED_SOP_CLASS_UID = 0x0002
    REQUESTED_SOP_CLASS_UID = 0x0003
    COMMAND_FIELD = 0x0100
    MESSAGE_ID = 0x0110
    MESSAGE_ID_BEING_RESPONDED_TO = 0x0120
    PRIORITY = 0x0700
    COMMAND_DATA_SET_TYPE = 0x0800
    STATUS = 0x0900
    OFFENDING_ELEMENT = 0x0901
    ERROR_COMMENT = 0x0902
    AFFECTED_SOP_INSTANCE_UID = 0x1000
    REQUESTED_SOP_INSTANCE_UID = 0x1001
    MOVE_ORIGINATOR_AE_TITLE = 0x1030
    MOVE_ORIGINATOR_MESSAGE_ID = 0x1031


#: Tag -> VR and keyword of the command elements that are not retired (PS3.7 E.1), but for the group length.
ELEMENTS: dict[int, tuple[str, str]] = {
    0x0002: ("UI", "AffectedSOPClassUID"),
    0x0003: ("UI", "RequestedSOPClassUID"),
    0x0100: ("US", "CommandField"),
    0x0110: ("US", "MessageID"),
    0x0120: ("US", "MessageIDBeingRespondedTo"),
    0x0600: ("AE", "MoveDestination"),
    0x0700: ("US", "Priority"),
    0x0800: ("US", "CommandDataSetType"),
    0x0900: ("US", "Status"),
    0x0901: ("AT", "OffendingElement"),
    0x0902: ("LO", "ErrorComment"),
    0x0903: ("US", "ErrorID"),
    0x1000: ("UI", "AffectedSOPInstanceUID"),
    0x1001: ("UI", "RequestedSOPInstanceUID"),
    0x1002: ("US", "EventTypeID"),
    0x1005: ("AT", "AttributeIdentifierList"),
    0x1008: ("US", "ActionTypeID"),
    0x1020: ("US", "NumberOfRemainingSuboperations"),
    0x1021: ("US", "NumberOfCompletedSuboperations"),
    0x1022: ("US", "NumberOfFailedSuboperations"),
    0x1023: ("US", "NumberOfWarningSuboperations"),
    0x1030: ("AE", "MoveOriginatorApplicationEntityTitle"),
    0x1031: ("US", "MoveOriginatorMessageID"),
}

_MAX_UID = 64
_MAX_AE = 16
_MAX_COMMENT = 64
# A comment is of the default character repertoire, without control characters (PS3.7 C.5, PS3.5 6.1); a backslash would
# make it two values.
_COMMENT_BYTES = bytes.maketrans(bytes([*range(0x20), 0x7F, 0x5C]), b"?" * 33 + b"/")

_HEADER = struct.Struct("<HHI")
_GROUP_LENGTH = struct.Struct("<HHII")
_NUMBER = struct.Struct("<H")
_TAG = struct.Struct("<HH")


def vrOf(tag: int) -> str:
    """Give the VR of a command element, "UN" for one that is retired or unknown."""
    known = ELEMENTS.get(tag)
    return known[0] if known else "UN"


def splitElements(data: bytes) -> dict[int, bytes]:
    """
    Take a command set apart without looking at any value.

    :return: tag -> value as it came, in the order of arrival.
    :raises MessageError: truncated, longer than its elements say, outside of group 0000, or with an element repeated.
    """
    unpackHeader = _HEADER.unpack_from
    elements: dict[int, bytes] = {}
    position = groups = 0
    end = len(data)
    try:
        while position < end:
            group, tag, length = unpackHeader(data, position)
            position += 8
            if tag in elements:
                raise MessageError(f"command set has element ({group:04X},{tag:04X}) twice")
            elements[tag] = data[position : position + length]
            position += length
            groups |= group
    except struct.error:
        raise MessageError("command set ends within the header of an element") from None
    if position != end:
        raise MessageError("command set ends within the value of an element")
    if groups:
        raise MessageError("command set has an element outside of group 0000")
    return elements


def joinElements(elements: Iterable[tuple[int, str, Value]]) -> bytes:
    """
    Encode a whole command set, group length included.

    :param elements: tag, VR and value of each, in ascending order of tags.
    :raises LocalProtocolError: a value does not fit its VR.
    """
    return withGroupLength(b"".join([encodeElement(*element) for element in elements]))


def withGroupLength(body: bytes) -> bytes:
    """Put the group length before the other elements, which makes a command set of them."""
    return _GROUP_LENGTH.pack(0, Tag.GROUP_LENGTH, 4, len(body)) + body


def encodeHeader(tag: int, length: int) -> bytes:
    """Encode what comes before a value of `length` bytes."""
    return _HEADER.pack(0, tag, length)


def encodeElement(tag: int, vr: str, value: Value) -> bytes:
    """
    Encode one element with its header.

    :raises LocalProtocolError: the value does not fit the VR.
    """
    try:
        encoded = _ENCODERS[vr](value)
        return _HEADER.pack(0, tag, len(encoded)) + encoded
    except (struct.error, UnicodeEncodeError, AttributeError, TypeError):
        raise LocalProtocolError(f"element (0000,{tag:04X}) of VR {vr} cannot be {value!r}") from None


def decodeValue(tag: int, encoded: bytes) -> Value | None:
    """
    Decode the value of one element.

    :return: None for a number that is empty, which is as good as one that was not sent; `encoded` for unknown tags.
    :raises MessageError: the value is not one of the element's VR.
    """
    try:
        return _DECODERS[vrOf(tag)](encoded)
    except struct.error:
        raise MessageError(f"element (0000,{tag:04X}) has a wrong value of {len(encoded)} bytes") from None


def decodeUID(encoded: bytes) -> str:
    """
    Decode a UID without its padding; whether it is a well-formed one is not looked at.

    What can be none, because it is not ASCII or longer than 64 characters (PS3.5 9.1), is decoded as "", as if it had
    not been sent: the request is then refused with a status, and the association lives on.
    """
    uid = encoded.rstrip(b"\0 ")
    return uid.decode("ascii") if len(uid) <= _MAX_UID and uid.isascii() else ""


def encodeUID(uid: str) -> bytes:
    """
    Encode a UID, padded to even length.

    :raises LocalProtocolError: not ASCII, or longer than 64 characters.
    """
    if len(uid) > _MAX_UID or not uid.isascii():
        raise LocalProtocolError(f"{uid!r} is no UID")
    return (uid + "\0" if len(uid) & 1 else uid).encode("ascii")


def _decodeNumber(encoded: bytes) -> int | None:
    return _NUMBER.unpack(encoded)[0] if encoded else None


def _decodeTags(encoded: bytes) -> tuple[int, ...]:
    return tuple([group << 16 | element for group, element in _TAG.iter_unpack(encoded)])


def _decodeText(encoded: bytes) -> str:
    return encoded.decode("latin-1").strip(" \0")


def _encodeTags(tags: tuple[int, ...]) -> bytes:
    return b"".join([_TAG.pack(tag >> 16, tag & 0xFFFF) for tag in tags])


def _encodeTitle(title: str) -> bytes:
    if len(title) > _MAX_AE:
        raise LocalProtocolError(f"{title!r} is too long for an AE title")
    return _padded(title.encode("latin-1"))


def _encodeComment(comment: str) -> bytes:
    return _padded(comment[:_MAX_COMMENT].encode("ascii", "replace").translate(_COMMENT_BYTES))


def _padded(text: bytes) -> bytes:
    return text + b" " if len(text) & 1 else text


# Elements that the table does not have are kept as they came.
_DECODERS: dict[str, Callable[[bytes], Value | None]] = {
    "AE": _decodeText,
    "AT": _decodeTags,
    "LO": _decodeText,
    "UI": decodeUID,
    "UN": bytes,
    "US": _decodeNumber,
}
_ENCODERS: dict[str, Callable[[Any], bytes]] = {
    "AE": _encodeTitle,
    "AT": _encodeTags,
    "LO": _encodeComment,
    "UI": encodeUID,
    "UN": lambda value: value,
    "US": _NUMBER.pack,
}
