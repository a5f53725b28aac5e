"""
What the tests of associations and services share: data sets and messages to send, and a provider that follows a script.

The peers themselves, real and raw ones, come from `txdicom.testing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.headvectors import EXPLICIT_LITTLE, PATIENT_NAME, SOP_CLASS_UID, SOP_INSTANCE_UID, element
from txdicom.configuration import Configuration
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.dimse.answers import Answer
from txdicom.dimse.association import Association
from txdicom.dimse.commands import Command, CommandField, CStoreRQ, Request
from txdicom.interfaces import IAnsweredWriter, IAssociationObserver, IDataSetWriter, IServiceProvider, IStorageSCP
from txdicom.services.storage import ReceivedInstance
from txdicom.testing import RawPeer, associateRQ, connectRaw
from txdicom.testing import commandsIn as commandsIn
from txdicom.testing import message as message
from txdicom.upperlayer.negotiation import PresentationContext
from txdicom.upperlayer.pdu import PDU, PDV, AAssociateAC, AAssociateRQ, PDataTF

VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
INSTANCE = "1.2.826.0.1.3680043.9.3811.1"

#: Presentation context IDs of the associations that `ConversationTestCase.associate` makes.
ECHO_CONTEXT, CT_CONTEXT, MR_CONTEXT = 1, 3, 5
PROPOSED = [(VERIFICATION, [EXPLICIT_LITTLE]), (CT, [EXPLICIT_LITTLE]), (MR, [EXPLICIT_LITTLE])]

COMMAND, LAST = 1, 2


def dataSet(syntax: str = EXPLICIT_LITTLE, sopClass: str = CT, sopInstance: str = INSTANCE, rest: bytes = b"") -> bytes:
    """Encode a small data set that tells who it is."""
    return b"".join(
        (
            element(syntax, SOP_CLASS_UID, b"UI", padded(sopClass)),
            element(syntax, SOP_INSTANCE_UID, b"UI", padded(sopInstance)),
            element(syntax, PATIENT_NAME, b"PN", b"Doe^Jane"),
            rest,
        )
    )


def padded(uid: str) -> bytes:
    """Pad a UID to even length."""
    return uid.encode("ascii") + b"\0" * (len(uid) % 2)


def pData(contextID: int, control: int, data: bytes) -> bytes:
    """Encode a P-DATA-TF PDU of one PDV."""
    return PDataTF((PDV(contextID, control, data),)).encode()


def storeRQ(messageID: int = 1, sopClass: str = CT, sopInstance: str = INSTANCE) -> CStoreRQ:
    """Build a C-STORE-RQ for what `dataSet` makes."""
    return CStoreRQ(messageID, sopClass, sopInstance)


def performed(step: Any) -> Any:
    """Do what a script says: raise an exception, call a function, or return the value itself."""
    if isinstance(step, Exception):
        raise step
    return step() if callable(step) else step


def later(deferreds: list[Deferred[Any]]) -> Callable[[], Deferred[Any]]:
    """Make a step of a script that gives a new Deferred, and adds it to the list."""

    def step() -> Deferred[Any]:
        deferreds.append(Deferred())
        return deferreds[-1]

    return step


@implementer(IServiceProvider)
class ScriptedProvider:
    """
    Gives the results it was made with, one for each request.

    :ivar requests: what it was asked.
    :ivar association: the association of the last request.
    """

    association: Association

    def __init__(self, *results: Any, operations: Iterable[int] = (CommandField.C_STORE_RQ,)) -> None:
        self.operations = frozenset(int(operation) for operation in operations)
        self.presentationContexts: Mapping[str, tuple[str, ...]] = dict.fromkeys(
            (VERIFICATION, CT, MR), (EXPLICIT_LITTLE,)
        )
        self.requests: list[Request] = []
        self._results = list(results)

    def requestReceived(self, association: Association, context: PresentationContext, request: Request) -> Any:
        """Note the request and give the next result."""
        self.association = association
        self.requests.append(request)
        return performed(self._results.pop(0))


class Series:
    """A provider's series of answers that is no generator."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)

    def __aiter__(self) -> Series:
        """Begin."""
        return self

    async def __anext__(self) -> Answer:
        """Give the next answer."""
        if not self._answers:
            raise StopAsyncIteration
        return self._answers.pop(0)


class ClosableSeries(Series):
    """
    One that wants to be closed.

    :ivar closed: how often that has been tried; it never works.
    """

    closed = 0

    async def aclose(self) -> None:
        """Count it, and fail."""
        self.closed += 1
        raise OSError("it cannot be closed")


