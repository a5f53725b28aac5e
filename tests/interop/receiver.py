"""The receiver as its users run it: `Receiver` is a process of ``twistd storescp``."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tests.interop.peers import requireScript

__all__ = ["Receiver"]

#: How long it may take to start or to stop, in seconds.
_PATIENCE = 30.0
#: How often to look whether it listens, in seconds.
_POLL = 0.02
#: How twistd's log shows a failure of the receiver's own; what peers do wrong is told at a lower level.
_FAILURE = re.compile(r"#(?:warn|error|critical)\]|Traceback|Unhandled", re.IGNORECASE)


class Receiver:
    """
    A receiver in a process and a directory of its own.

    :param options: options of storescp.
    :ivar port: where it listens, on this machine.
    """

    def __init__(self, *options: str) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="interop-"))
        self._output = self._home / "received"
        self._output.mkdir()
        self._log = self._home / "log"
        self._seen = 0
        # The port is free when it is chosen, and may be somebody else's when it is used.
        while not self._started(options):
            pass

    def _started(self, options: tuple[str, ...]) -> bool:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        command = [requireScript("twistd"), "--nodaemon", "--pidfile=", "storescp", *options]
        environment = {name: value for name, value in os.environ.items() if name != "DCMDICTPATH"}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "--output-directory", str(self._output), str(self.port)],
                cwd=self._home,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + _PATIENCE
        while self.alive and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=_PATIENCE).close()
            except ConnectionRefusedError:
                time.sleep(_POLL)
            else:
                return True
        said = self.log
        if not self.alive and "in use" in said:
            return False
        self.stop()
        raise AssertionError(f"the receiver does not start: {said}")

    @property
    def alive(self) -> bool:
        """Whether it is still running."""
        return self._process.poll() is None

    @property
    def log(self) -> str:
        """All that it has logged."""
        return self._log.read_text("utf-8", "replace")

    def takeFailures(self) -> list[str]:
        """Return what it has logged of failures of its own since the last time, and whether it has ended unasked."""
        lines = self.log.splitlines()
        found = [line for line in lines[self._seen :] if _FAILURE.search(line)]
        self._seen = len(lines)
        if not self.alive:
            found.append(f"the receiver has ended with status {self._process.returncode}")
        return found

    def settle(self) -> None:
        """
        Wait until it has dealt with all that it was told before, other connections' ends among it.

        It does one thing at a time, so it has done those when it answers to something new: here to an A-ABORT, which it
        answers by closing the connection.
        """
        with socket.create_connection(("127.0.0.1", self.port), timeout=_PATIENCE) as connection:
            connection.sendall(b"\7\0\0\0\0\4\0\0\0\0")
            with suppress(ConnectionResetError):
                connection.recv(1)

    def take(self) -> dict[str, bytes]:
        """Return all files that are in its directory, finished or not, by name, and remove them; not its lock."""
        found = {}
        for path in sorted(path for path in self._output.rglob("*") if path.is_file() and path.name != "lock"):
            found[path.name] = path.read_bytes()
            path.unlink()
        return found

    def stop(self) -> int:
        """End it as an administrator would, remove its directory, and return its exit status."""
        if self.alive:
            self._process.terminate()
        try:
            status = self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        shutil.rmtree(self._home, ignore_errors=True)
        if status not in (0, -signal.SIGTERM):
            raise AssertionError(f"the receiver ended with status {status}")
        return status
