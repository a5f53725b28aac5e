"""
Tests of `txdicom.dimse.association`: whole conversations, requests that queue, violations and releases.

How one request is answered, and what may go wrong on the way, is in ``test_operation.py``; what concerns our own
requests is in ``test_requestor.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred

from tests.headvectors import EXPLICIT_LITTLE, SYNTAXES
from tests.scripted import (
    CT,
    CT_CONTEXT,
    ECHO_CONTEXT,
    INSTANCE,
    MR,
    MR_CONTEXT,
    PROPOSED,
    VERIFICATION,
    AnsweredWriter,
    ConversationTestCase,
    ScriptedProvider,
    commandsIn,
    dataSet,
    later,
    message,
    pData,
    storeRQ,
)
from txdicom.dimse.commands import CCancelRQ, CEchoRQ, CEchoRSP, CommandField, CStoreRSP
from txdicom.dimse.commandsets import decodeCommand, encodeCommand
from txdicom.errors import MessageError
from txdicom.services.storage import StorageService, store
from txdicom.services.verification import VerificationService, echo
from txdicom.testing import RecordingStore, associateRQ, connectInMemory, requestor
from txdicom.upperlayer.items import UserInformation
from txdicom.upperlayer.pdu import AAbort, AReleaseRP, AReleaseRQ

ECHO_OPERATION = (CommandField.C_ECHO_RQ,)


class ConversationTests(ConversationTestCase):
    """A real requestor and a real acceptor, their bytes delivered in pieces of several sizes."""

    def setUp(self) -> None:
        super().setUp()
        self.store = RecordingStore()
        self.serve(VerificationService(), StorageService(self.store))

    def test_echo(self) -> None:
        for size in (None, 1, 7):
            association = requestor(self.clock)
            link = connectInMemory(self.factory, association, size)
            for messageID in (1, 2):
                answer = echo(association)
                link.flush()
                self.assertEqual(self.successResultOf(answer), CEchoRSP(messageID, 0, VERIFICATION))
            released = association.release()
            link.flush()
            self.successResultOf(released)
            self.assertFalse(link.connected)
            self.assertNothingLeft()

    def test_store(self) -> None:
        """Data sets arrive as they were sent, also such as need many PDUs, or none but their head."""
        for size in (None, 1, 7):
            for syntax in SYNTAXES:
                self.store.stored.clear()
                association = requestor(self.clock, associateRQ({CT: [syntax]}))
                link = connectInMemory(self.factory, association, size)
                sent = [dataSet(syntax), dataSet(syntax, rest=bytes(range(256)) * 150), dataSet(syntax)]
                for data in sent:
                    answer = store(association, CT, INSTANCE, syntax, data)
                    link.flush()
                    response = self.successResultOf(answer)
                    self.assertEqual(response, CStoreRSP(response.messageIDBeingRespondedTo, 0, CT, INSTANCE))
                self.assertEqual([record.dataSet for record in self.store.stored], sent)
                self.assertEqual([record.outcome for record in self.store.stored], ["committed"] * 3)
                association.release()
                link.flush()
                self.assertNothingLeft()

    def test_echoAndStoreOnOneAssociation(self) -> None:
        association = requestor(self.clock, associateRQ(PROPOSED))
        link = connectInMemory(self.factory, association)
        answers: list[Deferred[Any]] = []
        for _ in range(3):
            answers += [echo(association), store(association, CT, INSTANCE, EXPLICIT_LITTLE, dataSet())]
        link.flush()
        responses = [self.successResultOf(answer) for answer in answers]
        self.assertEqual(self.statusesOf(responses), [(n, 0) for n in range(1, 7)])
        self.assertEqual([type(response) for response in responses], [CEchoRSP, CStoreRSP] * 3)

    def test_titlesAndPeerAreKnown(self) -> None:
        request = associateRQ({CT: [EXPLICIT_LITTLE]}, calledAETitle="STORE", callingAETitle="  CT SCANNER")
        association = requestor(self.clock, request)
        connectInMemory(self.factory, association)
        (acceptor,) = self.factory.associations
        for side in (association, acceptor):
            self.assertEqual((side.calledAETitle, side.callingAETitle), ("STORE", "CT SCANNER"))
            self.assertEqual([context.abstractSyntax for context in side.contexts.values()], [CT])
        self.assertEqual(acceptor.peer, IPv4Address("TCP", "127.0.0.1", 50000))

    def test_maximumFragmentLengthIsThePeers(self) -> None:
        for announced, length in ((None, 16378), (0, 0), (8, 2), (131072, 131066)):
            peer = self.associate(request=associateRQ(userInformation=UserInformation(maximumLength=announced)))
            (acceptor,) = self.factory.associations
            self.assertEqual(acceptor.maximumFragmentLength, length)
            peer.link.lose()

    def test_responseRespectsThePeersMaximumLength(self) -> None:
        """The smallest length that a peer may announce leaves two bytes for each fragment."""
        peer = self.associate(request=associateRQ(userInformation=UserInformation(maximumLength=8)))
        pdvs = [pdv for pdu in peer.send(message(ECHO_CONTEXT, CEchoRQ(1))) for pdv in pdu.pdvs]
        self.assertEqual({len(pdv.data) for pdv in pdvs}, {2})
        self.assertEqual({pdv.control for pdv in pdvs[:-1]}, {1})
        self.assertEqual(pdvs[-1].control, 3)
        self.assertEqual(decodeCommand(b"".join(pdv.data for pdv in pdvs)), CEchoRSP(1, 0, VERIFICATION))


class QueueTests(ConversationTestCase):
    """A peer that does not wait for the response to one request before it sends the next."""

    def test_requestsSentAtOnceAreAnsweredInOrder(self) -> None:
        recording = RecordingStore()
        self.serve(VerificationService(), StorageService(recording))
        requests, expected = b"", []
        for messageID in range(1, 40, 3):
            requests += message(ECHO_CONTEXT, CEchoRQ(messageID))
            requests += message(CT_CONTEXT, storeRQ(messageID + 1), dataSet(), 60)
            requests += message(MR_CONTEXT, storeRQ(messageID + 2, MR), dataSet(sopClass=MR))
            expected += [(messageID + n, 0) for n in range(3)]
        for size in (None, 1, 7):
            peer = self.associate(size)
            self.assertEqual(self.statusesOf(self.ask(peer, requests)), expected)
            peer.link.lose()
        self.assertEqual({record.outcome for record in recording.stored}, {"committed"})
        self.assertEqual({record.dataSet for record in recording.stored}, {dataSet(), dataSet(sopClass=MR)})

    def test_eachWaitsForTheOneBefore(self) -> None:
        """The provider has one request at a time; the bytes behind the second are not read meanwhile."""
        for size in (None, 1, 7):
            waiting: list[Deferred[Any]] = []
            provider = ScriptedProvider(*[later(waiting)] * 4, operations=ECHO_OPERATION)
            self.serve(provider)
            peer = self.associate(size)
            requests = [message(ECHO_CONTEXT, CEchoRQ(n)) for n in (1, 2, 3, 4)]
            self.assertEqual(peer.send(*requests), [])
            self.assertTrue(peer.link.server.paused)
            for n in (1, 2, 3, 4):
                self.assertEqual(len(provider.requests), n)
                waiting[n - 1].callback(n)
                peer.link.flush()
                self.assertEqual(self.statusesOf(commandsIn(peer.takePDUs())), [(n, n)])
            self.assertFalse(peer.link.server.paused)
            peer.link.lose()
            self.assertNothingLeft()

    def test_oneRequestMayWaitWithoutPause(self) -> None:
        """Reading goes on while one request is answered, until there is another: so a lost connection is noticed."""
        waiting: list[Deferred[Any]] = []
        self.serve(ScriptedProvider(*[later(waiting)] * 2, operations=ECHO_OPERATION))
        peer = self.associate()
        peer.send(message(ECHO_CONTEXT, CEchoRQ(1)))
        self.assertFalse(peer.link.server.paused)
        peer.send(message(ECHO_CONTEXT, CEchoRQ(2)))
        self.assertFalse(peer.link.server.paused)
        peer.send(message(ECHO_CONTEXT, CEchoRQ(3)))
        self.assertTrue(peer.link.server.paused)

    def test_queuedRequestIsForgottenWithTheAssociation(self) -> None:
        waiting: list[Deferred[Any]] = []
        provider = ScriptedProvider(later(waiting), operations=ECHO_OPERATION)
        self.serve(provider)
        peer = self.associate()
        peer.send(message(ECHO_CONTEXT, CEchoRQ(1)) + message(ECHO_CONTEXT, CEchoRQ(2)))
        peer.link.lose()
        waiting[0].callback(0)
        self.assertEqual(len(provider.requests), 1)
        self.assertNothingLeft()

    def test_queuedRequestWithDataSet(self) -> None:
        """The data set of a request that waits is read when its turn has come."""
        waiting: list[Deferred[Any]] = []
        operations = (CommandField.C_ECHO_RQ, CommandField.C_STORE_RQ)
        for size in (None, 1, 7):
            writer = AnsweredWriter()
            provider = ScriptedProvider(later(waiting), writer, operations=operations)
            self.serve(provider)
            peer = self.associate(size)
            echoed, stored = message(ECHO_CONTEXT, CEchoRQ(1)), message(CT_CONTEXT, storeRQ(2), bytes(100), 40)
            self.assertEqual(peer.send(echoed, stored), [])
            self.assertEqual((len(provider.requests), writer.calls), (1, []))
            waiting.pop().callback(0)
            self.assertEqual(self.statusesOf(self.ask(peer)), [(1, 0), (2, 0)])
            self.assertEqual((writer.data, writer.calls[-2:]), (bytes(100), ["commit", "answered"]))

    def test_cancelIsIgnored(self) -> None:
        """Nothing that is provided can be cancelled, and nothing answers a C-CANCEL (PS3.7 9.3.2.3)."""
        waiting: list[Deferred[Any]] = []
        self.serve(ScriptedProvider(later(waiting), operations=ECHO_OPERATION))
        peer = self.associate()
        cancel = message(ECHO_CONTEXT, CCancelRQ(1))
        self.assertEqual(peer.send(cancel, message(ECHO_CONTEXT, CEchoRQ(1)), cancel), [])
        waiting[0].callback(0)
        self.assertEqual(self.statusesOf(self.ask(peer, cancel)), [(1, 0)])

    def test_cancelWithDataSetIsDrained(self) -> None:
        """It is nobody's, least of all that of the operation before."""
        self.serve(VerificationService())
        peer = self.associate()
        cancel = message(ECHO_CONTEXT, CCancelRQ(9, hasDataSet=True), b"abc")
        echoes = [message(ECHO_CONTEXT, CEchoRQ(n)) for n in (1, 2)]
        self.assertEqual(self.statusesOf(self.ask(peer, cancel, echoes[0], cancel, echoes[1])), [(1, 0), (2, 0)])


