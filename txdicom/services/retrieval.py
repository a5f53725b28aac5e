"""
C-GET and C-MOVE answered (PS3.4 C.4.2 and C.4.3): `GetService` and `MoveService`.

The instances of a C-GET go back over the same association, on which the peer has to be the SCP of their classes; those
of a C-MOVE go over a new one to a third. `txdicom.services.suboperations` has what is the same of both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from zope.interface import implementer

from txdicom.dimse.commands import CommandField, GenericCommand
from txdicom.errors import DIMSEError, LocalProtocolError
from txdicom.interfaces import IMoveDestination, IRequestingProvider, IRequestWriter, IRetrieveSCP, IServiceProvider
from txdicom.services.collecting import collectIdentifier
from txdicom.services.datasets import CONVERTIBLE
from txdicom.services.instances import HeldInstance
from txdicom.services.sending import IWaiting
from txdicom.services.suboperations import Retrieval, RetrieveStatus
from txdicom.soon import settled
from txdicom.uids import ACCEPT_ALL, OTHER_STORAGE_SOP_CLASSES, UNCOMPRESSED_TRANSFER_SYNTAXES

if TYPE_CHECKING:
    from txdicom.dimse.association import Association
    from txdicom.upperlayer.negotiation import PresentationContext, TransferSyntaxes

__all__ = ["ANY_STORAGE", "GetService", "MoveService", "RetrieveStatus"]

_MOVE_DESTINATION = 0x0600
#: Any storage SOP class: in what anything can be converted to, or else in the first lossless syntax proposed.
ANY_STORAGE: Mapping[str, TransferSyntaxes] = {OTHER_STORAGE_SOP_CLASSES: (*CONVERTIBLE, *ACCEPT_ALL)}


@implementer(IRequestingProvider)
class GetService:
    """
    Offers C-GET as an SCP.

    :param provider: says which instances are meant.
    :param sopClasses: the SOP class UIDs accepted, such as `STUDY_ROOT.get` of `txdicom.services.query`.
    :param disk: for all that waits for a disk, or computes.
    :param transferSyntaxes: accepted for each of those, for identifiers; the preferred one first.
    :param storage: storage SOP classes that may be sent -> their transfer syntaxes, the preferred one first.
    """

    operations = frozenset({int(CommandField.C_GET_RQ)})

    def __init__(
        self,
        provider: IRetrieveSCP,
        sopClasses: Sequence[str],
        disk: IWaiting,
        transferSyntaxes: Sequence[str] = UNCOMPRESSED_TRANSFER_SYNTAXES,
        storage: Mapping[str, TransferSyntaxes] = ANY_STORAGE,
    ) -> None:
        self._provider = provider
        self._disk = disk
        self.presentationContexts: Mapping[str, tuple[str, ...]] = dict.fromkeys(sopClasses, tuple(transferSyntaxes))
        self.requestedContexts = storage

    def requestReceived(
        self, association: Association, context: PresentationContext, request: GenericCommand
    ) -> IRequestWriter:
        """Take the identifier, then send the instances."""
        return collectIdentifier(
            association, context, _Get(association, context, request, self._provider, self._disk).answers
        )


@implementer(IServiceProvider)
class MoveService:
    """
    Offers C-MOVE as an SCP.

    :param provider: says which instances are meant.
    :param sopClasses: the SOP class UIDs accepted, such as `STUDY_ROOT.move` of `txdicom.services.query`.
    :param destinations: by AE title, without padding: where instances may be sent, such as
        `txdicom.requestor.Destination`. Any other is answered 0xA801.
    :param disk: for all that waits for a disk, or computes.
    :param transferSyntaxes: accepted for each of those, for identifiers; the preferred one first.
    """

    operations = frozenset({int(CommandField.C_MOVE_RQ)})

    def __init__(
        self,
        provider: IRetrieveSCP,
        sopClasses: Sequence[str],
        destinations: Mapping[str, IMoveDestination],
        disk: IWaiting,
        transferSyntaxes: Sequence[str] = UNCOMPRESSED_TRANSFER_SYNTAXES,
    ) -> None:
        self._provider = provider
        self._destinations = destinations
        self._disk = disk
        self.presentationContexts: Mapping[str, tuple[str, ...]] = dict.fromkeys(sopClasses, tuple(transferSyntaxes))

    def requestReceived(
        self, association: Association, context: PresentationContext, request: GenericCommand
    ) -> IRequestWriter:
        """Look the destination up and take the identifier, then send the instances there."""
        title = str(request.elements.get(_MOVE_DESTINATION, "")).strip()
        destination = self._destinations.get(title)
        if destination is None:
            raise DIMSEError(RetrieveStatus.DESTINATION_UNKNOWN, f"move destination {title!r} is not known here")
        retrieval = _Move(association, context, request, self._provider, self._disk)
        retrieval.destination = destination
        retrieval.title = title
        return collectIdentifier(association, context, retrieval.answers)


class _Get(Retrieval):
    """The instances go back over the same association."""

    async def connect(self, instances: Sequence[HeldInstance]) -> Association:
        """It is there already."""
        return self.association

    def interrupt(self, storing: Deferred[None]) -> None:
        """A message that has been begun has to be ended, and is the peer's to answer."""

    def finish(self, receiver: Association) -> None:
        """It is the peer's to release."""


class _Move(Retrieval):
    """
    The instances go to a third.

    :ivar destination: connects to it.
    :ivar title: its AE title.
    """

    destination: IMoveDestination
    title: str

    def moveOriginator(self) -> tuple[str, int]:
        """Tell who asked for it, and in which message."""
        return self.association.callingAETitle, self.request.messageID

    async def connect(self, instances: Sequence[HeldInstance]) -> Association:
        """Request an association."""
        identities = [instance.identity for instance in instances]
        return await settled(self.destination.connect(self.title, self.association.calledAETitle, identities))

    def interrupt(self, storing: Deferred[None]) -> None:
        """What has been sent of an instance is of no use."""
        storing.cancel()

    def finish(self, receiver: Association) -> None:
        """Release it; nobody waits for that, and it has its own time."""
        try:
            receiver.release()
        except LocalProtocolError:
            # The destination is at it itself.
            receiver.abort()
