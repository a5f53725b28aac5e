"""
Tests of `txdicom.storage.rundirectory`: what is removed when a store begins, and what is left alone.

Stores that begin at the same time, and file systems without locks, are in ``test_rundirectory_races.py``.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from twisted.logger import LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.programs import CHECKOUT, DAC_OVERRIDE, DAC_READ_SEARCH, withoutCapabilities
from tests.storing import openFiles, systemError
from txdicom.storage import rundirectory
from txdicom.storage.rundirectory import RunDirectory, removeStale

STALE = ".txdicom-0123456789abcdef"

#: A run, of a process that forks as daemons do, with an unfinished file; it ends when its standard input does.
RUN = """
import os, sys
from txdicom.storage.rundirectory import RunDirectory
run = RunDirectory(os.open(sys.argv[1], os.O_RDONLY))
open(f"{sys.argv[1]}/{run._name}/7.part", "w").close()
if "fork" in sys.argv and os.fork():
    os._exit(0)
print(run._name, flush=True)
sys.stdin.read()
os._exit(0)
"""

#: What a store does when it begins, by a user who may not do everything.
REMOVE = """
import os, sys
from txdicom.storage.rundirectory import removeStale
print(removeStale(os.open(sys.argv[1], os.O_RDONLY)))
"""


class RunDirectoryTestCase(SynchronousTestCase):
    """
    A directory to have runs in.

    :ivar directory: its path.
    :ivar parent: its descriptor.
    :ivar warnings: what has been logged.
    """

    if not os.path.isdir("/proc/self/fd"):
        skip = "needs /proc to count open files"

    def setUp(self) -> None:
        """Make the directory."""
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.parent = os.open(self.directory, os.O_RDONLY)
        self.addCleanup(os.close, self.parent)
        self.warnings: list[str] = []
        globalLogPublisher.addObserver(self._note)
        self.addCleanup(globalLogPublisher.removeObserver, self._note)

    def _note(self, event: LogEvent) -> None:
        if event["log_namespace"] == rundirectory.__name__:
            self.warnings.append(f"{event['name']}: {event['error']}")

    def names(self) -> list[str]:
        """List all that is in the directory and below it."""
        return sorted(str(path.relative_to(self.directory)) for path in self.directory.rglob("*"))

    def leave(self, *names: str, run: str = STALE) -> Path:
        """Leave files as a killed run does."""
        path = self.directory / run
        path.mkdir()
        for name in names:
            (path / name).write_bytes(b"x")
        return path

    def lock(self, *arguments: str, **keywords: Any) -> tuple[subprocess.Popen[str], str]:
        """Start a process with a run of its own; return it and the name of the run's directory."""
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(self.directory.resolve()), *arguments],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **keywords,
        )
        self.addCleanup(self.end, process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    def end(self, process: subprocess.Popen[str]) -> None:
        """Wait until a process and all that it has forked have ended."""
        assert process.stdin is not None
        assert process.stdout is not None
        if not process.stdin.closed:
            process.stdin.close()
            process.stdout.read()
            process.stdout.close()
            process.wait()


class LivingTests(RunDirectoryTestCase):
    """Runs of processes that live, and of such that do not."""

    def test_ownDirectory(self) -> None:
        """It is hidden, nobody else's, and goes with the run."""
        run = RunDirectory(self.parent)
        (name,) = os.listdir(self.directory)
        self.assertRegex(name, r"^\.txdicom-[0-9a-f]{16}$")
        self.assertEqual((self.directory / name).stat().st_mode & 0o777, 0o700)
        self.assertTrue(os.path.samestat(os.fstat(run.descriptor), (self.directory / name).stat()))
        self.assertEqual(self.names(), [name, f"{name}/lock"])
        run.close()
        self.assertEqual((self.names(), openFiles(self.directory), self.warnings), ([], 1, []))

    def test_livingProcessIsLeftAlone(self) -> None:
        """Until it ends, however it does."""
        for end in (self.end, lambda process: process.kill()):
            process, name = self.lock()
            self.assertEqual(removeStale(self.parent), 0)
            self.assertEqual(self.names(), [name, f"{name}/7.part", f"{name}/lock"])
            end(process)
            process.wait()
            self.assertEqual(removeStale(self.parent), 1)
            self.assertEqual((self.names(), self.warnings), ([], []))

    def test_daemonIsLeftAlone(self) -> None:
        """A process that forked and ended has left its lock to its child."""
        process, name = self.lock("fork")
        self.assertEqual(process.wait(), 0)
        self.assertEqual(removeStale(self.parent), 0)
        self.assertEqual(self.names(), [name, f"{name}/7.part", f"{name}/lock"])
        self.end(process)
        self.assertEqual(removeStale(self.parent), 1)
        self.assertEqual(self.names(), [])

    def test_programThatTheRunStartsDoesNotKeepTheLock(self) -> None:
        """Descriptors are not passed on to other programs, which may outlive the run."""
        run = RunDirectory(self.parent)
        assert run._lock is not None
        for descriptor in (run.descriptor, run._lock):
            self.assertFalse(os.get_inheritable(descriptor))
        run.close()

    def test_manyAtOnce(self) -> None:
        """Runs of one process do not disturb each other, and each is removed by itself."""
        runs = [RunDirectory(self.parent) for _ in range(5)]
        self.assertEqual(removeStale(self.parent), 0)
        self.assertEqual(len(os.listdir(self.directory)), 5)
        for run in runs:
            run.close()
        self.assertEqual((self.names(), openFiles(self.directory)), ([], 1))

    def test_whatCouldNotBeRemovedGoesInTheEnd(self) -> None:
        run = RunDirectory(self.parent)
        (name,) = os.listdir(self.directory)
        (self.directory / name / "3.part").touch()
        run.close()
        self.assertEqual((self.names(), self.warnings), ([], []))

    def test_closedWhereSomebodyHasTidiedUp(self) -> None:
        run = RunDirectory(self.parent)
        shutil.rmtree(self.directory / os.listdir(self.directory)[0])
        run.close()
        self.assertEqual((openFiles(self.directory), self.warnings), (1, []))

    def test_closedWhereSomebodyHasPutSomething(self) -> None:
        """Nothing of it is removed, then or later."""
        run = RunDirectory(self.parent)
        (name,) = os.listdir(self.directory)
        (self.directory / name / "notes").touch()
        run.close()
        self.assertEqual(self.names(), [name, f"{name}/lock", f"{name}/notes"])
        self.assertEqual(removeStale(self.parent), 0)
        self.assertEqual(self.names(), [name, f"{name}/lock", f"{name}/notes"])
        self.assertEqual(self.warnings, [f"{name}: [Errno {errno.ENOTEMPTY}] 'notes' is there, which is not ours"] * 2)


class StaleTests(RunDirectoryTestCase):
    """What killed runs have left, and what they have not."""

    def test_leftByKilledRuns(self) -> None:
        """At any moment: with files, without, before it had its lock, and after it had removed it."""
        self.leave("lock", "0.part", "12.part", "345678.part")
        self.leave("lock", "0.part", run=".txdicom-00000000ffffffff")
        self.leave("lock", run=".txdicom-0000000000000000")
        self.leave(run=".txdicom-ffffffffffffffff")
        (self.directory / "CT.1.2.3").touch()
        self.assertEqual(removeStale(self.parent), 4)
        self.assertEqual((self.names(), self.warnings, openFiles(self.directory)), (["CT.1.2.3"], [], 1))

    def test_finishedFilesStay(self) -> None:
        """A run may be killed between giving a file its name and taking its other one away."""
        path = self.leave("lock", "0.part")
        os.link(path / "0.part", self.directory / "CT.1.2.3")
        self.assertEqual(removeStale(self.parent), 1)
        self.assertEqual((self.directory / "CT.1.2.3").read_bytes(), b"x")

    def test_similarNames(self) -> None:
        """What is not called exactly so is somebody else's."""
        names = (
            ".txdicom-0123456789ABCDEF",
            ".txdicom-0123456789abcde",
            ".txdicom-0123456789abcdef0",
            ".txdicom-0123456789abcdef~",
            ".txdicom-0123456789abcdeg",
            ".txdicom-",
            "txdicom-0123456789abcdef",
            ".xdicom-0123456789abcdef",
            " .txdicom-0123456789abcdef",
            ".txdicom-0123456789abcdef\n",
        )
        for name in names:
            self.leave("lock", "0.part", run=name)
        before = self.names()
        self.assertEqual(removeStale(self.parent), 0)
        self.assertEqual((self.names(), self.warnings), (before, []))
        self.assertEqual(len(before), 3 * len(names))

    def assertLeftAlone(self, make: Callable[[Path], object], warning: str) -> None:
        """Something that a run does not leave has everything stay, with a warning."""
        path = self.directory / STALE
        make(path)
        before = self.names()
        self.assertEqual(removeStale(self.parent), 0)
        self.assertEqual((self.names(), openFiles(self.directory)), (before, 1))
        self.assertEqual([text.partition("] ")[2] for text in self.warnings], [warning])
        self.warnings.clear()
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

    def test_notDirectories(self) -> None:
        """Files and links are not followed, and neither is a pipe waited for."""
        outside = Path(self.mktemp())
        outside.mkdir()
        (outside / "0.part").touch()
        (outside / "lock").touch()
        warning = f"Not a directory: '{STALE}'"
        self.assertLeftAlone(Path.touch, warning)
        self.assertLeftAlone(os.mkfifo, warning)
        self.assertLeftAlone(lambda path: path.symlink_to(outside.resolve()), warning)
        self.assertLeftAlone(lambda path: path.symlink_to("/nonesuch"), warning)
        self.assertEqual(sorted(os.listdir(outside)), ["0.part", "lock"])

    def test_otherContents(self) -> None:
        """One thing that is no run's, and nothing is removed."""

        def leaving(name: str, make: Callable[[Path], object], *others: str) -> Callable[[Path], object]:
            def leave(path: Path) -> None:
                self.leave(*(others or ("lock", "0.part")))
                make(path / name)

            return leave

        precious = Path(self.mktemp()).absolute()
        precious.write_bytes(b"precious")
        for name in ("notes", "part", ".part", "1.part~", "x1.part", "1.Part", "\u0661.part", "1.part\n"):
            self.assertLeftAlone(leaving(name, Path.touch), f"{name!r} is there, which is not ours")
        for make in (Path.mkdir, os.mkfifo):
            self.assertLeftAlone(leaving("1.part", make), "'1.part' is there, which is not ours")
            self.assertLeftAlone(leaving("lock", make, "0.part"), "'lock' is there, which is not ours")

        def link(path: Path) -> None:
            path.symlink_to(precious)

        self.assertLeftAlone(leaving("1.part", link), "'1.part' is there, which is not ours")
        self.assertLeftAlone(leaving("lock", link, "0.part"), "Too many levels of symbolic links: 'lock'")
        # Without its lock a run leaves nothing.
        self.assertLeftAlone(leaving("0.part", Path.touch, "1.part"), "'0.part' is there, which is not ours")
        self.assertEqual(precious.read_bytes(), b"precious")

    def test_unreadable(self) -> None:
        """What another user's run has left is for that user to remove."""
        path = self.leave("lock", "0.part")
        for mode in (0o000, 0o100, 0o400, 0o500):
            path.chmod(mode)
            done = subprocess.run(
                [sys.executable, "-c", REMOVE, str(self.directory.resolve())],
                cwd=CHECKOUT,
                preexec_fn=withoutCapabilities(DAC_OVERRIDE, DAC_READ_SEARCH),
                capture_output=True,
                text=True,
                check=False,
            )
            self.assertEqual((done.stdout, done.stderr), ("0\n", ""), oct(mode))
            path.chmod(0o700)
            self.assertEqual(sorted(os.listdir(path)), ["0.part", "lock"])

    def test_interrupted(self) -> None:
        """What is removed in part only is still known for what it is, because the lock goes last."""
        names = ["0.part", "1.part", "lock"]
        for count in range(3):
            self.leave(*names)
            unlink, calls = os.unlink, iter(range(count))

            def unlinkSome(
                *arguments: Any, unlink: Any = unlink, calls: Iterator[int] = calls, **keywords: Any
            ) -> None:
                if next(calls, None) is None:
                    raise systemError(errno.EIO)
                unlink(*arguments, **keywords)

            patcher = self.patch(os, "unlink", unlinkSome)
            removeStale(self.parent)
            patcher.restore()
            self.assertEqual(self.names(), [STALE, *(f"{STALE}/{name}" for name in names[count:])])
            self.assertEqual(removeStale(self.parent), 2 - count)
            self.assertEqual(self.names(), [])

    def test_errors(self) -> None:
        """The next one is removed all the same; nothing stays open."""
        for module, name in ((os, "unlink"), (os, "rmdir"), (fcntl, "flock"), (os, "stat")):
            paths = [self.leave("lock", run=f".txdicom-000000000000000{number}") for number in range(2)]
            function, errors = getattr(module, name), [systemError(errno.EIO)]

            def fails(
                *arguments: Any,
                function: Callable[..., Any] = function,
                errors: list[OSError] = errors,
                **keywords: Any,
            ) -> Any:
                if errors:
                    raise errors.pop()
                return function(*arguments, **keywords)

            patcher = self.patch(module, name, fails)
            removeStale(self.parent)
            patcher.restore()
            self.assertEqual((len(self.warnings), openFiles(self.directory)), (1, 1), name)
            self.warnings.clear()
            self.assertEqual([path.exists() for path in paths].count(True), 1, name)
            removeStale(self.parent)
            self.assertEqual((self.names(), self.warnings), ([], []), name)
