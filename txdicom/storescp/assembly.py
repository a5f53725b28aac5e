"""The parts of the receiver, each built from the options that are about it; `txdicom.storescp.tap` joins them."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IProtocolFactory, IReactorTime
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
    refuseUnidentified,
)
from txdicom.dimse.entity import ApplicationEntity
from txdicom.dimse.observers import Observers
from txdicom.interfaces import IAnnouncer, IAssociationObserver, IServiceProvider, IStorageSCP
from txdicom.services.storage import StorageService
from txdicom.services.verification import VerificationService
from txdicom.storage.disk import Disk
from txdicom.storage.filestore import DiscardingStore, FileStore
from txdicom.storage.naming import Naming
from txdicom.storescp.faults.plan import longestDelay
from txdicom.storescp.faults.store import FaultyStore
from txdicom.storescp.files import makeDuplicates, makeForm
from txdicom.storescp.hooks.announcer import Announcer
from txdicom.storescp.hooks.command import CommandPlugin
from txdicom.storescp.hooks.locks import FileLocks
from txdicom.storescp.hooks.plugins import loadPlugin
from txdicom.storescp.hooks.renaming import renameFiles
from txdicom.storescp.hooks.store import HookedStore
from txdicom.storescp.log.narration import AssociationLog, NarratedStore
from txdicom.storescp.log.summary import AssociationSummaries
from txdicom.storescp.pacing import PacedStore
from txdicom.tls.settings import RevocationCheck, TLSError, TLSSettings, readPassword
from txdicom.uids import FILE_PREFIXES, OTHER_STORAGE_SOP_CLASSES, STORAGE_SOP_CLASSES, VERIFICATION
from txdicom.upperlayer.parser import MOST_FRAGMENTS

if TYPE_CHECKING:
    from txdicom.storescp.workers.share import Questions, Share
    from txdicom.tls.connection import ConnectionCreator

__all__ = [
    "hasHooks",
    "makeAdmission",
    "makeAnnouncer",
    "makeConfiguration",
    "makeConnectionCreator",
    "makeEndpoints",
    "makeFactory",
    "makeFileStore",
    "makeListener",
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


def makeFactory(
    options: Mapping[str, Any],
    providers: Iterable[IServiceProvider],
    entities: Mapping[str, ApplicationEntity],
    clock: IReactorTime,
    share: Share | None = None,
) -> AcceptorFactory:
    """
    Build what accepts associations and answers their requests.

    :param providers: what there is for all AE titles that are not among the entities.
    :param share: what the receiver has in common with others, if it is one of several workers.
    """
    configuration = makeConfiguration(options)
    admission = makeAdmission(options)
    observer = makeObserver(options, clock)
    if share is not None:
        admission = share.admission(admission, configuration)
        observer = share.observer(observer)
        configuration = share.configuration(configuration)
    return AcceptorFactory(providers, configuration, clock, admit=admission, observer=observer, entities=entities)


def makeProviders(
    options: Mapping[str, Any], store: IStorageSCP, wanted: frozenset[int] = frozenset()
) -> list[IServiceProvider]:
    """
    Say which services there are.

    :param wanted: the tags of elements of data sets that the store needs.
    """
    contexts = options["presentation-contexts"]
    if contexts is not None:
        providers: list[IServiceProvider] = []
        storing = dict(contexts)
        if VERIFICATION in storing:
            providers.append(VerificationService(transferSyntaxes=storing.pop(VERIFICATION)))
        return [*providers, StorageService(store, storing, wanted=wanted)]
    transferSyntaxes = options["transfer-syntaxes"]
    return [
        VerificationService(transferSyntaxes=transferSyntaxes),
        StorageService(store, _sopClasses(options), transferSyntaxes, wanted),
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
    # A delay that was asked for is no reason to give a provider up.
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
    # A store begins and writes in one step, which may be that of many fragments.
    during = (1 + MOST_FRAGMENTS) * options["sleep-during"]
    sleeping = float(max(options["sleep-after"], during) + longestDelay(options["faults"]))
    return sleeping + (options["exec-timeout"] if options["exec-sync"] else 0.0)


def makeAdmission(options: Mapping[str, Any]) -> Admission:
    """Say who may come in."""
    policies: list[Admission] = []
    if options["refuse"]:
        policies.append(refuseAll)
    if options["reject"]:
        policies.append(refuseUnidentified)
    if options["networks"]:
        policies.append(Networks(tuple(options["networks"])))
    if options["require-called-aet"]:
        policies.append(CalledAETitles(frozenset({options["aetitle"]})))
    if options["calling-aets"]:
        policies.append(CallingAETitles(frozenset(options["calling-aets"])))
    if options["require-cert-aet"]:
        from txdicom.tls.binding import refuseUncertifiedTitles

        policies.append(refuseUncertifiedTitles)
    return firstRefusal(policies)


def makeTLSSettings(options: Mapping[str, Any]) -> TLSSettings:
    """
    Gather what is said about TLS, where it is on.

    :raises TLSError: there is no password where it should be.
    """
    key, certificate = options["enable-tls"]
    check = RevocationCheck.LEAF if options["crl-files"] else RevocationCheck.NONE
    return TLSSettings(
        key=key,
        certificate=certificate,
        password=_password(options),
        peerCertificate=options["peer-cert"],
        authorities=tuple(options["cert-files"]),
        authorityDirectories=tuple(options["cert-dirs"]),
        revocationLists=tuple(options["crl-files"]),
        revocationCheck=RevocationCheck.CHAIN if options["enable-crl-all"] else check,
        profile=options["tls-profile"],
        suites=tuple(options["ciphers"]),
        dhParameters=options["dhparam"],
    )


def _password(options: Mapping[str, Any]) -> bytes | None:
    if options["null-passwd"]:
        return b""
    if options["passwd-file"] is not None:
        return readPassword(options["passwd-file"])
    return None if options["use-passwd"] is None else os.fsencode(options["use-passwd"])


def makeConnectionCreator(options: Mapping[str, Any]) -> ConnectionCreator | None:
    """
    Prepare TLS, if it is on.

    :raises TLSError: it cannot be had like this.
    """
    if options["enable-tls"] is None:
        return None
    try:
        from txdicom.tls.connection import ConnectionCreator
    except ImportError as error:
        raise TLSError("--enable-tls needs pyOpenSSL: install txdicom[tls]") from error
    return ConnectionCreator(makeTLSSettings(options))


def makeListener(factory: AcceptorFactory, creator: ConnectionCreator | None, clock: IReactorTime) -> IProtocolFactory:
    """Say what serves connections: the factory, behind TLS if that is on."""
    if creator is None:
        return factory
    from txdicom.tls.connection import secure

    return secure(factory, creator, clock)


def makeFileStore(options: Mapping[str, Any], reactor: Any, naming: Naming) -> FileStore:
    """
    Build the store that keeps files.

    :raises OSError: it cannot work with its directory.
    """
    return FileStore(
        options["output-directory"],
        naming=naming.name,
        form=makeForm(options),
        duplicates=makeDuplicates(options, naming),
        minimumFreeSpace=options["min-free-space"],
        fsync=options["fsync"],
        withdrawable=options["exec-sync"] and hasHooks(options),
        disk=Disk(reactor),
    )


def raiseDescriptorLimit() -> None:
    """Let this process have as many descriptors as it is allowed to: each connection takes one, each file another."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def hasHooks(options: Mapping[str, Any]) -> bool:
    """Whether anybody wants to hear of instances and studies."""
    names = ("exec-on-reception", "exec-on-eostudy", "plugins", "rename-on-eostudy")
    return any(options[name] for name in names)


