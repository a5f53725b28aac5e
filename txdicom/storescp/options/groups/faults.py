"""Options by which senders are tested: delays, and faults on purpose."""

from __future__ import annotations

from txdicom.storescp.faults.plan import ABORT_AFTER, ABORT_DURING
from txdicom.storescp.faults.spelling import parseFault
from txdicom.storescp.options.kinds import Parsed, Seconds
from txdicom.storescp.options.option import Group, Option

__all__ = ["FAULTS"]

FAULTS = Group(
    "Delays and faults, for tests of senders",
    (
        Option(
            name="sleep-after",
            perTitle=True,
            short=("-s",),
            takes=(Seconds(),),
            default="0",
            help="Sleep n seconds after each store.",
            manual="""
After the answer to each C-STORE, let n seconds go by until the association's next request is answered. Default 0. No
other association is delayed.
""",
        ),
        Option(
            name="sleep-during",
            perTitle=True,
            short=("-S",),
            takes=(Seconds(),),
            default="0",
            help="Sleep n seconds at each step of a store: begin, every fragment, end.",
            manual="""
Let n seconds go by at each step of a C-STORE: at its begin, before each fragment, at its end. Default 0. No other
association is delayed.
""",
        ),
        Option(
            name="fault",
            perTitle=True,
            key="faults",
            repeatable=True,
            takes=(Parsed("fault", parseFault),),
            help="Make a fault happen, such as n=3:status=0xA700, uid=1.2*:abort, rate=0.1:drop; may be repeated.",
            manual="""
Make a fault happen: see `Faults on purpose`_. May be repeated; of those that apply to an instance, the first happens.
""",
        ),
        Option(
            name="abort-during",
            perTitle=True,
            key="faults",
            repeatable=True,
            constant=ABORT_DURING,
            help="Abort every association within the first data set, the same as --fault all:abort.",
            manual="Abort every association within the first data set: the same as `--fault all:abort`.",
        ),
        Option(
            name="abort-after",
            perTitle=True,
            key="faults",
            repeatable=True,
            constant=ABORT_AFTER,
            help="Abort every association after the first data set, the same as --fault all:abort-after.",
            manual="""
Abort every association after the first data set, in the place of its answer: the same as `--fault all:abort-after`.
""",
        ),
    ),
)
