"""Tests of responses that are more than one, asked and answered: C-FIND and its like, between two real associations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from pydicom import Dataset
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.headvectors import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from tests.scripted import Series
from txdicom.configuration import Configuration
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.dimse.answers import Answer
from txdicom.dimse.commands import CommandField, GenericCommand
from txdicom.dimse.responses import Responses
from txdicom.errors import AssociationAborted, AssociationTimeout, DIMSEError, LocalProtocolError, MessageError
from txdicom.interfaces import IQuerySCP, IRequestWriter, IServiceProvider
from txdicom.requestor import RequestorAssociation, connect
from txdicom.services import normalized
from txdicom.services.collecting import CollectingWriter
from txdicom.services.query import STUDY_ROOT, QueryService, SubOperations
from txdicom.storage.disk import Disk
from txdicom.testing import MemoryEndpoint

PRINTER = "1.2.840.10008.5.1.1.16"
PRINTER_INSTANCE = "1.2.840.10008.5.1.1.17"
#: An element of a VR that there is not.
UNREADABLE = b"\x10\x00\x10\x00ZZ\x02\x00ab"


def named(name: str) -> Dataset:
    """Make a data set with a patient's name."""
    dataSet = Dataset()
    dataSet.PatientName = name
    return dataSet


@implementer(IQuerySCP)
class Names:
    """
    Gives so many matches, then raises what it has been given.

    :ivar given: how many have been asked for.
    :ivar closed: whether it has been told to stop.
    """

    def __init__(self, number: int, error: Exception | None = None) -> None:
        self.number = number
        self.error = error
        self.given = 0
        self.closed = False
        self.asked: list[tuple[str, Dataset]] = []
        self.gate: Deferred[None] | None = None

    async def find(self, association: Any, sopClassUID: str, identifier: Dataset) -> AsyncIterator[Dataset]:
        self.asked.append((sopClassUID, identifier))
        try:
            while self.given < self.number:
                self.given += 1
                if self.gate is not None:
                    await self.gate
                yield named(f"{identifier.PatientName}^{self.given}")
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True


@implementer(IServiceProvider)
class Scripted:
    """Answers everything with what it has been given, of requests with a data set when that is complete."""

    def __init__(self, answer: Any, sopClass: str = STUDY_ROOT.move) -> None:
        self.answer = answer
        self.operations = frozenset(int(field) for field in CommandField if not field & 0x8000)
        self.presentationContexts = {sopClass: (EXPLICIT_LITTLE,)}
        self.requests: list[GenericCommand] = []

    def requestReceived(self, association: Any, context: Any, request: Any) -> Any:
        self.requests.append(request)
        if not request.hasDataSet:
            return self.answer
        return CollectingWriter(lambda data: self.answer, 1 << 10)


class ConversationTestCase(SynchronousTestCase):
    """A requestor and an acceptor in memory."""

    def serve(self, provider: Any, sopClasses: Any, **configuration: Any) -> RequestorAssociation:
        """Connect to an acceptor with one provider."""
        self.clock = Clock()
        factory = AcceptorFactory([provider], Configuration(), self.clock)
        self.endpoint = MemoryEndpoint(factory)
        connecting = connect(
            self.endpoint, sopClasses, clock=self.clock, disk=Disk(), configuration=Configuration(**configuration)
        )
        self.endpoint.flush()
        return self.successResultOf(connecting)

    def collect(self, responses: Responses[Any]) -> Deferred[list[Any]]:
        """Take all responses."""
        collecting = Deferred.fromCoroutine(responses.collect())
        self.endpoint.flush()
        return collecting


