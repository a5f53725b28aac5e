"""
Tests of `txdicom.dimse.admission`: who may associate, and what the others are told (PS3.8 Table 9-21).
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import fail, succeed
from twisted.internet.interfaces import IAddress
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory

from tests.receivers import PROPOSED, ReceiverTestCase
from tests.scripted import ECHO_CONTEXT, ConversationTestCase, message
from txdicom.configuration import Configuration
from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.dimse.admission import (
    Admission,
    CalledAETitles,
    CallingAETitles,
    Networks,
    firstRefusal,
    refuseAll,
    refuseUnidentified,
)
from txdicom.dimse.association import Association
from txdicom.dimse.commands import CEchoRQ
from txdicom.services.verification import VerificationService
from txdicom.testing import MemoryLink, RawPeer, associateRQ, connectRaw
from txdicom.upperlayer.items import UserInformation
from txdicom.upperlayer.pdu import PDU, AAssociateAC, AAssociateRJ, AAssociateRQ

#: Permanent, by the service user: without a reason, for the calling title, for the called title.
NO_REASON, CALLING, CALLED = (AAssociateRJ(1, 1, reason) for reason in (1, 3, 7))
#: Transient, by the service provider: temporary congestion.
CONGESTION = AAssociateRJ(2, 3, 1)
LOCAL = IPv4Address("TCP", "127.0.0.1", 50000)
ECHO = message(ECHO_CONTEXT, CEchoRQ(1))
#: Where the titles are in the PDU (PS3.8 Table 9-11).
CALLED_AT, CALLING_AT = 10, 26


def titled(calledAETitle: bytes = b"STORESCP", callingAETitle: bytes = b"STORESCU") -> bytes:
    """Encode an A-ASSOCIATE-RQ with these sixteen bytes each; what is missing of them are spaces."""
    request = bytearray(associateRQ().encode())
    request[CALLED_AT:CALLING_AT] = calledAETitle.ljust(16)
    request[CALLING_AT : CALLING_AT + 16] = callingAETitle.ljust(16)
    return bytes(request)


class AdmissionTestCase(ConversationTestCase):
    """An acceptor with a policy."""

    def answer(self, admit: Admission, request: bytes | AAssociateRQ, address: IAddress = LOCAL) -> PDU | None:
        """Return the A-ASSOCIATE-RJ that a request gets; None if it gets an association."""
        self.factory = AcceptorFactory([VerificationService()], Configuration(), self.clock, admit)
        peer = RawPeer()
        peer.link = MemoryLink(peer, self.factory.buildProtocol(address), address)
        (answer,) = peer.send(request)
        if isinstance(answer, AAssociateAC):
            self.assertEqual(self.statusesOf(self.ask(peer, ECHO)), [(1, 0x0000)])
            answer = None
        peer.link.lose()
        self.assertNothingLeft()
        return answer


class TitleTests(AdmissionTestCase):
    """`CalledAETitles` and `CallingAETitles`."""

    #: Title in the request, and whether it is the same as STORE SCP.
    TITLES = (
        (b"STORE SCP", True),
        (b"STORE SCP       ", True),
        (b"  STORE SCP", True),
        (b"       STORE SCP", True),
        (b"STORE SCP\0\0\0\0\0\0\0", True),
        (b"\0STORE SCP", True),
        (b" \0STORE SCP \0 ", True),
        (b"store scp", False),
        (b"STORE  SCP", False),
        (b"STORESCP", False),
        (b"STORE SC", False),
        (b"STORE SCPX", False),
        (b"STORE SCP\0X", False),
        (b"STORE SCP\t", False),
        (b"STORE SCP\\X", False),
        (b"STORE\xa0SCP", False),
        (b"\xff" * 16, False),
        (b"", False),
        (bytes(16), False),
    )

    def test_calledTitle(self) -> None:
        """Others are told that it is not recognized; the calling title does not matter."""
        for title, same in self.TITLES:
            answer = self.answer(CalledAETitles(frozenset({"STORE SCP", "OTHER"})), titled(title, b"ANYBODY"))
            self.assertEqual(answer, None if same else CALLED, title)

    def test_callingTitle(self) -> None:
        """Likewise, the other way about."""
        for title, same in self.TITLES:
            answer = self.answer(CallingAETitles(frozenset({"STORE SCP", "OTHER"})), titled(b"ANYBODY", title))
            self.assertEqual(answer, None if same else CALLING, title)

    def test_everyTitleOfSeveral(self) -> None:
        for kind, refusal in ((CalledAETitles, CALLED), (CallingAETitles, CALLING)):
            policy = kind(frozenset({"A", "SIXTEEN CHARS_16"}))
            for title, expected in (
                (b"A", None),
                (b"SIXTEEN CHARS_16", None),
                (b"SIXTEEN CHARS_1", refusal),
                (b"B", refusal),
            ):
                self.assertEqual(self.answer(policy, titled(title, title)), expected)

    def test_emptyTitle(self) -> None:
        """It is a title as well, for peers that send only padding."""
        policy = CallingAETitles(frozenset({""}))
        for title, expected in ((b"", None), (bytes(16), None), (b" \0" * 8, None), (b"A", CALLING)):
            self.assertEqual(self.answer(policy, titled(callingAETitle=title)), expected)

    def test_nobody(self) -> None:
        """Without any title nobody comes in."""
        self.assertEqual(self.answer(CalledAETitles(frozenset()), titled()), CALLED)
        self.assertEqual(self.answer(CallingAETitles(frozenset()), titled(b"", b"")), CALLING)


class NetworkTests(AdmissionTestCase):
    """`Networks`."""

    def admits(self, host: str, *networks: str) -> bool:
        """Tell whether a peer with this address comes in."""
        address = (IPv6Address if ":" in host else IPv4Address)("TCP", host, 50000)
        answer = self.answer(networksOf(networks), associateRQ(), address)
        self.assertIn(answer, (None, NO_REASON))
        return answer is None

    def test_addresses(self) -> None:
        """Each kind is looked up in the networks of its kind."""
        for host, networks, expected in (
            ("10.1.2.3", ["10.0.0.0/8"], True),
            ("11.1.2.3", ["10.0.0.0/8"], False),
            ("10.1.2.3", ["10.1.2.3"], True),
            ("10.1.2.4", ["10.1.2.3"], False),
            ("10.1.2.3", ["0.0.0.0/0"], True),
            ("10.1.2.3", ["::/0"], False),
            ("10.1.2.3", ["192.168.0.0/16", "fd00::/8", "10.1.2.0/24"], True),
            ("fd12::1", ["fd00::/8"], True),
            ("fe80::1", ["fd00::/8"], False),
            ("::1", ["::1"], True),
            ("::1", ["127.0.0.0/8"], False),
            ("::1", ["0.0.0.0/0"], False),
        ):
            self.assertEqual(self.admits(host, *networks), expected, (host, networks))

    def test_mappedAddresses(self) -> None:
        """An IPv4 peer of an IPv6 port is an IPv4 peer."""
        for host in ("::ffff:10.1.2.3", "::FFFF:a01:203"):
            self.assertTrue(self.admits(host, "10.0.0.0/8"))
            self.assertFalse(self.admits(host, "11.0.0.0/8"))
            self.assertFalse(self.admits(host, "::/0"))

    def test_scopes(self) -> None:
        """The interface that a link-local address comes by is no part of it."""
        self.assertTrue(self.admits("fe80::1%eth0", "fe80::/10"))
        self.assertFalse(self.admits("fe80::1%eth0", "fd00::/8"))

    def test_localPeers(self) -> None:
        """Those of a UNIX socket are let in by its permissions."""
        for name in (None, b"/run/peer", b"\0abstract"):
            self.assertIsNone(self.answer(networksOf(["10.0.0.0/8"]), associateRQ(), UNIXAddress(name)))

    def test_noNetworks(self) -> None:
        self.assertFalse(self.admits("127.0.0.1"))

    def test_whatIsNoAddress(self) -> None:
        """Nobody knows where it comes from, so it does not come in."""
        self.assertEqual(
            self.answer(networksOf(["0.0.0.0/0"]), associateRQ(), IPv4Address("TCP", "somewhere", 1)), CONGESTION
        )
        self.assertLogged(ValueError)

    def test_behindAProxy(self) -> None:
        """What counts is the address that the proxy tells, and not the proxy's own."""
        for host, header, expected in (
            ("10.0.0.1", b"PROXY TCP4 10.1.2.3 10.0.0.1 50000 104\r\n", AAssociateAC),
            ("10.0.0.1", b"PROXY TCP4 192.0.2.1 10.0.0.1 50000 104\r\n", AAssociateRJ),
            ("192.0.2.1", b"PROXY TCP4 10.1.2.3 10.0.0.1 50000 104\r\n", AAssociateAC),
            ("10.0.0.1", b"PROXY UNKNOWN ::1 ::1 1 2\r\n", AAssociateAC),
            ("192.0.2.1", b"PROXY UNKNOWN ::1 ::1 1 2\r\n", AAssociateRJ),
        ):
            factory = AcceptorFactory(
                [VerificationService()],
                Configuration(maximumAssociationsPerPeer=1),
                self.clock,
                networksOf(["10.0.0.0/8"]),
            )
            proxy = IPv4Address("TCP", host, 40000)
            for answers in ([expected], [AAssociateRJ]):
                peer = RawPeer()
                peer.link = MemoryLink(peer, HAProxyWrappingFactory(factory).buildProtocol(proxy), proxy)
                self.assertEqual([type(pdu) for pdu in peer.send(header, associateRQ())], answers, (host, header))


