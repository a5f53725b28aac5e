"""
Tests of `txdicom.storescp.hooks.store`: what plugins hear of a conversation, and what they have to say in it.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from tests.hooking import STUDY, RecordingPlugin, ended, ofStudy, waiting
from tests.scripted import (
    CT,
    CT_CONTEXT,
    INSTANCE,
    PROPOSED,
    AnsweredWriter,
    ConversationTestCase,
    ScriptedStore,
    ScriptedWriter,
    dataSet,
    message,
    pData,
    storeRQ,
)
from tests.storing import NAME, FileStoreTestCase
from txdicom.errors import DIMSEError
from txdicom.interfaces import IAnsweredWriter, IStorageSCP
from txdicom.services.storage import ReceivedInstance, StorageService
from txdicom.storage.filestore import Duplicates
from txdicom.storescp.hooks.announcer import Announcer
from txdicom.storescp.hooks.events import InstanceStored
from txdicom.storescp.hooks.store import HookedStore
from txdicom.testing import RawPeer, associateRQ, requestor
from txdicom.upperlayer.pdu import AAbort, AReleaseRP, AReleaseRQ

OTHER = f"{INSTANCE}.2"


class HookedStoreTestCase(ConversationTestCase):
    """An acceptor whose store tells a plugin."""

    def serveHooked(self, store: Any, *results: Any, asking: bool = False, **keywords: Any) -> None:
        """Serve; the plugin has these results."""
        self.plugin = RecordingPlugin(*results)
        settings: dict[str, Any] = {"timeLimit": 20.0, "atOnce": 1, "studyTimeout": 10.0, **keywords}
        self.announcer = Announcer([self.plugin], self.clock, **settings)
        self.hooked = HookedStore(store, self.announcer, asking)
        self.serve(StorageService(self.hooked))

    def storeMessage(self, data: bytes | None = None, uid: str = INSTANCE, number: int = 1) -> bytes:
        """Encode a C-STORE."""
        return message(CT_CONTEXT, storeRQ(number, sopInstance=uid), ofStudy(uid) if data is None else data)

    def assertOver(self) -> None:
        """Nothing is remembered of anything."""
        self.assertNothingLeft()
        self.assertEqual((self.hooked._ending, self.announcer._locks._held, self.announcer.studies._open), ({}, {}, {}))


class TellingTests(HookedStoreTestCase):
    """Instances are told when their senders know."""

    def test_told(self) -> None:
        """The event has it all."""
        self.serveHooked(ScriptedStore(ScriptedWriter()))
        peer = self.associate(request=associateRQ(PROPOSED, "CALLED $(id)", "CALL\n'ING"))
        self.assertEqual(self.statusesOf(self.ask(peer, self.storeMessage())), [(1, 0)])
        (event,) = self.plugin.events
        assert isinstance(event, InstanceStored)
        self.assertEqual((event.instance.sopInstanceUID, event.studyInstanceUID), (INSTANCE, STUDY))
        self.assertEqual((event.path, event.size), (None, len(ofStudy())))
        self.assertEqual(
            (event.callingAETitle, event.calledAETitle, event.peer), ("CALL\n'ING", "CALLED $(id)", "127.0.0.1")
        )
        self.clock.advance(10)
        self.assertEqual(len(self.plugin.events), 2)
        self.assertEqual(peer.send(AReleaseRQ()), [AReleaseRP()])
        peer.link.flush()
        self.clock.advance(100)
        self.assertOver()

    def test_afterTheAnswer(self) -> None:
        """It is told when the answer is on its way, not before, and not by those who wait for the plugin."""
        committing: Deferred[int] = Deferred()
        writer = AnsweredWriter(commit=committing)
        self.serveHooked(ScriptedStore(writer), Deferred)
        peer = self.associate()
        self.assertEqual(self.ask(peer, self.storeMessage()), [])
        self.assertEqual(self.plugin.events, [])
        committing.callback(0)
        self.assertEqual(len(self.plugin.events), 1)
        self.assertEqual(writer.status, 0)
        self.assertEqual(peer.send(AReleaseRQ())[-1], AReleaseRP())

    def test_warning(self) -> None:
        """What is stored with a warning is stored."""
        self.serveHooked(ScriptedStore(ScriptedWriter(commit=0xB000)))
        self.ask(self.associate(), self.storeMessage())
        self.assertEqual(len(self.plugin.events), 1)

    def test_notStored(self) -> None:
        """What is refused at any step is not told."""
        refusal = DIMSEError(0xA700, "no")
        writers = [ScriptedWriter([refusal]), ScriptedWriter(commit=refusal), ScriptedWriter(commit=0xA701)]
        self.serveHooked(ScriptedStore(refusal, *writers))
        peer = self.associate()
        for status in (0xA700, 0xA700, 0xA700, 0xA701):
            self.assertEqual(self.statusesOf(self.ask(peer, self.storeMessage())), [(1, status)])
        peer.link.lose()
        self.assertEqual(self.plugin.events, [])
        self.assertOver()

    def test_lostBeforeTheEnd(self) -> None:
        writer = ScriptedWriter()
        self.serveHooked(ScriptedStore(writer))
        peer = self.associate()
        peer.send(message(CT_CONTEXT, storeRQ()), pData(CT_CONTEXT, 0, ofStudy()))
        self.assertIn(STUDY, self.announcer.studies._open)
        peer.link.lose()
        self.assertEqual((writer.calls, self.plugin.events), (["write", "abort"], []))
        self.assertOver()

    def test_lostBeforeTheAnswer(self) -> None:
        """An instance whose sender cannot be told any more is not told to anybody."""
        committing: Deferred[int] = Deferred()
        self.serveHooked(ScriptedStore(ScriptedWriter(commit=committing)))
        peer = self.associate()
        peer.send(self.storeMessage())
        peer.link.lose()
        committing.callback(0)
        self.assertEqual(self.plugin.events, [])
        self.assertOver()

    def test_noRoom(self) -> None:
        """When too many wait to be told, an instance waits before it is taken; none is lost."""
        results = waiting(4)
        store = ScriptedStore(*[ScriptedWriter() for _ in range(4)])
        self.serveHooked(store, *(lambda result=result: result for result in results), mostWaiting=1)
        peer, other = self.associate(), self.associate()
        for uid in (INSTANCE, OTHER):
            self.assertEqual(self.statusesOf(self.ask(peer, self.storeMessage(uid=uid))), [(1, 0)])
        self.assertEqual(self.ask(peer, self.storeMessage()), [])
        self.assertEqual(self.ask(other, self.storeMessage()), [])
        self.assertEqual(len(store.instances), 2)
        results[0].callback(None)
        for each in (peer, other):
            self.assertEqual(self.statusesOf(self.ask(each)), [(1, 0)])
        for result in results[1:]:
            result.callback(None)
        self.assertEqual(self.plugin.told.count(f"instance {INSTANCE} stored"), 3)
        self.assertEqual(len(self.plugin.events), 4)

    def test_lostWithoutRoom(self) -> None:
        """One that waits for room and goes leaves nothing."""
        result: Deferred[None] = Deferred()
        store = ScriptedStore(ScriptedWriter(), ScriptedWriter())
        self.serveHooked(store, lambda: result, mostWaiting=1)
        peer, other = self.associate(), self.associate()
        for uid in (INSTANCE, OTHER):
            self.ask(peer, self.storeMessage(uid=uid))
        other.send(self.storeMessage())
        other.link.lose()
        self.assertEqual(self.announcer.turns._heldUp, set())
        peer.link.lose()
        result.callback(None)
        self.assertEqual(len(store.instances), 2)
        self.clock.advance(10)
        self.assertOver()

    def test_withoutStudy(self) -> None:
        """An instance without Study Instance UID is told, and belongs to none."""
        self.serveHooked(ScriptedStore(ScriptedWriter()))
        self.ask(self.associate(), self.storeMessage(dataSet()))
        self.clock.advance(10)
        self.assertEqual(self.plugin.told, [f"instance {INSTANCE} stored"])

    def test_interfaces(self) -> None:
        self.serveHooked(ScriptedStore(ScriptedWriter()))
        self.assertTrue(verifyObject(IStorageSCP, self.hooked))
        instance = ReceivedInstance(CT, INSTANCE, "1.2.840.10008.1.2.1", storeRQ(), {})
        opening = Deferred.fromCoroutine(self.hooked.store(requestor(self.clock), instance))
        self.assertTrue(verifyObject(IAnsweredWriter, self.successResultOf(opening)))


class AskingTests(HookedStoreTestCase):
    """Plugins are asked before the answer."""

    def test_agreed(self) -> None:
        """The answer waits for them; then the study counts the instance."""
        result: Deferred[None] = Deferred()
        self.serveHooked(ScriptedStore(ScriptedWriter()), lambda: result, asking=True)
        peer = self.associate()
        self.assertEqual(self.ask(peer, self.storeMessage()), [])
        result.callback(None)
        self.assertEqual(self.statusesOf(self.ask(peer)), [(1, 0)])
        self.clock.advance(10)
        self.assertEqual(self.plugin.told, [f"instance {INSTANCE} stored", f"study {STUDY} ended"])

    def test_refused(self) -> None:
        """Their word is the answer."""
        self.serveHooked(ScriptedStore(ScriptedWriter()), DIMSEError(0xA702, "not this one"), asking=True)
        peer = self.associate()
        (response,) = self.ask(peer, self.storeMessage())
        self.assertEqual((response.status, response.errorComment), (0xA702, "not this one"))
        peer.link.lose()
        self.assertOver()

    def test_broken(self) -> None:
        """A plugin that is broken has not agreed."""
        self.serveHooked(ScriptedStore(ScriptedWriter()), ZeroDivisionError(), asking=True)
        self.assertEqual(self.statusesOf(self.ask(self.associate(), self.storeMessage())), [(1, 0x0110)])
        self.assertLogged(ZeroDivisionError)

    def test_tooLong(self) -> None:
        self.serveHooked(ScriptedStore(ScriptedWriter()), Deferred, asking=True)
        peer = self.associate()
        self.assertEqual(self.ask(peer, self.storeMessage()), [])
        self.clock.advance(20)
        self.assertEqual(self.statusesOf(self.ask(peer)), [(1, 0xA700)])

    def test_lost(self) -> None:
        """The sender goes while they are asked: nothing is left of it when they have answered."""
        result: Deferred[None] = Deferred()
        self.serveHooked(ScriptedStore(ScriptedWriter()), lambda: result, asking=True)
        peer = self.associate()
        peer.send(self.storeMessage())
        peer.link.lose()
        result.callback(None)
        self.assertOver()


class FilesTests(HookedStoreTestCase, FileStoreTestCase):
    """With files."""

    def serveFilesHooked(self, *results: Any, asking: bool = False, **keywords: Any) -> None:
        """Serve from a store of files."""
        self.serveHooked(self.makeStore(withdrawable=asking, **keywords), *results, asking=asking)

    def told(self, peer: RawPeer, uid: str = INSTANCE, rest: bytes = b"", status: int = 0) -> None:
        """Have an instance stored."""
        found = FileStoreTestCase.ask(self, peer, self.storeMessage(ofStudy(uid) + rest, uid))
        self.assertEqual(self.statusesOf(found), [(1, status)])

    def paths(self) -> list[str | None]:
        """List the files that the plugin has heard of."""
        return [event.path for event in self.plugin.events if isinstance(event, InstanceStored)]

    def test_path(self) -> None:
        """The file is there when it is told, and has been told by its own name."""
        self.serveFilesHooked(lambda: self.assertEqual(self.names(), [NAME]))
        self.told(self.associate())
        path = str(self.directory.absolute() / NAME)
        self.assertEqual(self.paths(), [path])
        self.clock.advance(10)
        self.assertEqual(self.plugin.events[1].directory, str(self.directory.absolute()))
        self.assertEqual(self.plugin.events[1], endOf(path, len(ofStudy()), str(self.directory.absolute())))

    def test_duplicateRenamed(self) -> None:
        """A duplicate is told by the name it has got."""
        self.serveFilesHooked(duplicates=Duplicates.RENAME)
        peer = self.associate()
        for _ in range(3):
            self.told(peer)
        names = [NAME, f"{NAME}.1", f"{NAME}.2"]
        self.assertEqual(self.paths(), [str(self.directory.absolute() / name) for name in names])
        self.clock.advance(10)
        self.assertEqual(self.plugin.events[-1].objects, 3)  # type: ignore[union-attr]

    def test_withdrawn(self) -> None:
        """What was not agreed on is gone, and the association goes on."""
        self.serveFilesHooked(DIMSEError(0xA700, "no"), asking=True)
        peer = self.associate()
        self.told(peer, status=0xA700)
        self.assertEqual((self.names(), self.unfinished()), ([], []))
        self.told(peer)
        self.assertEqual((self.names(), self.unfinished()), ([NAME], []))

    def test_replacedComesBack(self) -> None:
        """What was acknowledged before is not lost by what is withdrawn."""
        self.serveFilesHooked(None, DIMSEError(0xA700, "no"), None, asking=True)
        peer = self.associate()
        self.told(peer)
        self.told(peer, rest=b"new" * 4, status=0xA700)
        self.assertEqual((self.stored(), self.unfinished()), (ofStudy(), []))
        self.told(peer, rest=b"new" * 4)
        self.assertEqual((self.stored(), self.unfinished()), (ofStudy() + b"new" * 4, []))

    def test_keptOrRenamed(self) -> None:
        """With the other choices for duplicates, nothing but what is new is withdrawn."""
        for duplicates in (Duplicates.KEEP, Duplicates.RENAME):
            self.serveFilesHooked(None, DIMSEError(0xA700, "no"), asking=True, duplicates=duplicates)
            peer = self.associate()
            self.told(peer)
            self.told(peer, rest=b"new" * 4, status=0xA700)
            self.assertEqual((self.names(), self.stored(), self.unfinished()), ([NAME], ofStudy(), []))
            (self.directory / NAME).unlink()

    def test_oneAfterTheOther(self) -> None:
        """Two that are to have the same file wait for each other, so each is withdrawn or kept for itself."""
        results = waiting(2)
        self.serveFilesHooked(*(lambda result=result: result for result in results), asking=True)
        first, second = self.associate(), self.associate()
        self.assertEqual(FileStoreTestCase.ask(self, first, self.storeMessage()), [])
        self.assertEqual(FileStoreTestCase.ask(self, second, self.storeMessage(ofStudy() + b"new" * 4)), [])
        self.assertEqual(len(self.plugin.events), 1)
        results[0].errback(DIMSEError(0xA700, "no"))
        self.settle()
        self.assertEqual(len(self.plugin.events), 2)
        results[1].callback(None)
        self.assertEqual(self.statusesOf(FileStoreTestCase.ask(self, first)), [(1, 0xA700)])
        self.assertEqual(self.statusesOf(FileStoreTestCase.ask(self, second)), [(1, 0)])
        self.assertEqual(self.stored(), ofStudy() + b"new" * 4)
        self.assertEqual(self.announcer._locks._held, {})

    def test_abort(self) -> None:
        """A peer that aborts while plugins are asked: they decide about the file all the same."""
        results = waiting(1)
        self.serveFilesHooked(*(lambda result=result: result for result in results), asking=True)
        peer = self.associate()
        FileStoreTestCase.send(self, peer, self.storeMessage())
        FileStoreTestCase.send(self, peer, AAbort(0, 0))
        results[0].errback(DIMSEError(0xA700, "no"))
        self.settle()
        self.assertEqual((self.names(), self.unfinished()), ([], []))


class ThreadedFilesTests(FilesTests):
    """The same with a disk that is slow."""

    inThreads = True


def endOf(path: str, size: int, directory: str) -> Any:
    """Build the event of a study of one instance, as these conversations have it."""
    return replace(
        ended(path),
        size=size,
        directory=directory,
        callingAETitle="STORESCU",
        calledAETitle="STORESCP",
        peer="127.0.0.1",
    )