class ViolationTests(ConversationTestCase):
    """Messages that nobody can answer end the association."""

    def setUp(self) -> None:
        super().setUp()
        self.store = RecordingStore()
        self.serve(VerificationService(), StorageService(self.store))

    def assertAborts(self, abort: AAbort, *data: bytes) -> None:
        """The last of these PDUs is answered with an abort, the others with nothing that is wrong."""
        for size in (None, 1, 7):
            peer = self.associate(size)
            self.assertEqual(peer.send(*data), [abort])
            peer.link.lose()
            self.assertNothingLeft()
            self.assertEqual([record.outcome for record in self.store.stored if record.outcome == "open"], [])

    def test_contextThatWasNotAccepted(self) -> None:
        """Be it one that was never proposed, refused, or even."""
        self.serve(VerificationService())
        for contextID in (CT_CONTEXT, 0, 2, 77, 255):
            self.assertAborts(AAbort(2, 6), message(contextID, CEchoRQ(1)))

    def test_responseThatNobodyAskedFor(self) -> None:
        self.assertAborts(AAbort(0, 0), message(ECHO_CONTEXT, CEchoRSP(1, 0, VERIFICATION)))

    def test_dataSetThatNoCommandAnnounced(self) -> None:
        self.assertAborts(AAbort(0, 0), pData(CT_CONTEXT, 2, dataSet()))

    def test_undecodableCommand(self) -> None:
        self.assertAborts(AAbort(0, 0), pData(ECHO_CONTEXT, 3, b"nonsense"))

    def test_commandWithinDataSet(self) -> None:
        begun = message(CT_CONTEXT, storeRQ()) + pData(CT_CONTEXT, 0, dataSet())
        self.assertAborts(AAbort(0, 0), begun, message(CT_CONTEXT, storeRQ()))
        self.assertEqual([record.outcome for record in self.store.stored], ["aborted"] * 3)

    def test_dataSetOnAnotherContext(self) -> None:
        begun = message(CT_CONTEXT, storeRQ()) + pData(CT_CONTEXT, 0, dataSet())
        self.assertAborts(AAbort(0, 0), begun, pData(MR_CONTEXT, 2, b"more"))
        self.assertEqual([record.outcome for record in self.store.stored], ["aborted"] * 3)

    def test_commandSetBeyondTheBound(self) -> None:
        self.serve(VerificationService(), maximumCommandLength=1000)
        self.assertAborts(AAbort(0, 0), *[pData(ECHO_CONTEXT, 1, bytes(100))] * 11)

    def test_nothingBehindIsRead(self) -> None:
        """What comes behind the mistake is not looked at, even if it is a request."""
        peer = self.associate()
        self.assertEqual(peer.send(pData(ECHO_CONTEXT, 2, b"abc") + message(ECHO_CONTEXT, CEchoRQ(1))), [AAbort(0, 0)])
        self.assertEqual(peer.send(message(ECHO_CONTEXT, CEchoRQ(1))), [])


