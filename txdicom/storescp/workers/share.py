"""What a receiver that is one of several has in common with the others: `Share`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from txdicom.configuration import Configuration
from txdicom.dimse.admission import Admission, firstRefusal
from txdicom.interfaces import IAssociationObserver
from txdicom.storescp.workers.board import Board, Part, SharedLimits
from txdicom.storescp.workers.channel import WorkerEnd
from txdicom.storescp.workers.tally import Tally

__all__ = ["Share"]


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

    async def ask(self, subject: str, question: Any) -> Any:
        """Have the parent decide something, which does it for all workers: see `WorkerEnd.ask`."""
        return await self._channel.ask(subject, question)

    async def drawFault(self, uid: str) -> tuple[int, int | None]:
        """Have the parent number an object: see `txdicom.storescp.faults.FaultPlan.draw`."""
        number, place = await self.ask("fault", uid)
        return number, place
