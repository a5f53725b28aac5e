"""
Every contract of txdicom in one place: read this to learn the library.

From the wire upwards::

    IPDUReceiver          what the PDU parser tells its owner
    IUpperLayerUser       what one association tells the layer above it (PS3.8 service primitives)
    IAssociationObserver  watches associations, for logs and counts
    IServiceProvider      a service class: which contexts it offers, and how it answers a request (PS3.7)
    IDataSetWriter        takes the data set of one request: write*, then exactly one of commit or abort
    IVerificationSCP      answers C-ECHO
    IStorageSCP           takes instances: returns an IDataSetWriter for each

Wherever a result may be a Deferred, it may also be a plain value or a coroutine.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    from txdicom.dimse.association import Association
    from txdicom.dimse.commands import CEchoRQ, Command
    from txdicom.services.storage import ReceivedInstance
    from txdicom.upperlayer.negotiation import PresentationContext, TransferSyntaxes
    from txdicom.upperlayer.pdu import AAssociateAC, AAssociateRJ, AAssociateRQ

__all__ = [
    "IAnsweredWriter",
    "IAssociationObserver",
    "IDataSetWriter",
    "IPDUReceiver",
    "IServiceProvider",
    "IStorageSCP",
    "IUpperLayerUser",
    "IVerificationSCP",
    "Soon",
]

_T = TypeVar("_T")

#: A result now, by a Deferred, or by a coroutine.
Soon: TypeAlias = "_T | Deferred[_T] | Coroutine[Deferred[Any], Any, _T]"


class IPDUReceiver(Interface):
    """What `txdicom.upperlayer.parser.PDUParser` calls; each method may raise `PDUError`, which stops it for good."""

    def pduStarted(pduType: int, length: int) -> None:
        """
        A PDU header has come; nothing of the body is buffered yet.

        :param pduType: the first byte of the PDU, known (0x01 to 0x07).
        :param length: the announced length of the body in bytes, already checked against the bound of that type.
        """

    def pduReceived(pduType: int, body: bytes) -> None:
        """A PDU other than P-DATA-TF is complete; `body` is what followed its six header bytes."""

    def fragmentsReceived(contextID: int, control: int, fragments: list[memoryview], last: bool) -> None:
        """
        Some bytes of a presentation data value have come, or of several in a row (PS3.8 9.3.5.1 and Annex E.2).

        :param contextID: presentation context ID of the PDVs, 0 to 255, unchecked.
        :param control: their message control header: bit 0 command (1) or data set (0), bit 1 last fragment of the
            message. The reserved bits are as they came. Where bit 1 is set, there is one PDV.
        :param fragments: views over immutable bytes, in order, at least one; may be kept, and may be empty.
        :param last: whether the last of them ends its PDV. A PDV that spans several reads comes in several calls.
        """


class IUpperLayerUser(Interface):
    """
    One association's user: the upper layer calls it with indications and confirmations (PS3.8 clause 7).

    Calls come in the order that Table 9-10 allows; `associationEnded` is always the last one, exactly once, also for
    connections on which no association was ever requested.
    """

    def associationRequested(request: AAssociateRQ) -> Soon[AAssociateAC | AAssociateRJ]:
        """A-ASSOCIATE indication (acceptor only): decide. What is returned is sent."""

    def associationEstablished(request: AAssociateRQ, response: AAssociateAC) -> None:
        """Data transfer may begin (State 6): on both sides; on the acceptor's, the A-ASSOCIATE-AC has been sent."""

    def fragmentsReceived(contextID: int, control: int, fragments: list[memoryview], last: bool) -> None:
        """P-DATA indication, as `IPDUReceiver.fragmentsReceived`. May raise `PDUError` or `MessageError` to abort."""

    def releaseRequested() -> None:
        """A-RELEASE indication: answer with `UpperLayerProtocol.acceptRelease`, now or when running work is done."""

    def associationEnded(reason: Failure) -> None:
        """
        The association is over, or never was.

        :param reason: `twisted.internet.error.ConnectionDone` after an orderly release, else a Failure of
            `AssociationRejected`, `AssociationAborted`, `AssociationLost` or `AssociationTimeout`; where we aborted for
            what the peer sent, of `PDUError` or `MessageError`; or of what `UpperLayerProtocol.abort` was given.
        """


