"""The command `txdicom`: ``txdicom echo`` and ``txdicom send``."""

from __future__ import annotations

import gc
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import react

from txdicom import __version__
from txdicom.cli.files import find
from txdicom.cli.reporting import Progress, summarize
from txdicom.cli.sending import Sending
from txdicom.dimse.status import describe
from txdicom.requestor import connect
from txdicom.storage.disk import Disk
from txdicom.uids import VERIFICATION

__all__ = ["makeParser", "run"]

#: How long one attempt to connect takes at most, in seconds.
_CONNECTING = 30


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command; exits with 0 if everything was done, with 1 if anything failed, and with 2 for wrong usage."""
    options = makeParser().parse_args(arguments)
    # `react` returns only if it is replaced.
    sys.exit(react(lambda reactor: Deferred.fromCoroutine(_exiting(options.command(reactor, options)))))


async def _exiting(command: Any) -> None:
    # All that is needed has been imported, and need not be looked at when garbage is collected, here or at the end.
    gc.freeze()
    gc.enable()
    if not await command:
        raise SystemExit(1)


def makeParser() -> ArgumentParser:
    """Build the parser of the command line."""
    parser = ArgumentParser(prog="txdicom", description="Ask DICOM peers for things.")
    parser.add_argument("--version", action="version", version=f"txdicom {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    echo = commands.add_parser("echo", help="ask whether a peer is there (C-ECHO)")
    _addPeer(echo)
    echo.add_argument("--repeat", type=_number(1), default=1, metavar="N", help="ask N times over one association")
    echo.set_defaults(command=_echo)
    send = commands.add_parser("send", help="send instances (C-STORE)")
    _addPeer(send)
    send.add_argument("paths", nargs="+", metavar="PATH", help="a file, a folder with all below it, or a DICOMDIR")
    send.add_argument(
        "-n", "--associations", type=_number(1), default=1, metavar="N", help="over N associations at once (1)"
    )
    send.add_argument("--retry", type=_number(0), default=2, metavar="N", help="try N times more what failed (2)")
    send.add_argument(
        "--retry-delay", type=_number(0), default=1, metavar="SECONDS", help="wait so long before that (1)"
    )
    send.add_argument("-q", "--quiet", action="store_true", help="show neither progress nor summary")
    send.set_defaults(command=_send)
    return parser


def _addPeer(parser: ArgumentParser) -> None:
    parser.add_argument("host", metavar="HOST", help="name or address of the peer")
    parser.add_argument("port", metavar="PORT", type=_number(1, 65535), help="its TCP port")
    parser.add_argument(
        "-aec", "--called-aetitle", type=_title, default="ANY-SCP", metavar="TITLE", help="whom to ask for (ANY-SCP)"
    )
    parser.add_argument(
        "-aet", "--calling-aetitle", type=_title, default="TXDICOM", metavar="TITLE", help="who we are (TXDICOM)"
    )


def _number(least: int, most: int | None = None) -> Callable[[str], int]:
    def check(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= (most or sys.maxsize):
            raise ArgumentTypeError(f"{text!r} is not a number from {least}" + (f" to {most}" if most else " on"))
        return int(text)

    return check


def _title(text: str) -> str:
    if not 0 < len(text.strip()) <= 16 or not text.isascii() or not text.isprintable() or "\\" in text:
        raise ArgumentTypeError(f"{text!r} is not a title of 1 to 16 characters")
    return text


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _complain(text: str) -> None:
    sys.stderr.write(f"txdicom: {text}\n")


async def _echo(reactor: Any, options: Namespace) -> bool:
    """Ask whether the peer is there."""
    fine = True
    try:
        association = await connect(
            HostnameEndpoint(reactor, options.host, options.port, timeout=_CONNECTING),
            [VERIFICATION],
            calledAETitle=options.called_aetitle,
            callingAETitle=options.calling_aetitle,
            clock=reactor,
        )
        for _ in range(options.repeat):
            began = time.monotonic()
            status = (await association.echo()).status
            _say(f"0x{status:04X} {describe(status)}, {1000 * (time.monotonic() - began):.1f} ms")
            fine = fine and status == 0
        await association.release()
    except Exception as error:
        # Whatever it is, it is said in a sentence, and the exit status tells it as well.
        _complain(str(error) or type(error).__name__)
        return False
    return fine


async def _send(reactor: Any, options: Namespace) -> bool:
    """Send what is below the paths."""
    disk = Disk(reactor)
    found = await disk.inThread(lambda: find(options.paths))
    progress = Progress(len(found.files), options.quiet)
    began = time.monotonic()
    sending = Sending(
        lambda: HostnameEndpoint(reactor, options.host, options.port, timeout=_CONNECTING),
        disk,
        reactor,
        associations=options.associations,
        retries=options.retry,
        retryDelay=options.retry_delay,
        titles=(options.called_aetitle, options.calling_aetitle),
        done=progress.done,
    )
    outcomes = [*found.missing, *await sending.send(found.files)]
    progress.close()
    await disk.close()
    for outcome in outcomes:
        if not outcome.succeeded:
            _complain(f"{outcome.path}: {outcome.what}")
    if not options.quiet:
        _say(summarize(outcomes, time.monotonic() - began))
    return bool(outcomes) and all(outcome.succeeded for outcome in outcomes)
