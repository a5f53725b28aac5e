"""The command `txdicom`: ``txdicom echo`` and ``txdicom send``."""

from __future__ import annotations

import gc
import signal
import sys
import time
import warnings
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NoReturn

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import react

from txdicom import __version__
from txdicom.cli.files import find
from txdicom.cli.outcomes import Kind, Outcome
from txdicom.cli.reporting import Progress, complaints, sentence, summarize
from txdicom.cli.sending import NO_DICOM, Sending
from txdicom.cli.tls import addTLSOptions, secured
from txdicom.dimse.status import describe
from txdicom.requestor import connect
from txdicom.storage.disk import Disk
from txdicom.tls.settings import TLSError
from txdicom.uids import VERIFICATION

__all__ = ["makeParser", "run"]

#: How long one attempt to connect takes at most, in seconds.
_CONNECTING = 30
#: Exit statuses.
_FINE, _FAILED, _WRONG, _INTERRUPTED = 0, 1, 2, 130


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """
    Run the command.

    It exits with 0 if everything was done, with 1 if anything failed, with 2 for wrong usage, and with 130 if it was
    interrupted.
    """
    options = makeParser().parse_args(arguments)
    # What pydicom thinks of values is of no interest to those who send them as they are.
    warnings.filterwarnings("ignore", module=r"pydicom\.")
    # What a signal leaves behind.
    status = _INTERRUPTED

    async def command(reactor: Any) -> None:
        nonlocal status
        # All that is needed has been imported, and need not be looked at when garbage is collected, here or at the end.
        gc.freeze()
        gc.enable()
        try:
            endpoint = secured(_endpoint(reactor, options), options, reactor)
        except TLSError as error:
            _complain(str(error))
            status = _WRONG
        else:
            status = await options.command(reactor, endpoint, options)

    try:
        react(lambda reactor: Deferred.fromCoroutine(command(reactor)))
    except SystemExit as error:
        # `react` knows of errors, and nothing of signals.
        sys.exit(error.code or status)
    sys.exit(status)


def _endpoint(reactor: Any, options: Namespace) -> IStreamClientEndpoint:
    return HostnameEndpoint(reactor, options.host, options.port, timeout=_CONNECTING)


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
    send.add_argument(
        "-q", "--quiet", action="store_true", help="show neither progress nor summary, but what has failed"
    )
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
    addTLSOptions(parser)


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


async def _echo(reactor: Any, endpoint: IStreamClientEndpoint, options: Namespace) -> int:
    """Ask whether the peer is there."""
    asking = Deferred.fromCoroutine(_ask(reactor, endpoint, options))
    ended = _beforeShutdown(reactor, asking.cancel)
    try:
        return await asking
    except CancelledError:
        return _INTERRUPTED
    except Exception as error:
        # Whatever it is, it is said in a sentence, and the exit status tells it as well.
        _complain(sentence(error))
        return _FAILED
    finally:
        ended.callback(None)


async def _ask(reactor: Any, endpoint: IStreamClientEndpoint, options: Namespace) -> int:
    result = _FINE
    association = await connect(
        endpoint,
        [VERIFICATION],
        calledAETitle=options.called_aetitle,
        callingAETitle=options.calling_aetitle,
        clock=reactor,
    )
    for _ in range(options.repeat):
        began = time.monotonic()
        status = (await association.echo()).status
        _say(f"0x{status:04X} {describe(status)}, {1000 * (time.monotonic() - began):.1f} ms")
        if status:
            result = _FAILED
    await association.release()
    return result


async def _send(reactor: Any, endpoint: IStreamClientEndpoint, options: Namespace) -> int:
    """Send what is below the paths."""
    disk = Disk(reactor)
    found = await disk.inThread(lambda: find(options.paths))
    progress = Progress(len(found.files), options.quiet)
    began = time.monotonic()
    sending = Sending(
        lambda: endpoint,
        disk,
        reactor,
        associations=options.associations,
        retries=options.retry,
        retryDelay=options.retry_delay,
        titles=(options.called_aetitle, options.calling_aetitle),
        done=progress.done,
    )
    ended = _beforeShutdown(reactor, sending.stop)
    try:
        outcomes = [*found.missing, *await sending.send(found.files)]
        await disk.close()
        progress.close()
        outcomes = [_skipped(each) if each.path in found.incidental else each for each in outcomes]
        for complaint in complaints(outcomes):
            _complain(complaint)
        if not options.quiet:
            _say(summarize(outcomes, time.monotonic() - began))
        return _INTERRUPTED if sending.stopped else _statusOf(outcomes)
    finally:
        ended.callback(None)


def _skipped(outcome: Outcome) -> Outcome:
    """What nobody has named, and is no DICOM file, need not be sent."""
    return replace(outcome, kind=Kind.SKIPPED) if outcome.what == NO_DICOM else outcome


def _statusOf(outcomes: Iterable[Outcome]) -> int:
    kinds = {outcome.kind for outcome in outcomes}
    return _FINE if Kind.STORED in kinds and kinds <= {Kind.STORED, Kind.SKIPPED} else _FAILED


def _beforeShutdown(reactor: Any, stop: Callable[[], object]) -> Deferred[None]:
    """Have an interrupt stop something; the reactor goes on until the Deferred fires, or for a second interrupt."""
    ended: Deferred[None] = Deferred()

    def interrupted() -> Deferred[None]:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        stop()
        return ended

    reactor.addSystemEventTrigger("before", "shutdown", interrupted)
    return ended
