"""What an acceptor offers under one AE title: `ApplicationEntity`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from txdicom.configuration import Configuration
from txdicom.dimse.admission import Admission
from txdicom.dimse.dispatch import ServiceTable
from txdicom.interfaces import IServiceProvider
from txdicom.upperlayer.negotiation import AcceptorPolicy, negotiate
from txdicom.upperlayer.pdu import AAssociateAC, AAssociateRJ, AAssociateRQ

__all__ = ["ApplicationEntity"]

#: How many different requests have their answers kept.
_KEPT_ANSWERS = 64


class ApplicationEntity:
    """
    Services, and who may use them.

    :param providers: the services offered; together they say which presentation contexts are accepted.
    :param admit: who may come in; None lets everybody in.
    :raises LocalProtocolError: two providers claim the same operation on the same abstract syntax.
    """

    def __init__(self, providers: Iterable[IServiceProvider], admit: Admission | None = None) -> None:
        self.services = ServiceTable(providers)
        self.admit = admit
        # The same peers ask for the same again and again. What does not count when requests are compared, the answer
        # echoes all the same.
        self._answer = lru_cache(maxsize=_KEPT_ANSWERS)(self._negotiate)

    def answer(self, request: AAssociateRQ, configuration: Configuration) -> AAssociateAC | AAssociateRJ:
        """Negotiate about what is proposed."""
        return self._answer(request, request.reserved, configuration)

    def _negotiate(
        self, request: AAssociateRQ, reserved: bytes, configuration: Configuration
    ) -> AAssociateAC | AAssociateRJ:
        policy = AcceptorPolicy(
            presentationContexts=self.services.presentationContexts,
            requestedContexts=self.services.requestedContexts,
            maximumLength=configuration.maximumPDULength,
            implementationClassUID=configuration.implementationClassUID,
            implementationVersionName=configuration.implementationVersionName,
        )
        return negotiate(request, policy)
