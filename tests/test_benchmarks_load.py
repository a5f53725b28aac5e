"""Tests for `benchmarks` as a program: the receivers that it knows, the load generator, and the command line."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import report
from benchmarks.__main__ import main
from benchmarks.experiments import EXPERIMENTS
from benchmarks.fairness import echoBesideStreams, largeBesideSmall
from benchmarks.growth import growth
from benchmarks.idle import idlePeers
from benchmarks.loadgen import LoadGenerator, LoadGeneratorError
from benchmarks.machine import NO_JOURNAL, fileSystemOf, machine
from benchmarks.micro import measurePieces
from benchmarks.receiver import Bench, Workload
from benchmarks.results import Results, Row
from benchmarks.rounds import run
from benchmarks.senders import SENDERS, Sender
from benchmarks.sending import Sending
from benchmarks.servers import SERVERS, Missing, Server, custom
from tests.documents import DOCS
from tests.interop.peers import requireProgram, requireScript


class ServersTests(SynchronousTestCase):
    """Receivers by name, and what is missing."""

    def test_everyExperimentNamesReceivers(self) -> None:
        for experiment in EXPERIMENTS.values():
            known = {*SERVERS, *SENDERS}
            self.assertLessEqual({*experiment.servers, experiment.baseline} - {""}, known, experiment.name)
            self.assertNotEqual(bool(experiment.workloads), experiment.measure is not None)

    def test_aCommandOfTheUsers(self) -> None:
        server = custom("mine=serve --in {directory} {port}")
        self.assertEqual((server.name, server.isOurs), ("mine", False))
        self.assertEqual(server.command(7, Path("d")), ["serve", "--in", "d", "7"])
        for text in ("mine", "=serve {port}", "mine=serve"):
            self.assertRaises(ValueError, custom, text)

    def test_whatIsMissingIsSkipped(self) -> None:
        with mock.patch.dict("os.environ", PATH="/nowhere"):
            self.assertRaises(Missing, SERVERS["dcmtk"].version)
        told: list[str] = []

        def missing() -> str:
            raise Missing("it is not installed")

        absent = Server("absent", lambda port, directory: [], missing)
        directory = Path(self.mktemp())
        directory.mkdir()
        measured = run(EXPERIMENTS["smoke"], [absent], 1, 0.1, directory, None, told.append)
        self.assertEqual((told, measured.rows), (["absent is skipped: it is not installed"], []))
        self.assertEqual(list(directory.iterdir()), [])

    def test_thisMachine(self) -> None:
        self.assertEqual(sorted(machine()), ["cores", "cpu", "memory", "system"])
        self.assertEqual(fileSystemOf(Path("/proc/self")), "proc")

    def test_ext4(self) -> None:
        """It is told whether it has a journal, unless the system does not say."""
        directory = Path(self.mktemp())
        directory.mkdir()
        mounts, system = directory / "mounts", directory / "sys"
        mounts.write_text("/dev/sda1 / ext4 rw 0 0\n")
        device = directory.stat().st_dev
        (system / "dev/block").mkdir(parents=True)
        (system / f"dev/block/{os.major(device)}:{os.minor(device)}").symlink_to("../../devices/sda1")
        task = system / "fs/ext4/sda1/journal_task"
        task.parent.mkdir(parents=True)
        with mock.patch.multiple("benchmarks.machine", _MOUNTS=mounts, _SYS=system):
            self.assertEqual(fileSystemOf(directory), "ext4")
            for told, expected in (("<none>\n", NO_JOURNAL), ("123\n", "ext4")):
                task.write_text(told)
                self.assertEqual(fileSystemOf(directory), expected)


#: Listens, and answers everything with the same bytes, or not at all.
STUBBORN = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    peer = server.accept()[0]
    peer.recv(65536)
    peer.sendall(bytes.fromhex(sys.argv[2]))
    if sys.argv[3:]:
        peer.close()
"""


