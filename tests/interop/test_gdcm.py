"""
GDCM's gdcmscu.

It has quirks: it takes a presentation context for accepted when the answer names the transfer syntax that it proposed,
whatever the result says; and version 3.0.21 dies of an exception when its release is answered, whoever answers it. So
its exit status says little, and the wire has to tell how it fared.
"""

from __future__ import annotations

import signal

from tests.interop.case import VERIFICATION, ReceiverTestCase, Talk
from tests.interop.comparison import differences
from tests.interop.corpus import findFiles, namedFiles
from tests.interop.wire import ABORT, AC, DATA, RELEASE_RP, RELEASE_RQ, RQ

#: How gdcmscu ends after a release: well, or as above.
_AFTER_RELEASE = (0, -signal.SIGABRT)
_RELEASED = ([RQ, DATA, RELEASE_RQ], [AC, DATA, RELEASE_RP])


class GdcmscuTests(ReceiverTestCase):
    """gdcmscu: one association with one context for each SOP class and transfer syntax."""

    programs = ("gdcmscu",)
    modules = ("pydicom.data", "data_store")

    def _gdcmscu(self, *arguments: object) -> Talk:
        return self.runSender("gdcmscu", "localhost", "PORT", *arguments)

    def assertReleased(self, talk: Talk) -> None:
        """All went well, up to and including the release."""
        self.assertIn(talk.result.status, _AFTER_RELEASE, talk.result.output)
        self.assertEqual(talk.exchange.kinds, _RELEASED)

    def test_echo(self) -> None:
        """A C-ECHO is answered with success."""
        talk = self._gdcmscu("--echo")
        self.assertReleased(talk)
        self.assertEqual([abstract for abstract, _ in talk.exchange.proposed.values()], [VERIFICATION])
        self.assertEqual(talk.exchange.statuses, [0])
        self.assertEqual(self.assertStored(talk), 0)

    def test_everyUncompressedFile(self) -> None:
        """A file arrives in the transfer syntax that it has."""
        sent = 0
        for file in findFiles():
            if not (file.offered and file.uncompressed and file.path.suffix == ".dcm"):
                continue
            talk = self._gdcmscu("--store", "-i", file.path)
            self.assertReleased(talk)
            self.assertEqual(self.assertStored(talk), 1)
            self.assertEqual(list(talk.stored), [file.storedName])
            # GDCM repairs the pixel data of a file that is cut off.
            if "truncated" not in file.path.name:
                self.assertEqual(differences(file.path, talk.stored[file.storedName]), [], file.path)
            sent += 1
        self.assertGreater(sent, 50)

    def test_folder(self) -> None:
        """Several files come on one association."""
        (file,) = namedFiles("chrJapMulti.dcm")
        talk = self._gdcmscu("--store", "-r", "-i", file.path.parent)
        self.assertReleased(talk)
        self.assertGreater(self.assertStored(talk), 1)

    def test_whatIsNotSupported(self) -> None:
        """
        A transfer syntax is refused with 4, a SOP class with 3, and nothing is taken.

        gdcmscu looks at the transfer syntax of the answer and not at its result: it releases, or, where we name the
        default syntax and that is the file's, sends all the same and is aborted.
        """
        released, aborted = ([RQ, RELEASE_RQ], [AC, RELEASE_RP]), ([RQ, DATA], [AC, ABORT])
        compressed, plan = namedFiles("JPEG2000.dcm"), namedFiles("rtplan.dcm")
        for (file,), result, kinds in ((compressed, 4, released), (plan, 3, aborted)):
            talk = self._gdcmscu("--store", "-i", file.path)
            self.assertNegotiated(talk.exchange)
            self.assertEqual([answer for answer, _ in talk.exchange.answered.values()], [result])
            self.assertEqual(talk.exchange.kinds, kinds)
            self.assertEqual(talk.stored, {})

    def test_query(self) -> None:
        """A query is refused with 3 in negotiation, and the receiver goes on."""
        talk = self._gdcmscu("--find", "--patientroot", "--patient", "--key", "10,10=*")
        self.assertEqual([answer for answer, _ in talk.exchange.answered.values()], [3])
        self.assertReleased(self._gdcmscu("--echo"))
