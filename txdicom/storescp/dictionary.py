"""
Data dictionaries in DCMTK's text format, as named by the environment variable DCMDICTPATH, taught to pydicom.

Theory of operation: `loadDictionaries` reads the files into `DictionaryEntry` objects with `parseDictionary`, which
knows nothing of pydicom, and registers them all at the end, so that the order of the files alone decides who wins:

- A file goes before pydicom's own dictionary, and a later file, or a later line, before an earlier one.
- An entry for one tag goes before one for a range of tags, wherever it stands: DCMTK looks there first.
- pydicom's own keywords keep their tags, whatever the files say: `ds.PatientName` never starts to mean something else.

One line is one entry: tag, VR, keyword, VM and version, separated by tabs (or by other white space)::

    (0010,0010)                       PN  PatientName          1    DICOM
    (6000-60FF,3000)                  ox  OverlayData          1    DICOM          # even groups, the default
    (0009-o-FFFF,0010-u-00FF)         LO  PrivateCreator       1    PRIVATE        # -o- odd, -e- even, -u- both
    (0029,"SIEMENS CSA HEADER",08)    CS  CSAImageHeaderType   1    PrivateTag     # any block of that creator
    (0019,"PHILIPS MR/PART",1005)     DS  CCAngulation         1    PrivateTag     # that very element and no other

VM may be left out and is 1 then; the version and whatever follows it, or a `#`, is not read. The prefix `RETIRED_` of a
keyword marks a retired element and is no part of the keyword.

Ranges are expanded, for pydicom's own repeating groups ("60xx") cannot say what DCMTK's ranges can; as with those, a
keyword of a range leads to no tag. Left out without a word is what pydicom knows by rule: ranges of group lengths,
private creators (odd group, element 0010 to 00FF), and delimiters (VR `na`); and lines of unknown VR (`??`), which say
nothing. Left out with a warning is any other element of an odd group without a private creator, which DCMTK allows:
pydicom looks for private elements by their creator only.

Nothing here imports pydicom before there is something to register: without DCMDICTPATH it costs no start-up time.
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from twisted.logger import Logger

from txdicom.errors import DICOMError

__all__ = [
    "DictionaryEntry",
    "DictionaryError",
    "MalformedLine",
    "loadDictionaries",
    "parseDictionary",
    "parseLine",
]

#: A larger file is refused, in bytes. The largest of DCMTK's own has a quarter of a megabyte.
MAX_FILE_SIZE = 64 * 1024 * 1024

#: A longer line is malformed, in characters; DCMTK reads no longer ones either.
MAX_LINE_LENGTH = 2048

#: A line that names more tags is malformed.
MAX_TAGS = 0x10000

#: A file that names more tags, all its lines together, is refused: pydicom keeps each of them.
MAX_FILE_TAGS = 0x100000

#: How many malformed lines of one file are told one by one; the others are counted.
MAX_WARNINGS = 10

_STANDARD_VR = re.compile(
    "AE|AS|AT|CS|DA|DS|DT|FD|FL|IS|LO|LT|OB|OD|OF|OL|OV|OW|PN|SH|SL|SQ|SS|ST|SV|TM|UC|UI|UL|UN|UR|US|UT|UV"
)

#: DCMTK's own names for VRs that depend on another element, or are a pointer, in pydicom's spelling.
_DCMTK_VRS = {
    "ox": "OB or OW",
    "px": "OB or OW",
    "xs": "US or SS",
    "lt": "US or SS or OW",
    "up": "UL",
}

#: VRs that make an entry meaningless to pydicom: delimiters and the unknown.
_IGNORED_VRS = frozenset({"na", "??"})

#: What a VR of several becomes where pydicom has no rule to choose one, and would refuse to write explicit VR.
_SETTLED_VRS = {"OB or OW": "OB", "US or SS": "US", "US or SS or OW": "OW"}

_TAG = re.compile(r'\(([^,"()]*),(?:\s*"([^"]*)"\s*,)?([^,"()]*)\)')
_NUMBERS = re.compile(r"([0-9A-F]{1,4})(?:-(?:([OEU])-)?([0-9A-F]{1,4}))?", re.IGNORECASE)
_MULTIPLICITY = re.compile(r"[0-9]{1,5}(?:-[0-9]{1,5})?|(?:[0-9]{1,5}-)?[0-9]{0,5}n", re.IGNORECASE)
#: Between a small letter and a capital, and before the last capital of several; but "IDs" stays together.
_WORD_BREAK = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z])(?!.s(?![a-z]))|_")

#: (VR, VM, name, "Retired" or "", keyword), as pydicom wants it.
_Row: TypeAlias = tuple[str, str, str, str, str]


class DictionaryError(DICOMError):
    """A data dictionary, or all of them, could not be loaded; the message is for the user."""


class MalformedLine(DICOMError):
    """A line of a data dictionary does not say what it should; the message says why, without file name and number."""


@dataclass(frozen=True, slots=True)
class DictionaryEntry:
    """
    What one line of a data dictionary says.

    :ivar groups: the group numbers it is for.
    :ivar elements: the element numbers; with a creator, those up to 0xFF stand for any block that is reserved by it,
        and those from 0x1000 on for themselves.
    :ivar vr: a VR of PS3.5 6.2, or several of them in pydicom's spelling: "OB or OW", "US or SS", "US or SS or OW".
    :ivar keyword: without white space and `RETIRED_`; fit for an attribute name unless there is a creator.
    :ivar vm: as PS3.6 writes it: "1", "1-n", "2-2n".
    :ivar creator: the private creator, None for an element of the standard.
    :ivar retired: whether the keyword had the prefix `RETIRED_`.
    """

    groups: range
    elements: range
    vr: str
    keyword: str
    vm: str = "1"
    creator: str | None = None
    retired: bool = False

    @property
    def name(self) -> str:
        """The keyword as words: "SOP Class UID" for "SOPClassUID"."""
        return " ".join(_WORD_BREAK.sub(" ", self.keyword).split())

    @property
    def tagCount(self) -> int:
        """How many tags it names, of groups of either parity."""
        return len(self.groups) * len(self.elements)

    @property
    def isRule(self) -> bool:
        """Whether it is for a range of group lengths or for private creators only: pydicom knows these by rule."""
        if self.creator is not None:
            return False
        if self.elements == range(1):
            return len(self.groups) > 1
        isOdd = all(group % 2 for group in self.groups[:2])
        return isOdd and self.elements[0] >= 0x10 and self.elements[-1] <= 0xFF

    def tags(self) -> Iterator[int]:
        """Iterate over the tags (0xGGGGEEEE): those of even groups without a creator, of odd groups with one."""
        parity = self.creator is not None
        for group in self.groups:
            if group % 2 == parity:
                base = group << 16
                for element in self.elements:
                    yield base | element


def parseLine(line: str) -> DictionaryEntry | None:
    """
    Parse one line of a data dictionary.

    :return: the entry, or None for a comment, a blank line, or a VR that says nothing (`na`, `??`).
    :raise MalformedLine: for every other line that is no entry, or is one that pydicom cannot hold.
    """
    line = line.strip()
    if not line or line.startswith("#"):
        return None
    if len(line) > MAX_LINE_LENGTH:
        raise MalformedLine(f"longer than {MAX_LINE_LENGTH} characters")
    tag = _TAG.match(line)
    if tag is None:
        raise MalformedLine(f"no tag such as (0010,0020) at the beginning of {_quoted(line)}")
    vrName, keyword, vm = _splitFields(line[tag.end() :].partition("#")[0])
    if vrName in _IGNORED_VRS:
        return None
    vr = vrName if _STANDARD_VR.fullmatch(vrName) else _DCMTK_VRS.get(vrName)
    if vr is None:
        raise MalformedLine(f"{_quoted(vrName)} is not a VR")
    if not _MULTIPLICITY.fullmatch(vm):
        raise MalformedLine(f"{_quoted(vm)} is not a VM")
    retired = keyword.startswith("RETIRED_")
    entry = DictionaryEntry(
        _parseNumbers(tag[1]),
        _parseNumbers(tag[3]),
        vr,
        keyword.removeprefix("RETIRED_"),
        vm.lower(),
        tag[2] if tag[2] is None else tag[2].rstrip(" "),  # PS3.5 6.2: spaces that pad an LO mean nothing
        retired,
    )
    _checkKeyword(entry)
    _checkTags(entry)
    return entry


def parseDictionary(lines: Iterable[str], malformed: Callable[[int, str], None]) -> Iterator[DictionaryEntry]:
    """
    Parse the lines of a data dictionary.

    :param malformed: called with the number of the line (from 1) and the reason for each that is malformed; the line
        is left out then. What it raises ends the iteration.
    """
    for number, line in enumerate(lines, 1):
        try:
            entry = parseLine(line)
        except MalformedLine as error:
            malformed(number, str(error))
        else:
            if entry is not None:
                yield entry


def loadDictionaries(path: str | None, log: Logger) -> int:
    """
    Load data dictionaries and register their entries with pydicom, for the whole process. Call it once, at start-up.

    A file that cannot be used, and a malformed line of one that can, is warned of and left out. A file cannot be used
    if it cannot be opened, is not a regular file, has more than 64 MiB, is not text, has no line that can be used, or
    names more than 1,048,576 tags.

    :param path: the value of DCMDICTPATH: file names with colons between them. Without any (None, empty, or nothing
        but colons) nothing is done, and pydicom's own dictionary serves.
    :param log: takes the warnings.
    :return: the number of entries; a range counts as one, and so do entries that override each other.
    :raise DictionaryError: if files are named and none of them could be used.
    """
    fileNames = [fileName for fileName in (path or "").split(os.pathsep) if fileName]
    if not fileNames:
        return 0
    entries: list[DictionaryEntry] = []
    for fileName in fileNames:
        try:
            found = _loadFile(fileName, log)
        except DictionaryError as error:
            log.warn("Cannot use data dictionary {fileName!r}: {reason}.", fileName=fileName, reason=str(error))
        else:
            log.debug("Loaded {count} entries from data dictionary {fileName!r}.", count=len(found), fileName=fileName)
            entries += found
    if not entries:
        tried = ", ".join(repr(fileName) for fileName in fileNames)
        raise DictionaryError(f"None of the data dictionaries that DCMDICTPATH names could be loaded: {tried}.")
    # One tag goes before a range, and sorting keeps the order otherwise: what is registered last, wins.
    entries.sort(key=lambda entry: entry.tagCount == 1)
    _registerPublic(entry for entry in entries if entry.creator is None and not entry.isRule)
    _registerPrivate(entry for entry in entries if entry.creator is not None)
    return len({(entry.groups, entry.elements, entry.creator) for entry in entries})


def _quoted(text: str) -> str:
    """Quote text from a file for a message: not too much of it, and no control characters."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _splitFields(text: str) -> tuple[str, str, str]:
    """Split what follows the tag into VR, keyword without white space, and VM."""
    fields = [field for field in map(str.strip, text.split("\t")) if field]
    if len(fields) < 2:
        fields = text.split()
    if len(fields) < 2:
        raise MalformedLine("a tag, a VR and a keyword are needed")
    return fields[0], "".join(fields[1].split()), "".join(fields[2].split()) if len(fields) > 2 else "1"


