"""
Tests of `txdicom.services.storage` and `txdicom.services.verification`: what is offered, and which instances are taken.

How they are handed to a store is in ``test_storage_opening.py``.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tests.headvectors import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    PATIENT_NAME,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    SYNTAXES,
    deflate,
    element,
)
from tests.scripted import (
    CT,
    CT_CONTEXT,
    ECHO_CONTEXT,
    INSTANCE,
    MR,
    VERIFICATION,
    ConversationTestCase,
    dataSet,
    message,
    padded,
    pData,
    storeRQ,
)
from txdicom.dimse.commands import CEchoRQ, CEchoRSP, CStoreRQ, CStoreRSP
from txdicom.dimse.commandsets import encodeCommand
from txdicom.services.storage import StorageService
from txdicom.services.verification import VerificationService
from txdicom.testing import RawPeer, RecordingStore, associateRQ, connectRaw
from txdicom.uids import ACCEPT_ALL, OTHER_STORAGE_SOP_CLASSES
from txdicom.upperlayer.items import ContextResult

#: What the original storescp supports, as its manual page lists it.
VERIFICATION_SOP_CLASS = "1.2.840.10008.1.1"
STORAGE_SOP_CLASSES = {
    "ComputedRadiographyImageStorage": "1.2.840.10008.5.1.4.1.1.1",
    "CTImageStorage": "1.2.840.10008.5.1.4.1.1.2",
    "MRImageStorage": "1.2.840.10008.5.1.4.1.1.4",
    "NuclearMedicineImageStorage": "1.2.840.10008.5.1.4.1.1.20",
    "RETIRED_NuclearMedicineImageStorage": "1.2.840.10008.5.1.4.1.1.5",
    "UltrasoundImageStorage": "1.2.840.10008.5.1.4.1.1.6.1",
    "RETIRED_UltrasoundImageStorage": "1.2.840.10008.5.1.4.1.1.6",
    "UltrasoundMultiframeImageStorage": "1.2.840.10008.5.1.4.1.1.3.1",
    "RETIRED_UltrasoundMultiframeImageStorage": "1.2.840.10008.5.1.4.1.1.3",
    "SecondaryCaptureImageStorage": "1.2.840.10008.5.1.4.1.1.7",
    "XRayAngiographicImageStorage": "1.2.840.10008.5.1.4.1.1.12.1",
    "XRayAngiographicBiPlaneImageStorage": "1.2.840.10008.5.1.4.1.1.12.3",
    "XRayFluoroscopyImageStorage": "1.2.840.10008.5.1.4.1.1.12.2",
    "StandaloneOverlayStorage": "1.2.840.10008.5.1.4.1.1.8",
    "StandaloneCurveStorage": "1.2.840.10008.5.1.4.1.1.9",
    "StandaloneModalityLUTStorage": "1.2.840.10008.5.1.4.1.1.10",
    "StandaloneVOILUTStorage": "1.2.840.10008.5.1.4.1.1.11",
}
#: Explicit before implicit VR, and the byte order of this machine before the other.
PREFERENCE = (
    [EXPLICIT_LITTLE, EXPLICIT_BIG, IMPLICIT_LITTLE]
    if sys.byteorder == "little"
    else [EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE]
)

STORE = message(CT_CONTEXT, storeRQ())


class ConformanceTests(ConversationTestCase):
    """What is offered if nobody says otherwise."""

    def test_defaultsAreTheOriginals(self) -> None:
        service = StorageService(RecordingStore())
        self.assertEqual(len(STORAGE_SOP_CLASSES), 17)
        self.assertEqual(service.presentationContexts, dict.fromkeys(STORAGE_SOP_CLASSES.values(), tuple(PREFERENCE)))
        self.assertEqual(VerificationService().presentationContexts, {VERIFICATION_SOP_CLASS: tuple(PREFERENCE)})

    def test_contextsAreAcceptedInOurOrderOfPreference(self) -> None:
        """Whatever the requestor's order is."""
        self.serve(VerificationService(), StorageService(RecordingStore()))
        classes = [VERIFICATION_SOP_CLASS, *STORAGE_SOP_CLASSES.values()]
        for proposed, accepted in (
            (PREFERENCE, PREFERENCE[0]),
            (PREFERENCE[::-1], PREFERENCE[0]),
            ([IMPLICIT_LITTLE, "1.2.840.10008.1.2.4.50", PREFERENCE[1]], PREFERENCE[1]),
            ([IMPLICIT_LITTLE], IMPLICIT_LITTLE),
        ):
            (answer,) = connectRaw(self.factory).send(associateRQ([(uid, proposed) for uid in classes]))
            answered = [(context.result, context.transferSyntax) for context in answer.presentationContexts]
            self.assertEqual(answered, [(ContextResult.ACCEPTANCE, accepted)] * 18)

    def test_othersAreNotAccepted(self) -> None:
        self.serve(VerificationService(), StorageService(RecordingStore()))
        proposals = [
            ("1.2.840.10008.5.1.4.1.1.2.1", [EXPLICIT_LITTLE]),
            ("1.2.840.10008.5.1.4.1.2.2.1", [EXPLICIT_LITTLE]),
            (CT, ["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.1.99"]),
            (VERIFICATION, ["1.2.840.10008.1.2.4.50"]),
        ]
        (answer,) = connectRaw(self.factory).send(associateRQ(proposals))
        self.assertEqual([context.result for context in answer.presentationContexts], [3, 3, 4, 4])

    def test_everyClassInEverySyntax(self) -> None:
        """Each of the original's 17 classes is stored in each of its three syntaxes, and each context can be echoed."""
        for syntax in SYNTAXES:
            store = RecordingStore()
            self.serve(VerificationService(), StorageService(store))
            classes = [VERIFICATION_SOP_CLASS, *STORAGE_SOP_CLASSES.values()]
            peer = self.associate(request=associateRQ([(uid, [syntax]) for uid in classes]))
            self.assertEqual(self.ask(peer, message(1, CEchoRQ(1))), [CEchoRSP(1, 0, VERIFICATION_SOP_CLASS)])
            for number, sopClass in enumerate(STORAGE_SOP_CLASSES.values(), 1):
                instance = f"1.2.3.{number}"
                request = CStoreRQ(number, sopClass, instance)
                data = dataSet(syntax, sopClass, instance)
                responses = self.ask(peer, message(2 * number + 1, request, data))
                self.assertEqual(responses, [CStoreRSP(number, 0, sopClass, instance)])
                record = store.stored[-1]
                self.assertEqual((record.dataSet, record.outcome), (data, "committed"))
                seen = record.instance
                self.assertEqual(
                    (seen.sopClassUID, seen.sopInstanceUID, seen.transferSyntaxUID, seen.request),
                    (sopClass, instance, syntax, request),
                )
            self.assertEqual(len(store.stored), 17)
            peer.link.lose()
            self.assertNothingLeft()

    def test_chosenClassesAndSyntaxes(self) -> None:
        service = StorageService(RecordingStore(), ["1.2.3"], ["1.2.840.10008.1.2.4.50", IMPLICIT_LITTLE])
        self.assertEqual(service.presentationContexts, {"1.2.3": ("1.2.840.10008.1.2.4.50", IMPLICIT_LITTLE)})


