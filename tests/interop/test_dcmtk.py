"""DCMTK's echoscu and storescu with what they can be told to do: lengths, repetitions, aborts, identities."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

from tests.interop.case import VERIFICATION, ReceiverTestCase
from tests.interop.corpus import CorpusFile, batches, findFiles, namedFiles
from tests.interop.peers import run
from tests.interop.wire import ABORT, AC, DATA, RELEASE_RP, RELEASE_RQ, RJ, RQ, Exchange

_MAXIMUM_LENGTH = 0x51
_USER_IDENTITY, _USER_IDENTITY_AC = 0x58, 0x59


def _longest(exchange: Exchange) -> int:
    """The longest P-DATA-TF body that the sender sent."""
    return max(len(body) for kind, body in exchange.sent if kind == DATA)


def _announced(exchange: Exchange) -> int:
    """The Maximum Length that the receiver announced."""
    (length,) = exchange.userInformation(AC)[_MAXIMUM_LENGTH]
    return int.from_bytes(length, "big")


class EchoscuTests(ReceiverTestCase):
    """Verification."""

    programs = ("echoscu",)

    def test_echo(self) -> None:
        """A C-ECHO is answered with success, and the release with a release."""
        talk = self.runSender("echoscu", "--verbose", "-aet", "SOMEBODY", "-aec", "ANYBODY AT ALL", "localhost", "PORT")
        self.assertFinished(talk.result)
        self.assertIn("I: Received Echo Response (Success)", talk.result.lines)
        self.assertEqual(talk.exchange.kinds, ([RQ, DATA, RELEASE_RQ], [AC, DATA, RELEASE_RP]))
        self.assertEqual(self.assertStored(talk), 0)
        # The titles come back as they were sent (PS3.8 9.3.3).
        (request,), (response,) = talk.exchange.bodies(RQ), talk.exchange.bodies(AC)
        self.assertEqual(response[4:36], request[4:36])

    def test_manyEchoes(self) -> None:
        """An association carries any number of requests."""
        talk = self.runSender("echoscu", "--repeat", 50, "localhost", "PORT")
        self.assertFinished(talk.result)
        self.assertEqual(talk.exchange.statuses, [0] * 50)

    def test_asShipped(self) -> None:
        """DCMTK's sockets as they are by default, with Nagle's algorithm on, do not wait 40 ms for each message."""
        began = time.monotonic()
        finished = run("echoscu", "--repeat", 100, "localhost", self.receiver.port, nagle=True)
        self.assertEqual(finished.status, 0, finished.output)
        # 100 messages that each waited would take 4 seconds; without, it is a twentieth of that.
        self.assertLess(time.monotonic() - began, 2)

    def test_asManyProposalsAsThereCanBe(self) -> None:
        """128 presentation contexts with 38 transfer syntaxes each are answered one by one."""
        talk = self.runSender("echoscu", "-ppc", 128, "-pts", 38, "localhost", "PORT")
        self.assertFinished(talk.result)
        self.assertEqual(len(talk.exchange.answered), 128)
        self.assertEqual({abstract for abstract, _ in talk.exchange.proposed.values()}, {VERIFICATION})
        self.assertEqual({len(transfers) for _, transfers in talk.exchange.proposed.values()}, {38})
        self.assertEqual({result for result, _ in talk.exchange.answered.values()}, {0})
        self.assertEqual(self.assertStored(talk), 0)

    def test_abort(self) -> None:
        """An abort is not answered; the connection is closed, and the next association is as good as any."""
        for _ in range(2):
            talk = self.runSender("echoscu", "--verbose", "--abort", "localhost", "PORT")
            self.assertIn("I: Aborting Association", talk.result.lines)
            self.assertEqual(talk.exchange.kinds, ([RQ, DATA, ABORT], [AC, DATA]))

    def test_lengthsThatTheRequestorTakes(self) -> None:
        """The shortest and the longest PDU that echoscu can announce change nothing for a C-ECHO."""
        for length in (4096, 131072):
            talk = self.runSender("echoscu", "--max-pdu", length, "localhost", "PORT")
            self.assertFinished(talk.result)
            self.assertEqual(talk.exchange.statuses, [0])


class StorescuTests(ReceiverTestCase):
    """Storage with the default configuration of the receiver."""

    programs = ("storescu",)
    modules = ("pydicom.data", "data_store")

    def _files(self) -> list[CorpusFile]:
        return namedFiles("CT_small.dcm", "MR_small_bigendian.dcm", "examples_palette.dcm")

    def _paths(self) -> list[object]:
        return [file.path for file in self._files()]

    def test_shortPDUs(self) -> None:
        """The sender may send shorter PDUs than we take."""
        for options in (("--max-pdu", 4096), ("--max-send-pdu", 4096)):
            talk = self.runSender("storescu", *options, "localhost", "PORT", *self._paths())
            self.assertFinished(talk.result)
            self.assertEqual(self.assertStored(talk), 3)
            self.assertEqual(_announced(talk.exchange), 16384)
        self.assertLess(_longest(talk.exchange), 4096)

    def test_senderThatCouldSendMore(self) -> None:
        """The sender keeps to the length we announce."""
        talk = self.runSender("storescu", "--max-pdu", 131072, "localhost", "PORT", *self._paths())
        self.assertFinished(talk.result)
        self.assertEqual(self.assertStored(talk), 3)
        self.assertTrue(8192 < _longest(talk.exchange) <= 16384)

    def test_repeating(self) -> None:
        """The same instances again replace the files there are."""
        talk = self.runSender("storescu", "--repeat", 4, "localhost", "PORT", *self._paths())
        self.assertFinished(talk.result)
        self.assertEqual(self.assertStored(talk), 12)
        self.assertEqual(sorted(talk.stored), sorted(file.storedName for file in self._files()))

    def test_inventingInstances(self) -> None:
        """New SOP Instance UIDs make new files."""
        talk = self.runSender("storescu", "--repeat", 4, "+II", "+IR", 2, "+IS", 2, "localhost", "PORT", *self._paths())
        self.assertFinished(talk.result)
        self.assertEqual(self.assertStored(talk), 12)
        self.assertEqual(len(talk.stored), 12)

    def test_abortAfterStores(self) -> None:
        """What was acknowledged before an abort is kept."""
        talk = self.runSender("storescu", "--abort", "localhost", "PORT", *self._paths())
        self.assertEqual(talk.exchange.kinds[0][-1], ABORT)
        self.assertEqual(talk.exchange.kinds[1][-1], DATA)
        self.assertEqual(self.assertStored(talk), 3)

    def test_userIdentity(self) -> None:
        """A user identity is neither needed nor answered (PS3.7 D.3.3.7)."""
        talk = self.runSender("storescu", "-usr", "somebody", "-pwd", "secret", "localhost", "PORT", *self._paths())
        self.assertFinished(talk.result)
        self.assertEqual(self.assertStored(talk), 3)
        self.assertIn(b"secret", talk.exchange.userInformation(RQ)[_USER_IDENTITY][0])
        self.assertNotIn(_USER_IDENTITY_AC, talk.exchange.userInformation(AC))
        self.assertNotIn("secret", self.receiver.log)

    def test_userIdentityWithResponse(self) -> None:
        """A requestor that insists on an answer to its identity gets none, and gives up by itself."""
        talk = self.runSender("storescu", "-usr", "somebody", "-rsp", "localhost", "PORT", *self._paths())
        self.assertIn("Positive response requested but none received", talk.result.output)
        self.assertEqual(talk.exchange.kinds, ([RQ], [AC]))
        self.assertNotIn(_USER_IDENTITY_AC, talk.exchange.userInformation(AC))

    def test_uncommonTitles(self) -> None:
        """An AE title of 16 characters, or with spaces in it, is stored as it was given."""
        for title in ("SIXTEEN_LETTERS_", "with spaces in"):
            talk = self.runSender("storescu", "-aet", title, "localhost", "PORT", *self._paths())
            self.assertEqual(talk.exchange.callingAETitle, title)
            self.assertEqual(self.assertStored(talk), 3)

    def test_manySendersAtOnce(self) -> None:
        """Associations that run at the same time do not get in each other's way."""
        (files, *_) = batches(file for file in findFiles() if file.offered and file.uncompressed)
        port = self.relay.port
        shares = [[file.path for file in files[start::8]] for start in range(8)]

        def sendAll() -> list[int]:
            with ThreadPoolExecutor(len(shares)) as pool:
                finished = pool.map(lambda share: run("storescu", "-nh", "-R", "localhost", port, *share), shares)
            return [each.status for each in finished]

        talk = self.talk(sendAll)
        self.assertEqual(talk.result, [0] * len(shares))
        self.assertEqual(len(talk.exchanges), len(shares))
        self.assertEqual(self.assertStored(talk), len(files))


