"""
Tests of `txdicom.dimse.messages`: PDVs put together to messages, however they were cut, and messages cut to PDVs.
"""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Iterable, Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.headvectors import cut
from txdicom.dimse.commands import CEchoRQ, Command, CStoreRQ
from txdicom.dimse.commandsets import encodeCommand
from txdicom.dimse.messages import MessageReader, encodeMessage, fragmentLength
from txdicom.errors import MessageError
from txdicom.upperlayer.parser import PDUParser

CT = "1.2.840.10008.5.1.4.1.1.2"
ECHO = CEchoRQ(7)
STORE = CStoreRQ(8, CT, "1.2.3")
BOUND = 1 << 16

#: A fragment as it goes into the reader: context ID, control header, bytes.
Piece = tuple[int, int, bytes]


class RecordingReceiver:
    """
    Keeps the messages it is told of.

    :ivar messages: context ID, command, and the data set (None until it is complete).
    """

    def __init__(self) -> None:
        self.messages: list[tuple[int, Command, bytes | None]] = []
        self.data = b""

    def commandReceived(self, contextID: int, command: Command) -> None:
        """Begin a message."""
        self.messages.append((contextID, command, None))

    def dataReceived(self, fragments: list[memoryview]) -> None:
        """Collect the data set."""
        if not all(fragments):
            raise AssertionError("an empty fragment says nothing")
        self.data += b"".join(fragments)

    def dataSetReceived(self) -> None:
        """Complete the message."""
        contextID, command, unknown = self.messages.pop()
        if unknown is not None:
            raise AssertionError("the data set was complete already")
        self.messages.append((contextID, command, self.data))
        self.data = b""


