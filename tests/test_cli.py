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
from txdicom.cli.outcomes import Kind, Outcome
from txdicom.cli.sending import NO_DICOM, Sending
from txdicom.configuration import Configuration
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.errors import DIMSEError
from txdicom.services.storage import StorageService
from txdicom.storage.disk import Disk
from txdicom.testing import MemoryEndpoint, RecordingStore
from txdicom.upperlayer.pdu import AAssociateRJ

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
        self.assertEqual(found.missing, [Outcome(str(folder / "nothing"), Kind.FAILED, "No such file or directory")])
        self.assertEqual(found.incidental, {str(folder / name) for name in ("a", "b/y")})

    def test_links(self) -> None:
        """They are followed, wherever they lead; a folder that is met again is left out, so no circle is endless."""
        folder = Path(self.mktemp())
        for name in ("in/a/deep", "in/c", "out", "out/below"):
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / "file").write_bytes(b"")
        for link, target in (("a/again", "."), ("a/deep/up", "../.."), ("b", "../out"), ("d", "../out/below")):
            (folder / "in" / link).symlink_to(target, target_is_directory=True)
        (folder / "in/e").symlink_to("../out/below/file")
        (folder / "in/gone").symlink_to("nowhere")
        found = find([str(folder / "in"), str(folder / "in"), str(folder / "out")])
        names = ("e", "gone", "a/deep/file", "b/file", "c/file", "d/file")
        self.assertEqual(found.files, [str(folder / "in" / name) for name in names])
        self.assertEqual(found.missing, [])

    def test_unreadableFolder(self) -> None:
        """It is named, and all others are looked through."""
        folder = Path(self.mktemp())
        for name in ("a", "b", "c"):
            (folder / name).mkdir(parents=True)
            (folder / name / "file").write_bytes(b"")
        scandir = os.scandir

        def refusing(path: Any) -> Any:
            if os.path.basename(path) == "b":
                raise PermissionError(13, "Permission denied", path)
            return scandir(path)

        self.patch(os, "scandir", refusing)
        found = find([str(folder)])
        self.assertEqual(found.files, [str(folder / name / "file") for name in ("a", "c")])
        self.assertEqual(found.missing, [Outcome(str(folder / "b"), Kind.FAILED, "Permission denied")])

    def test_directoryOfMedia(self) -> None:
        """The files that a DICOMDIR lists, whether they are there or not; and one that is not there itself."""
        path = str(get_testdata_file("DICOMDIR"))
        found = find([path])
        self.assertEqual((len(found.files), found.missing, found.incidental), (31, [], set()))
        self.assertTrue(all(file.startswith(os.path.dirname(path)) for file in found.files))
        missing = Outcome("/nowhere/DICOMDIR", Kind.FAILED, "No such file or directory")
        self.assertEqual(find(["/nowhere/DICOMDIR"]).missing, [missing])

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
        self.limit = 10
        self.rejection = AAssociateRJ(2, 3, 2)
        factory = AcceptorFactory([StorageService(self.store)], Configuration(), self.clock, admit=self.admit)
        self.factory = factory
        self.endpoint = MemoryEndpoint(factory)
        self.done: list[Outcome] = []
        self.refused = 0

    def admit(self, association: Any, request: Any) -> AAssociateRJ | None:
        """Admit no more associations than the test wants."""
        return self.rejection if len(self.factory.associations) > self.limit else None

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
        text, pipe, damaged = self.mktemp(), self.mktemp(), self.mktemp()
        Path(text).write_text("This is a text, and no instance of anything that could be sent.")
        os.mkfifo(pipe)
        Path(damaged).write_bytes(Path(CT).read_bytes()[:200])
        outcomes = self.send([CT, MR, text, pipe, damaged, "/nowhere"], associations=2)
        self.assertEqual([outcome.kind for outcome in outcomes], [Kind.FAILED] * 4 + [Kind.STORED] * 2)
        self.assertEqual(len(self.store.stored), 2)
        self.assertEqual(
            [outcome.what for outcome in outcomes],
            [
                NO_DICOM,
                "it is no regular file",
                "its file meta information is cut short",
                "No such file or directory",
                "0x0000 success",
                "0x0000 success",
            ],
        )
        self.assertEqual(sum(outcome.size for outcome in outcomes), os.path.getsize(CT) + os.path.getsize(MR))
        self.assertFalse(any(link.connected for link in self.endpoint.links))

    def test_connectionRefused(self) -> None:
        """It is tried again, but not for ever."""
        self.refused = 2
        self.assertEqual([outcome.kind for outcome in self.send([CT], retries=2)], [Kind.STORED])
        self.done.clear()
        self.refused = 3
        (outcome,) = self.send([CT], retries=2)
        self.assertEqual(outcome, Outcome(CT, Kind.UNSENT, "nobody listens there (connection refused)"))

    def test_fewerThanWanted(self) -> None:
        """A peer that admits one association gets everything over that one."""
        self.limit = 1
        outcomes = self.send([CT, MR, CT, MR, CT, MR], associations=3, retries=0)
        self.assertEqual([outcome.kind for outcome in outcomes], [Kind.STORED] * 6)

    def test_refusedForGood(self) -> None:
        """A rejection that is permanent is not tried again; one that is transient is."""
        self.limit = 0
        for result, attempts in ((1, 1), (2, 3)):
            self.done.clear()
            self.endpoint.links.clear()
            self.rejection = AAssociateRJ(result, 1, 7)
            (outcome,) = self.send([CT], retries=2)
            self.assertEqual(outcome.kind, Kind.UNSENT)
            self.assertIn("association rejected: called AE title not recognized", outcome.what)
            self.assertEqual(len(self.endpoint.links), attempts)

    def test_stop(self) -> None:
        """What has been answered stays so; all else is unsent, whatever is waited for."""
        hanging: Deferred[Any] = Deferred()
        self.patch(self.store, "store", self.hangingAfterOne(hanging))
        for flushed, stored in ((False, 0), (True, 1)):
            sending = Sending(self.connect, Disk(), self.clock, retries=5)
            result = Deferred.fromCoroutine(sending.send([CT, MR]))
            if flushed:
                self.endpoint.flush()
            sending.stop()
            self.endpoint.flush()
            outcomes = self.successResultOf(result)
            kinds = [outcome.kind for outcome in outcomes]
            self.assertEqual(kinds, [Kind.STORED] * stored + [Kind.UNSENT] * (2 - stored))
            self.assertEqual({outcome.what for outcome in outcomes[stored:]}, {"interrupted"})

    def hangingAfterOne(self, hanging: Deferred[Any]) -> Any:
        """Make a `store` that answers once, and then never."""
        store = self.store.store

        def storeOnce(association: Any, instance: Any) -> Any:
            return hanging if self.store.stored else store(association, instance)

        return storeOnce

    def test_stopWhileWaiting(self) -> None:
        """The pause before the next attempt ends as well, and there is no other."""
        self.refused = 100
        sending = Sending(self.connect, Disk(), self.clock, retries=5)
        result = Deferred.fromCoroutine(sending.send([CT]))
        self.assertNoResult(result)
        sending.stop()
        (outcome,) = self.successResultOf(result)
        self.assertEqual((outcome.kind, self.refused), (Kind.UNSENT, 99))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_outOfResources(self) -> None:
        """Such a file is tried again; another failure is for good."""
        self.store.failures["store"] = DIMSEError(0xA700, "disk full")
        (outcome,) = self.send([CT], retries=2)
        self.assertEqual((outcome.kind, outcome.comment), (Kind.FAILED, "disk full"))
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
        self.assertTrue(all(outcome.kind is Kind.STORED for outcome in self.successResultOf(result)))

    def test_fileThatKills(self) -> None:
        """One at which the peer drops the association is given up; those that were waiting behind it are not."""
        poisonous = self.mktemp()
        shutil.copy(str(get_testdata_file("JPEG2000.dcm")), poisonous)
        store = self.store.store

        def storeOthers(association: Any, instance: Any) -> Any:
            if instance.sopClassUID.endswith(".7"):
                association.abort()
            return store(association, instance)

        self.patch(self.store, "store", storeOthers)
        outcomes = {outcome.path: outcome for outcome in self.send([poisonous, CT, MR], retries=2)}
        self.assertEqual(outcomes[poisonous].kind, Kind.FAILED)
        self.assertIn("association aborted by peer", outcomes[poisonous].what)
        self.assertEqual((outcomes[CT].kind, outcomes[MR].kind), (Kind.STORED, Kind.STORED))

    def test_notAccepted(self) -> None:
        """A class that the peer does not take fails, and is not tried again."""
        copy = self.mktemp()
        shutil.copy(str(get_testdata_file("rtplan.dcm")), copy)
        (outcome,) = self.send([copy], retries=5)
        self.assertEqual(outcome.what, "the peer does not accept 1.2.840.10008.5.1.4.1.1.481.5")
