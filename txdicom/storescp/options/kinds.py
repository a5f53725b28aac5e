"""What the arguments of options are: each kind checks a text, and returns what it means or says what is wrong."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, ClassVar, Protocol

from twisted.python import usage

__all__ = [
    "AETitle",
    "Bytes",
    "Choice",
    "Directory",
    "File",
    "Kind",
    "Network",
    "Parsed",
    "Seconds",
    "Text",
    "Whole",
    "wholeNumber",
]

_LONGEST_TIME = 86400.0
_MOST_BYTES = 1 << 60
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
#: What `int` and `float` take besides is no number that anybody means: "nan", "1_000", digits of other scripts.
_WHOLE = re.compile(r"-?[0-9]{1,1000}")
_DECIMAL = re.compile(r"-?(?:[0-9]{1,1000}(?:\.[0-9]{0,1000})?|\.[0-9]{1,1000})")


class Kind(Protocol):
    """What one argument of an option is."""

    @property
    def placeholder(self) -> str:
        """The word that stands for the argument in the usage text and the manual."""

    def parse(self, name: str, text: str) -> Any:
        """
        Return what a text means.

        :param name: the option, as it is written.
        :raises UsageError: it cannot be used; says why, in one sentence.
        """


def wholeNumber(text: str) -> int | None:
    """Return the whole number that a text is, or None."""
    return int(text) if _WHOLE.fullmatch(text) else None


@dataclass(frozen=True, slots=True)
class Text:
    """Any text of at least one character."""

    placeholder: str

    def parse(self, name: str, text: str) -> str:
        """Return the text itself."""
        if not text:
            raise usage.UsageError(f"{name} {text!r} is empty")
        return text


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    choices: tuple[str, ...]
    placeholder: str = "choice"

    def parse(self, name: str, text: str) -> str:
        """Return the word."""
        if text not in self.choices:
            raise usage.UsageError(f"{name} {text!r} is none of {', '.join(self.choices)}")
        return text


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number within bounds."""

    least: int
    most: int
    placeholder: str = "n"

    def parse(self, name: str, text: str) -> int:
        """Return the number."""
        number = wholeNumber(text)
        if number is None or not self.least <= number <= self.most:
            raise usage.UsageError(f"{name} {text!r} is not a whole number from {self.least} to {self.most}")
        return number


@dataclass(frozen=True, slots=True)
class Seconds:
    """A number of seconds, which may have a fraction."""

    least: float = 0.0
    placeholder: str = "n"

    def parse(self, name: str, text: str) -> float:
        """Return the seconds."""
        if not _DECIMAL.fullmatch(text) or not self.least <= float(text) <= _LONGEST_TIME:
            raise usage.UsageError(
                f"{name} {text!r} is not a number of seconds from {self.least:g} to {_LONGEST_TIME:g}"
            )
        return float(text)


@dataclass(frozen=True, slots=True)
class Bytes:
    """A number of bytes, which may end in K, M, G or T."""

    placeholder: str = "n"

    def parse(self, name: str, text: str) -> int:
        """Return the bytes."""
        unit = _UNITS.get(text[-1:].upper(), 1)
        number = wholeNumber(text if unit == 1 else text[:-1])
        if number is None or not 0 <= number * unit <= _MOST_BYTES:
            raise usage.UsageError(f"{name} {text!r} is not a number of bytes, such as 2000000, 500K, 20M, 4G or 1T")
        return number * unit


@dataclass(frozen=True, slots=True)
class AETitle:
    """
    An AE title; the spaces around it mean nothing (PS3.5 6.2).

    :ivar mayBeBlank: whether spaces alone are taken, for a peer that has no title.
    """

    mayBeBlank: bool = False
    placeholder: str = "title"

    def parse(self, name: str, text: str) -> str:
        """Return the title without the spaces."""
        title = text.strip(" ")
        if self.mayBeBlank and text and not title:
            return title
        if not 1 <= len(title) <= 16 or "\\" in title or not (title.isascii() and title.isprintable()):
            raise usage.UsageError(f"{name} {text!r} is not an AE title of 1 to 16 characters")
        return title


@dataclass(frozen=True, slots=True)
class Network:
    """An IP network, or the address of one machine."""

    placeholder: str = "network"

    def parse(self, name: str, text: str) -> Any:
        """Return the network of `ipaddress`."""
        try:
            return ip_network(text)
        except ValueError as error:
            raise usage.UsageError(f"{name} {text!r} is not a network: {error}") from error


@dataclass(frozen=True, slots=True)
class File:
    """The name of a file, which is not looked for here."""

    placeholder: str = "file"
    isNot: ClassVar[str] = "is not a file"

    def parse(self, name: str, text: str) -> str:
        """Return its absolute name, for twistd changes the directory it runs in."""
        if not text or "\0" in text:
            raise usage.UsageError(f"{name} {text!r} {self.isNot}")
        return os.path.abspath(text)


@dataclass(frozen=True, slots=True)
class Directory(File):
    """The name of a directory, which is not looked for here."""

    placeholder: str = "directory"
    isNot: ClassVar[str] = "is not a directory"


@dataclass(frozen=True, slots=True)
class Parsed:
    """
    What another module has a parser for.

    :ivar parser: takes the text; its ValueError is a whole sentence.
    """

    placeholder: str
    parser: Callable[[str], Any]

    def parse(self, name: str, text: str) -> Any:
        """Return what the parser makes of it."""
        try:
            return self.parser(text)
        except ValueError as error:
            raise usage.UsageError(str(error)) from error
