"""Who is joined in memory: requestors, endpoints that lead to an acceptor, and peers that send what they like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.configuration import Configuration
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.dimse.association import Association
from txdicom.dimse.commands import Command
from txdicom.dimse.commandsets import decodeCommand, encodeCommand
from txdicom.dimse.dispatch import ServiceTable
from txdicom.dimse.messages import encodeMessage
from txdicom.interfaces import IServiceProvider
from txdicom.testing.links import MemoryLink, linked
from txdicom.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLEMENTATION_CLASS_UID,
    IMPLICIT_VR_LITTLE_ENDIAN,
    VERIFICATION,
)
from txdicom.upperlayer.items import PresentationContextRQ, UserInformation
from txdicom.upperlayer.pdu import PDU, AAssociateRQ, PDataTF, decodePDU
from txdicom.upperlayer.protocol import UpperLayerProtocol

__all__ = [
    "MemoryEndpoint",
    "RawPeer",
    "associateRQ",
    "commandsIn",
    "connectInMemory",
    "connectRaw",
    "message",
    "requestor",
]

_SYNTAXES = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
_WHOLE_COMMAND = 3  # the message control header


def associateRQ(
    contexts: Mapping[str, Iterable[str]] | Iterable[tuple[str, Iterable[str]]] | None = None,
    calledAETitle: str = "STORESCP",
    callingAETitle: str = "STORESCU",
    userInformation: UserInformation | None = None,
) -> AAssociateRQ:
    """
    Build an A-ASSOCIATE-RQ.

    :param contexts: abstract syntax and transfer syntaxes of each presentation context, which get the IDs 1, 3, 5, ...;
        at most 128, None proposes Verification (PS3.8 9.3.2.2).
    :param calledAETitle: whom it asks for; at most 16 characters, as is the next.
    :param callingAETitle: who asks.
    :param userInformation: PS3.8 9.3.2.3; None proposes PDUs of 16 KiB and has our implementation class UID.
    """
    if contexts is None:
        contexts = {VERIFICATION: _SYNTAXES}
    pairs = contexts.items() if isinstance(contexts, Mapping) else contexts
    return AAssociateRQ(
        calledAETitle=calledAETitle,
        callingAETitle=callingAETitle,
        presentationContexts=tuple(
            PresentationContextRQ(2 * index + 1, abstractSyntax, tuple(transferSyntaxes))
            for index, (abstractSyntax, transferSyntaxes) in enumerate(pairs)
        ),
        userInformation=userInformation
        or UserInformation(maximumLength=16384, implementationClassUID=IMPLEMENTATION_CLASS_UID),
    )


def requestor(
    clock: IReactorTime,
    request: AAssociateRQ | None = None,
    configuration: Configuration | None = None,
    providers: Iterable[IServiceProvider] = (),
) -> Association:
    """
    Build an association that will be requested when its protocol is connected.

    :param clock: its timers run on it; a `twisted.internet.task.Clock` of the test's.
    :param request: what to send; None takes `associateRQ`'s defaults.
    :param configuration: bounds and times; None takes the defaults.
    :param providers: services that the peer may use over this association, such as storage for C-GET.
    :raises LocalProtocolError: when it is connected, if an A-ASSOCIATE-RQ cannot hold the request.
    """
    configuration = configuration or Configuration()
    association = Association(ServiceTable(providers), configuration, clock)
    association.protocol = UpperLayerProtocol(association, configuration, clock, request or associateRQ())
    return association


def connectInMemory(
    factory: AcceptorFactory, association: Association, size: int | None = None, flush: bool = True
) -> MemoryLink:
    """
    Connect a requestor's association to a new connection of an acceptor.

    :param size: deliver at most so many bytes at a time; None delivers what was written.
    :param flush: whether to let them talk at once, as far as they get.
    """
    return linked(factory, association.protocol, size, flush)


@implementer(IStreamClientEndpoint)
class MemoryEndpoint:
    """
    An endpoint by which `txdicom.requestor.connect` and others reach an acceptor in memory.

    :ivar links: of all connections so far; nothing moves on them but by `flush`.
    """

    def __init__(self, factory: AcceptorFactory) -> None:
        self._factory = factory
        self.links: list[MemoryLink] = []

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect at once."""
        protocol = protocolFactory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 104))
        if protocol is None:
            return fail(ConnectError())
        self.links.append(linked(self._factory, protocol, None, False))
        return succeed(protocol)

    def flush(self) -> None:
        """Deliver on all links."""
        for link in self.links:
            link.flush()


def connectRaw(factory: AcceptorFactory, size: int | None = None) -> RawPeer:
    """
    Connect a peer that sends whatever bytes the test wants to a new connection of an acceptor.

    :param size: deliver at most so many bytes at a time; None delivers what was written.
    """
    peer = RawPeer()
    peer.link = linked(factory, peer, size, True)
    return peer


class RawPeer(Protocol):
    """
    A peer that sends what the test tells it to, and keeps what it receives.

    :ivar received: all bytes so far.
    """

    link: MemoryLink

    def __init__(self) -> None:
        self.received = b""
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        """Keep the bytes."""
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Remember that the connection is gone."""
        self.lost = True

    def send(self, *data: bytes | PDU) -> list[PDU]:
        """Send bytes or PDUs, and return the PDUs that they were answered with."""
        for item in data:
            if self.transport is not None:
                self.transport.write(item if isinstance(item, bytes) else item.encode())
        self.link.flush()
        return self.takePDUs()

    def takePDUs(self) -> list[PDU]:
        """Decode what has been received since the last time."""
        received, start = self.received, 0
        pdus = []
        while start < len(received):
            end = start + 6 + int.from_bytes(received[start + 2 : start + 6], "big")
            pdus.append(decodePDU(received[start], received[start + 6 : end]))
            start = end
        self.received = b""
        return pdus


def message(contextID: int, command: Command, dataSet: bytes | None = None, maximumLength: int = 16384) -> bytes:
    """
    Encode a message as the P-DATA-TF PDUs that carry it.

    :param dataSet: encoded; goes with a command that announces one, as a C-STORE-RQ does.
    :param maximumLength: of the body of each PDU, in bytes, at least 8.
    """
    return encodeMessage(contextID, encodeCommand(command), dataSet, maximumLength)


def commandsIn(pdus: Iterable[PDU]) -> list[Any]:
    """Decode PDUs that hold a whole command each, as responses do; an assertion fails on any other."""
    commands = []
    for pdu in pdus:
        if not isinstance(pdu, PDataTF) or len(pdu.pdvs) != 1 or pdu.pdvs[0].control != _WHOLE_COMMAND:
            raise AssertionError(f"{pdu} is not a command")
        commands.append(decodeCommand(pdu.pdvs[0].data))
    return commands
