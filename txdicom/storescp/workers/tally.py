"""What a worker counts of its own work: `Tally`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.dimse.commands import Command, CStoreRSP
from txdicom.dimse.status import StatusCategory, category
from txdicom.interfaces import IAssociationObserver
from txdicom.storescp.workers.board import Field, Part
from txdicom.upperlayer.pdu import AAssociateAC, AAssociateRQ

if TYPE_CHECKING:
    from txdicom.dimse.association import Association
    from txdicom.upperlayer.negotiation import PresentationContext

__all__ = ["Tally"]

_KEPT = (StatusCategory.SUCCESS, StatusCategory.WARNING)


@implementer(IAssociationObserver)
class Tally:
    """
    Counts what happens on associations.

    :param part: where.
    :param observer: another observer, which is told as well.
    """

    def __init__(self, part: Part, observer: IAssociationObserver | None = None) -> None:
        self._part = part
        self._observer = observer

    def associationRequested(self, association: Association, request: AAssociateRQ) -> None:
        """Pass it on."""
        if self._observer is not None:
            self._observer.associationRequested(association, request)

    def associationEstablished(self, association: Association, request: AAssociateRQ, response: AAssociateAC) -> None:
        """Count the association."""
        self._part[Field.ASSOCIATIONS] += 1
        if self._observer is not None:
            self._observer.associationEstablished(association, request, response)

    def commandReceived(self, association: Association, context: PresentationContext, command: Command) -> None:
        """Pass it on."""
        if self._observer is not None:
            self._observer.commandReceived(association, context, command)

    def commandSent(self, association: Association, context: PresentationContext, command: Command) -> None:
        """Count the instance, if this is the answer to one."""
        if isinstance(command, CStoreRSP):
            isKept = command.status == 0 or category(command.status) in _KEPT
            self._part[Field.STORED if isKept else Field.FAILED] += 1
        if self._observer is not None:
            self._observer.commandSent(association, context, command)

    def associationEnded(self, association: Association, reason: Failure) -> None:
        """Count the connection as over; there is one such call for each, whether or not it had an association."""
        self._part[Field.ENDED] += 1
        if self._observer is not None:
            self._observer.associationEnded(association, reason)
