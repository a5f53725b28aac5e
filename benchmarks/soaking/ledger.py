"""
What was sent and what was answered, and so what has to be in the directory: `Ledger`.

Theory of operation. Every sending of an instance is an `Attempt`, and all that runs is one thread: an attempt is noted
as whole *before* its last byte is handed to the connection, so nothing can be in the directory rightly that is not
noted; and as acknowledged when the answer 0x0000 has been read. From these notes follows what a name has to hold:

- acknowledged: it is there, already when the answer is read, and holds one of the contents that were sent whole;
- of two contents of one UID, where the second was begun to be answered after the first was: the second;
- sent whole and not answered, because the connection ended first: nothing, or the whole content;
- never sent whole, or refused: nothing;
- names that the ledger does not have: nothing.

Files are checked at any time, also while their instance is being sent. One that nobody sends any more is removed when
it was found right, so the disk does not fill; its name goes to the record.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from benchmarks.soaking.contents import Contents, Instance
from benchmarks.soaking.fileformat import Damage, checkedDataSet

__all__ = ["TEMPORARY_PREFIX", "Attempt", "Fault", "Ledger", "temporaries"]

#: What names begin with that are not final.
TEMPORARY_PREFIX = ".txdicom"
#: How many faults are told one by one.
_TOLD = 40


class Fault(StrEnum):
    """The ways in which the promise can be broken."""

    LOST = "acknowledged and not there"
    HALF = "half objects"
    DAMAGED = "damaged objects"
    STRAY = "files that nobody sent"
    REFUSED = "good objects refused"
    ANSWER = "wrong answers"
    COST = "good associations broken, no kill"
    SLOW = "good peers kept waiting"
    CRASH = "the receiver ended unasked"
    DESCRIPTORS = "leaked descriptors"
    MEMORY = "memory grown beyond bounds"
    TEMPORARIES = "temporary files left"
    LOGGED = "failures in the log"


class _Entry:
    """
    What is known of one instance.

    :ivar attempts: how many are under way.
    :ivar whole: the variants sent whole, as bits.
    :ivar acknowledged: the variants acknowledged, likewise.
    :ivar stale: the variants that have been replaced by one sent later, likewise.
    :ivar unanswered: a variant was sent whole and not answered, so when it is stored, if it is, nobody knows.
    :ivar owed: acknowledged, and its file not yet seen.
    """

    __slots__ = ("acknowledged", "attempts", "instance", "owed", "stale", "unanswered", "whole")

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.attempts = 0
        self.whole = 0
        self.acknowledged = 0
        self.stale = 0
        self.unanswered = False
        self.owed = False


class Attempt:
    """One sending of an instance: a context manager, within which it is under way."""

    __slots__ = ("_answered", "_bit", "_entry", "_ledger", "_older", "_whole")

    def __init__(self, ledger: Ledger, entry: _Entry, variant: int) -> None:
        self._ledger = ledger
        self._entry = entry
        self._bit = 1 << variant
        self._older = 0
        self._whole = False
        self._answered = False

    def __enter__(self) -> Self:
        self._entry.attempts += 1
        self._ledger.counts["begun"] += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._entry.attempts -= 1
        if self._whole and not self._answered:
            self._entry.unanswered = True
            self._ledger.counts["unanswered"] += 1

    def whole(self) -> None:
        """The last byte is about to be sent."""
        self._whole = True
        entry = self._entry
        entry.whole |= self._bit
        entry.stale &= ~self._bit
        # What has been acknowledged by now will have been replaced when this one is.
        self._older = entry.acknowledged & ~self._bit
        self._ledger.counts["whole"] += 1

    def acknowledged(self) -> None:
        """The answer was 0x0000."""
        self._answered = True
        self._entry.acknowledged |= self._bit
        self._entry.stale |= self._older
        self._ledger.acknowledged(self._entry)

    def refused(self, status: int, expected: bool = False) -> None:
        """
        The answer was another one.

        :param expected: whether it had to be.
        """
        self._answered = True
        self._ledger.counts["refused"] += 1
        if not expected:
            self._ledger.fault(Fault.REFUSED, f"{self._entry.instance.fileName}: 0x{status:04X}")


class Ledger:
    """
    All that was sent in one run.

    :param directory: where the receiver stores.
    :param contents: what is sent.
    :param record: told of every file that is removed.
    :ivar counts: how often what has happened.
    :ivar faults: how often what has gone wrong.
    :ivar details: a line for each of the first faults.
    """

    def __init__(self, directory: Path, contents: Contents, record: TextIO) -> None:
        self._directory = str(directory)
        self._contents = contents
        self._record = record
        self._entries: dict[str, _Entry] = {}
        self._owed: set[str] = set()
        self._accused: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.faults: Counter[Fault] = Counter()
        self.details: list[str] = []

    def begin(self, instance: Instance, variant: int = 0) -> Attempt:
        """Note that an instance is going to be sent."""
        entry = self._entries.get(instance.fileName)
        if entry is None:
            entry = self._entries[instance.fileName] = _Entry(instance)
        return Attempt(self, entry, variant)

    def fault(self, fault: Fault, detail: str) -> None:
        """Note that something has gone wrong."""
        self.faults[fault] += 1
        if len(self.details) < _TOLD:
            self.details.append(f"{fault}: {detail}")

    def acknowledged(self, entry: _Entry) -> None:
        """An attempt was acknowledged: its file has to be there, now."""
        name = entry.instance.fileName
        self.counts["acknowledged"] += 1
        if name in self._accused:
            self.counts["faulty"] += 1
        elif not os.path.exists(self._path(name)):
            self._accuse(Fault.LOST, name, "not there when the answer came")
            self.counts["faulty"] += 1
        elif entry.owed:
            self.counts["replaced"] += 1
        else:
            entry.owed = True
            self._owed.add(name)

    def sweep(self) -> Iterator[None]:
        """Check all files there are, those first that have to be; pauses after each of them."""
        for name in list(self._owed):
            if not self._entries[name].attempts:
                self._check(name)
                yield
        for name in os.listdir(self._directory):
            if not name.startswith(TEMPORARY_PREFIX) and name not in self._accused:
                self._check(name)
                yield

    def conclude(self) -> None:
        """
        Check everything, when nothing is under way any more.

        :raises RuntimeError: something is, or the ledger does not add up: it is not to be trusted then.
        """
        if any(entry.attempts for entry in self._entries.values()):
            raise RuntimeError("instances are still under way")
        for _ in self.sweep():
            pass
        counts = self.counts
        if self._owed or counts["acknowledged"] != counts["verified"] + counts["replaced"] + counts["faulty"]:
            raise RuntimeError(f"the ledger does not add up: {counts}, {len(self._owed)} owed")

    def _path(self, name: str) -> str:
        return f"{self._directory}/{name}"

    def _check(self, name: str) -> None:
        entry = self._entries.get(name)
        if entry is None:
            self._accuse(Fault.STRAY, name, "nobody sent it, or it has been checked and removed before")
            return
        try:
            with open(self._path(name), "rb") as file:
                content = file.read()
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            fault, detail = Fault.LOST if missing else Fault.DAMAGED, str(error)
        else:
            judgement = self._judge(entry, content)
            if judgement is None:
                if not entry.attempts:
                    self._collect(name, entry, len(content))
                return
            fault, detail = judgement
        if entry.owed:
            entry.owed = False
            self._owed.discard(name)
            self.counts["faulty"] += 1
        self._accuse(fault, name, detail)

    def _judge(self, entry: _Entry, content: bytes) -> tuple[Fault, str] | None:
        """Say what is wrong with a file, if anything."""
        if not entry.whole:
            return Fault.HALF, f"{len(content)} bytes of what was never sent whole"
        sent = {
            variant: self._contents.dataSet(entry.instance, variant) for variant in (0, 1) if entry.whole & 1 << variant
        }
        try:
            stored = checkedDataSet(content, entry.instance)
        except Damage as error:
            shorter = len(content) < min(map(len, sent.values()))
            return Fault.HALF if shorter else Fault.DAMAGED, str(error)
        for variant, dataSet in sent.items():
            if stored == dataSet:
                stale = entry.stale & 1 << variant and not entry.unanswered
                return (Fault.DAMAGED, "the older of two contents") if stale else None
        if any(len(stored) < len(dataSet) and stored == dataSet[: len(stored)] for dataSet in sent.values()):
            return Fault.HALF, f"only the first {len(stored)} bytes of the data set"
        return Fault.DAMAGED, f"data set of {len(stored)} bytes is not one of what was sent"

    def _collect(self, name: str, entry: _Entry, length: int) -> None:
        """A file was found right, and nobody sends it any more: remove it."""
        if entry.owed:
            self.counts["verified"] += 1
            entry.owed = False
            self._owed.discard(name)
        else:
            self.counts["unacknowledged"] += 1
        self.counts["bytes"] += length
        self._record.write(f"{name} {length} bytes {'acknowledged' if entry.acknowledged else 'not acknowledged'}\n")
        os.unlink(self._path(name))
        if not entry.unanswered:
            # Whatever appears under this name from now on is nothing that was sent.
            del self._entries[name]

    def _accuse(self, fault: Fault, name: str, detail: str) -> None:
        """Note what is wrong with a file, once, and leave it where it is."""
        self._accused.add(name)
        self.fault(fault, f"{name}: {detail}")


def temporaries(directory: Path) -> set[str]:
    """List the files in the directory that have no final names: those in the hidden directory that each run has."""
    return {str(path.relative_to(directory)) for path in directory.glob(f"{TEMPORARY_PREFIX}*/*.part")}
