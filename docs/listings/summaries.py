"""Writes a summary of each study that has ended beside its files, and wants every instance to have a study."""

import json
import os

from twisted.internet.threads import deferToThread
from zope.interface import implementer

from txdicom.dimse.status import Status
from txdicom.errors import DIMSEError
from txdicom.interfaces import IReceiverPlugin


@implementer(IReceiverPlugin)
class Summaries:
    def __init__(self, inThread=deferToThread):
        self.inThread = inThread

    def instanceStored(self, event):
        if not event.studyInstanceUID:
            raise DIMSEError(Status.CANNOT_UNDERSTAND, "no Study Instance UID")

    async def studyEnded(self, event):
        path = os.path.join(event.directory, f"{event.studyInstanceUID}.json")
        await self.inThread(write, path, event.describe())


def write(path, summary):
    with open(f"{path}.part", "w") as output:
        json.dump(summary, output)
    os.rename(f"{path}.part", path)
