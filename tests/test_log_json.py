"""Tests of `txdicom.storescp.log.jsonlines`: the log as JSON."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import json
from io import StringIO
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import ILogObserver, Logger, LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from txdicom.storescp.log.jsonlines import JSONLines


class JSONLinesTests(SynchronousTestCase):
    """`JSONLines`."""

    def setUp(self) -> None:
        self.output = StringIO()
        self.observer = JSONLines(self.output)
        self.log = Logger("storescp", observer=self.observer)

    def lines(self) -> list[dict[str, Any]]:
        """Return what has been written."""
        return [json.loads(line) for line in self.output.getvalue().splitlines()]

    def test_interface(self) -> None:
        verifyObject(ILogObserver, self.observer)

    def test_line(self) -> None:
        """When, how bad, who, what."""
        self.observer(
            {
                "log_time": 1e9 + 0.5,
                "log_level": LogLevel.warn,
                "log_namespace": "storescp",
                "log_format": "{a} is {b!r}",
                "a": "x",
                "b": "y",
            }
        )
        self.assertEqual(
            self.output.getvalue(),
            '{"time": "2001-09-09T01:46:40.500000Z", "level": "warn", "system": "storescp", "message": "x is \'y\'"}\n',
        )

    def test_fields(self) -> None:
        """What an event has as fields stands beside them, and who it is about in the place of the namespace."""
        self.log.info("text", log_system="storescp,3", fields={"association": 3, "peer": "p"})
        (line,) = self.lines()
        self.assertEqual(list(line), ["time", "level", "system", "association", "peer", "message"])
        self.assertEqual((line["system"], line["association"], line["message"]), ("storescp,3", 3, "text"))

    def test_failure(self) -> None:
        """A failure has its traceback, in the same line."""
        try:
            raise ValueError("what\nnow")
        except ValueError:
            self.log.failure("it broke", Failure())
        (line,) = self.lines()
        self.assertEqual((line["level"], line["message"]), ("critical", "it broke"))
        self.assertIn("ValueError: what\nnow", line["traceback"])

    def test_legacyEvents(self) -> None:
        """Events of Twisted's older log have no level and no format of their own."""
        self.observer({"log_time": 0.0, "log_format": "{log_text}", "log_text": "old", "log_system": "-"})
        self.observer({})
        self.assertEqual([(line["level"], line["message"]) for line in self.lines()], [("info", "old"), ("info", "")])

    def test_cannotBeFormatted(self) -> None:
        """An event that cannot be formatted is told as such, and the log goes on."""
        self.log.info("{missing}")
        self.log.info("next")
        broken, following = self.lines()
        self.assertIn("missing", broken["message"])
        self.assertEqual(following["message"], "next")

    @given(st.text())
    def test_anyText(self, text: str) -> None:
        """Whatever the text is, it is in one line of ASCII, and comes back."""
        self.setUp()
        self.log.info("{text}", text=text)
        written = self.output.getvalue()
        self.assertTrue(written.isascii())
        self.assertEqual((written.count("\n"), written[-1]), (1, "\n"))
        self.assertEqual(json.loads(written)["message"], text)
