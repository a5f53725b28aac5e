"""The acceptor's side: `AcceptorFactory` builds an association for every connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory

from txdicom.configuration import Configuration
from txdicom.dimse.association import Association
from txdicom.dimse.dispatch import ServiceTable
from txdicom.interfaces import IAssociationObserver, IServiceProvider
from txdicom.upperlayer.negotiation import AcceptorPolicy, negotiate
from txdicom.upperlayer.pdu import AAssociateAC, AAssociateRJ, AAssociateRQ
from txdicom.upperlayer.protocol import UpperLayerProtocol

__all__ = ["AcceptorFactory", "Admission"]

#: Looks at a request for association before it is negotiated: a rejection refuses it, None lets it pass.
Admission: TypeAlias = Callable[[Association, AAssociateRQ], AAssociateRJ | None]


class AcceptorFactory(Factory):
    """
    Accepts associations and answers their requests with service providers.

    :param providers: the services offered; together they say which presentation contexts are accepted.
    :param configuration: lengths and times; None takes the defaults.
    :param clock: timers run on it; None takes the global reactor.
    :param admit: who may come in; None lets everybody in.
    :param observer: told of what happens on every association.
    :ivar associations: the connections there are now, whether or not an association has been established on them.
    """

    noisy = False

    def __init__(
        self,
        providers: Iterable[IServiceProvider],
        configuration: Configuration | None = None,
        clock: IReactorTime | None = None,
        admit: Admission | None = None,
        observer: IAssociationObserver | None = None,
    ) -> None:
        if clock is None:
            # Imported this late because it installs the default reactor, which is the application's to choose.
            from twisted.internet import reactor

            clock = IReactorTime(reactor)
        self._clock = clock
        self._services = ServiceTable(providers)
        self._configuration = configuration or Configuration()
        self._admit = admit
        self._observer = observer
        self.associations: set[Association] = set()
        self._policy = AcceptorPolicy(
            presentationContexts=self._services.presentationContexts,
            maximumLength=self._configuration.maximumPDULength,
            implementationClassUID=self._configuration.implementationClassUID,
            implementationVersionName=self._configuration.implementationVersionName,
        )

    def buildProtocol(self, addr: IAddress | None) -> UpperLayerProtocol:
        """Build the protocol of a new connection, with an association on top."""
        association = Association(self._services, self._configuration, self._clock, self._decide, self._observer)
        association.peer = addr
        association.protocol = protocol = UpperLayerProtocol(association, self._configuration, self._clock)
        protocol.factory = self
        self.associations.add(association)
        association.whenEnded().addCallback(lambda _: self.associations.discard(association))
        return protocol

    def _decide(self, association: Association, request: AAssociateRQ) -> AAssociateAC | AAssociateRJ:
        refusal = self._admit(association, request) if self._admit is not None else None
        return refusal or negotiate(request, self._policy)
