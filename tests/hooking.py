"""
What the tests of hooks share: events, a plugin that notes what it is told, and a reactor that runs no processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.headvectors import EXPLICIT_LITTLE, element
from tests.scripted import CT, INSTANCE, dataSet, padded, performed, storeRQ
from txdicom.interfaces import IReceiverPlugin
from txdicom.services.storage import ReceivedInstance
from txdicom.storescp.hooks.events import SERIES_INSTANCE_UID, STUDY_INSTANCE_UID, InstanceStored, StudyEnded

STUDY, OTHER_STUDY, SERIES = "1.2.3", "1.2.4", "1.2.3.1"


def stored(
    path: str | None = "/in/CT.1", study: str = STUDY, series: str = SERIES, uid: str = INSTANCE, size: int = 10
) -> InstanceStored:
    """Build the event of an instance."""
    attributes = {STUDY_INSTANCE_UID: padded(study), SERIES_INSTANCE_UID: padded(series)}
    instance = ReceivedInstance(CT, uid, EXPLICIT_LITTLE, storeRQ(sopInstance=uid), attributes)
    return InstanceStored(instance, path, size, "CALLING", "CALLED", "10.0.0.1")


def ended(*files: str, study: str = STUDY) -> StudyEnded:
    """Build the event of a study."""
    return StudyEnded(study, "/in", files, len(files), 10 * len(files), 1, "CALLING", "CALLED", "10.0.0.1")


def ofStudy(uid: str = INSTANCE, study: str = STUDY, series: str = SERIES) -> bytes:
    """Encode a data set that tells of its study and series."""
    rest = b"".join(
        element(EXPLICIT_LITTLE, tag, b"UI", padded(value))
        for tag, value in ((STUDY_INSTANCE_UID, study), (SERIES_INSTANCE_UID, series))
        if value
    )
    return dataSet(sopInstance=uid, rest=rest + element(EXPLICIT_LITTLE, 0x00200013, b"IS", b"1 "))


@implementer(IReceiverPlugin)
class RecordingPlugin:
    """
    Notes what it is told.

    :param results: of its methods, one after the other; None when there are none left.
    :ivar events: what it was told.
    """

    def __init__(self, *results: Any) -> None:
        self.events: list[InstanceStored | StudyEnded] = []
        self._results = list(results)

    def instanceStored(self, event: InstanceStored) -> Any:
        """Note it."""
        return self._told(event)

    def studyEnded(self, event: StudyEnded) -> Any:
        """Note it."""
        return self._told(event)

    @property
    def told(self) -> list[str]:
        """The events as text."""
        return [str(event) for event in self.events]

    def _told(self, event: InstanceStored | StudyEnded) -> Any:
        self.events.append(event)
        return performed(self._results.pop(0)) if self._results else None

    def __repr__(self) -> str:
        return "the recorder"


@implementer(IProcessTransport)
class FakeProcess:
    """
    A process that a test plays.

    :ivar arguments: what it was started with.
    :ivar input: what it was given on standard input; None when that has not been closed yet.
    :ivar signals: what it was sent by itself, not by way of its group.
    """

    #: No process or group of the system can have it.
    pid: int | None = 1 << 30
    status = None

    def __init__(self, protocol: Any, arguments: Sequence[bytes]) -> None:
        self.protocol = protocol
        self.arguments = [argument.decode() for argument in arguments]
        self._written = b""
        self.input: bytes | None = None
        self.signals: list[str | int] = []
        self.connected = True
        protocol.makeConnection(self)

    def exit(self, status: int = 0, closed: bool = True, signal: int | None = None) -> None:
        """End it; whether all that might hold its pipes has ended as well."""
        self.pid = None
        reason = ProcessTerminated(status or None, signal) if status or signal else ProcessDone(0)
        self._reason = Failure(reason)
        self.protocol.processExited(self._reason)
        if closed:
            self.loseConnection()

    def writeToChild(self, childFD: int, data: bytes) -> None:
        """Give it input."""
        self._written += data

    def closeChildFD(self, descriptor: int) -> None:
        """End its input."""
        self.input = self._written

    def signalProcess(self, signalID: str | int) -> None:
        """Send it a signal."""
        if self.pid is None:
            raise ProcessExitedAlready
        self.signals.append(signalID)

    def loseConnection(self) -> None:
        """Close all pipes."""
        if self.connected:
            self.connected = False
            self.protocol.processEnded(self._reason)

    # The rest of the interface; nothing of ours uses it.

    def write(self, data: bytes) -> None:
        """Give it input."""
        self.writeToChild(0, data)

    def writeSequence(self, data: Any) -> None:
        """Give it input."""
        self.writeToChild(0, b"".join(data))

    def closeStdin(self) -> None:
        """End its input."""
        self.closeChildFD(0)

    def closeStdout(self) -> None:
        """Close a pipe."""

    def closeStderr(self) -> None:
        """Close a pipe."""

    def getPeer(self) -> Any:
        """Nobody."""

    def getHost(self) -> Any:
        """Nobody."""


class ProcessClock(Clock):
    """
    A clock that starts processes as well.

    :ivar processes: those that were started.
    :ivar failure: what starting one fails with.
    """

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[FakeProcess] = []
        self.failure: Exception | None = None

    def spawnProcess(self, protocol: Any, executable: bytes, args: Sequence[bytes], env: Any) -> FakeProcess:
        """Start one."""
        if self.failure is not None:
            raise self.failure
        assert executable == args[0], executable
        assert env is None, env
        self.processes.append(FakeProcess(protocol, args))
        return self.processes[-1]


def waiting(count: int) -> list[Deferred[Any]]:
    """Make some results that are not there yet."""
    return [Deferred() for _ in range(count)]
