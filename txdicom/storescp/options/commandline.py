"""The command line as twistd knows it: `Options`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from twisted.python import usage

from txdicom.storescp.options.spelling import Given, readArguments
from txdicom.storescp.options.table import GROUPS, OPTIONS
from txdicom.storescp.options.texts import completions, flags, parameters, usageText
from txdicom.storescp.options.tomlfile import readConfiguration, withoutOverridden

__all__ = ["Options"]


class Options(usage.Options):
    """
    The options of storescp: the value of each by its key.

    They may stand before or after the port. What cannot be used is refused with one sentence on standard error and
    exit status 1, because twistd itself would go on to report success. `usage.Options` knows neither DCMTK's forms nor
    options of two arguments, so the arguments are read by `readArguments`; its part is to be what twistd and the
    completion of shells expect.

    The value of `titles` is not that of an option: it has, for each AE title of the configuration file, all values that
    are for it.

    :ivar given: the names of the options that the command line has, or the configuration file.
    :ivar arguments: the command line itself.
    """

    synopsis = "[-v][-d][-r][-i][-s n][-S n][-b n] [options] port"
    longdesc = (
        "Receives images by the DICOM Storage service class and keeps each in a file of the output directory;"
        " answers the Verification service class as well. DCMDICTPATH names data dictionaries to load, separated by"
        f" '{os.pathsep}'."
    )
    optFlags = flags()
    optParameters = parameters()
    compData = completions()

    def __init__(self) -> None:
        super().__init__()
        self.given: set[str] = set()
        self.arguments: list[str] = []
        self.clear()
        self["titles"] = {}
        for option in OPTIONS.values():
            # Of alternatives, which share a key, the value of the one that has the default.
            if option.answer is None and (option.key not in self or option.default is not None):
                self[option.key] = option.initial

    def getSynopsis(self) -> str:
        """Say in one line how to call the program, by way of whatever runs it."""
        return f"Usage: storescp {self.synopsis}" if self.parent is None else str(super().getSynopsis())

    def getUsage(self, width: int | None = None) -> str:
        """Say what each option is good for."""
        return "\n" + (usageText(self.longdesc, width) if width else usageText(self.longdesc))

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        Parse the command line.

        :param options: the arguments; None takes the program's.
        :raises SystemExit: with 1 after saying what is wrong with it, with 0 after printing what was asked for.
        """
        self.arguments = arguments = list(sys.argv[1:] if options is None else options)
        if not arguments:
            sys.stderr.write(f"{self}\n")
            sys.exit(1)
        if arguments[-2:-1] == ["--_shell-completion"]:
            super().parseOptions(arguments)
        try:
            given, ports = readArguments(arguments)
            for one in given:
                if one.option.answer is not None:
                    print(one.option.answer(self))  # noqa: T201 - this is what was asked for
                    sys.exit(0)
            titles: dict[str, list[Given]] = {}
            path = next((one.texts[0] for one in reversed(given) if one.option.name == "config"), None)
            if path is not None:
                file = readConfiguration(path)
                given = [*withoutOverridden(file.given, given, bool(ports)), *given]
                titles = file.titles
            for one in given:
                self._take(one)
            super().parseOptions(["--", *ports])
            self["titles"] = {title: self._titled(title, given, own) for title, own in titles.items()}
        except usage.UsageError as error:
            sys.stderr.write(f"storescp: {error}\n{self.getSynopsis()}\n")
            sys.exit(1)

    def _titled(self, title: str, given: list[Given], own: list[Given]) -> dict[str, Any]:
        """Make the values for one AE title of those for everybody and its own."""
        options = Options()
        options.update({"aetitle": title, "port": self["port"]})
        try:
            for one in [*withoutOverridden(given, own, False), *own]:
                if one.option.key not in ("aetitle", "port"):
                    options._take(one)
            options.postOptions()
        except usage.UsageError as error:
            raise usage.UsageError(f"AE title {title}: {error}") from error
        return dict(options)

    def _take(self, given: Given) -> None:
        option, texts = given
        self.given.add(option.name)
        value = option.value(texts)
        if option.repeatable:
            self[option.key].append(value)
        else:
            self[option.key] = value

    def parseArgs(self, *ports: str) -> None:
        """Take the port."""
        for text in ports:
            if text.startswith("@"):
                raise usage.UsageError(f"command file {text!r} is not read: let the shell put its content there")
        if len(ports) > 1:
            raise usage.UsageError(f"more than one port is given: {', '.join(map(repr, ports))}")
        for text in ports:
            if self["port"] is not None:
                raise usage.UsageError("the port is given twice")
            self["port"] = OPTIONS["port"].value([text])

    def postOptions(self) -> None:
        """Check what goes together."""
        for name in sorted(self.given):
            option = OPTIONS[name]
            for other in option.excludes:
                if other in self.given:
                    raise usage.UsageError(f"{option.spelled} cannot be given with --{other}")
            if option.needs and not self.given.intersection(option.needs):
                needed = " or ".join(f"--{other}" for other in option.needs)
                raise usage.UsageError(f"{option.spelled} can only be given with {needed}")
        for group in GROUPS:
            if group.check is not None:
                group.check(self)
