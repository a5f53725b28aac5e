"""
The Query/Retrieve service classes and their like (PS3.4 Annexes C and K): C-FIND, C-MOVE and C-GET asked, and C-FIND
answered. `txdicom.services.retrieval` answers the others.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from zope.interface import implementer

from txdicom.dimse.answers import Answer, closeEach
from txdicom.dimse.commands import DATA_SET_PRESENT, CommandField, GenericCommand, Response, Value
from txdicom.dimse.commandsets import elementsOf
from txdicom.dimse.elements import ELEMENTS, Tag
from txdicom.dimse.responses import Responses
from txdicom.dimse.status import Status
from txdicom.interfaces import IQuerySCP, IRequestWriter, IServiceProvider
from txdicom.services.collecting import collectIdentifier
from txdicom.services.datasets import decodeDataSet, encodeDataSet
from txdicom.uids import UNCOMPRESSED_TRANSFER_SYNTAXES

if TYPE_CHECKING:
    from pydicom import Dataset

    from txdicom.dimse.association import Association
    from txdicom.upperlayer.negotiation import PresentationContext

__all__ = [
    "MODALITY_WORKLIST",
    "PATIENT_ROOT",
    "STUDY_ROOT",
    "QueryModel",
    "QueryService",
    "SubOperations",
    "find",
    "get",
    "move",
]

_TAGS = {keyword: tag for tag, (_, keyword) in ELEMENTS.items()}


class QueryModel(NamedTuple):
    """The SOP classes of one information model (PS3.4 C.6)."""

    find: str
    move: str
    get: str


PATIENT_ROOT = QueryModel(*(f"1.2.840.10008.5.1.4.1.2.1.{number}" for number in (1, 2, 3)))
STUDY_ROOT = QueryModel(*(f"1.2.840.10008.5.1.4.1.2.2.{number}" for number in (1, 2, 3)))
#: The SOP class of worklists, which are queried like studies (PS3.4 K.6.1).
MODALITY_WORKLIST = "1.2.840.10008.5.1.4.31"


@dataclass(frozen=True, slots=True)
class SubOperations:
    """
    How far a C-MOVE or C-GET is (PS3.4 C.4.2, C.4.3): how many of its C-STORE operations are in which state.

    :ivar status: that of the response; pending in all but the last.
    :ivar remaining: None where the peer does not tell, as in most last responses; the others are 0 then.
    :ivar identifier: in the last response, a data set with the instances that failed, if there is one.
    """

    status: int
    remaining: int | None
    completed: int
    failed: int
    warning: int
    identifier: Dataset | None = None


@implementer(IServiceProvider)
class QueryService:
    """
    Offers C-FIND as an SCP.

    :param provider: finds the matches.
    :param sopClasses: the SOP class UIDs accepted, such as `STUDY_ROOT.find`.
    :param transferSyntaxes: accepted for each of them, the preferred one first.
    """

    operations = frozenset({int(CommandField.C_FIND_RQ)})

    def __init__(
        self,
        provider: IQuerySCP,
        sopClasses: Sequence[str],
        transferSyntaxes: Sequence[str] = UNCOMPRESSED_TRANSFER_SYNTAXES,
    ) -> None:
        self._provider = provider
        self.presentationContexts: Mapping[str, tuple[str, ...]] = dict.fromkeys(sopClasses, tuple(transferSyntaxes))

    def requestReceived(
        self, association: Association, context: PresentationContext, request: GenericCommand
    ) -> IRequestWriter:
        """Take the identifier, then have the matches found."""
        return collectIdentifier(
            association, context, lambda identifier: self._matches(association, context, request, identifier)
        )

    async def _matches(
        self, association: Association, context: PresentationContext, request: GenericCommand, identifier: Dataset
    ) -> AsyncIterator[Answer]:
        matches = self._provider.find(association, request.affectedSOPClassUID or "", identifier)
        try:
            async for match in matches:
                yield Answer(Status.PENDING, encodeDataSet(match, context.transferSyntax))
        finally:
            await closeEach(matches)


def find(association: Association, sopClassUID: str, identifier: Dataset, priority: int = 0) -> Responses[Dataset]:
    """
    Query: the keys that are to match, and those that are wanted, give a match each for what the peer has (C-FIND).

    :param sopClassUID: such as `STUDY_ROOT.find`.
    :param priority: 0 medium, 1 high, 2 low.
    :raises LocalProtocolError: the peer has not accepted this SOP class, or the association is not established.
    :raises SourceError: the identifier cannot be encoded.
    """
    context = association.contextFor(sopClassUID)

    def match(response: Response, dataSet: bytes | None) -> Dataset | None:
        return None if dataSet is None else decodeDataSet(dataSet, context.transferSyntax)

    command = _command(association, CommandField.C_FIND_RQ, sopClassUID, priority)
    return Responses(association, context, command, encodeDataSet(identifier, context.transferSyntax), match)


def move(
    association: Association, sopClassUID: str, identifier: Dataset, destination: str, priority: int = 0
) -> Responses[SubOperations]:
    """
    Have the peer send instances to a third (C-MOVE).

    :param sopClassUID: such as `STUDY_ROOT.move`.
    :param destination: AE title of the third, which the peer has to know.
    :return: the progress; raises as `find` does.
    """
    command = _command(
        association, CommandField.C_MOVE_RQ, sopClassUID, priority, {_TAGS["MoveDestination"]: destination}
    )
    return _retrieve(association, association.contextFor(sopClassUID), command, identifier)


def get(association: Association, sopClassUID: str, identifier: Dataset, priority: int = 0) -> Responses[SubOperations]:
    """
    Have the peer send us instances over this association (C-GET).

    A `txdicom.services.storage.StorageService` among the providers that `txdicom.requestor.connect` was given takes
    them.

    :param sopClassUID: such as `STUDY_ROOT.get`.
    :return: the progress; raises as `find` does.
    """
    command = _command(association, CommandField.C_GET_RQ, sopClassUID, priority)
    return _retrieve(association, association.contextFor(sopClassUID), command, identifier)


def _command(
    association: Association,
    field: CommandField,
    sopClassUID: str,
    priority: int,
    elements: Mapping[int, Value] | None = None,
) -> GenericCommand:
    return GenericCommand(
        field,
        {
            Tag.AFFECTED_SOP_CLASS_UID: sopClassUID,
            Tag.MESSAGE_ID: association.requests.nextMessageID(),
            Tag.PRIORITY: priority,
            Tag.COMMAND_DATA_SET_TYPE: DATA_SET_PRESENT,
            **(elements or {}),
        },
    )


def _retrieve(
    association: Association, context: PresentationContext, command: GenericCommand, identifier: Dataset
) -> Responses[SubOperations]:
    def progress(response: Response, dataSet: bytes | None) -> SubOperations:
        elements = {tag: value for tag, _, value in elementsOf(response)}
        numbers = [elements.get(_TAGS[f"NumberOf{name}Suboperations"]) for name in _STATES]
        remaining, completed, failed, warning = [number if isinstance(number, int) else None for number in numbers]
        identifier = None if dataSet is None else decodeDataSet(dataSet, context.transferSyntax)
        return SubOperations(response.status, remaining, completed or 0, failed or 0, warning or 0, identifier)

    return Responses(association, context, command, encodeDataSet(identifier, context.transferSyntax), progress)


_STATES = ("Remaining", "Completed", "Failed", "Warning")
