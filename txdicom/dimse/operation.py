"""
One request being answered: `Operation`.

Theory of operation. A request is handed to its provider, which gives a writer for the data set, or a status. The data
set goes to the writer; its `commit` gives the answer. Anything that fails on the way becomes the answer, and what is
left of the data set is drained, so every request that came whole is answered exactly once::

    start -> requestReceived -> write* -> commit -> response -> answered -> finished
                  |               |         |
                  +---- error ----+---------+-----> response

What is answered by more than one response gives an iterator of them instead of a status: see `txdicom.dimse.answers`.

Each arrow may wait for a Deferred, under a timeout. While the provider or `write` is waited for, the association reads
nothing; while `commit` or `answered` is, it reads on, up to the next request.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from txdicom.dimse.answers import Answer, GivenAnswer, answerEach
from txdicom.dimse.commands import Request, Response, responseTo
from txdicom.dimse.status import Status
from txdicom.errors import AssociationLost, DIMSEError, LocalProtocolError
from txdicom.interfaces import IAnsweredWriter, IRequestWriter, IServiceProvider
from txdicom.soon import isLater
from txdicom.upperlayer.negotiation import PresentationContext

if TYPE_CHECKING:
    from txdicom.dimse.association import Association

__all__ = ["Operation"]


class Operation:
    """
    Answers one request on behalf of an association.

    :param association: it paces and sends for us, and is told by `operationFinished` when we are done.
    :param context: the presentation context that the request came on.
    :ivar cancelled: whether the peer has asked to end it early.
    """

    __slots__ = (
        "_answer",
        "_answering",
        "_association",
        "_committing",
        "_complete",
        "_over",
        "_room",
        "_timer",
        "_writer",
        "cancelled",
        "context",
        "request",
    )

    _log = Logger()

    def __init__(self, association: Association, context: PresentationContext, request: Request) -> None:
        self._association = association
        self.context = context
        self.request = request
        self._writer: IRequestWriter | None = None
        # The answer, as soon as it is known; from then on the data set is drained.
        self._answer: Response | None = None
        # How many bytes more the data set may have.
        self._room = association.maximumDataSetLength or sys.maxsize
        # Ends the wait for a provider or a writer, while there is one.
        self._timer: IDelayedCall | None = None
        # The data set has come whole; the writer's `commit` has been called; the association has ended.
        self._complete = False
        self._committing = False
        self._over = False
        # Sends a series of answers.
        self._answering: Deferred[Any] | None = None
        self.cancelled = False

    @property
    def receivedLength(self) -> int:
        """How many bytes of the data set the writer has been given."""
        return (self._association.maximumDataSetLength or sys.maxsize) - self._room

    def start(self, provider: IServiceProvider) -> None:
        """Hand the request to its provider."""
        self._attempt(
            self._providerAnswered,
            self.request.hasDataSet,
            provider.requestReceived,
            self._association,
            self.context,
            self.request,
        )

    def refuse(self, failure: Failure) -> None:
        """Answer with an error, when the data set has been drained."""
        self._providerAnswered(failure)

    def dataReceived(self, fragments: list[memoryview]) -> None:
        """Pass the next bytes of the data set on."""
        writer = self._writer
        if writer is None:
            return
        self._room -= sum(map(len, fragments))
        try:
            if self._room < 0:
                raise DIMSEError(Status.OUT_OF_RESOURCES, "the data set is longer than is allowed here")
            result = writer.write(fragments)
        except Exception:
            self._written(Failure())
            return
        if result is not None:
            self._attempt(self._written, True, lambda: result)

    def dataSetReceived(self) -> None:
        """The data set is complete: have the answer made and sent."""
        self._complete = True
        if self._timer is None:
            self._commit()

    def cancel(self, messageID: int) -> None:
        """The peer sent a C-CANCEL; it counts if it names this request and more than one answer was to come."""
        self.cancelled = messageID == self.request.messageID

    async def answerPending(self, answer: Answer) -> None:
        """Send one of several answers; return when there is room for the next."""
        self._association.respond(self.context, answer.to(self.request), answer.dataSet)
        if self._timer is not None:
            self._association.keepWaiting(self._timer)
        await self._association.protocol.whenWritable()

    def abort(self, reason: Failure) -> None:
        """The association has ended: the writer is told, and no answer will be sent."""
        self._over = True
        if self._answering is not None:
            self._answering.cancel()
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
        self._abortWriter(reason)

    def _attempt(
        self, then: Callable[[Any], None], pause: bool, function: Callable[..., Any], *arguments: object
    ) -> None:
        """Call a provider or a writer, and `then` with the result or the Failure, now or when it is there."""
        try:
            result = function(*arguments)
        except Exception:
            then(Failure())
            return
        if isLater(result):
            if not isinstance(result, Deferred):
                result = Deferred.fromCoroutine(result)
            self._timer = timer = self._association.startWaiting(pause)
            if self._over:
                # The function itself has ended the association.
                self._association.stopWaiting(timer)
            result.addBoth(self._arrived, then, timer)
            result.addErrback(self._broken, timer)
        else:
            then(result)

    def _arrived(self, result: Any, then: Callable[[Any], None], timer: IDelayedCall) -> None:
        self._timer = None
        then(result)
        # Last: what comes next finds everything in its new place.
        self._association.stopWaiting(timer)

    def _broken(self, failure: Failure, timer: IDelayedCall) -> None:
        self._log.failure("an answer could not be given, the association is aborted", failure)
        self._association.abort()
        self._association.stopWaiting(timer)

    def _providerAnswered(self, result: IRequestWriter | int | Answer | AsyncIterator[Answer] | Failure | None) -> None:
        if result is None or isinstance(result, (int, Failure)):
            self._answer = self._responseOf(result)
        else:
            kind: type = type(result)
            self._writer = GivenAnswer(cast("Answer", result)) if _isAnswer(kind) else cast("IRequestWriter", result)
            if self._over:
                self._abortWriter(Failure(AssociationLost("the association ended before its provider was ready")))
        if not self.request.hasDataSet:
            self.dataSetReceived()

    def _written(self, result: object) -> None:
        if isinstance(result, Failure):
            self._answer = self._responseOf(result)
            self._abortWriter(result)
        if self._complete:
            self._commit()

    def _commit(self) -> None:
        if self._over:
            return
        writer = self._writer
        if writer is None:
            # Then there is an answer, of whoever refused.
            self._association.respond(self.context, cast("Response", self._answer))
            self._association.operationFinished()
        else:
            self._committing = True
            self._attempt(self._committed, False, writer.commit)

    def _committed(self, result: object) -> None:
        if not isinstance(result, int) and isinstance(result, AsyncIterator):
            if self._over:
                GivenAnswer(result).abort(Failure(AssociationLost("the association ended before its writer was ready")))
                return
            self._answering = answering = Deferred.fromCoroutine(answerEach(self, result))
            self._attempt(self._committed, False, lambda: answering)
            return
        response = self._responseOf(result)
        if self._over:
            return
        dataSet = result.dataSet if isinstance(result, Answer) and response.hasDataSet else None
        self._association.respond(self.context, response, dataSet)
        if IAnsweredWriter.providedBy(self._writer):
            self._attempt(self._finished, False, self._writer.answered, response.status)
        else:
            self._association.operationFinished()

    def _finished(self, result: object) -> None:
        if isinstance(result, Failure) and not self._wasCancelled(result):
            self._log.failure("a writer failed after its answer was sent", result)
        if not self._over:
            self._association.operationFinished()

    def _responseOf(self, result: object) -> Response:
        """Make the response that says how a provider or a writer has ended, and log what nobody expected."""
        if isinstance(result, int) and not isinstance(result, bool) and 0 <= result <= 0xFFFF:
            return responseTo(self.request, result)
        try:
            if isinstance(result, Answer):
                return result.to(self.request)
            failure = result if isinstance(result, Failure) else Failure(TypeError(f"{result!r} is not a status"))
        except LocalProtocolError:
            failure = Failure()
        error = failure.value
        if isinstance(error, DIMSEError):
            return responseTo(self.request, error.status, error.comment, error.offendingElements)
        if not self._wasCancelled(failure):
            self._log.failure("{request!r} failed unexpectedly", failure, request=self.request)
        return responseTo(self.request, Status.PROCESSING_FAILURE, "internal error")

    def _wasCancelled(self, failure: Failure) -> bool:
        """Tell whether somebody gave up what the end of the association had made useless."""
        return self._over and failure.check(CancelledError) is not None

    def _abortWriter(self, reason: Failure) -> None:
        writer = self._writer
        if writer is None or self._committing:
            return
        self._writer = None
        try:
            writer.abort(reason)
        except Exception:
            self._log.failure("a writer could not be aborted")


@lru_cache(maxsize=256)
def _isAnswer(kind: type) -> bool:
    # Remembered, for to ask an abstract base class takes longer than all else that is done about a provider's result.
    return issubclass(kind, (Answer, AsyncIterator))