def networksOf(texts: Iterable[str]) -> Networks:
    """Let these networks in."""
    return Networks(tuple(ip_network(text) for text in texts))


class SeveralTests(AdmissionTestCase):
    """`firstRefusal`, `refuseAll` and `refuseUnidentified`."""

    def test_firstRefusalCounts(self) -> None:
        """The policies behind it are not asked."""
        asked: list[int] = []

        def policy(number: int, answer: AAssociateRJ | None) -> Admission:
            return lambda association, request: (asked.append(number), answer)[1]

        passing = policy(1, None)
        for policies, answer, expected in (
            ([], None, []),
            ([passing], None, [1]),
            ([passing, passing], None, [1, 1]),
            ([passing, policy(2, CALLED), policy(3, CALLING)], CALLED, [1, 2]),
            ([policy(3, CALLING), passing, policy(2, CALLED)], CALLING, [3]),
        ):
            admit = firstRefusal(iter(policies))
            # Twice, for all policies are asked about every request.
            for _ in range(2):
                asked.clear()
                self.assertEqual((self.answer(admit, associateRQ()), asked), (answer, expected))

    def test_refuseAll(self) -> None:
        self.assertEqual(self.answer(refuseAll, associateRQ()), NO_REASON)

    def test_refuseUnidentified(self) -> None:
        """Only who does not tell the implementation class UID is refused."""
        self.assertIsNone(self.answer(refuseUnidentified, associateRQ()))
        silent = associateRQ(userInformation=UserInformation(maximumLength=16384))
        self.assertEqual(self.answer(refuseUnidentified, silent), NO_REASON)

    def test_beforeTheRequestIsLookedAt(self) -> None:
        """Whom we do not want is not told what is wrong with the request besides."""
        request = replace(associateRQ(), applicationContextName="1.2.3")
        self.assertEqual(self.answer(refuseAll, request), NO_REASON)
        self.assertEqual(self.answer(firstRefusal([]), request), AAssociateRJ(1, 1, 2))


