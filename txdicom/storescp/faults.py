"""
Faults on purpose: ``--fault``, ``--abort-during`` and ``--abort-after``, for people who test their senders.

Theory of operation. A fault is written ``WHEN:WHAT``, which `parseFault` makes a `Fault` of. A `FaultyStore` makes the
faults of a plan happen: to each object the first one that applies to it, and to the others none at all::

    WHEN   3, n=3, n=3-5, n=3-  the objects with these numbers, in the order in which they come, the first being 1
           uid=1.2.3, uid=1.2*  the objects with this SOP Instance UID, or with one that begins so
           rate=0.1, rate=0.1/7 that share of all objects, at random; the seed 7 gives other ones than the seed 0
           all                  every object
    WHAT   status=0xA700        this failure, or warning, is the answer
           abort                A-ABORT within the data set
           abort-after          A-ABORT in the place of the answer
           delay=2.5            the answer comes so many seconds late
           drop                 the connection is cut within the data set

An object whose fault takes its success away does not reach the other store at all, so nothing of it is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.dimse.status import Status, StatusCategory, category
from txdicom.errors import AbortSource, AssociationAborted, AssociationLost, DIMSEError
from txdicom.interfaces import IAnsweredWriter, IDataSetWriter, IStorageSCP, Soon
from txdicom.services.storage import ReceivedInstance
from txdicom.soon import settled

if TYPE_CHECKING:
    from txdicom.dimse.association import Association

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
    "FaultyStore",
    "longestDelay",
    "parseFault",
]

_LONGEST_DELAY = 86400.0
_ON_PURPOSE = "a fault that was asked for"
#: The outcomes after which the object is kept.
_KEPT = (StatusCategory.SUCCESS, StatusCategory.WARNING)
_WHENS = "NUMBER, n=NUMBER, n=FIRST-LAST, uid=UID, uid=PREFIX*, rate=SHARE, rate=SHARE/SEED and all"
_WHATS = "status=CODE, abort, abort-after, delay=SECONDS and drop"
# No more digits than anybody needs, and none but ASCII's.
_WHOLE = "[0-9]{1,18}"
_DECIMAL = r"(?:[0-9]{1,18}(?:\.[0-9]{0,99})?|\.[0-9]{1,99})(?:[eE][+-]?[0-9]{1,3})?"
_NUMBERS = re.compile(f"(?:n=)?({_WHOLE})(-({_WHOLE})?)?")
_UID = re.compile("[0-9.]{1,64}")
_RATE = re.compile(f"rate=({_DECIMAL})(?:/({_WHOLE}))?")
_STATUS = re.compile(f"status=(?:0[xX]([0-9A-Fa-f]{{1,8}})|({_WHOLE}))")
_DELAY = re.compile(f"delay=({_DECIMAL})")


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


def parseFault(text: str) -> Fault:
    """
    Parse the value of one ``--fault`` option.

    :raises ValueError: it is not a fault; the message is one sentence that names the text and says what would be one.
    """
    when, colon, what = text.partition(":")
    try:
        if not colon:
            raise ValueError("a fault is WHEN:WHAT, such as n=3:status=0xA700")
        return Fault(_parseWhen(when), _parseWhat(what))
    except ValueError as error:
        raise ValueError(f"fault {text!r} is not understood: {error}") from None


def _parseWhen(text: str) -> ByNumber | ByUID | ByRate:
    if text == "all":
        return ByNumber()
    if match := _NUMBERS.fullmatch(text):
        first = int(match[1])
        last = int(match[3]) if match[3] else None
        return ByNumber(first, last if match[2] else first)
    if text.startswith("uid="):
        uid = text.removeprefix("uid=")
        return ByUID(uid.removesuffix("*"), uid.endswith("*"))
    if match := _RATE.fullmatch(text):
        return ByRate(float(match[1]), int(match[2] or 0))
    raise ValueError(f"{text!r} is none of {_WHENS}")


def _parseWhat(text: str) -> Answer | Delay | Ending:
    if match := _STATUS.fullmatch(text):
        return Answer(int(match[1], 16) if match[1] else int(match[2]))
    if match := _DELAY.fullmatch(text):
        return Delay(float(match[1]))
    try:
        return Ending(text)
    except ValueError:
        raise ValueError(f"{text!r} is none of {_WHATS}") from None


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


@implementer(IStorageSCP)
class FaultyStore:
    """
    Makes the faults of a plan happen around another store.

    An object that is refused before the store is asked for a writer, because it is not what its request says, is not
    numbered.

    :param clock: delays run on it.
    :param plan: the faults.
    :param draw: numbers objects, as `FaultPlan.draw` does, for all stores that share the plan; None if this is alone.
    """

    _log = Logger()

    def __init__(
        self,
        store: IStorageSCP,
        clock: IReactorTime,
        plan: Sequence[Fault],
        draw: Callable[[str], Soon[tuple[int, int | None]]] | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._plan = tuple(plan)
        self._draw = FaultPlan(plan).draw if draw is None else draw
        # The last delay of every association that had one; one at a time is all it can have.
        self._delays: dict[Association, Deferred[None]] = {}

    def store(self, association: Association, instance: ReceivedInstance) -> Soon[IDataSetWriter]:
        """Open the store's writer, or one that makes a fault."""
        drawn = self._draw(instance.sopInstanceUID)
        if isinstance(drawn, tuple):
            return self._begin(drawn, association, instance)
        return self._beginLater(drawn, association, instance)

    async def _beginLater(
        self, drawing: Soon[tuple[int, int | None]], association: Association, instance: ReceivedInstance
    ) -> IDataSetWriter:
        return await settled(self._begin(await settled(drawing), association, instance))

    def _begin(
        self, drawn: tuple[int, int | None], association: Association, instance: ReceivedInstance
    ) -> Soon[IDataSetWriter]:
        number, place = drawn
        if place is None:
            return self._store.store(association, instance)
        fault = self._plan[place]
        self._log.info(
            "fault {fault} for object {number}, {uid}", fault=fault, number=number, uid=instance.sopInstanceUID
        )
        what = fault.what
        if isinstance(what, Ending):
            return _endingWriter(what, association)
        if isinstance(what, Answer) and category(what.status) is StatusCategory.FAILURE:
            return _LosingWriter(what.status)
        return self._keep(what, association, instance)

    async def _keep(self, what: Answer | Delay, association: Association, instance: ReceivedInstance) -> IDataSetWriter:
        writer = await settled(self._store.store(association, instance))
        if isinstance(what, Answer):
            return _WarningWriter(writer, what.status)
        return _LateWriter(writer, partial(self._delay, association, what.seconds))

    def _delay(self, association: Association, seconds: float) -> Deferred[None]:
        """Let that much time go by; the association's end cancels what this returns."""
        isFirst = association not in self._delays
        delay: Deferred[None] = deferLater(self._clock, seconds)
        self._delays[association] = delay
        if isFirst:
            association.whenEnded().addCallback(self._ended, association)
        return delay

    def _ended(self, _: None, association: Association) -> None:
        self._delays.pop(association).cancel()


