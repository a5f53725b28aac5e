"""
The errors of txdicom: one tree, and every error that a peer can see carries its wire code.

Theory of operation::

    DICOMError
     +- PDUError               the peer broke PS3.8: answered with A-ABORT (source, reason)
     +- MessageError           the peer broke PS3.7: answered with A-ABORT (service-user)
     +- DIMSEError             one operation failed: answered with that Status and comment
     +- AssociationRejected    the acceptor said A-ASSOCIATE-RJ
     +- AssociationAborted     A-ABORT was sent or received
     +- AssociationLost        the connection went away without a release
     +- AssociationTimeout     we ended it because something took too long
     +- SourceError            what we were to send cannot be read, or is no instance
     +- LocalProtocolError     our own caller asked for what the protocol does not allow now

An error that says what the peer did wrong is never the same class as one that says what our own caller did wrong.
"""

from __future__ import annotations

from enum import Enum, IntEnum

__all__ = [
    "AbortReason",
    "AbortSource",
    "AssociationAborted",
    "AssociationLost",
    "AssociationRejected",
    "AssociationTimeout",
    "DICOMError",
    "DIMSEError",
    "LocalProtocolError",
    "MessageError",
    "PDUError",
    "RejectReason",
    "RejectResult",
    "RejectSource",
    "SourceError",
]


class AbortSource(IntEnum):
    """Who aborted (PS3.8 9.3.8)."""

    SERVICE_USER = 0
    SERVICE_PROVIDER = 2


class AbortReason(Enum):
    """
    The pairs of source and reason that an A-ABORT PDU may carry (PS3.8 Table 9-26).

    Being a closed set of pairs, one that the standard does not have cannot be built.
    """

    #: The DIMSE user gave up; the reason field is not significant then and is sent as 0.
    SERVICE_USER = (0, 0)
    NOT_SPECIFIED = (2, 0)
    UNRECOGNIZED_PDU = (2, 1)
    UNEXPECTED_PDU = (2, 2)
    UNRECOGNIZED_PDU_PARAMETER = (2, 4)
    UNEXPECTED_PDU_PARAMETER = (2, 5)
    INVALID_PDU_PARAMETER_VALUE = (2, 6)


class RejectResult(IntEnum):
    """Result of an A-ASSOCIATE-RJ (PS3.8 9.3.4)."""

    PERMANENT = 1
    TRANSIENT = 2


class RejectSource(IntEnum):
    """Source of an A-ASSOCIATE-RJ (PS3.8 9.3.4)."""

    SERVICE_USER = 1
    SERVICE_PROVIDER_ACSE = 2
    SERVICE_PROVIDER_PRESENTATION = 3


class RejectReason(Enum):
    """The pairs of source and reason that an A-ASSOCIATE-RJ may carry (PS3.8 Table 9-21)."""

    NO_REASON_GIVEN = (1, 1)
    APPLICATION_CONTEXT_NAME_NOT_SUPPORTED = (1, 2)
    CALLING_AE_TITLE_NOT_RECOGNIZED = (1, 3)
    CALLED_AE_TITLE_NOT_RECOGNIZED = (1, 7)
    ACSE_NO_REASON_GIVEN = (2, 1)
    PROTOCOL_VERSION_NOT_SUPPORTED = (2, 2)
    TEMPORARY_CONGESTION = (3, 1)
    LOCAL_LIMIT_EXCEEDED = (3, 2)


#: Source and reason in words.
_REJECTED = {
    each.value: each.name.removeprefix("ACSE_").replace("_", " ").lower().replace("ae title", "AE title")
    for each in RejectReason
}


class DICOMError(Exception):
    """Base of all errors that txdicom raises on purpose."""


class PDUError(DICOMError):
    """
    The peer sent bytes that PS3.8 does not allow here.

    :ivar reason: the source and reason of the A-ABORT that answers it.
    """

    def __init__(self, reason: AbortReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class MessageError(DICOMError):
    """
    The peer sent a message that PS3.7 does not allow; there is no status that could answer it.

    The association is aborted by the service user (A-ABORT 0/0).
    """


class DIMSEError(DICOMError):
    """
    One operation failed; its response carries this status and the association lives on.

    :ivar status: the value of Status (0000,0900), 0 to 0xFFFF; never a success or pending status.
    :ivar comment: the value of Error Comment (0000,0902), cut to 64 characters when it is sent (PS3.7 E.1).
    :ivar offendingElements: tags (0xGGGGEEEE) for Offending Element (0000,0901).
    """

    def __init__(self, status: int, comment: str = "", offendingElements: tuple[int, ...] = ()) -> None:
        super().__init__(f"0x{status:04X} {comment}".rstrip())
        self.status = status
        self.comment = comment
        self.offendingElements = offendingElements


class AssociationRejected(DICOMError):
    """
    The acceptor refused the association (PS3.8 9.3.4).

    The three numbers are as they came from the wire and may be ones that the standard does not list.
    """

    def __init__(self, result: int, source: int, reason: int) -> None:
        numbers = f"result {result}, source {source}, reason {reason}"
        words = _REJECTED.get((source, reason))
        super().__init__(f"association rejected: {words}; {numbers}" if words else f"association rejected: {numbers}")
        self.result = result
        self.source = source
        self.reason = reason


class AssociationAborted(DICOMError):
    """
    The association ended by an A-ABORT, sent or received.

    :ivar source: 0 for the service user, 2 for the service provider (PS3.8 9.3.8).
    :ivar reason: significant with source 2 only.
    :ivar byPeer: whether the peer sent it.
    """

    def __init__(self, source: int, reason: int, byPeer: bool, message: str = "") -> None:
        who = "peer" if byPeer else "us"
        detail = f": {message}" if message else ""
        super().__init__(f"association aborted by {who}, source {source}, reason {reason}{detail}")
        self.source = source
        self.reason = reason
        self.byPeer = byPeer


class AssociationLost(DICOMError):
    """The transport connection closed before the association was released."""


class AssociationTimeout(DICOMError):
    """The peer, or one of our own providers, did not do its part in the time it had."""


class SourceError(DICOMError):
    """What was to be sent cannot be read, is not a DICOM instance, or cannot be converted to what the peer takes."""


class LocalProtocolError(DICOMError):
    """Our own caller asked for something the protocol does not allow in the present state; the wire saw nothing."""
