"""
TLS around what an acceptor has: `secure` puts it around a factory, and who does not get through is told of in the log.

Theory of operation. Twisted's TLS stands between the transport and the upper layer, which does not notice: its ARTIM
timer runs from the moment that the TCP connection is there, and so bounds the handshake as well. Beside the upper layer
stands a `Listener`, which sees how the connection ended and puts OpenSSL's words for it into a sentence.
`txdicom.tls.requesting` has the other side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IAddress, IHandshakeListener, IOpenSSLServerConnectionCreator, IProtocolFactory
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.errors import AssociationLost
from txdicom.tls.context import makeContext
from txdicom.tls.faults import certificateFault, connectionFault
from txdicom.tls.settings import TLSError, TLSSettings
from txdicom.upperlayer.transport import peerName

__all__ = ["ConnectionCreator", "Listener", "ListenerFactory", "Transport", "secure"]


def secure(factory: IProtocolFactory, creator: ConnectionCreator, clock: Any) -> TLSMemoryBIOFactory:
    """
    Put TLS around a factory, on the acceptor's side.

    :param factory: builds the upper layer's protocols.
    :param clock: what is sent is gathered on it until the reactor's next turn.
    """
    secured = TLSMemoryBIOFactory(creator, False, ListenerFactory(factory), clock)
    secured.protocol = Transport
    return secured


@implementer(IOpenSSLServerConnectionCreator)
class ConnectionCreator:
    """
    Makes OpenSSL's part of each connection.

    :raises TLSError: the settings cannot be used.
    """

    _log = Logger()

    def __init__(self, settings: TLSSettings) -> None:
        self._settings = settings
        self._context = makeContext(settings)

    def reload(self) -> None:
        """Read all files again, for connections to come; if one of them cannot be used, go on as before."""
        try:
            self._context = makeContext(self._settings)
        except TLSError as error:
            self._log.error("TLS goes on with the files as they were: {error}", error=error)
        else:
            self._log.info("TLS has read its files again")

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """Make a connection whose listener gets to know the faults of the peer's certificate."""
        connection = SSL.Connection(self._context, None)
        # Twisted does the same, but does not promise it.
        connection.set_app_data(tlsProtocol)
        return connection


class Transport(BufferingTLSTransport):
    """
    Looks at the first byte before OpenSSL does, which cannot tell a DICOM peer from noise.

    :cvar plain: what a peer of DICOM without TLS may begin with; here, A-ASSOCIATE-RQ. TLS begins with 0x14 to 0x17.
    """

    plain: bytes = b"\x01"
    _begun = False

    def dataReceived(self, data: bytes) -> None:
        """Let a peer that begins like DICOM go no further."""
        if not self._begun and data[:1] in self.plain:
            self.failVerification(Failure(AssociationLost("it speaks DICOM without TLS")))
            return
        self._begun = True
        super().dataReceived(data)
        listener: Any = self.wrappedProtocol
        listener.passOn()

    def certificateIsBad(self, certificate: Any, number: int) -> None:
        """Let the listener know, who is there when the connection is lost."""
        listener: Any = self.wrappedProtocol
        listener.certificateIsBad(certificate, number)


class ListenerFactory(Factory):
    """
    Builds what another factory builds, each with a listener before it.

    :param wrapped: builds the upper layer's protocols.
    :param makeListener: makes the listener of one.
    """

    noisy = False

    def __init__(self, wrapped: IProtocolFactory, makeListener: Callable[[Any], Listener] | None = None) -> None:
        self._wrapped = wrapped
        self._makeListener = makeListener or Listener

    def doStart(self) -> None:
        """Go on as the wrapped factory does."""
        self._wrapped.doStart()

    def doStop(self) -> None:
        """Likewise."""
        self._wrapped.doStop()

    def logPrefix(self) -> str:
        """Be called as the wrapped factory is."""
        return type(self._wrapped).__name__

    def buildProtocol(self, addr: IAddress | None) -> Listener | None:
        """Build what the wrapped factory builds, with a listener before it."""
        protocol: Any = self._wrapped.buildProtocol(addr)  # type: ignore[arg-type]
        return None if protocol is None else self._makeListener(protocol)


@implementer(IHandshakeListener)
class Listener(Protocol):
    """
    Stands before the upper layer's protocol, which gets in one piece what one read has brought, and not by records.

    :param protocol: the upper layer's.
    :ivar protocol: likewise.
    """

    _log = Logger()

    def __init__(self, protocol: Any) -> None:
        self.protocol = protocol
        self._records: list[bytes] = []
        self._secured = False
        self._fault = ""

    def makeConnection(self, transport: Any) -> None:
        """Connect the upper layer, whose timer runs from now on."""
        self.transport = transport
        self.protocol.makeConnection(transport)

    def handshakeCompleted(self) -> None:
        """The peer is who it has to be; the upper layer may hear from it."""
        self._secured = True

    def dataReceived(self, data: bytes) -> None:
        """Keep what a record holds, until all of the read has been decrypted."""
        self._records.append(data)

    def passOn(self) -> None:
        """Give the upper layer what has come."""
        if self._records:
            data = b"".join(self._records)
            self._records.clear()
            self.protocol.dataReceived(data)

    def certificateIsBad(self, certificate: Any, number: int) -> None:
        """Take note of what is wrong with a certificate, the peer's or one of its authorities'."""
        self._fault = self._fault or certificateFault(certificate, number)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Say why there is no TLS, if that is why, and tell the upper layer."""
        self.passOn()
        if isinstance(reason.value, SSL.Error):
            reason = Failure(AssociationLost(self._fault or connectionFault(reason.value)))
        self.protocol.connectionLost(self.ended(reason))

    def ended(self, reason: Failure) -> Failure:
        """Tell of the end, and return the reason that the upper layer is given."""
        if isinstance(reason.value, AssociationLost):
            peer = peerName(self.protocol.peer)
            if self._secured:
                self._log.info("{peer}: TLS failed: {why}", peer=peer, why=reason.value)
            else:
                self._log.info("{peer}: no TLS connection: {why}", peer=peer, why=reason.value)
        return reason
