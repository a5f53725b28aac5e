"""Files that one instance at a time is asked about: `FileLocks`."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import DeferredLock

__all__ = ["FileLocks"]


class FileLocks:
    """Has those who are interested in one file wait for each other, in the order in which they come."""

    def __init__(self) -> None:
        # The files that somebody has, and how many are interested.
        self._held: dict[str, tuple[DeferredLock, int]] = {}

    async def acquire(self, path: str) -> Callable[[], None]:
        """
        Wait until nobody else has a file.

        :return: what lets go of it.
        """
        lock, interested = self._held.get(path, (DeferredLock(), 0))
        self._held[path] = (lock, interested + 1)
        await lock.acquire()

        def release() -> None:
            lock, interested = self._held.pop(path)
            if interested > 1:
                self._held[path] = (lock, interested - 1)
            lock.release()

        return release
