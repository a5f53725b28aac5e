"""Tests of `txdicom.testing`: what sends to a store, and what it does when the store does not do its part."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

from io import BytesIO
from typing import Any

from pydicom.data import get_testdata_file
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from txdicom.dimse.association import Association
from txdicom.errors import AssociationAborted, DIMSEError, SourceError
from txdicom.services.storage import ReceivedInstance
from txdicom.testing import RecordingStore, exampleDataSet, sendTo

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
#: An image of another class, compressed.
JPEG = str(get_testdata_file("JPEG2000.dcm"))


class ExampleTests(SynchronousTestCase):
    def test_hasWhatItIsGiven(self) -> None:
        dataSet = exampleDataSet(PatientID="4711", SOPInstanceUID="1.2.4")
        self.assertEqual((dataSet.SOPClassUID, dataSet.SOPInstanceUID, dataSet.PatientID), (CT, "1.2.4", "4711"))
        self.assertEqual(exampleDataSet().SOPInstanceUID, "1.2.3")

    def test_noKeyword(self) -> None:
        """A slip of the pen does not leave the element out."""
        error = self.assertRaises(ValueError, exampleDataSet, PatientId="4711")
        self.assertEqual(str(error), "'PatientId' is no keyword of the data dictionary")


class SendToTests(SynchronousTestCase):
    def test_sendsInOrder(self) -> None:
        store = RecordingStore()
        with open(JPEG, "rb") as file:
            responses = sendTo(store, exampleDataSet(), JPEG, BytesIO(file.read()))
        self.assertEqual([response.status for response in responses], [0, 0, 0])
        first, second, third = store.stored
        self.assertEqual((first.instance.sopInstanceUID, first.instance.transferSyntaxUID), ("1.2.3", EXPLICIT_LITTLE))
        self.assertEqual(second.dataSet, third.dataSet)
        self.assertEqual({record.association for record in store.stored}, {first.association})
        self.assertEqual([record.outcome for record in store.stored], ["committed"] * 3)
        self.assertIsNotNone(first.association.endReason)

    def test_byteByByte(self) -> None:
        whole, cut = RecordingStore(), RecordingStore()
        sendTo(whole, exampleDataSet(PatientName="Doe^Jane"))
        sendTo(cut, exampleDataSet(PatientName="Doe^Jane"), size=1)
        self.assertEqual(cut.stored[0].dataSet, whole.stored[0].dataSet)
        self.assertGreater(len(cut.stored[0].fragments), len(whole.stored[0].fragments))

    def test_refused(self) -> None:
        """The response says why, and what comes next is sent all the same."""
        store = RecordingStore.full()
        first, second = sendTo(store, exampleDataSet(), exampleDataSet(SOPInstanceUID="1.2.4"))
        self.assertEqual((first.status, first.errorComment), (0xA700, "full"))
        self.assertEqual(second.status, 0xA700)

    def test_storeFails(self) -> None:
        """What is no `DIMSEError` is logged, which the test that it happens in sees."""
        store = RecordingStore()
        store.failures["commit"] = KeyError("a fault")
        [response] = sendTo(store, exampleDataSet())
        self.assertEqual(response.status, 0x0110)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_storeWaits(self) -> None:
        class Waiting(RecordingStore):
            def store(self, association: Association, instance: ReceivedInstance) -> Any:
                return Deferred()

        error = self.assertRaises(AssertionError, sendTo, Waiting(), exampleDataSet())
        self.assertEqual(str(error), "the store has not answered, and nothing that it could wait for is left")

    def test_noInstance(self) -> None:
        self.assertRaises(SourceError, sendTo, RecordingStore(), BytesIO(b"hello"))

    def test_associationEnds(self) -> None:
        """A store that aborts the association is told of as that."""

        class Aborting(RecordingStore):
            def store(self, association: Association, instance: ReceivedInstance) -> Any:
                association.abort()
                raise DIMSEError(0xA700)

        self.assertRaises(AssociationAborted, sendTo, Aborting(), exampleDataSet())


class TextTests(SynchronousTestCase):
    """`ReceivedInstance.text`, of what has been wanted by keyword."""

    WANTED = ("PatientName", "OtherPatientIDs", "StudyDate")

    def instance(self, wanted: tuple[str | int, ...] = WANTED, **attributes: Any) -> ReceivedInstance:
        """Send an instance, and return what its store was told."""
        store = RecordingStore()
        sendTo(store, exampleDataSet(**attributes), wanted=wanted)
        return store.stored[0].instance

    def test_text(self) -> None:
        instance = self.instance(PatientName="Doe^Jane", StudyDate="20260101", OtherPatientIDs=["1", "23"])
        self.assertEqual(instance.text("PatientName"), "Doe^Jane")
        self.assertEqual(instance.text("StudyDate"), "20260101")
        self.assertEqual(instance.text("OtherPatientIDs"), "1\\23")
        self.assertEqual(instance.text("SOPInstanceUID"), "1.2.3")

    def test_characterSet(self) -> None:
        """It need not be asked for."""
        for characterSet in ("ISO_IR 100", "ISO_IR 192"):
            instance = self.instance(SpecificCharacterSet=characterSet, PatientName="Müller^Zoë")
            self.assertEqual(instance.text("PatientName"), "Müller^Zoë")

    def test_notThere(self) -> None:
        """What is missing and what nobody wanted are the same."""
        self.assertEqual(self.instance().text("PatientName"), "")
        self.assertEqual(self.instance(PatientID="4711").text("PatientID"), "")

    def test_notText(self) -> None:
        error = self.assertRaises(ValueError, self.instance().text, "Rows")
        self.assertEqual(str(error), "Rows is not text, but of VR US")
        self.assertRaises(ValueError, self.instance().text, "PatientId")

    def test_noKeyword(self) -> None:
        """What is wanted is looked up at once, and not when an instance has come."""
        self.assertRaises(ValueError, self.instance, ("PatientId",))

    def test_tags(self) -> None:
        """By tags there is exactly what was asked for."""
        instance = self.instance((0x00100010,), SpecificCharacterSet="ISO_IR 100", PatientName="Doe^Jane")
        self.assertEqual(set(instance.attributes), {0x00080016, 0x00080018, 0x00100010})
        self.assertEqual(instance.text("PatientName"), "Doe^Jane")
