"""The commands of ``--exec-on-reception`` and ``--exec-on-eostudy`` as they are written: `CommandLine`."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["CommandLine"]

#: What stands for a value; the letters are those of DCMTK.
_PLACEHOLDER = re.compile("#([pfacr])")
_QUOTED = re.compile(r"""\\.|'[^']*'|"(?:\\.|[^"\\])*\"""", re.DOTALL)
#: What a shell would act on. There is none here, so whoever writes this means something that will not happen.
_SHELL_SYNTAX = re.compile(r"[;&|<>()`$\n]")
_SHELLS = frozenset({"sh", "ash", "bash", "csh", "dash", "fish", "ksh", "mksh", "tcsh", "zsh"})


@dataclass(frozen=True, slots=True)
class CommandLine:
    """
    A program and its arguments, some of which have placeholders.

    No shell is involved: the text is split once, by a shell's rules of quoting, and whatever the values of the
    placeholders are, an argument stays one argument.

    :ivar template: the program's path, and its arguments as they were written.
    """

    template: tuple[str, ...]

    @classmethod
    def parse(cls, text: str, placeholders: str) -> CommandLine:
        """
        Read what was given as an option.

        :param placeholders: the letters that may be used, of `pfacr`.
        :raises ValueError: it cannot be used; the message says why.
        """
        arguments = _split(text)
        program = shutil.which(arguments[0])
        if program is None:
            raise ValueError(f"there is no program {arguments[0]!r} that can be run")
        for letter in _PLACEHOLDER.findall(" ".join(arguments)):
            if letter not in placeholders:
                raise ValueError(f"#{letter} has no value here")
        if os.path.basename(program) in _SHELLS:
            _checkShell(arguments)
        return cls((os.path.abspath(program), *arguments[1:]))

    def mentions(self, letters: str) -> bool:
        """Whether any of these placeholders is used."""
        return any(letter in letters for part in self.template for letter in _PLACEHOLDER.findall(part))

    def arguments(self, values: Mapping[str, str]) -> list[bytes]:
        """
        Put values in the places of the placeholders.

        :param values: by letter. NUL, which no argument can have, becomes a question mark.
        :return: the program's path and its arguments.
        """
        return [
            os.fsencode(_PLACEHOLDER.sub(lambda found: values[found[1]], part).replace("\0", "?"))
            for part in self.template
        ]


def _split(text: str) -> list[str]:
    found = _SHELL_SYNTAX.search(_QUOTED.sub("", text))
    if found is not None:
        raise ValueError(
            f"it has {found[0]!r}, but there is no shell to act on it: quote it if it is meant as it is,"
            " or put what you want into a script"
        )
    try:
        arguments = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"it cannot be split into arguments: {error}") from error
    if not arguments or not arguments[0]:
        raise ValueError("it names no program")
    if "\0" in text:
        raise ValueError("it has a NUL")
    if _PLACEHOLDER.search(arguments[0]):
        raise ValueError("the program itself is a placeholder")
    return arguments


def _checkShell(arguments: list[str]) -> None:
    """Refuse to hand what peers call themselves to a shell as a part of its program."""
    options = [argument for argument in arguments[1:] if re.fullmatch("-[a-zA-Z]*c[a-zA-Z]*", argument)]
    if not options:
        return
    program = arguments[arguments.index(options[0]) + 1 :][:1]
    if program and _PLACEHOLDER.search(program[0]):
        raise ValueError(
            "it has a placeholder in a program for a shell, which would run what peers call themselves:"
            " hand it over as an argument, such as in sh -c 'echo \"$1\"' sh '#a'"
        )
