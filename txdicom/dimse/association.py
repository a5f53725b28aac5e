"""
One association as its users see it: `Association` answers requests with service providers, and makes requests itself.

Theory of operation. It is the `IUpperLayerUser` of one connection. Requests of the peer become an `Operation` each, one
at a time and in order: a request that comes while another is being answered is kept, and nothing is read behind it
(only one can be outstanding unless the peer ignores the asynchronous operations window). Our own requests are the
business of `Requests`, which knows who takes the responses. An A-RELEASE-RQ is answered when the operation before it is
done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.configuration import Configuration
from txdicom.dimse.commands import CCancelRQ, Command, Request, Response
from txdicom.dimse.commandsets import encodeCommand
from txdicom.dimse.dispatch import ServiceTable
from txdicom.dimse.messages import MessageReader, fragmentLength
from txdicom.dimse.operation import Operation
from txdicom.dimse.requests import Requests
from txdicom.dimse.responses import IResponseReceiver
from txdicom.dimse.roles import missesRole
from txdicom.dimse.sendqueue import SendQueue
from txdicom.dimse.status import Status
from txdicom.dimse.watchdog import Watchdog
from txdicom.errors import (
    AbortReason,
    AbortSource,
    AssociationAborted,
    AssociationTimeout,
    DIMSEError,
    LocalProtocolError,
    MessageError,
    PDUError,
)
from txdicom.interfaces import IAssociationObserver, IUpperLayerUser, Soon
from txdicom.upperlayer.negotiation import SMALLEST_MAXIMUM_LENGTH, PresentationContext, acceptedContexts
from txdicom.upperlayer.pdu import AAssociateAC, AAssociateRJ, AAssociateRQ, aeTitle

if TYPE_CHECKING:
    from txdicom.upperlayer.protocol import UpperLayerProtocol

__all__ = ["Association"]

#: What we hold ourselves to where the peer has not said how much it takes.
_DEFAULT_MAXIMUM_LENGTH = 16384
_QUEUED = "a request waits for the one before it"


@implementer(IUpperLayerUser)
class Association:
    """
    One association with one peer.

    :param services: who answers the peer's requests; an acceptor may put others in their place when it decides.
    :param configuration: lengths and times.
    :param clock: timers run on it.
    :param decide: answers the A-ASSOCIATE-RQ; needed on the acceptor's side only.
    :param observer: told of what happens, for logs and counts.
    :ivar peer: the transport address of the peer, None before there is a connection; of a connection that came by a
        proxy (``haproxy:``), the proxy's until the association is requested.
    :ivar peerCertificate: what the peer has authenticated itself with where there is TLS, a
        `cryptography.x509.Certificate`; None where it has not. Known from when the association is requested.
    :ivar callingAETitle: who requested the association, without padding; "" before it was requested.
    :ivar calledAETitle: whom it asked for, without padding.
    :ivar contexts: the accepted presentation contexts by ID.
    :ivar number: tells the associations of one acceptor apart, in logs; 0 on the requestor's side.
    :ivar requests: those of our own; `txdicom.services` makes them.
    :ivar receivedLength: how many bytes of data sets the writers of all operations so far have been given.
    :ivar protocol: the upper layer; set by whoever builds it.
    """

    protocol: UpperLayerProtocol

    def __init__(
        self,
        services: ServiceTable,
        configuration: Configuration,
        clock: IReactorTime,
        decide: Callable[[Association, AAssociateRQ], Soon[AAssociateAC | AAssociateRJ]] | None = None,
        observer: IAssociationObserver | None = None,
    ) -> None:
        self.services = services
        self._configuration = configuration
        self._clock = clock
        self._decide = decide
        self._observer = observer
        self.peer: IAddress | None = None
        self.peerCertificate: Any = None
        self.callingAETitle = ""
        self.calledAETitle = ""
        self.contexts: dict[int, PresentationContext] = {}
        self.number = 0
        self.receivedLength = 0
        self._sendQueue = SendQueue(self, _DEFAULT_MAXIMUM_LENGTH)
        self._operation: Operation | None = None
        # Whose data set is being read: the present operation, a request of ours, or nobody if it is to be drained.
        self._reading: Operation | IResponseReceiver | None = None
        self._queued: tuple[PresentationContext, Request] | None = None
        self._releasing = False
        self._draining = False
        self._watchdog = Watchdog(self, configuration, clock)
        self.requests = Requests(self, self._sendQueue, self._watchdog, observer)
        self._established = False
        self._endReason: Failure | None = None
        self._establishing: list[Deferred[Association]] = []
        self._ending: list[Deferred[None]] = []
        # Bound here and not defined as a method: data goes straight from the parser to the reader.
        self._reader = MessageReader(self, configuration.maximumCommandLength)
        self.fragmentsReceived = self._reader.fragmentsReceived

    @property
    def maximumFragmentLength(self) -> int:
        """The largest fragment of a message that the peer accepts, in bytes; 0 for no limit."""
        return fragmentLength(self._sendQueue.maximumLength) if self._sendQueue.maximumLength else 0

    @property
    def maximumDataSetLength(self) -> int:
        """The longest data set that is taken, in bytes; 0 for no limit."""
        return self._configuration.maximumDataSetLength

    @property
    def maximumIdentifierLength(self) -> int:
        """The longest data set that is held in memory, in bytes."""
        return self._configuration.maximumIdentifierLength

    @property
    def configuration(self) -> Configuration:
        """Lengths and times."""
        return self._configuration

    @property
    def clock(self) -> IReactorTime:
        """What timers run on."""
        return self._clock

    @property
    def cancelled(self) -> bool:
        """Whether the peer has asked to end early what is being answered now (C-CANCEL)."""
        return self._operation is not None and self._operation.cancelled

    @property
    def peerIsDue(self) -> bool:
        """Whether the peer has begun something that it has to finish."""
        return self._endReason is None and (self._reader.inMessage or self.protocol.inPDU)

    @property
    def weAreDue(self) -> bool:
        """
        Whether the peer has to wait for us: nothing is read for the moment, or an answer is outstanding for which we do
        not need an answer of the peer's in turn, as for a C-GET.
        """
        return self.protocol.receivingPaused or (
            self._operation is not None and not self._reader.inMessage and not self.responseIsDue
        )

    @property
    def responseIsDue(self) -> bool:
        """Whether the peer has all that it needs to answer a request of ours."""
        return self._endReason is None and self.requests.outstanding and not self._sendQueue.busy

    @property
    def endReason(self) -> Failure | None:
        """Why the association is over, as `IUpperLayerUser.associationEnded` was told; None while it is not."""
        return self._endReason

    # What the upper layer tells us (IUpperLayerUser).

    def associationRequested(self, request: AAssociateRQ) -> Soon[AAssociateAC | AAssociateRJ]:
        """Let `decide` answer."""
        self.peer = self.protocol.peer
        self._namePeer(request)
        if self._observer is not None:
            self._observer.associationRequested(self, request)
        if self._decide is None:
            raise LocalProtocolError("this association was made to request, not to accept")
        return self._decide(self, request)

    def associationEstablished(self, request: AAssociateRQ, response: AAssociateAC) -> None:
        """Messages may flow."""
        self._namePeer(request)
        self.contexts = acceptedContexts(request, response)
        theirs = response if self.protocol.isRequestor else request
        announced = theirs.userInformation.maximumLength
        if 0 < (announced or 0) < SMALLEST_MAXIMUM_LENGTH:
            raise PDUError(
                AbortReason.INVALID_PDU_PARAMETER_VALUE, f"a maximum length of {announced} leaves no room for data"
            )
        self._sendQueue.maximumLength = _DEFAULT_MAXIMUM_LENGTH if announced is None else announced
        self._established = True
        self._watchdog.start()
        if self._observer is not None:
            self._observer.associationEstablished(self, request, response)
        establishing, self._establishing = self._establishing, []
        for waiting in establishing:
            waiting.callback(self)

    def releaseRequested(self) -> None:
        """Release, now or when the present operation is done; within a message there is nothing to wait for."""
        if self._reader.inMessage:
            raise MessageError("a release was requested in the middle of a message")
        self._releasing = True
        self._releaseIfIdle()

    def associationEnded(self, reason: Failure) -> None:
        """Let go of everything, and tell everybody."""
        self._endReason = reason
        self._watchdog.stop()
        self._queued = self._reading = None
        self._sendQueue.stop()
        operation, self._operation = self._operation, None
        if operation is not None:
            self.receivedLength += operation.receivedLength
            operation.abort(reason)
        if self._observer is not None:
            self._observer.associationEnded(self, reason)
        self.requests.fail(reason)
        establishing, self._establishing = self._establishing, []
        for early in establishing:
            early.errback(reason)
        ending, self._ending = self._ending, []
        for waiting in ending:
            waiting.callback(None)
        # They know us as well: all that there is of an association would be left to the garbage collector.
        del self._watchdog, self._reader, self.fragmentsReceived

    def _namePeer(self, request: AAssociateRQ) -> None:
        self.peerCertificate = self.protocol.peerCertificate
        self.callingAETitle = aeTitle(request.callingAETitle)
        self.calledAETitle = aeTitle(request.calledAETitle)

    # What the message reader tells us (IMessageReceiver).

    def commandReceived(self, contextID: int, command: Command) -> None:
        """Begin to answer a request, or match a response with our request."""
        context = self.contexts.get(contextID)
        if context is None:
            raise PDUError(
                AbortReason.INVALID_PDU_PARAMETER_VALUE, f"presentation context {contextID} has not been accepted"
            )
        if self._observer is not None:
            self._observer.commandReceived(self, context, command)
            if self._endReason is not None:
                # The observer has ended the association.
                return
        self._reading = None
        if not command.isRequest:
            response = cast("Response", command)
            self._reading = waiting = self.requests.receiverOf(response)
            waiting.responseReceived(response)
            return
        request = cast("Request | CCancelRQ", command)
        if isinstance(request, CCancelRQ):
            # It is never answered itself, and may well come when its operation is over (PS3.7 9.3.2.3).
            if self._operation is not None:
                self._operation.cancel(request.messageIDBeingRespondedTo)
            return
        if self._operation is None:
            self._startOperation(context, request)
        elif self.requests.outstanding and not self.protocol.isRequestor:
            raise MessageError("a request came in the midst of one that has to be answered in turn")
        else:
            self._queued = (context, request)
            self.protocol.pauseReceiving(_QUEUED)

    def dataReceived(self, fragments: list[memoryview]) -> None:
        """Pass pieces of the data set on, or drain them."""
        if self._reading is not None:
            self._reading.dataReceived(fragments)

    def dataSetReceived(self) -> None:
        """The data set is complete."""
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.dataSetReceived()

    # What operations ask of us.

    def _startOperation(self, context: PresentationContext, request: Request) -> None:
        self._operation = self._reading = operation = Operation(self, context, request)
        try:
            provider = self.services.providerOf(request)
            if missesRole(request, context, self.contexts, not self.protocol.isRequestor):
                raise DIMSEError(Status.SOP_CLASS_NOT_SUPPORTED, "the role of SCU was not granted for this SOP class")
        except DIMSEError:
            operation.refuse(Failure())
        else:
            operation.start(provider)

    def respond(self, context: PresentationContext, response: Response, dataSet: bytes | None = None) -> None:
        """Send a response of the present operation; raises `LocalProtocolError` if the association is over."""
        if self._endReason is not None:
            raise LocalProtocolError("the association is over")
        self._sendQueue.answer(context.contextID, encodeCommand(response), dataSet)
        if self._observer is not None:
            self._observer.commandSent(self, context, response)

    def operationFinished(self) -> None:
        """The present operation has been answered: on with what waited for it."""
        if self._operation is not None:
            self.receivedLength += self._operation.receivedLength
        self._operation = None
        queued, self._queued = self._queued, None
        if self._releasing:
            self._releaseIfIdle()
        elif self._draining:
            self._abortDrained()
        elif queued is not None:
            self._startOperation(*queued)
            self.protocol.resumeReceiving(_QUEUED)

    def startWaiting(self, pause: bool) -> IDelayedCall:
        """
        Wait for a provider or a writer, no longer than `Configuration.providerTimeout`.

        :param pause: whether nothing is to be read meanwhile.
        :return: what `stopWaiting` takes.
        """
        timer = self._clock.callLater(self._configuration.providerTimeout, self._waitedTooLong)
        if pause:
            self.protocol.pauseReceiving(timer)
        return timer

    def keepWaiting(self, timer: IDelayedCall) -> None:
        """A part of what is waited for is there: the time for the rest begins anew."""
        timer.reset(self._configuration.providerTimeout)

    def stopWaiting(self, timer: IDelayedCall) -> None:
        """What was waited for is there."""
        if timer.active():
            timer.cancel()
        self.protocol.resumeReceiving(timer)

    def _waitedTooLong(self) -> None:
        self.abort(AssociationTimeout(f"a provider did not finish in {self._configuration.providerTimeout:g} s"))

    def _releaseIfIdle(self) -> None:
        if self._releasing and self._operation is None and self._endReason is None:
            self._releasing = False
            self.protocol.acceptRelease()

    # What our own users ask of us.

    def contextFor(self, abstractSyntax: str, transferSyntax: str | None = None) -> PresentationContext:
        """
        Find an accepted presentation context.

        :param transferSyntax: the one it has to have; None takes the first there is.
        :raises LocalProtocolError: none has been accepted.
        """
        for context in self.contexts.values():
            if context.abstractSyntax == abstractSyntax and transferSyntax in (None, context.transferSyntax):
                return context
        inSyntax = "" if transferSyntax is None else f" in {transferSyntax}"
        raise LocalProtocolError(f"no presentation context was accepted for {abstractSyntax}{inSyntax}")

    def whenEstablished(self) -> Deferred[Association]:
        """Return a Deferred of this association that fires when it may be used, and errs if that will not be."""
        waiting: Deferred[Association] = Deferred()
        if self._endReason is not None:
            waiting.errback(self._endReason)
        elif self._established:
            waiting.callback(self)
        else:
            self._establishing.append(waiting)
        return waiting

    def whenEnded(self) -> Deferred[None]:
        """Return a Deferred that fires when the association is over, however it ends."""
        waiting: Deferred[None] = Deferred()
        if self._endReason is None:
            self._ending.append(waiting)
        else:
            waiting.callback(None)
        return waiting

    def release(self) -> Deferred[None]:
        """
        Release the association in order (PS3.8 7.2).

        :return: fires when it is over.
        :raises LocalProtocolError: there is no established association.
        """
        self.protocol.requestRelease()
        return self.whenEnded()

    def drain(self) -> None:
        """End the association as soon as no message is under way: now, or when the present one has been answered."""
        self._draining = True
        if self._endReason is None and self._operation is None and not self._reader.inMessage:
            self._abortDrained()

    def _abortDrained(self) -> None:
        self.abort(AssociationAborted(AbortSource.SERVICE_USER, 0, False, "shutting down"))

    def abort(self, error: Exception | None = None) -> None:
        """Abort the association (PS3.8 7.3); nothing happens if it is over."""
        self.protocol.abort(error)

    def drop(self) -> None:
        """Close the connection without a word, for tests of peers; nothing happens if it is closed."""
        self.protocol.drop()
