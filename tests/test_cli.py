"""Tests of the command `txdicom`: its command line, which files it finds, and how it sends and tries again."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from pydicom.data import get_testdata_file
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txdicom import requestor
from txdicom.cli.files import find
from txdicom.cli.main import makeParser
from txdicom.cli.outcomes import Outcome
from txdicom.cli.reporting import Progress, summarize
from txdicom.cli.sending import Sending
from txdicom.configuration import Configuration
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.errors import DIMSEError
from txdicom.services.storage import StorageService
from txdicom.storage.disk import Disk
from txdicom.testing import MemoryEndpoint, RecordingStore

CT = str(get_testdata_file("CT_small.dcm"))
MR = str(get_testdata_file("MR_small.dcm"))


class ParserTests(SynchronousTestCase):
    def test_options(self) -> None:
        options = makeParser().parse_args(
            ["send", "pacs", "104", "a", "b", "-aec", "PACS", "-aet", "ME", "-n", "4", "--retry", "0"]
        )
        self.assertEqual((options.host, options.port, options.paths), ("pacs", 104, ["a", "b"]))
        self.assertEqual((options.called_aetitle, options.calling_aetitle), ("PACS", "ME"))
        self.assertEqual((options.associations, options.retry, options.retry_delay), (4, 0, 1))

    def test_wrong(self) -> None:
        """Each is told in a sentence, with exit status 2."""
        for arguments, word in (
            ([], "COMMAND"),
            (["send", "pacs", "104"], "PATH"),
            (["send", "pacs", "0", "a"], "'0' is not a number from 1 to 65535"),
            (["echo", "pacs", "x"], "'x' is not a number"),
            (["echo", "pacs", "104", "--repeat", "0"], "'0' is not a number from 1 on"),
            (["echo", "pacs", "104", "-aec", "x" * 17], "is not a title"),
            (["echo", "pacs", "104", "-aet", "a\\b"], "is not a title"),
        ):
            said = io.StringIO()
            with contextlib.redirect_stderr(said):
                self.assertEqual(self.assertRaises(SystemExit, makeParser().parse_args, arguments).code, 2)
            self.assertIn(word, said.getvalue())


class StartTests(SynchronousTestCase):
    """What the command takes along when it starts, and how it leaves the interpreter."""

    def run_(self, *code: str) -> str:
        done = subprocess.run([sys.executable, "-c", "\n".join(code)], capture_output=True, text=True, check=True)
        return done.stdout

    def test_importsNoMoreThanItNeeds(self) -> None:
        told = self.run_(
            "import sys, txdicom.cli.main",
            "print([name for name in ('pydicom', 'tqdm', 'twisted.application') if name in sys.modules])",
            "from txdicom.requestor import AssociationService",
            "print('twisted.application' in sys.modules)",
        )
        self.assertEqual(told.split("\n"), ["[]", "True", ""])

    def test_garbageIsCollectedAgain(self) -> None:
        told = self.run_(
            "import gc, sys",
            "from txdicom.__main__ import main",
            "import twisted.internet.defer",
            "sys.argv = ['txdicom', 'echo', '127.0.0.1', '1']",
            "try: main()",
            "except SystemExit as end: print(end.code, gc.isenabled(), gc.get_freeze_count() > 0)",
        )
        self.assertEqual(told, "1 True True\n")

    def test_noSuchName(self) -> None:
        with self.assertRaises(AttributeError):
            _ = requestor.NoSuchName


class FindTests(SynchronousTestCase):
    def test_filesAndFolders(self) -> None:
        """Each once, by name; what is missing is told."""
        folder = Path(self.mktemp())
        (folder / "b").mkdir(parents=True)
        for name in ("z", "b/y", "a", "DICOMDIR"):
            (folder / name).write_bytes(b"")
        found = find([str(folder / "z"), str(folder), str(folder / "nothing")])
        self.assertEqual(found.files, [str(folder / name) for name in ("z", "a", "b/y")])
        self.assertEqual(found.missing, [Outcome(str(folder / "nothing"), False, "No such file or directory")])

    def test_directoryOfMedia(self) -> None:
        """The files that a DICOMDIR lists, whether they are there or not."""
        path = str(get_testdata_file("DICOMDIR"))
        found = find([path])
        self.assertEqual((len(found.files), found.missing), (31, []))
        self.assertTrue(all(file.startswith(os.path.dirname(path)) for file in found.files))

    def test_directoryThatLeadsOut(self) -> None:
        """Names that are none are refused."""
        folder = Path(self.mktemp())
        folder.mkdir()
        content = Path(str(get_testdata_file("DICOMDIR"))).read_bytes()
        evil = content.replace(b"77654033\\", b"../../..\\")
        self.assertNotEqual(evil, content)
        (folder / "DICOMDIR").write_bytes(evil)
        (missing,) = find([str(folder / "DICOMDIR")]).missing
        self.assertIn("no file of its folder", missing.what)


class SendingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.store = RecordingStore()
        self.endpoint = MemoryEndpoint(AcceptorFactory([StorageService(self.store)], Configuration(), self.clock))
        self.done: list[Outcome] = []
        self.refused = 0

    def connect(self) -> Any:
        """Give the endpoint, or one that refuses as often as the test wants it to."""
        if self.refused:
            self.refused -= 1
            return type("Refusing", (), {"connect": lambda self, factory: fail(ConnectionRefusedError())})()
        return self.endpoint

    def send(self, paths: list[str], **parameters: Any) -> list[Outcome]:
        """Send to the end."""
        sending = Sending(self.connect, Disk(), self.clock, done=self.done.append, **parameters)
        result = Deferred.fromCoroutine(sending.send(paths))
        for _ in range(20):
            self.endpoint.flush()
            self.clock.advance(1)
        outcomes = self.successResultOf(result)
        self.assertEqual(outcomes, self.done)
        return outcomes

    def test_everything(self) -> None:
        """Over several associations; what is no instance fails by itself."""
        text = self.mktemp()
        Path(text).write_text("This is a text, and no instance of anything that could be sent.")
        outcomes = self.send([CT, MR, text], associations=2)
        self.assertEqual([outcome.succeeded for outcome in outcomes], [False, True, True])
        self.assertEqual(len(self.store.stored), 2)
        self.assertEqual({outcome.what for outcome in outcomes[1:]}, {"0x0000 success"})
        self.assertEqual(sum(outcome.size for outcome in outcomes), os.path.getsize(CT) + os.path.getsize(MR))
        self.assertFalse(any(link.connected for link in self.endpoint.links))

    def test_connectionRefused(self) -> None:
        """It is tried again, but not for ever."""
        self.refused = 2
        self.assertEqual([outcome.succeeded for outcome in self.send([CT], retries=2)], [True])
        self.done.clear()
        self.refused = 3
        (outcome,) = self.send([CT], retries=2)
        self.assertIn("refused", outcome.what)

    def test_outOfResources(self) -> None:
        """Such a file is tried again; another failure is for good."""
        self.store.failures["store"] = DIMSEError(0xA700)
        (outcome,) = self.send([CT], retries=2)
        self.assertEqual((outcome.what, self.endpoint.links[0].connected), ("0xA700 out of resources", False))
        self.done.clear()
        self.store.failures["store"] = DIMSEError(0xC123)
        (outcome,) = self.send([CT], retries=2)
        self.assertEqual(outcome.what, "0xC123 cannot understand")

    def test_associationLost(self) -> None:
        """What was under way is sent again over the next."""
        sending = Sending(self.connect, Disk(), self.clock, retries=1)
        result = Deferred.fromCoroutine(sending.send([CT, MR]))
        self.endpoint.links[0].flush()
        self.endpoint.links[0].lose()
        for _ in range(5):
            self.clock.advance(1)
            self.endpoint.flush()
        self.assertTrue(all(outcome.succeeded for outcome in self.successResultOf(result)))

    def test_notAccepted(self) -> None:
        """A class that the peer does not take fails, and is not tried again."""
        copy = self.mktemp()
        shutil.copy(str(get_testdata_file("rtplan.dcm")), copy)
        (outcome,) = self.send([copy], retries=5)
        self.assertIn("no presentation context was accepted", outcome.what)


class ReportTests(SynchronousTestCase):
    def test_summary(self) -> None:
        outcomes = [Outcome("a", True, "0x0000 success", 1 << 20)] * 3 + [Outcome("b", False, "No such file")]
        self.assertEqual(
            summarize(outcomes, 2.0).splitlines(),
            [
                "   files          status",
                "       3  stored  0x0000 success",
                "       1  failed  No such file",
                "3 of 4 stored, 3.0 MiB in 2.0 s, 2 files/s, 1.5 MiB/s",
            ],
        )

    def test_progressWithoutTerminal(self) -> None:
        """Nothing is shown."""
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            progress = Progress(1, False)
            progress.done(Outcome("a", True, ""))
            progress.close()
        self.assertEqual(said.getvalue(), "")
