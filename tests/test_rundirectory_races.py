"""
Tests of `txdicom.storage.rundirectory`: stores that begin at the same time, and file systems without locks.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from typing import Any

from tests.storing import openFiles, systemError
from tests.test_rundirectory import RunDirectoryTestCase
from txdicom.storage.rundirectory import RunDirectory, removeStale


class RaceTests(RunDirectoryTestCase):
    """Stores that begin at the same time."""

    def during(self, module: Any, name: str, act: Callable[[], object], before: bool = True) -> None:
        """Do something right before, or after, the next call of a function."""
        function = getattr(module, name)

        def called(*arguments: Any, **keywords: Any) -> Any:
            patcher.restore()
            if before:
                act()
            result = function(*arguments, **keywords)
            if not before:
                act()
            return result

        patcher = self.patch(module, name, called)

    def test_takenForStaleBeforeItIsLocked(self) -> None:
        """At each step of making one, another store may find it without a lock: then another one is made."""
        steps: list[tuple[Any, str, bool]] = [
            (os, "mkdir", False),
            (os, "open", True),
            (os, "open", False),
            (fcntl, "flock", True),
        ]
        for module, name, before in steps:
            others: list[Any] = []

            def other(others: list[Any] = others) -> None:
                others.extend(os.listdir(self.directory))
                removeStale(self.parent)

            self.during(module, name, other, before)
            run = RunDirectory(self.parent)
            (first,) = others
            (second,) = os.listdir(self.directory)
            self.assertNotEqual(first, second)
            # The one it has is really locked.
            self.assertEqual(removeStale(self.parent), 0)
            self.assertEqual(self.names(), [second, f"{second}/lock"])
            run.close()
            self.assertEqual((self.names(), openFiles(self.directory), self.warnings), ([], 1, []))

    def test_alwaysTakenForStale(self) -> None:
        """It is not tried for ever."""
        make = os.mkdir

        def makeAndRemove(path: Any, *arguments: Any, **keywords: Any) -> None:
            make(path, *arguments, **keywords)
            os.rmdir(path, dir_fd=keywords["dir_fd"])

        self.patch(os, "mkdir", makeAndRemove)
        error = self.assertRaises(OSError, RunDirectory, self.parent)
        self.assertEqual(error.errno, errno.EBUSY)
        self.assertEqual((self.names(), openFiles(self.directory)), ([], 1))

    def test_twoRemoveTheSame(self) -> None:
        """One of them finds it gone, at whatever step, or locked; neither complains."""
        steps: list[tuple[Any, str]] = [(os, "open"), (fcntl, "flock"), (os, "scandir"), (os, "unlink"), (os, "rmdir")]
        for module, name in steps:
            self.leave("lock", "0.part")

            def other(name: str = name) -> None:
                removeStale(self.parent)

            self.during(module, name, other)
            removeStale(self.parent)
            self.assertEqual((self.names(), self.warnings, openFiles(self.directory)), ([], [], 1), name)


class WithoutLocksTests(RunDirectoryTestCase):
    """File systems that have no locks, or locks of another kind."""

    def test_noLocks(self) -> None:
        """It works all the same, with a warning; nobody can know what is stale, so nothing is removed."""
        for number in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):

            def flock(descriptor: int, operation: int, number: int = number) -> None:
                raise systemError(number)

            patcher = self.patch(fcntl, "flock", flock)
            run = RunDirectory(self.parent)
            (name,) = os.listdir(self.directory)
            self.assertEqual(self.warnings.pop(), f"{name}: {systemError(number)}")
            self.assertEqual(removeStale(self.parent), 0)
            self.assertEqual(self.names(), [name, f"{name}/lock"])
            self.assertEqual(self.warnings.pop(), f"{name}: {systemError(number)}")
            run.close()
            patcher.restore()
            self.assertEqual((self.names(), openFiles(self.directory), self.warnings), ([], 1, []))

    def test_lockThatHasToBeOpenForWriting(self) -> None:
        """As on NFS; elsewhere it is not, since nothing may be if a file system is to be remounted read-only."""
        modes = []
        flock = fcntl.flock

        def strictFlock(descriptor: int, operation: int) -> None:
            mode = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
            modes.append(mode)
            if mode == os.O_RDONLY:
                raise systemError(errno.EBADF)
            flock(descriptor, operation)

        self.patch(fcntl, "flock", strictFlock)
        run = RunDirectory(self.parent)
        self.assertEqual(removeStale(self.parent), 0)
        self.assertEqual(modes, [os.O_RDONLY, os.O_RDWR] * 2)
        self.assertEqual(len(os.listdir(self.directory)), 1)
        run.close()
        self.leave("lock", "0.part")
        self.assertEqual(removeStale(self.parent), 1)
        self.assertEqual((self.names(), openFiles(self.directory), self.warnings), ([], 1, []))
