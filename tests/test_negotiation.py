"""
Tests for `txdicom.upperlayer.negotiation`, with pynetdicom's negotiation as a second opinion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom.presentation import PresentationContext as OracleContext
from pynetdicom.presentation import build_context, negotiate_as_acceptor, negotiate_as_requestor
from twisted.trial.unittest import SynchronousTestCase

from txdicom.testing import associateRQ
from txdicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    IMPLICIT_VR_LITTLE_ENDIAN,
    OTHER_STORAGE_SOP_CLASSES,
    VERIFICATION,
)
from txdicom.upperlayer.items import ContextResult, PresentationContextAC, PresentationContextRQ, UserInformation
from txdicom.upperlayer.negotiation import (
    AcceptorPolicy,
    PresentationContext,
    TransferSyntaxes,
    acceptedContexts,
    negotiate,
    offeredFor,
)
from txdicom.upperlayer.pdu import AAssociateAC, AAssociateRJ, AAssociateRQ, decodePDU
from txdicom.upperlayer.subitems import (
    AsynchronousOperationsWindow,
    RoleSelection,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityRQ,
)

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
US = "1.2.840.10008.5.1.4.1.1.6.1"
SOP_CLASSES = (CT, MR, US, VERIFICATION)
EXPLICIT, BIG, IMPLICIT = EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
SYNTAXES = (EXPLICIT, BIG, IMPLICIT, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN)

ACCEPTED, NO_ABSTRACT, NO_TRANSFER = (
    ContextResult.ACCEPTANCE,
    ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED,
    ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED,
)


def policyOf(contexts: Mapping[str, TransferSyntaxes], maximumLength: int = 16384) -> AcceptorPolicy:
    """Build a policy."""
    return AcceptorPolicy(presentationContexts=contexts, maximumLength=maximumLength)


POLICY = policyOf({CT: (EXPLICIT, BIG, IMPLICIT), MR: (IMPLICIT,)})


def requestWith(**userInformation: object) -> AAssociateRQ:
    """Build a request whose user information has these fields."""
    return associateRQ({CT: (IMPLICIT,)}, userInformation=UserInformation(**userInformation))


class NegotiationTestCase(SynchronousTestCase):
    """What the tests of negotiation share."""

    def accept(self, request: AAssociateRQ, policy: AcceptorPolicy = POLICY) -> AAssociateAC:
        """Negotiate; assert that it is an acceptance which survives the wire, and return it."""
        answer = negotiate(request, policy)
        self.assertIs(type(answer), AAssociateAC)
        data = answer.encode()
        self.assertEqual(decodePDU(data[0], data[6:]), answer)
        return answer

    def assertRejected(self, request: AAssociateRQ, *expected: int) -> None:
        """Assert the result, source and reason of a rejection."""
        self.assertEqual(negotiate(request, POLICY), AAssociateRJ(*expected))


class ContextTests(NegotiationTestCase):
    """Presentation contexts."""

    def assertAnswers(self, request: AAssociateRQ, *expected: tuple[int, int, str]) -> None:
        """Assert the ID, result and transfer syntax of each answer."""
        answers = self.accept(request).presentationContexts
        self.assertEqual([(a.contextID, a.result, a.transferSyntax) for a in answers], list(expected))

    def test_acceptorsOrderWins(self) -> None:
        """Of the proposed transfer syntaxes the one is taken that the acceptor likes best."""
        for proposed in ((IMPLICIT, BIG, EXPLICIT), (EXPLICIT, IMPLICIT), ("1.2.3", EXPLICIT)):
            self.assertAnswers(associateRQ({CT: proposed}), (1, ACCEPTED, EXPLICIT))
        self.assertAnswers(associateRQ({CT: (IMPLICIT, BIG)}), (1, ACCEPTED, BIG))
        self.assertAnswers(associateRQ({CT: (IMPLICIT,)}), (1, ACCEPTED, IMPLICIT))

    def test_abstractSyntaxNotSupported(self) -> None:
        """Result 3, with the default transfer syntax, whatever was proposed."""
        self.assertAnswers(associateRQ({US: (BIG, IMPLICIT)}), (1, NO_ABSTRACT, IMPLICIT))

    def test_transferSyntaxesNotSupported(self) -> None:
        """Result 4, likewise."""
        self.assertAnswers(associateRQ({MR: (BIG, EXPLICIT)}), (1, NO_TRANSFER, IMPLICIT))

    def test_eachIsAnswered(self) -> None:
        """Every context has an answer with its ID, in the order of the request."""
        contexts = [(CT, (IMPLICIT,)), (US, (IMPLICIT,)), (MR, (BIG,)), (CT, (EXPLICIT, BIG)), (MR, (IMPLICIT,))]
        self.assertAnswers(
            associateRQ(contexts),
            (1, ACCEPTED, IMPLICIT),
            (3, NO_ABSTRACT, IMPLICIT),
            (5, NO_TRANSFER, IMPLICIT),
            (7, ACCEPTED, EXPLICIT),
            (9, ACCEPTED, IMPLICIT),
        )

    def test_outOfOrder(self) -> None:
        """Context IDs need not come in order."""
        ids = (255, 1, 77)
        request = replace(
            associateRQ(), presentationContexts=tuple(PresentationContextRQ(number, CT, (BIG,)) for number in ids)
        )
        self.assertAnswers(request, *[(number, ACCEPTED, BIG) for number in ids])

    def test_duplicates(self) -> None:
        """The same proposal with two IDs is accepted with both, and a syntax that is proposed twice counts once."""
        self.assertAnswers(
            associateRQ([(MR, (IMPLICIT, IMPLICIT)), (MR, (IMPLICIT,))]),
            (1, ACCEPTED, IMPLICIT),
            (3, ACCEPTED, IMPLICIT),
        )

    def test_nothingAcceptable(self) -> None:
        """An association without any context that could be used is accepted all the same."""
        self.assertAnswers(associateRQ({US: (IMPLICIT,)}), (1, NO_ABSTRACT, IMPLICIT))
        self.assertAnswers(associateRQ({}))

    def test_withoutSyntaxes(self) -> None:
        """Contexts that name no transfer syntax or no abstract syntax are refused like others."""
        request = associateRQ([(CT, ()), ("", ()), ("", (BIG,))])
        self.assertAnswers(request, (1, NO_TRANSFER, IMPLICIT), (3, NO_ABSTRACT, IMPLICIT), (5, NO_ABSTRACT, IMPLICIT))

    def test_policyWithoutSyntaxes(self) -> None:
        """An abstract syntax that is offered in no transfer syntax is refused for that."""
        answer = self.accept(associateRQ({CT: (BIG,)}), policyOf({CT: ()}))
        self.assertEqual(answer.presentationContexts, (PresentationContextAC(1, NO_TRANSFER, IMPLICIT),))


class EquallyLikedTests(NegotiationTestCase):
    """Sets of transfer syntaxes, among which the requestor's order decides."""

    def assertChosen(self, proposed: tuple[str, ...], preferred: TransferSyntaxes, expected: str | None) -> None:
        """Assert which of the proposed transfer syntaxes is accepted."""
        (answer,) = self.accept(associateRQ({CT: proposed}), policyOf({CT: preferred})).presentationContexts
        self.assertEqual(answer.transferSyntax if answer.result == ACCEPTED else None, expected)
        self.assertIn(answer.result, (ACCEPTED, NO_TRANSFER))

    def test_requestorsOrder(self) -> None:
        """The first proposal that is in the set is taken."""
        liked = (frozenset({EXPLICIT, BIG, IMPLICIT}),)
        for proposed in ((BIG, EXPLICIT), (EXPLICIT, BIG), (IMPLICIT, BIG, EXPLICIT)):
            self.assertChosen(proposed, liked, proposed[0])
        self.assertChosen(("1.2.3", BIG, IMPLICIT), liked, BIG)
        self.assertChosen(("1.2.3",), liked, None)
        self.assertChosen((), liked, None)

    def test_setsInOrder(self) -> None:
        """A set that comes first is preferred to what comes later, and later what is not in it counts too."""
        liked = (frozenset({BIG, IMPLICIT}), EXPLICIT, frozenset({"1.2.3", "1.2.4"}))
        self.assertChosen((EXPLICIT, "1.2.3", IMPLICIT, BIG), liked, IMPLICIT)
        self.assertChosen(("1.2.4", "1.2.3", EXPLICIT), liked, EXPLICIT)
        self.assertChosen(("1.2.4", "1.2.3"), liked, "1.2.4")
        self.assertChosen(("1.2.5",), liked, None)
        self.assertChosen((BIG,), (frozenset(),), None)


