"""
Tests of `txdicom.storescp.faults`: what senders see of faults, and what the store does.

How faults are written is in `tests.test_faults_texts`, dropped connections are in `tests.test_upperlayer_dropping`.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger, capturedLogs
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.headvectors import EXPLICIT_LITTLE
from tests.receivers import filesIn
from tests.scripted import (
    CT,
    CT_CONTEXT,
    INSTANCE,
    LAST,
    MR,
    PROPOSED,
    AnsweredWriter,
    ConversationTestCase,
    RecordingObserver,
    ScriptedWriter,
    dataSet,
    later,
    message,
    pData,
    performed,
    storeRQ,
)
from txdicom.dimse.association import Association
from txdicom.errors import AssociationAborted, AssociationLost, DIMSEError
from txdicom.interfaces import IAnsweredWriter, IDataSetWriter, IStorageSCP
from txdicom.services.storage import ReceivedInstance, StorageService, store
from txdicom.storage.filestore import FileStore
from txdicom.storescp.faults.spelling import parseFault
from txdicom.storescp.faults.store import FaultyStore
from txdicom.storescp.log.narration import NarratedStore
from txdicom.storescp.pacing import PacedStore
from txdicom.testing import MemoryLink, RawPeer, RecordingStore, associateRQ, connectInMemory, requestor
from txdicom.upperlayer.pdu import AAbort

#: A data set of several fragments of 16 KiB.
LARGE = dataSet(rest=bytes(50000))


@implementer(IStorageSCP)
class ScriptedStore:
    """
    Gives what it was made with.

    :param opening: the result of every `store`, or what makes it.
    """

    def __init__(self, opening: Any) -> None:
        self._opening = opening

    def store(self, association: Association, instance: ReceivedInstance) -> Any:
        """Give the writer."""
        return performed(self._opening)


class FaultTestCase(ConversationTestCase):
    """Real senders, and a receiver whose store follows a plan."""

    def servePlan(self, *texts: str, inner: Any = None, **configuration: Any) -> None:
        """Set up the receiver with the faults of these texts, around a store that keeps everything."""
        self.kept = RecordingStore()
        self.faulty = FaultyStore(inner or self.kept, self.clock, [parseFault(text) for text in texts])
        self.observer = RecordingObserver()
        self.serve(StorageService(self.faulty), observer=self.observer, **configuration)

    def sender(self, size: int | None = None) -> tuple[Association, MemoryLink]:
        """Connect a sender."""
        association = requestor(self.clock, associateRQ(PROPOSED))
        return association, connectInMemory(self.factory, association, size)

    def send(self, association: Association, link: MemoryLink, uid: str = INSTANCE) -> Deferred[Any]:
        """Send an instance of several fragments."""
        answer = store(association, CT, uid, EXPLICIT_LITTLE, dataSet(sopInstance=uid, rest=bytes(50000)))
        link.flush()
        return answer

    def statuses(self, *instances: str) -> list[int]:
        """Send instances on one association; return the statuses of the answers."""
        sender = self.sender()
        return [self.successResultOf(self.send(*sender, uid)).status for uid in instances]

    def outcomes(self) -> list[tuple[str, str]]:
        """Return which instances have reached the other store, and what became of them."""
        return [(record.instance.sopInstanceUID, record.outcome) for record in self.kept.stored]


class WhenTests(FaultTestCase):
    """Which objects a fault happens to."""

    def failing(self, plan: list[str], count: int) -> list[int]:
        """Send so many instances, and return the numbers of those that failed with 0xA700."""
        self.servePlan(*plan)
        statuses = self.statuses(*[f"1.2.{number}" for number in range(1, count + 1)])
        return [number for number, status in enumerate(statuses, 1) if status == 0xA700]

    def test_byNumber(self) -> None:
        for when, expected in (
            ("3", [3]),
            ("n=1", [1]),
            ("n=2-4", [2, 3, 4]),
            ("n=4-", [4, 5]),
            ("all", [*range(1, 6)]),
        ):
            self.assertEqual(self.failing([f"{when}:status=0xA700"], 5), expected)
            kept = [(f"1.2.{number}", "committed") for number in range(1, 6) if number not in expected]
            self.assertEqual(self.outcomes(), kept)

    def test_numbersGoOnFromAssociationToAssociation(self) -> None:
        self.servePlan("n=2-3:status=0xA700")
        self.assertEqual([self.statuses(INSTANCE) for _ in range(4)], [[0], [0xA700], [0xA700], [0]])
        self.assertEqual(self.faulty._draw.__self__.received, 4)

    def test_whatTheStoreNeverSeesIsNotCounted(self) -> None:
        self.servePlan("1:status=0xA700")
        peer = self.associate()
        wrong = self.ask(peer, message(CT_CONTEXT, storeRQ(), dataSet(sopClass=MR)))
        right = self.ask(peer, message(CT_CONTEXT, storeRQ(2), dataSet()))
        self.assertEqual(self.statusesOf(wrong + right), [(1, 0xA900), (2, 0xA700)])

    def test_byUID(self) -> None:
        self.servePlan("uid=1.2.3:status=0xA700", "uid=1.3*:status=0xA701")
        sent = ["1.2.3", "1.2.33", "1.2", "1.3", "1.3.4", "1.33", "1.2.3"]
        self.assertEqual(self.statuses(*sent), [0xA700, 0, 0, 0xA701, 0xA701, 0xA701, 0xA700])

    def test_byRate(self) -> None:
        """What is drawn depends on the seed and the object's number, in this run and every other."""
        for seed in (0, 42):
            random = Random(seed)
            expected = [number for number in range(1, 41) if random.random() < 0.25]
            text = f"rate=0.25/{seed}:status=0xA700"
            self.assertEqual(self.failing([text], 40), expected)
            self.assertEqual(self.failing([text], 40), expected)
            # A fault that comes first takes its objects away, and shifts nothing.
            self.assertEqual(self.failing(["n=1-9:status=0xC000", text], 40), [n for n in expected if n > 9])
        self.assertEqual(self.failing(["rate=0.25:status=0xA700"], 40), self.failing(["rate=0.25/0:status=0xA700"], 40))
        self.assertEqual(self.failing(["rate=1:status=0xA700"], 9), [*range(1, 10)])

    def test_ratesOfOneSeedAreDrawnApart(self) -> None:
        self.servePlan("rate=0.4:status=0xA700", "rate=0.4:status=0xA800")
        self.assertEqual(set(self.statuses(*["1.2"] * 30)), {0, 0xA700, 0xA800})

    def test_theFirstThatAppliesHappens(self) -> None:
        self.servePlan("2:status=0xC001", "all:status=0xC002", "3:status=0xC003")
        self.assertEqual(self.statuses("1.1", "1.2", "1.3"), [0xC002, 0xC001, 0xC002])

    def test_withoutFaultTheStoresOwnResultIsReturned(self) -> None:
        instance = ReceivedInstance(CT, INSTANCE, EXPLICIT_LITTLE, storeRQ(), {})
        results: list[Any] = [ScriptedWriter(), Deferred()]
        for result in results:
            self.servePlan("2:abort", inner=ScriptedStore(result))
            opened = [self.faulty.store(requestor(self.clock), instance) for _ in range(3)]
            self.assertIs(opened[0], result)
            self.assertIsNot(opened[1], result)
            self.assertIs(opened[2], result)

    def test_faultsAreLogged(self) -> None:
        self.servePlan("2:status=0xA700")
        with capturedLogs() as events:
            self.statuses("1.1", "1.2", "1.3")
        told = [(str(event["fault"]), event["number"], event["uid"]) for event in events if "fault" in event]
        self.assertEqual(told, [("n=2:status=0xA700", 2, "1.2")])

    def test_interfaces(self) -> None:
        self.servePlan("1:abort", "2:status=0xB000", "3:delay=1")
        self.assertTrue(verifyObject(IStorageSCP, self.faulty))
        instance = ReceivedInstance(CT, INSTANCE, EXPLICIT_LITTLE, storeRQ(), {})
        association = requestor(self.clock)
        opened: list[Any] = [self.faulty.store(association, instance) for _ in range(3)]
        self.assertTrue(verifyObject(IDataSetWriter, opened[0]))
        for opening in opened[1:]:
            self.assertTrue(verifyObject(IAnsweredWriter, self.successResultOf(Deferred.fromCoroutine(opening))))


