"""An archive of what it receives. Beside the modules: PYTHONPATH=. twistd -n --pidfile= -y archive.tac"""

from archiving import Archive
from indexing import TABLE, IndexingStore, openIndex
from twisted.application.service import Application
from twisted.internet import reactor
from twisted.internet.endpoints import clientFromString

from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.requestor import Destination
from txdicom.services.query import STUDY_ROOT, QueryService
from txdicom.services.retrieval import GetService, MoveService
from txdicom.services.storage import StorageService
from txdicom.services.verification import VerificationService
from txdicom.storage.disk import Disk
from txdicom.storage.filestore import FileStore
from txdicom.storescp.service import ReceiverService
from txdicom.uids import ACCEPT_ALL, OTHER_STORAGE_SOP_CLASSES

#: Who may be sent instances by C-MOVE, and where they are.
PEERS = {"VIEWER": "tcp:192.0.2.3:11112", "RESEARCH": "tcp:192.0.2.4:104"}

disk = Disk(reactor)
files = FileStore("received", withdrawable=True, disk=disk)
index = openIndex("index.sqlite", cp_openfun=lambda connection: connection.execute(TABLE))
archive = Archive(index)
destinations = {title: Destination(clientFromString(reactor, where), clock=reactor) for title, where in PEERS.items()}
factory = AcceptorFactory(
    [
        VerificationService(),
        StorageService(IndexingStore(files, index), [OTHER_STORAGE_SOP_CLASSES], ACCEPT_ALL),
        QueryService(archive, [STUDY_ROOT.find]),
        GetService(archive, [STUDY_ROOT.get], disk),
        MoveService(archive, [STUDY_ROOT.move], destinations, disk),
    ]
)
application = Application("archive")
ReceiverService(reactor, ["tcp:11112"], factory, files).setServiceParent(application)
