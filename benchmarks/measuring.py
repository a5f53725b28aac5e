"""A receiver as a process that is measured: `Receiver`. Linux only, for what /proc tells."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ports import freePort
from benchmarks.servers import Server, environmentOf

__all__ = ["Meter", "Receiver", "ReceiverError", "prewarm"]

#: How long a receiver may take to start or to stop, in seconds.
_PATIENCE = 30.0
_POLL = 0.002
_SAMPLING = 0.05
_TICKS = os.sysconf("SC_CLK_TCK")
_LISTEN = "0A"


class ReceiverError(Exception):
    """The receiver does not start, or has ended by itself."""


@dataclass(slots=True)
class Meter:
    """
    What a receiver took while it was metered.

    :ivar cpu: seconds of CPU time, of all its processes.
    :ivar memory: the most bytes of memory that it had resident. For several processes, what they share is counted
        once, and it is sampled.
    """

    cpu: float = 0.0
    memory: int = 0


class Receiver:
    """
    A receiver that runs, on a port of its own.

    :ivar startup: seconds from its start until it listened.
    :raises ReceiverError: it does not start.
    :raises Missing: it is not installed.
    """

    def __init__(self, server: Server, directory: Path, log: Path) -> None:
        self.server = server
        self.directory = directory
        self.port = freePort()
        command = server.command(self.port, directory)
        begun = time.monotonic()
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - that is what it is for
                command,
                env=environmentOf(server),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        while not _listensOn(self.port):
            if self._process.poll() is not None or time.monotonic() > begun + _PATIENCE:
                self.stop()
                raise ReceiverError(f"{server.name} does not start: {log.read_text(errors='replace')[-300:]}")
            time.sleep(_POLL)
        self.startup = time.monotonic() - begun

    def memory(self) -> int:
        """Return how many bytes of memory it has resident now, what several processes share being counted once."""
        return sum(_kibibytes(pid, "smaps_rollup", "Pss") for pid in _family(self._process.pid)) << 10

    @contextmanager
    def metered(self) -> Iterator[Meter]:
        """
        Measure what it takes meanwhile.

        :raises ReceiverError: it has ended meanwhile.
        """
        meter = Meter()
        pids = _family(self._process.pid)
        for pid in pids:
            with suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5")  # its peak begins anew
        done = threading.Event()
        sampler = threading.Thread(target=self._sample, args=(meter, done))
        before = _cpu(self._process.pid)
        if self.server.hasChildren:
            sampler.start()
        try:
            yield meter
        finally:
            done.set()
            if self.server.hasChildren:
                sampler.join()
        if self._process.poll() is not None:
            raise ReceiverError(f"{self.server.name} has ended with status {self._process.returncode}")
        meter.cpu = _cpu(self._process.pid) - before
        if not self.server.hasChildren:
            meter.memory = _kibibytes(self._process.pid, "status", "VmHWM") << 10

    def _sample(self, meter: Meter, done: threading.Event) -> None:
        while not done.wait(_SAMPLING):
            meter.memory = max(meter.memory, self.memory())

    def stop(self) -> None:
        """End it, and all its processes."""
        family = _family(self._process.pid)
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(_PATIENCE / 3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid in family[1:]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def prewarm(directory: Path, length: int) -> None:
    """
    Have the system find memory for files before it is measured, by writing a file and removing it.

    A virtual machine gets its memory from the host when it first touches it, which can take longer than the copying.
    """
    path = directory / "prewarm"
    block = bytes(1 << 20)
    with path.open("wb") as file:
        for _ in range(length // len(block)):
            file.write(block)
    path.unlink()


def _listensOn(port: int) -> bool:
    """Look that up, without a connection that the receiver would have to serve."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(FileNotFoundError), open(table) as lines:
            for line in lines:
                words = line.split()
                if words[3] == _LISTEN and words[1].endswith(f":{port:04X}"):
                    return True
    return False


def _family(pid: int) -> list[int]:
    """Return a process and all processes below it."""
    found = [pid]
    for parent in found:
        with suppress(OSError):
            for task in os.listdir(f"/proc/{parent}/task"):
                found += map(int, Path(f"/proc/{parent}/task/{task}/children").read_text().split())
    return found


def _cpu(pid: int) -> float:
    """Return the CPU time of a process, of all below it, and of those of them that have ended, in seconds."""
    total = 0.0
    for member in _family(pid):
        with suppress(OSError):
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[13]) + int(fields[14])) / _TICKS  # of children that have ended
            if fields[0] == "Z":
                total += (int(fields[11]) + int(fields[12])) / _TICKS
            else:
                total += time.clock_gettime(~member << 3 | 2)  # its clock, as clock_getcpuclockid(3) gives it
    return total


def _kibibytes(pid: int, file: str, name: str) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    return 0
