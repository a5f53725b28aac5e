"""Tests of the storescp program with several workers: processes that share, stop, are killed, and are replaced."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import ssl
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.certificates import Authority
from tests.programs import ENDED, PATIENCE, Program, ProgramTestCase, Sender, waitFor
from tests.receivers import FILE_NAME, dataPDUs, dataSet, statusesIn, storeRQ
from txdicom.testing import associateRQ
from txdicom.upperlayer.pdu import AAbort, AAssociateAC, AAssociateRJ

_READY = re.compile(r"worker (\d+) is ready, process (\d+)")
#: How much longer than its grace period the program may take to end, in seconds.
TOLERANCE = 3.0


def isAlive(pid: int) -> bool:
    """Whether there is such a process, other than as a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class WorkersTestCase(ProgramTestCase):
    """Starts programs with workers."""

    def work(self, *arguments: str, count: int = 2, **keywords: Any) -> Program:
        """Start a program, and wait until all of its workers are ready."""
        program = self.start(f"--workers={count}", *arguments, **keywords)
        waitFor(lambda: len(self.pids(program)) == count or program.process.poll() not in (None, 0), "workers")
        self.assertEqual(len(self.pids(program)), count, program.output + program.errors)
        return program

    def pids(self, program: Program) -> dict[int, int]:
        """Return the process of each worker, the latest that was ready."""
        return {int(number): int(pid) for number, pid in _READY.findall(program.output)}

    def associated(self, address: int | str) -> Sender:
        """Connect a peer that has an association."""
        sender = self.sender(address)
        sender.associate()
        return sender

    def storing(self, address: int | str, sopInstance: str) -> Sender:
        """Connect a peer that has begun to send an instance."""
        sender = self.associated(address)
        before = len(self.stored())
        sender.socket.sendall(storeRQ(sopInstance=sopInstance) + self.pieces(sopInstance)[0])
        waitFor(lambda: len(self.stored()) > before, "a file being written")
        return sender

    def pieces(self, sopInstance: str) -> list[bytes]:
        """Return the two PDUs of an instance's data set."""
        return dataPDUs(dataSet(sopInstance=sopInstance), b"\x20\0\x10\0SH\x02\0AB")

    def finish(self, sender: Sender, sopInstance: str) -> None:
        """Send the rest of an instance, and hear that it is stored."""
        self.assertEqual(statusesIn([sender.ask(self.pieces(sopInstance)[1])]), [(1, 0x0000)])

    def assertSound(self, program: Program) -> None:
        """Nothing has gone wrong that nobody expected."""
        self.assertEqual(program.errors, "")
        for word in ("Traceback", "Unhandled"):
            self.assertNotIn(word, program.output)


