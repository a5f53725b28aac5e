"""
What takes the responses to a request of ours: `FirstResponse` where there is one, `Responses` where there may be many.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from txdicom.dimse.commands import ELEMENTS, Request, Response
from txdicom.dimse.commandsets import elementsOf
from txdicom.dimse.status import StatusCategory, category, describe
from txdicom.errors import DIMSEError, MessageError
from txdicom.upperlayer.negotiation import PresentationContext

if TYPE_CHECKING:
    from txdicom.dimse.association import Association
    from txdicom.dimse.requests import Requests

__all__ = ["FirstResponse", "IResponseReceiver", "Responses", "failureOf"]

_T = TypeVar("_T")

#: So many responses may wait for whoever iterates; then the peer is not read any more.
_AHEAD = 100
_ERROR_COMMENT = next(tag for tag, (_, name) in ELEMENTS.items() if name == "ErrorComment")


class IResponseReceiver(Protocol):
    """What is called for one request of its own; `MessageError` may be raised to abort the association."""

    def responseReceived(self, response: Response) -> None:
        """A response has come; if its `hasDataSet` is true, the data set follows."""

    def dataReceived(self, fragments: list[memoryview]) -> None:
        """Some bytes of the data set of the last response."""

    def dataSetReceived(self) -> None:
        """That data set is complete."""

    def requestFailed(self, reason: Failure) -> None:
        """The association has ended before the last response."""


def failureOf(response: Response) -> DIMSEError | None:
    """Return the error that a response tells of, or None if its status is no failure."""
    if category(response.status) is not StatusCategory.FAILURE:
        return None
    elements = {tag: value for tag, _, value in elementsOf(response)}
    comment = elements.get(_ERROR_COMMENT)
    return DIMSEError(response.status, comment if isinstance(comment, str) else describe(response.status))


class FirstResponse:
    """
    Takes one response, whatever its status, and drains its data set.

    :ivar answered: fires with the `Response`.
    """

    def __init__(self, requests: Requests, messageID: int) -> None:
        self._requests = requests
        self._messageID = messageID
        self.answered: Deferred[Any] = Deferred(lambda _: requests.giveUp(messageID))

    def responseReceived(self, response: Response) -> None:
        """This is the one."""
        self._requests.finished(self._messageID)
        self.answered.callback(response)

    def dataReceived(self, fragments: list[memoryview]) -> None:
        """Nobody wants it."""

    def dataSetReceived(self) -> None:
        """Nobody wanted it."""

    def requestFailed(self, reason: Failure) -> None:
        """There will be none."""
        if not self.answered.called:
            self.answered.errback(reason)


class Responses(Generic[_T]):
    """
    The responses to one request, as an asynchronous iterator.

    It ends after the last response. If that tells of a failure, `DIMSEError` is raised, and if the association ends
    early, the reason for that. Whoever takes none for long stops the peer, and after `Configuration.providerTimeout`
    the association is aborted; to lose interest, call `cancel` and go on to the end.

    :param interpret: makes of a response and its data set what the iterator gives, or None, which is left out; may
        raise `MessageError` to abort the association.
    :ivar final: the last response, when it has come.
    """

    def __init__(
        self,
        association: Association,
        context: PresentationContext,
        command: Request,
        dataSet: bytes | None,
        interpret: Callable[[Response, bytes | None], _T | None],
    ) -> None:
        self._association = association
        self._context = context
        self._messageID = command.messageID
        self._interpret = interpret
        self.final: Response | None = None
        # The last that has come, set before its data set comes.
        self._response: Response
        self._dataSet = bytearray()
        self._items: deque[_T] = deque()
        self._waiting: Deferred[_T] | None = None
        # Why the iteration ends when all items have been taken.
        self._end: Failure | None = None
        self._pause: IDelayedCall | None = None
        association.requests.ask(context, command, self, dataSet)

    def __aiter__(self) -> Responses[_T]:
        """Iterate over what has not been taken yet."""
        return self

    def __anext__(self) -> Deferred[_T]:
        """Return the next item, now or when it comes."""
        waiting: Deferred[_T] = Deferred()
        self._waiting = waiting
        self._give()
        return waiting

    async def collect(self) -> list[_T]:
        """Take all that there is, to the end; raises what the iteration would."""
        return [item async for item in self]

    def cancel(self) -> None:
        """Ask the peer to stop (C-CANCEL); it may send some more, and ends with status 0xFE00 if it did stop."""
        self._association.requests.cancel(self._context, self._messageID)

    # What the association tells us (IResponseReceiver).

    def responseReceived(self, response: Response) -> None:
        """Another response."""
        self._response = response
        if not response.hasDataSet:
            self._take(response, None)

    def dataReceived(self, fragments: list[memoryview]) -> None:
        """Keep its data set, up to the bound."""
        for fragment in fragments:
            if len(self._dataSet) + len(fragment) > self._association.maximumIdentifierLength:
                raise MessageError(f"a response's data set is over {self._association.maximumIdentifierLength} bytes")
            self._dataSet += fragment

    def dataSetReceived(self) -> None:
        """It is complete."""
        dataSet, self._dataSet = bytes(self._dataSet), bytearray()
        self._take(self._response, dataSet)

    def requestFailed(self, reason: Failure) -> None:
        """No more will come."""
        self._end = reason
        self._give()

    def _take(self, response: Response, dataSet: bytes | None) -> None:
        item = self._interpret(response, dataSet)
        if item is not None:
            self._items.append(item)
        if category(response.status) is not StatusCategory.PENDING:
            self.final = response
            self._end = Failure(failureOf(response) or StopAsyncIteration())
            self._association.requests.finished(self._messageID)
        elif len(self._items) >= _AHEAD and self._pause is None:
            self._pause = self._association.startWaiting(True)
        self._give()

    def _give(self) -> None:
        """Give what there is to whoever waits."""
        if self._waiting is not None and (self._items or self._end is not None):
            waiting, self._waiting = self._waiting, None
            if waiting.called:
                # Whoever waited has given up.
                pass
            elif self._items:
                waiting.callback(self._items.popleft())
            else:
                waiting.errback(self._end)
        if self._pause is not None and (len(self._items) < _AHEAD or self._end is not None):
            pause, self._pause = self._pause, None
            self._association.stopWaiting(pause)
