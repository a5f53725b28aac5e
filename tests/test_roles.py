"""
Tests of the roles that the two sides of an association have (PS3.7 D.3.3.4), and of `txdicom.dimse.roles`: what is
answered to a request of somebody who may not make it, and which requests are not made at all.
"""

from __future__ import annotations

from itertools import product
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.headvectors import EXPLICIT_LITTLE
from tests.retrieving import HELD, Archive
from tests.scripted import (
    CT,
    CT_CONTEXT,
    ECHO_CONTEXT,
    INSTANCE,
    LAST,
    MR,
    MR_CONTEXT,
    PROPOSED,
    VERIFICATION,
    ConversationTestCase,
    ScriptedProvider,
    commandsIn,
    dataSet,
    message,
    pData,
    storeRQ,
)
from txdicom.dimse.commands import CEchoRQ, CEchoRSP, CommandField, CStoreRSP, GenericCommand
from txdicom.dimse.roles import missesRole
from txdicom.errors import LocalProtocolError
from txdicom.requestor.connecting import RequestorFactory
from txdicom.services import normalized
from txdicom.services.retrieval import GetService
from txdicom.services.storage import StorageService, store
from txdicom.services.verification import VerificationService, echo
from txdicom.storage.disk import Disk
from txdicom.testing import MemoryLink, RawPeer, RecordingStore, associateRQ, requestor
from txdicom.upperlayer.items import ContextResult, PresentationContextAC, UserInformation
from txdicom.upperlayer.negotiation import PresentationContext
from txdicom.upperlayer.pdu import AAssociateAC, AAssociateRQ
from txdicom.upperlayer.subitems import RoleSelection

SYNTAXES = (EXPLICIT_LITTLE,)
#: SCU and SCP, as an item of role selection has them; None where there is no item.
Roles = tuple[bool, bool] | None
NEITHER, SCP, SCU, BOTH = product((False, True), repeat=2)
META, IN_META = "1.2.840.10008.5.1.1.9", "1.2.840.10008.5.1.1.1"
PRINTER, PRINTER_INSTANCE = "1.2.840.10008.5.1.1.16", "1.2.840.10008.5.1.1.17"


def information(roles: Roles, uid: str = CT) -> UserInformation:
    """Build user information with the roles for one SOP class."""
    items = () if roles is None else (RoleSelection(uid, *roles),)
    return UserInformation(maximumLength=16384, roleSelections=items)


def notification(uid: str = PRINTER) -> GenericCommand:
    """Build an N-EVENT-REPORT-RQ without information."""
    elements = {0x0002: uid, 0x0110: 5, 0x0800: 0x0101, 0x1000: PRINTER_INSTANCE, 0x1002: 1}
    return GenericCommand(CommandField.N_EVENT_REPORT_RQ, elements)


class MissingRoleTests(SynchronousTestCase):
    """Tests for `missesRole`."""

    def missing(self, request: Any, roles: tuple[bool, bool], byRequestor: bool) -> bool:
        """Ask in a context with such roles, besides which there is one of MR with the default ones."""
        uid = request.affectedSOPClassUID
        context = PresentationContext(1, uid if uid != IN_META else META, EXPLICIT_LITTLE, *roles)
        return missesRole(request, context, {1: context, 3: PresentationContext(3, MR, EXPLICIT_LITTLE)}, byRequestor)

    def test_operations(self) -> None:
        """The SCU asks: the requestor if it is SCU, the acceptor if the requestor is SCP."""
        for roles in (NEITHER, SCP, SCU, BOTH):
            for request in (storeRQ(), GenericCommand(CommandField.N_ACTION_RQ, {0x0003: IN_META})):
                self.assertIs(self.missing(request, roles, True), not roles[0])
                self.assertIs(self.missing(request, roles, False), not roles[1])

    def test_byAnybody(self) -> None:
        """Notifications and C-ECHO need no role."""
        for roles, request, byRequestor in product(
            (NEITHER, SCP, SCU, BOTH), (notification(), CEchoRQ(1)), (False, True)
        ):
            self.assertIs(self.missing(request, roles, byRequestor), False)

    def test_classOfAnotherContext(self) -> None:
        """What counts is the class that is named, if there are roles for it."""
        own, other = PresentationContext(1, CT, EXPLICIT_LITTLE, *SCP), PresentationContext(3, MR, EXPLICIT_LITTLE)
        contexts = {1: own, 3: other}
        self.assertIs(missesRole(storeRQ(1, MR), own, contexts, True), False)
        self.assertIs(missesRole(storeRQ(1, CT), other, contexts, True), True)
        self.assertIs(missesRole(storeRQ(1, ""), own, contexts, True), True)
        self.assertIs(missesRole(storeRQ(1, ""), other, contexts, True), False)


