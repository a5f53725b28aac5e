"""Retrieve a study by C-GET into a directory: python retrieve.py HOST PORT TITLE STUDY DIRECTORY"""

import sys

from pydicom import Dataset
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import react

from txdicom.requestor import connect
from txdicom.services.query import STUDY_ROOT
from txdicom.services.storage import StorageService
from txdicom.storage.filestore import FileStore


async def main(reactor, host, port, title, study, directory):
    query = Dataset()
    query.update({"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": study})
    files = FileStore(directory)
    association = await connect(
        HostnameEndpoint(reactor, host, int(port)),
        [STUDY_ROOT.get],
        providers=[StorageService(files)],
        calledAETitle=title,
    )
    async for progress in association.get(STUDY_ROOT.get, query):
        print(f"{progress.completed} retrieved, {progress.failed} failed")
    await association.release()
    await files.close()


react(main, sys.argv[1:])
