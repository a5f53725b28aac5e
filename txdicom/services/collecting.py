"""Requests whose data set is small and wanted whole, as of a query: `CollectingWriter`, and `collectIdentifier`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.dimse.status import Status
from txdicom.errors import DIMSEError, MessageError
from txdicom.interfaces import IRequestWriter, Soon
from txdicom.services.datasets import decodeDataSet

if TYPE_CHECKING:
    from pydicom import Dataset

    from txdicom.dimse.answers import Answer
    from txdicom.dimse.association import Association
    from txdicom.upperlayer.negotiation import PresentationContext

__all__ = ["CollectingWriter", "collectIdentifier"]


@implementer(IRequestWriter)
class CollectingWriter:
    """
    Holds a data set until it is complete.

    :param answer: called with all of it; returns what `IRequestWriter.commit` may.
    :param maximumLength: in bytes; a longer one is answered 0xA700. See `Association.maximumIdentifierLength`.
    """

    def __init__(
        self,
        answer: Callable[[bytes], Soon[int] | Soon[Answer] | AsyncIterator[Answer]],
        maximumLength: int,
    ) -> None:
        self._answer = answer
        self._maximumLength = maximumLength
        self._dataSet = bytearray()

    def write(self, fragments: list[memoryview]) -> None:
        """Hold some more."""
        for fragment in fragments:
            if len(self._dataSet) + len(fragment) > self._maximumLength:
                raise DIMSEError(Status.OUT_OF_RESOURCES, "the data set is longer than is held here")
            self._dataSet += fragment

    def commit(self) -> Soon[int] | Soon[Answer] | AsyncIterator[Answer]:
        """It is complete."""
        return self._answer(bytes(self._dataSet))

    def abort(self, reason: Failure) -> None:
        """It will not be."""
        self._dataSet.clear()


def collectIdentifier(
    association: Association, context: PresentationContext, answers: Callable[[Dataset], AsyncIterator[Answer]]
) -> CollectingWriter:
    """
    Take the identifier of a request; one that cannot be read is answered 0xC000.

    :param answers: called with it; gives the answers.
    """

    def answer(identifier: bytes) -> AsyncIterator[Answer]:
        try:
            decoded = decodeDataSet(identifier, context.transferSyntax)
        except MessageError as error:
            raise DIMSEError(Status.CANNOT_UNDERSTAND, str(error)) from error
        return answers(decoded)

    return CollectingWriter(answer, association.maximumIdentifierLength)