class OwnPolicyTests(AdmissionTestCase):
    """Policies that users write."""

    def test_whatItKnows(self) -> None:
        """Titles, address and the whole request are there."""
        seen: list[Any] = []

        def admit(association: Association, request: AAssociateRQ) -> None:
            seen.append((association.callingAETitle, association.calledAETitle, association.peer, request))

        self.answer(admit, associateRQ(callingAETitle="ME"), address := IPv4Address("TCP", "192.0.2.7", 4))
        ((calling, called, peer, request),) = seen
        self.assertEqual((calling, called, peer), ("ME", "STORESCP", address))
        self.assertEqual(len(request.presentationContexts), 1)

    def test_ownCodes(self) -> None:
        """Any A-ASSOCIATE-RJ goes out as it is."""
        refusal = AAssociateRJ(2, 1, 1)
        self.assertEqual(self.answer(lambda association, request: refusal, associateRQ()), refusal)

    def test_thatFails(self) -> None:
        """Nobody comes in by a mistake: the peer may try again, the log has the traceback, and the acceptor lives."""

        def raising(association: Association, request: AAssociateRQ) -> AAssociateRJ | None:
            if association.callingAETitle == "UNLUCKY":
                raise KeyError("unlucky")
            return None

        factory = AcceptorFactory([VerificationService()], Configuration(maximumAssociations=2), self.clock, raising)
        lucky = connectRaw(factory)
        self.assertIsInstance(lucky.send(associateRQ())[0], AAssociateAC)
        for _ in range(5):
            self.assertEqual(connectRaw(factory).send(associateRQ(callingAETitle="UNLUCKY")), [CONGESTION])
        self.assertEqual(self.statusesOf(self.ask(lucky, ECHO)), [(1, 0x0000)])
        self.assertIsInstance(connectRaw(factory).send(associateRQ())[0], AAssociateAC)
        self.assertLogged(*[KeyError] * 5)

    def test_thatReturnsNonsense(self) -> None:
        """Likewise."""
        for nonsense in (True, object(), succeed(None), fail(KeyError())):
            admit: Any = lambda association, request, answer=nonsense: answer  # noqa: E731 - it is no more than that
            self.assertEqual(self.answer(admit, associateRQ()), CONGESTION)
            self.assertEqual(len(self.flushLoggedErrors()), 1)


