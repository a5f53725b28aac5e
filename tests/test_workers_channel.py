"""Tests of `txdicom.storescp.workers.channel`: what a parent and a worker say to each other."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.protocols.amp import TooLong
from twisted.test.iosim import connectedServerAndClient
from twisted.trial.unittest import SynchronousTestCase

from txdicom.storescp.workers.channel import Answers, NoAnswerError, ParentEnd, WorkerEnd


class FakeRun:
    """Remembers what the worker has told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.finished: Deferred[None] = Deferred()

    def ready(self) -> None:
        """The worker serves."""
        self.told.append("ready")

    def leave(self) -> None:
        """It stops."""
        self.told.append("leave")

    def finish(self) -> Deferred[None]:
        """It has finished."""
        self.told.append("finish")
        return self.finished

    def gone(self) -> None:
        """It is gone."""
        self.told.append("gone")


class Channel:
    """
    Both ends of a channel, connected in memory.

    :param answers: gives who answers the worker's questions.
    :ivar run: remembers what the worker has told.
    :ivar heard: what the worker was told.
    """

    def __init__(self, answers: Answers) -> None:
        self.run = FakeRun()
        self.heard: list[str] = []
        self.worker, self.parent, self.pump = connectedServerAndClient(
            lambda: ParentEnd(self.run, answers),  # type: ignore[arg-type]
            lambda: WorkerEnd(lambda: self.heard.append("stop"), lambda: self.heard.append("hurry")),
        )


class ChannelTests(SynchronousTestCase):
    """Both ends, connected in memory."""

    def setUp(self) -> None:
        """Connect them."""
        self.answers: dict[str, Any] = {}
        channel = Channel(lambda _: self.answers)
        self.run_, self.heard = channel.run, channel.heard
        self.worker, self.parent, self.pump = channel.worker, channel.parent, channel.pump

    def ask(self, subject: str, question: Any) -> Deferred[Any]:
        """Ask the parent."""
        asking = Deferred.fromCoroutine(self.worker.ask(subject, question))
        self.pump.flush()
        return asking

    def test_worker(self) -> None:
        """What the worker tells is heard in order, and the end of its work is answered when there is an answer."""
        telling = [self.worker.ready(), self.worker.leave(), self.worker.finish()]
        self.pump.flush()
        self.assertEqual(self.run_.told, ["ready", "leave", "finish"])
        self.successResultOf(telling[0])
        self.assertNoResult(telling[2])
        self.run_.finished.callback(None)
        self.pump.flush()
        self.successResultOf(telling[2])

    def test_parent(self) -> None:
        """The worker is told to stop, and to hurry."""
        self.parent.stop()
        self.parent.hurry()
        self.pump.flush()
        self.assertEqual(self.heard, ["stop", "hurry"])

    def test_questions(self) -> None:
        """They are answered with whatever JSON can hold: at once, later, or by a coroutine."""

        async def slow(question: Any) -> Any:
            return await later

        later: Deferred[Any] = Deferred()
        self.answers.update(double=lambda question: 2 * question, slow=slow)
        self.assertEqual(self.successResultOf(self.ask("double", 21)), 42)
        self.assertEqual(self.successResultOf(self.ask("double", ["Grün", None])), ["Grün", None] * 2)
        waiting = self.ask("slow", {})
        self.assertNoResult(waiting)
        later.callback({"so": [1.5, True]})
        self.pump.flush()
        self.assertEqual(self.successResultOf(waiting), {"so": [1.5, True]})

    def test_noAnswer(self) -> None:
        """That there is none is told to the worker, and why to the log; the next question is answered."""
        self.answers.update(fails=lambda question: 1 // question, double=lambda question: 2 * question)
        self.failureResultOf(self.ask("fails", 0), NoAnswerError)
        self.failureResultOf(self.ask("nobody", 0), NoAnswerError)
        self.assertEqual([type(error.value) for error in self.flushLoggedErrors()], [ZeroDivisionError, KeyError])
        self.failureResultOf(self.ask("double", "x" * 65536), TooLong)
        self.assertEqual(self.successResultOf(self.ask("double", 1)), 2)

    def test_news(self) -> None:
        """The worker hears what it listens for, and the parent what becomes of the worker."""
        news: list[Any] = []
        lost: list[str] = []
        self.worker.hear("forget X", news.append)
        self.parent.whenLost.append(lambda: lost.append("lost"))
        self.parent.tell("forget X", "1.2.3")
        self.parent.tell("forget", "1.2.4")
        self.pump.flush()
        self.assertEqual((news, lost), (["1.2.3"], []))
        self.parent.close()
        self.pump.flush()
        self.assertEqual(lost, ["lost"])
        self.parent.tell("forget X", "1.2.3")

    def test_answeredTooLate(self) -> None:
        """An answer to a worker that is gone is nothing to complain of."""
        later: Deferred[Any] = Deferred()
        self.answers["slow"] = lambda question: later
        asking = self.ask("slow", 1)
        self.parent.close()
        self.pump.flush()
        later.callback(1)
        self.failureResultOf(asking)

    def test_parentGone(self) -> None:
        """The worker stops by itself; whatever it asks from then on fails."""
        asking = self.worker.finish()
        self.pump.flush()
        self.parent.close()
        self.pump.flush()
        self.assertEqual(self.heard, ["stop"])
        self.failureResultOf(asking, ConnectionDone)
        self.failureResultOf(self.ask("double", 1), ConnectionDone)
        self.assertEqual(self.run_.told, ["finish", "gone"])
        # Nobody is there to be told, and that is all right.
        self.parent.stop()
        self.parent.hurry()
        self.parent.close()

    def test_neverConnected(self) -> None:
        """A process that could not be started is told nothing."""
        end = ParentEnd(FakeRun(), lambda _: {})  # type: ignore[arg-type]
        end.stop()
        end.close()
