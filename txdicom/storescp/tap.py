"""What twistd loads: the options of storescp, and `makeService`, which builds the receiver from them."""

from __future__ import annotations

import os
import resource
import sys
from typing import Any

from twisted.application.service import IService
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from txdicom.configuration import Configuration
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.dimse.admission import (
    Admission,
    CalledAETitles,
    CallingAETitles,
    Networks,
    firstRefusal,
    refuseAll,
)
from txdicom.interfaces import IStorageSCP
from txdicom.services.storage import StorageService
from txdicom.services.verification import VerificationService
from txdicom.storage.disk import Disk
from txdicom.storage.filestore import DiscardingStore, Duplicates, FileStore
from txdicom.storescp.dictionary import DictionaryError, loadDictionaries
from txdicom.storescp.faults import FaultyStore, longestDelay
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
        files = None if options["ignore"] else makeFileStore(options, reactor)
    except (DictionaryError, OSError) as error:
        raise StartError(str(error), sys.stderr) from error
    raiseDescriptorLimit()
    store = makeStore(options, files, IReactorTime(reactor))
    factory = AcceptorFactory(
        [VerificationService(), StorageService(store)],
        makeConfiguration(options),
        IReactorTime(reactor),
        admit=makeAdmission(options),
        observer=(
            AssociationLog(_log, debug=options["debug"], refusing=options["refuse"]) if options["verbose"] else None
        ),
    )
    descriptions = list(options["endpoints"])
    if options["port"] is not None:
        descriptions.append(f"tcp:{options['port']}:backlog=1024")
    return ReceiverService(reactor, descriptions, factory, files, options["grace-period"])


def makeConfiguration(options: Options) -> Configuration:
    """Gather the bounds and times."""
    # A delay that was asked for is no reason to give a provider up; a store begins and writes in one step.
    longest = max(options["sleep-after"], 2 * options["sleep-during"]) + longestDelay(options["faults"])
    return Configuration(
        maximumPDULength=options["max-pdu"],
        maximumDataSetLength=options["max-object-size"],
        maximumAssociations=options["max-associations"],
        maximumAssociationsPerPeer=options["max-associations-per-peer"],
        artimTimeout=options["acse-timeout"],
        socketTimeout=options["socket-timeout"],
        sendTimeout=options["socket-timeout"] or Configuration().sendTimeout,
        dimseTimeout=options["dimse-timeout"],
        providerTimeout=Configuration().providerTimeout + longest,
    )


def makeAdmission(options: Options) -> Admission:
    """Say who may come in."""
    policies: list[Admission] = []
    if options["refuse"]:
        policies.append(refuseAll)
    if options["networks"]:
        policies.append(Networks(tuple(options["networks"])))
    if options["require-called-aet"]:
        policies.append(CalledAETitles(frozenset({options["aetitle"]})))
    if options["calling-aets"]:
        policies.append(CallingAETitles(frozenset(options["calling-aets"])))
    return firstRefusal(policies)


def makeFileStore(options: Options, reactor: Any) -> FileStore:
    """
    Build the store that keeps files.

    :raises OSError: it cannot work with its directory.
    """
    return FileStore(
        options["output-directory"],
        duplicates=Duplicates(options["duplicates"]),
        minimumFreeSpace=options["min-free-space"],
        fsync=options["fsync"],
        disk=Disk(reactor),
    )


def raiseDescriptorLimit() -> None:
    """Let this process have as many descriptors as it is allowed to: each connection takes one, each file another."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def makeStore(options: Options, files: FileStore | None, clock: IReactorTime) -> IStorageSCP:
    """Build what takes the instances: a store, and around it what the options ask for."""
    store: IStorageSCP = files or DiscardingStore()
    if options["faults"]:
        store = FaultyStore(store, clock, options["faults"])
    if options["verbose"]:
        store = NarratedStore(store, _log, dump=options["debug"])
    if options["sleep-after"] or options["sleep-during"]:
        store = PacedStore(store, clock, during=options["sleep-during"], after=options["sleep-after"])
    return store
