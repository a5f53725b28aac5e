"""
Messages and the PDVs that carry them (PS3.7 6.3, PS3.8 Annex E): `MessageReader` for what comes, `encodeMessage` for
what goes.

A message is a command set, collected up to a bound, and possibly a data set, which is handed on in the pieces it comes
in and never held.
"""

from __future__ import annotations

from struct import Struct
from typing import Protocol

from txdicom.dimse.commands import Command
from txdicom.dimse.commandsets import decodeCommand
from txdicom.errors import MessageError
from txdicom.upperlayer.fields import Octets

__all__ = ["IMessageReceiver", "MessageReader", "encodeDataSet", "encodeMessage", "fragmentLength"]

#: Bits of the message control header (PS3.8 E.2); the other six are reserved.
_COMMAND = 0b01
_LAST = 0b10
_WHOLE = _COMMAND | _LAST

#: A P-DATA-TF PDU with one PDV: PDU header, then the PDV item's length, context ID and control header.
_packPDUHeader = Struct(">BxIIBB").pack
_P_DATA_TF = 0x04
#: What the PDV item's header takes of the body that the peer's maximum length bounds.
_PDV_OVERHEAD = 6
#: Where the peer sets no limit, we cut data sets here.
_UNLIMITED = 1 << 17


class IMessageReceiver(Protocol):
    """What `MessageReader` calls; each method may raise `PDUError` or `MessageError` to abort the association."""

    def commandReceived(self, contextID: int, command: Command) -> None:
        """A command set is complete; if its `hasDataSet` is true, the data set follows."""

    def dataReceived(self, fragments: list[memoryview]) -> None:
        """Some bytes of the data set that the last command announced."""

    def dataSetReceived(self) -> None:
        """The data set is complete."""


class MessageReader:
    """
    Puts the PDVs of one association together to messages.

    :param receiver: told of commands and data.
    :param maximumCommandLength: the largest command set, in bytes.
    """

    def __init__(self, receiver: IMessageReceiver, maximumCommandLength: int) -> None:
        self._receiver = receiver
        self._maximumCommandLength = maximumCommandLength
        self._command = bytearray()
        # The presentation context of the message being read, None between messages.
        self._contextID: int | None = None
        self._inDataSet = False

    @property
    def inMessage(self) -> bool:
        """Whether a message has begun that is not complete yet."""
        return self._contextID is not None

    def fragmentsReceived(self, contextID: int, control: int, fragments: list[memoryview], last: bool) -> None:
        """
        Take pieces of PDVs, as `IUpperLayerUser.fragmentsReceived` does.

        :raises MessageError: the peer broke PS3.7; the association has to be aborted.
        """
        if self._inDataSet and contextID == self._contextID and not control & _COMMAND:
            if fragments[0]:
                self._receiver.dataReceived(fragments)
            if last and control & _LAST:
                self._inDataSet = False
                self._contextID = None
                self._receiver.dataSetReceived()
        elif self._contextID is None and last and control & _WHOLE == _WHOLE and len(fragments) == 1:
            # A whole command, as nearly all are.
            self._checkLength(len(fragments[0]))
            self._contextID = contextID
            self._commandReceived(contextID, bytes(fragments[0]))
        else:
            for fragment in fragments:
                self._commandFragmentReceived(contextID, control, fragment, last)

    def _commandFragmentReceived(self, contextID: int, control: int, fragment: memoryview, last: bool) -> None:
        if self._contextID is None:
            self._contextID = contextID
        elif contextID != self._contextID:
            raise MessageError(f"a message came on presentation contexts {self._contextID} and {contextID}")
        if not control & _COMMAND:
            raise MessageError("a data set came where no command announced one")
        if self._inDataSet:
            raise MessageError("a command came where a data set was announced")
        self._checkLength(len(self._command) + len(fragment))
        self._command += fragment
        if last and control & _LAST:
            whole = bytes(self._command)
            self._command.clear()
            self._commandReceived(contextID, whole)

    def _checkLength(self, length: int) -> None:
        if length > self._maximumCommandLength:
            raise MessageError(f"a command set is longer than {self._maximumCommandLength} bytes")

    def _commandReceived(self, contextID: int, data: bytes) -> None:
        command = decodeCommand(data)
        if command.hasDataSet:
            self._inDataSet = True
        else:
            self._contextID = None
        self._receiver.commandReceived(contextID, command)


def fragmentLength(maximumLength: int) -> int:
    """
    Tell how much of a message one PDU can carry.

    Fragments have an even length, but for the last of an odd whole (PS3.8 9.3.5.1).

    :param maximumLength: the largest P-DATA-TF body, at least 8.
    """
    return (maximumLength - _PDV_OVERHEAD) & ~1


def encodeMessage(contextID: int, command: bytes, dataSet: bytes | None, maximumLength: int) -> bytes:
    """
    Encode a whole message as P-DATA-TF PDUs of one PDV each.

    :param command: the encoded command set.
    :param dataSet: the encoded data set, or None where the command announces none.
    :param maximumLength: the largest P-DATA-TF body that the peer accepts, at least 8; 0 for no limit.
    """
    length = len(command)
    if length + _PDV_OVERHEAD <= (maximumLength or _UNLIMITED) and dataSet is None:
        # Nearly all that an SCP ever sends.
        return _packPDUHeader(_P_DATA_TF, length + _PDV_OVERHEAD, length + 2, contextID, _COMMAND | _LAST) + command
    pieces = _fragments(contextID, _COMMAND, command, maximumLength, True)
    if dataSet is not None:
        pieces += _fragments(contextID, 0, dataSet, maximumLength, True)
    return b"".join(pieces)


def encodeDataSet(contextID: int, dataSet: Octets, maximumLength: int, last: bool) -> list[Octets]:
    """
    Encode a part of a data set as P-DATA-TF PDUs of one PDV each, in pieces that refer to it.

    :param dataSet: of a length that `fragmentLength` divides, but for the last part.
    :param maximumLength: as for `encodeMessage`.
    :param last: whether the data set ends with it.
    """
    return _fragments(contextID, 0, dataSet, maximumLength, last)


def _fragments(contextID: int, kind: int, data: Octets, maximumLength: int, last: bool) -> list[Octets]:
    step = fragmentLength(maximumLength or _UNLIMITED)
    view = memoryview(data)
    end = max(len(data) - 1, 0) // step * step
    pieces: list[Octets] = []
    if end:
        # All PDUs but the last one begin alike.
        header = _pduHeader(contextID, kind, step)
        for start in range(0, end, step):
            pieces += (header, view[start : start + step])
    return [*pieces, _pduHeader(contextID, kind | _LAST if last else kind, len(data) - end), view[end:]]


def _pduHeader(contextID: int, control: int, length: int) -> bytes:
    """Make all of a P-DATA-TF PDU but its fragment, which has that length."""
    return _packPDUHeader(_P_DATA_TF, length + _PDV_OVERHEAD, length + 2, contextID, control)
