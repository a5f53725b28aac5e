"""
Tests of commands and plugins as users have them: real processes, started by the program and sent signals by it.

What they are told and when is in ``test_hooks_*.py``, without processes.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from tests.hooking import SERIES, STUDY, ofStudy
from tests.programs import CHECKOUT, ENDED, Program, ProgramTestCase, Sender, environment, waitFor
from tests.receivers import PROPOSED, dataPDUs, statusesIn, storeRQ
from txdicom.testing import associateRQ
from txdicom.upperlayer.pdu import AAssociateAC, AReleaseRP, AReleaseRQ

FIRST, SECOND = "1.2.3.1.1", "1.2.3.1.2"
#: Notes arguments and input as a line of JSON, and what it has open.
NOTE = """
import json, os, sys
line = json.dumps([sys.argv[2:], json.load(sys.stdin), os.listdir("/proc/self/fd"), os.getpid() == os.getpgrp()])
with open(sys.argv[1], "a") as notes:
    notes.write(line + "\\n")
"""
#: Starts another process, tells its own number, and does not end.
SLOW = """
import os, time
if not os.fork(): time.sleep(600)
open("PIDS", "a").write(str(os.getpid()))
time.sleep(600)
"""
#: Takes its time, and refuses one of the instances.
JUDGE = """
import json, sys, time
uid = json.load(sys.stdin)["sopInstanceUID"]
time.sleep(0.3)
sys.exit(uid.endswith("2"))
"""
#: What would be run, or would end an argument, if a shell had it; each fits into an AE title.
HOSTILE = [
    *("$(touch pwned)", "`touch pwned`", ";touch pwned", "a'b\"c d\\"),
    *("a\n&& id", "|id>pwned", "a\rb\tc", "#p #f", "A\0B", "-rf", "\xe4\xff"),
]


class HooksTestCase(ProgramTestCase):
    """Programs with commands."""

    def setUp(self) -> None:
        super().setUp()
        self.notes = self.home / "notes"

    def script(self, name: str, text: str) -> str:
        """Make a script of Python, and return the command that runs it."""
        path = self.home / name
        path.write_text(text)
        return shlex.join([sys.executable, str(path)])

    def note(self, *arguments: str) -> str:
        """Return a command that notes what it is given."""
        return f"{self.script('note.py', NOTE)} {self.notes} {' '.join(arguments)}"

    def noted(self, count: int) -> list[Any]:
        """Wait until so much has been noted, and return it."""

        def lines() -> list[str]:
            return self.notes.read_text().splitlines() if self.notes.exists() else []

        waitFor(lambda: len(lines()) >= count, f"{count} commands")
        return [json.loads(line) for line in lines()]

    def associated(self, port: int, calling: str = "STORESCU", called: str = "STORESCP") -> Sender:
        """Connect a peer that calls itself so."""
        sender = self.sender(port)
        self.assertIsInstance(sender.ask(associateRQ(PROPOSED, called, calling).encode()), AAssociateAC)
        return sender

    def send(self, sender: Sender, uid: str = FIRST, study: str = STUDY) -> int:
        """Store an instance, and return the status."""
        response = sender.ask(storeRQ(sopInstance=uid), *dataPDUs(ofStudy(uid, study)))
        ((_, status),) = statusesIn([response])
        return status

    def release(self, sender: Sender) -> None:
        """End an association."""
        self.assertEqual(sender.ask(AReleaseRQ().encode()), AReleaseRP())
        sender.close()

    def assertEndsWell(self, program: Program) -> None:
        """It ends, without having left or complained of anything."""
        self.assertIn(program.stop(), ENDED)
        self.assertEqual(program.errors, "")
        self.assertNotIn("Traceback", program.output)


class CommandTests(HooksTestCase):
    """The commands."""

    def test_receptionAndStudy(self) -> None:
        """Arguments, input, order, and a process group of its own; nothing of ours is open in it."""
        program = self.start(
            *("-xcr", self.note("rec", "#p/#f", "#a", "#c", "#r"), "-xcs", self.note("study", "#p")),
            *("-tos", "0.2", "-rns", "--exec-at-once=1"),
        )
        sender = self.associated(program.port())
        for uid in (FIRST, SECOND):
            self.assertEqual(self.send(sender, uid), 0)
        self.release(sender)
        first, second, study = self.noted(3)
        path = str(self.output / f"CT.{FIRST}")
        self.assertEqual(first[0], ["rec", path, "STORESCU", "STORESCP", "127.0.0.1"])
        self.assertEqual((first[1]["path"], first[1]["seriesInstanceUID"]), (path, SERIES))
        self.assertEqual(second[1]["sopInstanceUID"], SECOND)
        self.assertEqual(study[0], ["study", str(self.output)])
        renamed = [str(self.output / f"CT00000{number}") for number in (1, 2)]
        self.assertEqual((study[1]["files"], study[1]["objects"], study[1]["series"]), (renamed, 2, 1))
        self.assertEqual(self.stored(), ["CT000001", "CT000002"])
        for _, _, descriptors, leads in (first, second, study):
            # Standard ones, that of the directory being listed, and Python's for its program.
            self.assertLessEqual(len(descriptors), 5)
            self.assertTrue(leads)
        self.assertEndsWell(program)

    def test_hostileTitles(self) -> None:
        """What peers call themselves arrives whole, as one argument, and runs nothing."""
        program = self.start("-xcr", self.note("#a", "x=#c", "'#a #c'"))
        port = program.port()
        for title in HOSTILE:
            sender = self.associated(port, title, title)
            self.assertEqual(self.send(sender), 0)
            self.release(sender)
        expected = []
        for title in HOSTILE:
            argument = title.replace("\0", "?")
            expected.append(([argument, f"x={argument}", f"{argument} {argument}"], title, title))
        noted = [(line[0], line[1]["callingAETitle"], line[1]["calledAETitle"]) for line in self.noted(len(HOSTILE))]
        self.assertEqual(sorted(noted), sorted(expected))
        self.assertEqual(list(self.home.rglob("pwned")), [])
        self.assertEndsWell(program)
        # A log in which a title could end a line would have lines that begin with a part of it.
        self.assertNotRegex(program.output, r"(?m)^&& id|^b\tc")

    def test_timeLimit(self) -> None:
        """A command that takes too long ends, and what it has started ends with it."""
        pids = self.home / "pids"
        command = self.script("slow.py", SLOW.replace("PIDS", str(pids)))
        program = self.start("-xcr", command, "--exec-timeout=1")
        sender = self.associated(program.port())
        self.assertEqual(self.send(sender), 0)
        waitFor(pids.exists, "a command")
        (pid,) = map(int, waitFor(pids.read_text, "its number").split())
        waitFor(lambda: "was ended by SIGKILL" in program.output, "its end")
        waitFor(lambda: not groupOf(pid), "the end of its group")
        self.assertIn("did not finish in 1 s", program.output)
        self.assertEqual(self.send(sender, SECOND), 0)
        self.assertEndsWell(program)

    def test_manyCommands(self) -> None:
        """Those that fail, flood, ignore their input or close everything cost nothing, and leave nothing."""
        text = "import os, sys\nos.close(0)\nprint('x' * 100000)\nos.close(1)\nos.close(2)\nos._exit(3)"
        program = self.start("-xcr", self.script("odd.py", text), "--exec-at-once=8")
        sender = self.associated(program.port())
        self.assertEqual(self.send(sender), 0)
        waitFor(lambda: program.output.count("ended with status 3") == 1, "the first command")
        before = len(os.listdir(f"/proc/{program.pid}/fd"))
        for number in range(50):
            self.assertEqual(self.send(sender, f"{FIRST}.{number}"), 0)
        waitFor(lambda: program.output.count("ended with status 3") == 51, "all commands")
        self.assertEqual(len(os.listdir(f"/proc/{program.pid}/fd")), before)
        self.assertEqual(childrenOf(program.pid), [])
        self.assertLess(len(program.output), 51 * 20000)
        self.assertEqual(len(self.stored()), 51)
        self.assertEndsWell(program)

    def test_stopped(self) -> None:
        """Studies that are open end when the receiver is stopped, and their command is waited for."""
        program = self.start("-xcs", self.note("#p"))
        sender = self.associated(program.port())
        self.assertEqual(self.send(sender), 0)
        self.release(sender)
        self.assertEndsWell(program)
        (line,) = self.noted(1)
        self.assertEqual((line[1]["event"], line[1]["studyInstanceUID"]), ("study-ended", STUDY))

    def test_stoppedWhileRunning(self) -> None:
        """A command that does not end in time is killed, and what was not done is in the log."""
        program = self.start("-xcr", "sleep 600", "--grace-period", "0.5", "--exec-at-once=1")
        sender = self.associated(program.port())
        for uid in (FIRST, SECOND):
            self.assertEqual(self.send(sender, uid), 0)
        (pid,) = waitFor(lambda: childrenOf(program.pid), "a command")
        began = time.monotonic()
        self.assertEndsWell(program)
        self.assertLess(time.monotonic() - began, 10)
        self.assertEqual(groupOf(pid), [])
        for uid in (FIRST, SECOND):
            self.assertIn(f"instance {uid} stored: given up, for the receiver stops", program.output)


class SyncTests(HooksTestCase):
    """Commands that are asked before the answer."""

    def test_refused(self) -> None:
        """What the command refuses is gone, also where it would replace something; other senders do not wait."""
        program = self.start("-xs", "-xcr", self.script("judge.py", JUDGE))
        port = program.port()
        sender, other = self.associated(port), self.associated(port)
        sender.socket.sendall(storeRQ(sopInstance=FIRST) + b"".join(dataPDUs(ofStudy(FIRST))))
        self.assertEqual(self.send(other, SECOND), 0xA700)
        self.assertEqual(statusesIn([sender.ask()]), [(1, 0)])
        self.assertEqual(self.stored(), [f"CT.{FIRST}"])
        self.assertIn("ended with status 1", program.output)
        self.assertEndsWell(program)
        self.assertEqual(os.listdir(self.output), [f"CT.{FIRST}"])


class PluginTests(HooksTestCase):
    """Plugins."""

    def test_listing(self) -> None:
        """That of the manual: an instance without study is refused, one with it leads to a summary."""
        env = environment(PYTHONPATH=str(CHECKOUT / "docs" / "listings"))
        program = self.start("--plugin", "summaries.Summaries", "-xs", "-tos", "0.2", env=env)
        sender = self.associated(program.port())
        self.assertEqual(self.send(sender, SECOND, study=""), 0xC000)
        self.assertEqual(self.send(sender, FIRST), 0)
        summary = self.output / f"{STUDY}.json"
        waitFor(summary.exists, "a summary")
        self.assertEqual(json.loads(summary.read_text())["files"], [str(self.output / f"CT.{FIRST}")])
        self.assertEndsWell(program)

    def test_cannotBeLoaded(self) -> None:
        program = self.start("--plugin", "no.such.plugin")
        self.assertEqual(program.status(), 1)
        self.assertIn("storescp: plugin no.such.plugin cannot be loaded", program.errors)


def childrenOf(pid: int) -> list[int]:
    """List the processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def groupOf(leader: int) -> list[int]:
    """List the processes of a group that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group = path.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(group) == leader and state != "Z":
            found.append(int(path.parent.name))
    return found
