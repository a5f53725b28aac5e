"""
What the upper layer asks of its transport beyond carrying bytes: TCP's options, speed, and word of a peer that does not
read.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IPushProducer,
    IReactorTime,
    ISystemHandle,
    ITCPTransport,
)
from twisted.internet.tcp import Connection
from zope.interface import implementer

from txdicom.upperlayer.fields import Octets

__all__ = ["ReactorTurn", "SendWatch", "TCPOptions", "Wire", "peerCertificate", "peerName"]

#: Linux only; elsewhere TCP acknowledges when it sees fit.
_TCP_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
#: A peer that is silent is asked after so many seconds whether it is still there, then so often, so many times. Systems
#: ask after two hours by default, and a peer that was switched off would hold its association as long.
_KEEPALIVE = (("TCP_KEEPIDLE", 120), ("TCP_KEEPINTVL", 30), ("TCP_KEEPCNT", 4))

#: What Twisted's TCP transports have that `Wire` relies on.
_INSIDES = ("TLS", "_tempDataBuffer", "_writeDisconnected", "bufferSize", "connected", "dataBuffer", "socket")
#: How many bytes are read at once, and may be unsent before the peer is taken for one that does not read; and how many
#: are read at once of a peer that has more to send than that: an image of 512 KiB comes in two reads.
_USUAL_READ = 1 << 16
_LARGE_READ = 5 << 16
#: How many are read at once of a peer that goes on asking without waiting for answers, because everybody else has to
#: wait while it gets them; and how many answers to what one read has brought show that it does.
_SMALL_READ = 1 << 12
_MOST_ANSWERS = 16
#: With more peers than this that have much to send, a turn of the reactor would take too long if as much were read of
#: each.
_MOST_LARGE_READS = 16
#: What is longer than this is not gathered.
_LONGEST_GATHERED = 1 << 10
#: How many pieces the system takes at once; POSIX promises 16, Linux and the BSDs have 1024.
_MOST_PIECES = 1024


class ReactorTurn:
    """
    What the connections of an acceptor share of each turn of the reactor: what they say, and how much they read in it.

    To send to a peer that waits means to wake it up, which costs more than all else about a short response. Responses
    that leave together, when the turn ends, find most of their peers awake. And as everybody has to wait for the end of
    the turn, they read much at once only while not too many have much to read.

    :param clock: calls us when the turn of the reactor is over.
    """

    __slots__ = ("_clock", "_wires", "last", "streams")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._wires: list[Wire] = []
        #: How many connections have much to read now.
        self.streams = 0
        #: Who had something to say last: as long as it is always the same one, there is nothing to gather.
        self.last: Wire | None = None

    def add(self, wire: Wire) -> None:
        """Have a wire released when the turn of the reactor is over."""
        if not self._wires:
            self._clock.callLater(0, self._release)
        self._wires.append(wire)

    def _release(self) -> None:
        wires, self._wires = self._wires, []
        for wire in wires:
            wire.release()


class Wire:
    """
    Sends without waiting for the reactor's next turn, and reads much at once, where the transport allows it.

    Twisted keeps what is written until it has learned that the socket is writable. For the short responses to many
    small requests that is a third of all system calls, and nearly always the socket is writable. This is the only place
    that relies on the insides of `twisted.internet.tcp.Connection`. Any other transport, and one that has other insides
    one day, is written to as usual. What stands between such a connection and us, as TLS does, is written to as usual
    too, but how much is read of that connection is up to us likewise: a connection is read once in a turn of the
    reactor, so what is passed on in one turn, however many pieces there are, is what one read has brought.

    :param transport: whatever Twisted has connected us by.
    :param turn: shared with the connections that are served beside this one.
    """

    __slots__ = (
        "_answers",
        "_held",
        "_length",
        "_much",
        "_streams",
        "_transport",
        "_turn",
        "received",
        "send",
        "sendPieces",
        "sendSoon",
    )

    def __init__(self, transport: Any, turn: ReactorTurn) -> None:
        self._transport = below = _bottom(transport)
        self._turn = turn
        # From how many bytes on a read has brought much.
        self._much = _USUAL_READ
        # Whether there is much to read.
        self._streams = False
        # How much was said since the last read.
        self._answers = 0
        # What waits for the end of the turn.
        self._held = b""
        # How many bytes have come in this turn by way of what is between.
        self._length = 0
        #: Sends bytes, in order, now or as soon as the peer reads.
        self.send: Callable[[bytes], None] = transport.write
        #: Sends bytes, in order, when the present turn of the reactor is over.
        self.sendSoon = self.send
        #: Sends pieces that belong together, now or as soon as the peer reads.
        self.sendPieces: Callable[[list[Octets]], None] = lambda pieces: self.send(b"".join(pieces))
        #: To be told how many bytes a read has brought.
        self.received: Callable[[int], None] = _forget
        if not isinstance(below, Connection) or below.TLS or not all(hasattr(below, name) for name in _INSIDES):
            return
        if below is transport:
            self.received = self._adaptRead
            self.send = self._sendNow
            self.sendSoon = self._gather
            self.sendPieces = self._sendPiecesNow
        else:
            # What is between, as TLS, passes nothing on of what is not there to its end, and adds to what is.
            self._much //= 2
            self.received = self._gatherRead
            self.sendSoon = self._count

    def close(self) -> None:
        """The connection is gone: nothing is sent any more."""
        self._length = 0
        self._stream(False)
        # They are bound to this object, which would else refer to itself.
        self.received = self.send = self.sendSoon = self.sendPieces = _forget

    def release(self) -> None:
        """The turn is over: send what waits for that, and decide how much is to be read in the next."""
        if self._held:
            self._sendNow(b"")
        if self._length:
            length, self._length = self._length, 0
            self._adaptRead(length)

    def _count(self, data: bytes) -> None:
        self._answers += 1
        self.send(data)

    def _gather(self, data: bytes) -> None:
        self._answers += 1
        turn = self._turn
        if (turn.last is self and not self._held) or len(data) > _LONGEST_GATHERED:
            self._sendNow(data)
            return
        turn.last = self
        if not self._held:
            turn.add(self)
        self._held += data

    def _sendNow(self, data: bytes) -> None:
        transport = self._transport
        if self._held:
            data, self._held = self._held + data, b""
        if not transport.connected or transport._writeDisconnected:
            return
        sent = 0
        if not transport.dataBuffer and not transport._tempDataBuffer:
            try:
                sent = transport.socket.send(data)
            except OSError:
                # Whatever it is, the transport meets it again and knows what to do.
                sent = 0
            if sent == len(data):
                return
        # The bound of what is kept unsent is the same number as that of what is read at once.
        transport.bufferSize = _USUAL_READ
        transport.write(data[sent:])

    def _sendPiecesNow(self, pieces: list[Octets]) -> None:
        self.release()
        transport = self._transport
        sent = 0
        # Put together by the system, the pieces need not be copied here.
        if transport.connected and not transport.dataBuffer and not transport._tempDataBuffer:
            try:
                sent = transport.socket.sendmsg(pieces[:_MOST_PIECES])
            except OSError:
                # As in `_sendNow`.
                sent = 0
        if sent < sum(map(len, pieces)):
            self._sendNow(b"".join(_after(pieces, sent)))

    def _gatherRead(self, length: int) -> None:
        if not self._length:
            self._turn.add(self)
        self._length += length

    def _adaptRead(self, length: int) -> None:
        answers, self._answers = self._answers, 0
        if answers > _MOST_ANSWERS:
            self._stream(False)
            self._transport.bufferSize = _SMALL_READ
            return
        if length < self._much:
            if self._streams:
                self._stream(False)
            elif length >= _SMALL_READ:
                self._transport.bufferSize = _USUAL_READ
            return
        if not self._streams:
            self._stream(True)
        transport = self._transport
        isMuch = self._turn.streams <= _MOST_LARGE_READS and not transport.dataBuffer and not transport._tempDataBuffer
        transport.bufferSize = _LARGE_READ if isMuch else _USUAL_READ

    def _stream(self, streams: bool) -> None:
        if streams is not self._streams:
            self._streams = streams
            self._turn.streams += 1 if streams else -1
            # A large read that brings little makes the system's memory allocator give and take whole pages each time.
            self._transport.bufferSize = _USUAL_READ


def _after(pieces: list[Octets], sent: int) -> Iterator[Octets]:
    """Leave out what has been sent."""
    for piece in pieces:
        if sent < len(piece):
            yield piece[sent:]
        sent = max(0, sent - len(piece))


def _forget(what: object) -> None:
    """Is told of reads where there is nothing to adapt, and given what nobody can send any more."""


class TCPOptions:
    """
    Sets up a connection for short messages and long silences, as far as it is a TCP connection.

    :param transport: whatever Twisted has connected us by.
    """

    __slots__ = ("_socket",)

    def __init__(self, transport: Any) -> None:
        self._socket: socket.socket | None = None
        transport = _bottom(transport)
        if not ITCPTransport.providedBy(transport):
            return
        # Responses are small, and the peer waits for each of them.
        transport.setTcpNoDelay(True)
        transport.setTcpKeepAlive(True)
        handle = transport.getHandle() if ISystemHandle.providedBy(transport) else None
        if isinstance(handle, socket.socket):
            self._socket = handle
            for name, value in _KEEPALIVE:
                if hasattr(socket, name):
                    self._set(getattr(socket, name), value)

    def acknowledge(self) -> None:
        """
        Have TCP acknowledge at once what has come; to be called within a PDU.

        Peers that write a PDU in two pieces with Nagle's algorithm on (DCMTK's programs, as they are shipped) send the
        second only then, and would wait 40 ms for every message.
        """
        if _TCP_QUICKACK is not None:
            self._set(_TCP_QUICKACK, 1)

    def _set(self, option: int, value: int) -> None:
        if self._socket is None:
            return
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, option, value)
        except OSError:
            # The connection is gone already, or is none of TCP's; either way there is nothing to set up.
            self._socket = None


def _bottom(transport: Any) -> Any:
    """Return what carries a transport in the end: TLS is one that claims to be TCP's, whatever it runs on."""
    while (below := getattr(transport, "transport", None)) is not None:
        transport = below
    return transport


