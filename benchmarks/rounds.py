"""Runs an experiment: round by round, the receivers in another order in each, with all that is known in a file."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.experiments import Experiment
from benchmarks.loadgen import LoadGeneratorError
from benchmarks.machine import fileSystemOf, machine
from benchmarks.measuring import ReceiverError
from benchmarks.objects import KINDS
from benchmarks.receiver import Bench, Workload
from benchmarks.results import Results, ResultsError, Row
from benchmarks.sending import Sending
from benchmarks.servers import Missing, Server
from benchmarks.soaking.contents import seededRandom

__all__ = ["begin", "run"]

#: A receiver that was wrong in so many rounds is not tried any more: what fails takes long.
_ATTEMPTS = 2


def begin(experiment: Experiment, servers: Sequence[Server], seconds: float, directory: Path) -> Results:
    """Make results that have no rows yet."""
    results = Results(
        experiment.name,
        datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        machine(),
        {"seconds": seconds, "fileSystem": fileSystemOf(directory)},
    )
    for server in servers:
        try:
            results.versions[server.name] = server.version()
        except Missing as missing:
            results.skipped[server.name] = str(missing)
    return results


def resume(results: Results, path: Path) -> Results:
    """
    Go on with the rounds of a file, if there is one.

    :raises ResultsError: it is of something else, or was measured in another way.
    """
    if not path.exists():
        return results
    there = Results.read(path)
    for name in ("experiment", "machine", "versions", "options"):
        if getattr(there, name) != getattr(results, name):
            raise ResultsError(f"{path} has another {name}: {getattr(there, name)}, now {getattr(results, name)}")
    return there


def run(
    experiment: Experiment,
    servers: Sequence[Server],
    rounds: int,
    seconds: float,
    directory: Path,
    output: Path | None,
    tell: Callable[[str], None],
) -> Results:
    """
    Measure.

    :param servers: who; those that are not installed are skipped.
    :param rounds: how often.
    :param seconds: how long each load takes, about.
    :param directory: where the receivers store; it is on the file system that is measured as well.
    :param output: the file for the results, written after each round; rounds are added to those that it has.
    :param tell: gets a line for each measurement.
    :raises ResultsError: the file is of something else.
    """
    results = begin(experiment, servers, seconds, directory)
    if output is not None:
        results = resume(results, output)
    for name, why in results.skipped.items():
        tell(f"{name} is skipped: {why}")
    present = [server for server in servers if server.name in results.versions]
    home = Path(tempfile.mkdtemp(prefix="benchmark-", dir=directory.resolve()))
    try:
        bench = Bench(home, seconds)
        for number in range(results.rounds, results.rounds + rounds):
            for row in _round(experiment, bench, present, number, results):
                results.rows.append(row)
                tell(_line(row))
            if output is not None:
                results.write(output)
    finally:
        shutil.rmtree(home)
    return results


def _round(
    experiment: Experiment, bench: Bench, servers: Sequence[Server], number: int, results: Results
) -> Iterator[Row]:
    rng = seededRandom(experiment.name, number)
    for workload in experiment.workloads or (None,):
        for server in rng.sample(servers, len(servers)):
            if workload is not None:
                before = [row for row in results.rows if (row.server, row.case) == (server.name, workload.name)]
                if sum(bool(row.wrong) for row in before) >= _ATTEMPTS:
                    continue
                # As many requests as in the first round, so that rounds are alike.
                each = before[0].each if before else 0
                row = workload.measure(bench, server, number, each)
                yield replace(row, x=_x(workload, experiment.axis))
            elif experiment.measure is not None:
                try:
                    yield from experiment.measure(bench, server, number)
                except (ReceiverError, LoadGeneratorError) as error:
                    yield Row(number, server.name, "all", {}, wrong=str(error))


def _x(workload: Workload | Sending, axis: str) -> float:
    if axis == "bytes":
        return KINDS[workload.kind].pixelLength
    return workload.associations if axis == "associations" and isinstance(workload, Workload) else 0


def _line(row: Row) -> str:
    if row.wrong:
        return f"round {row.round}: {row.server}, {row.case}: WRONG: {row.wrong}"
    told = ", ".join(f"{name} {value:.6g}" for name, value in row.figures.items())
    return f"round {row.round}: {row.server}, {row.case}: {told}"
