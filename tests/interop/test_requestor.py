"""
Our requestor, by the command `txdicom` and the listings of the manual, against servers that other people wrote.

Whatever a server stores is compared byte for byte with the files that were sent, where it keeps the bytes.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from twisted.trial.unittest import SynchronousTestCase

from benchmarks.ports import freePort
from tests.documents import LISTINGS, ROOT
from tests.interop.corpus import findFiles
from tests.interop.peers import requireModule, requireProgram, requireScript
from tests.interop.receiver import Receiver
from txdicom.errors import SourceError
from txdicom.services.datasets import CONVERTIBLE
from txdicom.services.instances import identify, openInstance

#: How long a server may take to listen, and a command to end, in seconds.
PATIENCE = 60
STUDY = "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322"
CT = str(get_testdata_file("CT_small.dcm"))
MR = str(get_testdata_file("MR_small.dcm"))


def dataSetOf(path: str | Path) -> bytes:
    """Read the bytes of a file's data set, as they would be sent."""
    instance = openInstance(str(path))
    return b"".join(iter(lambda: bytes(instance.read(1 << 20)), b""))


@contextmanager
def ignoringWarnings() -> Iterator[None]:
    """Some files of the corpus are wrong on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def readQuietly(path: str | Path) -> Dataset:
    """Read a file with pydicom."""
    with ignoringWarnings():
        return dcmread(path, force=True)


def byUID(folder: Path) -> dict[str, Path]:
    """List what a server has stored, SOP Instance UID -> path."""
    with ignoringWarnings():
        return {str(dcmread(path).SOPInstanceUID): path for path in folder.iterdir()}


class RequestorTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="interop-"))
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        self.port = freePort()

    def start(self, *command: object, port: int | None = None) -> None:
        """Run a server until the end of the test."""
        log = (self.home / "log").open("ab")
        self.addCleanup(log.close)
        server = subprocess.Popen(
            list(map(str, command)),
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TCP_NODELAY": "1"},
        )
        self.addCleanup(server.wait, PATIENCE)
        self.addCleanup(server.terminate)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port or self.port), timeout=PATIENCE).close()
            except ConnectionRefusedError:
                self.assertIs(server.poll(), None, (self.home / "log").read_text("utf-8", "replace"))
                time.sleep(0.02)
            else:
                return
        self.fail("it does not listen")

    def run_(self, *command: object, status: int = 0) -> str:
        """Run a Python program of ours to its end."""
        done = subprocess.run(
            [sys.executable, *map(str, command)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
            check=False,
        )
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout

    def send(self, paths: Sequence[str | Path], *options: str, status: int = 0) -> str:
        return self.run_("-m", "txdicom", "send", "127.0.0.1", self.port, *options, *paths, status=status)

    def sendable(self, *without: str, prefix: str = "1.2.840.10008.5.1.4.1.1.") -> dict[str, str]:
        """
        Choose the files of the corpus that are instances, one of each UID -> path.

        :param without: names of files that have to be there, and are left out.
        :param prefix: of their SOP classes' UIDs.
        """
        found: dict[str, str] = {}
        left = set(without)
        for file in findFiles():
            try:
                identity = identify(file.path)
            except SourceError:
                continue
            if file.path.name in without:
                left.discard(file.path.name)
            elif identity.sopClassUID.startswith(prefix):
                found.setdefault(identity.sopInstanceUID, str(file.path))
        self.assertEqual(left, set())
        self.assertGreater(len(found), 150)
        return found

    def assertKept(self, sent: dict[str, str], folder: Path) -> None:
        """Every instance is there, its data set byte for byte."""
        stored = {
            identify(str(path)).sopInstanceUID: path
            for path in folder.rglob("*")
            if path.is_file() and path.name != "lock"
        }
        self.assertEqual(sorted(stored), sorted(sent))
        for uid, path in stored.items():
            self.assertEqual(dataSetOf(path), dataSetOf(sent[uid]), sent[uid])


class SendTests(RequestorTestCase):
    """All of pydicom's files, over two associations."""

    def test_dcmtk(self) -> None:
        """DCMTK's storescp, as it keeps the bytes."""
        folder = self.home / "received"
        folder.mkdir()
        self.start(requireProgram("storescp"), "+B", "+xa", "-pm", "-od", folder, self.port)
        sent = self.sendable()
        report = self.send([*sent.values()], "-n", "2")
        self.assertIn(f"{len(sent)} of {len(sent)} stored", report)
        self.assertKept(sent, folder)

    def test_pynetdicom(self) -> None:
        """pynetdicom's own server, which keeps them as well; it takes all syntaxes of all storage classes."""
        requireModule("pynetdicom")
        classes = requireModule("pynetdicom.sop_class")
        folder = self.home / "received"
        folder.mkdir()
        script = self.home / "server.py"
        script.write_text(_PYNETDICOM)
        self.start(sys.executable, script, self.port, folder)
        known = set(classes._STORAGE_CLASSES.values())
        sent = {uid: path for uid, path in self.sendable().items() if identify(path).sopClassUID in known}
        report = self.send([*sent.values()], "-n", "2")
        self.assertIn(f"{len(sent)} of {len(sent)} stored", report)
        self.assertKept(sent, folder)

    def test_ours(self) -> None:
        """Our own receiver, which keeps them as well; it refuses one that calls itself by what is no UID."""
        receiver = Receiver("--promiscuous", "--accept-all")
        self.addCleanup(receiver.stop)
        self.port = receiver.port
        sent = self.sendable("bad_sequence.dcm", prefix="1.2.840.10008.")
        self.assertIn(f"{len(sent)} of {len(sent)} stored", self.send([*sent.values()], "-n", "2"))
        self.assertKept(sent, receiver.directory)
        self.assertEqual(receiver.takeFailures(), [])

    def test_oursByDefault(self) -> None:
        """In its default setting: what it does not accept is converted where that is possible."""
        receiver = Receiver()
        self.addCleanup(receiver.stop)
        self.port = receiver.port
        names = ("ExplVR_BigEnd.dcm", "image_dfl.dcm", "JPEG2000.dcm", "MR_small_RLE.dcm")
        sent = [CT, MR, *(str(get_testdata_file(name)) for name in names)]
        self.assertIn("6 of 6 stored", self.send(sent))
        stored = {name: content for name, content in receiver.take().items() if name[:3] != "loc"}
        # The last is the second once more, compressed.
        self.assertEqual(len(stored), 5)
        for path in (CT, sent[2]):
            self.assertTrue(any(content.endswith(dataSetOf(path)) for content in stored.values()), path)
        self.assertEqual(receiver.takeFailures(), [])

    def test_implicitOnly(self) -> None:
        """DCMTK's storescp where it takes implicit VR only: everything else is converted, and images decompressed."""
        folder = self.home / "received"
        folder.mkdir()
        self.start(requireProgram("storescp"), "+xi", "-pm", "-od", folder, self.port)
        sent = self.sendable(*_NOT_DECODED)
        report = self.send([*sent.values()], "-n", "2")
        self.assertIn(f"{len(sent)} of {len(sent)} stored", report)
        stored = byUID(folder)
        self.assertEqual(sorted(stored), sorted(sent))
        compressed = 0
        for uid, path in stored.items():
            before, after = readQuietly(sent[uid]), readQuietly(path)
            self.assertEqual(after.file_meta.TransferSyntaxUID, "1.2.840.10008.1.2")
            if identify(sent[uid]).transferSyntaxUID not in CONVERTIBLE and "PixelData" in before:
                compressed += 1
                with ignoringWarnings():
                    self.assertTrue((after.pixel_array == before.pixel_array).all(), sent[uid])
        self.assertGreater(compressed, 30)

    def test_orthanc(self) -> None:
        """Orthanc, which encodes everything anew, so that it is compared by what pydicom reads; pixels for all."""
        http = freePort()
        settings = {
            "StorageDirectory": str(self.home / "db"),
            "IndexDirectory": str(self.home / "db"),
            "DicomPort": self.port,
            "HttpPort": http,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowEcho": True,
            "Plugins": [],
            "UnknownSopClassAccepted": True,
        }
        (self.home / "orthanc.json").write_text(json.dumps(settings))
        self.start(requireProgram("Orthanc"), self.home / "orthanc.json")
        sent = self.sendable(*_NOT_FOR_ORTHANC)
        report = self.send([*sent.values()], "-n", "2")
        self.assertIn(f"{len(sent)} of {len(sent)} stored", report)
        folder = self.home / "got"
        folder.mkdir()
        for number in self.get(http, "/instances"):
            with urllib.request.urlopen(f"http://127.0.0.1:{http}/instances/{number}/file", timeout=PATIENCE) as answer:
                (folder / number).write_bytes(answer.read())
        stored = byUID(folder)
        self.assertEqual(sorted(stored), sorted(sent))
        for uid, path in stored.items():
            before, after = readQuietly(sent[uid]), readQuietly(path)
            for keyword in ("PixelData", "EncapsulatedDocument", "WaveformSequence", "ContentSequence"):
                self.assertEqual(keyword in after, keyword in before, sent[uid])
            self.assertTrue(before.get("PixelData") == after.get("PixelData"), sent[uid])
            if Path(sent[uid]).name in _PLAIN:
                self.assertEqual([*after], [*before])

    def get(self, port: int, path: str) -> list[str]:
        """Ask Orthanc for a list."""
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as answer:
            found: list[str] = json.load(answer)
            return found

    def test_echo(self) -> None:
        """DCMTK's storescp is there, and then it is not."""
        self.start(requireProgram("storescp"), self.port)
        report = self.run_("-m", "txdicom", "echo", "127.0.0.1", self.port, "--repeat", "3")
        self.assertEqual(report.count("0x0000 success"), 3)
        self.assertEqual(self.run_(LISTINGS / "inasyncio.py", "127.0.0.1", self.port), "0x0000\n")
        self.run_("-m", "txdicom", "echo", "127.0.0.1", freePort(), status=1)


