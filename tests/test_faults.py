"""
Tests of `txdicom.storescp.faults`: how faults are written, and what senders see of them; and of dropped connections.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import os
from random import Random
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import Logger, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.conversations import DATA, PATHS, RQ, Conversation
from tests.conversations import ConversationTestCase as UpperLayerTestCase
from tests.headvectors import EXPLICIT_LITTLE
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
    storeRQ,
)
from txdicom.dimse.association import Association
from txdicom.errors import AssociationAborted, AssociationLost, AssociationRejected, DIMSEError
from txdicom.interfaces import IAnsweredWriter, IDataSetWriter, IStorageSCP
from txdicom.services.storage import ReceivedInstance, StorageService, store
from txdicom.storage.filestore import FileStore
from txdicom.storescp.faults import (
    ABORT_AFTER,
    ABORT_DURING,
    Answer,
    ByNumber,
    ByRate,
    ByUID,
    Delay,
    Ending,
    Fault,
    FaultyStore,
    longestDelay,
    parseFault,
)
from txdicom.storescp.narration import NarratedStore
from txdicom.storescp.pacing import PacedStore
from txdicom.testing import MemoryLink, RecordingStore, associateRQ, connect, requestor
from txdicom.upperlayer.machine import State
from txdicom.upperlayer.pdu import AAbort

LOST = Ending.DROP
#: A data set of several fragments of 16 KiB.
LARGE = dataSet(rest=bytes(50000))

WHENS = {
    "1": ByNumber(1, 1),
    "n=3": ByNumber(3, 3),
    "n=3-5": ByNumber(3, 5),
    "7-7": ByNumber(7, 7),
    "n=3-": ByNumber(3, None),
    "all": ByNumber(),
    "uid=1.2.3": ByUID("1.2.3"),
    "uid=1.2.*": ByUID("1.2.", isPrefix=True),
    "rate=0.1": ByRate(0.1),
    "rate=1": ByRate(1.0),
    "rate=.5/42": ByRate(0.5, 42),
    "rate=1e-3/0": ByRate(0.001, 0),
}
WHATS = {
    "status=0xA700": Answer(0xA700),
    "status=42752": Answer(0xA700),
    "status=0Xb006": Answer(0xB006),
    "status=1": Answer(1),
    "status=0xFFFF": Answer(0xFFFF),
    "abort": Ending.ABORT,
    "abort-after": Ending.ABORT_AFTER,
    "drop": Ending.DROP,
    "delay=2.5": Delay(2.5),
    "delay=0": Delay(0.0),
    "delay=86400": Delay(86400.0),
}
BAD_WHENS = (
    *("", "0", "n=0", "-1", "n=", "n=5-3", "n=3-5-7", "n=x", "n=1.5", "n= 3", "N=3", "1_0", "\u0663", "9" * 19),
    *("uid=", "uid=*", "uid=1.2a", "uid=1*2", "uid=1**", "uid=" + "1" * 65, "1.2.3", "uid=1.2\n"),
    *("rate=", "rate=0", "rate=0.0", "rate=1.1", "rate=-1", "rate=nan", "rate=inf", "rate=1e999", "rate=1e-999"),
    *("rate=0.1/", "rate=0.1/x", "rate=0.1/-1", "rate=0.1/1.5", "rate=10%", "All", "all ", "some", "n=3\n"),
)
BAD_WHATS = (
    *("", "status", "status=", "status=0", "status=0x0000", "status=0x10000", "status=65536", "status=A700"),
    *("status=0xFE00", "status=0xFF00", "status=0xFF01", "status=-1", "status=0x", "status=busy", "status=0xA700\n"),
    *("delay=", "delay=-1", "delay=86400.1", "delay=nan", "delay=1e9", "delay=2,5", "delay=2s", "delay=\u0663"),
    *("Abort", "abort ", "abort=1", "abort-during", "ABORT_AFTER", "drop:drop", "explode", "\0", "x" * 1000),
)

uids = st.text("0123456789.", min_size=1, max_size=64)
numbers = st.tuples(st.integers(1, 10**9), st.none() | st.integers(0, 10**9)).map(
    lambda pair: ByNumber(pair[0], None if pair[1] is None else pair[0] + pair[1])
)
rates = st.builds(ByRate, st.floats(0, 1, exclude_min=True), st.integers(0, 10**17))
statuses = st.integers(1, 0xFFFF).filter(lambda status: status not in (0xFE00, 0xFF00, 0xFF01))
faults = st.builds(
    Fault,
    numbers | rates | st.builds(ByUID, uids, st.booleans()),
    st.builds(Answer, statuses) | st.builds(Delay, st.floats(0, 86400)) | st.sampled_from(Ending),
)


class ParseFaultTests(SynchronousTestCase):
    """How faults are written."""

    def assertRefused(self, text: str, part: str) -> None:
        """The text is no fault, and the message names it, and what of it is wrong."""
        error = self.assertRaises(ValueError, parseFault, text)
        self.assertIn(repr(text), str(error))
        self.assertNotIn("\n", str(error))
        self.assertTrue(repr(part) in str(error) or " is " in str(error) or " has " in str(error), str(error))

    def test_everyWhenWithEveryWhat(self) -> None:
        for when, expectedWhen in WHENS.items():
            for what, expectedWhat in WHATS.items():
                self.assertEqual(parseFault(f"{when}:{what}"), Fault(expectedWhen, expectedWhat))

    def test_whatIsNoFault(self) -> None:
        for when in BAD_WHENS:
            self.assertRefused(f"{when}:abort", when)
        for what in BAD_WHATS:
            self.assertRefused(f"all:{what}", what)
        for text in ("", "abort", "all", "3=abort", "all;drop"):
            self.assertRefused(text, text)

    def test_messagesSayWhatWouldBeRight(self) -> None:
        for text, hint in (
            ("abort", "WHEN:WHAT"),
            ("third:abort", "n=FIRST-LAST"),
            ("0:abort", "counted from 1"),
            ("5-3:abort", "upwards"),
            ("uid=x:abort", "digits and dots"),
            ("rate=2:abort", "at most 1"),
            ("all:explode", "delay=SECONDS"),
            ("all:status=0", "0x0001 to 0xFFFF"),
            ("all:delay=90000", "0 to 86400 seconds"),
        ):
            self.assertIn(hint, str(self.assertRaises(ValueError, parseFault, text)))

    def test_wordsOfTheClassicProgram(self) -> None:
        self.assertEqual(parseFault("all:abort"), ABORT_DURING)
        self.assertEqual(parseFault("all:abort-after"), ABORT_AFTER)

    def test_longestDelay(self) -> None:
        self.assertEqual(longestDelay([]), 0)
        self.assertEqual(longestDelay([ABORT_DURING]), 0)
        self.assertEqual(longestDelay(map(parseFault, ("1:delay=2", "2:delay=7.5", "3:drop", "4:delay=3"))), 7.5)

    @settings(deadline=None, max_examples=150)
    @given(faults)
    @example(Fault(ByRate(5e-324, 0), Delay(1e-07)))
    def test_strIsParsed(self, fault: Fault) -> None:
        self.assertEqual(parseFault(str(fault)), fault)

    @settings(deadline=None, max_examples=150)
    @given(
        st.text(max_size=60)
        | st.builds("{}:{}".format, st.text(max_size=9), st.sampled_from(sorted(WHATS)))
        | st.builds("{}{}:{}{}".format, *(st.sampled_from([*WHENS, *WHATS]) | st.text(max_size=5) for _ in range(4)))
    )
    def test_anyTextIsAFaultOrAValueError(self, text: str) -> None:
        try:
            fault = parseFault(text)
        except ValueError as error:
            self.assertIn(repr(text), str(error))
        else:
            self.assertEqual(parseFault(str(fault)), fault)


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
        return association, connect(self.factory, association, size)

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
        for when, expected in (("3", [3]), ("n=1", [1]), ("n=2-4", [2, 3, 4]), ("n=4-", [4, 5]), ("all", [*range(1, 6)])):
            self.assertEqual(self.failing([f"{when}:status=0xA700"], 5), expected)
            kept = [(f"1.2.{number}", "committed") for number in range(1, 6) if number not in expected]
            self.assertEqual(self.outcomes(), kept)

    def test_numbersGoOnFromAssociationToAssociation(self) -> None:
        self.servePlan("n=2-3:status=0xA700")
        self.assertEqual([self.statuses(INSTANCE) for _ in range(4)], [[0], [0xA700], [0xA700], [0]])
        self.assertEqual(self.faulty.received, 4)

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
        @implementer(IStorageSCP)
        class FixedStore:
            result: Any = None

            def store(self, association: Association, instance: ReceivedInstance) -> Any:
                return self.result

        self.servePlan("2:abort", inner=FixedStore())
        association = requestor(self.clock)
        instance = ReceivedInstance(CT, INSTANCE, EXPLICIT_LITTLE, storeRQ(), {})
        FixedStore.result = ScriptedWriter()
        self.assertIs(self.faulty.store(association, instance), FixedStore.result)
        self.faulty.store(association, instance)
        FixedStore.result = Deferred()
        self.assertIs(self.faulty.store(association, instance), FixedStore.result)

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
        for step, outcomes in (("store", []), ("write", [(INSTANCE, "aborted")]), ("commit", [(INSTANCE, "committed")])):
            self.servePlan("all:status=0xB000")
            self.kept.failures[step] = DIMSEError(0xA702, "full")
            self.assertEqual(self.statuses(INSTANCE), [0xA702])
            self.assertEqual(self.outcomes(), outcomes)
        self.servePlan("all:status=0xB000", inner=scripted(AnsweredWriter(commit=0xC123)))
        self.assertEqual(self.statuses(INSTANCE), [0xC123])

    def test_warningTakesThePlaceOfAnother(self) -> None:
        self.servePlan("all:status=0xB006", inner=scripted(AnsweredWriter(commit=0xB000)))
        self.assertEqual(self.statuses(INSTANCE), [0xB006])

    def test_writerIsToldTheStatusThatWasSent(self) -> None:
        for fault, status in (("status=0xB006", 0xB006), ("delay=0", 0)):
            writer = AnsweredWriter()
            self.servePlan(f"all:{fault}", inner=scripted(writer))
            answer = self.send(*self.sender())
            self.clock.advance(0)
            self.assertEqual(writer.status, status)
            self.assertEqual(writer.calls[-2:], ["commit", "answered"])
            self.assertNoResult(answer)
            answer.addErrback(lambda _: None)

    def test_storeThatTakesItsTime(self) -> None:
        """Whatever a writer does may be a Deferred."""
        waits: list[Deferred[Any]] = []
        writer = ScriptedWriter(write=[later(waits)], commit=later(waits))
        self.servePlan("all:status=0xB000", inner=scripted(writer, later(waits)))
        sender = self.sender()
        answer = self.send(*sender)
        for calls, result in (([], writer), (["write"], None), (["write"] * 4 + ["commit"], 0)):
            self.assertEqual(writer.calls, calls)
            self.assertNoResult(answer)
            waits.pop().callback(result)
            sender[1].flush()
        self.assertEqual(self.successResultOf(answer).status, 0xB000)
        self.assertEqual(len(writer.data), len(LARGE))
