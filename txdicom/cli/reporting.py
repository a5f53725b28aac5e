"""What a user sees of the sending of many files: `Progress`, `complaints` and `summarize`."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from twisted.internet.error import ConnectionRefusedError, DNSLookupError, TimeoutError

from txdicom.cli.outcomes import Kind, Outcome

__all__ = ["Progress", "complaints", "printable", "sentence", "summarize"]

#: Twisted's errors of connections that could not be made, in words.
_CONNECTING = {
    ConnectionRefusedError: "nobody listens there (connection refused)",
    DNSLookupError: "no address is known for this host",
    TimeoutError: "the connection could not be made in time",
}
_STANDARD_UID = re.compile(r"\b1\.2\.840\.10008(?:\.\d+)+")


class Progress:
    """
    A progress bar on the terminal, if there is one and tqdm is installed.

    :param total: how many files there are.
    :param quiet: show nothing.
    """

    def __init__(self, total: int, quiet: bool) -> None:
        self._bar: Any = None
        if quiet or not total or not sys.stderr.isatty():
            return
        try:
            from tqdm import tqdm
        except ModuleNotFoundError:
            return
        # Some terminals do not know how large they are.
        columns, rows = os.get_terminal_size(sys.stderr.fileno())
        self._bar = tqdm(total=total, unit="file", ncols=columns or 80, nrows=rows or 24)

    def done(self, outcome: Outcome) -> None:
        """One file more has been dealt with."""
        if self._bar is not None:
            self._bar.update()

    def close(self) -> None:
        """There are no more."""
        if self._bar is not None:
            self._bar.close()


def sentence(error: Exception) -> str:
    """Say what went wrong."""
    return _CONNECTING.get(type(error)) or str(error) or type(error).__name__


def printable(text: str) -> str:
    """Escape what a terminal would take for more than text, and what cannot be encoded."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def complaints(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Name each file that failed, and say once why others have not been sent."""
    unsent: Counter[str] = Counter()
    for outcome in outcomes:
        if outcome.kind is Kind.FAILED:
            comment = f" ({outcome.comment})" if outcome.comment else ""
            yield printable(f"{outcome.path}: {_named(outcome.what)}{comment}")
        elif outcome.kind is Kind.UNSENT:
            unsent[outcome.what] += 1
    for what, count in unsent.items():
        yield printable(f"{_counted(count)} not sent: {what}")


def summarize(outcomes: Sequence[Outcome], seconds: float) -> str:
    """
    Make a table of how many files ended how, and a line with the sum.

    :param seconds: how long it took.
    """
    if not outcomes:
        return "no file found"
    counts = Counter((outcome.kind, outcome.what) for outcome in outcomes)
    kinds = [*Kind]
    table = [f"{'files':>8}           status"]
    for (kind, what), count in sorted(counts.items(), key=lambda item: (kinds.index(item[0][0]), -item[1])):
        table.append(printable(f"{count:>8}  {kind.value:<7}  {_named(what)}"))
    sent = sum(outcome.kind is Kind.STORED for outcome in outcomes)
    mebibytes = sum(outcome.size for outcome in outcomes) / (1 << 20)
    rate = f", {sent / seconds:.0f} files/s, {mebibytes / seconds:.1f} MiB/s" if sent and seconds else ""
    return "\n".join([*table, f"{sent} of {len(outcomes)} stored, {mebibytes:.1f} MiB in {seconds:.1f} s{rate}"])


def _counted(count: int) -> str:
    return f"{count} file" if count == 1 else f"{count} files"


def _named(text: str) -> str:
    """Put the names of UIDs before them."""
    if not _STANDARD_UID.search(text):
        return text
    # pydicom takes longer to import than most of what is sent takes.
    from pydicom.uid import UID

    def name(found: re.Match[str]) -> str:
        known = UID(found[0]).name
        return found[0] if known == found[0] else f"{known} ({found[0]})"

    return _STANDARD_UID.sub(name, text)