def _endingWriter(ending: Ending, association: Association) -> IDataSetWriter:
    if ending is Ending.DROP:
        return _LosingWriter(Status.PROCESSING_FAILURE, during=association.drop)
    abort = partial(association.abort, AssociationAborted(AbortSource.SERVICE_USER, 0, False, _ON_PURPOSE))
    if ending is Ending.ABORT:
        return _LosingWriter(Status.PROCESSING_FAILURE, during=abort)
    return _LosingWriter(Status.PROCESSING_FAILURE, after=abort)


@implementer(IDataSetWriter)
class _LosingWriter:
    """
    Keeps nothing.

    :param status: the answer, if the association lives to hear it.
    :param during: called with the first bytes, and all others.
    :param after: called when the data set has come whole.
    """

    __slots__ = ("_after", "_during", "_status")

    def __init__(
        self, status: int, during: Callable[[], None] | None = None, after: Callable[[], None] | None = None
    ) -> None:
        self._status = status
        self._during = during
        self._after = after

    def write(self, fragments: list[memoryview]) -> None:
        """Forget the bytes."""
        if self._during is not None:
            self._during()

    def commit(self) -> int:
        """
        Fail.

        :raises DIMSEError: always.
        """
        if self._after is not None:
            self._after()
        raise DIMSEError(self._status, _ON_PURPOSE)

    def abort(self, reason: Failure) -> None:
        """There is nothing to forget."""


class _KeepingWriter:
    """Hands on to another writer whatever it is told."""

    __slots__ = ("_writer",)

    def __init__(self, writer: IDataSetWriter) -> None:
        self._writer = writer

    def write(self, fragments: list[memoryview]) -> Soon[None]:
        """Let the writer write."""
        return self._writer.write(fragments)

    def abort(self, reason: Failure) -> None:
        """Let the writer abort."""
        self._writer.abort(reason)

    def answered(self, status: int) -> Soon[None]:
        """Tell the writer, if it wants to know."""
        return self._writer.answered(status) if IAnsweredWriter.providedBy(self._writer) else None


@implementer(IAnsweredWriter)
class _WarningWriter(_KeepingWriter):
    """Answers with a warning what another writer has kept."""

    __slots__ = ("_status",)

    def __init__(self, writer: IDataSetWriter, status: int) -> None:
        super().__init__(writer)
        self._status = status

    async def commit(self) -> int:
        """Let the writer commit; if it has not kept the instance, its own answer tells that."""
        status = await settled(self._writer.commit())
        return self._status if category(status) in _KEPT else status


@implementer(IAnsweredWriter)
class _LateWriter(_KeepingWriter):
    """
    Lets time go by before another writer commits.

    :param delay: lets it go by, and raises `CancelledError` if the association ends meanwhile.
    """

    __slots__ = ("_delay",)

    def __init__(self, writer: IDataSetWriter, delay: Callable[[], Deferred[None]]) -> None:
        super().__init__(writer)
        self._delay = delay

    async def commit(self) -> int:
        """Wait, then commit; nobody would hear of an instance whose association ends meanwhile, so that is aborted."""
        try:
            await self._delay()
        except CancelledError:
            self._writer.abort(Failure(AssociationLost("the association ended before the end of a delay")))
            raise
        return await settled(self._writer.commit())
