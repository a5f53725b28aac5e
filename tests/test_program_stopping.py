"""
Tests of how the storescp program ends: processes of it that are sent signals while peers are there.

How the parts of it do that is in ``test_draining.py`` and ``test_stopping.py``.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import re
import signal
import time

from tests.programs import ENDED, Program, ProgramTestCase, Sender, waitFor
from tests.receivers import FILE_NAME, dataPDUs, dataSet, statusesIn, storeRQ
from txdicom.testing import associateRQ
from txdicom.upperlayer.pdu import AAbort, AAssociateRJ

#: How much longer than its grace period the program may take to end, in seconds; without peers it takes 0.1.
TOLERANCE = 2.0


class StopTests(ProgramTestCase):
    """SIGTERM, once and twice."""

    def associated(self, port: int) -> Sender:
        """Connect a peer that has an association."""
        sender = self.sender(port)
        sender.associate()
        return sender

    def terminate(self, program: Program, port: int) -> float:
        """Ask a program to stop, wait until it refuses new associations, and return when that was."""
        began = time.monotonic()
        program.process.terminate()
        late = self.sender(port)
        self.assertEqual(late.ask(associateRQ().encode()), AAssociateRJ(2, 3, 1))
        late.close()
        return began

    def assertEnded(self, program: Program, began: float, atLeast: float, atMost: float, *files: str) -> None:
        """The program has ended well and in time, and these files are all that is left."""
        self.assertIn(program.status(), ENDED)
        took = time.monotonic() - began
        self.assertTrue(atLeast <= took < atMost, took)
        self.assertEqual(os.listdir(self.output), list(files))
        self.assertEqual(program.errors, "")
        self.assertNotIn("Traceback", program.output)
        self.assertNotIn("Unhandled", program.output)
        self.assertFalse(program.pidFile.exists())

    def test_hangup(self) -> None:
        """SIGHUP ends nothing, whichever process gets it: not even a message under way."""
        for options in ((), ("--workers=1",), ("--workers=2",)):
            program = self.start(*options)
            port = program.port()
            sender = self.associated(port)
            data = dataPDUs(dataSet(), b"\x20\0\x10\0SH\x02\0AB")
            sender.socket.sendall(storeRQ() + data[0])
            waitFor(self.stored, "a file being written")
            workers = re.findall(r"is ready, process (\d+)", program.output)
            for count, pid in enumerate((program.pid, *map(int, workers)), 1):
                os.kill(pid, signal.SIGHUP)
                waitFor(
                    lambda count=count, program=program: program.output.count("SIGHUP changes nothing") == count,
                    "a word",
                )
            self.assertEqual(statusesIn([sender.ask(data[1])]), [(1, 0x0000)])
            sender.close()
            program.process.terminate()
            self.assertEnded(program, time.monotonic(), 0, 30, FILE_NAME)

    def test_slowStore(self) -> None:
        """A message that has begun is finished, acknowledged and kept; then its sender is told."""
        for runner in ("twistd", "twist"):
            program = self.start("-S0.4", runner=runner)
            port = program.port()
            sender = self.associated(port)
            sender.socket.sendall(storeRQ() + dataPDUs(dataSet())[0])
            waitFor(self.stored, "a file being written")
            began = self.terminate(program, port)
            self.assertEqual(statusesIn([sender.ask()]), [(1, 0x0000)])
            self.assertEqual(sender.ask(), AAbort(0, 0))
            sender.close()
            self.assertEnded(program, began, 0.0, TOLERANCE, FILE_NAME)
            (self.output / FILE_NAME).unlink()

    def test_graceIsOver(self) -> None:
        """A sender that does not go on is told, and leaves nothing; nor can it stay by not closing."""
        program = self.start("--grace-period=1")
        port = program.port()
        self.storeOne(port, "1.2.3")
        sender = self.associated(port)
        sender.socket.sendall(storeRQ() + dataPDUs(dataSet(bytes(10000)), b"rest")[0])
        waitFor(lambda: len(self.stored()) == 2, "a file being written")
        began = self.terminate(program, port)
        self.assertEnded(program, began, 1.0, 1.0 + TOLERANCE, "CT.1.2.3")
        self.assertEqual(sender.ask(), AAbort(0, 0))
        self.assertTrue(sender.closed())

    def test_secondSignal(self) -> None:
        """It ends the grace period at once, whichever of the two it is."""
        for number in (signal.SIGTERM, signal.SIGINT):
            program = self.start("--grace-period=60")
            port = program.port()
            sender = self.associated(port)
            sender.socket.sendall(storeRQ() + dataPDUs(dataSet(), b"rest")[0])
            waitFor(self.stored, "a file being written")
            self.terminate(program, port)
            began = time.monotonic()
            program.process.send_signal(number)
            self.assertEqual(sender.ask(), AAbort(0, 0))
            sender.close()
            self.assertEnded(program, began, 0.0, TOLERANCE)

    def test_idlePeers(self) -> None:
        """Nobody waits for them: associations hear an A-ABORT, connections without one are closed."""
        program = self.start()
        port = program.port()
        idle = [self.associated(port) for _ in range(3)]
        silent = self.sender(port)
        began = time.monotonic()
        program.process.terminate()
        for sender in idle:
            self.assertEqual(sender.ask(), AAbort(0, 0))
            sender.close()
        self.assertTrue(silent.closed())
        self.assertEnded(program, began, 0.0, 1.0)
