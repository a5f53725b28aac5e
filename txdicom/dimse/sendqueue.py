"""
What goes out on one association, and in which order: `SendQueue`.

Theory of operation. One message is sent at a time, because the fragments of two must not be mixed. A message that is
at hand is written in one piece. One whose data set comes from a source is written as the source gives it and as the
transport takes it, so that no more of it is in memory than a few chunks; what is to be sent meanwhile waits::

    answers    go first: the peer waits for them, and its next request is not read while one is held here
    requests   go in order, and no more of them are outstanding than the asynchronous operations window has room for

A source that fails leaves half a message on the wire, which nothing but an abort can end.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from txdicom.dimse.messages import encodeDataSet, encodeMessage, fragmentLength
from txdicom.errors import DICOMError, SourceError
from txdicom.interfaces import IDataSetSource
from txdicom.upperlayer.fields import Octets

if TYPE_CHECKING:
    from txdicom.dimse.association import Association

__all__ = ["SendQueue"]

#: About how much of a data set is read from its source at a time, in bytes: all of most instances, which then go out by
#: one system call.
_CHUNK = 1 << 20
#: Nor is any PDU of it larger, whatever the peer would take; larger ones gain nothing.
_LARGEST_PDU = 1 << 17
_HELD = "an answer waits for a data set that is being sent"


class _Request(NamedTuple):
    """A request that has not been sent yet."""

    messageID: int
    contextID: int
    command: bytes
    dataSet: bytes | IDataSetSource | None


class SendQueue:
    """
    Sends the messages of one association.

    :param association: gives the upper layer, and is aborted if a source fails.
    :ivar maximumLength: the largest P-DATA-TF body that the peer accepts, in bytes; 0 for no limit.
    :ivar window: how many requests may be outstanding at once; 0 for any number (PS3.7 D.3.3.3).
    """

    __slots__ = ("_answers", "_association", "_outstanding", "_requests", "_streaming", "maximumLength", "window")

    def __init__(self, association: Association, maximumLength: int) -> None:
        self._association = association
        self.maximumLength = maximumLength
        self.window = 0
        self._outstanding = 0
        self._answers: deque[bytes] = deque()
        self._requests: deque[_Request] = deque()
        # The data set that is being sent.
        self._streaming: Deferred[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a message has been begun that has not left us yet."""
        return self._streaming is not None or self._association.protocol.isFull

    def answer(self, contextID: int, command: bytes, dataSet: bytes | None = None) -> None:
        """
        Send a response, or anything else that is outside of the window.

        :raises LocalProtocolError: nothing may be sent now.
        """
        message = encodeMessage(contextID, command, dataSet, self.maximumLength)
        if self._streaming is None:
            self._association.protocol.send(message)
        else:
            self._answers.append(message)
            self._association.protocol.pauseReceiving(_HELD)

    def request(self, messageID: int, contextID: int, command: bytes, dataSet: bytes | IDataSetSource | None) -> None:
        """
        Send a request as soon as it is its turn.

        :raises LocalProtocolError: nothing may be sent now.
        """
        self._requests.append(_Request(messageID, contextID, command, dataSet))
        self._sendNext()

    def withdraw(self, messageID: int) -> bool:
        """Take back a request; returns whether it had not been sent."""
        for request in self._requests:
            if request.messageID == messageID:
                self._requests.remove(request)
                return True
        return False

    def finished(self) -> None:
        """A request that was sent has been answered: there is room in the window."""
        self._outstanding -= 1
        self._sendNext()

    def stop(self) -> None:
        """The association is over: send nothing more."""
        self._answers.clear()
        self._requests.clear()
        streaming, self._streaming = self._streaming, None
        if streaming is not None:
            streaming.cancel()
        else:
            # It knows us as well, and would else be left to the garbage collector.
            del self._association

    def _sendNext(self) -> None:
        while self._requests and self._streaming is None and not 0 < self.window <= self._outstanding:
            _, contextID, command, dataSet = self._requests.popleft()
            if dataSet is None or isinstance(dataSet, bytes):
                message = encodeMessage(contextID, command, dataSet, self.maximumLength)
                self._association.protocol.send(message)
                self._outstanding += 1
            else:
                self._outstanding += 1
                self._begin(contextID, command, dataSet)

    def _begin(self, contextID: int, command: bytes, source: IDataSetSource) -> None:
        self._association.protocol.streaming = True
        streaming: Deferred[None] | None = None

        def cancel(_: object) -> None:
            if streaming is not None:
                streaming.cancel()

        # Known before it starts, for it may be over when it returns.
        waiting: Deferred[None] = Deferred(cancel)
        waiting.addErrback(lambda failure: failure.trap(CancelledError) and None)
        self._streaming = waiting
        streaming = Deferred.fromCoroutine(self._stream(contextID, command, source))
        if self._streaming is not waiting:
            # The source itself has ended the association.
            streaming.cancel()
        # One that was stopped does not get to its end: it is cancelled, or may send nothing more.
        streaming.addCallbacks(self._sent, self._broken, errbackArgs=(waiting,))

    async def _stream(self, contextID: int, command: bytes, source: IDataSetSource) -> None:
        protocol = self._association.protocol
        maximumLength = min(self.maximumLength or _LARGEST_PDU, _LARGEST_PDU)
        step = fragmentLength(maximumLength)
        size = _CHUNK // step * step
        start = [encodeMessage(contextID, command, None, self.maximumLength)]
        chunk = await self._read(source, size)
        more = True
        while more:
            # Read while the chunk before is still on its way; it also tells whether this one is the last.
            following = await self._read(source, size) if len(chunk) == size else b""
            more = len(following) > 0
            if protocol.isFull:
                await protocol.whenWritable()
            protocol.send([*start, *encodeDataSet(contextID, chunk, maximumLength, not more)])
            start, chunk = [], following

    async def _read(self, source: IDataSetSource, size: int) -> Octets:
        reading = source.read(size)
        if isinstance(reading, Deferred):
            timer = self._association.startWaiting(False)
            try:
                return await reading
            finally:
                self._association.stopWaiting(timer)
        return reading

    def _sent(self, _: None) -> None:
        self._streaming = None
        protocol = self._association.protocol
        protocol.streaming = False
        while self._answers:
            protocol.send(self._answers.popleft())
        protocol.resumeReceiving(_HELD)
        self._sendNext()

    def _broken(self, failure: Failure, waiting: Deferred[None]) -> None:
        if self._streaming is not waiting or failure.check(CancelledError):
            return
        error = failure.value
        if not isinstance(error, DICOMError):
            error = SourceError(f"the data set cannot be read: {error}")
        self._association.abort(error)
