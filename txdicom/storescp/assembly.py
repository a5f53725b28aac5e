"""The parts of the receiver, each built from the options that are about it; `txdicom.storescp.tap` joins them."""

from __future__ import annotations

import resource
from collections.abc import Mapping
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from txdicom.configuration import Configuration
from txdicom.dimse.admission import (
    Admission,
    CalledAETitles,
    CallingAETitles,
    Networks,
    firstRefusal,
    refuseAll,
)
from txdicom.dimse.observers import Observers
from txdicom.interfaces import IAssociationObserver, IServiceProvider, IStorageSCP
from txdicom.services.storage import StorageService
from txdicom.services.verification import VerificationService
from txdicom.storage.disk import Disk
from txdicom.storage.filestore import DiscardingStore, Duplicates, FileStore
from txdicom.storescp.faults import FaultyStore, longestDelay
from txdicom.storescp.log.narration import AssociationLog, NarratedStore
from txdicom.storescp.log.summary import AssociationSummaries
from txdicom.storescp.pacing import PacedStore
from txdicom.uids import FILE_PREFIXES, OTHER_STORAGE_SOP_CLASSES, STORAGE_SOP_CLASSES, VERIFICATION

__all__ = [
    "makeAdmission",
    "makeConfiguration",
    "makeEndpoints",
    "makeFileStore",
    "makeObserver",
    "makeProviders",
    "makeStore",
    "raiseDescriptorLimit",
]

_log = Logger("storescp")


def makeEndpoints(options: Mapping[str, Any]) -> list[str]:
    """Say where to listen, in Twisted's notation."""
    descriptions = list(options["endpoints"])
    if options["port"] is not None:
        descriptions.append(f"tcp:{options['port']}:backlog=1024")
    return descriptions


def makeProviders(options: Mapping[str, Any], store: IStorageSCP) -> list[IServiceProvider]:
    """Say which services there are."""
    contexts = options["presentation-contexts"]
    if contexts is not None:
        providers: list[IServiceProvider] = []
        storing = dict(contexts)
        if VERIFICATION in storing:
            providers.append(VerificationService(transferSyntaxes=storing.pop(VERIFICATION)))
        return [*providers, StorageService(store, storing)]
    transferSyntaxes = options["transfer-syntaxes"]
    return [
        VerificationService(transferSyntaxes=transferSyntaxes),
        StorageService(store, _sopClasses(options), transferSyntaxes),
    ]


def _sopClasses(options: Mapping[str, Any]) -> tuple[str, ...]:
    if options["promiscuous"]:
        return (OTHER_STORAGE_SOP_CLASSES,)
    return tuple(FILE_PREFIXES) if options["all-storage-classes"] else STORAGE_SOP_CLASSES


def makeObserver(options: Mapping[str, Any], clock: IReactorTime) -> IAssociationObserver | None:
    """Build what tells of associations, if it is wanted."""
    observers: list[IAssociationObserver] = []
    if options["verbose"]:
        refusing, contexts = options["refuse"], options["verbose-pc"]
        observers.append(AssociationLog(_log, options["debug"], refusing, contexts))
    if options["log-json"]:
        observers.append(AssociationSummaries(_log, clock))
    return Observers(observers) if observers else None


def makeConfiguration(options: Mapping[str, Any]) -> Configuration:
    """Gather the bounds and times."""
    # A delay that was asked for is no reason to give a provider up; a store begins and writes in one step.
    longest = max(map(_longestDelay, (options, *options["titles"].values())))
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


def _longestDelay(options: Mapping[str, Any]) -> float:
    return float(max(options["sleep-after"], 2 * options["sleep-during"]) + longestDelay(options["faults"]))


def makeAdmission(options: Mapping[str, Any]) -> Admission:
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


def makeFileStore(options: Mapping[str, Any], reactor: Any) -> FileStore:
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


def makeStore(options: Mapping[str, Any], files: FileStore | None, clock: IReactorTime) -> IStorageSCP:
    """Build what takes the instances: a store, and around it what the options ask for."""
    store: IStorageSCP = files or DiscardingStore()
    if options["faults"]:
        store = FaultyStore(store, clock, options["faults"])
    if options["verbose"]:
        store = NarratedStore(store, _log, dump=options["debug"])
    if options["sleep-after"] or options["sleep-during"]:
        store = PacedStore(store, clock, during=options["sleep-during"], after=options["sleep-after"])
    return store