class AnnouncingTests(ReceiverTestCase):
    """Storage with a receiver that announces another Maximum Length."""

    programs = ("storescu",)
    modules = ("pydicom.data", "data_store")
    options = ("--max-pdu", "131072")
    announced: ClassVar[int] = 131072
    #: What storescu makes of it: it knows a longest PDU of its own.
    expected: ClassVar[tuple[int, int]] = (65536, 131072)

    def test_length(self) -> None:
        """The sender makes use of the length that was announced, and of no more."""
        files = namedFiles("MR2_UNCR.dcm", "examples_overlay.dcm", "gdcm-US-ALOKA-16_big.dcm")
        options = ("--max-pdu", 131072)
        talk = self.runSender("storescu", *options, "localhost", "PORT", *(file.path for file in files))
        self.assertFinished(talk.result)
        self.assertEqual(self.assertStored(talk), 3)
        self.assertEqual(_announced(talk.exchange), self.announced)
        least, most = self.expected
        self.assertTrue(least < _longest(talk.exchange) <= most, _longest(talk.exchange))


class AnnouncingLittleTests(AnnouncingTests):
    """The shortest PDU that can be announced."""

    options = ("--max-pdu", "4096")
    announced = 4096
    expected = (4000, 4096)


class AnnouncingNoLimitTests(AnnouncingTests):
    """A Maximum Length of 0, which stands for no limit (PS3.8 D.1.1)."""

    options = ("--max-pdu", "0")
    announced = 0
    expected = (0, 131072)


