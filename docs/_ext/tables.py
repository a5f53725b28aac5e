"""
The tables of the documentation that come from the code: each function gives a header and rows of plain text.

They need nothing but txdicom, so the tests use them as well. Run as a program, this prints the table of options as it
stands in README.md.
"""

from __future__ import annotations

import re
from textwrap import indent

from pydicom.uid import UID

from txdicom.storescp.options.groups.dcmtk import REFUSED
from txdicom.storescp.options.table import GROUPS, OPTIONS
from txdicom.uids import (
    ACCEPT_ALL,
    FILE_PREFIXES,
    LOSSLESS_TRANSFER_SYNTAXES,
    STORAGE_SOP_CLASSES,
    UNCOMPRESSED_TRANSFER_SYNTAXES,
    VERIFICATION,
)
from txdicom.upperlayer.machine import TRANSITIONS, Event, State

#: The header, and the rows below it.
Table = tuple[list[str], list[list[str]]]

#: What README.md lists: the options of the original program, and those that most receivers need besides.
_README_OPTIONS = frozenset(
    {
        *("verbose", "debug", "refuse", "ignore", "sleep-after", "sleep-during", "max-pdu"),
        *(
            "accept-from",
            "aetitle",
            "duplicates",
            "endpoint",
            "fsync",
            "min-free-space",
            "output-directory",
            "version",
        ),
    }
)
#: The names of what is younger than pydicom's dictionary, or not of the standard.
_NAMES = {
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
    "1.2.840.10008.1.2.8.1": "Deflated Image Frame Compression",
    "1.2.840.10008.5.1.4.1.1.9.100.1": "Waveform Presentation State Storage",
    "1.2.840.10008.5.1.4.1.1.9.100.2": "Waveform Acquisition Presentation State Storage",
    "1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation Storage",
    "1.2.840.10008.5.1.4.1.1.66.8": "Height Map Segmentation Storage",
    "1.2.840.10008.5.1.4.1.1.601.3": "DICONDE Thermography Image Storage",
    "1.2.840.10008.5.1.4.1.1.601.4": "DICONDE Thermography Multi-frame Image Storage",
    "1.2.840.10008.5.1.4.1.1.601.5": "DICONDE Ultrasound Waveform Storage",
}
#: What is written in capitals in the names of events.
_ABBREVIATIONS = {"AC", "ARTIM", "PDU", "RJ", "RP", "RQ"}


def options() -> Table:
    """List the options of storescp: names with their arguments, default, meaning."""
    rows = []
    for option in sorted(OPTIONS.values(), key=lambda option: option.name):
        default = f"`{option.default}`" if option.takes and option.default is not None else ""
        rows.append([", ".join(f"`{syntax}`" for syntax in option.syntax), default, option.help])
    return ["Option", "Default", "Meaning"], rows


def titleOptions() -> Table:
    """List the options that an AE title of a configuration file may have."""
    rows = [[f"--{option.name}", option.help] for option in OPTIONS.values() if option.perTitle]
    return ["Option", "Meaning"], sorted(rows)


def refusedOptions() -> Table:
    """List the options of DCMTK's storescp that are refused."""
    rows = [[", ".join([*option.short, f"--{option.name}"]), option.instead] for option in REFUSED]
    return ["Option", "Instead"], sorted(rows, key=lambda row: row[0].rpartition("--")[2])


def optionReference() -> str:
    """Write the part of the manual that describes the options, in reStructuredText."""
    parts = []
    for group in GROUPS:
        parts += [f"{group.title}\n{'~' * len(group.title)}", group.introduction.strip()]
        for option in group.options:
            parts += [f".. option:: {', '.join(option.syntax)}", indent((option.manual or option.help).strip(), "   ")]
    return "\n\n".join(parts) + "\n"


def readmeOptions() -> Table:
    """List the options that README.md shows."""
    header, rows = options()
    return header, [row for row in rows if re.search("--([a-z-]+)", row[0])[1] in _README_OPTIONS]


def sopClasses() -> Table:
    """List the SOP classes that storescp accepts by default, and what the names of their files begin with."""
    return _sopClasses([VERIFICATION, *STORAGE_SOP_CLASSES])


def allStorageSOPClasses() -> Table:
    """List every storage SOP class that is known, in the same way."""
    return _sopClasses(sorted(FILE_PREFIXES, key=_numbers))


def _sopClasses(uids: list[str]) -> Table:
    return ["SOP class", "UID", "File prefix"], [[_name(uid), uid, FILE_PREFIXES.get(uid, "")] for uid in uids]


def transferSyntaxes() -> Table:
    """List the transfer syntaxes that storescp accepts by default, the preferred one first."""
    rows = [[str(rank), UID(uid).name, uid] for rank, uid in enumerate(UNCOMPRESSED_TRANSFER_SYNTAXES, 1)]
    return ["Preference", "Transfer syntax", "UID"], rows


def allTransferSyntaxes() -> Table:
    """List every transfer syntax that can be accepted, and whether it is lossless."""
    uids = sorted(ACCEPT_ALL[0] | ACCEPT_ALL[1], key=_numbers)
    rows = [[_name(uid), uid, "yes" if uid in LOSSLESS_TRANSFER_SYNTAXES else ""] for uid in uids]
    return ["Transfer syntax", "UID", "Lossless"], rows


def _numbers(uid: str) -> list[int]:
    return [int(number) for number in uid.split(".")]


def _name(text: str) -> str:
    uid = UID(text)
    return _NAMES.get(text) or (f"{uid.name} (retired)" if uid.is_retired else uid.name)


def transitions() -> Table:
    """Lay out the state machine as PS3.8 Table 9-10 does: a row for each event, a column for each state."""
    rows = []
    for event in Event:
        words = [word if word in _ABBREVIATIONS else word.lower() for word in event.name.split("_")]
        row = [f"Evt{event:d} {' '.join(words)}"]
        for state in State:
            cell = TRANSITIONS[event].get(state)
            if cell is None:
                row.append("")
            else:
                following = "Sta9/Sta10" if cell.nextState is None else f"Sta{cell.nextState:d}"
                row.append(f"{cell.action.name.replace('_', '-')} {following}")
        rows.append(row)
    return ["", *(f"Sta{state:d}" for state in State)], rows


def markdown(table: Table) -> str:
    """Write a table in Markdown."""
    header, rows = table
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


#: The names by which the directive `code-table` knows them.
TABLES = {
    "all-storage-sop-classes": allStorageSOPClasses,
    "all-transfer-syntaxes": allTransferSyntaxes,
    "options": options,
    "refused-options": refusedOptions,
    "sop-classes": sopClasses,
    "title-options": titleOptions,
    "transfer-syntaxes": transferSyntaxes,
    "transitions": transitions,
}

if __name__ == "__main__":
    print(markdown(readmeOptions()), end="")  # noqa: T201 - that is what it is run for