class ServingTests(WorkersTestCase):
    """Workers that serve."""

    def test_shared(self) -> None:
        """Connections are shared out evenly, whatever the endpoint, and each worker's lines have its number."""
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        # Not below the test's own directory, for the path of a socket must not be long.
        path = os.path.join(folder, "socket")
        program = self.work("-v", "--endpoint=tcp:0:interface=127.0.0.1", f"--endpoint=unix:{path}")
        (port,) = program.ports()
        senders = [self.storing(address, f"1.2.{n}.{m}") for n, address in enumerate((port, path)) for m in range(4)]
        for number in (1, 2):
            line = rf" worker {number}\] Association Acknowledged"
            waitFor(lambda line=line: len(re.findall(line, program.output)) >= 4, "associations on each worker")
            self.assertEqual(len(re.findall(line, program.output)), 4)
        self.assertEqual(len(os.listdir(self.output)), 2)
        for index, sender in enumerate(senders):
            self.finish(sender, f"1.2.{index // 4}.{index % 4}")
            sender.close()
        self.assertIn(program.stop(), ENDED)
        self.assertEqual(len(os.listdir(self.output)), 8)
        self.assertIn("8 associations, 8 instances stored, 0 not stored, 0 workers replaced", program.output)
        self.assertSound(program)

    def test_proxyAndIPv6(self) -> None:
        """Endpoints that say more about a connection do so to the worker."""
        program = self.work(
            "--accept-from=10.1.2.3",
            "--endpoint=haproxy:tcp:0:interface=127.0.0.1",
            "--endpoint=tcp6:0:interface=\\:\\:1",
            "-v",
        )
        (port, port6) = program.ports(2)
        known, unknown = self.sender(port), self.sender(port)
        known.socket.sendall(b"PROXY TCP4 10.1.2.3 10.1.2.4 5000 104\r\n")
        known.associate()
        unknown.socket.sendall(b"PROXY TCP4 10.1.2.5 10.1.2.4 5000 104\r\n")
        self.assertEqual(unknown.ask(associateRQ().encode()), AAssociateRJ(1, 1, 1))
        with socket.create_connection(("::1", port6), timeout=PATIENCE) as connection:
            connection.sendall(associateRQ().encode())
            self.assertEqual(connection.recv(1), b"\x03")
        waitFor(lambda: "Association Received ([::1]:" in program.output, "the peer's address in the log")
        self.assertIn(program.stop(), ENDED)
        self.assertSound(program)

    def test_encrypted(self) -> None:
        """Each worker speaks TLS; SIGHUP to the parent has all of them read the certificate again."""
        before, after = (Authority().issue("localhost").writeTo(self.home, name) for name in ("before", "after"))
        key, certificate = (self.home / "key.pem", self.home / "certificate.pem")
        for path, source in zip((key, certificate), before, strict=True):
            shutil.copy(source, path)
        program = self.work("--enable-tls", str(key), str(certificate), "--ignore-peer-cert")
        (port,) = program.ports()
        self.assertEqual(self.certificates(port, 4), {ssl.get_server_certificate(("127.0.0.1", port))})
        for path, source in zip((key, certificate), after, strict=True):
            shutil.copy(source, path)
        program.process.send_signal(signal.SIGHUP)
        expected = Path(after[1]).read_text()
        waitFor(lambda: {text.strip() for text in self.certificates(port, 4)} == {expected.strip()}, "the new one")
        self.assertIn(program.stop(), ENDED)
        self.assertSound(program)

    def certificates(self, port: int, count: int) -> set[str]:
        """Connect so often that each worker is met, and return the certificates that are shown."""
        return {ssl.get_server_certificate(("127.0.0.1", port), timeout=PATIENCE) for _ in range(count)}

    def test_daemon(self) -> None:
        """In the background there is one PID file, the parent's, and one log."""
        program = self.work("-v", runner="daemon")
        self.storeOne(program.port())
        pids = [program.pid, *self.pids(program).values()]
        program.stop()
        self.assertFalse(program.pidFile.exists())
        self.assertRegex(program.output, r" worker [12]\] Sent C-STORE-RSP \(MsgID 1\): 0x0000")
        self.assertEqual([isAlive(pid) for pid in pids], [False] * 3)
        self.assertEqual(os.listdir(self.output), [FILE_NAME])
        self.assertSound(program)

    def test_checkout(self) -> None:
        """Workers are of the same txdicom as their parent, whatever that was started by."""
        program = self.work(runner="twist")
        self.storeOne(program.port())
        self.assertIn(program.stop(), ENDED)


class LimitTests(WorkersTestCase):
    """What counts for all workers together."""

    def test_associations(self) -> None:
        """No more associations than are allowed, on whichever worker; what ends makes room."""
        for limit in ("--max-associations=3", "--max-associations-per-peer=3"):
            program = self.work(limit)
            port = program.port()
            senders = [self.associated(port) for _ in range(3)]
            for _ in range(4):
                late = self.sender(port)
                self.assertEqual(late.ask(associateRQ().encode()), AAssociateRJ(2, 3, 2))
                late.close()
            senders.pop().close()

            def isWelcome(port: int = port) -> bool:
                sender = self.sender(port)
                return isinstance(sender.ask(associateRQ().encode()), AAssociateAC)

            waitFor(isWelcome, "room for another association")
            # The place of a worker that is killed is made free as well.
            for pid in self.pids(program).values():
                os.kill(pid, signal.SIGKILL)
            waitFor(lambda program=program: len(_READY.findall(program.output)) == 4, "new workers")
            senders = [self.associated(port) for _ in range(3)]
            self.assertEqual(self.sender(port).ask(associateRQ().encode()), AAssociateRJ(2, 3, 2))
            self.assertIn(program.stop(), ENDED)
            self.assertSound(program)

    def test_faults(self) -> None:
        """Instances are numbered in the order in which they come, on whichever worker."""
        program = self.work("--fault=n=2-3:status=0xA701", "--fault=n=5:status=0xA702")
        port = program.port()
        statuses = []
        for index in range(6):
            sender = self.associated(port)
            response = sender.ask(storeRQ(), *dataPDUs(dataSet()))
            statuses.append(statusesIn([response])[0][1])
            self.assertEqual(index + 1, len(statuses))
        self.assertEqual(statuses, [0x0000, 0xA701, 0xA701, 0x0000, 0xA702, 0x0000])
        self.assertIn(program.stop(), ENDED)
        self.assertSound(program)


