"""
Tests for what `txdicom.upperlayer.parser` keeps, and for how long: views, `pause`, `resume` and `discard`.
"""

from __future__ import annotations

import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.parsing import (
    MAXIMUM_ASSOCIATE,
    Receiver,
    build,
    discard,
    doAt,
    held,
    parsed,
    pause,
    pData,
    pdu,
    pdv,
    pieces,
    streams,
)
from txdicom.upperlayer.parser import PDUParser


class MemoryTests(SynchronousTestCase):
    """What is kept, and what is not."""

    def test_viewsOfTheChunk(self) -> None:
        """Fragments are read-only views over the very bytes that were fed."""
        data = pData(pdv(b"abcdef"), pdv(b"ghi"), pdv(b""))
        for chunks in ([data], list(pieces(data, range(1, len(data)))), list(pieces(data, (14, 22)))):
            parser, receiver = build()
            for chunk in chunks:
                parser.feed(chunk)
            for fragment in receiver.fragments:
                self.assertTrue(fragment.readonly)
                self.assertIs(type(fragment.obj), bytes)
                if fragment:
                    self.assertTrue(any(fragment.obj is chunk for chunk in chunks))

    def test_fragmentsMayBeKept(self) -> None:
        """A fragment that was kept says the same when the parser has gone on."""
        parser, receiver = build()
        for piece in pieces(pData(pdv(b"0123456789")) * 3, range(5, 60, 5)):
            parser.feed(piece)
        self.assertEqual(b"".join(receiver.fragments), b"0123456789" * 3)

    def test_collectingKeepsNoObjectPerByte(self) -> None:
        """An A-ASSOCIATE that drips in is kept as its bytes and nothing else, and only as far as it has come."""
        size = 1 << 16
        parser, receiver = build()
        parser.feed(pdu(1, b"", MAXIMUM_ASSOCIATE))
        self.assertEqual(held(parser), 0)
        tracemalloc.start()
        try:
            for _ in range(size):
                parser.feed(bytes((1,)))
            kept, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertEqual(held(parser), size)
        self.assertLess(kept, 2 * size)
        self.assertLess(peak, 4 * size)
        parser.feed(bytes(MAXIMUM_ASSOCIATE - size))
        self.assertEqual(receiver.calls[-1], ("received", 1, bytes((1,)) * size + bytes(MAXIMUM_ASSOCIATE - size)))
        self.assertEqual(held(parser), 0)

    def test_headersAreNotKept(self) -> None:
        """At most five bytes are kept of a header that is not complete."""
        parser, _ = build()
        for piece in pieces(pData(pdv(b"ab")) * 2, range(1, 28)):
            parser.feed(piece)
            self.assertLessEqual(held(parser), 5)


