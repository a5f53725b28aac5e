"""A port for a program that has to be told on which one to listen: `freePort`."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

__all__ = ["freePort"]

#: Below those that systems give out by themselves, of which the same may be given to another program at once.
_PORTS = (10000, 30000)


def freePort() -> int:
    """Choose a port of this machine that is free, and that no connection and no other program gets meanwhile."""
    while True:
        port = random.randrange(*_PORTS)  # noqa: S311 - nobody has to be kept from guessing it
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
