"""Certificates for tests of TLS: an `Authority` that issues and revokes them, and files with all of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["FFDHE2048", "FOR_CLIENTS", "FOR_SERVERS", "Authority", "Credentials", "newKey"]

#: The group of that name, of RFC 7919 A.1.
FFDHE2048 = """\
-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
"""
#: Purposes for `Authority.issue`.
FOR_SERVERS = ExtendedKeyUsageOID.SERVER_AUTH
FOR_CLIENTS = ExtendedKeyUsageOID.CLIENT_AUTH
_DAY = timedelta(days=1)


def newKey(bits: int = 0) -> Any:
    """Make a private key: of RSA with so many bits, or of the curve P-256, which takes no time."""
    if bits:
        return rsa.generate_private_key(public_exponent=65537, key_size=bits)
    return ec.generate_private_key(ec.SECP256R1())


def _name(commonName: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, commonName)] if commonName else [])


@dataclass(frozen=True)
class Credentials:
    """A certificate and its private key."""

    key: Any
    certificate: x509.Certificate

    def writeTo(self, directory: Path, name: str, password: bytes | None = None) -> tuple[str, str]:
        """
        Write both as PEM.

        :param password: what the key is encrypted with.
        :return: the paths of key and certificate.
        """
        key, certificate = directory / f"{name}.key", directory / f"{name}.crt"
        key.write_bytes(self.keyBytes(Encoding.PEM, password))
        certificate.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        return str(key), str(certificate)

    def keyBytes(self, encoding: Encoding, password: bytes | None = None) -> bytes:
        """Encode the key."""
        secrecy: KeySerializationEncryption = BestAvailableEncryption(password) if password else NoEncryption()
        encoded: bytes = self.key.private_bytes(encoding, PrivateFormat.PKCS8, secrecy)
        return encoded


class Authority(Credentials):
    """Signs certificates with a key and a certificate of its own; that is signed by itself, or by another one."""

    def __init__(self, commonName: str = "Tests' authority", signer: Authority | None = None) -> None:
        key = newKey()
        made = _issue(commonName, key, signer or Credentials(key, None), authority=True)  # type: ignore[arg-type]
        super().__init__(key, made)

    def issue(
        self,
        commonName: str = "STORESCU",
        key: Any = None,
        days: tuple[int, int] = (-1, 1),
        names: Iterable[str] = (),
        purpose: x509.ObjectIdentifier | None = None,
        others: Iterable[x509.GeneralName] = (),
    ) -> Credentials:
        """
        Issue a certificate.

        :param key: None makes one.
        :param days: from when to when it is valid, counted from now.
        :param names: DNS names that it is for besides.
        :param purpose: what it is for only; None for everything.
        :param others: alternative names of other kinds.
        """
        key = newKey() if key is None else key
        return Credentials(key, _issue(commonName, key, self, days, (*map(x509.DNSName, names), *others), purpose))

    def revoking(self, *revoked: Credentials, days: tuple[int, int] = (-1, 1)) -> bytes:
        """Return a revocation list in PEM."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
        now = datetime.now(UTC)
        builder = builder.last_update(now + days[0] * _DAY).next_update(now + days[1] * _DAY)
        for each in revoked:
            number = each.certificate.serial_number
            entry = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now - _DAY).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self.key, SHA256()).public_bytes(Encoding.PEM)


def _issue(
    commonName: str,
    key: Any,
    signer: Credentials,
    days: tuple[int, int] = (-1, 1),
    alternatives: Iterable[x509.GeneralName] = (),
    purpose: x509.ObjectIdentifier | None = None,
    authority: bool = False,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(commonName))
        .issuer_name(signer.certificate.subject if signer.certificate else _name(commonName))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * _DAY)
        .not_valid_after(now + days[1] * _DAY)
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
    )
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    if purpose is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    return builder.sign(signer.key, SHA256())
