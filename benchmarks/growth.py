"""Whether an object costs more when many have come before it: time and memory, from the first to the last."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from benchmarks.machine import NO_JOURNAL, fileSystemOf
from benchmarks.measuring import prewarm
from benchmarks.receiver import Bench, figuresOf
from benchmarks.results import Row
from benchmarks.servers import Server

__all__ = ["growth"]

_STEPS = 20
_ASSOCIATIONS = 8
#: A step that takes longer has failed, in seconds.
_PATIENCE = 600.0
#: For so many seconds a file system does not give inodes of removed files to new ones, and looks for others one by one,
#: for each file that is made: that takes more than ten times what it takes otherwise.
_REMEMBERING = {NO_JOURNAL: 360.0}


def growth(
    bench: Bench,
    server: Server,
    number: int,
    objects: int = 100_000,
    pause: Callable[[float], object] = time.sleep,
) -> Iterator[Row]:
    """
    Measure a receiver in steps, while it stores that many small objects in one run.

    What was stored before does not count: it waits until the file system has forgotten what has been removed.

    :param number: that of the round.
    :param pause: waits so many seconds.
    """
    pause(max(0.0, bench.removedAt + _REMEMBERING.get(fileSystemOf(bench.home), 0.0) - time.monotonic()))
    batch, each = bench.batch("5 KiB"), objects // _STEPS // _ASSOCIATIONS
    stored = 0
    with bench.running(server) as receiver:
        for step in range(_STEPS):
            # Files take whole pages, and the system keeps something of each.
            prewarm(bench.home, 3 * each * _ASSOCIATIONS * batch.length)
            with receiver.metered() as meter:
                load = bench.loads.beginStore(
                    batch, receiver.port, _ASSOCIATIONS, timeout=_PATIENCE, each=each, first=each * _ASSOCIATIONS * step
                )
                outcome = load.outcome()
            stored += outcome.count
            row = Row(number, server.name, f"{stored:,} objects", figuresOf(outcome, meter, batch.length), stored, each)
            if outcome.failed:
                yield replace(row, wrong=outcome.reason)
                return
            # All are compared once, at the end.
            yield replace(row, wrong=batch.faultsIn(receiver.directory, stored)) if step == _STEPS - 1 else row
