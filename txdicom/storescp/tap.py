"""What twistd loads: the options of storescp, and `makeService`, which builds the receiver from them."""

from __future__ import annotations

import os
import sys

from twisted.application.service import IService
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from txdicom.configuration import Configuration
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.interfaces import IStorageSCP
from txdicom.services.storage import StorageService
from txdicom.services.verification import VerificationService
from txdicom.storage.filestore import DiscardingStore, FileStore
from txdicom.storescp.admission import refuseAll
from txdicom.storescp.dictionary import DictionaryError, loadDictionaries
from txdicom.storescp.narration import AssociationLog, NarratedStore
from txdicom.storescp.options import Options
from txdicom.storescp.pacing import PacedStore
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
        store = makeStore(options, IReactorTime(reactor))
    except (DictionaryError, OSError) as error:
        raise StartError(str(error), sys.stderr) from error
    factory = AcceptorFactory(
        [VerificationService(), StorageService(store)],
        Configuration(
            maximumPDULength=options["max-pdu"],
            artimTimeout=options["acse-timeout"],
            # A sleep that was asked for is no reason to give a provider up; a store begins and writes in one step.
            providerTimeout=Configuration().providerTimeout + max(options["sleep-after"], 2 * options["sleep-during"]),
        ),
        IReactorTime(reactor),
        admit=refuseAll if options["refuse"] else None,
        observer=(
            AssociationLog(_log, debug=options["debug"], refusing=options["refuse"]) if options["verbose"] else None
        ),
    )
    descriptions = list(options["endpoints"])
    if options["port"] is not None:
        descriptions.append(f"tcp:{options['port']}:backlog=1024")
    return ReceiverService(reactor, descriptions, factory)


def makeStore(options: Options, clock: IReactorTime) -> IStorageSCP:
    """Build what takes the instances: a store, and around it what the options ask for."""
    store: IStorageSCP = DiscardingStore() if options["ignore"] else FileStore(options["output-directory"])
    if options["verbose"]:
        store = NarratedStore(store, _log, dump=options["debug"])
    if options["sleep-after"] or options["sleep-during"]:
        store = PacedStore(store, clock, during=options["sleep-during"], after=options["sleep-after"])
    return store
