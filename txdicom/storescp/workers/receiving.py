"""The worker takes the connections that its parent has accepted: `HandedOver`."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IListeningPort, IReadDescriptor
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.storescp.workers.board import Field, Part

__all__ = ["HandedOver"]

#: How many connections are taken before others have a turn.
_BATCH = 50
_log = Logger()


@implementer(IReadDescriptor)
class HandedOver:
    """
    Stands for the reactor where endpoints listen: what comes by them is what the parent hands over.

    :param reactor: the real one; all but listening is left to it.
    :param receiving: this end of the socket over which connections come.
    :param part: where it is counted that a connection could not be used.
    :param finish: tells the parent that nothing more needs to be taken, and fires when nothing more will come.
    :param patience: how many seconds that may take.
    """

    def __init__(
        self,
        reactor: Any,
        receiving: socket.socket,
        part: Part,
        finish: Callable[[], Deferred[Any]],
        patience: float,
    ) -> None:
        self._reactor = reactor
        self._socket = receiving
        self._socket.setblocking(False)
        self._part = part
        self._finish = finish
        self._patience = patience
        self._isClosing = False
        #: Who builds the protocols for connections of each endpoint, in the parent's order.
        self.factories: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    # What endpoints ask of a reactor.

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> IListeningPort:
        """Have the factory serve what comes by the parent's next endpoint."""
        return self._take(factory)

    def listenUNIX(
        self, address: str, factory: Any, backlog: int = 50, mode: int = 0o666, wantPID: bool = False
    ) -> IListeningPort:
        """Have the factory serve what comes by the parent's next endpoint."""
        return self._take(factory)

    def listenSSL(
        self, port: int, factory: Any, contextFactory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """Have the factory serve, encrypted, what comes by the parent's next endpoint."""
        from twisted.protocols.tls import TLSMemoryBIOFactory

        return self._take(TLSMemoryBIOFactory(contextFactory, False, factory))

    def _take(self, factory: Any) -> IListeningPort:
        factory.doStart()
        self.factories.append(factory)
        return _HandedOverPort(self, factory)

    # What is handed over.

    def open(self) -> None:
        """Take connections."""
        self._reactor.addReader(self)

    async def close(self) -> None:
        """Take what has been handed over, and then nothing more; every endpoint asks for that, and one is enough."""
        if self._isClosing:
            return
        self._isClosing = True
        try:
            await self._finish().addTimeout(self._patience, self._reactor)
        except Exception as error:
            # There is no parent any more, or it does not react; then nothing will come either.
            _log.debug("the parent cannot be told that this worker ends: {error}", error=error)
        # A parent that is gone has closed its end.
        with suppress(EOFError, OSError):
            while self._receive():
                pass
        self._reactor.removeReader(self)
        self._socket.close()

    def fileno(self) -> int:
        """Return the descriptor, which is -1 at the end."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """Say who this is."""
        return "worker"

    def doRead(self) -> Any:
        """Take the connections that have come."""
        for _ in range(_BATCH):
            try:
                if not self._receive():
                    return None
            except EOFError:
                return CONNECTION_DONE
            except OSError:
                return CONNECTION_LOST
        return None

    def connectionLost(self, reason: Failure) -> None:
        """Nothing will come any more: the parent is gone, or the reactor goes."""

    def _receive(self) -> bool:
        """
        Take one connection.

        :return: whether there may be more.
        :raises EOFError: the parent has closed its end.
        """
        try:
            endpoint, descriptors, _flags, _address = socket.recv_fds(self._socket, 1, 1)
        except BlockingIOError:
            return False
        if not endpoint:
            raise EOFError
        if not descriptors:
            self._lost("there is no descriptor left for it")
            return True
        connection = socket.socket(fileno=descriptors[0])
        try:
            # This takes a descriptor of its own.
            self._reactor.adoptStreamConnection(connection.fileno(), connection.family, self.factories[endpoint[0]])
        except OSError as error:
            self._lost(error)
        finally:
            connection.close()
        return True

    def _lost(self, why: object) -> None:
        self._part[Field.ENDED] += 1
        _log.warn("a connection is lost before it could be served: {why}", why=why)


@implementer(IListeningPort)
class _HandedOverPort:
    """One endpoint, as far as it is not the parent's."""

    def __init__(self, handedOver: HandedOver, factory: Any) -> None:
        self._handedOver = handedOver
        self._factory = factory

    def startListening(self) -> None:
        """Nothing is to be done."""

    def stopListening(self) -> Deferred[None]:
        """Take no more connections, of no endpoint."""
        self._factory.doStop()
        return Deferred.fromCoroutine(self._handedOver.close())

    def getHost(self) -> IAddress:
        """
        Refuse, for it is the parent that knows.

        :raises NotImplementedError: always.
        """
        raise NotImplementedError("where a worker's endpoint listens is known to its parent")
