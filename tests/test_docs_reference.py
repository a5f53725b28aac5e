"""
The reference of storescp, the conformance statement, the limits and the security page say what the code says.

Tables that Sphinx makes from the code need no test; those written by hand are compared with it here.
"""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from itertools import product

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.results import Results
from tests.documents import (
    DOCS,
    LISTINGS,
    PROGRAM,
    ROOT,
    blocks,
    firstCells,
    firstColumn,
    loadModule,
    namesUsed,
    parse,
    tableAfter,
)
from txdicom.configuration import Configuration
from txdicom.dimse.status import Status
from txdicom.dimse.watchdog import _TICKS
from txdicom.errors import AbortReason, RejectReason
from txdicom.services import suboperations
from txdicom.services.head import _MAXIMUM_NESTING, HeadReader
from txdicom.services.query import MODALITY_WORKLIST, PATIENT_ROOT, STUDY_ROOT
from txdicom.services.storage import _MAXIMUM_HEAD
from txdicom.services.suboperations import RetrieveStatus
from txdicom.storage import conversion, outputform, pathtemplate, sorting
from txdicom.storage.disk import Disk
from txdicom.storescp import dictionary
from txdicom.storescp.assembly import makeConfiguration
from txdicom.storescp.faults.plan import ABORT_AFTER, ABORT_DURING
from txdicom.storescp.faults.spelling import parseFault
from txdicom.storescp.log import dump, narration, summary
from txdicom.storescp.options import Options, tomlfile
from txdicom.storescp.options.groups.dcmtk import REFUSED
from txdicom.storescp.options.groups.limits import LARGEST_PDU, SMALLEST_PDU
from txdicom.storescp.options.spelling import readArguments
from txdicom.storescp.options.table import OPTIONS
from txdicom.storescp.profiles import reader
from txdicom.storescp.service import _PATIENCE
from txdicom.uids import _MAXIMUM_UID_LENGTH
from txdicom.upperlayer.fields import MAX_UID_LENGTH
from txdicom.upperlayer.items import MAX_PRESENTATION_CONTEXTS, MAX_TRANSFER_SYNTAXES, MAX_USER_INFORMATION_ITEMS

migration = loadModule(DOCS / "_ext" / "migration.py")
tables = loadModule(DOCS / "_ext" / "tables.py")


#: Statuses of operations with several answers, of which the program provides none.
_OF_SERIES = {"CANCEL"}


def codes(statuses: set[str]) -> list[str]:
    """Write statuses as the documentation does."""
    return sorted(f"0x{Status[name]:04X}" for name in statuses)


class ReferenceTests(SynchronousTestCase):
    """docs/storescp.rst."""

    page = (DOCS / "storescp.rst").read_text()

    def test_synopsis(self) -> None:
        synopsis = f"twistd -n --pidfile= storescp {Options.synopsis}\n"
        self.assertEqual(blocks(DOCS / "storescp.rst", "text")[0], ("text", synopsis))

    def test_everyOptionIsDescribed(self) -> None:
        """The manual is made of the table; that each default is in its prose has to be looked at."""
        self.assertIn("\n.. storescp-options::\n", self.page)
        self.assertIn("\n.. code-table:: refused-options\n", self.page)
        described = dict(re.findall(r"^\.\. option:: (.+)\n\n((?:   .*\n|\n)+)", tables.optionReference(), re.M))
        self.assertEqual(list(described), [", ".join(option.syntax) for option in OPTIONS.values()])
        for option in OPTIONS.values():
            if option.takes and option.default not in (None, "."):
                text = described[", ".join(option.syntax)]
                self.assertRegex(text, rf"(, d|\bD)efault {re.escape(option.default)}[.,]", option.name)

    def test_everyFaultIsOne(self) -> None:
        """Each way to say when goes with each way to say what."""
        whens, whats = (
            [text for row in firstCells("storescp.rst", before) for text in row]
            for before in ("`WHEN` says which instances", "`WHAT` says what happens")
        )
        for when, what in product(whens, whats):
            parseFault(f"{when}:{what}")
        self.assertEqual(parseFault("all:abort"), ABORT_DURING)
        self.assertEqual(parseFault("all:abort-after"), ABORT_AFTER)

    def test_everyStatusIsListed(self) -> None:
        self.assertEqual(firstColumn("storescp.rst", "Status codes\n"), codes(namesUsed("Status") - _OF_SERIES))

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
        tables = ("\nWith :option:`--verbose`:", "\nAlways:", "There are these lines as well:")
        listed = [line for before in tables for line in firstColumn("storescp.rst", before)]
        # One message is a variable there, because it is used for each of many lines.
        listed.append("Association Summary ({stored} stored, {failed} failed, {bytes} bytes, {ended})")
        listed.remove("Line {number} of data dictionary {fileName!r} is left out: {reason}.")
        self.assertEqual(sorted(listed), sorted(logged))

    def test_summary(self) -> None:
        """What the summary of an association has is listed, and nothing else."""
        ended = re.findall(r'"([a-z]+)"(?:: |\] = )', (ROOT / "txdicom/storescp/log/summary.py").read_text())
        listed = firstColumn("storescp.rst", "Its `event` is `association`")
        self.assertEqual({*listed, "event"}, set(ended))


