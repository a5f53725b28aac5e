"""
What storescp tells of its work: ``--verbose`` and ``--debug``.

Every line names its association. None at the level info has more of an instance than its UID: what may be a patient's
is for the level debug.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.error import ConnectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.dimse.commands import Command, CommandField, CStoreRQ
from txdicom.dimse.status import describe
from txdicom.errors import AssociationAborted, AssociationRejected, MessageError, PDUError
from txdicom.interfaces import (
    IAnsweredWriter,
    IAssociationObserver,
    IDataSetWriter,
    IStorageSCP,
    IWantingStorageSCP,
    Soon,
)
from txdicom.services.storage import ReceivedInstance, wantedBy
from txdicom.soon import settled
from txdicom.storescp.log.dump import (
    describeAnswer,
    describeCommand,
    describeContexts,
    describeDataSet,
    describeRequest,
    peerName,
    printable,
)
from txdicom.storescp.log.numbered import NumberedLog
from txdicom.uids import FILE_PREFIXES
from txdicom.upperlayer.pdu import AAssociateAC, AAssociateRQ

if TYPE_CHECKING:
    from txdicom.dimse.association import Association
    from txdicom.upperlayer.negotiation import PresentationContext

__all__ = ["AssociationLog", "NarratedStore"]

#: How much of a data set ``--debug`` shows, in bytes.
_DUMPED_LENGTH = 16384
#: How many lines it spends on anything, and how many characters on why an association ended.
_LONGEST_DUMP = 1000
_LONGEST_REASON = 200
#: Progress is told whenever this much more has come, in bytes.
_PROGRESS_STEP = 1 << 20


@implementer(IAssociationObserver)
class AssociationLog:
    """
    Logs the events of every association.

    :param debug: whether to log negotiated parameters and command sets as well.
    :param refusing: whether all associations are refused because the command line says so.
    :param contexts: whether to log what became of each presentation context.
    """

    def __init__(self, log: Logger, debug: bool = False, refusing: bool = False, contexts: bool = False) -> None:
        self._log = log
        self._debug = debug
        self._refusing = refusing
        self._contexts = contexts

    def associationRequested(self, association: Association, request: AAssociateRQ) -> None:
        """Tell who wants an association."""
        log = NumberedLog(self._log, association)
        log.info(
            "Association Received ({peer}: {calling} -> {called})",
            peer=peerName(association.peer),
            calling=printable(association.callingAETitle),
            called=printable(association.calledAETitle),
        )
        if association.peerCertificate is not None:
            subject = association.peerCertificate.subject.rfc4514_string()
            log.info("    (with a certificate for {subject})", subject=printable(subject, _LONGEST_REASON))
        if self._debug:
            _logLines(log, "Proposed", describeRequest(request))

    def associationEstablished(self, association: Association, request: AAssociateRQ, response: AAssociateAC) -> None:
        """Tell that the association was accepted, and with what."""
        log = NumberedLog(self._log, association)
        length = association.maximumFragmentLength
        log.info("Association Acknowledged (Max Send PDV: {length})", length=length or "unlimited")
        if not association.contexts:
            log.info("    (but no valid presentation contexts)")
        if self._contexts:
            lines = "".join(f"\n    {line}" for line in describeContexts(request, response))
            log.info("Presentation Contexts:{lines}", lines=lines)
        if self._debug:
            _logLines(log, "Answered", describeAnswer(response))

    def commandReceived(self, association: Association, context: PresentationContext, command: Command) -> None:
        """Tell which message has come."""
        log = NumberedLog(self._log, association)
        log.info("Received {what}", what=_title(command))
        if self._debug:
            _logLines(log, f"Received on presentation context {context.contextID}", describeCommand(command))

    def commandSent(self, association: Association, context: PresentationContext, command: Command) -> None:
        """Tell how a request was answered."""
        log = NumberedLog(self._log, association)
        if not command.isRequest:
            status = cast("Any", command).status
            log.info(
                "Sent {what}: 0x{status} {text}", what=_title(command), status=f"{status:04X}", text=describe(status)
            )
        if self._debug:
            _logLines(log, f"Sent on presentation context {context.contextID}", describeCommand(command))

    def associationEnded(self, association: Association, reason: Failure) -> None:
        """Tell how the association ended."""
        log = NumberedLog(self._log, association)
        error = reason.value
        why = printable(error, _LONGEST_REASON)
        if isinstance(error, AssociationRejected):
            log.info("Refusing Association ({why})", why="forced via command line" if self._refusing else why)
        elif isinstance(error, ConnectionDone):
            log.info("Association Release")
        elif isinstance(error, AssociationAborted | PDUError | MessageError):
            log.info("Association Aborted ({why})", why=why)
        else:
            log.info("Association Ended ({why})", why=why)


@implementer(IWantingStorageSCP)
class NarratedStore:
    """
    Tells how the instances come that another store takes.

    :param dump: whether to show the head of every data set.
    """

    def __init__(self, store: IStorageSCP, log: Logger, dump: bool = False) -> None:
        self._store = store
        self.wanted = wantedBy(store)
        self._log = log
        self._dump = dump

    async def store(self, association: Association, instance: ReceivedInstance) -> IDataSetWriter:
        """Open the store's writer."""
        writer = await settled(self._store.store(association, instance))
        log = NumberedLog(self._log, association)
        return _NarratedWriter(writer, instance, log, _DUMPED_LENGTH if self._dump else 0)


