"""The acceptor's side: `AcceptorFactory` builds an association for every connection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import count

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory

from txdicom.configuration import Configuration
from txdicom.dimse.admission import Admission
from txdicom.dimse.association import Association
from txdicom.dimse.entity import ApplicationEntity
from txdicom.errors import RejectReason, RejectResult
from txdicom.interfaces import IAssociationObserver, IServiceProvider
from txdicom.upperlayer.pdu import AAssociateAC, AAssociateRJ, AAssociateRQ
from txdicom.upperlayer.protocol import UpperLayerProtocol
from txdicom.upperlayer.transport import ReactorTurn

__all__ = ["AcceptorFactory"]


class AcceptorFactory(Factory):
    """
    Accepts associations and answers their requests with service providers.

    :param providers: the services offered; together they say which presentation contexts are accepted.
    :param configuration: bounds and times; None takes the defaults.
    :param clock: timers run on it; None takes the global reactor.
    :param admit: who may come in; None lets everybody in.
    :param observer: told of what happens on every association.
    :param entities: by called AE title, without padding: who else is to be found here. `providers` and `admit` are for
        whoever asks for a title that is not among them.
    :ivar associations: those of all connections that have not ended, whether or not they have been established yet.
    """

    noisy = False

    def __init__(
        self,
        providers: Iterable[IServiceProvider],
        configuration: Configuration | None = None,
        clock: IReactorTime | None = None,
        admit: Admission | None = None,
        observer: IAssociationObserver | None = None,
        entities: Mapping[str, ApplicationEntity] | None = None,
    ) -> None:
        if clock is None:
            # Imported this late because it installs the default reactor, which is the application's to choose.
            from twisted.internet import reactor

            clock = IReactorTime(reactor)
        self._clock = clock
        self._anybody = ApplicationEntity(providers, admit)
        self._entities = dict(entities or {})
        self._configuration = configuration or Configuration()
        self._observer = observer
        self._turn = ReactorTurn(clock)
        self.associations: set[Association] = set()
        self._numbers = count(1)
        self._established: set[Association] = set()
        self._perPeer: Counter[str] = Counter()
        # Connections without an association, the oldest first.
        self._idle: dict[UpperLayerProtocol, None] = {}
        # Who waits for the end of the last association; None as long as new ones are welcome.
        self._draining: list[Deferred[None]] | None = None
        self._grace: IDelayedCall | None = None
        # Who waits for the end of the last connection, and what ends the patience with those that there are.
        self._disconnecting: list[Deferred[None]] = []
        self._patience: IDelayedCall | None = None

    def buildProtocol(self, addr: IAddress | None) -> UpperLayerProtocol:
        """Build the protocol of a new connection, with an association on top."""
        services = self._anybody.services
        association = Association(services, self._configuration, self._clock, self._decide, self._observer)
        association.number = next(self._numbers)
        association.peer = addr
        association.protocol = protocol = UpperLayerProtocol(
            association, self._configuration, self._clock, closed=self._closed, turn=self._turn
        )
        protocol.factory = self
        self.associations.add(association)
        self._idles(protocol)
        association.whenEnded().addCallback(self._ended, association)
        return protocol

    def drain(self, grace: float) -> Deferred[None]:
        """
        End all associations: those with a message under way when it has been answered, the others at once.

        New ones are rejected from now on (transient, temporary congestion).

        :param grace: seconds after which the rest is aborted.
        :return: fires when no association is left.
        """
        if self._draining is None:
            self._draining = []
            self._grace = self._clock.callLater(grace, self.abortAll)
            for association in list(self._established):
                association.drain()
        drained: Deferred[None] = Deferred()
        self._draining.append(drained)
        self._endDraining()
        return drained

    def abortAll(self) -> None:
        """Abort every association at once, and close the connections on which none was requested yet."""
        for association in list(self.associations):
            association.abort()

    def disconnect(self, patience: float) -> Deferred[None]:
        """
        Abort every association, and close all connections.

        Peers that have had an association are given the chance to close first, so that they hear how it ended: what is
        sent right before a connection is cut may be lost.

        :param patience: seconds after which the rest is cut.
        :return: fires when no connection is open.
        """
        self.abortAll()
        disconnected: Deferred[None] = Deferred()
        self._disconnecting.append(disconnected)
        if self._patience is None:
            self._patience = self._clock.callLater(patience, self._dropAll)
        self._endDisconnecting()
        return disconnected

    def _dropAll(self) -> None:
        for protocol in [*self._idle, *(association.protocol for association in self._established)]:
            protocol.drop()

    def _decide(self, association: Association, request: AAssociateRQ) -> AAssociateAC | AAssociateRJ:
        entity = self._entities.get(association.calledAETitle, self._anybody)
        answer = self._refusal(entity, association, request) or entity.answer(request, self._configuration)
        if isinstance(answer, AAssociateAC) and association.endReason is None:
            association.services = entity.services
            self._established.add(association)
            self._perPeer[_hostOf(association)] += 1
            self._idle.pop(association.protocol, None)
        return answer

    def _refusal(
        self, entity: ApplicationEntity, association: Association, request: AAssociateRQ
    ) -> AAssociateRJ | None:
        if self._draining is not None:
            return AAssociateRJ.of(RejectResult.TRANSIENT, RejectReason.TEMPORARY_CONGESTION)
        refusal = entity.admit(association, request) if entity.admit is not None else None
        if refusal is not None:
            return refusal
        configuration = self._configuration
        if (
            0 < configuration.maximumAssociations <= len(self._established)
            or 0 < configuration.maximumAssociationsPerPeer <= self._perPeer[_hostOf(association)]
        ):
            return AAssociateRJ.of(RejectResult.TRANSIENT, RejectReason.LOCAL_LIMIT_EXCEEDED)
        return None

    def _ended(self, _: None, association: Association) -> None:
        self.associations.discard(association)
        if association in self._established:
            self._established.remove(association)
            host = _hostOf(association)
            self._perPeer[host] -= 1
            if not self._perPeer[host]:
                del self._perPeer[host]
            if association.protocol.isConnected:
                self._idles(association.protocol)
            self._endDraining()

    def _idles(self, protocol: UpperLayerProtocol) -> None:
        """Let a connection be open without an association, if need be in the place of the oldest such one."""
        if len(self._idle) >= self._configuration.maximumIdleConnections > 0:
            oldest = next(iter(self._idle))
            del self._idle[oldest]
            oldest.drop()
        self._idle[protocol] = None

    def _closed(self, protocol: UpperLayerProtocol) -> None:
        self._idle.pop(protocol, None)
        self._endDisconnecting()

    def _endDraining(self) -> None:
        if self._draining is None or self._established:
            return
        if self._grace is not None and self._grace.active():
            self._grace.cancel()
        draining, self._draining = self._draining, []
        for drained in draining:
            drained.callback(None)

    def _endDisconnecting(self) -> None:
        if self._patience is None or self._idle or self._established:
            return
        patience, self._patience = self._patience, None
        if patience.active():
            patience.cancel()
        disconnecting, self._disconnecting = self._disconnecting, []
        for disconnected in disconnecting:
            disconnected.callback(None)


def _hostOf(association: Association) -> str:
    return str(getattr(association.peer, "host", ""))
