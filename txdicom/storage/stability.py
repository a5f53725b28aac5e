"""
Names on stable storage: `SharedSync`.

Theory of operation. A file has its name for good when its directory has been synced after that (fsync(2)). One sync
does for all files that have been named before it began, however many: whoever asks while one is under way waits for the
next, together with everybody else who asks meanwhile. The syncs of the files themselves run side by side, which lets
the file system make one journal commit of many.
"""

from __future__ import annotations

import os
from threading import Condition

__all__ = ["SharedSync"]


class _Round:
    """One sync, that some threads wait for."""

    def __init__(self) -> None:
        self.isOver = False
        self.error: OSError | None = None


class SharedSync:
    """
    Has a directory synced on behalf of many threads.

    :param descriptor: of the directory.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._changed = Condition()
        self._isRunning = False
        self._next = _Round()

    def sync(self) -> None:
        """
        Have all names in the directory on stable storage; wait for that.

        :raises OSError: the sync that we waited for has failed, so nobody knows what is on stable storage.
        """
        with self._changed:
            # One that is running now may have looked at the directory before our file had its name.
            ours = self._next
            while self._isRunning and not ours.isOver:
                self._changed.wait()
            isOurTurn = not ours.isOver
            if isOurTurn:
                self._isRunning = True
                self._next = _Round()
        if isOurTurn:
            self._run(ours)
        if ours.error is not None:
            raise OSError(ours.error.errno, ours.error.strerror)

    def _run(self, turn: _Round) -> None:
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            turn.error = error
        finally:
            with self._changed:
                turn.isOver = True
                self._isRunning = False
                self._changed.notify_all()
