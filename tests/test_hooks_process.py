"""
Tests of `txdicom.storescp.hooks.process` and `command`: commands as processes, played by the test.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import json
import signal
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IProcessTransport
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.hooking import FakeProcess, ProcessClock, ended, stored
from txdicom.errors import DIMSEError
from txdicom.storescp.hooks import process
from txdicom.storescp.hooks.command import CommandPlugin
from txdicom.storescp.hooks.commandline import CommandLine
from txdicom.storescp.hooks.process import LONGEST_OUTPUT, run


class ProcessTestCase(SynchronousTestCase):
    """Processes that the test plays, and what is logged of them."""

    def setUp(self) -> None:
        self.clock = ProcessClock()
        self.patch(process, "_SETSID", None)
        self.logged: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(self.logged.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.logged.append)

    @property
    def process(self) -> FakeProcess:
        """The one that was started last."""
        return self.clock.processes[-1]

    def told(self) -> list[str]:
        """Return what has been logged."""
        return [event["log_format"].format(**event) for event in self.logged if event["log_level"] > LogLevel.debug]

    def debugged(self) -> list[str]:
        """Return what has been logged for --debug."""
        return [event["log_format"].format(**event) for event in self.logged if event["log_level"] is LogLevel.debug]


class RunTests(ProcessTestCase):
    """One process."""

    def start(self, *arguments: bytes) -> Deferred[int]:
        """Run one."""
        return run(self.clock, (b"/bin/true", *arguments), b"input")

    def test_ends(self) -> None:
        """It gets its input, and its status is the result; both are logged."""
        running = self.start(b"a b", b"c")
        self.assertTrue(verifyObject(IProcessTransport, self.process))
        self.assertEqual((self.process.arguments, self.process.input), (["/bin/true", "a b", "c"], b"input"))
        self.assertNoResult(running)
        self.clock.advance(1.5)
        self.process.exit()
        self.assertEqual(self.successResultOf(running), 0)
        self.assertEqual(self.told(), ["/bin/true ended with status 0 after 1.5 s"])
        self.assertEqual(self.debugged(), ["running /bin/true 'a b' c"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_status(self) -> None:
        running = self.start()
        self.process.exit(3)
        self.assertEqual(self.successResultOf(running), 3)
        running = self.start()
        self.process.exit(signal=signal.SIGSEGV)
        self.assertEqual(self.successResultOf(running), -signal.SIGSEGV)
        running = self.start()
        self.process.exit(signal=signal.SIGRTMIN + 6)
        self.assertEqual(self.successResultOf(running), -signal.SIGRTMIN - 6)
        self.assertEqual(
            self.told(),
            [
                "/bin/true ended with status 3 after 0.0 s",
                "/bin/true was ended by SIGSEGV after 0.0 s",
                f"/bin/true was ended by signal {signal.SIGRTMIN + 6} after 0.0 s",
            ],
        )

    def test_output(self) -> None:
        """What it prints is logged line by line, and cannot pass for lines of ours or reach a terminal."""
        self.start()
        self.process.protocol.childDataReceived(1, b"one\ntw")
        self.process.protocol.childDataReceived(2, b"o\r\n\x1b[2J\xff")
        self.process.exit()
        self.assertEqual(
            self.told()[0].split("\n")[1:], ["    one", "    two", "    \\x1b[2J\N{REPLACEMENT CHARACTER}"]
        )

    def test_muchOutput(self) -> None:
        """Only so much of it is kept."""
        self.start()
        for _ in range(3):
            self.process.protocol.childDataReceived(1, b"x" * 99 + b"\n" + b"x" * (LONGEST_OUTPUT // 2))
        self.process.exit()
        lines = self.told()[0].split("\n")
        self.assertEqual(lines[-1], f"    ... {3 * (100 + LONGEST_OUTPUT // 2) - LONGEST_OUTPUT} more bytes")
        self.assertLess(len(self.told()[0]), 2 * LONGEST_OUTPUT)

    def test_leavesSomethingRunning(self) -> None:
        """Pipes that something in the background holds are closed after a moment."""
        running = self.start()
        self.process.exit(closed=False)
        self.assertNoResult(running)
        self.clock.advance(1)
        self.assertEqual(self.successResultOf(running), 0)
        self.assertFalse(self.process.connected)

    def test_cancelled(self) -> None:
        """All of its group is killed."""
        killed: list[tuple[int, int]] = []
        self.patch(process.os, "killpg", lambda *arguments: killed.append(arguments))
        running = self.start()
        pid = self.process.pid
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.assertEqual(killed, [(pid, signal.SIGKILL)])
        self.process.exit(signal=signal.SIGKILL)
        self.assertEqual(self.told(), ["/bin/true was ended by SIGKILL after 0.0 s"])

    def test_cancelledWithoutGroup(self) -> None:
        """Where there is no group, it is killed by itself."""
        running = self.start()
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.assertEqual(self.process.signals, ["KILL"])

    def test_cancelledWhenOver(self) -> None:
        """One that has ended already is not killed, nor whoever has its number now."""
        self.patch(process.os, "killpg", lambda *_: self.fail("killed"))
        running = self.start()
        self.process.exit(closed=False)
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.clock.advance(1)
        self.assertEqual(self.process.signals, [])

    def test_session(self) -> None:
        """It leads a process group, where the system has a program to make it; the log does not have that."""
        self.patch(process, "_SETSID", "/bin/setsid")
        self.start(b"a")
        self.assertEqual(self.process.arguments, ["/bin/setsid", "/bin/true", "a"])
        self.process.exit()
        self.assertEqual(self.told(), ["/bin/true ended with status 0 after 0.0 s"])
        self.assertEqual(self.debugged(), ["running /bin/true a"])

    def test_cannotRun(self) -> None:
        self.clock.failure = OSError(12, "Cannot allocate memory")
        self.failureResultOf(self.start(), OSError)
        self.assertEqual(self.told(), ["/bin/true cannot be run: [Errno 12] Cannot allocate memory"])

    def test_name(self) -> None:
        """What is logged of a command has no line ends that a peer chose, and a bound."""
        self.start(b"a\nb", b"x" * 5000)
        self.process.exit()
        self.assertTrue(self.debugged()[0].startswith("running /bin/true 'a\\nb' xxx"))
        self.assertLess(len(self.debugged()[0]), 1200)


class CommandPluginTests(ProcessTestCase):
    """The two options."""

    def setUp(self) -> None:
        super().setUp()
        onReception, onEndOfStudy = (
            CommandLine.parse("echo #p/#f #a #c #r", "pfacr"),
            CommandLine.parse("echo end #p #a", "pacr"),
        )
        self.plugin = CommandPlugin(self.clock, onReception, onEndOfStudy)

    def test_reception(self) -> None:
        event = stored("/in/CT.1")
        telling = Deferred.fromCoroutine(self.plugin.instanceStored(event))
        self.assertEqual(self.process.arguments[1:], ["/in/CT.1", "CALLING", "CALLED", "10.0.0.1"])
        self.assertEqual(json.loads(self.process.input or b""), json.loads(json.dumps(event.describe())))
        self.process.exit()
        self.successResultOf(telling)

    def test_study(self) -> None:
        event = ended("/in/CT.1")
        telling = Deferred.fromCoroutine(self.plugin.studyEnded(event))
        self.assertEqual(self.process.arguments[1:], ["end", "/in", "CALLING"])
        self.assertEqual(json.loads(self.process.input or b""), json.loads(json.dumps(event.describe())))
        self.process.exit()
        self.successResultOf(telling)

    def test_fails(self) -> None:
        telling = Deferred.fromCoroutine(self.plugin.instanceStored(stored()))
        self.process.exit(3)
        error = self.failureResultOf(telling, DIMSEError).value
        self.assertEqual((error.status, error.comment), (0xA700, "the command failed with status 3"))

    def test_cannotRun(self) -> None:
        self.clock.failure = OSError(12, "Cannot allocate memory")
        telling = Deferred.fromCoroutine(self.plugin.studyEnded(ended()))
        error = self.failureResultOf(telling, DIMSEError).value
        self.assertEqual((error.status, error.comment), (0xA700, "the command cannot be run: Cannot allocate memory"))

    def test_oneOnly(self) -> None:
        """Without a command for it, an event is nothing."""
        plugin = CommandPlugin(self.clock)
        self.successResultOf(Deferred.fromCoroutine(plugin.instanceStored(stored())))
        self.successResultOf(Deferred.fromCoroutine(plugin.studyEnded(ended())))
        self.assertEqual(self.clock.processes, [])
