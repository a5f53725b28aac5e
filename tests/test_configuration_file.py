"""Tests of ``--config``: options from a TOML file, and AE titles with options of their own."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.documents import DOCS, loadModule
from tests.receivers import (
    CT,
    FILE_NAME,
    INSTANCE,
    PROPOSED,
    ReceiverTestCase,
    dataPDUs,
    dataSet,
    filesIn,
    statusesIn,
    storeRQ,
)
from txdicom.errors import DIMSEError
from txdicom.interfaces import IReceiverPlugin
from txdicom.storescp.options import Options
from txdicom.storescp.options.table import OPTIONS
from txdicom.storescp.options.tomlfile import LONGEST_FILE
from txdicom.storescp.service import StartError
from txdicom.storescp.tap import makeService
from txdicom.testing import RawPeer, associateRQ, connectRaw
from txdicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from txdicom.upperlayer.pdu import AAssociateAC, AAssociateRJ, AAssociateRQ

tables = loadModule(DOCS / "_ext" / "tables.py")
PROFILE = Path(__file__).parent / "profile.cfg"


@implementer(IReceiverPlugin)
class Plugin:
    """Notes which titles were asked for."""

    def __init__(self) -> None:
        self.stored: list[str] = []

    def instanceStored(self, event: Any) -> None:
        """Note it."""
        self.stored.append(event.calledAETitle)

    def studyEnded(self, event: Any) -> None:
        """There are no studies in these tests."""


class HesitantPlugin(Plugin):
    """
    Agrees to nothing before it is told to.

    :ivar asked: what it has to say in the end.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Deferred[None]] = []

    def instanceStored(self, event: Any) -> Deferred[None]:  # type: ignore[override]
        """Wait."""
        self.asked.append(Deferred())
        return self.asked[-1]


everybodys, own, hesitant = Plugin(), Plugin(), HesitantPlugin()


class FileTestCase(SynchronousTestCase):
    """Command lines with a configuration file."""

    def setUp(self) -> None:
        """Name the file."""
        self.path = Path(self.mktemp()).absolute()

    def parse(self, text: str, *arguments: str) -> Options:
        """Parse a command line with a file that has this text."""
        self.path.write_text(text)
        options = Options()
        options.parseOptions(["--config", str(self.path), *arguments])
        return options

    def assertRefused(self, sentence: str, text: str, *arguments: str) -> None:
        """The file is refused with a sentence, and status 1."""
        errors = io.StringIO()
        self.patch(sys, "stderr", errors)
        leaving = self.assertRaises(SystemExit, self.parse, text, *arguments)
        self.assertEqual(leaving.code, 1)
        self.assertEqual(errors.getvalue().splitlines()[0], f"storescp: {sentence.replace('FILE', str(self.path))}")


