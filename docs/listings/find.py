"""Find studies by the patient's name: python find.py HOST PORT TITLE NAME"""

import sys

from pydicom import Dataset
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import react

from txdicom.requestor import connect
from txdicom.services.query import STUDY_ROOT


async def main(reactor, host, port, title, name):
    query = Dataset()
    query.update({"QueryRetrieveLevel": "STUDY", "PatientName": name, "StudyDate": "", "StudyInstanceUID": ""})
    association = await connect(HostnameEndpoint(reactor, host, int(port)), [STUDY_ROOT.find], calledAETitle=title)
    async for match in association.find(STUDY_ROOT.find, query):
        print(match.StudyDate, match.PatientName, match.StudyInstanceUID)
    await association.release()


react(main, sys.argv[1:])
