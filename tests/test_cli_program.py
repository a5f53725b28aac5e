"""Tests of the command `txdicom` as its users run it: terminals, exit statuses, interrupts, and peers that fail."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom.data import get_testdata_file
from twisted.trial.unittest import SynchronousTestCase

from tests.programs import CHECKOUT, PATIENCE, environment, readTerminal
from txdicom.upperlayer.pdu import AAssociateRJ

CT = str(get_testdata_file("CT_small.dcm"))


class CommandTestCase(SynchronousTestCase):
    def start(self, *arguments: object, **keywords: Any) -> subprocess.Popen[str]:
        """Start the command."""
        process = subprocess.Popen(
            [sys.executable, "-m", "txdicom", *map(str, arguments)],
            env=environment(PYTHONPATH=str(CHECKOUT)),
            text=True,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **keywords},
        )
        self.addCleanup(process.wait, PATIENCE)
        self.addCleanup(process.kill)
        return process

    def end(self, process: subprocess.Popen[str]) -> tuple[int, str, str]:
        """Wait for its end; return exit status, output and errors."""
        output, errors = process.communicate(timeout=PATIENCE)
        self.assertNotIn("Traceback", output + errors)
        return process.returncode, output, errors

    def run_(self, *arguments: object) -> tuple[int, str, str]:
        """Run it to its end."""
        return self.end(self.start(*arguments))

    @contextmanager
    def listener(self) -> Iterator[tuple[socket.socket, int]]:
        """Listen on a port, as a peer of which only the test knows what it does."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(PATIENCE)
            yield server, server.getsockname()[1]

    def nobody(self) -> int:
        """Return a port that nobody listens on."""
        with self.listener() as (_, port):
            return port


class ExitTests(CommandTestCase):
    def test_nobodyThere(self) -> None:
        """One sentence for all files, and exit status 1."""
        status, output, errors = self.run_("send", "127.0.0.1", self.nobody(), CT, CT, "--retry", 0)
        self.assertEqual((status, errors), (1, "txdicom: 1 file not sent: nobody listens there (connection refused)\n"))
        self.assertEqual(output.splitlines()[1:2], ["       1  unsent   nobody listens there (connection refused)"])
        status, output, errors = self.run_("echo", "127.0.0.1", self.nobody())
        self.assertEqual((status, output, errors), (1, "", "txdicom: nobody listens there (connection refused)\n"))

    def test_quiet(self) -> None:
        """No summary; what has failed is told."""
        status, output, errors = self.run_("send", "127.0.0.1", self.nobody(), CT, "--retry", 0, "-q")
        self.assertEqual((status, output), (1, ""))
        self.assertIn("not sent", errors)

    def test_nothingToSend(self) -> None:
        """An empty folder is not a success, nor is one without DICOM files."""
        folder = Path(self.mktemp())
        folder.mkdir()
        self.assertEqual(self.run_("send", "127.0.0.1", 1, folder), (1, "no file found\n", ""))
        (folder / "README").write_text("Nothing that could be sent.")
        status, output, errors = self.run_("send", "127.0.0.1", 1, folder)
        self.assertEqual((status, errors), (1, ""))
        self.assertIn("       1  skipped  it is no DICOM file\n", output)

    def test_rejected(self) -> None:
        """The peer's reason is put into words."""
        with self.listener() as (server, port):
            process = self.start("echo", "127.0.0.1", port)
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(AAssociateRJ(1, 1, 7).encode())
                status, _, errors = self.end(process)
        sentence = "association rejected: called AE title not recognized; result 1, source 1, reason 7"
        self.assertEqual((status, errors), (1, f"txdicom: {sentence}\n"))

    def test_closes(self) -> None:
        """A peer that goes away without a word."""
        with self.listener() as (server, port):
            process = self.start("send", "127.0.0.1", port, CT, "--retry", 0)
            server.accept()[0].close()
            status, _, errors = self.end(process)
        self.assertEqual(status, 1)
        self.assertTrue(errors.startswith("txdicom: 1 file not sent: Connection "), errors)

    def test_wrongUsage(self) -> None:
        """What cannot be done as it was asked for has exit status 2."""
        for arguments, sentence in (
            (("--tls",), "no peer's certificate can be verified without --add-cert-file or --add-cert-dir"),
            (("--tls", "--add-cert-file", "/nowhere"), "certificate /nowhere cannot be read: No such file"),
            (("--add-cert-file", "/nowhere"), "options of TLS mean nothing without --tls or --enable-tls"),
        ):
            status, output, errors = self.run_("echo", "127.0.0.1", self.nobody(), *arguments)
            self.assertEqual((status, output), (2, ""))
            self.assertTrue(errors.startswith(f"txdicom: {sentence}"), errors)
            self.assertEqual(errors.count("\n"), 1)


class InterruptTests(CommandTestCase):
    """Ctrl-C, and what ends a job."""

    def test_mutePeer(self) -> None:
        """While an answer is waited for: send says what was not sent, and echo nothing."""
        for number in (signal.SIGINT, signal.SIGTERM):
            for arguments, said in (
                (("send", CT), "txdicom: 1 file not sent: interrupted\n"),
                (("echo",), ""),
            ):
                with self.listener() as (server, port):
                    process = self.start(arguments[0], "127.0.0.1", port, *arguments[1:])
                    connection, _ = server.accept()
                    with connection:
                        self.assertEqual(connection.recv(1), b"\x01")
                        process.send_signal(number)
                        status, _, errors = self.end(process)
                self.assertEqual((status, errors), (130, said))


class TerminalTests(CommandTestCase):
    def test_progress(self) -> None:
        """A bar is shown on a terminal, and the rest of what is said stands below it."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        process = self.start("send", "127.0.0.1", self.nobody(), CT, "--retry", 0, stdout=slave, stderr=slave)
        os.close(slave)
        shown = readTerminal(master)
        self.assertEqual(process.wait(PATIENCE), 1)
        bar, *lines = shown.splitlines()
        self.assertIn("1/1 [", shown)
        self.assertIn("0/1 [", bar + lines[0])
        self.assertEqual(lines[-1][:14], "0 of 1 stored,")