class EverybodyTests(FileTestCase):
    """Options for everybody."""

    def test_sameAsOnTheCommandLine(self) -> None:
        """Texts, numbers, flags and lists lead to what they would lead to there."""
        text = """
            port = 104
            ignore = true
            debug = false
            verbose = true
            aetitle = "ARCHIVE"
            max-pdu = 8192
            acse-timeout = 2.5
            max-object-size = "4K"
            accept-from = ["10.0.0.0/8", "::1"]
            accept-calling-aet = "CT1"
            fault = "all:abort"
        """
        options = self.parse(text)
        other = Options()
        other.parseOptions(
            [
                *("-i", "-v", "-aet", "ARCHIVE", "--max-pdu=8192", "--acse-timeout=2.5", "--max-object-size=4K"),
                *("--accept-from=10.0.0.0/8", "--accept-from=::1", "--accept-calling-aet=CT1", "--fault=all:abort"),
                *("104", f"--config={os.devnull}"),
            ]
        )
        self.assertEqual({**options, "config": ""}, {**other, "config": ""})

    def test_everyOption(self) -> None:
        """Whatever is an option, but for questions and files like this one, may be in it."""
        for option in OPTIONS.values():
            value = "true" if not option.takes else '["", ""]' if len(option.takes) > 1 else '"\\u0000"'
            errors = io.StringIO()
            self.patch(sys, "stderr", errors)
            with contextlib.suppress(SystemExit):
                self.parse(f"{option.name} = {value}", "-i", "104")
            known = "is not an option of configuration files" not in errors.getvalue()
            self.assertEqual(known, option.answer is None and option.name != "config", option.name)

    def test_commandLineWins(self) -> None:
        """What it says takes the place of what the file says: alternatives, lists and contradictions too."""
        text = """
            port = 104
            ignore = true
            verbose = true
            max-pdu = 8192
            accept-from = ["10.0.0.0/8"]
            prefer-little = true
            config-file = ["/none", "x"]
        """
        options = self.parse(text, "11112", "-q", "--max-pdu=4096", "--accept-from=::1", "+xi")
        self.assertEqual((options["port"], options["max-pdu"], options["verbose"]), (11112, 4096, False))
        self.assertEqual([str(network) for network in options["networks"]], ["::1/128"])
        self.assertEqual(options["transfer-syntaxes"], (IMPLICIT_VR_LITTLE_ENDIAN,))
        self.assertIsNone(options["config-file"])
        self.assertTrue(options["ignore"])

    def test_lastFileCounts(self) -> None:
        self.assertEqual(self.parse("max-pdu = 8192", "--config", os.devnull, "-i", "104")["max-pdu"], 16384)

    def test_refused(self) -> None:
        """Whatever is wrong has a sentence that says where."""
        for text, sentence in (
            ("nonsense = 1", "FILE: 'nonsense' is not an option of configuration files"),
            ("version = true", "FILE: 'version' is not an option of configuration files"),
            ("config = 'x'", "FILE: 'config' is not an option of configuration files"),
            (
                "fork = true",
                "FILE: fork is not offered:"
                " one process serves all associations at once, and --workers more; leave it out",
            ),
            ("verbose = 1", "FILE: verbose is neither true nor false"),
            ("max-pdu = true", "FILE: max-pdu is neither a text nor a number"),
            ("max-pdu = [1, 2]", "FILE: max-pdu takes 1 value"),
            ("config-file = 'x'", "FILE: config-file takes 2 values"),
            ("accept-from = [{}]", "FILE: accept-from is neither a text nor a number"),
            ("max-pdu = 5", "Maximum receive PDU length (5) too small, at least 4096 or 0"),
            ("ae = 1", "FILE: 'ae' is not a table of AE titles, such as [ae.ARCHIVE]"),
            ("[ae]\nX = 1", "FILE: 'ae' is not a table of AE titles, such as [ae.ARCHIVE]"),
            ("[ae.X]\nport = 1", "FILE: ae.X: port is the same for all AE titles"),
            ("[ae.X]\nnonsense = 1", "FILE: ae.X: 'nonsense' is not an option of configuration files"),
            ("[ae.'A\\\\B']", "FILE: AE title 'A\\\\\\\\B' is not an AE title of 1 to 16 characters"),
            ("[ae.X]\n[ae.' X']", "FILE: AE title 'X' is there twice"),
            (
                "[ae.X]\nduplicates = 'lose'",
                "AE title X: --duplicates 'lose' is none of overwrite, keep, reject, rename",
            ),
            ("[ae.X]\nconfig-file = ['/none', 'x']", "AE title X: /none cannot be read: No such file or directory"),
        ):
            self.assertRefused(sentence, text, "-i", "104")
        self.assertRefused(
            "AE title X: output directory /none does not exist or is not a directory",
            "[ae.X]\noutput-directory = '/none'",
            f"--output-directory={self.path.parent}",
            "104",
        )

    def test_notTOML(self) -> None:
        """A file that is none is refused, with the place that Python's parser tells."""
        self.assertRefused(
            "FILE is not TOML: Expected '=' after a key in a key/value pair (at line 2, column 3)", "\na b"
        )
        self.assertRefused(f"FILE has more than {LONGEST_FILE} bytes", "#" * (LONGEST_FILE + 1))
        self.path.write_bytes(b"\xff")
        errors = io.StringIO()
        self.patch(sys, "stderr", errors)
        for path, sentence in ((str(self.path), "is not TOML: "), ("/none", "cannot be read: No such file")):
            self.assertRaises(SystemExit, Options().parseOptions, ["--config", path, "104"])
            self.assertIn(f"{path} {sentence}", errors.getvalue())
        deep = "a = " + "[" * 100000
        self.assertRaises(SystemExit, self.parse, deep, "104")


