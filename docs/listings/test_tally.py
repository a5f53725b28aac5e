"""Tests of `tally`: a real association, in memory."""

from pydicom.uid import CTImageStorage
from tally import TallyStore, TallyWriter
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from txdicom.dimse.status import Status
from txdicom.interfaces import IDataSetWriter, IStorageSCP
from txdicom.testing import exampleDataSet, sendTo


class TallyTests(SynchronousTestCase):
    def setUp(self):
        self.store = TallyStore(limit=80)

    def test_interfaces(self):
        verifyObject(IStorageSCP, self.store)
        verifyObject(IDataSetWriter, TallyWriter(self.store, CTImageStorage))

    def test_counts(self):
        [response] = sendTo(self.store, exampleDataSet(PatientName="Doe^Jane"))
        self.assertEqual(response.status, Status.SUCCESS)
        self.assertEqual(self.store.tally[CTImageStorage], 64)

    def test_refusesWhatIsTooMuch(self):
        first, second = sendTo(self.store, exampleDataSet(), exampleDataSet(SOPInstanceUID="1.2.4"))
        self.assertEqual((first.status, second.status), (Status.SUCCESS, Status.OUT_OF_RESOURCES))
        self.assertEqual(second.errorComment, "more than I can count")
        self.assertEqual(self.store.tally[CTImageStorage], 48)
