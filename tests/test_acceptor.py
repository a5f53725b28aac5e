"""
Tests of `txdicom.dimse.acceptor`, of `txdicom.dimse.dispatch`, and of what an observer is told.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import fail, succeed
from twisted.internet.error import ConnectionDone
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.headvectors import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from tests.retrieving import Archive
from tests.scripted import (
    CT,
    CT_CONTEXT,
    ECHO_CONTEXT,
    MR,
    VERIFICATION,
    ConversationTestCase,
    RecordingObserver,
    ScriptedProvider,
    dataSet,
    message,
    storeRQ,
)
from txdicom.configuration import Configuration
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.dimse.association import Association
from txdicom.dimse.commands import CEchoRQ, CEchoRSP, CommandField
from txdicom.dimse.dispatch import ServiceTable
from txdicom.errors import AssociationLost, AssociationRejected, DIMSEError, LocalProtocolError, PDUError
from txdicom.interfaces import IVerificationSCP
from txdicom.services.retrieval import GetService
from txdicom.services.storage import StorageService
from txdicom.services.verification import VerificationService
from txdicom.storage.disk import Disk
from txdicom.testing import MemoryLink, RawPeer, RecordingStore, associateRQ, connectRaw
from txdicom.uids import OTHER_STORAGE_SOP_CLASSES
from txdicom.upperlayer.pdu import AAssociateAC, AAssociateRJ, AAssociateRQ, AReleaseRQ
from txdicom.upperlayer.protocol import UpperLayerProtocol


class AdmissionTests(ConversationTestCase):
    """Who comes in."""

    def test_whoIsRefused(self) -> None:
        """The one who admits sees the association with its peer and titles, before anything is negotiated."""
        seen: list[tuple[str, str, str]] = []

        def admit(association: Association, request: AAssociateRQ) -> AAssociateRJ | None:
            seen.append((association.callingAETitle, association.calledAETitle, association.peer.host))
            return AAssociateRJ(1, 1, 3) if request.callingAETitle == "STRANGER" else None

        factory = AcceptorFactory([VerificationService()], clock=self.clock, admit=admit)
        (answer,) = connectRaw(factory).send(associateRQ(callingAETitle="STRANGER"))
        self.assertEqual(answer, AAssociateRJ(1, 1, 3))
        (answer,) = connectRaw(factory).send(associateRQ(callingAETitle="FRIEND", calledAETitle="US"))
        self.assertIsInstance(answer, AAssociateAC)
        self.assertEqual(seen, [("STRANGER", "STORESCP", "127.0.0.1"), ("FRIEND", "US", "127.0.0.1")])
        self.assertEqual(len(factory.associations), 1)

    def test_whatIsAnnounced(self) -> None:
        configuration = Configuration(
            maximumPDULength=70000, implementationClassUID="1.2.3", implementationVersionName="OURS"
        )
        factory = AcceptorFactory([VerificationService()], configuration, self.clock)
        (answer,) = connectRaw(factory).send(associateRQ())
        information = answer.userInformation
        self.assertEqual(information.maximumLength, 70000)
        self.assertEqual((information.implementationClassUID, information.implementationVersionName), ("1.2.3", "OURS"))

    def test_associationsAreThoseThereAre(self) -> None:
        """From the connection on, be there an association or not, until it has ended."""
        self.serve(VerificationService())
        peers = [connectRaw(self.factory) for _ in range(3)]
        self.assertEqual(len(self.factory.associations), 3)
        peers[0].send(associateRQ())
        self.assertEqual(len(self.factory.associations), 3)
        for left in (2, 1, 0):
            peers[left].link.lose()
            self.assertEqual(len(self.factory.associations), left)
        self.assertNothingLeft()


class UndecidedTests(ConversationTestCase):
    def test_madeToRequest(self) -> None:
        """An association that nobody has told how to decide accepts nobody, and says so in the log."""
        association = Association(ServiceTable([]), Configuration(), self.clock)
        protocol = UpperLayerProtocol(association, Configuration(), self.clock)
        association.protocol = protocol
        peer = RawPeer()
        peer.link = MemoryLink(peer, protocol, IPv4Address("TCP", "127.0.0.1", 50000))
        self.assertEqual(peer.send(associateRQ()), [AAssociateRJ(2, 3, 1)])
        self.assertLogged(LocalProtocolError)


class ServiceTableTests(SynchronousTestCase):
    """Which provider answers what."""

    def test_contextsOfAllProviders(self) -> None:
        """Where two have an abstract syntax, the first provider's transfer syntaxes are liked better."""
        first, second = ScriptedProvider(), ScriptedProvider(operations=(CommandField.C_ECHO_RQ,))
        first.presentationContexts = {CT: (EXPLICIT_LITTLE, EXPLICIT_BIG)}
        second.presentationContexts = {MR: (IMPLICIT_LITTLE,), CT: (IMPLICIT_LITTLE, EXPLICIT_BIG)}
        table = ServiceTable([first, second])
        self.assertEqual(
            table.presentationContexts,
            {CT: (EXPLICIT_LITTLE, EXPLICIT_BIG, IMPLICIT_LITTLE), MR: (IMPLICIT_LITTLE,)},
        )
        self.assertIs(table.providerOf(storeRQ(1, CT)), first)
        self.assertIs(table.providerOf(CEchoRQ(1, CT)), second)
        for request, status in ((storeRQ(1, MR), 0x0122), (CEchoRQ(1), 0x0122)):
            self.assertEqual(self.assertRaises(DIMSEError, table.providerOf, request).status, status)
        self.assertEqual(self.assertRaises(DIMSEError, ServiceTable([second]).providerOf, storeRQ()).status, 0x0211)

    def test_otherStorageSOPClasses(self) -> None:
        """What stands for all of them finds its provider, and none for what is no storage class."""
        named, others = ScriptedProvider(), ScriptedProvider()
        named.presentationContexts = {CT: (EXPLICIT_LITTLE,)}
        others.presentationContexts = {OTHER_STORAGE_SOP_CLASSES: (IMPLICIT_LITTLE,)}
        table = ServiceTable([VerificationService(), named, others])
        self.assertIs(table.providerOf(storeRQ(1, CT)), named)
        self.assertIs(table.providerOf(storeRQ(1, MR)), others)
        self.assertIs(table.providerOf(storeRQ(1, "1.2.3")), others)
        for sopClass in ("1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.2.2.1", "", "*", "1..2"):
            error = self.assertRaises(DIMSEError, table.providerOf, storeRQ(1, sopClass))
            self.assertEqual(error.status, 0x0122, sopClass)
        self.assertEqual(self.assertRaises(DIMSEError, table.providerOf, CEchoRQ(1, "1.2.3")).status, 0x0122)
        self.assertRaises(LocalProtocolError, ServiceTable, [others, others])

    def test_requestedContexts(self) -> None:
        """What providers use themselves is put together likewise, and offered to nobody."""
        get = GetService(Archive([]), ["1.2"], Disk(), storage={CT: (EXPLICIT_LITTLE,)})
        other = GetService(Archive([]), ["1.3"], Disk(), storage={CT: (IMPLICIT_LITTLE, EXPLICIT_LITTLE)})
        table = ServiceTable([get, other, VerificationService()])
        self.assertEqual(table.requestedContexts, {CT: (EXPLICIT_LITTLE, IMPLICIT_LITTLE)})
        self.assertEqual(set(table.presentationContexts), {"1.2", "1.3", "1.2.840.10008.1.1"})
        self.assertEqual(self.assertRaises(DIMSEError, table.providerOf, storeRQ(1, CT)).status, 0x0211)

    def test_twoProvidersOfOneService(self) -> None:
        self.assertRaises(LocalProtocolError, ServiceTable, [VerificationService(), VerificationService()])


