"""
The requestor's side: `connect` to a peer, and send, query and retrieve over the `RequestorAssociation` it gives.

`RequestorFactory` is for those who connect by themselves, `AssociationService` keeps an association going,
`contextsFor` tells what has to be proposed for instances that are to be sent, and a `Destination` is where a C-MOVE
that we are asked for may have them sent.
"""

from typing import TYPE_CHECKING, Any

from txdicom.requestor.association import RequestorAssociation
from txdicom.requestor.connecting import RequestorFactory, connect
from txdicom.requestor.destination import Destination
from txdicom.requestor.proposing import contextsFor, proposalsFor

if TYPE_CHECKING:
    from txdicom.requestor.reconnecting import AssociationService

__all__ = [
    "AssociationService",
    "Destination",
    "RequestorAssociation",
    "RequestorFactory",
    "connect",
    "contextsFor",
    "proposalsFor",
]


def __getattr__(name: str) -> Any:
    # Imported when it is asked for, because it takes Twisted's services along, which most senders have no use for.
    if name == "AssociationService":
        from txdicom.requestor.reconnecting import AssociationService

        return AssociationService
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