class StoppingTests(WorkersTestCase):
    """SIGTERM, once and twice, to one process or to all."""

    def assertEnded(self, program: Program, began: float, atLeast: float, atMost: float, *files: str) -> None:
        """The program has ended well and in time, with all of its workers, and these files are all that is left."""
        self.assertIn(program.status(), ENDED)
        took = time.monotonic() - began
        self.assertTrue(atLeast <= took < atMost, took)
        self.assertEqual([isAlive(pid) for pid in self.pids(program).values()], [False, False])
        self.assertEqual(sorted(os.listdir(self.output)), list(files))
        self.assertSound(program)

    def test_drains(self) -> None:
        """Messages that have begun on any worker are finished; others are told, and new ones are to come later."""
        program = self.work()
        port = program.port()
        senders = [self.storing(port, f"1.2.{index}") for index in range(2)]
        idle = [self.associated(port) for _ in range(2)]
        began = time.monotonic()
        # As systemd does, and a terminal's Control-C: all processes get the signal.
        for pid in self.pids(program).values():
            os.kill(pid, signal.SIGTERM)
        program.process.terminate()
        for sender in idle:
            self.assertEqual(sender.ask(), AAbort(0, 0))
            sender.close()
        for index, sender in enumerate(senders):
            late = self.sender(port)
            self.assertEqual(late.ask(associateRQ().encode()), AAssociateRJ(2, 3, 1))
            late.close()
            self.finish(sender, f"1.2.{index}")
            self.assertEqual(sender.ask(), AAbort(0, 0))
            sender.close()
        self.assertEnded(program, began, 0.0, TOLERANCE, "CT.1.2.0", "CT.1.2.1")

    def test_graceIsOver(self) -> None:
        """What is not finished in time is aborted, and leaves nothing."""
        program = self.work("--grace-period=1")
        port = program.port()
        senders = [self.storing(port, f"1.2.{index}") for index in range(2)]
        began = time.monotonic()
        program.process.terminate()
        for sender in senders:
            self.assertEqual(sender.ask(), AAbort(0, 0))
        self.assertEnded(program, began, 1.0, 1.0 + TOLERANCE)

    def test_secondSignal(self) -> None:
        """It ends the grace period of all workers."""
        program = self.work("--grace-period=60")
        port = program.port()
        senders = [self.storing(port, f"1.2.{index}") for index in range(2)]
        program.process.terminate()

        def isRefused() -> bool:
            return self.sender(port).ask(associateRQ().encode()) == AAssociateRJ(2, 3, 1)

        # The worker learns it from its parent, which takes a moment.
        waitFor(isRefused, "a worker that stops")
        began = time.monotonic()
        program.process.send_signal(signal.SIGINT)
        for sender in senders:
            self.assertEqual(sender.ask(), AAbort(0, 0))
            sender.close()
        self.assertEnded(program, began, 0.0, TOLERANCE)

    def test_oneWorker(self) -> None:
        """A worker that is sent SIGTERM finishes what it does, and another takes its place."""
        program = self.work()
        port = program.port()
        senders = {f"1.2.{index}": self.storing(port, f"1.2.{index}") for index in range(2)}
        pids = self.pids(program)
        os.kill(pids[1], signal.SIGTERM)
        for uid, sender in senders.items():
            self.finish(sender, uid)
        waitFor(lambda: self.pids(program)[1] != pids[1], "another worker")
        self.assertEqual(self.pids(program)[2], pids[2])
        self.storeOne(port)
        for sender in senders.values():
            sender.close()
        self.assertIn(program.stop(), ENDED)
        self.assertSound(program)