class ListingTests(SynchronousTestCase):
    """The file that the documentation shows."""

    def test_listing(self) -> None:
        """It is read, with two AE titles that differ in what it says."""
        home = Path(self.mktemp()).absolute()
        (home / "received" / "research").mkdir(parents=True)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(home)
        options = Options()
        options.parseOptions(["--config", str(DOCS / "listings" / "receiver.toml")])
        research, quality = options["titles"]["RESEARCH"], options["titles"]["QA ROOM 1"]
        self.assertEqual((options["port"], options["aetitle"]), (11112, "ROUTER"))
        self.assertEqual((research["output-directory"], research["duplicates"]), (f"{home}/received/research", "keep"))
        self.assertEqual((research["calling-aets"], research["promiscuous"]), (["CT1", "CT2"], True))
        self.assertEqual((quality["ignore"], quality["output-directory"]), (True, f"{home}/received"))
        self.assertEqual(quality["networks"], options["networks"])

    def test_everyOptionOfATitleIsOne(self) -> None:
        """What the documentation lists may be in a table, and nothing else."""
        listed = {row[0].removeprefix("--") for row in tables.titleOptions()[1]}
        self.assertEqual(listed, {option.name for option in OPTIONS.values() if option.perTitle})
        self.assertGreaterEqual(
            listed, {"output-directory", "accept-calling-aet", "promiscuous", "config-file", "fault"}
        )
        self.assertTrue(
            listed.isdisjoint({"port", "endpoint", "max-associations", "log-json", "aetitle", "enable-tls"})
        )


