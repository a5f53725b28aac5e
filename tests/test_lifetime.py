"""
Tests that what is over goes at once: connections and associations leave nothing to the garbage collector.

It would get them in the end, but at a tenth of what a short association costs, and they take memory until then.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from weakref import ref

from tests.headvectors import IMPLICIT_LITTLE
from tests.scripted import CT, INSTANCE, VERIFICATION, ConversationTestCase, dataSet
from txdicom.dimse.association import Association
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
