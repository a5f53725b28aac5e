"""The receivers that are measured, ours and those of others: how each is started, and which version it has."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = [
    "NO_DELAY",
    "SERVERS",
    "Missing",
    "Server",
    "custom",
    "environmentOf",
    "ourVersion",
    "packageVersion",
    "printed",
    "programOutsideOfPython",
]

#: DCMTK writes a PDU in two pieces; with Nagle's algorithm the second one waits until the first is acknowledged.
NO_DELAY = {"TCP_NODELAY": "1"}


class Missing(Exception):
    """A receiver, or an option of it, is not installed; says which."""


@dataclass(frozen=True, slots=True)
class Server:
    """
    A receiver.

    :ivar command: port and output directory -> its command line; raises `Missing`.
    :ivar version: gives its version; raises `Missing`.
    :ivar hasChildren: whether it has processes besides the one that is started.
    :ivar speaksTLS: whether it has to be spoken to with TLS.
    :ivar isOurs: whether what it does wrong is this project's fault.
    """

    name: str
    command: Callable[[int, Path], Sequence[str]]
    version: Callable[[], str]
    environment: Mapping[str, str] = field(default_factory=dict)
    hasChildren: bool = False
    speaksTLS: bool = False
    isOurs: bool = False


def programOutsideOfPython(name: str) -> str:
    """
    Find a program; pynetdicom brings scripts along that are called like DCMTK's programs, and are not meant.

    :raises Missing: it is not installed.
    """
    scripts = os.path.dirname(sys.executable)
    folders = [folder for folder in os.get_exec_path() if os.path.abspath(folder) != scripts]
    found = shutil.which(name, path=os.pathsep.join([*folders, "/usr/sbin"]))
    if found is None:
        raise Missing(f"{name} is not installed")
    return found


def environmentOf(server: Server) -> dict[str, str]:
    """Give its environment; what the user has set for others would be a difference that nobody sees."""
    usual = {name: value for name, value in os.environ.items() if name not in ("TCP_NODELAY", "DCMDICTPATH")}
    return {**usual, **server.environment}


def printed(*command: str) -> str:
    """Return the first line of what a program prints, without its path and what version control puts around it."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours, or found above
    line = (done.stdout or done.stderr).partition("\n")[0]
    return line.replace(command[0], Path(command[0]).name).strip("$ ")


