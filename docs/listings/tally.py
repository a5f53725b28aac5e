"""A store that keeps nothing but how much it was sent."""

from collections import Counter

from zope.interface import implementer

from txdicom.dimse.status import Status
from txdicom.errors import DIMSEError
from txdicom.interfaces import IDataSetWriter, IStorageSCP


@implementer(IStorageSCP)
class TallyStore:
    """Counts the bytes of each SOP class, up to a limit in all."""

    def __init__(self, limit):
        self.limit = limit
        self.tally = Counter()

    def store(self, association, instance):
        return TallyWriter(self, instance.sopClassUID)


@implementer(IDataSetWriter)
class TallyWriter:
    """Counts one instance, and only if it has come whole."""

    def __init__(self, store, sopClassUID):
        self.store = store
        self.sopClassUID = sopClassUID
        self.length = 0

    def write(self, fragments):
        self.length += sum(map(len, fragments))
        if self.store.tally.total() + self.length > self.store.limit:
            raise DIMSEError(Status.OUT_OF_RESOURCES, "more than I can count")

    def commit(self):
        self.store.tally[self.sopClassUID] += self.length
        return Status.SUCCESS

    def abort(self, reason):
        self.length = 0
