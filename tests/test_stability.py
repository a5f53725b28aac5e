"""
Tests of ``--fsync``: what is on stable storage when an instance is acknowledged, and who waits for it with whom.

Errors of the syncs are in ``test_filestore_errors.py``.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import shutil
import stat
import threading
from collections.abc import Callable
from queue import SimpleQueue
from threading import Barrier, Condition, Event, Semaphore, Thread
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.scripted import (
    CT_CONTEXT,
    ECHO_CONTEXT,
    VERIFICATION,
    RecordingObserver,
    commandsIn,
    dataSet,
    message,
    storeRQ,
)
from tests.storing import EIO, NAME, OPEN, PATIENCE, FileStoreTestCase, openFiles
from txdicom.dimse.association import Association
from txdicom.dimse.commands import CEchoRQ, CEchoRSP, Command
from txdicom.storage.stability import SharedSync
from txdicom.testing import RawPeer
from txdicom.upperlayer.negotiation import PresentationContext

MANY = 24


def isDirectory(descriptor: int) -> bool:
    """Tell what is being synced."""
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


def instance(number: int) -> bytes:
    """Encode a C-STORE-RQ and its data set."""
    uid = f"1.2.{number}"
    return message(CT_CONTEXT, storeRQ(sopInstance=uid), dataSet(sopInstance=uid))


class NotingCondition(Condition):
    """A condition that counts how often somebody begins to wait for it."""

    def __init__(self, waits: Semaphore) -> None:
        super().__init__()
        self._waits = waits

    def wait(self, timeout: float | None = None) -> bool:
        """Wait; nobody else gets the lock between the two."""
        self._waits.release()
        return super().wait(timeout)


class SharedSyncTests(SynchronousTestCase):
    """`SharedSync` by itself: threads, and a directory whose syncs end when they are let."""

    def setUp(self) -> None:
        """Let every sync say that it has begun, and wait for its result."""
        self.began: SimpleQueue[None] = SimpleQueue()
        self.results: SimpleQueue[OSError | None] = SimpleQueue()
        self.outcomes: SimpleQueue[tuple[str, str | None]] = SimpleQueue()
        self.patch(os, "fsync", self.fsync)
        self.shared = SharedSync(77)
        self.waits = Semaphore(0)
        self.shared._changed = NotingCondition(self.waits)
        self.threads: list[Thread] = []

    def tearDown(self) -> None:
        """All threads have ended."""
        for thread in self.threads:
            thread.join(PATIENCE)
            self.assertFalse(thread.is_alive())

    def fsync(self, descriptor: int) -> None:
        """Wait for the test."""
        self.assertEqual(descriptor, 77)
        self.began.put(None)
        error = self.results.get(timeout=PATIENCE)
        if error is not None:
            raise error

    def ask(self, *names: str) -> None:
        """Have threads ask for a sync."""
        for name in names:
            thread = Thread(target=self._ask, args=(name,))
            self.threads.append(thread)
            thread.start()

    def _ask(self, name: str) -> None:
        try:
            self.shared.sync()
        except OSError as error:
            self.outcomes.put((name, str(error)))
        else:
            self.outcomes.put((name, None))

    def finish(self, count: int, error: OSError | None = None) -> dict[str, str | None]:
        """End the sync that is under way, and return who is told what."""
        self.results.put(error)
        return dict(self.outcomes.get(timeout=PATIENCE) for _ in range(count))

    def waiting(self, count: int) -> None:
        """Wait until so many threads have begun to wait for the next sync."""
        for _ in range(count):
            self.assertTrue(self.waits.acquire(timeout=PATIENCE))

    def test_eachByItself(self) -> None:
        for name in "ab":
            self.ask(name)
            self.began.get(timeout=PATIENCE)
            self.assertEqual(self.finish(1), {name: None})

    def test_whoeverAsksMeanwhileWaitsForTheNext(self) -> None:
        """Not for the one that is under way: it may have begun too early. But for no more than one."""
        self.ask("a")
        self.began.get(timeout=PATIENCE)
        self.ask("b", "c", "d")
        self.waiting(3)
        self.assertEqual(self.finish(1), {"a": None})
        self.began.get(timeout=PATIENCE)
        self.ask("e")
        # Two of those wait on, while the third syncs for all of them.
        self.waiting(3)
        self.assertEqual(self.finish(3), {"b": None, "c": None, "d": None})
        self.began.get(timeout=PATIENCE)
        self.assertEqual(self.finish(1), {"e": None})
        self.assertTrue(self.began.empty())

    def test_failureIsToldToAllWhoShareIt(self) -> None:
        """And to nobody else; the next one begins all the same."""
        self.ask("a")
        self.began.get(timeout=PATIENCE)
        self.ask("b", "c")
        self.waiting(2)
        self.assertEqual(self.finish(1, EIO), {"a": str(EIO)})
        self.began.get(timeout=PATIENCE)
        self.assertEqual(self.finish(2), {"b": None, "c": None})
        self.ask("d")
        self.began.get(timeout=PATIENCE)
        self.ask("e", "f")
        self.waiting(2)
        self.assertEqual(self.finish(1), {"d": None})
        self.began.get(timeout=PATIENCE)
        self.assertEqual(self.finish(2, EIO), {"e": str(EIO), "f": str(EIO)})


class AnswerObserver(RecordingObserver):
    """
    Notes when an answer is sent.

    :param events: where, among others.
    """

    def __init__(self, events: list[str]) -> None:
        super().__init__()
        self._all = events

    def commandSent(self, association: Association, context: PresentationContext, command: Command) -> None:
        """Note it."""
        self._all.append("answer")


class OrderTests(FileStoreTestCase):
    """What is done, and in which order."""

    fsync = True

    def test_order(self) -> None:
        """The file is synced, then named, then the directory is synced, and then it is acknowledged."""
        events: list[str] = []
        for name in ("writev", "fsync", "close", "rename"):
            self.note(name, events)
        self.serveFiles(observer=AnswerObserver(events))
        self.assertStores(self.associate(), dataSet())
        self.assertEqual(events, ["writev file", "fsync file", "close file", "rename", "fsync directory", "answer"])

    def note(self, name: str, events: list[str]) -> None:
        """Note each call of a function of `os`, with what it is done to; none is done by the reactor's thread."""
        function = getattr(os, name)

        def noting(first: Any, *arguments: Any, **keywords: Any) -> Any:
            if name == "rename":
                events.append(name)
                self.assertTrue(os.path.samestat(os.fstat(keywords["dst_dir_fd"]), self.directory.stat()))
            elif isDirectory(first):
                self.assertTrue(os.path.samestat(os.fstat(first), self.directory.stat()))
                events.append(f"{name} directory")
            else:
                events.append(f"{name} file")
            if name != "writev":
                self.assertIsNot(threading.current_thread(), threading.main_thread())
            return function(first, *arguments, **keywords)

        self.patch(os, name, noting)

    def test_notAskedFor(self) -> None:
        """Nothing is synced then."""
        self.fsync = False
        self.serveFiles(self.makeStore())
        self.patch(os, "fsync", self.fail)
        self.assertStores(self.associate(), dataSet())


