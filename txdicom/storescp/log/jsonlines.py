"""The log as JSON, an object on each line: `JSONLines`, for ``--log-json``."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Protocol

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent
from zope.interface import implementer

__all__ = ["JSONLines", "Output"]


class Output(Protocol):
    """Where lines go: a text file, or a `twisted.python.logfile.LogFile`."""

    def write(self, data: str, /) -> Any:
        """Write some text."""

    def flush(self) -> Any:
        """Have it written to the end."""


@implementer(ILogObserver)
class JSONLines:
    """
    Writes each event as a JSON object on a line of its own, in ASCII.

    `time` (UTC), `level`, `system` and `message` are in each, `traceback` where something failed; the `fields` of an
    event, if it has some, stand beside them. What else an event has is in its message, or is Python's own. (Twisted's
    `jsonFileLogObserver` writes all of that, which only Twisted can read.)
    """

    def __init__(self, output: Output) -> None:
        self._output = output

    def __call__(self, event: LogEvent) -> None:
        """Write one event."""
        level = event.get("log_level", LogLevel.info).name
        line = {
            "time": _time(event.get("log_time", 0.0)),
            "level": level,
            "system": str(event.get("log_system") or event.get("log_namespace", "-")),
            **event.get("fields", {}),
            "message": formatEvent(event),
        }
        if "log_failure" in event:
            line["traceback"] = event["log_failure"].getTraceback()
        self._output.write(json.dumps(line) + "\n")
        self._output.flush()


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
