"""
Tests of how a receiver ends: `AcceptorFactory.disconnect` and `ReceiverService.stopService`.

What happens to associations before is in ``test_draining.py``, the program's own end in ``test_program_stopping.py``.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred

from tests import receivers
from tests.test_draining import ABORT, BEGUN, CONGESTION, DrainingTestCase, heard
from txdicom.testing import RawPeer, associateRQ, connectRaw
from txdicom.upperlayer.pdu import AReleaseRP, AReleaseRQ


class DisconnectTests(DrainingTestCase):
    """`AcceptorFactory.disconnect`."""

    def disconnect(self, *peers: RawPeer) -> list[list[object]]:
        """Disconnect, with a patience of two seconds, and return what peers hear of it."""
        self.disconnected = self.factory.disconnect(2.0)
        return [self.hears(peer) for peer in peers]

    def assertDisconnected(self, *peers: RawPeer) -> None:
        """All is closed, and nothing is left."""
        self.successResultOf(self.disconnected)
        self.assertEqual([peer.link.connected for peer in peers], [False] * len(peers))
        self.assertNothingLeft()

    def test_nobodyThere(self) -> None:
        self.begin()
        self.disconnect()
        self.assertDisconnected()

    def test_peersClose(self) -> None:
        """They hear how their associations ended, and the connections end with the last one of theirs."""
        self.begin()
        idle, running, rejected, released, silent = (
            *(self.associate() for _ in range(2)),
            connectRaw(self.factory),
            self.associate(),
            connectRaw(self.factory),
        )
        running.send(BEGUN)
        rejected.send(replace(associateRQ(), applicationContextName="1.2.3"))
        self.assertEqual(self.hears(released, AReleaseRQ()), [AReleaseRP()])
        peers = [idle, running, rejected, released, silent]
        self.assertEqual(self.disconnect(*peers), [[ABORT], [ABORT], [], [], []])
        self.assertEqual([peer.lost for peer in peers], [False] * 4 + [True])
        self.assertEqual(self.recording.stored[0].outcome, "aborted")
        for peer in peers[:4]:
            self.assertNoResult(self.disconnected)
            peer.link.lose()
        self.assertDisconnected(*peers)

    def test_patienceIsOver(self) -> None:
        """Who does not close is cut."""
        self.begin()
        peers = [self.associate(), self.associate()]
        self.disconnect(*peers)
        self.clock.advance(1.875)
        self.assertEqual([self.hears(peer) for peer in peers], [[], []])
        self.assertNoResult(self.disconnected)
        self.clock.advance(0.125)
        for peer in peers:
            peer.link.flush()
        self.assertDisconnected(*peers)

    def test_twice(self) -> None:
        """Both wait for the same end."""
        self.begin()
        peer = self.associate()
        self.disconnect(peer)
        first = self.disconnected
        self.disconnect(peer)
        self.assertNoResult(first)
        peer.link.lose()
        self.successResultOf(first)
        self.assertDisconnected(peer)

    def test_newAssociation(self) -> None:
        """One that comes while others are waited for does not stay either."""
        self.begin()
        peers = [self.associate()]
        self.disconnect(*peers)
        peers.append(self.associate())
        self.clock.advance(2.0)
        for peer in peers:
            peer.link.flush()
        self.assertDisconnected(*peers)


class ServiceTests(receivers.ReceiverTestCase):
    """`ReceiverService.stopService`."""

    def setUp(self) -> None:
        """Let the reactor be called from signal handlers, and see that these are put back."""
        super().setUp()
        self.reactor.callFromThread = lambda function, *arguments: function(*arguments)
        self.before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]

    def begin(self, *arguments: str) -> RawPeer:
        """Serve a peer that has begun to store."""
        self.acceptor = self.serve(*arguments)
        peer = self.associate(self.acceptor)
        self.assertEqual(self.ask(peer, receivers.storeRQ(), self.pdus[0]), [])
        return peer

    @property
    def pdus(self) -> list[bytes]:
        """The data set that is stored."""
        return receivers.dataPDUs(receivers.dataSet(), b"\x20\0\x10\0SH\x02\0AB")

    def assertStopped(self, stopping: Deferred[Any], *files: str) -> None:
        """All is over, and these files are kept."""
        self.successResultOf(stopping)
        self.assertEqual(os.listdir(self.directory), list(files))
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual([signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)], self.before)

    def test_finishesWhatHasBegun(self) -> None:
        """The instance is kept and acknowledged; the store is closed when all else is."""
        peer = self.begin()
        stopping = self.service.stopService()
        rejected = connectRaw(self.acceptor)
        self.assertEqual(rejected.send(associateRQ()), [CONGESTION])
        self.assertEqual(heard(peer.send(self.pdus[1])), [0x0000, ABORT])
        self.assertNoResult(stopping)
        self.assertEqual(len(os.listdir(self.directory)), 2)
        peer.link.lose()
        # The one that was rejected does not close.
        self.assertNoResult(stopping)
        self.reactor.advance(1)
        rejected.link.flush()
        self.assertStopped(stopping, receivers.FILE_NAME)

    def test_gracePeriod(self) -> None:
        """``--grace-period`` says how long that may take."""
        for seconds in (0.0, 2.5, 100.0):
            peer = self.begin(f"--grace-period={seconds}", "--socket-timeout=0")
            stopping = self.service.stopService()
            self.reactor.advance(max(seconds - 0.125, 0))
            if seconds:
                self.assertEqual(peer.send(), [])
                self.reactor.advance(0.125)
            self.assertEqual(peer.send(), [ABORT])
            peer.link.lose()
            self.assertStopped(stopping)

    def test_furtherSignals(self) -> None:
        """They end the grace period, whichever they are and however many."""
        for number in (signal.SIGTERM, signal.SIGINT):
            for count in (1, 3):
                peer = self.begin("--grace-period=1000")
                stopping = self.service.stopService()
                self.assertEqual(peer.send(), [])
                for _ in range(count):
                    signal.raise_signal(number)
                self.assertEqual(peer.send(), [ABORT])
                signal.raise_signal(number)
                self.assertNoResult(stopping)
                peer.link.lose()
                self.assertStopped(stopping)

    def test_notInTheMainThread(self) -> None:
        """Where signals cannot be had, the service stops all the same."""
        peer = self.begin()
        peer.link.lose()
        stopping: list[Deferred[Any]] = []
        thread = threading.Thread(target=lambda: stopping.append(self.service.stopService()))
        thread.start()
        thread.join()
        self.assertStopped(stopping[0])

    def test_withoutStore(self) -> None:
        """With ``--ignore`` there is none to close."""
        peer = self.begin("-i")
        stopping = self.service.stopService()
        self.assertEqual(heard(peer.send(self.pdus[1])), [0x0000, ABORT])
        peer.link.lose()
        self.assertStopped(stopping)

    def test_nobodyThere(self) -> None:
        self.serve()
        self.assertEqual(len(os.listdir(self.directory)), 1)
        self.assertStopped(self.service.stopService())
