"""Options about where the receiver listens, and how it stops."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from twisted.python import usage

from txdicom.storescp.options.kinds import Parsed, Seconds, wholeNumber
from txdicom.storescp.options.option import Group, Option

__all__ = ["LISTENING"]

MOST_WORKERS = 256
#: A worker is told in one byte by which of them a connection has come.
MOST_SHARED_ENDPOINTS = 256


@dataclass(frozen=True, slots=True)
class Port:
    """A TCP port; it may be the argument of the program as well as of an option."""

    placeholder: str = "n"

    def parse(self, name: str, text: str) -> int:
        """Return its number."""
        number = wholeNumber(text)
        if number is None or not 0 <= number <= 65535:
            raise usage.UsageError(f"port {text!r} is not a whole number from 0 to 65535")
        return number


@dataclass(frozen=True, slots=True)
class Workers:
    """A number of processes, or as many as this process may use processors."""

    placeholder: str = "n"

    def parse(self, name: str, text: str) -> int:
        """Return the number."""
        number = _processors() if text == "auto" else wholeNumber(text)
        if number is None or not 1 <= number <= MOST_WORKERS:
            raise usage.UsageError(f"{name} {text!r} is neither auto nor a whole number from 1 to {MOST_WORKERS}")
        if number > 1 and not hasattr(os, "memfd_create"):
            raise usage.UsageError(f"{name} {text!r} needs memory that processes can share, which only Linux has")
        return number


def _processors() -> int:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(count, MOST_WORKERS)


def _check(options: dict[str, Any]) -> None:
    if options["port"] is None and not options["endpoints"]:
        raise usage.UsageError("a port or an endpoint to listen on is missing")
    count = len(options["endpoints"]) + (options["port"] is not None)
    if options["workers"] > 1 and count > MOST_SHARED_ENDPOINTS:
        raise usage.UsageError(f"--workers can share at most {MOST_SHARED_ENDPOINTS} ports and endpoints, not {count}")


LISTENING = Group(
    "Where it listens",
    (
        Option(
            name="port",
            takes=(Port(),),
            help="TCP port to listen on, the same as the argument.",
            manual="The same as the argument. 0 takes a free port, which the log tells.",
        ),
        Option(
            name="endpoint",
            key="endpoints",
            repeatable=True,
            takes=(Parsed("description", str),),
            help="Listen on this Twisted endpoint, such as tcp:11112:interface=127.0.0.1; may be repeated.",
            manual="""
Listen on an endpoint in Twisted's notation, such as `tcp:11112:interface=127.0.0.1`, `tcp6:11112`,
`unix:/run/dicom.socket`, `systemd:domain=INET:index=0` or, behind a proxy that speaks the PROXY protocol,
`haproxy:tcp:11112`. May be repeated; with it no port is needed.
""",
        ),
        Option(
            name="workers",
            takes=(Workers(),),
            default="1",
            help="Receive with n processes, or auto for as many as there are processors.",
            manual="""
Receive with n processes, 1 to 256; `auto` takes as many as there are processors for this process. Default 1. See
`Several processes`_.
""",
        ),
        Option(
            name="grace-period",
            takes=(Seconds(),),
            default="10",
            help="When stopped, let messages finish for n seconds.",
            manual="""
When stopped, let messages that are under way finish for n seconds: see `Starting and stopping`_. Default 10.
""",
        ),
    ),
    _check,
)
