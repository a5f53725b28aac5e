"""Tests of `txdicom.storescp.log.narration`: what ``--verbose`` and ``--debug`` tell, and what they never do."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.logger import LogLevel, eventAsText, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.headvectors import (
    EXPLICIT_LITTLE,
    PIXEL_DATA,
    element,
)
from tests.receivers import CT, CT_CONTEXT, INSTANCE, VERIFICATION, ReceiverTestCase, dataPDUs, dataSet, storeRQ
from txdicom.dimse.commands import CEchoRQ, CStoreRQ, CStoreRSP, GenericCommand
from txdicom.dimse.commandsets import encodeCommand
from txdicom.dimse.messages import encodeMessage
from txdicom.interfaces import IAssociationObserver, IStorageSCP
from txdicom.storescp.log.narration import AssociationLog, NarratedStore
from txdicom.testing import RecordingStore, associateRQ, connectRaw
from txdicom.uids import STORAGE_SOP_CLASSES
from txdicom.upperlayer.items import UserInformation
from txdicom.upperlayer.pdu import AAbort, AReleaseRQ


class NarratedTestCase(ReceiverTestCase):
    """
    Receivers that tell what they do.

    :ivar events: all that has been logged.
    """

    def setUp(self) -> None:
        """Listen to the log."""
        super().setUp()
        self.events: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def told(self, level: Any = LogLevel.info) -> list[str]:
        """Return what storescp has told at a level since the last time, and forget all of it."""
        events = [formatEvent(event) for event in self.events if event.get("log_level") == level]
        told = [event for event in events if event]
        self.events.clear()
        return told

    def converse(self, *arguments: str) -> None:
        """Verify, store and release, with a receiver started with these options."""
        peer = self.associate(self.serve(*arguments))
        peer.send(encodeMessage(1, encodeCommand(CEchoRQ(7)), None, 0))
        self.assertEqual(self.store(peer, 8), [(8, 0x0000)])
        peer.send(AReleaseRQ())


class VerboseTests(NarratedTestCase):
    """``-v``."""

    def test_wholeConversation(self) -> None:
        """Every event has its line, in the words scripts look for, and in the order things happen."""
        self.converse("-v")
        self.assertEqual(
            self.told(),
            [
                "Association Received (127.0.0.1:50000: STORESCU -> STORESCP)",
                "Association Acknowledged (Max Send PDV: 16378)",
                "Received C-ECHO-RQ (MsgID 7)",
                "Sent C-ECHO-RSP (MsgID 7): 0x0000 success",
                "Received C-STORE-RQ (MsgID 8, CT)",
                f"RECV: {INSTANCE}, {len(dataSet())} bytes",
                "Sent C-STORE-RSP (MsgID 8): 0x0000 success",
                "Association Release",
            ],
        )

    def test_severalAtOnce(self) -> None:
        """Every line names its association, where Twisted's logs have who a line is from."""
        factory = self.serve("-d")
        first, second = self.associate(factory), self.associate(factory)
        self.store(second)
        second.send(AReleaseRQ())
        first.send(AReleaseRQ())
        systems = [event["log_system"] for event in self.events]
        self.assertEqual(set(systems), {"storescp,1", "storescp,2"})
        self.assertEqual(systems[-2:], ["storescp,2", "storescp,1"])
        self.assertEqual([event["fields"] for event in self.events[-2:]], [{"association": 2}, {"association": 1}])
        self.assertIn("[storescp,1] Association Release", eventAsText(self.events[-1]))

    def test_presentationContexts(self) -> None:
        """``+v`` tells what became of each presentation context, in words."""
        proposed = [(VERIFICATION, [EXPLICIT_LITTLE]), (CT, ["1.2.3"]), ("1.2.3", [EXPLICIT_LITTLE])]
        connectRaw(self.serve("-v", "+v")).send(associateRQ(proposed))
        self.assertEqual(
            self.told()[2].splitlines(),
            [
                "Presentation Contexts:",
                "    Context 1: Verification SOP Class (1.2.840.10008.1.1): acceptance, "
                "Explicit VR Little Endian (1.2.840.10008.1.2.1)",
                "    Context 3: CT Image Storage (1.2.840.10008.5.1.4.1.1.2): transfer syntaxes not supported",
                "    Context 5: 1.2.3 (1.2.3): abstract syntax not supported",
            ],
        )

    def test_silentWithoutIt(self) -> None:
        """Without ``-v`` nothing is told of associations that go well."""
        self.converse()
        self.assertEqual(self.events, [])

    def test_refused(self) -> None:
        """``--refuse`` says that it was asked for."""
        connectRaw(self.serve("-vr")).send(associateRQ())
        self.assertEqual(
            self.told(),
            [
                "Association Received (127.0.0.1:50000: STORESCU -> STORESCP)",
                "Refusing Association (forced via command line)",
            ],
        )

    def test_rejected(self) -> None:
        """Another refusal says what it is."""
        request = associateRQ(userInformation=UserInformation(maximumLength=5))
        connectRaw(self.serve("-v")).send(request)
        self.assertEqual(
            self.told()[1:],
            ["Refusing Association (association rejected: no reason given; result 1, source 2, reason 1)"],
        )

    def test_noValidContexts(self) -> None:
        """An association that is good for nothing is told of as such."""
        connectRaw(self.serve("-v")).send(associateRQ({"1.2.3": [EXPLICIT_LITTLE]}))
        self.assertEqual(
            self.told()[1:],
            ["Association Acknowledged (Max Send PDV: 16378)", "    (but no valid presentation contexts)"],
        )

    def test_unlimitedPeer(self) -> None:
        """A peer that sets no limit."""
        connectRaw(self.serve("-v")).send(associateRQ(userInformation=UserInformation(maximumLength=0)))
        self.assertIn("Association Acknowledged (Max Send PDV: unlimited)", self.told())

    def test_abortedByPeer(self) -> None:
        """The peer aborts, in the middle of an instance."""
        peer = self.associate(self.serve("-v"))
        peer.send(storeRQ(), dataPDUs(dataSet(), b"rest")[0], AAbort(0, 0))
        self.assertEqual(
            self.told()[-2:],
            [
                f"RECV: broken off after {len(dataSet())} bytes",
                "Association Aborted (association aborted by peer, source 0, reason 0)",
            ],
        )

    def test_abortedByUs(self) -> None:
        """The peer broke the protocol, of PDUs or of messages."""
        factory = self.serve("-v")
        for harm, why in (
            (b"\xff\0\0\0\0\4", "PDU type 0xFF"),
            (dataPDUs(b"data")[0], "a data set came where no command announced one"),
        ):
            self.associate(factory).send(harm)
            self.assertEqual(self.told()[-1], f"Association Aborted ({why})")

    def test_lost(self) -> None:
        """The connection goes, with or without an association."""
        factory = self.serve("-v")
        self.associate(factory).link.lose()
        self.assertTrue(self.told()[-1].startswith("Association Ended ("))
        connectRaw(factory).link.lose()
        self.assertEqual(len(self.told()), 1)

    def test_progress(self) -> None:
        """Of a large instance is told with each further MiB, not with each fragment."""
        peer = self.associate(self.serve("-v", "-b0", "-i"))
        self.told()
        pixels = element(EXPLICIT_LITTLE, PIXEL_DATA, b"OW", bytes(5 << 19))
        data = dataSet(pixels)
        fragments = [data[start : start + (1 << 16)] for start in range(0, len(data), 1 << 16)]
        peer.send(storeRQ(), *dataPDUs(*fragments))
        self.assertEqual(
            self.told()[1:-1], [f"RECV: {INSTANCE}, {received} bytes" for received in (1 << 20, 2 << 20, len(data))]
        )

    def test_failedStore(self) -> None:
        """A failure is told with its status and words."""
        peer = self.associate(self.serve("-v"))
        self.store(peer, 1, dataSet(sopInstance="1.2.3"))
        self.assertEqual(self.told()[-1], "Sent C-STORE-RSP (MsgID 1): 0xA900 data set does not match SOP class")

    def test_everySOPClass(self) -> None:
        """A class is told by its letters, one without letters as unknown."""
        lines = [
            next(line for line in self.linesOf(CStoreRQ(1, sopClass, "1.2")) if "C-STORE-RQ" in line)
            for sopClass in (*STORAGE_SOP_CLASSES, "1.2.3", "")
        ]
        self.assertEqual(lines[1], "Received C-STORE-RQ (MsgID 1, CT)")
        self.assertEqual(lines[-2:], ["Received C-STORE-RQ (MsgID 1, UNKNOWN)"] * 2)
        self.assertEqual(len(set(lines)), len(STORAGE_SOP_CLASSES) + 1)

    def linesOf(self, command: Any) -> list[str]:
        """Return what is told of a command that is received."""
        peer = self.associate(self.serve("-v"))
        peer.send(encodeMessage(CT_CONTEXT, encodeCommand(command), None, 0))
        return self.told()

    def test_otherCommands(self) -> None:
        """Commands that are not provided are told by their names, unknown ones by their numbers."""
        for number, name in ((0x0020, "C-FIND-RQ"), (0x0777, "command 0x0777")):
            command = GenericCommand(number, {0x0110: 5, 0x0800: 0x0101})
            self.assertIn(f"Received {name} (MsgID 5)", self.linesOf(command))
        self.assertIn(
            "Received C-CANCEL-RQ (MsgID 5)", self.linesOf(GenericCommand(0x0FFF, {0x0120: 5, 0x0800: 0x0101}))
        )

    def test_peers(self) -> None:
        """Peers are told by their addresses, of whatever kind."""
        for address, name in (
            (IPv4Address("TCP", "192.0.2.1", 5), "192.0.2.1:5"),
            (IPv6Address("TCP", "2001:db8::1", 5), "[2001:db8::1]:5"),
            (UNIXAddress(b"/run/\n"), "UNIXAddress('/run/\\n')"),
        ):
            peer = connectRaw(self.serve("-v"))
            self.patch(peer.link.server, "_peer", address)
            peer.send(associateRQ())
            self.assertEqual(self.told()[0].split(": ")[0], f"Association Received ({name}")


