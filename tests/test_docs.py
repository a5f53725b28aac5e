"""
README.md and the documentation are true: what they show runs, and what they list is what the code has.

Tables that Sphinx makes from the code need no test; those written by hand are compared with it here.
"""

from __future__ import annotations

import ast
import contextlib
import getopt
import importlib.util
import io
import os
import re
import shlex
import subprocess
import sys
import textwrap
import threading
import unittest
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

from pydicom import dcmread
from twisted.application.service import IServiceCollection, loadApplication
from twisted.scripts.twistd import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from txdicom.configuration import Configuration
from txdicom.dimse.status import Status
from txdicom.errors import AbortReason, RejectReason
from txdicom.services.storage import store
from txdicom.services.verification import echo
from txdicom.storescp.options import Options
from txdicom.testing import associateRQ, connect, requestor
from txdicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, STORAGE_SOP_CLASSES, VERIFICATION
from txdicom.upperlayer.machine import Action, Event, State

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
LISTINGS = DOCS / "listings"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.rst"))]
CT = STORAGE_SOP_CLASSES[1]
RUN_TWISTD = "from twisted.scripts.twistd import run; run()"
#: How long a program may take to do what is expected of it, in seconds.
PATIENCE = 60


def loadModule(path: Path) -> ModuleType:
    """Import a file that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def modulesOfTheProgram() -> list[Path]:
    """Find the files of txdicom that the receiver imports, directly or not."""
    found: set[Path] = set()
    waiting = ["txdicom.storescp.tap"]
    while waiting:
        path = ROOT.joinpath(*waiting.pop().split(".")).with_suffix(".py")
        if path.is_file() and path not in found:
            found.add(path)
            waiting += [node.module or "" for node in ast.walk(parse(path)) if isinstance(node, ast.ImportFrom)]
    return sorted(found)


def parse(path: Path) -> ast.Module:
    """Parse a file of Python."""
    return ast.parse(path.read_text())


PROGRAM = modulesOfTheProgram()
tables = loadModule(DOCS / "_ext" / "tables.py")
readmeCommand = loadModule(ROOT / ".ci" / "readme_command.py").readmeCommand


def blocks(page: Path, language: str = r"\w+") -> list[tuple[str, str]]:
    """Find the code blocks of a page: language and text of each."""
    text = page.read_text()
    if page.suffix == ".md":
        return re.findall(rf"^```({language})\n(.*?)^```$", text, re.M | re.S)
    pattern = rf"^( *)\.\. code-block:: ({language})\n\n((?:(?:\1 {{3}}.*)?\n)+)"
    return [(found, textwrap.dedent(body).strip("\n") + "\n") for _, found, body in re.findall(pattern, text, re.M)]


def firstCells(page: str, before: str) -> list[list[str]]:
    """Find the literals in each row of the list table that comes first after a text."""
    _, _, text = (DOCS / page).read_text().partition(before)
    table = re.search(r"^\.\. list-table::\n(?:   .*\n|\n)+", text, re.M)
    assert table is not None, f"no table after {before!r}"
    rows = re.split(r"^   \* - ", table[0], flags=re.M)[2:]
    return [re.findall(r"^(?: +- )?`([^`]+)`$", row, re.M) for row in rows]


def firstColumn(page: str, before: str) -> list[str]:
    """Find the literal that each row of a list table begins with."""
    return [row[0] for row in firstCells(page, before)]


def namesUsed(enumeration: str) -> set[str]:
    """Find which members of an enumeration the package uses by name, but for where it is defined."""
    return {
        node.attr
        for path in PROGRAM
        if path.name not in ("errors.py", "status.py")
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == enumeration
    }


def codes(statuses: set[str]) -> list[str]:
    """Write statuses as the documentation does."""
    return sorted(f"0x{Status[name]:04X}" for name in statuses)


class ReadmeTests(SynchronousTestCase):
    readme = (ROOT / "README.md").read_text()

    def test_isReadInOneSitting(self) -> None:
        self.assertLess(len(self.readme.splitlines()), 100)

    def test_optionsAreThoseOfTheProgram(self) -> None:
        """`python docs/_ext/tables.py` prints the table that has to be there."""
        self.assertIn(tables.markdown(tables.options()), self.readme)

    def test_compositionIsTheListing(self) -> None:
        self.assertEqual(blocks(ROOT / "README.md", "python"), [("python", (LISTINGS / "receiver.tac").read_text())])

    def test_setUpIsOneLineEach(self) -> None:
        for name in ("receive", "test"):
            self.assertEqual(readmeCommand(name).count("\n"), 1)

    def test_commandWithoutMarkerIsNotFound(self) -> None:
        self.assertRaises(LookupError, readmeCommand, "deploy")

    def test_countOfSOPClasses(self) -> None:
        self.assertIn(f"the {len(STORAGE_SOP_CLASSES) + 1} SOP classes", self.readme)


class IndexTests(SynchronousTestCase):
    def test_counts(self) -> None:
        page = " ".join((DOCS / "index.rst").read_text().split())
        self.assertIn(f"Storage as SCP for the {len(STORAGE_SOP_CLASSES)} classes", page)
        self.assertIn(f"all {len(State)} states, {len(Event)} events and {len(Action)} actions", page)


class ListingTests(SynchronousTestCase):
    def test_everyListingIsShown(self) -> None:
        shown = "".join(page.read_text() for page in PAGES)
        for listing in LISTINGS.glob("*.*"):
            self.assertIn(f"listings/{listing.name}", shown)

    def test_includedListingsExist(self) -> None:
        for page in DOCS.glob("*.rst"):
            for name in re.findall(r"literalinclude:: (\S+)", page.read_text()):
                self.assertTrue((DOCS / name).is_file(), name)

    def test_receiverKeepsWhatItIsSent(self) -> None:
        directory = Path(self.mktemp())
        (directory / "received").mkdir(parents=True)
        with contextlib.chdir(directory):
            application = loadApplication(str(LISTINGS / "receiver.tac"), "python")
        [service] = IServiceCollection(application)
        self.assertEqual(service.endpoint._port, 11112)
        request = associateRQ({VERIFICATION: [EXPLICIT_VR_LITTLE_ENDIAN], CT: [EXPLICIT_VR_LITTLE_ENDIAN]})
        association = requestor(service.factory._clock, request)
        link = connect(service.factory, association)
        dataSet = b"\x08\x00\x16\x00UI\x1a\x00" + CT.encode() + b"\0" + b"\x08\x00\x18\x00UI\x06\x001.2.3\0"
        answers = [echo(association), store(association, CT, "1.2.3", EXPLICIT_VR_LITTLE_ENDIAN, dataSet)]
        link.flush()
        self.assertEqual([self.successResultOf(answer).status for answer in answers], [0, 0])
        association.release()
        link.flush()
        self.assertEqual(dcmread(directory / "received" / "CT.1.2.3").SOPInstanceUID, "1.2.3")

    def test_testsOfTheTutorialPass(self) -> None:
        loadModule(LISTINGS / "tally.py")
        suite = unittest.defaultTestLoader.loadTestsFromTestCase(loadModule(LISTINGS / "test_tally.py").TallyTests)
        result = unittest.TestResult()
        suite.run(result)
        self.assertEqual((result.testsRun, result.errors, result.failures), (3, [], []))


class ProgramTests(SynchronousTestCase):
    """What a reader of the tutorial does, with real programs."""

    tutorial = (DOCS / "tutorial.rst").read_text()

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        (self.directory / "received").mkdir(parents=True)
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.environment.pop("DCMDICTPATH", None)

    def start(self, *arguments: str) -> tuple[subprocess.Popen[str], str]:
        """Run twistd until it listens; returns the process and the port."""
        program = subprocess.Popen(
            [sys.executable, "-c", RUN_TWISTD, "-n", "--pidfile=", *arguments],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        deadline = threading.Timer(PATIENCE, program.kill)
        deadline.start()
        self.addCleanup(program.communicate)
        self.addCleanup(program.kill)
        self.addCleanup(deadline.cancel)
        output = ""
        assert program.stdout is not None
        for line in program.stdout:
            output += line
            listening = re.search(r"starting on (\d+)$", line)
            if listening:
                return program, listening[1]
        raise AssertionError(f"it does not listen: {output}")

    def stop(self, program: subprocess.Popen[str]) -> str:
        """End twistd and return the rest of its log, without times and names."""
        program.terminate()
        output, _ = program.communicate(timeout=PATIENCE)
        self.assertEqual(program.returncode, -15)
        return re.sub(r"^\S+ \[\S+\] ", "", output, flags=re.M)

    def send(self, port: str) -> str:
        """Send the tutorial's file as the tutorial does."""
        [snippet] = set(re.findall(r"python -c '([^']+)'", self.tutorial))
        path = io.StringIO()
        with contextlib.redirect_stdout(path):
            exec(compile(snippet, "tutorial", "exec"), {})
        command = [sys.executable, str(LISTINGS / "send.py"), "127.0.0.1", port, path.getvalue().strip()]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.stderr, "")
        return done.stdout

    def received(self) -> str:
        """Read the name of the only patient there is, from the file that the tutorial names."""
        names = set(re.findall(r"received/(\S+)", self.tutorial))
        self.assertEqual({path.name for path in (self.directory / "received").iterdir()}, names)
        return str(dcmread(self.directory / "received" / names.pop()).PatientName)

    def test_tutorial(self) -> None:
        program, port = self.start("storescp", "-v", "--output-directory", "received", "0")
        self.assertEqual(self.send(port), "0x0000 success\n")
        log = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:39912", self.stop(program))
        [shown] = re.findall(r"^The receiver tells what came::\n\n((?:   .*\n)+)", self.tutorial, re.M)
        self.assertIn(textwrap.dedent(shown), log)
        self.assertEqual(self.received(), "CompressedSamples^CT1")

    def test_receiverListing(self) -> None:
        listing = (LISTINGS / "receiver.tac").read_text().replace("tcp:11112", "tcp:0:interface=127.0.0.1")
        (self.directory / "receiver.tac").write_text(listing)
        program, port = self.start("-y", "receiver.tac")
        self.assertEqual(self.send(port), "0x0000 success\n")
        self.stop(program)
        self.assertEqual(self.received(), "CompressedSamples^CT1")


