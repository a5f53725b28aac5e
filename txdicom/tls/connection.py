"""
TLS around associations: `secure` puts it around a factory, and whoever does not get through is told of in the log.

Theory of operation. Twisted's TLS stands between the transport and the upper layer, which does not notice: its ARTIM
timer runs from the moment that the TCP connection is there, and so bounds the handshake as well. Beside the upper layer
stands a `_Listener`, which sees how the connection ended and puts OpenSSL's words for it into a sentence.
"""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IAddress, IHandshakeListener, IOpenSSLServerConnectionCreator, IProtocolFactory
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.errors import AssociationLost
from txdicom.tls.context import makeContext, reasonOf
from txdicom.tls.settings import TLSError, TLSSettings
from txdicom.upperlayer.transport import peerName

__all__ = ["ConnectionCreator", "secure"]

#: The first byte of what a DICOM peer sends; that of TLS is 0x16.
_A_ASSOCIATE_RQ = b"\x01"
#: OpenSSL's reasons, in words that say who has to do what.
_REASONS = {
    "certificate verify failed": "its certificate cannot be verified",
    "peer did not return a certificate": "it has no certificate",
    "no shared cipher": "it offers no cipher suite of the security profile",
    "unsupported protocol": "it offers no version of TLS of the security profile",
    "no suitable signature algorithm": "it takes no certificate like ours",
    "wrong version number": "what it sends is not TLS",
}
#: What OpenSSL's reasons have in them where it was the peer that refused.
_ALERT = " alert "
#: The numbers of OpenSSL's x509_vfy.h for why a certificate is not good.
_CERTIFICATE_FAULTS = {
    2: "was signed by an authority that is not known here",
    3: "cannot be looked up: there is no revocation list of its authority",
    9: "is not valid yet",
    10: "has expired",
    11: "cannot be looked up: the revocation list of its authority is not valid yet",
    12: "cannot be looked up: the revocation list of its authority has expired",
    18: "is signed by itself and not known here",
    19: "was signed by an authority that is not known here",
    20: "was signed by an authority that is not known here",
    21: "was signed by an authority that is not known here",
    23: "has been revoked",
    26: "is not meant for a client",
    66: "has a key that is too short",
    68: "is signed with a hash that is too weak",
}


def secure(factory: IProtocolFactory, creator: ConnectionCreator, clock: Any) -> TLSMemoryBIOFactory:
    """
    Put TLS around a factory, on the acceptor's side.

    :param factory: builds the upper layer's protocols.
    :param clock: what is sent is gathered on it until the reactor's next turn.
    """
    listeners = _ListenerFactory(factory)
    secured = TLSMemoryBIOFactory(creator, False, listeners, clock)
    secured.protocol = _Transport
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


class _Transport(BufferingTLSTransport):
    """Looks at the first byte before OpenSSL does, which cannot tell a DICOM peer from noise."""

    _begun = False

    def dataReceived(self, data: bytes) -> None:
        """Let a peer that begins like DICOM go no further."""
        if not self._begun and data.startswith(_A_ASSOCIATE_RQ):
            self.failVerification(Failure(AssociationLost("it speaks DICOM without TLS")))
            return
        self._begun = True
        super().dataReceived(data)

    def certificateIsBad(self, certificate: Any, number: int) -> None:
        """Let the listener know, who is there when the connection is lost."""
        listener: Any = self.wrappedProtocol
        listener.certificateIsBad(certificate, number)


class _ListenerFactory(Factory):
    noisy = False

    def __init__(self, wrapped: IProtocolFactory) -> None:
        self._wrapped = wrapped

    def doStart(self) -> None:
        """Go on as the wrapped factory does."""
        self._wrapped.doStart()

    def doStop(self) -> None:
        """Likewise."""
        self._wrapped.doStop()

    def logPrefix(self) -> str:
        """Be called as the wrapped factory is."""
        return type(self._wrapped).__name__

    def buildProtocol(self, addr: IAddress | None) -> _Listener | None:
        """Build what the wrapped factory builds, with a listener before it."""
        protocol: Any = self._wrapped.buildProtocol(addr)  # type: ignore[arg-type]
        return None if protocol is None else _Listener(protocol)


@implementer(IHandshakeListener)
class _Listener(Protocol):
    """
    Stands before the upper layer's protocol; data does not pass through it.

    :param protocol: the upper layer's.
    """

    _log = Logger()

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self.dataReceived = protocol.dataReceived  # type: ignore[method-assign]
        self._secured = False
        self._fault = ""

    def makeConnection(self, transport: Any) -> None:
        """Connect the upper layer, whose timer runs from now on."""
        self.transport = transport
        self._protocol.makeConnection(transport)

    def handshakeCompleted(self) -> None:
        """The peer is who it has to be; the upper layer may hear from it."""
        self._secured = True

    def certificateIsBad(self, certificate: Any, number: int) -> None:
        """Take note of what is wrong with a certificate, the peer's or one of its authorities'."""
        if not self._fault:
            fault = _CERTIFICATE_FAULTS.get(number, f"cannot be verified (OpenSSL's fault {number})")
            self._fault = f"its certificate ({certificate.subject.rfc4514_string()!a:.200}) {fault}"

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Say why there is no TLS, if that is why, and tell the upper layer."""
        if isinstance(reason.value, SSL.Error):
            reason = Failure(AssociationLost(self._fault or _sentence(reason.value)))
        if isinstance(reason.value, AssociationLost):
            peer = peerName(self._protocol.peer)
            if self._secured:
                self._log.info("{peer}: TLS failed: {why}", peer=peer, why=reason.value)
            else:
                self._log.info("{peer}: no TLS connection: {why}", peer=peer, why=reason.value)
        self._protocol.connectionLost(reason)


def _sentence(error: SSL.Error) -> str:
    reason = reasonOf(error)
    if _ALERT in reason:
        return f"it refuses us ({reason})"
    return _REASONS.get(reason, reason)
