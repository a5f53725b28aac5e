"""Several announcers that are stopped together: `Announcers`."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.defer import Deferred, gatherResults

from txdicom.storescp.hooks.announcer import Announcer

__all__ = ["Announcers"]


class Announcers:
    """
    Stops announcers; what there is to tell goes to each of them directly.

    :param announcers: which ones.
    """

    def __init__(self, announcers: Iterable[Announcer]) -> None:
        self._announcers = tuple(announcers)

    async def stop(self, patience: float) -> None:
        """Stop all of them at once, as `Announcer.stop` does."""
        await gatherResults([Deferred.fromCoroutine(each.stop(patience)) for each in self._announcers])

    def abandon(self) -> None:
        """Abandon all of them, as `Announcer.abandon` does."""
        for each in self._announcers:
            each.abandon()
