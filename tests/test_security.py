"""
Tests of what docs/security.rst promises, where no other file has them.

They are the classes of faults that other receivers have had. Bounds are exceeded in ``test_security_bounds.py``.
"""

from __future__ import annotations

import ast
import gc
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

from twisted.logger import Logger

from tests.documents import PROGRAM, ROOT, parse
from tests.headvectors import EXPLICIT_LITTLE, ITEM, SYNTAXES, UNDEFINED, element, header
from tests.receivers import FILE_NAME, ReceiverTestCase, dataPDUs, filesIn, statusesIn
from tests.receivers import dataSet as programsDataSet
from tests.receivers import storeRQ as programsStoreRQ
from tests.scripted import (
    CT,
    CT_CONTEXT,
    ECHO_CONTEXT,
    INSTANCE,
    PROPOSED,
    ConversationTestCase,
    dataSet,
    message,
    storeRQ,
)
from tests.test_security_bounds import described, documented
from txdicom.dimse.association import Association
from txdicom.dimse.commands import CEchoRQ
from txdicom.dimse.operation import Operation
from txdicom.services.storage import StorageService
from txdicom.services.verification import VerificationService
from txdicom.storage.filestore import DiscardingStore, FileStore
from txdicom.testing import RawPeer, RecordingStore, associateRQ, connectRaw
from txdicom.upperlayer.pdu import AReleaseRQ
from txdicom.upperlayer.protocol import UpperLayerProtocol

#: What has been tried on receivers that make paths or commands of a UID.
HOSTILE_UIDS = (
    "../../escaped",
    "/tmp/escaped",
    "..",
    ".",
    "1.2/../../escaped",
    "1.2\\escaped",
    "1.2;touch escaped",
    "$(touch escaped)",
    "`touch escaped`|",
    "1.2\nescaped",
    "~/escaped",
    "1..2",
    "1.2.",
)


class PathTests(ConversationTestCase):
    """Names of files cannot be led astray."""

    def setUp(self) -> None:
        """Keep files in a directory within another one."""
        super().setUp()
        self.parent = Path(self.mktemp())
        self.directory = self.parent / "below"
        self.directory.mkdir(parents=True)

    def test_hostileUIDs(self) -> None:
        """What is no UID is refused in the request, and in the data set, and no file is made."""
        self.serve(StorageService(FileStore(self.directory)))
        peer = self.associate()
        for uid in HOSTILE_UIDS:
            for inRequest, inDataSet in ((uid, uid), (INSTANCE, uid), (uid, INSTANCE)):
                data = dataSet(sopInstance=inDataSet)
                answers = self.ask(peer, message(CT_CONTEXT, storeRQ(sopInstance=inRequest), data))
                self.assertIn(self.statusesOf(answers), ([(1, 0xC000)], [(1, 0xA900)]), uid)
        self.assertEqual(filesIn(self.parent), [])
        self.assertEqual(os.listdir(self.parent), ["below"])

    def test_plantedRunDirectory(self) -> None:
        """A link that is called like the directory of a killed run is not followed, and its files are not removed."""
        (self.parent / "1.part").write_bytes(b"precious")
        (self.directory / ".txdicom-0123456789abcdef").symlink_to(self.parent.resolve())
        FileStore(self.directory).open()
        self.assertEqual((self.parent / "1.part").read_bytes(), b"precious")

    def test_foreignHiddenDirectories(self) -> None:
        """What is somebody else's stays, be it called nearly like ours or hold what we do not make."""
        for name in (".txdicom-0123456789ABCDEF", ".txdicom-1", "txdicom-0123456789abcdef", ".other"):
            (self.directory / name).mkdir()
            (self.directory / name / "1.part").touch()
        ours = self.directory / ".txdicom-0123456789abcdef"
        ours.mkdir()
        (ours / "1.part").touch()
        (ours / "notes").touch()
        FileStore(self.directory).open()
        self.assertEqual(filesIn(self.directory), ["1.part"] * 5 + ["notes"])

    def test_unfinishedFilesAreNobodyElses(self) -> None:
        """The directory that they are in is closed to others, whatever the umask."""
        self.addCleanup(os.umask, os.umask(0))
        self.serve(StorageService(FileStore(self.directory)))
        self.associate().send(message(CT_CONTEXT, storeRQ(), dataSet())[:-10])
        (run,) = self.directory.iterdir()
        self.assertEqual(stat.S_IMODE(run.stat().st_mode), 0o700)

    def test_preambleIsZero(self) -> None:
        """No peer can have a file begin like a program (the preamble is not the peer's to choose)."""
        self.serve(StorageService(FileStore(self.directory)))
        self.ask(self.associate(), message(CT_CONTEXT, storeRQ(), dataSet()))
        self.assertEqual((self.directory / f"CT.{INSTANCE}").read_bytes()[:132], bytes(128) + b"DICM")


