"""Files about which plugins are being asked: `AskedFiles`."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import DeferredLock

__all__ = ["AskedFiles"]


class AskedFiles:
    """
    Has the instances that are to have the same file wait for each other, as long as each may still be withdrawn.

    All stores that may write into one directory have to share it. Otherwise what is withdrawn last would put back what
    the other has replaced it with, which nobody may have agreed on either, and not what was there before both.
    """

    def __init__(self) -> None:
        # By path, and how many are interested.
        self._locks: dict[str, tuple[DeferredLock, int]] = {}

    async def alone(self, path: str) -> Callable[[], None]:
        """
        Wait until nobody is asked about a file.

        :return: what lets go of it.
        """
        lock, interested = self._locks.get(path, (DeferredLock(), 0))
        self._locks[path] = (lock, interested + 1)
        await lock.acquire()

        def release() -> None:
            lock, interested = self._locks.pop(path)
            if interested > 1:
                self._locks[path] = (lock, interested - 1)
            lock.release()

        return release
