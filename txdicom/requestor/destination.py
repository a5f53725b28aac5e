"""Where a C-MOVE may have instances sent: `Destination`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from zope.interface import implementer

from txdicom.dimse.association import Association
from txdicom.interfaces import IMoveDestination
from txdicom.requestor.connecting import connect
from txdicom.requestor.proposing import proposalsFor
from txdicom.services.instances import Identity

__all__ = ["Destination"]


@implementer(IMoveDestination)
class Destination:
    """
    One that a `txdicom.services.retrieval.MoveService` may send instances to.

    What is proposed is what `txdicom.requestor.contextsFor` tells. If that is more than the 128 contexts that an
    association has room for, the instances that the last of them would be for fail.

    :param endpoint: how it is reached; its time limit for the connection holds.
    :param parameters: as for `connect`, such as `configuration`, `clock` and `observer`; AE titles given here are used
        instead of those of the C-MOVE.
    """

    def __init__(self, endpoint: IStreamClientEndpoint, **parameters: Any) -> None:
        self._endpoint = endpoint
        self._parameters = parameters

    def connect(self, calledAETitle: str, callingAETitle: str, identities: Sequence[Identity]) -> Deferred[Association]:
        """Request an association that the instances can be sent over; errs as `connect` does."""
        parameters = {"calledAETitle": calledAETitle, "callingAETitle": callingAETitle, **self._parameters}
        return cast("Deferred[Association]", connect(self._endpoint, proposalsFor(identities)[0], **parameters))
