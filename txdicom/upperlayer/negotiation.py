"""
What an acceptor answers to an A-ASSOCIATE-RQ: pure functions of the request and a policy (PS3.8 7.1, PS3.7 Annex D.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from txdicom.errors import RejectReason, RejectResult
from txdicom.uids import (
    APPLICATION_CONTEXT,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    IMPLICIT_VR_LITTLE_ENDIAN,
    OTHER_STORAGE_SOP_CLASSES,
    mayBeStorageSOPClass,
)
from txdicom.upperlayer.items import ContextResult, PresentationContextAC, PresentationContextRQ, UserInformation
from txdicom.upperlayer.pdu import AAssociateAC, AAssociateRJ, AAssociateRQ
from txdicom.upperlayer.subitems import AsynchronousOperationsWindow, RoleSelection

__all__ = [
    "SMALLEST_MAXIMUM_LENGTH",
    "AcceptorPolicy",
    "PresentationContext",
    "TransferSyntaxes",
    "acceptedContexts",
    "negotiate",
    "offeredFor",
]

_T = TypeVar("_T")

#: The transfer syntaxes that an acceptor takes, those it likes best first. Of the syntaxes in a set it likes each as
#: much as the others: of those the requestor's first proposal is taken.
TransferSyntaxes: TypeAlias = tuple[str | frozenset[str], ...]

#: Bit 0 of the protocol version field stands for version 1, the only one there is (PS3.8 9.3.2).
_PROTOCOL_VERSION_1 = 0x0001
#: The transfer syntax of a context that is not accepted is not significant, but has to be there (PS3.8 9.3.3.2). The
#: default one is what GDCM understands: it takes a context that names its own proposal for accepted.
_INSIGNIFICANT = IMPLICIT_VR_LITTLE_ENDIAN
#: What a peer has to announce at least to be sent any data: the header of the PDV item and two bytes. 0 is no limit.
SMALLEST_MAXIMUM_LENGTH = 8


@dataclass(frozen=True, slots=True)
class PresentationContext:
    """A presentation context both sides agreed on."""

    contextID: int
    abstractSyntax: str
    transferSyntax: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptorPolicy:
    """
    What an acceptor offers.

    :ivar presentationContexts: abstract syntax UID -> transfer syntaxes. The acceptor's order wins over the
        requestor's. The key `OTHER_STORAGE_SOP_CLASSES` stands for all storage SOP classes that are not there.
    :ivar maximumLength: announced as the largest P-DATA-TF body we receive; 0 for no limit (PS3.8 D.1.1).
    """

    presentationContexts: Mapping[str, TransferSyntaxes]
    maximumLength: int
    implementationClassUID: str = IMPLEMENTATION_CLASS_UID
    implementationVersionName: str = IMPLEMENTATION_VERSION_NAME


def negotiate(request: AAssociateRQ, policy: AcceptorPolicy) -> AAssociateAC | AAssociateRJ:
    """
    Answer a request for association.

    An association without any acceptable presentation context is accepted all the same, each context carrying the
    result that tells why (PS3.8 9.3.3.2). Extended negotiation and user identity are not answered, which is how the
    standard says that they are not supported (PS3.7 D.3.3.5 to D.3.3.7).
    """
    if not request.protocolVersion & _PROTOCOL_VERSION_1:
        return AAssociateRJ.of(RejectResult.PERMANENT, RejectReason.PROTOCOL_VERSION_NOT_SUPPORTED)
    if request.applicationContextName != APPLICATION_CONTEXT:
        return AAssociateRJ.of(RejectResult.PERMANENT, RejectReason.APPLICATION_CONTEXT_NAME_NOT_SUPPORTED)
    proposed = request.userInformation
    if 0 < (proposed.maximumLength or 0) < SMALLEST_MAXIMUM_LENGTH:
        return AAssociateRJ.of(RejectResult.PERMANENT, RejectReason.ACSE_NO_REASON_GIVEN)
    return AAssociateAC(
        calledAETitle=request.calledAETitle,
        callingAETitle=request.callingAETitle,
        reserved=request.reserved,
        presentationContexts=tuple(
            _answer(context, policy.presentationContexts) for context in request.presentationContexts
        ),
        userInformation=UserInformation(
            maximumLength=policy.maximumLength,
            implementationClassUID=policy.implementationClassUID,
            implementationVersionName=policy.implementationVersionName,
            asynchronousOperations=proposed.asynchronousOperations and AsynchronousOperationsWindow(1, 1),
            roleSelections=tuple(
                # We are the SCP: the requestor may be SCU if it wants to, and never SCP (PS3.7 D.3.3.4).
                RoleSelection(role.sopClassUID, role.scuRole, False)
                for role in proposed.roleSelections
                if offeredFor(role.sopClassUID, policy.presentationContexts) is not None
            ),
        ),
    )


def _answer(context: PresentationContextRQ, offered: Mapping[str, TransferSyntaxes]) -> PresentationContextAC:
    preferred = offeredFor(context.abstractSyntax, offered)
    if preferred is None:
        return PresentationContextAC(context.contextID, ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED, _INSIGNIFICANT)
    transferSyntax = _choose(context.transferSyntaxes, preferred)
    if transferSyntax is None:
        return PresentationContextAC(context.contextID, ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED, _INSIGNIFICANT)
    return PresentationContextAC(context.contextID, ContextResult.ACCEPTANCE, transferSyntax)


def offeredFor(abstractSyntax: str, offered: Mapping[str, _T]) -> _T | None:
    """
    Look up what is offered for an abstract syntax.

    :param offered: by abstract syntax UID; `OTHER_STORAGE_SOP_CLASSES`, if it is there, stands for all storage SOP
        classes that are not.
    """
    if abstractSyntax == OTHER_STORAGE_SOP_CLASSES:
        # A peer that says so has not understood what it is for.
        return None
    found = offered.get(abstractSyntax)
    if found is None and mayBeStorageSOPClass(abstractSyntax):
        found = offered.get(OTHER_STORAGE_SOP_CLASSES)
    return found


def _choose(proposed: Sequence[str], preferred: TransferSyntaxes) -> str | None:
    for liked in preferred:
        if isinstance(liked, str):
            if liked in proposed:
                return liked
        else:
            for transferSyntax in proposed:
                if transferSyntax in liked:
                    return transferSyntax
    return None


def acceptedContexts(request: AAssociateRQ, response: AAssociateAC) -> dict[int, PresentationContext]:
    """
    The presentation contexts that may be used, by their ID.

    An answer to a context that was never proposed is ignored, and so is one that names a transfer syntax that was not
    proposed for it: neither can be used.
    """
    proposed = {context.contextID: context for context in request.presentationContexts}
    accepted = {}
    for answer in response.presentationContexts:
        context = proposed.get(answer.contextID)
        if (
            context is not None
            and answer.result == ContextResult.ACCEPTANCE
            and answer.transferSyntax in context.transferSyntaxes
        ):
            accepted[answer.contextID] = PresentationContext(
                answer.contextID, context.abstractSyntax, answer.transferSyntax
            )
    return accepted
