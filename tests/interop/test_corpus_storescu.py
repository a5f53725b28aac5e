"""Every DICOM file there is to hand, sent by DCMTK's storescu: stored as it was sent, or refused as it should be."""

from __future__ import annotations

import os
import re

from tests.interop.case import OFFERED, ReceiverTestCase, Talk
from tests.interop.comparison import differences
from tests.interop.corpus import CorpusFile, batches, findFiles, namedFiles
from tests.interop.peers import Finished, run

#: Transfer syntax -> the option that has storescu propose it.
_PROPOSALS = {
    "1.2.840.10008.1.2.4.50": "--propose-jpeg8",
    "1.2.840.10008.1.2.4.51": "--propose-jpeg12",
    "1.2.840.10008.1.2.4.70": "--propose-lossless",
    "1.2.840.10008.1.2.4.80": "--propose-jls-lossless",
    "1.2.840.10008.1.2.4.81": "--propose-jls-lossy",
    "1.2.840.10008.1.2.4.90": "--propose-j2k-lossless",
    "1.2.840.10008.1.2.4.91": "--propose-j2k-lossy",
    "1.2.840.10008.1.2.5": "--propose-rle",
}
_DEFLATED = "1.2.840.10008.1.2.1.99"
#: What storescu says about a file.
_STORED = "I: Received Store Response (Success)"
_NO_CONTEXT = "No presentation context for"
_NOT_CONVERTED = "unable to convert dataset"
_UNREADABLE = "missing SOP class (or instance) in file"
#: The corpus has this many files at least that have to arrive; fewer would show that it was not found.
_LEAST = 100


def _saidOf(finished: Finished, files: list[CorpusFile]) -> dict[CorpusFile, str]:
    """What storescu said about each file."""
    said: dict[str, list[str]] = {}
    current: list[str] = []
    for line in finished.lines:
        if found := re.match(r"I: Sending file: (.*)", line):
            current = said.setdefault(found[1], [])
        elif found := re.match(rf"W: {re.escape(_UNREADABLE)}: (.*), ignoring file", line):
            said[found[1]] = [_UNREADABLE]
        else:
            current.append(line)
    return {file: "\n".join(said.get(str(file.path), ())) for file in files}


class StorescuCorpusTests(ReceiverTestCase):
    """storescu, a batch of files on each association, and only the presentation contexts that they need."""

    programs = ("storescu", "dcmdump")
    modules = ("pydicom.data", "data_store")

    def test_proposingExplicitEncodings(self) -> None:
        """Files arrive that are sent in the byte order they have, explicitly encoded."""
        self._sendAll("--propose-uncompr")

    def test_proposingLittleEndian(self) -> None:
        """Files arrive where explicit VR little endian is proposed first."""
        self._sendAll("--propose-little")

    def test_proposingBigEndian(self) -> None:
        """Files arrive where explicit VR big endian is proposed first."""
        self._sendAll("--propose-big")

    def test_proposingImplicitEncodingOnly(self) -> None:
        """Files arrive that the sender has turned into implicit VR little endian."""
        self._sendAll("--propose-implicit")

    def test_combiningProposals(self) -> None:
        """Files arrive where all transfer syntaxes are in one context; then the receiver's choice decides."""
        self._sendAll("--combine")

    def test_compressedFilesAreRefused(self) -> None:
        """
        A compressed file's own transfer syntax is refused with result 4, or with 3 where its SOP class is unknown;
        the association lives on and takes the next file.
        """
        (extra,) = namedFiles("CT_small.dcm")
        for syntax, option in _PROPOSALS.items():
            files = [file for file in findFiles() if file.transferSyntaxUID == syntax]
            talk = self._send(option, [*files, extra])
            results = {
                (abstract in OFFERED, talk.exchange.answered[contextID][0])
                for contextID, (abstract, transfers) in talk.exchange.proposed.items()
                if syntax in transfers
            }
            self.assertIn((True, 4), results)
            self.assertEqual(results - {(True, 4), (False, 3)}, set())
            for file, said in _saidOf(talk.result, files).items():
                refusal = _NOT_CONVERTED if file.offered else _NO_CONTEXT
                self.assertTrue(refusal in said or said == _UNREADABLE, (file.path, said))
            self.assertEqual(list(talk.stored), [extra.storedName])

    def test_deflatedFileIsSentInflated(self) -> None:
        """A deflated file's own transfer syntax is refused, and the sender falls back to one that is accepted."""
        files = [file for file in findFiles() if file.transferSyntaxUID == _DEFLATED]
        talk = self._send("--propose-deflated", files)
        self.assertEqual([file.storedName for file in files], list(talk.stored))
        for file in files:
            self.assertEqual(differences(file.path, talk.stored[file.storedName]), [])
        proposed, answered = talk.exchange.proposed, talk.exchange.answered
        refused = [transfers for number, (_, transfers) in proposed.items() if answered[number][0] == 4]
        self.assertIn([_DEFLATED], [list(transfers) for transfers in refused])

    def test_allPresentationContextsThereAre(self) -> None:
        """Without --required storescu proposes 128 contexts; each is answered for itself."""
        files = namedFiles("CT_small.dcm", "MR_small.dcm")
        talk = self.runSender("storescu", "localhost", "PORT", *(file.path for file in files))
        self.assertFinished(talk.result)
        self.assertEqual(self.assertStored(talk), len(files))
        self.assertEqual(len(talk.exchange.answered), 128)
        self.assertEqual({result for result, _ in talk.exchange.answered.values()}, {0, 3})

    def _send(self, option: str, files: list[CorpusFile]) -> Talk:
        arguments = ("--verbose", "--no-halt", "--required", option)
        talk = self.runSender("storescu", *arguments, "localhost", "PORT", *(file.path for file in files))
        self.assertFinished(talk.result)
        accepted = _saidOf(talk.result, files)
        self.assertEqual(self.assertStored(talk), sum(_STORED in said for said in accepted.values()))
        self.assertEqual(talk.exchange.kinds[0][-1], 5, "no release was requested")
        return talk

    def _sendAll(self, option: str) -> None:
        """Send every file that has an uncompressed encoding."""
        arrived = 0
        for files in batches(file for file in findFiles() if file.uncompressed):
            talk = self._send(option, files)
            arrived += len(talk.stored)
            self._checkContent(talk, files)
            for file, said in _saidOf(talk.result, files).items():
                if said == _UNREADABLE:
                    self._checkUnreadable(file)
                else:
                    self.assertIn(_STORED if file.offered else _NO_CONTEXT, said, file.path)
        self.assertGreater(arrived, _LEAST)

    def _checkUnreadable(self, file: CorpusFile) -> None:
        """What storescu does not understand, dcmdump does not either, or it has no SOP class to speak of."""
        if file.offered:
            self.assertNotEqual(run("dcmdump", file.path).complaints, [], file.path)

    def _checkContent(self, talk: Talk, files: list[CorpusFile]) -> None:
        """What was stored says the same as the file that was sent, and dcmdump reads it without a word."""
        for file in files:
            if file.storedName in talk.stored:
                self.assertEqual(differences(file.path, talk.stored[file.storedName]), [], file.path)
        folder = self.mktemp()
        os.mkdir(folder)
        for name, content in talk.stored.items():
            with open(os.path.join(folder, name), "wb") as stored:
                stored.write(content)
        dumped = run("dcmdump", "--scan-directories", "--search-first", "--search", "0008,0018", folder)
        self.assertFinished(dumped)
        self.assertEqual(dumped.complaints, [])
        found = [line for line in dumped.lines if line.startswith("(0008,0018) UI")]
        self.assertEqual(len(found), len(talk.stored))
