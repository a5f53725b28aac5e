"""Doubles of stores, and what tests a real one: `sendTo`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.dimse.association import Association
from txdicom.dimse.commands import CStoreRSP
from txdicom.dimse.status import Status
from txdicom.errors import DIMSEError
from txdicom.interfaces import IDataSetWriter, IStorageSCP
from txdicom.services.instances import Source, identify
from txdicom.services.sending import send
from txdicom.services.storage import ReceivedInstance, StorageService
from txdicom.services.text import tagOf
from txdicom.testing.peers import associateRQ, connectInMemory, requestor
from txdicom.uids import ACCEPT_ALL, OTHER_STORAGE_SOP_CLASSES

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["RecordingStore", "StoredInstance", "exampleDataSet", "sendTo"]

_T = TypeVar("_T")
_CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"


def exampleDataSet(**attributes: Any) -> Dataset:
    """
    Make a small data set of CT Image Storage, for `sendTo` and `RequestorAssociation.store`.

    :param attributes: its elements by their keywords, such as ``PatientID="4711"``. The SOP Instance UID is 1.2.3
        unless it is among them.
    :raises ValueError: the data dictionary has no such keyword.
    """
    from pydicom import Dataset

    dataSet = Dataset()
    for keyword, value in {"SOPClassUID": _CT_IMAGE_STORAGE, "SOPInstanceUID": "1.2.3", **attributes}.items():
        tagOf(keyword)  # pydicom takes what it does not know for an attribute of the object
        setattr(dataSet, keyword, value)
    return dataSet


def sendTo(
    store: IStorageSCP, *sources: Source, wanted: Collection[int | str] = (), size: int | None = None
) -> list[CStoreRSP]:
    """
    Send instances to a store, in memory, one after the other over one association (C-STORE).

    What the store gets has been through everything but a network: PDUs, messages, and a `StorageService` that takes all
    storage SOP classes in all transfer syntaxes.

    :param sources: paths of files, binary files at their first byte, or data sets of pydicom's, such as
        `exampleDataSet` makes; at least one.
    :param wanted: what is to be known of each instance besides what the store itself wants, as `StorageService` has it.
    :param size: deliver at most so many bytes at a time; None delivers what was written.
    :return: the responses, in the order of the instances, each with its `status` and `errorComment`.
    :raises SourceError: one of the sources is no instance.
    :raises AssertionError: the store waits for something that no one else brings, such as a thread or a timer. Test it
        with `connectInMemory`, or hand in what it waits for.
    """
    clock = Clock()
    service = StorageService(store, [OTHER_STORAGE_SOP_CLASSES], ACCEPT_ALL, wanted)
    identities = [identify(source) for source in sources]
    contexts = dict.fromkeys((identity.sopClassUID, identity.transferSyntaxUID) for identity in identities)
    association = requestor(clock, associateRQ([(sopClass, [syntax]) for sopClass, syntax in contexts]))
    link = connectInMemory(AcceptorFactory([service], clock=clock), association, size)
    responses = []
    for source in sources:
        outcomes: list[CStoreRSP | Failure] = []
        Deferred.fromCoroutine(send(association, source, _OnTheSpot())).addBoth(outcomes.append)
        link.flush()
        if not outcomes:
            raise AssertionError("the store has not answered, and nothing that it could wait for is left")
        [outcome] = outcomes
        if isinstance(outcome, Failure):
            outcome.raiseException()
        responses.append(outcome)
    association.release()
    link.flush()
    return responses


class _OnTheSpot:
    """Waits for the disk here and now."""

    def soon(self, function: Callable[[], _T]) -> _T:
        return function()

    def inThread(self, function: Callable[[], _T]) -> Deferred[_T]:
        return execute(function)


@dataclass
class StoredInstance:
    """
    What became of one instance that a `RecordingStore` was asked to store.

    :ivar fragments: the pieces of the data set as they were written.
    :ivar outcome: "open", "committed" or "aborted".
    """

    association: Association
    instance: ReceivedInstance
    fragments: list[bytes] = field(default_factory=list)
    outcome: str = "open"
    reason: Failure | None = None

    @property
    def dataSet(self) -> bytes:
        """All that was written."""
        return b"".join(self.fragments)


@implementer(IStorageSCP)
class RecordingStore:
    """
    Keeps instances in memory, in order.

    :ivar stored: every instance that has begun to arrive.
    :ivar failures: step ("store", "write" or "commit") -> the exception it raises from now on.
    """

    def __init__(self) -> None:
        self.stored: list[StoredInstance] = []
        self.failures: dict[str, Exception] = {}

    def store(self, association: Association, instance: ReceivedInstance) -> IDataSetWriter:
        """Begin a new record."""
        self.fail("store")
        record = StoredInstance(association, instance)
        self.stored.append(record)
        return _RecordingWriter(self, record)

    def fail(self, step: str) -> None:
        """Raise what `failures` has for this step."""
        if step in self.failures:
            raise self.failures[step]

    @classmethod
    def full(cls, step: str = "write") -> RecordingStore:
        """Build a store that refuses with 0xA700 at a step."""
        store = cls()
        store.failures[step] = DIMSEError(Status.OUT_OF_RESOURCES, "full")
        return store


@implementer(IDataSetWriter)
class _RecordingWriter:
    def __init__(self, store: RecordingStore, record: StoredInstance) -> None:
        self._store = store
        self._record = record

    def write(self, fragments: list[memoryview]) -> None:
        self._end("open")
        self._store.fail("write")
        self._record.fragments += map(bytes, fragments)

    def commit(self) -> int:
        self._end("committed")
        self._store.fail("commit")
        return Status.SUCCESS

    def abort(self, reason: Failure) -> None:
        self._end("aborted")
        self._record.reason = reason

    def _end(self, outcome: str) -> None:
        """Change the outcome; a record that has one already is a fault of whoever called."""
        if self._record.outcome != "open":
            raise AssertionError(f"{outcome} after {self._record.outcome}")
        self._record.outcome = outcome
