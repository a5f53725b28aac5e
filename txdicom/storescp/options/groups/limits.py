"""Options about how much at once, and how long."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.python import usage

from txdicom.storescp.options.kinds import Seconds, Whole, wholeNumber
from txdicom.storescp.options.option import Group, Option

__all__ = ["LARGEST_PDU", "LIMITS", "SMALLEST_PDU"]

SMALLEST_PDU = 4096
LARGEST_PDU = 1 << 24
_LARGEST_COUNT = 1000000


@dataclass(frozen=True, slots=True)
class PDULength:
    """The length of a PDU, or 0 for any (PS3.8 D.1.1); the sentences are those of the original program."""

    placeholder: str = "n"

    def parse(self, name: str, text: str) -> int:
        """Return the bytes."""
        length = wholeNumber(text)
        if length is None:
            raise usage.UsageError(f"{name} {text!r} is not a whole number of bytes")
        if length and length < SMALLEST_PDU:
            raise usage.UsageError(f"Maximum receive PDU length ({length}) too small, at least {SMALLEST_PDU} or 0")
        if length > LARGEST_PDU:
            raise usage.UsageError(f"Maximum receive PDU length ({length}) too big, at most {LARGEST_PDU}")
        return length


LIMITS = Group(
    "How much, and how long",
    (
        Option(
            name="max-pdu",
            short=("-b", "-pdu"),
            takes=(PDULength(),),
            default="16384",
            help=f"Receive PDUs of at most n bytes, {SMALLEST_PDU} to {LARGEST_PDU}; 0 for no limit.",
            manual=f"""
The largest P-DATA-TF PDU to receive, in bytes, as it is announced to the peer: {SMALLEST_PDU} to {LARGEST_PDU}, or 0
for no limit. Default 16384. Data is passed on as it comes, so a larger one takes no more memory. A peer that sends a
larger one than was announced is aborted.
""",
        ),
        Option(
            name="max-associations",
            takes=(Whole(0, _LARGEST_COUNT),),
            default="1000",
            help="Have at most n associations at once; 0 for no limit.",
            manual="""
Have at most n associations at once, and refuse more (A-ASSOCIATE-RJ of result 2, source 3, reason 2). 0 is no limit.
Default 1000.
""",
        ),
        Option(
            name="max-associations-per-peer",
            takes=(Whole(0, _LARGEST_COUNT),),
            default="0",
            help="Have at most n of them with one address; 0 for no limit.",
            manual="Have at most n of them with one address. Default 0, which is no limit.",
        ),
        Option(
            name="acse-timeout",
            short=("-ta",),
            takes=(Seconds(0.1),),
            default="30",
            help="Close connections that have no association after n seconds (ARTIM).",
            manual="""
Close a connection on which no association was requested for n seconds, or that is still open n seconds after the end of
its association (the ARTIM timer of PS3.8 9.1.5). 0.1 at least, default 30.
""",
        ),
        Option(
            name="socket-timeout",
            short=("-ts",),
            takes=(Seconds(),),
            default="60",
            help="Abort when the rest of a message does not come for n seconds; 0 for never.",
            manual="""
Abort an association when the rest of a message or PDU has not come for n seconds, or only a few bytes of it; and close
the connection of a peer that has not read for n seconds what it was sent. 0 waits for ever for the rest of a message.
Default 60.
""",
        ),
        Option(
            name="dimse-timeout",
            short=("-td",),
            takes=(Seconds(),),
            default="0",
            help="Abort when no message comes for n seconds; 0 for never.",
            manual="""
Abort an association when no message has come for n seconds. Default 0, which waits for as long as TCP's keepalive finds
the peer there.
""",
        ),
    ),
    introduction="What there is besides, and what a peer sees, is in :doc:`limits`.",
)
