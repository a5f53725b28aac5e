"""Our requestor with TLS, by the command `txdicom` and by Twisted's endpoint strings, against real receivers."""

from __future__ import annotations

import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

from cryptography.x509 import IPAddress

from benchmarks.ports import freePort
from tests.certificates import Authority, Credentials, newKey
from tests.interop.peers import requireProgram
from tests.interop.receiver import Receiver
from tests.interop.test_requestor import CT, MR, PATIENCE, RequestorTestCase, dataSetOf
from tests.programs import waitFor

_HERE = IPAddress(ip_address("127.0.0.1"))
_ENDPOINT_STRING = """
import sys
from twisted.internet.defer import ensureDeferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.task import react
from txdicom.requestor import connect
from txdicom.uids import VERIFICATION


async def main(reactor):
    association = await connect(clientFromString(reactor, sys.argv[1]), [VERIFICATION])
    print(hex((await association.echo()).status))
    await association.release()


react(lambda reactor: ensureDeferred(main(reactor)))
"""


class TLSTestCase(RequestorTestCase):
    """
    A requestor with TLS.

    :ivar authority: whom both sides trust.
    """

    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority()
        _, self.trusted = self.authority.writeTo(self.home, "authority")
        # Keys of RSA, because DCMTK's profiles have no other in TLS 1.2.
        self.server = self.write("server", self.authority.issue("pacs", newKey(2048), others=(_HERE,)))
        self.mine = ("--enable-tls", *self.write("mine", self.authority.issue("ME", newKey(2048))))
        self.trust = ("--add-cert-file", self.trusted)

    def write(self, name: str, credentials: Credentials) -> tuple[str, str]:
        return credentials.writeTo(self.home, name)

    def receive(self, *options: str, identity: tuple[str, str] | None = None) -> Receiver:
        """Start our receiver with TLS."""
        receiver = Receiver("+tls", *(identity or self.server), *self.trust, *options)
        self.addCleanup(receiver.stop)
        self.port = receiver.port
        return receiver

    def echo(self, *options: str) -> tuple[int, str]:
        """Run ``txdicom echo``; return its exit status, and what it complains of."""
        done = subprocess.run(
            [sys.executable, "-m", "txdicom", "echo", "127.0.0.1", str(self.port), *options],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.assertEqual(done.stdout.count("0x0000 success"), 1 if done.returncode == 0 else 0)
        return done.returncode, done.stderr

    def assertFails(self, why: str, *options: str) -> None:
        """There is exit status 1, and one sentence."""
        self.assertEqual(self.echo(*options), (1, f"txdicom: {why}\n"))


class CommandTests(TLSTestCase):
    def test_ours(self) -> None:
        """Our receiver lets us in by our certificate, over each profile, and gets everything whole."""
        receiver = self.receive("--profile-bcp195")
        for profile in ("8996", "8996-mod", "bcp195", "bcp195-nd", "bcp195-ex"):
            report = self.send([CT, MR], *self.mine, *self.trust, f"--profile-{profile}", "-n", "2")
            self.assertIn("2 of 2 stored", report)
            stored = receiver.take().values()
            for path in (CT, MR):
                self.assertEqual(sum(each.endswith(dataSetOf(path)) for each in stored), 1)
        self.assertNotIn("no TLS connection", receiver.log)
        self.assertEqual(receiver.takeFailures(), [])

    def test_dcmtk(self) -> None:
        """DCMTK's storescp with TLS, as it keeps the bytes."""
        folder = self.home / "received"
        folder.mkdir()
        tls = ("+tls", *self.server, "+cf", self.trusted)
        self.start(requireProgram("storescp"), *tls, "+B", "+xa", "-pm", "-od", folder, self.port)
        sent = self.sendable()
        report = self.send([*sent.values()], *self.mine, *self.trust, "--profile-bcp195-nd", "-n", "2")
        self.assertIn(f"{len(sent)} of {len(sent)} stored", report)
        self.assertKept(sent, folder)

    def test_peersThatAreNotGood(self) -> None:
        """Whatever is wrong with the receiver's certificate is told in a sentence."""
        other = Authority("Somebody else")
        for name, credentials, why in (
            ("ca", other.issue("X", others=(_HERE,)), "was signed by an authority that is not known here"),
            ("old", self.authority.issue("X", days=(-2, -1), others=(_HERE,)), "has expired"),
            ("self", Authority("X"), "is signed by itself and not known here"),
            ("name", self.authority.issue("X", names=("elsewhere",)), "is not for '127.0.0.1'"),
        ):
            receiver = self.receive("--ignore-peer-cert", identity=self.write(name, credentials))
            self.assertFails(f"no TLS connection: its certificate ('CN=X') {why}", "--tls", *self.trust)
            self.assertEqual(self.echo("--tls", "--ignore-peer-cert"), (0, ""))
            self.assertEqual(receiver.takeFailures(), [])
        self.assertEqual(self.echo("--tls", *self.trust, "--server-name", "elsewhere"), (0, ""))

    def test_notGoodOurselves(self) -> None:
        """The receiver's word for what is wrong with our certificate is passed on, and its log says the same."""
        receiver = self.receive()
        status, said = self.echo("--tls", *self.trust)
        self.assertEqual(status, 1)
        self.assertRegex(
            said, r"^txdicom: TLS failed: it refuses us \(.* alert .*required\); we have shown no cert.*\n$"
        )
        expired = self.write("expired", self.authority.issue("ME", days=(-2, -1)))
        status, said = self.echo("--enable-tls", *expired, *self.trust)
        self.assertEqual(status, 1)
        self.assertRegex(said, r"^txdicom: TLS failed: it refuses us \(.* alert certificate expired\)\n$")
        waitFor(lambda: "it has no certificate" in receiver.log and "('CN=ME') has expired" in receiver.log, "the log")

    def test_plainPeers(self) -> None:
        """A receiver without TLS, ours or DCMTK's; and without TLS to one with it."""
        plain = Receiver()
        self.addCleanup(plain.stop)
        self.port = plain.port
        self.assertFails("no TLS connection: it speaks DICOM without TLS", "--tls", "--ignore-peer-cert")
        self.receive()
        status, said = self.echo()
        self.assertEqual((status, said.count("\n")), (1, 1))
        self.port = freePort()
        self.start(requireProgram("storescp"), self.port)
        status, said = self.echo("--tls", "--ignore-peer-cert")
        self.assertEqual((status, said.count("\n")), (1, 1))
        self.assertTrue(said.startswith("txdicom: no TLS connection: "), said)


class EndpointStringTests(TLSTestCase):
    """Twisted's own TLS, as ``tls:`` has it."""

    def test_trusted(self) -> None:
        """It is let in with its certificate, and knows the receiver."""
        self.server = self.write("server", self.authority.issue("x", names=("localhost",)))
        self.receive()
        (self.home / "echo.py").write_text(_ENDPOINT_STRING)
        (self.home / "trusted").mkdir()
        (self.home / "trusted" / "authority.pem").write_bytes(Path(self.trusted).read_bytes())
        key, certificate = self.mine[1:]
        string = f"tls:localhost:{self.port}:trustRoots={self.home}/trusted:privateKey={key}:certificate={certificate}"
        self.assertEqual(self.run_(self.home / "echo.py", string), "0x0\n")