class KilledTests(WorkersTestCase):
    """Processes that are killed."""

    def test_worker(self) -> None:
        """Nothing that was acknowledged is lost, others are not touched, and nothing is left behind."""
        program = self.work("-v")
        port = program.port()
        senders = [self.storing(port, f"1.2.{index}") for index in range(4)]
        acknowledged = self.associated(port)
        self.assertEqual(statusesIn([acknowledged.ask(storeRQ(), *dataPDUs(dataSet()))]), [(1, 0x0000)])
        pids = self.pids(program)
        os.kill(pids[2], signal.SIGKILL)
        waitFor(lambda: self.pids(program)[2] != pids[2], "another worker")
        closed = 0
        for index, sender in enumerate(senders):
            with contextlib.suppress(OSError):
                sender.socket.sendall(self.pieces(f"1.2.{index}")[1])
            try:
                self.assertEqual(statusesIn([sender.ask()]), [(1, 0x0000)])
            except (AssertionError, ConnectionError):
                closed += 1
        self.assertEqual(closed, 2)
        # Two directories of two runs that are alive, and nothing unfinished in them.
        self.assertEqual(len([name for name in os.listdir(self.output) if name.startswith(".")]), 2)
        self.assertEqual(len(self.stored()), 3)
        self.assertIn(FILE_NAME, self.stored())
        self.assertIn("worker 2 has ended (signal 9); another takes its place in", program.output)
        self.storeOne(port, "1.2.9")
        self.assertIn(program.stop(), ENDED)
        self.assertIn("1 workers replaced", program.output)
        self.assertEqual(len(os.listdir(self.output)), 4)
        self.assertSound(program)

    def test_parent(self) -> None:
        """Workers without a parent finish what they do, and end; the port is free at once."""
        program = self.work()
        port = program.port()
        senders = [self.storing(port, f"1.2.{index}") for index in range(2)]
        pids = self.pids(program)
        program.process.kill()
        program.process.wait(PATIENCE)
        self.assertRaises(ConnectionRefusedError, Sender, port)
        successor = self.start(f"--endpoint=tcp:{port}:interface=127.0.0.1", "--workers=2")
        self.storeOne(successor.port(), "1.2.9")
        for index, sender in enumerate(senders):
            self.finish(sender, f"1.2.{index}")
            self.assertEqual(sender.ask(), AAbort(0, 0))
            sender.close()
        waitFor(lambda: not any(map(isAlive, pids.values())), "the workers' end")
        self.assertIn(successor.stop(), ENDED)
        self.assertEqual(sorted(os.listdir(self.output)), ["CT.1.2.0", "CT.1.2.1", "CT.1.2.9"])
        self.assertEqual(program.errors, "")


class StartTests(WorkersTestCase):
    """Programs that cannot start, or not as they should."""

    def test_portInUse(self) -> None:
        """The sentence is that of one process, and no worker is started."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            program = self.start("--workers=2", f"--endpoint=tcp:{port}:interface=127.0.0.1")
            self.assertEqual(program.status(), 1)
        self.assertEqual(program.errors, f"storescp: cannot listen on port {port}, it is in use\n")
        self.assertNotIn("worker ", program.output)

    def test_workersThatDie(self) -> None:
        """They are replaced, but not at full speed, and the log says what they say."""
        program = self.work()
        self.output.rename(self.home / "elsewhere")
        for pid in self.pids(program).values():
            os.kill(pid, signal.SIGKILL)
        waitFor(lambda: program.output.count("has ended (exit status 1)") >= 2, "workers that cannot start")
        self.assertIn(f"storescp: output directory {self.output} does not exist", program.output)
        self.assertTrue(program.output.count("has ended") <= 6, program.output)
        (self.home / "elsewhere").rename(self.output)
        waitFor(lambda: len(_READY.findall(program.output)) == 4, "workers that can")
        self.storeOne(program.ports()[0])
        self.assertIn(program.stop(), ENDED)
