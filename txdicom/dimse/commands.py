"""
The messages of PS3.7, as immutable values.

Those that a storage receiver meets for every instance have classes of their own; all the others are a `GenericCommand`,
which keeps its elements by tag. All of them have `commandField`, `isRequest` and `hasDataSet`; requests have
`messageID`, responses (and C-CANCEL) `messageIDBeingRespondedTo`, responses `status`. How they are put into bytes is
the business of `txdicom.dimse.commandsets`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar, TypeAlias

from txdicom.dimse.elements import ELEMENTS, Tag, Value
from txdicom.errors import LocalProtocolError

__all__ = [
    "DATA_SET_PRESENT",
    "ELEMENTS",
    "NO_DATA_SET",
    "RESPONSE_BIT",
    "CCancelRQ",
    "CEchoRQ",
    "CEchoRSP",
    "CStoreRQ",
    "CStoreRSP",
    "Command",
    "CommandField",
    "GenericCommand",
    "Request",
    "Response",
    "SpecificCommand",
    "Value",
    "responseTo",
]

#: Command Data Set Type (0000,0800) of a message without a data set (PS3.7 E.1).
NO_DATA_SET = 0x0101
#: What we send for a message with one; any value but `NO_DATA_SET` says so on receipt.
DATA_SET_PRESENT = 0x0000
#: The bit of Command Field that tells a response from a request.
RESPONSE_BIT = 0x8000

_VERIFICATION = "1.2.840.10008.1.1"


class CommandField(IntEnum):
    """Values of Command Field (0000,0100) (PS3.7 E.1)."""

    C_STORE_RQ = 0x0001
    C_STORE_RSP = 0x8001
    C_GET_RQ = 0x0010
    C_GET_RSP = 0x8010
    C_FIND_RQ = 0x0020
    C_FIND_RSP = 0x8020
    C_MOVE_RQ = 0x0021
    C_MOVE_RSP = 0x8021
    C_ECHO_RQ = 0x0030
    C_ECHO_RSP = 0x8030
    C_CANCEL_RQ = 0x0FFF
    N_EVENT_REPORT_RQ = 0x0100
    N_EVENT_REPORT_RSP = 0x8100
    N_GET_RQ = 0x0110
    N_GET_RSP = 0x8110
    N_SET_RQ = 0x0120
    N_SET_RSP = 0x8120
    N_ACTION_RQ = 0x0130
    N_ACTION_RSP = 0x8130
    N_CREATE_RQ = 0x0140
    N_CREATE_RSP = 0x8140
    N_DELETE_RQ = 0x0150
    N_DELETE_RSP = 0x8150


@dataclass(frozen=True, slots=True)
class CStoreRQ:
    """
    Asks to store one instance, which follows as the data set (PS3.7 9.3.1.1).

    :ivar affectedSOPClassUID: "" where the peer sent none, which a provider refuses with a status.
    :ivar affectedSOPInstanceUID: likewise.
    :ivar priority: 0 medium, 1 high, 2 low; unchecked.
    :ivar moveOriginatorAETitle: who asked for the C-MOVE that this is part of, if it is.
    """

    commandField: ClassVar[CommandField] = CommandField.C_STORE_RQ
    isRequest: ClassVar[bool] = True

    messageID: int
    affectedSOPClassUID: str
    affectedSOPInstanceUID: str
    priority: int = 0
    moveOriginatorAETitle: str | None = None
    moveOriginatorMessageID: int | None = None
    hasDataSet: bool = True


@dataclass(frozen=True, slots=True)
class CStoreRSP:
    """
    Tells how a C-STORE ended (PS3.7 9.3.1.2).

    :ivar errorComment: cut to 64 characters when it is sent.
    :ivar offendingElements: tags as 0xGGGGEEEE.
    """

    commandField: ClassVar[CommandField] = CommandField.C_STORE_RSP
    isRequest: ClassVar[bool] = False

    messageIDBeingRespondedTo: int
    status: int
    affectedSOPClassUID: str | None
    affectedSOPInstanceUID: str | None
    errorComment: str = ""
    offendingElements: tuple[int, ...] = ()
    hasDataSet: bool = False


@dataclass(frozen=True, slots=True)
class CEchoRQ:
    """Asks whether anybody is there (PS3.7 9.3.5.1)."""

    commandField: ClassVar[CommandField] = CommandField.C_ECHO_RQ
    isRequest: ClassVar[bool] = True

    messageID: int
    affectedSOPClassUID: str = _VERIFICATION
    hasDataSet: bool = False


@dataclass(frozen=True, slots=True)
class CEchoRSP:
    """Answers a C-ECHO (PS3.7 9.3.5.2); the error fields are those of `CStoreRSP`."""

    commandField: ClassVar[CommandField] = CommandField.C_ECHO_RSP
    isRequest: ClassVar[bool] = False

    messageIDBeingRespondedTo: int
    status: int
    affectedSOPClassUID: str | None
    errorComment: str = ""
    offendingElements: tuple[int, ...] = ()
    hasDataSet: bool = False


@dataclass(frozen=True, slots=True)
class CCancelRQ:
    """Asks to end a running C-FIND, C-GET or C-MOVE early (PS3.7 9.3.2.3); nothing answers it."""

    commandField: ClassVar[CommandField] = CommandField.C_CANCEL_RQ
    isRequest: ClassVar[bool] = True

    messageIDBeingRespondedTo: int
    hasDataSet: bool = False


@dataclass(frozen=True, slots=True)
class GenericCommand:
    """
    Any other message, known or not, by its elements.

    The number properties raise `LocalProtocolError` where the element is missing, which in a decoded message they never
    do for what its kind (request or response) has to have.

    :ivar commandField: an int that `CommandField` need not have.
    :ivar elements: tag -> value, without group length and Command Field; not to be changed.
    """

    commandField: int
    elements: Mapping[int, Value] = field(hash=False)

    @property
    def isRequest(self) -> bool:
        """Whether the response bit is clear."""
        return not self.commandField & RESPONSE_BIT

    @property
    def messageID(self) -> int:
        """Message ID (0000,0110)."""
        return self._number(Tag.MESSAGE_ID)

    @property
    def messageIDBeingRespondedTo(self) -> int:
        """Message ID Being Responded To (0000,0120)."""
        return self._number(Tag.MESSAGE_ID_BEING_RESPONDED_TO)

    @property
    def status(self) -> int:
        """Status (0000,0900)."""
        return self._number(Tag.STATUS)

    @property
    def hasDataSet(self) -> bool:
        """Whether a data set follows; False where Command Data Set Type (0000,0800) is missing."""
        return self.elements.get(Tag.COMMAND_DATA_SET_TYPE, NO_DATA_SET) != NO_DATA_SET

    @property
    def affectedSOPClassUID(self) -> str | None:
        """The affected, or else the requested, SOP class UID."""
        return self._uid(Tag.AFFECTED_SOP_CLASS_UID, Tag.REQUESTED_SOP_CLASS_UID)

    @property
    def affectedSOPInstanceUID(self) -> str | None:
        """The affected, or else the requested, SOP instance UID."""
        return self._uid(Tag.AFFECTED_SOP_INSTANCE_UID, Tag.REQUESTED_SOP_INSTANCE_UID)

    def _number(self, tag: int) -> int:
        value = self.elements.get(tag)
        if not isinstance(value, int):
            raise LocalProtocolError(f"command 0x{self.commandField:04X} has no {ELEMENTS[tag][1]}")
        return value

    def _uid(self, *tags: int) -> str | None:
        for tag in tags:
            value = self.elements.get(tag)
            if isinstance(value, str) and value:
                return value
        return None


#: A message with a class of its own.
SpecificCommand: TypeAlias = CStoreRQ | CStoreRSP | CEchoRQ | CEchoRSP | CCancelRQ
#: A request that is answered.
Request: TypeAlias = CStoreRQ | CEchoRQ | GenericCommand
#: An answer.
Response: TypeAlias = CStoreRSP | CEchoRSP | GenericCommand
#: Any message's command set.
Command: TypeAlias = SpecificCommand | GenericCommand


def responseTo(
    request: Command, status: int, comment: str = "", offendingElements: tuple[int, ...] = ()
) -> CStoreRSP | CEchoRSP | GenericCommand:
    """
    Build the response to a request; the affected UIDs are those of the request, also where it called them requested.

    :param comment: left out if empty.
    :param offendingElements: tags as 0xGGGGEEEE; left out if empty.
    :raises LocalProtocolError: `request` is a response itself, or a C-CANCEL, which nothing answers.
    """
    if isinstance(request, CStoreRQ):
        classUID, instanceUID = request.affectedSOPClassUID or None, request.affectedSOPInstanceUID or None
        return CStoreRSP(request.messageID, status, classUID, instanceUID, comment, offendingElements)
    if isinstance(request, CEchoRQ):
        return CEchoRSP(request.messageID, status, request.affectedSOPClassUID or None, comment, offendingElements)
    if not isinstance(request, GenericCommand) or not request.isRequest:
        raise LocalProtocolError(f"nothing answers a command 0x{request.commandField:04X}")
    echoed: dict[int, Value | None] = {
        Tag.AFFECTED_SOP_CLASS_UID: request.affectedSOPClassUID,
        Tag.MESSAGE_ID_BEING_RESPONDED_TO: request.messageID,
        Tag.COMMAND_DATA_SET_TYPE: NO_DATA_SET,
        Tag.STATUS: status,
        Tag.OFFENDING_ELEMENT: offendingElements or None,
        Tag.ERROR_COMMENT: comment or None,
        Tag.AFFECTED_SOP_INSTANCE_UID: request.affectedSOPInstanceUID,
    }
    elements = {tag: value for tag, value in echoed.items() if value is not None}
    return GenericCommand(request.commandField | RESPONSE_BIT, elements)