def _parseNumbers(text: str) -> range:
    """Parse a group or element number, or a range of them, of which it takes the even ones if it does not say."""
    found = _NUMBERS.fullmatch("".join(text.split()))
    if found is None:
        raise MalformedLine(f"{_quoted(text)} is neither a hexadecimal number nor a range of them")
    lower = int(found[1], 16)
    if found[3] is None:
        return range(lower, lower + 1)
    restriction = (found[2] or "e").lower()
    step = 1 if restriction == "u" else 2
    if step == 2 and lower % 2 != (restriction == "o"):
        lower += 1
    numbers = range(lower, int(found[3], 16) + 1, step)
    if not numbers:
        raise MalformedLine(f"no number is in the range {_quoted(text)}")
    return numbers


def _checkKeyword(entry: DictionaryEntry) -> None:
    """Check that the keyword of a standard element could be an attribute's name; private ones are names only."""
    keyword = entry.keyword
    # With an underscore it could be the name of one of the attributes that pydicom's data sets live on.
    isAttribute = keyword.isascii() and keyword.isidentifier() and not keyword.startswith("_")
    if not keyword or not (isAttribute if entry.creator is None else keyword.isprintable()):
        raise MalformedLine(f"{_quoted(keyword)} is not a keyword")


def _checkTags(entry: DictionaryEntry) -> None:
    """Check that there are tags of the parity that the creator, or its absence, asks for, and not too many."""
    if entry.isRule:
        return
    if entry.tagCount > MAX_TAGS:
        raise MalformedLine(f"more than {MAX_TAGS} tags")
    isPrivate = entry.creator is not None
    if all(group % 2 != isPrivate for group in entry.groups[:2]):
        raise MalformedLine(
            "a private creator needs an odd group" if isPrivate else "an odd group needs a private creator"
        )
    if entry.creator is None:
        return
    if not entry.creator or not entry.creator.isprintable():
        raise MalformedLine(f"{_quoted(entry.creator)} is not a private creator")
    if entry.elements[-1] > 0xFF and entry.elements[0] < 0x1000:
        raise MalformedLine("a private element is 00 to FF, of any block, or 1000 to FFFF")


