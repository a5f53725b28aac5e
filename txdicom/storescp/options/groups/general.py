"""Options about the program itself."""

from __future__ import annotations

from txdicom import __version__
from txdicom.storescp.options.option import Group, Option

__all__ = ["GENERAL"]


GENERAL = Group(
    "General options",
    (
        Option(name="help", short=("-h",), answer=str, help="Print the options and exit."),
        Option(name="version", answer=lambda _: f"txdicom {__version__}", help="Print the version and exit."),
    ),
)
