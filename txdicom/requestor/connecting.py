"""From an endpoint to an association: `connect`, and the `RequestorFactory` that it and others build on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.threads import deferToThread

from txdicom.configuration import Configuration
from txdicom.dimse.dispatch import ServiceTable
from txdicom.interfaces import IAssociationObserver, IServiceProvider
from txdicom.requestor.association import RequestorAssociation
from txdicom.requestor.proposing import Contexts, Proposal, contextsFor, encodeContexts, listContexts
from txdicom.services.instances import Source, identify
from txdicom.services.sending import InThread
from txdicom.upperlayer.items import AsynchronousOperationsWindow, RoleSelection, UserIdentityRQ, UserInformation
from txdicom.upperlayer.pdu import AAssociateRQ
from txdicom.upperlayer.protocol import UpperLayerProtocol

__all__ = ["RequestorFactory", "RequestorProtocol", "connect"]


class RequestorProtocol(UpperLayerProtocol):
    """
    The upper layer of a connection on which we request the association.

    :ivar association: what the connection is for.
    """

    association: RequestorAssociation


class RequestorFactory(Factory):
    """
    Requests an association on every connection.

    :param contexts: what is proposed: abstract syntax UIDs, each alone or with its transfer syntax UIDs.
    :param calledAETitle: whom we ask for; at most 16 characters, as is the next.
    :param callingAETitle: who we are.
    :param configuration: bounds and times; None takes the defaults.
    :param providers: services that the peer may use over this association, such as storage for C-GET. What they offer
        is proposed besides `contexts`, in the role of SCP.
    :param window: how many requests may be outstanding at once; 0 for any number. More than one is negotiated, and few
        peers grant it (PS3.7 D.3.3.3).
    :param userIdentity: who our user is (PS3.7 D.3.3.7).
    :param observer: told of what happens on every association.
    :param clock: timers run on it; None takes the global reactor.
    :param inThread: does what waits for a disk, or computes; by default in the reactor's threads.
    :raises LocalProtocolError: an A-ASSOCIATE-RQ cannot hold that.
    """

    noisy = False

    def __init__(
        self,
        contexts: Contexts,
        *,
        calledAETitle: str = "ANY-SCP",
        callingAETitle: str = "TXDICOM",
        configuration: Configuration | None = None,
        providers: Iterable[IServiceProvider] = (),
        window: int = 1,
        userIdentity: UserIdentityRQ | None = None,
        observer: IAssociationObserver | None = None,
        clock: IReactorTime | None = None,
        inThread: InThread = deferToThread,
    ) -> None:
        if clock is None:
            # Imported this late because it installs the default reactor, which is the application's to choose.
            from twisted.internet import reactor

            clock = IReactorTime(reactor)
        self._clock = clock
        self._inThread = inThread
        self._observer = observer
        self._configuration = configuration or Configuration()
        self._services = ServiceTable(providers)
        own = listContexts(contexts)
        self._request = AAssociateRQ(
            calledAETitle=calledAETitle,
            callingAETitle=callingAETitle,
            presentationContexts=encodeContexts([*own, *self._services.presentationContexts.items()]),
            userInformation=UserInformation(
                maximumLength=self._configuration.maximumPDULength,
                implementationClassUID=self._configuration.implementationClassUID,
                implementationVersionName=self._configuration.implementationVersionName,
                asynchronousOperations=None if window == 1 else AsynchronousOperationsWindow(window, 1),
                roleSelections=self._roles(own),
                userIdentity=userIdentity,
            ),
        )
        # What cannot be sent is found out now, and not when a connection has been made.
        self._request.encode()

    def buildProtocol(self, addr: IAddress | None) -> RequestorProtocol:
        """Build the protocol of a new connection, with an association on top."""
        association = RequestorAssociation(
            self._services, self._configuration, self._clock, self._inThread, self._observer
        )
        association.peer = addr
        protocol = RequestorProtocol(association, self._configuration, self._clock, self._request)
        protocol.factory = self
        association.protocol = protocol
        protocol.association = association
        return protocol

    def _roles(self, own: list[Proposal]) -> tuple[RoleSelection, ...]:
        """Offer to be SCP of what our providers provide, and only that, unless we want to use it ourselves as well."""
        used = {abstractSyntax for abstractSyntax, _ in own}
        return tuple(
            RoleSelection(abstractSyntax, abstractSyntax in used, True)
            for abstractSyntax in self._services.presentationContexts
        )


def connect(
    endpoint: IStreamClientEndpoint,
    contexts: Contexts = (),
    *,
    send: Iterable[Source] = (),
    inThread: InThread = deferToThread,
    **parameters: Any,
) -> Deferred[RequestorAssociation]:
    """
    Connect to a peer and request an association.

    :param endpoint: how the peer is reached: by TCP, or by TLS with `twisted.internet.endpoints.wrapClientTLS`; its
        time limit for the connection holds, and then `Configuration.artimTimeout` for the peer's answer.
    :param contexts: what is proposed, as for `RequestorFactory`.
    :param send: instances that are going to be sent; what they need is proposed besides `contexts`.
    :param parameters: as for `RequestorFactory`.
    :return: the association, established. It errs with what the endpoint errs with, with `AssociationRejected`, or with
        whatever else ended the association early. To cancel it gives up in any phase.
    :raises SourceError: by the Deferred: one of `send` cannot be read.
    :raises LocalProtocolError: by the Deferred: an A-ASSOCIATE-RQ cannot hold what is proposed.
    """
    return Deferred.fromCoroutine(_connect(endpoint, contexts, list(send), inThread, parameters))


async def _connect(
    endpoint: IStreamClientEndpoint,
    contexts: Contexts,
    sources: list[Source],
    inThread: InThread,
    parameters: dict[str, Any],
) -> RequestorAssociation:
    if sources:
        identities = await inThread(lambda: [identify(source) for source in sources])
        contexts = [*listContexts(contexts), *contextsFor(identities)]
    factory = RequestorFactory(contexts, inThread=inThread, **parameters)
    association = cast("RequestorProtocol", await endpoint.connect(factory)).association
    try:
        await association.whenEstablished()
    except CancelledError:
        association.abort()
        raise
    return association
