"""Tests of `txdicom.storescp.log.output`: where the log goes under twistd, and how much of it."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import io
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.application.service import Application, IService, MultiService, Service
from twisted.logger import ILogObserver, Logger
from twisted.python.logfile import LogFile
from twisted.trial.unittest import SynchronousTestCase

from tests.receivers import ReceiverTestCase
from txdicom.storescp.log import output
from txdicom.storescp.log.output import LogError, LoggedService, makeLogObserver
from txdicom.storescp.service import StartError
from txdicom.storescp.tap import makeService


class _Opened:
    """Opens log files as `LogFile` does, and keeps them, so that they can be closed."""

    def __init__(self, opened: list[LogFile]) -> None:
        self._opened = opened

    def fromFullPath(self, name: str) -> LogFile:
        """Open one."""
        self._opened.append(LogFile.fromFullPath(name))
        return self._opened[-1]


class _Reactor:
    """Keeps what it is to call outside of signals."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], object]] = []

    def callFromThread(self, function: Callable[[], object]) -> None:
        """Keep it."""
        self.waiting.append(function)


class ObserverTests(SynchronousTestCase):
    """`makeLogObserver`."""

    def setUp(self) -> None:
        self.file = Path(self.mktemp())
        self.reactor = _Reactor()

    def observer(self, level: str = "warn", asJSON: bool = False, **twistd: Any) -> ILogObserver:
        """Make one that logs to a file."""
        options = {"nodaemon": True, "logfile": str(self.file), "logger": None, "syslog": False, **twistd}
        opened: list[LogFile] = []
        self.patch(output, "LogFile", _Opened(opened))
        observer = makeLogObserver(level, asJSON, options, self.reactor)
        assert observer is not None
        for file in opened:
            self.addCleanup(file.close)
        return observer

    def written(self, observer: Any) -> list[str]:
        """Log one event of each level; return the lines written."""
        log = Logger("storescp", observer=observer)
        for level in ("debug", "info", "warn", "error", "critical"):
            getattr(log, level)(f"this is {level}")
        return self.file.read_text().splitlines()

    def test_twistdsOwnWillDo(self) -> None:
        """Where text of all levels is wanted, nothing is changed, whoever runs the program."""
        for level in ("warn", "info", "debug", "trace"):
            for twistd in (None, {"nodaemon": True, "syslog": True}):
                self.assertIsNone(makeLogObserver(level, False, twistd, self.reactor))

    def test_levels(self) -> None:
        """Below the level nothing is written, of anybody."""
        for level, expected in (("error", ["error", "critical"]), ("fatal", ["critical"])):
            lines = self.written(self.observer(level))
            self.assertEqual([line.rpartition(" ")[2] for line in lines], expected)
            self.assertIn(f"[storescp#{expected[0]}] this is {expected[0]}", lines[0])
            self.file.unlink()

    def test_json(self) -> None:
        """JSON of all levels, or of those that are wanted."""
        lines = [json.loads(line) for line in self.written(self.observer(asJSON=True))]
        self.assertEqual([line["level"] for line in lines], ["debug", "info", "warn", "error", "critical"])
        self.file.unlink()
        (line,) = self.written(self.observer("fatal", asJSON=True))
        self.assertEqual(json.loads(line)["message"], "this is critical")

    def test_standardOutput(self) -> None:
        """In the foreground, to standard output unless a file is named."""
        for name in ("-", None, ""):
            written = io.StringIO()
            self.patch(sys, "stdout", written)
            Logger(observer=self.observer(asJSON=True, logfile=name)).info("hello")
            self.assertEqual(json.loads(written.getvalue())["message"], "hello")

    def test_daemon(self) -> None:
        """In the background, to the file that twistd would take; standard output would be nobody's."""
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        folder = Path(self.mktemp())
        folder.mkdir()
        os.chdir(folder)
        Logger(observer=self.observer(asJSON=True, logfile=None, nodaemon=False)).info("hello")
        self.assertEqual(json.loads(Path("twistd.log").read_text())["message"], "hello")
        with self.assertRaisesRegex(LogError, "a daemon cannot log to standard output"):
            self.observer(asJSON=True, logfile="-", nodaemon=False)

    def test_rotates(self) -> None:
        """SIGUSR1 begins a new file, as it does under twistd; whoever wants that signal for something else keeps it."""
        before = signal.getsignal(signal.SIGUSR1)
        self.addCleanup(signal.signal, signal.SIGUSR1, before)
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        observer = self.observer(asJSON=True)
        self.written(observer)
        rotate = signal.getsignal(signal.SIGUSR1)
        assert callable(rotate)
        rotate(signal.SIGUSR1, None)
        for function in self.reactor.waiting:
            function()
        self.assertEqual(len(self.written(observer)), 5)
        self.assertEqual(len(Path(f"{self.file}.1").read_text().splitlines()), 5)
        self.observer(asJSON=True)
        self.assertIs(signal.getsignal(signal.SIGUSR1), rotate)

    def test_refused(self) -> None:
        """What cannot be done is refused with a sentence."""
        for twistd in (None, {"logFile": sys.stdout, "logLevel": None}):
            with self.assertRaisesRegex(LogError, r"^--log-json needs twistd; what else runs"):
                makeLogObserver("warn", True, twistd, self.reactor)
            with self.assertRaisesRegex(LogError, r"^--log-level fatal needs twistd; what else runs"):
                makeLogObserver("fatal", False, twistd, self.reactor)
        for other in ("logger", "syslog"):
            with self.assertRaisesRegex(LogError, f"^--log-json cannot be given with twistd's --{other}$"):
                self.observer(asJSON=True, **{other: True})
        with self.assertRaises(OSError):
            self.observer(asJSON=True, logfile=str(self.file / "none" / "log"))


class LoggedServiceTests(SynchronousTestCase):
    """`LoggedService`."""

    def test_application(self) -> None:
        """It tells its application where to log, and runs the service."""

        def observer(event: object) -> None:
            raise AssertionError("nothing is logged")

        application = Application("storescp")
        service: Any = Service()
        LoggedService(observer, service).setServiceParent(application)
        self.assertIs(application.getComponent(ILogObserver), observer)
        IService(application).startService()
        self.assertTrue(service.running)

    def test_otherParents(self) -> None:
        """As part of another service it has nobody to tell."""
        parent = MultiService()
        logged = LoggedService(print, Service())
        logged.setServiceParent(parent)
        self.assertIn(logged, list(parent))


class MakeServiceTests(ReceiverTestCase):
    """`makeService`."""

    def test_wrapsOnlyIfAsked(self) -> None:
        """Only ``--log-json`` and the levels above warn have a log of their own."""
        for arguments, wrapped in (
            (["--log-json"], True),
            (["-q"], True),
            (["--log-level", "error"], True),
            (["-d"], False),
            ([], False),
        ):
            options = self.optionsOf(*arguments, "104")
            options.parent = {"nodaemon": True}
            self.assertEqual(isinstance(makeService(options), LoggedService), wrapped)

    def test_refused(self) -> None:
        """What cannot be done ends the program with a sentence on standard error."""
        errors = io.StringIO()
        self.patch(sys, "stderr", errors)
        with self.assertRaises(StartError):
            makeService(self.optionsOf("--log-json", "104"))
        self.assertTrue(errors.getvalue().startswith("storescp: --log-json needs twistd; "))
