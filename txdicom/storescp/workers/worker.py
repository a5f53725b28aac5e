"""The receiver in a worker: `WorkerService`."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from twisted.application.internet import TimerService

from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.storage.filestore import FileStore
from txdicom.storescp.service import ReceiverService
from txdicom.storescp.workers.board import Field, Part
from txdicom.storescp.workers.channel import WorkerEnd
from txdicom.storescp.workers.receiving import HandedOver

__all__ = ["WorkerService"]

#: How often a worker says that it has time, in seconds.
_BEAT = 1.0
#: What only the process that systemd started can find.
_SYSTEMD = re.compile(r"((?:haproxy:)*)systemd:.*")


class WorkerService(ReceiverService):
    """
    Serves what the parent hands over, and stops when it is told to, or when there is no parent.

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
        files: FileStore | None,
        grace: float,
        receiving: socket.socket,
        channel: WorkerEnd,
        part: Part,
    ) -> None:
        self._handedOver = HandedOver(reactor, receiving, part, channel.leave)
        super().__init__(self._handedOver, list(map(_withoutSystemd, descriptions)), factory, files, grace)
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

    def hurry(self) -> None:
        """Abort all that is still there."""
        self._factory.abortAll()

    def _hurried(self) -> AbstractContextManager[None]:
        # Not signals decide this, which may be sent to all processes at once, but the parent.
        return nullcontext()

    def _beat(self) -> None:
        self._part[Field.BEAT] = int(self._reactor.seconds())


def _withoutSystemd(description: str) -> str:
    """Put any endpoint in the place of one of systemd's: what it says is not needed in a worker."""
    return _SYSTEMD.sub(r"\1tcp:0", description)
