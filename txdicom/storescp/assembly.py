"""The parts of the receiver, each built from the options that are about it; `txdicom.storescp.tap` joins them."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING, Any

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
from txdicom.interfaces import IAssociationObserver, IServiceProvider, IStorageSCP
from txdicom.services.storage import StorageService
from txdicom.services.verification import VerificationService
from txdicom.storage.disk import Disk
from txdicom.storage.filestore import DiscardingStore, Duplicates, FileStore
from txdicom.storescp.faults import FaultPlan, FaultyStore, longestDelay
from txdicom.storescp.narration import AssociationLog, NarratedStore
from txdicom.storescp.options import Options
from txdicom.storescp.pacing import PacedStore
from txdicom.uids import FILE_PREFIXES, OTHER_STORAGE_SOP_CLASSES, STORAGE_SOP_CLASSES

if TYPE_CHECKING:
    from txdicom.storescp.workers.channel import Answer
    from txdicom.storescp.workers.share import Share

__all__ = [
    "makeAdmission",
    "makeAnswers",
    "makeConfiguration",
    "makeEndpoints",
    "makeFactory",
    "makeFileStore",
    "makeObserver",
    "makeProviders",
    "makeStore",
    "raiseDescriptorLimit",
]

_log = Logger("storescp")


def makeEndpoints(options: Options) -> list[str]:
    """Say where to listen, in Twisted's notation."""
    descriptions = list(options["endpoints"])
    if options["port"] is not None:
        descriptions.append(f"tcp:{options['port']}:backlog=1024")
    return descriptions


def makeFactory(
    options: Options, files: FileStore | None, clock: IReactorTime, share: Share | None = None
) -> AcceptorFactory:
    """
    Build what accepts associations and answers their requests.

    :param share: what the receiver has in common with others, if it is one of several workers.
    """
    configuration = makeConfiguration(options)
    admission = makeAdmission(options)
    observer: IAssociationObserver | None = makeObserver(options)
    if share is not None:
        admission = share.admission(admission, configuration)
        observer = share.observer(observer)
        configuration = share.configuration(configuration)
    providers = makeProviders(options, makeStore(options, files, clock, share))
    return AcceptorFactory(providers, configuration, clock, admit=admission, observer=observer)


def makeAnswers(options: Options) -> dict[str, Answer]:
    """Say who answers what workers ask their parent: by the subject, what is decided in one place for all of them."""
    return {"fault": FaultPlan(options["faults"]).draw}


def makeProviders(options: Options, store: IStorageSCP) -> list[IServiceProvider]:
    """Say which services there are."""
    transferSyntaxes = options["transfer-syntaxes"]
    return [
        VerificationService(transferSyntaxes=transferSyntaxes),
        StorageService(store, _sopClasses(options), transferSyntaxes),
    ]


def _sopClasses(options: Options) -> tuple[str, ...]:
    if options["promiscuous"]:
        return (OTHER_STORAGE_SOP_CLASSES,)
    return tuple(FILE_PREFIXES) if options["all-storage-classes"] else STORAGE_SOP_CLASSES


def makeObserver(options: Options) -> AssociationLog | None:
    """Build what tells of associations, if it is wanted."""
    if not options["verbose"]:
        return None
    return AssociationLog(_log, debug=options["debug"], refusing=options["refuse"])


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


def makeStore(
    options: Options, files: FileStore | None, clock: IReactorTime, share: Share | None = None
) -> IStorageSCP:
    """Build what takes the instances: a store, and around it what the options ask for."""
    store: IStorageSCP = files or DiscardingStore()
    if options["faults"]:
        store = FaultyStore(store, clock, options["faults"], None if share is None else share.drawFault)
    if options["verbose"]:
        store = NarratedStore(store, _log, dump=options["debug"])
    if options["sleep-after"] or options["sleep-during"]:
        store = PacedStore(store, clock, during=options["sleep-during"], after=options["sleep-after"])
    return store
