"""
Tests of `txdicom.storescp.hooks.turns`: so many at a time, in order, with a bound that nobody loses by.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.hooking import waiting
from txdicom.storescp.hooks.turns import Turns


class TurnsTests(SynchronousTestCase):
    """Two at a time, and room for three that wait."""

    def setUp(self) -> None:
        self.turns = Turns(2, 3)
        self.began: list[int] = []

    def job(self, number: int, result: Any = None) -> Callable[[], Coroutine[Deferred[Any], Any, Any]]:
        """Make a job that notes that it has begun, and waits for its result."""

        async def do() -> Any:
            self.began.append(number)
            return await result if isinstance(result, Deferred) else result

        return do

    def test_atOnce(self) -> None:
        """The third waits for one of the first two, and the order is kept."""
        results = waiting(4)
        outcomes = [self.turns.add(self.job(number, result)) for number, result in enumerate(results)]
        self.assertEqual(self.began, [0, 1])
        results[1].callback("one")
        self.assertEqual(self.began, [0, 1, 2])
        self.assertEqual(self.successResultOf(outcomes[1]), "one")
        for number in (0, 2, 3):
            results[number].callback(None)
        self.assertEqual(self.began, [0, 1, 2, 3])

    def test_failure(self) -> None:
        """One that fails makes room as well, and its failure is its outcome."""
        results = waiting(3)
        outcomes = [self.turns.add(self.job(number, result)) for number, result in enumerate(results)]
        results[0].errback(ZeroDivisionError())
        self.failureResultOf(outcomes[0], ZeroDivisionError)
        self.assertEqual(self.began, [0, 1, 2])

    def test_deep(self) -> None:
        """However many wait for one that is slow, they are not nested when it ends."""
        results = waiting(2)
        for number, result in enumerate(results):
            self.turns.add(self.job(number, result))
        outcomes = [self.turns.add(self.job(number)) for number in range(2, 10000)]
        results[0].callback(None)
        self.assertEqual(self.began, list(range(10000)))
        for outcome in outcomes:
            self.successResultOf(outcome)

    def test_room(self) -> None:
        """With so many waiting there is no room; there is when one of them has its turn."""
        results = waiting(6)
        for number, result in enumerate(results[:5]):
            self.assertFalse(self.turns.isFull)
            self.successResultOf(self.turns.room())
            self.turns.add(self.job(number, result))
        self.assertTrue(self.turns.isFull)
        rooms = [self.turns.room(), self.turns.room()]
        rooms[1].cancel()
        self.failureResultOf(rooms[1], CancelledError)
        self.assertNoResult(rooms[0])
        results[0].callback(None)
        self.successResultOf(rooms[0])

    def test_whenIdle(self) -> None:
        self.successResultOf(self.turns.whenIdle())
        results = waiting(3)
        for number, result in enumerate(results):
            self.turns.add(self.job(number, result))
        idle = [self.turns.whenIdle(), self.turns.whenIdle()]
        for result in results:
            self.assertNoResult(idle[0])
            result.callback(None)
        for each in idle:
            self.successResultOf(each)

    def test_abandon(self) -> None:
        """What is being done is cancelled, what waits fails, and nothing is left."""
        cancelled: list[str] = []
        results: list[Deferred[Any]] = [Deferred(lambda _: cancelled.append("a")), Deferred()]
        outcomes = [self.turns.add(self.job(number, result)) for number, result in enumerate(results)]
        outcomes.append(self.turns.add(self.job(2)))
        idle = self.turns.whenIdle()
        self.turns.abandon()
        for outcome in outcomes:
            self.failureResultOf(outcome, CancelledError)
        self.assertEqual((cancelled, self.began), (["a"], [0, 1]))
        self.successResultOf(idle)
