"""Whether a certificate is for whom we wanted to reach: `isFor`."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from cryptography.x509 import DNSName, ExtensionNotFound, IPAddress, SubjectAlternativeName
from cryptography.x509.oid import NameOID
from service_identity import VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address
from service_identity.exceptions import CertificateError

__all__ = ["isAddress", "isFor"]


def isFor(certificate: Any, name: str) -> bool:
    """
    Say whether a certificate is for a host, or an IP address (RFC 6125).

    What counts are its alternative names. Only if there are neither DNS names nor addresses among them, its common name
    does, and has to be the same but for capital letters.

    :param certificate: a `cryptography.x509.Certificate`.
    """
    try:
        alternatives = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    except ExtensionNotFound:
        alternatives = []
    except ValueError:
        # What cannot be read is for nobody.
        return False
    if not any(isinstance(alternative, DNSName | IPAddress) for alternative in alternatives):
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return any(str(attribute.value).casefold() == name.casefold() for attribute in names)
    verify = verify_certificate_ip_address if isAddress(name) else verify_certificate_hostname
    try:
        verify(certificate, name)
    except (VerificationError, CertificateError, ValueError):
        return False
    return True


def isAddress(name: str) -> bool:
    """Say whether a name is an IP address."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
