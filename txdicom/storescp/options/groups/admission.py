"""Options about who may come in."""

from __future__ import annotations

from txdicom.storescp.options.kinds import AETitle, Network
from txdicom.storescp.options.option import Group, Option

__all__ = ["ADMISSION"]

ADMISSION = Group(
    "Who may come in",
    (
        Option(
            name="aetitle",
            short=("-aet",),
            takes=(AETitle(),),
            default="STORESCP",
            help="Our application entity title, at most 16 characters.",
            manual="""
Our AE title, 1 to 16 characters of ASCII but no backslash. Default STORESCP. Peers may call this one as they like,
unless :option:`--require-called-aet` is given.
""",
        ),
        Option(
            name="refuse",
            perTitle=True,
            short=("-r",),
            help="Refuse every association.",
            manual="Refuse every association with an A-ASSOCIATE-RJ of result 1, source 1, reason 1.",
        ),
        Option(
            name="require-called-aet",
            help="Refuse associations that do not ask for our AE title.",
            manual="""
Refuse associations that do not ask for our AE title (A-ASSOCIATE-RJ of result 1, source 1, reason 7). Spaces before and
after a title do not count.
""",
        ),
        Option(
            name="accept-calling-aet",
            perTitle=True,
            key="calling-aets",
            repeatable=True,
            takes=(AETitle(mayBeBlank=True),),
            help="Refuse associations of others than this AE title; ' ' stands for none; may be repeated.",
            manual="""
Refuse associations of peers that do not call themselves so (A-ASSOCIATE-RJ of result 1, source 1, reason 3). May be
repeated; any of the titles will do. `' '` stands for peers whose title is all spaces.
""",
        ),
        Option(
            name="accept-from",
            perTitle=True,
            key="networks",
            repeatable=True,
            takes=(Network(),),
            help="Refuse associations from outside of this network, such as 10.1.0.0/16 or fd00::/8; may be repeated.",
            manual="""
Refuse associations of peers whose address is not in this network (A-ASSOCIATE-RJ of result 1, source 1, reason 1). May
be repeated; any of the networks will do. It is written like `10.1.0.0/16`, `10.1.2.3` or `fd00::/8`. Peers on UNIX
sockets are let in: the permissions of the socket decide about them.
""",
        ),
    ),
    introduction="""
Everybody, unless one of these says otherwise. Where more than one is given, all of them have to agree. What this is
worth is told in :doc:`security`.
""",
)
