"""
Results: what was measured, as rows; their files, and what is computed of them.

A file is one JSON object, the fields of `Results`; `docs/benchmarks.rst` describes them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

__all__ = ["MEASURES", "SCHEMA", "Measure", "Results", "ResultsError", "Row", "Spread"]

#: The version of what is in the files.
SCHEMA = 1


class ResultsError(Exception):
    """A file has no results, or others than are needed; says why."""


@dataclass(frozen=True, slots=True)
class Measure:
    """
    Something that is measured.

    :ivar label: what it is called in tables.
    :ivar factor: what to multiply it with for the unit that `label` names.
    :ivar lessIsBetter: as its name says.
    """

    label: str
    factor: float = 1.0
    lessIsBetter: bool = True


#: Keys of `Row.figures`; in files all are in seconds, bytes or counts.
MEASURES = {
    "perSecond": Measure("Requests per second", lessIsBetter=False),
    "bytesPerSecond": Measure("MiB of data sets per second", 1 / (1 << 20), lessIsBetter=False),
    "cpu": Measure("CPU time of the receiver, in µs per request", 1e6),
    "perSecondOfAssociation": Measure("Requests per second, from connection to release", lessIsBetter=False),
    "senderCPU": Measure("CPU time of the sender, in µs per request", 1e6),
    "memory": Measure("Most memory, in MiB", 1 / (1 << 20)),
    "memoryAtRest": Measure("Memory before, in MiB", 1 / (1 << 20)),
    "startup": Measure("Seconds from start to listening"),
    "latency50": Measure("Median latency, in ms", 1e3),
    "latency99": Measure("Latency, 99th percentile, in ms", 1e3),
    "memoryPerAssociation": Measure("KiB per idle association", 1 / 1024),
    "alive": Measure("Idle associations that were answered", lessIsBetter=False),
    "evenness": Measure("Slowest sender's share of the fastest one's", lessIsBetter=False),
    "secondsPerOperation": Measure("µs per operation", 1e6),
}


@dataclass(frozen=True, slots=True)
class Row:
    """
    One measurement.

    :ivar round: its number; what was measured in the same round was measured within a short time.
    :ivar server: name of the receiver, or of what else was measured, such as a sender.
    :ivar case: what it had to do.
    :ivar x: how much of it, where there is a scale: associations, bytes, objects.
    :ivar figures: key of `MEASURES` -> value.
    :ivar each: how many requests were made on each association.
    :ivar wrong: empty, or what went wrong: requests that failed, objects that were not stored whole.
    """

    round: int
    server: str
    case: str
    figures: dict[str, float]
    x: float = 0
    each: int = 0
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Spread:
    """The least, the middle and the most of some values."""

    least: float
    median: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Compute it; there has to be a value."""
        return cls(min(values), median(values), max(values))


@dataclass(slots=True)
class Results:
    """
    All that was measured for one experiment.

    :ivar experiment: its name.
    :ivar began: date and time (UTC).
    :ivar machine: what it was measured on.
    :ivar versions: server -> its version.
    :ivar skipped: server -> why it was not measured.
    :ivar options: how it was measured; rounds are only added to a file if theirs are the same.
    """

    experiment: str
    began: str
    machine: dict[str, str]
    options: dict[str, Any]
    versions: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    schema: int = SCHEMA

    @property
    def rounds(self) -> int:
        """How many rounds there are."""
        return max((row.round + 1 for row in self.rows), default=0)

    @property
    def cases(self) -> list[str]:
        """The cases, in the order in which they were measured first."""
        return list(dict.fromkeys(row.case for row in self.rows))

    @property
    def servers(self) -> list[str]:
        """The servers that were measured, sorted as in `versions`."""
        measured = {row.server for row in self.rows}
        return [name for name in self.versions if name in measured]

    def values(self, server: str, case: str, measure: str) -> dict[int, float]:
        """Give what was measured without fault: round -> value."""
        return {
            row.round: row.figures[measure]
            for row in self.rows
            if (row.server, row.case) == (server, case) and not row.wrong and measure in row.figures
        }

    def spread(self, server: str, case: str, measure: str) -> Spread | None:
        """Give the spread over all rounds; None if there is nothing."""
        values = self.values(server, case, measure)
        return Spread.of(list(values.values())) if values else None

    def ratio(self, server: str, baseline: str, case: str, measure: str) -> Spread | None:
        """Give the spread of the ratios to another server, each within one round; None if there is none."""
        others = self.values(baseline, case, measure)
        mine = self.values(server, case, measure)
        ratios = [value / others[number] for number, value in mine.items() if others.get(number)]
        return Spread.of(ratios) if ratios else None

    def wrong(self, server: str, case: str) -> str:
        """Tell what went wrong; empty if nothing did."""
        return next((row.wrong for row in self.rows if (row.server, row.case) == (server, case) and row.wrong), "")

    def write(self, path: Path) -> None:
        """Write the file, one row a line, at once: who reads it meanwhile has the old one."""
        plain = asdict(self)
        rows = ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in plain.pop("rows"))
        text = json.dumps(plain, indent=1, ensure_ascii=False).removesuffix("\n}")
        temporary = path.with_suffix(".part")
        temporary.write_text(f'{text},\n "rows": [\n{rows}\n ]\n}}\n')
        temporary.replace(path)

    @classmethod
    def read(cls, path: Path) -> Results:
        """
        Read a file.

        :raises ResultsError: it is none.
        """
        try:
            plain = json.loads(path.read_text())
            if plain["schema"] != SCHEMA:
                raise ResultsError(f"{path} has version {plain['schema']} of the schema, {SCHEMA} is needed")
            rows = [Row(**row) for row in plain.pop("rows")]
            return cls(rows=rows, **plain)
        except (ValueError, KeyError, TypeError) as error:
            raise ResultsError(f"{path} has no results: {error!r}") from error
