"""
The tables of the documentation that come from the code: each function gives a header and rows of plain text.

They need nothing but txdicom, so the tests use them as well. Run as a program, this prints the table of options as it
stands in README.md.
"""

from __future__ import annotations

import re

from pydicom.uid import UID

from txdicom.storescp.options import Options
from txdicom.uids import FILE_PREFIXES, STORAGE_SOP_CLASSES, UNCOMPRESSED_TRANSFER_SYNTAXES, VERIFICATION
from txdicom.upperlayer.machine import TRANSITIONS, Event, State

#: The header, and the rows below it.
Table = tuple[list[str], list[list[str]]]

#: What an option takes, where that is not a number.
_VALUES = {
    "accept-calling-aet": "title",
    "accept-from": "network",
    "aetitle": "title",
    "duplicates": "choice",
    "endpoint": "description",
    "fault": "fault",
    "output-directory": "directory",
}
#: What README.md lists: the options of the original program, and those that most receivers need besides.
_README_OPTIONS = frozenset(
    {
        *("verbose", "debug", "refuse", "ignore", "sleep-after", "sleep-during", "max-pdu"),
        *("accept-from", "aetitle", "duplicates", "endpoint", "fsync", "min-free-space", "output-directory", "version"),
    }
)
#: What is written in capitals in the names of events.
_ABBREVIATIONS = {"AC", "ARTIM", "PDU", "RJ", "RP", "RQ"}


def options() -> Table:
    """List the options of storescp: names with their argument, default, meaning."""
    parser = Options()
    short = {name: letter for letter, name in parser.synonyms.items() if len(letter) == 1}
    rows = []
    for name in [option.removesuffix("=") for option in parser.longOpt if option != "help"]:
        value = f" {_VALUES.get(name, 'n')}" if f"{name}=" in parser.longOpt else ""
        names = [f"`-{short[name]}{value}`"] if name in short else []
        default = parser.defaults.get(name)
        shown = f"`{default}`" if value and default is not None else ""
        rows.append([", ".join([*names, f"`--{name}{value}`"]), shown, _sentence(parser.docs[name])])
    return ["Option", "Default", "Meaning"], sorted(rows, key=lambda row: row[0].rpartition("--")[2])


def readmeOptions() -> Table:
    """List the options that README.md shows."""
    header, rows = options()
    return header, [row for row in rows if re.search("--([a-z-]+)", row[0])[1] in _README_OPTIONS]


def _sentence(text: str) -> str:
    return " ".join(text.split())


def sopClasses() -> Table:
    """List the SOP classes that storescp accepts, and what the names of their files begin with."""
    rows = []
    for uid in map(UID, (VERIFICATION, *STORAGE_SOP_CLASSES)):
        name = f"{uid.name} (retired)" if uid.is_retired else uid.name
        rows.append([name, str(uid), FILE_PREFIXES.get(uid, "")])
    return ["SOP class", "UID", "File prefix"], rows


def transferSyntaxes() -> Table:
    """List the transfer syntaxes that storescp accepts, the preferred one first."""
    rows = [[str(rank), UID(uid).name, uid] for rank, uid in enumerate(UNCOMPRESSED_TRANSFER_SYNTAXES, 1)]
    return ["Preference", "Transfer syntax", "UID"], rows


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
    "options": options,
    "sop-classes": sopClasses,
    "transfer-syntaxes": transferSyntaxes,
    "transitions": transitions,
}

if __name__ == "__main__":
    print(markdown(readmeOptions()), end="")  # noqa: T201 - that is what it is run for
