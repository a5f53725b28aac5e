"""Tests of the table of options: that every row works by each of its spellings, and of what makes rows work."""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from contextlib import redirect_stdout
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from shutil import which

from twisted.python import usage
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.test_options import OptionsTestCase
from txdicom.storescp.options import Options, commandline, spelling, texts
from txdicom.storescp.options.groups.dcmtk import REFUSED
from txdicom.storescp.options.kinds import Choice, Directory, File, Text, Whole
from txdicom.storescp.options.option import Group, Option
from txdicom.storescp.options.table import BY_SPELLING, GROUPS, OPTIONS

#: What each option that takes something may be given: a value that is not the default, and one that is refused.
VALUES: dict[str, tuple[str | tuple[str, ...], str]] = {
    "add-cert-dir": ("/", ""),
    "add-cert-file": ("/a", ""),
    "add-crl-file": ("/a", ""),
    "accept-calling-aet": ("CT1", "\t"),
    "accept-from": ("10.0.0.0/8", "10"),
    "acse-timeout": ("5", "0"),
    "aetitle": ("ARCHIVE", ""),
    "config": (str(Path(__file__).parent / "options.toml"), "/none.toml"),
    "config-file": ((str(Path(__file__).parent / "profile.cfg"), "Default"), ""),
    "cipher": ("TLS_RSA_WITH_AES_128_GCM_SHA256", "TLS_RSA_WITH_NULL_SHA"),
    "dhparam": ("/a", ""),
    "dimse-timeout": ("5", "-1"),
    "duplicates": ("keep", "lose"),
    "enable-tls": ("/a", ""),
    "endpoint": ("unix:/a", ""),
    "eostudy-timeout": ("5", "-1"),
    "exec-at-once": ("5", "0"),
    "exec-on-eostudy": ("true #p", "true #f"),
    "exec-on-reception": ("true #f", "'"),
    "exec-timeout": ("5", "0"),
    "fault": ("all:abort", "all"),
    "filename-extension": (".dcm", "a/b"),
    "grace-period": ("5", "x"),
    "log-level": ("info", "loud"),
    "max-associations": ("5", "-1"),
    "max-associations-per-peer": ("5", "-1"),
    "max-object-size": ("5K", "5Q"),
    "max-pdu": ("8192", "5"),
    "min-free-space": ("5K", "5Q"),
    "output-directory": ("/", ""),
    "passwd-file": ("/a", ""),
    "path": ("{PatientID}", "{PatientID"),
    "plugin": ("tests.hooking.RecordingPlugin", ""),
    "port": ("104", "65536"),
    "sleep-after": ("5", "-1"),
    "sleep-during": ("0.5", "-1"),
    "socket-timeout": ("5", "-1"),
    "sort-conc-studies": ("P", "a/b"),
    "sort-on-study-uid": ("P", "-"),
    "use-passwd": ("word", ""),
    "workers": ("3", "0"),
}
#: Forms of DCMTK's that the 1996 letters would read differently, each refused with a sentence that tells both.
TAKEN_BY_LETTERS = {"-id"}


def written(name: str, which: int = 0) -> list[str]:
    """Write an option with what it may be given, or with what is refused, for each of its arguments."""
    value = VALUES[name][which] if OPTIONS[name].takes else ()
    return [f"--{name}", *(value if isinstance(value, tuple) else [value] * len(OPTIONS[name].takes))]


def needed(option: Option) -> list[str]:
    """Write the options that have to be there for this one, and what those need."""
    return [word for name in option.needs[:1] for word in (*needed(OPTIONS[name]), *written(name))]


