"""What stored instances are called."""

from __future__ import annotations

from txdicom.services.storage import ReceivedInstance
from txdicom.uids import FILE_PREFIXES

__all__ = ["nameOfInstance"]


def nameOfInstance(instance: ReceivedInstance) -> str:
    """Name an instance by its class and UID: ``CT.1.2.3``, or ``UNKNOWN.1.2.3`` for a class that has no prefix."""
    return f"{FILE_PREFIXES.get(instance.sopClassUID, 'UNKNOWN')}.{instance.sopInstanceUID}"
