"""Keeps a line of CSV for each instance. Run it with: PYTHONPATH=. twistd -n --pidfile= -y register.tac"""

from register import Register
from twisted.application.service import Application
from twisted.internet import reactor

from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.services.storage import StorageService
from txdicom.services.verification import VerificationService
from txdicom.storescp.service import ReceiverService

service = StorageService(Register("register.csv"))
factory = AcceptorFactory([VerificationService(), service])
application = Application("register")
ReceiverService(reactor, ["tcp:11112"], factory).setServiceParent(application)
