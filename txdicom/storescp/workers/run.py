"""One process of a worker, from its start to its end, as the parent sees it: `Run`."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import Factory, ProcessProtocol
from twisted.logger import LogEvent, Logger
from twisted.python.failure import Failure

from txdicom.storescp.workers.accepting import Handover
from txdicom.storescp.workers.channel import Answers, ParentEnd
from txdicom.storescp.workers.log import LogRelay

__all__ = ["BOARD", "CHANNEL", "CONNECTIONS", "Run", "Spawn"]

#: The descriptors that a worker finds open, beyond the three that every process has.
CHANNEL, CONNECTIONS, BOARD = 3, 4, 5
_STDIN, _STDOUT, _STDERR = 0, 1, 2
_log = Logger("storescp")

#: Starts a process: takes its protocol, the number of the worker, and what its descriptors are, as
#: `twisted.internet.interfaces.IReactorProcess.spawnProcess` does.
Spawn = Callable[[ProcessProtocol, int, Mapping[int, Any]], Any]


class Run(ProcessProtocol):
    """
    A worker's process.

    :param number: the worker's.
    :param order: what the process reads from its standard input.
    :param board: descriptor of the board.
    :param changed: called when `isServing`, `isLeaving` or `finishing` has changed.
    :param ended: called with this and a sentence when the process has ended.
    :ivar isServing: whether connections can be handed to it.
    :ivar isLeaving: whether it only refuses them.
    :ivar finishing: to be fired when no more will be; None unless it waits for that.
    :ivar began: when it was started.
    """

    def __init__(
        self,
        number: int,
        order: bytes,
        board: int,
        answers: Answers,
        publish: Callable[[LogEvent], None],
        changed: Callable[[], None],
        ended: Callable[[Run, str], None],
    ) -> None:
        self.number = number
        self.isServing = False
        self.isLeaving = False
        self.finishing: Deferred[None] | None = None
        self.began = 0.0
        self._order = order
        self._board = board
        self._changed = changed
        self._ended = ended
        self._channel = ParentEnd(self, answers)
        self._events = LogRelay(number, publish)
        self._complaints = LogRelay(number, publish)
        self.handover: Handover | None = None

    def start(self, reactor: Any, spawn: Spawn) -> None:
        """
        Start the process.

        :raises OSError: the system has no room for it.
        """
        self.began = reactor.seconds()
        with _pair() as (channel, itsChannel), _pair() as (connections, itsConnections):
            self.handover = Handover(connections.dup())
            reactor.adoptStreamConnection(channel.fileno(), socket.AF_UNIX, Factory.forProtocol(lambda: self._channel))
            descriptors = {
                _STDIN: "w",
                _STDOUT: "r",
                _STDERR: "r",
                CHANNEL: itsChannel.fileno(),
                CONNECTIONS: itsConnections.fileno(),
                BOARD: self._board,
            }
            spawn(self, self.number, descriptors)

    @property
    def pid(self) -> int:
        """The process number; 0 if it has ended."""
        return getattr(self.transport, "pid", None) or 0

    def stop(self) -> None:
        """Tell the process to stop."""
        self._channel.stop()

    def hurry(self) -> None:
        """Tell the process to be quick about it."""
        self._channel.hurry()

    def reload(self) -> None:
        """Tell the process, if it serves already, to read again what can be."""
        if self.isServing and self.pid and self.transport is not None:
            self.transport.signalProcess("HUP")

    def kill(self) -> None:
        """End the process, unless it has ended."""
        if self.pid and self.transport is not None:
            self.transport.signalProcess("KILL")

    def close(self) -> None:
        """Have nothing to do with the process any more."""
        self._serveNoMore()
        self._channel.close()

    def _serveNoMore(self) -> None:
        self.gone()
        if self.handover is not None:
            self.handover.close()

    # What Twisted tells of the process.

    def connectionMade(self) -> None:
        """Tell the process what it is for."""
        transport = cast("IProcessTransport", self.transport)
        transport.write(self._order)
        transport.closeChildFD(_STDIN)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Have it logged."""
        (self._events if childFD == _STDOUT else self._complaints).received(data)

    def processExited(self, reason: Failure) -> None:
        """
        Tell that it has ended, and how; others may still have its output open.

        The channel is read to its end, for what the process told last may still be in it.
        """
        self._events.ended()
        self._complaints.ended()
        self._serveNoMore()
        self._ended(self, _describe(reason.value))

    # What the process tells.

    def ready(self) -> None:
        """Connections may be handed to it, unless it has ended meanwhile."""
        if not self.pid:
            return
        self.isServing = True
        _log.info("worker {number} is ready, process {pid}", number=self.number, pid=self.pid)
        self._changed()

    def leave(self) -> None:
        """Connections should be handed to others."""
        self.isLeaving = True
        self._changed()

    def finish(self) -> Deferred[None]:
        """Return what fires when no more are handed to it."""
        finished: Deferred[None] = Deferred()
        self.finishing = finished
        self._changed()
        return finished

    def gone(self) -> None:
        """No more can be handed to it."""
        finishing, self.finishing = self.finishing, None
        if self.isServing:
            self.isServing = False
            self._changed()
        if finishing is not None:
            finishing.callback(None)


@contextmanager
def _pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Make two sockets that are connected; both are closed here at the end."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with one, other:
        yield one, other


def _describe(error: BaseException | None) -> str:
    if isinstance(error, ProcessTerminated) and error.signal is not None:
        return f"signal {error.signal}"
    if isinstance(error, ProcessDone | ProcessTerminated):
        return f"exit status {error.exitCode or 0}"
    return str(error)
