"""
The upper layer on a Twisted transport: `UpperLayerProtocol` runs Table 9-10 for one connection.

Theory of operation. Three things bring events about: the transport (connected, bytes, closed), the timer, and the user,
who calls the service primitives below. Each event is looked up in the table and the action found there is performed by
the method of the same name, so the code can be read beside PS3.8 Tables 9-6 to 9-9. Everything that comes to the user
goes through `IUpperLayerUser`, and the last of it is always exactly one `associationEnded`.

Receiving is paused by reasons: the first one stops the parser, the last one to go lets it run again. The transport
itself is paused only when bytes have come that cannot be parsed yet, because a paused TCP transport does not notice
that its peer has gone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IDelayedCall,
    IPushProducer,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.configuration import Configuration
from txdicom.errors import (
    AbortReason,
    AbortSource,
    AssociationAborted,
    AssociationLost,
    AssociationRejected,
    AssociationTimeout,
    DICOMError,
    MessageError,
    PDUError,
    RejectReason,
    RejectResult,
)
from txdicom.interfaces import IPDUReceiver, IUpperLayerUser
from txdicom.upperlayer.fields import Octets
from txdicom.upperlayer.machine import TRANSITIONS, Action, Event, Machine, State
from txdicom.upperlayer.parser import PDUParser
from txdicom.upperlayer.pdu import (
    AAbort,
    AAssociateAC,
    AAssociateRJ,
    AAssociateRQ,
    AReleaseRP,
    AReleaseRQ,
    PDUType,
    decodePDU,
)
from txdicom.upperlayer.transport import ReactorTurn, SendWatch, TCPOptions, Wire, peerCertificate, peerName

if TYPE_CHECKING:

    class _IStreamTransport(ITCPTransport, IConsumer, IPushProducer):
        """What every stream transport of Twisted's offers, be it TCP, TLS or UNIX."""


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
#: States in which ARTIM runs for the standard's sake; in the others the same timer bounds the peer's or user's answer,
#: and in the end how long the connection takes to close.
_ARTIM_STATES = frozenset({State.AWAITING_ASSOCIATE_RQ, State.AWAITING_CLOSE})
_DECISIONS = (AAssociateAC, AAssociateRJ)
_RELEASE_RP = AReleaseRP().encode()
_UNREAD = "what was sent has not been read"
#: The same peers ask for the same associations again and again: PDUs up to so many bytes are remembered, the last few.
_LONGEST_REMEMBERED = 1 << 12
_decodeAgain = lru_cache(maxsize=64)(decodePDU)


@lru_cache(maxsize=64)
def _encodeAgain(decision: AAssociateAC | AAssociateRJ, reserved: bytes) -> bytes:
    # The reserved bytes are an argument because they do not count when decisions are compared.
    return decision.encode()


