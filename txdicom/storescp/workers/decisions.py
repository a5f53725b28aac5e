"""What the parent decides for all workers: `Decisions`; a worker asks for it by `txdicom.storescp.workers.share`."""

from __future__ import annotations

from collections.abc import Iterable

from txdicom.interfaces import IAnnouncer
from txdicom.storage.sorting import StudyDirectories
from txdicom.storescp.faults.plan import FaultPlan
from txdicom.storescp.workers.announcing import AnnouncerDesk
from txdicom.storescp.workers.channel import Answer, Answers, ParentEnd
from txdicom.storescp.workers.directories import DirectoryDesk

__all__ = ["Decisions", "answersOf", "subjectFor"]


def subjectFor(subject: str, title: str) -> str:
    """Say what a question is about that is asked for an AE title of a configuration file; empty for all others."""
    return f"{subject} {title}" if title else subject


class Decisions:
    """
    What is decided for one AE title, or for all that are not named.

    :param title: empty for the latter.
    :param announcer: None if nobody wants to hear of what is stored, or another title's is told.
    :param directories: None if they are not called by time.
    """

    def __init__(
        self, title: str, faults: FaultPlan, announcer: IAnnouncer | None, directories: StudyDirectories | None
    ) -> None:
        self._title = title
        self._faults = faults
        self._announcer = announcer
        self._directories = None if directories is None else DirectoryDesk(directories, subjectFor("forget", title))

    def answers(self, worker: ParentEnd) -> dict[str, Answer]:
        """Say who answers a worker's questions, by their subject."""
        answers: dict[str, Answer] = {"fault": self._faults.draw}
        if self._announcer is not None:
            answers.update(AnnouncerDesk(self._announcer, worker).answers)
        if self._directories is not None:
            self._directories.serve(worker)
            answers["directory"] = self._directories.find
        return {subjectFor(subject, self._title): answer for subject, answer in answers.items()}


def answersOf(decisions: Iterable[Decisions]) -> Answers:
    """Put all that is decided together."""
    decisions = tuple(decisions)

    def answers(worker: ParentEnd) -> dict[str, Answer]:
        found: dict[str, Answer] = {}
        for each in decisions:
            found.update(each.answers(worker))
        return found

    return answers
