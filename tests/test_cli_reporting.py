"""Tests of `txdicom.cli.reporting`: what a user sees of the sending of many files."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import sys
import termios

from twisted.internet.error import ConnectionRefusedError, DNSLookupError, TimeoutError
from twisted.trial.unittest import SynchronousTestCase

from tests.programs import hide, readTerminal
from txdicom.cli.outcomes import Kind, Outcome
from txdicom.cli.reporting import Progress, complaints, printable, sentence, summarize
from txdicom.errors import AssociationLost

RT_DOSE = "1.2.840.10008.5.1.4.1.1.481.2"


class ReportTests(SynchronousTestCase):
    def test_summary(self) -> None:
        """What was stored comes first, then by number; UIDs have their names."""
        outcomes = [
            Outcome("b", Kind.FAILED, "No such file"),
            *[Outcome("a", Kind.STORED, "0x0000 success", 1 << 20)] * 3,
            *[Outcome("c", Kind.FAILED, f"the peer does not accept {RT_DOSE}")] * 2,
            Outcome("d", Kind.UNSENT, "interrupted"),
            Outcome("e", Kind.SKIPPED, "it is no DICOM file"),
        ]
        self.assertEqual(
            summarize(outcomes, 2.0).splitlines(),
            [
                "   files           status",
                "       3  stored   0x0000 success",
                "       1  skipped  it is no DICOM file",
                f"       2  failed   the peer does not accept RT Dose Storage ({RT_DOSE})",
                "       1  failed   No such file",
                "       1  unsent   interrupted",
                "3 of 8 stored, 3.0 MiB in 2.0 s, 2 files/s, 1.5 MiB/s",
            ],
        )
        self.assertEqual(
            summarize([Outcome("a", Kind.UNSENT, "interrupted")], 1.0).splitlines()[-1],
            "0 of 1 stored, 0.0 MiB in 1.0 s",
        )
        self.assertEqual(summarize([], 1.0), "no file found")

    def test_complaints(self) -> None:
        """Each file that failed has a line of its own, with what the peer said; the others are only counted."""
        outcomes = [
            Outcome("a", Kind.STORED, "0x0000 success"),
            Outcome("b\x1b[2J\n", Kind.FAILED, "0xA700 out of resources", comment="disk\x07 full"),
            Outcome("c", Kind.UNSENT, "interrupted"),
            Outcome("d", Kind.UNSENT, "interrupted"),
            Outcome("e", Kind.FAILED, f"the peer does not accept {RT_DOSE}.99.99"),
            Outcome("f", Kind.SKIPPED, "it is no DICOM file"),
        ]
        self.assertEqual(
            [*complaints(outcomes)],
            [
                "b\\x1b[2J\\n: 0xA700 out of resources (disk\\x07 full)",
                f"e: the peer does not accept {RT_DOSE}.99.99",
                "2 files not sent: interrupted",
            ],
        )

    def test_printable(self) -> None:
        """Whatever names files have, terminals take them for text."""
        self.assertEqual(printable("Jürgen's файл.dcm"), "Jürgen's файл.dcm")
        self.assertEqual(printable("\udcff\x1b]0;x\x07\r\n\u202e"), "\\udcff\\x1b]0;x\\x07\\r\\n\\u202e")

    def test_sentences(self) -> None:
        """Twisted's errors of connections are put into words; others have their own."""
        for error, words in (
            (ConnectionRefusedError(), "nobody listens there (connection refused)"),
            (DNSLookupError("x"), "no address is known for this host"),
            (TimeoutError(), "the connection could not be made in time"),
            (AssociationLost("gone"), "gone"),
            (ValueError(), "ValueError"),
        ):
            self.assertEqual(sentence(error), words)


class ProgressTests(SynchronousTestCase):
    def shown(self, columns: int = 80, quiet: bool = False, total: int = 2) -> str:
        """Return what a terminal of that width shows of two files."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        termios.tcsetwinsize(slave, (24, columns))
        with os.fdopen(slave, "w") as terminal:
            self.patch(sys, "stderr", terminal)
            progress = Progress(total, quiet)
            for _ in range(total):
                progress.done(Outcome("a", Kind.STORED, ""))
            progress.close()
        return readTerminal(master)

    def test_terminal(self) -> None:
        """There is a bar as wide as the terminal; one that does not know its width has one all the same."""
        for columns in (60, 80, 0):
            shown = self.shown(columns)
            self.assertIn("| 2/2 [", shown)
            self.assertLessEqual(max(map(len, shown.split("\r"))), columns or 80)
        self.assertEqual(self.shown(quiet=True), "")
        self.assertEqual(self.shown(total=0), "")

    def test_noTerminal(self) -> None:
        """Nothing is shown."""
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            progress = Progress(1, False)
            progress.done(Outcome("a", Kind.STORED, ""))
            progress.close()
        self.assertEqual(said.getvalue(), "")

    def test_withoutTqdm(self) -> None:
        """Nor where it is not installed."""
        hide(self, "tqdm")
        self.assertEqual(self.shown(), "")
