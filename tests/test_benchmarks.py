"""Tests for `benchmarks`: what is sent and compared, what is computed of results, the page and its pictures."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pydicom import dcmread
from twisted.trial.unittest import SynchronousTestCase

from benchmarks import plots, report
from benchmarks.experiments import EXPERIMENTS, MICRO
from benchmarks.objects import KINDS, Batch
from benchmarks.results import MEASURES, Results, ResultsError, Row, Spread
from benchmarks.rounds import resume
from tests.documents import DOCS
from txdicom.uids import STORAGE_SOP_CLASSES

PUBLISHED = DOCS / "benchmarks"
SMALL = KINDS["5 KiB"]


def results(*rows: Row, experiment: str = "peers") -> Results:
    """Make results of these rows."""
    versions = {row.server: f"{row.server} 1.0" for row in rows}
    return Results(
        experiment, "2026-01-01 00:00", {"cpu": "A"}, {"seconds": 1.0}, versions, {"orthanc": "none"}, [*rows]
    )


def row(number: int, server: str, value: float, case: str = "5 KiB x 1", wrong: str = "") -> Row:
    """Make a row of requests per second."""
    return Row(number, server, case, {"perSecond": value}, wrong=wrong)


class ObjectsTests(SynchronousTestCase):
    """What is sent, and how it is found again."""

    def setUp(self) -> None:
        self.batch = Batch(SMALL, 7)
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.batch.write(self.directory, 3)

    def test_areReadByOthers(self) -> None:
        for number in range(3):
            dataset = dcmread(self.directory / f"{number:06d}.dcm")
            self.assertEqual(dataset.SOPInstanceUID, self.batch.uid(number))
            self.assertEqual(dataset.file_meta.MediaStorageSOPInstanceUID, self.batch.uid(number))
            self.assertEqual(len(dataset.PixelData), 2 * dataset.Rows * dataset.Columns)
        self.assertEqual(sum(map(len, self.batch.dataSet(0))), self.batch.length)

    def test_areOfClassesThatAreAccepted(self) -> None:
        for kind in KINDS.values():
            self.assertIn(kind.sopClassUID, STORAGE_SOP_CLASSES)

    def test_differ(self) -> None:
        first, second = (b"".join(self.batch.dataSet(number)) for number in (0, 1))
        self.assertEqual(len(first), len(second))
        self.assertNotEqual(first[-SMALL.pixelLength :], second[-SMALL.pixelLength :])
        self.assertNotEqual(self.batch.uid(0), Batch(SMALL, 8).uid(0))

    def test_allThere(self) -> None:
        self.assertEqual(self.batch.faultsIn(self.directory, 3), "")

    def test_othersDoNotCount(self) -> None:
        (self.directory / "index.db").write_bytes(b"SQLite")
        Batch(SMALL, 8).write(self.directory, 1)  # takes the place of object 0
        self.assertEqual(self.batch.faultsIn(self.directory, 2, first=1), "")

    def test_oneIsMissing(self) -> None:
        self.assertEqual(self.batch.faultsIn(self.directory, 4), "1 of 4 objects are not there")

    def test_oneIsTooMuch(self) -> None:
        self.assertIn("is none of the objects", self.batch.faultsIn(self.directory, 2))

    def test_oneIsThereTwice(self) -> None:
        (self.directory / "copy").write_bytes((self.directory / "000001.dcm").read_bytes())
        self.assertIn("is none of the objects", self.batch.faultsIn(self.directory, 3))

    def test_notWhole(self) -> None:
        path = self.directory / "000002.dcm"
        content = path.read_bytes()
        for damaged in (content[:-1], content + b"\0", content[:-9] + b"x" + content[-8:], content[:400]):
            path.write_bytes(damaged)
            self.assertIn("000002.dcm is ", self.batch.faultsIn(self.directory, 3))


class ResultsTests(SynchronousTestCase):
    """What is computed of rows, and the file."""

    def test_spread(self) -> None:
        self.assertEqual(Spread.of([3.0, 1.0, 2.0]), Spread(1.0, 2.0, 3.0))
        self.assertIsNone(results().spread("a", "5 KiB x 1", "perSecond"))

    def test_ratiosAreWithinARound(self) -> None:
        """A machine that is half as fast in one round does not change them."""
        measured = results(row(0, "a", 10), row(0, "b", 5), row(1, "a", 20), row(1, "b", 10), row(2, "a", 7))
        self.assertEqual(measured.ratio("a", "b", "5 KiB x 1", "perSecond"), Spread(2.0, 2.0, 2.0))
        self.assertIsNone(measured.ratio("a", "c", "5 KiB x 1", "perSecond"))

    def test_whatWentWrongDoesNotCount(self) -> None:
        measured = results(row(0, "a", 10), row(1, "a", 1000, wrong="lost"))
        self.assertEqual(measured.spread("a", "5 KiB x 1", "perSecond"), Spread(10, 10, 10))
        self.assertEqual(measured.wrong("a", "5 KiB x 1"), "lost")
        self.assertEqual(measured.rounds, 2)

    def test_thereAndBack(self) -> None:
        path = Path(self.mktemp())
        measured = results(row(0, "a", 10.5), row(1, "b", 3, wrong="lost"))
        measured.write(path)
        self.assertEqual(Results.read(path), measured)

    def test_notAFileOfResults(self) -> None:
        path = Path(self.mktemp())
        measured = results(row(0, "a", 1))
        measured.write(path)
        good = json.loads(path.read_text())
        for text in ("", "[]", "{}", json.dumps({**good, "schema": 2}), json.dumps({**good, "rows": [{"round": 1}]})):
            path.write_text(text)
            self.assertRaises(ResultsError, Results.read, path)

    def test_roundsAreAddedToTheirLikeOnly(self) -> None:
        path = Path(self.mktemp())
        there, now = results(row(0, "a", 1)), results()
        now.versions = there.versions
        self.assertIs(resume(now, path), now)
        there.write(path)
        self.assertEqual(resume(now, path), there)
        for other in (replace(now, machine={}), replace(now, versions={}), replace(now, options={"seconds": 2})):
            self.assertRaises(ResultsError, resume, other, path)


class PlotsTests(SynchronousTestCase):
    """Pictures."""

    def parsed(self, svg: str) -> ElementTree.Element:
        return ElementTree.fromstring(svg)

    def elements(self, svg: str, name: str) -> Iterator[ElementTree.Element]:
        return self.parsed(svg).iter(f"{{http://www.w3.org/2000/svg}}{name}")

    def test_bars(self) -> None:
        svg = plots.bars(
            "A & B", {"one": {"x": Spread(1, 2, 4), "<y>": Spread(1, 1, 1)}, "two": {"x": Spread(2, 3, 4)}}
        )
        texts = [element.text for element in self.elements(svg, "text")]
        self.assertEqual(texts, ["A & B", "one", "x", "2.00", "<y>", "1.00", "two", "x", "3.00"])
        boxes = [(float(b.get("width", "")), b.get("fill")) for b in self.elements(svg, "rect")][1:]
        self.assertEqual([width / boxes[1][0] for width, _ in boxes], [2, 1, 3])
        self.assertEqual(boxes[0][1], boxes[2][1])
        self.assertNotEqual(boxes[0][1], boxes[1][1])

    def test_lines(self) -> None:
        line = [(x, Spread(y / 2, y, 2 * y)) for x, y in ((1.0, 10.0), (8.0, 20.0), (64.0, 15.0))]
        svg = plots.lines("T", "Associations", {"a": line, "b": line[:1]})
        (curve, point) = (element.get("points", "") for element in self.elements(svg, "polyline"))
        places = [tuple(map(float, pair.split(","))) for pair in curve.split()]
        self.assertEqual(point, curve.split()[0])
        self.assertAlmostEqual(places[1][0] - places[0][0], places[2][0] - places[1][0], delta=0.2)
        self.assertLess(places[1][1], places[2][1])
        self.assertLess(places[2][1], places[0][1])

    def test_wholeNumbersBelowTheAxis(self) -> None:
        line = [(x, Spread(1, 1, 1)) for x in (1.0, 5120.0, float(1 << 30))]
        for axis, expected in (("Bytes", ["1", "5 KiB", "1 GiB"]), ("Objects", ["1", "5,120", "1,073,741,824"])):
            texts = [element.text for element in self.elements(plots.lines("T", axis, {"a": line}), "text")]
            self.assertEqual([text for text in texts if text in expected], expected)

    def test_linesOfVeryDifferentValues(self) -> None:
        svg = plots.lines("T", "Bytes", {"a": [(float(10**n), Spread(10**n, 10**n, 10**n)) for n in range(1, 5)]})
        curve = next(self.elements(svg, "polyline")).get("points", "")
        xs, ys = zip(*(map(float, pair.split(",")) for pair in curve.split()), strict=True)
        self.assertAlmostEqual(ys[0] - ys[1], ys[2] - ys[3], delta=0.2)
        self.assertAlmostEqual(xs[1] - xs[0], xs[3] - xs[2], delta=0.2)

    def test_nothing(self) -> None:
        self.parsed(plots.bars("T", {}))
        self.parsed(plots.bars("T", {"one": {"a": Spread(0, 0, 0)}}))
        self.parsed(plots.lines("T", "x", {}))

    def test_number(self) -> None:
        written = [plots.number(value) for value in (0, 0.001234, 1.5, 12.34, 123.4, 1234567.8)]
        self.assertEqual(written, ["0", "0.00123", "1.50", "12.3", "123", "1,234,568"])


class ReportTests(SynchronousTestCase):
    """The page and its pictures."""

    def made(self, measured: Results) -> dict[str, str]:
        directory = Path(self.mktemp())
        directory.mkdir()
        measured.write(directory / "any.json")
        return report.files(directory)

    def test_everyExperimentCanBeShown(self) -> None:
        for experiment in (*EXPERIMENTS.values(), MICRO):
            figures = dict.fromkeys(experiment.shown, 2.5)
            self.assertLessEqual(set(figures), set(MEASURES))
            rows = [Row(0, server, "case", figures, x=3) for server in experiment.servers]
            made = self.made(results(*rows, experiment=experiment.name))
            self.assertEqual(sorted(made), sorted([report.PAGE, f"{experiment.name}.svg"]))
            ElementTree.fromstring(made[f"{experiment.name}.svg"])
            for text in (experiment.question, f"{experiment.name}.svg", *(MEASURES[m].label for m in figures)):
                self.assertIn(text, made[report.PAGE])

    def test_tellsWhatWasMeasuredAndHow(self) -> None:
        measured = results(row(0, "txdicom", 1500), row(1, "txdicom", 1000), row(0, "dcmtk +B", 500))
        page = self.made(measured)[report.PAGE]
        for text in (
            "1,250 (1,000 to 1,500)",
            "(1,000 to 1,500), **3.00**\n",
            "Measured 2026-01-01 00:00 UTC, 2 rounds.",
            "- cpu: ``A``",
            "- seconds a load, about: ``1.0``",
            "- txdicom: ``txdicom 1.0``",
            "- orthanc: ``not measured: none``",
        ):
            self.assertIn(text, page)

    def test_whatWentWrongIsSaid(self) -> None:
        measured = results(row(0, "txdicom", 1500), row(0, "dcmtk +B", 1, wrong="2 objects are not there"))
        self.assertIn("``2 objects are not there``", self.made(measured)[report.PAGE])
        self.assertIn("WRONG: dcmtk +B, 5 KiB x 1: 2 objects are not there", report.summary(measured))

    def test_summary(self) -> None:
        told = report.summary(results(row(0, "txdicom", 1500), row(0, "dcmtk +B", 500)))
        self.assertIn("  5 KiB x 1: txdicom: perSecond 1,500 (3.00 of dcmtk +B)\n", told)

    def test_publishedPageIsWhatTheResultsSay(self) -> None:
        """`python -m benchmarks page docs/benchmarks` makes it."""
        made = report.files(PUBLISHED)
        self.assertGreater(len(made), 1)
        for name, text in made.items():
            self.assertEqual((PUBLISHED / name).read_text(), text, name)
        self.assertEqual(
            sorted(path.name for path in PUBLISHED.iterdir()),
            sorted([*made, *(path.name for path in PUBLISHED.glob("*.json"))]),
        )

    def test_everythingIsDescribed(self) -> None:
        page = (DOCS / "benchmarks.rst").read_text()
        for name in (*EXPERIMENTS, *MEASURES):
            self.assertIn(f"`{name}`", page)
        for fieldName in (*Results.__dataclass_fields__, *Row.__dataclass_fields__):
            self.assertIn(f"`{fieldName}`", page)
