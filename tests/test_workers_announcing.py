"""
Tests of `txdicom.storescp.workers.announcing`: commands and plugins with several workers.

What hooks do in one process they do in several: the tests of `test_hooks_store` are run with an announcer that is
somewhere else, too.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests import test_hooks_store as hooked
from tests.hooking import OTHER_STUDY, STUDY, RecordingPlugin, stored, waiting
from tests.scripted import storeRQ
from tests.test_workers_channel import Channel
from txdicom.errors import DIMSEError
from txdicom.interfaces import IAnnouncer
from txdicom.services.storage import ReceivedInstance, StorageService
from txdicom.soon import settled
from txdicom.storescp.hooks.announcer import Announcer
from txdicom.storescp.hooks.events import InstanceStored
from txdicom.storescp.hooks.store import HookedStore
from txdicom.storescp.workers import announcing
from txdicom.storescp.workers.announcing import AnnouncerDesk, DistantAnnouncer, packed, unpacked
from txdicom.storescp.workers.channel import NoAnswerError, ParentEnd

FAILED = "it failed"


class Distant(hooked.HookedStoreTestCase):
    """Has the announcer somewhere else; only what JSON can hold comes there and back."""

    def serveHooked(self, store: Any, *results: Any, asking: bool = False, **keywords: Any) -> None:
        """Serve; the plugin has these results."""
        self.patch(announcing, "_MOST_UNANSWERED", 1)
        self.plugin = RecordingPlugin(*results)
        settings: dict[str, Any] = {"timeLimit": 20.0, "atOnce": 1, "studyTimeout": 10.0, **keywords}
        self.announcer = Announcer([self.plugin], self.clock, **settings)
        worker = ParentEnd(None, lambda _: {})  # type: ignore[arg-type]
        self.desk = AnnouncerDesk(self.announcer, worker)
        self.distant = DistantAnnouncer(self.parent)
        self.hooked = HookedStore(store, self.distant, asking)
        self.serve(StorageService(self.hooked))

    async def parent(self, subject: str, question: Any, /) -> Any:
        """Answer as a parent does."""
        try:
            answer = await settled(self.desk.answers[subject](json.loads(json.dumps(question))))
        except Exception as error:
            raise NoAnswerError(FAILED) from error
        return json.loads(json.dumps(answer))

    def assertOver(self) -> None:
        """Nothing is remembered of anything, here or there."""
        super().assertOver()
        self.assertEqual((+self.desk._coming, self.desk._releases, self.distant._heldUp), ({}, {}, set()))


class DistantTellingTests(Distant, hooked.TellingTests):
    """Instances are told when their senders know."""

    def test_lostWithoutRoom(self) -> None:
        """One that waits for room and goes leaves nothing."""
        result: Deferred[None] = Deferred()
        store = hooked.ScriptedStore(hooked.ScriptedWriter(), hooked.ScriptedWriter())
        self.serveHooked(store, lambda: result, mostWaiting=1)
        peer, other = self.associate(), self.associate()
        for uid in (hooked.INSTANCE, hooked.OTHER):
            self.ask(peer, self.storeMessage(uid=uid))
        other.send(self.storeMessage())
        self.assertEqual(len(self.distant._heldUp), 1)
        other.link.lose()
        self.assertEqual(self.distant._heldUp, set())
        peer.link.lose()
        result.callback(None)
        self.assertEqual(len(store.instances), 2)
        self.clock.advance(10)
        self.assertOver()


class DistantAskingTests(Distant, hooked.AskingTests):
    """Plugins are asked before the answer."""

    def test_broken(self) -> None:
        """A plugin that is broken has not agreed; the parent's log says how it is broken."""
        self.serveHooked(hooked.ScriptedStore(hooked.ScriptedWriter()), ZeroDivisionError(), asking=True)
        self.assertEqual(self.statusesOf(self.ask(self.associate(), self.storeMessage())), [(1, 0x0110)])
        self.assertLogged(NoAnswerError)


class DistantFilesTests(Distant, hooked.FilesTests):
    """With files."""


