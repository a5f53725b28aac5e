"""The Verification service class (PS3.4 Annex A): C-ECHO, answered and asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from zope.interface import implementer

from txdicom.dimse.commands import CEchoRQ, CEchoRSP, CommandField
from txdicom.dimse.status import Status
from txdicom.interfaces import IServiceProvider, IVerificationSCP, Soon
from txdicom.uids import UNCOMPRESSED_TRANSFER_SYNTAXES, VERIFICATION

if TYPE_CHECKING:
    from txdicom.dimse.association import Association
    from txdicom.upperlayer.negotiation import PresentationContext, TransferSyntaxes

__all__ = ["Verification", "VerificationService", "echo"]


@implementer(IVerificationSCP)
class Verification:
    """Says yes: the peer has reached us."""

    def echo(self, association: Association, request: CEchoRQ) -> int:
        """Return success."""
        return Status.SUCCESS


@implementer(IServiceProvider)
class VerificationService:
    """
    Offers Verification as an SCP.

    :param provider: gives the answers; None takes `Verification`.
    :param transferSyntaxes: those accepted, the preferred one first. No data set is ever encoded in them.
    """

    operations = frozenset({int(CommandField.C_ECHO_RQ)})

    def __init__(
        self,
        provider: IVerificationSCP | None = None,
        transferSyntaxes: TransferSyntaxes = UNCOMPRESSED_TRANSFER_SYNTAXES,
    ) -> None:
        self._provider = provider or Verification()
        self.presentationContexts: Mapping[str, TransferSyntaxes] = {VERIFICATION: transferSyntaxes}

    def requestReceived(self, association: Association, context: PresentationContext, request: CEchoRQ) -> Soon[int]:
        """Ask the provider."""
        return self._provider.echo(association, request)


def echo(association: Association) -> Deferred[CEchoRSP]:
    """
    Send a C-ECHO-RQ.

    :raises LocalProtocolError: the peer has not accepted Verification, or the association is not established.
    """
    context = association.contextFor(VERIFICATION)
    return association.requests.send(context, CEchoRQ(association.requests.nextMessageID()))
