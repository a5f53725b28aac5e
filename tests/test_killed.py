"""
Tests of what is in the output directory after a ``kill -9``: at every step of storing, and of the program at random.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading

from twisted.trial.unittest import SynchronousTestCase

from tests.programs import CHECKOUT, PATIENCE, Program, ProgramTestCase, Sender, waitFor
from tests.receivers import CT, PROPOSED, dataPDUs, dataSet, filesIn, statusesIn, storeRQ
from txdicom.storage.fileformat import encodeFileHead
from txdicom.testing import associateRQ
from txdicom.uids import EXPLICIT_VR_LITTLE_ENDIAN

#: Has children store an instance twice, each of which kills itself one call of the system later than the one before it;
#: then looks at what is there, and tells how many did.
EVERY_STEP = """
import fcntl, os, shutil, signal, sys
from pathlib import Path
from twisted.internet.task import Clock
from tests.scripted import CT_CONTEXT, PROPOSED, commandsIn, dataSet, message, storeRQ
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.services.storage import StorageService
from txdicom.storage.filestore import Duplicates, FileStore
from txdicom.testing import associateRQ, connectRaw

CALLS = [(os, name) for name in ("open", "mkdir", "scandir", "stat", "writev", "fsync", "close", "rename", "link",
         "unlink", "rmdir")] + [(fcntl, "flock")]
OLD, NEW = (dataSet(rest=rest * 20000) for rest in (b"old", b"new"))

def arm(steps):
    def armed(function):
        def call(*arguments, **keywords):
            if not steps:
                os.kill(os.getpid(), signal.SIGKILL)
            steps.pop()
            return function(*arguments, **keywords)
        return call
    for module, name in CALLS:
        setattr(module, name, armed(getattr(module, name)))

def store(directory, duplicates, fsync, steps, acknowledged):
    files = FileStore(directory, duplicates=duplicates, fsync=fsync)
    peer = connectRaw(AcceptorFactory([StorageService(files)], clock=Clock()))
    peer.send(associateRQ(PROPOSED))
    peer.send(message(CT_CONTEXT, storeRQ(), OLD))
    # Begin anew, so that beginning and ending are among the steps.
    files.close()
    write = os.write
    arm([None] * steps)
    (response,) = commandsIn(peer.send(message(CT_CONTEXT, storeRQ(), NEW, 12000)))
    write(acknowledged, f"{response.status:04X}".encode())
    files.close()

def check(directory, duplicates, answer):
    contents = [path.read_bytes() for path in directory.iterdir() if path.is_file()]
    whole = [content[144 + int.from_bytes(content[140:144], "little"):] for content in contents]
    assert set(whole) <= {OLD, NEW}, "half an instance"
    assert len(set(whole)) == len(whole) <= 2, "twice the same"
    if duplicates is Duplicates.OVERWRITE:
        assert len(whole) == 1, "the name is not always there"
        assert not answer or whole == [NEW], "acknowledged, and lost"
    else:
        assert OLD in whole, "acknowledged, and lost"
        assert NEW in whole or duplicates is not Duplicates.RENAME or not answer, "acknowledged, and lost"
        assert NEW not in whole or duplicates is Duplicates.RENAME, "not what was asked for"
    files = FileStore(directory)
    files.open()
    assert len([name for name in os.listdir(directory) if name[0] == "."]) == 1, "what was killed is not removed"
    files.close()
    assert not [name for name in os.listdir(directory) if name[0] == "."], "what is left is not removed"

for duplicates in Duplicates:
    for fsync in (False, True):
        steps, acknowledged, ended = 0, 0, False
        while not ended:
            directory = Path(sys.argv[1], f"{duplicates.value}-{fsync}-{steps}")
            directory.mkdir()
            receive, send = os.pipe()
            child = os.fork()
            if not child:
                try:
                    store(directory, duplicates, fsync, steps, send)
                finally:
                    os.kill(os.getpid(), signal.SIGTERM)
            os.close(send)
            status = os.waitpid(child, 0)[1]
            ended = status == signal.SIGTERM
            answer = os.read(receive, 4).decode()
            os.close(receive)
            expected = "0111" if duplicates is Duplicates.REJECT else "0000"
            assert answer in ("", expected) and (answer or not ended), answer
            assert status in (signal.SIGTERM, signal.SIGKILL), status
            acknowledged += bool(answer)
            check(directory, duplicates, answer)
            shutil.rmtree(directory)
            steps += 1
        print(duplicates.value, fsync, steps, acknowledged)
