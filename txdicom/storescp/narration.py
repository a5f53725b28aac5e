"""
What storescp tells of its work: ``--verbose`` and ``--debug``.

Nothing here exists, and so nothing of it is called, unless one of the two was asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.error import ConnectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txdicom.dimse.commands import Command, CommandField, CStoreRQ, elementsOf
from txdicom.dimse.status import describe
from txdicom.errors import AssociationAborted, AssociationRejected
from txdicom.interfaces import IAnsweredWriter, IAssociationObserver, IDataSetWriter, IStorageSCP, Soon
from txdicom.services.storage import ReceivedInstance
from txdicom.uids import EXPLICIT_VR_BIG_ENDIAN, FILE_PREFIXES, IMPLICIT_VR_LITTLE_ENDIAN
from txdicom.upperlayer.items import UserInformation
from txdicom.upperlayer.pdu import AAssociateAC, AAssociateRQ

if TYPE_CHECKING:
    from txdicom.dimse.association import Association
    from txdicom.upperlayer.negotiation import PresentationContext

__all__ = ["AssociationLog", "NarratedStore", "describeDataSet"]

#: How much of a data set ``--debug`` shows, in bytes, and how much of one value, in characters.
_DUMPED_LENGTH = 16384
_DUMPED_VALUE = 64
#: Progress is told whenever this much more has come, in bytes.
_PROGRESS_STEP = 1 << 20


@implementer(IAssociationObserver)
class AssociationLog:
    """
    Logs the events of every association.

    :param debug: whether to log negotiated parameters and command sets as well.
    :param refusing: whether all associations are refused because the command line says so.
    """

    def __init__(self, log: Logger, debug: bool = False, refusing: bool = False) -> None:
        self._log = log
        self._debug = debug
        self._refusing = refusing

    def associationRequested(self, association: Association, request: AAssociateRQ) -> None:
        """Tell who wants an association."""
        self._log.info(
            "Association Received ({peer}: {calling} -> {called})",
            peer=association.peer,
            calling=association.callingAETitle,
            called=association.calledAETitle,
        )
        if self._debug:
            self._dump("Proposed", _proposedLines(request))

    def associationEstablished(self, association: Association, request: AAssociateRQ, response: AAssociateAC) -> None:
        """Tell that the association was accepted, and with what."""
        length = association.maximumFragmentLength
        self._log.info("Association Acknowledged (Max Send PDV: {length})", length=length or "unlimited")
        if not association.contexts:
            self._log.info("    (but no valid presentation contexts)")
        if self._debug:
            self._dump("Answered", _answeredLines(response))

    def commandReceived(self, association: Association, context: PresentationContext, command: Command) -> None:
        """Tell which message has come."""
        self._log.info("Received {what}", what=_title(command))
        if self._debug:
            self._dump(f"Received on presentation context {context.contextID}", _commandLines(command))

    def commandSent(self, association: Association, context: PresentationContext, command: Command) -> None:
        """Tell how a request was answered."""
        if not command.isRequest:
            status = cast("Any", command).status
            self._log.info(
                "Sent {what}: 0x{status} {text}", what=_title(command), status=f"{status:04X}", text=describe(status)
            )
        if self._debug:
            self._dump(f"Sent on presentation context {context.contextID}", _commandLines(command))

    def associationEnded(self, association: Association, reason: Failure) -> None:
        """Tell how the association ended."""
        error = reason.value
        if isinstance(error, AssociationRejected):
            why = "forced via command line" if self._refusing else str(error)
            self._log.info("Refusing Association ({why})", why=why)
        elif isinstance(error, ConnectionDone):
            self._log.info("Association Release")
        elif isinstance(error, AssociationAborted):
            self._log.info("Association Aborted ({why})", why=str(error))
        else:
            self._log.info("Association Ended ({why})", why=str(error))

    def _dump(self, title: str, lines: Iterable[str]) -> None:
        self._log.debug("{title}:\n{text}", title=title, text="\n".join(f"    {line}" for line in lines))


@implementer(IStorageSCP)
class NarratedStore:
    """
    Tells how the instances come that another store takes.

    :param dump: whether to show the head of every data set.
    """

    def __init__(self, store: IStorageSCP, log: Logger, dump: bool = False) -> None:
        self._store = store
        self._log = log
        self._dump = dump

    async def store(self, association: Association, instance: ReceivedInstance) -> IDataSetWriter:
        """Open the store's writer."""
        opening: Any = self._store.store(association, instance)
        writer = await opening if hasattr(opening, "__await__") else opening
        return _NarratedWriter(writer, instance, self._log, _DUMPED_LENGTH if self._dump else 0)


