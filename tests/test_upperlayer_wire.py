"""
Tests for `Wire` and `ReactorTurn` of `txdicom.upperlayer.transport`: the shortcuts past Twisted's TCP transports.

The transports are Twisted's own, on pairs of connected sockets; the reactor notes who wants to write.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.trial.unittest import SynchronousTestCase

from tests.conversations import ADDRESS
from txdicom.testing import MemoryTransport
from txdicom.upperlayer import transport as module
from txdicom.upperlayer.transport import ReactorTurn, Wire

SMALL, USUAL, LARGE = 4096, 65536, 327680


class WritersReactor:
    """
    Notes which transports wait until they can write.

    :ivar writers: those.
    """

    def __init__(self) -> None:
        self.writers: set[Any] = set()

    def addWriter(self, writer: Any) -> None:
        """Note it."""
        self.writers.add(writer)

    def removeWriter(self, writer: Any) -> None:
        """Forget it."""
        self.writers.discard(writer)

    def addReader(self, reader: Any) -> None:
        """Tests read themselves."""

    def removeReader(self, reader: Any) -> None:
        """Likewise."""


class WireTestCase(SynchronousTestCase):
    """Wires of one turn of the reactor, each with the peer's socket."""

    def setUp(self) -> None:
        self.reactor = WritersReactor()
        self.clock = Clock()
        self.turn = ReactorTurn(self.clock)

    def wire(self) -> tuple[Wire, Any, socket.socket]:
        """Return a wire, its transport, and the peer's socket."""
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        transport: Any = Connection(ours, Protocol(), self.reactor)
        transport.connected = True
        theirs.setblocking(False)
        return Wire(transport, self.turn), transport, theirs

    def read(self, peer: socket.socket) -> bytes:
        """Return what has arrived at a peer."""
        try:
            return peer.recv(1 << 22)
        except BlockingIOError:
            return b""

    def drained(self, transport: Any, peer: socket.socket) -> bytes:
        """Return what arrives when the reactor lets a transport write as long as it wants to."""
        arrived = self.read(peer)
        while transport in self.reactor.writers:
            self.assertIsNone(transport.doWrite())
            arrived += self.read(peer)
        return arrived


class SendTests(WireTestCase):
    """`send`: now, or in order as soon as the peer reads."""

    def test_atOnce(self) -> None:
        wire, _, peer = self.wire()
        wire.send(b"abc")
        wire.send(b"def")
        self.assertEqual(self.read(peer), b"abcdef")
        self.assertEqual(self.reactor.writers, set())

    def test_peerThatDoesNotRead(self) -> None:
        """What the system does not take is Twisted's to send, and what comes later goes behind it."""
        for later in (lambda wire: wire.send, lambda wire: wire.sendSoon):
            wire, transport, peer = self.wire()
            data = bytes(range(256)) * 8192
            wire.send(data)
            self.assertEqual(self.reactor.writers, {transport})
            later(wire)(b"behind")
            self.clock.advance(0)
            self.assertEqual(self.drained(transport, peer), data + b"behind")
            wire.send(b"again at once")
            self.assertEqual(self.read(peer), b"again at once")

    def test_pieces(self) -> None:
        """Many pieces leave in order, also when the system takes only some of them."""
        wire, transport, peer = self.wire()
        for pieces in ([b"ab", memoryview(b"cd")], [bytes([number % 256]) * 700 for number in range(3000)]):
            wire.sendPieces(pieces)
            self.assertEqual(self.drained(transport, peer), b"".join(pieces))

    def test_piecesBehindWhatIsUnsent(self) -> None:
        """Pieces do not overtake what the system has not taken yet."""
        wire, transport, peer = self.wire()
        data = bytes(range(256)) * 8192
        wire.send(data)
        wire.sendPieces([b"behind", b" it"])
        self.assertEqual(self.drained(transport, peer), data + b"behind it")

    def test_errors(self) -> None:
        """An error is left to the transport, which meets it again in the reactor's time."""
        for send in (lambda wire: wire.send(b"abc"), lambda wire: wire.sendPieces([b"ab", b"c"])):
            wire, transport, peer = self.wire()
            peer.close()
            send(wire)
            self.assertEqual(self.reactor.writers, {transport})
            self.assertIsInstance(transport.doWrite(), Exception)
            self.reactor.writers.clear()

    def test_goneConnection(self) -> None:
        wire, transport, peer = self.wire()
        wire.sendSoon(b"held")
        transport.connected = False
        wire.send(b"abc")
        wire.sendPieces([b"d", b"ef"])
        self.clock.advance(0)
        self.assertEqual((self.read(peer), self.reactor.writers), (b"", set()))