class AcceptorTests(ConversationTestCase):
    """An acceptor that stores CT and MR, and sends them in answer to C-GET."""

    def begin(self, roles: Roles) -> RawPeer:
        """Connect a peer that proposes such roles for CT."""
        self.store = RecordingStore()
        both = dict.fromkeys((CT, MR), SYNTAXES)
        self.serve(
            VerificationService(),
            StorageService(self.store, both),
            GetService(Archive([]), ["1.2.3"], Disk(), storage=both),
        )
        return self.associate(request=associateRQ(PROPOSED, userInformation=information(roles)))

    def assertRefused(self, peer: RawPeer, contextID: int = CT_CONTEXT) -> None:
        """A C-STORE of CT is refused when its data set has been drained, and the association goes on."""
        self.assertEqual(peer.send(message(contextID, storeRQ(7)), pData(contextID, 0, dataSet())), [])
        refusal = CStoreRSP(7, 0x0122, CT, INSTANCE, "the role of SCU was not granted for this SOP class")
        self.assertEqual(self.ask(peer, pData(contextID, LAST, b"")), [refusal])
        self.assertEqual(self.store.stored, [])
        self.assertEqual(self.ask(peer, message(ECHO_CONTEXT, CEchoRQ(8))), [CEchoRSP(8, 0, VERIFICATION)])
        other = message(MR_CONTEXT, storeRQ(9, MR), dataSet(sopClass=MR))
        self.assertEqual(self.statusesOf(self.ask(peer, other)), [(9, 0)])

    def test_scu(self) -> None:
        """By default, and with whatever else, an SCU may store."""
        for roles in (None, SCU, BOTH):
            responses = self.ask(self.begin(roles), message(CT_CONTEXT, storeRQ(), dataSet()))
            self.assertEqual(self.statusesOf(responses), [(1, 0)])
            self.assertEqual(len(self.store.stored), 1)

    def test_noSCU(self) -> None:
        for roles in (SCP, NEITHER):
            self.assertRefused(self.begin(roles))

    def test_inAnotherContext(self) -> None:
        """To send it in the context of another class is no way around."""
        self.assertRefused(self.begin(SCP), MR_CONTEXT)

    def test_echoInAnyContext(self) -> None:
        """A C-ECHO is answered in whichever context it comes."""
        (response,) = self.ask(self.begin(SCP), message(CT_CONTEXT, CEchoRQ(3)))
        self.assertEqual(response, CEchoRSP(3, 0, VERIFICATION))

    def test_ownRequests(self) -> None:
        """We ask where the peer is SCP, and nowhere else."""
        for roles in (None, SCU, NEITHER):
            peer = self.begin(roles)
            (association,) = self.factory.associations
            error = self.assertRaises(LocalProtocolError, store, association, CT, INSTANCE, EXPLICIT_LITTLE, dataSet())
            self.assertEqual(str(error), f"the role of SCU for {CT} was not granted to us")
            self.assertFalse(association.requests.outstanding)
            self.assertEqual(peer.send(), [])
            self.assertEqual(self.ask(peer, message(ECHO_CONTEXT, CEchoRQ(8))), [CEchoRSP(8, 0, VERIFICATION)])
        for roles in (SCP, BOTH):
            peer = self.begin(roles)
            (association,) = self.factory.associations
            answer = store(association, CT, INSTANCE, EXPLICIT_LITTLE, dataSet())
            peer.send(message(CT_CONTEXT, CStoreRSP(1, 0, CT, INSTANCE)))
            self.assertEqual(self.successResultOf(answer).status, 0)

    def test_notifications(self) -> None:
        """Whoever can be asked for something may be notified of it, by either side, whatever was agreed on."""
        for roles in (None, NEITHER, SCP, SCU, BOTH):
            provider = ScriptedProvider(0, operations=(CommandField.N_EVENT_REPORT_RQ,))
            provider.presentationContexts = {PRINTER: SYNTAXES}
            self.serve(provider)
            request = associateRQ({PRINTER: SYNTAXES}, userInformation=information(roles, PRINTER))
            peer = self.associate(request=request)
            (response,) = self.ask(peer, message(1, notification()))
            self.assertEqual((response.status, len(provider.requests)), (0, 1))
            (association,) = self.factory.associations
            operation = CommandField.N_EVENT_REPORT_RQ
            notifying = Deferred.fromCoroutine(
                normalized.request(association, operation, PRINTER, PRINTER_INSTANCE, EventTypeID=1)
            )
            (sent,) = commandsIn(peer.send())
            self.assertEqual(sent.commandField, operation)
            association.abort()
            self.failureResultOf(notifying)


