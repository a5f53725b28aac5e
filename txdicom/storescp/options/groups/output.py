"""Options about what is kept, and where."""

from __future__ import annotations

import os
from typing import Any

from twisted.python import usage

from txdicom.storage.filestore import Duplicates
from txdicom.storescp.options.kinds import Bytes, Choice, Directory
from txdicom.storescp.options.option import Group, Option

__all__ = ["OUTPUT"]


def _check(options: dict[str, Any]) -> None:
    if options["ignore"]:
        return
    directory = options["output-directory"]
    if not os.path.isdir(directory):
        raise usage.UsageError(f"output directory {directory} does not exist or is not a directory")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise usage.UsageError(f"output directory {directory} cannot be written to")


OUTPUT = Group(
    "What is kept",
    (
        Option(
            name="output-directory",
            perTitle=True,
            short=("-od",),
            takes=(Directory(),),
            default=".",
            help="Where to keep what is received; has to exist.",
            manual="""
Where the files go. It has to exist and be writable. Default is the directory that the program is started in, to which
the name may also be relative, whatever twistd is told by `--rundir`.
""",
        ),
        Option(
            name="ignore",
            perTitle=True,
            short=("-i",),
            help="Receive, but do not keep anything.",
            manual="Receive, check and answer, but keep nothing. No output directory is needed then.",
        ),
        Option(
            name="fsync",
            perTitle=True,
            help="Have every file on stable storage before it is acknowledged.",
            manual="""
Have each file, and its name, on stable storage before the sender gets its success: see `What success means`_. Only the
association that sends the instance waits for it.
""",
        ),
        Option(
            name="duplicates",
            perTitle=True,
            takes=(Choice(tuple(choice.value for choice in Duplicates)),),
            default="overwrite",
            help="When an instance is there already: overwrite, keep, reject or rename.",
            manual="""
What to do with an instance whose file is there already. Default overwrite.

`overwrite`
   the new file takes the place of the old one, in one step;
`keep`
   the old file stays, and the sender gets success;
`reject`
   the old file stays, and the sender gets 0x0111;
`rename`
   both stay: `.1`, `.2` and so on is appended to the name of the new one, the first that is not taken.

All but `overwrite` need a file system that has hard links; where there are none, storescp does not start.
""",
        ),
        Option(
            name="min-free-space",
            perTitle=True,
            takes=(Bytes(),),
            default="0",
            help="Refuse instances when fewer than n bytes are free; K, M, G, T may follow.",
            manual="""
Refuse an instance (0xA700) if fewer than n bytes are free in the output directory's file system when it begins.
Default 0, which does not ask.
""",
        ),
        Option(
            name="max-object-size",
            takes=(Bytes(),),
            default="0",
            help="Refuse data sets of more than n bytes; 0 for no limit.",
            manual="""
Refuse data sets of more than n bytes (0xA700). They are read to their end before they are answered. Default 0, which is
no limit.
""",
        ),
    ),
    _check,
)
