"""
Tests of `txdicom.dimse.association` as its own user sees it: requests that we make, and how it all begins and ends.

The acceptor here is mostly a raw peer, which answers what a test wants it to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.headvectors import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from tests.scripted import (
    CT,
    ECHO_CONTEXT,
    INSTANCE,
    MR,
    VERIFICATION,
    RecordingObserver,
    commandsIn,
    dataSet,
    message,
)
from txdicom.configuration import Configuration
from txdicom.dimse.association import Association
from txdicom.dimse.commands import CEchoRQ, CEchoRSP, CommandField, CStoreRQ, CStoreRSP, GenericCommand
from txdicom.dimse.dispatch import ServiceTable
from txdicom.errors import (
    AssociationAborted,
    AssociationLost,
    AssociationRejected,
    AssociationTimeout,
    LocalProtocolError,
    MessageError,
    PDUError,
)
from txdicom.services.storage import store
from txdicom.services.verification import echo
from txdicom.testing import MemoryLink, RawPeer, associateRQ, requestor
from txdicom.upperlayer.items import ContextResult, PresentationContextAC, UserInformation
from txdicom.upperlayer.pdu import (
    AAbort,
    AAssociateAC,
    AAssociateRJ,
    AAssociateRQ,
    AReleaseRP,
    AReleaseRQ,
)
from txdicom.upperlayer.protocol import UpperLayerProtocol

PROPOSED: Mapping[str, list[str]] = {VERIFICATION: [EXPLICIT_LITTLE], CT: [IMPLICIT_LITTLE, EXPLICIT_LITTLE]}
REJECTION = AAssociateRJ(1, 1, 3)


def acceptance(maximumLength: int | None = 16384, answers: Mapping[int, tuple[int, str]] | None = None) -> AAssociateAC:
    """Build the answer to an association with `PROPOSED`; contexts are accepted unless the test has other answers."""
    answers = answers or {
        1: (ContextResult.ACCEPTANCE, EXPLICIT_LITTLE),
        3: (ContextResult.ACCEPTANCE, EXPLICIT_LITTLE),
    }
    contexts = tuple(PresentationContextAC(contextID, *answer) for contextID, answer in answers.items())
    return AAssociateAC("STORESCP", "STORESCU", contexts, UserInformation(maximumLength=maximumLength))


class RequestorTestCase(SynchronousTestCase):
    """
    A requestor's association, connected to a raw acceptor.

    :ivar association: has been requested when a test begins.
    """

    peer: Any = None

    def setUp(self) -> None:
        """Connect."""
        self.clock = Clock()
        self.request(requestor(self.clock, associateRQ(PROPOSED)))

    def request(self, association: Association) -> None:
        """Connect an association to a new peer, instead of the one before."""
        if self.peer is not None:
            self.peer.link.lose()
        self.association = association
        self.peer = RawPeer()
        address = IPv4Address("TCP", "127.0.0.1", 50000)
        self.peer.link = MemoryLink(association.protocol, self.peer, address)
        self.peer.link.flush()
        (request,) = self.peer.takePDUs()
        self.assertIsInstance(request, AAssociateRQ)

    def establish(self, **answer: Any) -> None:
        """Accept the association."""
        self.assertEqual(self.peer.send(acceptance(**answer)), [])

    def assertOver(self) -> None:
        """The connection is closed and no timer runs."""
        self.assertFalse(self.peer.link.connected)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class BeginningTests(RequestorTestCase):
    """From connection to association."""

    def test_whenEstablished(self) -> None:
        """It fires with the association: then, or at once for those who ask later."""
        early = [self.association.whenEstablished(), self.association.whenEstablished()]
        for waiting in early:
            self.assertNoResult(waiting)
        self.establish()
        for waiting in [*early, self.association.whenEstablished()]:
            self.assertIs(self.successResultOf(waiting), self.association)

    def test_contextsAreThoseAccepted(self) -> None:
        """Not those that were refused, never proposed, or accepted with a syntax that was not proposed."""
        self.assertEqual(self.association.contexts, {})
        self.establish(
            answers={
                1: (ContextResult.ACCEPTANCE, IMPLICIT_LITTLE),
                3: (ContextResult.ACCEPTANCE, EXPLICIT_LITTLE),
                5: (ContextResult.ACCEPTANCE, EXPLICIT_LITTLE),
            }
        )
        self.assertEqual(list(self.association.contexts), [3])
        context = self.association.contextFor(CT)
        self.assertEqual((context.contextID, context.transferSyntax), (3, EXPLICIT_LITTLE))
        self.assertIs(self.association.contextFor(CT, EXPLICIT_LITTLE), context)
        self.assertRaises(LocalProtocolError, self.association.contextFor, CT, IMPLICIT_LITTLE)
        self.assertRaises(LocalProtocolError, self.association.contextFor, VERIFICATION)
        self.assertRaises(LocalProtocolError, self.association.contextFor, MR)
        self.assertRaises(LocalProtocolError, echo, self.association)
        self.assertRaises(
            LocalProtocolError, store, self.association, CT, INSTANCE, IMPLICIT_LITTLE, dataSet(IMPLICIT_LITTLE)
        )

    def test_rejected(self) -> None:
        early = self.association.whenEstablished()
        self.peer.send(REJECTION)
        for waiting in (early, self.association.whenEstablished()):
            error = self.failureResultOf(waiting, AssociationRejected).value
            self.assertEqual((error.result, error.source, error.reason), (1, 1, 3))
        self.successResultOf(self.association.whenEnded())
        self.assertOver()

    def test_connectionLostBefore(self) -> None:
        early = self.association.whenEstablished()
        self.peer.link.lose()
        self.failureResultOf(early, AssociationLost)
        self.failureResultOf(self.association.whenEstablished(), AssociationLost)
        self.assertOver()

    def test_answerThatDoesNotCome(self) -> None:
        early = self.association.whenEstablished()
        self.clock.advance(30)
        self.failureResultOf(early, AssociationTimeout)
        self.assertEqual(self.peer.send(), [AAbort(0, 0)])

    def test_maximumLengthWithoutRoomForData(self) -> None:
        """An acceptor that takes less than eight bytes at a time could be sent nothing at all (PS3.8 D.1.1)."""
        for length in (1, 5, 6, 7):
            self.request(requestor(self.clock, associateRQ(PROPOSED)))
            early = self.association.whenEstablished()
            self.assertEqual(self.peer.send(acceptance(length)), [AAbort(2, 6)])
            self.failureResultOf(early, PDUError)
            self.assertRaises(LocalProtocolError, self.association.requests.send, None, CEchoRQ(1))

    def test_smallestMaximumLength(self) -> None:
        self.establish(maximumLength=8)
        self.assertEqual(self.association.maximumFragmentLength, 2)
        echo(self.association)
        self.assertEqual({len(pdu.pdvs[0].data) for pdu in self.peer.send()}, {2})

    def test_maximumLengthThatIsNotAnnounced(self) -> None:
        """A data set is then cut as for a peer of 16 KiB."""
        self.establish(maximumLength=None)
        store(self.association, CT, INSTANCE, EXPLICIT_LITTLE, bytes(20000))
        self.assertEqual([len(pdu.pdvs[0].data) for pdu in self.peer.send()][1:], [16378, 20000 - 16378])


class RequestTests(RequestorTestCase):
    """Our requests and their responses."""

    def test_requestsAreSentAsTheyAre(self) -> None:
        self.establish()
        echo(self.association)
        store(self.association, CT, INSTANCE, EXPLICIT_LITTLE, dataSet())
        echoed, stored, data = self.peer.send()
        self.assertEqual(commandsIn([echoed, stored]), [CEchoRQ(1), CStoreRQ(2, CT, INSTANCE)])
        (pdv,) = data.pdvs
        self.assertEqual((pdv.contextID, pdv.control, pdv.data), (3, 2, dataSet()))

    def test_responsesAreMatchedByMessageID(self) -> None:
        self.establish()
        first, second = echo(self.association), echo(self.association)
        self.peer.send(message(ECHO_CONTEXT, CEchoRSP(2, 0x0110, VERIFICATION)))
        self.assertEqual(self.successResultOf(second).status, 0x0110)
        self.assertNoResult(first)
        self.peer.send(message(ECHO_CONTEXT, CEchoRSP(1, 0, VERIFICATION)))
        self.assertEqual(self.successResultOf(first).status, 0)

    def test_dataSetOfResponseIsDrained(self) -> None:
        self.establish()
        first, second = echo(self.association), echo(self.association)
        response = GenericCommand(CommandField.C_FIND_RSP, {0x0120: 1, 0x0800: 0, 0x0900: 0xFF00})
        self.peer.send(message(ECHO_CONTEXT, response, b"abc"), message(ECHO_CONTEXT, CEchoRSP(2, 0, VERIFICATION)))
        self.assertEqual(self.successResultOf(first).status, 0xFF00)
        self.assertEqual(self.successResultOf(second).status, 0)

    def test_responseThatNobodyAskedFor(self) -> None:
        """Also one that has come already."""
        self.establish()
        answer = echo(self.association)
        response = message(ECHO_CONTEXT, CEchoRSP(1, 0, VERIFICATION))
        self.assertEqual(commandsIn(self.peer.send(response)), [CEchoRQ(1)])
        self.successResultOf(answer)
        self.assertEqual(self.peer.send(response), [AAbort(0, 0)])

    def test_requestsErrWhenTheAssociationEnds(self) -> None:
        def timeOut() -> None:
            self.association.release()
            self.clock.advance(30)

        ends: list[tuple[Callable[[], object], type[Exception]]] = [
            (lambda: self.peer.link.lose(), AssociationLost),
            (lambda: self.peer.send(AAbort(0, 0)), AssociationAborted),
            (lambda: self.association.abort(), AssociationAborted),
            (lambda: self.peer.send(b"\xff" * 6), PDUError),
            (lambda: self.peer.send(message(ECHO_CONTEXT, CEchoRSP(9, 0, VERIFICATION))), MessageError),
            (timeOut, AssociationTimeout),
        ]
        for end, error in ends:
            self.request(requestor(self.clock, associateRQ(PROPOSED)))
            self.establish()
            answers = [echo(self.association), store(self.association, CT, INSTANCE, EXPLICIT_LITTLE, dataSet())]
            end()
            for answer in answers:
                self.failureResultOf(answer, error)
            self.assertRaises(LocalProtocolError, echo, self.association)
            self.peer.link.lose()
            self.assertOver()

    def test_requestBeforeAndAfterTheAssociation(self) -> None:
        """It is refused at once instead of never being answered."""
        self.assertRaises(LocalProtocolError, self.association.contextFor, VERIFICATION)
        self.establish()
        context = self.association.contextFor(VERIFICATION)
        self.association.abort()
        self.assertRaises(LocalProtocolError, self.association.requests.send, context, CEchoRQ(1))
        unconnected = requestor(self.clock)
        self.assertRaises(LocalProtocolError, unconnected.requests.send, context, CEchoRQ(1))

    def test_requestAfterThePeerDidNotRead(self) -> None:
        """The association is over before the connection is, and whoever asks again at its end is told so."""
        self.establish()
        context = self.association.contextFor(VERIFICATION)
        refusals: list[Exception] = []

        def askAgain(_: object) -> None:
            refusals.append(self.assertRaises(LocalProtocolError, self.association.requests.send, context, CEchoRQ(1)))

        self.association.whenEnded().addCallback(askAgain)
        self.association.protocol.transport.producer.pauseProducing()
        self.clock.advance(60)
        self.assertEqual(len(refusals), 1)

    def test_messageIDsWrap(self) -> None:
        """They go from 1 to 65535 and around, past those that still wait for a response."""
        self.establish()
        echo(self.association)
        self.assertEqual([self.association.requests.nextMessageID() for _ in range(65534)], list(range(2, 65536)))
        self.assertEqual(self.association.requests.nextMessageID(), 2)
        self.peer.send(message(ECHO_CONTEXT, CEchoRSP(1, 0, VERIFICATION)))
        self.assertEqual([self.association.requests.nextMessageID() for _ in range(65534)][-2:], [65535, 1])

    def test_noMessageIDIsLeft(self) -> None:
        """With so many requests outstanding another one would be taken for one of them."""
        self.establish()
        self.association.requests._receivers.update(dict.fromkeys(range(1, 65535)))
        self.assertEqual(self.association.requests.nextMessageID(), 65535)
        self.association.requests._receivers[65535] = None
        self.assertRaises(LocalProtocolError, self.association.requests.nextMessageID)
        self.association.requests._receivers.clear()

    def test_observerIsToldOfOurRequests(self) -> None:
        observer = RecordingObserver()
        association = Association(ServiceTable([]), Configuration(), self.clock, observer=observer)
        association.protocol = UpperLayerProtocol(association, Configuration(), self.clock, associateRQ(PROPOSED))
        self.request(association)
        self.establish()
        answer = echo(association)
        self.peer.send(message(ECHO_CONTEXT, CEchoRSP(1, 0, VERIFICATION)))
        self.successResultOf(answer)
        association.release()
        self.peer.send(AReleaseRP())
        self.assertEqual(observer.events, ["established", "sent CEchoRQ", "received CEchoRSP", "ended"])

    def test_storeResponse(self) -> None:
        self.establish()
        answer = store(self.association, CT, INSTANCE, EXPLICIT_LITTLE, dataSet())
        response = CStoreRSP(1, 0xA700, CT, INSTANCE, "no space", (0x00080018,))
        self.peer.send(message(3, response))
        self.assertEqual(self.successResultOf(answer), response)


class EndTests(RequestorTestCase):
    """How an association ends, seen by its user."""

    def assertEnds(self, end: Callable[[], object]) -> None:
        """Whoever waits for the end, before or after, is told."""
        self.establish()
        early = self.association.whenEnded()
        self.assertNoResult(early)
        end()
        self.assertIs(self.successResultOf(early), None)
        self.assertIs(self.successResultOf(self.association.whenEnded()), None)
        self.failureResultOf(self.association.whenEstablished())

    def test_release(self) -> None:
        self.assertEnds(lambda: self.release())
        self.assertOver()

    def release(self) -> None:
        """Release and answer it."""
        released = self.association.release()
        self.assertEqual(self.peer.send(), [AReleaseRQ()])
        self.assertNoResult(released)
        self.peer.send(AReleaseRP())
        self.assertIs(self.successResultOf(released), None)

    def test_peerReleases(self) -> None:
        self.assertEnds(lambda: self.assertEqual(self.peer.send(AReleaseRQ()), [AReleaseRP()]))

    def test_abort(self) -> None:
        self.assertEnds(self.association.abort)
        self.assertEqual(self.peer.send(), [AAbort(0, 0)])
        self.association.abort()
        self.assertEqual(self.peer.send(), [])
        self.clock.advance(30)
        self.peer.link.flush()
        self.assertOver()

    def test_peerAborts(self) -> None:
        self.assertEnds(lambda: self.peer.send(AAbort(2, 0)))
        self.assertOver()

    def test_connectionLost(self) -> None:
        self.assertEnds(self.peer.link.lose)
        self.assertOver()

    def test_releaseNeedsAnAssociation(self) -> None:
        self.assertRaises(LocalProtocolError, self.association.release)
        self.establish()
        self.association.release()
        self.assertRaises(LocalProtocolError, self.association.release)
        self.peer.send(AReleaseRP())
        self.assertRaises(LocalProtocolError, self.association.release)

    def test_endIsToldOnce(self) -> None:
        """A request that errs may end in an abort by its user, which ends nothing twice."""
        self.establish()
        answer: Deferred[Any] = echo(self.association)
        answer.addErrback(lambda failure: self.association.abort())
        ends: list[object] = []
        self.association.whenEnded().addCallback(ends.append)
        self.peer.link.lose()
        self.assertEqual(ends, [None])
        self.assertOver()
