"""
Tests of the options of TLS: what they lead to, and what the receiver says that cannot start with them.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any
from unittest.mock import patch

from tests.certificates import Authority
from tests.receivers import ReceiverTestCase
from tests.secured import TLSTestCase
from tests.test_options import OptionsTestCase
from txdicom.storescp.assembly import makeTLSSettings
from txdicom.storescp.service import StartError
from txdicom.testing import associateRQ
from txdicom.tls.profiles import PROFILES, SUITES
from txdicom.tls.settings import PeerCertificate, RevocationCheck, TLSError, TLSSettings
from txdicom.upperlayer.pdu import AAssociateAC, AAssociateRJ

_ON = ("+tls", "/k", "/c")


@contextmanager
def withoutPyOpenSSL() -> Iterator[None]:
    """Be where pyOpenSSL is not installed."""
    with patch.dict(sys.modules, {"OpenSSL": None}):  # type: ignore[dict-item]
        for name in ("binding", "connection", "context"):
            sys.modules.pop(f"txdicom.tls.{name}", None)
        yield


class SettingsTests(OptionsTestCase):
    """What the options mean."""

    def settings(self, *arguments: str) -> TLSSettings:
        """Return the settings of a command line that turns TLS on."""
        return makeTLSSettings(self.parse(*_ON, *arguments, "104"))

    def test_defaults(self) -> None:
        self.assertEqual(self.settings(), TLSSettings(key="/k", certificate="/c"))

    def test_all(self) -> None:
        """Everything at once, as DCMTK spells it."""
        settings = self.settings(
            *("+pw", "secret", "+cf", "/a", "+cf", "/b", "+cd", "/d", "+crl", "/r", "-vc", "+px", "+dp", "/g"),
            *("+cs", "TLS_RSA_WITH_AES_128_GCM_SHA256", "+cs", "TLS_RSA_WITH_AES_256_GCM_SHA384", "-pem"),
        )
        self.assertEqual(
            settings,
            TLSSettings(
                key="/k",
                certificate="/c",
                password=b"secret",
                peerCertificate=PeerCertificate.VERIFY,
                authorities=("/a", "/b"),
                authorityDirectories=("/d",),
                revocationLists=("/r",),
                revocationCheck=RevocationCheck.LEAF,
                profile="bcp195",
                suites=("TLS_RSA_WITH_AES_128_GCM_SHA256", "TLS_RSA_WITH_AES_256_GCM_SHA384"),
                dhParameters="/g",
            ),
        )

    def test_revocation(self) -> None:
        """A list is looked at without being told to; chains only when told to."""
        for arguments, check in (
            (("+crl", "/r", "+crv"), RevocationCheck.LEAF),
            (("+crl", "/r", "+cra"), RevocationCheck.CHAIN),
            (("+crl", "/r", "+crv", "+cra"), RevocationCheck.CHAIN),
        ):
            self.assertIs(self.settings(*arguments).revocationCheck, check)
        for option in ("crl-vfy", "crl-all"):
            sentence = f"--enable-{option} can only be given with --add-crl-file"
            self.assertRefused(sentence, *_ON, f"--enable-{option}", "104")

    def test_alternatives(self) -> None:
        """Of those the last one counts."""
        for name in PROFILES:
            self.assertEqual(self.settings("--profile-bcp195", f"--profile-{name}").profile, name)
        for expected in PeerCertificate:
            settings = self.settings("--ignore-peer-cert", f"--{expected.value}-peer-cert")
            self.assertIs(settings.peerCertificate, expected)

    def test_passwords(self) -> None:
        """A password is empty, on the command line, or the first line of a file, however that ends."""
        path = self.mktemp()
        self.assertEqual(self.settings("--null-passwd").password, b"")
        for content, password in (
            (b"a b\nc", b"a b"),
            (b"a\r\n", b"a"),
            (b"a", b"a"),
            (b"", b""),
            (b" \xe4 ", b" \xe4 "),
        ):
            with open(path, "wb") as file:
                file.write(content)
            self.assertEqual(self.settings("--passwd-file", path).password, password)
        self.assertEqual(len(self.settings("--passwd-file", "/dev/zero").password or b""), 1024)
        error = self.assertRaises(TLSError, self.settings, "--passwd-file", "/nowhere")
        self.assertEqual(str(error), "password file /nowhere cannot be read: No such file or directory")

    def test_refused(self) -> None:
        """What cannot go together is said before any file is looked at."""
        suite = "TLS_RSA_WITH_AES_128_GCM_SHA256"
        sentence = f"--profile-bcp195-ex allows no other cipher suites, so no --cipher {suite}"
        self.assertRefused(sentence, *_ON, "--profile-bcp195-ex", "--cipher", suite, "104")
        for endpoint in ("ssl:104", "haproxy:ssl:104:privateKey=a"):
            sentence = f"endpoint {endpoint!r} has TLS of its own: leave --enable-tls out"
            self.assertRefused(sentence, *_ON, "--endpoint", endpoint)
        self.assertRefused("--disable-tls cannot be given with --enable-tls", "-tls", *_ON, "104")
        self.assertIsNone(self.parse("-tls", "104")["enable-tls"])

    def test_listing(self) -> None:
        """The cipher suites are printed, a line each; without pyOpenSSL, a sentence."""
        status, output, _ = self.exits("--list-ciphers")
        self.assertEqual((status, output.split("\n")[1:-1]), (0, [f"  {suite}" for suite in SUITES]))
        with withoutPyOpenSSL():
            self.assertRefused("--list-ciphers needs pyOpenSSL: install txdicom[tls]", "--list-ciphers")


class ReceiverTests(TLSTestCase, ReceiverTestCase):
    """The receiver as it is put together from the options."""

    def setUp(self) -> None:
        """Have certificates, and a reactor in memory."""
        TLSTestCase.setUp(self)
        files = self.directory
        ReceiverTestCase.setUp(self)
        self.output, self.directory = self.directory, files
        self.clock = self.reactor
        self.reactor.callFromThread = lambda function: self.reactor.callLater(0, function)  # type: ignore[attr-defined]

    def begin(self, *arguments: str) -> None:
        """Start a receiver with TLS."""
        identity = ("--enable-tls", self.key, self.certificate, "--add-cert-file", self.trusted)
        self.directory, files = self.output, self.directory
        self.factory: Any = ReceiverTestCase.serve(self, *identity, *arguments)
        self.directory = files
        self.addCleanup(self.end)

    def end(self) -> None:
        """Stop the receiver."""
        if self.service.running:
            self.service.stopService()
            # Each step of stopping has a time of its own.
            for _ in range(5):
                self.reactor.advance(30)
                for peer in self.peers:
                    peer.link.flush()

    def answerTo(self, credentials: Any, title: str = "CT1") -> Any:
        """Return what a peer's A-ASSOCIATE-RQ is answered with; None if there is no TLS connection."""
        answers = self.ask(self.connect(credentials), associateRQ(callingAETitle=title))
        return answers[0] if answers else None

    def test_serves(self) -> None:
        """Whoever has a certificate is served, and nobody else."""
        self.begin()
        self.assertIsInstance(self.answerTo(self.authority.issue("CT1")), AAssociateAC)
        self.assertIsNone(self.answerTo(None))
        self.assertIsNone(self.answerTo(Authority("Other").issue("CT1")))

    def test_titles(self) -> None:
        """With --require-cert-aet only by its own title."""
        self.begin("--require-cert-aet")
        self.assertIsInstance(self.answerTo(self.authority.issue("CT1")), AAssociateAC)
        self.assertEqual(self.answerTo(self.authority.issue("CT2")), AAssociateRJ(1, 1, 3))

    def test_certificateIsTold(self) -> None:
        """With --verbose the log tells whose certificate a peer has, and forges nothing."""
        self.begin("--verbose")
        self.answerTo(self.authority.issue("CT1\nX"))
        lines = [event["subject"] for event in self.events if "subject" in event]
        self.assertEqual(lines, ["CN=CT1\\nX"])

    def test_hangup(self) -> None:
        """SIGHUP reads the files again; files that are no good change nothing; in the end the signal is as it was."""
        before = signal.getsignal(signal.SIGHUP)
        self.begin()
        other = Authority("Other")
        old, new = self.authority.issue("CT1"), other.issue("CT1")
        with open(self.trusted, "rb") as file:
            content = file.read()
        for written, good, bad in ((None, new, old), (b"no certificate", new, old), (content, old, new)):
            if written is None:
                other.writeTo(self.directory, "authority")
            else:
                with open(self.trusted, "wb") as file:
                    file.write(written)
            os.kill(os.getpid(), signal.SIGHUP)
            self.reactor.advance(0)
            self.assertIsInstance(self.answerTo(good), AAssociateAC)
            self.assertIsNone(self.answerTo(bad))
        self.assertEqual(
            [line for line in self.logged() if line.startswith("TLS ")],
            [
                "TLS has read its files again",
                "TLS goes on with the files as they were:"
                f" certificate {os.path.abspath(self.trusted)} cannot be used: it is no certificate",
                "TLS has read its files again",
            ],
        )
        self.end()
        self.assertIs(signal.getsignal(signal.SIGHUP), before)

    def assertNotStarted(self, sentence: str, *arguments: str) -> None:
        """Making the service fails, and standard error says why."""
        errors = StringIO()
        self.patch(sys, "stderr", errors)
        self.directory, files = self.output, self.directory
        self.assertRaises(StartError, ReceiverTestCase.serve, self, *arguments)
        self.directory = files
        self.assertEqual(errors.getvalue(), f"storescp: {sentence}\n")

    def test_cannotStart(self) -> None:
        """What is wrong with the files is said in a sentence."""
        self.assertNotStarted(
            "private key /nowhere cannot be read: No such file or directory", "+tls", "/nowhere", self.certificate
        )
        self.assertNotStarted(
            "password file /nowhere cannot be read: No such file or directory",
            *("+tls", self.key, self.certificate, "--passwd-file", "/nowhere"),
        )

    def test_withoutPyOpenSSL(self) -> None:
        """Where it is not installed, --enable-tls says what to do."""
        with withoutPyOpenSSL():
            self.assertNotStarted(
                "--enable-tls needs pyOpenSSL: install txdicom[tls]",
                *("+tls", self.key, self.certificate, "--require-cert-aet"),
            )
