"""The receiver in a worker: `Worker` is the process, and `WorkerService` what serves in it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from twisted.application.internet import TimerService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import Factory
from twisted.logger import globalLogBeginner

from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.storage.filestore import FileStore
from txdicom.storage.filestores import FileStores
from txdicom.storescp.service import ReceiverService
from txdicom.storescp.workers.board import Board, Field, Part
from txdicom.storescp.workers.channel import WorkerEnd
from txdicom.storescp.workers.crew import Order
from txdicom.storescp.workers.log import WorkerLog
from txdicom.storescp.workers.receiving import HandedOver
from txdicom.storescp.workers.run import BOARD, CHANNEL, CONNECTIONS
from txdicom.storescp.workers.share import Share

__all__ = ["Worker", "WorkerService"]

#: How often a worker says that it has time, in seconds.
_BEAT = 1.0
#: How many seconds beyond the grace period it waits for others to finish as well.
_PATIENCE = 5.0
#: What only the process that systemd started can find.
_SYSTEMD = re.compile(r"^((?:haproxy:)*)systemd:.*")


class WorkerService(ReceiverService):
    """
    Serves what the parent hands over.

    :param descriptions: the parent's endpoint strings.
    :param receiving: where connections come.
    :param channel: to the parent.
    :param part: the worker's, of the board.
    """

    def __init__(
        self,
        reactor: Any,
        descriptions: Sequence[str],
        factory: AcceptorFactory,
        files: FileStore | FileStores | None,
        grace: float,
        receiving: socket.socket,
        channel: WorkerEnd,
        part: Part,
        listener: IProtocolFactory | None = None,
        reload: Callable[[], None] | None = None,
    ) -> None:
        self._handedOver = HandedOver(reactor, receiving, part, channel.finish, grace + _PATIENCE)
        super().__init__(
            *(self._handedOver, list(map(_withoutSystemd, descriptions)), factory, files, grace, listener, reload)
        )
        self._channel = channel
        self._part = part
        beating = TimerService(_BEAT, self._beat)
        beating.clock = reactor
        beating.setServiceParent(self)

    def startService(self) -> None:
        """
        Serve.

        :raises StartError: that is not possible.
        """
        super().startService()
        self._handedOver.open()
        # If it cannot be told, there is no parent, and this is about to stop.
        self._channel.ready().addErrback(lambda _: None)

    def stopService(self) -> Deferred[Any]:
        """Stop, as a receiver that is one process does."""
        self._channel.leave().addErrback(lambda _: None)
        return super().stopService()

    def hurry(self) -> None:
        """Abort all that is still there."""
        self._factory.abortAll()

    def _hurried(self) -> AbstractContextManager[None]:
        # It is not signals that decide this, which may be sent to all processes at once, but the parent.
        return nullcontext()

    def _beat(self) -> None:
        self._part[Field.BEAT] = int(self._reactor.seconds())


class Worker:
    """
    A process that is a worker.

    :param reactor: what it runs on.
    :ivar order: what the parent wants.
    :ivar share: what it has in common with other workers.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.order = Order(**json.load(sys.stdin))
        os.chdir(self.order.directory)
        for descriptor in (CHANNEL, CONNECTIONS, BOARD):
            os.set_inheritable(descriptor, False)
        globalLogBeginner.beginLoggingTo([WorkerLog(sys.stdout.fileno())], redirectStandardIO=False)
        self._channel = WorkerEnd(self._stop, self._hurry)
        reactor.adoptStreamConnection(CHANNEL, socket.AF_UNIX, Factory.forProtocol(lambda: self._channel))
        os.close(CHANNEL)
        board = Board(BOARD, self.order.workers, self.order.peers)
        os.close(BOARD)
        self.share = Share(self.order.number, self.order.workers, board, self._channel)
        self._service: WorkerService | None = None
        self._isStopping = False

    def run(
        self,
        descriptions: Sequence[str],
        factory: AcceptorFactory,
        files: FileStore | FileStores | None,
        grace: float,
        listener: IProtocolFactory | None,
        reload: Callable[[], None] | None,
    ) -> None:
        """
        Serve until this process shall stop.

        :raises StartError: that is not possible.
        """
        receiving = socket.socket(fileno=CONNECTIONS)
        self._service = service = WorkerService(
            *(self._reactor, descriptions, factory, files, grace, receiving, self._channel, self.share.part),
            listener=listener,
            reload=reload,
        )
        service.startService()
        self._reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
        self._reactor.callWhenRunning(self._heed)
        self._reactor.run()

    def _heed(self) -> None:
        # Control-C on a terminal is for all of its processes. What becomes of us then is for the parent to say.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: self._reactor.callFromThread(self._stop))

    def _stop(self) -> None:
        if not self._isStopping:
            self._isStopping = True
            self._reactor.callWhenRunning(self._reactor.stop)

    def _hurry(self) -> None:
        if self._service is not None:
            self._service.hurry()


def _withoutSystemd(description: str) -> str:
    """Put any endpoint in the place of one of systemd's: what it says is not needed in a worker."""
    return _SYSTEMD.sub(r"\1tcp:0", description)
