"""One line for each association that tells all of it: `AssociationSummaries`, for ``--log-json``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.dimse.commands import Command, CStoreRQ, CStoreRSP
from txdicom.dimse.status import StatusCategory, category
from txdicom.errors import AssociationAborted, AssociationLost, AssociationRejected
from txdicom.interfaces import IAssociationObserver
from txdicom.storescp.log.dump import peerName, printable
from txdicom.storescp.log.numbered import NumberedLog
from txdicom.upperlayer.negotiation import PresentationContext
from txdicom.upperlayer.pdu import AAssociateAC, AAssociateRQ

if TYPE_CHECKING:
    from txdicom.dimse.association import Association

__all__ = ["AssociationSummaries"]

#: How much is shown of why an association ended, in characters.
_LONGEST_REASON = 200
#: Likewise of the subject of a certificate.
_LONGEST_SUBJECT = 200


class _Tally:
    """What has happened on one association so far; times are in seconds."""

    __slots__ = ("began", "firstRequest", "lastAnswer", "requests", "stored")

    def __init__(self, began: float) -> None:
        self.began = began
        self.requests = 0
        self.stored = 0
        self.firstRequest = self.lastAnswer = 0.0


@implementer(IAssociationObserver)
class AssociationSummaries:
    """
    Logs one event when an association ends that was asked for, however it ends.

    Its `fields` are the names and values that ``docs/storescp.rst`` lists. There is nothing of patients in them.

    :param clock: tells the time.
    """

    def __init__(self, log: Logger, clock: IReactorTime) -> None:
        self._log = log
        self._clock = clock
        self._tallies: dict[Association, _Tally] = {}

    def associationRequested(self, association: Association, request: AAssociateRQ) -> None:
        """Begin to count."""
        self._tallies[association] = _Tally(self._clock.seconds())

    def associationEstablished(self, association: Association, request: AAssociateRQ, response: AAssociateAC) -> None:
        """There is nothing to count yet."""

    def commandReceived(self, association: Association, context: PresentationContext, command: Command) -> None:
        """Count what is to be stored."""
        if isinstance(command, CStoreRQ):
            tally = self._tallies[association]
            tally.requests += 1
            if tally.requests == 1:
                tally.firstRequest = self._clock.seconds()

    def commandSent(self, association: Association, context: PresentationContext, command: Command) -> None:
        """Count what is stored."""
        if isinstance(command, CStoreRSP):
            tally = self._tallies[association]
            tally.stored += category(command.status) in (StatusCategory.SUCCESS, StatusCategory.WARNING)
            tally.lastAnswer = self._clock.seconds()

    def associationEnded(self, association: Association, reason: Failure) -> None:
        """Tell what has been counted; of a connection on which nothing was asked for there is nothing to tell."""
        tally = self._tallies.pop(association, None)
        if tally is None:
            return
        fields: dict[str, Any] = {
            "event": "association",
            "peer": peerName(association.peer),
            "calling": printable(association.callingAETitle),
            "called": printable(association.calledAETitle),
            "stored": tally.stored,
            "failed": tally.requests - tally.stored,
            "bytes": association.receivedLength,
            "seconds": round(self._clock.seconds() - tally.began, 6),
            "rate": _rate(association.receivedLength, tally.lastAnswer - tally.firstRequest),
            **_ending(reason.value),
        }
        if association.peerCertificate is not None:
            fields["certificate"] = printable(association.peerCertificate.subject.rfc4514_string(), _LONGEST_SUBJECT)
        log = NumberedLog(self._log, association, fields)
        log.info("Association Summary ({stored} stored, {failed} failed, {bytes} bytes, {ended})", **fields)


def _rate(length: int, seconds: float) -> int:
    """Return the bytes of each second that something was stored in; 0 where it is not known."""
    return round(length / seconds) if seconds > 0 else 0


def _ending(error: BaseException | None) -> dict[str, Any]:
    """Tell how an association ended, and why if it was not released."""
    if isinstance(error, ConnectionDone):
        return {"ended": "released"}
    why = {"why": printable(error, _LONGEST_REASON)}
    if isinstance(error, AssociationRejected):
        return {"ended": "rejected", "result": error.result, "source": error.source, "reason": error.reason, **why}
    if isinstance(error, AssociationAborted):
        return {"ended": "aborted by peer" if error.byPeer else "aborted", **why}
    if isinstance(error, AssociationLost):
        return {"ended": "lost", **why}
    return {"ended": "aborted", **why}
