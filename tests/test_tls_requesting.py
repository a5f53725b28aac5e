"""Tests of `txdicom.tls.requesting` and `txdicom.tls.naming`: whom a requestor trusts, and what it is told if not."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from cryptography.x509 import IPAddress
from OpenSSL import SSL
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IStreamClientEndpoint
from zope.interface.verify import verifyObject

from tests.certificates import FOR_CLIENTS, Authority, Credentials, newKey
from tests.secured import TLSTestCase
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.errors import AssociationLost
from txdicom.requestor import RequestorAssociation, connect
from txdicom.services.verification import VerificationService
from txdicom.storage.disk import Disk
from txdicom.testing import MemoryEndpoint, RawPeer
from txdicom.tls.naming import isFor
from txdicom.tls.requesting import TLSEndpoint
from txdicom.tls.settings import PeerCertificate, RevocationCheck, TLSError, TLSSettings
from txdicom.uids import VERIFICATION
from txdicom.upperlayer.pdu import AAbort, AAssociateRJ


class _RequestorTestCase(TLSTestCase):
    """A requestor with TLS, and an acceptor that lets in whoever has a certificate of the authority."""

    def setUp(self) -> None:
        """Make a certificate for the requestor."""
        super().setUp()
        self.mine = self.authority.issue("SENDER").writeTo(self.directory, "mine")

    def trusting(self, **changes: Any) -> TLSSettings:
        """Return settings of a requestor that has a certificate, and trusts the authority."""
        given = {"key": self.mine[0], "certificate": self.mine[1], "authorities": (self.trusted,)}
        return TLSSettings(**{**given, **changes})

    def connecting(
        self, settings: TLSSettings | None = None, name: str = "localhost", factory: Any = None
    ) -> Deferred[RequestorAssociation]:
        """Request an association, and let both sides talk."""
        memory = MemoryEndpoint(factory or self.factory)  # type: ignore[arg-type]
        endpoint = TLSEndpoint(memory, settings or self.trusting(), name, self.clock)
        return self.request(endpoint, memory)

    def request(self, endpoint: Any, memory: MemoryEndpoint) -> Deferred[RequestorAssociation]:
        connecting = connect(endpoint, [VERIFICATION], clock=self.clock, disk=Disk())
        self.memory = memory
        self.talk()
        return connecting

    def talk(self) -> None:
        """Deliver whatever is under way."""
        for _ in range(6):
            self.memory.flush()
            self.clock.advance(0)

    def assertReaches(self, *arguments: Any, **parameters: Any) -> RequestorAssociation:
        """There is an association, and it works."""
        association = self.successResultOf(self.connecting(*arguments, **parameters))
        answer = association.echo()
        self.talk()
        self.assertEqual(self.successResultOf(answer).status, 0)
        return association

    def assertFails(self, why: str, *arguments: Any, **parameters: Any) -> None:
        """There is none, the sentence says why, and nothing was heard by any service."""
        failure = self.failureResultOf(self.connecting(*arguments, **parameters), AssociationLost)
        self.assertEqual(failure.getErrorMessage(), why)

    def serveAs(self, credentials: Credentials, **settings: Any) -> None:
        """Make an acceptor with this certificate."""
        key, certificate = credentials.writeTo(self.directory, "other")
        self.serve(self.settings(key=key, certificate=certificate, **settings))


class EndpointTests(_RequestorTestCase):
    def test_interfaces(self) -> None:
        self.serve()
        endpoint = TLSEndpoint(MemoryEndpoint(self.acceptor), self.trusting(), "localhost")
        verifyObject(IStreamClientEndpoint, endpoint)
        verifyObject(IOpenSSLClientConnectionCreator, endpoint._creator)

    def test_mutual(self) -> None:
        """Each knows the other's certificate, in either version, and the end is an orderly one."""
        self.serve()
        for profile, version in (("8996", "TLSv1.3"), ("bcp195-ex", "TLSv1.2")):
            association = self.assertReaches(self.trusting(profile=profile))
            self.assertIn("CN=localhost", str(association.peerCertificate.subject))
            (accepted,) = self.acceptor.associations
            self.assertIn("CN=SENDER", str(accepted.peerCertificate.subject))
            handle = association.protocol.transport.getHandle()  # type: ignore[union-attr]
            self.assertEqual(handle.get_protocol_version_name(), version)
            released = association.release()
            self.talk()
            self.successResultOf(released)
            self.assertEqual(self.acceptor.associations, set())

    def test_anonymous(self) -> None:
        """A requestor needs no certificate where none is asked for."""
        self.serve(self.settings(peerCertificate=PeerCertificate.IGNORE))
        self.assertReaches(self.trusting(key=None, certificate=None))

    def test_missingCertificate(self) -> None:
        """Where one is asked for, it is told so, in either version."""
        self.serve()
        for profile, secured, alert in (
            ("8996", "TLS failed", "certificate required"),
            ("bcp195-ex", "no TLS connection", "handshake failure"),
        ):
            failing = self.connecting(self.trusting(key=None, certificate=None, profile=profile))
            message = self.failureResultOf(failing, AssociationLost).getErrorMessage()
            self.assertRegex(
                message, f"^{secured}: it refuses us \\([a-z0-9/]+ alert {alert}\\); we have shown no certificate$"
            )

    def test_refusedCertificate(self) -> None:
        """The peer's words for what is wrong with ours are passed on."""
        self.serve()
        key, certificate = Authority("Somebody else").issue("SENDER").writeTo(self.directory, "theirs")
        self.assertFails(
            "TLS failed: it refuses us (tlsv1 alert unknown ca)", self.trusting(key=key, certificate=certificate)
        )

    def test_badCertificates(self) -> None:
        """Whatever is wrong with the peer's is told, and it gets to know nothing of us."""
        bad = {
            "has expired": self.authority.issue("localhost", days=(-2, -1)),
            "is not valid yet": self.authority.issue("localhost", days=(1, 2)),
            "was signed by an authority that is not known here": Authority("Somebody else").issue("localhost"),
            "is signed by itself and not known here": Authority("localhost"),
            "is not meant for a server": self.authority.issue("localhost", purpose=FOR_CLIENTS),
            "is not for 'localhost'": self.authority.issue("localhost", names=("elsewhere",)),
        }
        for why, credentials in bad.items():
            self.serveAs(credentials)
            self.assertFails(f"no TLS connection: its certificate ('CN=localhost') {why}")
            self.assertEqual(self.acceptor.associations, set())
            # Nobody looks at any of them.
            self.assertReaches(self.trusting(peerCertificate=PeerCertificate.IGNORE, authorities=()))

    def test_revoked(self) -> None:
        """One that its authority has revoked is not good any more."""
        bad = self.authority.issue("localhost")
        path = self.directory / "crl"
        path.write_bytes(self.authority.revoking(bad))
        self.serveAs(bad)
        self.assertFails(
            "no TLS connection: its certificate ('CN=localhost') has been revoked",
            self.trusting(revocationLists=(str(path),), revocationCheck=RevocationCheck.LEAF),
        )

    def test_pinned(self) -> None:
        """A certificate that is signed by itself is good if it is the very one that is trusted."""
        own = Authority("localhost")
        _, path = own.writeTo(self.directory, "pinned")
        self.serveAs(own)
        self.assertReaches(self.trusting(authorities=(path,)))

    def test_profile(self) -> None:
        """Two profiles that have nothing in common."""
        self.serve(self.settings(profile="8996"))
        settings = self.trusting(profile="bcp195-nd", suites=("TLS_RSA_WITH_AES_128_CBC_SHA",))
        self.assertReaches(settings)
        key, certificate = self.authority.issue("localhost", newKey(2048)).writeTo(self.directory, "rsa")
        self.serve(self.settings(key=key, certificate=certificate, profile="bcp195-ex"))
        context = self.context(None, SSL.TLS1_2_VERSION)
        context.set_cipher_list(b"AES256-SHA")
        endpoint = TLSEndpoint(MemoryEndpoint(self.factory), self.trusting(), "localhost", self.clock)  # type: ignore[arg-type]
        endpoint._creator._context = context
        failure = self.failureResultOf(self.request(endpoint, endpoint._endpoint), AssociationLost)  # type: ignore[arg-type]
        self.assertIn("no TLS connection: it refuses us (", failure.getErrorMessage())

    def test_settings(self) -> None:
        """What cannot be used is found out before anything is connected."""
        memory = MemoryEndpoint(AcceptorFactory([], clock=self.clock))
        for settings, why in (
            (TLSSettings(), "no peer's certificate can be verified without --add-cert-file"),
            (self.trusting(key="/nowhere"), "private key /nowhere cannot be read"),
            (self.trusting(authorities=("/nowhere",)), "certificate /nowhere cannot be read"),
        ):
            error = self.assertRaises(TLSError, TLSEndpoint, memory, settings, "localhost")
            self.assertTrue(str(error).startswith(why), error)
        self.assertEqual(memory.links, [])