"""


class StepTests(SynchronousTestCase):
    """Killed before each of the system's calls, and so after the one before it."""

    if not hasattr(os, "fork"):
        skip = "needs processes that fork"

    def test_everyStep(self) -> None:
        """What is acknowledged is there, what has a name is whole, and the next run removes the rest."""
        directory = self.mktemp()
        os.mkdir(directory)
        done = subprocess.run(
            [sys.executable, "-c", EVERY_STEP, os.path.abspath(directory)],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=4 * PATIENCE,
            check=False,
        )
        self.assertEqual(done.stderr, "")
        told = [line.split() for line in done.stdout.splitlines()]
        self.assertEqual(len(told), 8)
        for duplicates, fsync, steps, acknowledged in told:
            # Beginning, storing and ending take that many calls at least; some come after the answer.
            self.assertTrue(int(steps) > 20, (duplicates, fsync, steps))
            self.assertTrue(5 < int(acknowledged) < int(steps) - 10, (duplicates, fsync, acknowledged))


class ProgramTests(ProgramTestCase):
    """The program, killed while a sender sends."""

    def test_randomMoments(self) -> None:
        """What is acknowledged is there, what has a name is whole, and the next run removes the rest."""
        rng = random.Random(11)
        sent: dict[str, bytes] = {}
        acknowledged: set[str] = set()
        rounds = [(), ("--fsync",), ("--duplicates=reject",), ("--fsync", "--duplicates=rename")]
        for number, arguments in enumerate(rounds):
            program = self.start(*arguments, runner="twist")
            port = program.port()
            # What the one before has left is gone.
            self.assertEqual(len(self.hidden()), 1)
            self.assertEqual(self.unfinished(), [])
            self.assertKept(sent, acknowledged)
            sender = self.sender(port)
            sender.ask(associateRQ(PROPOSED, callingAETitle="KILLER").encode())
            for index in range(rng.randrange(15, 40)):
                uid, _, message = self.draw(f"1.2.{number}.{index}", rng, sent)
                self.assertEqual(statusesIn([sender.ask(message)]), [(1, 0x0000)])
                acknowledged.add(f"CT.{uid}")
            uid, answered = self.kill(program, sender, number % 2 == 0, self.draw(f"1.2.{number}", rng, sent), rng)
            if answered:
                acknowledged.add(f"CT.{uid}")
            self.assertEqual(len(self.hidden()), 1)
        program = self.start("--fsync", runner="daemon")
        self.storeOne(program.port(), "1.3")
        program.stop()
        self.assertEqual(self.hidden(), [])
        (self.output / "CT.1.3").unlink()
        self.assertKept(sent, acknowledged)
        self.assertTrue(len(acknowledged) >= 15 * len(rounds), len(acknowledged))

    def draw(self, uid: str, rng: random.Random, sent: dict[str, bytes]) -> tuple[str, int, bytes]:
        """Make an instance; return its UID, its length, and the message that it is sent in."""
        length = rng.choice((10, 1000, 300_000)) if uid.count(".") > 2 else 300_000
        element = b"\x11\0\x10\0UN\0\0" + length.to_bytes(4, "little") + rng.randbytes(length)
        data = dataSet(element, sopInstance=uid)
        sent[f"CT.{uid}"] = encodeFileHead(CT, uid, EXPLICIT_VR_LITTLE_ENDIAN, "KILLER") + data
        pieces = [data[start : start + 16000] for start in range(0, len(data), 16000)]
        return uid, length, b"".join((storeRQ(sopInstance=uid), *dataPDUs(*pieces)))

    def kill(
        self, program: Program, sender: Sender, within: bool, drawn: tuple[str, int, bytes], rng: random.Random
    ) -> tuple[str, bool]:
        """
        Kill the program: within an instance, or at any moment when it has the whole of one to write.

        :return: the UID, and whether it was acknowledged.
        """
        uid, length, message = drawn
        if within:
            sender.socket.sendall(message[: rng.randrange(length // 2, len(message))])
            waitFor(self.unfinished, "an unfinished file")
            program.process.kill()
        else:
            killing = threading.Timer(rng.uniform(0.0, 0.01), program.process.kill)
            killing.start()
            self.addCleanup(killing.join)
        try:
            answered = sender.ask() if within else sender.ask(message)
        except (AssertionError, ConnectionError):
            answered = None
        program.process.wait(PATIENCE)
        sender.close()
        if within:
            self.assertEqual((answered, len(self.unfinished())), (None, 1))
        elif answered is not None:
            self.assertEqual(statusesIn([answered]), [(1, 0x0000)])
        return uid, answered is not None

    def hidden(self) -> list[str]:
        """List the hidden directories."""
        return [name for name in os.listdir(self.output) if name.startswith(".")]

    def unfinished(self) -> list[str]:
        """List the unfinished files."""
        return [name for name in filesIn(self.output) if name.endswith(".part")]

    def assertKept(self, sent: dict[str, bytes], acknowledged: set[str]) -> None:
        """All that is acknowledged is there, and all that is there is as it was sent."""
        names = {name for name in os.listdir(self.output) if not name.startswith(".")}
        self.assertEqual(acknowledged - names, set())
        for name in names:
            self.assertEqual((self.output / name).read_bytes(), sent[name], name)
