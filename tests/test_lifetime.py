"""
Tests that what is over goes at once: connections and associations leave nothing to the garbage collector. It
would get them in the end, but at a tenth of what a short association costs, and they take memory until then.

Nor does it harm to ask one that is over.
"""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable
from weakref import ref

from pydicom import Dataset
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.headvectors import IMPLICIT_LITTLE
from tests.scripted import CT, INSTANCE, VERIFICATION, ConversationTestCase, RecordingObserver, dataSet
from txdicom.dimse.association import Association
from txdicom.dimse.commands import CEchoRQ, responseTo
from txdicom.errors import LocalProtocolError
from txdicom.interfaces import IQuerySCP
from txdicom.requestor.connecting import RequestorFactory
from txdicom.services.query import STUDY_ROOT, QueryService
from txdicom.services.storage import StorageService, store
from txdicom.services.verification import VerificationService, echo
from txdicom.storage.filestore import DiscardingStore
from txdicom.testing import MemoryLink, associateRQ, connectInMemory, requestor


class LifetimeTests(ConversationTestCase):
    """Associations that end in every way, on both sides."""

    def setUp(self) -> None:
        super().setUp()
        self.serve(VerificationService(), StorageService(DiscardingStore()))
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)

    def endBy(self, end: Callable[[Association, MemoryLink], object]) -> None:
        """Have a conversation, end it, and see what is left of it."""
        association = requestor(self.clock, associateRQ({VERIFICATION: [IMPLICIT_LITTLE], CT: [IMPLICIT_LITTLE]}))
        link = connectInMemory(self.factory, association)
        (acceptor,) = self.factory.associations
        answers = [echo(association), store(association, CT, INSTANCE, IMPLICIT_LITTLE, dataSet(IMPLICIT_LITTLE))]
        link.flush()
        for answer in answers:
            self.successResultOf(answer)
        end(association, link)
        link.flush()
        self.assertFalse(link.connected)
        left = [ref(each) for each in (association, association.protocol, acceptor, acceptor.protocol)]
        del association, acceptor, link, answers, answer
        self.assertEqual([each() for each in left], [None] * 4)

    def test_release(self) -> None:
        self.endBy(lambda association, link: association.release())

    def test_abort(self) -> None:
        self.endBy(lambda association, link: association.abort())

    def test_lostConnection(self) -> None:
        self.endBy(lambda association, link: link.lose())


@implementer(IQuerySCP)
class Endless:
    """Looks for something, and finds nothing."""

    async def find(self, association: Association, sopClassUID: str, identifier: Dataset) -> AsyncIterator[Dataset]:
        """Search."""
        await Deferred()
        yield Dataset()


class OverTests(ConversationTestCase):
    """What is asked of an association that ends, or has ended: both sides, and whatever ends it."""

    def endBy(self, end: Callable[[Association, MemoryLink], object]) -> None:
        """End an association with a query under way, and ask it in the midst of that and afterwards."""
        asked: list[Association] = []

        class AskingObserver(RecordingObserver):
            """Asks as soon as it is told."""

            def associationEnded(_, association: Association, reason: Failure) -> None:
                asked.append(association)
                self.assertOver(association)
                if association is querying:
                    answers.cancel()

        observer = AskingObserver()
        self.serve(QueryService(Endless(), [STUDY_ROOT.find]), observer=observer)
        factory = RequestorFactory([STUDY_ROOT.find], clock=self.clock, observer=observer)
        querying = factory.buildProtocol(None).association
        link = connectInMemory(self.factory, querying)
        (acceptor,) = self.factory.associations
        answers = querying.find(STUDY_ROOT.find, Dataset())
        waiting = answers.collect()
        link.flush()
        self.assertTrue(querying.responseIsDue)
        self.assertTrue(acceptor.weAreDue)
        end(acceptor, link)
        link.flush()
        self.assertCountEqual(asked, [acceptor, querying])
        self.assertOver(acceptor)
        self.assertOver(querying)
        answers.cancel()
        self.failureResultOf(Deferred.fromCoroutine(waiting))
        self.assertNothingLeft()

    def assertOver(self, association: Association) -> None:
        """Nobody owes anybody anything, and nothing can be sent any more."""
        self.assertFalse(association.peerIsDue or association.weAreDue or association.responseIsDue)
        context = next(iter(association.contexts.values()))
        response = responseTo(CEchoRQ(1), 0)
        error = self.assertRaises(LocalProtocolError, association.respond, context, response)
        self.assertEqual(str(error), "the association is over")
        error = self.assertRaises(LocalProtocolError, association.requests.send, context, CEchoRQ(1))
        self.assertEqual(str(error), "the association is over")

    def test_abort(self) -> None:
        self.endBy(lambda association, link: association.abort())

    def test_drop(self) -> None:
        self.endBy(lambda association, link: association.drop())

    def test_lostConnection(self) -> None:
        self.endBy(lambda association, link: link.lose())
