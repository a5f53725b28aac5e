"""
Tests of `txdicom.dimse.operation`: how one request is answered, by providers that are quick, slow, wrong or never done.

What happens when the association ends meanwhile is in ``test_operation_ends.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from tests.headvectors import cut
from tests.scripted import (
    CT,
    CT_CONTEXT,
    ECHO_CONTEXT,
    INSTANCE,
    MR,
    VERIFICATION,
    AnsweredWriter,
    ConversationTestCase,
    ScriptedProvider,
    ScriptedWriter,
    commandsIn,
    dataSet,
    later,
    message,
    pData,
    performed,
    storeRQ,
)
from txdicom.dimse.commands import CEchoRQ, CEchoRSP, CommandField, CStoreRQ, CStoreRSP, GenericCommand
from txdicom.dimse.commandsets import decodeCommand
from txdicom.errors import AssociationTimeout, DIMSEError
from txdicom.services.storage import StorageService
from txdicom.services.verification import VerificationService
from txdicom.testing import RawPeer, RecordingStore
from txdicom.upperlayer.pdu import AAbort

ECHO_OPERATION = (CommandField.C_ECHO_RQ,)
STORE = message(CT_CONTEXT, storeRQ(7))
FIRST, MIDDLE, FINAL = (pData(CT_CONTEXT, *part) for part in ((0, b"first,"), (0, b"middle,"), (2, b"final")))
WHOLE = b"first,middle,final"


async def coroutine(result: Any) -> Any:
    """Give a result, or raise it, some time later."""
    await succeed(None)
    if isinstance(result, Exception):
        raise result
    return result


def eachWay(result: Any) -> Iterator[Any]:
    """List the steps of a script that come to the same result."""
    yield result
    yield lambda: fail(result) if isinstance(result, Exception) else succeed(result)
    yield lambda: coroutine(result)


class OperationTestCase(ConversationTestCase):
    """A provider of C-STORE that follows a script, beside a real one of C-ECHO."""

    def associated(self, *results: Any, size: int | None = None, **configuration: Any) -> RawPeer:
        """Associate with an acceptor whose provider has these results."""
        self.provider = ScriptedProvider(*results)
        self.serve(VerificationService(), self.provider, **configuration)
        return self.associate(size)

    def assertLives(self, peer: RawPeer) -> None:
        """The association is still there: it answers an echo. It leaves nothing when it goes."""
        self.assertEqual(self.ask(peer, message(ECHO_CONTEXT, CEchoRQ(99))), [CEchoRSP(99, 0, VERIFICATION)])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        peer.link.lose()
        self.assertNothingLeft()


class AnswerTests(OperationTestCase):
    """Every way to give a right answer."""

    def test_statusOfProvider(self) -> None:
        """The data set is drained before the response is sent."""
        for status in eachWay(0xB000):
            peer = self.associated(status)
            self.assertEqual(peer.send(STORE, FIRST, MIDDLE), [])
            self.assertEqual(self.ask(peer, FINAL), [CStoreRSP(7, 0xB000, CT, INSTANCE)])
            self.assertLives(peer)

    def test_statusOfProviderWithoutDataSet(self) -> None:
        for status in eachWay(0x0110):
            provider = ScriptedProvider(status, operations=ECHO_OPERATION)
            self.serve(provider)
            self.assertEqual(
                self.ask(self.associate(), message(ECHO_CONTEXT, CEchoRQ(3))), [CEchoRSP(3, 0x0110, VERIFICATION)]
            )

    def test_echoOnAnyContext(self) -> None:
        """Real machines send a C-ECHO over whichever presentation context they have."""
        peer = self.associated()
        self.assertEqual(self.ask(peer, message(CT_CONTEXT, CEchoRQ(3))), [CEchoRSP(3, 0, VERIFICATION)])

    def test_echoWithDataSet(self) -> None:
        peer = self.associated()
        response = self.ask(peer, message(ECHO_CONTEXT, CEchoRQ(3, hasDataSet=True), b"no use"))
        self.assertEqual(response, [CEchoRSP(3, 0, VERIFICATION)])
        self.assertLives(peer)

    def test_writer(self) -> None:
        """Every step may give its result at once, by a Deferred, or by a coroutine."""
        for size in (None, 1, 7):
            for way in range(3):
                write, commit = (list(eachWay(result))[way] for result in (None, 0xB007))
                writer = ScriptedWriter(write=[write] * 50, commit=commit)
                peer = self.associated(list(eachWay(writer))[way], size=size)
                response = self.ask(peer, STORE, FIRST, MIDDLE, FINAL)
                self.assertEqual(response, [CStoreRSP(7, 0xB007, CT, INSTANCE)])
                self.assertEqual(writer.data, WHOLE)
                self.assertEqual((set(writer.calls[:-1]), writer.calls[-1]), ({"write"}, "commit"))
                self.assertEqual(self.provider.requests, [storeRQ(7)])
                self.assertLives(peer)

    def test_fragmentsComeAsTheyCame(self) -> None:
        """One call for each PDV that was not cut by the connection; none for an empty one."""
        writer = ScriptedWriter()
        peer = self.associated(writer)
        peer.send(STORE, FIRST, pData(CT_CONTEXT, 0, b""), MIDDLE, FINAL)
        self.assertEqual(writer.calls, ["write", "write", "write", "commit"])

    def test_writerWithoutDataSet(self) -> None:
        """A writer whose request announces no data set is committed at once."""
        writer = ScriptedWriter()
        peer = self.associated(writer)
        request = CStoreRQ(7, CT, INSTANCE, hasDataSet=False)
        self.assertEqual(self.statusesOf(self.ask(peer, message(CT_CONTEXT, request))), [(7, 0)])
        self.assertEqual(writer.calls, ["commit"])

    def test_writerOfEmptyDataSet(self) -> None:
        writer = ScriptedWriter()
        peer = self.associated(writer)
        self.assertEqual(self.statusesOf(self.ask(peer, STORE, pData(CT_CONTEXT, 2, b""))), [(7, 0)])
        self.assertEqual(writer.calls, ["commit"])

    def test_answeredIsToldOnceAfterTheResponse(self) -> None:
        for answered in eachWay(None):
            sent: list[int] = []

            def noteWhatIsSent(answered: Any = answered, sent: list[int] = sent) -> Any:
                sent.append(len(self.provider.association.protocol.transport.outgoing))
                return performed(answered)

            writer = AnsweredWriter(commit=0xB000, answered=noteWhatIsSent)
            peer = self.associated(writer)
            self.assertEqual(self.statusesOf(self.ask(peer, STORE, FINAL)), [(7, 0xB000)])
            self.assertEqual((writer.calls, writer.status, sent), (["write", "commit", "answered"], 0xB000, [1]))
            self.assertLives(peer)

    def test_answeredDelaysTheNextRequestOnly(self) -> None:
        waiting: list[Deferred[Any]] = []
        writer, next_ = AnsweredWriter(answered=later(waiting)), AnsweredWriter()
        peer = self.associated(writer, next_)
        self.assertEqual(self.statusesOf(self.ask(peer, STORE, FINAL)), [(7, 0)])
        self.assertEqual(self.ask(peer, STORE, FINAL), [])
        other = self.associate()
        self.assertEqual(self.ask(other, message(ECHO_CONTEXT, CEchoRQ(1))), [CEchoRSP(1, 0, VERIFICATION)])
        self.assertEqual(next_.calls, [])
        waiting[0].callback(None)
        self.assertEqual(self.statusesOf(self.ask(peer)), [(7, 0)])
        self.assertEqual(next_.calls, ["write", "commit", "answered"])
        other.link.lose()
        self.assertLives(peer)


class ErrorTests(OperationTestCase):
    """What a provider or writer raises becomes the status; the association lives on."""

    ERROR = DIMSEError(0xA700, "no space", (0x00080018,))

    def assertAnswered(self, result: Any, error: Exception) -> None:
        """The store is answered with this error; one that nobody expected is logged."""
        peer = self.associated(result)
        response = self.ask(peer, STORE, FIRST, MIDDLE, FINAL)
        if isinstance(error, DIMSEError):
            expected = CStoreRSP(7, error.status, CT, INSTANCE, error.comment, error.offendingElements)
        else:
            expected = CStoreRSP(7, 0x0110, CT, INSTANCE, "internal error")
            self.assertLogged(type(error))
        self.assertEqual(response, [expected])
        self.assertLives(peer)

    def test_providerFails(self) -> None:
        for error in (self.ERROR, RuntimeError("oops")):
            for step in eachWay(error):
                self.assertAnswered(step, error)

    def test_writeFails(self) -> None:
        """At the first, a middle or the last fragment: it is aborted with that error, and nothing more is written."""
        for error in (self.ERROR, RuntimeError("oops")):
            for good in (0, 1, 2):
                for step in eachWay(error):
                    writer = ScriptedWriter(write=[None] * good + [step])
                    peer = self.associated(writer)
                    response = self.ask(peer, STORE, FIRST, MIDDLE, FINAL)
                    self.assertEqual(self.statusesOf(response), [(7, getattr(error, "status", 0x0110))])
                    self.assertEqual(writer.calls, ["write"] * (good + 1) + ["abort"])
                    self.assertIs(writer.reason.value, error)
                    self.assertLogged(*([] if error is self.ERROR else [RuntimeError]))
                    self.assertLives(peer)

    def test_writeFailsLater(self) -> None:
        """The rest of the data set, which has waited, is drained then."""
        for size in (None, 1, 7):
            waiting: list[Deferred[Any]] = []
            writer = ScriptedWriter(write=[later(waiting)])
            peer = self.associated(writer, size=size)
            self.assertEqual(peer.send(STORE, FIRST, MIDDLE, FINAL), [])
            waiting[0].errback(self.ERROR)
            self.assertEqual(self.statusesOf(self.ask(peer)), [(7, 0xA700)])
            self.assertEqual(writer.calls, ["write", "abort"])
            self.assertLives(peer)

    def test_commitFails(self) -> None:
        """No abort follows: a commit cleans up itself. It is still told when the response is out."""
        for error in (self.ERROR, RuntimeError("oops")):
            for step in eachWay(error):
                writer = AnsweredWriter(commit=step)
                self.assertAnswered(writer, error)
                self.assertEqual(writer.calls[-2:], ["commit", "answered"])
                self.assertEqual(writer.status, getattr(error, "status", 0x0110))

    def test_answeredFails(self) -> None:
        """It is too late to tell the peer, so it is logged, whatever it is."""
        for error in (self.ERROR, RuntimeError("oops")):
            for step in eachWay(error):
                peer = self.associated(AnsweredWriter(answered=step))
                self.assertEqual(self.statusesOf(self.ask(peer, STORE, FINAL)), [(7, 0)])
                self.assertLogged(type(error))
                self.assertLives(peer)

    def test_abortFails(self) -> None:
        """It must not, but if it does that is logged, and the answer is what it would have been."""
        writer = ScriptedWriter(write=[self.ERROR])
        writer.abort = lambda reason: 1 / 0
        peer = self.associated(writer)
        self.assertEqual(self.statusesOf(self.ask(peer, STORE, FINAL)), [(7, 0xA700)])
        self.assertLogged(ZeroDivisionError)
        self.assertLives(peer)

    def test_statusIsForgotten(self) -> None:
        """Where a provider or commit returns None, nobody knows what it has done: that is a failure."""
        for step in eachWay(None):
            self.assertAnswered(step, TypeError())
            self.assertAnswered(ScriptedWriter(commit=step), TypeError())

    def test_statusThatCannotBeSent(self) -> None:
        """A number that is no status is a mistake of the writer's like any other: logged, and answered 0x0110."""
        for status in (0x10000, -1, True):
            for step in eachWay(status):
                self.assertAnswered(ScriptedWriter(commit=step), TypeError())


