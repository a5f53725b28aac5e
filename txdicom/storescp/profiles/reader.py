"""
Reads a profile of DCMTK's format: `readProfile`.

A file has sections of two levels, and pairs of a key and a value in them::

    [[TransferSyntaxes]]
    [Uncompressed]
    TransferSyntax1 = LittleEndianExplicit
    TransferSyntax2 = LittleEndianImplicit

    [[PresentationContexts]]
    [Receiver]
    PresentationContext1 = VerificationSOPClass\\Uncompressed
    PresentationContext2 = CTImageStorage\\Uncompressed

    [[Profiles]]
    [Default]
    PresentationContexts = Receiver

Case and spaces do not count in the names of sections and in keys. Lines that begin with a ``#`` are comments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, NoReturn

from txdicom.storescp.profiles.names import uidOf
from txdicom.uids import VERIFICATION, mayBeStorageSOPClass

__all__ = ["LONGEST_FILE", "readProfile"]

#: In bytes.
LONGEST_FILE = 1 << 20
_SECTION = re.compile(r"\[\[(.+)\]\]")
_ENTRY = re.compile(r"\[(.+)\]")
_NUMBERED = re.compile(r"([A-Z]+)([0-9]{1,9})")


class _Value(NamedTuple):
    text: str
    line: int


#: Section -> entry -> key -> value.
_Entries = dict[str, dict[str, _Value]]


def readProfile(path: str, profile: str) -> dict[str, tuple[str, ...]]:
    """
    Read what a profile offers.

    :return: abstract syntax UID -> transfer syntax UIDs, in the order of the file.
    :raises ValueError: the file cannot be used; says where and why, in one sentence.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(LONGEST_FILE + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > LONGEST_FILE:
        raise ValueError(f"{path} has more than {LONGEST_FILE} bytes")
    return _Profiles(path, content.decode("utf-8", "replace")).contexts(profile)


class _Profiles:
    """
    A file, taken apart.

    :param path: its name, for sentences.
    """

    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._sections: dict[str, _Entries] = {}
        entries: _Entries | None = None
        values: dict[str, _Value] | None = None
        for number, line in enumerate(text.split("\n"), 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            if section := _SECTION.fullmatch(line):
                entries, values = self._sections.setdefault(_folded(section[1]), {}), None
            elif entry := _ENTRY.fullmatch(line):
                if entries is None:
                    self._fail(number, f"{line} stands in no section, such as [[Profiles]]")
                if _folded(entry[1]) in entries:
                    self._fail(number, f"{line} is there twice")
                values = entries[_folded(entry[1])] = {}
            elif "=" not in line:
                self._fail(number, f"{line[:40]!r} is neither a section nor a key and a value")
            elif values is None:
                self._fail(number, "a key stands in no section, such as [Default]")
            else:
                key, _, value = line.partition("=")
                if _folded(key) in values:
                    self._fail(number, f"{key.strip()} is there twice")
                values[_folded(key)] = _Value(value.strip(), number)

    def contexts(self, profile: str) -> dict[str, tuple[str, ...]]:
        """Find what a profile offers."""
        profiles = self._sections.get("PROFILES", {})
        if _folded(profile) not in profiles:
            others = ", ".join(profiles) or "none"
            raise ValueError(f"{self._path} has no profile {profile!r}; there are: {others}")
        values = profiles[_folded(profile)]
        if "PRESENTATIONCONTEXTS" not in values:
            raise ValueError(f"{self._path}: profile {profile!r} does not say which PresentationContexts it has")
        if "EXTENDEDNEGOTIATION" in values:
            self._fail(values["EXTENDEDNEGOTIATION"].line, "extended negotiation is not offered; take the line out")
        if "SCPSCUROLESELECTION" in values:
            self._checkRoles(values["SCPSCUROLESELECTION"])
        offered: dict[str, tuple[str, ...]] = {}
        for text, line in self._numbered("PRESENTATIONCONTEXTS", values["PRESENTATIONCONTEXTS"], "PRESENTATIONCONTEXT"):
            name, stroke, syntaxes = text.partition("\\")
            if not stroke:
                self._fail(line, f"{text!r} is not an abstract syntax, a backslash, and a list of transfer syntaxes")
            uid = self._uid(name, line)
            if uid != VERIFICATION and not mayBeStorageSOPClass(uid):
                self._fail(line, f"{name.strip()} is no storage SOP class")
            found = self._numbered("TRANSFERSYNTAXES", _Value(syntaxes, line), "TRANSFERSYNTAX")
            own = offered.get(uid, ())
            offered[uid] = tuple(dict.fromkeys((*own, *(self._uid(each.text, each.line) for each in found))))
        return offered

    def _checkRoles(self, reference: _Value) -> None:
        """Only the roles are allowed that we have: the peer is the SCU (PS3.7 D.3.3.4)."""
        for text, line in self._numbered("SCPSCUROLESELECTION", reference, "ROLE"):
            if _folded(text.partition("\\")[2]) != "SCU":
                self._fail(line, f"{text!r} asks for a peer that is SCP, and a receiver is SCP itself")

    def _numbered(self, section: str, reference: _Value, key: str) -> Iterator[_Value]:
        """Find the values of an entry in the order of the numbers of their keys."""
        values = self._sections.get(section, {}).get(_folded(reference.text))
        if not values:
            self._fail(reference.line, f"there is nothing in {reference.text.strip()!r} of {section}")
        found = []
        for name, value in values.items():
            match = _NUMBERED.fullmatch(name)
            if match is None or match[1] != key:
                self._fail(value.line, f"{name} is not {key} and a number")
            found.append((int(match[2]), value))
        return iter([value for _, value in sorted(found)])

    def _uid(self, name: str, line: int) -> str:
        uid = uidOf(name.strip())
        if uid is None:
            self._fail(line, f"{name.strip()!r} is neither a UID nor the name of one")
        return uid

    def _fail(self, line: int, sentence: str) -> NoReturn:
        raise ValueError(f"{self._path}, line {line}: {sentence}")


def _folded(name: str) -> str:
    return "".join(name.split()).upper()