class OtherStorageTests(NegotiationTestCase):
    """`OTHER_STORAGE_SOP_CLASSES`: what stands for all that may be stored and is not named."""

    #: A private class; one of the standard's that is not named; two that the standard may have some day.
    others = ("1.2.276.0.7230010.9", MR, "1.2.840.10008.5.1.4.1.1.2.99", "2.25.12345")
    #: Query, worklist, print, storage commitment, the arc itself; what is no UID.
    never = (
        "1.2.840.10008.5.1.4.1.2.2.1",
        "1.2.840.10008.5.1.4.31",
        "1.2.840.10008.5.1.1.9",
        "1.2.840.10008.1.20.1",
        "1.2.840.10008.5.1.4.1.1.200.4",
        "1.2.840.10008.5.1.4.1.1",
        "",
        "1..2",
        "*",
        "CT",
    )
    policy = policyOf({VERIFICATION: (EXPLICIT,), CT: (BIG,), OTHER_STORAGE_SOP_CLASSES: (EXPLICIT, IMPLICIT)})

    def results(self, policy: AcceptorPolicy, *abstractSyntaxes: str) -> list[tuple[int, str]]:
        """Propose each in two transfer syntaxes, and return the result and the transfer syntax of each answer."""
        request = associateRQ([(uid, (IMPLICIT, EXPLICIT)) for uid in abstractSyntaxes])
        return [(answer.result, answer.transferSyntax) for answer in self.accept(request, policy).presentationContexts]

    def test_accepted(self) -> None:
        self.assertEqual(self.results(self.policy, *self.others), [(ACCEPTED, EXPLICIT)] * len(self.others))

    def test_neverAccepted(self) -> None:
        self.assertEqual(self.results(self.policy, *self.never), [(NO_ABSTRACT, IMPLICIT)] * len(self.never))

    def test_named(self) -> None:
        """What is named is accepted as it is said there."""
        self.assertEqual(self.results(self.policy, CT, VERIFICATION), [(NO_TRANSFER, IMPLICIT), (ACCEPTED, EXPLICIT)])

    def test_notThere(self) -> None:
        """Without it nothing else is accepted."""
        self.assertEqual(
            self.results(policyOf({CT: (EXPLICIT,)}), *self.others), [(NO_ABSTRACT, IMPLICIT)] * len(self.others)
        )

    def test_roles(self) -> None:
        """Roles are answered for the same classes."""
        roles = tuple(RoleSelection(uid, True, True) for uid in (*self.others, *self.never[:4], CT))
        answered = self.accept(requestWith(roleSelections=roles), self.policy).userInformation.roleSelections
        self.assertEqual(answered, tuple(RoleSelection(uid, True, False) for uid in (*self.others, CT)))

    def test_offeredFor(self) -> None:
        """Whatever is offered is found, and a named class comes first."""
        offered = {CT: 1, OTHER_STORAGE_SOP_CLASSES: 2}
        self.assertEqual([offeredFor(uid, offered) for uid in (CT, *self.others)], [1, *[2] * len(self.others)])
        self.assertEqual([offeredFor(uid, offered) for uid in (*self.never, VERIFICATION)], [None] * 11)
        self.assertIsNone(offeredFor(MR, {CT: 1}))


