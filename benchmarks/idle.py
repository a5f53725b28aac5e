"""What idle peers cost: memory for each of them, and time for a sender beside them."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.loadgen import LoadGeneratorError
from benchmarks.measuring import Receiver
from benchmarks.receiver import Bench, figuresOf
from benchmarks.results import Row
from benchmarks.servers import Server

__all__ = ["idlePeers"]

#: How long a receiver may take until all of them have an association, in seconds.
_PATIENCE = 15.0


def idlePeers(bench: Bench, server: Server, number: int, associations: int = 1000) -> Iterator[Row]:
    """
    Measure a sender of small objects, alone and beside idle associations.

    :param number: that of the round.
    """
    with bench.running(server) as receiver:
        bench.warm(receiver, "5 KiB", 1)
        yield _sender(bench, receiver, number, 0)
        before = receiver.memory()
        load = bench.loads.begin("hold", receiver.port, associations, timeout=_PATIENCE)
        try:
            held = load.ready()
            taken = receiver.memory() - before
            row = _sender(bench, receiver, number, associations)
            answered = load.outcome().count
        except LoadGeneratorError as error:
            yield Row(number, server.name, f"{associations} idle", {}, associations, wrong=str(error))
            return
        finally:
            load.abandon()
        row.figures["memoryPerAssociation"] = taken / held
        row.figures["alive"] = answered
        yield row


def _sender(bench: Bench, receiver: Receiver, number: int, idle: int) -> Row:
    batch = bench.batch("5 KiB")
    with receiver.metered() as meter:
        outcome = bench.loads.beginStore(batch, receiver.port, 1, seconds=bench.seconds).outcome()
    wrong = outcome.reason or batch.faultsIn(receiver.directory, outcome.count)
    figures = figuresOf(outcome, meter, batch.length)
    return Row(number, receiver.server.name, f"{idle} idle", figures, idle, wrong=wrong)
