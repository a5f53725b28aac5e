"""Tests of how a parent starts, replaces and stops its workers: `txdicom.storescp.workers.crew` and `.run`."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.testing import StringTransport
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.python.failure import Failure

from tests.test_workers_connections import ConnectionsTestCase
from txdicom.storescp.workers.board import Board, Field
from txdicom.storescp.workers.crew import Crew, Order
from txdicom.storescp.workers.run import BOARD, CHANNEL, CONNECTIONS, Run

OPTIONS = {"workers": 2, "max-associations": 10, "max-associations-per-peer": 0, "aetitle": "STORESCP"}


class FakeProcess:
    """A process that does nothing: its transport, and what was started."""

    def __init__(self, run: Run, number: int, descriptors: Mapping[int, Any]) -> None:
        self.run = run
        self.number = number
        self.descriptors = dict(descriptors)
        self.pid: int | None = 1000
        self.written = b""
        self.closed: list[int] = []
        self.signals: list[str] = []
        # What the process itself would have.
        self.connections = socket.socket(fileno=socket.dup(descriptors[CONNECTIONS]))

    def write(self, data: bytes) -> None:
        """Take what is written to standard input."""
        self.written += data

    def closeChildFD(self, number: int) -> None:
        """Take that it is closed."""
        self.closed.append(number)

    def signalProcess(self, name: str) -> None:
        """Take a signal."""
        self.signals.append(name)

    def end(self, signalNumber: int | None = None, status: int | None = None) -> None:
        """End."""
        self.connections.close()
        self.pid = None
        error: Any = ProcessDone(0) if not (signalNumber or status) else ProcessTerminated(status, signalNumber, 0)
        self.run.processExited(Failure(error))


class CrewTestCase(ConnectionsTestCase):
    """Has a crew of processes that do nothing."""

    def setUp(self) -> None:
        """Make the crew."""
        super().setUp()
        self.processes: list[FakeProcess] = []
        self.opened: list[bool] = []
        self.published: list[LogEvent] = []
        self.told: list[tuple[int, str]] = []
        self.spawnError: OSError | None = None
        self.lines: list[str] = []
        observer: Any = lambda event: self.lines.append(formatEvent(event))  # noqa: E731
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.addCleanup(self.close)
        self.crew = Crew(
            self.reactor,
            self.spawn,
            OPTIONS,
            "/home",
            ["-v", "104", "\udcff"],
            lambda _: {},
            self.opened.append,
            self.published.append,
        )

    def close(self) -> None:
        """Close the board, unless the crew has."""
        if self.crew._isStopping and not self.crew._runs():
            return
        os.close(self.crew._descriptor)

    def spawn(self, protocol: ProcessProtocol, number: int, descriptors: Mapping[int, Any]) -> None:
        """Start a process."""
        if self.spawnError is not None:
            raise self.spawnError
        assert isinstance(protocol, Run)
        process: Any = FakeProcess(protocol, number, descriptors)
        self.patch(protocol, "stop", lambda: self.told.append((number, "stop")))
        self.patch(protocol, "hurry", lambda: self.told.append((number, "hurry")))
        self.processes.append(process)
        self.addCleanup(process.connections.close)
        self.addCleanup(process.run.close)
        protocol.makeConnection(process)

    def begin(self) -> list[FakeProcess]:
        """Start the crew; all are ready."""
        self.crew.start()
        for process in self.processes:
            process.run.ready()
        return self.processes

    def give(self, count: int = 1) -> list[int]:
        """Give connections away, and return how many each of the workers that are alive has been given."""
        for _ in range(count):
            _, ours = self.pair()
            self.crew.give(0, ours)
        return [self.taken(process) for process in self.processes if process.pid]

    def taken(self, process: FakeProcess) -> int:
        """Take all connections that were handed to a process, and count them."""
        process.connections.setblocking(False)
        count = 0
        try:
            while socket.recv_fds(process.connections, 1, 0)[0]:
                count += 1
        except BlockingIOError:
            return count
        return count


class StartingTests(CrewTestCase):
    """Processes that are started, and started again."""

    def test_starts(self) -> None:
        """Each is told who it is and what the options are, and has its descriptors."""
        self.crew.start()
        for index, process in enumerate(self.processes):
            order = Order(**json.loads(process.written))
            self.assertEqual(order, Order(index + 1, 2, 0, "/home", ["-v", "104", "\udcff"]))
            self.assertEqual(process.closed, [0])
            self.assertEqual(sorted(process.descriptors), [0, 1, 2, CHANNEL, CONNECTIONS, BOARD])
        channels = [factory.protocol() for _, factory, _ in self.reactor.adopted]
        self.assertEqual(channels, [process.run._channel for process in self.processes])

    def test_lastWords(self) -> None:
        """What a process told before it ended is heard after that, too; but it is ready for nothing any more."""
        (first, _) = self.begin()
        channel = self.reactor.adopted[0][1].protocol()
        channel.makeConnection(StringTransport())
        first.end(status=1)
        self.assertFalse(channel.transport.disconnecting)
        first.run.ready()
        self.assertFalse(first.run.isServing)
        finished = first.run.finish()
        channel.connectionLost()
        self.successResultOf(finished)

    def test_output(self) -> None:
        """What a process writes is logged, the last line as well if it is cut off."""
        (first, _) = self.begin()
        first.run.childDataReceived(1, b'["info", "storescp#info", 1.5, "text", null, null]\nhal')
        first.run.childDataReceived(2, b"Complaint\nwor")
        first.end(status=1)
        self.assertEqual([event["text"] for event in self.published], ["text", "Complaint", "hal", "wor"])

    def test_replaced(self) -> None:
        """One that ends is replaced: at once if it has lived, and else after a pause that grows up to a bound."""
        for lived, pause in ((100.0, 0.0), (9.0, 0.5), (0.0, 1.0), (0.0, 2.0), (10.0, 0.0), (1.0, 0.5)):
            if not self.processes:
                self.begin()
            process = self.processes[-1]
            self.reactor.advance(lived)
            process.end(signalNumber=9)
            self.assertIn(
                f"worker {process.number} has ended (signal 9); another takes its place in {pause} s", self.lines
            )
            count = len(self.processes)
            if pause:
                self.reactor.advance(pause - 0.25)
                self.assertEqual(len(self.processes), count)
            self.reactor.advance(0.25)
            self.assertEqual((len(self.processes), self.processes[-1].number), (count + 1, process.number))
        for _ in range(10):
            self.processes[-1].end(status=1)
            self.reactor.advance(30)
        self.processes[-1].end(status=1)
        self.assertIn("worker 2 has ended (exit status 1); another takes its place in 30.0 s", self.lines)

    def test_cannotBeStarted(self) -> None:
        """If the system has no room for a process, it is tried again."""
        self.spawnError = OSError(errno.EAGAIN, "Resource temporarily unavailable")
        self.crew.start()
        self.assertEqual(self.processes, [])
        self.assertTrue(any("Resource temporarily unavailable" in line for line in self.lines), self.lines)
        self.spawnError = None
        self.reactor.advance(0.5)
        self.assertEqual([process.number for process in self.processes], [1, 2])


class GivingTests(CrewTestCase):
    """Who gets a connection."""

    def test_evenly(self) -> None:
        """Who has the fewest; in turn, if all have the same."""
        self.begin()
        self.assertEqual(self.give(4), [2, 2])
        part = Board(self.crew._descriptor, 2).part(1)
        part[Field.ENDED] += 2
        self.assertEqual(self.give(2), [0, 2])
        part[Field.ENDED] += 2
        Board(self.crew._descriptor, 2).part(0)[Field.ENDED] += 2
        self.assertEqual([self.give(), self.give()], [[1, 0], [0, 1]])

    def test_onlyWhoServes(self) -> None:
        """Nobody gets anything before it is ready or after it is gone; if nobody is there, connections wait."""
        self.crew.start()
        self.assertEqual(self.opened, [])
        first, second = self.processes
        second.run.ready()
        self.assertEqual(self.give(3), [0, 3])
        first.run.ready()
        second.end()
        self.assertEqual(self.give(3), [3])
        first.run.gone()
        first.run.gone()
        self.assertEqual(self.opened, [True, True, True, False])
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self.assertFalse(self.crew.give(0, ours))

    def test_deadButNotBuried(self) -> None:
        """A connection that one cannot be handed goes to another."""
        first, second = self.begin()
        first.connections.close()
        first.pid = None
        self.assertEqual(self.give(4), [4])
        self.assertTrue(second.run.isServing and first.run.isServing)

    def test_silent(self) -> None:
        """One that has not had time for seconds gets a connection only if no other has either."""
        self.begin()
        board = Board(self.crew._descriptor, 2)
        self.reactor.advance(100)
        board.part(1)[Field.BEAT] = 100
        self.assertEqual(self.give(3), [0, 3])
        self.reactor.advance(10)
        self.assertEqual(self.give(3), [3, 0])

    def test_successor(self) -> None:
        """It begins with none, and what was counted before is not lost."""
        self.begin()
        self.give(4)
        part = Board(self.crew._descriptor, 2).part(1)
        part[Field.STORED] = 7
        self.processes[1].end(signalNumber=9)
        self.assertEqual(part[Field.STORED], 0)
        self.reactor.advance(1)
        self.processes[2].run.ready()
        self.assertEqual(self.give(2), [0, 2])
        part[Field.STORED] = 2
        self.assertEqual(self.crew.counted()[Field.STORED], 9)


class StoppingTests(CrewTestCase):
    """`Crew.stop` and `Crew.hurry`."""

    def stop(self) -> Deferred[None]:
        """Stop, with a grace period of five seconds."""
        return self.crew.stop(5.0)

    def test_stops(self) -> None:
        """All are told, waited for, and counted together; none is replaced."""
        first, second = self.begin()
        Board(self.crew._descriptor, 2).part(1)[Field.ASSOCIATIONS] = 3
        stopping = [self.stop(), self.stop()]
        self.assertEqual(self.told, [(1, "stop"), (2, "stop")])
        self.crew.hurry()
        self.assertEqual(self.told[2:], [(1, "hurry"), (2, "hurry")])
        second.end()
        self.assertNoResult(stopping[0])
        first.end(signalNumber=9)
        for each in (*stopping, self.stop()):
            self.successResultOf(each)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        summary = "2 workers have stopped: 3 associations, 0 instances stored, 0 not stored, 0 workers replaced"
        self.assertEqual(self.lines.count(summary), 1)

    def test_oneIsBeingReplaced(self) -> None:
        """It is not any more."""
        first, second = self.begin()
        second.end(signalNumber=9)
        stopping = self.stop()
        first.end()
        self.successResultOf(stopping)
        self.reactor.advance(100)
        self.assertEqual(len(self.processes), 2)

    def test_killed(self) -> None:
        """Who does not end, long after the grace period, is killed."""
        first, second = self.begin()
        stopping = self.stop()
        first.end()
        self.reactor.advance(34)
        self.assertEqual(second.signals, [])
        self.reactor.advance(1)
        self.assertEqual((first.signals, second.signals), ([], ["KILL"]))
        self.assertIn("worker 2 does not stop and is killed", self.lines)
        second.end(signalNumber=9)
        self.successResultOf(stopping)
        first.run.kill()
        self.assertEqual(first.signals, [])

    def test_lastOneRefuses(self) -> None:
        """As long as one has something to finish, somebody gets connections to refuse: all who are still there."""
        first, second = self.begin()
        first.run.leave()
        second.run.leave()
        finished = [first.run.finish()]
        self.assertNoResult(finished[0])
        self.assertEqual(self.give(4), [2, 2])
        self.assertTrue(self.opened[-1])
        finished.append(second.run.finish())
        self.assertFalse(self.opened[-1])
        for each in finished:
            self.successResultOf(each)

    def test_oneLeaves(self) -> None:
        """It gets no more connections, because others are there; it is let go at once."""
        first, _ = self.begin()
        first.run.leave()
        self.assertEqual(self.give(3), [0, 3])
        self.successResultOf(first.run.finish())
        self.assertTrue(self.opened[-1])
        first.end()
        self.assertIn("worker 1 has ended (exit status 0); another takes its place in 0.5 s", self.lines)

    def test_endsBeforeItIsLetGo(self) -> None:
        """Nobody waits for what is gone."""
        first, second = self.begin()
        for process in (first, second):
            process.run.leave()
        waiting = first.run.finish()
        second.end(signalNumber=9)
        self.successResultOf(waiting)
