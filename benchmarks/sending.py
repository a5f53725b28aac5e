"""How fast files are sent: one sender after the other, each over one association, to a receiver that is never slow."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.loadgen import LoadGeneratorError
from benchmarks.receiver import Bench
from benchmarks.results import Row
from benchmarks.servers import Server, environmentOf

__all__ = ["Sending"]

#: A sender that takes longer has failed, in seconds.
_PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Sending:
    """
    What a sender has to do.

    :ivar kind: name of what is sent.
    :ivar maximumLength: the longest PDUs that the receiver takes, in bytes.
    :ivar objects: how many there are.
    """

    kind: str
    maximumLength: int
    objects: int = 1000

    @property
    def name(self) -> str:
        """What it is called in results."""
        return f"{self.objects:,} x {self.kind}, PDUs of {self.maximumLength >> 10} KiB"

    def measure(self, bench: Bench, server: Server, number: int, each: int = 0) -> Row:
        """
        Measure a sender once.

        :param number: that of the round.
        :param each: is not needed, the number of objects being fixed.
        :return: with `Row.wrong` if anything was not received whole.
        """
        batch, files = bench.files(self.kind, self.objects)
        try:
            with bench.loads.sink(batch, self.objects, self.maximumLength) as receiver:
                sent = _run(server, server.command(receiver.port, files), bench.home / "log")
                received = receiver.received()
        except LoadGeneratorError as error:
            return Row(number, server.name, self.name, {}, each=self.objects, wrong=str(error))
        wrong = "; ".join(filter(None, (received.reason, sent.wrong)))
        if not wrong and received.whole != self.objects:
            wrong = f"{received.whole} of {self.objects} objects came"
        figures = {
            "perSecond": self.objects / sent.seconds,
            "bytesPerSecond": self.objects * batch.length / sent.seconds,
            "senderCPU": sent.cpu / self.objects,
        }
        if received.seconds:
            figures["perSecondOfAssociation"] = self.objects / received.seconds
        return Row(number, server.name, self.name, figures, each=self.objects, wrong=wrong)


@dataclass(frozen=True, slots=True)
class _Run:
    """
    How a program went.

    :ivar seconds: from its start to its end.
    :ivar cpu: seconds of CPU time that it took.
    :ivar wrong: what it said if it failed; empty if it did not.
    """

    seconds: float
    cpu: float
    wrong: str


def _run(server: Server, command: Sequence[str], log: Path) -> _Run:
    begun = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - that is what it is for
            command, env=environmentOf(server), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    timer = threading.Timer(_PATIENCE, process.kill)
    timer.start()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - begun
    timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    said = f"it ended with {process.returncode}: {log.read_text(errors='replace')[-300:]}" if process.returncode else ""
    return _Run(seconds, usage.ru_utime + usage.ru_stime, said)
