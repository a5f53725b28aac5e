"""
Tests of `txdicom.tls.context` and `txdicom.tls.profiles`: good and bad files, what is negotiated.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

from base64 import encodebytes
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from tests.certificates import FFDHE2048, Authority, newKey
from tests.secured import TLSTestCase
from txdicom.testing import associateRQ
from txdicom.tls import context as module
from txdicom.tls.context import availableSuites, makeContext
from txdicom.tls.profiles import PROFILES, SUITES, suitesOf
from txdicom.tls.settings import PeerCertificate, RevocationCheck, TLSError, TLSSettings
from txdicom.upperlayer.pdu import AAssociateAC

#: "Parameters" of 512 bits (PKCS #3), which are too short for anybody.
SHORT_GROUP = bytes((0x30, 0x46, 0x02, 0x41, 0)) + b"\xff" * 64 + bytes((2, 1, 2))


class FileTests(TLSTestCase):
    """What the files may be like."""

    def file(self, name: str, content: bytes) -> str:
        """Write a file and return its path."""
        path = self.directory / name
        path.write_bytes(content)
        return str(path)

    def assertRefused(self, sentence: str, **changes: Any) -> None:
        """These settings cannot be used; FILE stands for the directory in what is said."""
        error = self.assertRaises(TLSError, makeContext, self.settings(**changes))
        self.assertEqual(str(error).replace(f"{self.directory}/", ""), sentence)

    def assertServes(self, **changes: Any) -> None:
        """With these settings one of the authority's peers gets an association."""
        self.serve(self.settings(**changes))
        (answer,) = self.ask(self.connect(self.authority.issue()), associateRQ())
        self.assertIsInstance(answer, AAssociateAC)

    def test_encodings(self) -> None:
        """DER is as good as PEM, for each of them."""
        issued = self.authority.issue("localhost")
        self.assertServes(
            key=self.file("key.der", issued.keyBytes(Encoding.DER)),
            certificate=self.file("certificate.der", issued.certificate.public_bytes(Encoding.DER)),
            authorities=(self.file("authority.der", self.authority.certificate.public_bytes(Encoding.DER)),),
        )

    def test_passwords(self) -> None:
        """An encrypted key needs its password; one that is not needs none, but may be given one."""
        key, certificate = self.authority.issue("localhost").writeTo(self.directory, "secret", b"pass word")
        self.assertServes(key=key, certificate=certificate, password=b"pass word")
        self.assertServes(password=b"not needed")
        wrong = "private key secret.key cannot be used: the password is wrong, or it is no private key"
        self.assertRefused(wrong, key=key, certificate=certificate, password=b"other")
        self.assertRefused(wrong, key=key, certificate=certificate, password=b"")
        self.assertRefused(
            "private key secret.key is encrypted, and nobody can be asked for its password: give it by --passwd-file",
            key=key,
            certificate=certificate,
        )

    def test_badFiles(self) -> None:
        """Each file that cannot be used is named, with what is wrong."""
        noise = self.file("noise", b"\x30\x82noise")
        damaged = self.file("damaged", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        gone = str(self.directory / "gone")
        for path in (noise, damaged, self.file("empty", b"")):
            name = Path(path).name
            self.assertRefused(f"private key {name} cannot be used: it is no private key", key=path)
            self.assertRefused(f"certificate {name} cannot be used: it is no certificate", certificate=path)
            self.assertRefused(f"certificate {name} cannot be used: it is no certificate", authorities=(path,))
            self.assertRefused(
                f"revocation list {name} cannot be used: it is no revocation list", revocationLists=(path,)
            )
        self.assertRefused("private key gone cannot be read: No such file or directory", key=gone)
        self.assertRefused("certificate gone cannot be read: No such file or directory", certificate=gone)
        self.assertRefused("certificate gone cannot be read: No such file or directory", authorities=(gone,))
        self.assertRefused("revocation list gone cannot be read: No such file or directory", revocationLists=(gone,))
        self.assertRefused(
            "directory of certificates gone cannot be read: No such file or directory", authorityDirectories=(gone,)
        )
        self.assertRefused(
            "file of Diffie-Hellman parameters gone cannot be read: No such file or directory", dhParameters=gone
        )

    def test_largeFile(self) -> None:
        """A file that goes on for ever is not read for ever."""
        self.patch(module, "MAX_FILE_SIZE", 1000)
        self.assertRefused("private key /dev/zero has more than 1000 bytes", key="/dev/zero")

    def test_anothersKey(self) -> None:
        """Key and certificate have to belong together, also where they are of different kinds."""
        for bits in (0, 2048):
            other, _ = Authority().issue(key=newKey(bits)).writeTo(self.directory, "other")
            error = self.assertRaises(TLSError, makeContext, self.settings(key=other))
            self.assertIn("other.key does not belong to certificate ", str(error))

    def test_shortKey(self) -> None:
        """A key of ours that the profiles do not allow is refused."""
        key, certificate = self.authority.issue(key=newKey(1024)).writeTo(self.directory, "short")
        self.assertRefused("certificate short.crt cannot be used: ee key too small", key=key, certificate=certificate)

    def test_chain(self) -> None:
        """Authorities between ours and the peer's come with our certificate."""
        between = Authority("Between", self.authority)
        issued = between.issue("localhost")
        pem = [each.certificate.public_bytes(Encoding.PEM) for each in (issued, between)]
        self.serve(
            self.settings(
                key=self.file("key", issued.keyBytes(Encoding.PEM)), certificate=self.file("chain", b"".join(pem))
            )
        )
        context = self.context(self.authority.issue())
        context.load_verify_locations(self.trusted)
        context.set_verify(SSL.VERIFY_PEER)
        peer = self.connect(context)
        self.assertIsInstance(self.ask(peer, associateRQ())[0], AAssociateAC)
        self.assertIsNone(peer.error)

    def test_directories(self) -> None:
        """Of a directory all certificates count, whatever they are called, and nothing else."""
        directory = self.directory / "authorities"
        directory.mkdir()
        (directory / "sub").mkdir()
        (directory / "README").write_text("Those whom we trust.")
        settings = {"authorities": (), "authorityDirectories": (str(directory),)}
        self.assertRefused("directory of certificates authorities has no certificate in it", **settings)
        (directory / "some.name").write_bytes(self.authority.certificate.public_bytes(Encoding.PEM))
        (directory / "other").write_bytes(Authority("Other").certificate.public_bytes(Encoding.DER))
        self.assertServes(**settings)

    def test_nobodyCouldConnect(self) -> None:
        """What would refuse everybody is refused itself."""
        for expected in (PeerCertificate.REQUIRE, PeerCertificate.VERIFY):
            self.assertRefused(
                "no peer's certificate can be verified without --add-cert-file or --add-cert-dir; with"
                " --ignore-peer-cert none has to be",
                authorities=(),
                peerCertificate=expected,
            )
        for check in (RevocationCheck.LEAF, RevocationCheck.CHAIN):
            self.assertRefused("revocation cannot be looked up without --add-crl-file", revocationCheck=check)

    def test_badGroups(self) -> None:
        """Diffie-Hellman parameters that are none, or too short."""
        self.assertRefused(
            "file of Diffie-Hellman parameters der is not in PEM", dhParameters=self.file("der", b"\x30\x82")
        )
        for name, content in (("noise", b"noise"), ("short", SHORT_GROUP)):
            pem = b"-----BEGIN DH PARAMETERS-----\n%s-----END DH PARAMETERS-----\n" % encodebytes(content)
            path = self.file(name, pem)
            error = self.assertRaises(TLSError, makeContext, self.settings(dhParameters=path))
            self.assertIn(f"{name} cannot be used: ", str(error))


class ProfileTests(SynchronousTestCase):
    """Which cipher suites there are."""

    def test_suites(self) -> None:
        """Those of a profile come in one order, and what is added goes to its place."""
        for name, profile in PROFILES.items():
            suites = suitesOf(name)
            self.assertEqual(set(suites), profile.suites)
            self.assertEqual([*suites], [suite for suite in SUITES if suite in profile.suites])
        added = ("TLS_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256")
        self.assertEqual(
            suitesOf("8996", added)[-4:],
            (
                "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
                "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
                "TLS_RSA_WITH_AES_128_GCM_SHA256",
            ),
        )

    def test_refused(self) -> None:
        """Suites that are unknown, or that the profile does not allow."""
        for profile, suite, sentence in (
            ("8996", "X", "--cipher 'X' is none of the cipher suites that --list-ciphers lists"),
            ("bcp195", "TLS_RSA_WITH_NULL_SHA", "--cipher 'TLS_RSA_WITH_NULL_SHA' is none of"),
            ("8996", "TLS_RSA_WITH_AES_128_CBC_SHA", "--profile-8996 allows no cipher suites with SHA-1"),
            ("8996-mod", "TLS_RSA_WITH_AES_128_GCM_SHA256", "--profile-8996-mod allows no other cipher suites"),
            ("bcp195-ex", "TLS_RSA_WITH_AES_128_GCM_SHA256", "--profile-bcp195-ex allows no other cipher suites"),
        ):
            error = self.assertRaises(ValueError, suitesOf, profile, (suite,))
            self.assertTrue(str(error).startswith(sentence), error)

    def test_openSSLHasAll(self) -> None:
        """OpenSSL knows all suites by the names we have for them, at the security level we ask of it."""
        self.assertEqual(availableSuites(), [*SUITES])


class NegotiationTests(TLSTestCase):
    """What peers get, by profile: version, cipher suite."""

    def setUp(self) -> None:
        """Have a certificate of each kind, and a group to exchange keys by."""
        super().setUp()
        self.rsa = self.authority.issue("localhost", newKey(2048)).writeTo(self.directory, "rsa")
        self.group = str(self.directory / "group")
        Path(self.group).write_text(FFDHE2048)

    def negotiated(
        self, settings: TLSSettings, version: int, suite: str = "", level: int = 0
    ) -> tuple[str, str] | None:
        """
        Return version and suite that a peer gets; None if it gets nothing.

        :param suite: what it offers; all if it is empty.
        :param level: its security level.
        """
        self.serve(settings)
        context = self.context(None, version)
        context.set_cipher_list(f"{SUITES.get(suite, 'ALL')}:@SECLEVEL={level}".encode("ascii"))
        peer = self.connect(context)
        if peer.lost:
            return None
        return peer.tls.get_protocol_version_name(), peer.tls.get_cipher_name()

    def settingsOf(self, profile: str, identity: tuple[str, str], **changes: Any) -> TLSSettings:
        """Return settings with this profile and key that ask for no certificate."""
        key, certificate = identity
        return TLSSettings(
            key=key, certificate=certificate, peerCertificate=PeerCertificate.IGNORE, profile=profile, **changes
        )

    def test_everySuite(self) -> None:
        """A peer with one suite of TLS 1.2 gets in where the profile has it, and nowhere else."""
        for profile, rules in PROFILES.items():
            for suite, name in SUITES.items():
                identity = (self.key, self.certificate) if "_ECDSA_" in suite else self.rsa
                settings = self.settingsOf(profile, identity, dhParameters=self.group)
                expected = ("TLSv1.2", name) if suite in rules.suites else None
                self.assertEqual(self.negotiated(settings, SSL.TLS1_2_VERSION, suite), expected, (profile, suite))

    def test_versions(self) -> None:
        """TLS 1.3 where the profile has it, TLS 1.2 always, nothing older."""
        for profile, rules in PROFILES.items():
            settings = self.settingsOf(profile, self.rsa)
            best = self.negotiated(settings, SSL.TLS1_3_VERSION)
            self.assertEqual(best and best[0], "TLSv1.3" if rules.version13 else "TLSv1.2")
            self.assertEqual(
                self.negotiated(settings, SSL.TLS1_2_VERSION),
                ("TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384"),
            )
            self.assertEqual(self.negotiated(settings, SSL.TLS1_1_VERSION), None)

    def test_added(self) -> None:
        """A suite that was added is negotiated."""
        suite = "TLS_RSA_WITH_AES_128_GCM_SHA256"
        settings = self.settingsOf("8996", self.rsa, suites=(suite,))
        self.assertEqual(self.negotiated(settings, SSL.TLS1_2_VERSION, suite), ("TLSv1.2", "AES128-GCM-SHA256"))

    def test_ownGroup(self) -> None:
        """Without parameters there is a group for DHE all the same, of no less than 2048 bits."""
        suite = "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384"
        settings = self.settingsOf("bcp195-nd", self.rsa)
        self.assertEqual(self.negotiated(settings, SSL.TLS1_2_VERSION, suite, level=2), ("TLSv1.2", SUITES[suite]))
