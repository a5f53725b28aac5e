"""DCMTK's own senders, some of them at once, each with a directory of files: `Clients`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from benchmarks.measuring import Receiver
from benchmarks.objects import Batch
from benchmarks.servers import programOutsideOfPython

__all__ = ["Clients"]

#: How many files each sends of a kind.
_FILES = {"5 KiB": 1000, "512 KiB": 200}
#: With TLS, they show no certificate and look at none.
_TLS = ("+tla", "-ic")


class Clients:
    """
    Senders that are ready.

    :param program: which of DCMTK's.
    :param number: how many at once.
    :param files: what they send is written there.
    :ivar total: how many objects all of them send.
    :raises Missing: it is not installed.
    """

    def __init__(self, program: str, number: int, batch: Batch, files: Path) -> None:
        self.batch = batch
        self._program = programOutsideOfPython(program)
        self._folders = [files / str(index) for index in range(number)]
        each = _FILES[batch.kind.name]
        self.total = each * number
        for index, folder in enumerate(self._folders):
            folder.mkdir(parents=True)
            batch.write(folder, each, each * index)

    def send(self, receiver: Receiver) -> str:
        """Have them send, and return what they complain of."""
        tls = _TLS if receiver.server.speaksTLS else ()
        senders = [
            subprocess.Popen(  # noqa: S603 - a program of DCMTK's
                (self._program, "-q", *tls, "+sd", "127.0.0.1", str(receiver.port), str(folder)),
                env={**os.environ, "TCP_NODELAY": "1"},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for folder in self._folders
        ]
        return "".join(sender.communicate()[1] for sender in senders).strip()
