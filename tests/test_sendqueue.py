"""Tests of `txdicom.dimse.sendqueue`: data sets that are streamed, what waits meanwhile, and the window."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.headvectors import EXPLICIT_LITTLE
from tests.scripted import CT, ECHO_CONTEXT, INSTANCE, VERIFICATION, commandsIn, message
from txdicom.configuration import Configuration
from txdicom.dimse.commands import CEchoRQ, CEchoRSP, CStoreRQ, CStoreRSP
from txdicom.errors import AssociationAborted, AssociationTimeout, SourceError
from txdicom.interfaces import IDataSetSource
from txdicom.requestor import RequestorFactory
from txdicom.services.verification import VerificationService
from txdicom.storage.disk import Disk
from txdicom.testing import MemoryLink, RawPeer
from txdicom.upperlayer.items import ContextResult, PresentationContextAC, UserInformation
from txdicom.upperlayer.pdu import AAbort, AAssociateAC
from txdicom.upperlayer.subitems import AsynchronousOperationsWindow

#: What the queue reads at a time, for the PDUs of these tests: 64 of 16378 bytes.
CHUNK = (1 << 20) // 16378 * 16378


@implementer(IDataSetSource)
class Source:
    """Gives bytes, at once or when the test says so."""

    def __init__(self, data: bytes, later: bool = False) -> None:
        self.data = data
        self.later = later
        self.waiting: list[tuple[Deferred[bytes], int]] = []
        self.sizes: list[int] = []

    def read(self, size: int) -> bytes | Deferred[bytes]:
        self.sizes.append(size)
        if not self.later:
            return self.take(size)
        waiting: Deferred[bytes] = Deferred()
        self.waiting.append((waiting, size))
        return waiting

    def take(self, size: int) -> bytes:
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def give(self) -> None:
        """Give what has been asked for."""
        waiting, size = self.waiting.pop(0)
        waiting.callback(self.take(size))


class SendQueueTestCase(SynchronousTestCase):
    """A requestor's association with a raw acceptor."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.establish()

    def establish(
        self, window: tuple[int, tuple[int, int] | None] = (1, None), maximumLength: int = 16384, **configuration: Any
    ) -> None:
        proposed, granted = window
        factory = RequestorFactory(
            {VERIFICATION: [EXPLICIT_LITTLE], CT: [EXPLICIT_LITTLE]},
            configuration=Configuration(**configuration),
            providers=[VerificationService()] if configuration else [],
            window=proposed,
            clock=self.clock,
            disk=Disk(),
        )
        protocol = factory.buildProtocol(None)
        self.association = protocol.association
        self.peer = RawPeer()
        self.peer.link = MemoryLink(protocol, self.peer, IPv4Address("TCP", "127.0.0.1", 50000))
        contexts = tuple(
            PresentationContextAC(contextID, ContextResult.ACCEPTANCE, EXPLICIT_LITTLE) for contextID in (1, 3)
        )
        self.peer.link.flush()
        (self.proposal,) = self.peer.takePDUs()
        answer = UserInformation(
            maximumLength=maximumLength,
            asynchronousOperations=granted and AsynchronousOperationsWindow(*granted),
            roleSelections=self.proposal.userInformation.roleSelections,
        )
        self.peer.send(AAssociateAC("ANY-SCP", "TXDICOM", contexts, answer))

    def store(self, source: Any) -> Deferred[Any]:
        """Send a C-STORE-RQ with a data set from a source."""
        request = CStoreRQ(self.association.requests.nextMessageID(), CT, INSTANCE)
        return self.association.requests.send(self.association.contextFor(CT), request, source)

    def dataIn(self, pdus: list[Any]) -> bytes:
        """Check the control bytes of one data set's fragments, and join them."""
        pdvs = [pdv for pdu in pdus for pdv in pdu.pdvs if not pdv.control & 1]
        self.assertEqual([pdv.control for pdv in pdvs], [0] * (len(pdvs) - 1) + [2])
        return b"".join(pdv.data for pdv in pdvs)


