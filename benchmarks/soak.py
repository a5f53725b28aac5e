"""
Proves what storescp promises, object by object, on a real process that is maltreated and killed.

    python benchmarks/soak.py --seconds 600 --kills 20 --directory DIR

What was answered 0x0000 is there, whole, under its final name; what was not is not; and no peer costs the others
anything. The exit status is 0 if that was kept, 1 if it was broken, 2 if it could not be tried. `benchmarks.soaking`
says how it is done.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

if not __package__:
    # Run as a script: the packages are beside the directory that it is in.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.soaking.process import ReceiverError, installedReceiver
from benchmarks.soaking.report import table
from benchmarks.soaking.run import Parameters, soak

__all__ = ["main"]


def _within(kind: type[int] | type[float], least: float, most: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = kind(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not from {least:g} to {most:g}")
        return value

    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Prove what storescp promises, on a process that is killed.")
    add = parser.add_argument
    add("--seconds", type=_within(float, 1, 86400), default=60.0, help="how long there is load")
    add("--kills", type=_within(int, 0, 1000), default=3, help="how often the receiver is killed meanwhile")
    add("--directory", type=Path, required=True, help="an empty directory to work in; verified files are removed")
    add("--senders", type=_within(int, 1, 64), default=12, help="how many send at once")
    add("--seed", type=_within(int, 0, 1 << 32), default=1, help="what is random depends on it")
    add("--misbehaving", type=_within(float, 0, 1), default=0.4, help="part of the associations that are not usual")
    add("--patience", type=_within(float, 0.1, 30), default=2.5, help="longest time that a good peer may wait")
    add(
        "--options",
        type=shlex.split,
        default=[],
        help="options of storescp, as in --options='-v'; none that change names",
    )
    add("--strict-temporaries", action="store_true", help="temporary files of killed receivers must be gone")
    return parser


def main(arguments: Sequence[str], output: TextIO) -> int:
    """
    Run one soak.

    :param arguments: the command line.
    :param output: gets the table.
    :return: the exit status.
    """
    given = _parser().parse_args(arguments)
    try:
        parameters = Parameters(
            seconds=given.seconds,
            kills=given.kills,
            directory=given.directory,
            command=installedReceiver(),
            options=given.options,
            senders=given.senders,
            seed=given.seed,
            misbehaving=given.misbehaving,
            patience=given.patience,
            strictTemporaries=given.strict_temporaries,
        )
        outcome = asyncio.run(soak(parameters, output))
    except (ReceiverError, OSError) as error:
        output.write(f"soak: {error}\n")
        return 2
    output.write(table(parameters, outcome))
    return 0 if outcome.kept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout))
