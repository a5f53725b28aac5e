"""Lets load through, or holds it back: `Gate`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["Gate"]


class Gate:
    """Is shut at first; what comes in while it is open may stay until it has done its part."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._shut = asyncio.Event()
        self._shut.set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._within = 0

    @property
    def isOpen(self) -> bool:
        """Whether more load is wanted."""
        return self._open.is_set()

    def open(self) -> None:
        """Let load through."""
        self._shut.clear()
        self._open.set()

    async def shut(self, patience: float) -> None:
        """
        Hold load back, and wait until what is within has gone.

        :raises TimeoutError: it has not.
        """
        self._open.clear()
        self._shut.set()
        async with asyncio.timeout(patience):
            await self._empty.wait()

    async def opened(self) -> None:
        """Wait for the gate to be open."""
        await self._open.wait()

    @contextmanager
    def within(self) -> Iterator[None]:
        """Be within, as long as this lasts."""
        self._within += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._within -= 1
            if not self._within:
                self._empty.set()

    async def pause(self, seconds: float) -> None:
        """Let time go by, but no more than there is until the gate is shut."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._shut.wait()
