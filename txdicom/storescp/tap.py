"""
What twistd loads: the options of storescp, and `makeService`, which builds the receiver from them.

With ``--workers`` it builds the parent instead, which starts processes that call `runWorker`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.application.service import IService
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger, LogPublisher
from twisted.python.usage import UsageError

from txdicom.storescp.assembly import (
    makeConnectionCreator,
    makeEndpoints,
    makeFactory,
    makeListener,
    raiseDescriptorLimit,
)
from txdicom.storescp.dictionary import DictionaryError, loadDictionaries
from txdicom.storescp.log.output import LogError, LoggedService, makeLogObserver
from txdicom.storescp.options import Options
from txdicom.storescp.service import ReceiverService, StartError
from txdicom.storescp.titles import Titles, makeAnswers, makeTitles
from txdicom.tls.settings import TLSError

if TYPE_CHECKING:
    from txdicom.tls.connection import ConnectionCreator

__all__ = ["Options", "makeService", "runWorker"]

_log = Logger("storescp")


def makeService(options: Options) -> IService:
    """
    Build the receiver.

    :raises StartError: it cannot start; standard error says why.
    """
    from twisted.internet import reactor

    try:
        log = makeLogObserver(options["log-level"], options["log-json"], options.parent, reactor)
        loadDictionaries(os.environ.get("DCMDICTPATH"), _log)
        titles = makeTitles(options, reactor)
        creator = makeConnectionCreator(options)
    except (DictionaryError, LogError, TLSError, ValueError, OSError) as error:
        raise StartError(str(error), sys.stderr) from error
    raiseDescriptorLimit()
    make = _makeReceiver if options["workers"] == 1 else _makeParent
    service = make(options, reactor, titles, creator)
    return service if log is None else LoggedService(log, service)


def _makeReceiver(options: Options, reactor: Any, titles: Titles, creator: ConnectionCreator | None) -> IService:
    clock = IReactorTime(reactor)
    factory = makeFactory(options, titles.parts[""].providers, titles.entities, clock)
    return ReceiverService(
        reactor,
        makeEndpoints(options),
        factory,
        titles.files,
        options["grace-period"],
        listener=makeListener(factory, creator, clock),
        reload=None if creator is None else creator.reload,
        announcer=titles.announcer,
    )


def _makeParent(options: Options, reactor: Any, titles: Titles, creator: ConnectionCreator | None) -> IService:
    # Imported this late because one process needs nothing of it.
    from txdicom.storescp.workers.parent import WorkersService

    return WorkersService(
        reactor,
        makeEndpoints(options),
        titles.files,
        options,
        os.getcwd(),
        options.arguments,
        makeAnswers(options, titles),
        _spawn,
        prepareTLS=None if creator is None else partial(makeConnectionCreator, options),
        announcer=titles.announcer,
    )


def _spawn(protocol: ProcessProtocol, number: int, descriptors: Mapping[int, Any]) -> Any:
    """Start a worker that finds the same modules as this process; its number is for those who look at processes."""
    from twisted.internet import reactor

    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    return reactor.spawnProcess(
        protocol,
        sys.executable,
        [sys.executable, "-P", "-m", "txdicom.storescp.workers", str(number)],
        {**os.environ, "PYTHONPATH": path},
        childFDs=descriptors,
    )


def runWorker() -> None:
    """
    Be a worker: `txdicom.storescp.workers.__main__` is this.

    :raises StartError: it cannot start; standard error says why.
    """
    from twisted.internet import reactor

    from txdicom.storescp.workers.worker import Worker

    worker = Worker(reactor)
    options = Options()
    try:
        options.parseOptions(worker.order.arguments)
        # The parent has told what is wrong with them.
        loadDictionaries(os.environ.get("DCMDICTPATH"), Logger("storescp", observer=LogPublisher()))
        titles = makeTitles(options, reactor, worker.share)
        creator = makeConnectionCreator(options)
    except (UsageError, DictionaryError, TLSError, ValueError, OSError) as error:
        # It was all right for the parent, but that was somebody else, or before.
        raise StartError(str(error), sys.stderr) from error
    clock = IReactorTime(reactor)
    factory = makeFactory(options, titles.parts[""].providers, titles.entities, clock, worker.share)
    listener = makeListener(factory, creator, clock)
    reload = None if creator is None else creator.reload
    worker.run(makeEndpoints(options), factory, titles.files, options["grace-period"], listener, reload)
