"""A sender that says what a test wants, byte by byte: `RawSender`."""

from __future__ import annotations

import socket
import struct
from types import TracebackType

__all__ = ["ABORT_REQUEST", "RELEASE_REQUEST", "RawSender"]

RELEASE_REQUEST = b"\5\0\0\0\0\4\0\0\0\0"
ABORT_REQUEST = b"\7\0\0\0\0\4\0\0\0\0"

#: No answer takes a tenth of this, in seconds.
_PATIENCE = 20.0


class RawSender:
    """
    A TCP connection of a sender.

    :param port: whom to connect to, on this machine.
    :param patience: how long to wait for an answer, in seconds.
    """

    def __init__(self, port: int, patience: float = _PATIENCE) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=patience)

    def __enter__(self) -> RawSender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, *pieces: bytes) -> None:
        """Send pieces of whatever."""
        for piece in pieces:
            self._socket.sendall(piece)

    def receive(self) -> bytes:
        """
        Wait for a PDU, and return all of it.

        :raises EOFError: the connection was closed instead.
        """
        head = self._read(6)
        (length,) = struct.unpack_from(">xxI", head)
        return head + self._read(length)

    def _read(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            piece = self._socket.recv(length - len(data))
            if not piece:
                raise EOFError(f"the connection was closed after {len(data)} of {length} bytes")
            data += piece
        return data

    def isClosed(self) -> bool:
        """Wait until the receiver closes the connection; whether it did so without another word."""
        return self._socket.recv(1) == b""

    def finish(self) -> None:
        """Send no more, and wait until the receiver has closed the connection, whatever it says before."""
        self._socket.shutdown(socket.SHUT_WR)
        while self._socket.recv(1 << 16):
            pass