def peerName(address: IAddress | None) -> str:
    """Return how the log names a peer: host and port, or what there is."""
    host, port = getattr(address, "host", None), getattr(address, "port", None)
    return f"{host}:{port}" if host is not None else str(address)


def peerCertificate(transport: Any) -> Any:
    """
    Return the certificate that the peer of a TLS connection has shown.

    :return: a `cryptography.x509.Certificate`, verified if that was asked for when TLS was set up; None if the peer has
        shown none, or there is no TLS.
    """
    getPeerCertificate = getattr(transport, "getPeerCertificate", None)
    certificate = None if getPeerCertificate is None else getPeerCertificate()
    return None if certificate is None else certificate.to_cryptography()


@implementer(IPushProducer)
class SendWatch:
    """
    Learns from the transport, as its producer, that the peer does not read what it is sent.

    :param timeout: how many seconds it may go on not reading.
    :param full: called when the send buffer is full.
    :param free: called when there is room in it again.
    :param overdue: called when the time is over.
    """

    def __init__(
        self,
        clock: IReactorTime,
        timeout: float,
        full: Callable[[], None],
        free: Callable[[], None],
        overdue: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._timeout = timeout
        self._full = full
        self._free = free
        self._overdue = overdue
        self._timer: IDelayedCall | None = None

    def pauseProducing(self) -> None:
        """The transport's send buffer is full."""
        self._full()
        if self._timer is None:
            self._timer = self._clock.callLater(self._timeout, self._expire)

    def resumeProducing(self) -> None:
        """The peer reads again."""
        self.stop()
        self._free()

    def stopProducing(self) -> None:
        """The transport will take nothing more; the protocol's `connectionLost` follows."""

    def stop(self) -> None:
        """Watch no more."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _expire(self) -> None:
        self._timer = None
        self._overdue()
