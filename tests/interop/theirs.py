"""DCMTK's storescp as its users run it: `Theirs` is what `tests.interop.receiver.Receiver` is for ours."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from shutil import rmtree

from benchmarks.ports import freePort
from tests.interop.peers import requireProgram

__all__ = ["Theirs"]

#: How long it may take to start, in seconds, and how often to look.
_PATIENCE = 30.0
_POLL = 0.02


class Theirs:
    """
    A receiver in a process and a directory of its own.

    :param options: those of DCMTK's storescp.
    :ivar port: where it listens, on this machine.
    :ivar directory: where it keeps what it receives.
    """

    def __init__(self, *options: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="interop-"))
        self.port = freePort()
        self._process = subprocess.Popen(
            [requireProgram("storescp"), *options, "-od", str(self.directory), str(self.port)],
            cwd=self.directory,
            env={**os.environ, "TCP_NODELAY": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _PATIENCE
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except ConnectionRefusedError:
                time.sleep(_POLL)
            else:
                return
        self.stop()
        raise AssertionError(f"DCMTK's storescp does not start with {options}")

    def stop(self) -> None:
        """End it, and remove its directory."""
        self._process.kill()
        self._process.wait()
        rmtree(self.directory)
