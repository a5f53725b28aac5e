"""
Tests of `txdicom.storescp.faults`: how faults are written on the command line.

What senders see of them is in `tests.test_faults`.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txdicom.storescp.faults.plan import (
    ABORT_AFTER,
    ABORT_DURING,
    Answer,
    ByNumber,
    ByRate,
    ByUID,
    Delay,
    Ending,
    Fault,
    longestDelay,
)
from txdicom.storescp.faults.spelling import parseFault

WHENS: dict[str, ByNumber | ByUID | ByRate] = {
    "1": ByNumber(1, 1),
    "n=3": ByNumber(3, 3),
    "n=3-5": ByNumber(3, 5),
    "7-7": ByNumber(7, 7),
    "n=3-": ByNumber(3, None),
    "all": ByNumber(),
    "uid=1.2.3": ByUID("1.2.3"),
    "uid=1.2.*": ByUID("1.2.", isPrefix=True),
    "rate=0.1": ByRate(0.1),
    "rate=1": ByRate(1.0),
    "rate=.5/42": ByRate(0.5, 42),
    "rate=1e-3/0": ByRate(0.001, 0),
}
WHATS: dict[str, Answer | Delay | Ending] = {
    "status=0xA700": Answer(0xA700),
    "status=42752": Answer(0xA700),
    "status=0Xb006": Answer(0xB006),
    "status=1": Answer(1),
    "status=0xFFFF": Answer(0xFFFF),
    "abort": Ending.ABORT,
    "abort-after": Ending.ABORT_AFTER,
    "drop": Ending.DROP,
    "delay=2.5": Delay(2.5),
    "delay=0": Delay(0.0),
    "delay=86400": Delay(86400.0),
}
BAD_WHENS = (
    *("", "0", "n=0", "-1", "n=", "n=5-3", "n=3-5-7", "n=x", "n=1.5", "n= 3", "N=3", "1_0", "\u0663", "9" * 19),
    *("uid=", "uid=*", "uid=1.2a", "uid=1*2", "uid=1**", "uid=" + "1" * 65, "1.2.3", "uid=1.2\n"),
    *("rate=", "rate=0", "rate=0.0", "rate=1.1", "rate=-1", "rate=nan", "rate=inf", "rate=1e999", "rate=1e-999"),
    *("rate=0.1/", "rate=0.1/x", "rate=0.1/-1", "rate=0.1/1.5", "rate=10%", "All", "all ", "some", "n=3\n"),
)
BAD_WHATS = (
    *("", "status", "status=", "status=0", "status=0x0000", "status=0x10000", "status=65536", "status=A700"),
    *("status=0xFE00", "status=0xFF00", "status=0xFF01", "status=-1", "status=0x", "status=busy", "status=0xA700\n"),
    *("delay=", "delay=-1", "delay=86400.1", "delay=nan", "delay=1e9", "delay=2,5", "delay=2s", "delay=\u0663"),
    *("Abort", "abort ", "abort=1", "abort-during", "ABORT_AFTER", "drop:drop", "explode", "\0", "x" * 1000),
)

uids = st.text("0123456789.", min_size=1, max_size=64)
numbers = st.tuples(st.integers(1, 10**9), st.none() | st.integers(0, 10**9)).map(
    lambda pair: ByNumber(pair[0], None if pair[1] is None else pair[0] + pair[1])
)
rates = st.builds(ByRate, st.floats(0, 1, exclude_min=True), st.integers(0, 10**17))
statuses = st.integers(1, 0xFFFF).filter(lambda status: status not in (0xFE00, 0xFF00, 0xFF01))
faults = st.builds(
    Fault,
    numbers | rates | st.builds(ByUID, uids, st.booleans()),
    st.builds(Answer, statuses) | st.builds(Delay, st.floats(0, 86400)) | st.sampled_from(Ending),
)


class ParseFaultTests(SynchronousTestCase):
    """How faults are written."""

    def assertRefused(self, text: str, part: str) -> None:
        """The text is no fault, and the message names it, and what of it is wrong."""
        error = self.assertRaises(ValueError, parseFault, text)
        self.assertIn(repr(text), str(error))
        self.assertNotIn("\n", str(error))
        self.assertTrue(repr(part) in str(error) or " is " in str(error) or " has " in str(error), str(error))

    def test_everyWhenWithEveryWhat(self) -> None:
        for when, expectedWhen in WHENS.items():
            for what, expectedWhat in WHATS.items():
                self.assertEqual(parseFault(f"{when}:{what}"), Fault(expectedWhen, expectedWhat))

    def test_whatIsNoFault(self) -> None:
        for when in BAD_WHENS:
            self.assertRefused(f"{when}:abort", when)
        for what in BAD_WHATS:
            self.assertRefused(f"all:{what}", what)
        for text in ("", "abort", "all", "3=abort", "all;drop"):
            self.assertRefused(text, text)

    def test_messagesSayWhatWouldBeRight(self) -> None:
        for text, hint in (
            ("abort", "WHEN:WHAT"),
            ("third:abort", "n=FIRST-LAST"),
            ("0:abort", "counted from 1"),
            ("5-3:abort", "upwards"),
            ("uid=x:abort", "digits and dots"),
            ("rate=2:abort", "at most 1"),
            ("all:explode", "delay=SECONDS"),
            ("all:status=0", "0x0001 to 0xFFFF"),
            ("all:delay=90000", "0 to 86400 seconds"),
        ):
            self.assertIn(hint, str(self.assertRaises(ValueError, parseFault, text)))

    def test_wordsOfTheClassicProgram(self) -> None:
        self.assertEqual(parseFault("all:abort"), ABORT_DURING)
        self.assertEqual(parseFault("all:abort-after"), ABORT_AFTER)

    def test_longestDelay(self) -> None:
        self.assertEqual(longestDelay([]), 0)
        self.assertEqual(longestDelay([ABORT_DURING]), 0)
        self.assertEqual(longestDelay(map(parseFault, ("1:delay=2", "2:delay=7.5", "3:drop", "4:delay=3"))), 7.5)

    @settings(deadline=None, max_examples=150)
    @given(faults)
    @example(Fault(ByRate(5e-324, 0), Delay(1e-07)))
    def test_strIsParsed(self, fault: Fault) -> None:
        self.assertEqual(parseFault(str(fault)), fault)

    @settings(deadline=None, max_examples=150)
    @given(
        st.text(max_size=60)
        | st.builds("{}:{}".format, st.text(max_size=9), st.sampled_from(sorted(WHATS)))
        | st.builds("{}{}:{}{}".format, *(st.sampled_from([*WHENS, *WHATS]) | st.text(max_size=5) for _ in range(4)))
    )
    def test_anyTextIsAFaultOrAValueError(self, text: str) -> None:
        try:
            fault = parseFault(text)
        except ValueError as error:
            self.assertIn(repr(text), str(error))
        else:
            self.assertEqual(parseFault(str(fault)), fault)