class FallbackTests(WireTestCase):
    """Any other transport is written to, and not looked into."""

    def assertPlain(self, wire: Wire, write: Any) -> None:
        """Check that a wire does nothing but write."""
        self.assertEqual([wire.send, wire.sendSoon], [write, write])
        wire.received(USUAL)
        wire.release()
        self.assertEqual(self.turn.streams, 0)

    def test_otherTransports(self) -> None:
        transport = MemoryTransport(ADDRESS, ADDRESS)
        wire = Wire(transport, self.turn)
        self.assertPlain(wire, transport.write)
        wire.sendPieces([b"ab", b"c"])
        self.assertEqual(transport.take(None), b"abc")

    def test_closed(self) -> None:
        """When the connection is gone, nothing is sent and nothing fails."""
        memory = MemoryTransport(ADDRESS, ADDRESS)
        for wire in (Wire(memory, self.turn), self.wire()[0]):
            wire.close()
            wire.send(b"a")
            wire.sendSoon(b"b")
            wire.sendPieces([b"c"])
            wire.received(USUAL)
            wire.release()
        self.assertEqual(list(memory.outgoing), [])
        self.assertEqual(self.turn.streams, 0)

    def test_otherInsides(self) -> None:
        """A Twisted whose transports have changed is used as it wants to be used."""
        self.patch(module, "_INSIDES", ("connected", "noSuchAttribute"))
        wire, transport, peer = self.wire()
        self.assertPlain(wire, transport.write)
        wire.send(b"abc")
        self.assertEqual(self.drained(transport, peer), b"abc")

    def test_encrypted(self) -> None:
        """Twisted's transports can be told to encrypt; what then goes past them would be in the clear."""
        _, transport, _ = self.wire()
        transport.TLS = True
        self.assertPlain(Wire(transport, self.turn), transport.write)