class QueryTests(RequestorTestCase):
    """DCMTK's archive, with two studies in it."""

    def setUp(self) -> None:
        super().setUp()
        (self.home / "db").mkdir()
        self.third = freePort()
        configuration = self.home / "dcmqrscp.cfg"
        configuration.write_text(_DCMQRSCP.format(port=self.port, third=self.third, home=self.home))
        self.start(requireProgram("dcmqrscp"), "-c", configuration)
        self.send([CT, MR], "-aec", "ARCHIVE")

    def test_find(self) -> None:
        everything = self.run_(LISTINGS / "find.py", "127.0.0.1", self.port, "ARCHIVE", "*").splitlines()
        self.assertEqual(len(everything), 2)
        one = self.run_(LISTINGS / "find.py", "127.0.0.1", self.port, "ARCHIVE", "CompressedSamples^CT*")
        self.assertEqual(one, f"20040119 CompressedSamples^CT1 {STUDY}\n")
        self.assertEqual(self.run_(LISTINGS / "find.py", "127.0.0.1", self.port, "ARCHIVE", "Nobody"), "")

    def test_get(self) -> None:
        folder = self.home / "got"
        folder.mkdir()
        report = self.run_(LISTINGS / "retrieve.py", "127.0.0.1", self.port, "ARCHIVE", STUDY, folder)
        self.assertEqual(report.splitlines()[-1], "1 retrieved, 0 failed")
        (path,) = folder.iterdir()
        # The archive encodes anew what it gives, and leaves out what it does not like.
        got, sent = dcmread(path), dcmread(CT)
        self.assertEqual((got.SOPInstanceUID, got.PixelData), (sent.SOPInstanceUID, sent.PixelData))

    def test_move(self) -> None:
        folder = self.home / "moved"
        folder.mkdir()
        self.start(requireProgram("storescp"), "-od", folder, self.third, port=self.third)
        report = self.run_(LISTINGS / "move.py", "127.0.0.1", self.port, "ARCHIVE", STUDY, "THIRD")
        self.assertEqual(report, "1 sent, 0 failed\n")
        self.assertEqual(len(list(folder.iterdir())), 1)

    def test_moveToNobodyKnown(self) -> None:
        """The archive says why not."""
        self.run_(LISTINGS / "move.py", "127.0.0.1", self.port, "ARCHIVE", STUDY, "NOBODY", status=1)