class UnprovidedTests(OperationTestCase):
    """Requests that nobody answers but the association itself."""

    def test_notOneOfTheOperations(self) -> None:
        """Every request that nobody provides is refused with 0x0211, when its data set has been drained."""
        requests = [field for field in CommandField if not field & 0x8000]
        self.assertEqual(len(requests), 12)
        for field in (*requests, 0x0002, 0x7FFE):
            if field in (CommandField.C_ECHO_RQ, CommandField.C_CANCEL_RQ):
                continue
            for data in (None, b"", bytes(1000)):
                self.serve(VerificationService())
                peer = self.associate(None if field & 1 else 7)
                # The one that is sent tells the affected, or else the requested SOP class and instance.
                named = {0x0003: MR, 0x1001: "1.2.3"} if field & 0x0100 else {0x0002: MR, 0x1000: "1.2.3"}
                command = GenericCommand(field, {**named, 0x0110: 5, 0x0800: 0x0101 if data is None else 0})
                (pdu,) = peer.send(message(ECHO_CONTEXT, command, data, 100))
                response = decodeCommand(pdu.pdvs[0].data)
                self.assertEqual((response.commandField, response.status), (field | 0x8000, 0x0211))
                self.assertEqual(response.messageIDBeingRespondedTo, 5)
                self.assertEqual((response.affectedSOPClassUID, response.affectedSOPInstanceUID), (MR, "1.2.3"))
                self.assertFalse(response.hasDataSet)
                self.assertLives(peer)

    def test_notOneOfTheSOPClasses(self) -> None:
        recording = RecordingStore()
        self.serve(VerificationService(), StorageService(recording, [CT]))
        peer = self.associate()
        for request in (storeRQ(7, MR), storeRQ(8, ""), storeRQ(9, "../x")):
            (response,) = self.ask(peer, message(CT_CONTEXT, request, dataSet(sopClass=MR)))
            self.assertEqual(self.statusesOf([response]), [(request.messageID, 0x0122)])
        self.assertEqual(recording.stored, [])
        self.assertLives(peer)


