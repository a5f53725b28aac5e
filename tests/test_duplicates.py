"""Tests of ``--duplicates``: an instance that comes again, later or at the same time."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from threading import Event
from typing import Any

from tests.receivers import FILE_NAME, ReceiverTestCase
from tests.scripted import CT_CONTEXT, INSTANCE, commandsIn, dataSet, message, pData, storeRQ
from tests.storing import EIO, ENOSPC, NAME, OPEN, PATIENCE, STORE, FileStoreTestCase, openFiles, systemError
from txdicom.storage.filestore import Duplicates, FileStore
from txdicom.storescp.service import StartError
from txdicom.testing import RawPeer

END = pData(CT_CONTEXT, 2, b"!")
DUPLICATE = 0x0111
#: What the second of two gets, and whose data set is under the name then: the first's or the second's.
OUTCOMES = {
    Duplicates.OVERWRITE: (0x0000, 1),
    Duplicates.KEEP: (0x0000, 0),
    Duplicates.REJECT: (DUPLICATE, 0),
    Duplicates.RENAME: (0x0000, 0),
}


class DuplicatesTestCase(FileStoreTestCase):
    """Instances that are there already."""

    def choose(self, duplicates: Duplicates) -> None:
        """Serve a store that has been told what to do, in an empty directory."""
        for name in self.names():
            (self.directory / name).unlink()
        self.serveFiles(self.makeStore(duplicates=duplicates))
        self.opened = openFiles(self.directory)

    def copy(self, peer: RawPeer, content: bytes) -> list[tuple[int, int]]:
        """Send an instance whose data set ends so, and return the answer."""
        return self.statusesOf(self.ask(peer, message(CT_CONTEXT, storeRQ(), dataSet(rest=content))))

    def assertKept(self, *contents: bytes) -> None:
        """These are the data sets under the name, and under those that are derived from it; nothing else is there."""
        names = [NAME, *(f"{NAME}.{number}" for number in range(1, len(contents)))]
        self.assertEqual(self.names(), sorted(names[: len(contents)]))
        self.assertEqual([self.stored(name) for name in self.names()], [dataSet(rest=content) for content in contents])
        self.assertEqual((self.unfinished(), openFiles(self.directory)), ([], self.opened))

    def outcome(self, duplicates: Duplicates, first: bytes, second: bytes) -> None:
        """The one that was completed first and the other one are kept as was asked for."""
        if duplicates is Duplicates.RENAME:
            self.assertKept(first, second)
        else:
            self.assertKept((first, second)[OUTCOMES[duplicates][1]])


class DuplicatesTests(DuplicatesTestCase):
    """Each choice."""

    def test_oneAfterTheOther(self) -> None:
        for duplicates, (status, _) in OUTCOMES.items():
            self.choose(duplicates)
            peer = self.associate()
            self.assertEqual(self.copy(peer, b"first"), [(1, 0)])
            self.assertEqual(self.copy(peer, b"2nd"), [(1, status)])
            self.outcome(duplicates, b"first", b"2nd")

    def test_comment(self) -> None:
        """The sender is told why it is refused."""
        self.choose(Duplicates.REJECT)
        peer = self.associate()
        self.copy(peer, b"first")
        (response,) = self.ask(peer, message(CT_CONTEXT, storeRQ(2), dataSet()))
        self.assertEqual(
            (response.messageIDBeingRespondedTo, response.status, response.errorComment),
            (2, DUPLICATE, "this instance is stored already"),
        )

    def test_atTheSameTime(self) -> None:
        """Each is written by itself; who is complete first is the first, whoever has begun first."""
        for duplicates, (status, _) in OUTCOMES.items():
            for order in ((0, 1), (1, 0)):
                self.choose(duplicates)
                peers = [self.associate() for _ in range(2)]
                for number, peer in enumerate(peers):
                    self.send(peer, STORE, pData(CT_CONTEXT, 0, dataSet(rest=b"%d" % number)))
                self.assertEqual((self.names(), len(self.unfinished())), ([], 2))
                answers = [self.statusesOf(self.ask(peers[number], END)) for number in order]
                self.assertEqual(answers, [[(1, 0)], [(1, status)]], (duplicates, order))
                self.outcome(duplicates, *(b"%d!" % number for number in order))

    def test_secondIsBrokenOff(self) -> None:
        """It leaves the first as it is, and no trace of itself."""
        for duplicates in Duplicates:
            self.choose(duplicates)
            peer = self.associate()
            self.assertEqual(self.copy(peer, b"first"), [(1, 0)])
            self.send(peer, STORE, pData(CT_CONTEXT, 0, dataSet()))
            peer.link.lose()
            self.settle()
            self.assertKept(b"first")

    def test_firstIsBrokenOff(self) -> None:
        """It is no first then."""
        for duplicates in Duplicates:
            self.choose(duplicates)
            peers = [self.associate() for _ in range(2)]
            for number, peer in enumerate(peers):
                self.send(peer, STORE, pData(CT_CONTEXT, 0, dataSet(rest=b"%d" % number)))
            peers[0].link.lose()
            self.settle()
            self.assertEqual(self.statusesOf(self.ask(peers[1], END)), [(1, 0)])
            self.assertKept(b"1!")

    def test_others(self) -> None:
        """An instance that is not there is no duplicate."""
        for duplicates in Duplicates:
            self.choose(duplicates)
            peer = self.associate()
            self.copy(peer, b"")
            for uid in (f"{INSTANCE}.5", INSTANCE[:-2]):
                data = dataSet(sopInstance=uid)
                self.assertEqual(
                    self.statusesOf(self.ask(peer, message(CT_CONTEXT, storeRQ(sopInstance=uid), data))), [(1, 0)]
                )
                self.assertEqual(self.stored(f"CT.{uid}"), data)
            self.assertEqual(len(self.names()), 3)

    def test_disk(self) -> None:
        """Its errors are what they are, and leave the first, with any choice."""
        for duplicates in Duplicates:
            self.choose(duplicates)
            peer = self.associate()
            self.copy(peer, b"first")
            naming = "rename" if duplicates is Duplicates.OVERWRITE else "link"
            for name, doing in (("open", "created"), ("writev", "written"), (naming, "completed")):
                for error in (ENOSPC, EIO, systemError(errno.EROFS)):
                    with self.failing(name, error):
                        (response,) = self.ask(peer, message(CT_CONTEXT, storeRQ(), dataSet()))
                    self.assertEqual(
                        (response.status, response.errorComment), (0xA700, f"file cannot be {doing}: {error.strerror}")
                    )
                    self.assertKept(b"first")

    def test_unfinishedCannotBeRemoved(self) -> None:
        """It has its name by then, so it is stored; what it was called before goes with the store."""
        self.choose(Duplicates.REJECT)
        with self.failing("unlink", EIO):
            self.assertEqual(self.copy(self.associate(), b""), [(1, 0)])
        self.assertEqual((self.names(), len(self.unfinished()), self.stored()), ([NAME], 1, dataSet()))


class SyncedDuplicatesTests(DuplicatesTests):
    """The same with files that are synced."""

    fsync = True

    def test_reallyAtTheSameTime(self) -> None:
        """Both come to be named at once, in threads: one is the first, none is lost, and both are whole."""
        for duplicates, (status, _) in OUTCOMES.items():
            self.choose(duplicates)
            peers = [self.associate() for _ in range(8)]
            go = Event()
            really = os.fsync

            def fsync(descriptor: int, go: Event = go, really: Callable[[int], None] = really) -> None:
                self.assertTrue(go.wait(PATIENCE))
                really(descriptor)

            with self.replaced("fsync", fsync):
                for number, peer in enumerate(peers):
                    peer.send(message(CT_CONTEXT, storeRQ(), dataSet(rest=b"%d" % number)))
                go.set()
                self.settle()
            answers = sorted(self.statusesOf(commandsIn(peer.send()))[0][1] for peer in peers)
            self.assertEqual(answers, [0] + [status] * 7)
            kept = [self.stored(name) for name in self.names()]
            whole = [dataSet(rest=b"%d" % number) for number in range(8)]
            if duplicates is Duplicates.RENAME:
                self.assertEqual(sorted(kept), whole)
                self.assertEqual(self.names(), [NAME, *(f"{NAME}.{number}" for number in range(1, 8))])
            else:
                self.assertEqual(self.names(), [NAME])
                self.assertIn(kept[0], whole)
            self.assertEqual((self.unfinished(), openFiles(self.directory)), ([], self.opened))


class ThreadedDuplicatesTests(DuplicatesTests):
    """The same on a slow disk."""

    inThreads = True


class NamesTests(DuplicatesTestCase):
    """What is in the way, and how it is found."""

    def test_renamedManyTimes(self) -> None:
        self.choose(Duplicates.RENAME)
        peer = self.associate()
        for number in range(20):
            self.copy(peer, b"%02d" % number)
        contents = {name: self.stored(name)[len(dataSet()) :] for name in self.names()}
        self.assertEqual(contents, {NAME: b"00"} | {f"{NAME}.{number}": b"%02d" % number for number in range(1, 20)})

    def test_gapsMayBeFilled(self) -> None:
        """A name that is taken is never taken from its owner, whatever has been removed."""
        self.choose(Duplicates.RENAME)
        peer = self.associate()
        for gone in (1, 2, 5, 7, 8):
            while len(self.names()) < 9:
                self.copy(peer, b"")
            (self.directory / f"{NAME}.{gone}").unlink()
            before = {name: (self.directory / name).stat().st_ino for name in self.names()}
            self.copy(peer, b"new")
            self.assertEqual(len(self.names()), 9)
            self.assertEqual(before.items() - {(n, (self.directory / n).stat().st_ino) for n in self.names()}, set())
            (new,) = set(self.names()) - set(before)
            self.assertEqual(self.stored(new), dataSet(rest=b"new"))

    def test_foundInFewSteps(self) -> None:
        """A peer that sends the same again and again does not make us look through all it has sent before."""
        self.choose(Duplicates.RENAME)
        for name in (NAME, *(f"{NAME}.{number}" for number in range(1, 1001))):
            (self.directory / name).touch()
        calls: list[str] = []
        for name in ("stat", "link"):
            function = getattr(os, name)

            def counting(
                *arguments: Any, name: str = name, function: Callable[..., Any] = function, **keywords: Any
            ) -> Any:
                calls.append(name)
                return function(*arguments, **keywords)

            self.patch(os, name, counting)
        self.assertEqual(self.copy(self.associate(), b"new"), [(1, 0)])
        self.assertTrue(len(calls) < 30, len(calls))
        self.assertEqual(self.stored(f"{NAME}.1001"), dataSet(rest=b"new"))

    def test_takenAtTheLastMoment(self) -> None:
        """By another store, between the look and the link."""
        self.choose(Duplicates.RENAME)
        peer = self.associate()
        self.copy(peer, b"first")
        link = os.link

        def linking(source: Any, target: Any, **keywords: Any) -> None:
            for number in (1, 2):
                if target == f"{NAME}.{number}":
                    (self.directory / target).write_bytes(b"other")
            link(source, target, **keywords)

        with self.replaced("link", linking):
            self.assertEqual(self.copy(peer, b"new"), [(1, 0)])
        self.assertEqual(self.names(), [NAME, f"{NAME}.1", f"{NAME}.2", f"{NAME}.3"])
        self.assertEqual(self.stored(f"{NAME}.3"), dataSet(rest=b"new"))

    def test_keptIsAFile(self) -> None:
        """Success means that the instance is there: something else of its name will not do."""
        self.choose(Duplicates.KEEP)
        elsewhere = self.directory.parent / "elsewhere"
        elsewhere.write_bytes(b"moved to an archive")
        path = self.directory / NAME
        inTheWay: list[tuple[Callable[[], object], int, str]] = [
            (path.mkdir, 0xA700, "file cannot be completed: what has its name is no file"),
            (lambda: os.mkfifo(path), 0xA700, "file cannot be completed: what has its name is no file"),
            (lambda: path.symlink_to("nonesuch"), 0xA700, "file cannot be completed: No such file or directory"),
            (lambda: path.symlink_to(elsewhere.resolve()), 0x0000, ""),
            (path.touch, 0x0000, ""),
        ]
        peer = self.associate()
        for make, status, comment in inTheWay:
            make()
            (response,) = self.ask(peer, message(CT_CONTEXT, storeRQ(), dataSet()))
            self.assertEqual((response.status, response.errorComment), (status, comment))
            self.assertEqual((self.names(), self.unfinished()), ([NAME], []))
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()
        self.assertEqual(elsewhere.read_bytes(), b"moved to an archive")


class WithoutLinksTests(ReceiverTestCase):
    """File systems that have no hard links."""

    def refuseLinks(self) -> None:
        """Have no links."""

        def link(*arguments: object, **keywords: object) -> None:
            raise systemError(errno.EPERM)

        self.patch(os, "link", link)

    def test_store(self) -> None:
        """Only those choices need them; the store cannot be opened then, and leaves nothing."""
        self.refuseLinks()
        for duplicates in Duplicates:
            store = FileStore(self.directory, duplicates=duplicates)
            if duplicates is Duplicates.OVERWRITE:
                store.open()
                self.assertEqual(openFiles(self.directory), OPEN)
                store.close()
            else:
                error = self.assertRaises(OSError, store.open)
                self.assertEqual(error.strerror, "it has to have hard links, but: Operation not permitted")
            self.assertEqual((os.listdir(self.directory), openFiles(self.directory)), ([], 0))

    def test_program(self) -> None:
        """It says why it does not start."""
        self.refuseLinks()
        error = self.assertRaises(StartError, self.serve, "--duplicates=keep")
        self.assertEqual(
            str(error),
            "the output directory cannot be used: it has to have hard links, but: Operation not permitted",
        )
        self.assertEqual((os.listdir(self.directory), self.reactor.tcpServers), ([], []))
        self.assertEqual(self.store(self.associate(self.serve())), [(1, 0)])
        self.assertIn(FILE_NAME, os.listdir(self.directory))
        self.service.stopService()
