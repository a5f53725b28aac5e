"""
Our own requests on one association: `Requests`.

Theory of operation. A request goes out by the `SendQueue`, and is matched with its responses by its message ID; each
has an `IResponseReceiver`, which takes them, and says when the last one has come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txdicom.dimse.commands import CCancelRQ, Request, Response
from txdicom.dimse.commandsets import encodeCommand
from txdicom.dimse.responses import FirstResponse, IResponseReceiver
from txdicom.dimse.roles import missesRole
from txdicom.dimse.sendqueue import SendQueue
from txdicom.dimse.watchdog import Watchdog
from txdicom.errors import AbortSource, AssociationAborted, LocalProtocolError, MessageError
from txdicom.interfaces import IAssociationObserver, IDataSetSource
from txdicom.upperlayer.negotiation import PresentationContext

if TYPE_CHECKING:
    from txdicom.dimse.association import Association

__all__ = ["Requests"]

#: Message IDs go from 1 to this.
_LAST_MESSAGE_ID = 0xFFFF


class Requests:
    """
    The requests that we make on one association.

    :param association: it is aborted if a request is given up that has been sent.
    :param sendQueue: what they go out by.
    :param watchdog: told that a response is due.
    :param observer: told of what has been sent.
    """

    __slots__ = ("_answering", "_association", "_nextMessageID", "_observer", "_receivers", "_sendQueue", "_watchdog")

    def __init__(
        self, association: Association, sendQueue: SendQueue, watchdog: Watchdog, observer: IAssociationObserver | None
    ) -> None:
        # None once it is over.
        self._association: Association | None = association
        self._sendQueue = sendQueue
        self._watchdog = watchdog
        self._observer = observer
        self._nextMessageID = 0
        # By message ID: who takes the responses to those that are outstanding.
        self._receivers: dict[int, IResponseReceiver] = {}
        # Who waits until there are none.
        self._answering: list[Deferred[None]] = []

    @property
    def outstanding(self) -> bool:
        """Whether there is one that has not had its last response."""
        return bool(self._receivers)

    def nextMessageID(self) -> int:
        """Return a message ID that no outstanding request has, 1 to 65535; raises `LocalProtocolError` without one."""
        while True:
            self._nextMessageID = self._nextMessageID % _LAST_MESSAGE_ID + 1
            if self._nextMessageID not in self._receivers:
                return self._nextMessageID
            if len(self._receivers) == _LAST_MESSAGE_ID:
                raise LocalProtocolError(f"{_LAST_MESSAGE_ID} requests are outstanding")

    def send(
        self, context: PresentationContext, command: Request, dataSet: bytes | IDataSetSource | None = None
    ) -> Deferred[Any]:
        """
        Send a request that one response answers.

        :param command: its message ID comes from `nextMessageID`.
        :param dataSet: the data set encoded in the context's transfer syntax, if the command announces one.
        :return: the `Response`; errs with why the association ended, if it does before. To cancel it takes the request
            back, or aborts the association if it has been sent.
        :raises LocalProtocolError: there is no established association, or we lack the role for that (PS3.7 D.3.3.4).
        """
        first = FirstResponse(self, command.messageID)
        self.ask(context, command, first, dataSet)
        return first.answered

    def ask(
        self,
        context: PresentationContext,
        command: Request,
        receiver: IResponseReceiver,
        dataSet: bytes | IDataSetSource | None = None,
    ) -> None:
        """
        Send a request as soon as the asynchronous operations window has room for it.

        :param receiver: told of the responses; it calls `finished` at the last one.
        :raises LocalProtocolError: there is no established association, or we lack the role for that (PS3.7 D.3.3.4).
        """
        association = self._mayAsk(context, command)
        self._sendQueue.request(command.messageID, context.contextID, encodeCommand(command), dataSet)
        if association.endReason is not None:
            # The data set's source has ended the association.
            receiver.requestFailed(association.endReason)
            return
        self._receivers[command.messageID] = receiver
        self._watchdog.expectResponse()
        if self._observer is not None:
            self._observer.commandSent(association, context, command)

    def _mayAsk(self, context: PresentationContext, command: Request) -> Association:
        association = self._association
        if association is None or association.endReason is not None:
            raise LocalProtocolError("the association is over")
        if missesRole(command, context, association.contexts, association.protocol.isRequestor):
            raise LocalProtocolError(f"the role of SCU for {command.affectedSOPClassUID} was not granted to us")
        return association

    def receiverOf(self, response: Response) -> IResponseReceiver:
        """Tell who takes a response; raises `MessageError` if nobody waits for it."""
        receiver = self._receivers.get(response.messageIDBeingRespondedTo)
        if receiver is None:
            raise MessageError(f"a response to message {response.messageIDBeingRespondedTo}, which is not outstanding")
        return receiver

    def finished(self, messageID: int) -> None:
        """A request has its last response."""
        del self._receivers[messageID]
        self._sendQueue.finished()
        self._tellIfAnswered()

    def cancel(self, context: PresentationContext, messageID: int) -> None:
        """Ask the peer to end a request early (C-CANCEL, PS3.7 9.3.2.3); it may take its time, or be gone already."""
        association = self._association
        if association is not None and association.endReason is None and messageID in self._receivers:
            self._sendQueue.answer(context.contextID, encodeCommand(CCancelRQ(messageID)))

    def giveUp(self, messageID: int) -> None:
        """Take a request back; one that has been sent can be ended by an abort of the association only."""
        if self._sendQueue.withdraw(messageID):
            del self._receivers[messageID]
            self._tellIfAnswered()
        elif self._association is not None and messageID in self._receivers:
            error = AssociationAborted(AbortSource.SERVICE_USER, 0, False, "a request was cancelled")
            self._association.abort(error)

    def fail(self, reason: Failure) -> None:
        """The association has ended: tell everybody who waits for a response."""
        receivers, self._receivers = self._receivers, {}
        for receiver in receivers.values():
            receiver.requestFailed(reason)
        self._tellIfAnswered()
        # It knows us as well, and would else be left to the garbage collector, as would the watchdog.
        self._association = None
        del self._watchdog

    def whenAnswered(self) -> Deferred[None]:
        """Return a Deferred that fires when none is outstanding, if only because the association is over."""
        waiting: Deferred[None] = Deferred()
        self._answering.append(waiting)
        self._tellIfAnswered()
        return waiting

    def _tellIfAnswered(self) -> None:
        if self._answering and not self._receivers:
            answering, self._answering = self._answering, []
            for waiting in answering:
                waiting.callback(None)