class TableTests(SynchronousTestCase):
    """What has to be so for every row."""

    def test_spellingsAreUnique(self) -> None:
        rows = [*OPTIONS.values(), *REFUSED]
        counted = Counter(spelled for row in rows for spelled in (f"--{row.name}", *row.short))
        self.assertEqual([spelled for spelled, count in counted.items() if count > 1], [])
        self.assertEqual(sorted(counted), sorted(BY_SPELLING))

    def test_spellingsAreWellFormed(self) -> None:
        for row in (*OPTIONS.values(), *REFUSED):
            self.assertRegex(row.name, r"^[a-z][a-z0-9]*(-[a-z0-9]+)+$|^[a-z0-9]{2,}$")
            for short in row.short:
                self.assertRegex(short, r"^[-+][A-Za-z0-9]+=?$")

    def test_noFormIsLettersAsWell(self) -> None:
        """No form of several letters is what the letters of other options make when they stand together."""
        letters = {
            name[1]
            for name, option in BY_SPELLING.items()
            if re.fullmatch("-[A-Za-z]", name) and isinstance(option, Option) and not option.takes
        }
        confusing = {name for name in BY_SPELLING if re.fullmatch("-[A-Za-z]{2,}", name) and set(name[1:]) <= letters}
        self.assertEqual(confusing, TAKEN_BY_LETTERS)

    def test_sentences(self) -> None:
        for option in OPTIONS.values():
            self.assertRegex(option.help, r"^[A-Z].*\.$", option.name)
            self.assertNotIn("\n", option.help)
        for refused in REFUSED:
            self.assertRegex(refused.instead, r"^[a-zA-Z].*[^.]$", refused.name)

    def test_namesOfOthersExist(self) -> None:
        """Options are excluded and needed that there are, and sentences name such."""
        for option in OPTIONS.values():
            mentioned = re.findall(r"(?<!dcmconv )--([a-z][a-z0-9-]+)", option.help + option.manual)
            for name in (*option.excludes, *option.needs, *mentioned):
                self.assertIn(name, {*OPTIONS, "rundir"}, option.name)

    def test_alternativesHaveOneDefault(self) -> None:
        for key, count in Counter(option.key for option in OPTIONS.values()).items():
            rows = [option for option in OPTIONS.values() if option.key == key]
            self.assertEqual(len({option.repeatable for option in rows}), 1, key)
            if count > 1 and not rows[0].repeatable:
                self.assertEqual(len([option for option in rows if option.default is not None]), 1, key)

    def test_everyOptionOfDCMTKIsKnownInItsSpelling(self) -> None:
        """What DCMTK's program has is refused, done or not there yet; nothing means another thing."""
        program = which("storescp")
        if program is None:
            if os.environ.get("CI_REQUIRE_PEERS"):
                raise AssertionError("DCMTK's storescp is not installed")
            raise SkipTest("DCMTK's storescp is not installed")
        shown = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=30, check=False).stdout
        if "dcmtk" not in shown.lower():
            raise SkipTest("storescp is not DCMTK's")
        pairs = re.findall(r"^ +([-+]\S+)? +--([a-z0-9-]+)", shown, re.M)
        self.assertGreater(len(pairs), 80)
        for short, name in pairs:
            if f"--{name}" in BY_SPELLING and short:
                self.assertIn(short, BY_SPELLING[f"--{name}"].short)
            elif short:
                self.assertNotIn(short, BY_SPELLING)


class RowTests(OptionsTestCase):
    """Every row, used."""

    def test_everySpellingOfEveryOption(self) -> None:
        """Each leads to the same value, before the port and after it."""
        for option in OPTIONS.values():
            if option.answer is not None:
                continue
            good = written(option.name)[1:]
            ports = [*needed(option), *([] if option.name == "port" else ["1104"])]
            value = option.value(good)
            expected = [value] if option.repeatable else value
            if option.takes or option.default is None:
                # A flag with a default is the alternative that is taken by itself.
                self.assertNotEqual(expected, option.initial, option.name)
            ways = [[name, *good] for name in (*option.short, option.spelled)]
            if good:
                ways.append([f"{option.spelled}={good[0]}", *good[1:]])
                ways += [[f"{short}{good[0]}", *good[1:]] for short in option.short if len(short) == 2]
            for way in ways:
                for arguments in (way + ports, ports + way):
                    self.assertEqual(self.parse(*arguments)[option.key], expected, arguments)

    def test_everyValueIsChecked(self) -> None:
        for name in {option.name for option in OPTIONS.values() if option.takes} - {"endpoint"}:
            status, output, errors = self.exits(*needed(OPTIONS[name]), *written(name, 1), "104")
            self.assertEqual((status, output), (1, ""))
            self.assertRegex(errors, r"^storescp: [^\n]+\nUsage: [^\n]+\n$")

    def test_everyArgumentIsWanted(self) -> None:
        for option in OPTIONS.values():
            for name in (*option.short, option.spelled):
                if option.takes:
                    wanted = "argument" if len(option.takes) == 1 else f"{len(option.takes)} arguments"
                    self.assertRefused(f"option {name} requires {wanted}", "104", name)
            if not option.takes:
                self.assertRefused(f"option --{option.name} must not have an argument", f"--{option.name}=1", "104")

    def test_everyAnswer(self) -> None:
        """What only asks for something gets it, whatever else there is."""
        for option in OPTIONS.values():
            if option.answer is not None:
                for name in (*option.short, option.spelled):
                    status, output, errors = self.exits("104", name, "--max-pdu", "wrong")
                    self.assertEqual((status, errors, output), (0, "", f"{option.answer(Options())}\n"))

    def test_everyRefusal(self) -> None:
        for refused in REFUSED:
            for name in (*refused.short, f"--{refused.name}"):
                self.assertRefused(f"{name} is not offered: {refused.instead}", "104", name)
                self.assertRefused(f"{name} is not offered: {refused.instead}", name, "value", "104")

    def test_everyExclusion(self) -> None:
        for option in OPTIONS.values():
            for other in option.excludes:
                one, two = written(option.name), written(other)
                sentence = f"--{option.name} cannot be given with --{other}"
                self.assertRefused(sentence, *needed(option), *one, *two, "104")
                self.assertRefused(sentence, "104", *two, *one, *needed(option))

    def test_everyDefaultIsShown(self) -> None:
        _, shown, _ = self.exits("--help")
        shown = " ".join(shown.split())
        for option in OPTIONS.values():
            default = f" (default: {option.default})" if option.takes and option.default is not None else ""
            self.assertIn(f"{', '.join(option.syntax)} {option.help}{default}", shown)
        for group in GROUPS:
            self.assertIn(f"{group.title}: ", shown)

    def test_alwaysChangesNothing(self) -> None:
        """What is so anyway leads to the same values but for its own."""
        without = self.parse("104")
        for option in GROUPS[-1].options:
            self.assertEqual({**self.parse(option.spelled, "104"), option.key: False}, without)


