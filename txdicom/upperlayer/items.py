"""
The variable items of A-ASSOCIATE: presentation contexts, and the user information.

Every class here is one item, and every class in `txdicom.upperlayer.subitems` one that the user information is made of.
Its `encode` gives the whole item, with its four header bytes (type, reserved, length); its `decode` takes only what
follows that header. Layouts are those of PS3.8 9.3.2 and 9.3.3, PS3.8 Annex D and PS3.7 Annex D.3.

On receipt, reserved bytes and bytes after the last known field of an item are ignored, and whatever is too short or
runs past the end of what contains it raises `PDUError` (invalid PDU parameter value). On sending, reserved bytes are 0,
and a value that does not fit its field raises `LocalProtocolError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self, TypeVar

from txdicom.errors import LocalProtocolError, PDUError
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
from txdicom.upperlayer.subitems import (
    AsynchronousOperationsWindow,
    RoleSelection,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityAC,
    UserIdentityRQ,
)

__all__ = [
    "MAX_PRESENTATION_CONTEXTS",
    "MAX_TRANSFER_SYNTAXES",
    "MAX_USER_INFORMATION_ITEMS",
    "MAX_VERSION_NAME_RECEIVED",
    "MAX_VERSION_NAME_SENT",
    "ContextResult",
    "PresentationContextAC",
    "PresentationContextRQ",
    "UserInformation",
]

_T = TypeVar("_T")

#: Presentation contexts in one A-ASSOCIATE: there are no more odd numbers from 1 to 255.
MAX_PRESENTATION_CONTEXTS: Final = 128
#: Transfer syntaxes that one presentation context may propose; a bound of ours, far above what exists.
MAX_TRANSFER_SYNTAXES: Final = 256
#: Sub-items of all kinds in one user information item; a bound of ours.
MAX_USER_INFORMATION_ITEMS: Final = 1024
#: Characters in an implementation version name that we send (PS3.7 D.3.3.2.3).
MAX_VERSION_NAME_SENT: Final = 16
#: Characters in an implementation version name that we put up with, as peers get this wrong harmlessly.
MAX_VERSION_NAME_RECEIVED: Final = 64


class ContextResult(IntEnum):
    """Result of one presentation context in an A-ASSOCIATE-AC (PS3.8 Table 9-18)."""

    ACCEPTANCE = 0
    USER_REJECTION = 1
    NO_REASON = 2
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


def _encodeContextID(contextID: int) -> bytes:
    if contextID % 2 == 0:
        raise LocalProtocolError(f"presentation context ID {contextID} is not odd")
    return encodeNumber(contextID, 1, "presentation context ID")


def _decodeContextID(reader: FieldReader) -> int:
    contextID = reader.number(1, "presentation context ID")
    if contextID % 2 == 0:
        raise invalid(f"presentation context ID {contextID} is not odd")
    return contextID


@dataclass(frozen=True, slots=True)
class PresentationContextRQ:
    """
    A presentation context as it is proposed (PS3.8 9.3.2.2).

    :ivar contextID: odd, 1 to 255.
    :ivar abstractSyntax: a UID; "" if the peer left the sub-item out. Of several the first one is taken.
    :ivar transferSyntaxes: UIDs in the order in which they came, on receipt at most `MAX_TRANSFER_SYNTAXES`.
    """

    contextID: int
    abstractSyntax: str
    transferSyntaxes: tuple[str, ...]

    def encode(self) -> bytes:
        """Encode the whole item (type 0x20)."""
        abstractSyntax = encodeUID(self.abstractSyntax, "abstract syntax")
        parts = [_encodeContextID(self.contextID), bytes(3), encodeItem(ItemType.ABSTRACT_SYNTAX, abstractSyntax)]
        parts += [encodeItem(ItemType.TRANSFER_SYNTAX, encodeUID(s, "transfer syntax")) for s in self.transferSyntaxes]
        return encodeItem(ItemType.PRESENTATION_CONTEXT_RQ, b"".join(parts))

    @classmethod
    def decode(cls, octets: Octets) -> Self:
        """Decode what follows the item header; raises `PDUError`."""
        reader = FieldReader(octets)
        contextID = _decodeContextID(reader)
        reader.take(3, "reserved field of presentation context")
        abstractSyntax = None
        transferSyntaxes: list[str] = []
        for itemType, _, value in walkItems(reader.rest(), f"presentation context {contextID}"):
            if itemType == ItemType.TRANSFER_SYNTAX:
                if len(transferSyntaxes) == MAX_TRANSFER_SYNTAXES:
                    raise invalid(f"presentation context {contextID} proposes over {MAX_TRANSFER_SYNTAXES} syntaxes")
                transferSyntaxes.append(decodeUID(value, "transfer syntax"))
            elif itemType == ItemType.ABSTRACT_SYNTAX and abstractSyntax is None:
                abstractSyntax = decodeUID(value, "abstract syntax")
        return cls(contextID, abstractSyntax or "", tuple(transferSyntaxes))


@dataclass(frozen=True, slots=True)
class PresentationContextAC:
    """
    The answer to a proposed presentation context (PS3.8 9.3.3.2).

    :ivar contextID: odd, 1 to 255.
    :ivar result: a `ContextResult`; on receipt any number from 0 to 255, and only 0 accepts.
    :ivar transferSyntax: the UID that was chosen. Unless the context is accepted it means nothing: it is "" then if
        the peer sent none, or something that cannot be read. Of several the first one is taken.
    """

    contextID: int
    result: int
    transferSyntax: str

    def encode(self) -> bytes:
        """Encode the whole item (type 0x21)."""
        if self.result == ContextResult.ACCEPTANCE and not self.transferSyntax:
            raise LocalProtocolError(f"presentation context {self.contextID} is accepted without a transfer syntax")
        transferSyntax = encodeItem(ItemType.TRANSFER_SYNTAX, encodeUID(self.transferSyntax, "transfer syntax"))
        result = encodeNumber(self.result, 1, "presentation context result")
        value = _encodeContextID(self.contextID) + b"\0" + result + b"\0" + transferSyntax
        return encodeItem(ItemType.PRESENTATION_CONTEXT_AC, value)

    @classmethod
    def decode(cls, octets: Octets) -> Self:
        """Decode what follows the item header; raises `PDUError`, also if it is accepted without a transfer syntax."""
        reader = FieldReader(octets)
        contextID = _decodeContextID(reader)
        reader.take(1, "reserved field of presentation context")
        result = reader.number(1, "presentation context result")
        reader.take(1, "reserved field of presentation context")
        try:
            transferSyntax = cls._decodeTransferSyntax(reader.rest(), contextID)
        except PDUError:
            if result == ContextResult.ACCEPTANCE:
                raise
            transferSyntax = ""
        return cls(contextID, result, transferSyntax)

    @staticmethod
    def _decodeTransferSyntax(octets: Octets, contextID: int) -> str:
        for itemType, _, value in walkItems(octets, f"presentation context {contextID}"):
            if itemType == ItemType.TRANSFER_SYNTAX and (uid := decodeUID(value, "transfer syntax")):
                return uid
        raise invalid(f"presentation context {contextID} is accepted without a transfer syntax")


#: The sub-items of which only the first one counts, but for the user identity, which is of two types.
_SINGLE_ITEMS: Final = (
    ItemType.MAXIMUM_LENGTH,
    ItemType.IMPLEMENTATION_CLASS_UID,
    ItemType.ASYNCHRONOUS_OPERATIONS_WINDOW,
    ItemType.IMPLEMENTATION_VERSION_NAME,
)


def _decodeMaximumLength(octets: Octets) -> int:
    return FieldReader(octets).number(4, "maximum length")


def _decodeImplementationClassUID(octets: Octets) -> str:
    return decodeUID(octets, "implementation class UID")


def _encodeVersionName(name: str) -> bytes:
    if not name.isascii() or len(name) > MAX_VERSION_NAME_SENT:
        raise LocalProtocolError(f"implementation version name {name!r} is not ASCII of at most 16 characters")
    return name.encode("ascii")


def _decodeVersionName(octets: Octets) -> str:
    name = str(octets, "latin-1").strip("\0 ")
    if len(name) > MAX_VERSION_NAME_RECEIVED:
        raise invalid(f"implementation version name has {len(name)} characters, over {MAX_VERSION_NAME_RECEIVED}")
    return name


def _decodeFirst(values: Mapping[int, Octets], itemType: int, decode: Callable[[Octets], _T]) -> _T | None:
    value = values.get(itemType)
    return None if value is None else decode(value)


@dataclass(frozen=True, slots=True)
class UserInformation:
    """
    The user information item: everything an association negotiates but contexts (PS3.8 9.3.2.3, PS3.7 D.3.3).

    Of a sub-item that can be there only once the first one counts, and a repeated one is not looked at: that is not
    worth an abort. None says that a sub-item is absent.

    :ivar maximumLength: longest P-DATA-TF body in bytes that the sender of this item wants to get; 0 is no limit.
    :ivar implementationVersionName: to be sent at most `MAX_VERSION_NAME_SENT` ASCII characters. On receipt up to
        `MAX_VERSION_NAME_RECEIVED`, read as latin-1 and without spaces and NULs around it.
    :ivar userIdentity: whichever of its two kinds came first; that it is the right one is not checked here.
    :ivar unknown: sub-items with a meaning unknown here, as type and value; they are encoded after all others.
    """

    maximumLength: int | None = None
    implementationClassUID: str | None = None
    implementationVersionName: str | None = None
    asynchronousOperations: AsynchronousOperationsWindow | None = None
    roleSelections: tuple[RoleSelection, ...] = ()
    extendedNegotiations: tuple[SOPClassExtendedNegotiation, ...] = ()
    commonExtendedNegotiations: tuple[SOPClassCommonExtendedNegotiation, ...] = ()
    userIdentity: UserIdentityRQ | UserIdentityAC | None = None
    unknown: tuple[tuple[int, bytes], ...] = ()

    def encode(self) -> bytes:
        """Encode the whole item (type 0x50), its sub-items in the order of their types."""
        parts = []
        if self.maximumLength is not None:
            parts.append(encodeItem(ItemType.MAXIMUM_LENGTH, encodeNumber(self.maximumLength, 4, "maximum length")))
        if self.implementationClassUID is not None:
            uid = encodeUID(self.implementationClassUID, "implementation class UID")
            parts.append(encodeItem(ItemType.IMPLEMENTATION_CLASS_UID, uid))
        if self.asynchronousOperations is not None:
            parts.append(self.asynchronousOperations.encode())
        parts += [role.encode() for role in self.roleSelections]
        if self.implementationVersionName is not None:
            name = _encodeVersionName(self.implementationVersionName)
            parts.append(encodeItem(ItemType.IMPLEMENTATION_VERSION_NAME, name))
        parts += [negotiation.encode() for negotiation in self.extendedNegotiations]
        parts += [negotiation.encode() for negotiation in self.commonExtendedNegotiations]
        if self.userIdentity is not None:
            parts.append(self.userIdentity.encode())
        parts += [encodeItem(itemType, value) for itemType, value in self.unknown]
        return encodeItem(ItemType.USER_INFORMATION, b"".join(parts))

    @classmethod
    def decode(cls, octets: Octets) -> Self:
        """Decode what follows the item header; raises `PDUError`."""
        first: dict[int, Octets] = {}
        roles, extended, common = [], [], []
        identity: UserIdentityRQ | UserIdentityAC | None = None
        unknown = []
        for count, (itemType, second, value) in enumerate(walkItems(octets, "user information")):
            if count == MAX_USER_INFORMATION_ITEMS:
                raise invalid(f"user information has more than {MAX_USER_INFORMATION_ITEMS} sub-items")
            if itemType in _SINGLE_ITEMS:
                first.setdefault(itemType, value)
            elif itemType == ItemType.ROLE_SELECTION:
                roles.append(RoleSelection.decode(value))
            elif itemType == ItemType.EXTENDED_NEGOTIATION:
                extended.append(SOPClassExtendedNegotiation.decode(value))
            elif itemType == ItemType.COMMON_EXTENDED_NEGOTIATION:
                common.append(SOPClassCommonExtendedNegotiation.decode(value, second))
            elif itemType == ItemType.USER_IDENTITY_RQ:
                identity = identity or UserIdentityRQ.decode(value)
            elif itemType == ItemType.USER_IDENTITY_AC:
                identity = identity or UserIdentityAC.decode(value)
            else:
                unknown.append((itemType, bytes(value)))
        return cls(
            _decodeFirst(first, ItemType.MAXIMUM_LENGTH, _decodeMaximumLength),
            _decodeFirst(first, ItemType.IMPLEMENTATION_CLASS_UID, _decodeImplementationClassUID),
            _decodeFirst(first, ItemType.IMPLEMENTATION_VERSION_NAME, _decodeVersionName),
            _decodeFirst(first, ItemType.ASYNCHRONOUS_OPERATIONS_WINDOW, AsynchronousOperationsWindow.decode),
            tuple(roles),
            tuple(extended),
            tuple(common),
            identity,
            tuple(unknown),
        )
