"""
One soak from start to end: `soak`.

Theory of operation. Moments for kills and rests are chosen beforehand. Load runs until the next of them. At a rest the
load is held back until nothing is under way, everything is checked, and the receiver has to have given back what it
took. The last part of the run has no kills, so that its rests can be compared. In the end the receiver is stopped under
load, and what it left behind is checked once more.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from benchmarks.soaking.contents import Contents, seededRandom
from benchmarks.soaking.gate import Gate
from benchmarks.soaking.ledger import Fault, Ledger, temporaries
from benchmarks.soaking.misbehaviour import MISDEEDS
from benchmarks.soaking.process import Receiver, ReceiverError, Sample
from benchmarks.soaking.senders import STRANGE_MANNERS, Load, Sender

__all__ = ["Outcome", "Parameters", "soak"]

#: When kills happen, as parts of the run.
_KILLS_BEGIN, _KILLS_END = 0.03, 0.65
#: Rests divide the run in so many parts, but are not closer than that, in seconds.
_PARTS = 12
_CLOSEST_RESTS = 5.0
#: How long the load may take to come to rest, and then the receiver, in seconds.
_LOAD_PATIENCE = 60.0
_SETTLING_PATIENCE = 10.0
#: How much the receiver's memory may grow from the first rest after the last kill to the end, in bytes.
_GROWTH = 16 << 20
#: How long there is load before the last stop, in seconds.
_LAST_LOAD = 0.5
_SWEEP_EVERY = 0.25
#: How the log shows a failure of the receiver's own; what peers do wrong is told at a lower level.
_FAILURE = re.compile(r"#(?:warn|error|critical)\]|Traceback|Unhandled", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """
    What to do.

    :ivar seconds: how long there is load.
    :ivar kills: how often the receiver is killed meanwhile.
    :ivar directory: an empty one, or one to be made.
    :ivar command: what runs the receiver; options are added to it.
    :ivar options: options of storescp.
    :ivar senders: how many send at once.
    :ivar misbehaving: which part of all associations is strange or out of order, 0 to 1.
    :ivar patience: how long a good peer may have to wait for anything, in seconds.
    :ivar strictTemporaries: whether temporary files of killed receivers must be gone in the end.
    """

    seconds: float
    kills: int
    directory: Path
    command: Sequence[str]
    options: Sequence[str] = ()
    senders: int = 12
    seed: int = 1
    misbehaving: float = 0.4
    patience: float = 2.5
    strictTemporaries: bool = False


@dataclass(slots=True)
class Outcome:
    """
    What came of it.

    :ivar elapsed: seconds from the first to the last byte of load.
    :ivar rests: the receiver at each rest since its last start.
    :ivar usualDescriptors: how many descriptors the receiver has open without any load.
    :ivar mostDescriptors: how many it had open under load, at most.
    :ivar leakedDescriptors: how many more than usual it had open at a rest, at most.
    :ivar left: temporary files there are in the end.
    :ivar orphans: how many of these come from receivers that were killed.
    """

    load: Load
    elapsed: float = 0.0
    rests: list[Sample] = field(default_factory=list)
    usualDescriptors: int = 0
    mostDescriptors: int = 0
    leakedDescriptors: int = 0
    left: int = 0
    orphans: int = 0

    @property
    def kept(self) -> bool:
        """Whether the promise was kept; a run in which nothing was acknowledged proves nothing."""
        ledger = self.load.ledger
        return not ledger.faults.total() and ledger.counts["verified"] > 0


async def soak(parameters: Parameters, output: TextIO) -> Outcome:
    """
    Do all of it.

    :param output: told how it goes on.
    :raises ReceiverError: the receiver cannot be started at all.
    :raises OSError: the directory cannot be used.
    """
    parameters.directory.mkdir(parents=True, exist_ok=True)
    if any(parameters.directory.iterdir()):
        raise FileExistsError(f"{parameters.directory} is not empty")
    receiver = Receiver(parameters.directory.resolve(), parameters.command, parameters.options)
    receiver.incoming.mkdir()
    with (parameters.directory / "verified").open("w") as record:
        contents = Contents(parameters.seed)
        ledger = Ledger(receiver.incoming, contents, record)
        load = Load(contents, ledger, receiver, Gate(), parameters.patience)
        run = _Run(parameters, load, output)
        try:
            await run.all()
        finally:
            receiver.discard()
    return run.outcome


class _Run:
    def __init__(self, parameters: Parameters, load: Load, output: TextIO) -> None:
        self._parameters = parameters
        self._load = load
        self._ledger = load.ledger
        self._receiver = load.receiver
        self._output = output
        self._tasks: set[asyncio.Task[None]] = set()
        self._begun = 0.0
        self._sweeping = asyncio.Lock()
        self.outcome = Outcome(load)

    async def all(self) -> None:
        """Start, load, kill, rest, stop, conclude."""
        await self._receiver.start()
        # After a kill load is there from the start.
        self.outcome.usualDescriptors = self._receiver.fresh.descriptors
        self._begun = time.monotonic()
        self._load.gate.open()
        manners = (*STRANGE_MANNERS, *MISDEEDS)
        for number in range(self._parameters.senders):
            rng = seededRandom(self._parameters.seed, "sender", number)
            self._spawn(Sender(self._load, rng, manners, self._parameters.misbehaving).run())
        self._spawn(self._sweepAgainAndAgain())
        try:
            for moment, isKill in self._schedule():
                await self._until(moment)
                await (self._kill() if isKill else self._rest())
            await self._until(time.monotonic() - self._begun + _LAST_LOAD)
            await self._stop()
        except (ReceiverError, TimeoutError) as error:
            self._ledger.fault(Fault.CRASH, repr(error))
        finally:
            self.outcome.elapsed = time.monotonic() - self._begun
            await self._cancel()
        self._conclude()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(asyncio.create_task(work))

    async def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        # Transports close on the next turns of the loop.
        await asyncio.sleep(0.01)

    def _schedule(self) -> list[tuple[float, bool]]:
        """Choose the moments, in seconds from the begin, and whether they are those of a kill; the last is a rest."""
        seconds, kills = self._parameters.seconds, self._parameters.kills
        rng = seededRandom(self._parameters.seed, "schedule")
        width = (_KILLS_END - _KILLS_BEGIN) / max(1, kills)
        moments = [(seconds * (_KILLS_BEGIN + width * (kill + rng.random())), True) for kill in range(kills)]
        step = max(_CLOSEST_RESTS, seconds / _PARTS)
        moments += [(step * number, False) for number in range(1, int(seconds / step))]
        return [*sorted(moments), (seconds, False)]

    async def _until(self, moment: float) -> None:
        """
        Let load run until a moment.

        :raises ReceiverError: the receiver has ended meanwhile.
        """
        while (left := self._begun + moment - time.monotonic()) > 0:
            done, _ = await asyncio.wait(self._tasks, timeout=min(0.1, left), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                # None of them ever ends but by an error of this program's.
                task.result()
            if self._receiver.crashed:
                raise ReceiverError("the receiver has ended under load")
            descriptors = self._receiver.sample().descriptors
            self.outcome.mostDescriptors = max(self.outcome.mostDescriptors, descriptors)

    async def _kill(self) -> None:
        await self._receiver.killAndRestart()
        self.outcome.rests.clear()

    async def _rest(self) -> None:
        await self._load.gate.shut(_LOAD_PATIENCE)
        sample = await self._settled()
        self.outcome.rests.append(sample)
        await self._sweep()
        left = temporaries(self._receiver.incoming) - self._receiver.orphans
        if left:
            self._ledger.fault(Fault.TEMPORARIES, f"at rest: {sorted(left)[:3]}")
        counts = self._ledger.counts
        self._output.write(
            f"{time.monotonic() - self._begun:6.0f} s: {counts['acknowledged']} acknowledged,"
            f" {counts['verified']} verified, {self._ledger.faults.total()} faults,"
            f" {len(self._receiver.restarts)} kills, at rest {sample.descriptors} descriptors,"
            f" {sample.memory / (1 << 20):.1f} MiB\n"
        )
        self._output.flush()
        self._load.gate.open()

    async def _settled(self) -> Sample:
        """Wait until the receiver has no more descriptors than at its start, and measure it."""
        usual = self.outcome.usualDescriptors
        deadline = time.monotonic() + _SETTLING_PATIENCE
        while (sample := self._receiver.sample()).descriptors > usual and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        more = sample.descriptors - usual
        self.outcome.leakedDescriptors = max(self.outcome.leakedDescriptors, more)
        if more > 0:
            self._ledger.fault(Fault.DESCRIPTORS, f"{more} more than at the start, {_SETTLING_PATIENCE:g} s after load")
        return sample

    async def _stop(self) -> None:
        stopping = asyncio.ensure_future(self._receiver.stop())
        await asyncio.sleep(0)
        try:
            await self._load.gate.shut(_LOAD_PATIENCE)
        finally:
            await stopping

    async def _sweepAgainAndAgain(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_EVERY)
            await self._sweep()

    async def _sweep(self) -> None:
        # Two at once would each take for a stray file what the other one has removed.
        async with self._sweeping:
            for _ in self._ledger.sweep():
                await asyncio.sleep(0)

    def _conclude(self) -> None:
        """Check what can be checked only when all is over."""
        outcome, ledger, receiver = self.outcome, self._ledger, self._receiver
        receiver.discard()
        ledger.conclude()
        left = temporaries(receiver.incoming)
        outcome.left, outcome.orphans = len(left), len(left & receiver.orphans)
        if outcome.left > outcome.orphans:
            ledger.fault(Fault.TEMPORARIES, f"after the stop: {sorted(left - receiver.orphans)[:3]}")
        elif outcome.left and self._parameters.strictTemporaries:
            ledger.fault(Fault.TEMPORARIES, f"{outcome.left} of receivers that were killed")
        growth = outcome.rests[-1].memory - outcome.rests[0].memory if outcome.rests else 0
        if growth > _GROWTH:
            ledger.fault(Fault.MEMORY, f"{growth} bytes more at the last rest than at the first")
        for path in self._parameters.directory.iterdir():
            if path.name not in ("incoming", "log", "verified"):
                ledger.fault(Fault.STRAY, str(path))
        with receiver.log.open(errors="replace") as log:
            for line in log:
                if _FAILURE.search(line):
                    ledger.fault(Fault.LOGGED, line.strip())
