"""Tests of `txdicom.storescp.log.summary`: one summary for each association, however it ends."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv6Address
from twisted.logger import LogLevel, formatEvent, globalLogPublisher

from tests.receivers import INSTANCE, ReceiverTestCase, dataPDUs, dataSet, storeRQ
from txdicom.dimse.commands import CEchoRQ
from txdicom.dimse.commandsets import encodeCommand
from txdicom.dimse.messages import encodeMessage
from txdicom.storescp.options import Options
from txdicom.testing import RawPeer, associateRQ, connectRaw
from txdicom.upperlayer.pdu import AAbort, AReleaseRQ

LENGTH = len(dataSet())


class SummaryTests(ReceiverTestCase):
    """
    Receivers with ``--log-json``.

    :ivar events: all that has been logged.
    """

    def setUp(self) -> None:
        """Listen to the log."""
        super().setUp()
        self.events: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def optionsOf(self, *arguments: str) -> Options:
        """Have twistd run it."""
        options = super().optionsOf("--log-json", *arguments)
        options.parent = {"nodaemon": True, "logfile": "-"}
        return options

    def summary(self) -> dict[str, Any]:
        """Return the fields of the only summary there is, and forget it."""
        (event,) = [event for event in self.events if event.get("fields", {}).get("event") == "association"]
        self.assertIs(event["log_level"], LogLevel.info)
        self.events.clear()
        return dict(event["fields"])

    def ended(self, peer: RawPeer) -> dict[str, Any]:
        """Return of the summary what tells how the association ended."""
        names = ("ended", "why", "result", "source", "reason")
        return {name: value for name, value in self.summary().items() if name in names}

    def test_wholeConversation(self) -> None:
        """All that happened is told: what was stored, what failed, how long it took, and how fast it was."""
        peer = self.associate(self.serve())
        self.reactor.advance(1.0)
        peer.send(encodeMessage(1, encodeCommand(CEchoRQ(7)), None, 0))
        peer.send(storeRQ(1))
        self.reactor.advance(2.0)
        peer.send(*dataPDUs(dataSet()))
        other = dataSet(sopInstance="1.2.3")
        self.store(peer, 2, other)
        self.reactor.advance(0.5)
        peer.send(AReleaseRQ())
        self.assertEqual(
            self.summary(),
            {
                "event": "association",
                "association": 1,
                "peer": "127.0.0.1:50000",
                "calling": "STORESCU",
                "called": "STORESCP",
                "stored": 1,
                "failed": 1,
                "bytes": LENGTH + len(other),
                "seconds": 3.5,
                "rate": (LENGTH + len(other)) // 2,
                "ended": "released",
            },
        )

    def test_text(self) -> None:
        """For those who read the events as text there is a sentence."""
        peer = self.associate(self.serve())
        self.store(peer)
        peer.send(AReleaseRQ())
        (text,) = [formatEvent(event) for event in self.events]
        self.assertEqual(text, f"Association Summary (1 stored, 0 failed, {LENGTH} bytes, released)")

    def test_nothingOfPatients(self) -> None:
        """Neither names nor the UIDs of instances are in it, whatever goes wrong."""
        peer = self.associate(self.serve())
        self.store(peer)
        self.store(peer, 2, dataSet(sopInstance="1.2.3"))
        peer.send(storeRQ(3), dataPDUs(dataSet(), b"rest")[0], AAbort(0, 0))
        told = repr(self.events)
        self.assertIn("Association Summary", told)
        self.assertNotIn("Doe", told)
        self.assertNotIn(INSTANCE, told)

    def test_severalAtOnce(self) -> None:
        """Each association is counted by itself, and has its own number."""
        factory = self.serve()
        first, second = self.associate(factory), self.associate(factory)
        self.store(second)
        first.send(AReleaseRQ())
        told = self.summary()
        self.assertEqual((told["association"], told["stored"], told["rate"]), (1, 0, 0))
        self.store(second, 2, dataSet())
        second.send(AReleaseRQ())
        told = self.summary()
        self.assertEqual((told["association"], told["stored"], told["bytes"]), (2, 2, 2 * LENGTH))

    def test_brokenOff(self) -> None:
        """What came of an instance that did not come whole is counted as bytes, and as a failure."""
        peer = self.associate(self.serve())
        peer.send(storeRQ(), dataPDUs(dataSet(), b"rest")[0], AAbort(0, 0))
        told = self.summary()
        self.assertEqual((told["stored"], told["failed"], told["bytes"], told["rate"]), (0, 1, LENGTH, 0))
        self.assertEqual(told["ended"], "aborted by peer")
        self.assertEqual(told["why"], "association aborted by peer, source 0, reason 0")

    def test_limited(self) -> None:
        """With a limit on data sets the bytes are counted all the same."""
        peer = self.associate(self.serve("--max-object-size", "5000"))
        self.store(peer)
        peer.send(AReleaseRQ())
        self.assertEqual(self.summary()["bytes"], LENGTH)

    def test_rejected(self) -> None:
        """A refusal has its numbers."""
        peer = connectRaw(self.serve("--refuse"))
        peer.send(associateRQ())
        why = "association rejected: no reason given; result 1, source 1, reason 1"
        self.assertEqual(self.ended(peer), {"ended": "rejected", "why": why, "result": 1, "source": 1, "reason": 1})

    def test_lost(self) -> None:
        """The connection goes."""
        peer = self.associate(self.serve())
        peer.link.lose()
        told = self.ended(peer)
        self.assertEqual(told.pop("ended"), "lost")
        self.assertEqual(list(told), ["why"])

    def test_abortedByUs(self) -> None:
        """The peer breaks the protocol, or is waited for too long, or we stop."""
        factory = self.serve("--dimse-timeout", "5", "--grace-period", "1")
        peer = self.associate(factory)
        peer.send(b"\xff\0\0\0\0\4")
        self.assertEqual(self.ended(peer), {"ended": "aborted", "why": "PDU type 0xFF"})
        peer = self.associate(factory)
        self.reactor.pump([1.0] * 10)
        self.assertEqual(self.ended(peer), {"ended": "aborted", "why": "no message has come for 5 s"})
        peer = self.associate(factory)
        self.service.stopService()
        told = self.ended(peer)
        self.assertEqual(told["ended"], "aborted")
        self.assertIn("shutting down", told["why"])

    def test_noAssociation(self) -> None:
        """Of a connection on which none was asked for there is nothing to tell."""
        connectRaw(self.serve()).link.lose()
        self.assertEqual(self.events, [])

    def test_hostileTitles(self) -> None:
        """What a peer calls itself cannot break out of its value, and other kinds of addresses are told as well."""
        peer = connectRaw(self.serve())
        self.patch(peer.link.server, "_peer", IPv6Address("TCP", "2001:db8::1", 5))
        peer.send(associateRQ(callingAETitle="A\x1b[31m\nB"))
        peer.send(AReleaseRQ())
        told = self.summary()
        self.assertEqual(told["peer"], "[2001:db8::1]:5")
        self.assertNotIn("\n", told["calling"])
        self.assertNotIn("\x1b", told["calling"])
