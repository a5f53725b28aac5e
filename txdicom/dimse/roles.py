"""
Who may request what: the roles that the two sides of an association have for each SOP class (PS3.7 D.3.3.4).

The SCU asks the SCP for operations; a notification (N-EVENT-REPORT) goes the other way. By default whoever requested
the association is the SCU. What else has been agreed, each `PresentationContext` tells.
"""

from __future__ import annotations

from collections.abc import Mapping

from txdicom.dimse.commands import CommandField, Request
from txdicom.upperlayer.negotiation import PresentationContext

__all__ = ["missingRole"]


def missingRole(
    request: Request, context: PresentationContext, contexts: Mapping[int, PresentationContext], byRequestor: bool
) -> str | None:
    """
    Tell which role whoever makes a request would need to have, and has not.

    It is the role for the SOP class that the request names. Where that has no context of its own, as it may be with
    what belongs to a meta SOP class, it is the one for the context.

    :param context: that of the request.
    :param contexts: all that were accepted.
    :param byRequestor: whether it is made by the side that requested the association.
    :return: ``"SCU"`` or ``"SCP"``; None if nothing is missing.
    """
    named = request.affectedSOPClassUID
    if named != context.abstractSyntax:
        context = next((one for one in contexts.values() if one.abstractSyntax == named), context)
    isNotification = request.commandField == CommandField.N_EVENT_REPORT_RQ
    # The acceptor is the SCP where the requestor is the SCU, and the other way round.
    if context.requestorIsSCU if byRequestor != isNotification else context.requestorIsSCP:
        return None
    return "SCP" if isNotification else "SCU"