class SourceTests(ConversationTestCase):
    """What the program does not do at all."""

    #: Where something of the kind is done all the same, for what the operator has put on the command line: programs
    #: are looked for and run, files renamed by a call that Python does not have, and workers started.
    EXCEPTIONS: ClassVar = {
        "hooks/commandline.py": {"shutil"},
        "hooks/process.py": {"shutil", "spawnProcess"},
        "hooks/renaming.py": {"ctypes"},
        "tap.py": {"spawnProcess"},
    }

    def test_nothingIsRun(self) -> None:
        """
        No module starts programs, evaluates text, unpickles, calls foreign code, or changes who it runs as.

        But for what is listed above; in the command by which workers are started, nothing comes from a peer.
        """
        modules = {"subprocess", "multiprocessing", "pty", "pickle", "marshal", "ctypes", "shutil", "tempfile"}
        calls = {
            *("system", "popen", "posix_spawn", "spawnProcess", "fork", "eval", "exec", "compile", "__import__"),
            *("setuid", "seteuid", "setreuid", "setresuid", "setgid", "setgroups", "chmod", "chown", "execv", "execve"),
        }
        started = []
        done: dict[str, set[str]] = {}
        for path in PROGRAM:
            found = set()
            for node in ast.walk(parse(path)):
                if isinstance(node, ast.Import):
                    found |= modules & {name.name.partition(".")[0] for name in node.names}
                elif isinstance(node, ast.ImportFrom):
                    found |= modules & {(node.module or "").partition(".")[0]}
                elif isinstance(node, ast.Call):
                    function = node.func
                    # re.compile is a method of that name and does something else.
                    if isinstance(function, ast.Name):
                        found |= calls & {function.id}
                    elif isinstance(function, ast.Attribute) and ast.unparse(function.value) != "re":
                        found |= calls & {function.attr}
                        if path.name == "tap.py" and function.attr == "spawnProcess":
                            started.append(tuple(map(ast.unparse, node.args[1:3])))
            if found:
                done[str(path.relative_to(ROOT / "txdicom/storescp"))] = found
        self.assertEqual(done, self.EXCEPTIONS)
        worker = "[sys.executable, '-P', '-m', 'txdicom.storescp.workers', str(number)]"
        self.assertEqual(started, [("sys.executable", worker)])


class MemoryTests(ConversationTestCase):
    """Peers that come and go leave nothing in memory, however they go."""

    def endings(self) -> Iterator[Callable[[RawPeer], object]]:
        """Yield what a peer may do with its association, or instead of one."""
        begun = message(CT_CONTEXT, storeRQ(), dataSet())[:-20]
        for sent in (b"", b"\x07\0\0\0\0\4\0\0\0\0", AReleaseRQ().encode(), b"\x09\0\0\0\0\0", begun):
            yield lambda peer, sent=sent: peer.send(sent)
        yield lambda peer: peer.send(message(ECHO_CONTEXT, CEchoRQ(1)), message(CT_CONTEXT, storeRQ(), dataSet()))
        yield lambda peer: peer.send(message(CT_CONTEXT, storeRQ(), b"\x08\0\x16\0UI"), b"\x04\0\0\0\0\1")

    def alive(self) -> int:
        """Count what belongs to connections and is still there."""
        gc.collect()
        kinds = (Association, UpperLayerProtocol, Operation)
        return sum(isinstance(thing, kinds) for thing in gc.get_objects())

    def test_nothingIsLeft(self) -> None:
        # As long as nothing has begun to log, Twisted keeps every event, and each has an error with its traceback.
        self.patch(UpperLayerProtocol, "_log", Logger(observer=lambda event: None))
        before = self.alive()
        self.serve(VerificationService(), StorageService(DiscardingStore()))
        for _ in range(20):
            for end in self.endings():
                peer = connectRaw(self.factory)
                peer.send(associateRQ(PROPOSED))
                end(peer)
                peer.link.lose()
            for request in (associateRQ(PROPOSED).encode()[:50], b"\x01\0\xff\xff\xff\xff", b"GET / HTTP/1.0\r\n\r\n"):
                peer = connectRaw(self.factory)
                peer.send(request)
                peer.link.lose()
        del peer
        self.assertNothingLeft()
        self.assertEqual(self.alive(), before)