class DCMTKTests(OptionsTestCase):
    """Command lines as people have them."""

    def test_bothWays(self) -> None:
        dcmtk = self.parse(
            "-v", "-aet", "X", "-od", "/", "-pdu", "8192", "-ta", "5", "-ts", "6", "-td", "7", "+u", "104"
        )
        words = self.parse(
            *("--aetitle", "X", "--output-directory=/", "--max-pdu", "8192", "--acse-timeout=5", "104"),
            *("--socket-timeout", "6", "--dimse-timeout", "7", "--verbose", "--enable-new-vr"),
        )
        self.assertEqual(dcmtk, words)

    def test_ignoreAndDebugTogether(self) -> None:
        """DCMTK's -id is not what the letters say, so nobody's images are ignored by mistake."""
        self.assertIn("--endpoint systemd:", self.exits("-id", "104")[2])
        for letters in ("-di", "-i -d", "-vid", "-d -i"):
            options = self.parse(*letters.split(), "104")
            self.assertTrue(options["ignore"] and options["debug"])

    def test_commandFiles(self) -> None:
        for arguments in (["@options.txt"], ["@options.txt", "104"], ["104", "-v", "@options.txt"]):
            self.assertRefused(
                "command file '@options.txt' is not read: let the shell put its content there", *arguments
            )

    def test_refusedLettersTogether(self) -> None:
        self.assertIn("storescp: -g is not offered: ", self.exits("-vg", "104")[2])

    def test_refusedOnesDoNotDisturbBeginnings(self) -> None:
        """A beginning that only one option that is offered has, is that option; else it is a refused one."""
        self.assertTrue(self.parse("--access", "104")["access-full"])
        self.assertIn("storescp: --inetd is not offered: ", self.exits("--inet", "104")[2])
        self.assertRefused("option --write-s not a unique prefix", "--write-s", "104")

    def test_environment(self) -> None:
        """POSIXLY_CORRECT does not change where options may stand."""
        self.patch(os, "environ", {**os.environ, "POSIXLY_CORRECT": "1"})
        self.assertTrue(self.parse("104", "-v")["verbose"])


