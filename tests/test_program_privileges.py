"""
Tests of the storescp program that gives up its privileges (``twistd --uid``): who the processes are, and whose files.

As root they become somebody else and listen on a low port; anybody else can only become who they are.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import stat
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest

from tests.certificates import Authority
from tests.programs import CHECKOUT, ENDED, PATIENCE, Program, environment, waitFor
from tests.test_workers_program import WorkersTestCase, isAlive

_IS_ROOT = os.getuid() == 0
#: What is installed for these tests.
_PACKAGES = sysconfig.get_path("purelib")
#: Who the processes shall be.
UID, GID = (65534, 65534) if _IS_ROOT else (os.getuid(), os.getgid())


def lowPort() -> int:
    """Return a free port that only root may listen on; 0, which is any, for anybody else."""
    for port in range(1023, 600, -1) if _IS_ROOT else ():
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    return 0


def barrier(path: str | Path) -> Path | None:
    """Return the first folder on the way to a path that keeps out those who these processes shall be; None if none."""
    for folder in (Path(path).resolve(), *Path(path).resolve().parents):
        if _IS_ROOT and not folder.stat().st_mode & stat.S_IXOTH:
            return folder
    return None


def requireReachable(*paths: str | Path) -> None:
    """Skip the test if not everybody may go to these paths: nothing can be started there by anybody but root."""
    for path in paths:
        if folder := barrier(path):
            raise SkipTest(f"others than root cannot reach {folder}")


def reachablePython() -> str:
    """Return the interpreter of these tests, or one of the system's of its version if root has that for itself."""
    if not barrier(sys.executable):
        return sys.executable
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    other = shutil.which(name, path="/usr/local/bin:/usr/bin")
    requireReachable(other or sys.executable)
    return str(other)


class PrivilegesTests(WorkersTestCase):
    """Started as root, it serves as somebody else."""

    def setUp(self) -> None:
        """Have everything belong to who the processes will be, but for what each was started with."""
        super().setUp()
        requireReachable(CHECKOUT, _PACKAGES, tempfile.gettempdir())
        self.python = reachablePython()
        # That of tests is often root's alone.
        self.home = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.home)
        self.home.chmod(0o755)
        self.output, self.told = self.home / "output", self.home / "told"
        for folder in (self.output, self.told):
            folder.mkdir()
            os.chown(folder, UID, GID)

    def dropping(self, *arguments: str, workers: int = 1, **keywords: Any) -> Program:
        """Start a program that gives up its privileges, and tells a command of each instance."""
        endpoint = f"--endpoint=tcp:{lowPort()}:interface=127.0.0.1"
        command = f"{self.python} -c \"open('{self.told}/#f', 'w')\""
        before = [f"--uid={UID}", f"--gid={GID}", *keywords.pop("before", ())]
        given = (endpoint, f"--workers={workers}", "-xcr", command, *arguments)
        env = environment(PYTHONPATH=f"{CHECKOUT}{os.pathsep}{_PACKAGES}")
        return self.start(*given, before=before, umask=0o022, python=self.python, env=env, **keywords)

    def assertServes(self, program: Program, number: int = 1) -> None:
        """An instance is stored, told, and belongs to who the processes are."""
        sop = f"1.2.3.{number}"
        self.storeOne(program.port(), sop)
        for path in (self.output / f"CT.{sop}", self.told / f"CT.{sop}"):
            waitFor(path.exists, f"{path} among {os.listdir(self.output)}")
            status = path.stat()
            self.assertEqual((status.st_uid, status.st_gid), (UID, GID), path)

    def assertDropped(self, *pids: int) -> None:
        """Processes have nothing of root's any more: real, effective, saved, and for files."""
        for pid in pids:
            lines = dict(line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
            self.assertEqual(lines["Uid"].split(), [str(UID)] * 4)
            self.assertEqual(lines["Gid"].split(), [str(GID)] * 4)

    def test_oneProcess(self) -> None:
        program = self.dropping()
        self.assertServes(program)
        self.assertDropped(program.pid)
        self.assertIn(program.stop(), ENDED)
        self.assertSound(program)

    def test_workers(self) -> None:
        """Workers ask their parent as before, and one that is killed is replaced by one that is nobody else either."""
        program = self.dropping(workers=2)
        waitFor(lambda: len(self.pids(program)) == 2, "workers")
        self.assertServes(program, 1)
        before = self.pids(program)
        self.assertDropped(program.pid, *before.values())
        os.kill(before[1], signal.SIGKILL)
        waitFor(lambda: self.pids(program)[1] != before[1], "another worker")
        self.assertDropped(self.pids(program)[1])
        for number in (2, 3, 4):
            self.assertServes(program, number)
        self.assertIn(program.stop(), ENDED)
        self.assertIn("4 instances stored, 0 not stored, 1 workers replaced", program.output)
        self.assertSound(program)

    def test_daemon(self) -> None:
        """So does a daemon, whose log, PID file and current directory are where twistd was told."""
        for workers in (1, 2):
            place = self.home / f"place{workers}"
            place.mkdir()
            os.chown(place, UID, GID)
            where = [f"--rundir={place}", f"--logfile={place}/log", f"--pidfile={place}/pid"]
            program = self.dropping(workers=workers, runner="daemon", before=where)
            self.assertEqual(program.process.wait(PATIENCE), 0, program.errors)
            program.pidFile = place / "pid"
            program._log = place / "log"
            self.assertServes(program, workers)
            pid = program.pid
            expected = {1: 0, 2: 2}[workers]
            waitFor(lambda program=program, expected=expected: len(self.pids(program)) == expected, "workers")
            family = [pid, *self.pids(program).values()]
            self.assertDropped(*family)
            self.assertEqual(os.readlink(f"/proc/{pid}/cwd"), str(place))
            program.stop()
            waitFor(lambda family=family: not any(map(isAlive, family)), "the end of all")
            self.assertFalse(program.pidFile.exists())
            self.assertIn("Server Shut Down", program.output)
            self.assertNotIn("Traceback", program.output)

    def test_keyOfRoot(self) -> None:
        """One process has read it before; workers cannot, which the program says at once instead of serving nobody."""
        key, certificate = Authority().issue("localhost", days=(-1, 1)).writeTo(self.home, "server")
        os.chmod(key, 0o600)
        tls = ("--enable-tls", key, certificate, "--ignore-peer-cert")
        program = self.dropping(*tls)
        self.assertIn("BEGIN CERTIFICATE", ssl.get_server_certificate(("127.0.0.1", program.port())))
        self.assertIn(program.stop(), ENDED)
        self.assertSound(program)
        if not _IS_ROOT:
            return
        why = f"private key {key} cannot be read: Permission denied"
        program = self.dropping(*tls, workers=2)
        self.assertEqual((program.status(), program.errors), (1, f"storescp: the workers cannot have TLS: {why}\n"))
        self.assertNotIn("Traceback", program.output)
