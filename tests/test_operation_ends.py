"""
Tests of `txdicom.dimse.operation`: the association ends, in every way there is, at every moment of an operation.

Whatever happens, a writer gets exactly one of commit or abort, nothing is sent any more, and nothing is left behind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.defer import CancelledError, Deferred
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.scripted import (
    CT_CONTEXT,
    ECHO_CONTEXT,
    PROPOSED,
    AnsweredWriter,
    ClosableSeries,
    ConversationTestCase,
    RecordingObserver,
    ScriptedProvider,
    ScriptedWriter,
    Series,
    later,
    message,
    pData,
    performed,
    storeRQ,
)
from txdicom.dimse.answers import Answer
from txdicom.dimse.association import Association
from txdicom.dimse.commands import CEchoRQ, Command
from txdicom.dimse.commandsets import encodeCommand
from txdicom.errors import AssociationAborted, AssociationLost, DIMSEError, PDUError
from txdicom.interfaces import IAssociationObserver
from txdicom.services.verification import VerificationService
from txdicom.testing import RawPeer, associateRQ, connectRaw
from txdicom.upperlayer.negotiation import PresentationContext
from txdicom.upperlayer.pdu import AAbort

STORE = message(CT_CONTEXT, storeRQ())
HALF = pData(CT_CONTEXT, 1, encodeCommand(storeRQ())[:40])
FIRST, FINAL = pData(CT_CONTEXT, 0, b"first,"), pData(CT_CONTEXT, 2, b"final")

#: Makes the provider's result, of which the list gets the Deferreds that are not there yet.
Script = Callable[[list[Deferred[Any]]], Any]


class Moment(NamedTuple):
    """Where an operation stands when the association ends."""

    name: str
    script: Script
    sent: bytes
    #: The calls the writer has had when all is over.
    calls: list[str]
    #: What is waited for would come to this.
    result: Any = None
    #: Whether nothing is read, so that neither an abort nor nonsense of the peer would be seen.
    deaf: bool = False


MOMENTS = [
    Moment("before", lambda _: AnsweredWriter(), b"", []),
    Moment("within the command set", lambda _: AnsweredWriter(), HALF, []),
    Moment("while the provider is waited for", later, STORE, [], 0, deaf=True),
    Moment("before the data set", lambda _: AnsweredWriter(), STORE, ["abort"]),
    Moment("within the data set", lambda _: AnsweredWriter(), STORE + FIRST, ["write", "abort"]),
    Moment(
        "while a write is waited for",
        lambda waiting: AnsweredWriter(write=[later(waiting)]),
        STORE + FIRST,
        ["write", "abort"],
        deaf=True,
    ),
    Moment(
        "while the last write is waited for",
        lambda waiting: AnsweredWriter(write=[None, later(waiting)]),
        STORE + FIRST + FINAL,
        ["write", "write", "abort"],
        deaf=True,
    ),
    Moment(
        "while commit is waited for",
        lambda waiting: AnsweredWriter(commit=later(waiting)),
        STORE + FIRST + FINAL,
        ["write", "write", "commit"],
        0,
    ),
    Moment(
        "while answered is waited for",
        lambda waiting: AnsweredWriter(answered=later(waiting)),
        STORE + FIRST + FINAL,
        ["write", "write", "commit", "answered"],
    ),
    Moment("after", lambda _: AnsweredWriter(), STORE + FINAL, ["write", "commit", "answered"]),
]

#: How an association ends: by the peer, or by ourselves; what is sent then, and what its writer is told.
LOST = (lambda peer, association: peer.link.lose(), [], AssociationLost)
ABORTED = (lambda peer, association: peer.send(AAbort(0, 0)), [], AssociationAborted)
NONSENSE = (lambda peer, association: peer.send(b"\xff" * 6), [AAbort(2, 1)], PDUError)
ABORTING = (lambda peer, association: association.abort(), [AAbort(0, 0)], AssociationAborted)

DROPPING = (lambda peer, association: association.drop(), [], AssociationLost)


class EndTests(ConversationTestCase):
    """Every moment with every end, and what was waited for coming too late in every way."""

    def associated(self, result: Any) -> RawPeer:
        """Associate with an acceptor whose provider has this result."""
        self.provider = ScriptedProvider(result)
        self.serve(VerificationService(), self.provider)
        return self.associate()

    def assertEnds(self, moment: Moment, end: Any, tooLate: Callable[[Deferred[Any]], object]) -> None:
        """End an association, and look at what is left."""
        ending, sent, reason = end
        waiting: list[Deferred[Any]] = []
        result = moment.script(waiting)
        peer = self.associated(result)
        (association,) = self.factory.associations
        peer.send(moment.sent)
        answers = [*(ending(peer, association) or ()), *peer.send()]
        self.assertEqual(answers, sent, moment.name)
        self.assertEqual(self.factory.associations, set())
        if isinstance(result, ScriptedWriter):
            self.assertEqual(result.calls, moment.calls, moment.name)
            if "abort" in moment.calls:
                self.assertIsInstance(result.reason.value, reason)
        for late in waiting:
            tooLate(late)
        self.assertEqual(peer.send(), [], moment.name)
        self.assertEqual(getattr(result, "calls", []), moment.calls, moment.name)
        peer.link.lose()
        self.assertNothingLeft()

    def assertEachEnd(self, end: Any, moments: list[Moment]) -> None:
        """End at each of these moments, with results that come too late, or never."""
        for moment in moments:
            for tooLate in (
                lambda late: None,
                lambda late, moment=moment: late.callback(moment.result),
                lambda late: late.errback(CancelledError()),
            ):
                self.assertEnds(moment, end, tooLate)
            self.assertEqual(self.flushLoggedErrors(), [])

    def test_connectionIsLost(self) -> None:
        self.assertEachEnd(LOST, MOMENTS)

    def test_weAbort(self) -> None:
        self.assertEachEnd(ABORTING, MOMENTS)

    def test_weDropTheConnection(self) -> None:
        self.assertEachEnd(DROPPING, MOMENTS)

    def test_peerAborts(self) -> None:
        self.assertEachEnd(ABORTED, [moment for moment in MOMENTS if not moment.deaf])

    def test_peerSendsNonsense(self) -> None:
        self.assertEachEnd(NONSENSE, [moment for moment in MOMENTS if not moment.deaf])

    def test_unexpectedErrorThatComesTooLateIsLogged(self) -> None:
        """Nobody is answered any more, yet it may be that an instance was not kept: somebody has to hear of it."""
        for moment in MOMENTS:
            self.assertEnds(moment, LOST, lambda late: late.errback(RuntimeError("oops")))
            self.assertLogged(*([RuntimeError] if "waited for" in moment.name else []))

    def test_refusalThatComesTooLateIsNotLogged(self) -> None:
        for moment in MOMENTS[:-2]:
            self.assertEnds(moment, ABORTING, lambda late: late.errback(DIMSEError(0xA700)))
            self.assertEqual(self.flushLoggedErrors(), [])

    def test_writerThatComesTooLateIsAborted(self) -> None:
        for end in (LOST, ABORTING, DROPPING):
            waiting: list[Deferred[Any]] = []
            peer = self.associated(later(waiting))
            peer.send(STORE, FIRST, FINAL)
            end[0](peer, self.provider.association)
            writer = AnsweredWriter()
            waiting[0].callback(writer)
            self.assertEqual(writer.calls, ["abort"])
            self.assertIsInstance(writer.reason.value, AssociationLost)
            peer.link.lose()
            self.assertNothingLeft()

    def test_abortBehindWaitIsSeenAfterIt(self) -> None:
        """What the peer sends while a write is waited for is read behind it: an abort as well."""
        for calls, write in ((["write", "abort"], 1), (["write", "write", "abort"], 2)):
            waiting: list[Deferred[Any]] = []
            writer = AnsweredWriter(write=[None] * (write - 1) + [later(waiting)])
            peer = self.associated(writer)
            peer.send(STORE, *[FIRST] * write, AAbort(0, 0))
            self.assertEqual(writer.calls, calls[:-1])
            waiting[0].callback(None)
            peer.link.flush()
            self.assertEqual(writer.calls, calls)
            self.assertIsInstance(writer.reason.value, AssociationAborted)
            self.assertTrue(peer.lost)
            self.assertNothingLeft()

    def test_abortBehindCompleteDataSet(self) -> None:
        """An instance that came whole is committed, though the peer will not learn of it."""
        writer = AnsweredWriter()
        peer = self.associated(writer)
        peer.send(STORE + FIRST + FINAL + AAbort(0, 0).encode())
        self.assertEqual(writer.calls, ["write", "write", "commit", "answered"])
        self.assertNothingLeft()

    def test_answerThatIsNotSent(self) -> None:
        """A series that was given while the data set was still on its way is closed, if it can be."""
        for end in (LOST, ABORTED, NONSENSE, ABORTING, DROPPING):
            for given in (Answer(0), Series(), ClosableSeries()):
                peer = self.associated(given)
                self.assertEqual(peer.send(STORE, FIRST), [])
                self.assertEqual(getattr(given, "closed", 0), 0)
                self.assertEqual([*(end[0](peer, self.provider.association) or ()), *peer.send()], end[1])
                self.assertEqual(getattr(given, "closed", 1), 1)
                peer.link.lose()
                self.assertNothingLeft()

    def test_seriesThatComesTooLate(self) -> None:
        """One that `commit` gives when the association has ended is closed, and nobody is asked for an answer."""
        for end in (LOST, ABORTED, NONSENSE, ABORTING, DROPPING):
            waiting: list[Deferred[Any]] = []
            peer = self.associated(AnsweredWriter(commit=later(waiting)))
            self.assertEqual(peer.send(STORE, FINAL), [])
            self.assertEqual([*(end[0](peer, self.provider.association) or ()), *peer.send()], end[1])
            series = ClosableSeries(Answer(0xFF00))
            waiting[0].callback(series)
            self.assertEqual(series.closed, 1)
            self.assertEqual(self.flushLoggedErrors(), [])
            peer.link.lose()
            self.assertNothingLeft()

    def test_refusedRequestIsForgotten(self) -> None:
        """While the data set of a refused request is drained there is nobody to tell."""
        for end in (LOST, ABORTED, NONSENSE, ABORTING, DROPPING):
            writer = AnsweredWriter(write=[DIMSEError(0xA700)])
            peer = self.associated(writer)
            self.assertEqual(peer.send(STORE, FIRST), [])
            self.assertEqual([*(end[0](peer, self.provider.association) or ()), *peer.send()], end[1])
            self.assertEqual(writer.calls, ["write", "abort"])
            peer.link.lose()
            self.assertNothingLeft()


@implementer(IAssociationObserver)
class ReactingObserver(RecordingObserver):
    """Does something to the association as soon as it is told of a message that was sent."""

    def __init__(self, react: Callable[[Association], object]) -> None:
        super().__init__()
        self._react = react

    def commandSent(self, association: Association, context: PresentationContext, command: Command) -> None:
        """Note it, and react."""
        super().commandSent(association, context, command)
        self._react(association)


class EndingObserver(RecordingObserver):
    """Ends an association as soon as it is told of something."""

    def __init__(self, event: str, end: Callable[[Association], None]) -> None:
        super().__init__()
        setattr(self, event, lambda association, *_: end(association))


def fail(association: Association) -> None:
    """Raise what nobody expects."""
    raise RuntimeError("oops")


class ObserverTests(ConversationTestCase):
    """An observer that does not only look on when it is told of a response."""

    def assertReacts(self, react: Callable[[Association], object], logged: list[type[Exception]]) -> None:
        """The association ends when it has answered one of two requests, whatever it was answered by."""
        for script in (
            lambda _: 0,
            lambda _: DIMSEError(0xA700),
            lambda _: AnsweredWriter(),
            later,
            lambda waiting: AnsweredWriter(commit=later(waiting)),
        ):
            waiting: list[Deferred[Any]] = []
            observer = ReactingObserver(react)
            verifyObject(IAssociationObserver, observer)
            provider = ScriptedProvider(script(waiting))
            self.serve(provider, observer=observer)
            peer = self.associate()
            peer.send(STORE + FINAL + STORE + FINAL)
            for late in waiting:
                late.callback(0)
                peer.send()
            self.assertEqual(observer.events[-2:], ["sent CStoreRSP", "ended"])
            self.assertEqual(observer.events.count("sent CStoreRSP"), 1)
            self.assertEqual(len(provider.requests), 1)
            self.assertLogged(*logged)
            peer.link.lose()
            self.assertNothingLeft()

    def test_ends(self) -> None:
        for end in (Association.abort, Association.drop):
            self.assertReacts(end, [])

    def test_fails(self) -> None:
        self.assertReacts(fail, [RuntimeError])

    def test_endsWhatWasReceived(self) -> None:
        """A request is nobody's any more if the association ends as it is told of: no writer is left open."""
        for end, last in ((Association.abort, [AAbort(0, 0)]), (Association.drop, [])):
            provider = ScriptedProvider()
            self.serve(provider, observer=EndingObserver("commandReceived", end))
            peer = self.associate()
            self.assertEqual(peer.send(STORE, FIRST, FINAL), last)
            self.assertEqual(provider.requests, [])
            peer.link.lose()
            self.assertNothingLeft()
            self.assertEqual(self.flushLoggedErrors(), [])

    def test_endsWhatIsRequested(self) -> None:
        """An association that ends as it is told of is not counted among those that there are."""
        for end, last in ((Association.abort, [AAbort(0, 0)]), (Association.drop, [])):
            self.serve(VerificationService(), observer=EndingObserver("associationRequested", end))
            peer = connectRaw(self.factory)
            self.assertEqual(peer.send(associateRQ(PROPOSED)), last)
            self.successResultOf(self.factory.drain(60.0))
            peer.link.lose()
            self.assertNothingLeft()


