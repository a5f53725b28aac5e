"""
What docs/composition.rst has of programs, with real ones: the router, and storescp behind systemd and haproxy.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

from benchmarks.ports import freePort
from tests.documents import LISTINGS
from tests.programs import ANY_PORT, ENDED, PATIENCE, ProgramTestCase, environment, twistd, waitFor
from tests.receivers import INSTANCE, PROPOSED
from txdicom.testing import associateRQ
from txdicom.upperlayer.pdu import AAssociateAC, AAssociateRJ

#: Does what systemd does: the socket becomes descriptor 3, and the program is told so.
_ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="storescp.socket")
os.execv(sys.argv[2], sys.argv[2:])
"""


def unit(name: str) -> ConfigParser:
    """Read a unit of systemd's."""
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(LISTINGS / name)
    return parser


class RouterTests(ProgramTestCase):
    def run_(self, home: Path, ports: tuple[int, ...]) -> tuple[subprocess.Popen[bytes], int]:
        """Run router.tac with these peers, in a hurry; return where it listens."""
        listing = (LISTINGS / "router.tac").read_text().replace('"tcp:11112"', '"tcp:0:interface=127.0.0.1"')
        for address, port in zip(("192.0.2.1:104", "192.0.2.2:11112"), ports, strict=True):
            listing = listing.replace(address, f"127.0.0.1:{port}")
        (home / "router.tac").write_text(listing.replace("reactor, calledAETitle", "reactor, 0.1, calledAETitle"))
        log = home / f"log{len(list(home.glob('log*')))}"
        with open(log, "wb") as output:
            process = subprocess.Popen(
                [twistd(), "-n", "--pidfile=", "-y", "router.tac"],
                cwd=home,
                env=environment(PYTHONPATH="."),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.addCleanup(process.wait, PATIENCE)
        self.addCleanup(process.kill)
        waitFor(lambda: b" starting on " in log.read_bytes() or process.poll() is not None, "listening")
        self.assertIsNone(process.poll(), log.read_text())
        [port] = re.findall(rb" starting on (\d+)$", log.read_bytes(), re.M)
        return process, int(port)

    def test_killed(self) -> None:
        """What it has acknowledged reaches both peers, though one was down then and it has been killed since."""
        home = self.home / "router"
        home.mkdir()
        for name in ("queueing.py", "forwarding.py"):
            shutil.copy(LISTINGS / name, home)
        outputs = [self.home / name for name in ("archive", "research")]
        for output in outputs:
            output.mkdir()
        quick = self.start(f"--output-directory={outputs[0]}").port()
        down = freePort()
        router, port = self.run_(home, (quick, down))
        self.storeOne(port)
        waitFor(lambda: f"CT.{INSTANCE}" in os.listdir(outputs[0]), "delivery to the one that is up")
        self.assertEqual(len(os.listdir(home / "RESEARCH")), 1)
        router.kill()
        router.wait(PATIENCE)
        self.start(f"--output-directory={outputs[1]}", f"--endpoint=tcp:{down}:interface=127.0.0.1").port()
        self.run_(home, (quick, down))
        waitFor(lambda: f"CT.{INSTANCE}" in os.listdir(outputs[1]), "delivery to the one that was down")
        waitFor(lambda: os.listdir(home / "RESEARCH") == [], "an empty queue")
        contents = {(output / f"CT.{INSTANCE}").read_bytes() for output in outputs}
        self.assertEqual(len(contents), 1)


class SystemdTests(ProgramTestCase):
    def setUp(self) -> None:
        """Take the command line from the unit, but for the directory."""
        super().setUp()
        service = unit("storescp.service")["Service"]
        _, *self.arguments = shlex.split(service["ExecStart"])
        directory = self.arguments.index("--output-directory") + 1
        self.assertEqual(self.arguments[directory], f"/var/lib/{service['StateDirectory']}")
        self.arguments[directory] = str(self.output)

    def test_isActivated(self) -> None:
        """The command of the unit serves the socket that systemd would hand to it."""
        listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
        self.addCleanup(listening.close)
        port = listening.getsockname()[1]
        with open(self.home / "log", "wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", _ACTIVATE, str(listening.fileno()), twistd(), *self.arguments],
                cwd=self.home,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(listening.fileno(),),
            )
        self.addCleanup(process.kill)
        waitFor(lambda: b" starting on " in (self.home / "log").read_bytes() or process.poll() is not None, "start")
        self.assertIsNone(process.poll(), (self.home / "log").read_text())
        with socket.create_connection(("::1", port), timeout=PATIENCE) as peer:
            peer.sendall(associateRQ(PROPOSED).encode())
            self.assertEqual(peer.recv(1), b"\x02")
        process.terminate()
        self.assertIn(process.wait(PATIENCE), ENDED)

    def test_socket(self) -> None:
        """The socket is of the kind that the command expects, and on the port of DICOM."""
        self.assertIn("systemd:domain=INET6:index=0", self.arguments)
        self.assertEqual(unit("storescp.socket")["Socket"]["ListenStream"], "104")


class ProxyTests(ProgramTestCase):
    def setUp(self) -> None:
        """Run a receiver behind a proxy; only one network may send."""
        super().setUp()
        endpoint = ANY_PORT.partition("=")[2]
        self.port = self.start(f"--endpoint=haproxy:{endpoint}", "--accept-from=192.0.2.0/24").port()

    def associate(self, header: bytes) -> object:
        """Ask for an association, by way of a proxy that puts this header before it."""
        sender = self.sender(self.port)
        return sender.ask(header, associateRQ(PROPOSED).encode())

    def test_addressOfThePeer(self) -> None:
        """What counts is where the peer is, not where the proxy is."""
        known = self.associate(b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 104\r\n")
        self.assertIsInstance(known, AAssociateAC)
        stranger = self.associate(b"PROXY TCP4 198.51.100.7 192.0.2.1 40000 104\r\n")
        self.assertIsInstance(stranger, AAssociateRJ)

    def test_withoutProxy(self) -> None:
        """Whoever comes past the proxy is not served."""
        sender = self.sender(self.port)
        sender.socket.sendall(associateRQ(PROPOSED).encode() + b"\r\n")
        self.assertTrue(sender.closed())

    def test_configuration(self) -> None:
        """Each server of the listing is spoken to by the PROXY protocol."""
        servers = re.findall(r"^ +server .*", (LISTINGS / "haproxy.cfg").read_text(), re.M)
        self.assertEqual(len(servers), 2)
        for server in servers:
            self.assertIn(" send-proxy", server)
