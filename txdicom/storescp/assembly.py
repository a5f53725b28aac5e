"""The parts of the receiver, each built from the options that are about it; `txdicom.storescp.tap` joins them."""

from __future__ import annotations

import os
import resource
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
)
from txdicom.interfaces import IAssociationObserver, IServiceProvider, IStorageSCP
from txdicom.services.storage import StorageService
from txdicom.services.verification import VerificationService
from txdicom.storage.disk import Disk
from txdicom.storage.filestore import DiscardingStore, FileStore
from txdicom.storescp.faults import FaultPlan, FaultyStore, longestDelay
from txdicom.storescp.files import makeDuplicates, makeForm, makeNaming
from txdicom.storescp.narration import AssociationLog, NarratedStore
from txdicom.storescp.options import Options
from txdicom.storescp.pacing import PacedStore
from txdicom.storescp.tls.settings import RevocationCheck, TLSError, TLSSettings
from txdicom.uids import FILE_PREFIXES, OTHER_STORAGE_SOP_CLASSES, STORAGE_SOP_CLASSES

if TYPE_CHECKING:
    from txdicom.storescp.tls.connection import ConnectionCreator
    from txdicom.storescp.workers.channel import Answer
    from txdicom.storescp.workers.share import Share

__all__ = [
    "makeAdmission",
    "makeAnswers",
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

#: In bytes; OpenSSL takes no longer one.
_LONGEST_PASSWORD = 1024

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
        StorageService(store, _sopClasses(options), transferSyntaxes, makeNaming(options).wanted),
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
    if options["require-cert-aet"]:
        from txdicom.storescp.tls.binding import refuseUncertifiedTitles

        policies.append(refuseUncertifiedTitles)
    return firstRefusal(policies)


def makeTLSSettings(options: Options) -> TLSSettings:
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


def _password(options: Options) -> bytes | None:
    if options["null-passwd"]:
        return b""
    if options["passwd-file"] is not None:
        try:
            with open(options["passwd-file"], "rb") as file:
                return file.readline(_LONGEST_PASSWORD).rstrip(b"\r\n")
        except OSError as error:
            raise TLSError(f"password file {options['passwd-file']} cannot be read: {error.strerror}") from error
    return None if options["use-passwd"] is None else os.fsencode(options["use-passwd"])


def makeConnectionCreator(options: Options) -> ConnectionCreator | None:
    """
    Prepare TLS, if it is on.

    :raises TLSError: it cannot be had like this.
    """
    if options["enable-tls"] is None:
        return None
    try:
        from txdicom.storescp.tls.connection import ConnectionCreator
    except ImportError as error:
        raise TLSError("--enable-tls needs pyOpenSSL: install txdicom[tls]") from error
    return ConnectionCreator(makeTLSSettings(options))


def makeListener(factory: AcceptorFactory, creator: ConnectionCreator | None, clock: IReactorTime) -> IProtocolFactory:
    """Say what serves connections: the factory, behind TLS if that is on."""
    if creator is None:
        return factory
    from txdicom.storescp.tls.connection import secure

    return secure(factory, creator, clock)


def makeFileStore(options: Options, reactor: Any) -> FileStore:
    """
    Build the store that keeps files.

    :raises OSError: it cannot work with its directory.
    """
    naming = makeNaming(options)
    return FileStore(
        options["output-directory"],
        naming=naming.name,
        form=makeForm(options),
        duplicates=makeDuplicates(options, naming),
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
