"""
TLS on the requestor's side: `TLSEndpoint` is a client endpoint around another.

Theory of operation. As on the acceptor's side, Twisted's TLS stands between the transport and the upper layer, and a
listener sees how the connection ended. What the upper layer has written before the handshake is over waits for it, so
a peer that cannot be verified is sent nothing.
"""

from __future__ import annotations

from typing import Any, cast

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.errors import AssociationLost
from txdicom.tls.connection import Listener, ListenerFactory, Transport
from txdicom.tls.context import makeRequestorContext
from txdicom.tls.faults import certificateFault
from txdicom.tls.naming import isAddress
from txdicom.tls.settings import TLSSettings

__all__ = ["TLSEndpoint"]


@implementer(IStreamClientEndpoint)
class TLSEndpoint:
    """
    Reaches a peer by TLS. If it is not who it has to be, `AssociationLost` says why not.

    All files are read at once.

    :param endpoint: connects to the peer.
    :param settings: who we are, whom we trust, what is negotiated.
    :param name: what the peer's certificate has to be for: the name of its host, its IP address, or what else
        certificates are issued for in the house. See `txdicom.tls.naming.isFor`.
    :param clock: what is sent is gathered on it until the reactor's next turn; None takes the global reactor.
    :raises TLSError: the settings cannot be used.
    :ivar name: as it was given.
    :ivar isAnonymous: whether we have no certificate to show.
    """

    def __init__(
        self, endpoint: IStreamClientEndpoint, settings: TLSSettings, name: str, clock: IReactorTime | None = None
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self.name = name
        self.isAnonymous = settings.certificate is None
        self._creator = _ConnectionCreator(makeRequestorContext(settings, name), name)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect; the handshake goes on while the protocol is in use already."""
        listeners = ListenerFactory(protocolFactory, lambda protocol: _Listener(protocol, self))
        secured = TLSMemoryBIOFactory(self._creator, True, listeners, self._clock)
        secured.protocol = _Transport
        connecting: Deferred[Any] = self._endpoint.connect(cast("IProtocolFactory", secured))
        return connecting.addCallback(lambda transport: transport.wrappedProtocol.protocol)


@implementer(IOpenSSLClientConnectionCreator)
class _ConnectionCreator:
    def __init__(self, context: SSL.Context, name: str) -> None:
        self._context = context
        self._name = name

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """Make a connection that tells the peer by which name we know it, if it is one (RFC 6066 3)."""
        connection = SSL.Connection(self._context, None)
        connection.set_app_data(tlsProtocol)
        if self._name.isascii() and not isAddress(self._name):
            connection.set_tlsext_host_name(self._name.encode("ascii"))
        return connection


class _Transport(Transport):
    #: A-ASSOCIATE-RJ, or A-ABORT.
    plain = b"\x03\x07"


class _Listener(Listener):
    """
    Tells the upper layer why there is no connection.

    :param endpoint: by which it was to be made.
    """

    def __init__(self, protocol: Any, endpoint: TLSEndpoint) -> None:
        super().__init__(protocol)
        self._endpoint = endpoint

    def certificateIsBad(self, certificate: Any, number: int) -> None:
        """Take note of it."""
        self._fault = self._fault or certificateFault(certificate, number, "server", repr(self._endpoint.name))

    def ended(self, reason: Failure) -> Failure:
        """Put what went wrong into a sentence."""
        if isinstance(reason.value, AssociationLost):
            why = str(reason.value)
        elif not self._secured and isinstance(reason.value, ConnectionDone | ConnectionLost):
            why = "it has closed the connection, so perhaps it does not speak TLS"
        else:
            return reason
        if self._endpoint.isAnonymous and " alert " in why:
            why += "; we have shown no certificate"
        return Failure(AssociationLost(f"{'TLS failed' if self._secured else 'no TLS connection'}: {why}"))
