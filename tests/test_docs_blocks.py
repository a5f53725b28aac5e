"""
Every code block of the documentation is run, or is of a kind that cannot be run.

Blocks of ``python`` are run by `tests.test_docs.ShellTests`; those of ``sh`` here, page by page as a reader would; what
is included from ``docs/listings`` has tests. A block of ``text`` is a drawing, an output or a form. There is no other.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import ast
import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path

from pydicom import dcmread
from twisted.trial.unittest import SynchronousTestCase

from benchmarks.__main__ import _parser as benchmarksParser
from tests.documents import DOCS, LISTINGS, PAGES, ROOT, blocks, parse
from tests.interop.peers import requireProgram
from tests.readers import Reader

#: Pages that are made by programs, and show no code.
GENERATED = {"results.rst"}
#: What is not run here, by page and a part of it that nothing else has -> what looks at it.
ELSEWHERE = {
    ("README.md", "-m pytest"): "these tests; .ci/run takes the line from there",
    ("benchmarks.rst", "-m benchmarks"): "test_benchmarks below; .ci/run does what is short",
    ("querying.rst", "movescu"): "a third is needed, which tests.interop.test_archive has",
    ("migration.rst", "storescp --fork"): "DCMTK's program; tests.interop.test_sidebyside compares it with ours",
}
#: What a block takes for granted, by its page and a part of it: a receiver that another page starts, or a log.
BEFORE = {
    ("sending.rst", "txdicom echo"): ["twistd storescp --output-directory received 11112"],
    ("sending.rst", "--enable-tls"): [text for _, text in blocks(DOCS / "tls.rst", "sh")[:2]],
    ("storescp.rst", "jq "): [
        """echo '{"event": "association", "calling": "CT1", "stored": 2, "rate": 7.5}' >twistd.log"""
    ],
}
#: Programs of others that blocks call.
PROGRAMS = ("storescu", "findscu", "getscu", "openssl", "jq")


def everyPage() -> Iterator[Path]:
    """Find all pages, also those in folders."""
    yield from PAGES[:2]
    for page in sorted(DOCS.rglob("*.rst")):
        if "_build" not in page.parts and page.name not in GENERATED:
            yield page


def elsewhere(page: Path, block: str) -> bool:
    """Tell whether something else looks at a block."""
    return any(page.name == name and part in block for name, part in ELSEWHERE)


def before(page: str, block: str) -> list[str]:
    """Tell what has to be run for a block to find what it takes for granted."""
    return [
        command for (name, part), commands in BEFORE.items() if name == page and part in block for command in commands
    ]


def shellBlocks(page: Path) -> list[str]:
    """Find the shell blocks of a page that are to be run."""
    return [text for _, text in blocks(page, "sh") if not elsewhere(page, text)]


def isCode(text: str) -> bool:
    """Tell whether somebody could take a text for Python that does something."""
    try:
        nodes = [*ast.walk(ast.parse(text))]
    except SyntaxError:
        return False
    return any(isinstance(node, ast.Import | ast.ImportFrom | ast.Assign | ast.Call) for node in nodes)


class ReaderTests(SynchronousTestCase):
    """Pages whose commands are copied into a shell, one after the other."""

    def read(self, name: str) -> str:
        """Run what a page shows, after what it takes for granted; return all output."""
        page = next(page for page in everyPage() if page.name == name)
        commands = [command for block in shellBlocks(page) for command in [*before(name, block), block]]
        for program in PROGRAMS:
            if any(re.search(rf"^\s*{program} ", command, re.M) for command in commands):
                requireProgram(program)
        directory = Path(self.mktemp())
        directory.mkdir()
        reader = Reader(directory)
        self.addCleanup(reader.close)
        self.directory = directory
        return "".join(reader.run(command) for command in commands)

    def received(self) -> list[str]:
        """Name the files that the receivers have kept."""
        return sorted(path.name for path in (self.directory / "received").glob("[!.]*"))

    def test_README(self) -> None:
        shown = self.read("README.md")
        self.assertIn("0x0000 success\n", shown)
        self.assertIn("PatientName: CompressedSamples^CT1\n", shown)

    def test_CONTRIBUTING(self) -> None:
        self.read("CONTRIBUTING.md")

    def test_composition(self) -> None:
        self.read("composition.rst")

    def test_configuration(self) -> None:
        self.read("configuration.rst")

    def test_migration(self) -> None:
        self.read("migration.rst")

    def test_plugins(self) -> None:
        self.assertIn("PASSED (successes=3)", self.read("plugins.rst"))

    def test_querying(self) -> None:
        shown = self.read("querying.rst")
        self.assertIn("[Doe^Jane]", shown)
        self.assertIn("[1.3.6.1.4.1.5962.1.2.1.20040119072730.12322", shown)
        [got] = self.directory.glob("CT.*")
        self.assertEqual(dcmread(got).PatientID, "1CT1")

    def test_security(self) -> None:
        self.read("security.rst")

    def test_sending(self) -> None:
        shown = self.read("sending.rst")
        self.assertEqual(len(re.findall(r"(?m)^ +1  stored +0x0000 success$", shown)), 2)
        self.assertEqual(len(self.received()), 1)

    def test_storescp(self) -> None:
        self.assertIn("CT1\t2\t7.5\n", self.read("storescp.rst"))

    def test_testing(self) -> None:
        shown = self.read("testing.rst")
        self.assertIn("PASSED (successes=3)", shown)
        self.assertIn("2 passed", shown)

    def test_tls(self) -> None:
        """Keys are made, the receiver starts with them, and takes what is sent with them."""
        self.read("tls.rst")
        self.assertEqual(len(self.received()), 1)
        self.assertIn("X509 CRL", (self.directory / "revoked.crl").read_text())

    def test_tutorial(self) -> None:
        shown = self.read("tutorial.rst")
        self.assertIn("PatientName: CompressedSamples^CT1\n", shown)
        self.assertIn("PASSED (successes=3)", shown)
        self.assertIn("PASSED (successes=1)", shown)
        [line] = (self.directory / "docs" / "listings" / "register.csv").read_text().splitlines()
        self.assertRegex(line, r"^1CT1,1\.3\.6\.1\.[0-9.]+,[0-9]+$")

    def test_failure(self) -> None:
        """A command that fails is noticed wherever it stands in its block, and so is a receiver that does not start."""
        directory = Path(self.mktemp())
        for block in ("false\ntrue", "x=$(false)", "no-such-program", "twistd storescp --no-such-option 11112"):
            directory /= "deeper"
            directory.mkdir(parents=True)
            reader = Reader(directory)
            self.addCleanup(reader.close)
            self.assertRaises(AssertionError, reader.run, block)


class EveryBlockTests(SynchronousTestCase):
    """None is forgotten."""

    def test_everyPageIsRead(self) -> None:
        """A page that has commands has a test above."""
        wanted = {f"test_{page.stem}" for page in everyPage() if shellBlocks(page)}
        self.assertEqual(sorted(wanted - set(dir(ReaderTests))), [])

    def test_nothingIsLeftOutWithoutNeed(self) -> None:
        left = {
            (page.name, part)
            for page in everyPage()
            for name, part in ELSEWHERE
            if name == page.name and sum(part in text for _, text in blocks(page, "sh")) == 1
        }
        self.assertEqual(left, set(ELSEWHERE))

    def test_everyBlockHasAKind(self) -> None:
        """There are blocks of these kinds only, and all are found that begin like one."""
        for page in everyPage():
            text = page.read_text()
            kinds = [kind for kind, _ in blocks(page)]
            self.assertLessEqual(set(kinds), {"sh", "python", "text"}, page.name)
            begun = r"^ *```\S" if page.suffix == ".md" else r"^ *\.\. (?:code-block|code|sourcecode|parsed-literal)::"
            self.assertEqual(len(re.findall(begun, text, re.M)), len(kinds), page.name)
            self.assertEqual(self.unnamed(page, text), [], page.name)
            self.assertNotIn(">>>", text, page.name)

    def unnamed(self, page: Path, text: str) -> list[str]:
        """Find blocks that do not say what they are; in Markdown every other fence closes one that does."""
        if page.suffix == ".md":
            return [fence for fence in re.findall(r"^ *```(.*)$", text, re.M)[::2] if not fence]
        return [line for line in text.splitlines() if line.endswith("::") and not line.lstrip().startswith("..")]

    def test_pythonIsPython(self) -> None:
        """What is called a text is no code."""
        self.assertTrue(isCode("connect(endpoint)"))
        for page in everyPage():
            for _, text in blocks(page, "text"):
                self.assertFalse(isCode(text), text)

    def test_everyListingIsUsed(self) -> None:
        """By a test, by a command that is run, or by a listing that is."""
        tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("*.py") if path.name != Path(__file__).name)
        commands = "".join(text for page in everyPage() for text in shellBlocks(page))
        used = {
            path
            for path in LISTINGS.glob("*.*")
            if re.search(rf'"{re.escape(path.name)}"|^import {re.escape(path.stem)}$', tests, re.M)
            or re.search(rf"[/ ]{re.escape(path.stem)}({re.escape(path.suffix)}\b|$)", commands, re.M)
        }
        for path in [path for path in used if path.suffix in (".py", ".tac")]:
            imports = [node for node in ast.walk(parse(path)) if isinstance(node, ast.ImportFrom)]
            used |= {LISTINGS / f"{node.module}.py" for node in imports}
        self.assertEqual(sorted({*LISTINGS.glob("*.*")} - used), [])

    def test_docstrings(self) -> None:
        """What they show is drawings; code belongs where it is run."""
        for path in sorted((ROOT / "txdicom").rglob("*.py")):
            for text in self.docstrings(path):
                self.assertNotRegex(text, r">>>|code-block::|```", path)
                for shown in re.findall(r"::\n\n((?: {4}.*\n|\n)+)", f"{text}\n"):
                    self.assertFalse(isCode(textwrap.dedent(shown)), path)

    def docstrings(self, path: Path) -> Iterator[str]:
        """Find all docstrings of a module."""
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield ast.get_docstring(node) or ""

    def test_benchmarks(self) -> None:
        """The commands that take minutes are such that the program takes."""
        [(_, text)] = blocks(DOCS / "benchmarks.rst", "sh")
        for line in text.splitlines():
            program, *arguments = shlex.split(line)
            self.assertEqual((program, arguments[:2]), (".venv/bin/python", ["-m", "benchmarks"]))
            benchmarksParser().parse_args(arguments[2:])
