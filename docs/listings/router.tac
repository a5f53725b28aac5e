"""Forwards all that it receives to two peers. Beside the modules: PYTHONPATH=. twistd -n --pidfile= -y router.tac"""

import os

from forwarding import Forwarder
from queueing import QueueingStore, nameByArrival
from twisted.application.service import Application
from twisted.internet import reactor
from twisted.internet.endpoints import clientFromString

from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.services.storage import StorageService
from txdicom.services.verification import VerificationService
from txdicom.storage.disk import Disk
from txdicom.storage.filestore import FileStore
from txdicom.storescp.service import ReceiverService
from txdicom.uids import ACCEPT_ALL, OTHER_STORAGE_SOP_CLASSES

PEERS = {"ARCHIVE": "tcp:192.0.2.1:104", "RESEARCH": "tcp:192.0.2.2:11112"}

for directory in ("arrived", *PEERS):
    os.makedirs(directory, exist_ok=True)
files = FileStore("arrived", nameByArrival, fsync=True, disk=Disk(reactor))
storage = StorageService(QueueingStore(files, list(PEERS)), [OTHER_STORAGE_SOP_CLASSES], ACCEPT_ALL)
factory = AcceptorFactory([VerificationService(), storage])
application = Application("router")
ReceiverService(reactor, ["tcp:11112"], factory, files).setServiceParent(application)
for title, description in PEERS.items():
    peer = Forwarder(title, clientFromString(reactor, description), reactor, calledAETitle=title)
    peer.setServiceParent(application)