class StatusTests(FaultTestCase):
    """Answers that are not what they would have been."""

    def test_failureIsTheAnswerToAWholeDataSetAndKeepsNothing(self) -> None:
        self.servePlan("1:status=0xA700")
        peer = self.associate()
        self.assertEqual(peer.send(message(CT_CONTEXT, storeRQ()), pData(CT_CONTEXT, 0, LARGE[:9000])), [])
        self.assertEqual(peer.send(pData(CT_CONTEXT, 0, LARGE[9000:20000])), [])
        (response,) = self.ask(peer, pData(CT_CONTEXT, LAST, LARGE[20000:30000]))
        self.assertEqual((response.status, response.errorComment), (0xA700, "a fault that was asked for"))
        self.assertEqual(self.outcomes(), [])
        # The association lives on.
        self.assertEqual(self.statusesOf(self.ask(peer, message(CT_CONTEXT, storeRQ(2), LARGE))), [(2, 0)])
        self.assertEqual(self.outcomes(), [(INSTANCE, "committed")])

    def test_warningIsTheAnswerToAnInstanceThatIsKept(self) -> None:
        for status in (0x0001, 0x0107, 0x0116, 0xB000, 0xB006, 0xB007, 0xBFFF):
            self.servePlan(f"1:status={status}")
            self.assertEqual(self.statuses("1.1", "1.2"), [status, 0])
            self.assertEqual(self.outcomes(), [("1.1", "committed"), ("1.2", "committed")])
            self.assertEqual(self.kept.stored[0].dataSet, dataSet(sopInstance="1.1", rest=bytes(50000)))

    def test_failureOfTheStoreIsNotHiddenByAWarning(self) -> None:
        for step, outcomes in (
            ("store", []),
            ("write", [(INSTANCE, "aborted")]),
            ("commit", [(INSTANCE, "committed")]),
        ):
            self.servePlan("all:status=0xB000")
            self.kept.failures[step] = DIMSEError(0xA702, "full")
            self.assertEqual(self.statuses(INSTANCE), [0xA702])
            self.assertEqual(self.outcomes(), outcomes)
        self.servePlan("all:status=0xB000", inner=ScriptedStore(AnsweredWriter(commit=0xC123)))
        self.assertEqual(self.statuses(INSTANCE), [0xC123])

    def test_warningTakesThePlaceOfAnother(self) -> None:
        self.servePlan("all:status=0xB006", inner=ScriptedStore(AnsweredWriter(commit=0xB000)))
        self.assertEqual(self.statuses(INSTANCE), [0xB006])

    def test_writerIsToldTheStatusThatWasSent(self) -> None:
        for fault, status in (("status=0xB006", 0xB006), ("delay=0", 0)):
            writer = AnsweredWriter()
            self.servePlan(f"all:{fault}", inner=ScriptedStore(writer))
            self.send(*self.sender())
            self.clock.advance(0)
            self.assertEqual(writer.calls, ["write"] * 2 + ["commit", "answered"])
            self.assertEqual(writer.status, status)

    def test_storeThatTakesItsTime(self) -> None:
        """Whatever a writer does may be a Deferred."""
        waits: list[Deferred[Any]] = []
        writer = ScriptedWriter(write=[later(waits)], commit=later(waits))
        self.servePlan("all:status=0xB000", inner=ScriptedStore(later(waits)))
        sender = self.sender()
        answer = self.send(*sender)
        for calls, result in (([], writer), (["write"], None), (["write"] * 2 + ["commit"], 0)):
            self.assertEqual(writer.calls, calls)
            self.assertNoResult(answer)
            waits.pop().callback(result)
            sender[1].flush()
        self.assertEqual(self.successResultOf(answer).status, 0xB000)
        self.assertEqual(len(writer.data), len(LARGE))