class WaitingTests(OperationTestCase):
    """Results that come later: who waits for them, and who does not."""

    def test_writePausesThisAssociationOnly(self) -> None:
        """What comes meanwhile stays where it is, but for the piece that has been read already."""
        for size in (1000, 7):
            waiting: list[Deferred[Any]] = []
            writer = ScriptedWriter(write=[later(waiting)] * 2)
            peer = self.associated(writer, size=size)
            pieces = b"".join(pData(CT_CONTEXT, 0, bytes([n]) * 100) for n in range(200))
            self.assertEqual(peer.send(STORE, FIRST, pieces, FINAL), [])
            undelivered = sum(map(len, peer.link.client.outgoing))
            self.assertTrue(peer.link.server.paused)
            self.assertGreater(undelivered, len(pieces) - 2 * size)
            self.assertEqual(writer.calls, ["write"])

            other = self.associate()
            self.assertEqual(self.ask(other, message(ECHO_CONTEXT, CEchoRQ(1))), [CEchoRSP(1, 0, VERIFICATION)])
            other.link.lose()

            waiting[0].callback(None)
            peer.link.flush()
            self.assertEqual(writer.calls, ["write"] * 2)
            self.assertTrue(peer.link.server.paused)
            waiting[1].callback(None)
            self.assertEqual(self.statusesOf(self.ask(peer)), [(7, 0)])
            self.assertFalse(peer.link.server.paused)
            self.assertEqual(writer.data, b"first," + b"".join(bytes([n]) * 100 for n in range(200)) + b"final")
            self.assertLives(peer)

    def test_transportIsPausedOnlyWhenBytesCome(self) -> None:
        """A paused TCP transport does not notice that its peer has gone; one that waits for nothing does."""
        waiting: list[Deferred[Any]] = []
        writer = ScriptedWriter(write=[later(waiting)])
        peer = self.associated(writer)
        peer.send(STORE, FIRST)
        self.assertFalse(peer.link.server.paused)
        peer.send(MIDDLE)
        self.assertTrue(peer.link.server.paused)
        self.assertEqual(writer.calls, ["write"])

    def test_everyWriteWaits(self) -> None:
        """What each read has brought goes on in order, each after that before it was written."""
        for size in (None, 1, 7):
            waiting: list[Deferred[Any]] = []
            writer = ScriptedWriter(write=[later(waiting)] * len(WHOLE))
            peer = self.associated(writer, size=size)
            peer.send(STORE + FIRST + MIDDLE + FINAL)
            done = 0
            while done < len(waiting):
                self.assertEqual(len(waiting), done + 1)
                self.assertEqual(writer.data, WHOLE[: len(writer.data)])
                self.assertEqual(peer.takePDUs(), [])
                waiting[done].callback(None)
                peer.link.flush()
                done += 1
            self.assertEqual(done, {None: 2, 1: len(WHOLE)}.get(size, done))
            self.assertEqual(self.statusesOf(self.ask(peer)), [(7, 0)])
            self.assertEqual(writer.data, WHOLE)
            self.assertLives(peer)

    def test_commitWaitsForTheLastWrite(self) -> None:
        waiting: list[Deferred[Any]] = []
        writer = ScriptedWriter(write=[None, later(waiting)], commit=later(waiting))
        peer = self.associated(writer)
        self.assertEqual(peer.send(STORE, FIRST, FINAL), [])
        self.assertEqual(writer.calls, ["write", "write"])
        waiting[0].callback(None)
        self.assertEqual(peer.send(), [])
        self.assertEqual(writer.calls, ["write", "write", "commit"])
        waiting[1].callback(0)
        self.assertEqual(self.statusesOf(self.ask(peer)), [(7, 0)])
        self.assertLives(peer)

    def test_providerWaitsWithTheDataSetOnTheWire(self) -> None:
        """Nothing of it is lost, nothing comes before the provider has a writer."""
        for size in (None, 1, 7):
            waiting: list[Deferred[Any]] = []
            writer = ScriptedWriter()
            peer = self.associated(later(waiting), size=size)
            for data in cut(STORE + FIRST + MIDDLE + FINAL, [50, 50]):
                self.assertEqual(peer.send(data), [])
            self.assertTrue(peer.link.server.paused)
            waiting[0].callback(writer)
            self.assertEqual(self.statusesOf(self.ask(peer)), [(7, 0)])
            self.assertEqual((writer.data, writer.calls[-1]), (WHOLE, "commit"))
            self.assertLives(peer)

    def test_providerWaitsWithoutDataSet(self) -> None:
        waiting: list[Deferred[Any]] = []
        self.serve(ScriptedProvider(later(waiting), operations=ECHO_OPERATION))
        peer = self.associate()
        self.assertEqual(peer.send(message(ECHO_CONTEXT, CEchoRQ(1))), [])
        waiting[0].errback(DIMSEError(0x0212))
        self.assertEqual(self.statusesOf(commandsIn(peer.send())), [(1, 0x0212)])

    def test_waitingTooLong(self) -> None:
        """Whatever is waited for, the association is aborted when its time is over, and the writer is told once."""
        cases: list[tuple[Callable[[Any], Any], list[str]]] = [
            (lambda never: never, []),
            (lambda never: ScriptedWriter(write=[never]), ["write", "abort"]),
            (lambda never: ScriptedWriter(write=[None, never]), ["write", "write", "abort"]),
            (lambda never: ScriptedWriter(commit=never), ["write", "write", "commit"]),
            (lambda never: AnsweredWriter(answered=never), ["write", "write", "commit", "answered"]),
        ]
        for make, calls in cases:
            made = make(Deferred)
            peer = self.associated(made, providerTimeout=20)
            answers = peer.send(STORE, FIRST, FINAL)
            self.assertEqual(len(answers), 1 if "answered" in calls else 0)
            self.clock.advance(19.9)
            self.assertEqual(peer.send(), [])
            ended = self.provider.association.whenEnded()
            self.clock.advance(0.1)
            self.successResultOf(ended)
            self.assertEqual(peer.send(), [AAbort(0, 0)])
            self.assertEqual(getattr(made, "calls", []), calls)
            if "abort" in calls:
                self.assertIsInstance(made.reason.value, AssociationTimeout)
            peer.link.lose()
            self.assertNothingLeft()

    def test_everyWaitHasItsOwnTime(self) -> None:
        waiting: list[Deferred[Any]] = []
        writer = AnsweredWriter(write=[later(waiting)] * 2, commit=later(waiting), answered=later(waiting))
        peer = self.associated(later(waiting), providerTimeout=20)
        peer.send(STORE, FIRST, FINAL)
        for result in (writer, None, None, 0, None):
            self.clock.advance(19.9)
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
            waiting.pop().callback(result)
            peer.link.flush()
        self.assertEqual(writer.calls, ["write", "write", "commit", "answered"])
        self.assertEqual(self.statusesOf(self.ask(peer)), [(7, 0)])
        self.assertLives(peer)
