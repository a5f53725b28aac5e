"""Options about what the program tells, and how it writes that."""

from __future__ import annotations

from typing import Any

from twisted.python import usage

from txdicom.storescp.options.kinds import Choice
from txdicom.storescp.options.option import Group, Option

__all__ = ["LOG"]

_LEVELS = ("fatal", "error", "warn", "info", "debug", "trace")


def _check(options: dict[str, Any]) -> None:
    # Two options say one thing: what is told of associations, and how much is written of all that is logged.
    level = options["log-level"]
    options["debug"] = options["debug"] or level in ("debug", "trace")
    options["verbose"] = options["verbose"] or options["debug"] or level == "info"
    if options["verbose-pc"] and not options["verbose"]:
        raise usage.UsageError("--verbose-pc can only be given with a --log-level of info, debug or trace")


LOG = Group(
    "What it tells",
    (
        Option(
            name="quiet",
            short=("-q",),
            key="log-level",
            constant="fatal",
            excludes=("verbose", "debug"),
            help="Write no warnings and errors either, only what ends the program.",
            manual="""
Write only what the program cannot go on after: the same as `--log-level fatal`. twistd's own lines are left out too.
""",
        ),
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
        Option(
            name="log-level",
            short=("-ll",),
            takes=(Choice(_LEVELS, "level"),),
            default="warn",
            excludes=("verbose", "debug", "quiet"),
            help=f"Tell as much as one of these: {', '.join(_LEVELS)}.",
            manual="""
Say by one word how much to tell. Default warn.

`fatal`
   only what ends the program: the same as :option:`--quiet`;
`error`
   what fails unexpectedly as well;
`warn`
   warnings as well, and that the program starts, listens and stops;
`info`
   what happens on every association as well: the same as :option:`--verbose`;
`debug`, `trace`
   everything: the same as :option:`--debug`.
""",
        ),
        Option(
            name="verbose-pc",
            short=("+v",),
            needs=("verbose", "debug", "log-level"),
            help="Say also what became of each presentation context; with --verbose or --debug.",
            manual="""
Say also, for each association, what became of each presentation context that was proposed. Not without
:option:`--verbose`, :option:`--debug` or `--log-level info`.
""",
        ),
        Option(
            name="log-json",
            help="Write the log as JSON lines, with one summary for each association.",
            manual="""
Write the log as JSON, an object on each line, and to it one summary for each association that ends: see `JSON lines`_.
It goes where twistd would write its text. Not where twistd is told to log elsewhere, nor without twistd.
""",
        ),
    ),
    _check,
)
