"""
Where the log goes, if twistd's own way to write it will not do: `makeLogObserver` and `LoggedService`.

twistd writes text, and whatever is logged. ``--log-json`` and ``--quiet`` need another observer, which takes the place
of twistd's by the means that Twisted has for that: a component of the application. It writes where twistd would.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    textFileLogObserver,
)
from twisted.python.components import Componentized
from twisted.python.logfile import LogFile

from txdicom.errors import DICOMError
from txdicom.storescp.log.jsonlines import JSONLines

__all__ = ["LogError", "LoggedService", "makeLogObserver"]

#: The levels at which less is written than is logged, and the least that is.
_THRESHOLDS = {"fatal": LogLevel.critical, "error": LogLevel.error}


class LogError(DICOMError):
    """The log cannot be written as it was asked for; says why, in one sentence."""


def makeLogObserver(level: str, asJSON: bool, twistd: Mapping[str, Any] | None, reactor: Any) -> ILogObserver | None:
    """
    Build what writes the log.

    :param level: one of DCMTK's levels.
    :param asJSON: whether to write JSON lines in the place of text.
    :param twistd: the options of twistd; None where something else runs the program.
    :param reactor: a file is rotated on it when SIGUSR1 comes, as twistd does.
    :return: None if twistd's own observer will do.
    :raises LogError: it cannot be done here.
    :raises OSError: the log file cannot be opened.
    """
    if not asJSON and level not in _THRESHOLDS:
        return None
    asked = "--log-json" if asJSON else f"--log-level {level}"
    if twistd is None or "nodaemon" not in twistd:
        raise LogError(f"{asked} needs twistd; what else runs a service has options of its own for its log")
    for other in ("logger", "syslog"):
        if twistd.get(other):
            raise LogError(f"{asked} cannot be given with twistd's --{other}")
    output = _open(twistd.get("logfile"), bool(twistd["nodaemon"]), reactor)
    observer: ILogObserver = JSONLines(output) if asJSON else textFileLogObserver(output)
    if level in _THRESHOLDS:
        observer = FilteringLogObserver(observer, [LogLevelFilterPredicate(defaultLogLevel=_THRESHOLDS[level])])
    return observer


def _open(name: str | None, inForeground: bool, reactor: Any) -> Any:
    """Open what twistd would write to."""
    if name == "-" and not inForeground:
        raise LogError("a daemon cannot log to standard output")
    if name == "-" or (not name and inForeground):
        return sys.stdout
    file = LogFile.fromFullPath(name or "twistd.log")
    if not signal.getsignal(signal.SIGUSR1):

        def rotate(number: int, frame: FrameType | None) -> None:
            reactor.callFromThread(file.rotate)

        signal.signal(signal.SIGUSR1, rotate)
    return file


class LoggedService(MultiService):
    """
    A service whose application logs to an observer of its own.

    :param observer: takes the place of the one that twistd would make.
    :param service: does the work.
    """

    def __init__(self, observer: ILogObserver, service: IService) -> None:
        super().__init__()
        self._observer = observer
        service.setServiceParent(self)

    def setServiceParent(self, parent: Any) -> None:
        """Become part of an application, and say where it logs to."""
        if isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._observer)
        super().setServiceParent(parent)
