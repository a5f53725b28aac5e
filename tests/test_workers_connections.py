"""Tests of how connections come from a parent to a worker: `txdicom.storescp.workers.accepting` and `.receiving`."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IListeningPort, IReadDescriptor
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.protocols import tls
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from txdicom.storescp.workers.accepting import Handover, SharedEndpoints
from txdicom.storescp.workers.board import Board, Field
from txdicom.storescp.workers.receiving import HandedOver


class FakePort:
    """A port of Twisted's, with a real socket."""

    def __init__(self, listening: socket.socket) -> None:
        self.socket = listening
        self.isReading = True

    def stopReading(self) -> None:
        """Let somebody else accept."""
        self.isReading = False

    def fileno(self) -> int:
        """Return the descriptor."""
        return self.socket.fileno()

    def getHost(self) -> Any:
        """Return where."""
        return self.socket.getsockname()

    def stopListening(self) -> None:
        """Close."""
        self.socket.close()


class FakeReactor(Clock):
    """
    As much of a reactor as listening needs.

    :ivar readers: what is read.
    :ivar adopted: family, factory and peer of each connection that was adopted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []
        self.ports: list[FakePort] = []
        self.known: set[Any] = set()
        self.adopted: list[tuple[Any, Any, socket.socket]] = []

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> FakePort:
        """Listen on any port of this machine."""
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        self.ports.append(FakePort(listening))
        return self.ports[-1]

    def listenUNIX(self, address: str, factory: Any, backlog: int = 50, mode: int = 0o666) -> FakePort:
        """Listen."""
        return self.listenTCP(0, factory)

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: Any) -> FakePort:
        """Listen."""
        return self.listenTCP(0, factory)

    def adoptStreamConnection(self, fileDescriptor: int, addressFamily: int, factory: Any) -> None:
        """Remember a connection."""
        self.adopted.append((addressFamily, factory, socket.socket(fileno=os.dup(fileDescriptor))))

    def addReader(self, reader: Any) -> None:
        """Read."""
        self.readers.append(reader)
        self.known.add(reader)

    def removeReader(self, reader: Any) -> None:
        """Read no more."""
        if reader in self.readers:
            self.readers.remove(reader)

    def close(self) -> None:
        """Close all that is open."""
        for port in self.ports:
            port.socket.close()
        for reader in self.known:
            reader._socket.close()
        for *_, connection in self.adopted:
            connection.close()


class ConnectionsTestCase(SynchronousTestCase):
    """Has a reactor, and a log."""

    def setUp(self) -> None:
        """Make them."""
        self.reactor = FakeReactor()
        self.addCleanup(self.reactor.close)
        self.logged: list[str] = []
        observer: Callable[[Any], None] = lambda event: self.logged.append(event.get("log_format") or "")  # noqa: E731
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Connect two sockets."""
        pair = socket.socketpair()
        for end in pair:
            self.addCleanup(end.close)
        return pair


