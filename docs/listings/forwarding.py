"""A service that sends what is in a queue, a directory, to a peer."""

import os
from contextlib import suppress

from twisted.application.internet import TimerService
from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from txdicom.dimse.status import Status, StatusCategory, category
from txdicom.errors import DIMSEError, LocalProtocolError
from txdicom.requestor import connect

AT_ONCE = 50  # per association, which has room for two presentation contexts each
log = Logger()


def waiting(queue):
    """List what is to be sent, in the order in which it has arrived."""
    return [os.path.join(queue, name) for name in sorted(os.listdir(queue)) if name.endswith(".dcm")]


class Forwarder(TimerService):
    """Sends what is in a queue, the oldest first, and what did not get there again later."""

    def __init__(self, queue, endpoint, clock, seconds=10, inThread=deferToThread, **parameters):
        super().__init__(seconds, self.forward)
        self.queue, self.endpoint, self.clock, self.inThread = queue, endpoint, clock, inThread
        self.parameters = parameters
        self.round = succeed(None)

    def forward(self):
        self.round = Deferred.fromCoroutine(self.empty())
        return self.round.addErrback(lambda why: log.warn("{queue}: {why}", queue=self.queue, why=repr(why.value)))

    async def empty(self):
        while paths := await self.inThread(waiting, self.queue):
            for first in range(0, len(paths), AT_ONCE):
                await self.send(paths[first : first + AT_ONCE])

    async def send(self, paths):
        association = await connect(self.endpoint, send=paths, clock=self.clock, **self.parameters)
        try:
            for path in paths:
                self.settle(path, await self.answerTo(association, path))
            await association.release()
        finally:
            association.abort()  # which does nothing after a release

    async def answerTo(self, association, path):
        with suppress(LocalProtocolError):  # the peer takes nothing of the kind
            return (await association.store(path)).status
        return Status.SOP_CLASS_NOT_SUPPORTED

    def settle(self, path, status):
        if category(status) in (StatusCategory.SUCCESS, StatusCategory.WARNING):
            os.unlink(path)
        elif status >> 8 == Status.OUT_OF_RESOURCES >> 8:
            raise DIMSEError(status, "the peer has no room")
        else:
            log.error("refused with 0x{status:04X}: {path}", status=status, path=path)
            os.rename(path, f"{path}.refused")

    def stopService(self):
        stopped = super().stopService()
        self.round.cancel()
        return stopped
