"""Tests of `tally`: a real association, in memory."""

from io import BytesIO

from pydicom import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from tally import TallyStore, TallyWriter
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.dimse.status import Status
from txdicom.interfaces import IDataSetWriter, IStorageSCP
from txdicom.services.storage import StorageService, store
from txdicom.testing import associateRQ, connect, requestor


def encoded(sopInstanceUID):
    dataSet = Dataset()
    dataSet.SOPClassUID = CTImageStorage
    dataSet.SOPInstanceUID = sopInstanceUID
    dataSet.PatientName = "Doe^Jane"
    output = BytesIO()
    dataSet.save_as(output, implicit_vr=False, little_endian=True)
    return output.getvalue()


class TallyTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.store = TallyStore(limit=100)
        self.association = requestor(self.clock, associateRQ({CTImageStorage: [ExplicitVRLittleEndian]}))
        factory = AcceptorFactory([StorageService(self.store)], clock=self.clock)
        self.link = connect(factory, self.association)

    def send(self, uid):
        answer = store(self.association, CTImageStorage, uid, ExplicitVRLittleEndian, encoded(uid))
        self.link.flush()
        return self.successResultOf(answer).status

    def test_interfaces(self):
        verifyObject(IStorageSCP, self.store)
        verifyObject(IDataSetWriter, TallyWriter(self.store, CTImageStorage))

    def test_counts(self):
        self.assertEqual(self.send("1.2.3"), Status.SUCCESS)
        self.assertEqual(self.store.tally[CTImageStorage], len(encoded("1.2.3")))

    def test_refusesWhatIsTooMuch(self):
        self.send("1.2.3")
        self.assertEqual(self.send("1.2.4"), Status.OUT_OF_RESOURCES)
        self.assertEqual(self.store.tally[CTImageStorage], len(encoded("1.2.3")))