@implementer(IStorageSCP)
class ScriptedStore:
    """
    Gives the results it was made with, one for each instance.

    :ivar instances: what it was asked to store.
    """

    def __init__(self, *results: Any) -> None:
        self._results = list(results)
        self.instances: list[ReceivedInstance] = []

    def store(self, association: Association, instance: ReceivedInstance) -> Any:
        """Note the instance and give the next result."""
        self.instances.append(instance)
        return performed(self._results.pop(0))


@implementer(IDataSetWriter)
class ScriptedWriter:
    """
    A writer whose every step does what the test says.

    :param write: the result of each call of `write`; None after the last of them.
    :param commit: the result of `commit`.
    :ivar calls: what was called, in order.
    :ivar data: all that was written.
    :ivar reason: what `abort` was told.
    """

    def __init__(self, write: Iterable[Any] = (), commit: Any = 0) -> None:
        self._writing = list(write)
        self._committing = commit
        self.calls: list[str] = []
        self.data = b""
        self.reason: Failure | None = None

    def write(self, fragments: list[memoryview]) -> Any:
        """Take some bytes."""
        self.calls.append("write")
        self.data += b"".join(fragments)
        return performed(self._writing.pop(0)) if self._writing else None

    def commit(self) -> Any:
        """End well, or as the script has it."""
        self.calls.append("commit")
        return performed(self._committing)

    def abort(self, reason: Failure) -> None:
        """End badly."""
        self.calls.append("abort")
        self.reason = reason


@implementer(IAnsweredWriter)
class AnsweredWriter(ScriptedWriter):
    """
    One that wants to know when its response has been sent.

    :param answered: the result of `answered`.
    :ivar status: what it was told.
    """

    def __init__(self, write: Iterable[Any] = (), commit: Any = 0, answered: Any = None) -> None:
        super().__init__(write, commit)
        self._answering = answered
        self.status: int | None = None

    def answered(self, status: int) -> Any:
        """Note the status."""
        self.calls.append("answered")
        self.status = status
        return performed(self._answering)


@implementer(IAssociationObserver)
class RecordingObserver:
    """
    Notes what it is told.

    :ivar events: name of the event and, for a message, its class.
    :ivar reason: why the association ended.
    """

    def __init__(self) -> None:
        self.events: list[str] = []
        self.reason: Failure | None = None

    def associationRequested(self, association: Association, request: AAssociateRQ) -> None:
        """Note it."""
        self.events.append("requested")

    def associationEstablished(self, association: Association, request: AAssociateRQ, response: AAssociateAC) -> None:
        """Note it."""
        self.events.append("established")

    def commandReceived(self, association: Association, context: PresentationContext, command: Command) -> None:
        """Note it."""
        self.events.append(f"received {type(command).__name__}")

    def commandSent(self, association: Association, context: PresentationContext, command: Command) -> None:
        """Note it."""
        self.events.append(f"sent {type(command).__name__}")

    def associationEnded(self, association: Association, reason: Failure) -> None:
        """Note it, and why."""
        self.events.append("ended")
        self.reason = reason


class ConversationTestCase(SynchronousTestCase):
    """
    Raw peers in conversation with an acceptor.

    :ivar clock: all timers run on it.
    """

    factory: AcceptorFactory

    def setUp(self) -> None:
        """Begin without any time passed."""
        self.clock = Clock()

    def serve(self, *providers: Any, observer: IAssociationObserver | None = None, **configuration: Any) -> None:
        """Set up the acceptor; the keywords are `Configuration`'s."""
        # Nobody here is watched for standing still: that has tests of its own.
        bounds = Configuration(**{"socketTimeout": 0.0, **configuration})
        self.factory = AcceptorFactory(providers, bounds, self.clock, observer=observer)

    def associate(self, size: int | None = None, request: AAssociateRQ | None = None) -> RawPeer:
        """Connect a peer that has an association, with the contexts of `PROPOSED` by default."""
        peer = connectRaw(self.factory, size)
        (response,) = peer.send(request or associateRQ(PROPOSED))
        self.assertIsInstance(response, AAssociateAC)
        return peer

    def ask(self, peer: RawPeer, *data: bytes | PDU) -> list[Any]:
        """Send bytes or PDUs, and return the commands they were answered with."""
        return commandsIn(peer.send(*data))

    def statusesOf(self, responses: Iterable[Any]) -> list[tuple[int, int]]:
        """Return message ID and status of every response."""
        return [(response.messageIDBeingRespondedTo, response.status) for response in responses]

    def assertLogged(self, *kinds: type[Exception]) -> None:
        """Exactly these errors have been logged."""
        self.assertEqual([failure.type for failure in self.flushLoggedErrors()], list(kinds))

    def assertNothingLeft(self) -> None:
        """No association, no timer: all that was is forgotten."""
        self.assertEqual(self.factory.associations, set())
        self.assertEqual(self.clock.getDelayedCalls(), [])
