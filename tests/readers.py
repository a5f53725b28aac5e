"""
A reader of the documentation, who copies every command from a page into a shell: `Reader`.

What would change the machine is left out, and what stands for the reader's own place is put into a directory of the
test's: ports, folders, users. All else is run as it is written, in one shell for each page. A receiver that a block
starts goes on running while the blocks after it talk to it, as if it were in another terminal.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

from pydicom.data import get_testdata_file

from benchmarks.ports import freePort
from tests.documents import LISTINGS, ROOT

__all__ = ["Reader"]

#: How long a block may take, in seconds; none takes a tenth of it.
PATIENCE = 120
#: Variables of the environment that are about these tests, and not about a reader.
_OURS = ("PYTHONPATH", "DCMDICTPATH", "PYTEST_ADDOPTS")
_END = "-- end of block --"
_ENDED = "-- twistd has ended with status "
#: The ports that the documentation listens on.
_PORTS = re.compile(r"(?<!\d)(?:11112|2762|104(?=:interface))(?!\d)")
#: What a reader would replace by what is there: places, users, and a file of DCMTK's package.
_ELSEWHERE = {
    "interface=10.1.0.5": "interface=127.0.0.1",
    "/srv/dicom": "received",
    "/run/storescp.pid": "",
    "-u dicom -g dicom ": "",
    "/usr/local/bin/index-image": "/bin/true",
    "/usr/local/bin/study-complete": "/bin/true",
    "/etc/dcmtk/storescp.cfg": str(ROOT / "tests" / "profile.cfg"),
}
#: Runs twistd, and lets the shell go on; its log goes where the reader can see it.
_TWISTD = f"""#!{sys.executable}
import os, subprocess, sys
log = int(os.environ["READER_LOG"])
path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), {str(ROOT)!r}])
command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile=", *sys.argv[1:]]
if os.fork() == 0:
    os.dup2(log, 1)  # the shell's output ends when the shell does
    os.dup2(log, 2)
    program = subprocess.Popen(command, env={{**os.environ, "PYTHONPATH": path}}, stdout=log, stderr=log)
    with open(os.environ["READER_PIDS"], "a") as pids:
        print(program.pid, file=pids)
    os.write(log, b"{_ENDED}%d\\n" % program.wait())
"""
#: Runs the Python of the tests; an environment of one's own is there already.
_PYTHON = f"""#!/bin/sh
[ "$1 $2" = "-m venv" ] && exit 0
PYTHONPATH="${{PYTHONPATH:+$PYTHONPATH:}}{ROOT}" exec {sys.executable} "$@"
"""
_PYDICOM = f"""#!/bin/sh
exec {sys.executable} -c "from pydicom.cli.main import main; main()" "$@"
"""
_NOTHING = "#!/bin/sh\n"


class Reader:
    """
    Somebody in a checkout of their own, with txdicom installed.

    :param directory: an empty one, to be the checkout.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        programs = self.directory / ".venv" / "bin"
        programs.mkdir(parents=True)
        standIns = {"twistd": _TWISTD, "python": _PYTHON, "python3": _PYTHON, "pydicom": _PYDICOM}
        for name, text in {**standIns, "pip": _NOTHING, "pre-commit": _NOTHING}.items():
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        shutil.copy(str(get_testdata_file("CT_small.dcm")), self.directory / "image.dcm")
        (self.directory / "received").mkdir()
        self._pids = self.directory / "pids"
        self._pids.touch()
        self._port = "0"
        log, end = os.pipe()
        self._log = os.fdopen(log, errors="replace")
        self._shell = subprocess.Popen(
            ["/bin/sh", "-eu"],
            cwd=self.directory,
            env={
                **{name: value for name, value in os.environ.items() if name not in _OURS},
                "PATH": os.pathsep.join([str(programs), "/usr/bin", "/bin"]),
                "PYTHONDONTWRITEBYTECODE": "1",
                "READER_LOG": str(end),
                "READER_PIDS": str(self._pids),
            },
            pass_fds=[end],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        os.close(end)

    def run(self, block: str) -> str:
        """
        Copy a block into the shell; return what was shown. If it starts a receiver, that listens then.

        :raises AssertionError: a command has failed, or a receiver does not listen.
        """
        starts = "twistd " in block
        if starts:
            self._port = str(freePort())
        self._listings()
        for there, here in _ELSEWHERE.items():
            block = block.replace(there, here)
        block = _PORTS.sub(self._port, block)
        deadline = threading.Timer(PATIENCE, self._kill)
        deadline.start()
        try:
            shown = self._copied(block)
            return shown + self._listening() if starts else shown
        finally:
            deadline.cancel()

    def close(self) -> None:
        """Stop everything, and wait for it."""
        self._kill()
        self._shell.communicate()
        self._log.read()
        self._log.close()

    def _listings(self) -> None:
        """Lay out the listings, which listen on the port of the moment."""
        listings = self.directory / "docs" / "listings"
        listings.mkdir(parents=True, exist_ok=True)
        for path in LISTINGS.glob("*.*"):
            text = _PORTS.sub(self._port, path.read_text()).replace("tcp:8080", "tcp:0")
            (listings / path.name).write_text(text)

    def _copied(self, block: str) -> str:
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"cd {self.directory}\n{{\n{block}\n}} </dev/null\necho '{_END}'\n")
        self._shell.stdin.flush()
        shown = ""
        for line in self._shell.stdout:
            if line == f"{_END}\n":
                return shown
            shown += line
        raise AssertionError(f"this has failed:\n{block}\n{shown}")

    def _listening(self) -> str:
        shown = ""
        for line in self._log:
            shown += line
            if line.startswith(_ENDED):
                break
            if line.endswith(f"starting on {self._port}\n"):
                return shown
        raise AssertionError(f"it does not listen on port {self._port}:\n{shown}")

    def _kill(self) -> None:
        for pid in self._pids.read_text().split():
            try:
                os.kill(int(pid), signal.SIGTERM)
            except ProcessLookupError:
                continue
        self._shell.kill()
