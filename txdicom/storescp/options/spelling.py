"""
Reads arguments: the 1996 letters, DCMTK's forms and the long names.

Options may stand before and after the port. After ``--`` there are only ports. A form that the table has is that
option, and what follows is its arguments, whatever they look like. Otherwise a dash and several letters are the options
of these letters, the last of which may have its argument glued to it or behind it: ``-vis3``. A long name may be cut as
far as only one option begins so, and may have its first argument behind a ``=``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from twisted.python import usage

from txdicom.storescp.options.option import Option, Refused
from txdicom.storescp.options.table import BY_SPELLING

__all__ = ["Given", "readArguments"]


class Given(NamedTuple):
    """An option that was given, and its arguments, as many as it takes."""

    option: Option
    texts: tuple[str, ...]


def readArguments(arguments: Sequence[str]) -> tuple[list[Given], list[str]]:
    """
    Find the options in a command line, in their order, and what is none.

    :raises UsageError: an option is not known, not offered, or has too few or too many arguments.
    """
    given: list[Given] = []
    ports: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            ports.extend(waiting)
        elif argument.startswith("--"):
            given.append(_long(argument, waiting))
        elif argument[:1] in ("-", "+") and len(argument) > 1:
            given.extend(_short(argument, waiting))
        else:
            ports.append(argument)
    return given, ports


def _long(argument: str, waiting: Iterator[str]) -> Given:
    spelling, equals, glued = argument.partition("=")
    option = _offered(_complete(spelling))
    if equals and not option.takes:
        raise usage.UsageError(f"option {option.spelled} must not have an argument")
    return _take(option, option.spelled, [glued] if equals else [], waiting)


def _complete(spelling: str) -> str:
    """Return the long name of which this is the whole or the only possible beginning."""
    if spelling in BY_SPELLING:
        return spelling
    found = [name for name in BY_SPELLING if name.startswith(spelling)]
    # What is refused does not make the beginning of what is offered ambiguous.
    found = [name for name in found if isinstance(BY_SPELLING[name], Option)] or found
    if len(found) > 1:
        raise usage.UsageError(f"option {spelling} not a unique prefix")
    return found[0] if found else spelling


def _short(argument: str, waiting: Iterator[str]) -> Iterator[Given]:
    if argument in BY_SPELLING:
        yield _take(_offered(argument), argument, [], waiting)
        return
    if argument[0] == "+" or argument[:2] not in BY_SPELLING:
        raise usage.UsageError(f"option {argument} not recognized")
    for position, letter in enumerate(argument[1:], 2):
        option = _offered(f"-{letter}")
        rest = argument[position:]
        if option.takes:
            yield _take(option, f"-{letter}", [rest] if rest else [], waiting)
            return
        yield Given(option, ())


def _offered(spelling: str) -> Option:
    option = BY_SPELLING.get(spelling)
    if option is None:
        raise usage.UsageError(f"option {spelling} not recognized")
    if isinstance(option, Refused):
        raise usage.UsageError(f"{spelling} is not offered: {option.instead}")
    return option


def _take(option: Option, spelling: str, texts: list[str], waiting: Iterator[str]) -> Given:
    """Take the arguments that an option still needs from those that wait."""
    for text in () if len(texts) == len(option.takes) else waiting:
        texts.append(text)
        if len(texts) == len(option.takes):
            break
    if len(texts) < len(option.takes):
        number = len(option.takes)
        wanted = "argument" if number == 1 else f"{number} arguments"
        raise usage.UsageError(f"option {spelling} requires {wanted}")
    return Given(option, tuple(texts))
