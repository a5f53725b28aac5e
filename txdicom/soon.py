"""Results that may be there already, or come later: what `txdicom.interfaces.Soon` stands for."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import lru_cache
from typing import Any, TypeGuard, TypeVar

from twisted.internet.defer import Deferred

from txdicom.interfaces import Soon

__all__ = ["isLater", "settled"]

_T = TypeVar("_T")


def isLater(result: Soon[_T]) -> TypeGuard[Deferred[_T] | Coroutine[Deferred[Any], Any, _T]]:
    """Tell whether a result has to be waited for."""
    kind: type = type(result)
    return _isWaitedFor(kind)


async def settled(result: Soon[_T]) -> _T:
    """Wait for a result that may be there already."""
    return await result if isLater(result) else result  # type: ignore[return-value]


@lru_cache(maxsize=256)
def _isWaitedFor(kind: type) -> bool:
    # Remembered by type: Deferred is an abstract base class, which takes its time to say that something is none.
    return issubclass(kind, (Deferred, Coroutine))
