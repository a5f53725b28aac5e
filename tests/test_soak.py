"""Tests for `benchmarks.soaking`: its judgement, against tampered directories and a bad receiver, and one short run."""

from __future__ import annotations

import asyncio
import io
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.soak import main
from benchmarks.soaking.contents import EXPLICIT_VR_LITTLE_ENDIAN, Contents, Instance, seededRandom
from benchmarks.soaking.fileformat import CALLING_AE_TITLE, Damage, checkedDataSet
from benchmarks.soaking.ledger import Fault, Ledger
from benchmarks.soaking.peer import storeMessage
from benchmarks.soaking.run import Parameters, soak
from tests.interop.peers import requireScript
from txdicom.dimse.commands import CStoreRQ
from txdicom.dimse.commandsets import decodeCommand
from txdicom.storage.fileformat import encodeFileHead
from txdicom.upperlayer.pdu import PDataTF

#: Runs storescp in a world in which one renamed file in twenty is gone at once.
_FORGETFUL = """
import itertools, os, sys
renamed = itertools.count(1)
def forgetting(real):
    def rename(source, target, **where):
        real(source, target, **where)
        if ".2.25." in os.fsdecode(target) and next(renamed) % 20 == 0:
            os.unlink(target, dir_fd=where.get("dst_dir_fd"))
    return rename
os.rename, os.replace = forgetting(os.rename), forgetting(os.replace)
from twisted.scripts.twistd import run
sys.argv[0] = "twistd"
run()
"""


def stored(instance: Instance, dataSet: bytes, title: str = CALLING_AE_TITLE) -> bytes:
    """What a good receiver makes of an instance."""
    return encodeFileHead(instance.sopClassUID, instance.uid, EXPLICIT_VR_LITTLE_ENDIAN, title) + dataSet


class ContentsTests(SynchronousTestCase):
    """Contents are made from a seed alone."""

    def test_theSameSeedGivesTheSame(self) -> None:
        one, other = Contents(5), Contents(5)
        drawn = [contents.draw(seededRandom(1)) for contents in (one, other)]
        self.assertEqual(drawn[0], drawn[1])
        self.assertEqual(one.dataSet(drawn[0]), other.dataSet(drawn[1]))

    def test_instancesVariantsAndSeedsDiffer(self) -> None:
        contents, rng = Contents(5), seededRandom(1)
        instances = [contents.draw(rng) for _ in range(100)]
        self.assertEqual(len({instance.uid for instance in instances}), 100)
        self.assertNotEqual(contents.dataSet(instances[0], 0), contents.dataSet(instances[0], 1))
        self.assertNotEqual(contents.dataSet(instances[0]), Contents(6).dataSet(instances[0]))

    def test_messageCarriesCommandAndDataSet(self) -> None:
        contents = Contents(5)
        instance = contents.draw(seededRandom(1))
        dataSet = contents.dataSet(instance)
        for maximumLength, fragment in ((16384, 0), (4096, 64), (4096, 2)):
            message = storeMessage(instance, dataSet, 7, maximumLength, fragment)
            self.assertTrue(all(len(pdu) <= maximumLength + 6 for pdu in message.pdus))
            pdvs = [pdv for pdu in message.pdus for pdv in PDataTF.decode(pdu[6:]).pdvs]
            commands = [pdv for pdv in pdvs if pdv.isCommand]
            command = decodeCommand(b"".join(pdv.data for pdv in commands))
            self.assertEqual(command, CStoreRQ(7, instance.sopClassUID, instance.uid))
            self.assertEqual(b"".join(pdv.data for pdv in pdvs if not pdv.isCommand), dataSet)
            self.assertEqual([pdv for pdv in pdvs if pdv.isLast], [commands[-1], pdvs[-1]])


class FileFormatTests(SynchronousTestCase):
    """What stands before the data set is checked."""

    def setUp(self) -> None:
        contents = Contents(5)
        self.instance = contents.draw(seededRandom(1))
        self.dataSet = contents.dataSet(self.instance)
        self.good = stored(self.instance, self.dataSet)

    def damaged(self, content: bytes) -> bool:
        """Whether something is found to be wrong."""
        try:
            checkedDataSet(content, self.instance)
        except Damage:
            return True
        return False

    def test_goodFile(self) -> None:
        self.assertEqual(checkedDataSet(self.good, self.instance), self.dataSet)

    def test_alteredByteAnywhereBeforeTheDataSet(self) -> None:
        # But for the values of (0002,0012), and all of (0002,0013): what the receiver says of itself.
        classUID, versionName, title = (self.good.index(b"\2\0" + tag) for tag in (b"\x12\0", b"\x13\0", b"\x16\0"))
        free = [
            *range(classUID + 8, versionName),
            *range(versionName + 4, versionName + 6),
            *range(versionName + 8, title),
        ]
        unnoticed = []
        for position in range(len(self.good) - len(self.dataSet)):
            altered = bytearray(self.good)
            altered[position] ^= 0xFF
            if not self.damaged(bytes(altered)):
                unnoticed.append(position)
        self.assertEqual(unnoticed, free)

    def test_everyTruncationBeforeTheDataSet(self) -> None:
        head = len(self.good) - len(self.dataSet)
        self.assertEqual([length for length in range(head) if not self.damaged(self.good[:length])], [])

    def test_anotherSender(self) -> None:
        self.assertTrue(self.damaged(stored(self.instance, self.dataSet, "OTHER")))
        self.assertTrue(self.damaged(stored(self.instance, self.dataSet, "")))