@implementer(IPDUReceiver)
class UpperLayerProtocol(Protocol):
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

    _log = Logger()
    _transport: _IStreamTransport
    _tcp: TCPOptions
    _wire: Wire
    _write: Callable[[bytes], None]

    def __init__(
        self,
        user: IUpperLayerUser,
        configuration: Configuration,
        clock: IReactorTime,
        request: AAssociateRQ | None = None,
        closed: Callable[[UpperLayerProtocol], None] | None = None,
        turn: ReactorTurn | None = None,
    ) -> None:
        self._user = user
        self._configuration = configuration
        self._clock = clock
        self._request = request
        self._closed = closed
        self._turn = turn or ReactorTurn(clock)
        self.bytesReceived = 0
        self._machine = Machine(requestor=request is not None)
        self._parser = PDUParser(self, configuration.maximumPDULength, configuration.maximumAssociateLength)
        self._timer: IDelayedCall | None = None
        self._connected = False
        self._pauses: set[object] = set()
        self._transportPaused = False
        self._releaseAccepted = False
        self._deciding: Deferred[Any] | None = None
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
        self._ended = False
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
    def peer(self) -> IAddress | None:
        """The transport address of the peer; a proxy in front of us has told it when the first bytes come."""
        return None if self.transport is None else self.transport.getPeer()

    @property
    def peerCertificate(self) -> Any:
        """What the peer has shown of itself with TLS: see `txdicom.upperlayer.transport.peerCertificate`."""
        return peerCertificate(self.transport) if self._connected else None

    @property
    def _peerName(self) -> str:
        return peerName(self.peer)

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
        self._transport = cast("_IStreamTransport", self.transport)
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
        self._end(AssociationTimeout("the peer does not read what is sent to it"))
        self._transport.abortConnection()

    def _guard(self, function: Callable[..., object], *arguments: object) -> None:
        """Call something that parses; whatever it raises becomes an A-ABORT with the code of the error."""
        try:
            function(*arguments)
        except PDUError as error:
            self._log.info("{peer}: {error}", peer=self._peerName, error=error)
            self._violated(error.reason, error)
        except MessageError as error:
            self._log.info("{peer}: {error}", peer=self._peerName, error=error)
            self.abort(error)
        except Exception as error:
            self._log.failure("{peer}: unexpected error, the association is aborted", peer=self._peerName)
            self._violated(AbortReason.NOT_SPECIFIED, error)

    def _violated(self, reason: AbortReason, error: Exception) -> None:
        if self._machine.state != State.IDLE:
            self._do(Event.INVALID_PDU, (reason, error))

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

    def abort(self, error: Exception | None = None) -> None:
        """
        A-ABORT request, with source service-user; nothing happens when the association is over already.

        :param error: why; becomes the reason of `associationEnded`.
        """
        if self._machine.state in (State.IDLE, State.AWAITING_CLOSE):
            return
        if self._machine.state == State.AWAITING_ASSOCIATE_RQ:
            self._parser.discard()
            self._end(error or AssociationAborted(AbortSource.SERVICE_USER, 0, False))
            self._transport.abortConnection()
        else:
            self._do(Event.ABORT_REQUEST, (AbortReason.SERVICE_USER, error))

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

    def _readAgain(self) -> None:
        if self._transportPaused and not (self._pauses and self._parser.backlogged):
            self._transportPaused = False
            if self._connected:
                self._transport.resumeProducing()

    # The actions of PS3.8 Tables 9-6 to 9-9.

    def _do(self, event: Event, argument: Any = None) -> None:
        _PERFORM[self._machine.next(event)](self, argument)

    def _connecting(self, argument: None) -> None:
        """AE-1: the transport connection has been made by an endpoint already."""

    def _sendRequest(self, request: AAssociateRQ) -> None:
        self._write(request.encode())
        self._startTimer()

    def _confirmAssociation(self, response: AAssociateAC) -> None:
        self._stopTimer()
        self._user.associationEstablished(cast("AAssociateRQ", self._request), response)

    def _confirmRejection(self, rejection: AAssociateRJ) -> None:
        self._end(AssociationRejected(rejection.result, rejection.source, rejection.reason))
        self._close()

    def _awaitRequest(self, argument: None) -> None:
        self._startTimer()

    def _indicateAssociation(self, request: AAssociateRQ) -> None:
        self._request = request
        try:
            decision: Any = self._user.associationRequested(request)
            if isinstance(decision, _DECISIONS):
                # Encoded first, as a decision that cannot be sent is none.
                decided = decision, _encodeAgain(decision, request.reserved)
        except Exception:
            self._undecided(Failure())
            return
        if isinstance(decision, _DECISIONS):
            self._decided(decided)
            return
        self._startTimer()
        self._deciding = maybeDeferred(lambda: decision)
        self._deciding.addCallback(lambda decision: (decision, decision.encode()))
        self._deciding.addCallbacks(self._decided, self._undecided)

    def _decided(self, decision: tuple[AAssociateAC | AAssociateRJ, bytes]) -> None:
        self._deciding = None
        if self._machine.state == State.AWAITING_LOCAL_RESPONSE:
            accepted = isinstance(decision[0], AAssociateAC)
            self._guard(self._do, Event.ASSOCIATE_ACCEPT if accepted else Event.ASSOCIATE_REJECT, decision)

    def _undecided(self, failure: Failure) -> None:
        self._deciding = None
        # In any other state the association is over, and we have cancelled the decision ourselves.
        if self._machine.state == State.AWAITING_LOCAL_RESPONSE:
            self._log.failure("{peer}: the request for association could not be decided", failure, peer=self._peerName)
            rejection = AAssociateRJ.of(RejectResult.TRANSIENT, RejectReason.TEMPORARY_CONGESTION)
            self._do(Event.ASSOCIATE_REJECT, (rejection, rejection.encode()))

    def _sendAccept(self, decision: tuple[AAssociateAC, bytes]) -> None:
        response, data = decision
        self._stopTimer()
        self._write(data)
        self._user.associationEstablished(cast("AAssociateRQ", self._request), response)

    def _sendReject(self, decision: tuple[AAssociateRJ, bytes]) -> None:
        rejection, data = decision
        self._write(data)
        self._end(AssociationRejected(rejection.result, rejection.source, rejection.reason))
        self._startTimer()

    def _sendReleaseRequest(self, argument: None) -> None:
        self._write(AReleaseRQ().encode())
        self._startTimer()

    def _indicateRelease(self, argument: AReleaseRQ) -> None:
        self._user.releaseRequested()

    def _confirmRelease(self, argument: AReleaseRP) -> None:
        self._end(ConnectionDone("released"))
        self._close()

    def _sendReleaseResponse(self, argument: None) -> None:
        self._write(_RELEASE_RP)
        self._end(ConnectionDone("released"))
        self._startTimer()

    def _sendCollisionResponse(self, argument: None) -> None:
        self._write(AReleaseRP().encode())

    def _confirmCollision(self, argument: AReleaseRP) -> None:
        self._stopTimer()
        if self._releaseAccepted:
            self._do(Event.RELEASE_RESPONSE)

    def _sendAbort(self, argument: tuple[AbortReason, Exception | None]) -> None:
        reason, error = argument
        self._parser.discard()
        self._write(AAbort.of(reason).encode())
        source, number = reason.value
        if error is None or isinstance(error, DICOMError):
            self._end(error or AssociationAborted(source, number, False))
        else:
            self._end(AssociationAborted(source, number, False, str(error)))
        self._startTimer()

    def _sendAbortAgain(self, argument: tuple[AbortReason, Exception]) -> None:
        self._parser.discard()
        self._write(AAbort.of(argument[0]).encode())

    def _indicateAbort(self, abort: AAbort) -> None:
        self._end(AssociationAborted(abort.source, abort.reason, True))
        self._close()

    def _closeAtOnce(self, argument: object) -> None:
        self._stopTimer()
        self._parser.discard()
        if isinstance(argument, AAbort):
            self._end(AssociationAborted(argument.source, argument.reason, True))
        else:
            self._end(AssociationTimeout("no association was requested in time"))
        # What is still unsent would hold the connection open if the peer does not read it.
        self._transport.abortConnection()

    def _connectionGone(self, reason: Failure) -> None:
        self._stopTimer()
        if not self._ended:
            self._end(AssociationLost(reason.getErrorMessage()))

    def _ignore(self, argument: object) -> None:
        """AA-6: the association is over, and what still comes is of no interest."""

    def _sendData(self, data: bytes | list[Octets]) -> None:
        if isinstance(data, list):
            self._wire.sendPieces(data)
        else:
            self._wire.sendSoon(data)

    # Ending, and the timer.

    def _end(self, error: Exception) -> None:
        """Tell the user, once, and let everything go that was waiting for it."""
        if self._ended:
            return
        self._ended = True
        deciding, self._deciding = self._deciding, None
        if deciding is not None:
            deciding.cancel()
        self._pauses.clear()
        if self._parser.paused:
            # Bytes behind the pause belong to an association that is no more.
            self._parser.discard()
        self._readAgain()
        try:
            self._user.associationEnded(Failure(error))
        except Exception:
            # The connection still has to be closed.
            self._log.failure("{peer}: unexpected error at the end of the association", peer=self._peerName)

    def _close(self) -> None:
        # Bounds the wait for a peer that does not read what was sent before.
        self._startTimer()
        self._parser.discard()
        self._sendWatch.stop()
        self._wire.release()
        self._transport.unregisterProducer()
        self._transport.loseConnection()

    def _startTimer(self) -> None:
        if self._timer is None:
            self._timer = self._clock.callLater(self._configuration.artimTimeout, self._timedOut)
        else:
            self._timer.reset(self._configuration.artimTimeout)

    def _stopTimer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _timedOut(self) -> None:
        self._timer = None
        if self._machine.state == State.IDLE:
            self._transport.abortConnection()
        elif self._machine.state in _ARTIM_STATES:
            self._do(Event.ARTIM_EXPIRED)
        else:
            waiting = f"waited {self._configuration.artimTimeout:g} s in state {self._machine.state:d}"
            self.abort(AssociationTimeout(waiting))


