"""
Waiting for the disk without holding up the reactor: `Disk`.

Theory of operation. As long as the disk is quick, what it is asked for is done on the spot: to hand it to a thread
would cost more than the work itself. A call that took long is the sign that the disk cannot follow. From then on
everything is done in threads, where only the association that asked waits for it, until the disk has been quick for
much longer than that call took. So the disk holds up the reactor for a small part of the time at most, and one that
stumbles now and then, as file systems do when they write their journal, costs threads for a moment only. What a call
took is measured where it is done: how long it waited for its thread tells nothing of the disk, and were it counted, a
receiver with much to do would not find back. What is known to take long, such as fsync(2), goes to a thread from the
start and says nothing of the rest, and so does everything where a call may never return.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, execute
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

__all__ = ["Disk"]

_T = TypeVar("_T")

#: A call that takes so many seconds is slow: others who wait for it meanwhile begin to notice.
SLOW = 0.05
#: A disk is quick again after so many times as long as its slow call took, if no other one was slow meanwhile: calls
#: hold up the reactor for one part in so many at most.
CALM = 20
#: But after so many seconds in any case: it may have been the whole process that was stopped.
LONGEST_CALM = 60.0


class Disk:
    """
    Decides where the disk is waited for: on the spot, or in a thread.

    Threads are begun when they are needed, so not before a program that becomes a daemon has forked.

    :param reactor: for its clock, and results of threads return to it; without one, everything is done on the spot.
    :param threads: how many calls wait at once at most.
    :ivar isSlow: whether everything is done in threads now.
    """

    def __init__(self, reactor: Any = None, threads: int = 32) -> None:
        self._reactor = reactor
        self._limit = threads
        self._pool: ThreadPool | None = None
        self._trigger: Any = None
        self._running = 0
        self._closing: list[Deferred[None]] = []
        self._seconds: Callable[[], float] = reactor.seconds if reactor is not None else float
        self.isSlow = False
        self._slowUntil = 0.0
        self._isTrusted = True

    def distrust(self) -> None:
        """Do everything in threads from now on."""
        self._isTrusted = False
        self.isSlow = self._reactor is not None

    def soon(self, function: Callable[..., _T], *arguments: object) -> _T | Deferred[_T]:
        """
        Call something that may have to wait for the disk.

        :return: its result, or a Deferred of it if the disk is slow now. What it raises is raised, or errs, likewise.
        """
        if self.isSlow:
            call = _Measured(self._seconds, function, arguments)
            return self.inThread(call).addBoth(self._judge, call)
        began = self._seconds()
        try:
            return function(*arguments)
        finally:
            took = self._seconds() - began
            if took >= SLOW:
                self._isNow(took)

    def inThread(self, function: Callable[..., _T], *arguments: object) -> Deferred[_T]:
        """Call something that takes long, however quick the disk is."""
        if self._reactor is None:
            return execute(function, *arguments)
        self._running += 1
        try:
            calling = deferToThreadPool(self._reactor, self._threads(), function, *arguments)
        except RuntimeError:
            # The system gives us no thread. Whatever the function is to do has to be done all the same.
            calling = execute(function, *arguments)
        result: Deferred[_T] = Deferred()
        calling.addBoth(self._returned, result)
        return result

    def close(self) -> Deferred[None]:
        """
        End the threads.

        Should the disk be needed afterwards, new ones are begun.

        :return: fires when everything is done that they have been asked for, and that has been asked for on its return.
        """
        closed: Deferred[None] = Deferred()
        self._closing.append(closed)
        self._closeIfIdle()
        return closed

    def _judge(self, outcome: _T, call: _Measured) -> _T:
        self._isNow(call.took)
        return outcome

    def _returned(self, outcome: Any | Failure, result: Deferred[Any]) -> None:
        result.callback(outcome)
        self._running -= 1
        self._closeIfIdle()

    def _closeIfIdle(self) -> None:
        if self._running or not self._closing:
            return
        if self._pool is not None:
            self._reactor.removeSystemEventTrigger(self._trigger)
            self._stop()
        closing, self._closing = self._closing, []
        for closed in closing:
            closed.callback(None)

    def _threads(self) -> ThreadPool:
        if self._pool is None:
            self._pool = ThreadPool(0, self._limit, "disk")
            self._pool.start()
            # Threads keep a process alive, and not everybody closes what they have opened.
            self._trigger = self._reactor.addSystemEventTrigger("after", "shutdown", self._stop)
        return self._pool

    def _stop(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            # One that the system did not let us start cannot be waited for.
            pool.threads = [thread for thread in pool.threads if thread.ident is not None]
            pool.stop()

    def _isNow(self, took: float) -> None:
        """Judge the disk by a call that took so many seconds."""
        now = self._seconds()
        if took >= SLOW:
            self.isSlow = True
            self._slowUntil = max(self._slowUntil, now + min(CALM * took, LONGEST_CALM))
        elif self.isSlow and now >= self._slowUntil:
            self.isSlow = not self._isTrusted


class _Measured:
    """
    A call that tells how long it took, without what it waited for its thread.

    :ivar took: seconds, once it has returned.
    """

    __slots__ = ("_arguments", "_function", "_seconds", "took")

    def __init__(
        self, seconds: Callable[[], float], function: Callable[..., Any], arguments: tuple[object, ...]
    ) -> None:
        self._seconds = seconds
        self._function = function
        self._arguments = arguments
        self.took = 0.0

    def __call__(self) -> Any:
        began = self._seconds()
        try:
            return self._function(*self._arguments)
        finally:
            self.took = self._seconds() - began
