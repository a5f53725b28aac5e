"""All workers, as the parent sees them: `Crew` starts them, replaces those that end, and stops them."""

from __future__ import annotations

import json
import os
import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import LogEvent, Logger, globalLogPublisher

from txdicom.storescp.workers.board import Board, Field, Part, roomForPeers
from txdicom.storescp.workers.channel import Answers
from txdicom.storescp.workers.run import Run, Spawn

__all__ = ["Crew", "Order"]

#: A worker that has lived for so many seconds is replaced at once; otherwise the pause begins with the shorter of
#: these, and doubles up to the longer.
_LONG_LIFE = 10.0
_SHORTEST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
#: After so many seconds beyond the grace period a worker that does not end is killed.
_PATIENCE = 30.0
#: A worker that has not said for so many seconds that it has time gets connections only if no other has.
_LONGEST_SILENCE = 5.0
_log = Logger("storescp")


@dataclass(frozen=True)
class Order:
    """
    What a worker is for: it is told by its parent, in JSON.

    :ivar number: which worker it is, from 1.
    :ivar workers: how many there are.
    :ivar peers: how many peers there is room for on the board.
    :ivar directory: where the command line was given, for it may have names that are relative to it.
    :ivar arguments: the command line of storescp.
    """

    number: int
    workers: int
    peers: int
    directory: str
    arguments: Sequence[str]


class Crew:
    """
    Some workers.

    :param spawn: starts a process.
    :param options: the options of storescp, parsed and checked; they say how many workers there are.
    :param directory: where the command line was given.
    :param arguments: the command line.
    :param answers: gives who answers a worker's questions.
    :param opened: told whether there is a worker to hand connections to, whenever that changes.
    """

    def __init__(
        self,
        reactor: Any,
        spawn: Spawn,
        options: Mapping[str, Any],
        directory: str,
        arguments: Sequence[str],
        answers: Answers,
        opened: Callable[[bool], None],
        publish: Callable[[LogEvent], None] = globalLogPublisher,
    ) -> None:
        self._reactor = reactor
        self._spawn = spawn
        self._answers = answers
        self._opened = opened
        self._publish = publish
        self._isStopping = False
        self._stopped: list[Deferred[None]] = []
        self._killing: IDelayedCall | None = None
        self._done: Counter[Field] = Counter()
        self._replaced = 0
        self._turn = 0
        size = options["workers"]
        peers = roomForPeers(options["max-associations"], options["max-associations-per-peer"])
        self._descriptor = Board.create(size, peers)
        board = Board(self._descriptor, size, peers)
        self._workers = [
            _Worker(Order(index + 1, size, peers, directory, arguments), board.part(index)) for index in range(size)
        ]

    def start(self) -> None:
        """Start all workers."""
        for number in range(1, len(self._workers) + 1):
            self._start(number)

    def give(self, endpoint: int, connection: socket.socket) -> bool:
        """
        Hand a connection to the worker that has the fewest.

        :param endpoint: the number of the endpoint that it came by.
        :return: whether that worked. It does not if all are gone, or each has left some hundreds waiting.
        """
        now = self._reactor.seconds()
        for worker in sorted(self._workers, key=lambda worker: worker.burden(now)):
            if worker.give(endpoint, connection):
                self._turn = worker.lastTurn = self._turn + 1
                return True
        return False

    def stop(self, grace: float) -> Deferred[None]:
        """
        Stop all workers.

        :param grace: how many seconds they give their messages to finish; some time later they are killed.
        :return: fires when all have ended.
        """
        stopped: Deferred[None] = Deferred()
        self._stopped.append(stopped)
        if not self._isStopping:
            self._isStopping = True
            self._killing = self._reactor.callLater(grace + _PATIENCE, self._kill)
            for worker in self._workers:
                if worker.pause is not None:
                    worker.pause.cancel()
                    worker.pause = None
            for run in self._runs():
                run.stop()
        self._endStopping()
        return stopped

    def hurry(self) -> None:
        """Have all workers abort what is still there."""
        for run in self._runs():
            run.hurry()

    def reload(self) -> None:
        """Have all workers read again what can be."""
        for run in self._runs():
            run.reload()

    def counted(self) -> Counter[Field]:
        """Add up what all workers have done so far, those that are gone as well."""
        done = self._done.copy()
        for worker in self._workers:
            done.update({field: worker.part[field] for field in Field})
        return done

    def _runs(self) -> list[Run]:
        return [worker.run for worker in self._workers if worker.run is not None]

    def _start(self, number: int) -> None:
        worker = self._workers[number - 1]
        worker.pause = None
        worker.given = 0
        worker.run = run = Run(
            number, worker.order, self._descriptor, self._answers, self._publish, self._changed, self._ended
        )
        try:
            run.start(self._reactor, self._spawn)
        except OSError as error:
            run.close()
            self._ended(run, str(error))

    def _changed(self) -> None:
        serving = [run for run in self._runs() if run.isServing]
        # Somebody should be there to tell peers to come later for as long as another has something to finish.
        if any(not run.isLeaving for run in serving) or all(run.finishing for run in serving):
            for run in serving:
                if run.finishing:
                    run.gone()
        self._opened(any(run.isServing for run in serving))

    def _ended(self, run: Run, why: str) -> None:
        worker = self._workers[run.number - 1]
        worker.run = None
        self._done.update({field: worker.part[field] for field in Field})
        worker.part.clear()
        if self._isStopping:
            self._endStopping()
            return
        self._replaced += 1
        seconds = worker.nextPause(self._reactor.seconds() - run.began)
        _log.error(
            "worker {number} has ended ({why}); another takes its place in {seconds} s",
            number=run.number,
            why=why,
            seconds=seconds,
        )
        worker.pause = self._reactor.callLater(seconds, partial(self._start, run.number))

    def _kill(self) -> None:
        for run in self._runs():
            _log.error("worker {number} does not stop and is killed", number=run.number)
            run.kill()

    def _endStopping(self) -> None:
        if self._runs():
            return
        if self._killing is not None:
            done = self.counted()
            _log.info(
                "{workers} workers have stopped: {associations} associations, {stored} instances stored,"
                " {failed} not stored, {replaced} workers replaced",
                workers=len(self._workers),
                associations=done[Field.ASSOCIATIONS],
                stored=done[Field.STORED],
                failed=done[Field.FAILED],
                replaced=self._replaced,
            )
            if self._killing.active():
                self._killing.cancel()
            self._killing = None
            os.close(self._descriptor)
        stopped, self._stopped = self._stopped, []
        for waiting in stopped:
            waiting.callback(None)


