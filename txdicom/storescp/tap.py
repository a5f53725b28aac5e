"""
What twistd loads: the options of storescp, and `makeService`, which builds the receiver from them.

With ``--workers`` it builds the parent instead, which starts processes that call `runWorker`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from twisted.application.service import IService
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger, LogPublisher

from txdicom.storescp.assembly import (
    makeAnswers,
    makeConnectionCreator,
    makeEndpoints,
    makeFactory,
    makeFileStore,
    makeListener,
    raiseDescriptorLimit,
)
from txdicom.storescp.dictionary import DictionaryError, loadDictionaries
from txdicom.storescp.options import Options
from txdicom.storescp.service import ReceiverService, StartError
from txdicom.storescp.tls.settings import TLSError

__all__ = ["Options", "makeService", "runWorker"]

_log = Logger("storescp")


def makeService(options: Options) -> IService:
    """
    Build the receiver.

    :raises StartError: it cannot start; standard error says why.
    """
    from twisted.internet import reactor

    try:
        loadDictionaries(os.environ.get("DCMDICTPATH"), _log)
        files = None if options["ignore"] else makeFileStore(options, reactor)
        creator = makeConnectionCreator(options)
    except (DictionaryError, TLSError, OSError) as error:
        raise StartError(str(error), sys.stderr) from error
    raiseDescriptorLimit()
    clock = IReactorTime(reactor)
    factory = makeFactory(options, files, clock)
    endpoints, grace = makeEndpoints(options), options["grace-period"]
    reload = None if creator is None else creator.reload
    if options["workers"] == 1:
        return ReceiverService(reactor, endpoints, factory, files, grace, makeListener(factory, creator, clock), reload)
    # Imported this late because one process needs nothing of it.
    from txdicom.storescp.workers.parent import WorkersService

    return WorkersService(
        *(reactor, endpoints, factory, files, options, os.getcwd(), options.arguments, makeAnswers(options), _spawn),
        reloads=creator is not None,
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
    options.parseOptions(worker.order.arguments)
    # The parent has told what is wrong with them.
    loadDictionaries(os.environ.get("DCMDICTPATH"), Logger("storescp", observer=LogPublisher()))
    files = None if options["ignore"] else makeFileStore(options, reactor)
    creator = makeConnectionCreator(options)
    factory = makeFactory(options, files, IReactorTime(reactor), worker.share)
    listener = makeListener(factory, creator, IReactorTime(reactor))
    reload = None if creator is None else creator.reload
    worker.run(makeEndpoints(options), factory, files, options["grace-period"], listener, reload)
