"""What a receiver that is one of several has in common with the others: `Share`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from txdicom.configuration import Configuration
from txdicom.dimse.admission import Admission, firstRefusal
from txdicom.interfaces import IAssociationObserver, IStorageSCP
from txdicom.storage.naming import NameOf
from txdicom.storescp.workers.announcing import DistantAnnouncer
from txdicom.storescp.workers.board import Board, Part, SharedLimits
from txdicom.storescp.workers.channel import WorkerEnd
from txdicom.storescp.workers.decisions import subjectFor
from txdicom.storescp.workers.directories import AskedDirectories, PlacedStore
from txdicom.storescp.workers.tally import Tally

__all__ = ["Questions", "Share"]


class Share:
    """
    One worker's share in a receiver of several.

    :param number: which worker it is, from 1.
    :param workers: how many there are.
    :param channel: to the parent.
    :ivar part: what this worker counts.
    """

    def __init__(self, number: int, workers: int, board: Board, channel: WorkerEnd) -> None:
        self.part: Part = board.part(number - 1)
        self._number = number
        self._workers = workers
        self._board = board
        self._channel = channel

    def configuration(self, configuration: Configuration) -> Configuration:
        """Have the board look after limits that count for all, and divide what does not matter that much."""
        idle = -(-configuration.maximumIdleConnections // self._workers)
        return replace(configuration, maximumAssociations=0, maximumAssociationsPerPeer=0, maximumIdleConnections=idle)

    def admission(self, admission: Admission, configuration: Configuration) -> Admission:
        """Have associations counted together with those of the others."""
        limits = SharedLimits(
            self._board,
            self._number - 1,
            configuration.maximumAssociations,
            configuration.maximumAssociationsPerPeer,
        )
        return firstRefusal([admission, limits])

    def observer(self, observer: IAssociationObserver | None) -> IAssociationObserver:
        """Count what happens."""
        return Tally(self.part, observer)

    def questions(self, title: str = "") -> Questions:
        """
        Say what is asked of the parent.

        :param title: the AE title of a configuration file that it is for; empty for all others.
        """
        return Questions(self._channel, title)


class Questions:
    """
    What a receiver that is one of several asks of the parent, which decides it for all: the other end of `Decisions`.

    :param title: what it is for, for each title is decided by itself.
    """

    def __init__(self, channel: WorkerEnd, title: str) -> None:
        self._channel = channel
        self._title = title

    def announcer(self) -> DistantAnnouncer:
        """Have commands and plugins told by the parent."""
        return DistantAnnouncer(self.ask)

    def directories(self, beginning: NameOf) -> AskedDirectories:
        """Have the parent say which directory a study has."""
        directories = AskedDirectories(beginning, self.ask)
        self._channel.hear(subjectFor("forget", self._title), directories.forget)
        return directories

    def placed(self, store: IStorageSCP | None, directories: NameOf | None) -> IStorageSCP | None:
        """Have a store, if there is one, ask for directories before it needs them, if it needs them."""
        if store is None or not isinstance(directories, AskedDirectories):
            return store
        return PlacedStore(store, directories)

    async def drawFault(self, uid: str) -> tuple[int, int | None]:
        """Have the parent number an object: see `txdicom.storescp.faults.plan.FaultPlan.draw`."""
        number, place = await self.ask("fault", uid)
        return number, place

    async def ask(self, subject: str, question: Any, /) -> Any:
        """Ask the parent: see `WorkerEnd.ask`."""
        return await self._channel.ask(subjectFor(subject, self._title), question)