def _openText(fileName: str) -> io.TextIOWrapper:
    """
    Read a text file, bounded.

    :raise DictionaryError: if it cannot be read or is no text; the message is what follows "Cannot use ...: ".
    """
    try:
        # Opening a FIFO or a device might block, or never come to an end.
        if not stat.S_ISREG(os.stat(fileName).st_mode):
            raise DictionaryError("it is not a regular file")
        with open(fileName, "rb") as file:
            data = file.read(MAX_FILE_SIZE + 1)
    except OSError as error:
        raise DictionaryError(error.strerror or str(error)) from error
    except ValueError as error:  # a name that no file can have
        raise DictionaryError(str(error)) from error
    if len(data) > MAX_FILE_SIZE:
        raise DictionaryError(f"it is larger than {MAX_FILE_SIZE} bytes")
    if b"\0" in data:
        raise DictionaryError("it is not a text file")
    # An author's name in Latin-1 is no reason to refuse the file; in a keyword or creator it is a malformed line.
    return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", errors="surrogateescape")


def _loadFile(fileName: str, log: Logger) -> list[DictionaryEntry]:
    """
    Read one data dictionary, warning of its malformed lines.

    :raise DictionaryError: if it cannot be used; the message is what follows "Cannot use ...: ".
    """
    # Bounded, for a file that is something else may consist of malformed lines only.
    problems: list[tuple[int, str]] = []
    count = 0

    def malformed(number: int, reason: str) -> None:
        nonlocal count
        count += 1
        if count <= MAX_WARNINGS:
            problems.append((number, reason))

    entries = list(parseDictionary(_openText(fileName), malformed))
    if not entries:
        first = f" (line {problems[0][0]}: {problems[0][1]})" if problems else ""
        raise DictionaryError(f"no line of it can be used{first}")
    if sum(entry.tagCount for entry in entries if not entry.isRule) > MAX_FILE_TAGS:
        raise DictionaryError(f"it names more than {MAX_FILE_TAGS} tags")
    message = "Line {number} of data dictionary {fileName!r} is left out: {reason}."
    for number, reason in problems:
        log.warn(message, number=number, fileName=fileName, reason=reason)
    if count > MAX_WARNINGS:
        log.warn(
            "{count} more lines of data dictionary {fileName!r} are left out.",
            count=count - MAX_WARNINGS,
            fileName=fileName,
        )
    return entries