class _Worker:
    """
    One of the workers, run after run.

    :ivar run: its process; None while there is none.
    :ivar pause: what starts the next one.
    :ivar given: how many connections were handed to it in this run.
    :ivar lastTurn: grows with every connection that any worker is given.
    """

    def __init__(self, order: Order, part: Part) -> None:
        self.order = json.dumps(asdict(order)).encode("ascii")
        self.part = part
        self.run: Run | None = None
        self.pause: IDelayedCall | None = None
        self.given = 0
        self.lastTurn = 0
        self._pause = 0.0

    def burden(self, now: float) -> tuple[bool, bool, int, int]:
        """Tell what speaks against handing a connection to it, the weightiest first."""
        isLeaving = self.run is not None and self.run.isLeaving
        isSilent = now - self.part[Field.BEAT] > _LONGEST_SILENCE
        return isLeaving, isSilent, self.given - self.part[Field.ENDED], self.lastTurn

    def give(self, endpoint: int, connection: socket.socket) -> bool:
        """Hand a connection to it; return whether it can be."""
        run = self.run
        if run is None or not run.isServing or run.handover is None or not run.handover.give(endpoint, connection):
            return False
        self.given += 1
        return True

    def nextPause(self, lived: float) -> float:
        """
        Tell how long to wait until the next process is started.

        :param lived: how many seconds there was one.
        """
        if lived >= _LONG_LIFE:
            self._pause = 0.0
        else:
            self._pause = min(max(2 * self._pause, _SHORTEST_PAUSE), _LONGEST_PAUSE)
        return self._pause
