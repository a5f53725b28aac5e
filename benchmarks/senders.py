"""The senders that are measured, ours and those of others: how each is told to send a directory of files."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import NO_DELAY, Missing, Server, ourVersion, packageVersion, printed, programOutsideOfPython

__all__ = ["SENDERS", "Sender"]

_LIBRARY = Path(__file__).resolve().parent / "storing.py"


@dataclass(frozen=True, slots=True)
class Sender(Server):
    """A program that sends: its command is made from the receiver's port, and the directory of what is to be sent."""


def _ourVersion() -> str:
    try:
        return f"{ourVersion()}, {packageVersion('pyopenssl')}"
    except Missing:
        return f"{ourVersion()}, no pyopenssl"


def _ours(port: int, files: Path) -> Sequence[str]:
    found = shutil.which("txdicom", path=os.path.dirname(sys.executable)) or shutil.which("txdicom")
    if found is None:
        raise Missing("txdicom is not installed")
    return found, "send", "--quiet", "127.0.0.1", str(port), str(files)


def _library(port: int, files: Path) -> Sequence[str]:
    return sys.executable, str(_LIBRARY), str(port), str(files)


def _dcmtk(name: str) -> Sender:
    def command(port: int, files: Path) -> Sequence[str]:
        return programOutsideOfPython(name), "-q", "+sd", "127.0.0.1", str(port), str(files)

    def version() -> str:
        return printed(programOutsideOfPython(name), "--version")

    return Sender(name, command, version, environment=NO_DELAY)


def _pynetdicom(port: int, files: Path) -> Sequence[str]:
    return sys.executable, "-m", "pynetdicom", "storescu", "-q", "-cx", "127.0.0.1", str(port), str(files)


SENDERS = {
    sender.name: sender
    for sender in (
        Sender("txdicom send", _ours, _ourVersion, isOurs=True),
        Sender("txdicom as a library", _library, _ourVersion, isOurs=True),
        _dcmtk("storescu"),
        _dcmtk("dcmsend"),
        Sender("pynetdicom storescu", _pynetdicom, lambda: packageVersion("pynetdicom")),
    )
}
