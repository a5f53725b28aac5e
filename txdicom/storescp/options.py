"""The command line of storescp: parsed and checked here, acted on in `txdicom.storescp.tap`."""

from __future__ import annotations

import getopt
import os
import re
import sys
from collections.abc import Sequence
from ipaddress import ip_network
from typing import NoReturn

from twisted.python import usage

from txdicom import __version__
from txdicom.storage.filestore import Duplicates
from txdicom.storescp.faults import ABORT_AFTER, ABORT_DURING, parseFault

__all__ = ["Options"]

_SMALLEST_PDU = 4096
_LARGEST_PDU = 1 << 24
_LONGEST_TIME = 86400.0
_LARGEST_COUNT = 1000000
_MOST_BYTES = 1 << 60
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
#: What `int` and `float` take besides is no number that anybody means: "nan", "1_000", digits of other scripts.
_WHOLE = re.compile(r"-?[0-9]{1,1000}")
_DECIMAL = re.compile(r"-?(?:[0-9]{1,1000}(?:\.[0-9]{0,1000})?|\.[0-9]{1,1000})")


class Options(usage.Options):
    """
    The options of storescp.

    They may stand before or after the port. What cannot be used is refused with one sentence on standard error and
    exit status 1, because twistd itself would go on to report success.
    """

    synopsis = "[-v][-d][-r][-i][-s n][-S n][-b n] [options] port"
    longdesc = (
        "Receives images by the DICOM Storage service class and keeps each in a file of the output directory;"
        " answers the Verification service class as well. DCMDICTPATH names data dictionaries to load, separated by"
        f" '{os.pathsep}'."
    )
    optFlags = [
        ["verbose", "v", "Say what happens on every association."],
        ["debug", "d", "Say also what was negotiated, and show commands and data sets; implies --verbose."],
        ["refuse", "r", "Refuse every association."],
        ["ignore", "i", "Receive, but do not keep anything."],
        ["fsync", None, "Have every file on stable storage before it is acknowledged."],
        ["require-called-aet", None, "Refuse associations that do not ask for our AE title."],
    ]
    optParameters = [
        ["sleep-after", "s", "0", "Sleep n seconds after each store."],
        ["sleep-during", "S", "0", "Sleep n seconds at each step of a store: begin, every fragment, end."],
        ["max-pdu", "b", "16384", "Receive PDUs of at most n bytes, 4096 to 16777216; 0 for no limit."],
        ["port", None, None, "TCP port to listen on, the same as the argument."],
        ["aetitle", None, "STORESCP", "Our application entity title, at most 16 characters."],
        ["output-directory", None, ".", "Where to keep what is received; has to exist."],
        [
            "duplicates",
            None,
            "overwrite",
            "When an instance is there already: overwrite, keep, reject or rename.",
        ],
        ["min-free-space", None, "0", "Refuse instances when fewer than n bytes are free; K, M, G, T may follow."],
        ["max-object-size", None, "0", "Refuse data sets of more than n bytes; 0 for no limit."],
        ["max-associations", None, "1000", "Have at most n associations at once; 0 for no limit."],
        ["max-associations-per-peer", None, "0", "Have at most n of them with one address; 0 for no limit."],
        ["acse-timeout", None, "30", "Close connections that have no association after n seconds (ARTIM)."],
        ["socket-timeout", None, "60", "Abort when the rest of a message does not come for n seconds; 0 for never."],
        ["dimse-timeout", None, "0", "Abort when no message comes for n seconds; 0 for never."],
        ["grace-period", None, "10", "When stopped, let messages finish for n seconds."],
    ]
    compData = usage.Completions(
        optActions={
            "output-directory": usage.CompleteDirs(),
            "duplicates": usage.CompleteList([choice.value for choice in Duplicates]),
        }
    )

    def __init__(self) -> None:
        super().__init__()
        self["endpoints"] = []
        self["calling-aets"] = []
        self["networks"] = []
        self["faults"] = []

    def opt_accept_calling_aet(self, title: str) -> None:
        """Refuse associations of others than this AE title; ' ' stands for none; may be repeated."""
        self["calling-aets"].append("" if set(title) == {" "} else _aeTitle("accept-calling-aet", title))

    def opt_accept_from(self, network: str) -> None:
        """Refuse associations from outside of this network, such as 10.1.0.0/16 or fd00::/8; may be repeated."""
        try:
            self["networks"].append(ip_network(network))
        except ValueError as error:
            raise usage.UsageError(f"--accept-from {network!r} is not a network: {error}") from error

    def opt_fault(self, text: str) -> None:
        """Make a fault happen, such as n=3:status=0xA700, uid=1.2*:abort, rate=0.1:drop; may be repeated."""
        try:
            self["faults"].append(parseFault(text))
        except ValueError as error:
            raise usage.UsageError(str(error)) from error

    def opt_abort_during(self) -> None:
        """Abort every association within the first data set, the same as --fault all:abort."""
        self["faults"].append(ABORT_DURING)

    def opt_abort_after(self) -> None:
        """Abort every association after the first data set, the same as --fault all:abort-after."""
        self["faults"].append(ABORT_AFTER)

    def opt_endpoint(self, description: str) -> None:
        """Listen on this Twisted endpoint, such as tcp:11112:interface=127.0.0.1; may be repeated."""
        self["endpoints"].append(description)

    def opt_version(self) -> NoReturn:
        """Print the version and exit."""
        print(f"txdicom {__version__}")  # noqa: T201 - this is what was asked for
        sys.exit(0)

    def getSynopsis(self) -> str:
        """Say in one line how to call the program, by way of whatever runs it."""
        return f"Usage: storescp {self.synopsis}" if self.parent is None else str(super().getSynopsis())

    def parseArgs(self, *ports: str) -> None:
        """Take the port."""
        if len(ports) > 1:
            raise usage.UsageError(f"more than one port is given: {', '.join(map(repr, ports))}")
        if ports:
            if self["port"] is not None:
                raise usage.UsageError("the port is given twice")
            self["port"] = ports[0]

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        Parse the command line.

        :param options: the arguments; None takes the program's.
        :raises SystemExit: with 1 after saying what is wrong with it, with 0 after printing help or version.
        """
        arguments = list(sys.argv[1:] if options is None else options)
        if not arguments:
            sys.stderr.write(f"{self}\n")
            sys.exit(1)
        try:
            super().parseOptions(self._optionsFirst(arguments))
        except usage.UsageError as error:
            sys.stderr.write(f"storescp: {error}\n{self.getSynopsis()}\n")
            sys.exit(1)

    def _optionsFirst(self, arguments: list[str]) -> list[str]:
        """Move the port behind the options, which is where `usage.Options` wants it."""
        try:
            options, rest = getopt.gnu_getopt(arguments, self.shortOpt, self.longOpt)
        except getopt.GetoptError as error:
            raise usage.UsageError(str(error)) from error
        ordered = []
        for option, value in options:
            if f"{option[2:]}=" in self.longOpt or f"{option[1:]}:" in self.shortOpt:
                ordered += [option, value]
            else:
                ordered.append(option)
        return [*ordered, "--", *rest]

    def postOptions(self) -> None:
        """Check every value."""
        self["verbose"] = self["verbose"] or self["debug"]
        self["sleep-after"] = self._seconds("sleep-after", 0.0)
        self["sleep-during"] = self._seconds("sleep-during", 0.0)
        self["acse-timeout"] = self._seconds("acse-timeout", 0.1)
        for name in ("socket-timeout", "dimse-timeout", "grace-period"):
            self[name] = self._seconds(name, 0.0)
        for name in ("min-free-space", "max-object-size"):
            self[name] = self._bytes(name)
        for name in ("max-associations", "max-associations-per-peer"):
            self[name] = self._count(name)
        if self["duplicates"] not in {choice.value for choice in Duplicates}:
            raise usage.UsageError(f"--duplicates {self['duplicates']!r} is none of overwrite, keep, reject, rename")
        self["max-pdu"] = self._maximumPDULength()
        if self["port"] is not None:
            self["port"] = self._port()
        elif not self["endpoints"]:
            raise usage.UsageError("a port or an endpoint to listen on is missing")
        self["aetitle"] = _aeTitle("aetitle", self["aetitle"])
        self._checkDirectory()

    def _checkDirectory(self) -> None:
        if not self["output-directory"]:
            raise usage.UsageError("--output-directory '' is not a directory")
        directory = os.path.abspath(self["output-directory"])
        self["output-directory"] = directory
        if self["ignore"]:
            return
        if not os.path.isdir(directory):
            raise usage.UsageError(f"output directory {directory} does not exist or is not a directory")
        if not os.access(directory, os.W_OK | os.X_OK):
            raise usage.UsageError(f"output directory {directory} cannot be written to")

    def _port(self) -> int:
        text = self["port"]
        if not _WHOLE.fullmatch(text) or not 0 <= int(text) <= 65535:
            raise usage.UsageError(f"port {text!r} is not a whole number from 0 to 65535")
        return int(text)

    def _maximumPDULength(self) -> int:
        text = self["max-pdu"]
        if not _WHOLE.fullmatch(text):
            raise usage.UsageError(f"--max-pdu {text!r} is not a whole number of bytes")
        length = int(text)
        if length and length < _SMALLEST_PDU:
            raise usage.UsageError(f"Maximum receive PDU length ({length}) too small, at least {_SMALLEST_PDU} or 0")
        if length > _LARGEST_PDU:
            raise usage.UsageError(f"Maximum receive PDU length ({length}) too big, at most {_LARGEST_PDU}")
        return length

    def _count(self, name: str) -> int:
        text = self[name]
        if not _WHOLE.fullmatch(text) or not 0 <= int(text) <= _LARGEST_COUNT:
            raise usage.UsageError(f"--{name} {text!r} is not a whole number from 0 to {_LARGEST_COUNT}")
        return int(text)

    def _bytes(self, name: str) -> int:
        text = self[name]
        unit = _UNITS.get(text[-1:].upper(), 1)
        number = text if unit == 1 else text[:-1]
        if not _WHOLE.fullmatch(number) or not 0 <= int(number) * unit <= _MOST_BYTES:
            raise usage.UsageError(f"--{name} {text!r} is not a number of bytes, such as 2000000, 500K, 20M, 4G or 1T")
        return int(number) * unit

    def _seconds(self, name: str, least: float) -> float:
        text = self[name]
        if not _DECIMAL.fullmatch(text) or not least <= float(text) <= _LONGEST_TIME:
            raise usage.UsageError(f"--{name} {text!r} is not a number of seconds from {least:g} to {_LONGEST_TIME:g}")
        return float(text)


def _aeTitle(name: str, text: str) -> str:
    """Return an AE title without the spaces around it, which mean nothing (PS3.5 6.2)."""
    title = text.strip(" ")
    if not 1 <= len(title) <= 16 or "\\" in title or not (title.isascii() and title.isprintable()):
        raise usage.UsageError(f"--{name} {text!r} is not an AE title of 1 to 16 characters")
    return title