class StreamTests(SendQueueTestCase):
    def test_everyLength(self) -> None:
        """Whatever its length, a data set arrives whole, its last fragment marked, cut to the peer's maximum."""
        for length in (0, 2, 16376, 16378, 16380, CHUNK - 2, CHUNK, CHUNK + 2, 3 * CHUNK, 3 * CHUNK + 16378):
            self.establish()
            self.peer.link.client.capacity = 1 << 30
            data = bytes(index % 251 for index in range(length))
            source = Source(data)
            self.assertTrue(verifyObject(IDataSetSource, source))
            answer = self.store(source)
            pdus = self.peer.send()
            self.assertEqual(self.dataIn(pdus[1:]), data, length)
            self.assertLessEqual(max(len(pdu.pdvs[0].data) for pdu in pdus), 16378)
            self.peer.send(message(3, CStoreRSP(1, 0, CT, INSTANCE)))
            self.assertEqual(self.successResultOf(answer).status, 0)
            self.association.abort()

    def test_withoutLimit(self) -> None:
        """A peer that takes PDUs of any size gets such of at most 128 KiB."""
        self.establish(maximumLength=0)
        self.peer.link.client.capacity = 1 << 30
        self.store(Source(bytes(1 << 19)))
        pdus = self.peer.send()
        self.assertEqual(len(self.dataIn(pdus[1:])), 1 << 19)
        self.assertEqual(max(len(pdu.pdvs[0].data) for pdu in pdus), (1 << 17) - 6)

    def test_noFasterThanThePeerReads(self) -> None:
        """Of a long data set only so much is read as fits into the send buffer, and two chunks."""
        source = Source(bytes(20 * CHUNK))
        self.store(source)
        self.assertLessEqual(len(source.sizes), 3)
        self.assertTrue(self.association.protocol.isFull)
        self.assertFalse(self.association.protocol.receivingPaused)
        received = self.peer.send()
        self.assertEqual(len(self.dataIn(received[1:])), 20 * CHUNK)

    def test_peerThatReadsNothing(self) -> None:
        answer = self.store(Source(bytes(20 * CHUNK)))
        self.clock.advance(61)
        self.failureResultOf(answer, AssociationTimeout)

    def test_sourceTakesItsTime(self) -> None:
        source = Source(bytes(CHUNK + 10), later=True)
        answer = self.store(source)
        self.assertEqual(self.peer.send(), [])
        source.give()
        self.assertEqual(self.peer.send(), [])
        source.give()
        self.assertEqual(len(self.dataIn(self.peer.send()[1:])), CHUNK + 10)
        self.assertNoResult(answer)

    def test_sourceThatNeverGives(self) -> None:
        answer = self.store(Source(b"", later=True))
        self.clock.advance(301)
        self.failureResultOf(answer, AssociationTimeout)
        self.assertEqual(self.peer.send(), [AAbort(0, 0)])

    def test_sourceFails(self) -> None:
        """Half a message is on the wire: nothing but an abort can end it."""
        for error, expected in ((OSError("broken disk"), SourceError), (SourceError("no"), SourceError)):
            self.establish()
            source = Source(b"", later=True)
            answer = self.store(source)
            source.waiting[0][0].errback(error)
            self.assertIn(str(error), str(self.failureResultOf(answer, expected).value))
            self.assertEqual(self.peer.send(), [AAbort(0, 0)])

    def test_associationEndsMeanwhile(self) -> None:
        source = Source(bytes(9 * CHUNK), later=True)
        answer = self.store(source)
        self.peer.send(AAbort(0, 0))
        self.failureResultOf(answer, AssociationAborted)
        source.waiting[0][0].addErrback(lambda failure: failure.trap(CancelledError))
        self.peer.link.lose()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_sourceFailsAtOnce(self) -> None:
        """Who asked is told then as well."""

        def read(size: int) -> bytes:
            raise OSError("broken disk")

        source = Source(b"")
        source.read = read
        self.assertIn("broken disk", str(self.failureResultOf(self.store(source), SourceError).value))
        self.assertEqual(self.peer.send(), [AAbort(0, 0)])
        self.peer.link.lose()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_sourceEndsTheAssociation(self) -> None:
        """Within any read, and whatever it gives then; nothing is waited for any more."""
        for good in (0, 1, 2):
            for result in (b"", bytes(CHUNK), Deferred()):
                self.peer.link.lose()
                self.establish()
                reads = [bytes(CHUNK)] * good

                def read(size: int, reads: list[bytes] = reads, result: Any = result) -> Any:
                    if reads:
                        return reads.pop()
                    self.association.abort()
                    return result

                source = Source(b"")
                source.read = read
                answer = self.store(source)
                self.peer.send()
                self.failureResultOf(answer, AssociationAborted)
                self.peer.link.lose()
                self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_answersWait(self) -> None:
        """What the peer asks meanwhile is answered behind the data set, and no more of it is read."""
        self.establish(artimTimeout=30.0)
        source = Source(bytes(10), later=True)
        self.store(source)
        self.assertEqual(self.peer.send(message(ECHO_CONTEXT, CEchoRQ(7)) * 2), [])
        self.assertTrue(self.association.protocol.receivingPaused)
        source.give()
        pdus = self.peer.send()
        self.assertEqual(self.dataIn(pdus[1:2]), bytes(10))
        self.assertEqual(commandsIn(pdus[2:]), [CEchoRSP(7, 0, VERIFICATION)] * 2)
        self.assertFalse(self.association.protocol.receivingPaused)


