"""
Tests of the storescp program: processes of the installed twistd, and of ``python -m twisted``, with peers on loopback.

No port is fixed: the program takes a free one and its log says which. Nothing sleeps but to poll, under a deadline.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import shutil
import socket
import stat
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from twisted.trial.unittest import SkipTest

from tests.programs import (
    ANY_PORT,
    DAC_OVERRIDE,
    DAC_READ_SEARCH,
    ENDED,
    NET_BIND_SERVICE,
    PATIENCE,
    ProgramTestCase,
    dcmtk,
    environment,
    twistd,
    waitFor,
    withoutCapabilities,
)
from tests.receivers import CT, FILE_NAME, INSTANCE, dataPDUs, dataSet, filesIn, statusesIn, storeRQ
from txdicom import __version__

RUNNERS = ("twistd", "daemon", "twist")
SHORT_USAGE = "Usage: twistd [options] storescp [-v][-d][-r][-i][-s n][-S n][-b n] [options] port\n"
MEBIBYTE = 1 << 20


class StartTests(ProgramTestCase):
    """Being found, and getting ready."""

    def test_startsQuickly(self) -> None:
        """It accepts connections soon after it is called."""
        times = []
        for _ in range(3):
            began = time.monotonic()
            program = self.start()
            program.port()
            times.append(time.monotonic() - began)
            program.stop()
        self.assertTrue(statistics.median(times) < 2.0, times)

    def test_listedWithoutBeingImported(self) -> None:
        """``twistd --help`` lists it, and imports neither it nor pydicom for that."""
        listing = subprocess.run(
            [sys.executable, "-X", "importtime", twistd(), "--help"], capture_output=True, text=True, timeout=PATIENCE
        )
        self.assertEqual(listing.returncode, 0)
        self.assertRegex(listing.stdout, r"\n    storescp +DICOM storage receiver")
        imported = {line.rpartition("|")[2].strip() for line in listing.stderr.splitlines()}
        self.assertIn("twisted.plugins.txdicom_storescp", imported)
        self.assertEqual([name for name in imported if name.startswith(("pydicom", "txdicom"))], [])

    def test_receivesWithoutPydicom(self) -> None:
        """Neither starting nor storing needs pydicom, which takes long to import."""
        program = self.start("-b65536", env=environment(PYTHONPROFILEIMPORTTIME="1"))
        self.storeOne(program.port())
        program.stop()
        imported = {line.rpartition("|")[2].strip() for line in program.errors.splitlines()}
        self.assertIn("txdicom.storescp.tap", imported)
        self.assertEqual([name for name in imported if name.startswith(("pydicom", "numpy"))], [])

    def test_pythonDashM(self) -> None:
        """``python -m twisted storescp`` works from a checkout, and ends well."""
        program = self.start(runner="twist")
        self.storeOne(program.port())
        self.assertEqual(self.stored(), [FILE_NAME])
        self.assertIn(program.stop(), ENDED)
        self.assertEqual(program.errors, "")

    def test_portArgument(self) -> None:
        """The port is an argument, options may follow it; 0 takes any that is free."""
        program = self.start("0", "-i")
        self.storeOne(program.port())
        self.assertEqual(self.stored(), [])

    def test_severalEndpoints(self) -> None:
        """TCP and UNIX endpoints serve side by side."""
        # The path of a UNIX socket has to be short.
        home = Path(tempfile.mkdtemp(prefix="storescp-"))
        self.addCleanup(shutil.rmtree, home)
        path = home / "socket"
        program = self.start(ANY_PORT, ANY_PORT, f"--endpoint=unix:{path}:mode=600")
        ports = program.ports(2)
        self.assertEqual(len(set(ports)), 2)
        waitFor(path.exists, "the UNIX socket")
        for number, address in enumerate((*ports, str(path))):
            self.storeOne(address, f"1.2.{number}")
        self.assertEqual(self.stored(), ["CT.1.2.0", "CT.1.2.1", "CT.1.2.2"])
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)

    def test_interface(self) -> None:
        """An endpoint's interface is where it listens, and nowhere else."""
        try:
            socket.create_server(("127.0.0.2", 0)).close()
        except OSError as error:
            raise SkipTest("this system has one loopback address only") from error
        (port,) = self.start("--endpoint=tcp:0:interface=127.0.0.2").ports()
        self.assertRaises(ConnectionRefusedError, socket.create_connection, ("127.0.0.1", port), PATIENCE)
        socket.create_connection(("127.0.0.2", port), timeout=PATIENCE).close()


