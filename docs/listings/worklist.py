"""Answer worklist queries: twistd -n --pidfile= -y worklist.py"""

from pydicom import Dataset
from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import Application
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from zope.interface import implementer

from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.interfaces import IQuerySCP
from txdicom.services.query import MODALITY_WORKLIST, QueryService
from txdicom.services.verification import VerificationService

PATIENTS = [("1", "Doe^Jane"), ("2", "Roe^Richard")]


@implementer(IQuerySCP)
class Worklist:
    async def find(self, association, sopClassUID, identifier):
        wanted = str(identifier.get("PatientName", "")).rstrip("*")
        for number, name in PATIENTS:
            if name.startswith(wanted):
                match = Dataset()
                match.update({"PatientID": number, "PatientName": name})
                yield match


factory = AcceptorFactory([VerificationService(), QueryService(Worklist(), [MODALITY_WORKLIST])])
application = Application("worklist")
StreamServerEndpointService(TCP4ServerEndpoint(reactor, 11112), factory).setServiceParent(application)
