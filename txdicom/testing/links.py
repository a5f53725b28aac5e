"""Connections in memory: two protocols joined by a `MemoryLink`, whose transports honour pauses and fill up."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IAddress, IConsumer, IProducer, IProtocol, IPushProducer, ITransport
from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.dimse.acceptor import AcceptorFactory

__all__ = ["MemoryLink", "MemoryTransport", "linked"]


@implementer(ITransport, IConsumer, IPushProducer)
class MemoryTransport:
    """
    One end of a `MemoryLink`.

    :ivar producer: what was registered to be paused while the send buffer is full.
    :ivar capacity: how many unread bytes the send buffer holds before it pauses its producer.
    """

    capacity = 1 << 16
    disconnecting = False

    def __init__(self, host: IAddress, peer: IAddress) -> None:
        self._host = host
        self._peer = peer
        self.outgoing: deque[bytes] = deque()
        self.paused = False
        self.connected = True
        self.aborted = False
        self.producer: Any = None
        self._producerPaused = False

    def write(self, data: bytes) -> None:
        """Queue bytes for the other end."""
        if self.connected and not self.disconnecting and data:
            self.outgoing.append(bytes(data))
            self._mind()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Queue many pieces at once."""
        self.write(b"".join(data))

    def take(self, size: int | None) -> bytes:
        """Take bytes out of the queue, as the other end reads them."""
        data = self.outgoing.popleft()
        if size is not None and len(data) > size:
            self.outgoing.appendleft(data[size:])
            data = data[:size]
        self._mind()
        return data

    def loseConnection(self) -> None:
        """Close when everything has been delivered."""
        self.disconnecting = True

    def abortConnection(self) -> None:
        """Close at once; what was not delivered is lost."""
        self.aborted = self.disconnecting = True
        self.outgoing.clear()

    def getPeer(self) -> IAddress:
        """Return the other end's address."""
        return self._peer

    def getHost(self) -> IAddress:
        """Return this end's address."""
        return self._host

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Have a producer paused while the send buffer is full."""
        self.producer = producer

    def unregisterProducer(self) -> None:
        """Forget the producer."""
        self.producer = None

    def pauseProducing(self) -> None:
        """Deliver nothing more to this end's protocol."""
        self.paused = True

    def resumeProducing(self) -> None:
        """Deliver again."""
        self.paused = False

    def stopProducing(self) -> None:
        """Close."""
        self.loseConnection()

    def _mind(self) -> None:
        full = sum(map(len, self.outgoing)) > self.capacity
        if self.producer is not None and full != self._producerPaused:
            self._producerPaused = full
            if not full:
                self.producer.resumeProducing()
            else:
                self.producer.pauseProducing()


class MemoryLink:
    """
    Two protocols, connected in memory.

    :ivar client: the transport of the protocol that requested the connection.
    :ivar server: the transport of the one that accepted it.
    """

    def __init__(self, client: IProtocol, server: IProtocol, clientAddress: IAddress, size: int | None = None) -> None:
        serverAddress = IPv4Address("TCP", "127.0.0.1", 104)
        self.client = MemoryTransport(clientAddress, serverAddress)
        self.server = MemoryTransport(serverAddress, clientAddress)
        self._ends = ((self.client, client, self.server), (self.server, server, self.client))
        self.size = size
        server.makeConnection(self.server)
        client.makeConnection(self.client)

    @property
    def connected(self) -> bool:
        """Whether the connection is still open."""
        return self.client.connected

    def flush(self) -> None:
        """Deliver until neither end has anything to say, or those that are spoken to have paused."""
        while self._deliverOnce():
            pass

    def lose(self, reason: Exception | None = None) -> None:
        """Cut the connection; what was not delivered is lost."""
        for transport, _, _ in self._ends:
            transport.outgoing.clear()
        self._close(reason or ConnectionAborted())

    def _deliverOnce(self) -> bool:
        moved = False
        for transport, _, other in self._ends:
            receiver = self._protocolOf(other)
            while transport.outgoing and other.connected and not other.paused:
                receiver.dataReceived(transport.take(self.size))
                moved = True
        for transport, _, _ in self._ends:
            if transport.connected and transport.disconnecting and not transport.outgoing:
                self._close(ConnectionAborted() if transport.aborted else ConnectionDone())
                moved = True
        return moved

    def _protocolOf(self, transport: MemoryTransport) -> Any:
        return next(protocol for end, protocol, _ in self._ends if end is transport)

    def _close(self, reason: Exception) -> None:
        for transport, protocol, _ in self._ends:
            if transport.connected:
                transport.connected = False
                transport.unregisterProducer()
                protocol.connectionLost(Failure(reason))


def linked(factory: AcceptorFactory, client: IProtocol, size: int | None, flush: bool) -> MemoryLink:
    """Connect the protocol of a client to a new connection of an acceptor; see `connectInMemory`."""
    clientAddress = IPv4Address("TCP", "127.0.0.1", 50000)
    link = MemoryLink(client, factory.buildProtocol(clientAddress), clientAddress, size)
    if flush:
        link.flush()
    return link