class MigrationTests(SynchronousTestCase):
    """docs/migration.rst; what it says of DCMTK's program is for `tests.interop.test_sidebyside`."""

    page = (DOCS / "migration.rst").read_text()

    def test_tables(self) -> None:
        for name in migration.TABLES:
            self.assertIn(f"\n.. code-table:: {name}\n", self.page)

    def test_everyRefusedOptionHasARow(self) -> None:
        self.assertLessEqual({option.name for option in REFUSED}, set(migration.DCMTK_OPTIONS))

    def test_everyVerdictIsExplained(self) -> None:
        explained = re.findall(r"^`(\w+)`\n    ", self.page, re.M)
        self.assertEqual({row[1] for row in migration.migration()[1]}, set(explained))

    def test_deviations(self) -> None:
        """Each is told as a sentence or more, and names options that there are."""
        for deviation in migration.DEVIATIONS.values():
            self.assertRegex(f"{deviation.differs}\n{deviation.why}", r"^[#A-Z].*\.\n(?:[A-Z].*\.)?$")
            named = re.findall(r"(?<!\w)--([a-z0-9-]+)", f"{deviation.differs} {deviation.why}")
            self.assertLessEqual({*deviation.options, *named}, set(OPTIONS))

    def test_unit(self) -> None:
        """What systemd is told to start is a command line that is accepted."""
        (command,) = re.findall(r"^ExecStart=(.*)$", (LISTINGS / "receiver.service").read_text(), re.M)
        given, ports = readArguments(shlex.split(command.partition(" storescp ")[2]))
        self.assertEqual(ports, ["104"])
        self.assertIn("output-directory", [each.option.name for each in given])


class ConformanceTests(SynchronousTestCase):
    """docs/conformance.rst."""

    def test_everythingHasAName(self) -> None:
        """No UID stands where its name should."""
        for name in ("sop-classes", "all-storage-sop-classes", "transfer-syntaxes", "all-transfer-syntaxes"):
            for row in tables.TABLES[name]()[1]:
                self.assertEqual(len([cell for cell in row if re.fullmatch(r"[0-9.]{6,}", cell)]), 1, row)

    def test_storageStatuses(self) -> None:
        listed = [row[0] for row in firstCells("conformance.rst", "What C-STORE is answered with:")]
        self.assertEqual(sorted(listed), codes(namesUsed("Status") - _OF_SERIES - {"UNRECOGNIZED_OPERATION"}))

    def test_retrievalStatuses(self) -> None:
        """All that the services of C-GET and C-MOVE answer by themselves, and the operation they are part of."""
        numbers = {int(status) for status in RetrieveStatus} | {int(Status.SUCCESS), int(Status.PROCESSING_FAILURE)}
        for name in ("services/retrieval", "services/suboperations", "services/collecting"):
            for node in ast.walk(parse(ROOT / "txdicom" / f"{name}.py")):
                if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "Status":
                    numbers.add(int(Status[node.attr]))
        listed = firstCells("conformance.rst", "4.4.6 SOP specific conformance: C-GET and C-MOVE")
        self.assertEqual(
            sorted(code for row in listed for code in row), sorted(f"0x{number:04X}" for number in numbers)
        )

    def test_queriedClasses(self) -> None:
        uids = [row[1] for row in tableAfter("conformance.rst", "4.4.1 SOP classes")]
        self.assertEqual(
            uids,
            [
                *(PATIENT_ROOT.find, PATIENT_ROOT.move, PATIENT_ROOT.get),
                *(STUDY_ROOT.find, STUDY_ROOT.move, STUDY_ROOT.get, MODALITY_WORKLIST),
            ],
        )

    def test_rejections(self) -> None:
        used = sorted("/".join(map(str, RejectReason[name].value)) for name in namesUsed("RejectReason"))
        self.assertEqual(firstColumn("conformance.rst", "Rejections (A-ASSOCIATE-RJ):"), used)

    def test_aborts(self) -> None:
        used = sorted("/".join(map(str, AbortReason[name].value)) for name in namesUsed("AbortReason"))
        self.assertEqual(firstColumn("conformance.rst", "Aborts (A-ABORT):"), used)

    def test_maximumPDULength(self) -> None:
        page = " ".join((DOCS / "conformance.rst").read_text().split())
        bounds = f"{SMALLEST_PDU} to {LARGEST_PDU} bytes or without limit"
        self.assertIn(f"configurable, {bounds}, and {Configuration().maximumPDULength} unless", page)
        self.assertIn(f"{Configuration().maximumAssociations} unless", page)