class LoadTests(SynchronousTestCase):
    """The load generator and the bench, against a receiver and against what is none."""

    def setUp(self) -> None:
        requireProgram("gcc")
        requireScript("twistd")
        self.home = Path(self.mktemp())
        self.home.mkdir()
        self.bench = Bench(self.home, 0.05)

    def assertStored(self, kind: str, associations: int, each: int) -> None:
        measured = self.bench.measure(SERVERS["txdicom"], Workload(kind, associations), 0, each)
        self.assertEqual(measured.wrong, "")
        self.assertEqual(measured.each, each)
        for name in ("perSecond", "cpu", "memory", "latency50", "startup"):
            self.assertGreater(measured.figures[name], 0, name)

    def test_store(self) -> None:
        self.assertStored("5 KiB", 3, 5)

    def test_objectsOfManyPDUs(self) -> None:
        self.assertStored("8 MiB", 2, 1)

    def test_churn(self) -> None:
        measured = self.bench.measure(SERVERS["txdicom"], Workload("", 2), 0, 5)
        self.assertEqual((measured.wrong, measured.each), ("", 5))

    def test_clients(self) -> None:
        """DCMTK's senders, several at once, with TLS and without; all that they send is looked for."""
        requireProgram("storescu")
        requireProgram("openssl")
        workload = Workload("5 KiB", 2, "storescu")
        self.assertEqual(workload.name, "storescu x 2, 5 KiB")
        with mock.patch.dict("benchmarks.clients._FILES", {"5 KiB": 3}):
            for name in ("txdicom", "txdicom +tls"):
                measured = self.bench.measure(SERVERS[name], workload, 0)
                self.assertEqual((measured.wrong, measured.each), ("", 6), name)
            # One that does not speak TLS, and is spoken to with it.
            deaf = replace(SERVERS["txdicom"], speaksTLS=True)
            self.assertIn("TLS", self.bench.measure(deaf, workload, 0).wrong)

    def test_idle(self) -> None:
        # The sender needs one of them.
        command = (
            f"{requireScript('twistd')} -n --pidfile= storescp --max-associations 4 --output-directory {{directory}}"
        )
        server = custom(f"ours={command} --endpoint tcp:{{port}}:interface=127.0.0.1")
        alone, beside = idlePeers(self.bench, server, 0, associations=3)
        self.assertEqual((alone.wrong, beside.wrong, beside.figures["alive"]), ("", "", 3))
        load = self.bench.loads.begin("hold", 1, 2)
        self.assertRaises(LoadGeneratorError, load.ready)
        load.abandon()

    def test_someAreRefused(self) -> None:
        """Those that are there are held."""
        command = f"{requireScript('twistd')} -n --pidfile= storescp -i --max-associations 3"
        server = custom(f"ours={command} --endpoint tcp:{{port}}:interface=127.0.0.1")
        with self.bench.running(server) as receiver:
            load = self.bench.loads.begin("hold", receiver.port, 5)
            self.assertEqual(load.ready(), 3)
            outcome = load.outcome()
        self.assertEqual((outcome.count, outcome.failed), (3, 2))

    def test_fairness(self) -> None:
        rows = [
            *echoBesideStreams(self.bench, SERVERS["txdicom"], 0, streams=2),
            *largeBesideSmall(self.bench, SERVERS["txdicom"], 0, senders=2, kind="8 MiB"),
        ]
        self.assertEqual([measured.wrong for measured in rows], [""] * 7)

    def test_growth(self) -> None:
        pauses: list[float] = []
        for name in EXPERIMENTS["growth"].servers:
            rows = list(growth(self.bench, SERVERS[name], 0, objects=320, pause=pauses.append))
            self.assertEqual([measured.x for measured in rows], list(range(16, 321, 16)))
            self.assertEqual({measured.wrong for measured in rows}, {""})
        self.assertEqual(pauses[0], 0)

    def test_growthAfterRemoval(self) -> None:
        """It waits as long as the file system remembers."""
        for kind, least, most in ((NO_JOURNAL, 300, 360), ("ext4", 0, 0), ("tmpfs", 0, 0)):
            pauses: list[float] = []
            with self.bench.running(SERVERS["txdicom"]):
                pass
            with mock.patch("benchmarks.growth.fileSystemOf", return_value=kind):
                list(growth(self.bench, SERVERS["txdicom"], 0, objects=160, pause=pauses.append))
            self.assertTrue(least <= pauses[0] <= most, (kind, pauses))

    def test_findsOutHowMuch(self) -> None:
        measured = self.bench.measure(SERVERS["txdicom"], Workload("5 KiB", 2), 0)
        self.assertEqual(measured.wrong, "")
        self.assertGreaterEqual(measured.each, 20)

    def test_receiverThatKeepsNothing(self) -> None:
        """What was acknowledged and is not there is found."""
        command = f"{requireScript('twistd')} -n --pidfile= storescp -i --endpoint tcp:{{port}}:interface=127.0.0.1"
        measured = self.bench.measure(custom(f"forgetful={command}"), Workload("5 KiB", 2), 0, 5)
        self.assertEqual(measured.wrong, "10 of 10 objects are not there")

    def test_receiverThatRefuses(self) -> None:
        command = f"{requireScript('twistd')} -n --pidfile= storescp -r --endpoint tcp:{{port}}:interface=127.0.0.1"
        for workload in (Workload("5 KiB"), Workload("")):
            measured = self.bench.measure(custom(f"unwilling={command}"), workload, 0, 5)
            self.assertIn("A-ASSOCIATE-RJ 1/1/1", measured.wrong)

    def test_receiverThatDoesNotStart(self) -> None:
        measured = self.bench.measure(custom(f"dead={sys.executable} -c exit() {{port}}"), Workload("5 KiB"), 0)
        self.assertIn("does not start", measured.wrong)

    def test_answersThatAreNone(self) -> None:
        for answer, more, expected in (
            ("", ["close"], "the connection was closed"),
            ("", [], "nothing in 0.3 s"),
            ("0900 00000004 00000000", [], "PDU of type 9 while associating"),
            ("0300 00000004 00020302", [], "A-ASSOCIATE-RJ 2/3/2"),
            ("0700 00000004 00000002", [], "A-ABORT 0/2 while associating"),
            ("0200 00ffffff", [], "a PDU of 16777215 bytes"),
            ("0200 00000044" + 68 * "00", [], "presentation context 1 was not accepted"),
        ):
            command = [sys.executable, "-c", STUBBORN, answer.replace(" ", ""), *more]
            stubborn = Server(
                "stubborn", lambda port, directory, command=command: [*command[:3], str(port), *command[3:]], str
            )
            with self.bench.running(stubborn) as receiver:
                outcome = self.bench.loads.begin("churn", receiver.port, 1, timeout=0.3, each=1).outcome()
            self.assertEqual((outcome.count, outcome.failed), (0, 1))
            self.assertIn(expected, outcome.reason)

    def test_noSuchSetting(self) -> None:
        self.assertRaises(LoadGeneratorError, self.bench.loads.begin("store", 1, 1, wrong=3).outcome)

    def test_noCompiler(self) -> None:
        with mock.patch.dict("os.environ", PATH="/nowhere"):
            self.assertRaises(LoadGeneratorError, LoadGenerator, self.home)


