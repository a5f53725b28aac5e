"""Requests whose data set is small and wanted whole, as of a query: `CollectingWriter`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.dimse.status import Status
from txdicom.errors import DIMSEError
from txdicom.interfaces import IRequestWriter, Soon

if TYPE_CHECKING:
    from txdicom.dimse.answers import Answer

__all__ = ["CollectingWriter"]


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
