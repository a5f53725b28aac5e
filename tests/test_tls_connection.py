"""
Tests of `txdicom.tls.connection`: who gets through the handshake, and what is said of those who do not.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import contextlib
import socket
from itertools import product
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IHandshakeListener, IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.tcp import Server
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface.verify import verifyObject

from tests.certificates import FOR_SERVERS, Authority, Credentials, newKey
from tests.secured import ADDRESS, TLSPeer, TLSTestCase
from tests.test_upperlayer_wire import WritersReactor
from txdicom.dimse.commands import CEchoRQ
from txdicom.testing import MemoryLink, RawPeer, associateRQ, message
from txdicom.tls.binding import refuseUncertifiedTitles, titlesOf
from txdicom.tls.connection import ConnectionCreator, Listener, secure
from txdicom.tls.settings import PeerCertificate, RevocationCheck
from txdicom.upperlayer.pdu import AAssociateAC, AAssociateRJ, AReleaseRP, AReleaseRQ


class _CertificateTestCase(TLSTestCase):
    """Peers, good and bad."""

    def assertLetIn(self, credentials: Credentials | SSL.Context | None, **names: str) -> Any:
        """A peer gets an association."""
        peer = self.connect(credentials)
        (answer,) = self.ask(peer, associateRQ(**names))
        self.assertIsInstance(answer, AAssociateAC)
        self.assertEqual(self.logged(), [])
        return peer

    def assertKeptOut(self, credentials: Credentials | SSL.Context | None, why: str) -> None:
        """A peer gets no association; the log says why, and it is closed."""
        peer = self.connect(credentials)
        self.assertEqual(self.ask(peer, associateRQ()), [])
        self.assertTrue(peer.lost)
        self.assertEqual(self.logged(), [f"127.0.0.1:50000: no TLS connection: {why}"])
        self.assertEqual(self.acceptor.associations, set())


class CertificateTests(_CertificateTestCase):
    """Whose certificate is good enough."""

    def test_good(self) -> None:
        """One of the authority's lets its bearer in, with either version of TLS."""
        self.serve()
        modality = self.authority.issue("MODALITY")
        for version in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
            peer = self.assertLetIn(self.context(modality, version))
            (association,) = self.acceptor.associations
            self.assertEqual(association.peerCertificate, modality.certificate)
            self.assertEqual(self.ask(peer, AReleaseRQ()), [AReleaseRP()])
            peer.close()
            self.flush(peer)
            self.assertTrue(peer.lost)

    def test_missing(self) -> None:
        """None is not good enough, unless that was said; then there is none to be known."""
        self.serve()
        self.assertKeptOut(None, "it has no certificate")
        for expected in (PeerCertificate.VERIFY, PeerCertificate.IGNORE):
            self.serve(self.settings(peerCertificate=expected))
            self.assertLetIn(None)
            (association,) = self.acceptor.associations
            self.assertIsNone(association.peerCertificate)

    def test_bad(self) -> None:
        """Whatever is wrong with one is told, with the name in it; so where one need not be there."""
        other = Authority("Somebody else")
        bad = {
            "has expired": self.authority.issue("X", days=(-2, -1)),
            "is not valid yet": self.authority.issue("X", days=(1, 2)),
            "was signed by an authority that is not known here": other.issue("X"),
            "is signed by itself and not known here": Authority("X"),
            "is not meant for a client": self.authority.issue("X", purpose=FOR_SERVERS),
            "has a key that is too short": self.authority.issue("X", newKey(1024)),
        }
        for expected in (PeerCertificate.REQUIRE, PeerCertificate.VERIFY):
            self.serve(self.settings(peerCertificate=expected))
            for why, credentials in bad.items():
                self.assertKeptOut(credentials, f"its certificate ('CN=X') {why}")
        # Nobody looks at any of them.
        self.serve(self.settings(peerCertificate=PeerCertificate.IGNORE, authorities=()))
        self.assertLetIn(bad["has expired"])

    def test_hostileName(self) -> None:
        """What a stranger has in a certificate forges no line of the log, and is cut."""
        self.serve()
        self.assertKeptOut(
            Authority("X\n\x1b[2Jy"), "its certificate ('CN=X\\n\\x1b[2Jy') is signed by itself and not known here"
        )
        peer = self.connect(Authority("X" * 64))
        self.flush(peer)
        self.assertIn(f"('CN={'X' * 64}')", self.logged()[0])

    def test_revoked(self) -> None:
        """One that its authority has revoked is not good any more; the next one is."""
        good, bad = self.authority.issue("GOOD"), self.authority.issue("BAD")
        path = self.directory / "crl"
        path.write_bytes(self.authority.revoking(bad))
        settings = {"revocationLists": (str(path),), "revocationCheck": RevocationCheck.LEAF}
        self.serve(self.settings(**settings))
        self.assertKeptOut(bad, "its certificate ('CN=BAD') has been revoked")
        self.assertLetIn(good)

    def test_revocationListsOfOthers(self) -> None:
        """Without a list of its authority's, or with an old one, nobody can tell."""
        path = self.directory / "crl"
        other = Authority("Somebody else")
        lists = {
            other.revoking(): "there is no revocation list of its authority",
            self.authority.revoking(days=(-2, -1)): "the revocation list of its authority has expired",
            self.authority.revoking(days=(1, 2)): "the revocation list of its authority is not valid yet",
        }
        for text, why in lists.items():
            path.write_bytes(text)
            self.serve(self.settings(revocationLists=(str(path),), revocationCheck=RevocationCheck.LEAF))
            self.assertKeptOut(self.authority.issue("X"), f"its certificate ('CN=X') cannot be looked up: {why}")

    def test_revokedAuthority(self) -> None:
        """An authority between is looked up where the whole chain has to be."""
        between = Authority("Between", self.authority)
        _, path = between.writeTo(self.directory, "between")
        lists = self.directory / "crl"
        lists.write_bytes(between.revoking() + self.authority.revoking(between))
        settings = {"authorities": (self.trusted, path), "revocationLists": (str(lists),)}
        self.serve(self.settings(**settings, revocationCheck=RevocationCheck.LEAF))
        self.assertLetIn(between.issue("X"))
        self.serve(self.settings(**settings, revocationCheck=RevocationCheck.CHAIN))
        self.assertKeptOut(between.issue("X"), "its certificate ('CN=Between') has been revoked")

    def test_nothingIsResumed(self) -> None:
        """A session opens no door a second time, so a certificate is verified each time."""
        self.serve()
        context = self.context(self.authority.issue(), SSL.TLS1_2_VERSION)
        first, again = self.assertLetIn(context), TLSPeer(context)
        again.tls.set_session(first.tls.get_session())
        again.link = MemoryLink(again, self.factory.buildProtocol(ADDRESS), ADDRESS)
        self.flush(again)
        self.assertEqual(len(self.ask(again, associateRQ())), 1)
        # Resumed ones have the secret of the first.
        self.assertNotEqual(again.tls.master_key(), first.tls.master_key())