#: Sends all files of a directory, or one less, the first one instead of the second, or the second one changed.
WRONG_SENDER = """
import sys
from pathlib import Path
from pydicom import dcmread
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import react
from txdicom.requestor import connect

async def main(reactor, port, directory, fault):
    files = [dcmread(path) for path in sorted(Path(directory).iterdir())]
    if fault == "fewer":
        del files[-1]
    elif fault == "twice":
        files[1] = files[0]
    elif fault == "damaged":
        files[1].PixelData = bytes(len(files[1].PixelData))
    elif fault == "short":
        files[1].PixelData = files[1].PixelData[:-2]
    association = await connect(TCP4ClientEndpoint(reactor, "127.0.0.1", int(port)), send=files)
    for file in files:
        await association.store(file)
    await association.release()

react(lambda *given: main(*given), sys.argv[1:])
"""


class SendingTests(SynchronousTestCase):
    """Senders, and what the sink finds."""

    def setUp(self) -> None:
        requireProgram("gcc")
        self.home = Path(self.mktemp())
        self.home.mkdir()
        self.bench = Bench(self.home, 0.05)

    def sent(self, sender: Server, kind: str = "5 KiB", maximumLength: int = 16384) -> Row:
        return Sending(kind, maximumLength, objects=3).measure(self.bench, sender, 0)

    def test_ours(self) -> None:
        requireScript("txdicom")
        for name in ("txdicom send", "txdicom as a library"):
            for kind, maximumLength in (("5 KiB", 16384), ("8 MiB", 131072)):
                measured = self.sent(SENDERS[name], kind, maximumLength)
                self.assertEqual((measured.wrong, measured.each), ("", 3))
                self.assertEqual(set(EXPERIMENTS["sending"].shown), set(measured.figures))
                self.assertTrue(all(measured.figures.values()))

    def test_dcmtk(self) -> None:
        requireProgram("storescu")
        for name in ("storescu", "dcmsend"):
            self.assertEqual(self.sent(SENDERS[name], "512 KiB").wrong, "")

    def test_pynetdicom(self) -> None:
        """About once in a hundred times it misses an answer that comes fast, and aborts: one run of five is whole."""
        for _ in range(5):
            wrong = self.sent(SENDERS["pynetdicom storescu"], "512 KiB").wrong
            if not wrong:
                return
        self.fail(wrong)

    def test_whatIsNotWholeIsFound(self) -> None:
        for fault, expected in (
            ("none", ""),
            ("fewer", "2 of 3 objects came"),
            ("twice", "an object has a wrong number"),
            ("damaged", "an object is damaged"),
            ("short", "an object is damaged"),  # its length stands before its pixels
        ):
            command = [sys.executable, "-c", WRONG_SENDER]
            sender = Sender("wrong", lambda port, files, c=command, f=fault: [*c, str(port), str(files), f], str)
            wrong = self.sent(sender).wrong
            self.assertTrue(wrong.startswith(expected) if expected else not wrong, (fault, wrong))

    def test_senderThatFails(self) -> None:
        command = [sys.executable, "-c", "import sys; sys.exit('no way')"]
        with mock.patch("benchmarks.loadgen._PATIENCE", 0.1):
            measured = self.sent(Sender("failing", lambda port, files: command, str))
        self.assertIn("it ended with 1: no way", measured.wrong)

    def test_senderThatDoesNotConnect(self) -> None:
        with mock.patch("benchmarks.loadgen._PATIENCE", 0.1):
            measured = self.sent(Sender("idle", lambda port, files: [sys.executable, "-c", ""], str))
        self.assertIn("there was no association", measured.wrong)

    def test_filesAreWrittenOnce(self) -> None:
        self.assertIs(self.bench.files("5 KiB", 2), self.bench.files("5 KiB", 2))


