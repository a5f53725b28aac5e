"""TLS with real peers: DCMTK's storescu and echoscu, OpenSSL's s_client, and those who only connect."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.certificates import Authority, Credentials, newKey
from tests.documents import DOCS, blocks
from tests.interop.case import dataSetOf
from tests.interop.corpus import namedFiles
from tests.interop.peers import Finished, requireModule, requireProgram, run
from tests.interop.receiver import Receiver
from tests.programs import CHECKOUT, waitFor

_PATIENCE = 30.0


class TLSTestCase(SynchronousTestCase):
    """
    Receivers with TLS.

    :ivar authority: whom they trust.
    """

    def setUp(self) -> None:
        """Make certificates; those of RSA are for DCMTK, whose profiles have no other in TLS 1.2."""
        for program in ("echoscu", "storescu", "openssl"):
            requireProgram(program)
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(parents=True)
        self.authority = Authority()
        _, self.trusted = self.write("authority", self.authority)
        self.server = self.write("server", self.authority.issue("localhost", newKey(2048)))
        self.client = self.write("client", self.authority.issue("CT1", newKey(2048)))

    def write(self, name: str, credentials: Credentials) -> tuple[str, str]:
        """Write key and certificate, and return their paths."""
        return credentials.writeTo(self.directory, name)

    def start(self, *options: str, identity: tuple[str, str] | None = None) -> Receiver:
        """Start a receiver with TLS that trusts the authority."""
        tls = ("+tls", *(identity or self.server), "--add-cert-file", self.trusted)
        receiver = Receiver(*tls, *options)
        self.addCleanup(receiver.stop)
        self.receiver = receiver
        return receiver

    def peer(self, program: str, identity: tuple[str, str], *arguments: object, nagle: bool = False) -> Finished:
        """Run a program of DCMTK's with TLS."""
        tls = ("+tls", *identity, "+cf", self.trusted)
        return run(program, *tls, "127.0.0.1", self.receiver.port, *arguments, nagle=nagle)

    def openssl(self, *options: str) -> str:
        """Run OpenSSL's client, without anything to say, and return all that it tells."""
        connect = ("s_client", "-connect", f"127.0.0.1:{self.receiver.port}", "-CAfile", self.trusted)
        return run("openssl", *connect, *options).output

    def whyNot(self, count: int = 0) -> list[str]:
        """Return what the log says of those who were not let in, when it has told of so many."""

        def told() -> list[str]:
            return re.findall(r"no TLS connection: (.*)$", self.receiver.log, re.MULTILINE)

        waitFor(lambda: len(told()) >= count, "lines of the log")
        return told()