class ProvidedTests(RequestorTestCase):
    def test_worklist(self) -> None:
        """DCMTK's findscu asks the listing's worklist."""
        listing = (LISTINGS / "worklist.py").read_text().replace("11112", str(self.port))
        (self.home / "worklist.py").write_text(listing)
        self.start(requireScript("twistd"), "-n", "--pidfile=", "-y", "worklist.py")
        done = subprocess.run(
            [requireProgram("findscu"), "-W", "-k", "PatientName=Doe*", "-k", "PatientID", "127.0.0.1", str(self.port)],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.assertEqual(done.returncode, 0)
        self.assertIn("Doe^Jane", done.stdout + done.stderr)
        self.assertNotIn("Roe^Richard", done.stdout + done.stderr)


#: What pydicom and the decoders of txdicom[convert] cannot read, or decompress.
_NOT_DECODED = (
    "JPEG-lossy.dcm",
    "JPEG2000-embedded-sequence-delimiter.dcm",
    "emri_small_jpeg_2k_lossless_too_short.dcm",
)
#: What is encoded as Orthanc would.
_PLAIN = ("CT_small.dcm", "MR_small.dcm", "JPEG2000.dcm", "MR_small_RLE.dcm", "rtplan.dcm", "reportsi.dcm")
#: What Orthanc refuses, or aborts the association for.
_NOT_FOR_ORTHANC = (
    "JPEGLSNearLossless_08.dcm",
    "JPEGLSNearLossless_16.dcm",
    "MR_truncated.dcm",
    "SC_rgb_jls_lossy_line.dcm",
    "SC_rgb_jls_lossy_sample.dcm",
    "emri_small_jpeg_2k_lossless_too_short.dcm",
    "explicit_VR-UN.dcm",
    "rtdose_rle.dcm",
    "rtdose_rle_1frame.dcm",
)

_DCMQRSCP = """\
NetworkTCPPort = {port}
MaxPDUSize = 16384
MaxAssociations = 16
HostTable BEGIN
third = (THIRD, 127.0.0.1, {third})
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
ARCHIVE {home}/db RW (200, 1024mb) ANY
AETable END
"""

_PYNETDICOM = """\
import sys
from pydicom.uid import AllTransferSyntaxes
from pynetdicom import AE, AllStoragePresentationContexts, evt

entity = AE()
for context in AllStoragePresentationContexts:
    entity.add_supported_context(context.abstract_syntax, AllTransferSyntaxes)


def store(event):
    with open(f"{sys.argv[2]}/{event.request.AffectedSOPInstanceUID}", "wb") as file:
        file.write(event.encoded_dataset())
    return 0


entity.start_server(("127.0.0.1", int(sys.argv[1])), block=True, evt_handlers=[(evt.EVT_C_STORE, store)])
"""
