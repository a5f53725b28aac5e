"""What a user sees of the sending of many files: `Progress` and `summarize`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from typing import Any

from txdicom.cli.outcomes import Outcome

__all__ = ["Progress", "summarize"]


class Progress:
    """
    A progress bar on the terminal, if there is one and tqdm is installed.

    :param total: how many files there are.
    :param quiet: show nothing.
    """

    def __init__(self, total: int, quiet: bool) -> None:
        self._bar: Any = None
        if quiet or not sys.stderr.isatty():
            return
        try:
            from tqdm import tqdm
        except ModuleNotFoundError:
            return
        self._bar = tqdm(total=total, unit="file", dynamic_ncols=True)

    def done(self, outcome: Outcome) -> None:
        """One file more has been dealt with."""
        if self._bar is not None:
            self._bar.update()

    def close(self) -> None:
        """There are no more."""
        if self._bar is not None:
            self._bar.close()


def summarize(outcomes: Iterable[Outcome], seconds: float) -> str:
    """
    Make a table of how many files ended how, and a line with the sum.

    :param seconds: how long it took.
    """
    counts: Counter[tuple[bool, str]] = Counter()
    sent, size = 0, 0
    for outcome in outcomes:
        counts[outcome.succeeded, outcome.what] += 1
        sent += outcome.succeeded
        size += outcome.size
    rows = [("files", "", "status")]
    for (succeeded, what), count in sorted(counts.items(), key=lambda item: (not item[0][0], -item[1])):
        rows.append((str(count), "stored" if succeeded else "failed", what))
    table = [f"{count:>8}  {kind:<6}  {what}".rstrip() for count, kind, what in rows]
    mebibytes = size / (1 << 20)
    rate = f", {sent / seconds:.0f} files/s, {mebibytes / seconds:.1f} MiB/s" if seconds else ""
    return "\n".join([*table, f"{sent} of {counts.total()} stored, {mebibytes:.1f} MiB in {seconds:.1f} s{rate}"])
