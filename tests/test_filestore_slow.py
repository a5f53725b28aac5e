"""
Tests of `txdicom.storage.filestore` on a slow disk: only the association that stores waits for it, in bounded memory.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import Any

from tests.scripted import CT_CONTEXT, ECHO_CONTEXT, VERIFICATION, commandsIn, dataSet, message, pData, storeRQ
from tests.storing import EIO, ENOSPC, NAME, OPEN, PATIENCE, STORE, FileStoreTestCase, openFiles
from txdicom.dimse.commands import CEchoRQ, CEchoRSP
from txdicom.storage.disk import LONGEST_CALM, SLOW
from txdicom.testing import RawPeer
from txdicom.upperlayer.pdu import AAbort

MEBIBYTE = 1 << 20
#: How much a TCP transport of Twisted's reads at once.
READ = 1 << 16
ECHO = message(ECHO_CONTEXT, CEchoRQ(1))
ECHOED = [CEchoRSP(1, 0, VERIFICATION)]


class SlowDiskTestCase(FileStoreTestCase):
    """
    A disk one of whose calls waits until it is let go.

    :ivar go: lets it go.
    :ivar began: is set when it has begun to wait.
    """

    inThreads = True

    def setUp(self) -> None:
        """Let nothing wait yet."""
        super().setUp()
        self.go = Event()
        self.began = Event()

    @contextmanager
    def stalling(self, name: str = "writev", error: OSError | None = None) -> Iterator[None]:
        """Have the first call of a function of `os`, and no other one, wait, and fail if there is an error."""
        self.go.clear()
        self.began.clear()
        function = getattr(os, name)
        first = [None]

        def stalls(*arguments: Any, **keywords: Any) -> Any:
            if first:
                first.pop()
                self.clock.callFromThread(self.began.set)
                if threading.current_thread() is threading.main_thread() or not self.go.wait(PATIENCE):
                    raise AssertionError("the reactor waits for the disk")
                if error is not None:
                    raise error
            return function(*arguments, **keywords)

        with self.replaced(name, stalls):
            try:
                yield
            finally:
                self.go.set()

    def stalled(self, *data: bytes) -> RawPeer:
        """Have a peer send until a call of its store waits."""
        peer = self.associate(READ)
        peer.send(*data)
        while not self.began.is_set():
            self.clock.returnFromThread()
            peer.send()
        return peer

    def proceed(self, peer: RawPeer) -> list[Any]:
        """Let the disk go on, and return all that is answered then."""
        self.go.set()
        return self.ask(peer)


class NobodyElseTests(SlowDiskTestCase):
    """What a disk that does not answer means."""

    def test_othersAreServed(self) -> None:
        """They echo, and store; nobody waits for the one whose write is stuck."""
        with self.stalling():
            stuck = self.stalled(STORE, pData(CT_CONTEXT, 2, dataSet(rest=b"stuck")))
            other = self.associate()
            self.assertEqual(commandsIn(other.send(ECHO)), ECHOED)
            for _ in range(3):
                answers = other.send(message(CT_CONTEXT, storeRQ(2, sopInstance="1.2"), dataSet(sopInstance="1.2")))
                while not answers:
                    self.clock.returnFromThread()
                    answers = other.send()
                self.assertEqual(self.statusesOf(commandsIn(answers)), [(2, 0)])
            self.assertEqual((self.names(), stuck.send()), (["CT.1.2"], []))
            self.assertEqual(self.statusesOf(self.proceed(stuck)), [(1, 0)])
        self.assertEqual(self.stored(), dataSet(rest=b"stuck"))

    def test_memoryIsBounded(self) -> None:
        """What comes is read up to a bound; the rest waits where TCP holds it back."""
        data = dataSet(rest=os.urandom(4 * MEBIBYTE))
        with self.stalling():
            peer = self.stalled(message(CT_CONTEXT, storeRQ(), data))
            waiting = sum(map(len, peer.link.client.outgoing))
            self.assertTrue(peer.link.server.paused)
            self.assertTrue(len(data) - waiting < MEBIBYTE / 2, waiting)
            self.assertEqual(commandsIn(self.associate().send(ECHO)), ECHOED)
            self.assertEqual(self.statusesOf(self.proceed(peer)), [(1, 0)])
        self.assertEqual(self.stored(), data)

    def test_smallestFragments(self) -> None:
        """Fragments of a byte each are bounded by their number."""
        rest = os.urandom(5000)
        pieces = b"".join(pData(CT_CONTEXT, 0, rest[n : n + 1]) for n in range(len(rest)))
        counts: list[int] = []
        writev = os.writev

        def noting(file: int, parts: Sequence[Any]) -> int:
            counts.append(len(parts))
            return writev(file, parts)

        with self.replaced("writev", noting), self.stalling():
            peer = self.stalled(STORE, pData(CT_CONTEXT, 0, dataSet()), pieces, pData(CT_CONTEXT, 2, b"!"))
            self.assertTrue(peer.link.server.paused)
            self.assertEqual(self.statusesOf(self.proceed(peer)), [(1, 0)])
        self.assertEqual(self.stored(), dataSet(rest=rest + b"!"))
        # The system takes 1024 at a time.
        self.assertTrue(2 < max(counts) <= 1024, counts)

    def assertOthersGoOn(self, name: str) -> None:
        """A function of `os` takes its time; others are answered meanwhile, and it is waited for."""
        with self.stalling(name):
            peer = self.stalled(message(CT_CONTEXT, storeRQ(), dataSet()))
            self.assertEqual(commandsIn(self.associate().send(ECHO)), ECHOED)
            self.assertEqual(self.statusesOf(self.proceed(peer)), [(1, 0)])
        self.assertEqual(self.stored(), dataSet())

    def test_creating(self) -> None:
        """The file itself may be what takes its time."""
        self.assertOthersGoOn("open")

    def test_naming(self) -> None:
        """The last step may be it as well."""
        self.assertOthersGoOn("rename")

    def test_patienceEnds(self) -> None:
        """An association whose disk does not answer is aborted in the end, as any whose provider does not."""
        with self.stalling():
            peer = self.stalled(message(CT_CONTEXT, storeRQ(), dataSet(rest=bytes(MEBIBYTE))))
            self.clock.advance(300)
            self.assertEqual(peer.send(), [AAbort(0, 0)])
            peer.link.lose()
            self.assertEqual(len(self.unfinished()), 1)
            self.go.set()
            self.settle()
        self.assertEqual(self.names(), [])
        self.assertClosed()


class EndTests(SlowDiskTestCase):
    """Instances that end while a thread writes."""

    def test_aborted(self) -> None:
        """The file goes when the thread is done with it, however much was gathered."""
        for length in (10, MEBIBYTE):
            with self.stalling():
                peer = self.stalled(STORE, *fragments(length))
                peer.link.lose()
                self.assertEqual(len(self.unfinished()), 1)
                self.go.set()
                self.settle()
            self.assertEqual(self.names(), [])
            self.assertClosed()

    def test_abortedWhileItIsCreated(self) -> None:
        with self.stalling("open"):
            self.stalled(message(CT_CONTEXT, storeRQ(), dataSet())).link.lose()
            self.go.set()
            self.settle()
        self.assertEqual(self.names(), [])
        self.assertClosed()

    def test_fails(self) -> None:
        """0xA700 when the rest has come, whether the peer waits for the disk then, or the disk for the peer."""
        for length in (10, MEBIBYTE):
            with self.stalling(error=ENOSPC):
                peer = self.stalled(STORE, *fragments(length))
                self.assertEqual(self.proceed(peer), [])
            self.assertEqual(self.ask(peer, pData(CT_CONTEXT, 0, b"more")), [])
            self.assertRefused(self.ask(peer, pData(CT_CONTEXT, 2, b"end")), ENOSPC)
            self.assertRecovers(peer)

    def test_failsWithTheEndGathered(self) -> None:
        """Nobody waits for the write then but the answer."""
        with self.stalling(error=EIO):
            peer = self.stalled(message(CT_CONTEXT, storeRQ(), dataSet(rest=bytes(100)), 60))
            self.assertRefused(self.proceed(peer), EIO)
        self.assertRecovers(peer)

    def test_whatWasGatheredFails(self) -> None:
        """The first write goes well, and the next one does not, be it in a thread, or on the spot in the end."""
        self.clock.advance(LONGEST_CALM)
        for isQuickAgain in (False, True):
            with self.failing("writev", EIO, good=1), self.stalling():
                peer = self.stalled(message(CT_CONTEXT, storeRQ(), dataSet(rest=bytes(100)), 60))
                self.store._disk._isTrusted = isQuickAgain
                self.assertRefused(self.proceed(peer), EIO)
            self.assertEqual(self.store._disk.isSlow, not isQuickAgain)
            self.assertRecovers(peer)

    def assertRefused(self, responses: list[Any], error: OSError) -> None:
        """0xA700 is the answer, and nothing is left of it."""
        (response,) = responses
        self.assertEqual(
            (response.status, response.errorComment), (0xA700, f"file cannot be written: {error.strerror}")
        )
        self.assertEqual((self.names(), self.unfinished(), openFiles(self.directory)), ([], [], OPEN))

    def assertRecovers(self, peer: RawPeer) -> None:
        """The same association stores."""
        self.assertStores(peer, dataSet())
        (self.directory / NAME).unlink()
        peer.link.lose()
        self.assertClosed()

    def test_closedMeanwhile(self) -> None:
        """Closing waits for what is being written, and for what becomes of it."""
        with self.stalling():
            peer = self.stalled(message(CT_CONTEXT, storeRQ(), dataSet()))
            closed = self.store.close()
            self.assertNoResult(closed)
            self.assertEqual(self.statusesOf(self.proceed(peer)), [(1, 0)])
        self.successResultOf(closed)
        self.assertEqual((os.listdir(self.directory), openFiles(self.directory)), ([NAME], 0))


class ChangeTests(FileStoreTestCase):
    """A disk that becomes slow, and quick again."""

    def test_change(self) -> None:
        """At any fragment, and in the middle of an instance: all of it is there, in its order."""
        inThreads: list[bool] = []
        slow: list[None] = []
        writev = os.writev

        def writing(file: int, parts: Sequence[Any]) -> int:
            inThreads.append(threading.current_thread() is not threading.main_thread())
            if slow:
                slow.pop()
                self.clock.rightNow += 2 * SLOW
            return writev(file, parts)

        self.patch(os, "writev", writing)
        peer = self.associate()
        for slowAt in range(5):
            for calmAt in range(slowAt, 5):
                inThreads.clear()
                self.send(peer, STORE)
                for number in range(5):
                    slow.extend([None] * (number == slowAt))
                    self.send(peer, pData(CT_CONTEXT, 0, b"%d" % number if number else dataSet()))
                    self.clock.advance(LONGEST_CALM * (number == calmAt))
                self.assertEqual(self.statusesOf(self.ask(peer, pData(CT_CONTEXT, 2, b"end"))), [(1, 0)])
                self.assertEqual(self.stored(), dataSet(rest=b"1234end"))
                # From the one after the slow one to the one after the quiet time, which is the first to be quick.
                expected = [slowAt < number <= calmAt + 1 for number in range(6)]
                self.assertEqual(inThreads, expected, (slowAt, calmAt))
                self.clock.advance(LONGEST_CALM)
                self.assertStores(peer, dataSet())
                self.assertFalse(self.store._disk.isSlow)


def fragments(length: int) -> list[bytes]:
    """Encode a data set of at least this length, but for its end."""
    return [pData(CT_CONTEXT, 0, dataSet()), *(pData(CT_CONTEXT, 0, bytes(16000)) for _ in range(length // 16000 + 1))]
