"""
What is small and wanted whole: the data set of a query by `CollectingWriter` and `collectIdentifier`, an instance by
`CollectingStore`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from typing import TYPE_CHECKING, cast

from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.dimse.status import Status
from txdicom.errors import DIMSEError, MessageError
from txdicom.interfaces import IDataSetWriter, IRequestWriter, IWantingStorageSCP, Soon
from txdicom.services.datasets import decodeDataSet

if TYPE_CHECKING:
    from pydicom import Dataset

    from txdicom.dimse.answers import Answer
    from txdicom.dimse.association import Association
    from txdicom.services.storage import ReceivedInstance
    from txdicom.upperlayer.negotiation import PresentationContext

__all__ = ["CollectingStore", "CollectingWriter", "collectIdentifier"]


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


@implementer(IWantingStorageSCP)
class CollectingStore:
    """
    A store for instances that are wanted whole: each is held in memory, and given to a function when it is complete.

    :param keep: called with the association, the instance and its data set as it was encoded, for which
        `txdicom.services.datasets.decodeDataSet` gives pydicom's. It returns the status, now or later, as
        `IDataSetWriter.commit` does, or raises `DIMSEError`.
    :param maximumLength: of a data set, in bytes; a longer one is answered 0xA700. Each association may hold as much.
    :cvar wanted: what a subclass wants to know of each instance besides the whole: see `IWantingStorageSCP`.
    """

    wanted: Collection[int | str] = ()

    def __init__(
        self, keep: Callable[[Association, ReceivedInstance, bytes], Soon[int]], maximumLength: int = 1 << 28
    ) -> None:
        self._keep = keep
        self._maximumLength = maximumLength

    def store(self, association: Association, instance: ReceivedInstance) -> IDataSetWriter:
        """Begin to hold one."""
        return _InstanceCollector(lambda dataSet: self._keep(association, instance, dataSet), self._maximumLength)


@implementer(IDataSetWriter)
class _InstanceCollector(CollectingWriter):
    """Holds an instance; what it is answered with is a status."""

    def commit(self) -> Soon[int]:
        return cast("Soon[int]", super().commit())
