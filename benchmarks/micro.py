"""What the pieces of the hot path cost, each by itself: `measurePieces`."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from struct import pack
from types import SimpleNamespace
from typing import Any

from zope.interface import implementer

from benchmarks.objects import KINDS, Batch
from benchmarks.results import Row
from benchmarks.soaking.contents import EXPLICIT_VR_LITTLE_ENDIAN
from txdicom.dimse.commands import CStoreRQ, CStoreRSP
from txdicom.dimse.commandsets import decodeCommand, encodeCommand
from txdicom.interfaces import IPDUReceiver
from txdicom.services.head import HeadReader
from txdicom.services.storage import ReceivedInstance
from txdicom.storage.fileformat import encodeFileHead
from txdicom.storage.filestore import FileStore
from txdicom.upperlayer.parser import PDUParser

__all__ = ["measurePieces"]

#: So long is each piece repeated in a round, in seconds.
_SECONDS = 0.2
_PDU = 16384
_READ = 262144
_STREAM = 2 << 20
_SOP_CLASS_UID, _SOP_INSTANCE_UID = 0x00080016, 0x00080018


def measurePieces(directory: Path, rounds: int) -> list[Row]:
    """
    Measure all pieces, in every round one after the other.

    :param directory: where files are stored; they are left there.
    :return: a row for each piece and round.
    """
    pieces = _pieces(directory)
    return [
        Row(number, "txdicom", name, _figures(piece, length))
        for number in range(rounds)
        for name, (piece, length) in pieces.items()
    ]


def _figures(piece: Callable[[], object], length: int) -> dict[str, float]:
    repeat, seconds = 1, 0.0
    while seconds < _SECONDS:
        repeat = max(2 * repeat, int(repeat * _SECONDS / max(seconds, 1e-6)) if seconds > _SECONDS / 10 else 0)
        begun = time.perf_counter()
        for _ in range(repeat):
            piece()
        seconds = time.perf_counter() - begun
    figures = {"secondsPerOperation": seconds / repeat}
    if length:
        figures["bytesPerSecond"] = length * repeat / seconds
    return figures


def _pieces(directory: Path) -> dict[str, tuple[Callable[[], object], int]]:
    """Prepare the pieces: name -> what to repeat, and how many bytes it takes, 0 where those do not matter."""
    ct, small = Batch(KINDS["512 KiB"], 1), Batch(KINDS["5 KiB"], 2)
    request = CStoreRQ(1, ct.kind.sopClassUID, ct.uid(0))
    response = CStoreRSP(1, 0, ct.kind.sopClassUID, ct.uid(0))
    encoded = encodeCommand(request)
    head = memoryview(ct.head)
    titles = (EXPLICIT_VR_LITTLE_ENDIAN, "BENCHMARK")
    return {
        "parse 2 MiB in PDUs of 16 KiB, read by 256 KiB": (_parsing(_PDU), _STREAM),
        "parse 2 MiB in PDUs of 128 KiB, read by 256 KiB": (_parsing(8 * _PDU), _STREAM),
        "decode a C-STORE-RQ": (lambda: decodeCommand(encoded), 0),
        "encode a C-STORE-RSP": (lambda: encodeCommand(response), 0),
        "read the UIDs in the head of a data set": (lambda: _headReader().feed(head), 0),
        "encode the head of a file": (lambda: encodeFileHead(ct.kind.sopClassUID, ct.uid(0), *titles), 0),
        "store a file of 5 KiB": (_storing(directory, small), small.length),
    }


def _headReader() -> HeadReader:
    return HeadReader(EXPLICIT_VR_LITTLE_ENDIAN, (_SOP_CLASS_UID, _SOP_INSTANCE_UID))


@implementer(IPDUReceiver)
class _Ignoring:
    """Takes what the parser finds."""

    def pduStarted(self, pduType: int, length: int) -> None:
        """Do nothing."""

    def pduReceived(self, pduType: int, body: bytes) -> None:
        """Do nothing."""

    def fragmentsReceived(self, contextID: int, control: int, fragments: list[memoryview], last: bool) -> None:
        """Do nothing."""


def _parsing(maximumLength: int) -> Callable[[], object]:
    pdu = pack(">BxIIBB", 4, maximumLength, maximumLength - 4, 3, 0) + bytes(maximumLength - 6)
    stream = pdu * (_STREAM // maximumLength)
    # As from a socket: PDUs are cut by the ends of reads, each time elsewhere.
    reads = [stream[start : start + _READ] for start in range(0, len(stream), _READ)]
    parser = PDUParser(_Ignoring(), maximumLength, 1 << 20)

    def parse() -> None:
        for read in reads:
            parser.feed(read)

    return parse


def _storing(directory: Path, batch: Batch) -> Callable[[], Any]:
    store = FileStore(directory)
    association: Any = SimpleNamespace(callingAETitle="BENCHMARK")
    numbers = count()

    def storeOne() -> Any:
        uid = batch.uid(next(numbers))
        request = CStoreRQ(1, batch.kind.sopClassUID, uid)
        instance = ReceivedInstance(batch.kind.sopClassUID, uid, EXPLICIT_VR_LITTLE_ENDIAN, request, {})
        writer: Any = store.store(association, instance)
        writer.write([memoryview(piece) for piece in batch.dataSet(0)])
        return writer.commit()

    return storeOne