class AcceptingTests(ConnectionsTestCase):
    """`SharedEndpoints`."""

    def setUp(self) -> None:
        """Make endpoints."""
        super().setUp()
        self.given: list[tuple[int, Any]] = []
        self.room = 1000
        self.endpoints = SharedEndpoints(self.reactor, self.take)

    def take(self, endpoint: int, connection: socket.socket) -> bool:
        """Take a connection, if there is room; it is open, as it will not be later."""
        if len(self.given) >= self.room:
            return False
        self.given.append((endpoint, connection.getpeername()))
        return True

    def connect(self, port: Any) -> Any:
        """Connect to a port, and return where from."""
        connection = socket.create_connection(port.getHost())
        self.addCleanup(connection.close)
        return connection.getsockname()

    def test_interfaces(self) -> None:
        port = self.endpoints.listenTCP(0, Factory())
        for interface in (IListeningPort, IReadDescriptor):
            verifyObject(interface, port)
        port.startListening()
        self.assertEqual(port.logPrefix(), "workers")  # type: ignore[attr-defined]
        port.stopListening()

    def test_accepts(self) -> None:
        """Whatever listens is accepted from here, as long as there is anybody to give it to."""
        ports = [
            self.endpoints.listenTCP(0, Factory(), interface="127.0.0.1"),
            self.endpoints.listenUNIX("/run/x", Factory(), mode=0o600),
            self.endpoints.adoptStreamPort(3, socket.AF_INET, Factory()),
            self.endpoints.listenSSL(0, Factory(), object(), 5),
        ]
        self.assertEqual(self.endpoints.count, 4)
        self.assertEqual([port.isReading for port in self.reactor.ports], [False] * 4)
        self.assertEqual(self.reactor.readers, [])
        self.endpoints.open(True)
        self.endpoints.open(True)
        self.assertEqual(self.reactor.readers, ports)
        peers = [(index, self.connect(ports[index])) for index in (0, 1, 2, 3, 0)]
        for reader in self.reactor.readers:
            reader.doRead()
        self.assertEqual(sorted(self.given), sorted(peers))
        self.endpoints.open(False)
        self.assertEqual(self.reactor.readers, [])

    def test_everythingElse(self) -> None:
        """It is the reactor's."""
        self.assertIs(self.endpoints.callLater.__self__, self.reactor)

    def test_closedMeanwhile(self) -> None:
        """What is given may be the last that can be."""
        port: Any = self.endpoints.listenTCP(0, Factory())
        self.endpoints.open(True)
        self.patch(self.endpoints, "_give", None)
        port._give = lambda connection: (self.endpoints.open(False), True)[1]
        for _ in range(2):
            self.connect(port)
        port.doRead()
        self.assertEqual(port._socket.accept()[0].close(), None)

    def test_stops(self) -> None:
        """A port that is stopped is closed, here as well."""
        port: Any = self.endpoints.listenTCP(0, Factory())
        self.endpoints.open(True)
        host = port.getHost()
        port.stopListening()
        self.assertEqual((self.reactor.readers, port.fileno()), ([], -1))
        self.assertRaises(ConnectionRefusedError, socket.create_connection, host)
        port.connectionLost(Failure(ConnectionDone()))

    def test_nothingLeftToAcceptWith(self) -> None:
        """When the system is out of descriptors, accepting waits a second."""
        port: Any = self.endpoints.listenTCP(0, Factory())
        self.endpoints.open(True)
        real, port._socket = port._socket, FailingSocket(errno.EMFILE)
        port.doRead()
        self.assertEqual(self.reactor.readers, [])
        self.assertIn("connections cannot be accepted for a moment: {error}", self.logged)
        self.reactor.advance(1)
        self.assertEqual(self.reactor.readers, [port])
        port._socket.number = errno.ECONNABORTED
        port.doRead()
        self.assertEqual(self.reactor.readers, [port])
        port._socket.number = errno.ENOMEM
        port.doRead()
        self.endpoints.open(False)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        port._socket = real

    def test_nobodyTakesThem(self) -> None:
        """A connection that nobody takes is not closed, and no other is accepted, until somebody does."""
        port: Any = self.endpoints.listenTCP(0, Factory())
        self.endpoints.open(True)
        self.room = 1
        peers = [(0, self.connect(port)) for _ in range(3)]
        port.doRead()
        for _ in range(3):
            self.assertEqual((self.given, self.reactor.readers), (peers[:1], []))
            self.reactor.advance(0.05)
        # All workers are gone, and there are some again.
        self.endpoints.open(False)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.endpoints.open(True)
        self.room = 2
        self.reactor.advance(0.05)
        self.assertEqual((self.given, self.reactor.readers), (peers[:2], [port]))
        self.room = 3
        port.doRead()
        self.assertEqual(self.given, peers)
        self.assertEqual(self.logged.count("connections wait until a worker takes them"), 1)

    def test_stopsWhileNobodyTakesThem(self) -> None:
        """What is kept is closed."""
        for stop in (lambda port: port.stopListening(), lambda port: port.connectionLost(Failure(ConnectionDone()))):
            port: Any = self.endpoints.listenTCP(0, Factory())
            self.endpoints.open(True)
            self.room = 0
            peer = socket.create_connection(port.getHost())
            self.addCleanup(peer.close)
            port.doRead()
            stop(port)
            peer.settimeout(5)
            self.assertEqual(peer.recv(1), b"")
            self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_batches(self) -> None:
        """Others have their turn although more come."""
        port: Any = self.endpoints.listenTCP(0, Factory())
        self.endpoints.open(True)
        for _ in range(60):
            self.connect(port)
        port.doRead()
        self.assertEqual(len(self.given), 50)
        port.doRead()
        self.assertEqual(len(self.given), 60)


class FailingSocket:
    """A socket that cannot accept."""

    def __init__(self, number: int) -> None:
        self.number = number

    def accept(self) -> None:
        """Fail."""
        raise OSError(self.number, os.strerror(self.number))

    def close(self) -> None:
        """Nothing is open."""