class TitlesTests(ReceiverTestCase):
    """AE titles with options of their own."""

    def setUp(self) -> None:
        """Make a directory for one of them."""
        super().setUp()
        self.own = Path(self.mktemp()).absolute()
        self.own.mkdir()
        self.path = Path(self.mktemp()).absolute()

    def optionsOf(self, *arguments: str) -> Options:
        """Parse a command line with the file."""
        return super().optionsOf("--config", str(self.path), *arguments)

    def ask(self, request: AAssociateRQ, peer: RawPeer) -> AAssociateAC | AAssociateRJ:  # type: ignore[override]
        """Return how a request is answered."""
        (answer,) = peer.send(request)
        assert isinstance(answer, AAssociateAC | AAssociateRJ)
        return answer

    def storeAt(self, title: str, *arguments: str) -> None:
        """Store an instance with who has this title."""
        peer = connectRaw(self.serve(*arguments))
        self.assertIsInstance(self.ask(associateRQ(PROPOSED, calledAETitle=title), peer), AAssociateAC)
        self.assertEqual(statusesIn(peer.send(storeRQ(), *dataPDUs(dataSet()))), [(1, 0)])
        peer.link.lose()

    def test_directories(self) -> None:
        """Each title has its own; others have what is for everybody."""
        self.path.write_text(f"[ae.RESEARCH]\noutput-directory = '{self.own}'\n[ae.'Q A']\nignore = true\n")
        self.storeAt("RESEARCH  ")
        self.assertEqual((filesIn(self.own), filesIn(self.directory)), ([FILE_NAME], []))
        self.storeAt("Q A")
        self.assertEqual((filesIn(self.own), filesIn(self.directory)), ([FILE_NAME], []))
        self.storeAt("ANYBODY")
        self.assertEqual((filesIn(self.own), filesIn(self.directory)), ([FILE_NAME], [FILE_NAME]))

    def test_guests(self) -> None:
        """Each title says who may come in; what is for everybody counts where it says nothing."""
        self.path.write_text(
            """
            ignore = true
            require-called-aet = true
            aetitle = "MAIN"
            accept-calling-aet = ["CT1"]
            [ae.OPEN]
            accept-calling-aet = ["CT2"]
            [ae.SAME]
            [ae.CLOSED]
            refuse = true
            """
        )
        factory = self.serve()
        for called, calling, reason in (
            ("MAIN", "CT1", None),
            ("MAIN", "CT2", 3),
            ("OPEN", "CT2", None),
            ("OPEN", "CT1", 3),
            ("SAME", "CT1", None),
            ("SAME", "CT2", 3),
            ("CLOSED", "CT1", 1),
            ("OTHER", "CT1", 7),
            ("STORESCP", "CT1", 7),
        ):
            peer = connectRaw(factory)
            answer = self.ask(associateRQ(PROPOSED, calledAETitle=called, callingAETitle=calling), peer)
            self.assertEqual(getattr(answer, "reason", None), reason, (called, calling))

    def test_negotiation(self) -> None:
        """Each title accepts SOP classes and transfer syntaxes of its own."""
        self.path.write_text(
            f"ignore = true\n[ae.ANY]\npromiscuous = true\n[ae.PLAIN]\nconfig-file = ['{PROFILE}', 'plain']\n"
        )
        factory = self.serve()
        proposed = [
            (CT, [EXPLICIT_VR_LITTLE_ENDIAN]),
            (CT, [IMPLICIT_VR_LITTLE_ENDIAN]),
            ("1.2.3", ["1.2.840.10008.1.2"]),
        ]
        for title, results in (("X", [0, 0, 3]), ("ANY", [0, 0, 0]), ("PLAIN", [4, 0, 3])):
            answer = self.ask(associateRQ(proposed, calledAETitle=title), connectRaw(factory))
            assert isinstance(answer, AAssociateAC)
            found = [int(context.result) for context in answer.presentationContexts]
            self.assertEqual(found, results, title)

    def test_services(self) -> None:
        """A request is answered by who has the title, whatever was asked for before on other associations."""
        self.path.write_text(f"[ae.X]\noutput-directory = '{self.own}'\n[ae.Y]\nfault = 'all:status=0xA700'")
        factory = self.serve()
        peers = []
        for title in ("X", "Y", "Z"):
            peers.append(connectRaw(factory))
            self.ask(associateRQ(PROPOSED, calledAETitle=title), peers[-1])
        statuses = [super(TitlesTests, self).ask(peer, storeRQ(), *dataPDUs(dataSet()))[0][1] for peer in peers]
        self.assertEqual(statuses, [0, 0xA700, 0])
        self.assertEqual((filesIn(self.own), filesIn(self.directory)), ([FILE_NAME], [FILE_NAME]))

    def test_names(self) -> None:
        """Each title may call its files otherwise, and sort them."""
        self.path.write_text("filename-extension = '.dcm'\n[ae.X]\npath = '{SOPInstanceUID}.ct'\n[ae.Y]\n")
        self.storeAt("X")
        self.assertEqual(filesIn(self.directory), [f"{INSTANCE}.ct"])
        self.storeAt("Y")
        self.assertEqual(filesIn(self.directory), [f"{INSTANCE}.ct", f"{FILE_NAME}.dcm"])

    def test_hooks(self) -> None:
        """A title that says something of hooks has its own, the others share those of everybody."""
        self.path.write_text(
            "plugin = ['tests.test_configuration_file.everybodys']\n[ae.X]\n"
            "plugin = ['tests.test_configuration_file.own']\n[ae.Y]\nignore = true\n"
        )
        for title in ("X", "Y", "Z"):
            self.storeAt(title)
        self.assertEqual([plugin.stored for plugin in (everybodys, own)], [["Y", "Z"], ["X"]])

    def test_oneDirectoryOfTwo(self) -> None:
        """Those that ask about the same file wait for each other: what was acknowledged before comes back."""
        self.path.write_text(
            "plugin = ['tests.test_configuration_file.hesitant']\nexec-sync = true\n[ae.X]\neostudy-timeout = 9\n"
        )
        factory = self.serve()
        first, second, third = (connectRaw(factory) for _ in range(3))
        for peer, title in ((first, "ANYBODY"), (second, "X"), (third, "ANYBODY")):
            self.ask(associateRQ(PROPOSED, calledAETitle=title), peer)
        first.send(storeRQ(), *dataPDUs(dataSet()))
        hesitant.asked.pop().callback(None)
        self.assertEqual(statusesIn(first.send()), [(1, 0)])
        kept = (Path(self.directory) / FILE_NAME).read_bytes()
        for peer in (second, third):
            peer.send(storeRQ(), *dataPDUs(dataSet(bytes(8))))
        for peer in (second, third):
            self.assertEqual(len(hesitant.asked), 1)
            hesitant.asked.pop().errback(DIMSEError(0xA700, "no"))
            self.assertEqual(statusesIn(peer.send()), [(1, 0xA700)])
        self.assertEqual((Path(self.directory) / FILE_NAME).read_bytes(), kept)

    def test_delays(self) -> None:
        """A delay of one title is no reason to give its store up."""
        self.path.write_text("ignore = true\n[ae.SLOW]\nsleep-after = 1000")
        peer = connectRaw(self.serve())
        self.ask(associateRQ(PROPOSED, calledAETitle="SLOW"), peer)
        self.assertEqual(super().ask(peer, storeRQ(), *dataPDUs(dataSet())), [(1, 0)])
        self.reactor.pump([100.0] * 9)
        self.assertEqual(super().ask(peer, storeRQ(2), *dataPDUs(dataSet())), [])
        self.reactor.pump([100.0] * 2)
        self.assertEqual(statusesIn(peer.send()), [(2, 0)])

    def test_storeThatCannotBeOpened(self) -> None:
        """The program does not start, and has nothing open."""
        self.path.write_text(f"[ae.X]\noutput-directory = '{self.own}'")
        service = makeService(self.optionsOf("104"))
        self.own.rmdir()
        self.patch(sys, "__stderr__", io.StringIO())
        self.assertRaises(StartError, service.startService)
        self.assertEqual(os.listdir(self.directory), [])
