"""
The storescp program as its users run it, for tests: processes of it, and peers with plain sockets.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.receivers import INSTANCE, PROPOSED, dataPDUs, dataSet, filesIn, statusesIn, storeRQ
from txdicom.testing import associateRQ
from txdicom.upperlayer.pdu import PDU, AAssociateAC, AReleaseRP, AReleaseRQ, decodePDU

#: Where this package, txdicom and its plugin are, which is where ``python -m twisted`` finds them.
CHECKOUT = Path(__file__).resolve().parents[1]
#: No step takes a tenth of this, in seconds, not even on a busy machine.
PATIENCE = 30.0
_POLL = 0.01
#: Makes a program listen on a free port of this machine only.
ANY_PORT = "--endpoint=tcp:0:interface=127.0.0.1"
_LISTENING = re.compile(r" starting on (\d+)$", re.MULTILINE)
#: How a program ends that is sent SIGTERM: when all is cleared up, Twisted ends it by that signal as well.
ENDED = (0, -signal.SIGTERM)
#: Capabilities of Linux, and the call that gives them up for all programs to come.
NET_BIND_SERVICE, DAC_OVERRIDE, DAC_READ_SEARCH = 10, 1, 2
_PR_CAPBSET_DROP = 24


def waitFor(condition: Callable[[], Any], what: str) -> Any:
    """Poll until something is true, and return it; fail after `PATIENCE`."""
    deadline = time.monotonic() + PATIENCE
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {PATIENCE:g} s")
        time.sleep(_POLL)


def twistd() -> str:
    """Return the path of the installed twistd."""
    script = shutil.which("twistd", path=os.path.dirname(sys.executable)) or shutil.which("twistd")
    if script is None:
        raise SkipTest("twistd is not installed")
    return script


def dcmtk(name: str) -> str:
    """Return the path of a program of DCMTK's; pynetdicom brings scripts along that have the same names."""
    scripts = os.path.dirname(sys.executable)
    folders = [folder for folder in os.get_exec_path() if os.path.abspath(folder) != scripts]
    program = shutil.which(name, path=os.pathsep.join(folders))
    if program is None:
        raise SkipTest(f"DCMTK's {name} is not installed")
    return program


def environment(**changes: str) -> dict[str, str]:
    """Return the environment of a receiver, without what the user has set for others."""
    return {name: value for name, value in os.environ.items() if name != "DCMDICTPATH"} | changes


def hide(test: SynchronousTestCase, name: str, *importers: str) -> None:
    """
    Make a module impossible to import until the end of a test.

    :param importers: modules that have imported it already, and have to do so again.
    """
    patcher = patch.dict(sys.modules, {name: None})  # type: ignore[dict-item]
    patcher.start()
    test.addCleanup(patcher.stop)
    for each in importers:
        sys.modules.pop(each, None)


def readTerminal(master: int) -> str:
    """Read what was written to a pseudo terminal, until nobody has it open any more."""
    shown = b""
    while True:
        try:
            piece = os.read(master, 1 << 16)
        except OSError:
            # So Linux tells of the end.
            piece = b""
        if not piece:
            return shown.decode()
        shown += piece


def withoutCapabilities(*capabilities: int) -> Callable[[], None]:
    """
    Return what takes capabilities from a process that is about to be started.

    Even a superuser's process is without them from then on; one of anybody else never had them.
    """
    if not sys.platform.startswith("linux"):
        raise SkipTest("privileges can be given up on Linux only")
    prctl = ctypes.CDLL(None).prctl

    def drop() -> None:
        for capability in capabilities:
            prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)

    return drop


