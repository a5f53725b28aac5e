"""DICOM's wire format as these tests read it: written apart from txdicom, to be its judge."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.interop.relay import Conversation

__all__ = ["ABORT", "AC", "DATA", "RELEASE_RP", "RELEASE_RQ", "RJ", "RQ", "Exchange", "Message", "pdus"]

#: PDU types (PS3.8 9.3).
RQ, AC, RJ, DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
#: Where the variable items of an A-ASSOCIATE-RQ or -AC begin in its body.
_ITEMS = 68


@dataclass
class Message:
    """A DIMSE message: its command set by tag, and the bytes of its data set, if one came."""

    contextID: int
    command: dict[int, bytes]
    dataSet: bytearray = field(default_factory=bytearray)

    def number(self, tag: int) -> int:
        """An element of the command set that holds a number."""
        return int.from_bytes(self.command[tag], "little")

    def text(self, tag: int) -> str:
        """An element of the command set that holds text, without its padding."""
        return self.command[tag].decode("ascii").rstrip("\0 ")


def pdus(stream: bytes) -> list[tuple[int, bytes]]:
    """Split a stream into types and bodies of PDUs; it has to end with one."""
    found, position = [], 0
    while position < len(stream):
        kind, length = struct.unpack_from(">BxI", stream, position)
        found.append((kind, stream[position + 6 : position + 6 + length]))
        position += 6 + length
    if position != len(stream):
        raise ValueError("the stream ends within a PDU")
    return found


def messages(stream: bytes) -> list[Message]:
    """Put the messages together that a stream carries."""
    found: list[Message] = []
    command = b""
    for kind, body in pdus(stream):
        position = 0
        while kind == DATA and position < len(body):
            length, contextID, control = struct.unpack_from(">IBB", body, position)
            fragment = body[position + 6 : position + 4 + length]
            position += 4 + length
            if not control & 1:
                found[-1].dataSet += fragment
                continue
            command += fragment
            if control & 2:
                found.append(Message(contextID, dict(_elements(command))))
                command = b""
    return found


def _elements(command: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(command):
        group, element, length = struct.unpack_from("<HHI", command, position)
        yield group << 16 | element, command[position + 8 : position + 8 + length]
        position += 8 + length


def _items(body: bytes) -> list[tuple[int, bytes]]:
    found, position = [], 0
    while position < len(body):
        kind, length = struct.unpack_from(">BxH", body, position)
        found.append((kind, body[position + 4 : position + 4 + length]))
        position += 4 + length
    return found


def _uid(value: bytes) -> str:
    return value.decode("ascii").rstrip("\0 ")


class Exchange:
    """
    One conversation, understood.

    :ivar sent: types and bodies of the sender's PDUs.
    :ivar received: those of the receiver's.
    :ivar proposed: presentation context ID -> abstract syntax, and transfer syntaxes in the sender's order.
    :ivar answered: presentation context ID -> result, and transfer syntax.
    :ivar requests: the messages that the sender sent.
    :ivar responses: the messages that it was answered with.
    """

    def __init__(self, conversation: Conversation) -> None:
        self.sent = pdus(conversation.sent)
        self.received = pdus(conversation.answered)
        self.requests = messages(conversation.sent)
        self.responses = messages(conversation.answered)
        self.proposed: dict[int, tuple[str, list[str]]] = {}
        self.answered: dict[int, tuple[int, str]] = {}
        for body in self.bodies(RQ):
            for item in _contexts(body, 0x20):
                (abstract, *transfers) = [_uid(value) for _, value in _items(item[4:])]
                self.proposed[item[0]] = (abstract, transfers)
        for body in self.bodies(AC):
            for item in _contexts(body, 0x21):
                ((_, transfer),) = _items(item[4:])
                self.answered[item[0]] = (item[2], _uid(transfer))

    def bodies(self, kind: int) -> list[bytes]:
        """The bodies of all PDUs of a type, whoever sent them."""
        return [body for known, body in self.sent + self.received if known == kind]

    @property
    def kinds(self) -> tuple[list[int], list[int]]:
        """The types of the PDUs of either side; P-DATA-TF in a row count as one."""
        return _abridged(self.sent), _abridged(self.received)

    @property
    def callingAETitle(self) -> str:
        """Who requested the association."""
        (request,) = self.bodies(RQ)
        return request[20:36].decode("ascii").strip()

    @property
    def statuses(self) -> list[int]:
        """The status of every response, in order."""
        return [response.number(0x00000900) for response in self.responses]

    def userInformation(self, kind: int) -> dict[int, list[bytes]]:
        """The user information sub-items of the RQ or AC by their type (PS3.7 D.3.3)."""
        found: dict[int, list[bytes]] = {}
        for body in self.bodies(kind):
            for itemType, value in _items(body[_ITEMS:]):
                if itemType == 0x50:
                    for subType, subValue in _items(value):
                        found.setdefault(subType, []).append(subValue)
        return found


def _contexts(body: bytes, kind: int) -> list[bytes]:
    return [value for known, value in _items(body[_ITEMS:]) if known == kind]


def _abridged(sequence: list[tuple[int, bytes]]) -> list[int]:
    kinds: list[int] = []
    for kind, _ in sequence:
        if kind != DATA or kinds[-1:] != [DATA]:
            kinds.append(kind)
    return kinds
