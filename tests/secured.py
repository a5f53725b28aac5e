"""Peers with TLS in memory, for tests: `TLSTestCase`."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.certificates import Authority, Credentials
from txdicom.configuration import Configuration
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.dimse.admission import Admission
from txdicom.services.storage import StorageService
from txdicom.services.verification import VerificationService
from txdicom.testing import MemoryLink, RawPeer, RecordingStore, connectRaw
from txdicom.tls.connection import ConnectionCreator, secure
from txdicom.tls.settings import TLSSettings

__all__ = ["ADDRESS", "TLSPeer", "TLSTestCase"]

#: Where all peers are.
ADDRESS = IPv4Address("TCP", "127.0.0.1", 50000)


class TLSPeer(RawPeer):
    """
    A `RawPeer` behind a client's side of TLS.

    :param context: the client's.
    :ivar error: what OpenSSL has complained of.
    """

    def __init__(self, context: SSL.Context) -> None:
        super().__init__()
        self.tls = SSL.Connection(context, None)
        self.tls.set_connect_state()
        self.error: SSL.Error | None = None

    def connectionMade(self) -> None:
        """Begin the handshake; what the test sends from now on is encrypted."""
        self.wire: Any = self.transport
        self.transport = self
        self._go(self.tls.do_handshake)

    def write(self, data: bytes) -> None:
        """Encrypt and send bytes."""
        self._go(lambda: self.tls.sendall(data))

    def writeRaw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.wire.write(data)

    def close(self) -> None:
        """Say that nothing more will come."""
        self._go(self.tls.shutdown)

    def dataReceived(self, data: bytes) -> None:
        """Decrypt what comes, or go on with the handshake."""
        self.tls.bio_write(data)
        self._go(self.tls.do_handshake)
        self._go(self._read)

    def _read(self) -> None:
        while True:
            super().dataReceived(self.tls.recv(1 << 15))

    def _go(self, step: Any) -> None:
        try:
            step()
        except (SSL.WantReadError, SSL.ZeroReturnError):
            pass
        except SSL.Error as error:
            self.error = self.error or error
        with suppress(SSL.WantReadError):
            while True:
                self.wire.write(self.tls.bio_read(1 << 15))


class TLSTestCase(SynchronousTestCase):
    """
    An acceptor with TLS, and peers of it in memory.

    :ivar authority: whom the acceptor trusts, and by whom its own certificate is signed.
    :ivar directory: where files are.
    :ivar events: what was logged.
    :ivar peers: those that have connected with TLS.
    """

    def setUp(self) -> None:
        """Make certificates, and listen to the log."""
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.clock = Clock()
        self.peers: list[TLSPeer] = []
        self.authority = Authority()
        self.key, self.certificate = self.authority.issue("localhost").writeTo(self.directory, "server")
        _, self.trusted = self.authority.writeTo(self.directory, "authority")
        self.events: list[LogEvent] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def settings(self, **changes: Any) -> TLSSettings:
        """Return settings that require certificates of the authority."""
        given = {"key": self.key, "certificate": self.certificate, "authorities": (self.trusted,)}
        return TLSSettings(**{**given, **changes})

    def serve(
        self, settings: TLSSettings | None = None, admit: Admission | None = None, **configuration: Any
    ) -> AcceptorFactory:
        """Make an acceptor, and TLS around it."""
        settings = settings or self.settings()
        self.store = RecordingStore()
        services = [VerificationService(), StorageService(self.store)]
        self.acceptor = AcceptorFactory(services, Configuration(**configuration), self.clock, admit)
        self.creator = ConnectionCreator(settings)
        self.factory = secure(self.acceptor, self.creator, self.clock)
        return self.acceptor

    def context(self, credentials: Credentials | None = None, version: int = SSL.TLS1_3_VERSION) -> SSL.Context:
        """Make a client's context, which trusts everybody, and is content with whatever it can get."""
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_cipher_list(b"ALL:@SECLEVEL=0")
        context.set_max_proto_version(version)
        context.set_verify(SSL.VERIFY_NONE)
        if credentials is not None:
            context.use_certificate(credentials.certificate)
            context.use_privatekey(credentials.key)
        return context

    def connect(self, context: SSL.Context | Credentials | None = None) -> TLSPeer:
        """Connect a peer with TLS; the handshake goes as far as it gets."""
        if not isinstance(context, SSL.Context):
            context = self.context(context)
        peer = TLSPeer(context)
        self.peers.append(peer)
        peer.link = MemoryLink(peer, self.factory.buildProtocol(ADDRESS), ADDRESS)
        self.flush(peer)
        return peer

    def connectPlain(self) -> RawPeer:
        """Connect a peer without TLS."""
        return connectRaw(self.factory)  # type: ignore[arg-type]

    def flush(self, peer: RawPeer) -> None:
        """Let everything go that was gathered, and deliver it."""
        peer.link.flush()
        self.clock.advance(0)
        peer.link.flush()

    def ask(self, peer: RawPeer, *data: Any) -> list[Any]:
        """Send bytes or PDUs, and return the PDUs that they were answered with."""
        answers = peer.send(*data)
        self.flush(peer)
        return [*answers, *peer.takePDUs()]

    def logged(self) -> list[str]:
        """Return what the log has of TLS since the last time."""
        lines = [
            event["log_format"].format(**event)
            for event in self.events
            if event.get("log_namespace", "").startswith("txdicom.tls")
        ]
        self.events.clear()
        return lines
