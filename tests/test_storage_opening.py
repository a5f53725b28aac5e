"""
Tests of `txdicom.services.storage`: how a data set that has told its identity is handed to a store.
"""

from __future__ import annotations

import tracemalloc
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from tests.headvectors import (
    EXPLICIT_LITTLE,
    SYNTAXES,
    header,
)
from tests.scripted import (
    CT_CONTEXT,
    MR,
    MR_CONTEXT,
    AnsweredWriter,
    ScriptedStore,
    ScriptedWriter,
    dataSet,
    later,
    message,
    pData,
    storeRQ,
)
from tests.test_storage_service import StorageTestCase
from txdicom.errors import AssociationLost, DIMSEError
from txdicom.testing import RecordingStore
from txdicom.upperlayer.pdu import AAbort

STORE = message(CT_CONTEXT, storeRQ())


class HeadTests(StorageTestCase):
    """What comes before the identity is known is held, then written."""

    def test_headInManyFragments(self) -> None:
        """The store's writer gets everything from the first byte, the head as one piece."""
        for syntax in SYNTAXES:
            data = dataSet(syntax, rest=bytes(1000))
            for maximumLength in (8, 12, 30, 16384):
                store = RecordingStore()
                peer = self.associated(store, syntax=syntax)
                self.ask(peer, message(CT_CONTEXT, storeRQ(), data, maximumLength))
                (record,) = store.stored
                self.assertEqual((record.dataSet, record.outcome), (data, "committed"))
                size = (maximumLength - 6) & ~1
                self.assertEqual({len(fragment) for fragment in record.fragments[1:-1]} - {size}, set())
                self.assertLives(peer)

    def test_onlyFragmentIsNotCopied(self) -> None:
        views: list[memoryview] = []
        writer = ScriptedWriter()
        writer.write = views.extend
        peer = self.associated(ScriptedStore(writer))
        data = pData(CT_CONTEXT, 2, dataSet())
        self.ask(peer, STORE, data)
        self.assertEqual([bytes(view) for view in views], [dataSet()])
        self.assertEqual(bytes(views[0].obj), data)

    def test_heldBytesAreBounded(self) -> None:
        """A peer whose head does not end is refused after 1 MiB, and takes not much more of our memory."""
        store = RecordingStore()
        peer = self.associated(store)
        filler = header(EXPLICIT_LITTLE, 0x00080001, b"UN", 0x7FFFFFFF)
        self.assertEqual(peer.send(STORE, pData(CT_CONTEXT, 0, filler)), [])
        piece = pData(CT_CONTEXT, 0, bytes(8192))
        tracemalloc.start()
        try:
            for _ in range(127):
                self.assertEqual(peer.send(piece), [])
            held, _ = tracemalloc.get_traced_memory()
            self.assertLess(held, 1.3 * (1 << 20))
            self.assertEqual(peer.send(piece, piece), [])
            held, _ = tracemalloc.get_traced_memory()
            self.assertLess(held, 1 << 17)
        finally:
            tracemalloc.stop()
        (response,) = self.ask(peer, pData(CT_CONTEXT, 2, b"end"))
        self.assertEqual((response.status, response.errorComment[:31]), (0xC000, "head of the data set is longer "))
        self.assertLives(peer)

    def test_tinyFragmentsAreHeldAsBytes(self) -> None:
        """A head that comes byte by byte takes its length, not a multiple of it."""
        peer = self.associated(RecordingStore())
        peer.send(STORE, pData(CT_CONTEXT, 0, header(EXPLICIT_LITTLE, 0x00080001, b"UN", 0x7FFFFFFF)))
        piece = pData(CT_CONTEXT, 0, b"x") * 1000
        tracemalloc.start()
        try:
            for _ in range(20):
                peer.send(bytes(bytearray(piece)))
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertLess(held, 4 * 20000)