class StorescuTests(TLSTestCase):
    """DCMTK's clients, which have certificates."""

    def test_mutualAuthentication(self) -> None:
        """Instances come whole over each of our profiles from each of DCMTK's that have one."""
        requireModule("pydicom.data")
        (file,) = namedFiles("CT_small.dcm")
        for ours in ("8996", "bcp195-nd", "bcp195", "bcp195-ex", "8996-mod"):
            receiver = self.start(f"--profile-{ours}", "--require-cert-aet")
            for theirs in ("--profile-bcp195-nd", "--profile-bcp195", "--profile-bcp195-ex"):
                finished = self.peer("storescu", self.client, theirs, "-aet", "CT1", file.path)
                self.assertEqual(finished.status, 0, finished.output)
                (content,) = receiver.take().values()
                # storescu leaves out the padding at the end (FFFC,FFFC).
                sent = dataSetOf(Path(file.path).read_bytes())
                self.assertEqual(dataSetOf(content), sent.partition(b"\xfc\xff\xfc\xffOB")[0])
            self.assertEqual(self.whyNot(), [])
            self.assertEqual(receiver.takeFailures(), [])
            finished = self.peer("echoscu", self.client, "-aet", "CT2")
            self.assertIn("Calling AE Title Not Recognized", finished.output)

    def test_asShipped(self) -> None:
        """Nagle's algorithm, which is on as they are shipped, does not make them wait 40 ms for each message."""
        self.start()
        began = time.monotonic()
        finished = self.peer("echoscu", self.client, "--repeat", 100, nagle=True)
        self.assertEqual(finished.status, 0, finished.output)
        self.assertLess(time.monotonic() - began, 2)

    def test_badCertificates(self) -> None:
        """Nobody is let in without a good certificate, and meanwhile those who have one are served."""
        revoked, other = self.authority.issue("REVOKED", newKey(2048)), Authority("X").issue("OTHER")
        path = self.directory / "crl"
        path.write_bytes(self.authority.revoking(revoked))
        bad = {
            "its certificate ('CN=EXPIRED') has expired": self.authority.issue("EXPIRED", newKey(2048), (-2, -1)),
            "its certificate ('CN=SELF') is signed by itself and not known here": Authority("SELF"),
            "its certificate ('CN=OTHER') was signed by an authority that is not known here": other,
            "its certificate ('CN=REVOKED') has been revoked": revoked,
        }
        self.start("--add-crl-file", str(path))
        with ThreadPoolExecutor() as threads:
            meanwhile = threads.submit(self.peer, "echoscu", self.client, "--repeat", 3000)
            for credentials in bad.values():
                finished = self.peer("echoscu", self.write("bad", credentials))
                self.assertNotEqual(finished.status, 0)
            finished = run("echoscu", "+tla", "+cf", self.trusted, "127.0.0.1", self.receiver.port)
            self.assertNotEqual(finished.status, 0)
            self.assertEqual(self.peer("echoscu", self.client).status, 0)
            self.assertEqual(meanwhile.result().status, 0)
        self.assertEqual(self.whyNot(len(bad) + 1), [*bad, "it has no certificate"])
        self.assertEqual(self.receiver.takeFailures(), [])

    def test_plain(self) -> None:
        """A client without TLS is told apart, and so is one with TLS where there is none."""
        self.start()
        self.assertNotEqual(run("echoscu", "127.0.0.1", self.receiver.port).status, 0)
        self.assertEqual(self.whyNot(1), ["it speaks DICOM without TLS"])
        self.assertEqual(self.peer("echoscu", self.client).status, 0)
        self.receiver = plain = Receiver()
        self.addCleanup(plain.stop)
        self.assertNotEqual(self.peer("echoscu", self.client).status, 0)
        waitFor(lambda: "PDU type 0x16" in plain.log, "a line of the log")
        self.assertRegex(plain.log, r"127\.0\.0\.1:\d+: PDU type 0x16, which looks like a peer with TLS\n")


class ClientTests(TLSTestCase):
    """OpenSSL's own client, and clients that say nothing."""

    def test_profiles(self) -> None:
        """Which versions and cipher suites each profile has."""
        versions = ("-tls1_1", "-tls1_2", "-tls1_3")
        for profile, thirteen in (("8996", 1), ("8996-mod", 1), ("bcp195", 1), ("bcp195-nd", 1), ("bcp195-ex", 0)):
            self.start(f"--profile-{profile}", "--ignore-peer-cert")
            found = [self._negotiated(version, "-cipher", "ALL:@SECLEVEL=0") for version in versions]
            tls13 = ("TLSv1.3", "TLS_AES_256_GCM_SHA384") if thirteen else None
            self.assertEqual(found, [None, ("TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384"), tls13], profile)
            rsa = self._negotiated("-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0")
            self.assertEqual(rsa, ("TLSv1.2", "AES128-SHA") if profile == "bcp195" else None)

    def _negotiated(self, *options: str) -> tuple[str, str] | None:
        output = self.openssl(*options)
        found = re.search(r"^New, \S+, Cipher is (\S+)$", output, re.MULTILINE)
        version = re.search(r"^ *Protocol *: (\S+)$", output, re.MULTILINE)
        if found is None or found[1] == "(NONE)":
            return None
        return (version[1] if version else "TLSv1.3", found[1])

    def test_nothingIsResumed(self) -> None:
        """A session that is offered again is not taken, in either version."""
        self.start()
        key, certificate = self.client
        session = str(self.directory / "session")
        for version in ("-tls1_2", "-tls1_3"):
            options = (version, "-key", key, "-cert", certificate)
            self.openssl(*options, "-sess_out", session)
            output = self.openssl(*options, *(("-sess_in", session) if os.path.exists(session) else ()))
            self.assertIn("\nNew, TLS", output)
            self.assertNotIn("\nReused, ", output)
        self.assertEqual(self.whyNot(), [])

    def test_mute(self) -> None:
        """Peers that say nothing, or halt within the handshake, hold up nobody, and are cut when ARTIM expires."""
        self.start("--acse-timeout", "2")
        began = time.monotonic()
        mute = [socket.create_connection(("127.0.0.1", self.receiver.port), timeout=_PATIENCE) for _ in range(50)]
        for connection in mute[::2]:
            connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        finished = self.peer("echoscu", self.client)
        self.assertEqual(finished.status, 0, finished.output)
        self.assertLess(time.monotonic() - began, 1.9)
        for connection in mute:
            with connection:
                self.assertEqual(_rest(connection), b"")
        self.assertGreater(time.monotonic() - began, 1.9)
        self.assertEqual(self.receiver.takeFailures(), [])


