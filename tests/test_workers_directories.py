"""Tests of `txdicom.storescp.workers.directories`, and of what else names files with several workers."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.hooking import OTHER_STUDY, STUDY, ended, stored
from tests.scripted import CT_CONTEXT, ScriptedStore, ScriptedWriter, dataSet, message, storeRQ
from tests.storing import FileStoreTestCase
from tests.test_workers_channel import Channel
from txdicom.errors import DIMSEError
from txdicom.interfaces import IStorageSCP
from txdicom.services.storage import ReceivedInstance
from txdicom.storage.filestore import Duplicates
from txdicom.storage.naming import TimeNames
from txdicom.storage.sorting import StudyDirectories, byPrefix
from txdicom.storescp.faults.plan import FaultPlan
from txdicom.storescp.hooks.announcer import Announcer
from txdicom.storescp.workers.decisions import Decisions, answersOf
from txdicom.storescp.workers.directories import AskedDirectories, PlacedStore
from txdicom.storescp.workers.share import Questions


def ofStudy(study: str) -> ReceivedInstance:
    """Make an instance."""
    return stored(study=study).instance


class DirectoriesTests(SynchronousTestCase):
    """Two workers, and the directories of their parent, for everybody and for an AE title."""

    def setUp(self) -> None:
        """Connect them."""
        self.now = 0.0
        self.directories = {
            title: StudyDirectories(byPrefix(title or "E"), lambda: self.now, remembered=2) for title in ("", "X Y")
        }
        answers = answersOf([Decisions(title, FaultPlan(()), None, own) for title, own in self.directories.items()])
        self.asked: list[Any] = []
        self.channels = [Channel(answers) for _ in range(2)]
        self.workers = [self.asking(channel) for channel in self.channels]

    def asking(self, channel: Channel, title: str = "", beginning: str = "E") -> AskedDirectories:
        """Make the directories of a worker."""
        questions = Questions(channel.worker, title)
        self.patch(channel.worker, "ask", partial(self.ask, channel.worker.ask))
        return questions.directories(byPrefix(beginning))

    async def ask(self, ask: Any, subject: str, question: Any) -> Any:
        """Ask, and remember that it was asked."""
        self.asked.append((subject, question))
        return await ask(subject, question)

    def find(self, directories: AskedDirectories, study: str) -> str:
        """Find the directory of a study's instance."""
        instance = ofStudy(study)
        finding = Deferred.fromCoroutine(directories.find(instance))
        self.flush()
        self.successResultOf(finding)
        self.now += 1
        return directories(instance)

    def flush(self) -> None:
        """Have everybody hear everything."""
        for channel in self.channels:
            channel.pump.flush()

    def test_same(self) -> None:
        """A study has one directory, whichever worker its instances come by; each asks once."""
        one, other = self.workers
        directory = self.find(one, STUDY)
        self.assertEqual([self.find(worker, STUDY) for worker in (other, one, other)], [directory] * 3)
        self.assertNotEqual(self.find(other, OTHER_STUDY), directory)
        expected = [("directory", [study, "E"]) for study in (STUDY, STUDY, OTHER_STUDY)]
        self.assertEqual(self.asked, expected)

    def test_titles(self) -> None:
        """Those of an AE title are its own."""
        titled = self.asking(self.channels[0], "X Y", "X Y")
        self.assertTrue(self.find(self.workers[0], STUDY).startswith("E_"))
        before = self.find(titled, STUDY)
        self.assertTrue(before.startswith("X Y_"))
        self.directories[""].forget(STUDY)
        self.flush()
        self.assertEqual(self.find(titled, STUDY), before)

    def test_forgotten(self) -> None:
        """What the parent forgets all workers do, because a study has ended or because there are others."""
        before = [self.find(worker, STUDY) for worker in self.workers]
        self.directories[""].forget(STUDY)
        self.flush()
        after = [self.find(worker, STUDY) for worker in self.workers]
        self.assertNotIn(before[0], after)
        self.assertEqual(len({*before, *after}), 2)
        for study in ("1.2.5", "1.2.6"):
            self.find(self.workers[0], study)
        self.assertNotIn(self.find(self.workers[1], STUDY), (*before, *after))

    def test_remembered(self) -> None:
        """A worker remembers so many studies; a worker that is gone is told nothing."""
        (channel, gone) = self.channels
        few = AskedDirectories(byPrefix("E"), Questions(channel.worker, "").ask, remembered=1)
        for study in (STUDY, OTHER_STUDY, STUDY):
            self.find(few, study)
        self.assertEqual(len(few._directories), 1)
        gone.parent.close()
        self.flush()
        self.directories[""].forget(STUDY)

    def test_refused(self) -> None:
        """An instance without study has no directory; nobody is asked, and the store not either."""
        inner = ScriptedStore(ScriptedWriter())
        placed = PlacedStore(inner, self.workers[0])
        self.assertTrue(verifyObject(IStorageSCP, placed))
        storing: Any = placed.store(None, ofStudy(""))  # type: ignore[arg-type]
        self.failureResultOf(Deferred.fromCoroutine(storing), DIMSEError)
        self.assertEqual((self.asked, inner.instances), ([], []))

    def test_endOfStudy(self) -> None:
        """When a study ends its directory is forgotten."""
        forgotten: list[str] = []
        announcer = Announcer([], None, 1.0, 1, 1.0)  # type: ignore[arg-type]
        announcer.whenStudyEnds.append(forgotten.append)
        announcer._studyEnded(ended(), {})
        self.assertEqual(forgotten, [STUDY])


class TimeNamesTests(FileStoreTestCase):
    """``--timenames``: each worker counts for itself what comes within a millisecond."""

    def test_sameName(self) -> None:
        """Names that come twice are not given twice: what is there is never replaced."""
        stores = [self.makeStore(naming=TimeNames(lambda: 0.0), duplicates=Duplicates.RENAME) for _ in range(2)]
        for index, store in enumerate(stores * 2):
            self.serveFiles(store)
            uid = f"1.2.{index}"
            sent = message(CT_CONTEXT, storeRQ(sopInstance=uid), dataSet(sopInstance=uid))
            self.assertEqual(self.statusesOf(self.ask(self.associate(), sent)), [(1, 0)])
        self.assertEqual(len(self.names()), 4, self.names())
