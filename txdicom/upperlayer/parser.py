"""
Bytes to PDUs, incrementally: `PDUParser`.

Theory of operation. The parser pushes: it is fed whatever the connection delivers, in whatever pieces, and calls its
`IPDUReceiver`. P-DATA-TF is never assembled: each piece of a presentation data value goes on as a view over the chunk
it came in, so nothing is copied and no object outlives its call unless the receiver keeps the view. Most of a data set
comes in many PDUs alike, each with one presentation data value. Those of one chunk go on in one call, for a call costs
more than all that there is to do for such a PDU. Only the other six PDUs, which are rare and small, are collected,
after their announced length was checked.

The PDU header and the PDV item header happen to be six bytes both (PS3.8 9.3.1 and 9.3.5.1), so one stash of at most
five bytes is all that is kept of a header cut by the end of a chunk.

The receiver may call `pause` from within any of its methods; what has not been parsed then waits until `resume`. It may
also call `discard`, after which everything is thrown away unread.
"""

from __future__ import annotations

from collections import deque
from struct import Struct
from typing import TYPE_CHECKING

from txdicom.errors import AbortReason, PDUError

if TYPE_CHECKING:
    from txdicom.interfaces import IPDUReceiver

__all__ = ["MOST_FRAGMENTS", "PDUParser"]

_HEADER_LENGTH = 6
_readPDUHeader = Struct(">BxI").unpack_from
_readPDVHeader = Struct(">IBB").unpack_from
#: The two of them in a row.
_readBothHeaders = Struct(">BxIIBB").unpack_from
_BOTH_HEADERS_LENGTH = 12

_P_DATA_TF = 0x04
_A_ASSOCIATE_RQ = 0x01
_A_ASSOCIATE_AC = 0x02
#: What the first record of TLS begins with (RFC 8446 5.1), which is none of DICOM's PDU types.
_TLS_HANDSHAKE = 0x16
#: The fixed part of an A-ASSOCIATE-RQ or -AC body: what is shorter cannot be one.
_MINIMUM_ASSOCIATE_LENGTH = 68
#: The body of A-ASSOCIATE-RJ, A-RELEASE-RQ, A-RELEASE-RP and A-ABORT.
_SHORT_LENGTH = 4
#: The bit of the message control header that says that this PDV ends a command set or data set (PS3.8 E.2).
_LAST = 0b10
#: The most fragments that go on in one call: as many as the receiver may have to keep.
MOST_FRAGMENTS = 512
#: A PDV item of no data: item length, presentation context ID, message control header.
_MINIMUM_PDV_ITEM = 6

_RUNNING = 0
_PAUSED = 1
_DISCARDING = 2


