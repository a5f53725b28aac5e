"""Tests of `txdicom.services.collecting`: a store that holds instances until they are whole."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from txdicom.dimse.association import Association
from txdicom.errors import DIMSEError
from txdicom.interfaces import IDataSetWriter, IStorageSCP, Soon
from txdicom.services.collecting import CollectingStore
from txdicom.services.datasets import decodeDataSet
from txdicom.services.storage import ReceivedInstance
from txdicom.testing import exampleDataSet, sendTo


class CollectingStoreTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.kept: list[tuple[str, ReceivedInstance, bytes]] = []
        self.answer: Soon[int] = 0

    def keep(self, association: Association, instance: ReceivedInstance, dataSet: bytes) -> Soon[int]:
        self.kept.append((association.callingAETitle, instance, dataSet))
        return self.answer

    def test_givesTheWhole(self) -> None:
        for size in (None, 1):
            [response] = sendTo(CollectingStore(self.keep), exampleDataSet(PatientID="4711"), size=size)
            self.assertEqual(response.status, 0)
            title, instance, dataSet = self.kept.pop()
            self.assertEqual((title, instance.sopInstanceUID), ("STORESCU", "1.2.3"))
            self.assertEqual(decodeDataSet(dataSet, instance.transferSyntaxUID).PatientID, "4711")

    def test_answer(self) -> None:
        """What the function returns is the answer, also when it comes as a Deferred."""
        for answer in (0xB000, Deferred.fromCoroutine(later(0xB000))):
            self.answer = answer
            [response] = sendTo(CollectingStore(self.keep), exampleDataSet())
            self.assertEqual(response.status, 0xB000)

    def test_refuses(self) -> None:
        def keep(association: Association, instance: ReceivedInstance, dataSet: bytes) -> int:
            raise DIMSEError(0xC123, "never")

        [response] = sendTo(CollectingStore(keep), exampleDataSet())
        self.assertEqual((response.status, response.errorComment), (0xC123, "never"))

    def test_bound(self) -> None:
        """What is as long as may be is held, and not a byte more."""
        [kept] = sendTo(CollectingStore(self.keep, 48), exampleDataSet())
        self.assertEqual((kept.status, len(self.kept[0][2])), (0, 48))
        [refused] = sendTo(CollectingStore(self.keep, 47), exampleDataSet())
        self.assertEqual((refused.status, len(self.kept)), (0xA700, 1))

    def test_interfaces(self) -> None:
        store = CollectingStore(self.keep)
        verifyObject(IStorageSCP, store)
        writer = store.store(None, None)  # type: ignore[arg-type]
        verifyObject(IDataSetWriter, writer)
        writer.write([memoryview(b"half")])
        writer.abort(Failure(ValueError()))
        self.assertEqual(self.kept, [])


async def later(status: int) -> int:
    return status
