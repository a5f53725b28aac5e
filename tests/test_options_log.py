"""Tests of the options about the log: what they mean together, and what they refuse."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import io
import sys

from twisted.trial.unittest import SynchronousTestCase

from txdicom.storescp.options import Options


class LogOptionsTests(SynchronousTestCase):
    """`--verbose`, `--debug`, `--quiet`, `--log-level`, `--verbose-pc`, `--log-json`."""

    def parse(self, *arguments: str) -> Options:
        """Parse a command line."""
        options = Options()
        options.parseOptions([*arguments, "--ignore", "104"])
        return options

    def test_levels(self) -> None:
        """Levels, letters and long names say the same."""
        for arguments, told in (
            ([], ("warn", False, False)),
            (["-v"], ("warn", True, False)),
            (["-d"], ("warn", True, True)),
            (["-dv"], ("warn", True, True)),
            (["-q"], ("fatal", False, False)),
            (["--log-level", "fatal"], ("fatal", False, False)),
            (["--log-level", "error"], ("error", False, False)),
            (["--log-level", "warn"], ("warn", False, False)),
            (["-ll", "info"], ("info", True, False)),
            (["--log-level=debug"], ("debug", True, True)),
            (["--log-level=trace"], ("trace", True, True)),
        ):
            options = self.parse(*arguments)
            self.assertEqual((options["log-level"], options["verbose"], options["debug"]), told, arguments)

    def test_presentationContexts(self) -> None:
        """They can be shown where anything is told."""
        for arguments in (["-v", "+v"], ["-d", "--verbose-pc"], ["+v", "-ll", "info"], ["+v", "-ll", "trace"]):
            self.assertTrue(self.parse(*arguments)["verbose-pc"])

    def test_refused(self) -> None:
        """What contradicts itself, or means nothing, is refused with a sentence."""
        needed = "--verbose-pc can only be given with --verbose or --debug or --log-level"
        for arguments, sentence in (
            (["+v"], needed),
            (["+v", "-q"], needed),
            (["+v", "-ll", "warn"], "--verbose-pc can only be given with a --log-level of info, debug or trace"),
            (["-q", "-v"], "--quiet cannot be given with --verbose"),
            (["-d", "-q"], "--quiet cannot be given with --debug"),
            (["-v", "-ll", "info"], "--log-level cannot be given with --verbose"),
            (["-q", "-ll", "info"], "--log-level cannot be given with --quiet"),
            (["-ll", "loud"], "--log-level 'loud' is none of fatal, error, warn, info, debug, trace"),
            (["-lc", "file"], "-lc is not offered: say where the log goes by twistd's --logfile or --logger"),
        ):
            errors = io.StringIO()
            self.patch(sys, "stderr", errors)
            with self.assertRaises(SystemExit):
                self.parse(*arguments)
            self.assertIn(f"storescp: {sentence}", errors.getvalue())
