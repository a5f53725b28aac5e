"""What the tests of C-GET and C-MOVE have in common: an archive, and real associations in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from io import BytesIO
from typing import Any

from pydicom import Dataset
from pydicom.data import get_testdata_file
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.headvectors import EXPLICIT_LITTLE, PIXEL_DATA, element
from tests.scripted import dataSet
from txdicom.configuration import Configuration
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.dimse.responses import Responses
from txdicom.errors import DIMSEError
from txdicom.interfaces import IRetrieveSCP
from txdicom.requestor import RequestorAssociation, connect
from txdicom.services.instances import HeldInstance, identify, openInstance
from txdicom.services.query import SubOperations
from txdicom.storage.disk import Disk
from txdicom.testing import MemoryEndpoint, RecordingStore

PATHS = [str(get_testdata_file(name)) for name in ("CT_small.dcm", "MR_small.dcm", "JPEG2000.dcm")]
HELD = [HeldInstance(identify(path), path) for path in PATHS]
UIDS = [held.identity.sopInstanceUID for held in HELD]
#: What is accepted for the three, each in its own transfer syntax.
STORED = {held.identity.sopClassUID: (held.identity.transferSyntaxUID,) for held in HELD}


def dataSetOf(path: str) -> bytes:
    """Read the bytes of a file's data set."""
    instance = openInstance(path)
    return b"".join(iter(lambda: bytes(instance.read(1 << 20)), b""))


def large() -> BytesIO:
    """Make an instance of 32 MiB, of the first class of the three and in its transfer syntax."""
    return BytesIO(dataSet(rest=element(EXPLICIT_LITTLE, PIXEL_DATA, b"OW", bytes(1 << 25))))


def query() -> Dataset:
    """Make an identifier."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = "1.2"
    return identifier


@implementer(IRetrieveSCP)
class Archive:
    """
    Gives the instances that it has been made with, and raises what is among them.

    :ivar asked: the SOP class and identifier of each request.
    :ivar gate: waited for before each instance.
    :ivar closed: whether it has been told to stop.
    """

    def __init__(self, held: Iterable[Any]) -> None:
        self.held = held
        self.asked: list[tuple[str, Dataset]] = []
        self.gate: Deferred[None] | None = None
        self.closed = False

    async def retrieve(self, association: Any, sopClassUID: str, identifier: Dataset) -> AsyncIterator[HeldInstance]:
        self.asked.append((sopClassUID, identifier))
        try:
            for one in self.held:
                if self.gate is not None:
                    await self.gate
                if isinstance(one, Exception):
                    raise one
                yield one
        finally:
            self.closed = True


class HungDisk:
    """Never returns."""

    def soon(self, function: Callable[[], Any]) -> Deferred[Any]:
        return Deferred()

    inThread = soon


@implementer(IStreamClientEndpoint)
class Unreachable:
    """Errs with what it was made with, or never connects."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.cancelled: list[object] = []

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        return fail(self.error) if self.error is not None else Deferred(self.cancelled.append)


class RetrieveTestCase(SynchronousTestCase):
    """
    An archive, one who retrieves, and a third.

    :ivar store: what takes the instances.
    :ivar archive: what gives them.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.store: Any = RecordingStore()
        self.archive = Archive(HELD)
        self.disk: Any = Disk()
        self.endpoints: list[MemoryEndpoint] = []
        self.configuration = Configuration()

    def listen(self, *providers: Any, **parameters: Any) -> MemoryEndpoint:
        """Set up an acceptor."""
        factory = AcceptorFactory(providers, self.configuration, self.clock, **parameters)
        self.endpoints.append(MemoryEndpoint(factory))
        return self.endpoints[-1]

    def flush(self) -> None:
        """Deliver all that there is to deliver."""
        for _ in range(3 * len(HELD)):
            for endpoint in self.endpoints:
                endpoint.flush()

    def advance(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass, and what is sent meanwhile arrive."""
        for _ in range(int(seconds / step)):
            self.clock.advance(step)
            self.flush()

    def connected(self, endpoint: MemoryEndpoint, contexts: Any, **parameters: Any) -> RequestorAssociation:
        """Connect to an acceptor."""
        connecting = connect(endpoint, contexts, clock=self.clock, disk=Disk(), **parameters)
        self.flush()
        return self.successResultOf(connecting)

    def collect(self, responses: Responses[SubOperations]) -> Deferred[list[SubOperations]]:
        """Take all responses."""
        self.responses = responses
        collecting = Deferred.fromCoroutine(self._collect(responses))
        self.flush()
        return collecting

    async def _collect(self, responses: Responses[SubOperations]) -> list[SubOperations]:
        """Take them to the end, also if that is a failure, whose numbers are of interest as well."""
        self.taken: list[SubOperations] = []
        try:
            async for one in responses:
                self.taken.append(one)
        except DIMSEError as error:
            self.comment = error.comment
        return self.taken

    def assertLast(
        self,
        retrieved: Deferred[list[SubOperations]],
        status: int,
        numbers: tuple[int | None, int, int, int],
        failed: Iterable[str] = (),
    ) -> None:
        """The last response is this: remaining, completed, failed, warning, and the list of those that failed."""
        last = self.successResultOf(retrieved)[-1]
        self.assertEqual(
            (f"{last.status:04X}", (last.remaining, last.completed, last.failed, last.warning)),
            (f"{status:04X}", numbers),
        )
        listed = [] if last.identifier is None else last.identifier["FailedSOPInstanceUIDList"].value
        self.assertEqual([listed] if isinstance(listed, str) else list(listed), list(failed))
        self.assertEqual(last.identifier is None, not failed)

    def assertSent(self, store: RecordingStore, *paths: str) -> None:
        """These instances have been stored, byte for byte."""
        self.assertEqual([one.outcome for one in store.stored], ["committed"] * len(paths))
        for one, path in zip(store.stored, paths, strict=True):
            self.assertEqual(one.dataSet, dataSetOf(path))

    def assertEverything(self, retrieved: Deferred[list[SubOperations]]) -> None:
        """All instances have been sent, and the peer was told after each."""
        self.assertEqual(
            self.successResultOf(retrieved),
            [SubOperations(0xFF00, 2, 1, 0, 0), SubOperations(0xFF00, 1, 2, 0, 0), SubOperations(0, None, 3, 0, 0)],
        )
        self.assertSent(self.store, *PATHS)

    def assertReleased(self) -> None:
        """The association can be released, and then nothing is left of any."""
        self.association.release()
        self.flush()
        self.assertNothingLeft()

    def assertNothingLeft(self) -> None:
        """No association, and no timer."""
        for endpoint in self.endpoints:
            self.assertEqual(endpoint._factory.associations, set())
        self.assertEqual(self.clock.getDelayedCalls(), [])
