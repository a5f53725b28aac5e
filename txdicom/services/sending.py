"""C-STORE of instances that are on disk or in memory: `send`, for either side of an association."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from twisted.internet.defer import Deferred
from zope.interface import implementer

from txdicom.dimse.commands import CStoreRQ, CStoreRSP
from txdicom.errors import LocalProtocolError, SourceError
from txdicom.interfaces import IDataSetSource
from txdicom.services.datasets import CONVERTIBLE
from txdicom.services.instances import Identity, OpenInstance, Source, openInstance
from txdicom.upperlayer.fields import Octets

if TYPE_CHECKING:
    from txdicom.dimse.association import Association
    from txdicom.upperlayer.negotiation import PresentationContext

__all__ = ["IWaiting", "chooseContext", "send"]

_T = TypeVar("_T")


class IWaiting(Protocol):
    """Who decides where a disk is waited for; `txdicom.storage.disk.Disk` does."""

    def soon(self, function: Callable[[], _T]) -> _T | Deferred[_T]:
        """Call something that may have to wait, now or in a thread."""

    def inThread(self, function: Callable[[], _T]) -> Deferred[_T]:
        """Call something that takes long."""


async def send(
    association: Association,
    source: Source,
    disk: IWaiting,
    priority: int = 0,
    moveOriginator: tuple[str, int] | None = None,
    sopInstanceUID: str | None = None,
) -> CStoreRSP:
    """
    Send an instance and wait for the response.

    It is sent as it lies if its transfer syntax was accepted, and read from the disk as the peer takes it; otherwise it
    is converted first, for which pydicom reads it whole.

    :param disk: for all that waits for a disk, or computes.
    :param priority: 0 medium, 1 high, 2 low.
    :param moveOriginator: AE title and message ID of the C-MOVE that this is for.
    :param sopInstanceUID: which instance it has to be; None sends whichever it is.
    :raises SourceError: it cannot be read, or is no instance or another one, or cannot be converted; the association is
        aborted only if that is found out in the midst of sending.
    :raises LocalProtocolError: the peer has accepted nothing that it could be sent in; or the association is over.
    """
    opening = disk.soon(lambda: openInstance(source))
    instance = await opening if isinstance(opening, Deferred) else opening
    try:
        identity = instance.identity
        if sopInstanceUID not in (None, identity.sopInstanceUID):
            raise SourceError(f"it is another instance, {identity.sopInstanceUID}")
        context = chooseContext(association, identity)
        if instance.dataSet is not None or context.transferSyntax != identity.transferSyntaxUID:
            await disk.inThread(lambda: instance.encodeAs(context.transferSyntax))
        title, messageID = moveOriginator or (None, None)
        requests = association.requests
        request = CStoreRQ(
            requests.nextMessageID(), identity.sopClassUID, identity.sopInstanceUID, priority, title, messageID
        )
        response: CStoreRSP = await requests.send(context, request, _InstanceSource(instance, disk))
        return response
    finally:
        if not instance.exhausted:
            # A thread may be reading it still, and closing waits for that.
            disk.inThread(instance.close)


def chooseContext(association: Association, identity: Identity) -> PresentationContext:
    """
    Find the accepted presentation context to send an instance in: that of its own transfer syntax if there is one.

    :raises LocalProtocolError: there is none that it could be converted to either, or we are not the SCU of its class:
        an acceptor only is where that was agreed on.
    """
    ofClass = [context for context in association.contexts.values() if context.abstractSyntax == identity.sopClassUID]
    accepted = {
        context.transferSyntax: context
        for context in ofClass
        if (context.requestorIsSCU if association.protocol.isRequestor else context.requestorIsSCP)
    }
    for transferSyntaxUID in (identity.transferSyntaxUID, *CONVERTIBLE):
        if transferSyntaxUID in accepted:
            return accepted[transferSyntaxUID]
    if not ofClass:
        raise LocalProtocolError(f"the peer does not accept {identity.sopClassUID}")
    if not accepted:
        raise LocalProtocolError(f"the role of SCU for {identity.sopClassUID} was not granted to us")
    raise LocalProtocolError(
        f"the peer accepts {identity.sopClassUID} neither in {identity.transferSyntaxUID} nor uncompressed"
    )


@implementer(IDataSetSource)
class _InstanceSource:
    """Gives what has been read at once, and reads the rest."""

    def __init__(self, instance: OpenInstance, disk: IWaiting) -> None:
        self._instance = instance
        self._disk = disk

    def read(self, size: int) -> Octets | Deferred[Octets]:
        """Return the next bytes of the data set."""
        if self._instance.exhausted or self._instance.atHand >= size:
            return self._instance.read(size)
        return self._disk.soon(lambda: self._instance.read(size))