class SharingTests(FileStoreTestCase):
    """Many associations at once."""

    fsync = True

    def setUp(self) -> None:
        """Get many associations."""
        super().setUp()
        self.peers = [self.associate() for _ in range(MANY)]
        self.syncOfFile: Callable[[], object] = lambda: None
        self.syncOfDirectory: Callable[[], object] = lambda: None
        self.synced: list[bool] = []
        really = os.fsync

        def fsync(descriptor: int) -> None:
            directory = isDirectory(descriptor)
            (self.syncOfDirectory if directory else self.syncOfFile)()
            really(descriptor)
            self.synced.append(directory)

        self.patch(os, "fsync", fsync)

    def sendAll(self) -> None:
        """Send an instance on every association."""
        for number, peer in enumerate(self.peers):
            self.assertEqual(peer.send(instance(number)), [])

    def answers(self, peer: RawPeer) -> list[tuple[int, int]]:
        """Return the statuses that a peer has got."""
        return self.statusesOf(commandsIn(peer.send()))

    def test_filesAreSyncedSideBySide(self) -> None:
        """The sync of none of them ends before those of all have begun."""
        self.syncOfFile = Barrier(MANY, timeout=PATIENCE).wait
        self.sendAll()
        self.settle()
        self.assertEqual([self.answers(peer) for peer in self.peers], [[(1, 0)]] * MANY)
        self.assertEqual(len(self.names()), MANY)

    def test_directorySyncsAreShared(self) -> None:
        """While one sync of the directory is under way, all others get their names; one more does for all of them."""
        named, first = Semaphore(0), [None]
        rename = os.rename

        def counting(*arguments: Any, **keywords: Any) -> None:
            rename(*arguments, **keywords)
            named.release()

        self.patch(os, "rename", counting)

        def waitForAll() -> None:
            if first:
                first.pop()
                for _ in range(MANY):
                    self.assertTrue(named.acquire(timeout=PATIENCE))

        self.syncOfDirectory = waitForAll
        self.sendAll()
        self.settle()
        self.assertEqual([self.answers(peer) for peer in self.peers], [[(1, 0)]] * MANY)
        self.assertEqual(self.synced.count(False), MANY)
        # One for the first, one for all who had asked when it ended; and one more for who had not come that far.
        self.assertTrue(2 <= self.synced.count(True) <= 4, self.synced.count(True))

    def test_othersAreServedMeanwhile(self) -> None:
        """An association whose sync takes long keeps nobody else waiting, and is answered when it is done."""
        go = Event()
        self.syncOfFile = lambda: self.assertTrue(go.wait(PATIENCE))
        self.assertEqual(self.peers[0].send(instance(0)), [])
        (echoed,) = commandsIn(self.peers[1].send(message(ECHO_CONTEXT, CEchoRQ(9))))
        self.assertEqual(echoed, CEchoRSP(9, 0, VERIFICATION))
        self.assertEqual((self.names(), self.peers[0].send()), ([], []))
        go.set()
        self.settle()
        self.assertEqual(self.answers(self.peers[0]), [(1, 0)])

    def test_associationEndsMeanwhile(self) -> None:
        """What came whole is kept whole, or not at all; nobody is told, and nothing stays open."""
        for end in ("file", "directory"):
            go, began = Event(), Event()

            def wait(go: Event = go, began: Event = began) -> None:
                self.clock.callFromThread(began.set)
                self.assertTrue(go.wait(PATIENCE))

            self.syncOfFile = wait if end == "file" else lambda: None
            self.syncOfDirectory = wait if end == "directory" else lambda: None
            self.assertEqual(self.peers[0].send(message(CT_CONTEXT, storeRQ(), dataSet())), [])
            while not began.is_set():
                self.clock.returnFromThread()
            self.peers[0].link.lose()
            self.assertEqual(self.names(), [NAME] if end == "directory" else [])
            go.set()
            self.settle()
            self.assertEqual((self.names(), self.stored(), self.unfinished()), ([NAME], dataSet(), []))
            self.assertEqual(openFiles(self.directory), OPEN)
            (self.directory / NAME).unlink()
            self.peers[0] = self.associate()

    def test_associationEndsBeforeAnError(self) -> None:
        """There is nobody to be told of it but the log."""

        def fail() -> None:
            raise EIO

        self.syncOfFile = fail
        self.peers[0].send(instance(0))
        self.peers[0].link.lose()
        self.settle()
        self.assertEqual((self.names(), self.unfinished(), openFiles(self.directory)), ([], [], OPEN))

    def test_closeWaits(self) -> None:
        """Until all that is being synced is acknowledged; then nothing is left."""
        go = Event()
        self.syncOfFile = lambda: self.assertTrue(go.wait(PATIENCE))
        self.sendAll()
        closed = self.store.close()
        self.assertNoResult(closed)
        go.set()
        while self.isBusy():
            self.assertNoResult(closed)
            self.clock.returnFromThread()
        self.successResultOf(closed)
        self.assertEqual([self.answers(peer) for peer in self.peers], [[(1, 0)]] * MANY)
        self.assertEqual((len(os.listdir(self.directory)), openFiles(self.directory)), (MANY, 0))
        self.assertEqual([thread for thread in threading.enumerate() if "disk" in thread.name], [])

    def test_directoryIsMadeAnewMeanwhile(self) -> None:
        """The old one stays open until what is being synced in it is done; the new one is another one."""
        go, began = Event(), Event()

        def wait() -> None:
            if not began.is_set():
                began.set()
                self.assertTrue(go.wait(PATIENCE))

        self.syncOfDirectory = wait
        self.peers[0].send(instance(0))
        self.assertTrue(began.wait(PATIENCE))
        shutil.rmtree(self.directory)
        self.directory.mkdir()
        answers = self.peers[1].send(instance(1))
        while not answers:
            self.clock.returnFromThread()
            answers = self.peers[1].send()
        self.assertEqual(self.statusesOf(commandsIn(answers)), [(1, 0)])
        self.assertEqual((self.names(), openFiles(self.directory)), (["CT.1.2.1"], 2 * OPEN))
        go.set()
        self.settle()
        self.assertEqual((self.answers(self.peers[0]), openFiles(self.directory)), ([(1, 0)], OPEN))
