"""What a fault is, and which objects it happens to: `Fault` and `FaultPlan`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random

from txdicom.dimse.status import StatusCategory, category

__all__ = [
    "ABORT_AFTER",
    "ABORT_DURING",
    "Answer",
    "ByNumber",
    "ByRate",
    "ByUID",
    "Delay",
    "Ending",
    "Fault",
    "FaultPlan",
    "longestDelay",
]

_LONGEST_DELAY = 86400.0
_UID = re.compile("[0-9.]{1,64}")


@dataclass(frozen=True, slots=True)
class ByNumber:
    """
    Applies to the objects of a range; to every one by default.

    :ivar first: the number of the first one, from 1.
    :ivar last: the number of the last one; None for no end.
    :raises ValueError: there is no such range.
    """

    first: int = 1
    last: int | None = None

    def __post_init__(self) -> None:
        if self.first < 1 or (self.last is not None and self.last < self.first):
            raise ValueError("objects are counted from 1, and a range goes upwards")

    def __str__(self) -> str:
        if self.last is None:
            return "all" if self.first == 1 else f"n={self.first}-"
        return f"n={self.first}" if self.last == self.first else f"n={self.first}-{self.last}"

    def applies(self, number: int, uid: str, randoms: Mapping[int, Random]) -> bool:
        """Tell whether it applies to this object."""
        return number >= self.first and (self.last is None or number <= self.last)


@dataclass(frozen=True, slots=True)
class ByUID:
    """
    Applies to the objects with one SOP Instance UID.

    :ivar uid: the UID, or how it begins.
    :ivar isPrefix: whether `uid` is only how it begins.
    :raises ValueError: no UID is or begins like that.
    """

    uid: str
    isPrefix: bool = False

    def __post_init__(self) -> None:
        if not _UID.fullmatch(self.uid):
            raise ValueError("a UID has 1 to 64 digits and dots")

    def __str__(self) -> str:
        return f"uid={self.uid}{'*' * self.isPrefix}"

    def applies(self, number: int, uid: str, randoms: Mapping[int, Random]) -> bool:
        """Tell whether it applies to this object."""
        return uid.startswith(self.uid) if self.isPrefix else uid == self.uid


@dataclass(frozen=True, slots=True)
class ByRate:
    """
    Applies to a share of all objects, drawn at random.

    :ivar rate: the share, above 0 and up to 1.
    :ivar seed: of the random numbers, which are the same in every run; faults with the same seed take turns with them.
    :raises ValueError: the share is not one, or the seed is negative.
    """

    rate: float
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1 or self.seed < 0:
            raise ValueError("a rate is above 0 and at most 1, and its seed is not negative")

    def __str__(self) -> str:
        return f"rate={self.rate!r}" + (f"/{self.seed}" if self.seed else "")

    def applies(self, number: int, uid: str, randoms: Mapping[int, Random]) -> bool:
        """Tell whether it applies to this object; has to be called once for every object."""
        return randoms[self.seed].random() < self.rate


@dataclass(frozen=True, slots=True)
class Answer:
    """
    The object is answered with a status: kept if that is a warning, else drained and not kept.

    :ivar status: a failure or a warning, 0x0001 to 0xFFFF.
    :raises ValueError: it is none of these.
    """

    status: int

    def __post_init__(self) -> None:
        if not 0 < self.status <= 0xFFFF or category(self.status) not in (
            StatusCategory.FAILURE,
            StatusCategory.WARNING,
        ):
            raise ValueError("a status is a failure or a warning, 0x0001 to 0xFFFF, but not 0xFE00, 0xFF00 or 0xFF01")

    def __str__(self) -> str:
        return f"status=0x{self.status:04X}"


@dataclass(frozen=True, slots=True)
class Delay:
    """
    The object is kept and answered later than it could be; only its association waits.

    :ivar seconds: how much later, 0 to 86400.
    :raises ValueError: that is not what it is.
    """

    seconds: float

    def __post_init__(self) -> None:
        if not 0 <= self.seconds <= _LONGEST_DELAY:
            raise ValueError(f"a delay is 0 to {_LONGEST_DELAY:g} seconds")

    def __str__(self) -> str:
        return f"delay={self.seconds!r}"


class Ending(Enum):
    """The association ends, and the object is not kept."""

    #: A-ABORT after the first fragment of the data set.
    ABORT = "abort"
    #: A-ABORT when the data set has come whole, and no answer.
    ABORT_AFTER = "abort-after"
    #: The connection is closed after the first fragment of the data set, without a word.
    DROP = "drop"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Fault:
    """
    One fault of a plan; `str` gives a text that `parseFault` takes.

    :ivar when: the objects that it applies to.
    :ivar what: what happens to them.
    """

    when: ByNumber | ByUID | ByRate
    what: Answer | Delay | Ending

    def __str__(self) -> str:
        return f"{self.when}:{self.what}"


#: What ``--abort-during`` and ``--abort-after`` stand for.
ABORT_DURING = Fault(ByNumber(), Ending.ABORT)
ABORT_AFTER = Fault(ByNumber(), Ending.ABORT_AFTER)


def longestDelay(plan: Iterable[Fault]) -> float:
    """Return how many seconds a plan delays an answer at most: time that no writer must be given up for."""
    return max((fault.what.seconds for fault in plan if isinstance(fault.what, Delay)), default=0.0)


class FaultPlan:
    """
    Numbers objects, and says what happens to each.

    :param plan: the faults; the first one that applies to an object happens to it.
    :ivar received: how many objects have been numbered.
    """

    def __init__(self, plan: Sequence[Fault]) -> None:
        self._plan = tuple(plan)
        # Shared by the faults that have the same seed, or else these would apply to the same objects.
        self._randoms = {
            fault.when.seed: Random(fault.when.seed)  # noqa: S311 - has to be the same in every run
            for fault in self._plan
            if isinstance(fault.when, ByRate)
        }
        self.received = 0

    def draw(self, uid: str) -> tuple[int, int | None]:
        """
        Number an object.

        :return: its number, and the place in the plan of the fault that happens to it, if one does.
        """
        self.received += 1
        # All of them are asked every time, so that what is drawn depends on nothing but the plan and the number.
        applies = [fault.when.applies(self.received, uid, self._randoms) for fault in self._plan]
        return self.received, applies.index(True) if any(applies) else None
