"""
Tools for tests of programs that use txdicom: two real protocols connected in memory, and doubles of stores.

Nothing here touches a socket or waits for real time. `connect` joins a requestor to an acceptor; whatever they send
each other moves when `MemoryLink.flush` is called, in pieces of any size. The transports honour pauses and have send
buffers that fill, so flow control can be tested as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectError, ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IProducer,
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    IReactorTime,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.configuration import Configuration
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.dimse.association import Association
from txdicom.dimse.dispatch import ServiceTable
from txdicom.dimse.status import Status
from txdicom.errors import DIMSEError
from txdicom.interfaces import IDataSetWriter, IServiceProvider, IStorageSCP
from txdicom.services.storage import ReceivedInstance
from txdicom.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLEMENTATION_CLASS_UID,
    IMPLICIT_VR_LITTLE_ENDIAN,
    VERIFICATION,
)
from txdicom.upperlayer.items import PresentationContextRQ, UserInformation
from txdicom.upperlayer.pdu import PDU, AAssociateRQ, decodePDU
from txdicom.upperlayer.protocol import UpperLayerProtocol

__all__ = [
    "MemoryEndpoint",
    "MemoryLink",
    "MemoryTransport",
    "RawPeer",
    "RecordingStore",
    "StoredInstance",
    "associateRQ",
    "connect",
    "connectRaw",
    "requestor",
]

_SYNTAXES = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)


def associateRQ(
    contexts: Mapping[str, Iterable[str]] | Iterable[tuple[str, Iterable[str]]] | None = None,
    calledAETitle: str = "STORESCP",
    callingAETitle: str = "STORESCU",
    userInformation: UserInformation | None = None,
) -> AAssociateRQ:
    """
    Build an A-ASSOCIATE-RQ.

    :param contexts: abstract syntax and transfer syntaxes of each presentation context, which get the IDs 1, 3, 5, ...;
        None proposes Verification.
    """
    if contexts is None:
        contexts = {VERIFICATION: _SYNTAXES}
    pairs = contexts.items() if isinstance(contexts, Mapping) else contexts
    return AAssociateRQ(
        calledAETitle=calledAETitle,
        callingAETitle=callingAETitle,
        presentationContexts=tuple(
            PresentationContextRQ(2 * index + 1, abstractSyntax, tuple(transferSyntaxes))
            for index, (abstractSyntax, transferSyntaxes) in enumerate(pairs)
        ),
        userInformation=userInformation
        or UserInformation(maximumLength=16384, implementationClassUID=IMPLEMENTATION_CLASS_UID),
    )


def requestor(
    clock: IReactorTime,
    request: AAssociateRQ | None = None,
    configuration: Configuration | None = None,
    providers: Iterable[IServiceProvider] = (),
) -> Association:
    """
    Build an association that will be requested when its protocol is connected.

    :param request: what to send; None takes `associateRQ`'s defaults.
    """
    configuration = configuration or Configuration()
    association = Association(ServiceTable(providers), configuration, clock)
    association.protocol = UpperLayerProtocol(association, configuration, clock, request or associateRQ())
    return association


def connect(
    factory: AcceptorFactory, association: Association, size: int | None = None, flush: bool = True
) -> MemoryLink:
    """
    Connect a requestor's association to a new connection of an acceptor.

    :param size: deliver at most so many bytes at a time; None delivers what was written.
    :param flush: whether to let them talk at once, as far as they get.
    """
    return _linked(factory, association.protocol, size, flush)


@implementer(IStreamClientEndpoint)
class MemoryEndpoint:
    """
    An endpoint by which `txdicom.requestor.connect` and others reach an acceptor in memory.

    :ivar links: of all connections so far; nothing moves on them but by `flush`.
    """

    def __init__(self, factory: AcceptorFactory) -> None:
        self._factory = factory
        self.links: list[MemoryLink] = []

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect at once."""
        protocol = protocolFactory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 104))
        if protocol is None:
            return fail(ConnectError())
        self.links.append(_linked(self._factory, protocol, None, False))
        return succeed(protocol)

    def flush(self) -> None:
        """Deliver on all links."""
        for link in self.links:
            link.flush()


