"""Doing things in turn, so many at a time: `Turns`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

__all__ = ["Turns"]

_T = TypeVar("_T")
_Job = Callable[[], Coroutine[Deferred[Any], Any, Any]]


class Turns:
    """
    Does jobs in the order in which they come.

    :param atOnce: how many are done at a time.
    :param mostWaiting: with how many that wait for their turn there is no room for more. It is for those who add jobs
        to ask for it; what is added all the same is done as well.
    """

    def __init__(self, atOnce: int, mostWaiting: int) -> None:
        self._atOnce = atOnce
        self._mostWaiting = mostWaiting
        self._jobs: deque[tuple[_Job, Deferred[Any]]] = deque()
        self._running: set[Deferred[Any]] = set()
        self._heldUp: set[Deferred[None]] = set()
        self._idle: list[Deferred[None]] = []
        self._isStarting = False

    @property
    def isFull(self) -> bool:
        """Whether there is no room."""
        return len(self._jobs) >= self._mostWaiting

    def room(self) -> Deferred[None]:
        """Return what fires when there is room; it may be cancelled."""
        room: Deferred[None] = Deferred(self._heldUp.discard)
        self._heldUp.add(room)
        self._makeRoom()
        return room

    def add(self, job: Callable[[], Coroutine[Deferred[Any], Any, _T]]) -> Deferred[_T]:
        """
        Do a job when it is its turn.

        :return: its outcome.
        """
        outcome: Deferred[_T] = Deferred()
        self._jobs.append((job, outcome))
        self._start()
        return outcome

    def whenIdle(self) -> Deferred[None]:
        """Return what fires when there is nothing left to do."""
        idle: Deferred[None] = Deferred()
        self._idle.append(idle)
        self._start()
        return idle

    def abandon(self) -> None:
        """Cancel what is being done; what waits for its turn fails with `CancelledError` as well."""
        jobs, self._jobs = self._jobs, deque()
        for running in list(self._running):
            running.cancel()
        for _, outcome in jobs:
            outcome.errback(Failure(CancelledError()))
        self._start()

    def _start(self) -> None:
        # Not entered by jobs that are done at once: thousands of those would be nested.
        if self._isStarting:
            return
        self._isStarting = True
        while self._jobs and len(self._running) < self._atOnce:
            job, outcome = self._jobs.popleft()
            running = Deferred.fromCoroutine(job())
            self._running.add(running)
            running.addBoth(self._ended, running, outcome)
        self._isStarting = False
        self._makeRoom()
        if not self._jobs and not self._running:
            idle, self._idle = self._idle, []
            for waiting in idle:
                waiting.callback(None)

    def _ended(self, result: Any, running: Deferred[Any], outcome: Deferred[Any]) -> None:
        self._running.discard(running)
        outcome.callback(result)
        self._start()

    def _makeRoom(self) -> None:
        if self._heldUp and not self.isFull:
            heldUp, self._heldUp = self._heldUp, set()
            for room in heldUp:
                room.callback(None)