class EndingTests(FaultTestCase):
    """Associations that end within an object."""

    def assertEnded(self, reason: type[Exception]) -> None:
        """The one association there was has ended like this."""
        self.assertEqual(self.observer.events.count("ended"), 1)
        self.assertIsInstance(getattr(self.observer.reason, "value", None), reason)

    def test_abortComesAfterTheFirstFragment(self) -> None:
        self.servePlan("all:abort")
        peer = self.associate()
        self.assertEqual(peer.send(message(CT_CONTEXT, storeRQ())), [])
        self.assertEqual(peer.send(pData(CT_CONTEXT, 0, LARGE[:9000])), [AAbort(0, 0)])
        self.assertEqual(peer.send(pData(CT_CONTEXT, 0, LARGE[9000:20000]), pData(CT_CONTEXT, LAST, b"")), [])
        self.assertEnded(AssociationAborted)
        self.assertEqual(self.outcomes(), [])

    def test_abortAfterComesInThePlaceOfTheResponse(self) -> None:
        self.servePlan("all:abort-after")
        peer = self.associate()
        self.assertEqual(peer.send(message(CT_CONTEXT, storeRQ()), pData(CT_CONTEXT, 0, LARGE[:9000])), [])
        self.assertEqual(peer.send(pData(CT_CONTEXT, LAST, LARGE[9000:20000])), [AAbort(0, 0)])
        self.assertEnded(AssociationAborted)
        self.assertEqual(self.outcomes(), [])

    def test_dropSaysNothing(self) -> None:
        self.servePlan("all:drop")
        peer = self.associate()
        self.assertEqual(peer.send(message(CT_CONTEXT, storeRQ())), [])
        self.assertFalse(peer.lost)
        self.assertEqual(peer.send(pData(CT_CONTEXT, 0, LARGE[:9000])), [])
        self.assertTrue(peer.lost)
        self.assertTrue(peer.link.server.aborted)
        self.assertEnded(AssociationLost)
        self.assertEqual(self.outcomes(), [])
        self.assertNothingLeft()

    def test_whatRealSendersSee(self) -> None:
        """The object that fails, and what it does to the one before, after, and beside it."""
        for size in (None, 7):
            for fault, expected in (
                ("abort", AssociationAborted),
                ("abort-after", AssociationAborted),
                ("drop", AssociationLost),
            ):
                self.servePlan(f"uid=1.3:{fault}")
                first, second = self.sender(size), self.sender(size)
                before, failed = self.send(*first, "1.2"), self.send(*first, "1.3")
                self.assertEqual(self.successResultOf(before).status, 0)
                error = self.failureResultOf(failed, expected).value
                if expected is AssociationAborted:
                    self.assertEqual((error.source, error.reason, error.byPeer), (0, 0, True))
                self.assertFalse(first[1].connected)
                self.assertEqual(self.observer.events.count("ended"), 1)
                self.assertEqual(self.successResultOf(self.send(*second, "1.4")).status, 0)
                self.assertEqual(self.statuses("1.5"), [0])
                self.assertEqual(self.outcomes(), [(uid, "committed") for uid in ("1.2", "1.4", "1.5")])

    def test_objectsOfOneFragment(self) -> None:
        for fault, answers in (("abort", [AAbort(0, 0)]), ("abort-after", [AAbort(0, 0)]), ("drop", [])):
            self.servePlan(f"all:{fault}")
            peer = self.associate()
            self.assertEqual(peer.send(message(CT_CONTEXT, storeRQ(), dataSet())), answers)
            self.assertEqual(self.observer.events.count("ended"), 1)
            self.assertNotIn("sent CStoreRSP", self.observer.events)
            peer.link.lose()
            self.assertNothingLeft()

    def test_amongOtherStores(self) -> None:
        """Sleeps and narration go around it, files are kept within it: none of them minds."""
        directory = self.mktemp()
        os.mkdir(directory)
        for fault in ("abort", "abort-after", "drop", "status=0xA700", "status=0xB000", "delay=1"):
            files = FileStore(directory)
            self.servePlan(f"uid=1.3:{fault}", inner=files)
            narrated = NarratedStore(self.faulty, Logger("storescp"))
            self.serve(StorageService(PacedStore(narrated, self.clock, during=0.5)))
            senders = self.sender(), self.sender()
            for sender, uid in zip(senders, ("1.3", "1.4"), strict=True):
                self.send(*sender, uid).addErrback(lambda _: None)
            for _ in range(10):
                self.clock.advance(0.5)
                for _, link in senders:
                    link.flush()
            kept = ["CT.1.3"] if fault in ("status=0xB000", "delay=1") else []
            self.assertEqual(filesIn(directory), [*kept, "CT.1.4"])
            for name in filesIn(directory):
                os.unlink(os.path.join(directory, name))
            for _, link in senders:
                link.lose()
            self.assertNothingLeft()
            files.close()
            self.assertEqual(os.listdir(directory), [])


