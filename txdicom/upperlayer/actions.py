"""
The actions of PS3.8 Tables 9-6 to 9-9: `UpperLayerActions` is the part of the protocol that performs them.

Theory of operation. `txdicom.upperlayer.protocol` has the events; each is looked up in Table 9-10, and the method that
`_PERFORM` names for the action found there does what the standard says, to the transport, the timer, and the user. So
this module can be read beside the standard's tables. One timer does for ARTIM and for all other waits, of which there
is never more than one.
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
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure

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
from txdicom.interfaces import IUpperLayerUser
from txdicom.upperlayer.fields import Octets
from txdicom.upperlayer.machine import Action, Event, Machine, State
from txdicom.upperlayer.parser import PDUParser
from txdicom.upperlayer.pdu import (
    AAbort,
    AAssociateAC,
    AAssociateRJ,
    AAssociateRQ,
    AReleaseRP,
    AReleaseRQ,
)
from txdicom.upperlayer.transport import SendWatch, Wire, peerName

if TYPE_CHECKING:

    class _IStreamTransport(ITCPTransport, IConsumer, IPushProducer):
        """What every stream transport of Twisted's offers, be it TCP, TLS or UNIX."""


__all__ = ["UpperLayerActions"]

#: States in which ARTIM runs for the standard's sake; in the others the same timer bounds the peer's or user's answer,
#: and in the end how long the connection takes to close.
_ARTIM_STATES = frozenset({State.AWAITING_ASSOCIATE_RQ, State.AWAITING_CLOSE})
#: What requestors wait for.
_AWAITED = {
    State.AWAITING_ASSOCIATE_AC: "for the answer to our A-ASSOCIATE-RQ",
    State.AWAITING_RELEASE_RP: "for the answer to our A-RELEASE-RQ",
}
_DECISIONS = (AAssociateAC, AAssociateRJ)
_RELEASE_RP = AReleaseRP().encode()


@lru_cache(maxsize=64)
def _encodeAgain(decision: AAssociateAC | AAssociateRJ, reserved: bytes) -> bytes:
    # The reserved bytes are an argument because they do not count when decisions are compared.
    return decision.encode()


class UpperLayerActions(Protocol):
    """
    What one connection's upper layer does about events.

    The parameters are those of `txdicom.upperlayer.protocol.UpperLayerProtocol`.
    """

    _log = Logger()
    _transport: _IStreamTransport
    _wire: Wire
    _write: Callable[[bytes], None]
    _parser: PDUParser
    _sendWatch: SendWatch

    def __init__(
        self, user: IUpperLayerUser, configuration: Configuration, clock: IReactorTime, request: AAssociateRQ | None
    ) -> None:
        self._user = user
        self._configuration = configuration
        self._clock = clock
        self._request = request
        self._machine = Machine(requestor=request is not None)
        self._timer: IDelayedCall | None = None
        self._connected = False
        self._pauses: set[object] = set()
        self._transportPaused = False
        self._releaseAccepted = False
        self._deciding: Deferred[Any] | None = None
        self._ended = False

    @property
    def peer(self) -> IAddress | None:
        """The transport address of the peer; a proxy in front of us has told it when the first bytes come."""
        return None if self.transport is None else self.transport.getPeer()

    @property
    def _peerName(self) -> str:
        return peerName(self.peer)

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
        if not self._connected:
            # The end of the association was the end of the connection: whoever was told of it has cut that.
            return
        # Bounds the wait for a peer that does not read what was sent before.
        self._startTimer()
        self._parser.discard()
        self._sendWatch.stop()
        self._wire.release()
        self._transport.unregisterProducer()
        self._transport.loseConnection()

    def _startTimer(self) -> None:
        if not self._connected:
            # As in `_close`.
            return
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
            what = _AWAITED.get(self._machine.state, f"in state {self._machine.state:d}")
            waiting = f"waited {self._configuration.artimTimeout:g} s {what}"
            self.abort(AssociationTimeout(waiting))

    def _readAgain(self) -> None:
        if self._transportPaused and not (self._pauses and self._parser.backlogged):
            self._transportPaused = False
            if self._connected:
                self._transport.resumeProducing()


#: What each action of the table does.
_PERFORM: dict[Action, Callable[[UpperLayerActions, Any], None]] = {
    Action.AE_1: UpperLayerActions._connecting,
    Action.AE_2: UpperLayerActions._sendRequest,
    Action.AE_3: UpperLayerActions._confirmAssociation,
    Action.AE_4: UpperLayerActions._confirmRejection,
    Action.AE_5: UpperLayerActions._awaitRequest,
    Action.AE_6: UpperLayerActions._indicateAssociation,
    Action.AE_7: UpperLayerActions._sendAccept,
    Action.AE_8: UpperLayerActions._sendReject,
    Action.DT_1: UpperLayerActions._sendData,
    Action.AR_1: UpperLayerActions._sendReleaseRequest,
    Action.AR_2: UpperLayerActions._indicateRelease,
    Action.AR_3: UpperLayerActions._confirmRelease,
    Action.AR_4: UpperLayerActions._sendReleaseResponse,
    Action.AR_5: UpperLayerActions._connectionGone,
    Action.AR_7: UpperLayerActions._sendData,
    Action.AR_8: UpperLayerActions._indicateRelease,
    Action.AR_9: UpperLayerActions._sendCollisionResponse,
    Action.AR_10: UpperLayerActions._confirmCollision,
    Action.AA_1: UpperLayerActions._sendAbort,
    Action.AA_2: UpperLayerActions._closeAtOnce,
    Action.AA_3: UpperLayerActions._indicateAbort,
    Action.AA_4: UpperLayerActions._connectionGone,
    Action.AA_5: UpperLayerActions._connectionGone,
    Action.AA_6: UpperLayerActions._ignore,
    Action.AA_7: UpperLayerActions._sendAbortAgain,
    Action.AA_8: UpperLayerActions._sendAbort,
}
