"""An association that comes back: `AssociationService`."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.requestor.association import RequestorAssociation
from txdicom.requestor.connecting import RequestorFactory, establish

__all__ = ["AssociationService"]


class AssociationService(ClientService):
    """
    Keeps an association with a peer: requests it anew, after growing pauses, whenever it is lost or refused.

    :param endpoint: how the peer is reached.
    :param factory: what is requested.
    :param retryPolicy: the number of failures in a row -> seconds until the next attempt; None takes Twisted's.
    :param clock: the pauses run on it; None takes the global reactor.
    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        factory: RequestorFactory,
        retryPolicy: Callable[[int], float] | None = None,
        clock: IReactorTime | None = None,
    ) -> None:
        presences = _Presences()
        super().__init__(_Establishing(endpoint, factory, presences), presences, retryPolicy, clock)
        self._presences = presences

    def whenEstablished(self, failAfterFailures: int | None = None) -> Deferred[RequestorAssociation]:
        """
        Return a Deferred of the association, now or when there is one.

        :param failAfterFailures: after so many attempts it errs with why the last one failed; None waits for ever.
        """
        connected: Deferred[IProtocol] = self.whenConnected(failAfterFailures)
        return connected.addCallback(lambda presence: cast("_Presence", presence).association)

    def stopService(self) -> Deferred[None]:
        """Release the association if there is one, and request no more."""
        association = self._presences.association
        stopped: Deferred[None] = super().stopService()
        if association is None or association.endReason is not None:
            return stopped
        return association.whenEnded().addCallback(lambda _: stopped)


class _Presence(Protocol):
    """Stands for an established association where Twisted expects a connection."""

    def __init__(self, association: RequestorAssociation) -> None:
        self.association = association


class _Presences(Factory):
    """Makes the presence of the association that has just been established."""

    noisy = False
    association: RequestorAssociation | None = None

    def buildProtocol(self, addr: IAddress | None) -> _Presence:
        return _Presence(cast("RequestorAssociation", self.association))


class _Closing:
    """What stopping the service does to a presence's connection."""

    def __init__(self, association: RequestorAssociation) -> None:
        self._association = association

    def loseConnection(self) -> None:
        """Release; the connection follows."""
        if self._association.endReason is None:
            self._association.release()

    def abortConnection(self) -> None:
        """Abort."""
        self._association.abort()


@implementer(IStreamClientEndpoint)
class _Establishing:
    """
    Has connected only when the association is there, and has lost the connection when it is over.

    `ClientService` has a way to prepare connections, but none for those that close while they are being prepared, as
    that of a rejected association does.
    """

    def __init__(self, endpoint: IStreamClientEndpoint, factory: RequestorFactory, presences: _Presences) -> None:
        self._endpoint = endpoint
        self._factory = factory
        self._presences = presences

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Request the association."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, protocolFactory: IProtocolFactory) -> IProtocol:
        association = await establish(self._endpoint, self._factory)
        self._presences.association = association
        presence = cast("IProtocol", protocolFactory.buildProtocol(cast("IAddress", association.peer)))
        presence.makeConnection(cast("ITransport", _Closing(association)))
        association.whenEnded().addCallback(lambda _: presence.connectionLost(cast("Failure", association.endReason)))
        return presence
