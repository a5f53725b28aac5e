"""The store of `tally`, tested with pytest: an acceptor and a requestor as a fixture."""

import pytest
from pydicom.uid import CTImageStorage
from tally import TallyStore
from twisted.internet.task import Clock

from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.dimse.status import Status
from txdicom.requestor import connect
from txdicom.services.storage import StorageService
from txdicom.testing import MemoryEndpoint, exampleDataSet


class Pair:
    """An acceptor with a store, and a requestor's association with it."""

    def __init__(self, store):
        self.clock = Clock()
        self.endpoint = MemoryEndpoint(AcceptorFactory([StorageService(store)], clock=self.clock))
        self.association = self.result(connect(self.endpoint, [CTImageStorage], clock=self.clock))

    def result(self, deferred):
        """Let both talk, and return what has come of it."""
        results = []
        deferred.addBoth(results.append)
        self.endpoint.flush()
        [result] = results
        return result


@pytest.fixture
def pair():
    pair = Pair(TallyStore(limit=200))
    yield pair
    pair.result(pair.association.release())
    assert not pair.clock.getDelayedCalls()


@pytest.mark.parametrize(("comment", "status"), [("short", Status.SUCCESS), ("long" * 50, Status.OUT_OF_RESOURCES)])
def test_limit(pair, comment, status):
    assert pair.result(pair.association.store(exampleDataSet(ImageComments=comment))).status == status
