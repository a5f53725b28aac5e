"""The receiver as a service of twisted.application: `ReceiverService`."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from twisted.application.service import MultiService
from twisted.application.strports import service as listeningService
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.errors import DICOMError

__all__ = ["ReceiverService", "StartError"]

_log = Logger("storescp")


class StartError(DICOMError, SystemExit):
    """
    The receiver cannot start.

    Being a SystemExit it ends the program with status 1 and without a traceback; being an Exception as well, twistd
    removes its PID file and tells the process that waits for a daemon.

    :param sentence: what is wrong; it is written at once, for twistd has standard error go to the log later.
    :param output: where to.
    """

    def __init__(self, sentence: str, output: TextIO | None) -> None:
        super().__init__(sentence)
        self.code = 1
        if output is not None:
            output.write(f"storescp: {sentence}\n")
            output.flush()


class ReceiverService(MultiService):
    """
    Listens on endpoints, and aborts what is left of the associations when it stops.

    :param descriptions: endpoint strings (`twisted.internet.endpoints.serverFromString`).
    """

    def __init__(self, reactor: Any, descriptions: Sequence[str], factory: AcceptorFactory) -> None:
        super().__init__()
        self._factory = factory
        for description in descriptions:
            try:
                listening = listeningService(description, factory, reactor)
            except Exception as error:
                # Endpoints are plugins, and each complains of its parameters, its files or its imports in its own way.
                reason = str(error) or type(error).__name__
                raise StartError(f"endpoint {description!r} is not usable: {reason}", sys.stderr) from error
            listening.setServiceParent(self)

    def privilegedStartService(self) -> None:
        """
        Listen, while the process still may on low ports.

        :raises StartError: it cannot listen.
        """
        try:
            super().privilegedStartService()
        except (CannotListenError, OSError) as error:
            raise _failed(error) from error

    def startService(self) -> None:
        """
        Listen, where `privilegedStartService` has not been called.

        :raises StartError: it cannot listen.
        """
        try:
            super().startService()
        except (CannotListenError, OSError) as error:
            raise _failed(error) from error

    def stopService(self) -> Deferred[Any]:
        """Listen no more and abort the associations there are; what they have not finished leaves nothing behind."""
        stopped: Deferred[Any] = super().stopService()
        for association in list(self._factory.associations):
            association.abort()
        return stopped


def _failed(error: CannotListenError | OSError) -> StartError:
    sentence = _sentence(error)
    # For a daemon, which has no standard error any more: twistd refers to the log.
    _log.error("{sentence}", sentence=sentence)
    return StartError(sentence, sys.__stderr__)


def _sentence(error: CannotListenError | OSError) -> str:
    if not isinstance(error, CannotListenError):
        where = os.fsdecode(error.filename2 or error.filename or "the endpoint")
        return f"cannot listen on {where}: {error.strerror or error}"
    # The port of a UNIX endpoint is its path.
    where = f"port {error.port}" if isinstance(error.port, int) else os.fsdecode(error.port)
    reason = error.socketError
    number = reason.errno if isinstance(reason, OSError) else None
    if number == errno.EACCES:
        return f"cannot listen on {where}, insufficient privileges"
    if number == errno.EADDRINUSE:
        return f"cannot listen on {where}, it is in use"
    return f"cannot listen on {where}: {getattr(reason, 'strerror', None) or reason}"
