"""
Reads our own configuration file: `readConfiguration`.

It is TOML. Its keys are long names of options; a table `ae.TITLE` has those that are different for one AE title::

    port = 11112
    output-directory = "/srv/dicom"

    [ae.RESEARCH]
    output-directory = "/srv/research"
    accept-calling-aet = ["CT1", "CT2"]
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from twisted.python import usage

from txdicom.storescp.options.kinds import AETitle
from txdicom.storescp.options.option import Option, Refused
from txdicom.storescp.options.spelling import Given
from txdicom.storescp.options.table import BY_SPELLING

__all__ = ["LONGEST_FILE", "ConfigurationFile", "readConfiguration", "withoutOverridden"]

#: In bytes.
LONGEST_FILE = 1 << 20
#: The table of the AE titles.
_TITLES = "ae"
#: Options that are for the command line only.
_COMMAND_LINE_ONLY = frozenset({"config"})


class ConfigurationFile(NamedTuple):
    """What a configuration file says: options for everybody, and those of each AE title."""

    given: list[Given]
    titles: dict[str, list[Given]]


def readConfiguration(path: str) -> ConfigurationFile:
    """
    Read a configuration file.

    :raises UsageError: it cannot be used; says why, in one sentence.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(LONGEST_FILE + 1)
        if len(content) > LONGEST_FILE:
            raise usage.UsageError(f"{path} has more than {LONGEST_FILE} bytes")
        values = tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        raise usage.UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise usage.UsageError(f"{path} is not TOML: {error}") from error
    tables = values.pop(_TITLES, {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise usage.UsageError(f"{path}: {_TITLES!r} is not a table of AE titles, such as [{_TITLES}.ARCHIVE]")
    titles = {}
    for name, table in tables.items():
        title = AETitle().parse(f"{path}: AE title", name)
        if title in titles:
            raise usage.UsageError(f"{path}: AE title {title!r} is there twice")
        titles[title] = list(_given(f"{path}: {_TITLES}.{name}", table, True))
    return ConfigurationFile(list(_given(path, values, False)), titles)


def withoutOverridden(given: list[Given], stronger: list[Given], port: bool) -> list[Given]:
    """
    Leave out what counts no more because something stronger was given.

    :param stronger: whatever has the same key as one of these, or goes together with none of them.
    :param port: whether a port was given as well.
    """
    keys = {one.option.key for one in stronger} | ({"port"} if port else set())
    names = {one.option.name for one in stronger}
    excluded = {name for one in stronger for name in one.option.excludes}

    def counts(option: Option) -> bool:
        return option.key not in keys and option.name not in excluded and names.isdisjoint(option.excludes)

    return [one for one in given if counts(one.option)]


def _given(where: str, values: Mapping[str, Any], ofTitle: bool) -> Iterator[Given]:
    for name, value in values.items():
        option = BY_SPELLING.get(f"--{name}")
        if isinstance(option, Refused):
            raise usage.UsageError(f"{where}: {name} is not offered: {option.instead}")
        if option is None or option.answer is not None or name in _COMMAND_LINE_ONLY:
            raise usage.UsageError(f"{where}: {name!r} is not an option of configuration files")
        if ofTitle and not option.perTitle:
            raise usage.UsageError(f"{where}: {name} is the same for all AE titles")
        yield from _occurrences(f"{where}: {name}", option, value)


def _occurrences(where: str, option: Option, value: Any) -> Iterator[Given]:
    """Write a value as arguments; a list is as many of a repeatable option, or all that another one takes."""
    if not option.takes:
        if not isinstance(value, bool):
            raise usage.UsageError(f"{where} is neither true nor false")
        if value:
            yield Given(option, ())
        return
    for occurrence in value if option.repeatable and isinstance(value, list) else [value]:
        arguments = occurrence if isinstance(occurrence, list) else [occurrence]
        if len(arguments) != len(option.takes):
            raise usage.UsageError(f"{where} takes {len(option.takes)} value{'s'[: len(option.takes) > 1]}")
        yield Given(option, tuple(_text(where, argument) for argument in arguments))


def _text(where: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise usage.UsageError(f"{where} is neither a text nor a number")
