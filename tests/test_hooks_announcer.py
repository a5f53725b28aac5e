"""
Tests of `txdicom.storescp.hooks.announcer`: who is told what and when, and what becomes of errors.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.hooking import STUDY, RecordingPlugin, ended, stored, waiting
from tests.scripted import INSTANCE
from txdicom.errors import DIMSEError
from txdicom.storescp.hooks.announcer import Announcer
from txdicom.storescp.hooks.events import StudyEnded
from txdicom.storescp.hooks.studies import Kept

STORED, ENDED = f"instance {INSTANCE} stored", f"study {STUDY} ended"


class AnnouncerTestCase(SynchronousTestCase):
    """An announcer whose plugins may take twenty seconds, and whose studies end after ten."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.logged: list[str] = []
        globalLogPublisher.addObserver(self.log)
        self.addCleanup(globalLogPublisher.removeObserver, self.log)

    def log(self, event: dict[str, Any]) -> None:
        """Note what is logged."""
        self.logged.append(event["log_format"].format(**event))

    def make(self, *plugins: RecordingPlugin, atOnce: int = 2, **keywords: Any) -> Announcer:
        """Build it."""
        return Announcer(plugins, self.clock, 20.0, atOnce, 10.0, **keywords)

    def store(self, announcer: Announcer, *paths: str) -> None:
        """Have instances stored."""
        for path in paths:
            announcer.studies.began(STUDY)
            announcer.stored(stored(path))