class ShellTests(SynchronousTestCase):
    """The commands in the documentation name options, files and programs that there are."""

    def commands(self) -> Iterator[list[str]]:
        """Take all shell blocks apart into commands of words."""
        for page in PAGES:
            for _, text in blocks(page, "sh"):
                lexer = shlex.shlex(text.replace("\n", ";\n"), posix=True, punctuation_chars=True)
                lexer.whitespace_split = True
                command: list[str] = []
                for word in lexer:
                    if set(word) <= set("();<>|&"):
                        yield command
                        command = []
                    else:
                        command.append(word)
                yield command

    def test_optionsAreAccepted(self) -> None:
        seen = 0
        for command in self.commands():
            if command and os.path.basename(command[0]) == "twistd":
                server, storescp = ServerOptions(), Options()
                _, rest = getopt.getopt(command[1:], server.shortOpt, server.longOpt)
                if rest[:1] == ["storescp"]:
                    seen += 1
                    getopt.gnu_getopt(rest[1:], storescp.shortOpt, storescp.longOpt)
        self.assertGreaterEqual(seen, 2)

    def test_filesExist(self) -> None:
        named = [word for command in self.commands() for word in command if re.match(r"(\./)?(docs|\.ci|tests)/", word)]
        self.assertIn("docs/listings/send.py", named)
        for name in named:
            self.assertTrue("_build" in name or (ROOT / name.partition("::")[0]).exists(), name)

    def test_onlyLanguagesThatAreChecked(self) -> None:
        for page in PAGES:
            self.assertLessEqual({language for language, _ in blocks(page)}, {"sh", "python", "text"}, page.name)

    def test_pythonRuns(self) -> None:
        for page in PAGES[1:]:  # that of the README is a listing
            namespace: dict[str, object] = {}
            for _, text in blocks(page, "python"):
                exec(compile(text, page.name, "exec"), namespace)


