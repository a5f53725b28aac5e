"""
Tests of `txdicom.storescp.hooks.studies` and `events`: when a study has ended, and what is said of it.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.hooking import OTHER_STUDY, SERIES, STUDY, ended, stored
from tests.scripted import CT, INSTANCE
from txdicom.storescp.hooks.events import StudyEnded
from txdicom.storescp.hooks.studies import Kept, Studies


class StudiesTests(SynchronousTestCase):
    """Studies that end after ten seconds."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.ended: list[StudyEnded] = []
        self.kept: list[dict[str, Kept]] = []
        self.studies = self.make(1000)

    def make(self, mostObjects: int) -> Studies:
        """Follow studies."""
        return Studies(self.clock, 10.0, self.endOf, mostObjects)

    def endOf(self, event: StudyEnded, instances: dict[str, Kept]) -> None:
        """Note the end of a study."""
        self.ended.append(event)
        self.kept.append(instances)

    def take(self, *names: str, study: str = STUDY, series: str = SERIES) -> None:
        """Have instances stored and told, at once."""
        for name in names:
            event = stored(f"/in/{name}", study, series)
            self.studies.began(study)
            self.studies.stored(event)
            self.studies.told(event)

    def assertOver(self) -> None:
        """Nothing is remembered, and nothing is waited for."""
        self.assertEqual((self.studies._open, self.studies._objects), ({}, 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_endsWhenQuiet(self) -> None:
        """It ends so many seconds after its last instance, not after its first."""
        self.take("a")
        self.clock.advance(9)
        self.take("b")
        self.clock.advance(9.9)
        self.assertEqual(self.ended, [])
        self.clock.advance(0.1)
        self.assertEqual(self.ended, [ended("/in/a", "/in/b")])
        self.assertEqual(self.kept, [{"/in/a": Kept(CT, 10), "/in/b": Kept(CT, 10)}])
        self.assertOver()

    def test_otherStudies(self) -> None:
        """Each has a time of its own: one does not end because another begins, nor last because it goes on."""
        self.take("a")
        self.clock.advance(5)
        self.take("b", study=OTHER_STUDY)
        self.clock.advance(5)
        self.assertEqual([event.files for event in self.ended], [("/in/a",)])
        self.clock.advance(5)
        self.assertEqual([event.files for event in self.ended], [("/in/a",), ("/in/b",)])

    def test_again(self) -> None:
        """What comes after the end is the same study anew."""
        for _ in range(2):
            self.take("a")
            self.clock.advance(10)
        self.assertEqual(self.ended, [ended("/in/a")] * 2)

    def test_stillComing(self) -> None:
        """A study does not end while an instance of it is coming; it does when that has gone."""
        self.take("a")
        self.studies.began(STUDY)
        self.clock.advance(100)
        self.assertEqual(self.ended, [])
        self.studies.gone(STUDY)
        self.assertEqual(self.ended, [ended("/in/a")])
        self.assertOver()

    def test_stillComingThenStored(self) -> None:
        """An instance that took long gives its study new time."""
        self.take("a")
        self.studies.began(STUDY)
        self.clock.advance(100)
        event = stored("/in/b")
        self.studies.stored(event)
        self.studies.told(event)
        self.clock.advance(9)
        self.assertEqual(self.ended, [])
        self.clock.advance(1)
        self.assertEqual(self.ended, [ended("/in/a", "/in/b")])

    def test_stillBeingTold(self) -> None:
        """It does not end before all its instances have been told."""
        self.studies.began(STUDY)
        self.studies.stored(stored("/in/a"))
        self.clock.advance(100)
        self.assertEqual(self.ended, [])
        self.studies.told(stored("/in/a"))
        self.assertEqual(self.ended, [ended("/in/a")])

    def test_nothingStored(self) -> None:
        """A study of which nothing was stored is forgotten without a word."""
        self.studies.began(STUDY)
        self.studies.gone(STUDY)
        self.assertOver()
        self.assertEqual(self.ended, [])

    def test_noStudy(self) -> None:
        """What has no Study Instance UID belongs to no study."""
        self.take("a", study="")
        self.studies.began("")
        self.studies.gone("")
        self.assertOver()

    def test_summary(self) -> None:
        """Instances that replace each other count once, and only series that have a UID."""
        self.take("a", "b", "a")
        self.take("c", series="1.2.3.2")
        self.take("d", series="")
        self.clock.advance(10)
        (event,) = self.ended
        self.assertEqual((event.objects, event.size, event.series), (4, 40, 2))

    def test_withoutFiles(self) -> None:
        """Where no files are kept, instances count by their UIDs."""
        for uid in ("1.1", "1.2", "1.1"):
            event = stored(None, uid=uid)
            self.studies.began(STUDY)
            self.studies.stored(event)
            self.studies.told(event)
        self.clock.advance(10)
        self.assertEqual(self.ended, [replace(ended(), directory=None, objects=2, size=20)])

    def test_bound(self) -> None:
        """Of more instances than may be remembered, those of the study that is quiet for the longest time go."""
        self.studies = self.make(4)
        self.take("a", "b")
        self.take("c", "d", study=OTHER_STUDY)
        self.take("a")
        self.assertEqual(self.ended, [])
        self.take("e")
        self.assertEqual([event.studyInstanceUID for event in self.ended], [OTHER_STUDY])
        self.take("f", "g")
        self.assertEqual([event.files for event in self.ended][1:], [("/in/a", "/in/b", "/in/e", "/in/f", "/in/g")])
        self.clock.advance(10)
        self.assertEqual(len(self.ended), 2)
        self.assertOver()

    def test_boundWhileComing(self) -> None:
        """What was coming when its study ended early does not end the next one before its time."""
        self.studies = self.make(1)
        self.studies.began(STUDY)
        self.take("a", "b")
        self.assertEqual(len(self.ended), 1)
        self.studies.gone(STUDY)
        event = stored("/in/c")
        self.studies.stored(event)
        self.studies.told(event)
        self.assertEqual(len(self.ended), 1)
        self.clock.advance(10)
        self.assertEqual(len(self.ended), 2)
        self.assertOver()

    def test_endAll(self) -> None:
        """In the end all studies end, whatever is still coming."""
        self.take("a")
        self.studies.began(STUDY)
        self.studies.began(OTHER_STUDY)
        self.studies.endAll()
        self.assertEqual(self.ended, [ended("/in/a")])
        self.studies.gone(STUDY)
        self.assertOver()

    @given(st.lists(st.sampled_from(["began", "stored", "told", "gone", "wait", "endAll"]), max_size=40), st.data())
    def test_anyOrder(self, steps: list[str], data: st.DataObject) -> None:
        """Whatever happens, each instance that was stored is in one summary, and nothing is left in the end."""
        self.setUp()
        self.studies = self.make(3)
        count = 0
        for step in steps:
            study = data.draw(st.sampled_from([STUDY, OTHER_STUDY, ""]))
            if step == "stored":
                count += bool(study)
                self.studies.stored(stored(f"/in/{count}", study))
            elif step == "told":
                self.studies.told(stored(study=study))
            elif step == "wait":
                self.clock.advance(data.draw(st.sampled_from([1, 10])))
            elif step == "endAll":
                self.studies.endAll()
            else:
                getattr(self.studies, step)(study)
            self.assertLessEqual(self.studies._objects, 3)
        self.studies.endAll()
        self.assertEqual(sum(event.objects for event in self.ended), count)
        self.assertOver()


class EventTests(SynchronousTestCase):
    """What an event says of itself."""

    def test_instance(self) -> None:
        event = stored("/in/sub/CT.1")
        self.assertEqual((event.directory, event.studyInstanceUID, event.seriesInstanceUID), ("/in/sub", STUDY, SERIES))
        self.assertEqual(str(event), f"instance {INSTANCE} stored")
        self.assertEqual(
            event.describe(),
            {
                "event": "instance-stored",
                "sopClassUID": CT,
                "sopInstanceUID": INSTANCE,
                "studyInstanceUID": STUDY,
                "seriesInstanceUID": SERIES,
                "transferSyntaxUID": "1.2.840.10008.1.2.1",
                "path": "/in/sub/CT.1",
                "directory": "/in/sub",
                "bytes": 10,
                "callingAETitle": "CALLING",
                "calledAETitle": "CALLED",
                "peer": "10.0.0.1",
            },
        )

    def test_instanceWithoutFile(self) -> None:
        event = stored(None)
        self.assertEqual((event.directory, event.describe()["path"]), (None, None))

    def test_notAUID(self) -> None:
        """What is no UID is not passed on as one."""
        for study in ("../../etc", "1.2 3", "x", "1" * 65, "ä".encode().decode("latin-1")):
            event = stored()
            attributes = {0x0020000D: study.encode("latin-1")}
            event = replace(event, instance=replace(event.instance, attributes=attributes))
            self.assertEqual((event.studyInstanceUID, event.seriesInstanceUID), ("", ""))

    def test_study(self) -> None:
        event = ended("/in/a", "/in/b")
        self.assertEqual(str(event), f"study {STUDY} ended")
        self.assertEqual(
            json.loads(json.dumps(event.describe())),
            {
                "event": "study-ended",
                "studyInstanceUID": STUDY,
                "directory": "/in",
                "files": ["/in/a", "/in/b"],
                "objects": 2,
                "bytes": 20,
                "series": 1,
                "callingAETitle": "CALLING",
                "calledAETitle": "CALLED",
                "peer": "10.0.0.1",
            },
        )
