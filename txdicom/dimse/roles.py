"""
Who may request what: the roles that the two sides of an association have for each SOP class (PS3.7 D.3.3.4).

The SCU asks the SCP for operations. By default whoever requested the association is the SCU. What else has been agreed,
each `PresentationContext` tells.

Two requests are left out, for they do no harm, and not all peers negotiate them as they should: notifications
(N-EVENT-REPORT), which go the other way, and which archives send without the role for that; and C-ECHO, which is to be
answered in any context.
"""

from __future__ import annotations

from collections.abc import Mapping

from txdicom.dimse.commands import CommandField, Request
from txdicom.upperlayer.negotiation import PresentationContext

__all__ = ["missesRole"]

_BY_ANYBODY = (CommandField.C_ECHO_RQ, CommandField.N_EVENT_REPORT_RQ)


def missesRole(
    request: Request, context: PresentationContext, contexts: Mapping[int, PresentationContext], byRequestor: bool
) -> bool:
    """
    Tell whether whoever makes a request would need to be an SCU for that, and is not.

    It is the role for the SOP class that the request names. Where that has no context of its own, as it may be with
    what belongs to a meta SOP class, it is the one for the context.

    :param context: that of the request.
    :param contexts: all that were accepted.
    :param byRequestor: whether it is made by the side that requested the association.
    """
    if request.commandField in _BY_ANYBODY:
        return False
    named = request.affectedSOPClassUID
    if named != context.abstractSyntax:
        context = next((one for one in contexts.values() if one.abstractSyntax == named), context)
    # The acceptor is the SCU where the requestor is the SCP.
    return not (context.requestorIsSCU if byRequestor else context.requestorIsSCP)