class ReferenceTests(SynchronousTestCase):
    """docs/storescp.rst."""

    page = (DOCS / "storescp.rst").read_text()

    def test_synopsis(self) -> None:
        synopsis = f"twistd -n --pidfile= storescp {Options.synopsis}\n"
        self.assertEqual(blocks(DOCS / "storescp.rst", "text"), [("text", synopsis)])

    def test_everyOptionIsDescribed(self) -> None:
        described = dict(re.findall(r"^\.\. option:: (.+)\n\n((?:   .*\n|\n)+)", self.page, re.M))
        expected = {names.replace("`", ""): default.strip("`") for names, default, _ in tables.options()[1]}
        self.assertEqual(sorted(described), sorted([*expected, "--help"]))
        for names, default in expected.items():
            if default and default != ".":
                self.assertIn(f"efault {default}.", described[names].replace(", default", ". Default"), names)

    def test_everyStatusIsListed(self) -> None:
        self.assertEqual(firstColumn("storescp.rst", "Status codes\n"), codes(namesUsed("Status")))

    def test_everyLogLineIsListed(self) -> None:
        logged = set()
        for path in PROGRAM:
            for node in ast.walk(parse(path)):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    isLog = ast.unparse(node.func.value).endswith("log") and node.func.attr in (
                        "info",
                        "warn",
                        "error",
                        "critical",
                    )
                    if isLog and isinstance(node.args[0], ast.Constant):
                        logged.add(node.args[0].value)
        listed = firstColumn("storescp.rst", "With :option:`--verbose`:") + firstColumn("storescp.rst", "\nAlways:")
        # One message is a variable there, because it is used for each of many lines.
        listed.remove("Line {number} of data dictionary {fileName!r} is left out: {reason}.")
        self.assertEqual(sorted(listed), sorted(logged))


