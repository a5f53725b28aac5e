"""
Try an installed wheel, away from the checkout: python .ci/smoke_wheel.py WHEEL

It installs the wheel into a fresh environment, looks for the plugin, receives one file from storescu, and stops.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
import venv
import zipfile
from pathlib import Path

#: What must not be in the wheel: it would hide, or be mistaken for, what is Twisted's own.
FORBIDDEN = re.compile(r"^twisted/(plugins/)?__init__\.py$|(^|/)dropin\.cache$|^(tests|docs|benchmarks)/")
PLUGIN = "twisted/plugins/txdicom_storescp.py"
FIND_FILE = "from pydicom.data import get_testdata_file as f; print(f('CT_small.dcm'))"
#: How long any one program may take, in seconds.
PATIENCE = 120


def check(holds: object, complaint: str) -> None:
    """Exit if something does not hold."""
    if not holds:
        sys.exit(f"smoke_wheel: {complaint}")


def output(*command: str | Path, cwd: Path) -> str:
    """Run a program and return what it writes; it has to succeed."""
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE
    )
    check(done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def checkContents(wheel: Path) -> None:
    """Look at the names of the files in the wheel."""
    names = zipfile.ZipFile(wheel).namelist()
    check(PLUGIN in names, f"{wheel.name} has no {PLUGIN}")
    wrong = [name for name in names if FORBIDDEN.search(name)]
    check(not wrong, f"{wheel.name} has {wrong}")


def receive(bin: Path, directory: Path) -> None:
    """Have the installed receiver receive one file, and stop it."""
    received = directory / "received"
    received.mkdir()
    program = subprocess.Popen(
        [bin / "twistd", "-n", "--pidfile=", "storescp", "-v", "--output-directory", received, "0"],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = threading.Timer(PATIENCE, program.kill)
    deadline.start()
    try:
        log, port = "", None
        for line in program.stdout or ():
            log += line
            port = re.search(r"starting on (\d+)$", line)
            if port:
                break
        check(port, f"storescp does not listen:\n{log}")
        file = output(bin / "python", "-c", FIND_FILE, cwd=directory).strip()
        output("storescu", "127.0.0.1", str(port and port[1]), file, cwd=directory)
        program.terminate()
        log += program.communicate()[0]
    finally:
        deadline.cancel()
        program.kill()
    check(program.returncode == -15, f"storescp ended with {program.returncode} after SIGTERM:\n{log}")
    names = [path.name for path in received.iterdir()]
    check(len(names) == 1 and names[0].startswith("CT."), f"{names} were received:\n{log}")
    output(bin / "pydicom", "show", "-q", received / names[0], cwd=directory)
    check("Traceback" not in log, f"there is a traceback:\n{log}")
    print(f"received {names[0]}")


def main(wheel: Path) -> None:
    """Try the wheel."""
    checkContents(wheel)
    # What is in the checkout must not help.
    os.environ.pop("PYTHONPATH", None)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        venv.create(directory / "venv", with_pip=True)
        bin = directory / "venv" / "bin"
        output(bin / "pip", "install", "-q", wheel.resolve(), cwd=directory)
        print(output(bin / "pip", "list", "--format=freeze", cwd=directory), end="")
        check(" storescp " in output(bin / "twistd", "--help", cwd=directory), "twistd does not know storescp")
        receive(bin, directory)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
