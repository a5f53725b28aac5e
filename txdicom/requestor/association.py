"""An association that we requested, with everything that can be asked for: `RequestorAssociation`."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from txdicom.configuration import Configuration
from txdicom.dimse.association import Association
from txdicom.dimse.commands import CEchoRSP, CStoreRSP
from txdicom.dimse.dispatch import ServiceTable
from txdicom.dimse.responses import Responses
from txdicom.errors import LocalProtocolError
from txdicom.interfaces import IAssociationObserver
from txdicom.services import query
from txdicom.services.instances import Source
from txdicom.services.query import SubOperations
from txdicom.services.sending import IWaiting, send
from txdicom.services.verification import echo
from txdicom.upperlayer.pdu import AAssociateAC, AAssociateRQ

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["RequestorAssociation"]

#: How many files are open at once where any number of requests may be outstanding.
_UNLIMITED = 16


class RequestorAssociation(Association):
    """
    An association that we requested.

    Requests may be made at any time: they go out in order, and as many are outstanding at once as was negotiated.

    :param disk: does what waits for a disk or computes.
    """

    def __init__(
        self,
        services: ServiceTable,
        configuration: Configuration,
        clock: IReactorTime,
        disk: IWaiting,
        observer: IAssociationObserver | None = None,
    ) -> None:
        super().__init__(services, configuration, clock, observer=observer)
        self._disk = disk
        self._turns = _Turns()

    @property
    def window(self) -> int:
        """How many requests may be outstanding at once; 0 for any number (PS3.7 D.3.3.3)."""
        return self._sendQueue.window

    def associationEstablished(self, request: AAssociateRQ, response: AAssociateAC) -> None:
        """Keep to the asynchronous operations window that was negotiated: one operation at a time without it."""
        proposed = request.userInformation.asynchronousOperations
        granted = response.userInformation.asynchronousOperations
        window = 1
        if proposed is not None and granted is not None:
            # 0 is any number on either side, and the smaller of two others counts.
            bounds = [bound for bound in (proposed.maximumInvoked, granted.maximumInvoked) if bound]
            window = min(bounds, default=0)
        self._sendQueue.window = window
        # One more file is opened, so that it is at hand when a response comes.
        self._turns.open((window or _UNLIMITED) + 1)
        super().associationEstablished(request, response)

    def associationEnded(self, reason: Failure) -> None:
        """Nobody's turn comes any more; closed first, or else each that fails would let in the next."""
        self._turns.close(reason)
        super().associationEnded(reason)

    def echo(self) -> Deferred[CEchoRSP]:
        """
        Ask whether the peer is there (C-ECHO).

        :raises LocalProtocolError: it has not accepted Verification, or the association is not established.
        """
        return echo(self)

    def store(self, source: Source, priority: int = 0) -> Deferred[CStoreRSP]:
        """
        Send an instance (C-STORE).

        Files are opened when their turn comes, so any number may be asked for at once.

        :param source: the path of a file, a binary file at its first byte, or a data set of pydicom's. It is not to be
            changed until the Deferred has fired.
        :param priority: 0 medium, 1 high, 2 low.
        :return: the response, whatever its status. It errs with what `txdicom.services.sending.send` raises, or with
            why the association ended.
        """
        return Deferred.fromCoroutine(self._store(source, priority))

    async def _store(self, source: Source, priority: int) -> CStoreRSP:
        await self._turns.enter()
        try:
            return await send(self, source, self._disk, priority)
        except LocalProtocolError:
            if self.endReason is not None:
                # It ended while the file was being opened.
                self.endReason.raiseException()
            raise
        finally:
            self._turns.leave()

    def find(self, sopClassUID: str, identifier: Dataset, priority: int = 0) -> Responses[Dataset]:
        """Query (C-FIND): iterate over the matches; see `txdicom.services.query.find`."""
        return query.find(self, sopClassUID, identifier, priority)

    def move(
        self, sopClassUID: str, identifier: Dataset, destination: str, priority: int = 0
    ) -> Responses[SubOperations]:
        """Have instances sent elsewhere (C-MOVE); see `txdicom.services.query.move`."""
        return query.move(self, sopClassUID, identifier, destination, priority)

    def get(self, sopClassUID: str, identifier: Dataset, priority: int = 0) -> Responses[SubOperations]:
        """Retrieve instances over this association (C-GET); see `txdicom.services.query.get`."""
        return query.get(self, sopClassUID, identifier, priority)

    def release(self) -> Deferred[None]:
        """
        Release the association when all requests that have been made are answered (PS3.8 7.2).

        :return: fires when it is over.
        :raises LocalProtocolError: there is no established association.
        """
        if self._turns.taken or self.requests.outstanding:
            return Deferred.fromCoroutine(self._releaseWhenIdle())
        return super().release()

    async def _releaseWhenIdle(self) -> None:
        while self._turns.taken or self.requests.outstanding:
            await self._turns.whenFree()
            await self.requests.whenAnswered()
        if self.endReason is None:
            await super().release()


class _Turns:
    """Lets so many in at once, in order; nobody before it is opened, and whoever waits when it is closed errs."""

    def __init__(self) -> None:
        self._size = 0
        self._inside = 0
        self._admitting = False
        self._reason: Failure | None = None
        self._waiting: deque[Deferred[None]] = deque()
        self._freeing: list[Deferred[None]] = []

    @property
    def taken(self) -> bool:
        """Whether anybody is inside or waits to be."""
        return bool(self._inside or self._waiting)

    def open(self, size: int) -> None:
        """Let in so many."""
        self._size = size
        self._admit()

    def close(self, reason: Failure) -> None:
        """Let in nobody any more."""
        self._reason = reason
        waiting, self._waiting = self._waiting, deque()
        for turn in waiting:
            turn.errback(reason)
        self._tellIfFree()

    def enter(self) -> Deferred[None]:
        """Return a Deferred that fires when it is one's turn; `leave` has to follow."""
        turn: Deferred[None] = Deferred(self._forget)
        if self._reason is not None:
            turn.errback(self._reason)
        else:
            self._waiting.append(turn)
            self._admit()
        return turn

    def leave(self) -> None:
        """Let in the next."""
        self._inside -= 1
        self._admit()
        self._tellIfFree()

    def whenFree(self) -> Deferred[None]:
        """Return a Deferred that fires when nobody is inside or waits to be."""
        free: Deferred[None] = Deferred()
        self._freeing.append(free)
        self._tellIfFree()
        return free

    def _admit(self) -> None:
        if self._admitting:
            # Whoever is let in may leave at once, and the loop below goes on then.
            return
        self._admitting = True
        try:
            while self._waiting and self._inside < self._size:
                self._inside += 1
                self._waiting.popleft().callback(None)
        finally:
            self._admitting = False

    def _forget(self, turn: Deferred[None]) -> None:
        if turn in self._waiting:
            self._waiting.remove(turn)

    def _tellIfFree(self) -> None:
        if not self.taken:
            freeing, self._freeing = self._freeing, []
            for free in freeing:
                free.callback(None)