class EverythingTests(ConversationTestCase):
    """Storage of any class in any syntax."""

    PRIVATE = "1.2.276.0.7230010.9"

    def setUp(self) -> None:
        super().setUp()
        self.store = RecordingStore()
        everything = StorageService(self.store, [OTHER_STORAGE_SOP_CLASSES], ACCEPT_ALL)
        self.serve(VerificationService(), everything)

    def test_everySyntax(self) -> None:
        """Each syntax is accepted, and the data set kept as it came, be it deflated, encapsulated or neither."""
        syntaxes = sorted(ACCEPT_ALL[0] | ACCEPT_ALL[1])
        for syntax in syntaxes:
            peer = self.associate(request=associateRQ({self.PRIVATE: [syntax]}))
            data = dataSet(syntax, self.PRIVATE) + b"pixels"
            if syntax in ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"):
                data = deflate(data)
            (response,) = self.ask(peer, message(1, storeRQ(1, self.PRIVATE), data))
            self.assertEqual(response.status, 0, syntax)
            record = self.store.stored[-1]
            self.assertEqual((record.dataSet, record.outcome), (data, "committed"))
            self.assertEqual(record.instance.transferSyntaxUID, syntax)
            self.assertEqual(record.instance.sopClassUID, self.PRIVATE)
        self.assertEqual(len(self.store.stored), len(syntaxes))

    def test_deflatedIdentity(self) -> None:
        """The UIDs within a deflated data set count, wherever it is cut."""
        deflated = "1.2.840.10008.1.2.1.99"
        for data, status in (
            (deflate(dataSet(deflated, self.PRIVATE)), 0x0000),
            (deflate(dataSet(deflated, CT)), 0xA900),
            (deflate(dataSet(deflated, self.PRIVATE, "1.2.3.4.5")), 0xA900),
            (dataSet(deflated, self.PRIVATE), 0xC000),
            (deflate(dataSet(deflated, self.PRIVATE)[:20]), 0xC000),
            (deflate(b""), 0xC000),
        ):
            for size in (None, 1, 7):
                peer = self.associate(size, associateRQ({self.PRIVATE: [deflated]}))
                responses = self.ask(peer, message(1, storeRQ(1, self.PRIVATE), data))
                self.assertEqual(self.statusesOf(responses), [(1, status)])

    def test_classesOfOtherServices(self) -> None:
        """A context of another service is refused; a request that names its class is answered 0x0122."""
        query = "1.2.840.10008.5.1.4.1.2.2.1"
        (answer,) = connectRaw(self.factory).send(associateRQ({query: [EXPLICIT_LITTLE], CT: [EXPLICIT_LITTLE]}))
        self.assertEqual([context.result for context in answer.presentationContexts], [3, 0])
        peer = self.associate(request=associateRQ({CT: [EXPLICIT_LITTLE]}))
        responses = self.ask(peer, message(1, storeRQ(1, query), dataSet(EXPLICIT_LITTLE, query)))
        self.assertEqual(self.statusesOf(responses), [(1, 0x0122)])