class Program:
    """
    A process of the storescp program.

    :param home: its current directory, where its log and its PID file are as well.
    :param arguments: those of storescp.
    :param runner: what runs it: "twistd" (as ``twistd -n``), "daemon" (as ``twistd``) or "twist" (from the checkout).
    :param before: arguments of the runner's own.
    :param python: the interpreter, if that shall be another one than the tests'.
    :param keywords: for `subprocess.Popen`.
    """

    def __init__(
        self,
        home: Path,
        *arguments: str,
        runner: str = "twistd",
        before: Sequence[str] = (),
        python: str | None = None,
        env: Mapping[str, str] | None = None,
        **keywords: Any,
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self._log = home / ("twistd.log" if runner == "daemon" else "out")
        self._error = home / "err"
        self.pidFile = home / "twistd.pid"
        self._daemon = runner == "daemon"
        interpreter = [python] if python else []
        command = {
            "twistd": [*interpreter, twistd(), "-n"],
            "daemon": [*interpreter, twistd()],
            "twist": [python or sys.executable, "-m", "twisted", "--log-format=text"],
        }[runner]
        with open(home / "out", "wb") as output, open(self._error, "wb") as errors:
            self.process = subprocess.Popen(
                [*command, *before, "storescp", *arguments],
                cwd=CHECKOUT if runner == "twist" else home,
                env=environment() if env is None else env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                **keywords,
            )

    @property
    def output(self) -> str:
        """What it has logged, or printed."""
        return self._log.read_text("utf-8", "replace") if self._log.exists() else ""

    @property
    def errors(self) -> str:
        """What it has written to standard error."""
        return self._error.read_text("utf-8", "replace")

    @property
    def pid(self) -> int:
        """The process that serves."""
        return int(self.pidFile.read_text()) if self._daemon else self.process.pid

    def ports(self, count: int = 1) -> list[int]:
        """Wait until it listens on so many TCP ports; return them."""

        def listening() -> list[str]:
            if self.process.poll() not in (None, 0):
                raise AssertionError(f"it does not start: {self.errors}{self.output}")
            found = _LISTENING.findall(self.output)
            return found if len(found) >= count else []

        return [int(port) for port in waitFor(listening, "listening")]

    def port(self) -> int:
        """Wait until it accepts connections, and return where."""
        (port,) = self.ports()
        waitFor(lambda: _accepts(port), "accepting connections")
        return port

    def status(self) -> int:
        """Wait until it has ended by itself, and return its exit status."""
        return self.process.wait(PATIENCE)

    def stop(self) -> int:
        """End it, and return its exit status; 0 for a daemon, which has nobody to return one to."""
        if self._daemon:
            self.process.wait(PATIENCE)
            if self.pidFile.exists():
                pid = self.pid
                os.kill(pid, signal.SIGTERM)
                waitFor(lambda: not _isAlive(pid), "the daemon's end")
            return 0
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def memory(self) -> int:
        """Return the most memory it has had resident so far, in bytes."""
        status = Path(f"/proc/{self.pid}/status")
        if not status.exists():
            raise SkipTest("this system does not tell how much memory a process has had")
        (kilobytes,) = re.findall(r"^VmHWM:\s*(\d+) kB$", status.read_text(), re.MULTILINE)
        return int(kilobytes) * 1024


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
    except ConnectionRefusedError:
        return False
    return True


def _isAlive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A daemon whose adoptive parent does not wait for it stays as a zombie.
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")


class Sender:
    """
    A peer on a plain socket; every wait is bounded.

    :param address: a port of this machine, or the path of a UNIX socket.
    """

    def __init__(self, address: int | str) -> None:
        if isinstance(address, int):
            self.socket = socket.create_connection(("127.0.0.1", address), timeout=PATIENCE)
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(PATIENCE)
            self.socket.connect(address)

    def associate(self) -> AAssociateAC:
        """Get an association that proposes `PROPOSED`."""
        response = self.ask(associateRQ(PROPOSED).encode())
        if not isinstance(response, AAssociateAC):
            raise AssertionError(f"{response} where an association was asked for")
        return response

    def ask(self, *data: bytes) -> PDU:
        """Send bytes, and return the PDU that they are answered with."""
        for piece in data:
            self.socket.sendall(piece)
        header = self._read(6)
        return decodePDU(header[0], self._read(int.from_bytes(header[2:], "big")))

    def closed(self) -> bool:
        """Wait until the connection is closed by the receiver; False if bytes come instead."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def _read(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            piece = self.socket.recv(length - len(data))
            if not piece:
                raise AssertionError("the connection was closed where a PDU was expected")
            data += piece
        return data


class ProgramTestCase(SynchronousTestCase):
    """
    Starts programs, and always ends them.

    :ivar home: a directory for everything.
    :ivar output: where instances are to be stored.
    """

    def setUp(self) -> None:
        """Make the directories."""
        self.home = Path(self.mktemp()).absolute()
        self.output = self.home / "output"
        self.output.mkdir(parents=True)
        self._count = 0

    def start(self, *arguments: str, **keywords: Any) -> Program:
        """Start a program, with any free port and the output directory unless these are among the arguments."""
        if not any(argument.startswith(("--endpoint", "--port")) or argument.isdigit() for argument in arguments):
            arguments = (*arguments, ANY_PORT)
        if not any(argument.startswith("--output-directory") for argument in arguments):
            arguments = (*arguments, f"--output-directory={self.output}")
        return self.launch(*arguments, **keywords)

    def launch(self, *arguments: str, **keywords: Any) -> Program:
        """Start a program with these arguments."""
        self._count += 1
        program = Program(self.home / f"run{self._count}", *arguments, **keywords)
        self.addCleanup(program.stop)
        return program

    def sender(self, address: int | str) -> Sender:
        """Connect a peer."""
        sender = Sender(address)
        self.addCleanup(sender.close)
        return sender

    def stored(self) -> list[str]:
        """Return the names of all files in the output directory, unfinished ones too."""
        return filesIn(self.output)

    def storeOne(self, address: int | str, sopInstance: str = INSTANCE) -> None:
        """Store an instance, and release."""
        sender = self.sender(address)
        sender.associate()
        data = dataPDUs(dataSet(sopInstance=sopInstance))
        response = sender.ask(storeRQ(sopInstance=sopInstance), *data)
        self.assertEqual(statusesIn([response]), [(1, 0x0000)])
        self.assertEqual(sender.ask(AReleaseRQ().encode()), AReleaseRP())
        sender.close()
