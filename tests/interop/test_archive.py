"""
The archive of the manual, queried and retrieved from by DCMTK's programs, by pynetdicom and by our own requestor.

What comes out of it is compared with what has been sent to it, byte for byte.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from pydicom import Dataset, dcmread
from pydicom.data import get_charset_files, get_testdata_file

from benchmarks.ports import freePort
from tests.documents import LISTINGS
from tests.interop.peers import requireModule, requireProgram, requireScript
from tests.interop.receiver import Receiver
from tests.interop.test_requestor import CT, MR, PATIENCE, STUDY, RequestorTestCase, byUID, dataSetOf
from txdicom.services.instances import identify
from txdicom.services.query import STUDY_ROOT
from txdicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, STORAGE_SOP_CLASSES

#: The options by which DCMTK's getscu asks for a transfer syntax before any others. (That for implicit VR does not.)
UNCOMPRESSED = {EXPLICIT_VR_LITTLE_ENDIAN: "+xe"}
COMPRESSED = {"1.2.840.10008.1.2.4.70": "+xs", "1.2.840.10008.1.2.4.90": "+xv", "1.2.840.10008.1.2.5": "+xr"}
RLE = str(get_testdata_file("MR_small_RLE.dcm"))
KANJI = get_charset_files("chrH31.dcm")[0]


class ArchiveTestCase(RequestorTestCase):
    """
    The listing's archive.

    :cvar changes: what is replaced in it, by what.
    :ivar viewer: the port of the peer that it calls VIEWER.
    """

    changes: ClassVar[dict[str, str]] = {}

    def setUp(self) -> None:
        super().setUp()
        self.viewer = freePort()
        (self.home / "received").mkdir()
        for name in ("archiving.py", "indexing.py"):
            shutil.copy(LISTINGS / name, self.home)
        listing = (LISTINGS / "archive.tac").read_text()
        addresses = {'"tcp:11112"': self.port, '"tcp:192.0.2.3:11112"': self.viewer}
        changes = {old: f'"tcp:{"127.0.0.1:" if "192" in old else ""}{new}"' for old, new in addresses.items()}
        for old, new in {**changes, **self.changes}.items():
            self.assertIn(old, listing)
            listing = listing.replace(old, new)
        (self.home / "archive.tac").write_text(listing)
        self.start("env", "PYTHONPATH=.", requireScript("twistd"), "-n", "--pidfile=", "-y", "archive.tac")

    def fill(self, paths: Iterable[str | Path]) -> dict[str, str]:
        """Send files to the archive, and return the path of each UID."""
        sent = {identify(str(path)).sopInstanceUID: str(path) for path in paths}
        report = self.send([*sent.values()], "-n", "2")
        self.assertIn(f"{len(sent)} of {len(sent)} stored", report)
        return sent

    def storable(self) -> dict[str, str]:
        """Choose what calls itself by a UID, one file of each."""
        return self.sendable("bad_sequence.dcm")

    def folder(self, name: str) -> Path:
        """Make a folder to receive into."""
        folder = self.home / name
        folder.mkdir()
        return folder

    def theirs(
        self,
        program: str,
        *arguments: object,
        level: str = "STUDY",
        status: int = 0,
        folder: Path | None = None,
        files: Iterable[str] = (),
        **keys: str,
    ) -> str:
        """Run one of DCMTK's programs against the archive; return what it says."""
        asked = [f"{name}={value}" for name, value in {"QueryRetrieveLevel": level, **keys}.items()]
        peer = ("127.0.0.1", str(self.port))
        done = subprocess.run(
            [requireProgram(program), "-v", "-S", *map(str, arguments), *_each("-k", asked), *peer, *files],
            cwd=folder or self.home,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        output = done.stdout + done.stderr
        self.assertEqual(done.returncode, status, output)
        return output

    def getEach(self, options: dict[str, str]) -> None:
        """Retrieve all that there is in each transfer syntax, with the option that asks for it."""
        groups: dict[str, dict[str, str]] = {}
        # What is compressed by RLE has the UID of another file.
        for uid, path in {**self.storable(), identify(RLE).sopInstanceUID: RLE}.items():
            identity = identify(path)
            if identity.transferSyntaxUID in options and identity.sopClassUID in STORAGE_SOP_CLASSES:
                groups.setdefault(identity.transferSyntaxUID, {})[uid] = path
        self.assertEqual(set(groups), set(options))
        self.fill([path for group in groups.values() for path in group.values()])
        for syntax, group in groups.items():
            folder = self.folder(syntax)
            report = self.theirs(
                "getscu", "+B", "-od", folder, options[syntax], level="IMAGE", SOPInstanceUID="\\".join(group)
            )
            self.assertIn("Received C-GET Response (Success)", report)
            self.assertIn(f"Completed Suboperations : {len(group)}\n", report)
            self.assertKept(group, folder)


class FindTests(ArchiveTestCase):
    """C-FIND by DCMTK's findscu and the listing find.py."""

    def setUp(self) -> None:
        super().setUp()
        self.fill([CT, MR, KANJI])

    def find(self, **keys: str) -> int:
        """Tell how many matches there are."""
        return self.theirs("findscu", **keys).count("(Pending)")

    def test_keys(self) -> None:
        """None, wildcards, a list of UIDs, ranges of dates, and what would be wildcards or more to a database."""
        self.assertEqual(self.find(StudyInstanceUID=""), 3)
        for name, number in (("compressedsamples^ct*", 1), ("*Samples^?R1", 1), ("*", 3), ("Nobody", 0)):
            self.assertEqual(self.find(PatientName=name), number, name)
        for name in ("%", "C_mpressedSamples^CT1", "' OR '1'='1", "\\\\"):
            self.assertEqual(self.find(PatientName=name), 0, name)
        self.assertEqual(self.find(StudyInstanceUID=f"{STUDY}\\1.2.3"), 1)
        for dates, number in (("20040101-20040630", 1), ("20040101-", 2), ("-20031231", 0), ("20040119", 1)):
            self.assertEqual(self.find(StudyDate=dates), number, dates)

    def test_levels(self) -> None:
        self.assertEqual(self.find(level="SERIES", StudyInstanceUID=STUDY, Modality=""), 1)
        found = self.theirs("findscu", level="IMAGE", StudyInstanceUID=STUDY, SOPInstanceUID="")
        self.assertIn(str(dcmread(CT).SOPInstanceUID), found)
        self.assertIn("DataSetDoesNotMatchSOPClass", self.theirs("findscu", level="WARD", StudyInstanceUID=""))

    def test_characterSets(self) -> None:
        """A name in three scripts is found, and comes back, in UTF-8."""
        name = str(dcmread(KANJI).PatientName)
        query = Dataset()
        query.SpecificCharacterSet = "ISO_IR 192"
        query.update({"QueryRetrieveLevel": "STUDY", "PatientName": f"{name[:12]}*", "StudyInstanceUID": ""})
        query.save_as(self.home / "query.dcm", implicit_vr=True, little_endian=True)
        self.assertIn(name, self.theirs("findscu", files=["query.dcm"]))

    def test_ours(self) -> None:
        everything = self.run_(LISTINGS / "find.py", "127.0.0.1", self.port, "ARCHIVE", "C*").splitlines()
        self.assertEqual(len(everything), 2)


class GetTests(ArchiveTestCase):
    """C-GET by DCMTK's getscu, by pynetdicom and by the listing retrieve.py."""

    def test_getscu(self) -> None:
        """What is uncompressed comes as it was sent to who asks for its transfer syntax."""
        self.getEach(UNCOMPRESSED)

    def test_getscuConverted(self) -> None:
        """What is stored in another uncompressed transfer syntax, or deflated, comes with the same elements."""
        sent = self.fill(get_testdata_file(name) for name in ("rtplan.dcm", "image_dfl.dcm"))
        folder = self.folder("got")
        report = self.theirs("getscu", "+B", "-od", folder, level="IMAGE", SOPInstanceUID="\\".join(sent))
        self.assertIn("Received C-GET Response (Success)", report)
        stored = byUID(folder)
        self.assertEqual(sorted(stored), sorted(sent))
        for uid, path in stored.items():
            self.assertEqual([*dcmread(path)], [*dcmread(sent[uid])], sent[uid])

    def test_refused(self) -> None:
        """An identifier without the unique key, and one that nothing matches."""
        self.fill([CT])
        self.assertIn("DataSetDoesNotMatchSOPClass", self.theirs("getscu", PatientName="*"))
        self.assertIn("Completed Suboperations : 0\n", self.theirs("getscu", StudyInstanceUID="1.2.3"))

    def test_pynetdicom(self) -> None:
        """All that it takes, each in its own transfer syntax, over one association."""
        found = {uid: path for uid, path in self.storable().items() if identify(path).sopClassUID in _known()}
        # There is room for no more than 127 combinations.
        pairs = sorted({_pair(path) for path in found.values()})[:127]
        sent = {uid: path for uid, path in found.items() if _pair(path) in pairs}
        self.assertGreater(len(sent), 100)
        self.fill(sent.values())
        folder = self.folder("got")
        statuses = self.getByPynetdicom(folder, pairs, [*sent])
        self.assertEqual((statuses[-1].Status, statuses[-1].NumberOfCompletedSuboperations), (0, len(sent)))
        self.assertEqual([status.Status for status in statuses[:-1]], [0xFF00] * (len(sent) - 1))
        remaining = [status.NumberOfRemainingSuboperations for status in statuses[:-1]]
        self.assertEqual(remaining, [*range(len(sent) - 1, 0, -1)])
        self.assertNotIn("NumberOfRemainingSuboperations", statuses[-1])
        self.assertKept(sent, folder)

    def test_pynetdicomTakesSome(self) -> None:
        """What it has not proposed fails, and is listed."""
        sent = self.fill([CT, MR])
        statuses = self.getByPynetdicom(self.folder("got"), [_pair(CT)], [*sent])
        last = statuses[-1]
        self.assertEqual(
            (last.Status, last.NumberOfCompletedSuboperations, last.NumberOfFailedSuboperations), (0xB000, 1, 1)
        )
        self.assertEqual(self.identifiers[-1].FailedSOPInstanceUIDList, identify(MR).sopInstanceUID)

    def getByPynetdicom(self, folder: Path, pairs: Iterable[tuple[str, str]], uids: Iterable[str]) -> list[Dataset]:
        """
        Retrieve by pynetdicom; return the statuses, and have the identifiers in `identifiers`.

        :param pairs: SOP class and transfer syntax of each context.
        """
        pynetdicom = requireModule("pynetdicom")
        entity = pynetdicom.AE("PYNETDICOM")
        contexts = [pynetdicom.build_context(*pair) for pair in (*pairs, (STUDY_ROOT.get, IMPLICIT_VR_LITTLE_ENDIAN))]
        roles = [pynetdicom.build_role(sopClass, scp_role=True) for sopClass in {pair[0] for pair in pairs}]

        def store(event: Any) -> int:
            (folder / event.request.AffectedSOPInstanceUID).write_bytes(event.encoded_dataset())
            return 0

        association = entity.associate(
            "127.0.0.1", self.port, contexts, ext_neg=roles, evt_handlers=[(pynetdicom.evt.EVT_C_STORE, store)]
        )
        self.assertTrue(association.is_established)
        query = Dataset()
        query.update({"QueryRetrieveLevel": "IMAGE", "SOPInstanceUID": [*uids]})
        answers = list(association.send_c_get(query, STUDY_ROOT.get))
        association.release()
        self.identifiers = [identifier for _, identifier in answers]
        return [status for status, _ in answers]

    def test_ours(self) -> None:
        sent = self.fill([CT, MR])
        folder = self.folder("got")
        report = self.run_(LISTINGS / "retrieve.py", "127.0.0.1", self.port, "ARCHIVE", STUDY, folder)
        self.assertEqual(report.splitlines()[-1], "1 retrieved, 0 failed")
        (path,) = folder.iterdir()
        self.assertEqual(dataSetOf(path), dataSetOf(sent[identify(CT).sopInstanceUID]))


class CompressedGetTests(ArchiveTestCase):
    """An archive that sends, of what a peer would take, what that would like best."""

    changes: ClassVar = {
        "[STUDY_ROOT.get], disk": "[STUDY_ROOT.get], disk, storage={OTHER_STORAGE_SOP_CLASSES: ACCEPT_ALL}"
    }

    def test_getscu(self) -> None:
        """What is compressed comes as it was sent."""
        self.getEach(COMPRESSED)


class MoveTests(ArchiveTestCase):
    """C-MOVE by DCMTK's movescu, by pynetdicom and by the listing move.py."""

    def test_everythingToStorescp(self) -> None:
        """All of pydicom's files to DCMTK's storescp, as they were sent."""
        sent = self.fill(self.storable().values())
        folder = self.folder("viewed")
        self.start(requireProgram("storescp"), "+B", "+xa", "-pm", "-od", folder, self.viewer, port=self.viewer)
        report = self.theirs("movescu", "-aem", "VIEWER", level="IMAGE", SOPInstanceUID="\\".join(sent))
        self.assertIn("Received Final Move Response (Success)", report)
        self.assertKept(sent, folder)

    def test_toMovescu(self) -> None:
        """DCMTK's movescu takes them itself."""
        sent = self.fill([CT])
        folder = self.folder("moved")
        report = self.theirs(
            "movescu", "+B", "-aem", "VIEWER", "+P", self.viewer, folder=folder, StudyInstanceUID=STUDY
        )
        self.assertIn("Received Final Move Response (Success)", report)
        self.assertKept(sent, folder)

    def test_refused(self) -> None:
        """Nobody known, and nobody there."""
        self.fill([CT])
        report = self.theirs("movescu", "-aem", "NOBODY", StudyInstanceUID=STUDY, status=69)
        self.assertIn("(Refused: MoveDestinationUnknown)", report)
        report = self.theirs("movescu", "-aem", "VIEWER", StudyInstanceUID=STUDY, status=69)
        self.assertIn("(Refused: OutOfResourcesSubOperations)", report)

    def test_pynetdicom(self) -> None:
        """To our own receiver, which learns who asked for it."""
        self.fill([CT])
        pynetdicom = requireModule("pynetdicom")
        received: list[Any] = []

        def store(event: Any) -> int:
            received.append((event.request.MoveOriginatorApplicationEntityTitle, event.request.MoveOriginatorMessageID))
            return 0

        entity = pynetdicom.AE("CONSOLE")
        entity.add_requested_context(STUDY_ROOT.move)
        entity.supported_contexts = pynetdicom.StoragePresentationContexts
        server = entity.start_server(
            ("127.0.0.1", self.viewer), block=False, evt_handlers=[(pynetdicom.evt.EVT_C_STORE, store)]
        )
        self.addCleanup(server.shutdown)
        association = entity.associate("127.0.0.1", self.port)
        query = Dataset()
        query.update({"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": STUDY})
        statuses = [status for status, _ in association.send_c_move(query, "VIEWER", STUDY_ROOT.move, msg_id=77)]
        association.release()
        self.assertEqual([status.Status for status in statuses], [0])
        self.assertEqual(received, [("CONSOLE", 77)])

    def test_ours(self) -> None:
        self.fill([CT])
        receiver = Receiver(f"--endpoint=tcp:{self.viewer}:interface=127.0.0.1")
        self.addCleanup(receiver.stop)
        report = self.run_(LISTINGS / "move.py", "127.0.0.1", self.port, "ARCHIVE", STUDY, "VIEWER")
        self.assertEqual(report, "1 sent, 0 failed\n")
        (stored,) = receiver.take().values()
        self.assertTrue(stored.endswith(dataSetOf(CT)))


def _each(option: str, values: Iterable[str]) -> list[str]:
    return [argument for value in values for argument in (option, value)]


def _pair(path: str) -> tuple[str, str]:
    identity = identify(path)
    return identity.sopClassUID, identity.transferSyntaxUID


def _known() -> set[str]:
    return set(requireModule("pynetdicom.sop_class")._STORAGE_CLASSES.values())