class TellingTests(AnnouncerTestCase):
    """Events that nobody waits for."""

    def test_instanceAndStudy(self) -> None:
        """All plugins hear of the instances, and then of the end of their study."""
        plugins = [RecordingPlugin(), RecordingPlugin()]
        self.store(self.make(*plugins), "/in/a", "/in/b")
        self.clock.advance(10)
        for plugin in plugins:
            self.assertEqual(plugin.events, [stored("/in/a"), stored("/in/b"), ended("/in/a", "/in/b")])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_inOrder(self) -> None:
        """The second plugin hears of an event when the first is done with it."""
        result: Deferred[None] = Deferred()
        plugins = [RecordingPlugin(result), RecordingPlugin()]
        self.store(self.make(*plugins), "/in/a")
        self.assertEqual(plugins[1].events, [])
        result.callback(None)
        self.assertEqual(plugins[1].told, [STORED])

    def test_coroutine(self) -> None:
        """A plugin may be a coroutine."""
        result: Deferred[None] = Deferred()

        async def wait() -> None:
            await result

        plugins = [RecordingPlugin(wait), RecordingPlugin()]
        self.store(self.make(*plugins), "/in/a")
        self.assertEqual(plugins[1].events, [])
        result.callback(None)
        self.assertEqual(plugins[1].told, [STORED])

    def test_atOnce(self) -> None:
        """Only so many events are told at a time; the study ends when all of its have been."""
        results = waiting(3)
        plugin = RecordingPlugin(*(lambda result=result: result for result in results))
        self.store(self.make(plugin), "/in/a", "/in/b", "/in/c")
        self.assertEqual(len(plugin.events), 2)
        self.clock.advance(15)
        for result in results:
            self.assertNotIn(ENDED, plugin.told)
            result.callback(None)
        self.assertEqual(plugin.told, [STORED, STORED, STORED, ENDED])

    def test_errors(self) -> None:
        """A plugin that fails is logged, and the others are told all the same."""
        for failure in (ZeroDivisionError("no"), DIMSEError(0xA700, "no room"), CancelledError()):
            for result in (failure, lambda failure=failure: self.failing(failure)):
                plugins = [RecordingPlugin(result), RecordingPlugin()]
                self.store(self.make(*plugins), "/in/a")
                self.assertEqual(plugins[1].told, [STORED])
        expected = [f"{STORED}: the recorder failed"] * 2 + [f"{STORED}: 0xA700 no room"] * 2
        self.assertEqual(self.logged, [*expected, *[f"{STORED}: the recorder failed"] * 2])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.assertEqual(len(self.flushLoggedErrors(CancelledError)), 2)

    def failing(self, error: Exception) -> Deferred[None]:
        """Make a result that has failed."""
        result: Deferred[None] = Deferred()
        result.errback(error)
        return result

    def test_timeLimit(self) -> None:
        """One that takes too long is cancelled and logged, and the others are told all the same."""
        plugins = [RecordingPlugin(Deferred), RecordingPlugin()]
        self.store(self.make(*plugins), "/in/a")
        self.clock.advance(19.9)
        self.assertEqual(plugins[1].told, [])
        self.clock.advance(0.1)
        self.assertEqual(plugins[1].told, [STORED, ENDED])
        self.assertEqual(self.logged, [f"{STORED}: 0xA700 the recorder did not finish in 20 s"])

    def test_rename(self) -> None:
        """The files of a study have got their names when its end is told."""
        renamed: list[dict[str, Kept]] = []

        async def rename(event: StudyEnded, instances: dict[str, Kept]) -> StudyEnded:
            renamed.append(instances)
            return replace(event, files=("/in/CT000001",))

        plugin = RecordingPlugin()
        self.store(self.make(plugin, rename=rename), "/in/a")
        self.clock.advance(10)
        self.assertEqual(plugin.events[1:], [ended("/in/CT000001")])
        self.assertEqual([list(instances) for instances in renamed], [["/in/a"]])

    def test_renamingFails(self) -> None:
        """That is logged, and nothing else suffers."""

        async def rename(event: StudyEnded, instances: dict[str, Kept]) -> StudyEnded:
            raise ZeroDivisionError

        plugin = RecordingPlugin()
        announcer = self.make(plugin, rename=rename)
        self.store(announcer, "/in/a")
        self.clock.advance(10)
        self.store(announcer, "/in/b")
        self.assertEqual(plugin.told, [STORED, STORED])
        self.assertEqual(self.logged, [f"{ENDED} could not be told"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class JudgingTests(AnnouncerTestCase):
    """Events on whose outcome the answer depends."""

    def judge(self, *plugins: RecordingPlugin) -> Deferred[None]:
        """Ask."""
        return Deferred.fromCoroutine(self.make(*plugins).judge(stored()))

    def test_agreed(self) -> None:
        plugins = [RecordingPlugin(), RecordingPlugin()]
        self.successResultOf(self.judge(*plugins))
        self.assertEqual([plugin.told for plugin in plugins], [[STORED], [STORED]])

    def test_refused(self) -> None:
        """The first that does not agree decides."""
        plugins = [RecordingPlugin(DIMSEError(0xA702, "no")), RecordingPlugin()]
        error = self.failureResultOf(self.judge(*plugins), DIMSEError).value
        self.assertEqual((error.status, plugins[1].told), (0xA702, []))
        self.failureResultOf(self.judge(RecordingPlugin(ZeroDivisionError())), ZeroDivisionError)
        self.assertEqual(self.logged, [])

    def test_timeLimit(self) -> None:
        judging = self.judge(RecordingPlugin(Deferred))
        self.clock.advance(20)
        error = self.failureResultOf(judging, DIMSEError).value
        self.assertEqual((error.status, error.comment), (0xA700, "the recorder did not finish in 20 s"))

    def test_study(self) -> None:
        """When the sender has been told, the instance counts in its study, and is not told again."""
        plugin = RecordingPlugin()
        announcer = self.make(plugin)
        announcer.studies.began(STUDY)
        self.successResultOf(Deferred.fromCoroutine(announcer.judge(stored())))
        self.clock.advance(100)
        announcer.judged(stored())
        self.clock.advance(10)
        self.assertEqual(plugin.told, [STORED, ENDED])


class StoppingTests(AnnouncerTestCase):
    """What becomes of it all in the end."""

    def test_nothing(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.make().stop(5)))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_studiesEnd(self) -> None:
        """The studies that are open end, and all is told that there is to tell."""
        results = waiting(2)
        plugin = RecordingPlugin(*(lambda result=result: result for result in results))
        announcer = self.make(plugin)
        self.store(announcer, "/in/a")
        stopping = Deferred.fromCoroutine(announcer.stop(5))
        self.assertEqual(plugin.told, [STORED, ENDED])
        for result in results:
            self.assertNoResult(stopping)
            result.callback(None)
        self.successResultOf(stopping)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_givenUp(self) -> None:
        """What is not told in time is logged, each event of it, and no other plugin begins with it."""
        cancelled: list[Any] = []
        plugins = [RecordingPlugin(lambda: Deferred(cancelled.append)), RecordingPlugin()]
        announcer = self.make(*plugins, atOnce=1)
        self.store(announcer, "/in/a", "/in/b")
        stopping = Deferred.fromCoroutine(announcer.stop(5))
        self.clock.advance(5)
        self.successResultOf(stopping)
        self.assertEqual((len(cancelled), plugins[0].told, plugins[1].told), (1, [STORED], []))
        expected = [f"{STORED}: given up, for the receiver stops"] * 2
        self.assertEqual(self.logged, [*expected, f"{ENDED}: given up, for the receiver stops"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_judgingGivenUp(self) -> None:
        announcer = self.make(RecordingPlugin(Deferred))
        judging = Deferred.fromCoroutine(announcer.judge(stored()))
        announcer.abandon()
        self.failureResultOf(judging, CancelledError)