class OpeningTests(StorageTestCase):
    """`IStorageSCP.store` in all its ways to answer."""

    DATA = (pData(CT_CONTEXT, 0, dataSet()), pData(CT_CONTEXT, 0, b"more"), pData(CT_CONTEXT, 2, b"end"))
    WHOLE = dataSet() + b"moreend"

    def test_writerNowOrLater(self) -> None:
        for wrap in (lambda writer: writer, lambda writer: succeed(writer), self.eventually):
            for size in (None, 1, 7):
                writer = AnsweredWriter()
                peer = self.associated(ScriptedStore(lambda writer=writer, wrap=wrap: wrap(writer)), size)
                self.assertEqual(self.statusesOf(self.ask(peer, STORE, *self.DATA)), [(1, 0)])
                self.assertEqual((writer.data, writer.calls[-2:]), (self.WHOLE, ["commit", "answered"]))
                self.assertLives(peer)

    async def eventually(self, result: Any) -> Any:
        """Give a result some time later."""
        await succeed(None)
        return result

    async def eventuallyFail(self, error: Exception) -> Any:
        """Raise an error some time later."""
        await succeed(None)
        raise error

    def test_firstWriteIsWaitedFor(self) -> None:
        """A store that opens later and whose first write takes longer still: all in order."""
        for size in (None, 1, 7):
            waiting: list[Deferred[Any]] = []
            writer = AnsweredWriter(write=[later(waiting)])
            peer = self.associated(ScriptedStore(later(waiting)), size)
            self.assertEqual(peer.send(STORE, *self.DATA), [])
            waiting[0].callback(writer)
            self.assertEqual(peer.send(), [])
            self.assertEqual(writer.calls, ["write"])
            waiting[1].callback(None)
            self.assertEqual(self.statusesOf(self.ask(peer)), [(1, 0)])
            self.assertEqual(writer.data, self.WHOLE)
            self.assertLives(peer)

    def test_onlyFragmentWithStoreThatOpensLater(self) -> None:
        """Commit waits for the writer, and for its first write."""
        waiting: list[Deferred[Any]] = []
        writer = AnsweredWriter(write=[later(waiting)])
        peer = self.associated(ScriptedStore(later(waiting)))
        self.assertEqual(peer.send(message(CT_CONTEXT, storeRQ(), dataSet())), [])
        waiting[0].callback(writer)
        self.assertEqual((peer.send(), writer.calls), ([], ["write"]))
        waiting[1].callback(None)
        self.assertEqual(self.statusesOf(self.ask(peer)), [(1, 0)])
        self.assertEqual(writer.calls, ["write", "commit", "answered"])

    def test_storeFails(self) -> None:
        for error, status in ((DIMSEError(0xA701, "no room"), 0xA701), (RuntimeError("oops"), 0x0110)):
            for step in (error, lambda error=error: fail(error), lambda error=error: self.eventuallyFail(error)):
                peer = self.associated(ScriptedStore(step))
                self.assertEqual(self.statusesOf(self.ask(peer, STORE, *self.DATA)), [(1, status)])
                self.assertEqual(
                    [failure.type for failure in self.flushLoggedErrors()], [RuntimeError] if status == 0x0110 else []
                )
                self.assertLives(peer)

    def test_storeFailsLater(self) -> None:
        waiting: list[Deferred[Any]] = []
        peer = self.associated(ScriptedStore(later(waiting)))
        self.assertEqual(peer.send(STORE, *self.DATA), [])
        waiting[0].errback(DIMSEError(0xA702))
        self.assertEqual(self.statusesOf(self.ask(peer)), [(1, 0xA702)])
        self.assertLives(peer)

    def test_storeForgetsToReturnWriter(self) -> None:
        peer = self.associated(ScriptedStore(None))
        self.assertEqual(self.statusesOf(self.ask(peer, STORE, *self.DATA)), [(1, 0x0110)])
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)
        self.assertLives(peer)

    def test_writerThatComesTooLateIsAborted(self) -> None:
        """It is not written to."""
        for end in (lambda peer: peer.link.lose(), lambda peer: self.clock.advance(300)):
            waiting: list[Deferred[Any]] = []
            peer = self.associated(ScriptedStore(later(waiting)))
            peer.send(STORE, *self.DATA)
            end(peer)
            writer = AnsweredWriter()
            waiting[0].callback(writer)
            self.assertEqual(writer.calls, ["abort"])
            self.assertIn(peer.send(), ([], [AAbort(0, 0)]))
            peer.link.lose()
            self.assertNothingLeft()

    def test_storeThatFailsTooLate(self) -> None:
        """A refusal has nobody to go to; an error that nobody expected is logged."""
        for error, logged in ((DIMSEError(0xA700), []), (RuntimeError("oops"), [RuntimeError])):
            waiting: list[Deferred[Any]] = []
            peer = self.associated(ScriptedStore(later(waiting)))
            peer.send(STORE, *self.DATA)
            peer.link.lose()
            waiting[0].errback(error)
            self.assertLogged(*logged)
            self.assertNothingLeft()

    def test_failuresOfTheWriter(self) -> None:
        """They become the status, wherever they happen; the writer is aborted once unless it was committed."""
        error = DIMSEError(0xA700, "full")
        for steps, calls in (
            ({"write": [error]}, ["write", "abort"]),
            ({"write": [None, error]}, ["write", "write", "abort"]),
            ({"commit": error}, ["write", "write", "write", "commit", "answered"]),
        ):
            for wrap in (lambda writer: writer, lambda writer: succeed(writer)):
                writer = AnsweredWriter(**steps)
                peer = self.associated(ScriptedStore(lambda writer=writer, wrap=wrap: wrap(writer)))
                self.assertEqual(self.statusesOf(self.ask(peer, STORE, *self.DATA)), [(1, 0xA700)])
                self.assertEqual(writer.calls, calls)
                self.assertLives(peer)

    def test_connectionLostWithinHead(self) -> None:
        """Nothing has been opened, so nothing is aborted."""
        store = RecordingStore()
        peer = self.associated(store)
        peer.send(STORE, pData(CT_CONTEXT, 0, dataSet()[:20]))
        peer.link.lose()
        self.assertEqual(store.stored, [])
        self.assertNothingLeft()

    def test_connectionLostBehindHead(self) -> None:
        store = RecordingStore()
        peer = self.associated(store)
        peer.send(STORE, self.DATA[0])
        peer.link.lose()
        self.assertEqual([record.outcome for record in store.stored], ["aborted"])
        self.assertIsInstance(store.stored[0].reason.value, AssociationLost)
        self.assertNothingLeft()

    def test_instancesOfSeveralAssociationsAtOnce(self) -> None:
        store = RecordingStore()
        peers = [self.associated(store)]
        peers += [self.associate() for _ in range(3)]
        for part in (STORE, *self.DATA):
            answers = [peer.send(part) for peer in peers]
        self.assertEqual([len(answer) for answer in answers], [1] * 4)
        self.assertEqual([record.dataSet for record in store.stored], [self.WHOLE] * 4)
        self.assertEqual(len({id(record.association) for record in store.stored}), 4)

    def test_testingDoubleOfFullStore(self) -> None:
        """`RecordingStore.full` refuses at the step it is told."""
        for step, outcomes in (("store", []), ("write", ["aborted"]), ("commit", ["committed"])):
            store = RecordingStore.full(step)
            peer = self.associated(store)
            (response,) = self.ask(peer, message(MR_CONTEXT, storeRQ(4, MR), dataSet(sopClass=MR)))
            self.assertEqual((response.status, response.errorComment), (0xA700, "full"))
            self.assertEqual([record.outcome for record in store.stored], outcomes)
            self.assertLives(peer)