class StorageTestCase(ConversationTestCase):
    """A store behind a storage service."""

    def associated(self, store: Any, size: int | None = None, syntax: str = EXPLICIT_LITTLE) -> RawPeer:
        """Associate, all contexts in one transfer syntax."""
        self.serve(VerificationService(), StorageService(store))
        contexts = [(uid, [syntax]) for uid in (VERIFICATION, CT, MR)]
        return self.associate(size, associateRQ(contexts))

    def assertLives(self, peer: RawPeer) -> None:
        """The association answers an echo; it leaves nothing when it goes."""
        self.assertEqual(self.ask(peer, message(ECHO_CONTEXT, CEchoRQ(99))), [CEchoRSP(99, 0, VERIFICATION)])
        peer.link.lose()
        self.assertNothingLeft()


class IdentityTests(StorageTestCase):
    """The data set has to be what the request says it is, or the store never hears of it."""

    def assertRefused(
        self,
        makeData: Callable[[str], bytes],
        status: int,
        comment: str,
        offending: tuple[int, ...] = (),
        request: CStoreRQ | None = None,
    ) -> None:
        """A data set is refused, in every syntax and in pieces of several sizes; the association lives on."""
        request = request or storeRQ()
        for syntax in SYNTAXES:
            for size, maximumLength in ((None, 16384), (None, 9), (1, 16384), (7, 60)):
                store = RecordingStore()
                peer = self.associated(store, size, syntax)
                (response,) = self.ask(peer, message(CT_CONTEXT, request, makeData(syntax), maximumLength))
                expected = CStoreRSP(
                    request.messageID, status, CT, request.affectedSOPInstanceUID or None, comment, offending
                )
                self.assertEqual(response, expected)
                self.assertEqual(store.stored, [])
                self.assertLives(peer)

    def test_classDiffers(self) -> None:
        self.assertRefused(
            lambda syntax: dataSet(syntax, sopClass=MR),
            0xA900,
            "SOP Class UID differs from the request's",
            (SOP_CLASS_UID,),
        )

    def test_instanceDiffers(self) -> None:
        self.assertRefused(
            lambda syntax: dataSet(syntax, sopInstance="1.2.3"),
            0xA900,
            "SOP Instance UID differs from the request's",
            (SOP_INSTANCE_UID,),
        )

    def test_instanceIsMoreThanTheRequests(self) -> None:
        """What only begins with the requested UID is another instance."""
        self.assertRefused(
            lambda syntax: dataSet(syntax, sopInstance=INSTANCE + ".1"),
            0xA900,
            "SOP Instance UID differs from the request's",
            (SOP_INSTANCE_UID,),
        )

    def test_uidIsMissing(self) -> None:
        """In a head that goes on beyond it, or that has it without a value."""
        name = b"Doe^Jane"
        classUID, instanceUID = padded(CT), padded(INSTANCE)
        cases: list[tuple[list[tuple[int, bytes]], tuple[int, ...]]] = [
            ([(SOP_CLASS_UID, classUID)], (SOP_INSTANCE_UID,)),
            ([(SOP_CLASS_UID, classUID), (SOP_INSTANCE_UID, b"")], (SOP_INSTANCE_UID,)),
            ([(SOP_CLASS_UID, b"\0\0"), (SOP_INSTANCE_UID, instanceUID)], (SOP_CLASS_UID,)),
            ([(SOP_INSTANCE_UID, instanceUID)], (SOP_CLASS_UID,)),
            ([], (SOP_CLASS_UID, SOP_INSTANCE_UID)),
        ]
        for uids, missing in cases:

            def makeData(syntax: str, uids: Iterable[tuple[int, bytes]] = uids) -> bytes:
                head = b"".join(element(syntax, tag, b"UI", value) for tag, value in uids)
                return head + element(syntax, PATIENT_NAME, b"PN", name)

            self.assertRefused(makeData, 0xC000, "SOP Class or Instance UID not found in the data set", missing)

    def test_dataSetEndsBeforeItsIdentity(self) -> None:
        """Wherever it ends."""
        comment = "the data set ends before its SOP Instance UID"
        self.assertRefused(lambda syntax: b"", 0xC000, comment)
        self.assertRefused(lambda syntax: dataSet(syntax)[:1], 0xC000, comment)
        self.assertRefused(lambda syntax: dataSet(syntax)[:30], 0xC000, comment)
        for syntax in SYNTAXES:
            whole = dataSet(syntax)
            end = whole.index(INSTANCE.encode()) + len(padded(INSTANCE))
            for length in range(end):
                store = RecordingStore()
                peer = self.associated(store, syntax=syntax)
                responses = self.ask(peer, message(CT_CONTEXT, storeRQ(), whole[:length]))
                self.assertEqual(self.statusesOf(responses), [(1, 0xC000)])
                self.assertEqual(store.stored, [])
                peer.link.lose()

    def test_dataSetMayEndWithItsIdentity(self) -> None:
        for syntax in SYNTAXES:
            whole = dataSet(syntax)
            data = whole[: whole.index(INSTANCE.encode()) + len(padded(INSTANCE))]
            store = RecordingStore()
            peer = self.associated(store, 1, syntax)
            self.assertEqual(self.statusesOf(self.ask(peer, message(CT_CONTEXT, storeRQ(), data))), [(1, 0)])
            self.assertEqual([record.dataSet for record in store.stored], [data])

    def test_noDataSetAnnounced(self) -> None:
        store = RecordingStore()
        peer = self.associated(store)
        (response,) = self.ask(peer, message(CT_CONTEXT, CStoreRQ(3, CT, INSTANCE, hasDataSet=False)))
        self.assertEqual((response.messageIDBeingRespondedTo, response.status), (3, 0xC000))
        self.assertEqual(store.stored, [])
        self.assertLives(peer)

    def test_garbage(self) -> None:
        for garbage in (b"\xff" * 500, bytes(500), b"GET / HTTP/1.1\r\n\r\n" * 20, b"\x08\0\x16\0"):
            for syntax in SYNTAXES:
                store = RecordingStore()
                peer = self.associated(store, syntax=syntax)
                (response,) = self.ask(peer, message(CT_CONTEXT, storeRQ(), garbage, 100))
                self.assertEqual(response.status, 0xC000)
                self.assertNotEqual(response.errorComment, "")
                self.assertEqual(store.stored, [])
                self.assertLives(peer)

    def test_fileInsteadOfDataSet(self) -> None:
        """Senders that forget to cut off the file's head are told."""
        meta = element(EXPLICIT_LITTLE, 0x00020010, b"UI", b"1.2.840.10008.1.2.1\0")
        for data in (bytes(128) + b"DICM" + meta + dataSet(), meta + dataSet()):
            store = RecordingStore()
            peer = self.associated(store)
            (response,) = self.ask(peer, message(CT_CONTEXT, storeRQ(), data))
            self.assertEqual(response.status, 0xC000)
            self.assertEqual(store.stored, [])
            self.assertLives(peer)

    def test_requestWithoutValidInstanceUID(self) -> None:
        """Such a UID could be anything but the name of a file; the store never sees it, nor does the head count."""
        for uid in ("../x", "", "1.2\0.3", "1.2/3", ".", "..", "1..2", "1.2.", "a.b", "1.2 3", "-1"):
            self.assertRefused(
                lambda syntax, uid=uid: dataSet(syntax, sopInstance=uid),
                0xC000,
                "Affected SOP Instance UID is not a UID",
                (0x00001000,),
                storeRQ(5, sopInstance=uid),
            )

    def test_requestWithUIDThatIsTooLongOrNotASCII(self) -> None:
        """It is as good as none; what is left of the request is answered."""
        for encoded in (b"1" * 65 + b"\0", b"1." * 5000 + b"1\0", b"1.2\xb2", b"\xff" * 64):
            store = RecordingStore()
            peer = self.associated(store)
            request = encodeCommand(storeRQ(5, sopInstance=""))
            command = request[:-4] + struct.pack("<I", len(encoded)) + encoded
            sent = b"".join(pData(CT_CONTEXT, *part) for part in ((3, command), (2, dataSet())))
            (response,) = self.ask(peer, sent)
            comment = "Affected SOP Instance UID is not a UID"
            self.assertEqual(response, CStoreRSP(5, 0xC000, CT, None, comment, (0x00001000,)))
            self.assertEqual(store.stored, [])
            self.assertLives(peer)

    def test_paddedUIDs(self) -> None:
        """Spaces and NULs at the end of a UID are no part of it, in the request and in the data set."""
        uids = element(EXPLICIT_LITTLE, SOP_CLASS_UID, b"UI", CT.encode() + b" ")
        uids += element(EXPLICIT_LITTLE, SOP_INSTANCE_UID, b"UI", INSTANCE.encode() + b"\0\0 ")
        store = RecordingStore()
        peer = self.associated(store)
        response = self.ask(peer, message(CT_CONTEXT, storeRQ(sopInstance=INSTANCE + "  "), uids))
        self.assertEqual(self.statusesOf(response), [(1, 0)])
        self.assertEqual([record.instance.sopInstanceUID for record in store.stored], [INSTANCE])

    def test_attributesAreThoseOfTheHead(self) -> None:
        store = RecordingStore()
        self.ask(self.associated(store), message(CT_CONTEXT, storeRQ(), dataSet()))
        attributes: Mapping[int, bytes] = store.stored[0].instance.attributes
        self.assertEqual(attributes, {SOP_CLASS_UID: padded(CT), SOP_INSTANCE_UID: padded(INSTANCE)})

    def test_syntaxIsTheContexts(self) -> None:
        """Two contexts of one class in different syntaxes are told apart."""
        store = RecordingStore()
        self.serve(StorageService(store))
        peer = self.associate(request=associateRQ([(CT, [syntax]) for syntax in SYNTAXES]))
        for number, syntax in enumerate(SYNTAXES):
            self.ask(peer, message(2 * number + 1, storeRQ(), dataSet(syntax)))
        self.assertEqual([record.instance.transferSyntaxUID for record in store.stored], list(SYNTAXES))
