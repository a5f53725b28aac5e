"""Options about the program itself, and what it tells."""

from __future__ import annotations

from typing import Any

from txdicom import __version__
from txdicom.storescp.options.option import Group, Option

__all__ = ["GENERAL"]


def _check(options: dict[str, Any]) -> None:
    options["verbose"] = options["verbose"] or options["debug"]


GENERAL = Group(
    "General options",
    (
        Option(name="help", short=("-h",), answer=str, help="Print the options and exit."),
        Option(name="version", answer=lambda _: f"txdicom {__version__}", help="Print the version and exit."),
        Option(
            name="verbose",
            short=("-v",),
            help="Say what happens on every association.",
            manual="Say what happens on every association: see `Log lines`_.",
        ),
        Option(
            name="debug",
            short=("-d",),
            help="Say also what was negotiated, and show commands and data sets; implies --verbose.",
            manual="""
Say also what was proposed and answered in each association, and show the command sets and the head of each data set,
with names from the data dictionary; implies :option:`--verbose`. The log then has patients' names in it.
""",
        ),
    ),
    _check,
)
