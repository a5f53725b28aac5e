"""pynetdicom as SCU: every class in every encoding, and whatever else can be asked for in an association."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pydicom import Dataset
from pydicom.uid import UID, generate_uid

from tests.interop.case import BIG, IMPLICIT, LITTLE, OFFERED, SYNTAXES, VERIFICATION, ReceiverTestCase, Talk, dataSetOf
from tests.interop.peers import requireModule
from tests.interop.wire import ABORT, AC, DATA, RELEASE_RP, RELEASE_RQ, RQ

if TYPE_CHECKING:
    from pynetdicom.association import Association

_CT = "1.2.840.10008.5.1.4.1.1.2"
_ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
_STORAGE = [sopClass for sopClass in OFFERED if sopClass != VERIFICATION]
#: User information sub-items (PS3.7 D.3.3).
_ASYNCHRONOUS, _ROLE, _EXTENDED, _COMMON_EXTENDED, _IDENTITY, _IDENTITY_AC = 0x53, 0x54, 0x56, 0x57, 0x58, 0x59


def _instance(sopClass: str, syntax: str) -> Dataset:
    """A small instance with a value of nearly every kind, made for one encoding."""
    instance = Dataset()
    instance.SpecificCharacterSet = "ISO_IR 192"
    instance.SOPClassUID = sopClass
    instance.SOPInstanceUID = generate_uid()
    instance.PatientName = "Größe^Ägidius"
    instance.PatientID = "odd"
    instance.PatientWeight = "71.5"
    instance.StudyInstanceUID = generate_uid()
    code = Dataset()
    code.CodeValue = "1"
    code.CodeMeaning = "nested"
    outer = Dataset()
    outer.ConceptNameCodeSequence = [code, code]
    outer.is_undefined_length_sequence_item = True
    instance.ReferencedStudySequence = [outer, Dataset()]
    instance["ReferencedStudySequence"].is_undefined_length = True
    instance.add_new(0x00091010, "UN", b"private ")
    instance.Rows = instance.Columns = 2
    instance.BitsAllocated = 16
    instance.PixelRepresentation = 0
    instance.add_new(0x7FE00010, "OW", bytes(range(8)))
    instance.ensure_file_meta()
    instance.file_meta.TransferSyntaxUID = UID(syntax)
    return instance


class PynetdicomTests(ReceiverTestCase):
    """One association after the other, with pynetdicom's own `AE`."""

    modules = ("pynetdicom",)

    def associate(
        self,
        contexts: Iterable[tuple[str, Iterable[str]]],
        use: Callable[[Association], Any],
        negotiation: Iterable[object] = (),
    ) -> Talk:
        """Establish an association, use it, and release it if it is still there."""
        entity = requireModule("pynetdicom").AE("PYNETDICOM")
        for abstract, transfers in contexts:
            entity.add_requested_context(abstract, list(transfers))

        def sender() -> Any:
            association = entity.associate("127.0.0.1", self.relay.port, ext_neg=list(negotiation) or None)
            self.assertTrue(association.is_established)
            try:
                return use(association)
            finally:
                if association.is_established:
                    association.release()

        talk = self.talk(sender)
        self.assertNegotiated(talk.exchange)
        return talk

    def store(self, *items: object) -> Talk:
        """Store an instance on an association that asks for something besides."""
        talk = self.associate(
            [(_CT, [LITTLE])],
            lambda association: association.send_c_store(_instance(_CT, LITTLE)).Status,
            items,
        )
        self.assertEqual(talk.result, 0x0000)
        self.assertEqual(self.assertStored(talk), 1)
        return talk

    def test_echo(self) -> None:
        """A C-ECHO is answered with success in each of the transfer syntaxes."""
        for syntax in SYNTAXES:
            talk = self.associate([(VERIFICATION, [syntax])], lambda association: association.send_c_echo().Status)
            self.assertEqual(talk.result, 0x0000)
            self.assertEqual(talk.exchange.kinds, ([RQ, DATA, RELEASE_RQ], [AC, DATA, RELEASE_RP]))
            self.assertEqual(self.assertStored(talk), 0)

    def test_everyClassInEveryEncoding(self) -> None:
        """Each of 17 classes in each of 3 encodings is stored byte for byte as pynetdicom encoded it."""
        encode = requireModule("pynetdicom.dsutils").encode
        combinations = [(sopClass, syntax) for sopClass in _STORAGE for syntax in SYNTAXES]
        instances = [_instance(*combination) for combination in combinations]
        talk = self.associate(
            [(sopClass, [syntax]) for sopClass, syntax in combinations],
            lambda association: [association.send_c_store(instance).Status for instance in instances],
        )
        self.assertEqual(talk.result, [0x0000] * 51)
        self.assertEqual(self.assertStored(talk), 51)
        for (sopClass, syntax), instance in zip(combinations, instances, strict=True):
            file = talk.stored[f"{OFFERED[sopClass]}.{instance.SOPInstanceUID}"]
            self.assertEqual(dataSetOf(file), encode(instance, syntax == IMPLICIT, syntax != BIG))

    def test_receiversOrderWins(self) -> None:
        """Whatever order transfer syntaxes are proposed in, the receiver takes the one it likes best."""
        for proposed in ([IMPLICIT, LITTLE], [IMPLICIT, BIG], [BIG, IMPLICIT, LITTLE], [IMPLICIT]):
            talk = self.associate([(_CT, proposed)], lambda association: None)
            ((result, syntax),) = talk.exchange.answered.values()
            preferred = next(syntax for syntax in SYNTAXES if syntax in proposed)
            self.assertEqual((result, syntax), (0, preferred))

    def test_nothingAsked(self) -> None:
        """What was not asked for is not in the answer (PS3.7 D.3.3)."""
        talk = self.store()
        self.assertEqual(set(talk.exchange.userInformation(AC)), {0x51, 0x52, 0x55})

    def test_asynchronousOperations(self) -> None:
        """A window is answered with 1 and 1: one operation at a time."""
        item = requireModule("pynetdicom.pdu_primitives").AsynchronousOperationsWindowNegotiation()
        item.maximum_number_operations_invoked = 5
        item.maximum_number_operations_performed = 0
        talk = self.store(item)
        self.assertEqual(talk.exchange.userInformation(RQ)[_ASYNCHRONOUS], [b"\0\5\0\0"])
        self.assertEqual(talk.exchange.userInformation(AC)[_ASYNCHRONOUS], [b"\0\1\0\1"])

    def test_roles(self) -> None:
        """The requestor may be SCU and not SCP; there is no answer about a class we do not have."""
        build = requireModule("pynetdicom").build_role
        talk = self.store(build(_CT, scu_role=True, scp_role=True), build(_ENHANCED_CT, scu_role=True, scp_role=True))
        self.assertEqual(len(talk.exchange.userInformation(RQ)[_ROLE]), 2)
        uid = _CT.encode()
        expected = [len(uid).to_bytes(2, "big") + uid + b"\1\0"]
        self.assertEqual(talk.exchange.userInformation(AC)[_ROLE], expected)

    def test_userIdentity(self) -> None:
        """An identity of any type is let pass, and not answered even where an answer is asked for."""
        for kind in (1, 2, 3, 4, 5):
            item = requireModule("pynetdicom.pdu_primitives").UserIdentityNegotiation()
            item.user_identity_type = kind
            item.primary_field = b"somebody"
            if kind == 2:
                item.secondary_field = b"secret"
            item.positive_response_requested = True
            talk = self.store(item)
            self.assertIn(_IDENTITY, talk.exchange.userInformation(RQ))
            self.assertNotIn(_IDENTITY_AC, talk.exchange.userInformation(AC))

    def test_extendedNegotiation(self) -> None:
        """Extended and common extended negotiation are not answered: they are not supported."""
        primitives = requireModule("pynetdicom.pdu_primitives")
        extended = primitives.SOPClassExtendedNegotiation()
        extended.sop_class_uid = _CT
        extended.service_class_application_information = b"\2\0\1\0\1\0"
        common = primitives.SOPClassCommonExtendedNegotiation()
        common.sop_class_uid = _ENHANCED_CT
        common.service_class_uid = "1.2.840.10008.4.2"
        common.related_general_sop_class_identification = [_CT]
        talk = self.store(extended, common)
        self.assertLessEqual({_EXTENDED, _COMMON_EXTENDED}, set(talk.exchange.userInformation(RQ)))
        self.assertEqual({_EXTENDED, _COMMON_EXTENDED} & set(talk.exchange.userInformation(AC)), set())

    def test_nothingAcceptable(self) -> None:
        """An association without a usable presentation context is accepted; pynetdicom aborts it."""
        entity = requireModule("pynetdicom").AE()
        entity.add_requested_context(_ENHANCED_CT, LITTLE)
        entity.add_requested_context(_CT, "1.2.840.10008.1.2.4.90")
        talk = self.talk(lambda: entity.associate("127.0.0.1", self.relay.port))
        self.assertFalse(talk.result.is_established)
        self.assertNegotiated(talk.exchange)
        self.assertEqual([result for result, _ in talk.exchange.answered.values()], [3, 4])
        self.assertEqual(talk.exchange.kinds, ([RQ, ABORT], [AC]))

    def test_abort(self) -> None:
        """After an abort in the middle of an association, what was acknowledged is there."""

        def storeAndAbort(association: Association) -> int:
            status = association.send_c_store(_instance(_CT, LITTLE)).Status
            association.abort()
            return int(status)

        talk = self.associate([(_CT, [LITTLE])], storeAndAbort)
        self.assertEqual(talk.exchange.kinds, ([RQ, DATA, ABORT], [AC, DATA]))
        self.assertEqual(self.assertStored(talk), 1)

    def test_differentUIDs(self) -> None:
        """A data set that is not what the request says is answered 0xA900, and the association takes the next one."""
        wrong, right = _instance(_CT, LITTLE), _instance(_CT, LITTLE)

        def sendBoth(association: Any) -> list[int]:
            claimed = generate_uid()
            # pynetdicom takes the UIDs of the request from the data set, unless the message is changed on its way.
            send = association.dimse.send_msg

            def changed(primitive: Any, contextID: int) -> None:
                if primitive.AffectedSOPInstanceUID == wrong.SOPInstanceUID:
                    primitive.AffectedSOPInstanceUID = claimed
                send(primitive, contextID)

            association.dimse.send_msg = changed
            return [association.send_c_store(instance).Status for instance in (wrong, right)]

        talk = self.associate([(_CT, [LITTLE])], sendBoth)
        self.assertEqual(talk.result, [0xA900, 0x0000])
        self.assertEqual(list(talk.stored), [f"CT.{right.SOPInstanceUID}"])