class DelayTests(FaultTestCase):
    """Answers that come late."""

    def test_onlyItsAssociationWaits(self) -> None:
        self.servePlan("1:delay=2.5")
        late, other = self.sender(), self.sender()
        waiting, following = self.send(*late, "1.2"), self.send(*late, "1.3")
        self.assertEqual(self.successResultOf(self.send(*other, "1.4")).status, 0)
        self.clock.advance(2.25)
        late[1].flush()
        self.assertNoResult(waiting)
        self.assertEqual(self.outcomes(), [("1.2", "open"), ("1.4", "committed")])
        self.clock.advance(0.25)
        late[1].flush()
        self.assertEqual([self.successResultOf(answer).status for answer in (waiting, following)], [0, 0])
        self.assertEqual(self.outcomes(), [(uid, "committed") for uid in ("1.2", "1.4", "1.3")])

    def test_manyDelaysOnOneAssociation(self) -> None:
        self.servePlan("all:delay=1")
        association, link = self.sender()
        for _ in range(3):
            answer = self.send(association, link)
            self.clock.advance(1)
            link.flush()
            self.assertEqual(self.successResultOf(answer).status, 0)
        association.release()
        link.flush()
        self.assertEqual(self.outcomes(), [(INSTANCE, "committed")] * 3)
        self.assertNothingLeft()

    def test_endOfTheAssociationEndsTheDelay(self) -> None:
        self.servePlan("all:delay=86400", providerTimeout=100000.0)
        ends: list[Callable[[RawPeer], object]] = [lambda peer: peer.send(AAbort(0, 0)), lambda peer: peer.link.lose()]
        for end in ends:
            peer = self.associate()
            self.assertEqual(self.ask(peer, message(CT_CONTEXT, storeRQ(), LARGE)), [])
            self.clock.advance(86399)
            end(peer)
            self.assertEqual(self.kept.stored[-1].outcome, "aborted")
            self.assertNothingLeft()

    def test_abortWithinTheDataSet(self) -> None:
        """What a late or warned writer has begun is aborted like any other."""
        for fault in ("delay=5", "status=0xB000"):
            self.servePlan(f"all:{fault}")
            peer = self.associate()
            peer.send(message(CT_CONTEXT, storeRQ()), pData(CT_CONTEXT, 0, LARGE[:9000]), AAbort(0, 0))
            self.assertEqual(self.outcomes(), [(INSTANCE, "aborted")])
            self.assertNothingLeft()