def _rest(connection: socket.socket) -> bytes:
    """Wait until a connection is closed, and return what came before."""
    try:
        return connection.recv(100)
    except ConnectionResetError:
        return b""


class HowToTests(SynchronousTestCase):
    """What docs/tls.rst tells to do."""

    def setUp(self) -> None:
        """Go where the commands make their files."""
        for program in ("openssl", "storescu"):
            requireProgram(program)
        requireModule("pydicom.data")
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(parents=True)
        self.make, self.receive, self.send, self.revoke = (text for _, text in blocks(DOCS / "tls.rst", "sh"))

    def shell(self, commands: str) -> None:
        """Run commands that have to succeed."""
        done = subprocess.run(
            ["sh", "-e"], input=commands, cwd=self.directory, capture_output=True, text=True, timeout=120, check=False
        )
        self.assertEqual(done.returncode, 0, done.stderr)

    def words(self, command: str, **changes: Any) -> list[str]:
        """Take a command apart; file names become paths, and some words others."""
        found = [changes.get(word, word) for word in shlex.split(command.replace("\\\n", " "))]
        return [str(self.directory / word) if (self.directory / word).is_file() else word for word in found]

    def test_commands(self) -> None:
        """The certificates that are made so are good, until they are revoked."""
        (file,) = namedFiles("CT_small.dcm")
        self.shell(self.make)
        receive = self.words(self.receive)
        options = receive[receive.index("--enable-tls") : -1]
        receiver = Receiver(*options)
        self.addCleanup(receiver.stop)
        send = self.words(self.send, **{"2762": str(receiver.port), "image.dcm": str(file.path)})
        finished = run(*send)
        self.assertEqual(finished.status, 0, finished.output)
        self.assertEqual(len(receiver.take()), 1)
        _, ours = (text for _, text in blocks(DOCS / "sending.rst", "sh"))
        python, *send = self.words(ours, **{"2762": str(receiver.port), "$file": str(file.path)})
        self.assertEqual(python, ".venv/bin/python")
        done = subprocess.run([sys.executable, *send], cwd=CHECKOUT, capture_output=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(receiver.take()), 1)
        send = self.words(self.send, **{"2762": str(receiver.port), "image.dcm": str(file.path)})
        self.shell(self.revoke)
        strict = Receiver(*options, "--add-crl-file", str(self.directory / "revoked.crl"))
        self.addCleanup(strict.stop)
        finished = run(*(str(strict.port) if word == str(receiver.port) else word for word in send))
        self.assertNotEqual(finished.status, 0)
        sentence = "no TLS connection: its certificate ('CN=CT1') has been revoked"
        waitFor(lambda: sentence in strict.log, sentence)
