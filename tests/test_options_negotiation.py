"""
Tests of the options that say what is accepted: what a peer that proposes anything gets, for each of them.

The orders of preference are those that DCMTK's storescp 3.6.7 was seen to have, but for ``--accept-all``.
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.test_options import OptionsTestCase
from txdicom.dimse.dispatch import ServiceTable
from txdicom.storescp.assembly import makeProviders
from txdicom.storescp.options.table import OPTIONS
from txdicom.testing import RecordingStore, associateRQ
from txdicom.uids import ACCEPT_ALL, FILE_PREFIXES, STORAGE_SOP_CLASSES, VERIFICATION
from txdicom.upperlayer.negotiation import AcceptorPolicy, negotiate
from txdicom.upperlayer.pdu import AAssociateAC

CT = "1.2.840.10008.5.1.4.1.1.2"
SR = "1.2.840.10008.5.1.4.1.1.88.11"
HANGING_PROTOCOL = "1.2.840.10008.5.1.4.38.1"
PRIVATE = "1.2.276.0.7230010.9"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
WORKLIST = "1.2.840.10008.5.1.4.31"

LITTLE, BIG, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2"
#: What everybody may propose: what the standard has, and two that it has not.
PROPOSED = (*sorted(ACCEPT_ALL[0] | ACCEPT_ALL[1]), "1.2.840.113619.5.2", "1.2.3.4")

#: The short and long form of each option, and what is accepted, the best liked first.
PREFERENCES: dict[tuple[str, str], tuple[str, ...]] = {
    ("+x=", "--prefer-uncompr"): (LITTLE, BIG, IMPLICIT),
    ("+xe", "--prefer-little"): (LITTLE, BIG, IMPLICIT),
    ("+xb", "--prefer-big"): (BIG, LITTLE, IMPLICIT),
    ("+xs", "--prefer-lossless"): ("1.2.840.10008.1.2.4.70", LITTLE, BIG, IMPLICIT),
    ("+xy", "--prefer-jpeg8"): ("1.2.840.10008.1.2.4.50", LITTLE, BIG, IMPLICIT),
    ("+xx", "--prefer-jpeg12"): ("1.2.840.10008.1.2.4.51", LITTLE, BIG, IMPLICIT),
    ("+xv", "--prefer-j2k-lossless"): ("1.2.840.10008.1.2.4.90", LITTLE, BIG, IMPLICIT),
    ("+xw", "--prefer-j2k-lossy"): ("1.2.840.10008.1.2.4.91", LITTLE, BIG, IMPLICIT),
    ("+xt", "--prefer-jls-lossless"): ("1.2.840.10008.1.2.4.80", LITTLE, BIG, IMPLICIT),
    ("+xu", "--prefer-jls-lossy"): ("1.2.840.10008.1.2.4.81", LITTLE, BIG, IMPLICIT),
    ("+xm", "--prefer-mpeg2"): ("1.2.840.10008.1.2.4.100", LITTLE, BIG, IMPLICIT),
    ("+xh", "--prefer-mpeg2-high"): ("1.2.840.10008.1.2.4.101", LITTLE, BIG, IMPLICIT),
    ("+xn", "--prefer-mpeg4"): ("1.2.840.10008.1.2.4.102", LITTLE, BIG, IMPLICIT),
    ("+xl", "--prefer-mpeg4-bd"): ("1.2.840.10008.1.2.4.103", LITTLE, BIG, IMPLICIT),
    ("+x2", "--prefer-mpeg4-2-2d"): ("1.2.840.10008.1.2.4.104", LITTLE, BIG, IMPLICIT),
    ("+x3", "--prefer-mpeg4-2-3d"): ("1.2.840.10008.1.2.4.105", LITTLE, BIG, IMPLICIT),
    ("+xo", "--prefer-mpeg4-2-st"): ("1.2.840.10008.1.2.4.106", LITTLE, BIG, IMPLICIT),
    ("+x4", "--prefer-hevc"): ("1.2.840.10008.1.2.4.107", LITTLE, BIG, IMPLICIT),
    ("+x5", "--prefer-hevc10"): ("1.2.840.10008.1.2.4.108", LITTLE, BIG, IMPLICIT),
    ("+xr", "--prefer-rle"): ("1.2.840.10008.1.2.5", LITTLE, BIG, IMPLICIT),
    ("+xd", "--prefer-deflated"): ("1.2.840.10008.1.2.1.99", LITTLE, BIG, IMPLICIT),
    ("+xi", "--implicit"): (IMPLICIT,),
}


class AcceptedTestCase(OptionsTestCase):
    """Negotiates with the services that a command line asks for."""

    def setUp(self) -> None:
        super().setUp()
        # As on most machines; the other byte order is tried in the tests of negotiation.
        self.assertEqual(OPTIONS["prefer-uncompr"].constant[0], LITTLE)

    def policy(self, *arguments: str) -> AcceptorPolicy:
        """Build what decides about presentation contexts."""
        providers = makeProviders(self.parse(*arguments, "104"), RecordingStore())
        return AcceptorPolicy(presentationContexts=ServiceTable(providers).presentationContexts, maximumLength=0)

    def results(self, policy: AcceptorPolicy, *abstractSyntaxes: str) -> list[int]:
        """Propose each abstract syntax in explicit and implicit VR, and return the results."""
        request = associateRQ([(uid, (IMPLICIT, LITTLE)) for uid in abstractSyntaxes])
        answer = negotiate(request, policy)
        assert isinstance(answer, AAssociateAC)
        return [int(context.result) for context in answer.presentationContexts]

    def chosen(self, policy: AcceptorPolicy, transferSyntaxes: Iterable[str], abstractSyntax: str = CT) -> str | None:
        """Propose transfer syntaxes in one context, and return which is accepted, or None."""
        answer = negotiate(associateRQ({abstractSyntax: transferSyntaxes}), policy)
        assert isinstance(answer, AAssociateAC)
        (context,) = answer.presentationContexts
        return None if context.result else context.transferSyntax

    def order(self, policy: AcceptorPolicy, proposed: Iterable[str], abstractSyntax: str = CT) -> tuple[str, ...]:
        """Propose them all, then all but the one that was accepted, and so on, until none is."""
        left, accepted = list(proposed), []
        while (choice := self.chosen(policy, left, abstractSyntax)) is not None:
            accepted.append(choice)
            left.remove(choice)
        return tuple(accepted)


class TransferSyntaxTests(AcceptedTestCase):
    """Which transfer syntaxes are accepted, and which of them is taken."""

    def test_everyPreference(self) -> None:
        """The order is ours, for Verification too; nothing else is accepted."""
        for spellings, expected in PREFERENCES.items():
            for spelling in spellings:
                policy = self.policy(spelling)
                for abstractSyntax in (CT, VERIFICATION):
                    self.assertEqual(self.order(policy, PROPOSED, abstractSyntax), expected, spelling)
                    self.assertEqual(self.order(policy, PROPOSED[::-1], abstractSyntax), expected, spelling)

    def test_everyOptionIsThere(self) -> None:
        options = {option.name for option in OPTIONS.values() if option.key == "transfer-syntaxes"}
        self.assertEqual(options, {long.removeprefix("--") for _, long in PREFERENCES} | {"accept-all"})
        self.assertEqual(len([name for name in options if name.startswith("prefer-")]), 21)

    def test_default(self) -> None:
        self.assertEqual(self.order(self.policy(), PROPOSED), (LITTLE, BIG, IMPLICIT))

    def test_lastOneCounts(self) -> None:
        self.assertEqual(self.order(self.policy("+xe", "+xs", "+xb"), PROPOSED), (BIG, LITTLE, IMPLICIT))
        self.assertEqual(self.order(self.policy("+xa", "+xi"), PROPOSED), (IMPLICIT,))
        self.assertEqual(len(self.order(self.policy("+xi", "+xa"), PROPOSED)), len(PROPOSED) - 2)


class AcceptAllTests(AcceptedTestCase):
    """``--accept-all``."""

    JPEG, JPEG_LOSSLESS, J2K, RLE = (f"1.2.840.10008.1.2.{number}" for number in ("4.50", "4.70", "4.91", "5"))

    def setUp(self) -> None:
        super().setUp()
        self.accepting = self.policy("--accept-all")

    def test_requestorsFirstLosslessProposal(self) -> None:
        for proposed, expected in (
            ((self.JPEG, self.RLE, LITTLE), self.RLE),
            ((self.JPEG, IMPLICIT, self.RLE, LITTLE), IMPLICIT),
            ((self.J2K, self.JPEG, self.JPEG_LOSSLESS), self.JPEG_LOSSLESS),
            ((BIG, LITTLE), BIG),
            (("1.2.840.10008.1.2.4.108", "1.2.840.10008.1.2.1.99"), "1.2.840.10008.1.2.1.99"),
        ):
            self.assertEqual(self.chosen(self.accepting, proposed), expected)

    def test_requestorsFirstLossyProposal(self) -> None:
        """Where there is no lossless one."""
        self.assertEqual(self.chosen(self.accepting, (self.J2K, self.JPEG)), self.J2K)
        self.assertEqual(self.chosen(self.accepting, ("1.2.3.4", self.JPEG, self.J2K)), self.JPEG)

    def test_everyTransferSyntaxOfTheStandard(self) -> None:
        accepted = self.order(self.policy("+xa"), PROPOSED)
        self.assertEqual(set(accepted), set(PROPOSED[:-2]))
        self.assertEqual(len(accepted), len(PROPOSED) - 2)

    def test_privateOnes(self) -> None:
        """Nobody knows how their data sets are encoded."""
        self.assertIsNone(self.chosen(self.accepting, PROPOSED[-2:]))

    def test_sopClasses(self) -> None:
        """They are those that are accepted without it."""
        classes = (CT, VERIFICATION, SR, PRIVATE, FIND)
        self.assertEqual(self.results(self.accepting, *classes), [0, 0, 3, 3, 3])


class SOPClassTests(AcceptedTestCase):
    """Which SOP classes are accepted."""

    def test_default(self) -> None:
        """The original's."""
        accepted = self.results(self.policy(), *STORAGE_SOP_CLASSES, VERIFICATION)
        self.assertEqual(accepted, [0] * 18)
        self.assertEqual(self.results(self.policy(), SR, HANGING_PROTOCOL, PRIVATE, FIND, WORKLIST), [3] * 5)

    def test_allStorageClasses(self) -> None:
        policy = self.policy("--all-storage-classes")
        classes = [*FILE_PREFIXES, VERIFICATION]
        for start in range(0, len(classes), 100):
            self.assertEqual(set(self.results(policy, *classes[start : start + 100])), {0})
        self.assertEqual(self.results(policy, SR, HANGING_PROTOCOL, PRIVATE, FIND, WORKLIST, ""), [0, 0, 3, 3, 3, 3])

    def test_promiscuous(self) -> None:
        for arguments in (["-pm"], ["--promiscuous"], ["-pm", "--all-storage-classes"]):
            policy = self.policy(*arguments)
            classes = [*FILE_PREFIXES, VERIFICATION]
            for start in range(0, len(classes), 100):
                self.assertEqual(set(self.results(policy, *classes[start : start + 100])), {0})
            self.assertEqual(self.results(policy, PRIVATE, "2.25.1", FIND, WORKLIST, "", "*"), [0, 0, 3, 3, 3, 3])
            self.assertEqual(self.order(policy, PROPOSED, PRIVATE), (LITTLE, BIG, IMPLICIT))

    def test_promiscuousInAllSyntaxes(self) -> None:
        policy = self.policy("-pm", "+xa")
        self.assertEqual(len(self.order(policy, PROPOSED, PRIVATE)), len(PROPOSED) - 2)
        self.assertEqual(self.order(self.policy("-pm", "+xi"), PROPOSED, PRIVATE), (IMPLICIT,))