@implementer(IAnsweredWriter)
class _NarratedWriter:
    def __init__(self, writer: IDataSetWriter, instance: ReceivedInstance, log: NumberedLog, dumpedLength: int) -> None:
        self._writer = writer
        self._instance = instance
        self._log = log
        self._dumpedLength = dumpedLength
        self._head = bytearray()
        self._received = 0
        self._told = 0

    def write(self, fragments: list[memoryview]) -> Soon[None]:
        """Count the bytes."""
        for fragment in fragments:
            self._received += len(fragment)
            if len(self._head) < self._dumpedLength:
                self._head += fragment[: self._dumpedLength - len(self._head)]
        if self._received - self._told >= _PROGRESS_STEP:
            self._tell()
        return self._writer.write(fragments)

    def commit(self) -> Soon[int]:
        """Tell that the instance came whole."""
        self._tell()
        if self._dumpedLength:
            _logLines(self._log, "Data set", describeDataSet(bytes(self._head), self._instance.transferSyntaxUID))
        return self._writer.commit()

    def abort(self, reason: Failure) -> None:
        """Tell that the instance did not come whole."""
        self._log.info("RECV: broken off after {received} bytes", received=self._received)
        self._writer.abort(reason)

    def answered(self, status: int) -> Soon[None]:
        """Tell the writer, if it wants to know."""
        return self._writer.answered(status) if IAnsweredWriter.providedBy(self._writer) else None

    def _tell(self) -> None:
        self._told = self._received
        self._log.info("RECV: {uid}, {received} bytes", uid=self._instance.sopInstanceUID, received=self._received)


def _logLines(log: NumberedLog, title: str, lines: Iterable[str]) -> None:
    remaining = iter(lines)
    shown = [f"    {line}" for line in islice(remaining, _LONGEST_DUMP)]
    if next(remaining, None) is not None:
        shown.append("    ...")
    log.debug("{title}:\n{text}", title=title, text="\n".join(shown))


def _title(command: Command) -> str:
    try:
        name = CommandField(command.commandField).name.replace("_", "-")
    except ValueError:
        name = f"command 0x{command.commandField:04X}"
    number = cast("Any", command).messageID if command.isRequest and hasattr(command, "messageID") else None
    number = cast("Any", command).messageIDBeingRespondedTo if number is None else number
    prefix = ""
    if isinstance(command, CStoreRQ):
        prefix = f", {FILE_PREFIXES.get(command.affectedSOPClassUID, 'UNKNOWN')}"
    return f"{name} (MsgID {number}{prefix})"
