"""
Tests of `txdicom.interfaces`: everything that says it provides an interface does, the doubles for tests as well.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Iterator
from typing import Any

from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IConsumer,
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    ITransport,
)
from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.protocols.tls import BufferingTLSTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Interface, implementedBy
from zope.interface.interface import InterfaceClass
from zope.interface.verify import verifyClass, verifyObject

import txdicom
from tests import retrieving, scripted, test_responses
from tests.headvectors import EXPLICIT_LITTLE
from tests.scripted import CT, INSTANCE, AnsweredWriter, ScriptedStore, dataSet, storeRQ
from txdicom import interfaces
from txdicom.configuration import Configuration
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.dimse.association import Association
from txdicom.dimse.observers import Observers
from txdicom.interfaces import (
    IAnsweredWriter,
    IAssociationObserver,
    IDataSetWriter,
    IPDUReceiver,
    IServiceProvider,
    IStorageSCP,
    IUpperLayerUser,
    IVerificationSCP,
)
from txdicom.requestor.association import RequestorAssociation
from txdicom.requestor.connecting import RequestorProtocol
from txdicom.services.storage import ReceivedInstance, StorageService
from txdicom.services.verification import Verification, VerificationService
from txdicom.storage.filestore import DiscardingStore, FileStore
from txdicom.storescp.log.narration import AssociationLog, NarratedStore
from txdicom.storescp.log.summary import AssociationSummaries
from txdicom.storescp.pacing import PacedStore
from txdicom.storescp.service import ReceiverService
from txdicom.testing import MemoryTransport, RawPeer, RecordingStore, connectInMemory, requestor
from txdicom.upperlayer.negotiation import PresentationContext
from txdicom.upperlayer.protocol import UpperLayerProtocol

#: These get one method of theirs, the one on the data path, only when an instance is made.
_COMPLETED_BY_INSTANCES = {Association, RequestorAssociation, RequestorProtocol, UpperLayerProtocol}


def implementers() -> Iterator[tuple[type, InterfaceClass]]:
    """List every class of the package, and of the tests' doubles, with each interface that it implements itself."""
    names = [module.name for module in pkgutil.walk_packages(txdicom.__path__, "txdicom.")]
    for module in [*map(importlib.import_module, names), scripted, retrieving, test_responses]:
        for candidate in list(vars(module).values()):
            if isinstance(candidate, type) and candidate.__module__ == module.__name__:
                for interface in implementedBy(candidate):
                    if candidate is not interface:
                        yield candidate, interface


class InterfaceTests(SynchronousTestCase):
    """`verifyClass` for every class there is, `verifyObject` for one of each kind."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.association = requestor(self.clock)
        self.instance = ReceivedInstance(CT, INSTANCE, EXPLICIT_LITTLE, storeRQ(), {})

    def test_everyClass(self) -> None:
        found = set(implementers())
        for implementer, interface in found:
            if implementer not in _COMPLETED_BY_INSTANCES and not issubclass(implementer, BufferingTLSTransport):
                # Twisted's own TLS transport has what interfaces of TCP ask for only by way of TCP's.
                self.assertTrue(verifyClass(interface, implementer))
        self.assertGreaterEqual({implementer for implementer, _ in found}, _COMPLETED_BY_INSTANCES)
        ours = {interface for _, interface in found if interface.__module__ == "txdicom.interfaces"}
        declared = {value for value in vars(interfaces).values() if isinstance(value, InterfaceClass)} - {Interface}
        self.assertEqual(ours, declared)

    def test_allIsComplete(self) -> None:
        """What the module gives to others is what it has."""
        declared = {name for name, value in vars(interfaces).items() if isinstance(value, InterfaceClass)}
        self.assertEqual(set(interfaces.__all__), declared - {"Interface"} | {"Soon"})

    def test_association(self) -> None:
        factory = AcceptorFactory([VerificationService()], clock=self.clock)
        self.assertTrue(verifyObject(IProtocolFactory, factory))
        link = connectInMemory(factory, self.association)
        (acceptor,) = factory.associations
        for association in (self.association, acceptor):
            self.assertTrue(verifyObject(IUpperLayerUser, association))
            for interface in (IProtocol, IPDUReceiver):
                self.assertTrue(verifyObject(interface, association.protocol))
        for transport in (link.client, link.server):
            self.assertIsInstance(transport, MemoryTransport)
            for interface in (ITransport, IConsumer, IPushProducer):
                self.assertTrue(verifyObject(interface, transport))
        self.assertTrue(verifyObject(IProtocol, RawPeer()))

    def test_observers(self) -> None:
        for observer in (
            AssociationLog(Logger()),
            AssociationSummaries(Logger(), self.clock),
            Observers([]),
            scripted.RecordingObserver(),
        ):
            self.assertTrue(verifyObject(IAssociationObserver, observer))

    def test_services(self) -> None:
        for provider in (
            VerificationService(),
            StorageService(RecordingStore()),
            scripted.ScriptedProvider(),
        ):
            self.assertTrue(verifyObject(IServiceProvider, provider))
        self.assertTrue(verifyObject(IVerificationSCP, Verification()))

    def test_storesAndTheirWriters(self) -> None:
        directory = self.mktemp()
        os.mkdir(directory)
        stores: list[tuple[Any, InterfaceClass]] = [
            (FileStore(directory), IDataSetWriter),
            (DiscardingStore(), IDataSetWriter),
            (RecordingStore(), IDataSetWriter),
            (NarratedStore(DiscardingStore(), Logger()), IAnsweredWriter),
            (PacedStore(DiscardingStore(), self.clock), IAnsweredWriter),
            (scripted.ScriptedStore(scripted.ScriptedWriter()), IDataSetWriter),
            (scripted.ScriptedStore(scripted.AnsweredWriter()), IAnsweredWriter),
        ]
        for store, interface in stores:
            self.assertTrue(verifyObject(IStorageSCP, store))
            opening = store.store(self.association, self.instance)
            writer = self.successResultOf(Deferred.fromCoroutine(opening)) if hasattr(opening, "send") else opening
            self.assertTrue(verifyObject(interface, writer))
            writer.abort(None)

    def test_writerOfTheStorageService(self) -> None:
        """Before and after it has handed over to the store's own writer, whose interfaces it then has."""
        context = PresentationContext(1, CT, EXPLICIT_LITTLE)
        for store, provided in ((RecordingStore(), False), (ScriptedStore(AnsweredWriter()), True)):
            writer = StorageService(store).requestReceived(self.association, context, storeRQ())
            self.assertTrue(verifyObject(IDataSetWriter, writer))
            self.assertFalse(IAnsweredWriter.providedBy(writer))
            writer.write([memoryview(dataSet())])
            self.assertTrue(verifyObject(IDataSetWriter, writer))
            self.assertEqual(IAnsweredWriter.providedBy(writer), provided)
            if provided:
                self.assertTrue(verifyObject(IAnsweredWriter, writer))

    def test_receiver(self) -> None:
        factory = AcceptorFactory([], Configuration(), self.clock)
        self.assertTrue(verifyObject(IService, ReceiverService(self.clock, [], factory)))
