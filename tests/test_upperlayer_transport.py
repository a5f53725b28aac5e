"""
Tests for `txdicom.upperlayer.transport`: what the upper layer asks of the transports of TCP, TLS and others.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IPushProducer, ISystemHandle, ITCPTransport
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.conversations import AC, ADDRESS, CONFIGURATION, DATA, RQ, RecordingUser
from txdicom.testing import MemoryTransport
from txdicom.upperlayer import transport as module
from txdicom.upperlayer.protocol import UpperLayerProtocol
from txdicom.upperlayer.transport import TCPOptions

SERVER = IPv4Address("TCP", "127.0.0.1", 104)
#: Stands for the number of TCP_QUICKACK, which not every system has.
QUICKACK = 12345


@implementer(ITCPTransport, ISystemHandle)
class TCPTransport(MemoryTransport):
    """
    Has what TCP's transports have in addition.

    :ivar options: the socket options that were set by name.
    """

    def __init__(self, handle: object) -> None:
        super().__init__(SERVER, ADDRESS)
        self.handle = handle
        self.options: dict[str, bool] = {}

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Record it."""
        self.options["TCP_NODELAY"] = enabled

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Record it."""
        self.options["SO_KEEPALIVE"] = enabled

    def getTcpNoDelay(self) -> bool:
        """Return what was set."""
        return self.options.get("TCP_NODELAY", False)

    def getTcpKeepAlive(self) -> bool:
        """Return what was set."""
        return self.options.get("SO_KEEPALIVE", False)

    def loseWriteConnection(self) -> None:
        """Is never asked for."""
        raise AssertionError("half a connection is no use")

    def getHandle(self) -> object:
        """Return what the test wants."""
        return self.handle


class Socket(socket.socket):
    """A socket that records which options are set, or fails as one does that is closed."""

    def __init__(self, error: OSError | None = None) -> None:
        super().__init__()
        self.error = error
        self.calls: list[tuple[Any, ...]] = []

    def setsockopt(self, *arguments: Any) -> None:
        """Record it."""
        self.calls.append(arguments)
        if self.error is not None:
            raise self.error


class TransportTests(SynchronousTestCase):
    """What is done to a transport when it has connected, and later."""

    def connected(self, transport: MemoryTransport) -> UpperLayerProtocol:
        """Connect an acceptor to a transport."""
        self.patch(module, "_TCP_QUICKACK", QUICKACK)
        self.patch(module, "_KEEPALIVE", ())
        self.user = RecordingUser()
        protocol = UpperLayerProtocol(self.user, CONFIGURATION, Clock())
        protocol.makeConnection(transport)
        return protocol

    def socket(self, error: OSError | None = None) -> Socket:
        """Make a socket that is closed with the test."""
        made = Socket(error)
        self.addCleanup(made.close)
        return made

    def test_producer(self) -> None:
        """The transport has a producer that it can pause."""
        transport = MemoryTransport(SERVER, ADDRESS)
        self.connected(transport)
        verifyObject(IPushProducer, transport.producer)

    def test_keepAlive(self) -> None:
        """A peer that was switched off is noticed within minutes, where the system lets us say so."""
        handle = self.socket()
        TCPOptions(TCPTransport(handle))
        self.assertEqual(
            handle.calls,
            [
                (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 120),
                (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 30),
                (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
            ],
        )
        self.patch(module, "_KEEPALIVE", (("TCP_NO_SYSTEM_HAS_THIS", 1),))
        handle = self.socket()
        TCPOptions(TCPTransport(handle))
        self.assertEqual(handle.calls, [])

    def test_options(self) -> None:
        """Small answers leave at once, and a peer that has gone is noticed in the end."""
        transport = TCPTransport(self.socket())
        verifyObject(ITCPTransport, transport)
        self.connected(transport)
        self.assertEqual(transport.options, {"TCP_NODELAY": True, "SO_KEEPALIVE": True})

    def test_otherTransports(self) -> None:
        """A transport without any options is good enough, however the bytes come."""
        protocol = self.connected(MemoryTransport(SERVER, ADDRESS))
        for byte in RQ.encode():
            protocol.dataReceived(bytes((byte,)))
        self.assertEqual(protocol.state, 3)

    def test_acknowledgesHalves(self) -> None:
        """TCP is told to acknowledge what ends within a PDU, and left alone about what ends with one."""
        expected = [(socket.IPPROTO_TCP, QUICKACK, 1)]
        handle = self.socket()
        protocol = self.connected(TCPTransport(handle))
        data = RQ.encode()
        for piece, calls in ((data[:3], 1), (data[3:6], 2), (data[6:50], 3), (data[50:], 3)):
            protocol.dataReceived(piece)
            self.assertEqual(handle.calls, expected * calls)

    def test_acknowledgesHalvesOfData(self) -> None:
        """Likewise of a P-DATA-TF PDU, wherever it is cut."""
        data = DATA.encode()
        for end in range(1, len(data)):
            handle = self.socket()
            protocol = self.connected(TCPTransport(handle))
            protocol.dataReceived(RQ.encode())
            self.user.deciding.callback(AC)
            self.assertEqual(handle.calls, [])
            protocol.dataReceived(data[:end])
            self.assertEqual(len(handle.calls), 1, end)
            protocol.dataReceived(data[end:])
            self.assertEqual(len(handle.calls), 1, end)

    def test_closedSocket(self) -> None:
        """A socket that does not take the option is not asked again, and nothing else comes of it."""
        handle = self.socket(OSError(9, "Bad file descriptor"))
        protocol = self.connected(TCPTransport(handle))
        data = RQ.encode()
        for piece in (data[:3], data[3:50], data[50:]):
            protocol.dataReceived(piece)
        self.assertEqual(len(handle.calls), 1)
        self.assertEqual(protocol.state, 3)

    def test_handlesThatAreNoSockets(self) -> None:
        """What TLS has for a handle knows nothing of socket options, and is not asked."""
        protocol = self.connected(TCPTransport(object()))
        for byte in RQ.encode():
            protocol.dataReceived(bytes((byte,)))
        self.assertEqual(protocol.state, 3)

    def test_systemsWithoutTheOption(self) -> None:
        """Where there is no such option none is set."""
        handle = self.socket()
        transport = TCPTransport(handle)
        self.patch(module, "_TCP_QUICKACK", None)
        self.patch(module, "_KEEPALIVE", ())
        protocol = UpperLayerProtocol(RecordingUser(), CONFIGURATION, Clock())
        protocol.makeConnection(transport)
        protocol.dataReceived(RQ.encode()[:9])
        self.assertEqual(handle.calls, [])
