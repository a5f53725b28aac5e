"""A store that puts each instance into queues: directories, one for each peer that is to get it."""

import os
import time
from uuid import uuid4

from twisted.internet.threads import deferToThread
from zope.interface import implementer

from txdicom.dimse.status import Status
from txdicom.errors import DIMSEError
from txdicom.interfaces import IDataSetWriter, IStorageSCP
from txdicom.soon import settled


def nameByArrival(instance):
    """Name what comes later later, and nothing twice, also if an instance is sent again."""
    return f"{time.time_ns()}.{uuid4().hex}.dcm"


def enqueue(path, queues):
    """Link a file into every queue, then take it away from where it arrived; all of that outlasts a power failure."""
    try:
        for queue in queues:
            os.link(path, os.path.join(queue, os.path.basename(path)))
            descriptor = os.open(queue, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    finally:
        os.unlink(path)


@implementer(IStorageSCP)
class QueueingStore:
    """Keeps instances by another store, one of files, and acknowledges what is in all queues."""

    def __init__(self, files, queues, inThread=deferToThread):
        self.files, self.queues, self.inThread = files, queues, inThread

    async def store(self, association, instance):
        return QueueingWriter(self, await settled(self.files.store(association, instance)))


@implementer(IDataSetWriter)
class QueueingWriter:
    def __init__(self, store, writer):
        self.store, self.writer = store, writer
        self.write, self.abort = writer.write, writer.abort

    async def commit(self):
        status = await settled(self.writer.commit())
        try:
            await self.store.inThread(enqueue, self.writer.path, self.store.queues)
        except OSError as error:
            raise DIMSEError(Status.OUT_OF_RESOURCES, "cannot be queued") from error
        return status