#: What each action of the table does.
_PERFORM: dict[Action, Callable[[UpperLayerProtocol, Any], None]] = {
    Action.AE_1: UpperLayerProtocol._connecting,
    Action.AE_2: UpperLayerProtocol._sendRequest,
    Action.AE_3: UpperLayerProtocol._confirmAssociation,
    Action.AE_4: UpperLayerProtocol._confirmRejection,
    Action.AE_5: UpperLayerProtocol._awaitRequest,
    Action.AE_6: UpperLayerProtocol._indicateAssociation,
    Action.AE_7: UpperLayerProtocol._sendAccept,
    Action.AE_8: UpperLayerProtocol._sendReject,
    Action.DT_1: UpperLayerProtocol._sendData,
    Action.AR_1: UpperLayerProtocol._sendReleaseRequest,
    Action.AR_2: UpperLayerProtocol._indicateRelease,
    Action.AR_3: UpperLayerProtocol._confirmRelease,
    Action.AR_4: UpperLayerProtocol._sendReleaseResponse,
    Action.AR_5: UpperLayerProtocol._connectionGone,
    Action.AR_7: UpperLayerProtocol._sendData,
    Action.AR_8: UpperLayerProtocol._indicateRelease,
    Action.AR_9: UpperLayerProtocol._sendCollisionResponse,
    Action.AR_10: UpperLayerProtocol._confirmCollision,
    Action.AA_1: UpperLayerProtocol._sendAbort,
    Action.AA_2: UpperLayerProtocol._closeAtOnce,
    Action.AA_3: UpperLayerProtocol._indicateAbort,
    Action.AA_4: UpperLayerProtocol._connectionGone,
    Action.AA_5: UpperLayerProtocol._connectionGone,
    Action.AA_6: UpperLayerProtocol._ignore,
    Action.AA_7: UpperLayerProtocol._sendAbortAgain,
    Action.AA_8: UpperLayerProtocol._sendAbort,
}
