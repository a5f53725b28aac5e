"""Tests of `txdicom.cli.tls`: what the options of TLS lead to."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.certificates import Authority
from tests.programs import hide
from txdicom.cli.main import makeParser
from txdicom.cli.tls import _settings, addTLSOptions, secured
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.storescp.options.table import OPTIONS
from txdicom.testing import MemoryEndpoint
from txdicom.tls.profiles import PROFILES, SUITES
from txdicom.tls.requesting import TLSEndpoint
from txdicom.tls.settings import PeerCertificate, RevocationCheck, TLSError, TLSSettings


class OptionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.plain = MemoryEndpoint(AcceptorFactory([], clock=Clock()))

    def options(self, *arguments: str) -> Any:
        return makeParser().parse_args(["echo", "pacs", "2762", *arguments])

    def settings(self, *arguments: str) -> TLSSettings:
        return _settings(self.options(*arguments))

    def refused(self, *arguments: str) -> str:
        """Return why these cannot be had."""
        return str(self.assertRaises(TLSError, secured, self.plain, self.options(*arguments), Clock()))

    def test_off(self) -> None:
        """There is none, and then no option of it has a meaning."""
        self.assertIs(secured(self.plain, self.options(), Clock()), self.plain)
        for arguments in (
            ("--passwd-file", "x"),
            ("--add-cert-file", "x"),
            ("--add-cert-dir", "x"),
            ("--server-name", "x"),
            ("--ignore-peer-cert",),
            ("--add-crl-file", "x"),
            ("--profile-8996",),
            ("--cipher", "x"),
        ):
            self.assertEqual(self.refused(*arguments), "options of TLS mean nothing without --tls or --enable-tls")

    def test_settings(self) -> None:
        """Every option goes where it belongs."""
        password = self.mktemp()
        Path(password).write_bytes(b"secret\nelse")
        self.assertEqual(self.settings("--tls"), TLSSettings())
        self.assertEqual(
            self.settings(
                *("--enable-tls", "k", "c", "--passwd-file", password, "--add-cert-file", "a", "--add-cert-file", "b"),
                *("--add-cert-dir", "d", "--add-crl-file", "l", "--cipher", "TLS_RSA_WITH_AES_128_GCM_SHA256"),
            ),
            TLSSettings(
                key="k",
                certificate="c",
                password=b"secret",
                authorities=("a", "b"),
                authorityDirectories=("d",),
                revocationLists=("l",),
                revocationCheck=RevocationCheck.LEAF,
                suites=("TLS_RSA_WITH_AES_128_GCM_SHA256",),
            ),
        )
        self.assertIs(self.settings("--tls", "--ignore-peer-cert").peerCertificate, PeerCertificate.IGNORE)
        for profile in PROFILES:
            self.assertEqual(self.settings("--tls", f"--profile-{profile}").profile, profile)

    def test_namesOfTheReceiver(self) -> None:
        """What both programs have is called alike, but for what only one who connects needs."""
        parser = ArgumentParser()
        addTLSOptions(parser)
        names = set(re.findall(r"--([\w-]+)", parser.format_help())) - {"help", "tls", "server-name"}
        self.assertGreater(len(names), 10)
        self.assertLessEqual(names, OPTIONS.keys())

    def test_refused(self) -> None:
        """Each in a sentence."""
        for arguments, sentence in (
            (("--tls", "--cipher", "x"), "--cipher 'x' is none of the cipher suites that --list-ciphers lists"),
            (("--enable-tls", "k", "c", "--passwd-file", "/nowhere"), "password file /nowhere cannot be read: No such"),
            (("--enable-tls", "/nowhere", "/nowhere"), "certificate /nowhere cannot be read: No such"),
        ):
            self.assertTrue(self.refused(*arguments).startswith(sentence), self.refused(*arguments))

    def test_listing(self) -> None:
        """The cipher suites are shown, a line each, and each is taken; without pyOpenSSL there is a sentence."""
        for command in ("echo", "send"):
            with redirect_stdout(StringIO()) as shown:
                end = self.assertRaises(SystemExit, makeParser().parse_args, [command, "--list-ciphers"])
            suites = shown.getvalue().split("\n")[1:-1]
            self.assertEqual((end.code, suites), (0, [f"  {suite}" for suite in SUITES]))
        for suite in suites:
            self.assertEqual(self.settings("--tls", "--profile-bcp195", "--cipher", suite.strip()).suites, (suite[2:],))
        hide(self, "OpenSSL", "txdicom.tls.context")
        with redirect_stderr(StringIO()) as said:
            end = self.assertRaises(SystemExit, makeParser().parse_args, ["send", "--list-ciphers"])
        self.assertEqual(end.code, 2)
        self.assertIn("--list-ciphers needs pyOpenSSL: install txdicom[tls]", said.getvalue())

    def test_name(self) -> None:
        """The certificate has to be for the host, or for whom is named."""
        folder = Path(self.mktemp())
        folder.mkdir()
        _, trusted = Authority().writeTo(folder, "authority")
        for arguments, name in (((), "pacs"), (("--server-name", "STORESCP"), "STORESCP")):
            options = self.options("--tls", "--add-cert-file", trusted, *arguments)
            endpoint = secured(self.plain, options, Clock())
            assert isinstance(endpoint, TLSEndpoint)
            self.assertEqual(endpoint.name, name)

    def test_withoutPyOpenSSL(self) -> None:
        """It says what to install."""
        hide(self, "OpenSSL", *(f"txdicom.tls.{name}" for name in ("requesting", "connection", "context", "faults")))
        self.assertEqual(self.refused("--tls"), "TLS needs pyOpenSSL: install txdicom[tls]")
