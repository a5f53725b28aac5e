"""The DIMSE-N services (PS3.7 clause 10), asked: `request` and what its answer is, a `Reply`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from txdicom.dimse.commands import DATA_SET_PRESENT, NO_DATA_SET, CommandField, GenericCommand, Response, Value
from txdicom.dimse.commandsets import elementsOf
from txdicom.dimse.elements import ELEMENTS, Tag
from txdicom.dimse.responses import Responses
from txdicom.errors import LocalProtocolError
from txdicom.services.datasets import decodeDataSet, encodeDataSet

if TYPE_CHECKING:
    from pydicom import Dataset

    from txdicom.dimse.association import Association

__all__ = ["Reply", "request"]

_TAGS = {keyword: tag for tag, (_, keyword) in ELEMENTS.items()}
#: Those that name the instance as the affected one; the others name the one that is requested.
_AFFECTED = (CommandField.N_EVENT_REPORT_RQ, CommandField.N_CREATE_RQ)


@dataclass(frozen=True, slots=True)
class Reply:
    """
    What answers an N-request.

    :ivar status: a success or a warning; failures are raised.
    :ivar elements: the response's command elements by keyword, such as ``AffectedSOPInstanceUID``.
    :ivar dataSet: what came with it: attributes, an action's or an event's reply.
    """

    status: int
    elements: Mapping[str, Value]
    dataSet: Dataset | None


async def request(
    association: Association,
    operation: CommandField,
    sopClassUID: str,
    sopInstanceUID: str | None,
    dataSet: Dataset | None = None,
    **elements: Value,
) -> Reply:
    """
    Ask for an operation on one SOP instance.

    :param operation: ``CommandField.N_GET_RQ`` and the like.
    :param sopInstanceUID: the instance; None only with N-CREATE, where the peer chooses one.
    :param dataSet: attributes, or an action's or event's information.
    :param elements: further command elements by keyword: ``ActionTypeID``, ``EventTypeID`` or
        ``AttributeIdentifierList``.
    :raises DIMSEError: it failed; with the status and comment of the response.
    :raises LocalProtocolError: the peer has not accepted this SOP class, or the association is not established, or an
        element does not belong into a command.
    """
    unknown = elements.keys() - _TAGS.keys()
    if unknown:
        raise LocalProtocolError(f"a command has no element {', '.join(sorted(unknown))}")
    context = association.contextFor(sopClassUID)
    affected = operation in _AFFECTED
    command: dict[int, Value] = {
        Tag.AFFECTED_SOP_CLASS_UID if affected else Tag.REQUESTED_SOP_CLASS_UID: sopClassUID,
        Tag.MESSAGE_ID: association.requests.nextMessageID(),
        Tag.COMMAND_DATA_SET_TYPE: NO_DATA_SET if dataSet is None else DATA_SET_PRESENT,
        **{_TAGS[keyword]: value for keyword, value in elements.items()},
    }
    if sopInstanceUID is not None:
        command[Tag.AFFECTED_SOP_INSTANCE_UID if affected else Tag.REQUESTED_SOP_INSTANCE_UID] = sopInstanceUID

    def reply(response: Response, encoded: bytes | None) -> Reply:
        named = {ELEMENTS[tag][1]: value for tag, _, value in elementsOf(response) if tag in ELEMENTS}
        decoded = None if encoded is None else decodeDataSet(encoded, context.transferSyntax)
        return Reply(response.status, named, decoded)

    encoded = None if dataSet is None else encodeDataSet(dataSet, context.transferSyntax)
    *_, last = await Responses(association, context, GenericCommand(operation, command), encoded, reply).collect()
    return last
