"""
Command sets: the messages of `txdicom.dimse.commands` as bytes, and back.

A command set is always implicit VR little endian and holds elements of group 0000 only (PS3.7 6.3.1). The two messages
that come and go with every instance have a shorter way here; all the others go by their elements, one after the other.

`decodeCommand` takes what comes from the wire and raises `MessageError` only; `encodeCommand` takes what our own
callers made and raises `LocalProtocolError` for values that no command set can hold.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from txdicom.dimse.commands import (
    DATA_SET_PRESENT,
    NO_DATA_SET,
    RESPONSE_BIT,
    CCancelRQ,
    CEchoRQ,
    CEchoRSP,
    Command,
    CommandField,
    CStoreRQ,
    CStoreRSP,
    GenericCommand,
    SpecificCommand,
)
from txdicom.dimse.elements import (
    ELEMENTS,
    Tag,
    Value,
    decodeUID,
    decodeValue,
    encodeElement,
    encodeHeader,
    joinElements,
    splitElements,
    vrOf,
    withGroupLength,
)
from txdicom.errors import LocalProtocolError, MessageError

__all__ = ["decodeCommand", "elementsOf", "encodeCommand"]

_RESPONSE_ELEMENTS = (
    (Tag.AFFECTED_SOP_CLASS_UID, "affectedSOPClassUID"),
    (Tag.COMMAND_FIELD, "commandField"),
    (Tag.MESSAGE_ID_BEING_RESPONDED_TO, "messageIDBeingRespondedTo"),
    (Tag.COMMAND_DATA_SET_TYPE, "hasDataSet"),
    (Tag.STATUS, "status"),
    (Tag.OFFENDING_ELEMENT, "offendingElements"),
    (Tag.ERROR_COMMENT, "errorComment"),
)
# Class -> its elements in ascending order, and the attributes that hold them.
_LAYOUTS: dict[type[SpecificCommand], tuple[tuple[int, str], ...]] = {
    CStoreRQ: (
        (Tag.AFFECTED_SOP_CLASS_UID, "affectedSOPClassUID"),
        (Tag.COMMAND_FIELD, "commandField"),
        (Tag.MESSAGE_ID, "messageID"),
        (Tag.PRIORITY, "priority"),
        (Tag.COMMAND_DATA_SET_TYPE, "hasDataSet"),
        (Tag.AFFECTED_SOP_INSTANCE_UID, "affectedSOPInstanceUID"),
        (Tag.MOVE_ORIGINATOR_AE_TITLE, "moveOriginatorAETitle"),
        (Tag.MOVE_ORIGINATOR_MESSAGE_ID, "moveOriginatorMessageID"),
    ),
    CStoreRSP: (*_RESPONSE_ELEMENTS, (Tag.AFFECTED_SOP_INSTANCE_UID, "affectedSOPInstanceUID")),
    CEchoRQ: (
        (Tag.AFFECTED_SOP_CLASS_UID, "affectedSOPClassUID"),
        (Tag.COMMAND_FIELD, "commandField"),
        (Tag.MESSAGE_ID, "messageID"),
        (Tag.COMMAND_DATA_SET_TYPE, "hasDataSet"),
    ),
    CEchoRSP: _RESPONSE_ELEMENTS,
    CCancelRQ: (
        (Tag.COMMAND_FIELD, "commandField"),
        (Tag.MESSAGE_ID_BEING_RESPONDED_TO, "messageIDBeingRespondedTo"),
        (Tag.COMMAND_DATA_SET_TYPE, "hasDataSet"),
    ),
}
_CLASSES = {int(kind.commandField): kind for kind in _LAYOUTS}


def elementsOf(command: Command) -> list[tuple[int, str, Value]]:
    """
    List the elements of a command in the order they are sent in, without the group length.

    :return: tag, VR ("UN" for tags that are not in `ELEMENTS`) and value of each.
    """
    values: dict[int, Value | None]
    if isinstance(command, GenericCommand):
        values = {Tag.COMMAND_DATA_SET_TYPE: NO_DATA_SET, **command.elements, Tag.COMMAND_FIELD: command.commandField}
        values.pop(Tag.GROUP_LENGTH, None)
        values = dict(sorted(values.items()))
    else:
        values = {tag: getattr(command, name) for tag, name in _LAYOUTS[type(command)]}
        values[Tag.COMMAND_DATA_SET_TYPE] = DATA_SET_PRESENT if command.hasDataSet else NO_DATA_SET
        for tag in (Tag.OFFENDING_ELEMENT, Tag.ERROR_COMMENT):
            values[tag] = values.get(tag) or None
    return [(tag, vrOf(tag), value) for tag, value in values.items() if value is not None]


def decodeCommand(data: bytes | bytearray | memoryview) -> Command:
    """
    Decode a whole command set.

    :param data: every byte of it, group length first as a rule; not kept.
    :raises MessageError: it is cut short, or has an element that is repeated, of another group or of a wrong length,
        or lacks one that tells what it is: Command Field, Message ID (being responded to), Command Data Set Type, and
        Status in a response. Nothing else is ever raised.
    """
    whole = data if type(data) is bytes else bytes(data)
    usual = _decodeUsualStoreRQ(whole)
    if usual is not None:
        return usual
    return _decodeAgain(whole) if len(whole) <= _LONGEST_REMEMBERED else _decodeElements(whole)


def _decodeElements(data: bytes) -> Command:
    """Decode any command set."""
    values: dict[int, Value] = {}
    for tag, encoded in splitElements(data).items():
        value = decodeValue(tag, encoded)
        if value is not None:
            values[tag] = value
    values.pop(Tag.GROUP_LENGTH, None)
    commandField = values.pop(Tag.COMMAND_FIELD, None)
    if not isinstance(commandField, int):
        raise MessageError("command set has no CommandField")
    _checkComplete(commandField, values)
    kind = _CLASSES.get(commandField)
    if kind is None:
        return GenericCommand(commandField, values)
    fields: dict[str, Any] = {name: values[tag] for tag, name in _LAYOUTS[kind] if tag in values}
    fields["hasDataSet"] = values[Tag.COMMAND_DATA_SET_TYPE] != NO_DATA_SET
    # A request without its UIDs can still be answered with a status, and a response may well have none.
    for tag, name in _LAYOUTS[kind]:
        if tag in (Tag.AFFECTED_SOP_CLASS_UID, Tag.AFFECTED_SOP_INSTANCE_UID):
            fields.setdefault(name, "" if kind.isRequest else None)
    return kind(**fields)


#: Monitors send the same C-ECHO-RQ again and again: command sets up to so many bytes are remembered, the last few.
_LONGEST_REMEMBERED = 1 << 7
_decodeAgain = lru_cache(maxsize=64)(_decodeElements)


def _checkComplete(commandField: int, values: Mapping[int, Value]) -> None:
    """Raise `MessageError` where something is missing without which nobody could answer, or take, the message."""
    isResponse = commandField & RESPONSE_BIT
    refersBack = isResponse or commandField == CommandField.C_CANCEL_RQ
    messageID = Tag.MESSAGE_ID_BEING_RESPONDED_TO if refersBack else Tag.MESSAGE_ID
    for tag in (Tag.COMMAND_DATA_SET_TYPE, messageID, Tag.STATUS if isResponse else messageID):
        if tag not in values:
            raise MessageError(f"command 0x{commandField:04X} has no {ELEMENTS[tag][1]}")


# The C-STORE-RQ that nearly every peer sends has its elements in order and no move originator, so that all of it but
# the UIDs is at a known distance. It takes half the time of `_decodeElements`, which has the last word on the others.
_STORE_RQ_START = struct.Struct("<8s4x4sI")
_STORE_RQ_MIDDLE = struct.Struct("<18sH8sH8sH4sI")
_STORE_RQ_USUAL = (
    encodeHeader(Tag.GROUP_LENGTH, 4),
    encodeHeader(Tag.AFFECTED_SOP_CLASS_UID, 0)[:4],
    encodeElement(Tag.COMMAND_FIELD, "US", CommandField.C_STORE_RQ) + encodeHeader(Tag.MESSAGE_ID, 2),
    encodeHeader(Tag.PRIORITY, 2),
    encodeHeader(Tag.COMMAND_DATA_SET_TYPE, 2),
    encodeHeader(Tag.AFFECTED_SOP_INSTANCE_UID, 0)[:4],
)


def _decodeUsualStoreRQ(data: bytes) -> CStoreRQ | None:
    """Decode a C-STORE-RQ of the usual layout; None for anything else, be it right or wrong."""
    start, middle = _STORE_RQ_START, _STORE_RQ_MIDDLE
    try:
        a, b, length = start.unpack_from(data)
        if length > len(data):
            return None
        position = start.size + length
        c, messageID, d, priority, e, dataSetType, f, lastLength = middle.unpack_from(data, position)
    except struct.error:
        return None
    last = position + middle.size
    if (a, b, c, d, e, f) != _STORE_RQ_USUAL or last + lastLength != len(data):
        return None
    classUID = _decodedClass(data[start.size : position])
    return CStoreRQ(messageID, classUID, decodeUID(data[last:]), priority, None, None, dataSetType != NO_DATA_SET)


#: There are many instances of few classes.
_decodedClass = lru_cache(maxsize=256)(decodeUID)


def encodeCommand(command: Command) -> bytes:
    """
    Encode a whole command set, group length first.

    An error comment is cut to 64 characters, and replaced in it is what is not printable ASCII (PS3.7 C.5).

    :raises LocalProtocolError: a number, UID or AE title does not fit its element.
    """
    if isinstance(command, (CStoreRSP, CEchoRSP)) and not (
        command.errorComment or command.offendingElements or command.hasDataSet or command.affectedSOPClassUID is None
    ):
        return _encodePlainResponse(command, command.affectedSOPClassUID)
    return joinElements(elementsOf(command))


# A response that says no more than its status answers nearly every request. Two numbers and the SOP Instance UID are
# all that is new in most of them.
_RESPONSE_MIDDLE = struct.Struct("<H18sH")
_UNTIL_STATUS = encodeElement(Tag.COMMAND_DATA_SET_TYPE, "US", NO_DATA_SET) + encodeHeader(Tag.STATUS, 2)
_UNTIL_MESSAGE_ID = {
    commandField: encodeElement(Tag.COMMAND_FIELD, "US", commandField)
    + encodeHeader(Tag.MESSAGE_ID_BEING_RESPONDED_TO, 2)
    for commandField in (CommandField.C_STORE_RSP, CommandField.C_ECHO_RSP)
}


def _encodePlainResponse(command: CStoreRSP | CEchoRSP, affectedSOPClassUID: str) -> bytes:
    """Encode a response without error comment, offending elements and data set."""
    messageID, status = command.messageIDBeingRespondedTo, command.status
    try:
        middle = _RESPONSE_MIDDLE.pack(messageID, _UNTIL_STATUS, status)
    except struct.error:
        raise LocalProtocolError(f"{messageID!r} is no Message ID, or {status!r} no Status") from None
    instance = b""
    if type(command) is CStoreRSP and command.affectedSOPInstanceUID is not None:
        instance = encodeElement(Tag.AFFECTED_SOP_INSTANCE_UID, "UI", command.affectedSOPInstanceUID)
    return _responseStart(command.commandField, affectedSOPClassUID, len(instance)) + middle + instance


@lru_cache(maxsize=256)
def _responseStart(commandField: CommandField, affectedSOPClassUID: str, instanceLength: int) -> bytes:
    """Encode all that comes before the Message ID Being Responded To."""
    start = encodeElement(Tag.AFFECTED_SOP_CLASS_UID, "UI", affectedSOPClassUID) + _UNTIL_MESSAGE_ID[commandField]
    rest = bytes(_RESPONSE_MIDDLE.size + instanceLength)
    return withGroupLength(start + rest)[: -len(rest)]
