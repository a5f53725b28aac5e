"""
A receiver with a web page of the associations that there are. Run it with: twistd -n --pidfile= -y statuspage.tac
"""

from collections import Counter
from html import escape

from twisted.application.service import Application
from twisted.application.strports import service
from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface import implementer

from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.interfaces import IAssociationObserver
from txdicom.services.storage import StorageService
from txdicom.services.verification import VerificationService
from txdicom.storage.filestore import FileStore
from txdicom.storescp.service import ReceiverService


@implementer(IAssociationObserver)
class StatusPage(Resource):
    isLeaf = True

    def __init__(self):
        super().__init__()
        self.requests = Counter()

    def associationRequested(self, association, request):
        pass

    def associationEstablished(self, association, request, response):
        self.requests[association] = 0

    def commandReceived(self, association, context, command):
        self.requests[association] += 1

    def commandSent(self, association, context, command):
        pass

    def associationEnded(self, association, reason):
        self.requests.pop(association, None)

    def render_GET(self, request):
        rows = [(one.peer.host, one.callingAETitle, number) for one, number in self.requests.items()]
        cells = ["".join(f"<td>{escape(str(cell))}</td>" for cell in row) for row in rows]
        return f"<table><tr>{'<tr>'.join(['<th>Peer<th>Title<th>Requests', *cells])}</table>".encode()


page = StatusPage()
store = FileStore("received")
factory = AcceptorFactory([VerificationService(), StorageService(store)], observer=page)
application = Application("receiver with a page")
ReceiverService(reactor, ["tcp:11112"], factory, store).setServiceParent(application)
service("tcp:8080:interface=127.0.0.1", Site(page)).setServiceParent(application)
