"""
DCMTK's storescp and ours with the same options and the same senders, option by option: all of `tests.interop.runs`.

Names, and what is negotiated, are compared in `tests.interop.test_names` and `tests.interop.test_negotiation`. What
differs is in ``docs/_ext/migration.py``, of which the documentation is made: nothing else may differ, and each
deviation has to be seen.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.documents import DOCS, loadModule
from tests.interop.peers import requireModule, requireProgram
from tests.interop.runs import ANY, PROFILES, STARTS, Certificates, Run, associationRuns, hookRuns, storageRuns, tlsRuns
from tests.interop.sidebyside import Outcome, compare
from tests.interop.theirs import Theirs
from txdicom.storescp.options import Options
from txdicom.storescp.options.spelling import readArguments
from txdicom.storescp.options.table import BY_SPELLING, OPTIONS

migration = loadModule(DOCS / "_ext" / "migration.py")

#: Options that are compared in other modules, by what their names begin with.
ELSEWHERE = {
    "test_names": ("default-filenames", "sort-on-patientname", "timenames", "write-xfer-"),
    "test_negotiation": ("prefer-", "implicit"),
}
#: Those that ask for a text, that each run has, or that are tested apart, in `tests.test_tls_context`.
APART = ("help", "version", "list-ciphers", "output-directory", "der-keys", "dhparam", "enable-crl-all")


def unexpected(run: Run, theirs: Outcome, ours: Outcome) -> Iterator[str]:
    """Tell each difference that there should not be, or be another one."""
    for name in sorted((theirs.differences(ours) | set(run.differs)) - set(run.racing)):
        both = getattr(theirs, name), getattr(ours, name)
        if name not in run.differs or both[0] == both[1] or run.differs[name] not in (ANY, both):
            yield f"{run.options} {run.deviation!r}, {name}: DCMTK {str(both[0])[:300]}, ours {str(both[1])[:300]}"


class SideBySideTestCase(SynchronousTestCase):
    """Both programs."""

    def setUp(self) -> None:
        for program in ("storescp", "storescu", "echoscu"):
            requireProgram(program)
        requireModule("pydicom.data")

    def assertRuns(self, runs: Sequence[Run], encrypted: bool = False) -> None:
        """Each differs as it says, and not otherwise."""
        with ThreadPoolExecutor(2) as threads:
            outcomes = threads.map(lambda run: compare(run.options, run.sender, encrypted, run.awaiting), runs)
            wrong = [line for run, both in zip(runs, outcomes, strict=True) for line in unexpected(run, *both)]
        self.assertEqual(wrong, [])


class SideBySideTests(SideBySideTestCase):
    """What senders and the disk see."""

    def test_associations(self) -> None:
        profiles = Path(self.mktemp()).absolute()
        profiles.write_text(PROFILES)
        self.assertRuns(associationRuns(profiles))

    def test_storage(self) -> None:
        self.assertRuns(storageRuns())

    def test_hooks(self) -> None:
        """Commands get the same arguments, and studies end at the same time but for the documented."""
        self.assertRuns(hookRuns(noting(Path(self.mktemp()))))


def noting(directory: Path) -> Path:
    """Write a script that notes its arguments in the directory that is its first."""
    directory.mkdir()
    script = directory.absolute() / "note"
    script.write_text('#!/bin/sh\ncd "$1" || exit 1\nshift\nprintf "%s|" "$@" >"note.$$"\n')
    script.chmod(0o755)
    return script


class TLSTests(SideBySideTestCase):
    """Who is let in."""

    def test_tls(self) -> None:
        self.assertRuns(tlsRuns(Certificates(Path(self.mktemp()))), encrypted=True)


class StartTests(SideBySideTestCase):
    """Which command lines are taken."""

    def test_commandLines(self) -> None:
        for arguments, theirs, ours, _ in STARTS:
            self.assertEqual((self.theirsStart(*arguments), self.oursStart(*arguments)), (theirs, ours), arguments)

    def theirsStart(self, *arguments: str) -> bool:
        """Whether DCMTK's storescp takes these arguments."""
        try:
            Theirs(*arguments).stop()
        except AssertionError:
            return False
        return True

    def oursStart(self, *arguments: str) -> bool:
        """Whether ours does."""
        with redirect_stderr(StringIO()):
            try:
                Options().parseOptions([*arguments, "104"])
            except SystemExit:
                return False
        return True

    def test_withoutArguments(self) -> None:
        """The usage, and as an exit status that of the original's manual, or that of DCMTK's."""
        done = subprocess.run([requireProgram("storescp")], capture_output=True, timeout=30, check=False)
        self.assertEqual(done.returncode, 0)
        with redirect_stderr(StringIO()), self.assertRaises(SystemExit) as ended:
            Options().parseOptions([])
        self.assertEqual(ended.exception.code, 1)


def installed() -> dict[str, str]:
    """Return the options of DCMTK's storescp that is installed, and the short form of each that has one."""
    shown = subprocess.run([requireProgram("storescp"), "--help"], capture_output=True, text=True, check=False).stdout
    return {name: short for short, name in re.findall(r"^ +(?:([-+]\S+) +)?--([a-z0-9-]+)", shown, re.M)}


class CompletenessTests(SideBySideTestCase):
    """That nothing is left out."""

    def runs(self) -> list[Run]:
        """All that there are."""
        files = Certificates(Path(self.mktemp()))
        return [*associationRuns(Path("/a")), *storageRuns(), *hookRuns(Path("/bin/true")), *tlsRuns(files)]

    def test_everyOptionOfDCMTKHasARow(self) -> None:
        """The installed program has no others than the table, and spells them as we do."""
        found = installed()
        self.assertGreater(len(found), 80)
        for name, short in found.items():
            self.assertIn(name, migration.DCMTK_OPTIONS)
            self.assertIn(f"--{name}", BY_SPELLING)
            if short:
                self.assertIs(BY_SPELLING[short], BY_SPELLING[f"--{name}"])

    def test_everyOptionIsCompared(self) -> None:
        """Each option of DCMTK's that ours has is in a run, or in another module."""
        given = [run.options for run in self.runs()] + [arguments for arguments, *_ in STARTS]
        compared = set()
        for arguments in given:
            known = [argument for argument in arguments if argument != "--unknown"]
            compared |= {each.option.name for each in readArguments(known)[0]}
        elsewhere = tuple(beginning for beginnings in ELSEWHERE.values() for beginning in beginnings)
        left = [name for name in installed() if name in OPTIONS and name not in compared]
        left = [name for name in left if not name.startswith(elsewhere) and name not in APART]
        self.assertEqual(left, [])

    def test_everyDeviationIsSeen(self) -> None:
        """And none is seen that is not documented."""
        seen = {run.deviation for run in self.runs()} | {deviation for *_, deviation in STARTS}
        # The first two have tests of their own, the other one is for people.
        seen |= {"characters", "no-arguments", "log"}
        self.assertEqual(sorted(seen - {""}), sorted(migration.DEVIATIONS))

    def test_deviationsNameOptions(self) -> None:
        for key, deviation in migration.DEVIATIONS.items():
            self.assertLessEqual(set(deviation.options), set(migration.DCMTK_OPTIONS), key)
