"""
What stored instances are called.

A store asks for the name of an instance when it begins to arrive: a relative path, with ``/`` between its parts if
there are directories in it. Whatever of it comes from the instance is such that it leads nowhere else. The directories
are in `txdicom.storage.sorting`, and names that are made of attributes in `txdicom.storage.pathtemplate`.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from txdicom.services.storage import ReceivedInstance
from txdicom.uids import FILE_PREFIXES

__all__ = [
    "NameOf",
    "Naming",
    "TimeNames",
    "nameOfInstance",
    "timestamp",
    "uniqueName",
    "withDirectory",
    "withExtension",
]

#: Gives an instance its name, or a part of it; may raise `txdicom.errors.DIMSEError` if it has none.
NameOf: TypeAlias = Callable[[ReceivedInstance], str]


def prefixOf(sopClassUID: str) -> str:
    """Return what names begin with for a class: ``CT``, or ``UNKNOWN`` if it has no prefix."""
    return FILE_PREFIXES.get(sopClassUID, "UNKNOWN")


def nameOfInstance(instance: ReceivedInstance) -> str:
    """Name an instance by its class and UID: ``CT.1.2.3``, or ``UNKNOWN.1.2.3`` for a class that has no prefix."""
    return f"{prefixOf(instance.sopClassUID)}.{instance.sopInstanceUID}"


@dataclass(frozen=True, slots=True)
class Naming:
    """
    A way to name instances, and what has to be known for it.

    :ivar name: gives an instance its name.
    :ivar wanted: the tags (0xGGGGEEEE) that `StorageService` has to look for.
    :ivar isUnique: whether two instances have one name only if they are the same instance. If not, a name that is taken
        must not be given again: that would replace an instance that was acknowledged.
    """

    name: NameOf = nameOfInstance
    wanted: frozenset[int] = frozenset()
    isUnique: bool = True


def uniqueName(instance: ReceivedInstance) -> str:
    """Give an instance a name that no other has, nor it again: ``CT.X.2.25.1234``, with a UID derived from a UUID."""
    return f"{prefixOf(instance.sopClassUID)}.X.2.25.{uuid.uuid4().int}"


class TimeNames:
    """
    Names instances by when they come: ``20261231235959999.CT``, in local time.

    What comes within one millisecond gets ``_0000``, ``_0001`` and so on behind the time. After the clock was set back,
    and where several receivers write into one directory, names may come again.

    :param now: gives the seconds since 1970.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._time = ""
        self._given: Counter[str] = Counter()

    def __call__(self, instance: ReceivedInstance) -> str:
        """Name the next instance."""
        moment = timestamp(self._now())
        if moment != self._time:
            self._time = moment
            self._given.clear()
        prefix = prefixOf(instance.sopClassUID)
        number = self._given[prefix]
        self._given[prefix] += 1
        return f"{moment}_{number - 1:04}.{prefix}" if number else f"{moment}.{prefix}"


def timestamp(seconds: float, separator: str = "") -> str:
    """
    Write a time as ``YYYYMMDDHHMMSS`` and three digits of milliseconds, in local time.

    :param seconds: since 1970.
    :param separator: what to put between date and time.
    """
    milliseconds = int(seconds * 1000)
    moment = time.localtime(milliseconds // 1000)
    return f"{time.strftime(f'%Y%m%d{separator}%H%M%S', moment)}{milliseconds % 1000:03}"


def withExtension(nameOf: NameOf, extension: str) -> NameOf:
    """Append a text to each name, as it is."""
    return lambda instance: nameOf(instance) + extension


def withDirectory(directoryOf: NameOf, nameOf: NameOf) -> NameOf:
    """Put each instance into a directory."""
    return lambda instance: f"{directoryOf(instance)}/{nameOf(instance)}"