async def never() -> None:
    """Wait for what does not come."""
    await Deferred()


class SelfMadeEndTests(ConversationTestCase):
    """A provider or a writer that ends its own association, and then does what it does at other times."""

    def assertEnds(self, make: Callable[[Any], Any], calls: list[str], results: list[Any], answers: int = 0) -> None:
        """Whatever the result that follows it, the end is the last that the peer sees, and nothing is left."""
        for result in results:
            for end, last in ((Association.abort, [AAbort(0, 0)]), (Association.drop, [])):
                for size in (None, 1):

                    def endFirst(end: Any = end, result: Any = result) -> Any:
                        end(self.provider.association)
                        return performed(result)

                    made = make(endFirst)
                    self.provider = ScriptedProvider(made)
                    self.serve(self.provider)
                    peer = self.associate(size)
                    sent = peer.send(STORE, FINAL, message(ECHO_CONTEXT, CEchoRQ(2)))
                    # A response that was not delivered yet is lost with the connection.
                    self.assertEqual(sent[-1:], last)
                    self.assertEqual(len(sent), (answers + 1) * len(last))
                    self.assertEqual(list(dict.fromkeys(getattr(made, "calls", []))), calls)
                    peer.link.lose()
                    self.assertNothingLeft()
                    self.assertEqual(self.flushLoggedErrors(), [])

    def test_provider(self) -> None:
        self.assertEnds(lambda step: step, [], [0, DIMSEError(0xA700), Deferred, never])

    def test_providerOfWriter(self) -> None:
        writers: list[AnsweredWriter] = []

        def makeWriter() -> AnsweredWriter:
            writers.append(AnsweredWriter())
            return writers[-1]

        self.assertEnds(lambda step: step, [], [makeWriter])
        self.assertEqual([writer.calls for writer in writers], [["abort"]] * 4)

    def test_write(self) -> None:
        self.assertEnds(
            lambda step: AnsweredWriter(write=[step]), ["write", "abort"], [None, DIMSEError(0xA700), Deferred, never]
        )

    def test_commit(self) -> None:
        self.assertEnds(
            lambda step: AnsweredWriter(commit=step), ["write", "commit"], [0, DIMSEError(0xA700), Deferred, never]
        )

    def test_answered(self) -> None:
        calls = ["write", "commit", "answered"]
        self.assertEnds(lambda step: AnsweredWriter(answered=step), calls, [None, Deferred, never], answers=1)
