"""
What the tests of `txdicom.upperlayer.parser` share: bytes, a receiver that records, and what it is told of them.

The byte strings are put together here, field by field, and not by the library's own encoders.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any, TypeAlias

from hypothesis import strategies as st
from zope.interface import implementer

from txdicom.errors import AbortReason, PDUError
from txdicom.interfaces import IPDUReceiver
from txdicom.upperlayer.parser import PDUParser

#: The bounds that the tests' parsers have, unless they say otherwise.
MAXIMUM = 256
MAXIMUM_ASSOCIATE = 1 << 20

#: What a receiver was told: ``("started", type, length)``, ``("received", type, body)`` or
#: ``("pdv", context ID, control, data)``.
Call: TypeAlias = tuple[Any, ...]
#: What a receiver does when it is told something.
React: TypeAlias = "Callable[[PDUParser, Receiver], object]"


def pdu(pduType: int, body: bytes = bytes(4), length: int | None = None, reserved: int = 0) -> bytes:
    """Build a PDU; `length` announces something else than there is."""
    return bytes((pduType, reserved)) + (len(body) if length is None else length).to_bytes(4, "big") + body


def pdv(data: bytes, contextID: int = 1, control: int = 2, length: int | None = None) -> bytes:
    """Build a PDV item; `length` announces something else than there is."""
    return (len(data) + 2 if length is None else length).to_bytes(4, "big") + bytes((contextID, control)) + data


def pData(*items: bytes) -> bytes:
    """Build a P-DATA-TF PDU of PDV items."""
    return pdu(4, b"".join(items))


@implementer(IPDUReceiver)
class Receiver:
    """
    Records what a parser says.

    :ivar calls: what was said, with the fragments of a PDV joined, so that it is the same however the bytes came.
    :ivar fragments: the fragments as they came.
    :ivar react: called with the parser and this receiver after each call was recorded.
    """

    parser: PDUParser

    def __init__(self, react: React) -> None:
        self.calls: list[Call] = []
        self.fragments: list[memoryview] = []
        self.react = react
        self._open = b""

    def pduStarted(self, pduType: int, length: int) -> None:
        """Record it, but that of a P-DATA-TF PDU only if it is not the next of a run, for which it need not come."""
        if not isNext(self.calls, pduType):
            self._record("started", pduType, length)

    def pduReceived(self, pduType: int, body: bytes) -> None:
        """Record it."""
        assert type(body) is bytes
        self._record("received", pduType, body)

    def fragmentsReceived(self, contextID: int, control: int, fragments: list[memoryview], last: bool) -> None:
        """Record the PDVs that are whole, and keep the last until its rest has come."""
        assert fragments
        self.fragments += fragments
        for number, fragment in enumerate(fragments, 1):
            self._open += fragment
            if last or number < len(fragments):
                whole, self._open = self._open, b""
                self._record("pdv", contextID, control, whole)
        if not last:
            self.react(self.parser, self)

    def _record(self, *call: object) -> None:
        self.calls.append(call)
        self.react(self.parser, self)


def isNext(calls: list[Call], pduType: int) -> bool:
    """Tell whether a PDU continues a run of P-DATA-TF PDUs."""
    return pduType == 4 and bool(calls) and calls[-1][0] == "pdv"


def doNothing(parser: PDUParser, receiver: Receiver) -> None:
    """React in no way."""


def doAt(count: int, reaction: React) -> React:
    """React when so many calls have been recorded."""
    return lambda parser, receiver: reaction(parser, receiver) if len(receiver.calls) == count else None


def pause(parser: PDUParser, receiver: Receiver) -> None:
    """React by pausing the parser."""
    parser.pause()


def discard(parser: PDUParser, receiver: Receiver) -> None:
    """React by having everything else thrown away."""
    parser.discard()


def build(react: React = doNothing, maximum: int = MAXIMUM) -> tuple[PDUParser, Receiver]:
    """Build a parser and its receiver."""
    receiver = Receiver(react)
    receiver.parser = PDUParser(receiver, maximum, MAXIMUM_ASSOCIATE)
    return receiver.parser, receiver


def pieces(data: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    """Cut bytes at offsets."""
    for start, stop in pairwise((0, *sorted(cuts), len(data))):
        yield data[start:stop]


def parsed(chunks: Iterable[bytes], maximum: int = MAXIMUM) -> tuple[list[Call], AbortReason | None]:
    """Return what a parser makes of chunks, and with what it gave up; whatever follows that must be lost in silence."""
    parser, receiver = build(maximum=maximum)
    reason = None
    for chunk in chunks:
        try:
            parser.feed(chunk)
        except PDUError as error:
            assert reason is None, "an error after the first one"
            reason = error.reason
            told = list(receiver.calls)
    if reason is not None:
        assert receiver.calls == told, "something was said after the error"
    return receiver.calls, reason


def held(parser: PDUParser) -> int:
    """Return how many bytes of its input a parser keeps, wherever it keeps them."""
    total = 0
    for value in vars(parser).values():
        for item in value if isinstance(value, deque) else (value,):
            if isinstance(item, bytes | bytearray | memoryview):
                total += len(item)
    return total


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[Call]]:
    """Draw a sequence of PDUs that are good, and what a receiver should be told of it."""
    stream, calls = b"", []
    for kind in draw(st.lists(st.sampled_from((1, 2, 3, 4, 4, 4, 5, 6, 7)), max_size=6)):
        if kind == 4:
            values = st.tuples(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=40))
            pdvs = draw(st.lists(values, min_size=1, max_size=5))
            body = b"".join(pdv(data, contextID, control) for contextID, control, data in pdvs)
            calls += [] if isNext(calls, 4) else [("started", 4, len(body))]
            calls += [("pdv", *value) for value in pdvs]
        else:
            size = draw(st.integers(68, 90)) if kind < 3 else 4
            body = draw(st.binary(min_size=size, max_size=size))
            calls += [("started", kind, size), ("received", kind, body)]
        stream += pdu(kind, body)
    return stream, calls
