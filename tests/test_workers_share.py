"""Tests of what a worker's receiver has in common with others: `txdicom.storescp.workers.share` and `.tally`."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import sys
from io import StringIO
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.python.usage import UsageError
from zope.interface.verify import verifyObject

from tests.receivers import ReceiverTestCase
from tests.test_workers_connections import FakePort
from txdicom.configuration import Configuration
from txdicom.dimse.admission import refuseAll
from txdicom.dimse.commands import CEchoRSP, CStoreRSP
from txdicom.interfaces import IAssociationObserver
from txdicom.storescp import tap
from txdicom.storescp.assembly import makeFactory
from txdicom.storescp.options.groups import listening
from txdicom.storescp.service import ReceiverService, StartError
from txdicom.storescp.titles import makeAnswers, makeTitles
from txdicom.storescp.workers.board import Board, Field
from txdicom.storescp.workers.channel import ParentEnd
from txdicom.storescp.workers.parent import WorkersService
from txdicom.storescp.workers.share import Share
from txdicom.storescp.workers.tally import Tally
from txdicom.storescp.workers.worker import _withoutSystemd
from txdicom.testing import associateRQ, connectRaw
from txdicom.upperlayer.pdu import AAssociateRJ


class FakeChannel:
    """Answers questions about faults."""

    def __init__(self) -> None:
        self.listening: dict[str, Any] = {}
        self.asked: list[tuple[str, Any]] = []
        self.answer: Deferred[Any] = succeed([7, None])

    async def ask(self, subject: str, question: Any) -> Any:
        """Answer."""
        self.asked.append((subject, question))
        return await self.answer

    def hear(self, subject: str, listener: Any) -> None:
        """Remember who wants to hear of a subject."""
        self.listening[subject] = listener


class Recorder:
    """Remembers the names of the calls it gets."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.calls.append((name, arguments))


class ShareTestCase(ReceiverTestCase):
    """Has the shares of two workers."""

    def setUp(self) -> None:
        """Make them."""
        super().setUp()
        descriptor = Board.create(2)
        self.board = Board(descriptor, 2)
        os.close(descriptor)
        self.channel = FakeChannel()
        self.shares = [Share(number, 2, self.board, self.channel) for number in (1, 2)]  # type: ignore[arg-type]


class ShareTests(ShareTestCase):
    """Receivers that share."""

    def receivers(self, *arguments: str) -> list[Any]:
        """Make the factories of two workers."""
        options = self.optionsOf(*arguments, "-i", "104")
        factories = []
        for share in self.shares:
            titles = makeTitles(options, self.reactor, share)
            factories.append(
                makeFactory(options, titles.parts[""].providers, titles.entities, IReactorTime(self.reactor), share)
            )
        return factories

    def test_limits(self) -> None:
        """They count for both, after all that says who may come in."""
        one, other = self.receivers("--max-associations=1")
        peer = self.associate(one)
        self.assertEqual(connectRaw(other).send(associateRQ()), [AAssociateRJ(2, 3, 2)])
        peer.link.lose()
        self.associate(other)
        (refusing, _) = self.receivers("--max-associations=1", "--refuse")
        self.assertEqual(connectRaw(refusing).send(associateRQ()), [AAssociateRJ(1, 1, 1)])

    def test_configuration(self) -> None:
        """The board looks after limits that count for all; connections that are idle are divided up."""
        shared = self.shares[0].configuration(Configuration(maximumIdleConnections=2001, maximumAssociations=5))
        self.assertEqual((shared.maximumAssociations, shared.maximumAssociationsPerPeer), (0, 0))
        self.assertEqual(shared.maximumIdleConnections, 1001)
        self.assertEqual(
            self.shares[0].configuration(Configuration(maximumIdleConnections=0)).maximumIdleConnections, 0
        )
        admission = self.shares[0].admission(refuseAll, Configuration())
        self.assertEqual(admission(None, associateRQ()), AAssociateRJ(1, 1, 1))  # type: ignore[arg-type]

    def test_counts(self) -> None:
        """What each has done is on the board."""
        one, _ = self.receivers()
        peer = self.associate(one)
        self.store(peer)
        connectRaw(one).link.lose()
        part = self.board.part(0)
        counted = [part[field] for field in (Field.ASSOCIATIONS, Field.PRESENT, Field.STORED, Field.ENDED)]
        self.assertEqual(counted, [1, 1, 1, 1])
        peer.link.lose()
        self.assertEqual((part[Field.PRESENT], part[Field.ENDED]), (0, 2))

    def test_faults(self) -> None:
        """The parent numbers the instances and says what happens to them, as soon as it does."""
        one, _ = self.receivers("--fault=n=3:status=0xA701", "--fault=n=8:status=0xA702")
        peer = self.associate(one)
        self.assertEqual(self.store(peer), [(1, 0x0000)])
        self.channel.answer = Deferred()
        self.assertEqual(self.store(peer), [])
        self.channel.answer.callback([8, 1])
        self.assertEqual(self.ask(peer), [(1, 0xA702)])
        self.assertEqual([subject for subject, _ in self.channel.asked], ["fault", "fault"])
        options = self.optionsOf("--fault=n=2:abort", "104")
        answers = makeAnswers(options, makeTitles(options, self.reactor))(ParentEnd(None, lambda _: {}))  # type: ignore[arg-type]
        self.assertEqual([answers["fault"]("1.2"), answers["fault"]("1.2")], [(1, None), (2, 0)])


