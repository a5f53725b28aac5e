"""The receiver as a service of twisted.application: `ReceiverService`, and what listens in it, `ListeningService`."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Any, TextIO

from twisted.application.service import MultiService
from twisted.application.strports import service as listeningService
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProtocolFactory
from twisted.logger import Logger

from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.errors import DICOMError
from txdicom.storage.filestore import FileStore
from txdicom.storage.filestores import FileStores
from txdicom.storescp.hooks.announcer import Announcer
from txdicom.storescp.hooks.announcers import Announcers

__all__ = ["ListeningService", "ReceiverService", "StartError", "hurried"]

#: How many seconds peers have at the very end to hear that their association was aborted, and to close.
_PATIENCE = 1.0
_STDIN = 0

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


class ListeningService(MultiService):
    """
    Listens on endpoints, and complains in one sentence if that is not possible.

    :param reactor: what endpoints listen by.
    :param descriptions: endpoint strings (`twisted.internet.endpoints.serverFromString`).
    :param factory: builds the protocols of connections.
    :param files: the store to open before anything comes, if it is one that has to be; or several.
    :param reload: called when the process gets SIGHUP; None if nothing comes of that.
    """

    def __init__(
        self,
        reactor: Any,
        descriptions: Sequence[str],
        factory: IProtocolFactory,
        files: FileStore | FileStores | None = None,
        reload: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        self._files = files
        self._reactor = reactor
        self._reload = reload
        self._beforeHangup: Any = None
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
            raise _failed(_sentence(error)) from error

    def startService(self) -> None:
        """
        Open the store, and listen, where `privilegedStartService` has not been called.

        :raises StartError: it cannot.
        """
        try:
            if self._files is not None:
                self._files.open()
        except OSError as error:
            raise _failed(f"the output directory cannot be used: {error.strerror or error}") from error
        try:
            super().startService()
        except (CannotListenError, OSError) as error:
            if self._files is not None:
                self._files.close()
            raise _failed(_sentence(error)) from error
        # Without anything to read again it is still not to end a receiver, unless it is one whose terminal is gone.
        isWanted = self._reload is not None or not os.isatty(_STDIN)
        if isWanted and _inMainThread():
            self._beforeHangup = signal.signal(signal.SIGHUP, self._hungUp)

    async def _stopListening(self) -> None:
        await super().stopService()
        if self._beforeHangup is not None and _inMainThread():
            signal.signal(signal.SIGHUP, self._beforeHangup)

    def _hungUp(self, number: int, frame: FrameType | None) -> None:
        self._reactor.callFromThread(self._reload or _nothingToReload)


class ReceiverService(ListeningService):
    """
    Listens on endpoints, and lets messages finish when it stops.

    :param descriptions: endpoint strings (`twisted.internet.endpoints.serverFromString`).
    :param files: the store to close at the end, if it is one that has to be; or several.
    :param grace: how many seconds messages may take to finish when the service stops, and then commands and plugins.
    :param listener: what serves the connections; by itself the factory, and else something around it.
    :param reload: called when the process gets SIGHUP; None if nothing comes of that.
    :param announcer: tells commands and plugins of what is received, and in the end of what they have not heard yet.
    """

    def __init__(
        self,
        reactor: Any,
        descriptions: Sequence[str],
        factory: AcceptorFactory,
        files: FileStore | FileStores | None = None,
        grace: float = 10.0,
        listener: IProtocolFactory | None = None,
        reload: Callable[[], None] | None = None,
        announcer: Announcer | Announcers | None = None,
    ) -> None:
        super().__init__(reactor, descriptions, listener or factory, files, reload)
        self._announcer = announcer
        self._factory = factory
        self._grace = grace

    async def _stop(self) -> None:
        with self._hurried():
            await self._factory.drain(self._grace)
            await self._stopListening()
            await self._factory.disconnect(_PATIENCE)
            if self._announcer is not None:
                await self._announcer.stop(self._grace)
            if self._files is not None:
                await self._files.close()

    def _giveUp(self) -> None:
        self._factory.abortAll()
        if self._announcer is not None:
            self._announcer.abandon()

    def stopService(self) -> Deferred[Any]:
        """
        Stop: refuse new associations, end idle ones, let messages finish within the grace period, then listen no more.

        Then studies are taken for ended, and commands and plugins get as much time for what they have not done. A
        further SIGTERM or SIGINT meanwhile ends either period.
        """
        return Deferred.fromCoroutine(self._stop())

    def _hurried(self) -> AbstractContextManager[None]:
        return hurried(self._reactor, self._giveUp)


@contextmanager
def hurried(reactor: Any, hurry: Callable[[], None]) -> Iterator[None]:
    """
    While this lasts, SIGTERM or SIGINT does not ask to stop, which we do, but to be quick about it.

    :param hurry: called, by the reactor, for every such signal.
    """

    def onSignal(number: int, frame: FrameType | None) -> None:
        reactor.callFromThread(hurry)

    if not _inMainThread():
        yield
        return
    before = {number: signal.signal(number, onSignal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _nothingToReload() -> None:
    _log.info("SIGHUP changes nothing without TLS")


def _inMainThread() -> bool:
    # Signals cannot be had in any other.
    return threading.current_thread() is threading.main_thread()


def _failed(sentence: str) -> StartError:
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
