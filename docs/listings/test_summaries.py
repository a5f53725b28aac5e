"""Tests of `summaries`: the plugin by itself, without a receiver."""

import json
import os

from summaries import Summaries
from twisted.internet.defer import Deferred, execute
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from txdicom.dimse.commands import CStoreRQ
from txdicom.errors import DIMSEError
from txdicom.interfaces import IReceiverPlugin
from txdicom.services.storage import ReceivedInstance
from txdicom.storescp.hooks.events import InstanceStored, StudyEnded

CT = "1.2.840.10008.5.1.4.1.1.2"


def stored(attributes):
    instance = ReceivedInstance(CT, "1.2.3", "1.2.840.10008.1.2", CStoreRQ(1, CT, "1.2.3"), attributes)
    return InstanceStored(instance, "/in/CT.1.2.3", 1000, "SENDER", "STORESCP", "10.1.0.7")


class SummariesTests(SynchronousTestCase):
    def setUp(self):
        self.plugin = Summaries(inThread=execute)

    def test_interface(self):
        verifyObject(IReceiverPlugin, self.plugin)

    def test_wantsAStudy(self):
        self.plugin.instanceStored(stored({0x0020000D: b"1.2.4\0"}))
        self.assertRaises(DIMSEError, self.plugin.instanceStored, stored({}))

    def test_summary(self):
        directory = self.mktemp()
        os.mkdir(directory)
        event = StudyEnded("1.2.4", directory, (), 2, 2000, 1, "SENDER", "STORESCP", "10.1.0.7")
        self.successResultOf(Deferred.fromCoroutine(self.plugin.studyEnded(event)))
        with open(os.path.join(directory, "1.2.4.json")) as summary:
            self.assertEqual(json.load(summary)["objects"], 2)
