"""Several observers of associations as one: `Observers`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.dimse.commands import Command
from txdicom.interfaces import IAssociationObserver
from txdicom.upperlayer.negotiation import PresentationContext
from txdicom.upperlayer.pdu import AAssociateAC, AAssociateRQ

if TYPE_CHECKING:
    from txdicom.dimse.association import Association

__all__ = ["Observers"]


@implementer(IAssociationObserver)
class Observers:
    """
    Tells each of several observers, in their order.

    :param observers: those to tell.
    """

    def __init__(self, observers: Iterable[IAssociationObserver]) -> None:
        self._observers = tuple(observers)

    def associationRequested(self, association: Association, request: AAssociateRQ) -> None:
        """A peer asks for an association."""
        for observer in self._observers:
            observer.associationRequested(association, request)

    def associationEstablished(self, association: Association, request: AAssociateRQ, response: AAssociateAC) -> None:
        """The association is there."""
        for observer in self._observers:
            observer.associationEstablished(association, request, response)

    def commandReceived(self, association: Association, context: PresentationContext, command: Command) -> None:
        """A message has come."""
        for observer in self._observers:
            observer.commandReceived(association, context, command)

    def commandSent(self, association: Association, context: PresentationContext, command: Command) -> None:
        """A message has been handed to the transport."""
        for observer in self._observers:
            observer.commandSent(association, context, command)

    def associationEnded(self, association: Association, reason: Failure) -> None:
        """The association is over."""
        for observer in self._observers:
            observer.associationEnded(association, reason)