class ComparisonTests(SynchronousTestCase):
    """docs/comparison.rst has a table made of what was measured; its words, and README.md's, have to go with that."""

    def ratio(self, case: str, measure: str = "perSecond", other: str = "dcmtk +B") -> float:
        """Return what was published last: the median of what txdicom did beside another receiver."""
        spread = Results.read(DOCS / "benchmarks" / "peers.json").ratio("txdicom", other, case, measure)
        assert spread is not None
        return spread.median

    def test_readme(self) -> None:
        readme = " ".join((ROOT / "README.md").read_text().split())
        found = re.search(
            r"With 8 senders it takes ([\d.]+) times as many small instances \(5 KiB\).*"
            r" with 64 senders ([\d.]+) times, and with a single one ([\d.]+) times",
            readme,
        )
        assert found is not None
        for said, associations in zip(found.groups(), (8, 64, 1), strict=True):
            # Differences of less than 10 % are none.
            self.assertApproximates(float(said) / self.ratio(f"5 KiB x {associations}"), 1, 0.1)

    def test_whoIsQuicker(self) -> None:
        ratio = self.ratio
        for case in ("5 KiB x 1", "connect, C-ECHO, release x 1"):
            self.assertLess(ratio(case), 1)
            self.assertGreater(ratio(case, "memory"), 2.5)
        for case in ("5 KiB x 8", "5 KiB x 64", "512 KiB x 8", "connect, C-ECHO, release x 32"):
            for other in ("dcmtk", "dcmtk +B"):
                self.assertGreater(ratio(case, other=other), 1)

    def test_table(self) -> None:
        header, rows = loadModule(DOCS / "_ext" / "measured.py").receivers()
        self.assertEqual(header[1], "txdicom")
        self.assertIn("5 KiB x 1", [row[0] for row in rows])
        self.assertEqual([row for row in rows if len(row) != len(header) or not row[1]], [])
        self.assertIn("\n.. code-table:: receivers-measured\n", (DOCS / "comparison.rst").read_text())