class OtherPeersTests(_RequestorTestCase):
    """Those who do not speak TLS, or stop doing so."""

    def raw(self) -> tuple[RawPeer, Deferred[RequestorAssociation]]:
        """Connect to a peer that says what the test wants."""
        peer = RawPeer()
        factory = type("Raw", (), {"buildProtocol": lambda self, address: peer})()
        connecting = self.connecting(factory=factory)
        (peer.link,) = self.memory.links
        return peer, connecting

    def test_plain(self) -> None:
        """A peer of DICOM without TLS is told apart by how it answers."""
        for answer in (AAbort(2, 1), AAssociateRJ(1, 1, 1)):
            peer, connecting = self.raw()
            self.assertEqual(peer.received[:1], b"\x16")
            peer.transport.write(answer.encode())  # type: ignore[union-attr]
            self.talk()
            failure = self.failureResultOf(connecting, AssociationLost)
            self.assertEqual(failure.getErrorMessage(), "no TLS connection: it speaks DICOM without TLS")
        plain = AcceptorFactory([VerificationService()], clock=self.clock)
        self.assertFails("no TLS connection: it speaks DICOM without TLS", factory=plain)

    def test_closes(self) -> None:
        """One that closes at once, as a peer without TLS may."""
        peer, connecting = self.raw()
        peer.transport.loseConnection()  # type: ignore[union-attr]
        self.talk()
        failure = self.failureResultOf(connecting, AssociationLost)
        self.assertEqual(
            failure.getErrorMessage(),
            "no TLS connection: it has closed the connection, so perhaps it does not speak TLS",
        )

    def test_noise(self) -> None:
        """What is neither."""
        peer, connecting = self.raw()
        peer.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")  # type: ignore[union-attr]
        self.talk()
        failure = self.failureResultOf(connecting, AssociationLost)
        self.assertEqual(failure.getErrorMessage(), "no TLS connection: what it sends is not TLS")

    def test_mute(self) -> None:
        """One that says nothing is given up after ARTIM."""
        _, connecting = self.raw()
        self.clock.advance(29)
        self.assertNoResult(connecting)
        self.clock.advance(1)
        self.failureResultOf(connecting)

    def test_lostLater(self) -> None:
        """An association whose connection is lost ends as it does without TLS."""
        self.serve()
        association = self.assertReaches()
        self.memory.links[0].lose()
        self.assertIsInstance(association.endReason.value, AssociationLost)  # type: ignore[union-attr]
        self.assertNotIn("TLS", str(association.endReason.value))  # type: ignore[union-attr]

    def test_noConnection(self) -> None:
        """What the endpoint below errs with is passed on."""
        memory: Any = type("Refusing", (), {"connect": lambda self, factory: fail(ConnectionRefusedError())})()
        endpoint = TLSEndpoint(memory, self.trusting(), "localhost", self.clock)
        self.failureResultOf(connect(endpoint, [VERIFICATION], clock=self.clock, disk=Disk()), ConnectionRefusedError)


