"""
Tests of the receiver on real disks that are full or read-only: small ones in memory, mounted here.

That takes root, and a system that lets root mount.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest

from tests.receivers import ReceiverTestCase, dataPDUs, dataSet, filesIn, storeRQ
from tests.storing import systemError
from txdicom.dimse.commandsets import decodeCommand
from txdicom.testing import RawPeer
from txdicom.upperlayer.pdu import PDataTF

KIBIBYTE = 1 << 10
SIZE = 512 * KIBIBYTE
FILES = 32
# From <sys/mount.h>.
MS_RDONLY, MS_REMOUNT, MNT_DETACH = 1, 32, 2


def call(name: str, *arguments: Any) -> None:
    """Call a function of the C library that tells errors by errno."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        raise systemError(ctypes.get_errno())


def mount(directory: str, flags: int = 0) -> None:
    """Mount a small disk, or mount it again in another way."""
    options = f"size={SIZE},nr_inodes={FILES}".encode()
    call("mount", b"tmpfs", os.fsencode(directory), b"tmpfs", ctypes.c_ulong(flags), options)


class RealDiskTests(ReceiverTestCase):
    """A receiver whose output directory is a disk of half a mebibyte."""

    def setUp(self) -> None:
        """Mount the disk."""
        super().setUp()
        if not sys.platform.startswith("linux"):
            raise SkipTest("mounts as Linux does")
        try:
            mount(self.directory)
        except OSError as error:
            if error.errno != errno.EPERM:
                raise
            raise SkipTest("this process may not mount a disk to be filled") from error
        self.addCleanup(call, "umount2", os.fsencode(self.directory), MNT_DETACH)

    def storeOf(self, peer: RawPeer, size: int, number: int = 7) -> tuple[int, str]:
        """Store an instance of so many bytes; return the status and the comment of the answer."""
        uid = f"1.2.{number}"
        data = dataSet(b"\x11\0\x10\0UN\0\0" + size.to_bytes(4, "little") + bytes(size), sopInstance=uid)
        pieces = [data[start : start + 16000] for start in range(0, len(data), 16000)]
        (pdu,) = peer.send(storeRQ(sopInstance=uid), *dataPDUs(*pieces))
        assert isinstance(pdu, PDataTF)
        response: Any = decodeCommand(pdu.pdvs[0].data)
        return response.status, response.errorComment

    def free(self) -> int:
        """Return how much room there is."""
        state = os.statvfs(self.directory)
        return state.f_bavail * state.f_frsize

    def test_full(self) -> None:
        """Filled to the brim: 0xA700, and nothing is left of what did not fit; with room again, it is stored."""
        full = (0xA700, "file cannot be written: No space left on device")
        peer = self.associate(self.serve())
        number = 0
        while True:
            answer = self.storeOf(peer, 100 * KIBIBYTE, number)
            if answer[0]:
                break
            number += 1
        self.assertEqual((answer, number), (full, 4))
        free = self.free()
        self.assertEqual(filesIn(self.directory), [f"CT.1.2.{n}" for n in range(number)])
        self.assertEqual([self.storeOf(peer, 200 * KIBIBYTE) for _ in range(3)], [full] * 3)
        self.assertEqual(self.free(), free)
        os.unlink(os.path.join(self.directory, "CT.1.2.0"))
        self.assertEqual(self.storeOf(peer, 100 * KIBIBYTE), (0, ""))
        self.assertIn("CT.1.2.7", filesIn(self.directory))

    def test_fullToTheLastByte(self) -> None:
        """Nothing at all fits, not even a file without contents."""
        peer = self.associate(self.serve())
        Path(self.directory, "other").write_bytes(bytes(self.free()))
        for number in range(os.statvfs(self.directory).f_favail):
            Path(self.directory, f"other{number}").touch()
        before = filesIn(self.directory)
        refused = (0xA700, "file cannot be created: No space left on device")
        self.assertEqual([self.storeOf(peer, 10) for _ in range(3)], [refused] * 3)
        self.assertEqual(filesIn(self.directory), before)
        os.unlink(os.path.join(self.directory, "other0"))
        self.assertEqual(self.storeOf(peer, 10), (0xA700, "file cannot be written: No space left on device"))
        os.unlink(os.path.join(self.directory, "other"))
        self.assertEqual(self.storeOf(peer, 10), (0, ""))

    def test_readOnly(self) -> None:
        """A disk that becomes read-only, which a receiver without instances under way does not hinder."""
        peer = self.associate(self.serve())
        self.assertEqual(self.storeOf(peer, 10, 1), (0, ""))
        mount(self.directory, MS_REMOUNT | MS_RDONLY)
        refused = (0xA700, "file cannot be created: Read-only file system")
        self.assertEqual([self.storeOf(peer, 10, 2) for _ in range(3)], [refused] * 3)
        mount(self.directory, MS_REMOUNT)
        self.assertEqual(self.storeOf(peer, 10, 2), (0, ""))
        self.assertEqual(filesIn(self.directory), ["CT.1.2.1", "CT.1.2.2"])

    def test_keepsFree(self) -> None:
        """What is to be kept free is: instances are refused before the disk is full, and taken when there is room."""
        peer = self.associate(self.serve("--min-free-space=256K"))
        comment = f"file cannot be created: less than {256 * KIBIBYTE} bytes are free"
        self.assertEqual([self.storeOf(peer, 100 * KIBIBYTE, n) for n in range(2)], [(0, "")] * 2)
        self.assertTrue(256 * KIBIBYTE <= self.free() < 356 * KIBIBYTE)
        # One that has begun is taken to its end.
        self.assertEqual(self.storeOf(peer, 100 * KIBIBYTE, 2), (0, ""))
        self.assertEqual([self.storeOf(peer, 10, n) for n in range(3)], [(0xA700, comment)] * 3)
        self.assertEqual(filesIn(self.directory), ["CT.1.2.0", "CT.1.2.1", "CT.1.2.2"])
        os.unlink(os.path.join(self.directory, "CT.1.2.0"))
        self.assertEqual(self.storeOf(peer, 10, 3), (0, ""))
