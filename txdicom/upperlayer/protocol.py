"""
The upper layer on a Twisted transport: `UpperLayerProtocol` runs Table 9-10 for one connection.

Theory of operation. Three things bring events about: the transport (connected, bytes, closed), the timer, and the user,
who calls the service primitives below. Each event is looked up in the table, and the action found there is performed by
`txdicom.upperlayer.actions`. Everything that comes to the user goes through `IUpperLayerUser`, and the last of it is
always exactly one `associationEnded`.

Receiving is paused by reasons: the first one stops the parser, the last one to go lets it run again. The transport
itself is paused only when bytes have come that cannot be parsed yet, because a paused TCP transport does not notice
that its peer has gone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IReactorTime,
)
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.configuration import Configuration
from txdicom.errors import (
    AbortReason,
    AssociationLost,
    AssociationTimeout,
    PDUError,
)
from txdicom.interfaces import IPDUReceiver, IUpperLayerUser
from txdicom.upperlayer.actions import UpperLayerActions
from txdicom.upperlayer.fields import Octets
from txdicom.upperlayer.machine import TRANSITIONS, Action, Event, State
from txdicom.upperlayer.parser import PDUParser
from txdicom.upperlayer.pdu import (
    AAssociateRQ,
    PDUType,
    decodePDU,
)
from txdicom.upperlayer.transport import ReactorTurn, SendWatch, TCPOptions, Wire, peerCertificate

__all__ = ["UpperLayerProtocol"]

_EVENT_OF_PDU = {
    PDUType.A_ASSOCIATE_RQ: Event.ASSOCIATE_RQ_RECEIVED,
    PDUType.A_ASSOCIATE_AC: Event.ASSOCIATE_AC_RECEIVED,
    PDUType.A_ASSOCIATE_RJ: Event.ASSOCIATE_RJ_RECEIVED,
    PDUType.P_DATA_TF: Event.DATA_RECEIVED,
    PDUType.A_RELEASE_RQ: Event.RELEASE_RQ_RECEIVED,
    PDUType.A_RELEASE_RP: Event.RELEASE_RP_RECEIVED,
    PDUType.A_ABORT: Event.ABORT_RECEIVED,
}
#: The rows of the table that a PDU's type leads to.
_RECEIVED = {pduType.value: TRANSITIONS[event] for pduType, event in _EVENT_OF_PDU.items()}
#: The actions with which the table answers a PDU that has no place in the present state.
_VIOLATIONS = frozenset({Action.AA_1, Action.AA_7, Action.AA_8})
_UNREAD = "what was sent has not been read"
#: The same peers ask for the same associations again and again: PDUs up to so many bytes are remembered, the last few.
_LONGEST_REMEMBERED = 1 << 12
_decodeAgain = lru_cache(maxsize=64)(decodePDU)


@implementer(IPDUReceiver)
class UpperLayerProtocol(UpperLayerActions):
    """
    One connection's upper layer, as acceptor or as requestor.

    :param user: told what happens; one for each connection.
    :param configuration: lengths and times.
    :param clock: timers run on it.
    :param request: the A-ASSOCIATE-RQ to send when connected, which makes this the requestor's side; None waits for
        the peer's.
    :param closed: called with this protocol when the connection is gone.
    :param turn: what connections share of each turn of the reactor; None lets this one have its own way.
    :ivar bytesReceived: how many bytes have come so far.
    :ivar isFull: whether the send buffer is full, so that `whenWritable` is worth waiting for.
    :ivar streaming: whether the user paces itself by that; otherwise nothing is received while the send buffer is full.
    """

    _tcp: TCPOptions

    def __init__(
        self,
        user: IUpperLayerUser,
        configuration: Configuration,
        clock: IReactorTime,
        request: AAssociateRQ | None = None,
        closed: Callable[[UpperLayerProtocol], None] | None = None,
        turn: ReactorTurn | None = None,
    ) -> None:
        super().__init__(user, configuration, clock, request)
        self._closed = closed
        self._turn = turn or ReactorTurn(clock)
        self.bytesReceived = 0
        self._parser = PDUParser(self, configuration.maximumPDULength, configuration.maximumAssociateLength)
        # A peer that does not read our answers gets no further ones.
        self._sendWatch = SendWatch(
            clock,
            configuration.sendTimeout,
            full=self._bufferFull,
            free=self._bufferFree,
            overdue=self._leftUnread,
        )
        self.isFull = False
        self.streaming = False
        self._writable: list[Deferred[None]] = []
        # Bound here and not defined as a method: P-DATA goes straight from the parser to the user.
        self.fragmentsReceived = user.fragmentsReceived

    @property
    def state(self) -> State:
        """The state of PS3.8 Table 9-10."""
        return self._machine.state

    @property
    def isRequestor(self) -> bool:
        """Whether we requested the association."""
        return self._machine.requestor

    @property
    def peerCertificate(self) -> Any:
        """What the peer has shown of itself with TLS: see `txdicom.upperlayer.transport.peerCertificate`."""
        return peerCertificate(self.transport) if self._connected else None

    @property
    def isConnected(self) -> bool:
        """Whether the connection is open."""
        return self._connected

    @property
    def inPDU(self) -> bool:
        """Whether the peer has begun a PDU that it has not finished."""
        return self._parser.inPDU

    @property
    def receivingPaused(self) -> bool:
        """Whether anything that `pauseReceiving` was called for is still in the way."""
        return bool(self._pauses)

    # The transport's side.

    def connectionMade(self) -> None:
        """The connection is open: wait for, or send, the A-ASSOCIATE-RQ."""
        self._transport = cast("Any", self.transport)
        self._connected = True
        self._tcp = TCPOptions(self._transport)
        self._wire = Wire(self._transport, self._turn)
        self._write = self._wire.send
        self._transport.registerProducer(self._sendWatch, True)
        if self._request is None:
            self._do(Event.TRANSPORT_INDICATION)
        else:
            self._do(Event.ASSOCIATE_REQUEST)
            self._do(Event.TRANSPORT_CONFIRMED, self._request)

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the peer, cut anywhere."""
        self.bytesReceived += len(data)
        self._wire.received(len(data))
        self._guard(self._parser.feed, data)
        if self._parser.inPDU:
            self._tcp.acknowledge()
        if self._pauses and self._parser.backlogged and not self._transportPaused:
            self._transportPaused = True
            self._transport.pauseProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone, whoever closed it."""
        self._connected = False
        self._wire.close()
        self._parser.discard()
        self._sendWatch.stop()
        if self._machine.state != State.IDLE:
            self._do(Event.TRANSPORT_CLOSED, reason)
        self._stopTimer()
        if self._closed is not None:
            self._closed(self)
        # Nothing more comes of them; and as all of these know us, we would else be left to the garbage collector.
        self._parser.close()
        del self._user, self.fragmentsReceived, self._sendWatch

    def _bufferFull(self) -> None:
        self.isFull = True
        if not self.streaming:
            self.pauseReceiving(_UNREAD)

    def _bufferFree(self) -> None:
        self.isFull = False
        self.resumeReceiving(_UNREAD)
        writable, self._writable = self._writable, []
        for waiting in writable:
            waiting.callback(None)

    def _leftUnread(self) -> None:
        self._parser.discard()
        self._end(AssociationTimeout("the peer does not read what is sent to it"))
        self._transport.abortConnection()

    # The parser's side (IPDUReceiver; fragmentsReceived is the user's).

    def pduStarted(self, pduType: int, length: int) -> None:
        """Ask the table before anything of the body is accepted."""
        state = self._machine.state
        action = _RECEIVED[pduType][state].action
        if action in _VIOLATIONS:
            raise PDUError(AbortReason.UNEXPECTED_PDU, f"unexpected {PDUType(pduType).name} in state {state:d}")
        if pduType == PDUType.P_DATA_TF and action is Action.AA_6:
            # The association is over. DT-2 and AR-6 are the fragments to come; neither changes the state.
            self._parser.discard()

    def pduReceived(self, pduType: int, body: bytes) -> None:
        """Decode a PDU other than P-DATA-TF and let the table say what to do with it."""
        pdu = _decodeAgain(pduType, body) if len(body) <= _LONGEST_REMEMBERED else decodePDU(pduType, body)
        self._do(_EVENT_OF_PDU[pdu.pduType], pdu)

    # The user's side: the service primitives of PS3.8 clause 7.

    def send(self, data: bytes | list[Octets]) -> None:
        """
        P-DATA request: send one or more whole P-DATA-TF PDUs, none larger than the peer announced.

        :param data: in one piece or in several.

        :raises LocalProtocolError: no data may be sent in the present state.
        """
        self._do(Event.DATA_REQUEST, data)

    def whenWritable(self) -> Deferred[None]:
        """Return a Deferred that fires when there is room in the send buffer; never, if the association ends before."""
        waiting: Deferred[None] = Deferred()
        if self.isFull:
            self._writable.append(waiting)
        else:
            waiting.callback(None)
        return waiting

    def requestRelease(self) -> None:
        """
        A-RELEASE request; `associationEnded` tells when it is done.

        :raises LocalProtocolError: there is no established association.
        """
        self._do(Event.RELEASE_REQUEST)

    def acceptRelease(self) -> None:
        """
        A-RELEASE response: the answer to `releaseRequested`.

        :raises LocalProtocolError: the peer has not asked for a release.
        """
        if self._machine.state == State.COLLISION_ACCEPTOR_RP:
            # Both asked at once, and the requestor of the association answers first (PS3.8 7.2.2.8).
            self._releaseAccepted = True
        else:
            self._do(Event.RELEASE_RESPONSE)

    def drop(self) -> None:
        """
        Close the connection without a word, as if the network had failed: for tests of peers.

        `associationEnded` tells of an `AssociationLost`, unless the association is over already.
        """
        if not self._connected:
            return
        self._parser.discard()
        if self._machine.state != State.IDLE:
            self._do(Event.TRANSPORT_CLOSED, Failure(AssociationLost("the connection was dropped on purpose")))
        self._transport.abortConnection()

    def pauseReceiving(self, reason: object) -> None:
        """Stop handing on what the peer sends until `resumeReceiving` was called with every reason that is set."""
        if not self._ended:
            self._pauses.add(reason)
            self._parser.pause()

    def resumeReceiving(self, reason: object) -> None:
        """Take back one reason to pause; what has come meanwhile is handed on before anything new is read."""
        self._pauses.discard(reason)
        if not self._pauses and self._parser.paused:
            self._guard(self._parser.resume)
            self._readAgain()
