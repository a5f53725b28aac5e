"""
Tests for the roles in `txdicom.upperlayer.negotiation` (PS3.7 D.3.3.4), with pynetdicom's as a second opinion.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

from pynetdicom.presentation import build_context, negotiate_as_acceptor
from twisted.trial.unittest import SynchronousTestCase

from txdicom.testing import associateRQ
from txdicom.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    OTHER_STORAGE_SOP_CLASSES,
    VERIFICATION,
)
from txdicom.upperlayer.items import ContextResult, UserInformation
from txdicom.upperlayer.negotiation import AcceptorPolicy, TransferSyntaxes, acceptedContexts, negotiate
from txdicom.upperlayer.pdu import AAssociateAC, AAssociateRQ, decodePDU
from txdicom.upperlayer.subitems import RoleSelection

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
JPEG = "1.2.840.10008.1.2.4.50"
EXPLICIT, IMPLICIT = EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
BOTH = tuple(product((True, False), repeat=2))


def policyOf(provided: Mapping[str, TransferSyntaxes], used: Mapping[str, TransferSyntaxes]) -> AcceptorPolicy:
    """Build a policy."""
    return AcceptorPolicy(presentationContexts=provided, requestedContexts=used, maximumLength=16384)


def requestWith(*roles: RoleSelection, syntaxes: tuple[str, ...] = (JPEG, IMPLICIT, EXPLICIT)) -> AAssociateRQ:
    """Propose CT, and these roles."""
    return associateRQ({CT: syntaxes}, userInformation=UserInformation(maximumLength=16384, roleSelections=roles))


class RoleTests(SynchronousTestCase):
    """What an acceptor answers that uses storage as an SCU, and maybe provides it as well."""

    def answer(self, request: AAssociateRQ, policy: AcceptorPolicy) -> AAssociateAC:
        """Negotiate, and see that it survives the wire."""
        answer = negotiate(request, policy)
        assert isinstance(answer, AAssociateAC)
        encoded = answer.encode()
        self.assertEqual(decodePDU(encoded[0], encoded[6:]), answer)
        return answer

    def negotiated(
        self, policy: AcceptorPolicy, *roles: RoleSelection
    ) -> tuple[tuple[RoleSelection, ...], int, str, bool]:
        """Return the roles, and the context: result, transfer syntax, and whether the requestor may be the SCP."""
        request = requestWith(*roles)
        answer = self.answer(request, policy)
        (context,) = answer.presentationContexts
        accepted = acceptedContexts(request, answer).get(1)
        self.assertEqual(accepted is not None, context.result == ContextResult.ACCEPTANCE)
        isSCP = accepted is not None and accepted.requestorIsSCP
        return answer.userInformation.roleSelections, context.result, context.transferSyntax, isSCP

    def test_used(self) -> None:
        """What is only used is accepted from who proposes to be the SCP of it, and from nobody else."""
        for used in ({CT: (JPEG, EXPLICIT)}, {OTHER_STORAGE_SOP_CLASSES: (JPEG,)}):
            policy = policyOf({}, used)
            for scu in (True, False):
                roles = RoleSelection(CT, scu, True)
                granted = (RoleSelection(CT, False, True),)
                self.assertEqual(self.negotiated(policy, roles), (granted, 0, JPEG, True))
                self.assertEqual(self.negotiated(policy, RoleSelection(CT, scu, False)), ((), 3, IMPLICIT, False))
            self.assertEqual(self.negotiated(policy), ((), 3, IMPLICIT, False))
            self.assertEqual(self.negotiated(policy, RoleSelection(MR, False, True))[1:], (3, IMPLICIT, False))

    def test_usedInNoSuchSyntax(self) -> None:
        policy = policyOf({}, {CT: ("1.2.3",)})
        granted = (RoleSelection(CT, False, True),)
        self.assertEqual(self.negotiated(policy, RoleSelection(CT, False, True)), (granted, 4, IMPLICIT, False))

    def test_usedAndProvided(self) -> None:
        """Both may be had at once; then what we provide decides about the syntax, for it may come to us."""
        policy = policyOf({CT: (EXPLICIT,)}, {CT: (JPEG,)})
        for scu, scp in BOTH:
            syntax = JPEG if scp and not scu else EXPLICIT
            roles = RoleSelection(CT, scu, scp)
            self.assertEqual(self.negotiated(policy, roles), ((roles,), 0, syntax, scp))
        self.assertEqual(self.negotiated(policy), ((), 0, EXPLICIT, False))

    def test_provided(self) -> None:
        """What is not used is nobody's to provide."""
        policy = policyOf({CT: (EXPLICIT,)}, {MR: (EXPLICIT,)})
        for scu, scp in BOTH:
            granted = (RoleSelection(CT, scu, False),)
            self.assertEqual(self.negotiated(policy, RoleSelection(CT, scu, scp)), (granted, 0, EXPLICIT, False))

    def test_onlyStorageIsOther(self) -> None:
        """The key for other storage SOP classes stands for no others, and is none itself."""
        policy = policyOf({}, {OTHER_STORAGE_SOP_CLASSES: (JPEG,)})
        for uid in (VERIFICATION, OTHER_STORAGE_SOP_CLASSES):
            self.assertEqual(self.negotiated(policy, RoleSelection(uid, True, True))[0], ())

    def test_grantedButNotProposed(self) -> None:
        """An acceptor cannot make a requestor the SCP that has not offered to be."""
        policy = policyOf({CT: (EXPLICIT,)}, {CT: (EXPLICIT,)})
        granting = self.answer(requestWith(RoleSelection(CT, True, True)), policy)
        for request in (requestWith(), requestWith(RoleSelection(CT, True, False))):
            self.assertFalse(acceptedContexts(request, granting)[1].requestorIsSCP)

    def test_proposedButNotGranted(self) -> None:
        request = requestWith(RoleSelection(CT, True, True))
        for answer in (self.answer(requestWith(), policyOf({CT: (EXPLICIT,)}, {})),):
            self.assertFalse(acceptedContexts(request, answer)[1].requestorIsSCP)

    def test_pynetdicom(self) -> None:
        """Its acceptor answers the same roles where it does both."""
        supported = build_context(CT, [EXPLICIT])
        supported.scu_role, supported.scp_role = True, True
        policy = policyOf({CT: (EXPLICIT,)}, {CT: (EXPLICIT,)})
        proposed = build_context(CT, [EXPLICIT])
        proposed.context_id = 1
        for scu, scp in ((True, True), (True, False), (False, True)):
            (context,), roles = negotiate_as_acceptor([proposed], [supported], {CT: (scu, scp)})
            ours = self.negotiated(policy, RoleSelection(CT, scu, scp))
            self.assertEqual(
                ours[0], tuple(RoleSelection(str(role.sop_class_uid), role.scu_role, role.scp_role) for role in roles)
            )
            self.assertEqual(ours[1], context.result)
