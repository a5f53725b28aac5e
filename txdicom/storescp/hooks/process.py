"""
One command being run: `run`.

Theory of operation. The command has three pipes and nothing else of ours. It gets its input at once, and its output is
kept up to a bound and dropped beyond it, so it never waits for us. It is over when its process has ended; what that has
left running in the background may hold the pipes for a moment longer, then they are closed. Whoever cancels kills the
whole process group.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IDelayedCall, IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from txdicom.storescp.log.dump import printable

__all__ = ["LONGEST_OUTPUT", "run"]

#: How many bytes of a command's output are logged, standard output and standard error together.
LONGEST_OUTPUT = 1 << 14
_LONGEST_COMMAND = 1000
_LONGEST_LINE = 1000
#: How many seconds the pipes of a process that has ended may still be open.
_LINGERING = 1.0
#: Begins a session, and with it a process group, by which all processes of a command can be ended.
_SETSID = shutil.which("setsid")

_log = Logger("storescp")


def run(reactor: Any, arguments: Sequence[bytes], standardInput: bytes) -> Deferred[int]:
    """
    Run a command, and log how it ends and what it printed.

    :param arguments: the path of the program, and its arguments.
    :return: its exit status, or the negative number of the signal that ended it; errs with OSError if it cannot be run.
        Cancelling kills it.
    """
    command = _Command(reactor, arguments, standardInput)
    if _SETSID is not None:
        arguments = [os.fsencode(_SETSID), *arguments]
    try:
        reactor.spawnProcess(command, arguments[0], arguments, env=None)
    except (OSError, ValueError) as error:
        # What there is of it must not be seen any more, should the reactor have got as far as pipes.
        _log.error("{command} cannot be run: {error}", command=command.name, error=error)
        return _failed(error)
    return command.outcome


def _failed(error: Exception) -> Deferred[int]:
    outcome: Deferred[int] = Deferred()
    outcome.errback(Failure(error))
    return outcome


class _Command(ProcessProtocol):
    transport: IProcessTransport

    def __init__(self, reactor: Any, arguments: Sequence[bytes], standardInput: bytes) -> None:
        # The arguments are for --debug only: names of files and directories may be made of patients' names.
        self.name = printable(os.fsdecode(arguments[0]), _LONGEST_COMMAND)
        _log.debug("running {command}", command=printable(shlex.join(map(os.fsdecode, arguments)), _LONGEST_COMMAND))
        self.outcome: Deferred[int] = Deferred(self._kill)
        self._reactor = reactor
        self._input = standardInput
        self._output = bytearray()
        self._dropped = 0
        self._lingering: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """The process runs: give it its input."""
        self._began = self._reactor.seconds()
        self.transport.writeToChild(0, self._input)
        self.transport.closeChildFD(0)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """It has printed something."""
        room = LONGEST_OUTPUT - len(self._output)
        self._output += data[:room]
        self._dropped += len(data[room:])

    def processExited(self, reason: Failure) -> None:
        """It has ended: what it printed last may still be in the pipes."""
        self._lingering = self._reactor.callLater(_LINGERING, self.transport.loseConnection)

    def processEnded(self, reason: Failure) -> None:
        """It has ended, and all is closed."""
        if self._lingering is not None and self._lingering.active():
            self._lingering.cancel()
        status = _statusOf(reason)
        how = f"ended with status {status}" if status >= 0 else f"was ended by {_signalName(-status)}"
        seconds = self._reactor.seconds() - self._began
        _log.info(
            "{command} {how} after {seconds:.1f} s{output}",
            command=self.name,
            how=how,
            seconds=seconds,
            output="".join(f"\n    {line}" for line in self._lines()),
        )
        if not self.outcome.called:
            self.outcome.callback(status)

    def _lines(self) -> list[str]:
        text = self._output.decode("utf-8", "replace")
        lines = [printable(line, _LONGEST_LINE) for line in text.splitlines()]
        if self._dropped:
            lines.append(f"... {self._dropped} more bytes")
        return lines

    def _kill(self, _: Deferred[int]) -> None:
        pid = cast("Any", self.transport).pid
        if pid is None:
            return
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            # It has no group of its own, or not yet.
            with suppress(ProcessExitedAlready):
                self.transport.signalProcess("KILL")


def _signalName(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        # Most of the realtime signals have no names.
        return f"signal {number}"


def _statusOf(reason: Failure) -> int:
    error = reason.value
    if not isinstance(error, ProcessTerminated):
        return 0
    return -error.signal if error.signal else int(error.exitCode)