class FindTests(ConversationTestCase):
    """C-FIND from one end to the other."""

    def find(self, names: Names, syntax: str = EXPLICIT_LITTLE, **configuration: Any) -> Responses[Dataset]:
        self.assertTrue(verifyObject(IQuerySCP, names))
        service = QueryService(names, [STUDY_ROOT.find])
        self.assertTrue(verifyObject(IServiceProvider, service))
        self.association = self.serve(service, {STUDY_ROOT.find: [syntax]}, **configuration)
        return self.association.find(STUDY_ROOT.find, named("Doe"))

    def test_matches(self) -> None:
        for syntax in (EXPLICIT_LITTLE, IMPLICIT_LITTLE):
            names = Names(3)
            responses = self.find(names, syntax)
            matches = self.successResultOf(self.collect(responses))
            self.assertEqual([str(match.PatientName) for match in matches], ["Doe^1", "Doe^2", "Doe^3"])
            self.assertEqual(responses.final.status, 0)
            self.assertEqual(names.asked, [(STUDY_ROOT.find, named("Doe"))])
            self.assertTrue(names.closed)

    def test_none(self) -> None:
        self.assertEqual(self.successResultOf(self.collect(self.find(Names(0)))), [])

    def test_failure(self) -> None:
        """The matches before it are given, then it is raised."""
        responses = self.find(Names(1, DIMSEError(0xA700, "too many")))
        self.endpoint.flush()
        self.assertEqual(str(self.successResultOf(anext(responses)).PatientName), "Doe^1")
        error = self.failureResultOf(anext(responses), DIMSEError).value
        self.assertEqual((error.status, error.comment), (0xA700, "too many"))

    def test_unexpectedFailure(self) -> None:
        error = self.failureResultOf(self.collect(self.find(Names(0, KeyError()))), DIMSEError).value
        self.assertEqual(error.status, 0x0110)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_identifierThatIsNone(self) -> None:
        """What pydicom cannot read is answered with 0xC000, and the association lives on."""
        names = Names(1)
        self.find(names)
        context = self.association.contextFor(STUDY_ROOT.find)
        elements = {0x0002: STUDY_ROOT.find, 0x0110: 9, 0x0800: 0}
        request = GenericCommand(CommandField.C_FIND_RQ, elements)
        answer = self.association.requests.send(context, request, UNREADABLE)
        self.endpoint.flush()
        self.assertEqual(self.successResultOf(answer).status, 0xC000)

    def test_identifierThatIsTooLong(self) -> None:
        self.find(Names(1))
        self.endpoint.flush()
        long = Dataset()
        long.add_new(0x00420011, "OB", bytes(1 << 20))
        responses = self.association.find(STUDY_ROOT.find, long)
        self.assertEqual(self.failureResultOf(self.collect(responses), DIMSEError).value.status, 0xA700)

    def test_cancelled(self) -> None:
        """The peer stops, says so, and closes the iterator."""
        names = Names(50)
        names.gate = Deferred()
        responses = self.find(names)
        self.endpoint.flush()
        responses.cancel()
        self.endpoint.flush()
        names.gate.callback(None)
        self.assertEqual(self.successResultOf(self.collect(responses)), [])
        self.assertEqual((responses.final.status, names.given, names.closed), (0xFE00, 1, True))
        responses.cancel()
        self.endpoint.flush()
        self.assertIs(self.association.endReason, None)

    def test_nobodyTakesThem(self) -> None:
        """So many are kept; then nothing more is read, and after a while the association is aborted."""
        names = Names(10_000)
        responses = self.find(names, providerTimeout=20.0)
        self.endpoint.flush()
        self.assertEqual(len(responses._items), 100)
        self.assertTrue(self.association.protocol.receivingPaused)
        self.assertLess(names.given, 9_000)
        self.successResultOf(anext(responses))
        self.endpoint.flush()
        self.assertEqual(len(responses._items), 100)
        self.clock.advance(21)
        collecting = self.collect(responses)
        self.failureResultOf(collecting, AssociationTimeout)
        self.assertTrue(names.closed)

    def test_takenInTime(self) -> None:
        """Ten thousand matches pass through, with pauses and without end of time."""
        matches = self.successResultOf(self.collect(self.find(Names(2_000))))
        self.assertEqual(len(matches), 2_000)

    def test_associationEnds(self) -> None:
        """Who waits is told, and the provider's iterator is closed."""
        names = Names(5)
        names.gate = Deferred()
        collecting = self.collect(self.find(names))
        self.association.abort()
        self.failureResultOf(collecting, AssociationAborted)
        self.endpoint.flush()
        self.assertTrue(names.closed)

    def test_whoeverWaitsGivesUp(self) -> None:
        """What comes after that is for whoever asks next; nothing is lost."""
        names = Names(2)
        names.gate = Deferred()
        responses = self.find(names)
        self.endpoint.flush()
        waiting = anext(responses)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        names.gate.callback(None)
        self.endpoint.flush()
        matches = self.successResultOf(self.collect(responses))
        self.assertEqual([str(match.PatientName) for match in matches], ["Doe^1", "Doe^2"])

    def test_matchThatCannotBeRead(self) -> None:
        async def broken() -> AsyncIterator[Answer]:
            yield Answer(0xFF00, UNREADABLE)

        association = self.serve(Scripted(broken(), STUDY_ROOT.find), [STUDY_ROOT.find])
        collecting = self.collect(association.find(STUDY_ROOT.find, named("Doe")))
        self.failureResultOf(collecting, MessageError)

    def test_matchThatIsTooLong(self) -> None:
        async def long() -> AsyncIterator[Answer]:
            yield Answer(0xFF00, bytes(1000))

        association = self.serve(Scripted(long(), STUDY_ROOT.find), [STUDY_ROOT.find], maximumIdentifierLength=998)
        collecting = self.collect(association.find(STUDY_ROOT.find, named("Doe")))
        self.failureResultOf(collecting, MessageError)

    def test_notAccepted(self) -> None:
        association = self.serve(QueryService(Names(0), [STUDY_ROOT.find]), [STUDY_ROOT.find, STUDY_ROOT.move])
        self.assertRaises(LocalProtocolError, association.move, STUDY_ROOT.move, named("Doe"), "DEST")


