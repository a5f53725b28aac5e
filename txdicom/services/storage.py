"""
The Storage service class (PS3.4 Annex B): C-STORE, answered and asked.

Theory of operation. The data set of a C-STORE-RQ says which instance it is, and so does the request. The first bytes of
the data set are held until its SOP Class UID and SOP Instance UID have been read; only when both are there and agree
with the request is the store asked for a writer, which then gets everything from the first byte. So a store never sees
an instance that is not what it claims to be, and knows who it is before it opens a file. What fails here is answered
with the statuses of PS3.4 Table B.2-1.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import directlyProvides, implementer

from txdicom.dimse.commands import CommandField, CStoreRQ, CStoreRSP
from txdicom.dimse.status import Status
from txdicom.errors import DIMSEError
from txdicom.interfaces import IAnsweredWriter, IDataSetWriter, IServiceProvider, IStorageSCP, IWantingStorageSCP, Soon
from txdicom.services.deflate import readerOf
from txdicom.services.head import HeadError, uidValue
from txdicom.services.text import SPECIFIC_CHARACTER_SET, TEXT_VRS, tagOf, textOf
from txdicom.soon import isLater
from txdicom.uids import STORAGE_SOP_CLASSES, UNCOMPRESSED_TRANSFER_SYNTAXES, isValidUID

if TYPE_CHECKING:
    from txdicom.dimse.association import Association
    from txdicom.upperlayer.negotiation import PresentationContext, TransferSyntaxes

__all__ = ["ReceivedInstance", "StorageService", "store", "wantedBy"]

_SOP_CLASS_UID = 0x00080016
_SOP_INSTANCE_UID = 0x00080018
_IDENTITY = frozenset({_SOP_CLASS_UID, _SOP_INSTANCE_UID})
#: Within how many bytes they have to come: what is before them has to be held, for every association that stores.
_MAXIMUM_HEAD = 1 << 16
#: There are many instances of few classes.
_classUIDValue = lru_cache(maxsize=256)(uidValue)
#: Where a request names its instance: Affected SOP Instance UID.
_AFFECTED_SOP_INSTANCE_UID = 0x00001000


@dataclass(frozen=True, slots=True)
class ReceivedInstance:
    """
    An instance that has begun to arrive, as far as it is known.

    :ivar sopClassUID: the same in the request and in the data set.
    :ivar sopInstanceUID: likewise; digits and dots only, at most 64 of them, so it may be part of a file name.
    :ivar transferSyntaxUID: how the data set is encoded.
    :ivar request: the C-STORE-RQ.
    :ivar attributes: what was read of the data set's head: tag (0xGGGGEEEE) -> value bytes as they came. There is no
        more in it than the UIDs and what is wanted: see `StorageService`.
    """

    sopClassUID: str
    sopInstanceUID: str
    transferSyntaxUID: str
    request: CStoreRQ
    attributes: Mapping[int, bytes]

    def text(self, keyword: str) -> str:
        """
        Decode one of the `attributes`, by the Specific Character Set that came before it.

        :param keyword: of an element of text (PS3.6 clause 6), such as ``PatientID``.
        :return: the value without padding; where there are several, with backslashes between them. It is empty if the
            data set does not have it, or nobody has said that it is wanted: see `StorageService`.
        :raises ValueError: the data dictionary has no such keyword, or its elements are not text.
        """
        from pydicom.datadict import dictionary_VR

        tag = tagOf(keyword)
        vr = dictionary_VR(tag)
        if vr not in TEXT_VRS:
            raise ValueError(f"{keyword} is not text, but of VR {vr}")
        return textOf(self.attributes.get(tag, b""), vr, self.attributes.get(SPECIFIC_CHARACTER_SET, b"")).strip()


@implementer(IServiceProvider)
class StorageService:
    """
    Offers storage as an SCP.

    :param provider: takes the instances.
    :param sopClasses: the SOP class UIDs accepted; `OTHER_STORAGE_SOP_CLASSES` stands for all others. A mapping says as
        well which transfer syntaxes are accepted for each.
    :param transferSyntaxes: the transfer syntaxes accepted for each of them, the preferred one first.
    :param wanted: keywords, such as ``PatientID``, or tags (0xGGGGEEEE) of elements that are to be found in
        `ReceivedInstance.attributes`, besides those that the provider itself wants (`IWantingStorageSCP`). What does
        not come within the first 64 KiB, or is longer than 1024 bytes, is missing there. Only with such is more of a
        data set read than its UIDs. A keyword brings Specific Character Set with it, which `ReceivedInstance.text`
        needs.
    :raises ValueError: one of those wanted is no keyword of the data dictionary.
    """

    operations = frozenset({int(CommandField.C_STORE_RQ)})

    def __init__(
        self,
        provider: IStorageSCP,
        sopClasses: Sequence[str] | Mapping[str, TransferSyntaxes] = STORAGE_SOP_CLASSES,
        transferSyntaxes: Sequence[str | frozenset[str]] = UNCOMPRESSED_TRANSFER_SYNTAXES,
        wanted: Collection[int | str] = (),
    ) -> None:
        self._provider = provider
        self._wanted = _tagsOf([*wantedBy(provider), *wanted])
        self.presentationContexts: Mapping[str, TransferSyntaxes] = (
            sopClasses if isinstance(sopClasses, Mapping) else dict.fromkeys(sopClasses, tuple(transferSyntaxes))
        )

    def requestReceived(
        self, association: Association, context: PresentationContext, request: CStoreRQ
    ) -> IDataSetWriter:
        """Take the data set, first of all its head."""
        if not isValidUID(request.affectedSOPInstanceUID):
            raise DIMSEError(
                Status.CANNOT_UNDERSTAND, "Affected SOP Instance UID is not a UID", (_AFFECTED_SOP_INSTANCE_UID,)
            )
        return _IdentifiedWriter(self._provider, association, context, request, self._wanted)


def wantedBy(store: IStorageSCP) -> Collection[int | str]:
    """
    Return what a store wants to know of each instance, for another one that is around it; most want nothing.

    :return: keywords, or tags (0xGGGGEEEE).
    """
    return store.wanted if IWantingStorageSCP.providedBy(store) else ()


def _tagsOf(wanted: Collection[int | str]) -> frozenset[int]:
    tags = frozenset(tagOf(each) if isinstance(each, str) else each for each in wanted)
    return tags | {SPECIFIC_CHARACTER_SET} if any(isinstance(each, str) for each in wanted) else tags


@implementer(IDataSetWriter)
class _IdentifiedWriter:
    """
    Holds the first bytes of a data set until they have told which instance it is, then becomes the store's own writer.
    """

    def __init__(
        self,
        provider: IStorageSCP,
        association: Association,
        context: PresentationContext,
        request: CStoreRQ,
        wanted: Collection[int],
    ) -> None:
        self._provider = provider
        self._association = association
        self._transferSyntax = context.transferSyntax
        self._request = request
        self._head = readerOf(context.transferSyntax, _IDENTITY, maximumHeadLength=_MAXIMUM_HEAD, welcome=wanted)
        # Copied, because a view of each byte that a peer sends by itself would take two hundred.
        self._held = bytearray()
        self._writer: IDataSetWriter | None = None
        self._aborted: Failure | None = None

    def write(self, fragments: list[memoryview]) -> Soon[None]:
        """Read on in the head; when that is done, open the store's writer."""
        read = 0
        try:
            for fragment in fragments:
                read += 1
                if self._head.feed(fragment):
                    break
                self._held += fragment
            else:
                return None
        except HeadError as error:
            raise DIMSEError(Status.CANNOT_UNDERSTAND, str(error)) from error
        if self._held:
            # The fragment that completes the head is not among them, those before it are.
            fragments = [memoryview(bytes(self._held)), *fragments[read - 1 :]]
            self._held.clear()
        return self._begin(fragments)

    def commit(self) -> Soon[int]:
        """Let the store commit; without a complete head there is nothing to commit."""
        if self._writer is not None:
            return self._writer.commit()
        if _SOP_INSTANCE_UID not in self._head.attributes:
            raise DIMSEError(Status.CANNOT_UNDERSTAND, "the data set ends before its SOP Instance UID")
        return self._commitHeld()

    def abort(self, reason: Failure) -> None:
        """Let the store abort, or what it is about to open."""
        self._aborted = reason
        self._held.clear()
        if self._writer is not None:
            self._writer.abort(reason)

    def answered(self, status: int) -> Soon[None]:
        """Tell the store's writer, which wants to know: else we do not provide this ourselves."""
        return cast("IAnsweredWriter", self._writer).answered(status)

    def _identify(self) -> ReceivedInstance:
        attributes = self._head.attributes
        request = self._request
        sopClassUID = _classUIDValue(attributes.get(_SOP_CLASS_UID))
        sopInstanceUID = uidValue(attributes.get(_SOP_INSTANCE_UID))
        if not sopClassUID or not sopInstanceUID:
            missing = tuple(tag for tag in sorted(_IDENTITY) if not uidValue(attributes.get(tag)))
            raise DIMSEError(Status.CANNOT_UNDERSTAND, "SOP Class or Instance UID not found in the data set", missing)
        if sopClassUID != request.affectedSOPClassUID:
            raise DIMSEError(
                Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS, "SOP Class UID differs from the request's", (_SOP_CLASS_UID,)
            )
        if sopInstanceUID != request.affectedSOPInstanceUID:
            raise DIMSEError(
                Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS,
                "SOP Instance UID differs from the request's",
                (_SOP_INSTANCE_UID,),
            )
        return ReceivedInstance(sopClassUID, sopInstanceUID, self._transferSyntax, request, attributes)

    def _begin(self, fragments: list[memoryview]) -> Soon[None]:
        """Ask for the store's writer, and give it all that has come."""
        opening: Any = self._provider.store(self._association, self._identify())
        if isLater(opening):
            return self._openLater(opening, fragments)
        return self._open(opening, fragments)

    def _open(self, writer: IDataSetWriter, fragments: list[memoryview]) -> Soon[None]:
        if self._aborted is not None:
            writer.abort(self._aborted)
            return None
        self._writer = writer
        # From here on the store's writer is called without a detour.
        self.write = writer.write  # type: ignore[method-assign]
        self.commit = writer.commit  # type: ignore[method-assign]
        if IAnsweredWriter.providedBy(writer):
            directlyProvides(self, IAnsweredWriter)
        return writer.write(fragments)

    async def _openLater(self, opening: Awaitable[IDataSetWriter], fragments: list[memoryview]) -> None:
        writing: Any = self._open(await opening, fragments)
        if writing is not None:
            await writing

    async def _commitHeld(self) -> int:
        """Store a data set that ends before the last of the elements that were wanted, and so is held as a whole."""
        outcome: Any
        try:
            outcome = self._begin([memoryview(bytes(self._held))])
            if outcome is not None:
                await outcome
        except Exception:
            if self._writer is not None:
                self._writer.abort(Failure())
            raise
        outcome = self._writer.commit()  # type: ignore[union-attr]
        return int(await outcome if isLater(outcome) else outcome)


def store(
    association: Association, sopClassUID: str, sopInstanceUID: str, transferSyntaxUID: str, dataSet: bytes
) -> Deferred[CStoreRSP]:
    """
    Send a C-STORE-RQ with a data set that is already encoded.

    :raises LocalProtocolError: the peer has not accepted this SOP class with this transfer syntax, or the association
        is not established.
    """
    context = association.contextFor(sopClassUID, transferSyntaxUID)
    request = CStoreRQ(association.requests.nextMessageID(), sopClassUID, sopInstanceUID)
    return association.requests.send(context, request, dataSet)