def _registerPublic(entries: Iterable[DictionaryEntry]) -> None:
    """Register elements of the standard with pydicom; of two entries for one tag, the later one."""
    from pydicom.datadict import REPEATER_KEYWORDS, add_dict_entries, keyword_dict

    rows: dict[int, _Row] = {}
    single: set[int] = set()
    for entry in entries:
        if entry.tagCount == 1:
            single.add(entry.groups[0] << 16 | entry.elements[0])
        rows.update(dict.fromkeys(entry.tags(), _publicRow(entry)))
    ownKeywords = dict(keyword_dict)
    add_dict_entries(rows)
    # Setting an attribute of a pydicom data set sets an element if the name is a keyword. So those that pydicom has, or
    # has on purpose not (repeating groups), must not move.
    for keyword, tag in {row[4]: tag for tag, row in rows.items()}.items():
        if keyword in ownKeywords:
            keyword_dict[keyword] = ownKeywords[keyword]
        elif tag not in single or keyword in REPEATER_KEYWORDS:
            del keyword_dict[keyword]


def _publicRow(entry: DictionaryEntry) -> _Row:
    """Make pydicom's row of an element of the standard, with pydicom's own name and choice of VRs if it has them."""
    from pydicom.datadict import get_entry

    try:
        ownVR, _vm, ownName, _retired, ownKeyword = get_entry(next(entry.tags()))
    except KeyError:
        ownVR = ownName = ownKeyword = ""
    ownFits = set(ownVR.split(" or ")) <= set(entry.vr.split(" or "))
    vr = ownVR if ownFits else _SETTLED_VRS.get(entry.vr, entry.vr)
    name = ownName if ownKeyword == entry.keyword else entry.name
    return (vr, entry.vm, name, "Retired" if entry.retired else "", entry.keyword)


def _registerPrivate(entries: Iterable[DictionaryEntry]) -> None:
    """Register private elements with pydicom; of two entries for one element, the later one."""
    from pydicom._private_dict import private_dictionaries
    from pydicom.datadict import add_private_dict_entries

    creators: dict[str, dict[int, tuple[str, str, str, str]]] = {}
    for entry in entries:
        vr = _SETTLED_VRS.get(entry.vr, entry.vr)
        row = (vr, entry.vm, entry.name, "Retired" if entry.retired else "")
        creators.setdefault(entry.creator or "", {}).update(dict.fromkeys(entry.tags(), row))
    for creator, rows in creators.items():
        add_private_dict_entries(creator, {tag: row for tag, row in rows.items() if tag & 0xFFFF <= 0xFF})
        # pydicom's function forgets the block, and one creator may have (0021,1000) and (0021,1100) defined
        # differently. But pydicom's lookup, and its own table, know elements of a certain block as well.
        fixed = {f"{tag:08X}": row for tag, row in rows.items() if tag & 0xFFFF > 0xFF}
        private_dictionaries[creator].update(fixed)
