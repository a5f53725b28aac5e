"""
Tests of `txdicom.storescp.hooks.commandline`: commands without a shell, whose arguments stay whole.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import shutil
import sys

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txdicom.storescp.hooks.commandline import CommandLine

VALUES = {"p": "/in", "f": "CT.1", "a": "CALLING", "c": "CALLED", "r": "10.0.0.1"}
#: What would do something to those who hand it to a shell.
HOSTILE = ["$(id)", "`id`", "a;b", "a b", "a\nb", "'", '"', "\\", "#p", "#a", "-rf", "*", "", "\x1b[2J", "äß"]


class CommandLineTests(SynchronousTestCase):
    """From the option's text to arguments."""

    def setUp(self) -> None:
        self.echo = shutil.which("echo")

    def arguments(self, text: str, **values: str) -> list[str]:
        """Return the arguments, but for the program."""
        program, *arguments = CommandLine.parse(text, "pfacr").arguments(VALUES | values)
        self.assertEqual(os.fsdecode(program), self.echo)
        return [os.fsdecode(argument) for argument in arguments]

    def refused(self, text: str, placeholders: str = "pfacr") -> str:
        """Return why a text is refused."""
        return str(self.assertRaises(ValueError, CommandLine.parse, text, placeholders))

    def test_quotes(self) -> None:
        self.assertEqual(self.arguments("""echo a 'b c' "d 'e'" f\\ g ''"""), ["a", "b c", "d 'e'", "f g", ""])

    def test_placeholders(self) -> None:
        self.assertEqual(
            self.arguments("echo #p/#f --from=#a '#c at #r' #x # ##a"),
            ["/in/CT.1", "--from=CALLING", "CALLED at 10.0.0.1", "#x", "#", "#CALLING"],
        )

    def test_hostile(self) -> None:
        """Whatever a value is, it is where the placeholder was, in one piece, and is not looked at again."""
        for value in HOSTILE:
            self.assertEqual(
                self.arguments("echo #a -t=#a '#a #a'", a=value), [value, f"-t={value}", f"{value} {value}"]
            )

    @given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
    def test_anyValue(self, value: str) -> None:
        self.assertEqual(self.arguments("echo #a x#f", a=value), [value, "xCT.1"])

    def test_nul(self) -> None:
        """No argument can have one."""
        self.assertEqual(self.arguments("echo #a", a="A\0B"), ["A?B"])

    def test_undecodable(self) -> None:
        """A file name that is not text arrives as the bytes that it is."""
        (_, argument) = CommandLine.parse("echo #f", "f").arguments({"f": os.fsdecode(b"\xff")})
        self.assertEqual(argument, b"\xff")

    def test_relative(self) -> None:
        """A program is found when storescp is started, and stays the same wherever a daemon goes."""
        os.symlink(sys.executable, "here")
        self.addCleanup(os.remove, "here")
        self.assertEqual(CommandLine.parse("./here", "").arguments({}), [os.fsencode(os.path.abspath("here"))])

    def test_notSplit(self) -> None:
        self.assertIn("cannot be split", self.refused("echo 'a"))
        for text in ("", "  ", "''", "'' a"):
            self.assertEqual(self.refused(text), "it names no program")
        self.assertEqual(self.refused("echo a\0b"), "it has a NUL")

    def test_notFound(self) -> None:
        self.assertEqual(self.refused("no-such-program #a"), "there is no program 'no-such-program' that can be run")
        self.assertIn("there is no program", self.refused(__file__))
        self.assertEqual(self.refused("#p/run"), "the program itself is a placeholder")

    def test_noValue(self) -> None:
        """A placeholder that has no value there is refused, instead of handed over as it is."""
        self.assertEqual(self.refused("echo '#f'", "pacr"), "#f has no value here")

    def test_shellSyntax(self) -> None:
        """What only a shell would understand is refused, unless it is quoted."""
        for text in (
            "echo a; id",
            "echo a && id",
            "echo | cat",
            "echo >out",
            "echo $(id)",
            "echo $HOME",
            "echo `id`",
            "a\nb",
        ):
            self.assertIn("no shell", self.refused(text))
        self.assertEqual(self.arguments("""echo 'a; $(id)' ">" \\&"""), ["a; $(id)", ">", "&"])

    def test_shellProgram(self) -> None:
        """What peers call themselves never becomes a part of a program for a shell."""
        for text in ("sh -c 'echo #a'", "/bin/sh -ec 'echo #p'", "bash -x -c 'echo #r'"):
            self.assertIn("placeholder in a program for a shell", self.refused(text))
        for text in ("sh -c 'echo \"$1\"' sh #a", "sh script #a", "sh -c", "sh -x #a"):
            CommandLine.parse(text, "a")