class WorkersTests(SynchronousTestCase):
    """Two workers and their parent, over channels in memory."""

    def setUp(self) -> None:
        """Connect them."""
        self.clock = Clock()
        self.plugin = RecordingPlugin()
        self.announcer = Announcer([self.plugin], self.clock, 20.0, atOnce=1, studyTimeout=10.0, mostWaiting=1)
        self.channels = [Channel(lambda worker: AnnouncerDesk(self.announcer, worker).answers) for _ in range(2)]
        self.workers = [DistantAnnouncer(channel.worker.ask) for channel in self.channels]

    def flush(self) -> None:
        """Have everybody hear everything."""
        for channel in self.channels:
            channel.pump.flush()

    def test_interface(self) -> None:
        for announcer in (self.announcer, *self.workers):
            self.assertTrue(verifyObject(IAnnouncer, announcer))

    def test_oneStudy(self) -> None:
        """A study whose instances come by both ends once, when nothing of it is coming by either any more."""
        one, other = self.workers
        one.began(STUDY)
        other.began(STUDY)
        self.flush()
        one.stored(stored("/in/CT.1"))
        self.flush()
        self.clock.advance(60)
        self.assertEqual(len(self.plugin.events), 1)
        other.stored(stored("/in/CT.2"))
        self.flush()
        self.clock.advance(10)
        (*_, study) = self.plugin.events
        self.assertEqual((study.files, study.objects), (("/in/CT.1", "/in/CT.2"), 2))  # type: ignore[union-attr]

    def test_gone(self) -> None:
        """What does not come after all does not hold a study up; an instance of no study is nothing to tell."""
        one, other = self.workers
        for worker, study in ((one, STUDY), (other, STUDY), (other, ""), (other, OTHER_STUDY)):
            worker.began(study)
        one.stored(stored())
        for study in (STUDY, "", OTHER_STUDY):
            other.gone(study)
        self.flush()
        self.clock.advance(10)
        self.assertEqual(len(self.plugin.events), 2)
        self.assertEqual(self.announcer.studies._open, {})

    def test_killed(self) -> None:
        """What a worker had begun is gone with it, and its files are free; what it had told counts."""
        one, other = self.workers
        one.began(STUDY)
        one.began(STUDY)
        one.stored(stored("/in/CT.1"))
        held = Deferred.fromCoroutine(one.alone("/in/CT.2"))
        self.flush()
        self.successResultOf(held)
        waits = Deferred.fromCoroutine(other.alone("/in/CT.2"))
        queued = Deferred.fromCoroutine(one.alone("/in/CT.2"))
        self.flush()
        self.assertNoResult(waits)
        self.channels[0].parent.connectionLost()
        self.channels[0].worker.connectionLost()
        self.flush()
        self.successResultOf(waits)()
        self.flush()
        self.failureResultOf(queued)
        self.assertEqual(self.announcer._locks._held, {})
        self.clock.advance(10)
        self.assertEqual(len(self.plugin.events), 2)
        self.assertEqual(self.announcer.studies._open, {})

    def test_alone(self) -> None:
        """Files that both are interested in are asked about one after the other."""
        one, other = (Deferred.fromCoroutine(worker.alone("/in/CT.1")) for worker in self.workers)
        self.flush()
        release = self.successResultOf(one)
        self.assertNoResult(other)
        release()
        self.flush()
        self.successResultOf(other)

    def test_judgement(self) -> None:
        """A refusal is what the plugin has said; one that fails is in the parent's log."""
        (worker, _) = self.workers
        self.plugin._results = [None, DIMSEError(0xA702, "Grün", (0x00100010,)), ValueError("why")]
        judgements = [Deferred.fromCoroutine(worker.judge(stored())) for _ in range(3)]
        self.flush()
        self.assertIsNone(self.successResultOf(judgements[0]))
        error = self.failureResultOf(judgements[1], DIMSEError).value
        self.assertEqual((error.status, error.comment, error.offendingElements), (0xA702, "Grün", (0x00100010,)))
        self.failureResultOf(judgements[2], NoAnswerError)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_room(self) -> None:
        """A worker takes no more when the parent does not keep up with what it has told, and goes on as it does."""
        (worker, other) = self.workers
        results = waiting(20)
        self.plugin._results = [lambda result=result: result for result in results]
        for _ in range(17):
            self.assertFalse(worker.isFull)
            worker.stored(stored())
            self.flush()
        self.assertTrue(worker.isFull)
        self.assertFalse(other.isFull)
        room, lost = worker.room(), worker.room()
        lost.cancel()
        self.failureResultOf(lost)
        for result in results[:15]:
            result.callback(None)
            self.flush()
        self.assertNoResult(room)
        results[15].callback(None)
        self.flush()
        self.successResultOf(room)
        self.successResultOf(worker.room())

    def test_parentGone(self) -> None:
        """What cannot be told because there is no parent needs no log line: there is no log either."""
        (worker, _) = self.workers
        self.channels[0].worker.connectionLost(Failure(ConnectionLost()))
        worker.began(STUDY)
        worker.stored(stored())
        self.assertEqual(worker._unanswered, 0)

    def test_tooLong(self) -> None:
        """An event that is too long for the channel is logged, and not waited for."""
        (worker, _) = self.workers
        event = stored()
        attributes = {tag: bytes(1024) for tag in range(64)}
        worker.stored(replace(event, instance=replace(event.instance, attributes=attributes)))
        self.assertEqual(len(self.flushLoggedErrors()), 1)
        self.assertEqual(worker._unanswered, 0)
        worker.stored(event)
        self.flush()
        self.assertEqual(len(self.plugin.events), 1)


class PackingTests(SynchronousTestCase):
    """`packed` and `unpacked`."""

    @given(
        st.dictionaries(st.integers(0, 0xFFFFFFFF), st.binary(max_size=64)),
        st.none() | st.binary(max_size=64),
        st.text(st.characters(max_codepoint=255), max_size=16),
    )
    def test_thereAndBack(self, attributes: dict[int, bytes], path: bytes | None, title: str) -> None:
        """An event comes out as it went in, whatever bytes are in names."""
        request = replace(storeRQ(), moveOriginatorAETitle=title, moveOriginatorMessageID=7)
        instance = ReceivedInstance("1.2", "1.3", "1.4", request, attributes)
        name = None if path is None else path.decode("utf-8", "surrogateescape")
        event = InstanceStored(instance, name, 5, title, title, "::1")
        self.assertEqual(unpacked(json.loads(json.dumps(packed(event)))), event)