def packageVersion(name: str) -> str:
    """Tell the version of a Python package; raises `Missing` if it is not installed."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        raise Missing(f"{name} is not installed") from None


def _twistd() -> str:
    found = shutil.which("twistd", path=os.path.dirname(sys.executable)) or shutil.which("twistd")
    if found is None:
        raise Missing("twistd is not installed")
    return found


def ourVersion(option: str = "") -> str:
    """
    Tell the version of this project, and of what it runs on.

    :param option: of storescp, which it has to have.
    :raises Missing: it has not, or is not installed.
    """
    if option:
        done = subprocess.run([_twistd(), "storescp", "--help"], capture_output=True, text=True, check=False)  # noqa: S603
        if option not in done.stdout:
            raise Missing(f"this storescp has no {option}")
    return f"{packageVersion('txdicom')}, {packageVersion('twisted')}, CPython {sys.version.partition(' ')[0]}"


def _tls(directory: Path) -> Sequence[str]:
    """Make a key and a certificate, and return the options by which receivers use them, ours and DCMTK's."""
    key, certificate = directory.with_name("key.pem"), directory.with_name("certificate.pem")
    request = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=benchmark")
    made = subprocess.run(  # noqa: S603 - found above
        (programOutsideOfPython("openssl"), *request, "-keyout", str(key), "-out", str(certificate)),
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise Missing(f"openssl makes no certificate: {made.stderr[-300:]}")
    return "+tls", str(key), str(certificate), "-ic"


def _ours(name: str, *options: str, requires: str = "", hasChildren: bool = False, speaksTLS: bool = False) -> Server:
    def command(port: int, directory: Path) -> Sequence[str]:
        endpoint = f"tcp:{port}:interface=127.0.0.1:backlog=1024"
        given = ("--output-directory", str(directory), "--endpoint", endpoint, *(_tls(directory) if speaksTLS else ()))
        return _twistd(), "-n", "--pidfile=", "storescp", *given, *options

    return Server(
        name, command, lambda: ourVersion(requires), hasChildren=hasChildren, speaksTLS=speaksTLS, isOurs=True
    )


def _dcmtk(
    name: str, *options: str, delayed: bool = False, hasChildren: bool = False, speaksTLS: bool = False
) -> Server:
    def command(port: int, directory: Path) -> Sequence[str]:
        given = ("-od", str(directory), *(_tls(directory) if speaksTLS else ()))
        # -dhl: it looks names of peers up otherwise, and waits for that.
        return programOutsideOfPython("storescp"), "-dhl", *options, *given, str(port)

    return Server(
        name,
        command,
        lambda: printed(programOutsideOfPython("storescp"), "--version"),
        environment={} if delayed else NO_DELAY,
        hasChildren=hasChildren,
        speaksTLS=speaksTLS,
    )


def _pynetdicom(port: int, directory: Path) -> Sequence[str]:
    return sys.executable, "-m", "pynetdicom", "storescp", str(port), "-od", str(directory), "-q"


def _orthanc(port: int, directory: Path) -> Sequence[str]:
    configuration = directory / "orthanc.json"
    configuration.write_text(
        json.dumps(
            {
                "Name": "benchmark",
                "StorageDirectory": str(directory),
                "IndexDirectory": str(directory),
                "HttpServerEnabled": False,
                "DicomPort": port,
                "DicomCheckCalledAet": False,
                "DicomAlwaysAllowStore": True,
                "DicomAlwaysAllowEcho": True,
                "UnknownSopClassAccepted": True,
                "Plugins": [],
                "SaveJobs": False,
            }
        )
    )
    return programOutsideOfPython("Orthanc"), str(configuration)


SERVERS = {
    server.name: server
    for server in (
        _ours("txdicom"),
        _ours("txdicom --max-pdu 131072", "--max-pdu", "131072"),
        _ours("txdicom --fsync", "--fsync"),
        _ours(
            "txdicom --path {SOPInstanceUID:hash2}/{SOPInstanceUID}",
            "--path",
            "{SOPInstanceUID:hash2}/{SOPInstanceUID}",
        ),
        _ours("txdicom --workers 2", "--workers", "2", requires="--workers", hasChildren=True),
        _ours("txdicom --max-associations 2000", "--max-associations", "2000"),
        _ours("txdicom +tls", speaksTLS=True),
        _dcmtk("dcmtk"),
        _dcmtk("dcmtk as shipped", delayed=True),
        _dcmtk("dcmtk +B", "+B"),
        _dcmtk("dcmtk +B -pdu 131072", "+B", "-pdu", "131072"),
        _dcmtk("dcmtk +B --fork", "+B", "--fork", hasChildren=True),
        _dcmtk("dcmtk +B --fork +tls", "+B", "--fork", hasChildren=True, speaksTLS=True),
        Server("pynetdicom", _pynetdicom, lambda: packageVersion("pynetdicom")),
        Server(
            "orthanc", _orthanc, lambda: printed(programOutsideOfPython("Orthanc"), "--version"), environment=NO_DELAY
        ),
    )
}


def custom(text: str) -> Server:
    """
    Make a receiver of the user's: `NAME=COMMAND`, in which {port} and {directory} stand for what it is given.

    :raises ValueError: it has not that form.
    """
    name, equals, command = text.partition("=")
    if not name or not equals or "{port}" not in command:
        raise ValueError(f"{text!r} is not NAME=COMMAND with {{port}} in it")

    def filled(port: int, directory: Path) -> Sequence[str]:
        return [word.format(port=port, directory=directory) for word in command.split()]

    return Server(name, filled, lambda: command, environment=NO_DELAY, hasChildren=True)