def connectRaw(factory: AcceptorFactory, size: int | None = None) -> RawPeer:
    """Connect a peer that sends whatever bytes the test wants to a new connection of an acceptor."""
    peer = RawPeer()
    peer.link = _linked(factory, peer, size, True)
    return peer


def _linked(factory: AcceptorFactory, client: IProtocol, size: int | None, flush: bool) -> MemoryLink:
    clientAddress = IPv4Address("TCP", "127.0.0.1", 50000)
    link = MemoryLink(client, factory.buildProtocol(clientAddress), clientAddress, size)
    if flush:
        link.flush()
    return link


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
                protocol.connectionLost(Failure(reason))


class RawPeer(Protocol):
    """
    A peer that sends what the test tells it to, and keeps what it receives.

    :ivar received: all bytes so far.
    """

    link: MemoryLink

    def __init__(self) -> None:
        self.received = b""
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        """Keep the bytes."""
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Remember that the connection is gone."""
        self.lost = True

    def send(self, *data: bytes | PDU) -> list[PDU]:
        """Send bytes or PDUs, and return the PDUs that they were answered with."""
        for item in data:
            if self.transport is not None:
                self.transport.write(item if isinstance(item, bytes) else item.encode())
        self.link.flush()
        return self.takePDUs()

    def takePDUs(self) -> list[PDU]:
        """Decode what has been received since the last time."""
        pdus = []
        while self.received:
            end = 6 + int.from_bytes(self.received[2:6], "big")
            pdus.append(decodePDU(self.received[0], self.received[6:end]))
            self.received = self.received[end:]
        return pdus


@dataclass
class StoredInstance:
    """
    What became of one instance that a `RecordingStore` was asked to store.

    :ivar fragments: the pieces of the data set as they were written.
    :ivar outcome: "open", "committed" or "aborted".
    """

    association: Association
    instance: ReceivedInstance
    fragments: list[bytes] = field(default_factory=list)
    outcome: str = "open"
    reason: Failure | None = None

    @property
    def dataSet(self) -> bytes:
        """All that was written."""
        return b"".join(self.fragments)


@implementer(IStorageSCP)
class RecordingStore:
    """
    Keeps instances in memory, in order.

    :ivar stored: every instance that has begun to arrive.
    :ivar failures: step ("store", "write" or "commit") -> the exception it raises from now on.
    """

    def __init__(self) -> None:
        self.stored: list[StoredInstance] = []
        self.failures: dict[str, Exception] = {}

    def store(self, association: Association, instance: ReceivedInstance) -> IDataSetWriter:
        """Begin a new record."""
        self.fail("store")
        record = StoredInstance(association, instance)
        self.stored.append(record)
        return _RecordingWriter(self, record)

    def fail(self, step: str) -> None:
        """Raise what `failures` has for this step."""
        if step in self.failures:
            raise self.failures[step]

    @classmethod
    def full(cls, step: str = "write") -> RecordingStore:
        """Build a store that refuses with 0xA700 at a step."""
        store = cls()
        store.failures[step] = DIMSEError(Status.OUT_OF_RESOURCES, "full")
        return store


@implementer(IDataSetWriter)
class _RecordingWriter:
    def __init__(self, store: RecordingStore, record: StoredInstance) -> None:
        self._store = store
        self._record = record

    def write(self, fragments: list[memoryview]) -> None:
        self._end("open")
        self._store.fail("write")
        self._record.fragments += map(bytes, fragments)

    def commit(self) -> int:
        self._end("committed")
        self._store.fail("commit")
        return Status.SUCCESS

    def abort(self, reason: Failure) -> None:
        self._end("aborted")
        self._record.reason = reason

    def _end(self, outcome: str) -> None:
        """Change the outcome; a record that has one already is a fault of whoever called."""
        if self._record.outcome != "open":
            raise AssertionError(f"{outcome} after {self._record.outcome}")
        self._record.outcome = outcome