class ReleaseTests(ConversationTestCase):
    """The orderly end."""

    def test_idleAssociation(self) -> None:
        self.serve(VerificationService())
        for size in (None, 1):
            peer = self.associate(size)
            self.assertEqual(peer.send(AReleaseRQ()), [AReleaseRP()])
            self.assertEqual(self.factory.associations, set())
            peer.link.lose()
            self.assertNothingLeft()

    def test_answeredAfterTheOperation(self) -> None:
        waiting: list[Deferred[Any]] = []
        self.serve(ScriptedProvider(later(waiting), operations=ECHO_OPERATION))
        peer = self.associate()
        self.assertEqual(peer.send(message(ECHO_CONTEXT, CEchoRQ(1)), AReleaseRQ()), [])
        waiting[0].callback(0)
        response, released = peer.send()
        self.assertEqual(self.statusesOf(commandsIn([response])), [(1, 0)])
        self.assertEqual(released, AReleaseRP())

    def test_answeredAfterAllQueuedOperations(self) -> None:
        waiting: list[Deferred[Any]] = []
        self.serve(ScriptedProvider(*[later(waiting)] * 2, operations=ECHO_OPERATION))
        peer = self.associate()
        peer.send(message(ECHO_CONTEXT, CEchoRQ(1)) + message(ECHO_CONTEXT, CEchoRQ(2)), AReleaseRQ())
        waiting[0].callback(0)
        self.assertEqual(len(peer.send()), 1)
        waiting[1].callback(0)
        response, released = peer.send()
        self.assertEqual((self.statusesOf(commandsIn([response])), released), ([(2, 0)], AReleaseRP()))

    def test_answeredAfterTheWriterWasTold(self) -> None:
        waiting: list[Deferred[Any]] = []
        writer = AnsweredWriter(answered=later(waiting))
        self.serve(ScriptedProvider(writer))
        peer = self.associate()
        self.assertEqual(len(peer.send(message(CT_CONTEXT, storeRQ(), dataSet()), AReleaseRQ())), 1)
        waiting[0].callback(None)
        self.assertEqual(peer.send(), [AReleaseRP()])

    def test_associationEndsBeforeTheAnswer(self) -> None:
        """A release that waits for an operation is forgotten with it."""
        ends: list[tuple[Callable[[Any], Any], list[AAbort]]] = [
            (lambda peer: peer.link.lose(), []),
            (lambda peer: peer.send(AAbort(0, 0)), []),
            (lambda peer: peer.send(message(ECHO_CONTEXT, CEchoRQ(2))), [AAbort(2, 2)]),
            (lambda peer: peer.send(AReleaseRQ()), [AAbort(2, 2)]),
            (lambda peer: self.clock.advance(300), [AAbort(0, 0)]),
        ]
        for end, sent in ends:
            waiting: list[Deferred[Any]] = []
            self.serve(ScriptedProvider(later(waiting), operations=ECHO_OPERATION))
            peer = self.associate()
            self.assertEqual(peer.send(message(ECHO_CONTEXT, CEchoRQ(1)), AReleaseRQ()), [])
            self.assertEqual([*(end(peer) or ()), *peer.send()], sent)
            waiting[0].callback(0)
            self.assertEqual(peer.send(), [])
            peer.link.lose()
            self.assertNothingLeft()

    def test_withinMessageIsAnError(self) -> None:
        """What was announced cannot come any more, so there is nothing to wait for."""
        recording = RecordingStore()
        self.serve(StorageService(recording))
        command = encodeCommand(storeRQ())
        for begun in (
            pData(CT_CONTEXT, 1, command[:20]),
            message(CT_CONTEXT, storeRQ()),
            message(CT_CONTEXT, storeRQ()) + pData(CT_CONTEXT, 0, dataSet()),
        ):
            peer = self.associate()
            self.assertEqual(peer.send(begun, AReleaseRQ()), [AAbort(0, 0)])
            peer.link.lose()
            self.assertNothingLeft()
        (record,) = recording.stored
        self.assertEqual(record.outcome, "aborted")
        self.assertIsInstance(record.reason.value, MessageError)

    def test_acceptorReleases(self) -> None:
        self.serve(VerificationService())
        association = requestor(self.clock)
        link = connectInMemory(self.factory, association)
        (acceptor,) = self.factory.associations
        ended = [acceptor.release(), association.whenEnded()]
        link.flush()
        self.assertEqual([self.successResultOf(end) for end in ended], [None, None])
        self.assertFalse(link.connected)
        self.assertNothingLeft()

    def test_bothReleaseAtOnce(self) -> None:
        self.serve(VerificationService())
        for size in (None, 1):
            association = requestor(self.clock)
            link = connectInMemory(self.factory, association, size)
            (acceptor,) = self.factory.associations
            ended = [association.release(), acceptor.release()]
            link.flush()
            self.assertEqual([self.successResultOf(end) for end in ended], [None, None])
            self.assertFalse(link.connected)
            self.assertNothingLeft()

    def test_responsesStillComeWhileReleasing(self) -> None:
        """A requestor that releases before its answer is there gets the answer all the same (PS3.8, AR-6)."""
        waiting: list[Deferred[Any]] = []
        self.serve(ScriptedProvider(later(waiting), operations=ECHO_OPERATION))
        association = requestor(self.clock)
        link = connectInMemory(self.factory, association)
        answer, ended = echo(association), association.release()
        link.flush()
        self.assertNoResult(ended)
        waiting[0].callback(0)
        link.flush()
        self.assertEqual(self.successResultOf(answer).status, 0)
        self.successResultOf(ended)
        self.assertNothingLeft()