def feed(reader: MessageReader, piece: Piece, size: int | None = None) -> None:
    """Feed one PDV, in parts of so many bytes as if the connection had cut it there."""
    contextID, control, data = piece
    parts = list(cut(data, [size] * ((len(data) - 1) // size))) if size else [data]
    for number, part in enumerate(parts, 1):
        reader.fragmentsReceived(contextID, control, [memoryview(part)], number == len(parts))


def read(pieces: Iterable[Piece], size: int | None = None) -> RecordingReceiver:
    """Read whole PDVs, each in parts of so many bytes."""
    receiver = RecordingReceiver()
    reader = MessageReader(receiver, BOUND)
    for piece in pieces:
        feed(reader, piece, size)
    return receiver


def fragments(contextID: int, kind: int, data: bytes, size: int) -> Iterator[Piece]:
    """Cut a command set (kind 1) or data set (kind 0) into PDVs of so many bytes."""
    parts = list(cut(data, [size] * ((len(data) - 1) // size)))
    for number, part in enumerate(parts, 1):
        yield contextID, kind | (2 if number == len(parts) else 0), part


class MessageReaderTests(SynchronousTestCase):
    """What comes in."""

    def assertReads(self, pieces: Iterable[Piece], *messages: tuple[int, Command, bytes | None]) -> None:
        """These PDVs are these messages, wherever the connection cuts them."""
        pieces = list(pieces)
        for size in (None, 1, 2, 7):
            receiver = read(pieces, size)
            self.assertEqual(receiver.messages, list(messages))
            self.assertEqual(receiver.data, b"")

    def assertBreaks(self, pieces: Iterable[Piece], reason: str) -> None:
        """The last of these PDVs, and no other, is not put up with."""
        *before, last = pieces
        for size in (None, 1):
            reader = MessageReader(RecordingReceiver(), BOUND)
            for piece in before:
                feed(reader, piece, size)
            error = self.assertRaises(MessageError, feed, reader, last, size)
            self.assertIn(reason, str(error))

    def test_commandWithoutDataSet(self) -> None:
        self.assertReads([(1, 3, encodeCommand(ECHO))], (1, ECHO, None))

    def test_commandWithDataSet(self) -> None:
        self.assertReads([(5, 3, encodeCommand(STORE)), (5, 2, b"abc")], (5, STORE, b"abc"))

    def test_fragmentsOfEverySize(self) -> None:
        """Command set and data set may be cut into PDVs anywhere, command first."""
        for size in range(1, 60):
            data = bytes(range(101))
            pieces = [*fragments(3, 1, encodeCommand(STORE), size), *fragments(3, 0, data, size)]
            self.assertReads(pieces, (3, STORE, data))

    def test_emptyFragmentsMeanNothing(self) -> None:
        command = encodeCommand(STORE)
        pieces = [(1, 1, b""), (1, 1, command), (1, 3, b""), (1, 0, b""), (1, 0, b"abc"), (1, 0, b""), (1, 2, b"")]
        self.assertReads(pieces, (1, STORE, b"abc"))

    def test_dataSetMayBeEmpty(self) -> None:
        self.assertReads([(1, 3, encodeCommand(STORE)), (1, 2, b"")], (1, STORE, b""))

    def test_messagesFollowEachOtherOnAnyContext(self) -> None:
        echo, store = encodeCommand(ECHO), encodeCommand(STORE)
        pieces = [(1, 3, echo), (5, 3, store), (5, 2, b"abc"), (3, 3, store), (3, 0, b"d"), (3, 2, b"e"), (1, 3, echo)]
        self.assertReads(pieces, (1, ECHO, None), (5, STORE, b"abc"), (3, STORE, b"de"), (1, ECHO, None))

    def test_reservedControlBitsAreIgnored(self) -> None:
        """PS3.8 E.2 has a receiver look at bits 0 and 1 only."""
        command = encodeCommand(STORE)
        pieces = [(1, 0xFD, command[:9]), (1, 0xFF, command[9:]), (1, 0x54, b"ab"), (1, 0xFE, b"c")]
        self.assertReads(pieces, (1, STORE, b"abc"))

    def test_dataIsHandedOnAsItComes(self) -> None:
        """The very view that was fed goes on: nothing is copied, nothing held."""
        views: list[list[memoryview]] = []
        receiver = RecordingReceiver()
        reader = MessageReader(receiver, BOUND)
        feed(reader, (1, 3, encodeCommand(STORE)))
        receiver.dataReceived = views.append
        view = memoryview(b"abc")
        reader.fragmentsReceived(1, 0, [view], True)
        self.assertEqual(len(views), 1)
        self.assertIs(views[0][0], view)

    def test_lastPartOfPDVThatIsNotLastOfMessage(self) -> None:
        """Only both together, last of the PDV and last fragment of the message, end a data set."""
        receiver = RecordingReceiver()
        reader = MessageReader(receiver, BOUND)
        feed(reader, (1, 3, encodeCommand(STORE)))
        reader.fragmentsReceived(1, 0, [memoryview(b"ab")], True)
        reader.fragmentsReceived(1, 2, [memoryview(b"cd")], False)
        self.assertEqual((receiver.messages, receiver.data), ([(1, STORE, None)], b"abcd"))
        reader.fragmentsReceived(1, 2, [memoryview(b"e")], True)
        self.assertEqual((receiver.messages, receiver.data), ([(1, STORE, b"abcde")], b""))

    def test_tellsWhetherItIsWithinMessage(self) -> None:
        """From the first fragment of a command set to the last of the data set."""
        command = encodeCommand(STORE)
        reader = MessageReader(RecordingReceiver(), BOUND)
        seen = [reader.inMessage]
        for piece in [(1, 1, b""), (1, 1, command[:5]), (1, 3, command[5:]), (1, 0, b"ab"), (1, 2, b"c")]:
            feed(reader, piece)
            seen.append(reader.inMessage)
        self.assertEqual(seen, [False, True, True, True, True, False])
        feed(reader, (1, 3, encodeCommand(ECHO)))
        self.assertFalse(reader.inMessage)

    def test_commandAndDataSetOnDifferentContexts(self) -> None:
        self.assertBreaks([(1, 3, encodeCommand(STORE)), (3, 2, b"abc")], "presentation contexts 1 and 3")

    def test_dataSetOnDifferentContexts(self) -> None:
        self.assertBreaks([(1, 3, encodeCommand(STORE)), (1, 0, b"abc"), (3, 2, b"d")], "presentation contexts 1 and 3")

    def test_commandSetOnDifferentContexts(self) -> None:
        command = encodeCommand(ECHO)
        self.assertBreaks([(1, 1, command[:8]), (3, 3, command[8:])], "presentation contexts 1 and 3")

    def test_dataSetThatNoCommandAnnounced(self) -> None:
        self.assertBreaks([(1, 2, b"abc")], "no command announced")
        self.assertBreaks([(1, 0, b"")], "no command announced")
        self.assertBreaks([(1, 3, encodeCommand(ECHO)), (1, 2, b"abc")], "no command announced")
        self.assertBreaks([(1, 3, encodeCommand(STORE)), (1, 2, b"a"), (1, 0, b"b")], "no command announced")

    def test_dataSetWithinCommandSet(self) -> None:
        self.assertBreaks([(1, 1, encodeCommand(STORE)), (1, 2, b"abc")], "no command announced")

    def test_commandWhereDataSetWasAnnounced(self) -> None:
        store = encodeCommand(STORE)
        self.assertBreaks([(1, 3, store), (1, 3, encodeCommand(ECHO))], "where a data set was announced")

    def test_commandWithinDataSet(self) -> None:
        store = encodeCommand(STORE)
        self.assertBreaks([(1, 3, store), (1, 0, b"abc"), (1, 1, b"")], "where a data set was announced")
        self.assertBreaks([(1, 3, store), (1, 0, b"abc"), (1, 3, store)], "where a data set was announced")

    def test_undecodableCommand(self) -> None:
        self.assertBreaks([(1, 3, b"")], "CommandField")
        self.assertBreaks([(1, 3, b"\0" * 5)], "ends within")
        self.assertBreaks([(1, 1, encodeCommand(ECHO)), (1, 3, b"\xff")], "ends within")

    def test_commandSetOfTheBoundIsRead(self) -> None:
        whole = filledCommand(BOUND)
        self.assertEqual(len(whole), BOUND)
        for size in (BOUND, 5000):
            receiver = read(fragments(1, 1, whole, size))
            self.assertEqual([type(command) for _, command, _ in receiver.messages], [CEchoRQ])

    def test_commandSetBeyondTheBound(self) -> None:
        tooLong = filledCommand(BOUND + 2)
        self.assertBreaks([(1, 3, tooLong)], "longer than 65536 bytes")
        pieces = list(fragments(1, 1, tooLong, 4096))
        self.assertEqual(len(pieces), 17)
        self.assertBreaks(pieces, "longer than 65536 bytes")

    def test_commandSetWithoutEndIsHeldUpToTheBound(self) -> None:
        """A peer that sends a command set in bytes, each a PDV, takes no more than the bound of our memory."""
        reader = MessageReader(RecordingReceiver(), BOUND)
        byte = memoryview(b"x")
        tracemalloc.start()
        try:
            for _ in range(BOUND):
                reader.fragmentsReceived(1, 1, [byte], True)
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertLess(held, 2 * BOUND)
        self.assertRaises(MessageError, reader.fragmentsReceived, 1, 1, [byte], True)

    @settings(deadline=None, max_examples=150)
    @given(st.data())
    def test_anyFragmentationGivesTheSameMessages(self, data: st.DataObject) -> None:
        bodies = data.draw(st.lists(st.none() | st.binary(max_size=40), max_size=4))
        pieces: list[Piece] = []
        expected = []
        for body in bodies:
            contextID = data.draw(st.sampled_from((1, 3, 255)))
            command: Command = ECHO if body is None else STORE
            size = data.draw(st.integers(1, 120))
            pieces += fragments(contextID, 1, encodeCommand(command), size)
            if body is not None:
                pieces += fragments(contextID, 0, body, data.draw(st.integers(1, 41)))
            expected.append((contextID, command, body))
        self.assertEqual(read(pieces, data.draw(st.none() | st.integers(1, 50))).messages, expected)

    @settings(deadline=None, max_examples=200)
    @given(st.lists(st.tuples(st.sampled_from((1, 3)), st.integers(0, 3), st.binary(max_size=30), st.booleans())))
    def test_arbitraryFragmentsGiveDataOrMessageError(self, calls: list[tuple[int, int, bytes, bool]]) -> None:
        """Whatever is sent, only what belongs to the data set is handed on, and no other error is raised."""
        receiver = RecordingReceiver()
        reader = MessageReader(receiver, BOUND)
        feed(reader, (1, 3, encodeCommand(STORE)))
        try:
            for contextID, control, data, last in calls:
                reader.fragmentsReceived(contextID, control, [memoryview(data)], last)
        except MessageError:
            self.assertTrue(calls)
        belonging = b""
        for contextID, control, data, last in calls:
            if contextID != 1 or control & 1:
                break
            belonging += data
            if last and control & 2:
                break
        handedOn = receiver.messages[0][2]
        self.assertEqual(receiver.data if handedOn is None else handedOn, belonging)


def filledCommand(length: int) -> bytes:
    """Encode a C-ECHO-RQ of any even length, by elements that nobody knows."""
    command = encodeCommand(ECHO)
    unknown = 0xF000
    while len(command) < length:
        size = min(length - len(command) - 8, 8000)
        command += struct.pack("<HHI", 0, unknown, size) + bytes(size)
        unknown += 1
    return command


class EncodeMessageTests(SynchronousTestCase):
    """What goes out."""

    def sent(self, maximumLength: int, command: Command, data: bytes | None) -> list[list[Piece]]:
        """Encode a message and take it apart again, PDU by PDU, by hand."""
        encoded = encodeMessage(9, encodeCommand(command), data, maximumLength)
        pdus = []
        while encoded:
            self.assertEqual(encoded[:2], b"\x04\0")
            end = 6 + int.from_bytes(encoded[2:6], "big")
            body, encoded = encoded[6:end], encoded[end:]
            pdvs = []
            while body:
                following = 4 + int.from_bytes(body[:4], "big")
                pdvs.append((body[4], body[5], body[6:following]))
                body = body[following:]
            pdus.append(pdvs)
        return pdus

    def test_smallCommandIsOnePDU(self) -> None:
        command = encodeCommand(ECHO)
        for maximumLength in (0, len(command) + 6, 16384):
            self.assertEqual(self.sent(maximumLength, ECHO, None), [[(9, 3, command)]])

    def test_messageOfSeveralPDUs(self) -> None:
        command = encodeCommand(STORE)
        pdus = self.sent(len(command) + 6, STORE, bytes(2 * len(command) + 1))
        lengths = [(pdv[1], len(pdv[2])) for (pdv,) in pdus]
        self.assertEqual(lengths, [(3, len(command)), (0, len(command)), (0, len(command)), (2, 1)])

    def test_emptyDataSetIsSent(self) -> None:
        """A command that announces a data set is followed by one, even if there is nothing in it."""
        self.assertEqual(self.sent(16384, STORE, b""), [[(9, 3, encodeCommand(STORE))], [(9, 2, b"")]])

    def test_wholeMultipleHasNoEmptyFragmentAtTheEnd(self) -> None:
        pdus = self.sent(106, STORE, bytes(300))
        self.assertEqual([(pdv[1], len(pdv[2])) for (pdv,) in pdus][-3:], [(0, 100), (0, 100), (2, 100)])

    def test_fragmentLengthIsEvenAndFits(self) -> None:
        self.assertEqual([fragmentLength(n) for n in (8, 9, 10, 16383, 16384)], [2, 2, 4, 16376, 16378])

    def test_noLimit(self) -> None:
        """Where the peer sets no limit, the data set is still not put into one PDU of any size."""
        pdus = self.sent(0, STORE, bytes(1 << 20))
        self.assertEqual(sum(len(pdv[2]) for (pdv,) in pdus[1:]), 1 << 20)
        self.assertTrue(all(len(pdv[2]) <= 1 << 17 for (pdv,) in pdus))

    @settings(deadline=None, max_examples=200)
    @given(
        st.just(0) | st.integers(8, 200) | st.integers(8, 1 << 32),
        st.none() | st.binary(max_size=300),
        st.none() | st.integers(1, 40),
    )
    def test_roundTripForAnyMaximumLength(self, maximumLength: int, data: bytes | None, size: int | None) -> None:
        """What is sent is read again, no PDU is larger than announced, and no fragment but the last is odd."""
        command: Command = ECHO if data is None else STORE
        for pdvs in self.sent(maximumLength, command, data):
            ((_, control, fragment),) = pdvs
            self.assertTrue(len(fragment) + 6 <= maximumLength or not maximumLength)
            self.assertTrue(len(fragment) % 2 == 0 or control & 2)
        receiver = RecordingReceiver()
        parser = PDUParser(ParsedPDVs(receiver), maximumLength, 0)
        encoded = encodeMessage(9, encodeCommand(command), data, maximumLength)
        for chunk in cut(encoded, [size] * (len(encoded) // size)) if size else [encoded]:
            parser.feed(chunk)
        self.assertEqual(receiver.messages, [(9, command, data)])


class ParsedPDVs:
    """Stands between a PDU parser and a message reader; only P-DATA-TF may come."""

    def __init__(self, receiver: Any) -> None:
        self.fragmentsReceived = MessageReader(receiver, BOUND).fragmentsReceived

    def pduStarted(self, pduType: int, length: int) -> None:
        """Take the beginning of a P-DATA-TF PDU."""
        if pduType != 4:
            raise AssertionError(f"PDU of type {pduType}")

    def pduReceived(self, pduType: int, body: bytes) -> None:
        """Refuse what is not P-DATA-TF."""
        raise AssertionError(f"PDU of type {pduType}")
