"""Who a peer says it is, by its AE title, and who its certificate says it is."""

from __future__ import annotations

from typing import Any

from cryptography.x509 import DNSName, ExtensionNotFound, SubjectAlternativeName
from cryptography.x509.oid import NameOID

from txdicom.dimse.association import Association
from txdicom.errors import RejectReason, RejectResult
from txdicom.upperlayer.pdu import AAssociateRJ, AAssociateRQ

__all__ = ["refuseUncertifiedTitles", "titlesOf"]


def refuseUncertifiedTitles(association: Association, request: AAssociateRQ) -> AAssociateRJ | None:
    """Let in who has a certificate for its AE title; others get "calling AE title not recognized"."""
    certificate = association.peerCertificate
    if certificate is not None and association.callingAETitle in titlesOf(certificate):
        return None
    return AAssociateRJ.of(RejectResult.PERMANENT, RejectReason.CALLING_AE_TITLE_NOT_RECOGNIZED)


def titlesOf(certificate: Any) -> frozenset[str]:
    """
    Return the AE titles that a `cryptography.x509.Certificate` is for.

    They are its common name, and the DNS names among its alternative names (RFC 5280 4.2.1.6), spelled as they are: AE
    titles tell capital letters from small ones.
    """
    titles = {str(attribute.value) for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)}
    try:
        alternatives = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    except (ExtensionNotFound, ValueError):
        # What cannot be read names nobody.
        alternatives = []
    titles.update(name.value for name in alternatives if isinstance(name, DNSName))
    return frozenset(titles - {""})
