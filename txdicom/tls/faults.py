"""OpenSSL's words for what went wrong, in sentences that say who has to do what."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL

__all__ = ["MISMATCH", "certificateFault", "connectionFault", "reasonOf"]

#: OpenSSL's reasons -> ours.
_REASONS = {
    "certificate verify failed": "its certificate cannot be verified",
    "peer did not return a certificate": "it has no certificate",
    "no shared cipher": "it offers no cipher suite of the security profile",
    "unsupported protocol": "it offers no version of TLS of the security profile",
    "no suitable signature algorithm": "it takes no certificate like ours",
    "wrong version number": "what it sends is not TLS",
    "packet length too long": "what it sends is not TLS",
}
#: What OpenSSL's reasons have in them where it was the peer that refused.
_ALERT = " alert "
#: The number of a name that is another one, which we find ourselves.
MISMATCH = 62
#: The numbers of OpenSSL's x509_vfy.h for why a certificate is not good.
_CERTIFICATE_FAULTS = {
    2: "was signed by an authority that is not known here",
    3: "cannot be looked up: there is no revocation list of its authority",
    9: "is not valid yet",
    10: "has expired",
    11: "cannot be looked up: the revocation list of its authority is not valid yet",
    12: "cannot be looked up: the revocation list of its authority has expired",
    18: "is signed by itself and not known here",
    19: "was signed by an authority that is not known here",
    20: "was signed by an authority that is not known here",
    21: "was signed by an authority that is not known here",
    23: "has been revoked",
    26: "is not meant for a {role}",
    MISMATCH: "is not for {name}",
    66: "has a key that is too short",
    68: "is signed with a hash that is too weak",
}


def certificateFault(certificate: Any, number: int, role: str = "client", name: str = "") -> str:
    """
    Say what is wrong with a peer's certificate, or with that of one of its authorities.

    :param certificate: a `cryptography.x509.Certificate`.
    :param number: OpenSSL's.
    :param role: what the peer is, client or server.
    :param name: what it should be called.
    """
    fault = _CERTIFICATE_FAULTS.get(number, f"cannot be verified (OpenSSL's fault {number})")
    fault = fault.format(role=role, name=name)
    return f"its certificate ({certificate.subject.rfc4514_string()!a:.200}) {fault}"


def connectionFault(error: SSL.Error) -> str:
    """Say why there can be no connection with a peer."""
    reason = reasonOf(error)
    if _ALERT in reason:
        return f"it refuses us ({reason})"
    return _REASONS.get(reason, reason)


def reasonOf(error: Exception) -> str:
    """Return the last of OpenSSL's reasons, or what else is wrong."""
    if not isinstance(error, SSL.Error):
        return str(error)
    queue = error.args[0] if error.args else ()
    return str(queue[-1][-1]) if queue else "OpenSSL does not say why"