class CommandTests(SynchronousTestCase):
    """`python -m benchmarks`."""

    def test_list(self) -> None:
        output = io.StringIO()
        self.assertEqual(main(["list"], output), 0)
        for name in (*EXPERIMENTS, *SERVERS, *SENDERS):
            self.assertIn(name, output.getvalue())

    def test_page(self) -> None:
        directory = Path(self.mktemp())
        directory.mkdir()
        row = Row(0, "txdicom", "case", {"perSecond": 1})
        measured = Results("peers", "now", {}, {}, {"txdicom": "1.0"}, rows=[row])
        measured.write(directory / "peers.json")
        self.assertEqual(main(["page", str(directory)], io.StringIO()), 0)
        self.assertEqual((directory / report.PAGE).read_text(), report.files(directory)[report.PAGE])

    def test_unknownReceiver(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks", "run", "peers", "--servers", "nobody"],
            cwd=DOCS.parent,
            capture_output=True,
            text=True,
        )
        self.assertEqual((done.returncode, done.stderr), (2, "benchmarks: there is no receiver or sender 'nobody'\n"))

    def test_pieces(self) -> None:
        directory = Path(self.mktemp())
        directory.mkdir()
        with mock.patch("benchmarks.micro._SECONDS", 0.001):
            rows = measurePieces(directory, 2)
        self.assertEqual({measured.round for measured in rows}, {0, 1})
        for measured in rows:
            self.assertGreater(measured.figures["secondsPerOperation"], 0)
        self.assertTrue(any(directory.iterdir()))
