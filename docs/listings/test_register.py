from register import Register
from twisted.trial.unittest import SynchronousTestCase

from txdicom.testing import exampleDataSet, sendTo


class RegisterTests(SynchronousTestCase):
    def test_patientID(self):
        path = self.mktemp()
        kept, refused = sendTo(Register(path), exampleDataSet(PatientID="4711"), exampleDataSet())
        self.assertEqual((kept.status, refused.status), (0x0000, 0xC000))
        with open(path) as lines:
            self.assertEqual(lines.read(), "4711,1.2.3,60\n")
