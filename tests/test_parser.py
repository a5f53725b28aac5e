"""Tests for `txdicom.upperlayer.parser`: what it makes of bytes, however they are cut, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.parsing import (
    MAXIMUM,
    MAXIMUM_ASSOCIATE,
    Call,
    Receiver,
    build,
    doAt,
    doNothing,
    held,
    parsed,
    pData,
    pdu,
    pdv,
    pieces,
    streams,
)
from txdicom.errors import AbortReason, MessageError, PDUError
from txdicom.interfaces import IPDUReceiver
from txdicom.upperlayer.parser import PDUParser


class ParserTestCase(SynchronousTestCase):
    """What all tests of the parser share."""

    def assertParsed(
        self,
        data: bytes,
        calls: list[Call],
        reason: AbortReason | None = None,
        cuts: Iterable[int] = (),
        maximum: int = MAXIMUM,
    ) -> None:
        """
        Assert what a parser makes of bytes: whole, cut at `cuts`, byte by byte, and with other bytes behind.

        :param data: whole PDUs, or the start of something that is wrong.
        """
        expected = (calls, reason)
        self.assertEqual(parsed([data], maximum), expected)
        self.assertEqual(parsed(pieces(data, cuts), maximum), expected)
        self.assertEqual(parsed(pieces(data, range(1, len(data))), maximum), expected)
        following = pdu(5)
        more = [] if reason else [("started", 5, 4), ("received", 5, bytes(4))]
        self.assertEqual(parsed([data + following], maximum), (calls + more, reason))
        # The second header is cut in its middle.
        self.assertEqual(
            parsed(pieces(data + following * 2, (*cuts, len(data) + 13)), maximum), (calls + more * 2, reason)
        )

    def assertRefused(self, data: bytes, reason: AbortReason, calls: list[Call], maximum: int = MAXIMUM) -> None:
        """Assert that the last of these bytes, and none before it, is refused, and that nothing is kept of them."""
        self.assertParsed(data, calls, reason, maximum=maximum)
        parser, _ = build(maximum=maximum)
        parser.feed(data[:-1])
        error = self.assertRaises(PDUError, parser.feed, data[-1:])
        self.assertEqual(error.reason, reason)
        self.assertEqual(held(parser), 0)
        parser.feed(bytes(1000))
        self.assertEqual(held(parser), 0)
        self.assertFalse(parser.backlogged)
        self.assertFalse(parser.paused)


class SequenceTests(ParserTestCase):
    """What a receiver is told, and in which order."""

    def test_receiver(self) -> None:
        """The double used here is a receiver."""
        verifyObject(IPDUReceiver, Receiver(doNothing))

    def test_nothing(self) -> None:
        """No bytes are no PDU."""
        self.assertEqual(parsed([b"", b""]), ([], None))

    def test_rarePDUs(self) -> None:
        """Every PDU but P-DATA-TF is announced, and given whole when it is complete."""
        for pduType, body in ((1, bytes(68)), (2, bytes(range(200))), (3, b"0123"), (5, b"abcd"), (6, b"0"), (7, b"x")):
            body = body if len(body) > 4 else body.ljust(4)
            self.assertParsed(pdu(pduType, body), [("started", pduType, len(body)), ("received", pduType, body)])

    def test_startedBeforeTheBody(self) -> None:
        """The receiver is asked as soon as the header is there, before anything of the body."""
        for pduType, length in ((1, 68), (4, 100), (7, 4)):
            parser, receiver = build()
            parser.feed(pdu(pduType, b"", length)[:5])
            self.assertEqual(receiver.calls, [])
            parser.feed(pdu(pduType, b"", length)[5:])
            self.assertEqual(receiver.calls, [("started", pduType, length)])

    def test_reservedByteOfTheHeader(self) -> None:
        """The second byte of a PDU means nothing."""
        self.assertParsed(pdu(6, b"abcd", reserved=0xFF), [("started", 6, 4), ("received", 6, b"abcd")])

    def test_pdvs(self) -> None:
        """A P-DATA-TF PDU may carry several PDVs; their IDs and control headers come unchecked."""
        items = pdv(b"abc", 1, 3), pdv(b"d", 0, 0xFF), pdv(b"efghijkl", 255, 0)
        calls: list[Call] = [
            ("started", 4, sum(map(len, items))),
            ("pdv", 1, 3, b"abc"),
            ("pdv", 0, 0xFF, b"d"),
            ("pdv", 255, 0, b"efghijkl"),
        ]
        self.assertParsed(pData(*items), calls, cuts=(7, 20))

    def test_emptyPDVs(self) -> None:
        """A PDV of no data is told as one empty fragment, the last of its PDV."""
        items = pdv(b""), pdv(b"", 3, 0), pdv(b"a"), pdv(b"")
        calls: list[Call] = [
            ("started", 4, 25),
            ("pdv", 1, 2, b""),
            ("pdv", 3, 0, b""),
            ("pdv", 1, 2, b"a"),
            ("pdv", 1, 2, b""),
        ]
        self.assertParsed(pData(*items), calls, cuts=(12, 18))

    def test_noEmptyFragmentsOfOthers(self) -> None:
        """However the bytes are cut, a fragment without bytes stands for a PDV without bytes only."""
        data = pData(pdv(b"abc"), pdv(b"de"))
        for cut in range(len(data)):
            parser, receiver = build()
            for piece in pieces(data, (cut,)):
                parser.feed(piece)
            self.assertNotIn(0, [len(fragment) for fragment in receiver.fragments])

    def test_runs(self) -> None:
        """PDUs with one PDV of a data set each, all of one kind, go on in one call; what ends the data set does not."""
        run = [bytes([number]) * (number + 1) for number in range(5)]
        data = b"".join(pData(pdv(part, 5, 0)) for part in run) + pData(pdv(b"end", 5, 2)) + pData(pdv(b"next", 5, 2))
        calls = self.batches(data)
        self.assertEqual(calls, [(5, 0, run, True), (5, 2, [b"end"], True), (5, 2, [b"next"], True)])
        for cut in (5, 6, 7, 11, 12, 13):
            calls = self.batches(data[:-cut], data[-cut:])
            self.assertEqual(calls[0], (5, 0, run, True))
            self.assertEqual(b"".join(part for call in calls[2:] for part in call[2]), b"next")
        headersOnly = len(pData(pdv(run[0], 5, 0))) + 12
        self.assertEqual(self.batches(data[:headersOnly])[0], (5, 0, run[:1], True))
        calls = self.batches(data[:40], data[40:])
        self.assertEqual([call[3] for call in calls], [False, True, True, True])
        self.assertEqual([b"".join(calls[0][2] + calls[1][2])], [b"".join(run)])

    def test_runsEnd(self) -> None:
        """Anything that is not like the PDU before it begins a new call, or is refused there."""
        first, second = pData(pdv(b"ab", 5, 0)), pData(pdv(b"cd", 5, 0))
        for other in (pData(pdv(b"xy", 7, 0)), pData(pdv(b"xy", 5, 1)), pData(pdv(b"x", 5, 0), pdv(b"y", 5, 0))):
            calls = self.batches(first + other + second)
            self.assertEqual(calls[0], (5, 0, [b"ab"], True))
            self.assertEqual(b"".join(part for call in calls for part in call[2]), b"abxycd")
        for bad in (pdu(4, b"", MAXIMUM + 1), pdu(4, pdv(b"x", 5, 0, length=9)), pdu(9)):
            calls = []
            self.assertRaises(PDUError, self.batches, first + second + bad + bytes(20), calls=calls)
            self.assertEqual(calls, [(5, 0, [b"ab", b"cd"], True)])

    def test_runsAreBounded(self) -> None:
        """A receiver that keeps the views of one call keeps no more than 512 of them."""
        calls = self.batches(pData(pdv(b"x", 5, 0)) * 1200)
        self.assertEqual([len(call[2]) for call in calls], [512, 512, 176])

    def batches(self, *chunks: bytes, calls: list[Any] | None = None) -> list[Any]:
        """Return the calls that chunks lead to, as they are made."""
        calls = [] if calls is None else calls
        parser, receiver = build()
        receiver.fragmentsReceived = lambda *call: calls.append((*call[:2], [bytes(part) for part in call[2]], call[3]))
        for chunk in chunks:
            parser.feed(chunk)
        return calls

    def test_unfinished(self) -> None:
        """Of a PDV that is not complete all that has come is passed on, and none of it is kept."""
        parser, receiver = build()
        parser.feed(pData(pdv(b"0123456789"))[:-3])
        self.assertEqual(b"".join(receiver.fragments), b"0123456")
        self.assertEqual(receiver.calls, [("started", 4, 16)])
        self.assertEqual(held(parser), 0)

    def test_inPDU(self) -> None:
        """The parser knows whether it is within a PDU, at every byte."""
        for data in (pdu(7), pdu(1, bytes(70)), pData(pdv(b"")), pData(pdv(b"abc"), pdv(b""), pdv(b"d"))):
            parser, _ = build()
            self.assertFalse(parser.inPDU)
            for _ in range(2):
                for index in range(len(data)):
                    parser.feed(data[index : index + 1])
                    self.assertEqual(parser.inPDU, index + 1 < len(data), index)

    @settings(deadline=None, max_examples=80)
    @given(st.data())
    def test_streams(self, data: st.DataObject) -> None:
        """Any sequence of PDUs, cut anywhere."""
        stream, calls = data.draw(streams())
        cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=12))
        self.assertParsed(stream, calls, cuts=cuts)

    @settings(deadline=None, max_examples=200)
    @given(st.binary(max_size=120), st.lists(st.integers(0, 120), max_size=8))
    def test_anything(self, data: bytes, cuts: list[int]) -> None:
        """Any bytes whatever are parsed to the same calls and the same error, however they are cut."""
        # A plausible header first, or next to nothing would get beyond the type.
        for start in (b"", b"\x04\0\0\0\0", pData(pdv(b"a")), pdu(7)):
            whole = start + data
            expected = parsed([whole])
            self.assertEqual(parsed(pieces(whole, range(1, len(whole)))), expected)
            self.assertEqual(parsed(pieces(whole, (min(cut, len(whole)) for cut in cuts))), expected)


class BoundsTests(ParserTestCase):
    """What is refused, with which reason, before anything of it is kept."""

    def test_unknownTypes(self) -> None:
        """A type that the standard does not have is unrecognized, whatever its length."""
        for pduType in (0x00, 0x08, 0x40, 0x84, 0xFF):
            for length in (0, 4, 0xFFFFFFFF):
                self.assertRefused(pdu(pduType, b"", length), AbortReason.UNRECOGNIZED_PDU, [])

    def test_shortPDUs(self) -> None:
        """The PDUs whose body has four bytes always are refused with any other length."""
        for pduType in (3, 5, 6, 7):
            for length in (0, 3, 5, 68, 0xFFFFFFFF):
                self.assertRefused(pdu(pduType, b"", length), AbortReason.INVALID_PDU_PARAMETER_VALUE, [])

    def test_associate(self) -> None:
        """An A-ASSOCIATE is refused if its fixed part does not fit, or if it is longer than allowed."""
        for pduType in (1, 2):
            for length in (0, 67, MAXIMUM_ASSOCIATE + 1, 0xFFFFFFFF):
                self.assertRefused(pdu(pduType, b"", length), AbortReason.INVALID_PDU_PARAMETER_VALUE, [])
            for length in (68, MAXIMUM_ASSOCIATE):
                self.assertEqual(parsed([pdu(pduType, b"", length)]), ([("started", pduType, length)], None))

    def test_pDataMaximum(self) -> None:
        """A P-DATA-TF PDU may be as long as announced, and not a byte longer."""
        body = pdv(bytes(MAXIMUM - 6))
        self.assertParsed(pdu(4, body), [("started", 4, MAXIMUM), ("pdv", 1, 2, bytes(MAXIMUM - 6))], cuts=(100,))
        for length in (MAXIMUM + 1, 0xFFFFFFFF):
            self.assertRefused(pdu(4, b"", length), AbortReason.INVALID_PDU_PARAMETER_VALUE, [])

    def test_pDataWithoutMaximum(self) -> None:
        """Where no limit is announced every length is good, and nothing is kept of the data."""
        parser, receiver = build(maximum=0)
        parser.feed(pdu(4, b"", 0xFFFFFFFF) + pdv(b"", length=0xFFFFFFFB))
        for _ in range(100):
            parser.feed(bytes(1000))
        self.assertEqual(receiver.calls, [("started", 4, 0xFFFFFFFF)])
        self.assertEqual(sum(map(len, receiver.fragments)), 100_000)
        self.assertEqual(held(parser), 0)

    def test_pDataTooShort(self) -> None:
        """A P-DATA-TF PDU in which no PDV fits is refused."""
        for length in range(6):
            self.assertRefused(pdu(4, b"", length), AbortReason.INVALID_PDU_PARAMETER_VALUE, [])

    def test_pdvLengths(self) -> None:
        """A PDV item has at least its context ID and control header, and ends where its PDU ends or before."""
        for length in (0, 1, 13, 0x80000000, 0xFFFFFFFF):
            data = pdu(4, pdv(b"", length=length), length=16)
            self.assertRefused(data, AbortReason.INVALID_PDU_PARAMETER_VALUE, [("started", 4, 16)])
        self.assertParsed(pData(pdv(bytes(10))), [("started", 4, 16), ("pdv", 1, 2, bytes(10))])

    def test_secondPDVTooLong(self) -> None:
        """Likewise where a PDV has gone before."""
        data = pdu(4, pdv(b"ab") + pdv(b"", length=3), length=14)
        calls: list[Call] = [("started", 4, 14), ("pdv", 1, 2, b"ab")]
        self.assertRefused(data, AbortReason.INVALID_PDU_PARAMETER_VALUE, calls)

    def test_strayBytes(self) -> None:
        """Bytes behind the last PDV in which no other fits are refused with that PDV's header, before its data."""
        for stray in range(1, 6):
            data = pdu(4, pdv(b"", length=12), length=16 + stray)
            self.assertRefused(data, AbortReason.INVALID_PDU_PARAMETER_VALUE, [("started", 4, 16 + stray)])

    def test_pausedBytesAreNotRefused(self) -> None:
        """What comes behind a pause is not looked at before `resume`, which raises then."""
        parser, receiver = build()
        parser.pause()
        parser.feed(pdu(7) + pdu(9))
        self.assertEqual(receiver.calls, [])
        error = self.assertRaises(PDUError, parser.resume)
        self.assertEqual(error.reason, AbortReason.UNRECOGNIZED_PDU)
        self.assertEqual(receiver.calls, [("started", 7, 4), ("received", 7, bytes(4))])
        self.assertEqual(held(parser), 0)

    def test_receiversErrors(self) -> None:
        """Whatever a receiver raises comes out of `feed`, and ends the parsing for good."""

        def fail(parser: PDUParser, receiver: Receiver) -> None:
            raise error

        for error in (PDUError(AbortReason.UNEXPECTED_PDU, "no"), MessageError("no"), ValueError("no")):
            for data in (pdu(7), pdu(1, bytes(68)), pData(pdv(b"abc"), pdv(b"def"))):
                for count in (1, 2):
                    parser, receiver = build(doAt(count, fail))
                    self.assertIs(self.assertRaises(type(error), parser.feed, data * 2), error)
                    self.assertEqual(len(receiver.calls), count)
                    self.assertEqual(held(parser), 0)
                    parser.resume()
                    parser.feed(data)
                    self.assertEqual(len(receiver.calls), count)