class GatherTests(WireTestCase):
    """`sendSoon`: when the turn of the reactor is over, unless nobody else has anything to say."""

    def test_together(self) -> None:
        (first, _, firstPeer), (second, _, secondPeer) = self.wire(), self.wire()
        first.sendSoon(b"1")
        second.sendSoon(b"2")
        first.sendSoon(b"3")
        self.assertEqual([self.read(firstPeer), self.read(secondPeer)], [b"", b""])
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(0)
        self.assertEqual([self.read(firstPeer), self.read(secondPeer)], [b"13", b"2"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_alone(self) -> None:
        """Who was the last to say something, and has nothing waiting, need not wait."""
        wire, _, peer = self.wire()
        wire.sendSoon(b"1")
        self.clock.advance(0)
        self.read(peer)
        wire.sendSoon(b"2")
        self.assertEqual(self.read(peer), b"2")

    def test_order(self) -> None:
        """What is sent at once does not overtake what waits."""
        wire, _, peer = self.wire()
        for send in (wire.send, lambda data: wire.sendPieces([data]), lambda data: (wire.release(), wire.send(data))):
            self.turn.last = None
            wire.sendSoon(b"1")
            send(b"2")
            self.assertEqual(self.read(peer), b"12")
            self.clock.advance(0)
            self.assertEqual(self.read(peer), b"")

    def test_muchIsNotGathered(self) -> None:
        wire, _, peer = self.wire()
        wire.sendSoon(b"1")
        wire.sendSoon(bytes(2000))
        self.assertEqual(self.read(peer), b"1" + bytes(2000))


class ReadTests(WireTestCase):
    """How much is read at once."""

    def test_grows(self) -> None:
        """It grows with what there is to read, and shrinks again."""
        wire, transport, _ = self.wire()
        for length, size in ((USUAL - 1, USUAL), (USUAL, LARGE), (LARGE, LARGE), (USUAL, LARGE), (100, USUAL)):
            wire.received(length)
            self.assertEqual(transport.bufferSize, size)

    def test_notForMany(self) -> None:
        """When more than sixteen have much to read, all of them read less, so that a turn does not take too long."""
        wires = [self.wire() for _ in range(17)]
        for wire, _, _ in wires[:16] * 2:
            wire.received(USUAL)
        self.assertEqual({transport.bufferSize for _, transport, _ in wires[:16]}, {LARGE})
        for wire, _, _ in wires * 2:
            wire.received(USUAL)
        self.assertEqual({transport.bufferSize for _, transport, _ in wires}, {USUAL})
        for gone, end in ((0, lambda: wires[0][0].received(10)), (1, lambda: wires[1][0].close())):
            end()
            for wire, _, _ in wires[gone + 1 :]:
                wire.received(USUAL)
            self.assertEqual({transport.bufferSize for _, transport, _ in wires[gone + 1 :]}, {LARGE})
        for wire, _, _ in wires:
            wire.close()
            wire.close()
        self.assertEqual(self.turn.streams, 0)

    def test_littleOfWhoDoesNotWait(self) -> None:
        """Of a peer that asks without waiting for answers little is read, until it stops that."""
        wire, transport, _ = self.wire()
        wire.received(LARGE)
        for answers, length, size in (
            (16, LARGE, LARGE),
            (17, LARGE, SMALL),
            (45, SMALL, SMALL),
            (45, SMALL - 1, SMALL),
            (1, 100, SMALL),
            (1, SMALL, USUAL),
            (1, USUAL, LARGE),
            (17, LARGE, SMALL),
        ):
            for _ in range(answers):
                wire.sendSoon(b"1")
            wire.received(length)
            self.assertEqual(transport.bufferSize, size)
        self.assertEqual(self.turn.streams, 0)

    def test_notWhileThePeerDoesNotRead(self) -> None:
        """The same number bounds what is kept unsent."""
        wire, transport, peer = self.wire()
        wire.received(USUAL)
        wire.send(bytes(1 << 22))
        self.assertEqual(transport.bufferSize, USUAL)
        wire.received(USUAL)
        self.assertEqual(transport.bufferSize, USUAL)
        self.drained(transport, peer)
        wire.received(USUAL)
        self.assertEqual(transport.bufferSize, LARGE)


class BetweenTests(WireTestCase):
    """Something stands between the connection and us, as TLS does: it writes, and we say how much is read."""

    def between(self) -> tuple[Wire, Any, socket.socket]:
        """Return a wire above what is between, the transport below that, and the peer's socket."""
        _, transport, peer = self.wire()
        wrapper: Any = ProtocolWrapper(WrappingFactory(Factory.forProtocol(Protocol)), Protocol())
        wrapper.transport = transport
        return Wire(wrapper, self.turn), transport, peer

    def receive(self, wire: Wire, *lengths: int) -> None:
        """Have so many bytes come, in pieces, in one turn of the reactor."""
        for length in lengths:
            wire.received(length)
        self.clock.advance(0)

    def test_order(self) -> None:
        wire, transport, peer = self.between()
        wire.sendSoon(b"1")
        wire.send(b"2")
        wire.sendPieces([b"3", b"4"])
        wire.release()
        self.assertEqual(self.drained(transport, peer), b"1234")

    def test_grows(self) -> None:
        """What a full read brings is less than what was read, and at times much less."""
        wire, transport, _ = self.between()
        for length, size in ((USUAL // 2 - 1, USUAL), (USUAL // 2, LARGE), (LARGE - 9, LARGE), (100, USUAL)):
            self.receive(wire, length)
            self.assertEqual(transport.bufferSize, size)
        self.receive(wire, USUAL)
        wire.close()
        self.assertEqual(self.turn.streams, 0)

    def test_pieces(self) -> None:
        """What comes in one turn is one read, in however many pieces; the next turn begins anew."""
        wire, transport, peer = self.between()
        self.receive(wire, *[SMALL] * 8)
        self.assertEqual(transport.bufferSize, LARGE)
        for _ in range(17):
            wire.sendSoon(b"1")
            wire.received(100)
        self.clock.advance(0)
        self.assertEqual(transport.bufferSize, SMALL)
        self.drained(transport, peer)
        self.receive(wire, USUAL)
        self.assertEqual(transport.bufferSize, LARGE)

    def test_closedInTheMidst(self) -> None:
        """What has come of a connection that is gone does not count as much to read."""
        wire, _, _ = self.between()
        wire.received(USUAL)
        wire.close()
        self.clock.advance(0)
        self.assertEqual(self.turn.streams, 0)

    def test_littleOfWhoDoesNotWait(self) -> None:
        """Little is read, until a read brings much with few requests in it."""
        wire, transport, peer = self.between()
        for answers, length, size in (
            (17, USUAL, SMALL),
            (200, 4 * SMALL, SMALL),
            (30, SMALL - 900, SMALL),
            (1, 100, SMALL),
            (1, 4 * SMALL, USUAL),
            (1, USUAL, LARGE),
            (17, LARGE, SMALL),
        ):
            for _ in range(answers):
                wire.sendSoon(b"1")
            self.drained(transport, peer)
            self.receive(wire, length)
            self.assertEqual(transport.bufferSize, size)
        self.assertEqual(self.turn.streams, 0)
