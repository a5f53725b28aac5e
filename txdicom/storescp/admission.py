"""Who may come in."""

from __future__ import annotations

from txdicom.dimse.association import Association
from txdicom.errors import RejectReason, RejectResult
from txdicom.upperlayer.pdu import AAssociateRJ, AAssociateRQ

__all__ = ["refuseAll"]


def refuseAll(association: Association, request: AAssociateRQ) -> AAssociateRJ:
    """Refuse every association (``--refuse``)."""
    return AAssociateRJ.of(RejectResult.PERMANENT, RejectReason.NO_REASON_GIVEN)