def makeAnnouncer(options: Mapping[str, Any], reactor: Any, locks: FileLocks) -> Announcer | None:
    """
    Build what tells commands and plugins of instances and studies, if there are any.

    :param locks: shared by all that there are, for AE titles may share an output directory.
    :raises ValueError: a plugin cannot be used; the message is a sentence about it.
    """
    if not hasHooks(options):
        return None
    plugins = [loadPlugin(name) for name in options["plugins"]]
    onReception, onEndOfStudy = options["exec-on-reception"], options["exec-on-eostudy"]
    if onReception is not None or onEndOfStudy is not None:
        plugins.append(CommandPlugin(reactor, onReception, onEndOfStudy))
    return Announcer(
        plugins,
        IReactorTime(reactor),
        timeLimit=options["exec-timeout"],
        atOnce=options["exec-at-once"],
        studyTimeout=options["eostudy-timeout"],
        rename=partial(renameFiles, Disk(reactor)) if options["rename-on-eostudy"] else None,
        locks=locks,
    )


def makeStore(
    options: Mapping[str, Any],
    files: IStorageSCP | None,
    clock: IReactorTime,
    announcer: IAnnouncer | None = None,
    questions: Questions | None = None,
) -> IStorageSCP:
    """
    Build what takes the instances: a store, and around it what the options ask for.

    :param files: the store; None keeps nothing.
    :param announcer: is told of what is stored.
    :param questions: how to ask the parent, for one of several workers.
    """
    store = files or DiscardingStore()
    if announcer is not None:
        store = HookedStore(store, announcer, asking=options["exec-sync"])
    if options["faults"]:
        drawn = None if questions is None else questions.drawFault
        store = FaultyStore(store, clock, options["faults"], drawn)
    if options["verbose"]:
        store = NarratedStore(store, _log, dump=options["debug"])
    if options["sleep-after"] or options["sleep-during"]:
        store = PacedStore(store, clock, during=options["sleep-during"], after=options["sleep-after"])
    return store