class AnswerTests(NegotiationTestCase):
    """All that is not a presentation context."""

    def test_protocolVersion(self) -> None:
        """Bit 0 has to be set, the others do not matter; the answer says version 1."""
        for version in (1, 3, 0xFFFF, 0x8001):
            self.assertEqual(self.accept(replace(associateRQ(), protocolVersion=version)).protocolVersion, 1)
        for version in (0, 2, 0xFFFE, 0x100):
            self.assertRejected(replace(associateRQ(), protocolVersion=version), 1, 2, 2)

    def test_applicationContext(self) -> None:
        """There is one application context, and it has to be named."""
        self.assertEqual(self.accept(associateRQ()).applicationContextName, "1.2.840.10008.3.1.1.1")
        for name in ("", "1.2.840.10008.3.1.1", "1.2.840.10008.3.1.1.1.1", "1.2.840.10008.1.1"):
            self.assertRejected(replace(associateRQ(), applicationContextName=name), 1, 1, 2)

    def test_protocolVersionComesFirst(self) -> None:
        """What does not speak version 1 is told so, whatever else is wrong with it."""
        self.assertRejected(replace(associateRQ(), protocolVersion=0, applicationContextName="1.2"), 1, 2, 2)

    def test_titles(self) -> None:
        """The titles are those of the request, and are not looked at."""
        for called, calling in (("A", "B"), ("", ""), ("  LEADING", "NULS\0\0"), ("\xe4\xf6", "\\\n")):
            answer = self.accept(associateRQ(calledAETitle=called, callingAETitle=calling))
            self.assertEqual((answer.calledAETitle, answer.callingAETitle), (called, calling))

    def test_userInformation(self) -> None:
        """The answer says who we are and how much we take, and nothing that was not asked for."""
        information = self.accept(requestWith()).userInformation
        self.assertEqual(information, UserInformation(16384, IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME))

    def test_policysUserInformation(self) -> None:
        """It is the policy's; no limit is announced as 0."""
        policy = AcceptorPolicy(
            presentationContexts={}, maximumLength=0, implementationClassUID="1.2.3", implementationVersionName="MINE"
        )
        self.assertEqual(self.accept(requestWith(), policy).userInformation, UserInformation(0, "1.2.3", "MINE"))

    def test_maximumLength(self) -> None:
        """A peer has to take at least one byte of data in a PDU, or announce no limit, or nothing."""
        for length in range(1, 8):
            self.assertRejected(requestWith(maximumLength=length), 1, 2, 1)
        for length in (None, 0, 8, 16384, 0xFFFFFFFF):
            self.assertEqual(self.accept(requestWith(maximumLength=length)).userInformation.maximumLength, 16384)

    def test_asynchronousOperations(self) -> None:
        """Whatever window is asked for, one operation at a time is granted; nothing is said unless asked."""
        for window in ((0, 0), (1, 1), (5, 0), (0xFFFF, 0xFFFF)):
            request = requestWith(asynchronousOperations=AsynchronousOperationsWindow(*window))
            granted = self.accept(request).userInformation.asynchronousOperations
            self.assertEqual(granted, AsynchronousOperationsWindow(1, 1))

    def test_roles(self) -> None:
        """The requestor may be SCU where it asks to, and never SCP; classes that are not offered are not answered."""
        for scu, scp in ((True, True), (True, False), (False, True), (False, False)):
            roles = (RoleSelection(MR, scu, scp), RoleSelection(US, scu, scp), RoleSelection(CT, scu, scp))
            answered = self.accept(requestWith(roleSelections=roles)).userInformation.roleSelections
            self.assertEqual(answered, (RoleSelection(MR, scu, False), RoleSelection(CT, scu, False)))

    def test_notSupported(self) -> None:
        """Extended negotiation, user identity and items that are unknown get no answer, and are no reason to refuse."""
        for asked in (
            {"extendedNegotiations": (SOPClassExtendedNegotiation(CT, b"\1\1"),)},
            {"commonExtendedNegotiations": (SOPClassCommonExtendedNegotiation(CT, "1.2.840.10008.4.2", (), 0),)},
            {"userIdentity": UserIdentityRQ(2, b"user", b"secret", True)},
            {"unknown": ((0x60, b"?"),)},
        ):
            self.assertEqual(self.accept(requestWith(**asked)), self.accept(requestWith()))