class SampleTests(OptionsTestCase):
    """Rows of kinds that need a table of their own to be tried."""

    def setUp(self) -> None:
        group = Group(
            "Sample",
            (
                Option(name="little", short=("+xe",), key="syntax", constant="LE", default="LE", help="Little."),
                Option(name="big", short=("+xb",), key="syntax", constant="BE", help="Big."),
                Option(name="tls", short=("+tls",), takes=(File("key"), File("certificate")), help="Pair."),
                Option(name="password", short=("+pw",), takes=(Text("word"),), needs=("tls",), help="Word."),
                Option(name="sort", takes=(Text("prefix"),), help="Sort."),
                Option(name="name-sort", help="Sort otherwise."),
                Option(
                    name="timeout", takes=(Whole(1, 9),), needs=("sort", "name-sort"), excludes=("big",), help="Time."
                ),
                Option(name="level", takes=(Choice(("info", "debug")),), default="info", help="Level."),
                Option(name="pair", takes=(Text("a"), Whole(1, 2)), repeatable=True, key="pairs", help="Pairs."),
                Option(name="directory", takes=(Directory(),), help="Directory."),
                Option(name="port", takes=(Whole(0, 9),), help="Port."),
            ),
        )
        options = {option.name: option for option in group.options}
        spellings = {name: option for option in group.options for name in (option.spelled, *option.short)}
        for module, name, value in (
            *((module, "GROUPS", (group,)) for module in (commandline, texts)),
            *((module, "OPTIONS", options) for module in (commandline, texts)),
            (spelling, "BY_SPELLING", spellings),
        ):
            self.patch(module, name, value)

    def test_alternatives(self) -> None:
        """The last one counts, and one of them is the default."""
        for arguments, value in (([], "LE"), (["+xb"], "BE"), (["+xb", "+xe"], "LE"), (["--little", "--big"], "BE")):
            self.assertEqual(self.parse(*arguments, "1")["syntax"], value)

    def test_twoArguments(self) -> None:
        """They become absolute names, in a pair; the first may stand behind a =."""
        for arguments in (["+tls", "/k", "/c"], ["--tls", "/k", "/c"], ["--tls=/k", "/c"], ["--t", "/k", "/c"]):
            if arguments[0] != "--t":
                self.assertEqual(self.parse(*arguments, "1")["tls"], ("/k", "/c"))
            else:
                self.assertRefused("option --t not a unique prefix", *arguments)
        self.assertEqual(self.parse("1", "+tls", "k", "c")["tls"], (os.path.abspath("k"), os.path.abspath("c")))
        self.assertIsNone(self.parse("1")["tls"])
        self.assertRefused("option +tls requires 2 arguments", "1", "+tls", "k")
        self.assertRefused("option --tls requires 2 arguments", "1", "--tls=k")
        self.assertRefused("--tls '' is not a file", "1", "+tls", "k", "")
        self.assertRefused("--tls 'a\\x00b' is not a file", "1", "+tls", "k", "a\0b")

    def test_repeatedPairs(self) -> None:
        self.assertEqual(self.parse("--pair", "x", "1", "5", "--pair=y", "2")["pairs"], [("x", 1), ("y", 2)])
        self.assertEqual(self.parse("5")["pairs"], [])

    def test_needs(self) -> None:
        self.assertRefused("--password can only be given with --tls", "+pw", "x", "1")
        self.assertEqual(self.parse("+pw", "x", "1", "+tls", "k", "c")["password"], "x")
        self.assertRefused("--timeout can only be given with --sort or --name-sort", "--timeout", "5", "1")
        self.assertEqual(self.parse("--timeout", "5", "1", "--name-sort")["timeout"], 5)

    def test_excludes(self) -> None:
        self.assertRefused("--timeout cannot be given with --big", "--sort=x", "--timeout=5", "+xb", "1")

    def test_values(self) -> None:
        self.assertRefused("--sort '' is empty", "--sort=", "1")
        self.assertRefused("--level 'trace' is none of info, debug", "--level", "trace", "1")
        self.assertRefused("--timeout '10' is not a whole number from 1 to 9", "--timeout", "10", "1")
        self.assertRefused("--directory '\\x00' is not a directory", "--directory", "\0", "1")

    def test_shells(self) -> None:
        """Shells are told of alternatives, of what may be repeated, and of how arguments are completed."""
        data = texts.completions()
        self.assertEqual(data.mutuallyExclusive, [["little", "big"]])
        self.assertEqual(data.multiUse, ["pair"])
        kinds = {name: type(action) for name, action in data.optActions.items()}
        self.assertEqual(
            kinds, {"tls": usage.CompleteFiles, "level": usage.CompleteList, "directory": usage.CompleteDirs}
        )
        self.assertIn(["level", None, "info", "Level."], texts.parameters())
        self.assertIn(["big", None, "Big."], texts.flags())


class CompletionTests(SynchronousTestCase):
    """What a shell gets that asks for completion."""

    def test_zsh(self) -> None:
        """Every option is there, with what it is good for, and nothing is checked."""
        options, output = Options(), TextIOWrapper(BytesIO())
        self.patch(Options, "_shellCompFile", output)
        with redirect_stdout(StringIO()):
            leaving = self.assertRaises(
                SystemExit, options.parseOptions, ["--max-pdu", "wrong", "--", "--_shell-completion", "zsh:2"]
            )
        self.assertEqual(leaving.code, 0)
        output.seek(0)
        shown = output.read()
        for option in OPTIONS.values():
            self.assertIn(f"--{option.name}", shown)
        self.assertIn("Print the version and exit.", shown)
        self.assertNotIn("Twisted version", shown)