class FailureTests(ProgramTestCase):
    """Not getting ready: one sentence, a status, and nothing left."""

    def fails(self, *arguments: str, **keywords: Any) -> str:
        """Start a program that ends by itself; check what holds for each of them, and return what it says."""
        program = self.start(*arguments, **keywords)
        self.assertEqual(program.status(), 1)
        for said in (program.output, program.errors, (program.home / "out").read_text()):
            self.assertNotIn("Traceback", said)
            self.assertNotIn(" starting on ", said.replace(f" starting on '{self.home}/nonesuch/", ""))
        self.assertFalse(program.pidFile.exists())
        return program.errors

    def taken(self) -> int:
        """Listen on a port, and return which."""
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        return int(taken.getsockname()[1])

    def test_portInUse(self) -> None:
        """A port that is taken is told on standard error by whatever runs it; a daemon's parent waits for that."""
        port = self.taken()
        sentence = f"cannot listen on port {port}, it is in use"
        for runner in RUNNERS:
            said = self.fails(f"--endpoint=tcp:{port}:interface=127.0.0.1", runner=runner)
            if runner == "daemon":
                # The words around it are twistd's own.
                self.assertEqual(said.count(sentence), 1)
            else:
                self.assertEqual(said, f"storescp: {sentence}\n")
        self.assertEqual(self.fails(str(port)), f"storescp: {sentence}\n")

    def test_logSaysWhy(self) -> None:
        """A daemon's parent refers to the log, so the log has it."""
        port = self.taken()
        self.fails(str(port), runner="daemon")
        log = (self.home / "run1" / "twistd.log").read_text()
        self.assertIn(f"[storescp#error] cannot listen on port {port}, it is in use\n", log)

    def test_portForbidden(self) -> None:
        """A low port needs a privilege; the sentence is the original's."""
        bound = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        if not bound.exists() or int(bound.read_text()) <= 104:
            raise SkipTest("on this system everybody may listen on port 104")
        said = self.fails("104", preexec_fn=withoutCapabilities(NET_BIND_SERVICE))
        self.assertEqual(said, "storescp: cannot listen on port 104, insufficient privileges\n")

    def test_endpoints(self) -> None:
        """An endpoint that cannot be used is quoted, whatever is wrong with it."""
        for description, reason in (
            ("nonesuch:1", "is not usable: Unknown endpoint type: 'nonesuch'"),
            ("tcp:0:interface=192.0.2.1", "cannot listen on port 0: "),
            (f"unix:{self.home}/nonesuch/socket", f"cannot listen on {self.home}/nonesuch/socket.lock: No such file"),
        ):
            said = self.fails(f"--endpoint={description}")
            self.assertIn(reason, said)
            self.assertEqual(said.count("\n"), 1)

    def test_directories(self) -> None:
        """A directory that nothing can be stored in is told before anything listens."""
        missing = self.home / "nonesuch"
        self.assertEqual(
            self.fails(f"--output-directory={missing}"),
            f"storescp: output directory {missing} does not exist or is not a directory\n{SHORT_USAGE}",
        )
        self.output.chmod(0o500)
        self.assertEqual(
            self.fails(preexec_fn=withoutCapabilities(DAC_OVERRIDE, DAC_READ_SEARCH)),
            f"storescp: output directory {self.output} cannot be written to\n{SHORT_USAGE}",
        )

    def test_noDictionary(self) -> None:
        """Dictionaries that are named, but cannot be loaded, end it before it listens."""
        path = f"{self.home}/a.dic:{self.home}/b.dic"
        for runner in RUNNERS:
            said = self.fails(runner=runner, env=environment(DCMDICTPATH=path))
            self.assertTrue(said.startswith("storescp: None of the data dictionaries that DCMDICTPATH names"), said)
            self.assertEqual(said.count("\n"), 1)

    def test_usage(self) -> None:
        """Without arguments there is the whole syntax; a wrong one gets its sentence; both fail."""
        program = self.launch()
        self.assertEqual((program.status(), program.output), (1, ""))
        self.assertTrue(program.errors.startswith(SHORT_USAGE))
        self.assertIn("--sleep-during n", program.errors)
        program = self.launch("-x", "104")
        self.assertEqual((program.status(), program.output), (1, ""))
        self.assertEqual(program.errors, f"storescp: option -x not recognized\n{SHORT_USAGE}")

    def test_helpAndVersion(self) -> None:
        """What was asked for is printed, and is no failure."""
        program = self.launch("--help")
        self.assertEqual((program.status(), program.errors), (0, ""))
        self.assertTrue(program.output.startswith(SHORT_USAGE))
        program = self.launch("--version")
        self.assertEqual((program.status(), program.errors, program.output), (0, "", f"txdicom {__version__}\n"))


