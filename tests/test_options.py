"""Tests of `txdicom.storescp.options`: the command line of storescp."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txdicom import __version__
from txdicom.storescp.options import Options

SHORT_USAGE = "Usage: storescp [-v][-d][-r][-i][-s n][-S n][-b n] [options] port"
FLAGS = {"verbose": "-v", "debug": "-d", "refuse": "-r", "ignore": "-i"}


class OptionsTestCase(SynchronousTestCase):
    """Parses command lines."""

    def parse(self, *arguments: str) -> Options:
        """Parse a command line that is good."""
        options = Options()
        options.parseOptions(arguments)
        return options

    def exits(self, *arguments: str) -> tuple[object, str, str]:
        """Parse a command line that ends the program; return its status and what it wrote."""
        output, errors = StringIO(), StringIO()
        with redirect_stdout(output), redirect_stderr(errors):
            leaving = self.assertRaises(SystemExit, Options().parseOptions, arguments)
        return leaving.code, output.getvalue(), errors.getvalue()

    def assertRefused(self, sentence: str, *arguments: str) -> None:
        """Check that there is one sentence and the short usage on standard error, and nothing else; status 1."""
        self.assertEqual(self.exits(*arguments), (1, "", f"storescp: {sentence}\n{SHORT_USAGE}\n"))


class PlaceTests(OptionsTestCase):
    """Where options may stand, and how they may be spelled."""

    def test_defaults(self) -> None:
        """A port is enough."""
        options = self.parse("104")
        expected = {
            "verbose": 0,
            "debug": 0,
            "refuse": 0,
            "ignore": 0,
            "sleep-after": 0.0,
            "sleep-during": 0.0,
            "max-pdu": 16384,
            "port": 104,
            "aetitle": "STORESCP",
            "output-directory": os.getcwd(),
            "acse-timeout": 30.0,
            "endpoints": [],
        }
        self.assertEqual({name: options[name] for name in expected}, expected)

    def test_flagsByShortAndLongName(self) -> None:
        """Every flag has its letter and its word, and is off where it is not given."""
        for name, letter in FLAGS.items():
            for spelling in (letter, f"--{name}"):
                options = self.parse(spelling, "104")
                expected = {name, "verbose"} if name == "debug" else {name}
                self.assertEqual({flag for flag in FLAGS if options[flag]}, expected)

    def test_parametersByShortAndLongName(self) -> None:
        """Every parameter takes its value beside it or glued to it, by its letter or by its word."""
        for name, letter, value, expected in (
            ("sleep-after", "-s", "3", 3.0),
            ("sleep-during", "-S", "0.25", 0.25),
            ("max-pdu", "-b", "8192", 8192),
            ("aetitle", None, "ARCHIVE", "ARCHIVE"),
            ("output-directory", None, "/", "/"),
            ("acse-timeout", None, "5", 5.0),
        ):
            spellings = [[f"--{name}", value], [f"--{name}={value}"]]
            if letter:
                spellings += [[letter, value], [f"{letter}{value}"]]
            for spelling in spellings:
                self.assertEqual(self.parse(*spelling, "104")[name], expected)
                self.assertEqual(self.parse("104", *spelling)[name], expected)

    def test_optionsAroundPort(self) -> None:
        """Options before and after the port all count."""
        options = self.parse("-v", "-b8192", "104", "-s", "2", "--ignore")
        self.assertEqual(
            (options["verbose"], options["max-pdu"], options["port"], options["sleep-after"], options["ignore"]),
            (1, 8192, 104, 2.0, 1),
        )

    def test_lettersTogether(self) -> None:
        """Letters may stand together, the last of them with its value."""
        for arguments in (("-vis3", "104"), ("-vis", "3", "104"), ("104", "-vis", "3")):
            options = self.parse(*arguments)
            self.assertEqual((options["verbose"], options["ignore"], options["sleep-after"]), (1, 1, 3.0))

    def test_uniquePrefixes(self) -> None:
        """A long name may be cut as far as it is unique, wherever it stands."""
        for spelling, name, expected in (
            (["--sleep-a", "3"], "sleep-after", 3.0),
            (["--sleep-d=3"], "sleep-during", 3.0),
            (["--max-p", "8192"], "max-pdu", 8192),
            (["--aet=X"], "aetitle", "X"),
            (["--output-dir", "/"], "output-directory", "/"),
            (["--deb"], "debug", 1),
            (["--endp", "tcp:1"], "endpoints", ["tcp:1"]),
        ):
            self.assertEqual(self.parse(*spelling, "104")[name], expected)
            self.assertEqual(self.parse("104", *spelling)[name], expected)
        self.assertRefused("option --sleep not a unique prefix", "--sleep", "3", "104")

    def test_lastValueCounts(self) -> None:
        """Of an option that is given again, the last value counts."""
        self.assertEqual(self.parse("-b", "8192", "104", "--max-pdu=4096")["max-pdu"], 4096)

    def test_valuesThatLookLikeOptions(self) -> None:
        """What follows an option that needs a value is its value."""
        self.assertEqual(self.parse("104", "--aetitle", "-v")["aetitle"], "-v")
        self.assertEqual(self.parse("--aetitle", "--", "104")["aetitle"], "--")
        self.assertEqual(self.parse("--aetitle=--debug", "104")["debug"], 0)
        self.assertRefused("--sleep-after '-5' is not a number of seconds from 0 to 86400", "-s", "-5", "104")

    def test_doubleDash(self) -> None:
        """After ``--`` there is only the port."""
        self.assertEqual(self.parse("-v", "--", "104")["port"], 104)
        self.assertEqual(self.parse("104", "--")["port"], 104)
        self.assertRefused("more than one port is given: '104', '-v'", "104", "--", "-v")

    def test_debugImpliesVerbose(self) -> None:
        """``-d`` says everything that ``-v`` says."""
        options = self.parse("-d", "104")
        self.assertTrue(options["verbose"])
        self.assertTrue(options["debug"])
        self.assertFalse(self.parse("-v", "104")["debug"])

    def test_argumentsOfTheProgram(self) -> None:
        """Without a list of arguments, those of the program are parsed, and by the same rules."""
        self.patch(sys, "argv", ["storescp", "104", "-v"])
        options = Options()
        options.parseOptions()
        self.assertEqual((options["port"], options["verbose"]), (104, 1))


class OutputTests(OptionsTestCase):
    """What is printed, where, and with which status."""

    def test_noArguments(self) -> None:
        """Without any parameters the whole syntax is shown, and the status is not zero."""
        status, output, errors = self.exits()
        self.assertEqual((status, output), (1, ""))
        self.assertTrue(errors.startswith(f"{SHORT_USAGE}\n"))
        for name in (*FLAGS, "sleep-after", "sleep-during", "max-pdu", "endpoint", "output-directory", "version"):
            self.assertIn(f"--{name}", errors)
        for letter in "vdrisSb":
            self.assertRegex(errors, f"\n  -{letter}[ ,]")
        self.assertIn("DCMDICTPATH", errors)

    def test_help(self) -> None:
        """``--help`` shows the same, but was asked for."""
        status, output, errors = self.exits("--help")
        self.assertEqual((status, errors), (0, ""))
        self.assertEqual(output.rstrip("\n"), self.exits()[2].rstrip("\n"))

    def test_version(self) -> None:
        """``--version`` names the package, wherever it stands."""
        for arguments in (("--version",), ("104", "--version"), ("-v", "--version", "104")):
            self.assertEqual(self.exits(*arguments), (0, f"txdicom {__version__}\n", ""))

    def test_unknownOption(self) -> None:
        """An option that there is not is named."""
        self.assertRefused("option -x not recognized", "-x", "104")
        self.assertRefused("option --promise not recognized", "104", "--promise")
        self.assertRefused("option -x not recognized", "-vx", "104")

    def test_valueMissing(self) -> None:
        """An option without the value it needs is named."""
        self.assertRefused("option -b requires argument", "104", "-b")
        self.assertRefused("option --aetitle requires argument", "104", "--aetitle")

    def test_valueUnwanted(self) -> None:
        """An option that takes no value is named if it gets one."""
        self.assertRefused("option --verbose must not have an argument", "--verbose=1", "104")

    def test_helpInsideOfTwistd(self) -> None:
        """As a command of another program the usage begins with that program, and says "Usage" once."""

        class Parent:
            subCommand = "storescp"

            def getSynopsis(self) -> str:
                return "Usage: twistd [options]"

        options = Options()
        options.parent = Parent()
        self.assertEqual(
            options.getSynopsis(),
            "Usage: twistd [options] storescp [-v][-d][-r][-i][-s n][-S n][-b n] [options] port",
        )


class PortTests(OptionsTestCase):
    """The port and the endpoints."""

    def test_bounds(self) -> None:
        """Ports are 0 (any that is free) to 65535."""
        for port in (0, 1, 104, 65535):
            self.assertEqual(self.parse(str(port))["port"], port)
            self.assertEqual(self.parse(f"--port={port}")["port"], port)

    def test_notPorts(self) -> None:
        """Whatever else there is, is not a port; digits are ASCII digits."""
        for text in ("65536", "-1", "", "abc", "1e2", "104.0", "0x68", " 104", "104\n", "+104", "1_0", "\u0661\u0660"):
            self.assertRefused(f"port {text!r} is not a whole number from 0 to 65535", "--", text)
            self.assertRefused(f"port {text!r} is not a whole number from 0 to 65535", f"--port={text}")

    def test_veryLongNumber(self) -> None:
        """A number that no machine takes is refused like any other."""
        for text in ("9" * 30, "9" * 5000):
            self.assertRefused(f"port {text!r} is not a whole number from 0 to 65535", text)

    def test_missing(self) -> None:
        """Options alone do not say where to listen."""
        self.assertRefused("a port or an endpoint to listen on is missing", "-v")

    def test_twice(self) -> None:
        """One port is all there can be."""
        self.assertRefused("the port is given twice", "--port=104", "105")
        self.assertRefused("the port is given twice", "104", "--port=104")
        self.assertRefused("more than one port is given: '104', '105'", "104", "-v", "105")

    def test_endpoints(self) -> None:
        """There may be several endpoints, with a port or without."""
        self.assertEqual(self.parse("--endpoint=unix:/a")["endpoints"], ["unix:/a"])
        self.assertIsNone(self.parse("--endpoint=unix:/a")["port"])
        options = self.parse("--endpoint", "tcp:1:interface=127.0.0.1", "104", "--endpoint=unix:/a")
        self.assertEqual((options["endpoints"], options["port"]), (["tcp:1:interface=127.0.0.1", "unix:/a"], 104))

    def test_endpointsAreNotShared(self) -> None:
        """Each command line has endpoints of its own."""
        self.parse("--endpoint=unix:/a")
        self.assertEqual(self.parse("104")["endpoints"], [])


class LengthTests(OptionsTestCase):
    """``--max-pdu``."""

    def test_bounds(self) -> None:
        """4096 up to 16 MiB are accepted, the original's values among them; 0 is no limit."""
        for length in (4096, 8192, 16384, 65536, 131072, 1 << 20, 1 << 24):
            self.assertEqual(self.parse("-b", str(length), "104")["max-pdu"], length)
        self.assertEqual(self.parse("-b0", "104")["max-pdu"], 0)

    def test_tooSmall(self) -> None:
        """Less than 4096 is refused with the original's sentence, and the bound."""
        for length in (4095, 1, -1, -16384):
            self.assertRefused(
                f"Maximum receive PDU length ({length}) too small, at least 4096 or 0", "-b", str(length), "104"
            )

    def test_tooBig(self) -> None:
        """More than 16 MiB is refused with the original's sentence, and the bound."""
        for length in ((1 << 24) + 1, 1 << 32, 10**25):
            self.assertRefused(
                f"Maximum receive PDU length ({length}) too big, at most 16777216", "-b", str(length), "104"
            )

    def test_notLengths(self) -> None:
        """What is not a number is not a length; digits are ASCII digits."""
        for text in ("", "16K", "8192.0", "nan", "0x2000", "8_192", " 8192", "\u0668\u0661\u0669\u0662"):
            self.assertRefused(f"--max-pdu {text!r} is not a whole number of bytes", "-b", text, "104")


