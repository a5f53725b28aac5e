"""What is shown of the table: the usage text, and the completion of shells."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from twisted.python import usage

from txdicom.storescp.options.kinds import Choice, Directory, File
from txdicom.storescp.options.option import Option
from txdicom.storescp.options.table import GROUPS, OPTIONS

__all__ = ["completions", "flags", "parameters", "usageText"]

_WIDTH = 80


def usageText(description: str, width: int = _WIDTH) -> str:
    """
    Write what each option is good for, below the headings of the groups.

    :param description: what the program does; it comes last.
    :param width: how many columns there are.
    """
    lines = []
    for group in GROUPS:
        lines += [f"{group.title}:"]
        for option in group.options:
            lines += [f"  {', '.join(option.syntax)}", *textwrap.wrap(_help(option), width, **_INDENT)]
        lines.append("")
    return "\n".join([*lines, *textwrap.wrap(description, width)])


_INDENT: dict[str, Any] = {"initial_indent": " " * 8, "subsequent_indent": " " * 8}


def _help(option: Option) -> str:
    shown = option.takes and option.default is not None
    return f"{option.help} (default: {option.default})" if shown else option.help


def flags() -> list[list[str | None]]:
    """List the options without arguments as `usage.Options` wants them."""
    return [[option.name, _letter(option), option.help] for option in _own() if not option.takes]


def parameters() -> list[list[str | None]]:
    """List the options with arguments as `usage.Options` wants them."""
    return [[option.name, _letter(option), option.default, option.help] for option in _own() if option.takes]


def completions() -> usage.Completions:
    """Say how shells complete what the options take."""
    alternatives = defaultdict(list)
    for option in _own():
        if not option.repeatable:
            alternatives[option.key].append(option.name)
    return usage.Completions(
        descriptions={option.name: option.help for option in OPTIONS.values()},
        multiUse=[option.name for option in _own() if option.repeatable],
        mutuallyExclusive=[names for names in alternatives.values() if len(names) > 1],
        optActions=dict(_actions()),
    )


def _own() -> Iterator[Option]:
    """Find the options that `usage.Options` does not have by itself."""
    return (option for option in OPTIONS.values() if not hasattr(usage.Options, f"opt_{option.name}"))


def _letter(option: Option) -> str | None:
    return next((name[1] for name in option.short if len(name) == 2 and name[0] == "-"), None)


def _actions() -> Iterator[tuple[str, usage.Completer]]:
    for option in OPTIONS.values():
        match option.takes[:1]:
            case (Directory(),):
                yield option.name, usage.CompleteDirs()
            case (File(),):
                yield option.name, usage.CompleteFiles()
            case (Choice(choices),):
                yield option.name, usage.CompleteList(choices)
            case _:
                pass
