"""
Tests of `txdicom.services.storage`: elements of the head that a store would like to know, and never insists on.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import zlib
from random import Random
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import Logger
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.headvectors import (
    EXPLICIT_LITTLE,
    PATIENT_ID,
    PATIENT_NAME,
    PIXEL_DATA,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    STUDY_DATE,
    STUDY_INSTANCE_UID,
    SYNTAXES,
    UNDEFINED,
    cut,
    element,
    header,
    read,
)
from tests.scripted import (
    CT,
    CT_CONTEXT,
    MR,
    VERIFICATION,
    ScriptedStore,
    ScriptedWriter,
    dataSet,
    later,
    message,
    padded,
    storeRQ,
)
from tests.test_storage_service import StorageTestCase
from txdicom.dimse.association import Association
from txdicom.errors import DIMSEError
from txdicom.interfaces import IWantingStorageSCP
from txdicom.services.collecting import CollectingStore
from txdicom.services.deflate import readerOf
from txdicom.services.head import HeadError, HeadReader
from txdicom.services.storage import ReceivedInstance, StorageService, wantedBy
from txdicom.services.verification import VerificationService
from txdicom.storescp.faults.store import FaultyStore
from txdicom.storescp.hooks.announcer import Announcer
from txdicom.storescp.hooks.events import SERIES_INSTANCE_UID
from txdicom.storescp.hooks.store import HookedStore
from txdicom.storescp.log.narration import NarratedStore
from txdicom.storescp.pacing import PacedStore
from txdicom.storescp.workers.directories import PlacedStore
from txdicom.testing import RawPeer, RecordingStore, associateRQ, exampleDataSet, sendTo
from txdicom.uids import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN

IDENTITY = (SOP_CLASS_UID, SOP_INSTANCE_UID)
STUDY = b"1.2.3.4\0"
SPECIFIC_CHARACTER_SET = 0x00080005
EXAMPLE = exampleDataSet(
    SpecificCharacterSet="ISO_IR 192", StudyDate="20260101", PatientName="Müller^Zoë", PatientID="4711"
)


class WantedTestCase(StorageTestCase):
    """A storage service that looks for more than the UIDs."""

    WANTED = (PATIENT_NAME, STUDY_INSTANCE_UID)

    def associated(self, store: Any, size: int | None = None, syntax: str = EXPLICIT_LITTLE) -> RawPeer:
        """Associate, all contexts in one transfer syntax."""
        self.serve(VerificationService(), StorageService(store, wanted=self.WANTED))
        return self.associate(size, associateRQ([(uid, [syntax]) for uid in (VERIFICATION, CT, MR)]))


class WantedTests(WantedTestCase):
    """What is found, and what comes of what is not."""

    def assertFound(self, makeRest: Any, found: dict[int, bytes]) -> None:
        """An instance is stored whole, in every syntax and fragmentation, and these elements of it are known."""
        for syntax in SYNTAXES:
            data = dataSet(syntax, rest=makeRest(syntax))
            for size, maximumLength in ((None, 16384), (None, 9), (1, 16384), (7, 60)):
                store = RecordingStore()
                peer = self.associated(store, size, syntax)
                self.assertEqual(
                    self.statusesOf(self.ask(peer, message(CT_CONTEXT, storeRQ(), data, maximumLength))), [(1, 0)]
                )
                (record,) = store.stored
                self.assertEqual((record.dataSet, record.outcome), (data, "committed"))
                attributes = {tag: value for tag, value in record.instance.attributes.items() if tag not in IDENTITY}
                self.assertEqual(attributes, {PATIENT_NAME: b"Doe^Jane"} | found)
                self.assertLives(peer)

    def test_found(self) -> None:
        self.assertFound(
            lambda syntax: (
                element(syntax, STUDY_INSTANCE_UID, b"UI", STUDY) + element(syntax, PIXEL_DATA, b"OW", bytes(100))
            ),
            {STUDY_INSTANCE_UID: STUDY},
        )

    def test_missing(self) -> None:
        """It is not there, or the data set ends before its place."""
        self.assertFound(lambda syntax: element(syntax, PIXEL_DATA, b"OW", bytes(100)), {})
        self.assertFound(lambda syntax: b"", {})
        self.assertFound(lambda syntax: element(syntax, PATIENT_ID, b"LO", b"ID")[:-1], {})

    def test_tooLong(self) -> None:
        """A longer value than is kept counts as missing, also if its length is a lie; what follows is read."""
        study = {STUDY_INSTANCE_UID: STUDY}
        for syntax in SYNTAXES:
            data = dataSet(syntax)[: -len(element(syntax, PATIENT_NAME, b"PN", b"Doe^Jane"))]
            data += element(syntax, PATIENT_NAME, b"PN", b"x" * 1026)
            data += element(syntax, STUDY_INSTANCE_UID, b"UI", STUDY)
            store = RecordingStore()
            peer = self.associated(store, syntax=syntax)
            self.assertEqual(self.statusesOf(self.ask(peer, message(CT_CONTEXT, storeRQ(), data))), [(1, 0)])
            attributes = store.stored[0].instance.attributes
            self.assertEqual(attributes.keys(), {*IDENTITY, STUDY_INSTANCE_UID})
            self.assertEqual(attributes.items() & study.items(), study.items())

    def test_headIsLong(self) -> None:
        """What does not come within 64 KiB is missing, and no reason to refuse."""
        self.assertFound(
            lambda syntax: (
                element(syntax, 0x00101010, b"UN", bytes(1 << 16)) + element(syntax, STUDY_INSTANCE_UID, b"UI", STUDY)
            ),
            {},
        )

    def test_restCannotBeRead(self) -> None:
        """Behind the UIDs nothing is looked at without such a wish; with it, garbage is as good as nothing."""
        self.assertFound(lambda syntax: bytes(50), {})
        self.assertFound(lambda syntax: header(syntax, 0x00101002, b"SQ", UNDEFINED) + bytes(9), {})

    def test_uidsAreNeeded(self) -> None:
        for syntax in SYNTAXES:
            for data, comment in (
                (element(syntax, SOP_CLASS_UID, b"UI", padded(CT)), "the data set ends before its SOP Instance UID"),
                (
                    element(syntax, SOP_CLASS_UID, b"UI", padded(CT)) + element(syntax, 0x00080020, b"DA", b""),
                    "the data set ends before its SOP Instance UID",
                ),
                (
                    element(syntax, SOP_CLASS_UID, b"UI", padded(CT)) + element(syntax, PIXEL_DATA, b"OW", b""),
                    "SOP Class or Instance UID not found in the data set",
                ),
            ):
                store = RecordingStore()
                peer = self.associated(store, syntax=syntax)
                (response,) = self.ask(peer, message(CT_CONTEXT, storeRQ(), data))
                self.assertEqual((response.status, response.errorComment, store.stored), (0xC000, comment, []))

    def test_differsInDataSetThatEnds(self) -> None:
        """The UIDs are compared also if all is held until the end."""
        store = RecordingStore()
        (response,) = self.ask(self.associated(store), message(CT_CONTEXT, storeRQ(), dataSet(sopInstance="1.2.3")))
        self.assertEqual((response.status, store.stored), (0xA900, []))


class HeldToTheEndTests(WantedTestCase):
    """A data set that is held as a whole, and a store that takes its time or fails."""

    def test_later(self) -> None:
        """Writer, write and commit may each come later."""
        waiting: list[Deferred[Any]] = []
        writer = ScriptedWriter([later(waiting)], later(waiting))
        peer = self.associated(ScriptedStore(later(waiting)))
        peer.send(message(CT_CONTEXT, storeRQ(), dataSet()))
        self.assertEqual(writer.calls, [])
        waiting.pop().callback(writer)
        self.assertEqual((writer.calls, writer.data), (["write"], dataSet()))
        waiting.pop().callback(None)
        self.assertEqual(writer.calls, ["write", "commit"])
        waiting.pop().callback(0)
        self.assertEqual(self.statusesOf(self.ask(peer)), [(1, 0)])
        self.assertLives(peer)

    def test_writeFails(self) -> None:
        """The writer is aborted, once, and its status is the answer."""
        writer = ScriptedWriter([DIMSEError(0xA700, "full")])
        peer = self.associated(ScriptedStore(writer))
        self.assertEqual(self.statusesOf(self.ask(peer, message(CT_CONTEXT, storeRQ(), dataSet()))), [(1, 0xA700)])
        self.assertEqual(writer.calls, ["write", "abort"])
        self.assertLives(peer)


class DeflatedTests(StorageTestCase):
    """Data sets that are deflated as a whole."""

    def found(self, data: bytes, bound: int = 1 << 16) -> tuple[set[int], bool, str]:
        """Read a deflated data set: what is found, whether the reader is done, and what is wrong."""
        reader = readerOf(DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, IDENTITY, 64, bound, welcome=(STUDY_INSTANCE_UID,))
        error = ""
        try:
            for position in range(0, len(data), 7):
                reader.feed(data[position : position + 7])
        except HeadError as failure:
            error = str(failure)
        return set(reader.attributes), reader.done, error

    def test_welcome(self) -> None:
        def deflated(data: bytes) -> bytes:
            compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
            return compressor.compress(data) + compressor.flush()

        study = element(EXPLICIT_LITTLE, STUDY_INSTANCE_UID, b"UI", STUDY)
        long = element(EXPLICIT_LITTLE, 0x00101010, b"UN", bytes(range(256)) * 300)
        self.assertEqual(self.found(deflated(dataSet() + study)), ({*IDENTITY, STUDY_INSTANCE_UID}, True, ""))
        # The data set, and the stream, end before the study; it comes too late; the rest cannot be inflated.
        self.assertEqual(self.found(deflated(dataSet())), (set(IDENTITY), True, ""))
        self.assertEqual(self.found(deflated(dataSet() + long + study)), (set(IDENTITY), True, ""))
        whole = deflated(dataSet() + bytes(Random(1).randbytes(9000)))
        self.assertEqual(self.found(whole[:4500] + b"\xff" * 400), (set(IDENTITY), True, ""))
        # Without the UIDs it is wrong as ever.
        self.assertEqual(self.found(deflated(study[:4]))[1:], (False, "the deflated data set ends within its head"))


@implementer(IWantingStorageSCP)
class WantingStore(RecordingStore):
    """A store that says what it wants."""

    def __init__(self, *wanted: int | str) -> None:
        super().__init__()
        self.wanted = wanted


class DeclaredTests(StorageTestCase):
    """What is wanted by the store itself."""

    def known(self, store: RecordingStore, **parameters: Any) -> set[int]:
        """Send an instance, and return the tags that the store was told besides the UIDs."""
        self.assertEqual([each.status for each in sendTo(store, EXAMPLE, **parameters)], [0])
        return set(store.stored[-1].instance.attributes) - set(IDENTITY)

    def test_found(self) -> None:
        """By keyword it is text at once, by tag it is there."""
        store = WantingStore("PatientName")
        self.assertEqual(self.known(store), {SPECIFIC_CHARACTER_SET, PATIENT_NAME})
        self.assertEqual(store.stored[0].instance.text("PatientName"), "Müller^Zoë")
        self.assertEqual(self.known(WantingStore(PATIENT_ID)), {PATIENT_ID})
        self.assertEqual(self.known(RecordingStore()), set())

    def test_givenAsWell(self) -> None:
        """What the service is given comes to what the store wants, and takes nothing from it."""
        self.assertEqual(self.known(WantingStore(PATIENT_ID), wanted=[STUDY_DATE]), {PATIENT_ID, STUDY_DATE})

    def test_noKeyword(self) -> None:
        """It is looked up when the service is made."""
        self.assertRaises(ValueError, StorageService, WantingStore("PatientId"))

    def test_wantedBy(self) -> None:
        """A store around another one is told."""
        self.assertEqual(wantedBy(WantingStore("PatientName", PATIENT_ID)), ("PatientName", PATIENT_ID))
        self.assertEqual(wantedBy(RecordingStore()), ())

    def test_around(self) -> None:
        """The stores of storescp around others hand on what those want; that which tells of studies adds to it."""
        inner: Any = WantingStore(PATIENT_ID)
        clock = Clock()
        announcer = Announcer([], clock, timeLimit=20.0, atOnce=1, studyTimeout=10.0)
        for store, more in (
            (FaultyStore(inner, clock, ()), set()),
            (NarratedStore(inner, Logger()), set()),
            (PacedStore(inner, clock), set()),
            (PlacedStore(inner, mock.sentinel.directories), set()),
            (HookedStore(inner, announcer), {STUDY_INSTANCE_UID, SERIES_INSTANCE_UID}),
        ):
            self.assertTrue(verifyObject(IWantingStorageSCP, store))
            self.assertEqual({*wantedBy(store)}, {PATIENT_ID, *more})

    def test_collecting(self) -> None:
        """A subclass of `CollectingStore` has it in its class; by itself that wants nothing more."""
        names = []

        def keep(association: Association, instance: ReceivedInstance, data: bytes) -> int:
            names.append(instance.text("PatientName"))
            return 0

        class Names(CollectingStore):
            wanted = ("PatientName",)

        for store in (Names(keep), CollectingStore(keep)):
            self.assertTrue(verifyObject(IWantingStorageSCP, store))
            sendTo(store, EXAMPLE)
        self.assertEqual(names, ["Müller^Zoë", ""])


class WelcomeTests(StorageTestCase):
    """`HeadReader` with `welcome`."""

    @given(st.binary(max_size=400), st.sampled_from(SYNTAXES), st.lists(st.integers(0, 40)), st.integers(1, 300))
    def test_noOutcomeIsWorse(self, rest: bytes, syntax: str, sizes: list[int], bound: int) -> None:
        """Whatever follows, a data set that is understood without a wish is understood with it, the same way."""
        data = dataSet(syntax) + rest
        plain = read([data], syntax, IDENTITY, 64, bound)
        outcomes = []
        for fragments in ([data], cut(data, sizes), cut(data, [1] * len(data))):
            reader = HeadReader(syntax, IDENTITY, 64, bound, welcome=(PATIENT_NAME, STUDY_DATE, STUDY_INSTANCE_UID))
            error = ""
            try:
                for fragment in fragments:
                    reader.feed(fragment)
            except HeadError as failure:
                error = str(failure)
            outcomes.append((reader.attributes, reader.done, error))
        self.assertEqual(outcomes, [outcomes[0]] * 3)
        self.assertEqual(outcomes[0][2], plain.error)
        self.assertLessEqual(plain.attributes.items(), outcomes[0][0].items())