class SecondsTests(OptionsTestCase):
    """The options that take a time."""

    def test_numbers(self) -> None:
        """Whole and decimal numbers are taken, up to a day."""
        for text, seconds in (("0", 0.0), ("1", 1.0), ("0.5", 0.5), (".5", 0.5), ("2.", 2.0), ("86400", 86400.0)):
            self.assertEqual(self.parse("-s", text, "104")["sleep-after"], seconds)
            self.assertEqual(self.parse("-S", text, "104")["sleep-during"], seconds)
        self.assertEqual(self.parse("--acse-timeout=0.1", "104")["acse-timeout"], 0.1)

    def test_notNumbers(self) -> None:
        """Negative, endless, undefined and huge times are refused, and what only `float` takes for a number."""
        for text in (
            "-1",
            "-0.5",
            "86400.1",
            "1e9",
            "9" * 400,
            "inf",
            "-inf",
            "nan",
            "NaN",
            "",
            "two",
            "1 ",
            "1_0",
            "\u0663",
        ):
            for name, least in (("sleep-after", "0"), ("sleep-during", "0"), ("acse-timeout", "0.1")):
                self.assertRefused(
                    f"--{name} {text!r} is not a number of seconds from {least} to 86400", f"--{name}={text}", "104"
                )

    def test_associationTimeoutIsNotZero(self) -> None:
        """A timeout of nothing would refuse everybody."""
        self.assertRefused("--acse-timeout '0' is not a number of seconds from 0.1 to 86400", "--acse-timeout=0", "104")