class DebugTests(NarratedTestCase):
    """``-d``."""

    def test_addsToVerbose(self) -> None:
        """All that ``-v`` tells is told, and nothing else at that level."""
        self.converse("-v")
        verbose = self.told()
        self.converse("-d")
        self.assertEqual(self.told(), verbose)

    def test_tellsEverything(self) -> None:
        """Negotiated parameters, command sets and the data set are shown, with names."""
        self.converse("-d")
        told = self.told(LogLevel.debug)
        self.assertEqual(
            [block.partition("\n")[0] for block in told],
            [
                "Proposed:",
                "Answered:",
                "Received on presentation context 1:",
                "Sent on presentation context 1:",
                "Received on presentation context 3:",
                "Data set:",
                "Sent on presentation context 3:",
            ],
        )
        self.assertIn("    Context 3: CT Image Storage (1.2.840.10008.5.1.4.1.1.2)\n", told[0])
        self.assertIn("        Explicit VR Little Endian (1.2.840.10008.1.2.1)", told[0])
        self.assertIn("    Context 3: result 0, Explicit VR Little Endian (1.2.840.10008.1.2.1)", told[1])
        self.assertIn("    (0000,1000) AffectedSOPInstanceUID (UI) [1.2.826.0.1.3680043.9.3811.7]", told[4])
        self.assertIn("\n    (0010,0010) PatientName (PN) [Doe^Jane]", told[5])
        self.assertIn("    (0000,0900) Status (US) [0]", told[6])

    def test_patientDataIsForDebugOnly(self) -> None:
        """A patient's name is told at the level debug, and at no other."""
        for option in ("-v", "-d"):
            self.converse(option)
            peer = self.associate(self.serve(option))
            self.store(peer, 1, dataSet(sopInstance="1.2.3"))
            peer.send(storeRQ(2), dataPDUs(dataSet(), b"rest")[0])
            peer.link.lose()
            levels = {event["log_level"] for event in self.events if "Doe" in formatEvent(event)}
            self.assertEqual(levels, {LogLevel.debug} if option == "-d" else set())
            self.events.clear()

    def test_longProposals(self) -> None:
        """However much is proposed, a thousand lines are shown."""
        contexts = [(CT, [f"1.2.{number}" for number in range(10)])] * 128
        connectRaw(self.serve("-d")).send(associateRQ(contexts))
        proposed = self.told(LogLevel.debug)[0].splitlines()
        self.assertEqual((len(proposed), proposed[-1]), (1 + 1000 + 1, "    ..."))

    def test_nothingCanBeForged(self) -> None:
        """Whatever a peer sends in titles, names and UIDs, no line of the log breaks, and no terminal is controlled."""
        information = UserInformation(maximumLength=16384, implementationVersionName="X\n\x1bY")
        request = associateRQ(
            [("1.2.840.10008.1.1\n", [EXPLICIT_LITTLE]), (CT, [EXPLICIT_LITTLE])],
            callingAETitle="A\nAssociation R",
            calledAETitle="\x1b[31m\rX\x9b",
            userInformation=information,
        )
        peer = connectRaw(self.serve("-d"))
        peer.send(request)
        peer.send(
            encodeMessage(CT_CONTEXT, encodeCommand(CStoreRQ(1, CT, "1\n2", 0, "MOVE\nX")), b"nothing", 0),
            encodeMessage(CT_CONTEXT, encodeCommand(CStoreRSP(9, 0, "\n", "\r")), None, 0),
        )
        for event in self.events:
            lines = formatEvent(event).split("\n")
            self.assertTrue(all(line.isprintable() for line in lines), lines)
            self.assertTrue(all(line.startswith("    ") for line in lines[1:]), lines)
        self.assertEqual(
            self.told()[0], "Association Received (127.0.0.1:50000: A\\nAssociation R -> \\x1b[31m\\rX\\x9b)"
        )


class InterfaceTests(SynchronousTestCase):
    """What is promised in `txdicom.interfaces`."""

    def test_provided(self) -> None:
        """The observer and the store provide all of their interfaces."""
        verifyObject(IAssociationObserver, AssociationLog(globalLogPublisher))
        verifyObject(IStorageSCP, NarratedStore(RecordingStore(), globalLogPublisher))