class LedgerTests(SynchronousTestCase):
    """What was sent and answered tells what has to be in the directory, and everything else is found."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.contents = Contents(5)
        self.rng = seededRandom(1)
        self.record = io.StringIO()
        self.ledger = Ledger(self.directory, self.contents, self.record)

    def write(self, instance: Instance, variant: int = 0, upTo: int | None = None) -> Path:
        """Do what a good receiver does, or only a part of it."""
        path = self.directory / instance.fileName
        path.write_bytes(stored(instance, self.contents.dataSet(instance, variant))[:upTo])
        return path

    def send(self, instance: Instance, variant: int = 0) -> None:
        """Send an instance to a good receiver, which acknowledges it."""
        with self.ledger.begin(instance, variant) as attempt:
            attempt.whole()
            self.write(instance, variant)
            attempt.acknowledged()

    def draw(self) -> Instance:
        return self.contents.draw(self.rng)

    def sent(self) -> Instance:
        instance = self.draw()
        self.send(instance)
        return instance

    def assertFaults(self, *faults: Fault) -> None:
        """Check everything, twice, and expect each of these faults once and no others."""
        self.ledger.conclude()
        self.ledger.conclude()
        self.assertEqual(self.ledger.faults, dict.fromkeys(faults, 1), self.ledger.details)

    def test_goodFilesAreVerifiedRemovedAndRecorded(self) -> None:
        names = {self.sent().fileName for _ in range(20)}
        self.assertFaults()
        self.assertEqual(self.ledger.counts["verified"], 20)
        self.assertEqual(list(self.directory.iterdir()), [])
        self.assertEqual({line.split()[0] for line in self.record.getvalue().splitlines()}, names)

    def test_notThereWhenTheAnswerComes(self) -> None:
        with self.ledger.begin(self.draw()) as attempt:
            attempt.whole()
            attempt.acknowledged()
        self.assertEqual(self.ledger.faults, {Fault.LOST: 1})
        self.assertFaults(Fault.LOST)

    def test_missingLater(self) -> None:
        instance = self.sent()
        (self.directory / instance.fileName).unlink()
        self.assertFaults(Fault.LOST)

    def test_truncated(self) -> None:
        whole = len((self.directory / self.sent().fileName).read_bytes())
        for upTo in (0, 100, 143, 144, 300, 500, whole - 1):
            ledger = self.ledger = Ledger(self.directory, self.contents, self.record)
            instance = Instance(self.draw().sopClassUID, f"1.2.{upTo}", whole)
            self.send(instance)
            path = self.write(instance, upTo=upTo)
            for _ in ledger.sweep():
                pass
            self.assertEqual(ledger.faults[Fault.HALF], 1, upTo)
            path.unlink()

    def test_alteredByte(self) -> None:
        size = len((self.directory / self.sent().fileName).read_bytes())
        for position in (0, 130, 150, 200, size // 2, size - 1):
            ledger = self.ledger = Ledger(self.directory, self.contents, self.record)
            instance = self.draw()
            self.send(instance)
            path = self.directory / instance.fileName
            content = bytearray(path.read_bytes())
            content[min(position, len(content) - 1)] ^= 1
            path.write_bytes(content)
            for _ in ledger.sweep():
                pass
            self.assertEqual(ledger.faults[Fault.DAMAGED], 1, position)
            path.unlink()

    def test_longerThanWhatWasSent(self) -> None:
        path = self.directory / self.sent().fileName
        path.write_bytes(path.read_bytes() + b"\0")
        self.assertFaults(Fault.DAMAGED)

    def test_contentOfAnother(self) -> None:
        one, other = self.sent(), self.sent()
        (self.directory / other.fileName).write_bytes(stored(other, self.contents.dataSet(one)))
        self.assertFaults(Fault.DAMAGED)

    def test_neverSentWhole(self) -> None:
        instance = self.draw()
        with self.ledger.begin(instance):
            pass
        self.write(instance)
        self.assertFaults(Fault.HALF)

    def test_visibleWhileItIsBeingSent(self) -> None:
        instance = self.draw()
        with self.ledger.begin(instance):
            self.write(instance, upTo=1000)
            for _ in self.ledger.sweep():
                pass
        self.assertEqual(self.ledger.faults, {Fault.HALF: 1})

    def test_thereWhileItIsBeingAnswered(self) -> None:
        instance = self.draw()
        with self.ledger.begin(instance) as attempt:
            attempt.whole()
            path = self.write(instance)
            for _ in self.ledger.sweep():
                pass
            self.assertTrue(path.exists())
            attempt.acknowledged()
        self.assertFaults()
        self.assertEqual(self.ledger.counts["verified"], 1)

    def test_unansweredMayBeThereOrNot(self) -> None:
        instances = [self.draw() for _ in range(2)]
        for instance in instances:
            with self.ledger.begin(instance) as attempt:
                attempt.whole()
        self.write(instances[0])
        self.assertFaults()
        self.assertEqual(self.ledger.counts["unacknowledged"], 1)

    def test_unansweredAndHalf(self) -> None:
        instance = self.draw()
        with self.ledger.begin(instance) as attempt:
            attempt.whole()
        self.write(instance, upTo=2000)
        self.assertFaults(Fault.HALF)

    def test_sentAgainAfterAKill(self) -> None:
        instance = self.draw()
        with self.ledger.begin(instance):
            pass
        self.send(instance)
        self.assertFaults()
        self.assertEqual(self.ledger.counts["verified"], 1)

    def test_refused(self) -> None:
        instance = self.draw()
        with self.ledger.begin(instance) as attempt:
            attempt.refused(0xA900, expected=True)
        self.assertEqual(self.ledger.faults, {})
        self.write(instance)
        self.assertFaults(Fault.HALF)

    def test_goodOneRefused(self) -> None:
        with self.ledger.begin(self.draw()) as attempt:
            attempt.whole()
            attempt.refused(0xA700)
        self.assertFaults(Fault.REFUSED)

    def test_twinsAtOnce(self) -> None:
        for kept in (0, 1):
            instance = self.draw()
            with self.ledger.begin(instance, 0) as one, self.ledger.begin(instance, 1) as other:
                one.whole()
                other.whole()
                self.write(instance, kept)
                one.acknowledged()
                other.acknowledged()
        self.assertFaults()
        self.assertEqual(self.ledger.counts["verified"], 2)
        self.assertEqual(self.ledger.counts["replaced"], 2)

    def test_twinThatWasNeverSentWhole(self) -> None:
        instance = self.draw()
        with self.ledger.begin(instance, 1):
            self.send(instance, 0)
        self.write(instance, 1)
        self.assertFaults(Fault.DAMAGED)

    def test_laterOneOfTwo(self) -> None:
        instance = self.sent()
        self.send(instance, 1)
        self.assertFaults()

    def test_olderOneOfTwo(self) -> None:
        instance = self.sent()
        self.send(instance, 1)
        self.write(instance, 0)
        self.assertFaults(Fault.DAMAGED)

    def test_nobodySentIt(self) -> None:
        self.write(self.draw())
        self.assertFaults(Fault.STRAY)

    def test_backAfterItWasRemoved(self) -> None:
        instance = self.sent()
        self.ledger.conclude()
        self.write(instance)
        self.assertFaults(Fault.STRAY)

    def test_temporaryFilesAreNotInstances(self) -> None:
        (self.directory / ".txdicom-1.part").write_bytes(b"DICM")
        self.assertFaults()

    def test_nothingIsConcludedWhileSomethingIsUnderWay(self) -> None:
        with self.ledger.begin(self.draw()):
            self.assertRaises(RuntimeError, self.ledger.conclude)


class RunTests(SynchronousTestCase):
    """The soak in short, on real processes."""

    if not sys.platform.startswith("linux"):
        skip = "measures processes by /proc"

    def setUp(self) -> None:
        self.twistd = requireScript("twistd")
        self.directory = Path(self.mktemp())
        self.output = io.StringIO()

    def test_receiverKeepsItsPromise(self) -> None:
        arguments = ["--seconds", "3", "--kills", "1", "--senders", "8", "--misbehaving", "0.6", "--patience", "20"]
        status = main([*arguments, "--directory", str(self.directory)], self.output)
        table = self.output.getvalue()
        self.assertEqual(status, 0, table)
        self.assertIn("the promise                                  was kept", table)
        self.assertIn("kills                                        1", table)
        left = [path.name for path in (self.directory / "incoming").iterdir()]
        self.assertEqual([name for name in left if not name.startswith(".txdicom")], [])

    def test_brokenPromiseIsFound(self) -> None:
        parameters = Parameters(
            seconds=1.0,
            kills=0,
            directory=self.directory,
            command=(sys.executable, "-c", _FORGETFUL, "-n", "--pidfile=", "storescp"),
            senders=4,
            misbehaving=0.0,
            patience=20.0,
        )
        outcome = asyncio.run(soak(parameters, self.output))
        acknowledged = outcome.load.ledger.counts["acknowledged"]
        self.assertFalse(outcome.kept)
        self.assertGreater(acknowledged, 20)
        self.assertEqual(set(outcome.load.ledger.faults), {Fault.LOST})
        # What was stored and not acknowledged before the stop may count as one of twenty as well.
        self.assertIn(outcome.load.ledger.faults[Fault.LOST] - acknowledged // 20, (-1, 0, 1))

    def test_directoryInUse(self) -> None:
        self.directory.mkdir()
        (self.directory / "somebody's").touch()
        self.assertEqual(main(["--directory", str(self.directory)], self.output), 2)
        self.assertIn("is not empty", self.output.getvalue())
