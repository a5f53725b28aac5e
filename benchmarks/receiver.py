"""One measurement of a whole receiver: `Bench` starts it, loads it, and compares what it has stored."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from benchmarks.clients import Clients
from benchmarks.loadgen import Load, LoadGenerator, LoadGeneratorError, Outcome
from benchmarks.measuring import Meter, Receiver, ReceiverError, prewarm
from benchmarks.objects import KINDS, Batch, Kind
from benchmarks.results import Row
from benchmarks.servers import Server

__all__ = ["Bench", "Workload", "figuresOf"]

#: How much data a load has at most, in bytes, unless a single object has more.
_MOST_BYTES = 1 << 30
#: So long does each of the two loads take by which a receiver gets warm, in seconds.
_WARMING = 0.2
#: How often at most, until something is answered.
_MOST_WARMINGS = 25
#: The largest kind of object that it gets warm with; how fast it is with larger ones is estimated by that.
_WARMING_KIND = "512 KiB"
#: Of more bytes than that, the memory is touched before.
_PREWARMED = 64 << 20


@dataclass(frozen=True, slots=True)
class Workload:
    """
    What a receiver has to do.

    :ivar kind: name of what is sent; empty for connect, C-ECHO, release.
    :ivar associations: how many at once.
    :ivar client: a program of DCMTK's that sends, so many times at once, instead of the load generator.
    """

    kind: str
    associations: int = 1
    client: str = ""

    @property
    def name(self) -> str:
        """What it is called in results."""
        if self.client:
            together = f" x {self.associations}" if self.associations > 1 else ""
            return f"{self.client}{together}, {self.kind}"
        what = self.kind or "connect, C-ECHO, release"
        return f"{what} x {self.associations}"

    def measure(self, bench: Bench, server: Server, number: int, each: int) -> Row:
        """Measure a receiver once: see `Bench.measure`."""
        return bench.measure(server, self, number, each)


class Bench:
    """
    A place to measure at.

    :param home: an empty directory for everything; the caller removes it.
    :param seconds: how long a load takes, about.
    :ivar removedAt: when what a receiver had stored was removed last, by `time.monotonic`; minus infinity if never.
    """

    def __init__(self, home: Path, seconds: float) -> None:
        self.home = home.resolve()  # receivers run elsewhere
        self.seconds = seconds
        self.removedAt = -math.inf
        self.loads = LoadGenerator(self.home)
        self._runs = count(1)
        self._files: dict[tuple[str, int], tuple[Batch, Path]] = {}

    def batch(self, kind: str) -> Batch:
        """Make a batch whose objects are in no other one."""
        return Batch(KINDS[kind], next(self._runs))

    def files(self, kind: str, objects: int) -> tuple[Batch, Path]:
        """Give so many objects as files, always the same ones, and the directory that they are in."""
        if (kind, objects) not in self._files:
            directory = self.home / f"files-{len(self._files)}"
            directory.mkdir()
            batch = self.batch(kind)
            batch.write(directory, objects)
            self._files[kind, objects] = batch, directory
        return self._files[kind, objects]

    @contextmanager
    def running(self, server: Server) -> Iterator[Receiver]:
        """
        Start a receiver on an empty directory; afterwards end it and remove the directory.

        :raises ReceiverError: it does not start.
        """
        directory = self.home / "stored"
        directory.mkdir()
        try:
            receiver = Receiver(server, directory, self.home / "log")
            try:
                yield receiver
            finally:
                receiver.stop()
        finally:
            shutil.rmtree(directory)
            self.removedAt = time.monotonic()

    def measure(self, server: Server, workload: Workload, number: int, each: int = 0) -> Row:
        """
        Measure a receiver once.

        :param number: that of the round.
        :param each: how many requests to make on each association; 0 to find out.
        :return: with `Row.wrong` if anything was not as it has to be.
        """
        try:
            with self.running(server) as receiver:
                if workload.client:
                    return self._sendFiles(receiver, workload, number)
                if workload.kind:
                    return self._store(receiver, workload, number, each)
                return self._churn(receiver, workload, number, each)
        except (ReceiverError, LoadGeneratorError) as error:
            return Row(number, server.name, workload.name, {}, each=each, wrong=str(error))

    def warm(self, receiver: Receiver, kind: str, associations: int) -> float:
        """Have a receiver take some objects, twice, and return how many bytes of them it took per second."""
        if KINDS[kind].pixelLength > KINDS[_WARMING_KIND].pixelLength:
            kind = _WARMING_KIND
        rate = 1.0
        for _ in range(2):
            batch = self.batch(kind)
            outcome = _warmed(
                lambda batch=batch: self.loads.beginStore(batch, receiver.port, min(8, associations), seconds=_WARMING)
            )
            rate = outcome.count * KINDS[kind].pixelLength / outcome.seconds
        return rate

    def _store(self, receiver: Receiver, workload: Workload, number: int, each: int) -> Row:
        kind, associations = KINDS[workload.kind], workload.associations
        rate = self.warm(receiver, kind.name, associations)
        each = each or _each(kind, associations, rate * self.seconds)
        total = each * associations
        if total * kind.pixelLength > _PREWARMED:
            prewarm(self.home, total * kind.pixelLength)
        batch, atRest = self.batch(kind.name), receiver.memory()
        with receiver.metered() as meter:
            outcome = self.loads.beginStore(batch, receiver.port, associations, each=each).outcome()
        wrong = _missed(outcome, total) or batch.faultsIn(receiver.directory, total)
        figures = {**figuresOf(outcome, meter, batch.length), "memoryAtRest": atRest, "startup": receiver.startup}
        return Row(number, receiver.server.name, workload.name, figures, each=each, wrong=wrong)

    def _churn(self, receiver: Receiver, workload: Workload, number: int, each: int) -> Row:
        associations = workload.associations
        outcome = None
        for _ in range(2):
            outcome = _warmed(lambda: self.loads.begin("churn", receiver.port, associations, seconds=_WARMING))
            each = each or math.ceil(outcome.count / outcome.seconds * self.seconds / associations)
        with receiver.metered() as meter:
            outcome = self.loads.begin("churn", receiver.port, associations, each=each).outcome()
        wrong = _missed(outcome, each * associations)
        figures = figuresOf(outcome, meter)
        return Row(number, receiver.server.name, workload.name, figures, each=each, wrong=wrong)

    def _sendFiles(self, receiver: Receiver, workload: Workload, number: int) -> Row:
        if receiver.server.speaksTLS:
            self._clients(workload).send(receiver)
        else:
            self.warm(receiver, workload.kind, 1)
        clients = self._clients(workload)
        with receiver.metered() as meter:
            begun = time.monotonic()
            wrong = clients.send(receiver)
            seconds = time.monotonic() - begun
        total = clients.total
        wrong = wrong or clients.batch.faultsIn(receiver.directory, total)
        figures = {
            "perSecond": total / seconds,
            "bytesPerSecond": total * clients.batch.length / seconds,
            "cpu": meter.cpu / total,
            "memory": meter.memory,
        }
        return Row(number, receiver.server.name, workload.name, figures, each=total, wrong=wrong)

    def _clients(self, workload: Workload) -> Clients:
        files = self.home / "sent"
        shutil.rmtree(files, ignore_errors=True)
        return Clients(workload.client, workload.associations, self.batch(workload.kind), files)


def figuresOf(outcome: Outcome, meter: Meter, length: int = 0) -> dict[str, float]:
    """Give the figures of a load, of data sets of so many bytes."""
    if not outcome.count:
        return {}
    figures = {
        "perSecond": outcome.count / outcome.seconds,
        "cpu": meter.cpu / outcome.count,
        "memory": meter.memory,
        "latency50": outcome.latencies["50"],
        "latency99": outcome.latencies["99"],
    }
    if length:
        figures["bytesPerSecond"] = figures["perSecond"] * length
    return figures


def _each(kind: Kind, associations: int, wanted: float) -> int:
    """Say how many objects to send on an association, if all of them have to have about so many bytes of pixel data."""
    # So many that opening the association does not count, as far as the bytes allow.
    least = 20 if kind.pixelLength <= KINDS[_WARMING_KIND].pixelLength else 1
    most = max(1, _MOST_BYTES // kind.pixelLength // associations)
    return min(most, max(least, math.ceil(wanted / kind.pixelLength / associations)))


def _missed(outcome: Outcome, expected: int) -> str:
    if outcome.failed:
        return (
            f"{outcome.failed} associations failed, {outcome.count} of {expected} requests succeeded: {outcome.reason}"
        )
    return "" if outcome.count == expected else f"{outcome.count} of {expected} requests succeeded"


def _warmed(begin: Callable[[], Load]) -> Outcome:
    """Let a receiver get warm: one of several processes listens before any of them can serve."""
    for _ in range(_MOST_WARMINGS):
        outcome = begin().outcome()
        if outcome.failed:
            break
        if outcome.count:
            return outcome
    raise LoadGeneratorError(f"while it got warm: {outcome.reason or 'no request was answered'}")
