"""Keeps what it receives in ./received. Run it with: twistd -n --pidfile= -y receiver.tac"""

from twisted.application.service import Application
from twisted.internet import reactor

from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.services.storage import StorageService
from txdicom.services.verification import VerificationService
from txdicom.storage.filestore import FileStore
from txdicom.storescp.service import ReceiverService

store = FileStore("received")
factory = AcceptorFactory([VerificationService(), StorageService(store)])
application = Application("receiver")
ReceiverService(reactor, ["tcp:11112"], factory, store).setServiceParent(application)