class AcceptedContextsTests(SynchronousTestCase):
    """Tests for `acceptedContexts`."""

    request = associateRQ([(CT, (EXPLICIT, IMPLICIT)), (MR, (IMPLICIT,)), (CT, (BIG,))])

    def accepted(self, *answers: tuple[int, int, str]) -> dict[int, PresentationContext]:
        """Return what may be used after such answers."""
        response = AAssociateAC(
            "A", "B", tuple(PresentationContextAC(*answer) for answer in answers), UserInformation()
        )
        return acceptedContexts(self.request, response)

    def test_accepted(self) -> None:
        """A context that is accepted has the abstract syntax of its proposal and the transfer syntax of its answer."""
        self.assertEqual(
            self.accepted((1, ACCEPTED, IMPLICIT), (5, ACCEPTED, BIG)),
            {1: PresentationContext(1, CT, IMPLICIT), 5: PresentationContext(5, CT, BIG)},
        )

    def test_refused(self) -> None:
        """A context that is refused cannot be used, whatever its answer says besides, and whatever the result is."""
        for result in range(1, 256):
            self.assertEqual(self.accepted((1, result, EXPLICIT)), {})

    def test_unanswered(self) -> None:
        """A context without an answer cannot be used."""
        self.assertEqual(self.accepted(), {})
        self.assertEqual(list(self.accepted((3, ACCEPTED, IMPLICIT))), [3])

    def test_neverProposed(self) -> None:
        """An answer to no proposal, or one with a transfer syntax that was not proposed there, is ignored."""
        self.assertEqual(self.accepted((7, ACCEPTED, IMPLICIT), (255, ACCEPTED, BIG)), {})
        self.assertEqual(self.accepted((1, ACCEPTED, BIG), (3, ACCEPTED, EXPLICIT), (5, ACCEPTED, "")), {})

    def test_sameAbstractSyntaxTwice(self) -> None:
        """Two contexts of one abstract syntax are two contexts."""
        accepted = self.accepted((1, NO_TRANSFER, EXPLICIT), (5, ACCEPTED, BIG))
        self.assertEqual(accepted, {5: PresentationContext(5, CT, BIG)})


