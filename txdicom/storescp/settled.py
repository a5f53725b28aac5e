"""Waiting for a result that may be there already: `settled`."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TypeVar

from twisted.internet.defer import Deferred

from txdicom.interfaces import Soon

__all__ = ["settled"]

_T = TypeVar("_T")


async def settled(result: Soon[_T]) -> _T:
    """Wait for a result, a Deferred of it or a coroutine."""
    return await result if isinstance(result, Deferred | Coroutine) else result
