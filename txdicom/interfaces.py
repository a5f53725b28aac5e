"""
Every contract of txdicom in one place: read this to learn the library.

From the wire upwards::

    IPDUReceiver          what the PDU parser tells its owner
    IUpperLayerUser       what one association tells the layer above it (PS3.8 service primitives)
    IAssociationObserver  watches associations, for logs and counts
    IServiceProvider      a service class: which contexts it offers, and how it answers a request (PS3.7)
    IRequestingProvider   likewise, of one that needs the peer to provide something in turn
    IRequestWriter        takes the data set of one request: write*, then exactly one of commit or abort
    IDataSetWriter        likewise of an instance that is to be kept
    IDataSetSource        gives the data set of a request of ours, piece by piece
    IVerificationSCP      answers C-ECHO
    IStorageSCP           takes instances: returns an IDataSetWriter for each
    IWantingStorageSCP    likewise, and wants to know more of each than its UIDs
    IQuerySCP             answers C-FIND: gives the matches
    IRetrieveSCP          answers C-GET and C-MOVE: tells the instances, which are then sent
    IMoveDestination      connects to where a C-MOVE sends them

And beside it, for programs that work on what a receiver stores::

    IReceiverPlugin       is told of instances that were stored and of studies that have ended
    IAnnouncer            tells plugins, in this process or by way of another

Wherever a result may be a Deferred, it may also be a plain value or a coroutine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from pydicom import Dataset
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    from txdicom.dimse.answers import Answer
    from txdicom.dimse.association import Association
    from txdicom.dimse.commands import CEchoRQ, Command
    from txdicom.services.instances import HeldInstance, Identity
    from txdicom.services.storage import ReceivedInstance
    from txdicom.storescp.hooks.events import InstanceStored, StudyEnded
    from txdicom.upperlayer.fields import Octets
    from txdicom.upperlayer.negotiation import PresentationContext, TransferSyntaxes
    from txdicom.upperlayer.pdu import AAssociateAC, AAssociateRJ, AAssociateRQ

__all__ = [
    "IAnnouncer",
    "IAnsweredWriter",
    "IAssociationObserver",
    "IDataSetSource",
    "IDataSetWriter",
    "IFileWriter",
    "IMoveDestination",
    "IPDUReceiver",
    "IQuerySCP",
    "IReceiverPlugin",
    "IRequestWriter",
    "IRequestingProvider",
    "IRetrieveSCP",
    "IServiceProvider",
    "IStorageSCP",
    "IUpperLayerUser",
    "IVerificationSCP",
    "IWantingStorageSCP",
    "IWithdrawableWriter",
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
    """
    A service class in the SCP role: what it offers in negotiation, and how a request is answered.

    Requests of a peer that has not the role for them (PS3.7 D.3.3.4) are refused before they come here.
    """

    operations: frozenset[int] = Attribute("The Command Field values (PS3.7 E.1) of the requests it answers.")
    presentationContexts: Mapping[str, TransferSyntaxes] = Attribute(
        "Abstract syntax UID -> transfer syntaxes, the one it likes best first. The key `OTHER_STORAGE_SOP_CLASSES` of "
        "`txdicom.uids` stands for all storage SOP classes that are not named."
    )

    def requestReceived(
        association: Association, context: PresentationContext, request: Any
    ) -> Soon[IDataSetWriter] | Soon[IRequestWriter] | Soon[int] | Soon[Answer] | AsyncIterator[Answer]:
        """
        A request has come whose data set, if it has one, is about to follow.

        :param request: a message of one of the `operations`.
        :return: a writer for the data set, whose `commit` gives the answer, or the answer itself; the data set is then
            drained first. An answer is a status, an `Answer` with a status and more, or an asynchronous iterator of
            those, of which the pending ones come first. Raising `DIMSEError` answers with its status, anything else is
            logged and answered 0x0110; the association lives on either way.
        """


class IRequestingProvider(IServiceProvider):
    """A service class that makes requests of the peer over the same association while it answers one, as C-GET does."""

    requestedContexts: Mapping[str, TransferSyntaxes] = Attribute(
        "What it uses in the role of SCU, in the form of `presentationContexts`. It is accepted from a requestor that "
        "proposes to be the SCP of it (PS3.7 D.3.3.4); `PresentationContext.requestorIsSCP` tells."
    )


class IRequestWriter(Interface):
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

    def commit() -> Soon[int] | Soon[Answer] | AsyncIterator[Answer]:
        """
        The data set is complete: do what was asked for, then return the answer, as `IServiceProvider` has it.

        The response is sent when the result is there, not before.
        """

    def abort(reason: Failure) -> None:
        """The data set will not be completed: forget it, leave nothing behind. Must not raise."""


class IDataSetWriter(IRequestWriter):
    """Takes the data set of one instance, and keeps it; the answer is a status."""

    def commit() -> Soon[int]:
        """The data set is complete: make it last, then return the status."""


class IDataSetSource(Interface):
    """Gives the data set of a request of ours; whoever made it closes it."""

    def read(size: int) -> Octets | Deferred[Octets]:
        """
        Return the next bytes; what it raises, or errs with, aborts the association, for half a message has been sent.

        :param size: how many, in bytes; fewer come only at the end, and none after it.
        """


class IAnsweredWriter(IDataSetWriter):
    """A writer that wants to know when its response has been handed to the transport."""

    def answered(status: int) -> Soon[None]:
        """Called once, after `commit`. A Deferred delays the next request of this association, and nothing else."""


class IFileWriter(IDataSetWriter):
    """A writer that keeps its instance in a file."""

    path: str = Attribute("Absolute; where the file will be, and after `commit` where it is.")


class IWithdrawableWriter(IFileWriter):
    """
    A writer whose file can be taken away again after `commit`, before its sender is told of it.

    After `commit` has succeeded, exactly one of the two is called.
    """

    def keep() -> Soon[None]:
        """The file stays."""

    def withdraw() -> Soon[None]:
        """
        The file goes, and one that it had replaced comes back. Must not raise.

        A file that somebody else has put in its place meanwhile is left alone.
        """


class IVerificationSCP(Interface):
    """Answers C-ECHO (PS3.4 Annex A)."""

    def echo(association: Association, request: CEchoRQ) -> Soon[int]:
        """
        Somebody wants to know whether we are there (PS3.7 9.1.5).

        :return: the status of the C-ECHO-RSP: 0x0000, or one of the failures of PS3.7 9.1.5.1.4; `DIMSEError` may be
            raised with those.
        """


class IStorageSCP(Interface):
    """Takes the instances that C-STORE brings (PS3.4 Annex B)."""

    def store(association: Association, instance: ReceivedInstance) -> Soon[IDataSetWriter]:
        """
        An instance has begun to arrive; its head has been read, and its UIDs agree with the request's.

        :param association: who sends it: its `callingAETitle`, `calledAETitle` and `peer`.
        :param instance: which one it is, and the attributes that are wanted: by the store itself, if it is an
            `IWantingStorageSCP`, or by whoever has made the `StorageService`.
        :return: the writer that takes the data set from its first byte. Raise `DIMSEError` to refuse with a status of
            PS3.4 Table B.2-1, such as 0xA700 (out of resources, come again) or 0xC000 (cannot understand, never). The
            writer has no more than `Configuration.providerTimeout` to come.
        """


class IWantingStorageSCP(IStorageSCP):
    """A store that wants to know more of each instance than its UIDs. `StorageService` asks it when it is made."""

    wanted: Collection[int | str] = Attribute(
        "Keywords, such as PatientID, or tags (0xGGGGEEEE) to be found in `ReceivedInstance.attributes`."
    )


class IReceiverPlugin(Interface):
    """
    Is told what a receiver has stored: ``storescp --plugin``.

    What is raised, or what a Deferred or a coroutine fails with, is logged and does no harm, but where `instanceStored`
    says otherwise. An event that takes longer than ``--exec-timeout`` is cancelled.
    """

    def instanceStored(event: InstanceStored) -> Soon[None]:
        """
        An instance has been stored and its sender told so.

        With ``--exec-sync`` the sender has not been told yet: raising `DIMSEError` withdraws the instance and answers
        with that status, anything else withdraws it and is answered 0x0110.
        """

    def studyEnded(event: StudyEnded) -> Soon[None]:
        """All instances of a study have been told, and no more came for ``--eostudy-timeout``."""


class IAnnouncer(Interface):
    """
    Is told what is being stored, and tells plugins: `txdicom.storescp.hooks.announcer.Announcer`, or what passes it on
    to one in another process.

    For each instance there is one `began`, and later one of `gone`, `stored` and `judged`.
    """

    isFull: bool = Attribute("Whether instances have to wait for `room` before they are taken.")

    def room() -> Deferred[None]:
        """Return what fires when there is room; it may be cancelled."""

    def began(studyInstanceUID: str) -> None:
        """An instance of this study, or of none if that is empty, is coming."""

    def gone(studyInstanceUID: str) -> None:
        """An instance that was coming has not been stored after all."""

    def stored(event: InstanceStored) -> None:
        """Tell of an instance whose sender knows that it is stored."""

    def alone(path: str) -> Soon[Callable[[], None]]:
        """Wait until nobody is asked about a file; return what lets go of it."""

    def judge(event: InstanceStored) -> Soon[None]:
        """
        Ask about an instance before its sender is told that it is stored.

        :raises Exception: somebody does not agree; see `IReceiverPlugin.instanceStored`.
        """

    def judged(event: InstanceStored) -> None:
        """The sender of an instance that was asked about knows that it is stored."""


class IQuerySCP(Interface):
    """Answers C-FIND (PS3.4 Annex C)."""

    def find(association: Association, sopClassUID: str, identifier: Dataset) -> AsyncIterator[Dataset]:
        """
        Give the matches: an ``async def`` that yields them will do.

        No more are asked for than the peer reads, and none after it has cancelled; the iterator is closed then. Raise
        `DIMSEError` to end with its status.

        :param association: who asks: its `callingAETitle`, `calledAETitle` and `peer`.
        :param sopClassUID: the information model that is asked (PS3.4 C.6, K.6), such as `STUDY_ROOT.find`.
        :param identifier: the keys, as pydicom reads them, of at most `Configuration.maximumIdentifierLength` bytes.
        """


class IRetrieveSCP(Interface):
    """Answers C-GET and C-MOVE (PS3.4 C.4.2 and C.4.3): says which instances are meant."""

    def retrieve(association: Association, sopClassUID: str, identifier: Dataset) -> AsyncIterator[HeldInstance]:
        """
        Tell the instances that are to be sent: an ``async def`` that yields them will do.

        All of them are asked for before the first is sent, because responses tell how many remain; sources are opened
        when it is their turn. Raise `DIMSEError` to refuse: 0xA900 if the identifier does not match the SOP class,
        0xC000 if it cannot be processed.

        :param sopClassUID: the information model that is asked, and whether by C-GET or C-MOVE.
        :param identifier: the unique keys, as pydicom reads them; unchecked.
        """


class IMoveDestination(Interface):
    """Connects to one of those that a C-MOVE may have instances sent to."""

    def connect(calledAETitle: str, callingAETitle: str, identities: Sequence[Identity]) -> Soon[Association]:
        """
        Request an association.

        :param calledAETitle: the destination, as the C-MOVE names it.
        :param callingAETitle: whom the C-MOVE was asked of.
        :param identities: what is going to be sent; what is not accepted for one of them makes that one fail.
        :return: the association, established. Whatever it errs with makes all instances fail. To cancel it gives up.
        """
