"""
Answers that are more than a status: `Answer`, and how a provider's series of them is sent.

A C-FIND is answered by a pending response for every match, an N-GET by a data set. A provider gives those as an
`Answer`, or as an asynchronous iterator of them (an ``async def`` with ``yield``), wherever it might give a status.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.dimse.commands import GenericCommand, Request, Response, Value, responseTo
from txdicom.dimse.elements import Tag
from txdicom.dimse.status import Status, StatusCategory, category
from txdicom.errors import LocalProtocolError
from txdicom.interfaces import IRequestWriter

if TYPE_CHECKING:
    from txdicom.dimse.operation import Operation

__all__ = ["Answer", "GivenAnswer", "answerEach", "closeEach"]

_DATA_SET_PRESENT = 0x0000


@dataclass(frozen=True, slots=True)
class Answer:
    """
    One response of a provider's.

    :ivar status: pending in all but the last.
    :ivar dataSet: encoded in the transfer syntax of the request's presentation context.
    :ivar elements: command elements besides those that every response has: tag -> value, see
        `txdicom.dimse.elements.ELEMENTS`. Only responses without a class of their own have room for any.
    """

    status: int
    dataSet: bytes | None = None
    elements: Mapping[int, Value] = field(default_factory=dict)

    def to(self, request: Request) -> Response:
        """Build the response; raises `LocalProtocolError` if such a response cannot hold it."""
        response = responseTo(request, self.status)
        if self.dataSet is None and not self.elements:
            return response
        if not isinstance(response, GenericCommand):
            raise LocalProtocolError("a C-STORE or C-ECHO is answered by a status alone")
        elements = {**response.elements, **self.elements}
        if self.dataSet is not None:
            elements[Tag.COMMAND_DATA_SET_TYPE] = _DATA_SET_PRESENT
        return GenericCommand(response.commandField, elements)


@implementer(IRequestWriter)
class GivenAnswer:
    """The answer to a request whose data set, if it has one, is of no interest."""

    def __init__(self, answer: Answer | AsyncIterator[Answer]) -> None:
        self._answer = answer

    def write(self, fragments: list[memoryview]) -> None:
        """Drop it."""

    def commit(self) -> Answer | AsyncIterator[Answer]:
        """Give the answer."""
        return self._answer

    def abort(self, reason: Failure) -> None:
        """There will be no answer."""
        if not isinstance(self._answer, Answer):
            Deferred.fromCoroutine(closeEach(self._answer)).addErrback(lambda _: None)


async def answerEach(operation: Operation, answers: AsyncIterator[Answer]) -> Answer | int:
    """
    Send the pending answers as they come, no faster than the peer takes them.

    :return: the last one: the first that is not pending, or success after all, or cancel if the peer has asked for it.
    """
    try:
        async for answer in answers:
            if category(answer.status) is not StatusCategory.PENDING:
                return answer
            if operation.cancelled:
                return Status.CANCEL
            await operation.answerPending(answer)
    finally:
        await closeEach(answers)
    return Status.CANCEL if operation.cancelled else Status.SUCCESS


async def closeEach(answers: AsyncIterator[object]) -> None:
    """Tell an iterator that no more will be asked for."""
    close = getattr(answers, "aclose", None)
    if close is not None:
        await close()
