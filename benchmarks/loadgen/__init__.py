"""The load generator: C, because it has to be faster than what it measures. Built when it is needed, and run here."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from benchmarks.objects import Batch, pool

__all__ = ["Load", "LoadGenerator", "LoadGeneratorError", "Outcome"]

_SOURCE = Path(__file__).resolve().parent / "loadgen.c"


class LoadGeneratorError(Exception):
    """The load generator cannot be built, or has not told how it went."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    How one load went.

    :ivar count: requests answered with success.
    :ivar failed: associations that ended otherwise than by release; `reason` says why the first one did.
    :ivar seconds: from the first connection to the last answer.
    :ivar cpu: seconds of CPU time that the load generator took for itself.
    :ivar latencies: seconds from the first byte of a request to its answer (of churn: from connecting): percentile ->
        seconds, of "50", "90", "99" and "100".
    :ivar least: of the associations, how many requests of one were answered at least, and at `most`.
    """

    count: int
    failed: int
    reason: str
    seconds: float
    cpu: float
    latencies: Mapping[str, float]
    least: int
    most: int


class Load:
    """A load that runs; one that is abandoned is killed."""

    def __init__(self, process: subprocess.Popen[str], timeout: float) -> None:
        self._process = process
        self._timeout = timeout

    def ready(self) -> int:
        """
        Wait until the associations of a `hold` are open, or have failed, and return how many there are.

        :raises LoadGeneratorError: none are.
        """
        word, _, number = _opened(self._process.stdout).readline().partition(" ")
        if word != "ready":
            raise LoadGeneratorError("no association was opened")
        return int(number)

    def outcome(self) -> Outcome:
        """
        Wait for the end; a `hold` asks on each association then, and releases them.

        :raises LoadGeneratorError: it has not told how it went.
        """
        try:
            output, errors = self._process.communicate(timeout=self._timeout + 30)
            told: dict[str, Any] = json.loads(output)
        except (ValueError, subprocess.TimeoutExpired) as error:
            self.abandon()
            raise LoadGeneratorError(f"the load generator has not told how it went: {error}") from error
        if errors:
            raise LoadGeneratorError(errors)
        names = ("failed", "reason", "seconds", "cpu", "least", "most")
        return Outcome(count=told["ok"], latencies=told["latency"], **{name: told[name] for name in names})

    def stop(self) -> None:
        """Have what is being sent finished, and nothing more begun."""
        self._process.terminate()

    def abandon(self) -> None:
        """Make sure that it does not outlive us."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


class LoadGenerator:
    """
    The load generator, built.

    :param home: a directory for it and its files.
    :raises LoadGeneratorError: it cannot be built.
    """

    def __init__(self, home: Path) -> None:
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            raise LoadGeneratorError("there is no C compiler: install gcc")
        self._home = home
        self._program = home / "loadgen"
        built = subprocess.run(  # noqa: S603 - the compiler, and a file of ours
            [compiler, "-O2", "-Wall", "-Wextra", "-o", self._program, _SOURCE],
            capture_output=True,
            text=True,
            check=False,
        )
        if built.returncode or built.stderr:
            raise LoadGeneratorError(f"the load generator cannot be built: {built.stderr}")
        (home / "pool").write_bytes(pool())

    def begin(self, mode: str, port: int, associations: int, timeout: float = 30.0, **settings: object) -> Load:
        """
        Begin a load.

        :param mode: "store", "churn" or "hold", as `loadgen.c` says.
        :param timeout: when to give up, in seconds.
        :param settings: of `settings.h`, with _ for -.
        """
        given = {"mode": mode, "port": port, "associations": associations, "timeout": timeout, **settings}
        arguments = [f"{name.replace('_', '-')}={value}" for name, value in given.items()]
        process = subprocess.Popen(  # noqa: S603 - what was built here
            [self._program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return Load(process, timeout)

    def beginStore(self, batch: Batch, port: int, associations: int, timeout: float = 30.0, **settings: object) -> Load:
        """Begin to store the objects of a batch."""
        head = self._home / f"head-{batch.uidPrefix}"
        head.write_bytes(batch.head)
        return self.begin(
            "store",
            port,
            associations,
            timeout,
            head=head,
            pool=self._home / "pool",
            pixels=batch.kind.pixelLength,
            uid=batch.uidPrefix,
            uid_offset=batch.uidOffset,
            sop_class=batch.kind.sopClassUID,
            **settings,
        )


def _opened(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise LoadGeneratorError("the load generator has no output")
    return stream
