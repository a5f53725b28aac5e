"""What has been measured, for pages that show a little of it: `TABLES`."""

from __future__ import annotations

from pathlib import Path

from benchmarks.results import Results

_PUBLISHED = Path(__file__).resolve().parent.parent / "benchmarks"


def receivers() -> tuple[list[str], list[list[str]]]:
    """Lay out how many requests each receiver has answered per second: medians, a row for each case."""
    results = Results.read(_PUBLISHED / "peers.json")
    servers = sorted(results.versions, key=lambda server: (not server.startswith("txdicom"), server))
    rows = []
    for case in dict.fromkeys(row.case for row in results.rows):
        spreads = [results.spread(server, case, "perSecond") for server in servers]
        rows.append([case, *("" if spread is None else f"{spread.median:,.0f}" for spread in spreads)])
    return ["Requests per second", *servers], rows


TABLES = {"receivers-measured": receivers}
