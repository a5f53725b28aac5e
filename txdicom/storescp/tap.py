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
    makeConfiguration,
    makeEndpoints,
    makeFileStore,
    makeObserver,
    makeProviders,
    makeStore,
    raiseDescriptorLimit,
)
from txdicom.storescp.dictionary import DictionaryError, loadDictionaries
from txdicom.storescp.options import Options
from txdicom.storescp.service import ReceiverService, StartError

__all__ = ["Options", "makeService"]

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
    except (DictionaryError, OSError) as error:
        raise StartError(str(error), sys.stderr) from error
    raiseDescriptorLimit()
    clock = IReactorTime(reactor)
    factory = AcceptorFactory(
        makeProviders(options, makeStore(options, files, clock)),
        makeConfiguration(options),
        clock,
        admit=makeAdmission(options),
        observer=makeObserver(options),
    )
    return ReceiverService(reactor, makeEndpoints(options), factory, files, options["grace-period"])