@implementer(IAnsweredWriter)
class _NarratedWriter:
    def __init__(self, writer: IDataSetWriter, instance: ReceivedInstance, log: Logger, dumpedLength: int) -> None:
        self._writer = writer
        self._instance = instance
        self._log = log
        self._dumpedLength = dumpedLength
        self._head = bytearray()
        self._received = 0
        self._told = 0

    def write(self, fragment: memoryview) -> Soon[None]:
        """Count the fragment."""
        self._received += len(fragment)
        if len(self._head) < self._dumpedLength:
            self._head += fragment[: self._dumpedLength - len(self._head)]
        if self._received - self._told >= _PROGRESS_STEP:
            self._tell()
        return self._writer.write(fragment)

    def commit(self) -> Soon[int]:
        """Tell that the instance came whole."""
        self._tell()
        if self._dumpedLength:
            lines = describeDataSet(bytes(self._head), self._instance.transferSyntaxUID)
            self._log.debug("Data set:\n{text}", text="\n".join(f"    {line}" for line in lines))
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


def describeDataSet(head: bytes, transferSyntaxUID: str) -> Iterator[str]:
    """
    Show the elements at the head of a data set, named from the data dictionary.

    :param head: its first bytes; an element that they end within is left out.
    """
    from pydicom.filereader import data_element_generator

    implicit = transferSyntaxUID == IMPLICIT_VR_LITTLE_ENDIAN
    elements = data_element_generator(BytesIO(head), implicit, transferSyntaxUID != EXPLICIT_VR_BIG_ENDIAN)
    try:
        for element in elements:
            yield f"{element.tag} {_nameOf(int(element.tag))} ({element.VR or '??'}) {_shown(element.value)}"
    except (EOFError, ValueError, TypeError, KeyError, AttributeError, NotImplementedError) as error:
        # The head is cut where its bytes end, and what a peer sends may be anything; showing it must not harm.
        yield f"... ({type(error).__name__})"


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        shown = value[: _DUMPED_VALUE + 1].decode("latin-1").rstrip(" \0")
        shown = "".join(c if c.isprintable() else "." for c in shown)
        return f"[{shown[:_DUMPED_VALUE]}{'...' if len(shown) > _DUMPED_VALUE else ''}]"
    return "[sequence]" if value is not None else "[]"


def _nameOf(tag: int) -> str:
    from pydicom.datadict import keyword_for_tag

    return keyword_for_tag(tag) or "Unknown"


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


def _commandLines(command: Command) -> Iterator[str]:
    for tag, vr, value in elementsOf(command):
        yield f"({tag >> 16:04x},{tag & 0xFFFF:04x}) {vr} {_nameOf(tag)} [{value!s}]"


def _proposedLines(request: AAssociateRQ) -> Iterator[str]:
    yield f"Application Context Name: {request.applicationContextName}"
    yield from _userLines(request.userInformation)
    for context in request.presentationContexts:
        yield f"Context {context.contextID}: {_uidName(context.abstractSyntax)}"
        for transferSyntax in context.transferSyntaxes:
            yield f"    {_uidName(transferSyntax)}"


def _answeredLines(response: AAssociateAC) -> Iterator[str]:
    yield from _userLines(response.userInformation)
    for context in response.presentationContexts:
        yield f"Context {context.contextID}: result {context.result}, {_uidName(context.transferSyntax)}"


def _userLines(information: UserInformation) -> Iterator[str]:
    yield f"Maximum Length: {information.maximumLength}"
    yield f"Implementation Class UID: {information.implementationClassUID}"
    yield f"Implementation Version Name: {information.implementationVersionName}"
    for name in ("asynchronousOperations", "roleSelections", "extendedNegotiations", "commonExtendedNegotiations"):
        if getattr(information, name):
            yield f"{name}: {getattr(information, name)}"
    if information.userIdentity is not None:
        # Never the identity itself: it may hold a password.
        yield "User Identity: present"


def _uidName(uid: str) -> str:
    from pydicom.uid import UID

    return f"{UID(uid).name} ({uid})" if uid else "-"
