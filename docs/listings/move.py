"""Have a study sent to a third: python move.py HOST PORT TITLE STUDY DESTINATION"""

import sys

from pydicom import Dataset
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import react

from txdicom.requestor import connect
from txdicom.services.query import STUDY_ROOT


async def main(reactor, host, port, title, study, destination):
    query = Dataset()
    query.update({"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": study})
    association = await connect(HostnameEndpoint(reactor, host, int(port)), [STUDY_ROOT.move], calledAETitle=title)
    *_, last = await association.move(STUDY_ROOT.move, query, destination).collect()
    print(f"{last.completed} sent, {last.failed} failed")
    await association.release()


react(main, sys.argv[1:])
