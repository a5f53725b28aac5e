"""
When a study has ended: `Studies`.

Theory of operation. A study is open from its first instance until nothing of it has come for a while, on whatever
association, nothing of it is still coming, and all that came has been told to the plugins. So whoever hears of its end
has heard of all its instances, and a long transfer or a slow command does not end it before its time. What is
remembered has a bound: when more comes, the study that has been quiet for the longest time ends early.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from txdicom.storescp.hooks.events import InstanceStored, StudyEnded

__all__ = ["MOST_OBJECTS", "Kept", "Studies"]

#: How many instances are remembered, of all open studies together.
MOST_OBJECTS = 100000


@dataclass(frozen=True, slots=True)
class Kept:
    """What is remembered of one instance."""

    sopClassUID: str
    size: int


@dataclass(slots=True)
class _Study:
    #: The instances by path, or by UID where there are no files.
    instances: dict[str, Kept] = field(default_factory=dict)
    series: set[str] = field(default_factory=set)
    last: InstanceStored | None = None
    #: How many are coming, or have come and are being told.
    underWay: int = 0
    timer: IDelayedCall | None = None
    isDue: bool = False


class Studies:
    """
    Follows the studies that are being received.

    Each instance is told by `began`, then either by `gone`, or by `stored` and later `told`. One that belongs to no
    study, its UID being empty, is left out.

    :param timeout: how many seconds without an instance end a study.
    :param ended: called with the event, and what was kept by path or, without files, by UID.
    """

    def __init__(
        self,
        clock: IReactorTime,
        timeout: float,
        ended: Callable[[StudyEnded, dict[str, Kept]], None],
        mostObjects: int = MOST_OBJECTS,
    ) -> None:
        self._clock = clock
        self._timeout = timeout
        self._ended = ended
        self._mostObjects = mostObjects
        self._objects = 0
        # The one that has been quiet for the longest time is the first.
        self._open: dict[str, _Study] = {}

    def began(self, uid: str) -> None:
        """An instance of this study is coming."""
        if uid:
            self._open.setdefault(uid, _Study()).underWay += 1

    def gone(self, uid: str) -> None:
        """An instance that was coming has not been stored after all."""
        self._finished(uid)

    def stored(self, event: InstanceStored) -> None:
        """An instance that was coming has been stored."""
        uid = event.studyInstanceUID
        if not uid:
            return
        study = self._open.pop(uid, None) or _Study(underWay=1)
        self._open[uid] = study
        self._objects -= len(study.instances)
        study.instances[event.path or event.instance.sopInstanceUID] = Kept(event.instance.sopClassUID, event.size)
        self._objects += len(study.instances)
        if event.seriesInstanceUID:
            study.series.add(event.seriesInstanceUID)
        study.last = event
        study.isDue = False
        if study.timer is not None and study.timer.active():
            study.timer.reset(self._timeout)
        else:
            study.timer = self._clock.callLater(self._timeout, self._due, uid, study)
        if self._objects > self._mostObjects:
            self._end(next(uid for uid, study in self._open.items() if study.last is not None))

    def told(self, event: InstanceStored) -> None:
        """Everybody has heard of an instance that was stored."""
        self._finished(event.studyInstanceUID)

    def endAll(self) -> None:
        """End all studies now, whatever is still coming."""
        for uid in list(self._open):
            self._end(uid)

    def _due(self, uid: str, study: _Study) -> None:
        study.isDue = True
        if not study.underWay:
            self._end(uid)

    def _finished(self, uid: str) -> None:
        study = self._open.get(uid)
        if study is None or not study.underWay:
            # It has ended early.
            return
        study.underWay -= 1
        if not study.underWay and (study.isDue or study.last is None):
            self._end(uid)

    def _end(self, uid: str) -> None:
        study = self._open.pop(uid)
        self._objects -= len(study.instances)
        if study.timer is not None and study.timer.active():
            study.timer.cancel()
        last = study.last
        if last is None:
            return
        self._ended(
            StudyEnded(
                studyInstanceUID=uid,
                directory=last.directory,
                files=() if last.path is None else tuple(study.instances),
                objects=len(study.instances),
                size=sum(kept.size for kept in study.instances.values()),
                series=len(study.series),
                callingAETitle=last.callingAETitle,
                calledAETitle=last.calledAETitle,
                peer=last.peer,
            ),
            study.instances,
        )