class ServeTests(ProgramTestCase):
    """Serving other people's programs, and telling of it."""

    def test_echoAndStore(self) -> None:
        """DCMTK's echoscu and storescu succeed, the instance is stored, and ``-v`` tells of both in order."""
        echoscu, storescu = dcmtk("echoscu"), dcmtk("storescu")
        file = self.home / "sent.dcm"
        sent = writeInstance(file)
        program = self.start("-v")
        port = str(program.port())
        for command in ([echoscu, "127.0.0.1", port], [storescu, "-aet", "SENDER", "127.0.0.1", port, str(file)]):
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment())
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))
        self.assertIn(program.stop(), ENDED)
        received = pydicom.dcmread(self.output / FILE_NAME)
        self.assertEqual(received, sent)
        self.assertEqual(received.file_meta.SourceApplicationEntityTitle, "SENDER")
        self.assertEqual(program.errors, "")
        expected = [
            "Association Received (127.0.0.1:",
            "Association Acknowledged (Max Send PDV: 16378)",
            "Received C-ECHO-RQ (MsgID 1)",
            "Association Release",
            "Association Received (127.0.0.1:",
            "Association Acknowledged (Max Send PDV: 16378)",
            "Received C-STORE-RQ (MsgID 1, CT)",
            f"RECV: {INSTANCE}, ",
            "Association Release",
        ]
        lines = iter(program.output.splitlines())
        for words in expected:
            self.assertTrue(any(words in line for line in lines), f"{words} in {program.output}")
        self.assertNotIn("Doe", program.output)

    def test_debug(self) -> None:
        """``-d`` shows what was negotiated, commands and data sets, with the names of the user's dictionaries."""
        dictionary = self.home / "acme.dic"
        dictionary.write_text('(0009,"ACME 1.0",10)\tUS\tBoltCount\t1\tPrivateTag\n')
        missing = self.home / "nonesuch.dic"
        program = self.start("-d", env=environment(DCMDICTPATH=f"{missing}:{dictionary}"))
        sender = self.sender(program.port())
        sender.associate()
        private = b"\x09\0\x10\0LO\x08\0ACME 1.0" + b"\x09\0\x10\x10US\x02\0\x2a\0"
        self.assertEqual(statusesIn([sender.ask(storeRQ(), *dataPDUs(dataSet() + private))]), [(1, 0x0000)])
        program.stop()
        self.assertIn(f"[storescp#warn] Cannot use data dictionary {str(missing)!r}: No such file", program.output)
        for line in (
            "    Context 3: CT Image Storage (1.2.840.10008.5.1.4.1.1.2)",
            "    (0000,0100) CommandField (US) [1]",
            "    (0010,0010) PatientName (PN) [Doe^Jane]",
            "    (0009,1010) Bolt Count (US) [42]",
        ):
            self.assertIn(f"\n\t{line}\n", program.output)

    def test_refuse(self) -> None:
        """DCMTK's echoscu is refused, and told so."""
        echoscu = dcmtk("echoscu")
        program = self.start("-r")
        done = subprocess.run(
            [echoscu, "127.0.0.1", str(program.port())], capture_output=True, text=True, timeout=PATIENCE
        )
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("Rejected Permanent", done.stderr)

    def test_permissions(self) -> None:
        """What is stored may be read by whom the umask lets, and executed by nobody."""
        for umask, mode in ((0o022, 0o644), (0o027, 0o640), (0o077, 0o600)):
            program = self.start(umask=umask)
            self.storeOne(program.port())
            self.assertEqual(stat.S_IMODE((self.output / FILE_NAME).stat().st_mode), mode)
            program.stop()


class DaemonTests(ProgramTestCase):
    """twistd without ``-n``."""

    def test_relativeDirectory(self) -> None:
        """A daemon stores where the directory was when it was started; it ends with its PID file."""
        (self.home / "run1" / "in").mkdir(parents=True)
        program = self.start("--output-directory=in", runner="daemon")
        self.assertEqual((program.process.wait(PATIENCE), program.errors), (0, ""))
        self.storeOne(program.port())
        self.assertEqual(filesIn(program.home / "in"), [FILE_NAME])
        # twistd's own default for daemons; its option --umask changes that.
        self.assertEqual(stat.S_IMODE((program.home / "in" / FILE_NAME).stat().st_mode), 0o600)
        program.stop()
        self.assertFalse(program.pidFile.exists())
        self.assertIn("Server Shut Down", program.output)


def writeInstance(file: Path) -> Dataset:
    """Write a DICOM file with a small image, and return what is in it."""
    instance = Dataset()
    instance.SOPClassUID = CT
    instance.SOPInstanceUID = INSTANCE
    instance.PatientName = "Doe^Jane"
    instance.Rows = instance.Columns = 64
    instance.BitsAllocated = instance.BitsStored = 16
    instance.HighBit = 15
    instance.PixelRepresentation = 0
    instance.SamplesPerPixel = 1
    instance.PhotometricInterpretation = "MONOCHROME2"
    instance.PixelData = os.urandom(2 * 64 * 64)
    instance["PixelData"].VR = "OW"
    instance.file_meta = FileMetaDataset()
    instance.file_meta.MediaStorageSOPClassUID = CT
    instance.file_meta.MediaStorageSOPInstanceUID = INSTANCE
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    instance.save_as(file, enforce_file_format=True)
    return instance
