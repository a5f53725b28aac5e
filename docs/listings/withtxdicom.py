"""What the page of pynetdicom's users has on its right: the tasks done with txdicom."""

from pydicom import Dataset
from zope.interface import implementer

from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.interfaces import IQuerySCP
from txdicom.requestor import connect
from txdicom.services.query import MODALITY_WORKLIST, STUDY_ROOT, QueryService
from txdicom.services.storage import StorageService
from txdicom.services.verification import VerificationService
from txdicom.storage.filestore import FileStore
from txdicom.uids import OTHER_STORAGE_SOP_CLASSES, VERIFICATION


async def echo(endpoint):
    association = await connect(endpoint, [VERIFICATION], calledAETitle="PEER", callingAETitle="ME")
    response = await association.echo()
    await association.release()
    return response.status


async def send(endpoint, paths):
    association = await connect(endpoint, send=paths, calledAETitle="PEER", callingAETitle="ME")
    statuses = [(await association.store(path)).status for path in paths]
    await association.release()
    return statuses


async def find(endpoint, name):
    query = Dataset()
    query.update({"QueryRetrieveLevel": "STUDY", "PatientName": name, "StudyInstanceUID": ""})
    association = await connect(endpoint, [STUDY_ROOT.find], calledAETitle="PEER", callingAETitle="ME")
    found = [str(match.PatientName) async for match in association.find(STUDY_ROOT.find, query)]
    await association.release()
    return found


def receive(endpoint, directory):
    store = FileStore(directory, naming=lambda instance: f"{instance.sopInstanceUID}.dcm")
    storage = StorageService(store, [OTHER_STORAGE_SOP_CLASSES])
    return endpoint.listen(AcceptorFactory([VerificationService(), storage]))


@implementer(IQuerySCP)
class Names:
    def __init__(self, names):
        self.names = names

    async def find(self, association, sopClassUID, identifier):
        for name in self.names:
            match = Dataset()
            match.update({"PatientName": name})
            yield match


def answer(endpoint, names):
    return endpoint.listen(AcceptorFactory([QueryService(Names(names), [MODALITY_WORKLIST, STUDY_ROOT.find])]))
