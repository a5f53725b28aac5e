"""Keeps what it receives in ./received. Run it with: twistd -n --pidfile= -y receiver.tac"""

from twisted.application.service import Application
from twisted.application.strports import service

from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.services.storage import StorageService
from txdicom.services.verification import VerificationService
from txdicom.storage.filestore import FileStore

services = [VerificationService(), StorageService(FileStore("received"))]
application = Application("receiver")
service("tcp:11112", AcceptorFactory(services)).setServiceParent(application)