class HandingOverTests(ConnectionsTestCase):
    """`Handover` and `HandedOver`."""

    def setUp(self) -> None:
        """Connect both sides."""
        super().setUp()
        sending, receiving = self.pair()
        self.handover = Handover(sending)
        self.finished: Deferred[None] = Deferred()
        descriptor = Board.create(1)
        self.part = Board(descriptor, 1).part(0)
        os.close(descriptor)
        self.worker = HandedOver(self.reactor, receiving, self.part, lambda: self.finished, 10.0)
        self.factory = Factory.forProtocol(Protocol)

    def give(self, endpoint: int = 0) -> socket.socket:
        """Hand a connection over, and return the peer's end of it."""
        peer, ours = self.pair()
        self.assertTrue(self.handover.give(endpoint, ours))
        ours.close()
        return peer

    def test_interface(self) -> None:
        verifyObject(IReadDescriptor, self.worker)
        port = self.worker.listenTCP(104, self.factory)
        verifyObject(IListeningPort, port)
        port.startListening()
        self.assertRaises(NotImplementedError, port.getHost)
        self.assertEqual(self.worker.logPrefix(), "worker")
        self.worker.connectionLost(Failure(ConnectionDone()))
        self.assertIs(self.worker.callLater.__self__, self.reactor)

    def test_served(self) -> None:
        """Each connection comes to the factory of its endpoint, and lives on here only."""
        other = Factory.forProtocol(Protocol)
        self.worker.listenTCP(104, self.factory, interface="::1")
        self.worker.listenUNIX("/run/x", other, mode=0o600)
        self.worker.open()
        self.assertEqual(self.reactor.readers, [self.worker])
        peers = [self.give(0), self.give(1)]
        self.assertIsNone(self.worker.doRead())
        families, factories, connections = zip(*self.reactor.adopted, strict=True)
        self.assertEqual(set(families), {socket.AF_UNIX})
        self.assertEqual(factories, (self.factory, other))
        for peer, connection in zip(peers, connections, strict=True):
            peer.sendall(b"x")
            self.assertEqual(connection.recv(1), b"x")
            connection.close()
            self.assertEqual(peer.recv(1), b"")

    def test_encrypted(self) -> None:
        """Connections of such an endpoint are decrypted by the worker."""
        made: list[tuple[Any, ...]] = []

        def wrap(*arguments: Any) -> Factory:
            made.append(arguments)
            return Factory()

        self.patch(tls, "TLSMemoryBIOFactory", wrap)
        context = object()
        self.worker.listenSSL(105, self.factory, context)
        self.assertEqual(made, [(context, False, self.factory)])
        self.assertEqual(len(self.worker.factories), 1)

    def test_batches(self) -> None:
        """Others have their turn although more come."""
        self.worker.listenTCP(104, self.factory)
        for _ in range(60):
            self.give()
        self.worker.doRead()
        self.assertEqual(len(self.reactor.adopted), 50)
        self.worker.doRead()
        self.assertEqual(len(self.reactor.adopted), 60)

    def test_full(self) -> None:
        """A worker that takes nothing is given no more, after a while, and nobody waits for it."""
        _, ours = self.pair()
        self.assertTrue(any(not self.handover.give(0, ours) for _ in range(10000)))

    def test_gone(self) -> None:
        """One that is gone is given nothing."""
        _, ours = self.pair()
        self.worker._socket.close()
        self.assertFalse(self.handover.give(0, ours))
        self.handover.close()
        self.assertFalse(self.handover.give(0, ours))

    def test_parentGone(self) -> None:
        """Nothing more is read."""
        self.handover.close()
        self.assertIs(self.worker.doRead(), CONNECTION_DONE)
        self.worker._socket.close()
        self.assertIs(self.worker.doRead(), CONNECTION_LOST)

    def test_notAdopted(self) -> None:
        """A connection that cannot be used any more is counted as over."""

        def adopt(*_: Any) -> None:
            raise OSError(errno.ENOTCONN, "gone")

        self.patch(self.reactor, "adoptStreamConnection", adopt)
        self.worker.listenTCP(104, self.factory)
        peer = self.give()
        self.assertIsNone(self.worker.doRead())
        self.assertEqual(peer.recv(1), b"")
        self.assertEqual(self.part[Field.ENDED], 1)
        self.assertIn("a connection is lost before it could be served: {why}", self.logged)

    def test_noDescriptor(self) -> None:
        """One that comes without its descriptor, because this process can have no more, is counted as over."""
        self.handover._socket.send(b"\0")
        self.assertIsNone(self.worker.doRead())
        self.assertEqual((self.part[Field.ENDED], self.reactor.adopted), (1, []))

    def test_closes(self) -> None:
        """What has been handed over until the parent knows is still served; each endpoint may be stopped."""
        ports = [self.worker.listenTCP(104, self.factory), self.worker.listenTCP(105, self.factory)]
        self.worker.open()
        stopping = [port.stopListening() for port in ports]
        self.give()
        self.give(1)
        self.assertNoResult(stopping[0])
        self.finished.callback(None)
        for each in stopping:
            self.successResultOf(each)
        self.assertEqual(len(self.reactor.adopted), 2)
        self.assertEqual((self.reactor.readers, self.worker.fileno()), ([], -1))

    def test_closesWithoutParent(self) -> None:
        """If there is none, or it does not answer, that is no reason to stay."""
        self.worker.open()
        closing = Deferred.fromCoroutine(self.worker.close())
        self.handover.close()
        self.reactor.advance(10)
        self.successResultOf(closing)
        self.assertEqual((self.reactor.readers, self.worker.fileno()), ([], -1))
