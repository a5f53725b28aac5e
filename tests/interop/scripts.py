"""PDUs of a sender, encoded by pynetdicom: for tests that say one thing at a time."""

from __future__ import annotations

from typing import Any

from tests.interop.case import LITTLE, VERIFICATION
from tests.interop.peers import requireModule

__all__ = ["associatePrimitive", "associateRequest", "dimseRequest"]

_CT = "1.2.840.10008.5.1.4.1.1.2"


def associatePrimitive() -> Any:
    """A-ASSOCIATE request as pynetdicom's service primitive."""
    primitives = requireModule("pynetdicom.pdu_primitives")
    primitive = primitives.A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title = "SCRIPT"
    primitive.called_ae_title = "STORESCP"
    length = primitives.MaximumLengthNotification()
    length.maximum_length_received = 16382
    implementation = primitives.ImplementationClassUIDNotification()
    implementation.implementation_class_uid = "1.2.3.4"
    primitive.user_information = [length, implementation]
    contexts = []
    for contextID, abstract in ((1, _CT), (3, VERIFICATION)):
        context = requireModule("pynetdicom.presentation").build_context(abstract, LITTLE)
        context.context_id = contextID
        contexts.append(context)
    primitive.presentation_context_definition_list = contexts
    return primitive


def associateRequest(primitive: Any = None, **fields: object) -> bytes:
    """An A-ASSOCIATE-RQ."""
    pdu = requireModule("pynetdicom.pdu").A_ASSOCIATE_RQ(primitive or associatePrimitive())
    for name, value in fields.items():
        setattr(pdu, name, value)
    return bytes(pdu.encode())


def dimseRequest(kind: str, contextID: int = 1, **values: object) -> bytes:
    """The P-DATA-TF PDUs of a DIMSE request; the values have the names that pynetdicom gives them."""
    primitive = getattr(requireModule("pynetdicom.dimse_primitives"), kind)()
    for name, value in values.items():
        setattr(primitive, name, value)
    message = getattr(requireModule("pynetdicom.dimse_messages"), f"{kind}_RQ")()
    message.primitive_to_message(primitive)
    encoded = b""
    for data in message.encode_msg(contextID, 16382):
        encoded += requireModule("pynetdicom.pdu").P_DATA_TF(data).encode()
    return encoded