class OtherPeersTests(_CertificateTestCase):
    """Those who do not speak TLS, or another one."""

    def test_plain(self) -> None:
        """One that speaks DICOM without TLS is told apart, closed, and costs nobody anything."""
        self.serve()
        peer = self.connectPlain()
        self.assertEqual(self.ask(peer, associateRQ()), [])
        self.assertTrue(peer.lost)
        self.assertEqual(self.logged(), ["127.0.0.1:50000: no TLS connection: it speaks DICOM without TLS"])
        self.assertLetIn(self.authority.issue())

    def test_noise(self) -> None:
        """What is neither is closed as well, whatever it is."""
        self.serve()
        for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\x04\0\0\0\0\x02\0\0", bytes(100), b"\xff" * 100):
            peer = self.connectPlain()
            self.assertEqual(self.ask(peer, noise), [])
            self.assertTrue(peer.lost, noise)
            (line,) = self.logged()
            self.assertTrue(line.startswith("127.0.0.1:50000: no TLS connection: "), line)

    def test_mute(self) -> None:
        """One that says nothing, or stops within the handshake, is closed when ARTIM expires; others come and go."""
        self.serve(artimTimeout=5.0)
        mute, halting = self.connectPlain(), self.connectPlain()
        hello = self.connect(self.authority.issue()).wire
        halting.send(b"\x16\x03\x01\x02\0\x01")
        self.clock.advance(4)
        self.assertLetIn(self.authority.issue())
        self.assertFalse(mute.lost or halting.lost)
        self.clock.advance(1)
        for peer in (mute, halting):
            peer.link.flush()
            self.assertTrue(peer.lost)
        self.assertIsNotNone(hello)

    def test_goesAway(self) -> None:
        """One that only looks whether somebody is there is not worth a line."""
        self.serve()
        peer = self.connectPlain()
        peer.link.lose()
        self.assertEqual(self.logged(), [])
        self.assertEqual(self.acceptor.associations, set())

    def test_tooOld(self) -> None:
        """TLS 1.1 is not spoken."""
        self.serve()
        context = self.context(self.authority.issue(), SSL.TLS1_1_VERSION)
        self.assertKeptOut(context, "it offers no version of TLS of the security profile")

    def test_noCommonSuite(self) -> None:
        """A peer whose cipher suites are all others."""
        self.serve()
        context = self.context(self.authority.issue(), SSL.TLS1_2_VERSION)
        context.set_cipher_list(b"ECDHE-ECDSA-AES128-SHA")
        self.assertKeptOut(context, "it offers no cipher suite of the security profile")

    def test_peerRefusesUs(self) -> None:
        """A peer that does not trust our certificate says so, and its words are passed on."""
        self.serve()
        context = self.context(self.authority.issue())
        context.set_verify(SSL.VERIFY_PEER)
        peer = self.connect(context)
        self.assertTrue(peer.lost)
        (line,) = self.logged()
        self.assertIn("no TLS connection: it refuses us (", line)
        self.assertIn("unknown ca", line)

    def test_damaged(self) -> None:
        """What was changed on the way ends the association, and is told."""
        self.serve()
        peer = self.assertLetIn(self.authority.issue())
        peer.writeRaw(b"\x17\x03\x03\0\x20" + bytes(32))
        self.flush(peer)
        self.assertTrue(peer.lost)
        (line,) = self.logged()
        self.assertIn("127.0.0.1:50000: TLS failed: ", line)
        self.assertEqual(self.acceptor.associations, set())