class TitleTests(OptionsTestCase):
    """``--aetitle``."""

    def test_titles(self) -> None:
        """1 to 16 printable ASCII characters make a title; spaces around it mean nothing."""
        for text, title in (
            ("A", "A"),
            ("SIXTEEN CHARS_16", "SIXTEEN CHARS_16"),
            ("  STORE ", "STORE"),
            (f"{'X' * 16}   ", "X" * 16),
            ("!~", "!~"),
        ):
            self.assertEqual(self.parse("--aetitle", text, "104")["aetitle"], title)

    def test_notTitles(self) -> None:
        """Nothing, too much, backslashes, controls and other characters make none (PS3.5 6.2)."""
        for text in ("", "   ", "X" * 17, "A\\B", "A\tB", "A\nB", "A\x1bB", "A\x7f", "ÄRZTE", "\u0661"):
            self.assertRefused(f"--aetitle {text!r} is not an AE title of 1 to 16 characters", "--aetitle", text, "104")


class DirectoryTests(OptionsTestCase):
    """``--output-directory``."""

    def test_becomesAbsolute(self) -> None:
        """A relative name is resolved at once, for a daemon may change its directory."""
        name = self.mktemp()
        os.makedirs(name)
        self.assertEqual(self.parse("--output-directory", name, "104")["output-directory"], os.path.abspath(name))

    def test_missing(self) -> None:
        """A directory that is not there is refused, and named in full."""
        name = os.path.abspath(self.mktemp())
        self.assertRefused(
            f"output directory {name} does not exist or is not a directory", "--output-directory", name, "104"
        )

    def test_notADirectory(self) -> None:
        """A file is refused."""
        name = os.path.abspath(self.mktemp())
        with open(name, "wb"):
            pass
        self.assertRefused(
            f"output directory {name} does not exist or is not a directory", f"--output-directory={name}", "104"
        )

    def test_notWritable(self) -> None:
        """A directory in which no files can be made is refused."""
        name = os.path.abspath(self.mktemp())
        os.makedirs(name)
        # Said here and not by its mode, which means nothing to a superuser.
        self.patch(os, "access", lambda path, mode: (path, mode) != (name, os.W_OK | os.X_OK))
        self.assertRefused(f"output directory {name} cannot be written to", f"--output-directory={name}", "104")

    def test_empty(self) -> None:
        """An empty name, which an unset variable of a script gives, does not mean the current directory."""
        self.assertRefused("--output-directory '' is not a directory", "--output-directory=", "104")

    def test_ignoredWhereNothingIsKept(self) -> None:
        """With ``--ignore`` no directory is needed."""
        name = os.path.abspath(self.mktemp())
        self.assertEqual(self.parse("-i", "--output-directory", name, "104")["output-directory"], name)