class NestingTests(ConversationTestCase):
    """Sequences within sequences, as many as fit."""

    def test_deepSequences(self) -> None:
        """Before the UIDs they are refused; behind them they are stored unread; the association lives on."""
        for syntax in SYNTAXES:
            level = header(syntax, 0x00080006, b"SQ", UNDEFINED) + header(syntax, ITEM, b"", UNDEFINED)
            nested = 20_000 * level
            store = RecordingStore()
            self.serve(StorageService(store))
            peer = self.associate(request=associateRQ({CT: [syntax]}))
            answers = self.ask(peer, message(1, storeRQ(1), nested + dataSet(syntax)))
            answers += self.ask(peer, message(1, storeRQ(2), dataSet(syntax, rest=nested)))
            self.assertEqual(self.statusesOf(answers), [(1, 0xC000), (2, 0x0000)])
            self.assertEqual([record.dataSet for record in store.stored], [dataSet(syntax, rest=nested)])


class AdmissionTests(ReceiverTestCase):
    """Who is let in, by the options of the program; peers in memory come from 127.0.0.1."""

    def seen(self, *arguments: str, **titles: str) -> str:
        """Return what a peer sees that asks for an association."""
        return described(connectRaw(self.serve(*arguments)).send(associateRQ(PROPOSED, **titles)))

    def test_networks(self) -> None:
        self.assertEqual(self.seen("--accept-from=10.0.0.0/8", "--accept-from=fd00::/8"), "A-ASSOCIATE-RJ 1/1/1")
        self.assertEqual(self.seen("--accept-from=10.0.0.0/8", "--accept-from=127.0.0.0/8"), "AAssociateAC")

    def test_titles(self) -> None:
        called = ("--require-called-aet", "--aetitle=ARCHIVE")
        self.assertEqual(self.seen(*called), "A-ASSOCIATE-RJ 1/1/7")
        self.assertEqual(self.seen(*called, calledAETitle="ARCHIVE"), "AAssociateAC")
        calling = ("--accept-calling-aet=CT1", "--accept-calling-aet=MR1")
        self.assertEqual(self.seen(*calling), "A-ASSOCIATE-RJ 1/1/3")
        self.assertEqual(self.seen(*calling, callingAETitle="MR1"), "AAssociateAC")

    def test_everybodyByDefault(self) -> None:
        self.assertEqual(self.seen(callingAETitle="ANYBODY", calledAETitle="WHATEVER"), "AAssociateAC")

    def test_duplicates(self) -> None:
        """Whoever comes second with the same UID, what was there stays."""
        first, second = (
            programsDataSet(element(EXPLICIT_LITTLE, 0x00100020, b"LO", text)) for text in (b"1st.", b"2nd.")
        )
        for choice, status, names in (
            ("keep", 0x0000, [FILE_NAME]),
            ("reject", 0x0111, [FILE_NAME]),
            ("rename", 0x0000, [FILE_NAME, f"{FILE_NAME}.1"]),
        ):
            self.directory = self.mktemp()
            os.mkdir(self.directory)
            peer = self.associate(self.serve(f"--duplicates={choice}"))
            self.assertEqual(self.store(peer, 1, first), [(1, 0x0000)])
            self.assertEqual(self.store(peer, 2, second), [(2, status)])
            self.assertEqual(filesIn(self.directory), names)
            self.assertTrue(Path(self.directory, FILE_NAME).read_bytes().endswith(first))

    def test_freeSpace(self) -> None:
        """What docs/limits.rst says of the store's bound."""
        peer = self.associate(self.serve("--min-free-space=1024T"))
        answers = peer.send(programsStoreRQ(), *dataPDUs(programsDataSet()))
        self.assertEqual(statusesIn(answers), [(1, int(documented("Of the store\n")["--min-free-space"], 16))])
        self.assertEqual(filesIn(self.directory), [])

    def test_gracePeriod(self) -> None:
        """What docs/limits.rst says of the program's bound."""
        factory = self.serve("--grace-period=5")
        peer = self.associate(factory)
        peer.send(programsStoreRQ(), dataPDUs(programsDataSet(), b"rest")[0])
        self.service.stopService()
        self.assertEqual(described(connectRaw(factory).send(associateRQ(PROPOSED))), "A-ASSOCIATE-RJ 2/3/1")
        self.reactor.advance(5)
        peer.link.flush()
        self.assertEqual(described(peer.takePDUs()), documented("Of the store\n")["--grace-period"])