class Reads(Protocol):
    """Notes what comes, by reads."""

    def __init__(self) -> None:
        self.reads: list[bytes] = []
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        """Note it."""
        self.reads.append(data)

    def connectionLost(self, reason: object = None) -> None:
        """Note it."""
        self.lost = True


class ReadTests(TLSTestCase):
    """How what has come is passed on, and how much is read."""

    def test_recordsOfOneReadArePassedOnTogether(self) -> None:
        above = Reads()
        factory: Any = Factory()
        factory.buildProtocol = lambda address: above
        self.factory = secure(factory, ConnectionCreator(self.settings()), self.clock)
        peer = self.connect(self.authority.issue())
        for data in (b"a", b"b" * 20000):
            peer.tls.sendall(data)
        peer.write(b"c")
        self.flush(peer)
        self.assertTrue(above.reads == [b"a" + b"b" * 20000 + b"c"])
        # What comes with the end of TLS is not lost.
        peer.tls.sendall(b"last")
        peer.close()
        self.flush(peer)
        self.assertEqual((above.reads[1:], above.lost), ([b"last"], True))

    def test_littleOfWhoDoesNotWait(self) -> None:
        """
        A peer that sends requests without waiting holds up nobody, whether they are in one record or in many, and
        whether TLS is ours or that of an endpoint of Twisted's (``ssl:``).
        """
        requests = [message(1, CEchoRQ(number)) for number in range(17)]
        for records, isOurs in product((requests, [b"".join(requests)]), (True, False)):
            self.serve()
            if not isOurs:
                self.factory = TLSMemoryBIOFactory(self.creator, False, self.acceptor, self.clock)
            self.tls = SSL.Connection(self.context(self.authority.issue()), None)
            self.tls.set_connect_state()
            transport = self.overTCP()
            for _ in range(3):
                with contextlib.suppress(SSL.WantReadError):
                    self.tls.do_handshake()
                self.converse(transport)
            for data, size in (([associateRQ().encode()], 1 << 16), (records, 1 << 12), (requests[:1], 1 << 12)):
                for record in data:
                    self.tls.sendall(record)
                self.converse(transport)
                self.assertEqual(transport.bufferSize, size)

    def overTCP(self) -> Any:
        """Return a transport of Twisted's for a new connection, whose other end is `peer`."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.peer = socket.create_connection(server.getsockname())
            ours, _ = server.accept()
        self.addCleanup(self.peer.close)
        self.addCleanup(ours.close)
        self.peer.settimeout(0)
        ours.setblocking(False)
        protocol: Any = self.factory.buildProtocol(ADDRESS)
        transport: Any = Server(ours, protocol, ("127.0.0.1", 50000), None, 1, WritersReactor())
        protocol.makeConnection(transport)
        return transport

    def converse(self, transport: Any) -> None:
        """Have the receiver read once, and the peer what it says to that."""
        with contextlib.suppress(SSL.WantReadError):
            self.peer.sendall(self.tls.bio_read(1 << 20))
        self.assertIsNone(transport.doRead())
        self.clock.advance(0)
        transport.doWrite()
        with contextlib.suppress(BlockingIOError):
            self.tls.bio_write(self.peer.recv(1 << 20))


class TitleTests(_CertificateTestCase):
    """`refuseUncertifiedTitles`."""

    def test_titles(self) -> None:
        """The common name and the DNS names count, as they are spelled."""
        issue = self.authority.issue
        self.assertEqual(titlesOf(issue("CT1").certificate), {"CT1"})
        self.assertEqual(
            titlesOf(issue("CT1", names=("ct1.example.org", "CT2")).certificate), {"CT1", "ct1.example.org", "CT2"}
        )
        self.assertEqual(titlesOf(issue("", names=("CT2",)).certificate), {"CT2"})
        self.assertEqual(titlesOf(issue("").certificate), set())

    def test_admission(self) -> None:
        """Who calls itself otherwise than its certificate does is refused with 1/1/3."""
        self.serve(admit=refuseUncertifiedTitles)
        credentials = self.authority.issue("CT1", names=("CT2",))
        for title in ("CT1", " CT2"):
            self.assertLetIn(credentials, callingAETitle=title)
        for title in ("CT3", "ct1", "", "CT", "CT1X"):
            peer = self.connect(credentials)
            self.assertEqual(self.ask(peer, associateRQ(callingAETitle=title)), [AAssociateRJ(1, 1, 3)], title)

    def test_withoutCertificate(self) -> None:
        """Who has none has no title."""
        self.serve(self.settings(peerCertificate=PeerCertificate.VERIFY), refuseUncertifiedTitles)
        peer = self.connect(None)
        self.assertEqual(self.ask(peer, associateRQ()), [AAssociateRJ(1, 1, 3)])


class InterfaceTests(TLSTestCase):
    """What Twisted asks for."""

    def test_interfaces(self) -> None:
        self.serve()
        verifyObject(IOpenSSLServerConnectionCreator, self.creator)
        verifyObject(IHandshakeListener, Listener(RawPeer()))
