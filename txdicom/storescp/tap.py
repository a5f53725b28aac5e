"""What twistd loads: the options of storescp, and `makeService`, which builds the receiver from them."""

from __future__ import annotations

import os
import sys

from twisted.application.service import IService
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.storescp.assembly import (
    makeAdmission,
    makeAnnouncer,
    makeConfiguration,
    makeConnectionCreator,
    makeEndpoints,
    makeFileStore,
    makeListener,
    makeObserver,
    makeProviders,
    makeStore,
    raiseDescriptorLimit,
)
from txdicom.storescp.dictionary import DictionaryError, loadDictionaries
from txdicom.storescp.log.output import LogError, LoggedService, makeLogObserver
from txdicom.storescp.options import Options
from txdicom.storescp.service import ReceiverService, StartError
from txdicom.storescp.titles import makeTitles
from txdicom.storescp.tls.settings import TLSError

__all__ = ["Options", "makeService"]

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
        announcer = makeAnnouncer(options, reactor)
        files = None if options["ignore"] else makeFileStore(options, reactor)
        titles = makeTitles(options, reactor, files, announcer)
        creator = makeConnectionCreator(options)
    except (DictionaryError, LogError, TLSError, ValueError, OSError) as error:
        raise StartError(str(error), sys.stderr) from error
    raiseDescriptorLimit()
    clock = IReactorTime(reactor)
    factory = AcceptorFactory(
        makeProviders(options, makeStore(options, files, clock, announcer)),
        makeConfiguration(options),
        clock,
        admit=makeAdmission(options),
        observer=makeObserver(options, clock),
        entities=titles.entities,
    )
    service = ReceiverService(
        reactor,
        makeEndpoints(options),
        factory,
        titles.files,
        options["grace-period"],
        listener=makeListener(factory, creator, clock),
        reload=None if creator is None else creator.reload,
        announcer=titles.announcer,
    )
    return service if log is None else LoggedService(log, service)
