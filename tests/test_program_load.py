"""Tests of the storescp program under load: silent peers, many peers, large instances."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.headvectors import EXPLICIT_LITTLE, PIXEL_DATA, header
from tests.programs import CHECKOUT, PATIENCE, ProgramTestCase
from tests.receivers import CT_CONTEXT, FILE_NAME, LAST, dataSet, statusesIn, storeRQ
from txdicom.upperlayer.pdu import PDV, PDataTF

MEBIBYTE = 1 << 20
#: The largest fragment of an even length that a PDU of the default maximum length has room for is 16378; this divides
#: a MiB.
FRAGMENT = 8192
ZEROS = PDataTF((PDV(CT_CONTEXT, 0, bytes(FRAGMENT)),)).encode() * 64


class LoadTests(ProgramTestCase):
    """Much, many, and none at all."""

    def test_silentConnections(self) -> None:
        """Connections that say nothing delay nobody, and are closed in time."""
        program = self.start("--acse-timeout=2")
        port = program.port()
        began = time.monotonic()
        silent = [self.sender(port) for _ in range(20)]
        self.storeOne(port)
        self.assertTrue(time.monotonic() - began < 2, "the silent ones were waited for")
        self.assertTrue(all(sender.closed() for sender in silent))
        self.assertTrue(time.monotonic() - began > 1.9, "they were closed too early")

    def test_manyAssociations(self) -> None:
        """Two hundred associations at once all store."""
        program = self.start()
        done = subprocess.run(
            [sys.executable, "-m", "tests.manysenders", str(program.port()), "200"],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        self.assertEqual((done.stdout.split(), done.stderr), (["0"] * 200, ""))
        self.assertEqual(set(self.stored()), {f"{FILE_NAME}.{number}" for number in range(200)})
        program.stop()
        self.assertNotIn("Traceback", program.output)

    def test_largeInstance(self) -> None:
        """An instance of 256 MiB passes through memory in pieces; STORESCP_TEST_MIB says how many it is to be."""
        size = int(os.environ.get("STORESCP_TEST_MIB", "256")) * MEBIBYTE
        directory = next((name for name in ("/dev/shm", str(self.output)) if _free(name) > 2 * size), None)
        if directory is None:
            raise SkipTest(f"there is no directory with {2 * size} bytes free")
        if directory == "/dev/shm":
            self.output = Path(tempfile.mkdtemp(prefix="storescp-", dir=directory))
            self.addCleanup(shutil.rmtree, self.output)
        program = self.start()
        sender = self.sender(program.port())
        sender.associate()
        before = program.memory()
        head = dataSet(header(EXPLICIT_LITTLE, PIXEL_DATA, b"OW", size))
        sender.socket.sendall(storeRQ() + PDataTF((PDV(CT_CONTEXT, 0, head),)).encode())
        began = time.monotonic()
        for _ in range(size // (64 * FRAGMENT)):
            sender.socket.sendall(ZEROS)
        response = sender.ask(PDataTF((PDV(CT_CONTEXT, LAST, b""),)).encode())
        took = time.monotonic() - began
        self.assertEqual(statusesIn([response]), [(1, 0x0000)])
        file = self.output / FILE_NAME
        self.assertEqual(file.stat().st_size, size + len(head) + 132 + 12 + _groupLength(file))
        self.assertTrue(program.memory() < 100 * MEBIBYTE, program.memory())
        self.assertTrue(program.memory() - before < 16 * MEBIBYTE, (before, program.memory()))
        if "STORESCP_TEST_MIB" in os.environ:
            print(f"{size // MEBIBYTE} MiB in {took:.2f} s, {before >> 10} -> {program.memory() >> 10} KiB")  # noqa: T201


def _free(directory: str) -> int:
    return shutil.disk_usage(directory).free if os.access(directory, os.W_OK) else 0


def _groupLength(file: Path) -> int:
    with open(file, "rb") as stream:
        return int.from_bytes(stream.read(144)[140:], "little")