class NameTests(TLSTestCase):
    """`isFor`."""

    def test_names(self) -> None:
        """Alternative names count, with their wildcards; the common name does only without them."""
        issue = self.authority.issue
        for certificate, name, good in (
            (issue("pacs"), "pacs", True),
            (issue("PACS"), "pacs", True),
            (issue("STORE SCP"), "STORE SCP", True),
            (issue("pacs"), "pacs.example.org", False),
            (issue(""), "pacs", False),
            (issue("127.0.0.1"), "127.0.0.1", True),
            (issue("pacs", names=("pacs.example.org",)), "pacs.example.org", True),
            (issue("pacs", names=("pacs.example.org",)), "pacs", False),
            (issue("x", names=("*.example.org",)), "pacs.example.org", True),
            (issue("x", names=("*.example.org",)), "pacs.radiology.example.org", False),
            (issue("x", names=("pacs",)), "no host's name", False),
            (issue("x", names=("pacs",)), "127.0.0.1", False),
            (issue("127.0.0.1", others=(IPAddress(ip_address("127.0.0.2")),)), "127.0.0.1", False),
            (issue("x", others=(IPAddress(ip_address("127.0.0.1")),)), "127.0.0.1", True),
            (issue("x", others=(IPAddress(ip_address("::1")),)), "::1", True),
        ):
            self.assertIs(isFor(certificate.certificate, name), good, (certificate.certificate.subject, name))
