"""Tests of `txdicom.storescp.workers.log`: how a worker's events come into its parent's log."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import json
import os
from io import StringIO

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LogEvent, Logger, LogLevel, eventAsText
from twisted.trial.unittest import SynchronousTestCase

from txdicom.storescp.log.jsonlines import JSONLines
from txdicom.storescp.workers import log as module
from txdicom.storescp.workers.log import LogRelay, WorkerLog


class LogTests(SynchronousTestCase):
    """From a worker's logger to the parent's."""

    def setUp(self) -> None:
        """Make a pipe."""
        self.reading, writing = os.pipe()
        self.addCleanup(os.close, self.reading)
        self.writing = os.fdopen(writing, "wb")
        self.addCleanup(self.writing.close)
        self.log = Logger("storescp", observer=WorkerLog(self.writing.fileno()))
        self.published: list[LogEvent] = []
        self.relay = LogRelay(3, self.published.append)

    def texts(self) -> list[str]:
        """Relay what has been written, and return the parent's lines, without their times."""
        self.relay.received(os.read(self.reading, 65536))
        return [eventAsText(event, includeTimestamp=False) for event in self.published]

    def test_lines(self) -> None:
        """Level and text stay what they are; the worker's number is told."""
        self.log.info("Sent {what}", what="C-ECHO-RSP {}\n    ...")
        self.log.error("Grün")
        self.assertEqual(
            self.texts(),
            ["[storescp#info worker 3] Sent C-ECHO-RSP {}\n    ...", "[storescp#error worker 3] Grün"],
        )
        self.assertEqual([event["log_level"] for event in self.published], [LogLevel.info, LogLevel.error])

    def test_time(self) -> None:
        """An event has the time when it happened."""
        WorkerLog(self.writing.fileno())({"log_time": 5.5, "log_format": "x", "log_level": LogLevel.info})
        self.texts()
        self.assertEqual(self.published[0]["log_time"], 5.5)

    def test_failures(self) -> None:
        """Tracebacks come along."""
        try:
            raise ValueError("why")
        except ValueError:
            self.log.failure("It failed")
        (text,) = self.texts()
        self.assertIn("It failed", text)
        self.assertIn("Traceback (most recent call last):", text)
        self.assertIn("ValueError: why", text)

    def test_json(self) -> None:
        """A line of JSON has the fields that it would have in one process, the traceback, and the worker's number."""
        output = StringIO()
        observer = JSONLines(output)
        self.log.info("text", log_system="storescp,3", fields={"association": 3, "peer": b"x"})
        try:
            raise ValueError("why")
        except ValueError:
            self.log.failure("It failed")
        self.texts()
        for event in self.published:
            observer(event)
        line, failed = map(json.loads, output.getvalue().splitlines())
        self.assertEqual(list(line), ["time", "level", "system", "worker", "association", "peer", "message"])
        self.assertEqual((line["system"], line["worker"], line["association"]), ("storescp,3 worker 3", 3, 3))
        self.assertEqual((failed["level"], failed["message"]), ("critical", "It failed"))
        self.assertIn("ValueError: why", failed["traceback"])

    def test_strayOutput(self) -> None:
        """What is no event of ours is told as an error."""
        for line in (b"Fatal Python error: x", b'["info", 1]', b'["loud", "a", 1, "b"]', b"\xff{", b"[" * 100000):
            self.published.clear()
            self.relay.received(line + b"\n")
            (event,) = self.published
            self.assertEqual(event["text"], line.decode("utf-8", "replace"))
            self.assertEqual((event["log_level"], event["log_system"]), (LogLevel.error, "storescp#error worker 3"))

    def test_unfinished(self) -> None:
        """A last line counts without its end; one that does not end is not kept for ever."""
        self.relay.received(b"half")
        self.assertEqual(self.published, [])
        self.relay.ended()
        self.relay.ended()
        self.assertEqual([event["text"] for event in self.published], ["half"])
        self.patch(module, "_LONGEST", 10)
        self.relay.received(b"x" * 11)
        self.assertEqual([event["text"] for event in self.published[1:]], ["x" * 11])

    @given(st.lists(st.text()), st.integers(1, 50))
    def test_pieces(self, texts: list[str], size: int) -> None:
        """However a pipe cuts what is written, the events are the same."""
        published: list[LogEvent] = []
        relay = LogRelay(1, published.append)
        with open(os.devnull, "wb") as null:
            self.patch(os, "write", lambda descriptor, data: written.append(data[:size]) or len(data[:size]))
            written: list[bytes] = []
            log = Logger("storescp", observer=WorkerLog(null.fileno()))
            for text in texts:
                log.info("{text}", text=text)
        for piece in written:
            relay.received(piece)
        self.assertEqual([event["text"] for event in published], texts)

    def test_noParent(self) -> None:
        """A worker that has lost its parent goes on without a log."""
        os.close(self.reading)
        self.reading = os.open(os.devnull, os.O_RDONLY)
        self.log.info("nobody reads this")