class PDUParser:
    """
    Parses the byte stream of one connection.

    :param receiver: told of every PDU.
    :param maximumPDataLength: the largest body of a P-DATA-TF PDU, as announced to the peer; 0 for no limit.
    :param maximumAssociateLength: the largest body of an A-ASSOCIATE-RQ or -AC.
    """

    def __init__(self, receiver: IPDUReceiver, maximumPDataLength: int, maximumAssociateLength: int) -> None:
        self._receiver = receiver
        self._maximumPDataLength = maximumPDataLength or 0xFFFFFFFF
        self._maximumAssociateLength = maximumAssociateLength
        self._mode = _RUNNING
        self._parsing = False
        self._backlog: deque[memoryview] = deque()
        # A header of which the end of a chunk cut off the rest.
        self._stash = b""
        # Bytes of the present P-DATA-TF body beyond the present PDV, and of the present PDV.
        self._bodyLeft = 0
        self._pdvLeft = 0
        self._contextID = 0
        self._control = 0
        # A rare PDU being collected.
        self._pduType = 0
        self._collectLeft = 0
        self._collected = bytearray()

    @property
    def paused(self) -> bool:
        """Whether bytes wait for `resume`."""
        return self._mode == _PAUSED

    @property
    def inPDU(self) -> bool:
        """Whether a PDU has begun that is not complete yet."""
        return bool(self._stash or self._bodyLeft or self._pdvLeft or self._collectLeft)

    @property
    def backlogged(self) -> bool:
        """Whether bytes have come that could not be parsed yet: the moment to stop reading more."""
        return bool(self._backlog)

    def feed(self, data: bytes) -> None:
        """
        Parse the next bytes.

        :param data: any number of bytes, cut anywhere.
        :raises PDUError: the peer broke the protocol; from here on everything is discarded.
        """
        if self._mode == _DISCARDING or not data:
            return
        self._backlog.append(memoryview(data))
        if self._mode == _RUNNING and not self._parsing:
            self._drain()

    def pause(self) -> None:
        """Hand on nothing more until `resume`."""
        if self._mode == _RUNNING:
            self._mode = _PAUSED

    def resume(self) -> None:
        """
        Go on after `pause`, with what has come meanwhile first.

        :raises PDUError: as `feed` does.
        """
        if self._mode == _PAUSED:
            self._mode = _RUNNING
            if not self._parsing:
                self._drain()

    def discard(self) -> None:
        """Throw away what has come, and whatever comes from now on."""
        self._mode = _DISCARDING
        self._backlog.clear()
        self._collected.clear()

    def close(self) -> None:
        """Throw everything away, as `discard` does, and forget the receiver: the connection is gone."""
        self.discard()
        del self._receiver

    def _drain(self) -> None:
        backlog = self._backlog
        self._parsing = True
        try:
            while backlog and self._mode == _RUNNING:
                view = backlog.popleft()
                parsed = self._parse(view)
                if parsed < len(view) and self._mode != _DISCARDING:
                    backlog.appendleft(view[parsed:])
        except BaseException:
            self.discard()
            raise
        finally:
            self._parsing = False

    def _parse(self, view: memoryview) -> int:
        """Parse until the end of the view, or until paused; return how far it went."""
        position = 0
        end = len(view)
        while position < end and self._mode == _RUNNING:
            if self._pdvLeft:
                position = self._fragmentsReceived(view, position, end)
            elif self._collectLeft:
                position = self._collect(view, position, end)
            elif self._stash or end - position < _HEADER_LENGTH:
                position = self._stitch(view, position, end)
            elif not self._bodyLeft and position + _BOTH_HEADERS_LENGTH < end and self._isUsual(view, position):
                position += _BOTH_HEADERS_LENGTH
            else:
                self._headerReceived(view, position)
                position += _HEADER_LENGTH
        return position

    def _isUsual(self, view: memoryview, position: int) -> bool:
        """Take both headers of a P-DATA-TF PDU that has one PDV with data; nothing is done about any other."""
        pduType, length, itemLength, contextID, control = _readBothHeaders(view, position)
        if (
            pduType != _P_DATA_TF
            or itemLength != length - 4
            or not _MINIMUM_PDV_ITEM < length <= self._maximumPDataLength
        ):
            return False
        self._receiver.pduStarted(pduType, length)
        if self._mode != _DISCARDING:
            self._contextID = contextID
            self._control = control
            self._pdvLeft = itemLength - 2
        return True

    def _fragmentsReceived(self, view: memoryview, position: int, end: int) -> int:
        """Hand on what there is of the present PDV, and of those that follow it and are of its kind."""
        start = position
        position += self._pdvLeft
        fragments = [view[start : min(position, end)]]
        contextID, control = self._contextID, self._control
        if not (self._bodyLeft or control & _LAST):
            while position + _BOTH_HEADERS_LENGTH < end and len(fragments) < MOST_FRAGMENTS:
                pduType, length, itemLength, nextContextID, nextControl = _readBothHeaders(view, position)
                if (
                    nextControl != control
                    or nextContextID != contextID
                    or pduType != _P_DATA_TF
                    or not _MINIMUM_PDV_ITEM < length <= self._maximumPDataLength
                    or itemLength != length - 4
                ):
                    # Something else, which is looked at when these are gone.
                    break
                start = position + _BOTH_HEADERS_LENGTH
                position += _HEADER_LENGTH + length
                fragments.append(view[start : min(position, end)])
        self._pdvLeft = max(position - end, 0)
        self._receiver.fragmentsReceived(contextID, control, fragments, position <= end)
        return min(position, end)

    def _stitch(self, view: memoryview, position: int, end: int) -> int:
        """Complete a header that the end of a chunk had cut, as far as the bytes go."""
        stop = min(end, position + _HEADER_LENGTH - len(self._stash))
        header = self._stash + bytes(view[position:stop])
        if len(header) < _HEADER_LENGTH:
            self._stash = header
        else:
            self._stash = b""
            self._headerReceived(header, 0)
        return stop

    def _headerReceived(self, data: memoryview | bytes, position: int) -> None:
        if self._bodyLeft:
            length, contextID, control = _readPDVHeader(data, position)
            self._pdvStarted(length, contextID, control)
        else:
            pduType, length = _readPDUHeader(data, position)
            if pduType == _P_DATA_TF:
                self._checkPDataLength(length)
                self._receiver.pduStarted(pduType, length)
                self._bodyLeft = length
            else:
                self._checkLength(pduType, length)
                self._receiver.pduStarted(pduType, length)
                self._pduType = pduType
                self._collectLeft = length

    def _pdvStarted(self, length: int, contextID: int, control: int) -> None:
        # `length` counts the context ID and control bytes, which have been read, but not its own four.
        left = self._bodyLeft - 4 - length
        if length < 2 or left < 0:
            raise PDUError(
                AbortReason.INVALID_PDU_PARAMETER_VALUE,
                f"PDV item of {length} bytes where {self._bodyLeft - 4} are left in the P-DATA-TF PDU",
            )
        if 0 < left < _MINIMUM_PDV_ITEM:
            raise PDUError(AbortReason.INVALID_PDU_PARAMETER_VALUE, f"{left} stray bytes at the end of a P-DATA-TF PDU")
        self._bodyLeft = left
        self._contextID = contextID
        self._control = control
        self._pdvLeft = length - 2
        if length == 2:
            self._receiver.fragmentsReceived(contextID, control, [memoryview(b"")], True)

    def _collect(self, view: memoryview, position: int, end: int) -> int:
        stop = min(end, position + self._collectLeft)
        self._collected += view[position:stop]
        self._collectLeft -= stop - position
        if not self._collectLeft:
            body = bytes(self._collected)
            self._collected.clear()
            self._receiver.pduReceived(self._pduType, body)
        return stop

    def _checkPDataLength(self, length: int) -> None:
        if length > self._maximumPDataLength:
            raise PDUError(
                AbortReason.INVALID_PDU_PARAMETER_VALUE,
                f"P-DATA-TF PDU of {length} bytes, {self._maximumPDataLength} were announced as the maximum",
            )
        if length < _MINIMUM_PDV_ITEM:
            raise PDUError(AbortReason.INVALID_PDU_PARAMETER_VALUE, f"P-DATA-TF PDU of {length} bytes holds no PDV")

    def _checkLength(self, pduType: int, length: int) -> None:
        if not 0x01 <= pduType <= 0x07:
            hint = ", which looks like a peer with TLS" if pduType == _TLS_HANDSHAKE else ""
            raise PDUError(AbortReason.UNRECOGNIZED_PDU, f"PDU type 0x{pduType:02X}{hint}")
        if pduType in (_A_ASSOCIATE_RQ, _A_ASSOCIATE_AC):
            good = _MINIMUM_ASSOCIATE_LENGTH <= length <= self._maximumAssociateLength
        else:
            good = length == _SHORT_LENGTH
        if not good:
            raise PDUError(
                AbortReason.INVALID_PDU_PARAMETER_VALUE, f"PDU of type 0x{pduType:02X} announces {length} bytes"
            )