@implementer(IVerificationSCP)
class Answering:
    """Answers a C-ECHO with whatever it was made with."""

    def __init__(self, step: Any) -> None:
        self._step = step

    def echo(self, association: Association, request: CEchoRQ) -> Any:
        """Answer."""
        return self._step()


class VerificationTests(ConversationTestCase):
    """`VerificationService` with a provider of one's own."""

    def test_providersAnswer(self) -> None:
        async def coroutine() -> int:
            return 0x0110

        async def refusing() -> int:
            raise DIMSEError(0x0124, "not you")

        def raising() -> int:
            raise DIMSEError(0x0124, "not you")

        for step, status, comment in (
            (lambda: 0, 0, ""),
            (lambda: succeed(0x0122), 0x0122, ""),
            (coroutine, 0x0110, ""),
            (raising, 0x0124, "not you"),
            (refusing, 0x0124, "not you"),
            (lambda: fail(DIMSEError(0x0124, "not you")), 0x0124, "not you"),
        ):
            self.serve(VerificationService(Answering(step)))
            response = self.ask(self.associate(), message(ECHO_CONTEXT, CEchoRQ(1)))
            self.assertEqual(response, [CEchoRSP(1, status, VERIFICATION, comment)])


class ObserverTests(ConversationTestCase):
    """What an observer of the acceptor is told, and in which order."""

    def test_wholeAssociation(self) -> None:
        observer = RecordingObserver()
        self.serve(VerificationService(), StorageService(RecordingStore()), observer=observer)
        peer = self.associate()
        peer.send(message(ECHO_CONTEXT, CEchoRQ(1)), message(CT_CONTEXT, storeRQ(), dataSet()), AReleaseRQ())
        self.assertEqual(
            observer.events,
            [
                "requested",
                "established",
                "received CEchoRQ",
                "sent CEchoRSP",
                "received CStoreRQ",
                "sent CStoreRSP",
                "ended",
            ],
        )
        self.assertIsInstance(observer.reason.value, ConnectionDone)
        peer.link.lose()
        self.assertEqual(observer.events.count("ended"), 1)

    def test_refusedAssociation(self) -> None:
        observer = RecordingObserver()
        self.serve(VerificationService(), observer=observer)
        peer = connectRaw(self.factory)
        peer.send(replace(associateRQ(), applicationContextName="1.2.3"))
        self.assertEqual(observer.events, ["requested", "ended"])
        self.assertIsInstance(observer.reason.value, AssociationRejected)

    def test_connectionWithoutAssociation(self) -> None:
        observer = RecordingObserver()
        self.serve(VerificationService(), observer=observer)
        connectRaw(self.factory).link.lose()
        self.assertEqual(observer.events, ["ended"])
        self.assertIsInstance(observer.reason.value, AssociationLost)
        self.assertNothingLeft()

    def test_commandOnUnacceptedContextIsNotTold(self) -> None:
        observer = RecordingObserver()
        self.serve(VerificationService(), observer=observer)
        self.associate().send(message(99, CEchoRQ(1)))
        self.assertEqual(observer.events, ["requested", "established", "ended"])
        self.assertIsInstance(observer.reason.value, PDUError)
