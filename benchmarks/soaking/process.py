"""The receiver as a process: `Receiver` starts, kills, stops and measures it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ports import freePort
from benchmarks.soaking.ledger import temporaries

__all__ = ["Receiver", "ReceiverError", "Sample", "installedReceiver"]

#: How long it may take to start or to stop, in seconds.
_PATIENCE = 30.0
_POLL = 0.01
_SETTLING = 0.05


class ReceiverError(Exception):
    """The receiver does not start, or not stop."""


@dataclass(frozen=True, slots=True)
class Sample:
    """
    What the receiver takes of the system.

    :ivar descriptors: how many files and sockets it has open.
    :ivar memory: bytes of it that are in memory.
    :ivar peak: the most there ever were.
    """

    descriptors: int
    memory: int
    peak: int


def installedReceiver() -> tuple[str, ...]:
    """
    Return the command that runs storescp, to which its options are added.

    :raises ReceiverError: twistd is not installed.
    """
    twistd = shutil.which("twistd", path=os.path.dirname(sys.executable)) or shutil.which("twistd")
    if twistd is None:
        raise ReceiverError("twistd is not installed")
    return twistd, "-n", "--pidfile=", "storescp"


class Receiver:
    """
    A receiver on this machine's loopback, which may be killed and started again on the same directory and port.

    :param home: its directory; it stores in `incoming` there, and its output goes to `log`.
    :param command: what runs it; options are added.
    :param options: options of storescp.
    :ivar incoming: where it stores.
    :ivar generation: counts up whenever it is about to be ended, and so tells whether a connection broke for that.
    :ivar listening: set while connections are accepted.
    :ivar fresh: what it took after its last start.
    :ivar restarts: how long, after each kill, until it listened again, in seconds.
    :ivar orphans: the temporary files that were there when it had been killed.
    """

    def __init__(self, home: Path, command: Sequence[str], options: Sequence[str]) -> None:
        self._home = home
        self._command = (*command, *options)
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self.incoming = home / "incoming"
        self.log = home / "log"
        self.generation = 0
        self.listening = asyncio.Event()
        self.fresh = Sample(0, 0, 0)
        self.restarts: list[float] = []
        self.orphans: set[str] = set()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    @property
    def crashed(self) -> bool:
        """Whether it has ended without being asked to."""
        return self.listening.is_set() and self._process is not None and self._process.poll() is not None

    async def start(self) -> float:
        """
        Start it, and wait until it listens.

        :return: how long that took, in seconds.
        :raises ReceiverError: it does not.
        """
        if not self._port:
            self._port = freePort()
        endpoint = f"tcp:{self._port}:interface=127.0.0.1:backlog=1024"
        environment = {name: value for name, value in os.environ.items() if name != "DCMDICTPATH"}
        begun = time.monotonic()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the command is the caller's
                [*self._command, "--output-directory", str(self.incoming), "--endpoint", endpoint],
                cwd=self._home,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        while not self._accepts():
            if self._process.poll() is not None or time.monotonic() > begun + _PATIENCE:
                raise ReceiverError(f"the receiver does not start, {self.log} says why")
            await asyncio.sleep(_POLL)
        taken = time.monotonic() - begun
        # The connection that found that out has to be gone.
        await asyncio.sleep(_SETTLING)
        self.fresh = self.sample()
        self.listening.set()
        return taken

    def _accepts(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=_PATIENCE).close()
        except OSError:
            return False
        return True

    async def killAndRestart(self) -> None:
        """Kill it as the system would when memory runs out, and start it again on what it left."""
        process = self._ending()
        process.kill()
        process.wait()
        self.orphans |= temporaries(self.incoming)
        self.restarts.append(await self.start())

    async def stop(self) -> None:
        """
        Stop it as an administrator would.

        :raises ReceiverError: it does not stop, or says that it did not stop well.
        """
        process = self._ending()
        process.terminate()
        deadline = time.monotonic() + _PATIENCE
        while process.poll() is None and time.monotonic() < deadline:
            await asyncio.sleep(_POLL)
        if process.poll() not in (0, -signal.SIGTERM):
            raise ReceiverError(f"the receiver ended with status {process.poll()} after SIGTERM")

    def discard(self) -> None:
        """Make sure that it does not outlive us."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _ending(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ReceiverError("the receiver has not been started")
        self.generation += 1
        self.listening.clear()
        return self._process

    def sample(self) -> Sample:
        """
        Measure it.

        :raises ReceiverError: it does not run.
        """
        if self._process is None:
            raise ReceiverError("the receiver has not been started")
        process = Path(f"/proc/{self._process.pid}")
        try:
            status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
            memory, peak = (int(status[name].split()[0]) << 10 for name in ("VmRSS", "VmHWM"))
            return Sample(len(os.listdir(process / "fd")), memory, peak)
        except (OSError, KeyError) as error:
            # What has ended and was not waited for has a status, but no memory.
            raise ReceiverError("the receiver does not run") from error