class LimitsTests(SynchronousTestCase):
    """docs/limits.rst; that peers see what it says is for `tests.test_security_bounds`."""

    page = " ".join((DOCS / "limits.rst").read_text().split())

    def configured(self, *arguments: str) -> Configuration:
        """Return the configuration that a command line leads to."""
        options = Options()
        options.parseOptions(["--ignore", *arguments, "104"])
        return makeConfiguration(options)

    def values(self, before: str) -> list[int]:
        """Return the numbers that the rows of a table begin with."""
        return [int(cell) for cell in firstColumn("limits.rst", before)]

    def test_configuration(self) -> None:
        """All there is, with what it is by itself and in the program, and the option that changes it."""
        rows = tableAfter("limits.rst", "Of an association\n")
        names = {name for name in Configuration.__slots__ if not name.startswith("implementation")}
        self.assertEqual(sorted(row[0].strip("`") for row in rows), sorted(names))
        for name, option, default, *_ in rows:
            name = name.strip("`")
            self.assertEqual(default, f"`{getattr(Configuration(), name):.0f}`")
            self.assertEqual(getattr(self.configured(), name), getattr(Configuration(), name))
            if option != "none":
                self.assertEqual(getattr(self.configured(option.strip("`"), "5000"), name), 5000)
        self.assertEqual(self.configured("--socket-timeout", "0").sendTimeout, Configuration().sendTimeout)
        self.assertEqual(2 / _TICKS, 1 / 4)

    def test_fixed(self) -> None:
        self.assertEqual(
            self.values("Of what is proposed and sent\n"),
            [
                *(MAX_PRESENTATION_CONTEXTS, MAX_TRANSFER_SYNTAXES, MAX_USER_INFORMATION_ITEMS, MAX_UID_LENGTH),
                *(_MAXIMUM_UID_LENGTH, _MAXIMUM_HEAD, _MAXIMUM_NESTING),
            ],
        )

    def test_namesAndConversions(self) -> None:
        parameters = inspect.signature(HeadReader).parameters
        remembered = inspect.signature(sorting.StudyDirectories).parameters["remembered"].default
        self.assertEqual(
            self.values("Of names and conversions\n"),
            [
                *(_MAXIMUM_HEAD, parameters["maximumValueLength"].default),
                *(pathtemplate._MAXIMUM_VALUE, pathtemplate._MAXIMUM_PART, pathtemplate._MAXIMUM_PARTS),
                *(sorting._MAXIMUM_NAME, remembered, outputform._AT_ONCE, conversion._MAXIMUM_NESTING),
            ],
        )

    def test_store(self) -> None:
        rows = firstCells("limits.rst", "Of the store\n")
        defaults = {names.rpartition("`--")[2].partition(" ")[0]: default for names, default, _ in tables.options()[1]}
        for option, default, _ in rows:
            self.assertEqual(defaults[option.removeprefix("--")], f"`{default}`")
        (backlog,) = re.findall(r"backlog=(\d+)", (ROOT / "txdicom/storescp/assembly.py").read_text())
        threads = inspect.signature(Disk).parameters["threads"].default
        self.assertIn(f"have {_PATIENCE:.0f} second more", self.page)
        self.assertIn(f"at most {threads} threads", self.page)
        self.assertIn(f"room for {backlog} connections", self.page)
        bounds = Configuration()
        descriptors = bounds.maximumIdleConnections + 2 * bounds.maximumAssociations
        self.assertIn(f"less than {descriptors}, which is what the bounds", self.page)

    def test_retrieval(self) -> None:
        self.assertEqual(
            self.values("Of C-GET and C-MOVE\n"),
            [
                *(suboperations._MOST, suboperations._TELLING),
                *(suboperations._LONGEST_LIST, suboperations._LONGEST_REASON),
            ],
        )

    def test_log(self) -> None:
        self.assertEqual(
            self.values("Of the log and of data dictionaries\n"),
            [
                *(narration._DUMPED_LENGTH, narration._LONGEST_DUMP, narration._LONGEST_REASON),
                *(dictionary.MAX_FILE_SIZE, dictionary.MAX_LINE_LENGTH, dictionary.MAX_TAGS),
                *(dictionary.MAX_FILE_TAGS, dictionary.MAX_WARNINGS),
            ],
        )
        self.assertEqual(summary._LONGEST_REASON, narration._LONGEST_REASON)
        self.assertEqual(reader.LONGEST_FILE, tomlfile.LONGEST_FILE)
        self.assertIn(f"A configuration file may have {reader.LONGEST_FILE} bytes", self.page)
        self.assertIn(f"shows {dump._SHOWN_TEXT} to {4 * dump._SHOWN_TEXT}.", self.page)


class SecurityTests(SynchronousTestCase):
    """docs/security.rst."""

    page = (DOCS / "security.rst").read_text()

    def test_everyTestExists(self) -> None:
        named = set(re.findall(r"`(test_\w+\.py)::(\w+)\.(\w+)`", self.page))
        self.assertGreater(len(named), 20)
        self.assertEqual(len(named), len(set(re.findall(r"test_\w+\.py[^`]*`", self.page))))
        for name, className, test in sorted(named):
            classes = {node.name: node for node in parse(ROOT / "tests" / name).body if isinstance(node, ast.ClassDef)}
            methods = {node.name for node in classes[className].body if isinstance(node, ast.FunctionDef)}
            self.assertIn(test, methods, f"{name}::{className}")

    def test_everyFaultOfOthersHasATest(self) -> None:
        """Each is named once, in a row that names a test as well."""
        rows = tableAfter("security.rst", "What has gone wrong elsewhere\n")
        numbers = [number for row in rows for number in re.findall(r"CVE-\d{4}-\d{4,7}", row[0])]
        self.assertEqual(len(numbers), len(set(numbers)))
        self.assertGreater(len(numbers), 20)
        for row in rows:
            self.assertRegex(row[-1], r"`test_\w+\.py::")

    def test_everyPromiseHasATest(self) -> None:
        for title in ("What is promised\n", "What is promised of retrieval\n"):
            for row in tableAfter("security.rst", title):
                self.assertRegex(row[-1], r"`test_\w+\.py::")