class IAssociationObserver(Interface):
    """Watches associations, for logs and counts; must neither raise nor change anything."""

    def associationRequested(association: Association, request: AAssociateRQ) -> None:
        """A peer asks for an association."""

    def associationEstablished(association: Association, request: AAssociateRQ, response: AAssociateAC) -> None:
        """The association is there; `association.contexts` may be empty."""

    def commandReceived(association: Association, context: PresentationContext, command: Command) -> None:
        """A message has come; its data set, if it has one, is about to follow."""

    def commandSent(association: Association, context: PresentationContext, command: Command) -> None:
        """A message has been handed to the transport."""

    def associationEnded(association: Association, reason: Failure) -> None:
        """The association is over, as `IUpperLayerUser.associationEnded` tells."""


class IServiceProvider(Interface):
    """A service class in the SCP role: what it offers in negotiation, and how a request is answered."""

    operations: frozenset[int] = Attribute("The Command Field values (PS3.7 E.1) of the requests it answers.")
    presentationContexts: Mapping[str, TransferSyntaxes] = Attribute(
        "Abstract syntax UID -> transfer syntaxes, the one it likes best first. The key `OTHER_STORAGE_SOP_CLASSES` of "
        "`txdicom.uids` stands for all storage SOP classes that are not named."
    )

    def requestReceived(
        association: Association, context: PresentationContext, request: Any
    ) -> Soon[IDataSetWriter] | Soon[int]:
        """
        A request has come whose data set, if it has one, is about to follow.

        :param request: a message of one of the `operations`.
        :return: a writer for the data set, whose `commit` gives the answer, or a status that is the answer; the data
            set is then drained first. Raising `DIMSEError` answers with its status, anything else is logged and
            answered 0x0110; the association lives on either way.
        """


class IDataSetWriter(Interface):
    """
    Takes the data set of one request: `write` any number of times, then exactly one of `commit` or `abort`.

    Any method but `abort` may raise `DIMSEError` to choose the answer's status. After `write` has failed, `abort` is
    called and the rest of the data set is drained. A `commit` that fails cleans up itself; no `abort` follows it.
    """

    def write(fragments: list[memoryview]) -> Soon[None]:
        """
        Take the next bytes, exactly as they came.

        :param fragments: views over immutable bytes, in order; they may be kept. They are what one read of the
            connection has brought, so that they can be written, hashed or joined all at once.
        :return: None, or a Deferred that pauses this association (and no other) until it fires.
        """

    def commit() -> Soon[int]:
        """
        The data set is complete: make it last, then return the status.

        The response is sent when the result is there, not before.
        """

    def abort(reason: Failure) -> None:
        """The data set will not be completed: forget it, leave nothing behind. Must not raise."""


class IAnsweredWriter(IDataSetWriter):
    """A writer that wants to know when its response has been handed to the transport."""

    def answered(status: int) -> Soon[None]:
        """Called once, after `commit`. A Deferred delays the next request of this association, and nothing else."""


class IVerificationSCP(Interface):
    """Answers C-ECHO (PS3.4 Annex A)."""

    def echo(association: Association, request: CEchoRQ) -> Soon[int]:
        """Return the status of the C-ECHO-RSP: 0x0000, or raise `DIMSEError`."""


class IStorageSCP(Interface):
    """Takes the instances that C-STORE brings (PS3.4 Annex B)."""

    def store(association: Association, instance: ReceivedInstance) -> Soon[IDataSetWriter]:
        """
        An instance has begun to arrive; its head has been read, and its UIDs agree with the request's.

        :return: the writer that takes the data set from its first byte. Raise `DIMSEError` to refuse (0xA700, ...).
        """
