"""
The seven PDUs of the DICOM upper layer (PS3.8 9.3) as values.

Each class encodes itself whole, with the six header bytes, and decodes what follows them. What comes from the peer
raises nothing but `PDUError`; a value that cannot be put on the wire raises `LocalProtocolError`.

Association data is streamed by `txdicom.upperlayer.parser`; `PDataTF` is for tests, tools and short messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar, Final, Generic, Self, TypeAlias, TypeVar

from txdicom.errors import AbortReason, LocalProtocolError, PDUError, RejectReason, RejectResult
from txdicom.upperlayer.fields import (
    FieldReader,
    ItemType,
    Octets,
    decodeUID,
    encodeItem,
    encodeNumber,
    encodeUID,
    invalid,
    walkItems,
)
from txdicom.upperlayer.items import (
    MAX_PRESENTATION_CONTEXTS,
    PresentationContextAC,
    PresentationContextRQ,
    UserInformation,
)

__all__ = [
    "AE_TITLE_LENGTH",
    "PDU",
    "PDV",
    "AAbort",
    "AAssociateAC",
    "AAssociateRJ",
    "AAssociateRQ",
    "AReleaseRP",
    "AReleaseRQ",
    "PDUType",
    "PDataTF",
    "aeTitle",
    "decodePDU",
]

_Context = TypeVar("_Context", PresentationContextRQ, PresentationContextAC)

#: The one application context that DICOM has (PS3.7 A.2.1).
_APPLICATION_CONTEXT_NAME: Final = "1.2.840.10008.3.1.1.1"
#: Bytes of an AE title on the wire.
AE_TITLE_LENGTH: Final = 16

#: Context ID and control header, which the length of a PDV counts.
_PDV_LENGTH_OVERHEAD: Final = 2
_ASSOCIATE_RESERVED: Final = 32
_CONTEXT_TYPES: Final = (ItemType.PRESENTATION_CONTEXT_RQ, ItemType.PRESENTATION_CONTEXT_AC)


class PDUType(IntEnum):
    """The first byte of a PDU."""

    A_ASSOCIATE_RQ = 1
    A_ASSOCIATE_AC = 2
    A_ASSOCIATE_RJ = 3
    P_DATA_TF = 4
    A_RELEASE_RQ = 5
    A_RELEASE_RP = 6
    A_ABORT = 7


def aeTitle(field: str) -> str:
    """
    Return the significant part of an AE title field: without the spaces and NULs around it (PS3.5 6.2, VR AE).

    :param field: `calledAETitle` or `callingAETitle` as they were received.
    """
    return field.strip("\0 ")


def _encodeAETitle(field: str, name: str) -> bytes:
    try:
        title = field.encode("latin-1")
    except UnicodeEncodeError:
        raise LocalProtocolError(f"{name} {field!r} is not latin-1") from None
    if len(title) > AE_TITLE_LENGTH:
        raise LocalProtocolError(f"{name} {field!r} is longer than {AE_TITLE_LENGTH} characters")
    return title.ljust(AE_TITLE_LENGTH)


def _decodeAETitle(octets: Octets) -> str:
    # Only the padding that encoding restores goes, as an A-ASSOCIATE-AC has to echo the very bytes of the request.
    return str(octets, "latin-1").rstrip(" ")


def _encodePDU(pduType: PDUType, body: bytes) -> bytes:
    return bytes((pduType, 0)) + encodeNumber(len(body), 4, "PDU length") + body


def _decodeFour(body: Octets, pduType: PDUType) -> bytes:
    """Return the body of one of the PDUs that have four bytes, always."""
    if len(body) != 4:
        raise invalid(f"body of {pduType.name} has {len(body)} bytes instead of 4")
    return bytes(body)


@dataclass(frozen=True, slots=True)
class _AAssociate(Generic[_Context]):
    """What A-ASSOCIATE-RQ and A-ASSOCIATE-AC have in common, which is all but the kind of presentation context."""

    calledAETitle: str
    callingAETitle: str
    presentationContexts: tuple[_Context, ...]
    userInformation: UserInformation
    applicationContextName: str = _APPLICATION_CONTEXT_NAME
    protocolVersion: int = 1
    reserved: bytes = field(default=bytes(_ASSOCIATE_RESERVED), compare=False, repr=False)

    pduType: ClassVar[PDUType]

    def encode(self) -> bytes:
        """Encode the whole PDU; raises `LocalProtocolError` if a field does not fit or a context ID is repeated."""
        if (repeated := _repeatedContextID(self.presentationContexts)) is not None:
            raise LocalProtocolError(f"presentation context ID {repeated} is repeated")
        parts = [
            encodeNumber(self.protocolVersion, 2, "protocol version"),
            bytes(2),
            _encodeAETitle(self.calledAETitle, "called AE title"),
            _encodeAETitle(self.callingAETitle, "calling AE title"),
            self.reserved.ljust(_ASSOCIATE_RESERVED, b"\0")[:_ASSOCIATE_RESERVED],
        ]
        if self.applicationContextName:
            name = encodeUID(self.applicationContextName, "application context name")
            parts.append(encodeItem(ItemType.APPLICATION_CONTEXT, name))
        parts += [context.encode() for context in self.presentationContexts]
        parts.append(self.userInformation.encode())
        return _encodePDU(self.pduType, b"".join(parts))


def _repeatedContextID(contexts: Sequence[PresentationContextRQ | PresentationContextAC]) -> int | None:
    seen = set()
    for context in contexts:
        if context.contextID in seen:
            return context.contextID
        seen.add(context.contextID)
    return None


def _decodeAssociate(
    body: Octets, contextClass: type[_Context], contextType: ItemType
) -> tuple[str, str, tuple[_Context, ...], UserInformation, str, int, bytes]:
    """
    Decode the body of either A-ASSOCIATE; returns the fields of `_AAssociate` in their order.

    Items that are unknown are skipped; of a repeated application context or user information the first is taken.
    """
    reader = FieldReader(body)
    protocolVersion = reader.number(2, "protocol version")
    reader.take(2, "reserved field after protocol version")
    called = _decodeAETitle(reader.take(AE_TITLE_LENGTH, "called AE title"))
    calling = _decodeAETitle(reader.take(AE_TITLE_LENGTH, "calling AE title"))
    reserved = bytes(reader.take(_ASSOCIATE_RESERVED, "reserved field after calling AE title"))
    applicationContextName: str | None = None
    userInformation: UserInformation | None = None
    contexts: list[_Context] = []
    for itemType, _, value in walkItems(reader.rest(), "A-ASSOCIATE"):
        if itemType == contextType:
            if len(contexts) == MAX_PRESENTATION_CONTEXTS:
                raise invalid(f"A-ASSOCIATE has more than {MAX_PRESENTATION_CONTEXTS} presentation contexts")
            contexts.append(contextClass.decode(value))
        elif itemType in _CONTEXT_TYPES:
            message = f"presentation context item 0x{itemType:02X} is not for this kind of A-ASSOCIATE"
            raise PDUError(AbortReason.UNEXPECTED_PDU_PARAMETER, message)
        elif itemType == ItemType.APPLICATION_CONTEXT and applicationContextName is None:
            applicationContextName = decodeUID(value, "application context name")
        elif itemType == ItemType.USER_INFORMATION and userInformation is None:
            userInformation = UserInformation.decode(value)
    if (repeated := _repeatedContextID(contexts)) is not None:
        raise invalid(f"presentation context ID {repeated} is repeated")
    userInformation = userInformation or UserInformation()
    return called, calling, tuple(contexts), userInformation, applicationContextName or "", protocolVersion, reserved


@dataclass(frozen=True, slots=True)
class AAssociateRQ(_AAssociate[PresentationContextRQ]):
    """
    A-ASSOCIATE-RQ: asks for an association (PS3.8 9.3.2).

    :ivar calledAETitle: the field as it is on the wire, but for trailing spaces, read as latin-1; see `aeTitle`.
    :ivar callingAETitle: likewise.
    :ivar presentationContexts: at most `MAX_PRESENTATION_CONTEXTS`, no ID twice.
    :ivar userInformation: all None and empty if the item is absent.
    :ivar applicationContextName: a UID; "" if the item is absent.
    :ivar protocolVersion: 0 to 65535; bit 0 set stands for version 1, the only one. It is not checked here.
    :ivar reserved: the 32 bytes behind the titles, which mean nothing, but an A-ASSOCIATE-AC has to echo them.
    """

    pduType: ClassVar[PDUType] = PDUType.A_ASSOCIATE_RQ

    @classmethod
    def decode(cls, body: Octets) -> Self:
        """Decode what follows the PDU header; raises `PDUError`."""
        return cls(*_decodeAssociate(body, PresentationContextRQ, ItemType.PRESENTATION_CONTEXT_RQ))


@dataclass(frozen=True, slots=True)
class AAssociateAC(_AAssociate[PresentationContextAC]):
    """
    A-ASSOCIATE-AC: accepts an association (PS3.8 9.3.3).

    The fields are those of `AAssociateRQ`. The AE titles echo those of the request, and mean nothing on receipt.
    """

    pduType: ClassVar[PDUType] = PDUType.A_ASSOCIATE_AC

    @classmethod
    def decode(cls, body: Octets) -> Self:
        """Decode what follows the PDU header; raises `PDUError`."""
        return cls(*_decodeAssociate(body, PresentationContextAC, ItemType.PRESENTATION_CONTEXT_AC))


@dataclass(frozen=True, slots=True)
class AAssociateRJ:
    """
    A-ASSOCIATE-RJ: refuses an association (PS3.8 9.3.4).

    The fields are 0 to 255, as they came; `of` makes one that is in the standard.
    """

    result: int
    source: int
    reason: int

    pduType: ClassVar[PDUType] = PDUType.A_ASSOCIATE_RJ

    @classmethod
    def of(cls, result: RejectResult, reason: RejectReason) -> Self:
        """Make one from a result and one of the pairs of source and reason that there are."""
        return cls(result, *reason.value)

    def encode(self) -> bytes:
        """Encode the whole PDU."""
        result = encodeNumber(self.result, 1, "result of A-ASSOCIATE-RJ")
        source = encodeNumber(self.source, 1, "source of A-ASSOCIATE-RJ")
        reason = encodeNumber(self.reason, 1, "reason of A-ASSOCIATE-RJ")
        return _encodePDU(self.pduType, b"\0" + result + source + reason)

    @classmethod
    def decode(cls, body: Octets) -> Self:
        """Decode what follows the PDU header; raises `PDUError` unless that is four bytes."""
        _, result, source, reason = _decodeFour(body, cls.pduType)
        return cls(result, source, reason)


@dataclass(frozen=True, slots=True)
class PDV:
    """
    A presentation data value: one fragment of a command or data set (PS3.8 9.3.5.1 and Annex E.2).

    :ivar contextID: 0 to 255, unchecked.
    :ivar control: message control header: bit 0 command, bit 1 last fragment.
    """

    contextID: int
    control: int
    data: bytes

    @property
    def isCommand(self) -> bool:
        """Whether this is part of a command set, else of a data set."""
        return bool(self.control & 1)

    @property
    def isLast(self) -> bool:
        """Whether this ends its command set or data set."""
        return bool(self.control & 2)


@dataclass(frozen=True, slots=True)
class PDataTF:
    """P-DATA-TF: carries presentation data values, each a copy here (PS3.8 9.3.5)."""

    pdvs: tuple[PDV, ...]

    pduType: ClassVar[PDUType] = PDUType.P_DATA_TF

    def encode(self) -> bytes:
        """Encode the whole PDU."""
        parts = []
        for pdv in self.pdvs:
            parts.append(encodeNumber(len(pdv.data) + _PDV_LENGTH_OVERHEAD, 4, "length of PDV"))
            parts.append(encodeNumber(pdv.contextID, 1, "presentation context ID"))
            parts.append(encodeNumber(pdv.control, 1, "message control header"))
            parts.append(pdv.data)
        return _encodePDU(self.pduType, b"".join(parts))

    @classmethod
    def decode(cls, body: Octets) -> Self:
        """Decode what follows the PDU header; raises `PDUError` if a PDV runs past the end or is under 2 bytes long."""
        reader = FieldReader(body)
        pdvs = []
        while reader:
            pdv = FieldReader(reader.take(reader.number(4, "length of PDV"), "PDV"))
            contextID = pdv.number(1, "presentation context ID of PDV")
            control = pdv.number(1, "message control header of PDV")
            pdvs.append(PDV(contextID, control, bytes(pdv.rest())))
        return cls(tuple(pdvs))


class _Release:
    """What the two PDUs of a release have in common: no fields, but four reserved bytes."""

    __slots__ = ()
    pduType: ClassVar[PDUType]

    def encode(self) -> bytes:
        """Encode the whole PDU."""
        return _encodePDU(self.pduType, bytes(4))

    @classmethod
    def decode(cls, body: Octets) -> Self:
        """Decode what follows the PDU header; raises `PDUError` unless that is four bytes."""
        _decodeFour(body, cls.pduType)
        return cls()


@dataclass(frozen=True, slots=True)
class AReleaseRQ(_Release):
    """A-RELEASE-RQ: asks for an orderly end (PS3.8 9.3.6)."""

    pduType: ClassVar[PDUType] = PDUType.A_RELEASE_RQ


@dataclass(frozen=True, slots=True)
class AReleaseRP(_Release):
    """A-RELEASE-RP: agrees to an orderly end (PS3.8 9.3.7)."""

    pduType: ClassVar[PDUType] = PDUType.A_RELEASE_RP


@dataclass(frozen=True, slots=True)
class AAbort:
    """
    A-ABORT: ends the association at once (PS3.8 9.3.8).

    The fields are 0 to 255, as they came; `of` makes one that is in the standard.
    """

    source: int
    reason: int

    pduType: ClassVar[PDUType] = PDUType.A_ABORT

    @classmethod
    def of(cls, reason: AbortReason) -> Self:
        """Make one of the pairs of source and reason that there are."""
        return cls(*reason.value)

    def encode(self) -> bytes:
        """Encode the whole PDU."""
        source = encodeNumber(self.source, 1, "source of A-ABORT")
        reason = encodeNumber(self.reason, 1, "reason of A-ABORT")
        return _encodePDU(self.pduType, bytes(2) + source + reason)

    @classmethod
    def decode(cls, body: Octets) -> Self:
        """Decode what follows the PDU header; raises `PDUError` unless that is four bytes."""
        _, _, source, reason = _decodeFour(body, cls.pduType)
        return cls(source, reason)


#: Any PDU.
PDU: TypeAlias = AAssociateRQ | AAssociateAC | AAssociateRJ | PDataTF | AReleaseRQ | AReleaseRP | AAbort

_CLASSES: Final[dict[int, type[PDU]]] = {
    PDUType.A_ASSOCIATE_RQ: AAssociateRQ,
    PDUType.A_ASSOCIATE_AC: AAssociateAC,
    PDUType.A_ASSOCIATE_RJ: AAssociateRJ,
    PDUType.P_DATA_TF: PDataTF,
    PDUType.A_RELEASE_RQ: AReleaseRQ,
    PDUType.A_RELEASE_RP: AReleaseRP,
    PDUType.A_ABORT: AAbort,
}


def decodePDU(pduType: int, body: Octets) -> PDU:
    """
    Decode any PDU.

    :param pduType: the first byte of its header.
    :param body: what follows its header.
    :raises PDUError: unrecognized PDU if there is no such type, or what the PDU's own `decode` raises.
    """
    pduClass = _CLASSES.get(pduType)
    if pduClass is None:
        raise PDUError(AbortReason.UNRECOGNIZED_PDU, f"PDU type 0x{pduType:02X} is unknown")
    return pduClass.decode(body)