class WindowTests(SendQueueTestCase):
    def echoes(self, number: int) -> list[Deferred[Any]]:
        return [self.association.echo() for _ in range(number)]

    def outstanding(self, window: tuple[int, tuple[int, int] | None]) -> int:
        self.establish(window)
        self.echoes(20)
        return len(commandsIn(self.peer.send()))

    def test_negotiated(self) -> None:
        """The smaller of what was proposed and granted; 1 if either has not been; 0 is no limit."""
        for window, expected in {
            (1, None): 1,
            (8, None): 1,
            (8, (3, 1)): 3,
            (3, (8, 1)): 3,
            (0, (5, 1)): 5,
            (6, (0, 1)): 6,
            (0, (0, 0)): 20,
        }.items():
            self.assertEqual(self.outstanding(window), expected, window)

    def test_proposed(self) -> None:
        self.assertIs(self.proposal.userInformation.asynchronousOperations, None)
        self.establish((8, None))
        self.assertEqual(self.proposal.userInformation.asynchronousOperations, AsynchronousOperationsWindow(8, 1))

    def test_inOrder(self) -> None:
        """A response makes room for the next."""
        self.establish((2, (2, 1)))
        answers = self.echoes(4)
        self.assertEqual(commandsIn(self.peer.send()), [CEchoRQ(1), CEchoRQ(2)])
        sent = commandsIn(self.peer.send(message(ECHO_CONTEXT, CEchoRSP(2, 0, VERIFICATION))))
        self.assertEqual(sent, [CEchoRQ(3)])
        self.successResultOf(answers[1])
        self.assertNoResult(answers[0])

    def test_cancelled(self) -> None:
        """One that waits is taken back; one that was sent takes the association with it."""
        first, second, third = self.echoes(3)
        second.cancel()
        self.failureResultOf(second, CancelledError)
        sent = commandsIn(self.peer.send())
        sent += commandsIn(self.peer.send(message(ECHO_CONTEXT, CEchoRSP(1, 0, VERIFICATION))))
        self.assertEqual(sent, [CEchoRQ(1), CEchoRQ(3)])
        self.successResultOf(first)
        third.cancel()
        self.failureResultOf(third, AssociationAborted)
        self.assertEqual(self.peer.send(), [AAbort(0, 0)])

    def test_cancelledBehindAnother(self) -> None:
        """Of those that wait any one can be taken back."""
        first, _, third, _ = self.echoes(4)
        third.cancel()
        self.failureResultOf(third, CancelledError)
        sent = commandsIn(self.peer.send())
        for messageID in (1, 2, 4):
            sent += commandsIn(self.peer.send(message(ECHO_CONTEXT, CEchoRSP(messageID, 0, VERIFICATION))))
        self.assertEqual(sent, [CEchoRQ(1), CEchoRQ(2), CEchoRQ(4)])
        self.successResultOf(first)

    def test_cancelledAtTheEnd(self) -> None:
        """Who hears from one request that the association is over may cancel the others, which are over as well."""
        first, second, third = self.echoes(3)

        def cancelOthers(failure: Failure) -> None:
            failure.trap(AssociationAborted)
            second.cancel()
            third.cancel()

        first.addErrback(cancelOthers)
        self.association.abort()
        self.successResultOf(first)
        for answer in (second, third):
            self.failureResultOf(answer, CancelledError)
        self.assertEqual(self.peer.send()[1:], [AAbort(0, 0)])

    def test_associationEnds(self) -> None:
        answers = self.echoes(3)
        self.association.abort()
        for answer in answers:
            self.failureResultOf(answer, AssociationAborted)

    def test_responseInTime(self) -> None:
        """A peer that does not answer is not waited for in ever; one that has nothing to answer may be silent."""
        self.clock.pump([1] * 1000)
        (answer,) = self.echoes(1)
        self.clock.pump([1] * 290)
        self.assertNoResult(answer)
        self.clock.pump([1] * 80)
        self.failureResultOf(answer, AssociationTimeout)
