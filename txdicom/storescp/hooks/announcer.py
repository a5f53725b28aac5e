"""
Telling plugins what happens: `Announcer`.

Theory of operation. An event is told to one plugin after the other. So many events are told at once, the others wait
for their turn in order (`Turns`). When too many wait, instances are held up before anything is taken from their
senders; so one that was taken is always told, and memory has a bound all the same. A plugin that fails or takes too
long is logged, and costs nobody anything, unless its word was asked for before the sender is answered (`judge`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.dimse.status import Status
from txdicom.errors import DIMSEError
from txdicom.interfaces import IAnnouncer, IReceiverPlugin
from txdicom.soon import settled
from txdicom.storescp.hooks.events import Event, InstanceStored, StudyEnded
from txdicom.storescp.hooks.locks import FileLocks
from txdicom.storescp.hooks.studies import Kept, Studies
from txdicom.storescp.hooks.turns import Turns

__all__ = ["MOST_WAITING", "Announcer", "Renaming"]

#: How many events wait for their turn before instances have to wait as well.
MOST_WAITING = 1000

#: Gives the files of an ended study, of which is told what was kept by path, other names; returns the event with them.
Renaming = Callable[[StudyEnded, dict[str, Kept]], Awaitable[StudyEnded]]

_log = Logger("storescp")


@implementer(IAnnouncer)
class Announcer:
    """
    Tells plugins of instances and studies.

    :param plugins: told in this order.
    :param timeLimit: how many seconds one plugin may take for one event.
    :param atOnce: how many events are told at a time.
    :param studyTimeout: how many seconds without an instance end a study.
    :param rename: what is done with the files of a study before its end is told.
    :param locks: shared with those who may ask about the same files; None shares with nobody.
    :ivar studies: what is known of the studies that are being received.
    :ivar turns: what there is to tell.
    :ivar whenStudyEnds: each is called at once with the UID of a study that has ended, before anybody is told.
    """

    def __init__(
        self,
        plugins: Sequence[IReceiverPlugin],
        clock: IReactorTime,
        timeLimit: float,
        atOnce: int,
        studyTimeout: float,
        rename: Renaming | None = None,
        locks: FileLocks | None = None,
        mostWaiting: int = MOST_WAITING,
    ) -> None:
        self._plugins = plugins
        self._clock = clock
        self._timeLimit = timeLimit
        self._rename = rename
        self._isStopped = False
        self.studies = Studies(clock, studyTimeout, self._studyEnded)
        self.turns = Turns(atOnce, mostWaiting)
        self.whenStudyEnds: list[Callable[[str], None]] = []
        self._locks = locks or FileLocks()

    @property
    def isFull(self) -> bool:
        """Whether so many events wait that instances have to wait as well."""
        return self.turns.isFull

    def room(self) -> Deferred[None]:
        """Return what fires when there is room; it may be cancelled."""
        return self.turns.room()

    def began(self, studyInstanceUID: str) -> None:
        """An instance of this study is coming."""
        self.studies.began(studyInstanceUID)

    def gone(self, studyInstanceUID: str) -> None:
        """An instance that was coming has not been stored after all."""
        self.studies.gone(studyInstanceUID)

    async def alone(self, path: str) -> Callable[[], None]:
        """Wait until nobody is asked about a file; return what lets go of it."""
        return await self._locks.acquire(path)

    def stored(self, event: InstanceStored) -> None:
        """Tell of an instance whose sender knows that it is stored."""
        self.studies.stored(event)
        telling = self.turns.add(partial(self._tellAll, event))
        telling.addBoth(self._told, event)

    async def judge(self, event: InstanceStored) -> None:
        """
        Ask about an instance before its sender is told that it is stored.

        :raises Exception: what the first plugin failed with that did not agree; `DIMSEError` if it took too long.
        """
        await self.turns.add(partial(self._askAll, event))

    def judged(self, event: InstanceStored) -> None:
        """The sender of an instance that was asked about knows that it is stored."""
        self.studies.stored(event)
        self.studies.told(event)

    async def stop(self, patience: float) -> None:
        """
        End all studies, and tell what there is to tell.

        :param patience: for how many seconds; what is left then is given up, and logged.
        """
        self.studies.endAll()
        waiting = self.turns.whenIdle()
        giveUp = self._clock.callLater(patience, self.abandon)
        await waiting
        if giveUp.active():
            giveUp.cancel()

    def abandon(self) -> None:
        """Give up what is being told and what waits for its turn; each event is logged."""
        self._isStopped = True
        self.turns.abandon()

    def _studyEnded(self, event: StudyEnded, instances: dict[str, Kept]) -> None:
        for action in self.whenStudyEnds:
            action(event.studyInstanceUID)
        telling = self.turns.add(partial(self._tellStudy, event, instances))
        telling.addErrback(self._givenUp, event)

    async def _tellStudy(self, event: StudyEnded, instances: dict[str, Kept]) -> None:
        if self._rename is not None:
            event = await self._rename(event, instances)
        await self._tellAll(event)

    async def _tellAll(self, event: Event) -> None:
        for plugin in self._plugins:
            try:
                await self._tell(plugin, event)
            except DIMSEError as error:
                _log.error("{event}: {error}", event=event, error=error)
            except Exception:
                if self._isStopped:
                    raise
                _log.failure("{event}: {plugin!r} failed", event=event, plugin=plugin)

    async def _askAll(self, event: InstanceStored) -> None:
        for plugin in self._plugins:
            await self._tell(plugin, event)

    async def _tell(self, plugin: IReceiverPlugin, event: Event) -> None:
        telling = Deferred.fromCoroutine(_call(plugin, event))
        try:
            await telling.addTimeout(self._timeLimit, self._clock)
        except TimeoutError as error:
            reason = f"{plugin!r} did not finish in {self._timeLimit:g} s"
            raise DIMSEError(Status.OUT_OF_RESOURCES, reason) from error

    def _told(self, result: object, event: InstanceStored) -> None:
        if isinstance(result, Failure):
            self._givenUp(result, event)
        self.studies.told(event)

    def _givenUp(self, failure: Failure, event: Event) -> None:
        if failure.check(CancelledError):
            _log.error("{event}: given up, for the receiver stops", event=event)
        else:
            _log.failure("{event} could not be told", failure, event=event)


async def _call(plugin: IReceiverPlugin, event: Event) -> None:
    await settled(plugin.instanceStored(event) if isinstance(event, InstanceStored) else plugin.studyEnded(event))
