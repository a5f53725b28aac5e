"""
What an acceptor answers to an A-ASSOCIATE-RQ: pure functions of the request and a policy (PS3.8 7.1, PS3.7 Annex D.3).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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
    """
    A presentation context both sides agreed on.

    :ivar requestorIsSCU: whether the requestor may be the SCU, and the acceptor the SCP (PS3.7 D.3.3.4), as it is
        unless something else was agreed on.
    :ivar requestorIsSCP: whether it was agreed that the requestor may be the SCP, so that requests may come from the
        acceptor.
    """

    contextID: int
    abstractSyntax: str
    transferSyntax: str
    requestorIsSCU: bool = True
    requestorIsSCP: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptorPolicy:
    """
    What an acceptor offers.

    :ivar presentationContexts: abstract syntax UID -> transfer syntaxes. The acceptor's order wins over the
        requestor's. The key `OTHER_STORAGE_SOP_CLASSES` stands for all storage SOP classes that are not there.
    :ivar requestedContexts: likewise, of what the acceptor uses as an SCU if the requestor proposes to be the SCP.
    :ivar maximumLength: announced as the largest P-DATA-TF body we receive; 0 for no limit (PS3.8 D.1.1).
    """

    presentationContexts: Mapping[str, TransferSyntaxes]
    requestedContexts: Mapping[str, TransferSyntaxes] = field(default_factory=dict)
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
    roles = tuple(_answerRoles(proposed.roleSelections, policy))
    providing = {role.sopClassUID: role for role in roles if role.scpRole}
    return AAssociateAC(
        calledAETitle=request.calledAETitle,
        callingAETitle=request.callingAETitle,
        reserved=request.reserved,
        presentationContexts=tuple(
            _answer(context, _preferred(context.abstractSyntax, providing.get(context.abstractSyntax), policy))
            for context in request.presentationContexts
        ),
        userInformation=UserInformation(
            maximumLength=policy.maximumLength,
            implementationClassUID=policy.implementationClassUID,
            implementationVersionName=policy.implementationVersionName,
            asynchronousOperations=proposed.asynchronousOperations and AsynchronousOperationsWindow(1, 1),
            roleSelections=roles,
        ),
    )


def _answerRoles(proposed: Sequence[RoleSelection], policy: AcceptorPolicy) -> Iterator[RoleSelection]:
    """Let the requestor be SCU of what we provide, and SCP of what we use, if it wants to (PS3.7 D.3.3.4)."""
    for role in proposed:
        provided = offeredFor(role.sopClassUID, policy.presentationContexts) is not None
        used = role.scpRole and offeredFor(role.sopClassUID, policy.requestedContexts) is not None
        if provided or used:
            yield RoleSelection(role.sopClassUID, role.scuRole and provided, used)


def _preferred(abstractSyntax: str, providing: RoleSelection | None, policy: AcceptorPolicy) -> TransferSyntaxes | None:
    """
    List the transfer syntaxes that we take for an abstract syntax, the one we like best first; None if it is unknown.

    :param providing: the roles that were agreed on for it, if the requestor is going to be the SCP.
    """
    if providing is not None and not providing.scuRole:
        return offeredFor(abstractSyntax, policy.requestedContexts)
    return offeredFor(abstractSyntax, policy.presentationContexts)


def _answer(context: PresentationContextRQ, preferred: TransferSyntaxes | None) -> PresentationContextAC:
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
    roles = _rolesOf(request, response)
    accepted = {}
    for answer in response.presentationContexts:
        context = proposed.get(answer.contextID)
        if (
            context is not None
            and answer.result == ContextResult.ACCEPTANCE
            and answer.transferSyntax in context.transferSyntaxes
        ):
            accepted[answer.contextID] = PresentationContext(
                answer.contextID,
                context.abstractSyntax,
                answer.transferSyntax,
                *roles.get(context.abstractSyntax, (True, False)),
            )
    return accepted


def _rolesOf(request: AAssociateRQ, response: AAssociateAC) -> dict[str, tuple[bool, bool]]:
    """
    Tell for SOP classes whether the requestor is the SCU, and whether the SCP; only where both sides have said so.

    An acceptor can turn down what is proposed, and grant nothing that is not.
    """
    answers = {role.sopClassUID: role for role in response.userInformation.roleSelections}
    return {
        role.sopClassUID: (role.scuRole and answer.scuRole, role.scpRole and answer.scpRole)
        for role in request.userInformation.roleSelections
        if (answer := answers.get(role.sopClassUID)) is not None
    }
