"""
The parent accepts connections, and hands them over: `SharedEndpoints` listens, `Handover` is the way to one worker.

Why not let the workers accept: a connection is there for as long as its association, which may be hours, so which of
them takes it must not be left to chance, or to the system's hash of an address. This way all workers have the same
number of associations, whatever the endpoint is, and no connection waits in the queue of a worker that is gone.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IListeningPort, IReactorFDSet, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["Handover", "SharedEndpoints"]

#: How many connections are accepted before others have a turn.
_BATCH = 50
#: How many seconds to wait when the system is out of what a connection takes.
_RECOVERY = 1.0
#: How many seconds to wait for a worker that takes a connection.
_MOMENT = 0.05
_log = Logger()


class Handover:
    """
    The way by which connections go to one run of a worker: a UNIX socket.

    :param sending: this end of it, which will not block.
    """

    def __init__(self, sending: socket.socket) -> None:
        self._socket = sending
        self._socket.setblocking(False)

    def give(self, endpoint: int, connection: socket.socket) -> bool:
        """
        Hand a connection over, by which this process has it no more once the caller closes it.

        :param endpoint: the number of the endpoint that it came by.
        :return: whether that worked. It does not if the worker is gone, or has not taken some hundreds before.
        """
        try:
            socket.send_fds(self._socket, [bytes([endpoint])], [connection.fileno()])
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Hand nothing over any more."""
        self._socket.close()


class SharedEndpoints:
    """
    Stands for the reactor where endpoints listen: what they listen on is accepted from here.

    :param reactor: the real one; all but listening is left to it.
    :param give: takes the number of an endpoint and a connection that has come by it, and returns whether anybody has
        it now; endpoints are numbered in the order in which they begin to listen.
    """

    def __init__(self, reactor: Any, give: Callable[[int, socket.socket], bool]) -> None:
        self._reactor = reactor
        self._give = give
        self._acceptors: list[_Acceptor] = []
        self._isOpen = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    @property
    def count(self) -> int:
        """How many endpoints listen."""
        return len(self._acceptors)

    def listenTCP(self, *arguments: Any, **keywords: Any) -> IListeningPort:
        """Listen as the reactor does."""
        return self._accept(self._reactor.listenTCP(*arguments, **keywords))

    def listenUNIX(self, *arguments: Any, **keywords: Any) -> IListeningPort:
        """Listen as the reactor does."""
        return self._accept(self._reactor.listenUNIX(*arguments, **keywords))

    def listenSSL(self, port: int, factory: Any, contextFactory: Any, *arguments: Any, **keywords: Any) -> Any:
        """Listen as the reactor does; it is the workers who encrypt."""
        return self.listenTCP(port, factory, *arguments, **keywords)

    def adoptStreamPort(self, *arguments: Any, **keywords: Any) -> IListeningPort:
        """Listen as the reactor does."""
        return self._accept(self._reactor.adoptStreamPort(*arguments, **keywords))

    def open(self, isOpen: bool) -> None:
        """
        Accept connections, or let them wait.

        :param isOpen: whether there is anybody to give them to.
        """
        self._isOpen = isOpen
        for acceptor in self._acceptors:
            acceptor.open(isOpen)

    def _accept(self, port: Any) -> IListeningPort:
        port.stopReading()
        acceptor = _Acceptor(self._reactor, port, partial(self._give, len(self._acceptors)))
        self._acceptors.append(acceptor)
        acceptor.open(self._isOpen)
        return acceptor


@implementer(IReadDescriptor, IListeningPort)
class _Acceptor:
    """
    Accepts what comes on a port of Twisted's, in the place of that.

    A connection that nobody takes is kept, and offered again; until then those that come after it wait in the system.

    :param give: takes each connection, and returns whether anybody has it now; then it is closed here.
    """

    def __init__(self, reactor: IReactorFDSet, port: Any, give: Callable[[socket.socket], bool]) -> None:
        self._reactor = reactor
        self._port = port
        self._give = give
        self._socket = socket.socket(fileno=os.dup(port.fileno()))
        self._isReading = False
        self._kept: socket.socket | None = None
        self._recovery: IDelayedCall | None = None

    def open(self, isOpen: bool) -> None:
        """Read, or not."""
        if self._recovery is not None:
            self._recovery.cancel()
            self._recovery = None
        if isOpen and self._kept is not None:
            self._pause(_MOMENT)
            return
        if isOpen and not self._isReading:
            self._reactor.addReader(self)
        elif self._isReading and not isOpen:
            self._reactor.removeReader(self)
        self._isReading = isOpen

    def fileno(self) -> int:
        """Return the descriptor, which is -1 at the end."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """Say who this is."""
        return "workers"

    def doRead(self) -> None:
        """Accept what has come, and give it away."""
        for _ in range(_BATCH):
            if not self._isReading:
                return
            try:
                connection, _address = self._socket.accept()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    _log.warn("connections cannot be accepted for a moment: {error}", error=error)
                    self._pause(_RECOVERY)
                # Otherwise nobody is there, or not any more.
                return
            if not self._give(connection):
                _log.warn("connections wait until a worker takes them")
                self._kept = connection
                self._pause(_MOMENT)
                return
            connection.close()

    def connectionLost(self, reason: Failure) -> None:
        """Close this end of the port, when the reactor goes."""
        self._close()

    def getHost(self) -> Any:
        """Return where this listens."""
        return self._port.getHost()

    def startListening(self) -> None:
        """Nothing is to be done: the port listens already."""

    def stopListening(self) -> Any:
        """Listen no more."""
        self._close()
        return self._port.stopListening()

    def _pause(self, seconds: float) -> None:
        self.open(False)
        self._recovery = self._reactor.callLater(seconds, self._recovered)  # type: ignore[attr-defined]

    def _recovered(self) -> None:
        self._recovery = None
        if self._kept is not None and self._give(self._kept):
            self._kept.close()
            self._kept = None
        self.open(True)

    def _close(self) -> None:
        self.open(False)
        if self._kept is not None:
            self._kept.close()
            self._kept = None
        self._socket.close()
