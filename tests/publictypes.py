"""
What type checkers see of the public API: mypy reads this file, nobody runs it.

`assert_type` fails where a result has become something else, and mypy, being strict, complains of each ``ignore`` whose
line it has nothing against any more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Any, assert_type

from pydicom import Dataset
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.configuration import Configuration
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.dimse.association import Association
from txdicom.dimse.commands import CEchoRSP, CStoreRSP
from txdicom.errors import RejectReason, RejectResult
from txdicom.interfaces import (
    IDataSetWriter,
    IQuerySCP,
    IRetrieveSCP,
    IServiceProvider,
    IStorageSCP,
    IWantingStorageSCP,
)
from txdicom.requestor import AssociationService, Destination, RequestorAssociation, RequestorFactory, connect
from txdicom.services.collecting import CollectingStore
from txdicom.services.instances import HeldInstance, Identity
from txdicom.services.query import STUDY_ROOT, QueryService, SubOperations
from txdicom.services.retrieval import GetService, MoveService
from txdicom.services.storage import ReceivedInstance, StorageService, wantedBy
from txdicom.services.verification import VerificationService
from txdicom.storage.disk import Disk
from txdicom.storage.filestore import FileStore
from txdicom.testing import (
    MemoryEndpoint,
    MemoryLink,
    RawPeer,
    RecordingStore,
    associateRQ,
    connectInMemory,
    connectRaw,
    exampleDataSet,
    requestor,
    sendTo,
)
from txdicom.uids import VERIFICATION
from txdicom.upperlayer.pdu import PDU, AAssociateRJ, AAssociateRQ


async def requests(endpoint: TCP4ClientEndpoint, identifier: Dataset) -> None:
    """Ask for everything that a requestor can."""
    connecting = connect(endpoint, [VERIFICATION], send=["a.dcm", identifier], calledAETitle="PEER")
    assert_type(connecting, Deferred[RequestorAssociation])
    association = await connecting
    assert_type(association.echo(), Deferred[CEchoRSP])
    assert_type(association.store("a.dcm"), Deferred[CStoreRSP])
    assert_type((await association.store(identifier)).status, int)
    assert_type([match async for match in association.find(STUDY_ROOT.find, identifier)], list[Dataset])
    assert_type(await association.move(STUDY_ROOT.move, identifier, "THIRD").collect(), list[SubOperations])
    assert_type(association.release(), Deferred[None])
    assert_type(association.endReason, Failure | None)
    association.store(7)  # type: ignore[arg-type]
    connect(endpoint, [7])  # type: ignore[list-item]


def comesBack(endpoint: TCP4ClientEndpoint) -> Deferred[RequestorAssociation]:
    """Keep an association."""
    return AssociationService(endpoint, RequestorFactory([VERIFICATION])).whenEstablished()


@implementer(IDataSetWriter)
class Writer:
    """A writer whose methods give their results each in another way."""

    def write(self, fragments: list[memoryview]) -> Deferred[None] | None:
        """Now, or later."""
        return None

    async def commit(self) -> int:
        """By a coroutine."""
        return 0

    def abort(self, reason: Failure) -> None:
        """Nothing."""


@implementer(IStorageSCP)
class Store:
    """A store with a coroutine."""

    async def store(self, association: Association, instance: ReceivedInstance) -> IDataSetWriter:
        """Give a writer."""
        assert_type(instance.sopInstanceUID, str)
        assert_type(instance.text("PatientID"), str)
        assert_type(association.callingAETitle, str)
        return Writer()


@implementer(IQuerySCP)
class Matches:
    """A query provider."""

    async def find(self, association: Association, sopClassUID: str, identifier: Dataset) -> AsyncIterator[Dataset]:
        """Yield a match."""
        yield identifier


@implementer(IRetrieveSCP)
class Held:
    """One who retrieves."""

    async def retrieve(
        self, association: Association, sopClassUID: str, identifier: Dataset
    ) -> AsyncIterator[HeldInstance]:
        """Yield an instance."""
        yield HeldInstance(Identity("1.2", "1.3", "1.4"), "a.dcm")


def retrieving(endpoint: TCP4ClientEndpoint, disk: Disk) -> list[IServiceProvider]:
    """Answer C-GET and C-MOVE."""
    GetService(Matches(), [STUDY_ROOT.get], disk)  # type: ignore[arg-type]
    MoveService(Held(), [STUDY_ROOT.move], {"THIRD": endpoint}, disk)  # type: ignore[dict-item]
    destinations = {"THIRD": Destination(endpoint, clock=Clock())}
    return [GetService(Held(), [STUDY_ROOT.get], disk), MoveService(Held(), [STUDY_ROOT.move], destinations, disk)]


@implementer(IStorageSCP)
class NoStore:  # type: ignore[misc]
    """It lacks `store`."""


def refuse(association: Association, request: AAssociateRQ) -> AAssociateRJ | None:
    """A policy."""
    return AAssociateRJ.of(RejectResult.PERMANENT, RejectReason.NO_REASON_GIVEN)


def whole(association: Association, instance: ReceivedInstance, dataSet: bytes) -> Deferred[int]:
    """Take an instance that is whole."""
    return Deferred()


class Named(CollectingStore):
    """One that wants to know whose an instance is."""

    wanted = ("PatientID", 0x00100010)


@implementer(IWantingStorageSCP)
class WantsNothing(Store):  # type: ignore[misc]
    """It lacks `wanted`."""


def acceptor() -> AcceptorFactory:
    """Put an acceptor together."""
    StorageService(CollectingStore(whole), wanted=["PatientID"])
    assert_type(wantedBy(Named(whole)), Collection[int | str])
    StorageService(Matches())  # type: ignore[arg-type]
    StorageService(FileStore("received", fsync=True))
    Configuration(artimTimeout="soon")  # type: ignore[arg-type]
    Configuration(30)  # type: ignore[call-arg]
    services = [VerificationService(), StorageService(Store()), QueryService(Matches(), [STUDY_ROOT.find])]
    return AcceptorFactory(services, Configuration(maximumPDULength=1 << 17), Clock(), refuse)


def inMemory(factory: AcceptorFactory) -> None:
    """Use the tools for tests."""
    link = connectInMemory(factory, requestor(Clock()))
    assert_type(link, MemoryLink)
    peer = connectRaw(factory, size=1)
    assert_type(peer, RawPeer)
    assert_type(peer.send(b"", associateRQ()), list[PDU])
    assert_type(connect(MemoryEndpoint(factory), [VERIFICATION]), Deferred[RequestorAssociation])
    assert_type(RecordingStore().stored[0].dataSet, bytes)
    assert_type(exampleDataSet(PatientID="4711"), Dataset)
    assert_type(sendTo(Store(), exampleDataSet(), "a.dcm", wanted=["PatientID", 0x00100010], size=1), list[CStoreRSP])
    sendTo(Matches(), exampleDataSet())  # type: ignore[arg-type]


def unknown(association: Association) -> Any:
    """A name that there is not."""
    return association.calledAeTitle  # type: ignore[attr-defined]
