"""
Who may associate: small policies that `AcceptorFactory` asks about every A-ASSOCIATE-RQ.

A policy is anything callable with the association and the request that returns the A-ASSOCIATE-RJ to refuse with, or
None to let the request pass. `firstRefusal` makes one of several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING, TypeAlias

from txdicom.errors import RejectReason, RejectResult
from txdicom.upperlayer.pdu import AAssociateRJ, AAssociateRQ

if TYPE_CHECKING:
    from txdicom.dimse.association import Association

__all__ = [
    "Admission",
    "CalledAETitles",
    "CallingAETitles",
    "Networks",
    "firstRefusal",
    "refuseAll",
    "refuseUnidentified",
]

#: Looks at a request for association before it is negotiated.
Admission: TypeAlias = "Callable[[Association, AAssociateRQ], AAssociateRJ | None]"


def firstRefusal(policies: Iterable[Admission]) -> Admission:
    """Ask several policies in order; the first refusal counts."""
    policies = tuple(policies)

    def admit(association: Association, request: AAssociateRQ) -> AAssociateRJ | None:
        return next(filter(None, (policy(association, request) for policy in policies)), None)

    return admit


def refuseAll(association: Association, request: AAssociateRQ) -> AAssociateRJ:
    """Refuse everybody, without giving a reason."""
    return AAssociateRJ.of(RejectResult.PERMANENT, RejectReason.NO_REASON_GIVEN)


def refuseUnidentified(association: Association, request: AAssociateRQ) -> AAssociateRJ | None:
    """Refuse, without giving a reason, who does not send the implementation class UID it has to (PS3.7 D.3.3.2)."""
    return None if request.userInformation.implementationClassUID else refuseAll(association, request)


@dataclass(frozen=True, slots=True)
class CalledAETitles:
    """
    Lets in who asks for one of these titles; others get "called AE title not recognized".

    :ivar titles: without padding; the peer's padding does not count either.
    """

    titles: frozenset[str]

    def __call__(self, association: Association, request: AAssociateRQ) -> AAssociateRJ | None:
        """Compare the called AE title."""
        if association.calledAETitle in self.titles:
            return None
        return AAssociateRJ.of(RejectResult.PERMANENT, RejectReason.CALLED_AE_TITLE_NOT_RECOGNIZED)


@dataclass(frozen=True, slots=True)
class CallingAETitles:
    """
    Lets in who has one of these titles; others get "calling AE title not recognized".

    :ivar titles: without padding; "" stands for peers that send only spaces.
    """

    titles: frozenset[str]

    def __call__(self, association: Association, request: AAssociateRQ) -> AAssociateRJ | None:
        """Compare the calling AE title."""
        if association.callingAETitle in self.titles:
            return None
        return AAssociateRJ.of(RejectResult.PERMANENT, RejectReason.CALLING_AE_TITLE_NOT_RECOGNIZED)


@dataclass(frozen=True, slots=True)
class Networks:
    """
    Lets in who comes from one of these networks; others are refused without a reason.

    Peers that have no IP address, because they come over a UNIX socket, are let in: the socket's permissions decide.
    """

    networks: tuple[IPv4Network | IPv6Network, ...]

    def __call__(self, association: Association, request: AAssociateRQ) -> AAssociateRJ | None:
        """Look the peer's address up; an IPv4 address mapped into IPv6 counts as the IPv4 address."""
        host = getattr(association.peer, "host", None)
        if host is None:
            return None
        address = ip_address(host)
        address = getattr(address, "ipv4_mapped", None) or address
        if any(address in network for network in self.networks):
            return None
        return refuseAll(association, request)
