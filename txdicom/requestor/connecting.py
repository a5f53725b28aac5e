"""From an endpoint to an association: `connect`, and the `RequestorFactory` that it and others build on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IReactorFromThreads, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory

from txdicom.configuration import Configuration
from txdicom.dimse.dispatch import ServiceTable
from txdicom.interfaces import IAssociationObserver, IServiceProvider
from txdicom.requestor.association import RequestorAssociation
from txdicom.requestor.proposing import Contexts, Proposal, contextsFor, encodeContexts, listContexts
from txdicom.services.instances import Identity, Source, identify
from txdicom.storage.disk import Disk
from txdicom.upperlayer.items import UserInformation
from txdicom.upperlayer.pdu import AAssociateRQ
from txdicom.upperlayer.protocol import UpperLayerProtocol
from txdicom.upperlayer.subitems import AsynchronousOperationsWindow, RoleSelection, UserIdentityRQ

__all__ = ["RequestorFactory", "RequestorProtocol", "connect", "establish"]


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
    :param disk: decides where the disk is waited for, and is closed by whoever made it; None makes one.
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
        disk: Disk | None = None,
    ) -> None:
        self._clock = clock = clock or _globalReactor()
        self._disk = disk or _makeDisk(clock)
        self._isOurDisk = disk is None
        self._observer = observer
        self._configuration = configuration or Configuration()
        self._services = ServiceTable(providers)
        own = listContexts(contexts)
        self._request = AAssociateRQ(
            calledAETitle=calledAETitle,
            callingAETitle=callingAETitle,
            presentationContexts=encodeContexts([*own, *self._provided()]),
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
        association = RequestorAssociation(self._services, self._configuration, self._clock, self._disk, self._observer)
        association.peer = addr
        protocol = RequestorProtocol(association, self._configuration, self._clock, self._request)
        protocol.factory = self
        association.protocol = protocol
        protocol.association = association
        if self._isOurDisk:
            association.whenEnded().addCallback(lambda _: self._disk.close())
        return protocol

    def _provided(self) -> Iterator[Proposal]:
        """List what our providers provide; of syntaxes that they like equally well, any order will do."""
        for abstractSyntax, liked in self._services.presentationContexts.items():
            groups = ([one] if isinstance(one, str) else sorted(one) for one in liked)
            yield abstractSyntax, tuple(uid for group in groups for uid in group)

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
    clock: IReactorTime | None = None,
    disk: Disk | None = None,
    **parameters: Any,
) -> Deferred[RequestorAssociation]:
    """
    Connect to a peer and request an association.

    :param endpoint: how the peer is reached: by TCP, or by TLS with `twisted.internet.endpoints.wrapClientTLS`; its
        time limit for the connection holds, and then `Configuration.artimTimeout` for the peer's answer.
    :param contexts: what is proposed, as for `RequestorFactory`.
    :param send: instances that are going to be sent; what they need is proposed besides `contexts`. To know it, the
        beginning of each file is read first.
    :param parameters: as for `RequestorFactory`, as are `clock` and `disk`.
    :return: the association, established. It errs with what the endpoint errs with, with `AssociationRejected`, or with
        whatever else ended the association early; with `SourceError` if one of `send` cannot be read, and with
        `LocalProtocolError` if an A-ASSOCIATE-RQ cannot hold what is proposed. To cancel it gives up in any phase.
    """
    sources = list(send)
    clock = clock or _globalReactor()

    async def connecting() -> RequestorAssociation:
        needed = contextsFor(await _identifyAll(sources, disk or _makeDisk(clock), disk is None)) if sources else []
        every = [*listContexts(contexts), *needed]
        return await establish(endpoint, RequestorFactory(every, clock=clock, disk=disk, **parameters))

    return Deferred.fromCoroutine(connecting())


async def establish(endpoint: IStreamClientEndpoint, factory: RequestorFactory) -> RequestorAssociation:
    """Connect to a peer, and wait for the association; raises what `connect` errs with."""
    association = cast("RequestorProtocol", await endpoint.connect(factory)).association
    try:
        await association.whenEstablished()
    except CancelledError:
        association.abort()
        raise
    return association


async def _identifyAll(sources: list[Source], disk: Disk, isOurs: bool) -> list[Identity]:
    try:
        return await disk.inThread(lambda: [identify(source) for source in sources])
    finally:
        if isOurs:
            disk.close()


def _globalReactor() -> IReactorTime:
    # Imported this late because it installs the default reactor, which is the application's to choose.
    from twisted.internet import reactor

    return IReactorTime(reactor)


def _makeDisk(clock: IReactorTime) -> Disk:
    """Make one that waits in threads where that is possible."""
    return Disk(clock if IReactorFromThreads.providedBy(clock) else None)
