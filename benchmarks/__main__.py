"""
Measures storescp and other receivers, and senders::

    python -m benchmarks list                                what can be measured
    python -m benchmarks smoke                               a short run of everything; fails if anything was not stored
    python -m benchmarks micro                               the pieces of the hot path
    python -m benchmarks run peers --output peers.json       one experiment; rounds are added to the file
    python -m benchmarks page DIRECTORY                      a page with pictures, of all results in a directory

docs/benchmarks.rst says how it is done. The exit status is 0, or 1 if anything was wrong with what ours did, or 2 if it
could not be measured.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from benchmarks.experiments import EXPERIMENTS, MICRO, Experiment, withFullGrowth
from benchmarks.fairness import echoBesideStreams, largeBesideSmall
from benchmarks.idle import idlePeers
from benchmarks.loadgen import LoadGeneratorError
from benchmarks.measuring import ReceiverError
from benchmarks.micro import measurePieces
from benchmarks.receiver import Bench
from benchmarks.report import files, summary
from benchmarks.results import Results, ResultsError
from benchmarks.rounds import begin, run
from benchmarks.senders import SENDERS
from benchmarks.sending import Sending
from benchmarks.servers import SERVERS, Missing, Server, custom

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure storescp and other receivers.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="name experiments and receivers")
    smoke = commands.add_parser("smoke", help="a short run of everything; fails if anything was not stored whole")
    micro = commands.add_parser("micro", help="measure the pieces of the hot path")
    one = commands.add_parser("run", help="measure one experiment")
    one.add_argument("experiment", choices=list(EXPERIMENTS))
    one.add_argument("--seconds", type=float, default=1.0, help="how long each load takes, about (default: 1)")
    one.add_argument("--servers", help="only these, separated by commas")
    one.add_argument("--server", action="append", default=[], help="NAME=COMMAND with {port} and {directory}: one more")
    one.add_argument("--full", action="store_true", help="growth: 1,000,000 objects instead of 100,000")
    for command in (micro, one):
        command.add_argument("--rounds", type=int, default=5, help="how often (default: 5)")
        command.add_argument("--output", type=Path, help="file for the results (JSON); rounds are added to it")
    for command in (smoke, micro, one):
        command.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()), help="where to store")
    page = commands.add_parser("page", help="make a page with pictures of all results in a directory, beside them")
    page.add_argument("results", type=Path)
    return parser


def _chosen(experiment: Experiment, names: str | None, more: Sequence[str]) -> list[Server]:
    chosen = names.split(",") if names else [*experiment.servers, *(text.partition("=")[0] for text in more)]
    known = {**SERVERS, **SENDERS, **{server.name: server for server in map(custom, more)}}
    for name in chosen:
        if name not in known:
            raise ValueError(f"there is no receiver or sender {name!r}")
    return [known[name] for name in chosen]


def _run(given: argparse.Namespace, output: TextIO) -> Results:
    experiment = EXPERIMENTS[given.experiment]
    if given.full:
        experiment = replace(experiment, measure=withFullGrowth(1_000_000))
    servers = _chosen(experiment, given.servers, given.server)
    return run(
        experiment,
        servers,
        given.rounds,
        given.seconds,
        given.directory,
        given.output,
        lambda line: _tell(output, line),
    )


def _smoke(directory: Path, output: TextIO) -> Results:
    """Try all kinds of loads, briefly; only ours, because others are not to blame here."""
    server = SERVERS["txdicom"]
    results = run(EXPERIMENTS["smoke"], [server], 1, 0.3, directory, None, lambda line: _tell(output, line))
    with tempfile.TemporaryDirectory(dir=directory) as home:
        bench = Bench(Path(home), 0.3)
        for rows in (
            idlePeers(bench, server, 0, associations=50),
            echoBesideStreams(bench, server, 0, streams=8),
            largeBesideSmall(bench, server, 0, senders=5, kind="64 MiB"),
        ):
            results.rows += rows
        for sender in (SENDERS["txdicom send"], SENDERS["txdicom as a library"]):
            results.rows.append(Sending("512 KiB", 1 << 14, objects=20).measure(bench, sender, 0))
    return results


def _micro(given: argparse.Namespace) -> Results:
    results = begin(MICRO, [SERVERS["txdicom"]], 0, given.directory)
    with tempfile.TemporaryDirectory(dir=given.directory) as home:
        results.rows += measurePieces(Path(home), given.rounds)
    if given.output:
        results.write(given.output)
    return results


def _tell(output: TextIO, line: str) -> None:
    output.write(f"{line}\n")
    output.flush()


def _list(output: TextIO) -> int:
    for experiment in EXPERIMENTS.values():
        output.write(f"{experiment.name:14} {experiment.question}\n")
    output.write("\n")
    for server in (*SERVERS.values(), *SENDERS.values()):
        try:
            told = server.version()
        except Missing as missing:
            told = f"({missing})"
        output.write(f"{server.name:24} {told}\n")
    return 0


def _page(directory: Path, output: TextIO) -> int:
    for name, text in files(directory).items():
        (directory / name).write_text(text)
        output.write(f"{directory / name}\n")
    return 0


def _isOurs(name: str) -> bool:
    return any(name in table and table[name].isOurs for table in (SERVERS, SENDERS))


def main(arguments: Sequence[str], output: TextIO) -> int:
    """
    Run one command.

    :param arguments: the command line.
    :param output: gets what is told.
    :return: the exit status.
    """
    given = _parser().parse_args(arguments)
    try:
        if given.command == "list":
            return _list(output)
        if given.command == "page":
            return _page(given.results, output)
        if given.command == "run":
            results = _run(given, output)
        else:
            results = _micro(given) if given.command == "micro" else _smoke(given.directory, output)
    except (ReceiverError, LoadGeneratorError, ResultsError, Missing, OSError, ValueError) as error:
        sys.stderr.write(f"benchmarks: {error}\n")
        return 2
    output.write(summary(results))
    return 1 if any(row.wrong and _isOurs(row.server) for row in results.rows) else 0


if __name__ == "__main__":
    # Receivers and directories do not outlive us, even if we are told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    sys.exit(main(sys.argv[1:], sys.stdout))
