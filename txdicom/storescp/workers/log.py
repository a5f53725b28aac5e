"""
What a worker logs goes into its parent's log: `WorkerLog` writes it, line by line, and `LogRelay` reads it.

A line is a JSON list: level, who says it, when, the text, the fields that it has besides (see
`txdicom.storescp.log.jsonlines`), and the traceback if something failed. What else a worker's process writes, such as
Python's own complaints, is taken for a text that is an error.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent
from zope.interface import implementer

__all__ = ["LogRelay", "WorkerLog"]

#: Bytes of one line that are kept; a text of `txdicom.storescp.log.narration` may have a thousand lines of its own.
_LONGEST = 1 << 20


@implementer(ILogObserver)
class WorkerLog:
    """
    Writes events to a descriptor.

    :param descriptor: of a pipe to the parent.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __call__(self, event: LogEvent) -> None:
        """Write one event, whole; when there is no parent any more, there is no log either."""
        level = event.get("log_level") or LogLevel.info
        failure = event.get("log_failure")
        traceback = None if failure is None else failure.getTraceback()
        told = [level.name, _systemOf(event), event.get("log_time"), formatEvent(event), event.get("fields"), traceback]
        line = json.dumps(told, default=str).encode("ascii") + b"\n"
        with suppress(OSError):
            while line:
                line = line[os.write(self._descriptor, line) :]


class LogRelay:
    """
    Puts what a worker writes into a log.

    :param number: the worker's.
    :param publish: takes each event.
    """

    def __init__(self, number: int, publish: Callable[[LogEvent], None]) -> None:
        self._number = number
        self._publish = publish
        self._pending = b""

    def received(self, data: bytes) -> None:
        """Take what has been written."""
        *lines, self._pending = (self._pending + data).split(b"\n")
        if len(self._pending) > _LONGEST:
            lines.append(self._pending)
            self._pending = b""
        for line in lines:
            self._publish(self._eventOf(line))

    def ended(self) -> None:
        """Take a last line that was not finished."""
        if self._pending:
            self._publish(self._eventOf(self._pending))
            self._pending = b""

    def _eventOf(self, line: bytes) -> LogEvent:
        try:
            name, system, time, text, fields, traceback = json.loads(line)
            event = self._event(LogLevel.levelWithName(name), f"{system} worker {self._number}", text)
            event["fields"].update(fields or {})
        except Exception:
            # Whatever is not one of our lines is told as it is.
            text = line.decode("utf-8", "replace")
            return self._event(LogLevel.error, f"storescp#error worker {self._number}", text)
        if time is not None:
            event["log_time"] = time
        if traceback is not None:
            event["log_failure"] = _ToldFailure(traceback)
        return event

    def _event(self, level: Any, system: str, text: str) -> LogEvent:
        return {
            "log_level": level,
            "log_namespace": "storescp",
            "log_system": system,
            "log_format": "{text}",
            "text": text,
            "fields": {"worker": self._number},
        }


class _ToldFailure:
    """What is left of a failure in another process, for those who log failures."""

    def __init__(self, traceback: str) -> None:
        self._traceback = traceback

    def getTraceback(self) -> str:
        """Return how it came about."""
        return self._traceback


def _systemOf(event: LogEvent) -> str:
    """Say who has logged an event, as Twisted's logs do."""
    level = event.get("log_level") or LogLevel.info
    return str(event.get("log_system") or f"{event.get('log_namespace', '-')}#{level.name}")