class RequestorTests(SynchronousTestCase):
    """A requestor that stores CT."""

    def begin(self, proposed: Roles, granted: Roles) -> RawPeer:
        """Request an association of a peer that grants this."""
        self.clock = Clock()
        self.stored = RecordingStore()
        request = associateRQ(PROPOSED, userInformation=information(proposed))
        self.association = requestor(
            self.clock, request, providers=[VerificationService(), StorageService(self.stored, {CT: SYNTAXES})]
        )
        return self.accept(self.association, granted)

    def accept(self, association: Any, granted: Roles, uid: str = CT) -> RawPeer:
        """Accept all that an association proposes, and these roles."""
        peer = RawPeer()
        peer.link = MemoryLink(association.protocol, peer, IPv4Address("TCP", "127.0.0.1", 104))
        peer.link.flush()
        (request,) = peer.takePDUs()
        assert isinstance(request, AAssociateRQ)
        contexts = tuple(
            PresentationContextAC(context.contextID, ContextResult.ACCEPTANCE, EXPLICIT_LITTLE)
            for context in request.presentationContexts
        )
        self.assertEqual(peer.send(AAssociateAC("STORESCP", "STORESCU", contexts, information(granted, uid))), [])
        return peer

    def test_requestsOfThePeer(self) -> None:
        """An acceptor may store where we have offered to be SCP and it has agreed, and nowhere else."""
        for proposed, granted in product((None, NEITHER, SCP, SCU, BOTH), repeat=2):
            peer = self.begin(proposed, granted)
            isSCP = proposed in (SCP, BOTH) and granted in (SCP, BOTH)
            (response,) = commandsIn(peer.send(message(CT_CONTEXT, storeRQ(), dataSet())))
            self.assertEqual(response.status, 0 if isSCP else 0x0122, (proposed, granted))
            self.assertEqual(len(self.stored.stored), isSCP)
            self.assertIs(self.association.endReason, None)

    def test_ownRequests(self) -> None:
        """We may store unless the peer has turned down that we are SCU, or we have not offered to be."""
        for proposed, granted in product((None, NEITHER, SCP, SCU, BOTH), repeat=2):
            peer = self.begin(proposed, granted)
            if None in (proposed, granted) or (proposed in (SCU, BOTH) and granted in (SCU, BOTH)):
                answer = store(self.association, CT, INSTANCE, EXPLICIT_LITTLE, dataSet())
                peer.send(message(CT_CONTEXT, CStoreRSP(1, 0, CT, INSTANCE)))
                self.assertEqual(self.successResultOf(answer).status, 0)
            else:
                arguments = (self.association, CT, INSTANCE, EXPLICIT_LITTLE, dataSet())
                error = self.assertRaises(LocalProtocolError, store, *arguments)
                self.assertEqual(str(error), f"the role of SCU for {CT} was not granted to us")
                self.assertEqual(peer.send(), [])
            answered = echo(self.association)
            (request,) = commandsIn(peer.send()[-1:])
            peer.send(message(ECHO_CONTEXT, CEchoRSP(request.messageID, 0, VERIFICATION)))
            self.assertEqual(self.successResultOf(answered).status, 0)

    def test_files(self) -> None:
        """One that is sent by `RequestorAssociation.store` is not even converted."""
        uid = HELD[0].identity.sopClassUID
        providers = [StorageService(RecordingStore(), {uid: SYNTAXES})]
        factory = RequestorFactory({VERIFICATION: SYNTAXES}, providers=providers, clock=Clock(), disk=Disk())
        association = factory.buildProtocol(None).association
        peer = self.accept(association, SCP)
        error = self.failureResultOf(association.store(HELD[0].source), LocalProtocolError).value
        self.assertEqual(str(error), f"the role of SCU for {uid} was not granted to us")
        self.assertEqual(peer.send(), [])

    def test_echo(self) -> None:
        """Which side requested the association does not matter for who answers."""
        for granted in (None, SCU, BOTH):
            request = associateRQ(PROPOSED, userInformation=information(BOTH, VERIFICATION))
            peer = self.accept(requestor(Clock(), request, providers=[VerificationService()]), granted, VERIFICATION)
            (response,) = commandsIn(peer.send(message(ECHO_CONTEXT, CEchoRQ(5))))
            self.assertEqual((response.messageIDBeingRespondedTo, response.status), (5, 0))
