"""
The sub-items of the user information that have more than one field: what may be negotiated about an association, about
a SOP class, and who the user is (PS3.7 Annex D.3.3).

They encode and decode as the items do: see `txdicom.upperlayer.items`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from txdicom.upperlayer.fields import (
    FieldReader,
    ItemType,
    Octets,
    decodeUID,
    encodeCounted,
    encodeItem,
    encodeNumber,
    encodeUID,
)

__all__ = [
    "AsynchronousOperationsWindow",
    "RoleSelection",
    "SOPClassCommonExtendedNegotiation",
    "SOPClassExtendedNegotiation",
    "UserIdentityAC",
    "UserIdentityRQ",
]


@dataclass(frozen=True, slots=True)
class AsynchronousOperationsWindow:
    """How many operations may be outstanding at once, each 0 to 65535, 0 meaning any number (PS3.7 D.3.3.3)."""

    maximumInvoked: int
    maximumPerformed: int

    def encode(self) -> bytes:
        """Encode the whole sub-item (type 0x53)."""
        invoked = encodeNumber(self.maximumInvoked, 2, "maximum number operations invoked")
        performed = encodeNumber(self.maximumPerformed, 2, "maximum number operations performed")
        return encodeItem(ItemType.ASYNCHRONOUS_OPERATIONS_WINDOW, invoked + performed)

    @classmethod
    def decode(cls, octets: Octets) -> Self:
        """Decode what follows the item header; raises `PDUError`."""
        reader = FieldReader(octets)
        invoked = reader.number(2, "maximum number operations invoked")
        return cls(invoked, reader.number(2, "maximum number operations performed"))


@dataclass(frozen=True, slots=True)
class RoleSelection:
    """
    Which roles the requestor may take for one SOP class (PS3.7 D.3.3.4).

    :ivar scuRole: whether SCU is proposed, or accepted; only the value 1 says so, anything else on receipt does not.
    :ivar scpRole: likewise of SCP.
    """

    sopClassUID: str
    scuRole: bool
    scpRole: bool

    def encode(self) -> bytes:
        """Encode the whole sub-item (type 0x54)."""
        uid = encodeCounted(encodeUID(self.sopClassUID, "SOP class UID of role selection"), "SOP class UID")
        return encodeItem(ItemType.ROLE_SELECTION, uid + bytes((self.scuRole, self.scpRole)))

    @classmethod
    def decode(cls, octets: Octets) -> Self:
        """Decode what follows the item header; raises `PDUError`."""
        reader = FieldReader(octets)
        name = "SOP class UID of role selection"
        uid = decodeUID(reader.counted(name), name)
        return cls(uid, reader.number(1, "SCU role") == 1, reader.number(1, "SCP role") == 1)


@dataclass(frozen=True, slots=True)
class SOPClassExtendedNegotiation:
    """Application information about one SOP class, of which only its service class knows more (PS3.7 D.3.3.5)."""

    sopClassUID: str
    information: bytes

    def encode(self) -> bytes:
        """Encode the whole sub-item (type 0x56)."""
        uid = encodeCounted(encodeUID(self.sopClassUID, "SOP class UID of extended negotiation"), "SOP class UID")
        return encodeItem(ItemType.EXTENDED_NEGOTIATION, uid + self.information)

    @classmethod
    def decode(cls, octets: Octets) -> Self:
        """Decode what follows the item header; raises `PDUError`."""
        reader = FieldReader(octets)
        name = "SOP class UID of extended negotiation"
        uid = decodeUID(reader.counted(name), name)
        return cls(uid, bytes(reader.rest()))


@dataclass(frozen=True, slots=True)
class SOPClassCommonExtendedNegotiation:
    """
    To which service class, and to which general SOP classes, a SOP class belongs (PS3.7 D.3.3.6).

    :ivar version: version of this sub-item, 0 to 255; it travels in the second byte of the header. What later versions
        may append is ignored.
    """

    sopClassUID: str
    serviceClassUID: str
    relatedGeneralSOPClassUIDs: tuple[str, ...] = ()
    version: int = 0

    def encode(self) -> bytes:
        """Encode the whole sub-item (type 0x57)."""
        sopClass = encodeCounted(encodeUID(self.sopClassUID, "SOP class UID"), "SOP class UID")
        serviceClass = encodeCounted(encodeUID(self.serviceClassUID, "service class UID"), "service class UID")
        name = "related general SOP class UID"
        related = b"".join(encodeCounted(encodeUID(uid, name), name) for uid in self.relatedGeneralSOPClassUIDs)
        value = sopClass + serviceClass + encodeCounted(related, "related general SOP class identification")
        return encodeItem(ItemType.COMMON_EXTENDED_NEGOTIATION, value, self.version)

    @classmethod
    def decode(cls, octets: Octets, version: int = 0) -> Self:
        """Decode what follows the item header, whose second byte is `version`; raises `PDUError`."""
        reader = FieldReader(octets)
        name = "SOP class UID of common extended negotiation"
        sopClassUID = decodeUID(reader.counted(name), name)
        serviceClassUID = decodeUID(reader.counted("service class UID"), "service class UID")
        related = FieldReader(reader.counted("related general SOP class identification"))
        name = "related general SOP class UID"
        uids = []
        while related:
            uids.append(decodeUID(related.counted(name), name))
        return cls(sopClassUID, serviceClassUID, tuple(uids), version)


# The fields of the two user identity items are passwords, tickets and tokens: out of repr they are out of logs too.


@dataclass(frozen=True, slots=True)
class UserIdentityRQ:
    """
    Who the requestor's user says to be (PS3.7 D.3.3.7.1).

    :ivar identityType: 1 user name, 2 user name and passcode, 3 Kerberos ticket, 4 SAML assertion, 5 JSON web token;
        on receipt any number from 0 to 255.
    :ivar primaryField: user name (UTF-8), ticket, assertion or token.
    :ivar secondaryField: the passcode (UTF-8) if `identityType` is 2, else empty.
    """

    identityType: int
    primaryField: bytes = field(repr=False)
    secondaryField: bytes = field(default=b"", repr=False)
    positiveResponseRequested: bool = False

    def encode(self) -> bytes:
        """Encode the whole sub-item (type 0x58)."""
        start = encodeNumber(self.identityType, 1, "user identity type") + bytes((self.positiveResponseRequested,))
        primary = encodeCounted(self.primaryField, "primary field of user identity")
        secondary = encodeCounted(self.secondaryField, "secondary field of user identity")
        return encodeItem(ItemType.USER_IDENTITY_RQ, start + primary + secondary)

    @classmethod
    def decode(cls, octets: Octets) -> Self:
        """Decode what follows the item header; raises `PDUError`."""
        reader = FieldReader(octets)
        identityType = reader.number(1, "user identity type")
        requested = reader.number(1, "positive response requested") == 1
        primary = bytes(reader.counted("primary field of user identity"))
        return cls(identityType, primary, bytes(reader.counted("secondary field of user identity")), requested)


@dataclass(frozen=True, slots=True)
class UserIdentityAC:
    """The acceptor's positive answer to a user identity; empty unless a ticket or assertion goes back (D.3.3.7.2)."""

    serverResponse: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Encode the whole sub-item (type 0x59)."""
        return encodeItem(ItemType.USER_IDENTITY_AC, encodeCounted(self.serverResponse, "server response"))

    @classmethod
    def decode(cls, octets: Octets) -> Self:
        """Decode what follows the item header; raises `PDUError`."""
        return cls(bytes(FieldReader(octets).counted("server response of user identity")))