class ConformanceTests(SynchronousTestCase):
    """docs/conformance.rst."""

    def test_storageStatuses(self) -> None:
        listed = [row[0] for row in firstCells("conformance.rst", "What C-STORE is answered with:")]
        self.assertEqual(sorted(listed), codes(namesUsed("Status") - {"UNRECOGNIZED_OPERATION"}))

    def test_rejections(self) -> None:
        used = sorted("/".join(map(str, RejectReason[name].value)) for name in namesUsed("RejectReason"))
        self.assertEqual(firstColumn("conformance.rst", "Rejections (A-ASSOCIATE-RJ):"), used)

    def test_aborts(self) -> None:
        used = sorted("/".join(map(str, AbortReason[name].value)) for name in namesUsed("AbortReason"))
        self.assertEqual(firstColumn("conformance.rst", "Aborts (A-ABORT):"), used)

    def test_boundsAndTimes(self) -> None:
        configuration = Configuration()
        names = [name for name in Configuration.__slots__ if not name.startswith("implementation")]
        expected = [[name, f"{getattr(configuration, name):.0f}"] for name in names]
        self.assertEqual(firstCells("conformance.rst", "Bounds and times:"), expected)


class NameTests(SynchronousTestCase):
    """Names in single backticks are names of what there is."""

    def test_pathsOfModules(self) -> None:
        for page in PAGES:
            for path in re.findall(r"(?<!`)`(txdicom(?:\.\w+)+)`(?!`)", page.read_text()):
                self.assertTrue(self.resolves(path.split(".")), f"{page.name}: {path}")

    def resolves(self, parts: list[str]) -> bool:
        """Tell whether a dotted path leads to a module, or to something in one."""
        for length in range(len(parts), 0, -1):
            with contextlib.suppress(ModuleNotFoundError):
                found: object = import_module(".".join(parts[:length]))
                for name in parts[length:]:
                    found = getattr(found, name, None)
                return found is not None
        return False

    def test_classes(self) -> None:
        defined = {
            node.name
            for path in (ROOT / "txdicom").rglob("*.py")
            for node in ast.walk(parse(path))
            if isinstance(node, ast.ClassDef)
        }
        for page in PAGES:
            named = set(re.findall(r"(?<!`)`([A-Z][a-z]*(?:[A-Z]+[a-z]+)+)`(?!`)", page.read_text()))
            self.assertLessEqual(named, defined | {"SynchronousTestCase"}, page.name)

    def test_errorsOfTheArchitecture(self) -> None:
        tree = "".join(text for _, text in blocks(DOCS / "architecture.rst", "text"))
        defined = re.findall(r"^class (\w+)\(\w*(?:Error|Exception)\)", (ROOT / "txdicom/errors.py").read_text(), re.M)
        self.assertEqual(sorted(re.findall(r"^ *(?:\+- )?([A-Z]\w+)", tree, re.M)), sorted(defined))

    def test_pathsOfFiles(self) -> None:
        for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
            for path in re.findall(r"`((?:docs|txdicom|tests|changes|\.ci|twisted)/[\w./]*)`", page.read_text()):
                self.assertTrue((ROOT / path).exists(), f"{page.name}: {path}")
