"""Tests of the storescp program with several workers, commands, and directories that are called by time."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import json
import os
import re
import signal
from typing import Any

from tests import test_program_hooks as hooks
from tests import test_workers_program as workers
from tests.hooking import OTHER_STUDY, STUDY, ofStudy
from tests.programs import Program, Sender, waitFor
from tests.receivers import dataPDUs, storeRQ

FIRST, SECOND, THIRD = "1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3"


class WorkersHooksTests(hooks.HooksTestCase, workers.WorkersTestCase):
    """Two workers, with a peer at each."""

    def connected(self, *arguments: str) -> tuple[Program, list[Any]]:
        """
        Start the program, and have a peer associated with each of its workers.

        The log has them in this order: what a worker logs may otherwise come after what another one has logged later.
        """
        program = self.work("-v", *arguments)
        port = program.port()
        senders = []
        for count in (1, 2):
            senders.append(hooks.HooksTestCase.associated(self, port))
            waitFor(lambda count=count: len(self.acknowledging(program)) == count, "the association in the log")
        return program, senders

    def assertBothServed(self, program: Program) -> None:
        """Each worker has had an association."""
        self.assertEqual(set(self.acknowledging(program)), {"1", "2"})

    def acknowledging(self, program: Program) -> list[str]:
        """Return the workers of all associations, in the order in which these were requested."""
        return re.findall(r" worker (\d)\] Association Acknowledged", program.output)

    def test_oneStudy(self) -> None:
        """One study by two workers is one directory, one end, and another directory if more of it comes after that."""
        program, senders = self.connected(
            *("-xcr", self.note("rec", "#p/#f"), "-xcs", self.note("study", "#p"), "-tos", "1.0", "-ss", "E"),
            "--exec-at-once=1",
        )
        for sender, uid in zip(senders, (FIRST, SECOND), strict=True):
            self.assertEqual(self.send(sender, uid), 0)
        *received, study = self.noted(3)
        # Nothing that parent and workers have between them is open in a command.
        for _, _, descriptors, _ in received:
            self.assertLessEqual(len(descriptors), 5)
        paths = [event["path"] for _, event, *_ in received]
        self.assertEqual(study[1]["files"], paths)
        (folder,) = {os.path.dirname(path) for path in paths}
        self.assertEqual(study[0], ["study", folder])
        self.assertEqual(sorted(os.listdir(folder)), [f"CT.{FIRST}", f"CT.{SECOND}"])
        for sender, uid in zip(senders, (FIRST, THIRD), strict=True):
            self.assertEqual(self.send(sender, uid), 0)
        *_, again = self.noted(6)
        self.assertNotEqual(again[1]["directory"], folder)
        self.assertEqual(again[1]["objects"], 2)
        self.assertBothServed(program)
        self.assertEndsWell(program)

    def test_asking(self) -> None:
        """A worker waits for the command's word; what is refused is withdrawn, whichever worker has it."""
        judge = self.script("judge.py", hooks.JUDGE)
        program, senders = self.connected("-xcr", judge, "-xs", "-tos", "60.0")
        for sender in senders:
            self.assertEqual([self.send(sender, uid) for uid in (FIRST, SECOND)], [0, 0xA700])
        self.assertEqual([name for name in os.listdir(self.output) if name[0] != "."], [f"CT.{FIRST}"])
        self.assertBothServed(program)
        self.assertEndsWell(program)

    def test_stopped(self) -> None:
        """When the program is stopped, what was received by any worker is told, and the study has ended."""
        program, senders = self.connected(
            *("-xcr", self.note("rec"), "-xcs", self.note("study"), "--exec-at-once=1"),
        )
        uids = [f"1.2.3.1.{index}" for index in range(20)]
        for index, uid in enumerate(uids):
            self.assertEqual(self.send(senders[index % 2], uid), 0)
        self.assertEndsWell(program)
        *received, study = self.noted(21)
        self.assertEqual({event["sopInstanceUID"] for _, event, *_ in received}, set(uids))
        self.assertEqual(study[1]["objects"], 20)

    def test_killed(self) -> None:
        """What was coming by a worker that is killed does not hold up the end of the study; nor of others."""
        program, senders = self.connected("-xcs", self.note("study"), "-tos", "0.5")
        self.begin(senders[0], FIRST)
        self.assertEqual(self.send(senders[1], SECOND), 0)
        self.assertEqual(self.send(senders[1], THIRD, OTHER_STUDY), 0)
        self.assertEqual(self.noted(1)[0][1]["studyInstanceUID"], OTHER_STUDY)
        pids = self.pids(program)
        number = int(self.acknowledging(program)[0])
        os.kill(pids[number], signal.SIGKILL)
        self.assertEqual(self.noted(2)[1][1]["studyInstanceUID"], STUDY)
        waitFor(lambda: self.pids(program)[number] != pids[number], "another worker")
        self.assertEqual(self.send(hooks.HooksTestCase.associated(self, program.port()), FIRST), 0)
        self.noted(3)
        self.assertEndsWell(program)

    def begin(self, sender: Sender, uid: str) -> None:
        """Begin to send an instance, so far that its file has been created."""
        data = ofStudy(uid) + bytes(2)
        first = dataPDUs(data[:-2], data[-2:])[0]
        sender.socket.sendall(storeRQ(sopInstance=uid) + first)
        waitFor(lambda: any(name.endswith(".part") for _, _, names in os.walk(self.output) for name in names), "a file")

    def test_titles(self) -> None:
        """An AE title of a configuration file has its own hooks, faults and directories with workers, too."""
        own = self.home / "own"
        own.mkdir()
        configuration = self.home / "storescp.toml"
        configuration.write_text(
            f"""
            sort-conc-studies = "E"
            fault = ["n=1:status=0xA701"]
            exec-on-reception = {json.dumps(self.note("everybody", "#c"))}
            [ae.OWN]
            sort-conc-studies = "OWN"
            output-directory = "{own}"
            exec-on-reception = {json.dumps(self.note("own", "#c", "#p"))}
            """
        )
        program = self.work("--config", str(configuration))
        port = program.port()
        for called in ("STORESCP", "OWN"):
            senders = [hooks.HooksTestCase.associated(self, port, called=called) for _ in range(2)]
            self.assertEqual([self.send(sender, FIRST) for sender in senders], [0xA701, 0x0000])
            self.assertEqual(self.send(senders[0], SECOND), 0)
        notes = sorted(arguments for arguments, *_ in self.noted(4))
        (folder,) = own.glob("OWN_*")
        self.assertEqual(notes, [["everybody", "STORESCP"]] * 2 + [["own", "OWN", str(folder)]] * 2)
        self.assertEqual(len(list(self.output.glob("E_*"))), 1)
        self.assertEndsWell(program)
