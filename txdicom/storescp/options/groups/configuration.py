"""Options about files that have options in them."""

from __future__ import annotations

from typing import Any

from twisted.python import usage

from txdicom.storescp.options.groups.negotiation import NEGOTIATION
from txdicom.storescp.options.kinds import File, Text
from txdicom.storescp.options.option import Group, Option
from txdicom.storescp.profiles.reader import readProfile

__all__ = ["CONFIGURATION"]


def _check(options: dict[str, Any]) -> None:
    options["presentation-contexts"] = None
    if options["config-file"] is not None:
        try:
            options["presentation-contexts"] = readProfile(*options["config-file"])
        except ValueError as error:
            raise usage.UsageError(str(error)) from error


CONFIGURATION = Group(
    "Configuration files",
    (
        Option(
            name="config",
            takes=(File(),),
            help="Take options from a TOML file, and other options for other AE titles.",
            manual="""
Take options from a file, and those of further AE titles: see :doc:`configuration`. What the command line says as well,
counts more.
""",
        ),
        Option(
            name="config-file",
            short=("-xf",),
            takes=(File(), Text("profile")),
            perTitle=True,
            excludes=tuple(option.name for option in NEGOTIATION.options),
            help="Accept what a profile of a file of DCMTK's format says.",
            manual="""
Accept the SOP classes of a profile, each in the transfer syntaxes that it says, the first of them that is proposed. The
file is one of DCMTK's association negotiation profiles, such as `/etc/dcmtk/storescp.cfg`: see :doc:`configuration`.
""",
        ),
    ),
    _check,
)