class PauseTests(SynchronousTestCase):
    """Tests for `pause` and `resume`."""

    #: Every kind of call, and PDVs that follow each other.
    stream = pdu(1, bytes(68)) + pData(pdv(b"abc"), pdv(b""), pdv(b"def")) + pdu(5) + pData(pdv(b"g")) + pdu(7)

    def test_keeps(self) -> None:
        """While paused nothing is said and everything is kept; after `resume` it comes in order."""
        parser, receiver = build()
        parser.pause()
        self.assertEqual((parser.paused, parser.backlogged), (True, False))
        for piece in pieces(self.stream, range(1, len(self.stream), 10)):
            parser.feed(piece)
            self.assertTrue(parser.backlogged)
        self.assertEqual(receiver.calls, [])
        parser.resume()
        self.assertEqual(receiver.calls, parsed([self.stream])[0])
        self.assertEqual((parser.paused, parser.backlogged), (False, False))

    def test_withinEachCall(self) -> None:
        """A receiver that pauses within every call gets one call more for every `resume`, and none out of turn."""
        for cuts in ((), range(1, len(self.stream)), range(3, len(self.stream), 11)):
            parser, receiver = build(pause)
            for piece in pieces(self.stream, cuts):
                parser.feed(piece)
            while parser.paused:
                before = len(receiver.calls), len(receiver.fragments)
                parser.resume()
                self.assertLessEqual(len(receiver.calls), before[0] + 1)
                self.assertLessEqual(len(receiver.fragments), before[1] + 1)
            self.assertEqual(receiver.calls, parsed([self.stream])[0])
            self.assertEqual(held(parser), 0)

    def test_atTheEndOfAChunk(self) -> None:
        """A pause with nothing behind it leaves no backlog: the connection may be read on."""
        parser, receiver = build(pause)
        parser.feed(pdu(7, b"", 4))
        self.assertEqual((parser.paused, parser.backlogged), (True, False))
        parser.feed(b"a")
        self.assertTrue(parser.backlogged)
        parser.resume()
        self.assertEqual((parser.paused, parser.backlogged), (False, False))
        parser.feed(b"bcd")
        self.assertEqual(receiver.calls, [("started", 7, 4), ("received", 7, b"abcd")])

    def test_resumedWithinTheCall(self) -> None:
        """Pausing and resuming within one call changes nothing."""

        def react(parser: PDUParser, receiver: Receiver) -> None:
            parser.pause()
            parser.resume()

        parser, receiver = build(react)
        parser.feed(self.stream)
        self.assertEqual(receiver.calls, parsed([self.stream])[0])
        self.assertFalse(parser.paused)

    def test_noRecursion(self) -> None:
        """However often a receiver pauses and resumes within one chunk, the stack does not grow."""

        def react(parser: PDUParser, receiver: Receiver) -> None:
            parser.pause()
            parser.feed(b"")
            parser.resume()

        parser, receiver = build(react, maximum=0)
        parser.feed(pData(*[pdv(b"")] * 10_000))
        self.assertEqual(len(receiver.calls), 10_001)

    def test_resumeWithoutPause(self) -> None:
        """`resume` does nothing where there was no `pause`, and one `resume` ends any number of pauses."""
        parser, receiver = build()
        parser.resume()
        parser.pause()
        parser.pause()
        parser.resume()
        self.assertFalse(parser.paused)
        parser.feed(pdu(7))
        self.assertEqual(len(receiver.calls), 2)

    def test_newBytesGoBehindTheBacklog(self) -> None:
        """What is fed while paused, or from within a call, comes after what is there already."""
        parser, receiver = build(pause)
        parser.feed(pData(pdv(b"a"), pdv(b"b")))
        parser.feed(pdu(5))

        def react(parser: PDUParser, receiver: Receiver) -> None:
            if receiver.calls[-1] == ("pdv", 1, 2, b"a"):
                parser.feed(pdu(7))

        receiver.react = react
        parser.resume()
        self.assertEqual(
            [(*call[:2], *call[3:]) if call[0] == "pdv" else call[:2] for call in receiver.calls],
            [
                ("started", 4),
                ("pdv", 1, b"a"),
                ("pdv", 1, b"b"),
                ("started", 5),
                ("received", 5),
                ("started", 7),
                ("received", 7),
            ],
        )

    @settings(deadline=None, max_examples=60)
    @given(st.data())
    def test_anyPauses(self, data: st.DataObject) -> None:
        """Whenever pauses and resumes come, the receiver hears the same."""
        stream, calls = data.draw(streams())
        cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=12))
        pauses = data.draw(st.lists(st.sampled_from(("pause", "resume", "both", "nothing")), min_size=1, max_size=20))
        steps = iter(pauses)

        def react(parser: PDUParser, receiver: Receiver) -> None:
            step = next(steps, "nothing")
            if step in ("pause", "both"):
                parser.pause()
            if step in ("resume", "both"):
                parser.resume()

        parser, receiver = build(react)
        for piece in pieces(stream, cuts):
            parser.feed(piece)
            react(parser, receiver)
        while parser.paused:
            parser.resume()
        self.assertEqual(receiver.calls, calls)


class DiscardTests(SynchronousTestCase):
    """Tests for `PDUParser.discard`."""

    def test_withinEachCall(self) -> None:
        """After `discard` nothing more is said, from wherever it was called, and nothing is kept."""
        stream = PauseTests.stream
        total = len(parsed([stream])[0])
        for count in range(1, total + 1):
            for cuts in ((), range(1, len(stream))):
                parser, receiver = build(doAt(count, discard))
                for piece in pieces(stream, cuts):
                    parser.feed(piece)
                parser.feed(stream)
                self.assertEqual(receiver.calls, parsed([stream])[0][:count])
                self.assertEqual(held(parser), 0)

    def test_whilePaused(self) -> None:
        """`discard` drops what a pause has kept, and nothing revives it."""
        parser, receiver = build()
        parser.pause()
        parser.feed(pdu(7))
        parser.discard()
        self.assertEqual((parser.paused, parser.backlogged, held(parser)), (False, False, 0))
        parser.resume()
        parser.pause()
        self.assertFalse(parser.paused)
        parser.resume()
        parser.feed(pdu(7))
        self.assertEqual(receiver.calls, [])

    def test_inTheMiddle(self) -> None:
        """What was collected of a PDU is dropped, and so is half a header."""
        for data in (pdu(1, b"", 68) + bytes(30), pdu(7)[:5]):
            parser, receiver = build()
            parser.feed(data)
            parser.discard()
            parser.feed(bytes(100))
            # The stash for half a header may stay; nothing is added to it.
            self.assertLessEqual(held(parser), 5)
            self.assertNotIn("received", [call[0] for call in receiver.calls])

    def test_garbage(self) -> None:
        """What is discarded is not looked at."""
        parser, _ = build()
        parser.discard()
        parser.feed(pdu(9) * 100)
        self.assertEqual(held(parser), 0)