class RetrieveTests(ConversationTestCase):
    def test_progress(self) -> None:
        """The numbers of every response, of the last one as well, and where they are missing."""

        async def progress() -> AsyncIterator[Answer]:
            yield Answer(0xFF00, None, {0x1020: 1, 0x1021: 1, 0x1022: 0, 0x1023: 0})
            yield Answer(0xB000, b"\x08\x00\x58\x00UI\x04\x001.2\x00", {0x1021: 1, 0x1022: 1})

        provider = Scripted(progress())
        association = self.serve(provider, [STUDY_ROOT.move])
        first, last = self.successResultOf(self.collect(association.move(STUDY_ROOT.move, named("Doe"), "DEST")))
        self.assertEqual(first, SubOperations(0xFF00, 1, 1, 0, 0))
        self.assertEqual((last.status, last.remaining, last.completed, last.failed), (0xB000, None, 1, 1))
        self.assertEqual(last.identifier.FailedSOPInstanceUIDList, "1.2")
        self.assertEqual(provider.requests[0].elements[0x0600], "DEST")

    def test_writer(self) -> None:
        self.assertTrue(verifyObject(IRequestWriter, CollectingWriter(lambda data: 0, 1)))


class NormalizedTests(ConversationTestCase):
    def ask(self, answer: Any, *arguments: Any, **elements: Any) -> Deferred[normalized.Reply]:
        self.provider = Scripted(answer, PRINTER)
        association = self.serve(self.provider, [PRINTER])
        asking = Deferred.fromCoroutine(normalized.request(association, *arguments, **elements))
        self.endpoint.flush()
        return asking

    def test_get(self) -> None:
        """A request without a data set, whose answer has one."""
        answer = Answer(0, b"\x10\x00\x10\x00PN\x04\x00Doe ")
        asking = self.ask(
            answer, CommandField.N_GET_RQ, PRINTER, PRINTER_INSTANCE, AttributeIdentifierList=(0x00100010,)
        )
        reply = self.successResultOf(asking)
        self.assertEqual((reply.status, reply.dataSet), (0, named("Doe")))
        self.assertEqual(reply.elements["AffectedSOPInstanceUID"], PRINTER_INSTANCE)
        (request,) = self.provider.requests
        self.assertEqual((request.elements[0x0003], request.elements[0x1001]), (PRINTER, PRINTER_INSTANCE))
        self.assertEqual(request.elements[0x1005], (0x00100010,))

    def test_create(self) -> None:
        """A request with a data set, which names the affected instance, or none."""
        reply = self.successResultOf(self.ask(0, CommandField.N_CREATE_RQ, PRINTER, None, named("Doe")))
        self.assertEqual((reply.status, reply.dataSet), (0, None))
        (request,) = self.provider.requests
        self.assertEqual(request.elements[0x0002], PRINTER)
        self.assertNotIn(0x1000, request.elements)

    def test_fails(self) -> None:
        asking = self.ask(0x0112, CommandField.N_DELETE_RQ, PRINTER, PRINTER_INSTANCE)
        self.assertEqual(self.failureResultOf(asking, DIMSEError).value.status, 0x0112)

    def test_unknownElement(self) -> None:
        asking = self.ask(0, CommandField.N_ACTION_RQ, PRINTER, PRINTER_INSTANCE, ActionTyp=1)
        self.failureResultOf(asking, LocalProtocolError)


class AnswerTests(ConversationTestCase):
    def test_anyIterator(self) -> None:
        """It need not be a generator, with which more could be done; if it just ends, the last answer is success."""
        association = self.serve(Scripted(Series(Answer(0xFF00, b"")), STUDY_ROOT.find), [STUDY_ROOT.find])
        responses = association.find(STUDY_ROOT.find, named("Doe"))
        self.assertEqual(self.successResultOf(self.collect(responses)), [Dataset()])
        self.assertEqual(responses.final.status, 0)

    def test_onlyGenericResponsesHoldMore(self) -> None:
        """An answer to C-ECHO that has a data set is a fault of its provider."""
        association = self.serve(Scripted(Answer(0, b"ab"), "1.2.840.10008.1.1"), ["1.2.840.10008.1.1"])
        echo = association.echo()
        self.endpoint.flush()
        self.assertEqual(self.successResultOf(echo).status, 0x0110)
        self.assertEqual(len(self.flushLoggedErrors(LocalProtocolError)), 1)

    def test_statusAlone(self) -> None:
        association = self.serve(Scripted(Answer(0xB000), "1.2.840.10008.1.1"), ["1.2.840.10008.1.1"])
        echo = association.echo()
        self.endpoint.flush()
        self.assertEqual(self.successResultOf(echo).status, 0xB000)
