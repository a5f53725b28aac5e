"""
README.md and the documentation are true: what they show runs, and what they list is what the code has.

Tables that Sphinx makes from the code need no test; those written by hand are compared with it here.
"""

from __future__ import annotations

import ast
import contextlib
import getopt
import io
import os
import re
import shlex
import subprocess
import sys
import threading
import unittest
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from pydicom import dcmread
from twisted.application.service import IServiceCollection, loadApplication
from twisted.scripts.twistd import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from tests.documents import (
    DOCS,
    LISTINGS,
    PAGES,
    ROOT,
    blocks,
    loadModule,
    parse,
)
from txdicom.services.storage import store
from txdicom.services.verification import echo
from txdicom.storescp.options.spelling import readArguments
from txdicom.testing import associateRQ, connectInMemory, requestor
from txdicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, STORAGE_SOP_CLASSES, VERIFICATION
from txdicom.upperlayer.machine import Action, Event, State

CT = STORAGE_SOP_CLASSES[1]
RUN_TWISTD = "from twisted.scripts.twistd import run; run()"
#: How long a program may take to do what is expected of it, in seconds.
PATIENCE = 60


tables = loadModule(DOCS / "_ext" / "tables.py")
readmeCommand = loadModule(ROOT / ".ci" / "readme_command.py").readmeCommand


class ReadmeTests(SynchronousTestCase):
    readme = (ROOT / "README.md").read_text()

    def test_isReadInOneSitting(self) -> None:
        self.assertLess(len(self.readme.splitlines()), 100)

    def test_optionsAreThoseOfTheProgram(self) -> None:
        """`python docs/_ext/tables.py` prints the table that has to be there."""
        self.assertIn(tables.markdown(tables.readmeOptions()), self.readme)

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
        [listening] = service
        self.assertEqual(listening.endpoint._port, 11112)
        request = associateRQ({VERIFICATION: [EXPLICIT_VR_LITTLE_ENDIAN], CT: [EXPLICIT_VR_LITTLE_ENDIAN]})
        association = requestor(listening.factory._clock, request)
        link = connectInMemory(listening.factory, association)
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

    def test_testsWithPytestPass(self) -> None:
        """The fixture of docs/testing.rst, as its reader runs it."""
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_withpytest.py"]
        done = subprocess.run(
            command,
            cwd=LISTINGS,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_ADDOPTS": ""},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("[100%]", done.stdout)

    def test_testsOfThePluginPass(self) -> None:
        loadModule(LISTINGS / "summaries.py")
        tests = loadModule(LISTINGS / "test_summaries.py").SummariesTests
        suite = unittest.defaultTestLoader.loadTestsFromTestCase(tests)
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
        [(_, shown)] = blocks(DOCS / "tutorial.rst", "text")
        self.assertIn(shown, log)
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
                lines = text.replace("\\\n", " ").replace("\n", ";\n")
                lexer = shlex.shlex(lines, posix=True, punctuation_chars=True)
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
                server = ServerOptions()
                _, rest = getopt.getopt(command[1:], server.shortOpt, server.longOpt)
                if rest[:1] == ["storescp"]:
                    seen += 1
                    readArguments(rest[1:])
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
        """Each page by itself, from the beginning to the end, beside the listings."""
        self.patch(sys, "path", [str(LISTINGS), *sys.path])
        for page in PAGES[1:]:  # that of the README is a listing
            namespace: dict[str, object] = {}
            for _, text in blocks(page, "python"):
                exec(compile(text, page.name, "exec"), namespace)


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
