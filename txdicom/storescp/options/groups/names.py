"""Options about what files are called, and in which directories they are."""

from __future__ import annotations

from typing import Any

from twisted.python import usage

from txdicom.storage.pathtemplate import PathTemplate, TemplateError
from txdicom.storescp.options.kinds import Parsed
from txdicom.storescp.options.option import Group, Option

__all__ = ["NAMES"]

#: Bytes of a prefix or an extension: with a UID and all else, a name stays below the 255 that file systems have.
_MAXIMUM_LENGTH = 64
_SORTING = ("sort-conc-studies", "sort-on-study-uid", "sort-on-patientname")
_NAMING = ("default-filenames", "unique-filenames", "timenames", "filename-extension")


def _template(text: str) -> PathTemplate:
    try:
        return PathTemplate(text)
    except TemplateError as error:
        raise ValueError(f"--path {text!r} {error}") from error


def _prefix(text: str) -> str:
    if not text or text[0] in ".-" or not _isPartOfName(text):
        raise ValueError(
            f"prefix {text!r} is no beginning of a name: 1 to {_MAXIMUM_LENGTH} characters, no '/', first no '.' or '-'"
        )
    return text


def _extension(text: str) -> str:
    if not _isPartOfName(text):
        raise ValueError(
            f"--filename-extension {text!r} is no end of a name: at most {_MAXIMUM_LENGTH} characters, no '/'"
        )
    return text


def _isPartOfName(text: str) -> bool:
    return text.isprintable() and "/" not in text and len(text.encode("utf-8", "replace")) <= _MAXIMUM_LENGTH


def _check(options: dict[str, Any]) -> None:
    if options["duplicates"] != "keep":
        return
    # Success would be told for an instance that is not there, but only another one of its name.
    if options["filenames"] == "time":
        raise usage.UsageError("--duplicates keep cannot be given with --timenames")
    if options["path"] is not None and not options["path"].isUnique:
        raise usage.UsageError("--duplicates keep needs a --path with {SOPInstanceUID} in it, apart from other fields")


NAMES = Group(
    "What files are called",
    (
        Option(
            name="default-filenames",
            perTitle=True,
            short=("-uf",),
            key="filenames",
            constant="instance",
            default="instance",
            help="Call files by the SOP Instance UID; the default.",
            manual="Call files `<prefix>.<SOP Instance UID>`: see `Files`_. The default.",
        ),
        Option(
            name="unique-filenames",
            perTitle=True,
            short=("+uf",),
            key="filenames",
            constant="unique",
            help="Give each file a name of its own.",
            manual="""
Call files `<prefix>.X.<UID>`, with a new UID for each, so that none ever takes the place of another. The UIDs are made
from random UUIDs (PS3.5 B.2), and stand in the name only: in the file everything is as it came.
""",
        ),
        Option(
            name="timenames",
            perTitle=True,
            short=("-tn",),
            key="filenames",
            constant="time",
            excludes=("unique-filenames", "default-filenames"),
            help="Call files by when they came.",
            manual="""
Call files by when they began to come, in local time: `YYYYMMDDhhmmssmmm.<prefix>`, and of those that begin in one
millisecond all but the first `YYYYMMDDhhmmssmmm_0000.<prefix>` and so on. A name that is taken, perhaps since a clock
was set back, gets `.1` appended; no file takes the place of another, whatever :option:`--duplicates` says.
""",
        ),
        Option(
            name="filename-extension",
            perTitle=True,
            short=("-fe",),
            takes=(Parsed("extension", _extension),),
            help="Append this to the name of each file, as it is.",
            manual="Append this to the name of each file, as it is: `.dcm` has to be given with its dot.",
        ),
        Option(
            name="sort-conc-studies",
            perTitle=True,
            short=("-ss",),
            takes=(Parsed("prefix", _prefix),),
            excludes=("sort-on-study-uid", "sort-on-patientname"),
            help="Keep each study in a directory that is called by this prefix and the time.",
            manual="""
Keep each study in a directory of its own, called by when its first instance came, in local time:
`<prefix>_YYYYMMDD_hhmmssmmm`. See `Directories`_.
""",
        ),
        Option(
            name="sort-on-study-uid",
            perTitle=True,
            short=("-su",),
            takes=(Parsed("prefix", _prefix),),
            excludes=("sort-on-patientname",),
            help="Keep each study in a directory that is called by this prefix and its UID.",
            manual="""
Keep each study in a directory of its own, called `<prefix>_<Study Instance UID>`. See `Directories`_.
""",
        ),
        Option(
            name="sort-on-patientname",
            perTitle=True,
            short=("-sp",),
            help="Keep each study in a directory that is called by the patient's name and the time.",
            manual="""
Keep each study in a directory of its own, called by the Patient's Name in its first instance and when that came:
`<name>_YYYYMMDD_hhmmssmmm`. The name is written with letters and digits of ASCII, `ae` for `ä` and likewise, letters
without their marks, `_` for anything else; it is `ANONYMOUS` where there is none. See `Directories`_.
""",
        ),
        Option(
            name="path",
            perTitle=True,
            takes=(Parsed("template", _template),),
            excludes=(*_NAMING, *_SORTING),
            help="Call files, and directories, by their attributes, such as {PatientID}/{SOPInstanceUID}.dcm.",
            manual="""
Make the name of each file, with its directories, from attributes of the instance:
`{StudyDate}/{PatientID}/{SeriesInstanceUID}/{SOPInstanceUID}.dcm`. See `Path templates`_.
""",
        ),
    ),
    _check,
)
