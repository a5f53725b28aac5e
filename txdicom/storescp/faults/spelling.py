"""
How faults are written: `parseFault`.

A fault is ``WHEN:WHAT``::

    WHEN   3, n=3, n=3-5, n=3-  the objects with these numbers, in the order in which they come, the first being 1
           uid=1.2.3, uid=1.2*  the objects with this SOP Instance UID, or with one that begins so
           rate=0.1, rate=0.1/7 that share of all objects, at random; the seed 7 gives other ones than the seed 0
           all                  every object
    WHAT   status=0xA700        this failure, or warning, is the answer
           abort                A-ABORT within the data set
           abort-after          A-ABORT in the place of the answer
           delay=2.5            the answer comes so many seconds late
           drop                 the connection is cut within the data set
"""

from __future__ import annotations

import re

from txdicom.storescp.faults.plan import Answer, ByNumber, ByRate, ByUID, Delay, Ending, Fault

__all__ = ["parseFault"]

_WHENS = "NUMBER, n=NUMBER, n=FIRST-LAST, uid=UID, uid=PREFIX*, rate=SHARE, rate=SHARE/SEED and all"
_WHATS = "status=CODE, abort, abort-after, delay=SECONDS and drop"
# No more digits than anybody needs, and none but ASCII's.
_WHOLE = "[0-9]{1,18}"
_DECIMAL = r"(?:[0-9]{1,18}(?:\.[0-9]{0,99})?|\.[0-9]{1,99})(?:[eE][+-]?[0-9]{1,3})?"
_NUMBERS = re.compile(f"(?:n=)?({_WHOLE})(-({_WHOLE})?)?")
_RATE = re.compile(f"rate=({_DECIMAL})(?:/({_WHOLE}))?")
_STATUS = re.compile(f"status=(?:0[xX]([0-9A-Fa-f]{{1,8}})|({_WHOLE}))")
_DELAY = re.compile(f"delay=({_DECIMAL})")


def parseFault(text: str) -> Fault:
    """
    Parse the value of one ``--fault`` option.

    :raises ValueError: it is not a fault; the message is one sentence that names the text and says what would be one.
    """
    when, colon, what = text.partition(":")
    try:
        if not colon:
            raise ValueError("a fault is WHEN:WHAT, such as n=3:status=0xA700")
        return Fault(_parseWhen(when), _parseWhat(what))
    except ValueError as error:
        raise ValueError(f"fault {text!r} is not understood: {error}") from None


def _parseWhen(text: str) -> ByNumber | ByUID | ByRate:
    if text == "all":
        return ByNumber()
    if match := _NUMBERS.fullmatch(text):
        first = int(match[1])
        last = int(match[3]) if match[3] else None
        return ByNumber(first, last if match[2] else first)
    if text.startswith("uid="):
        uid = text.removeprefix("uid=")
        return ByUID(uid.removesuffix("*"), uid.endswith("*"))
    if match := _RATE.fullmatch(text):
        return ByRate(float(match[1]), int(match[2] or 0))
    raise ValueError(f"{text!r} is none of {_WHENS}")


def _parseWhat(text: str) -> Answer | Delay | Ending:
    if match := _STATUS.fullmatch(text):
        return Answer(int(match[1], 16) if match[1] else int(match[2]))
    if match := _DELAY.fullmatch(text):
        return Delay(float(match[1]))
    try:
        return Ending(text)
    except ValueError:
        raise ValueError(f"{text!r} is none of {_WHATS}") from None