class OptionTests(ReceiverTestCase):
    """The options that say who may come in, in the whole receiver."""

    def answered(self, arguments: list[str], host: str = "127.0.0.1", called: str = "", calling: str = "") -> Any:
        """Return the A-ASSOCIATE-RJ that a peer gets, or None."""
        factory = self.serve(*arguments)
        address = IPv4Address("TCP", host, 50000)
        peer = RawPeer()
        peer.link = MemoryLink(peer, factory.buildProtocol(address), address)
        (answer,) = peer.send(associateRQ(PROPOSED, calledAETitle=called, callingAETitle=calling))
        return None if isinstance(answer, AAssociateAC) else answer

    def test_everybody(self) -> None:
        """Whoever comes is let in by default, whomever he asks for."""
        self.assertIsNone(self.answered([], "203.0.113.9"))
        self.assertIsNone(self.answered(["--aetitle=OTHER"], "203.0.113.9", "anything", "anybody"))

    def test_calledTitle(self) -> None:
        """``--require-called-aet`` goes by ``--aetitle``."""
        for arguments, called, expected in (
            ([], "STORESCP", None),
            ([], "OTHER", CALLED),
            (["--aetitle=OTHER"], "OTHER", None),
            (["--aetitle", " OTHER "], "OTHER", None),
            (["--aetitle=OTHER"], "STORESCP", CALLED),
            (["--aetitle=OTHER"], "other", CALLED),
            (["--aetitle=OTHER"], "", CALLED),
        ):
            self.assertEqual(self.answered(["--require-called-aet", *arguments], called=called), expected)

    def test_callingTitle(self) -> None:
        """``--accept-calling-aet``, as often as there are senders."""
        arguments = ["--accept-calling-aet=CT1", "--accept-calling-aet", " MR 2 "]
        for calling, expected in (("CT1", None), ("MR 2", None), ("CT2", CALLING), ("ct1", CALLING), ("", CALLING)):
            self.assertEqual(self.answered(arguments, calling=calling), expected)
        self.assertIsNone(self.answered(["--accept-calling-aet", " "]))

    def test_network(self) -> None:
        """``--accept-from``, as often as there are networks."""
        arguments = ["--accept-from=10.1.0.0/16", "--accept-from", "192.0.2.1", "--accept-from=fd00::/8"]
        for host, expected in (("10.1.255.255", None), ("192.0.2.1", None), ("192.0.2.2", NO_REASON)):
            self.assertEqual(self.answered(arguments, host), expected)

    def test_unidentified(self) -> None:
        """``--reject``, for peers that do not send their implementation class UID."""
        for arguments, expected in (([], None), (["--reject"], NO_REASON)):
            peer = connectRaw(self.serve(*arguments))
            (answer,) = peer.send(associateRQ(PROPOSED, userInformation=UserInformation(maximumLength=16384)))
            self.assertEqual(None if isinstance(answer, AAssociateAC) else answer, expected)
        self.assertIsNone(self.answered(["--reject"]))

    def test_order(self) -> None:
        """Who is refused for several reasons hears the first of: everybody, network, called title, calling title."""
        arguments = ["-r", "--accept-from=10.0.0.0/8", "--require-called-aet", "--accept-calling-aet=CT1"]
        self.assertEqual(self.answered(arguments, "10.0.0.1", "STORESCP", "CT1"), NO_REASON)
        del arguments[0]
        self.assertEqual(self.answered(arguments), NO_REASON)
        self.assertEqual(self.answered(arguments, "10.0.0.1"), CALLED)
        self.assertEqual(self.answered(arguments, "10.0.0.1", "STORESCP"), CALLING)
        self.assertIsNone(self.answered(arguments, "10.0.0.1", "STORESCP", "CT1"))
