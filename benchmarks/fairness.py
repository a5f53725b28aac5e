"""Whether one peer's load is at the cost of others: C-ECHO beside streams, and small senders beside a large one."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.loadgen import Outcome
from benchmarks.measuring import Meter, Receiver
from benchmarks.objects import Batch
from benchmarks.receiver import Bench, figuresOf
from benchmarks.results import Row
from benchmarks.servers import Server

__all__ = ["echoBesideStreams", "largeBesideSmall"]


def echoBesideStreams(bench: Bench, server: Server, number: int, streams: int = 64) -> Iterator[Row]:
    """
    Measure how long it takes to connect and get C-ECHO answered, again and again: alone, and while others send.

    :param number: that of the round.
    :param streams: how many associations send objects of 8 MiB meanwhile.
    """
    with bench.running(server) as receiver:
        bench.warm(receiver, "512 KiB", 8)
        alone = bench.loads.begin("churn", receiver.port, 1, seconds=bench.seconds).outcome()
        yield _row(number, receiver, "C-ECHO alone", alone)
        batch = bench.batch("8 MiB")
        sending = bench.loads.beginStore(batch, receiver.port, streams, timeout=120)
        try:
            beside = bench.loads.begin("churn", receiver.port, 1, seconds=max(1, bench.seconds)).outcome()
            sending.stop()
            streamed = sending.outcome()
        finally:
            sending.abandon()
        yield _row(number, receiver, f"C-ECHO beside {streams} streams", beside)
        yield _row(number, receiver, f"{streams} streams of 8 MiB", streamed, batch)


def largeBesideSmall(
    bench: Bench, server: Server, number: int, senders: int = 20, kind: str = "1 GiB"
) -> Iterator[Row]:
    """
    Measure one sender of one large object and some of many small ones, each alone and then at once.

    :param number: that of the round.
    :param senders: how many send small objects.
    :param kind: the large one.
    """
    with bench.running(server) as receiver:
        bench.warm(receiver, "5 KiB", 8)
        large, small = bench.batch(kind), bench.batch("5 KiB")
        alone = bench.loads.beginStore(large, receiver.port, 1, each=1).outcome()
        yield _row(number, receiver, f"{kind} alone", alone, large)
        smallAlone = bench.loads.beginStore(small, receiver.port, senders, seconds=bench.seconds).outcome()
        yield _row(number, receiver, f"{senders} senders of 5 KiB alone", smallAlone, small)
        large, small = bench.batch(kind), bench.batch("5 KiB")
        sending = bench.loads.beginStore(small, receiver.port, senders, timeout=120)
        try:
            beside = bench.loads.beginStore(large, receiver.port, 1, each=1, timeout=120).outcome()
            sending.stop()
            smallBeside = sending.outcome()
        finally:
            sending.abandon()
        yield _row(number, receiver, f"{kind} beside {senders} senders", beside, large)
        yield _row(number, receiver, f"{senders} senders of 5 KiB beside {kind}", smallBeside, small)


def _row(number: int, receiver: Receiver, case: str, outcome: Outcome, batch: Batch | None = None) -> Row:
    figures = figuresOf(outcome, Meter(), batch.length if batch else 0)
    # The receiver's time and memory cannot be told apart by who caused them.
    figures = {name: value for name, value in figures.items() if name not in ("cpu", "memory")}
    wrong = outcome.reason
    if batch:
        wrong = wrong or batch.faultsIn(receiver.directory, outcome.count)
        if outcome.most > 1:
            figures["evenness"] = outcome.least / outcome.most
    return Row(number, receiver.server.name, case, figures, wrong=wrong)
