"""
Whole conversations, damaged at random, against a running acceptor in memory.

The seeds are fixed, so every run has the same sessions; a failure names the number of its session, and
`AcceptorFuzzTests.session` repeats it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock, deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.headvectors import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, PIXEL_DATA, element
from tests.receivers import filesIn
from tests.scripted import CT, INSTANCE, MR, VERIFICATION, RecordingObserver, dataSet, message, storeRQ
from tests.storing import openFiles
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.dimse.association import Association
from txdicom.dimse.commands import CCancelRQ, CEchoRQ, CommandField, GenericCommand
from txdicom.dimse.commandsets import decodeCommand
from txdicom.errors import DIMSEError
from txdicom.interfaces import IDataSetWriter, IStorageSCP
from txdicom.services.storage import ReceivedInstance, StorageService
from txdicom.services.verification import VerificationService
from txdicom.storage.filestore import FileStore
from txdicom.testing import RawPeer, RecordingStore, associateRQ, connectRaw
from txdicom.upperlayer.pdu import AAbort, AAssociateAC, AAssociateRJ, AReleaseRP, AReleaseRQ, PDataTF

#: How many sessions a test has; all of them together take some fifteen seconds.
_SCALE = int(os.environ.get("TXDICOM_FUZZ_SCALE", "1"))
QUICK_SESSIONS = 15_000 * _SCALE
SLOW_SESSIONS = 4_000 * _SCALE
FILE_SESSIONS = 1_000 * _SCALE
ARTIM = 30.0

PROPOSED = [(VERIFICATION, [EXPLICIT_LITTLE]), (CT, [IMPLICIT_LITTLE]), (MR, [EXPLICIT_BIG]), (CT, [EXPLICIT_LITTLE])]
ASSOCIATE = associateRQ(PROPOSED).encode()
RELEASE = AReleaseRQ().encode()


def stored(contextID: int, syntax: str, sopClass: str, maximumLength: int = 16384) -> bytes:
    """Encode a C-STORE of a small image."""
    data = dataSet(syntax, sopClass, rest=element(syntax, PIXEL_DATA, b"OW", bytes(range(200))))
    return message(contextID, storeRQ(contextID, sopClass), data, maximumLength)


def split(pdus: bytes) -> list[bytes]:
    """Cut at the beginning of each PDU."""
    parts = []
    while pdus:
        end = 6 + int.from_bytes(pdus[2:6], "big")
        parts.append(pdus[:end])
        pdus = pdus[end:]
    return parts


#: Valid conversations of a requestor, PDU by PDU.
CONVERSATIONS = [
    split(ASSOCIATE + messages + end)
    for messages, end in (
        (message(1, CEchoRQ(1)) * 2, RELEASE),
        (stored(3, IMPLICIT_LITTLE, CT), RELEASE),
        (stored(5, EXPLICIT_BIG, MR, 60) + message(1, CEchoRQ(2)), AAbort(0, 0).encode()),
        (stored(7, EXPLICIT_LITTLE, CT, 100) + stored(3, IMPLICIT_LITTLE, CT, 256), RELEASE),
        (
            message(1, GenericCommand(CommandField.C_FIND_RQ, {0x0002: CT, 0x0110: 3, 0x0800: 0}), b"query")
            + message(1, CCancelRQ(3))
            + stored(5, EXPLICIT_BIG, MR),
            b"",
        ),
    )
]


def damagedPDUs(random: Random, pdus: list[bytes]) -> list[bytes]:
    """Leave out, repeat, swap or insert whole PDUs."""
    pdus = list(pdus)
    for _ in range(random.choice((0, 0, 1, 1, 3))):
        position = random.randrange(len(pdus))
        kind = random.randrange(4)
        if kind == 0 and len(pdus) > 1:
            del pdus[position]
        elif kind == 1:
            pdus.insert(random.randrange(len(pdus) + 1), pdus[position])
        elif kind == 2:
            other = random.randrange(len(pdus))
            pdus[position], pdus[other] = pdus[other], pdus[position]
        else:
            pdus.insert(position, random.choice(random.choice(CONVERSATIONS)))
    return pdus


def damagedBytes(random: Random, data: bytes, first: int) -> bytes:
    """Change some of the bytes, none of them before a position."""
    damaged = bytearray(data)
    for _ in range(random.choice((0, 1, 1, 1, 2, 4, 16))):
        if first >= len(damaged):
            break
        position = random.randrange(first, len(damaged))
        length = random.choice((1, 1, 2, 4, 30))
        kind = random.randrange(7)
        if kind == 0:
            damaged[position] ^= 1 << random.randrange(8)
        elif kind == 1:
            damaged[position] = random.choice((0, 1, 2, 3, 4, 7, 0x7F, 0x80, 0xFF))
        elif kind == 2:
            damaged[position : position + length] = random.randbytes(length)
        elif kind == 3:
            damaged[position:position] = random.randbytes(length)
        elif kind == 4:
            del damaged[position : position + length]
        elif kind == 5:
            damaged[position:position] = damaged[position : position + 8 * length]
        elif random.randrange(4) == 0:
            del damaged[position:]
    return bytes(damaged)


def chunks(random: Random, data: bytes) -> list[bytes]:
    """Cut what is sent as a connection might."""
    size = random.choice((len(data), len(data), len(data), 500, 200, 200, 64, 64, 13, random.randrange(1, 13))) or 1
    return [data[start : start + size] for start in range(0, len(data), size)]


@implementer(IStorageSCP)
class SlowStore:
    """
    Gives every result of a `RecordingStore` at once or some time later, or refuses, at random.

    :ivar recording: the store that does the work.
    """

    def __init__(self, random: Random, clock: IReactorTime) -> None:
        self.recording = RecordingStore()
        self._random = random
        self._clock = clock

    def store(self, association: Association, instance: ReceivedInstance) -> Any:
        """Open a writer, unless it is refused."""
        return self.soon(lambda: _SlowWriter(self, self.recording.store(association, instance)), refusals=10)

    def soon(self, function: Callable[[], Any], refusals: int = 0) -> Any:
        """Call a function, now or later; one of so many times refuse instead."""
        if refusals and not self._random.randrange(refusals):
            function = refuse
        if self._random.randrange(3):
            return function()
        done: Deferred[Any] = deferLater(self._clock, self._random.choice((0.1, 1, 40)), lambda: None)
        return done.addCallback(lambda _: function())


def refuse() -> None:
    """Refuse an instance."""
    raise DIMSEError(0xA700, "no space")


@implementer(IDataSetWriter)
class _SlowWriter:
    def __init__(self, store: SlowStore, writer: IDataSetWriter) -> None:
        self._store = store
        self._writer = writer
        self._aborted = False

    def write(self, fragments: list[memoryview]) -> Any:
        """Write, unless it is refused, or the instance was given up meanwhile."""
        return self._store.soon(lambda: self._aborted or self._writer.write(fragments), refusals=20)

    def commit(self) -> Any:
        """Commit."""
        return self._store.soon(self._writer.commit)

    def abort(self, reason: Failure) -> None:
        """Abort."""
        self._aborted = True
        self._writer.abort(reason)


class AcceptorFuzzTests(SynchronousTestCase):
    """Whatever a peer sends, the acceptor stays as it was."""

    def session(self, seed: int, slow: bool = False, files: FileStore | None = None) -> None:
        """
        Have one damaged conversation, and look at all that may have gone wrong.

        :param slow: whether the store takes its time.
        :param files: a store to be used instead of a recording one.
        """
        random = Random(seed)
        clock = Clock()
        store = SlowStore(random, clock)
        observer = RecordingObserver()
        services = [VerificationService(), StorageService(files or (store if slow else store.recording))]
        factory = AcceptorFactory(services, clock=clock, observer=observer)
        peer = self.converse(random, factory, clock if slow else None)
        peer.link.lose()
        self.assertEqual(factory.associations, set(), seed)
        if slow:
            clock.advance(2 * ARTIM)
        self.assertEqual(clock.getDelayedCalls(), [], seed)
        self.assertEqual(self.flushLoggedErrors(), [], seed)
        self.assertEqual(observer.events.count("ended"), 1, seed)
        self.checkStored(store.recording, seed)
        self.checkAnswers(peer, observer, seed)

    def converse(self, random: Random, factory: AcceptorFactory, clock: Clock | None) -> RawPeer:
        """Send one of the conversations, damaged; if there is a clock, time goes by meanwhile."""
        pdus = random.choice(CONVERSATIONS)
        # Mostly there is an association at least.
        spared = len(ASSOCIATE) if random.randrange(5) else 0
        pdus = [pdus[0], *damagedPDUs(random, pdus[1:])] if spared else damagedPDUs(random, pdus)
        peer = connectRaw(factory)
        for chunk in chunks(random, damagedBytes(random, b"".join(pdus), spared)):
            peer.transport.write(chunk)
            peer.link.flush()
            if clock and not random.randrange(3):
                clock.advance(random.choice((0.05, 0.5, 20)))
        if clock and random.randrange(2):
            clock.pump([0.5] * 10)
            peer.link.flush()
        return peer

    def checkStored(self, recording: RecordingStore, seed: int) -> None:
        """Every writer had its end, and what was kept is what it said it was."""
        for record in recording.stored:
            self.assertIn(record.outcome, ("committed", "aborted"), seed)
            instance, request = record.instance, record.instance.request
            uids = (instance.sopClassUID, instance.sopInstanceUID)
            self.assertEqual((request.affectedSOPClassUID, request.affectedSOPInstanceUID), uids, seed)
            if record.outcome == "committed":
                for uid in uids:
                    self.assertIn(uid.encode(), record.dataSet, seed)

    def checkAnswers(self, peer: RawPeer, observer: RecordingObserver, seed: int) -> None:
        """What came back is whole PDUs, in an order that makes sense, with no more responses than requests."""
        answers = peer.takePDUs()
        responses = [answer for answer in answers if isinstance(answer, PDataTF)]
        others = [type(answer) for answer in answers if not isinstance(answer, PDataTF)]
        self.assertIn(
            others,
            (
                [],
                [AAbort],
                [AAssociateRJ],
                [AAssociateAC],
                [AAssociateAC, AAbort],
                [AAssociateAC, AReleaseRP],
                [AAssociateRJ, AAbort],
                [AAssociateAC, AReleaseRP, AAbort],
            ),
            seed,
        )
        if responses:
            self.assertIsInstance(answers[0], AAssociateAC, seed)
        for response in responses:
            (pdv,) = response.pdvs
            self.assertTrue(pdv.isCommand and pdv.isLast, seed)
            self.assertFalse(decodeCommand(pdv.data).isRequest, seed)
        # What was sent may be lost where the connection had to be closed at once.
        sent, received = (sum(event.startswith(word) for event in observer.events) for word in ("sent", "received"))
        self.assertTrue(len(responses) <= sent <= received, seed)

    def test_undamagedConversations(self) -> None:
        """The conversations are good ones: that they are answered shows that the sessions below get somewhere."""
        for conversation, responses, outcomes in zip(CONVERSATIONS, (2, 1, 2, 2, 2), (0, 1, 1, 2, 1), strict=True):
            store = RecordingStore()
            factory = AcceptorFactory([VerificationService(), StorageService(store)], clock=Clock())
            answers = connectRaw(factory).send(*conversation)
            self.assertEqual(sum(isinstance(answer, PDataTF) for answer in answers), responses)
            self.assertEqual([record.outcome for record in store.stored], ["committed"] * outcomes)

    def test_storeThatAnswersAtOnce(self) -> None:
        for seed in range(QUICK_SESSIONS):
            self.session(seed)

    def test_storeThatTakesItsTime(self) -> None:
        for seed in range(SLOW_SESSIONS):
            self.session(seed, slow=True)

    def test_storeInFiles(self) -> None:
        """No file is left that is not whole, and none is open."""
        directory = self.mktemp()
        os.mkdir(directory)
        store = FileStore(directory)
        for seed in range(FILE_SESSIONS):
            self.session(seed, files=store)
            self.assertEqual([name for name in filesIn(directory) if name.endswith(".part")], [], seed)
        self.successResultOf(store.close())
        self.assertEqual(sorted(os.listdir(directory)), [f"CT.{INSTANCE}", f"MR.{INSTANCE}"])
        self.assertEqual(openFiles(directory), 0)

    if not os.path.isdir("/proc/self/fd"):
        test_storeInFiles.skip = "needs /proc to count open files"