class TallyTests(ShareTestCase):
    """`Tally`."""

    def test_passesOn(self) -> None:
        """Another observer is told everything."""
        recorder: Any = Recorder()
        tally: Any = Tally(self.board.part(0), recorder)
        verifyObject(IAssociationObserver, tally)
        calls = [
            ("associationRequested", (1, 2)),
            ("associationEstablished", (1, 2, 3)),
            ("commandReceived", (1, 2, 3)),
            ("commandSent", (1, 2, CEchoRSP(1, 0, None))),
            ("associationEnded", (1, Failure(ConnectionDone()))),
        ]
        for alone in (False, True):
            for name, arguments in calls:
                getattr(Tally(self.board.part(0)) if alone else tally, name)(*arguments)
        self.assertEqual(recorder.calls, calls)

    def test_statuses(self) -> None:
        """A warning is for what was stored, too."""
        tally: Any = Tally(self.board.part(0))
        for status in (0x0000, 0xB000, 0xA700, 0x0110):
            tally.commandSent(None, None, CStoreRSP(1, status, "1.2", "1.3"))
        part = self.board.part(0)
        self.assertEqual((part[Field.STORED], part[Field.FAILED]), (2, 2))


class OptionTests(ReceiverTestCase):
    """``--workers``."""

    def test_auto(self) -> None:
        """As many as this process may use processors."""
        self.patch(listening, "_processors", lambda: 3)
        self.assertEqual(self.optionsOf("--workers=auto", "104")["workers"], 3)
        self.assertEqual(self.optionsOf("104")["workers"], 1)
        for text in ("0", "257", "many", ""):
            error = self.assertRaises(UsageError, listening.Workers().parse, "--workers", text)
            self.assertEqual(str(error), f"--workers {text!r} is neither auto nor a whole number from 1 to 256")

    def test_manyEndpoints(self) -> None:
        """More endpoints than workers can tell apart are refused; one process takes them."""
        endpoints = [f"--endpoint=unix:/run/{number}" for number in range(256)]
        self.assertEqual(len(self.optionsOf("--workers=2", *endpoints)["endpoints"]), 256)
        self.assertEqual(self.optionsOf(*endpoints, "104")["port"], 104)
        errors = StringIO()
        self.patch(sys, "stderr", errors)
        self.assertRaises(SystemExit, self.optionsOf, "--workers=2", *endpoints, "104")
        self.assertIn("--workers can share at most 256 ports and endpoints, not 257\n", errors.getvalue())

    def test_needsLinux(self) -> None:
        """Several workers share memory, which not all systems have for them; one worker does not."""
        if hasattr(os, "memfd_create"):
            self.patch(os, "memfd_create", None)
            del os.memfd_create
        self.assertEqual(listening.Workers().parse("--workers", "1"), 1)
        error = self.assertRaises(UsageError, listening.Workers().parse, "--workers", "2")
        self.assertIn("only Linux has", str(error))

    def test_arguments(self) -> None:
        """What a worker reads anew is all that there was."""
        options = self.optionsOf("-v", "--workers=2", "104")
        self.assertEqual(options.arguments, ["--output-directory", self.directory, "-v", "--workers=2", "104"])

    def test_processors(self) -> None:
        self.assertTrue(1 <= listening._processors() <= 256)

    def test_service(self) -> None:
        """One worker is no worker: a process as ever."""
        self.assertIs(type(tap.makeService(self.optionsOf("--workers=1", "104"))), ReceiverService)
        service = tap.makeService(self.optionsOf("--workers=2", "104"))
        self.assertIs(type(service), WorkersService)
        self.successResultOf(Deferred.fromCoroutine(_stopped(service)))

    def test_endpointThatCannotBeShared(self) -> None:
        """An endpoint that does not listen by the reactor is refused, and no worker is started."""
        options = self.optionsOf("--workers=2", "104")
        self.patch(self.reactor, "listenTCP", lambda *arguments, **keywords: port)
        port = FakePort(None)  # type: ignore[arg-type]
        errors = StringIO()
        self.patch(sys, "__stderr__", errors)
        service: Any = tap.makeService(options)
        service._shared._accept = lambda listening: listening
        self.assertRaises(StartError, service.startService)
        self.assertEqual(errors.getvalue(), "storescp: one of the endpoints is of a kind that workers cannot share\n")
        service._crew.stop(0)

    def test_systemd(self) -> None:
        """Where only the parent can find an endpoint, a worker needs but to know what is around it."""
        for description, expected in (
            ("systemd:domain=INET:index=0", "tcp:0"),
            ("haproxy:systemd:domain=INET:name=dicom", "haproxy:tcp:0"),
            ("unix:/run/systemd:mode=660", "unix:/run/systemd:mode=660"),
            ("tcp:104", "tcp:104"),
        ):
            self.assertEqual(_withoutSystemd(description), expected)


async def _stopped(service: Any) -> None:
    await service._crew.stop(0)
