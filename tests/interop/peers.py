"""Programs and modules of other people: found, or skipped with a word, and run."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import NoReturn

from twisted.trial.unittest import SkipTest

__all__ = ["Finished", "requireModule", "requireProgram", "requireScript", "run"]

#: No program of these tests takes a tenth of this, in seconds.
_LONGEST_RUN = 120.0


def requireProgram(name: str) -> str:
    """
    Find a program that is not Python's: pynetdicom brings scripts along that are called like DCMTK's programs.

    :return: its path.
    :raises SkipTest: it is not installed, and need not be.
    """
    scripts = os.path.dirname(sys.executable)
    folders = [folder for folder in os.get_exec_path() if os.path.abspath(folder) != scripts]
    return shutil.which(name, path=os.pathsep.join(folders)) or _missing(name)


def requireScript(name: str) -> str:
    """
    Find a script of the running Python's.

    :return: its path.
    :raises SkipTest: it is not installed, and need not be.
    """
    return shutil.which(name, path=os.path.dirname(sys.executable)) or shutil.which(name) or _missing(name)


def requireModule(name: str) -> ModuleType:
    """
    Import a module.

    :raises SkipTest: it is not installed, and need not be.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.partition(".")[0]:
            raise
        _missing(name)


def _missing(name: str) -> NoReturn:
    if os.environ.get("CI_REQUIRE_PEERS") == "1":
        raise AssertionError(f"{name} is not installed, and CI_REQUIRE_PEERS=1 says that it has to be")
    raise SkipTest(f"{name} is not installed")


@dataclass(frozen=True)
class Finished:
    """
    How a program ended.

    :ivar status: its exit status; minus the number of the signal that killed it.
    :ivar output: all that it wrote, standard output and error as they came.
    """

    status: int
    output: str

    @property
    def lines(self) -> list[str]:
        """The output by lines."""
        return self.output.splitlines()

    @property
    def complaints(self) -> list[str]:
        """The lines in which a program of DCMTK's warns or reports an error."""
        return [line for line in self.lines if line.startswith(("W: ", "E: ", "F: "))]


def run(program: str, *arguments: object, nagle: bool = False) -> Finished:
    """
    Run a program to its end; one that does not come to it is killed and fails the test.

    :param nagle: whether programs of DCMTK's use their sockets as they do by default.
    """
    done = subprocess.run(
        [requireProgram(program), *map(str, arguments)],
        # DCMTK's programs write a PDU in two pieces; Nagle's algorithm holds the second one until the first has been
        # acknowledged, which our relay leaves to TCP, and takes 40 ms.
        env={**os.environ, "TCP_NODELAY": "0" if nagle else "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_LONGEST_RUN,
        check=False,
    )
    return Finished(done.returncode, done.stdout.decode("utf-8", "replace"))