syntaxes = st.lists(st.sampled_from(SYNTAXES), min_size=1, max_size=4, unique=True).map(tuple)
proposals = st.lists(st.tuples(st.sampled_from(SOP_CLASSES), syntaxes), min_size=1, max_size=8)
policies = st.dictionaries(st.sampled_from(SOP_CLASSES), syntaxes)


def oracleContexts(request: AAssociateRQ) -> list[OracleContext]:
    """Build pynetdicom's form of what a request proposes."""
    contexts = []
    for proposed in request.presentationContexts:
        context = build_context(proposed.abstractSyntax, list(proposed.transferSyntaxes))
        context.context_id = proposed.contextID
        contexts.append(context)
    return contexts


class OracleTests(NegotiationTestCase):
    """Agreement with pynetdicom."""

    @settings(deadline=None, max_examples=150)
    @given(proposals, policies)
    def test_acceptor(self, proposed: list[tuple[str, tuple[str, ...]]], offered: dict[str, tuple[str, ...]]) -> None:
        """Both acceptors give the same results and transfer syntaxes to the same proposals."""
        request = associateRQ(proposed)
        answers = self.accept(request, policyOf(offered)).presentationContexts
        supported = [build_context(uid, list(transferSyntaxes)) for uid, transferSyntaxes in offered.items()]
        expected, _ = negotiate_as_acceptor(oracleContexts(request), supported)
        self.assertEqual(
            [(answer.contextID, answer.result, answer.transferSyntax) for answer in answers],
            [
                # What the oracle names for a refused context is not significant, and need not be what we name.
                (context.context_id, context.result, IMPLICIT if context.result else context.transfer_syntax[0])
                for context in expected
            ],
        )

    @settings(deadline=None, max_examples=100)
    @given(proposals, policies)
    def test_requestor(self, proposed: list[tuple[str, tuple[str, ...]]], offered: dict[str, tuple[str, ...]]) -> None:
        """Both requestors take the same contexts from the same answer, and the acceptor takes those too."""
        request = associateRQ(proposed)
        response = self.accept(request, policyOf(offered))
        answered = []
        for answer in response.presentationContexts:
            context = OracleContext()
            context.context_id = answer.contextID
            context.result = answer.result
            context.transfer_syntax = [answer.transferSyntax]
            answered.append(context)
        expected = [
            PresentationContext(context.context_id, str(context.abstract_syntax), str(context.transfer_syntax[0]))
            for context in negotiate_as_requestor(oracleContexts(request), answered)
            if context.result == 0
        ]
        self.assertEqual(list(acceptedContexts(request, response).values()), expected)

    def test_roles(self) -> None:
        """Pynetdicom's acceptor answers the same roles where it accepts SCUs and not SCPs."""
        supported = build_context(CT, [IMPLICIT])
        supported.scu_role, supported.scp_role = True, False
        for scu, scp in ((True, True), (True, False)):
            request = requestWith(roleSelections=(RoleSelection(CT, scu, scp),))
            _, expected = negotiate_as_acceptor(oracleContexts(request), [supported], {CT: (scu, scp)})
            self.assertEqual(
                self.accept(request).userInformation.roleSelections,
                tuple(RoleSelection(str(role.sop_class_uid), role.scu_role, role.scp_role) for role in expected),
            )
