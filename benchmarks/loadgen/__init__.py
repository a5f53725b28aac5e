"""
The load generator, and the sink: C, because they have to be faster than what they measure. Built when they are needed,
and run here.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from benchmarks.objects import Batch, pool

__all__ = ["Load", "LoadGenerator", "LoadGeneratorError", "Outcome", "Received", "Sink"]

_SOURCES = Path(__file__).resolve().parent
#: How long a sink is waited for when its sender has ended, in seconds.
_PATIENCE = 5.0


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
        self._home = home
        self._program = _build("loadgen", home)
        (home / "pool").write_bytes(pool())

    def begin(self, mode: str, port: int, associations: int, timeout: float = 30.0, **settings: object) -> Load:
        """
        Begin a load.

        :param mode: "store", "churn" or "hold", as `loadgen.c` says.
        :param timeout: when to give up, in seconds.
        :param settings: of `settings.h`, with _ for -.
        """
        given = {"mode": mode, "port": port, "associations": associations, "timeout": timeout, **settings}
        process = subprocess.Popen(  # noqa: S603 - what was built here
            [self._program, *_arguments(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return Load(process, timeout)

    def beginStore(self, batch: Batch, port: int, associations: int, timeout: float = 30.0, **settings: object) -> Load:
        """Begin to store the objects of a batch."""
        return self.begin(
            "store",
            port,
            associations,
            timeout,
            sop_class=batch.kind.sopClassUID,
            **_objects(batch, self._home),
            **settings,
        )

    @contextmanager
    def sink(self, batch: Batch, objects: int, longestPDU: int) -> Iterator[Sink]:
        """
        Run a sink that takes objects of one batch.

        :param objects: how many there are.
        :param longestPDU: what it announces, in bytes.
        :raises LoadGeneratorError: it cannot be built.
        """
        settings = {"each": objects, "longest_pdu": longestPDU, **_objects(batch, self._home)}
        command = [self._sink, *_arguments(settings)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - what was built here
            try:
                yield Sink(process)
            finally:
                process.kill()

    @cached_property
    def _sink(self) -> Path:
        return _build("sink", self._home)


@dataclass(frozen=True, slots=True)
class Received:
    """
    What a sink has been sent over one association.

    :ivar whole: how many objects came whole, all of them different.
    :ivar seconds: from the connection to the A-RELEASE-RQ; 0 if there was none.
    :ivar reason: why it ended early; empty if it did not.
    """

    whole: int
    seconds: float
    reason: str


class Sink:
    """
    A receiver that takes one association, keeps nothing, and compares everything: see `sink.c`.

    :ivar port: where it listens.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port = int(_opened(process.stdout).readline().removeprefix("ready "))

    def received(self) -> Received:
        """Tell what has come, when the sender has ended."""
        try:
            output, _ = self._process.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            return Received(0, 0.0, "there was no association, or its connection was not closed")
        return Received(**json.loads(output))


def _build(name: str, home: Path) -> Path:
    program = home / name
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise LoadGeneratorError("there is no C compiler: install gcc")
    built = subprocess.run(  # noqa: S603 - the compiler, and a file of ours
        [compiler, "-O2", "-Wall", "-Wextra", "-o", program, _SOURCES / f"{name}.c"],
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode or built.stderr:
        raise LoadGeneratorError(f"{name} cannot be built: {built.stderr}")
    return program


def _objects(batch: Batch, home: Path) -> dict[str, object]:
    """Give the settings that say what the objects of a batch are."""
    head = home / f"head-{batch.uidPrefix}"
    head.write_bytes(batch.head)
    return {
        "head": head,
        "pool": home / "pool",
        "pixels": batch.kind.pixelLength,
        "uid": batch.uidPrefix,
        "uid_offset": batch.uidOffset,
    }


def _arguments(settings: Mapping[str, object]) -> list[str]:
    return [f"{name.replace('_', '-')}={value}" for name, value in settings.items()]


def _opened(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise LoadGeneratorError("the load generator has no output")
    return stream