class PropertyTests(OptionsTestCase):
    """Whatever the arguments are."""

    @settings(deadline=None, max_examples=300)
    @given(
        st.lists(
            st.one_of(
                st.sampled_from(
                    ["104", "-v", "-b", "8192", "-s", "-S", "--", "-", "--port", "--aetitle", "--endpoint="]
                ),
                st.sampled_from(["--output-directory", "--acse-timeout=", "--debug", "--help", "--version", "--s"]),
                st.sampled_from(["--fault", "--accept-from=", "--accept-calling-aet", "--max-object-size", "--grace="]),
                st.text(max_size=6),
            ),
            max_size=6,
        )
    )
    def test_optionsOrSentence(self, arguments: list[str]) -> None:
        """Arguments give checked options, or a status and words; never a traceback."""
        output, errors = StringIO(), StringIO()
        try:
            with redirect_stdout(output), redirect_stderr(errors):
                options = self.parse(*arguments)
        except SystemExit as leaving:
            self.assertIn(leaving.code, (0, 1))
            self.assertTrue((output if leaving.code == 0 else errors).getvalue())
            self.assertFalse((errors if leaving.code == 0 else output).getvalue())
        else:
            self.assertEqual(output.getvalue() + errors.getvalue(), "")
            self.assertTrue(options["port"] is None or 0 <= options["port"] <= 65535)
            self.assertTrue(options["max-pdu"] == 0 or 4096 <= options["max-pdu"] <= 1 << 24)
            for name in ("sleep-after", "sleep-during", "acse-timeout", "grace-period"):
                self.assertTrue(0 <= options[name] <= 86400)
