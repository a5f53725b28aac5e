"""Which provider answers which request: `ServiceTable`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from txdicom.dimse.commands import Request
from txdicom.dimse.status import Status
from txdicom.errors import DIMSEError, LocalProtocolError
from txdicom.interfaces import IRequestingProvider, IServiceProvider
from txdicom.upperlayer.negotiation import TransferSyntaxes, offeredFor

__all__ = ["ServiceTable"]


class ServiceTable:
    """
    The service providers of an acceptor.

    :raises LocalProtocolError: two of them claim the same operation on the same abstract syntax.
    :ivar presentationContexts: abstract syntax UID -> transfer syntaxes in the order they are liked, of all of them.
    :ivar requestedContexts: likewise, of what they use themselves where the peer provides it (`IRequestingProvider`).
    """

    def __init__(self, providers: Iterable[IServiceProvider]) -> None:
        contexts: dict[str, TransferSyntaxes] = {}
        requested: dict[str, TransferSyntaxes] = {}
        self._providers: dict[int, dict[str, IServiceProvider]] = {}
        for provider in providers:
            for abstractSyntax, transferSyntaxes in provider.presentationContexts.items():
                _add(contexts, abstractSyntax, transferSyntaxes)
                for operation in provider.operations:
                    ofOperation = self._providers.setdefault(operation, {})
                    if abstractSyntax in ofOperation:
                        raise LocalProtocolError(f"two providers of 0x{operation:04X} on {abstractSyntax}")
                    ofOperation[abstractSyntax] = provider
            if IRequestingProvider.providedBy(provider):
                for abstractSyntax, transferSyntaxes in provider.requestedContexts.items():
                    _add(requested, abstractSyntax, transferSyntaxes)
        self.presentationContexts: Mapping[str, TransferSyntaxes] = contexts
        self.requestedContexts: Mapping[str, TransferSyntaxes] = requested

    def providerOf(self, request: Request) -> IServiceProvider:
        """
        Find who answers a request.

        It goes by the SOP class that the command names, not by the presentation context, because real machines send a
        C-ECHO over whichever context they have.

        :raises DIMSEError: nobody provides this operation (0x0211), or not for this SOP class (0x0122).
        """
        ofOperation = self._providers.get(request.commandField)
        if ofOperation is None:
            raise DIMSEError(Status.UNRECOGNIZED_OPERATION, f"operation 0x{request.commandField:04X} is not provided")
        provider = offeredFor(request.affectedSOPClassUID or "", ofOperation)
        if provider is None:
            raise DIMSEError(Status.SOP_CLASS_NOT_SUPPORTED, "this SOP class is not provided")
        return provider


def _add(contexts: dict[str, TransferSyntaxes], abstractSyntax: str, transferSyntaxes: TransferSyntaxes) -> None:
    known = contexts.get(abstractSyntax, ())
    contexts[abstractSyntax] = tuple(dict.fromkeys(known + tuple(transferSyntaxes)))