class RefusingTests(ReceiverTestCase):
    """A receiver that refuses everybody."""

    programs = ("echoscu", "storescu", "dcmsend")
    modules = ("pydicom.data",)
    options = ("--refuse",)

    def test_everySender(self) -> None:
        """The rejection is permanent, by the service user, without a reason; senders understand that."""
        (file,) = namedFiles("CT_small.dcm")
        for program, files in (("echoscu", ()), ("storescu", (file.path,)), ("dcmsend", (file.path,))):
            talk = self.runSender(program, "localhost", "PORT", *files)
            self.assertNotEqual(talk.result.status, 0)
            self.assertIn("Rejected", talk.result.output)
            self.assertEqual(talk.exchange.kinds, ([RQ], [RJ]))
            self.assertEqual(talk.exchange.bodies(RJ), [b"\x00\x01\x01\x01"])
            self.assertEqual(talk.stored, {})


class IgnoringTests(ReceiverTestCase):
    """A receiver that keeps nothing."""

    programs = ("storescu",)
    modules = ("pydicom.data",)
    options = ("--ignore",)

    def test_nothingIsKept(self) -> None:
        """Stores are answered with success."""
        files = namedFiles("CT_small.dcm", "MR_small.dcm")
        talk = self.runSender("storescu", "localhost", "PORT", *(file.path for file in files))
        self.assertFinished(talk.result)
        self.assertEqual(talk.exchange.statuses, [0, 0])
        self.assertEqual(talk.stored, {})


class DebuggingTests(ReceiverTestCase):
    """A receiver that tells all it does."""

    programs = ("storescu", "echoscu")
    modules = ("pydicom.data", "data_store")
    options = ("--debug",)

    def test_tellingOfEveryFile(self) -> None:
        """No file there is gets the account of it into trouble."""
        (files, *_) = batches(file for file in findFiles() if file.offered and file.uncompressed)
        options = ("--no-halt", "--required", "--propose-implicit")
        talk = self.runSender("storescu", *options, "localhost", "PORT", *(file.path for file in files))
        self.assertFinished(talk.result)
        self.assertEqual(self.assertStored(talk), len(files))
        self.assertEqual(self.receiver.log.count("Sent C-STORE-RSP"), len(files))
        self.assertIn("Association Release", self.receiver.log)

    def test_tellingOfAnAbort(self) -> None:
        """An abort is told of as one."""
        self.runSender("echoscu", "--abort", "localhost", "PORT")
        self.assertIn("Association Aborted", self.receiver.log)
