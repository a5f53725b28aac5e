"""
tshark as a judge of conversations: `judge`.

What the relay recorded is written as a capture of the TCP connections that there would have been, so nothing has to be
sniffed, and nobody needs privileges.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.interop.peers import run
from tests.interop.relay import Conversation

__all__ = ["Verdict", "judge"]

#: What is said to be the receiver's port, and the first of the senders'.
_PORT, _FIRST_SENDER = 104, 50000
#: The most bytes in one segment; an IP packet has less than 65536.
_SEGMENT = 16000
_FIN, _SYN, _PUSH, _ACK = 0x01, 0x02, 0x08, 0x10
#: LINKTYPE_RAW: packets begin with the IP header.
_FILE_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0x40000, 101)
#: Expert information from this severity on is a warning or an error.
_WARNING = 0x600000
#: Between the values of a field; no value has it.
_AGGREGATOR = "\x1f"

_FIELDS = (
    "tcp.stream",
    "tcp.dstport",
    "dicom.pdu.type",
    "dicom.assoc.ae.called",
    "dicom.assoc.ae.calling",
    "dicom.assoc.version",
    "dicom.actx",
    "dicom.max_pdu_len",
    "dicom.userinfo.version",
    "dicom.userinfo.asyncneg.maxnumopsinv",
    "dicom.userinfo.asyncneg.maxnumopsper",
    "dicom.userinfo.rolesel.scurole",
    "dicom.userinfo.rolesel.scprole",
    "dicom.pctx.id",
    "dicom.pctx.result",
    "dicom.pctx.xfer.syntax",
    "dicom.assoc.reject.result",
    "dicom.assoc.reject.source",
    "dicom.assoc.reject.reason",
    "dicom.assoc.abort.source",
    "dicom.assoc.abort.reason",
    "dicom.pdv.ctx",
    "dicom.pdv.flags",
    "dicom.status_msg",
    "_ws.malformed",
    "_ws.expert.severity",
    "_ws.expert.message",
    "_ws.col.Info",
)


@dataclass
class Verdict:
    """
    What tshark understood.

    :ivar frames: for each packet, the values of its fields by their names.
    :ivar objects: the DICOM objects that it put together, as they would stand in files.
    """

    frames: list[dict[str, list[str]]]
    objects: list[bytes]

    def values(self, field: str, toSender: bool | None = None) -> list[str]:
        """All values of a field, of packets to the sender (True), to the receiver (False), or both."""
        return [
            value
            for frame in self.frames
            if toSender is None or (frame["tcp.dstport"] != [str(_PORT)]) == toSender
            for value in frame[field]
        ]

    def numbers(self, *fields: str, toSender: bool | None = None) -> list[int]:
        """All values of fields that hold numbers, field by field."""
        return [int(value, 0) for field in fields for value in self.values(field, toSender)]

    def connection(self, number: int) -> Verdict:
        """What concerns only one of the connections; the objects are left out."""
        return Verdict([frame for frame in self.frames if frame["tcp.stream"] == [str(number)]], [])

    @property
    def complaints(self) -> list[str]:
        """What it found malformed, or worth a warning."""
        found = [f"malformed: {value}" for value in self.values("_ws.malformed")]
        for frame in self.frames:
            for severity, message in zip(frame["_ws.expert.severity"], frame["_ws.expert.message"], strict=True):
                if int(severity, 0) >= _WARNING:
                    found.append(message)
        return found


def judge(conversations: list[Conversation], folder: Path) -> Verdict:
    """
    Have tshark take conversations apart.

    :param folder: where files may be made; it must not be there yet.
    """
    folder.mkdir()
    capture, objects = folder / "capture.pcap", folder / "objects"
    packets = [packet for number, each in enumerate(conversations) for packet in _packets(each, _FIRST_SENDER + number)]
    capture.write_bytes(_FILE_HEADER + b"".join(_record(number, packet) for number, packet in enumerate(packets)))
    separators = ("-E", "separator=/t", "-E", "occurrence=a", "-E", f"aggregator={_AGGREGATOR}")
    fields = [argument for field in _FIELDS for argument in ("-e", field)]
    exporting = ("--export-objects", f"dicom,{objects}", "-o", "dicom.export_minsize:1", "-2")
    decoding = ("-n", "-d", f"tcp.port=={_PORT},dicom", *exporting)
    finished = run("tshark", "-r", capture, *decoding, "-T", "fields", *separators, *fields)
    lines = [line for line in finished.lines if line.count("\t") == len(_FIELDS) - 1]
    if finished.status or len(lines) != len(packets):
        raise AssertionError(f"tshark ended with {finished.status}: {finished.output[-2000:]}")
    frames = [dict(zip(_FIELDS, map(_values, line.split("\t")), strict=True)) for line in lines]
    return Verdict(frames, [path.read_bytes() for path in sorted(objects.iterdir())] if objects.exists() else [])


def _values(joined: str) -> list[str]:
    return joined.split(_AGGREGATOR) if joined else []


def _packets(conversation: Conversation, port: int) -> Iterator[bytes]:
    """A TCP connection from its first packet to its last."""
    sequence = {True: 1000, False: 5000}

    def packet(fromSender: bool, flags: int, data: bytes = b"") -> bytes:
        made = _packet(fromSender, port, sequence[fromSender], sequence[not fromSender], flags, data)
        sequence[fromSender] += len(data) + bool(flags & (_SYN | _FIN))
        return made

    yield packet(True, _SYN)
    yield packet(False, _SYN | _ACK)
    yield packet(True, _ACK)
    for fromSender, piece in conversation.pieces:
        for start in range(0, len(piece), _SEGMENT):
            yield packet(fromSender, _PUSH | _ACK, piece[start : start + _SEGMENT])
        yield packet(not fromSender, _ACK)
    yield packet(True, _FIN | _ACK)
    yield packet(False, _FIN | _ACK)
    yield packet(True, _ACK)


def _packet(fromSender: bool, port: int, sequence: int, acknowledged: int, flags: int, data: bytes) -> bytes:
    ports = (port, _PORT) if fromSender else (_PORT, port)
    addresses = bytes((127, 0, 0, 1, 127, 0, 0, 1))
    confirmed = 0 if flags == _SYN else acknowledged
    tcp = struct.pack(">HHIIBBHHH", *ports, sequence, confirmed, 0x50, flags, 0xFFFF, 0, 0) + data
    tcp = _checked(tcp, 16, addresses + struct.pack(">HH", 6, len(tcp)))
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0) + addresses
    return _checked(ip, 10) + tcp


def _checked(header: bytes, where: int, pseudo: bytes = b"") -> bytes:
    """Put the Internet checksum (RFC 1071) into a header; `pseudo` is summed as well."""
    summed = pseudo + header
    words = array("H", summed + b"\0" * (len(summed) % 2))
    words.byteswap()
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return header[:where] + struct.pack(">H", ~total & 0xFFFF) + header[where + 2 :]


def _record(number: int, packet: bytes) -> bytes:
    """A packet in the capture file, a millisecond after the one before."""
    seconds, milliseconds = divmod(number, 1000)
    return struct.pack("<IIII", seconds, milliseconds * 1000, len(packet), len(packet)) + packet
