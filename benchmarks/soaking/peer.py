"""A DICOM requestor on asyncio that does what it is told, right or wrong: `Peer`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from struct import Struct, pack
from typing import Self, cast

from benchmarks.soaking.contents import EXPLICIT_VR_LITTLE_ENDIAN, SOP_CLASSES, Instance
from benchmarks.soaking.fileformat import CALLING_AE_TITLE
from txdicom.dimse.commands import CEchoRQ, CStoreRSP, Response
from txdicom.dimse.commandsets import decodeCommand, encodeCommand
from txdicom.upperlayer.items import PresentationContextRQ, UserInformation
from txdicom.upperlayer.pdu import AAbort, AAssociateAC, AAssociateRQ, AReleaseRQ, PDataTF, PDUType, decodePDU

__all__ = ["ABORT", "RELEASE", "Message", "Peer", "WrongAnswer", "storeMessage"]

#: The service user aborts.
ABORT = AAbort(0, 0).encode()
RELEASE = AReleaseRQ().encode()

#: How long an answer may take, in seconds, before the receiver counts as dead.
_PATIENCE = 30.0
#: How much is given to the transport at once.
_PIECE = 256 << 10
#: How large PDUs are where the receiver sets no limit.
_UNLIMITED = 128 << 10
#: No PDU that a receiver sends is longer.
_LONGEST_PDU = 64 << 10

_VERIFICATION = "1.2.840.10008.1.1"
_CONTEXT_IDS = {sopClass: 1 + 2 * index for index, sopClass in enumerate((_VERIFICATION, *SOP_CLASSES))}
_packPDUHeader = Struct(">BxI").pack
_packPDVHeader = Struct(">IBB").pack
_COMMAND = 1
_LAST = 2


class WrongAnswer(Exception):
    """The receiver said something that no receiver may say here."""


@dataclass(frozen=True, slots=True)
class Message:
    """
    A C-STORE-RQ with its data set, as P-DATA-TF PDUs.

    :ivar messageID: what the answer will refer to.
    :ivar pdus: each of them.
    """

    messageID: int
    pdus: tuple[bytes, ...]

    @property
    def wire(self) -> bytes:
        """All of it."""
        return b"".join(self.pdus)


def storeMessage(
    instance: Instance, dataSet: bytes, messageID: int, maximumLength: int, fragment: int = 0, ended: bool = True
) -> Message:
    """
    Encode a C-STORE-RQ.

    :param dataSet: what follows the command.
    :param maximumLength: the longest body of a PDU.
    :param fragment: the longest fragment, even, of which a PDU then has as many as go in; 0 for one that fills a PDU.
    :param ended: whether the last fragment says that it is the last.
    """
    contextID = _CONTEXT_IDS[instance.sopClassUID]
    command = _storeCommand(messageID, instance.sopClassUID.encode(), instance.uid.encode())
    length = fragment or maximumLength - 6 & ~1
    pdvs = [*_pdvs(contextID, _COMMAND, command, length, True), *_pdvs(contextID, 0, dataSet, length, ended)]
    together = max(1, maximumLength // (length + 6)) if fragment else 1
    bodies = (b"".join(pdvs[start : start + together]) for start in range(0, len(pdvs), together))
    return Message(messageID, tuple(_packPDUHeader(PDUType.P_DATA_TF, len(body)) + body for body in bodies))


def _storeCommand(messageID: int, sopClassUID: bytes, uid: bytes) -> bytes:
    # Not by txdicom, which would not send a UID that is none.
    elements = b"".join(
        pack("<HHI", 0, element, len(value) + len(value) % 2) + value + bytes(len(value) % 2)
        for element, value in (
            (0x0002, sopClassUID),
            (0x0100, pack("<H", 0x0001)),
            (0x0110, pack("<H", messageID)),
            (0x0700, pack("<H", 0)),
            (0x0800, pack("<H", 0)),
            (0x1000, uid),
        )
    )
    return pack("<HHII", 0, 0, 4, len(elements)) + elements


def _pdvs(contextID: int, kind: int, data: bytes, length: int, ended: bool) -> Iterator[bytes]:
    for start in range(0, len(data), length):
        fragment = data[start : start + length]
        control = kind | (_LAST if ended and start + length >= len(data) else 0)
        yield _packPDVHeader(len(fragment) + 2, contextID, control) + fragment


class Peer:
    """
    One connection to the receiver, and the association on it.

    Whatever the receiver does to the connection is raised as an OSError, a TimeoutError if it does nothing, or an
    EOFError.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._maximumLength = 0
        self._messageID = 0

    @classmethod
    async def connect(cls, port: int, receiveBuffer: int = 0) -> Self:
        """
        Connect to this machine.

        :param receiveBuffer: bytes that the system may keep for us unread; 0 lets it decide.
        """
        connection = socket.socket()
        try:
            connection.setblocking(False)
            if receiveBuffer:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receiveBuffer)
            async with asyncio.timeout(_PATIENCE):
                await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
                return cls(*await asyncio.open_connection(sock=connection))
        except BaseException:
            connection.close()
            raise

    async def associate(self) -> None:
        """
        Request an association for all that the soak sends.

        :raises WrongAnswer: it is not accepted as it has to be.
        """
        contexts = tuple(
            PresentationContextRQ(contextID, sopClass, (EXPLICIT_VR_LITTLE_ENDIAN,))
            for sopClass, contextID in _CONTEXT_IDS.items()
        )
        information = UserInformation(maximumLength=16384, implementationClassUID="1.2.3.4")
        await self.send(AAssociateRQ("ANY-SCP", CALLING_AE_TITLE, contexts, information).encode())
        pduType, body = await self._pdu()
        answer = decodePDU(pduType, body)
        if not isinstance(answer, AAssociateAC):
            raise WrongAnswer(f"{answer} to a request for association")
        if any(context.result for context in answer.presentationContexts):
            raise WrongAnswer(f"presentation contexts are refused: {answer.presentationContexts}")
        self._maximumLength = answer.userInformation.maximumLength or _UNLIMITED

    def message(self, instance: Instance, dataSet: bytes, fragment: int = 0, ended: bool = True) -> Message:
        """Encode a C-STORE-RQ for this association, as `storeMessage` does."""
        self._messageID = self._messageID % 0xFFFF + 1
        return storeMessage(instance, dataSet, self._messageID, self._maximumLength, fragment, ended)

    def echo(self) -> bytes:
        """Encode a C-ECHO-RQ."""
        command = encodeCommand(CEchoRQ(1))
        header = _packPDVHeader(len(command) + 2, _CONTEXT_IDS[_VERIFICATION], _COMMAND | _LAST)
        return _packPDUHeader(PDUType.P_DATA_TF, len(header) + len(command)) + header + command

    async def send(self, data: bytes, lastPiece: Callable[[], None] | None = None) -> None:
        """
        Send bytes, and wait until the system has nearly all of them.

        :param lastPiece: called before the last byte leaves our hands.
        """
        async with asyncio.timeout(_PATIENCE):
            for start in range(0, len(data), _PIECE):
                if lastPiece is not None and start + _PIECE >= len(data):
                    lastPiece()
                self._writer.write(data[start : start + _PIECE])
                await self._writer.drain()

    def sendAtOnce(self, data: bytes) -> None:
        """Hand bytes to the transport, and do not wait for anybody to take them."""
        self._writer.write(data)

    async def dribble(self, data: bytes, step: int, lastPiece: Callable[[], None]) -> None:
        """Send bytes a few at a time, each in a segment of its own as far as the system goes along."""
        for start in range(0, len(data), step):
            await self.send(data[start : start + step], lastPiece if start + step >= len(data) else None)
            await asyncio.sleep(0)

    async def answer(self, message: Message, instance: Instance) -> int:
        """
        Wait for the answer to a request, and return its status.

        :raises WrongAnswer: what comes is not that.
        """
        response = await self._response()
        found = (response.messageIDBeingRespondedTo, response.affectedSOPInstanceUID, response.affectedSOPClassUID)
        if found != (message.messageID, instance.uid, instance.sopClassUID):
            raise WrongAnswer(f"{response} to message {message.messageID}, {instance}")
        return response.status

    async def status(self, message: Message) -> int:
        """
        Wait for the answer to a request whose UIDs may not be worth echoing, and return its status.

        :raises WrongAnswer: what comes is not that.
        """
        response = await self._response()
        if response.messageIDBeingRespondedTo != message.messageID:
            raise WrongAnswer(f"{response} to message {message.messageID}")
        return response.status

    async def _response(self) -> CStoreRSP:
        pduType, body = await self._pdu()
        if pduType == PDUType.A_ABORT:
            raise ConnectionAbortedError(f"{decodePDU(pduType, body)}")
        if pduType != PDUType.P_DATA_TF:
            raise WrongAnswer(f"PDU of type {pduType} instead of a response")
        # A response is far shorter than any PDU may be, and so is in one piece.
        (pdv,) = PDataTF.decode(body).pdvs
        response = cast("Response", decodeCommand(pdv.data))
        if pdv.control != _COMMAND | _LAST or not isinstance(response, CStoreRSP):
            raise WrongAnswer(f"{response} instead of a C-STORE-RSP")
        return response

    async def _pdu(self) -> tuple[int, bytes]:
        async with asyncio.timeout(_PATIENCE):
            header = await self._reader.readexactly(6)
            length = int.from_bytes(header[2:])
            if length > _LONGEST_PDU:
                raise WrongAnswer(f"PDU of type {header[0]} with {length} bytes")
            return header[0], await self._reader.readexactly(length)

    async def release(self) -> None:
        """
        Release the association, and close the connection.

        :raises WrongAnswer: the receiver does not agree.
        """
        await self.send(RELEASE)
        pduType, body = await self._pdu()
        if pduType == PDUType.A_ABORT:
            raise ConnectionAbortedError(f"{decodePDU(pduType, body)}")
        if pduType != PDUType.A_RELEASE_RP:
            raise WrongAnswer(f"PDU of type {pduType} instead of A-RELEASE-RP")
        self.close()

    def endOfData(self) -> None:
        """Send no more, but go on to read."""
        self._writer.write_eof()

    async def ended(self) -> None:
        """
        Read until the receiver aborts or closes the connection, whatever it says before.

        :raises TimeoutError: it does neither.
        """
        with suppress(ConnectionError, EOFError):
            while (await self._pdu())[0] != PDUType.A_ABORT:
                pass

    def deafen(self) -> None:
        """Read nothing any more."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]

    def reset(self) -> None:
        """Reset the TCP connection; what has not been sent is lost, and perhaps what has."""
        # Where the connection is gone already there is nothing to reset.
        with suppress(OSError):
            sock = self._writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Close the connection at once; nothing happens if it is closed."""
        self._writer.transport.abort()
