"""An association that comes back: `AssociationService`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint

from txdicom.dimse.association import Association
from txdicom.requestor.association import RequestorAssociation
from txdicom.requestor.connecting import RequestorFactory, RequestorProtocol

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProtocol

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
        super().__init__(endpoint, factory, retryPolicy, clock, self._whenEstablished)
        self._current: RequestorAssociation | None = None

    def whenEstablished(self, failAfterFailures: int | None = None) -> Deferred[RequestorAssociation]:
        """
        Return a Deferred of the association, now or when there is one.

        :param failAfterFailures: after so many attempts it errs with why the last one failed; None waits for ever.
        """
        connected: Deferred[IProtocol] = self.whenConnected(failAfterFailures)
        return connected.addCallback(lambda protocol: cast("RequestorProtocol", protocol).association)

    def stopService(self) -> Deferred[None]:
        """Release the association if there is one, and request no more."""
        association, self._current = self._current, None
        if association is None or association.endReason is not None:
            return self._stop()
        # By the end of it the connection may still be open, and is closed then.
        return Deferred.fromCoroutine(self._releaseAndStop(association))

    async def _releaseAndStop(self, association: RequestorAssociation) -> None:
        await association.release()
        await self._stop()

    def _stop(self) -> Deferred[None]:
        stopped: Deferred[None] = super().stopService()
        return stopped

    def _whenEstablished(self, protocol: IProtocol) -> Deferred[Association]:
        self._current = cast("RequestorProtocol", protocol).association
        return self._current.whenEstablished()
