"""What users say about TLS: `TLSSettings`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from txdicom.errors import DICOMError
from txdicom.tls.profiles import DEFAULT_PROFILE

__all__ = ["PeerCertificate", "RevocationCheck", "TLSError", "TLSSettings", "readPassword"]

#: In bytes; OpenSSL takes no longer one.
_LONGEST_PASSWORD = 1024


class TLSError(DICOMError):
    """TLS cannot be set up; the message says in one sentence what is wrong with which file or option."""


class PeerCertificate(Enum):
    """What is expected of a peer's certificate."""

    REQUIRE = "require"
    VERIFY = "verify"
    IGNORE = "ignore"


class RevocationCheck(Enum):
    """Which certificates are looked up in revocation lists: none, the peer's, or those of its authorities too."""

    NONE = "none"
    LEAF = "leaf"
    CHAIN = "chain"


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSSettings:
    """
    Who we are with TLS, and whom we trust. All files may be in PEM or DER; their content tells which.

    :ivar key: the file of our private key; a requestor may be without.
    :ivar certificate: the file of our certificate, in PEM with those of intermediate authorities behind it; likewise.
    :ivar password: what the key is encrypted with; None if it is not.
    :ivar authorities: files with certificates that peers' may be signed by.
    :ivar authorityDirectories: directories of such files; what else is in them does not matter.
    :ivar revocationLists: files of certificate revocation lists.
    :ivar profile: a key of `PROFILES`.
    :ivar peerCertificate: what is expected of a peer's; for requestors the first two are the same.
    :ivar suites: cipher suites to allow besides those of the profile.
    :ivar dhParameters: a file of Diffie-Hellman parameters in PEM; without it OpenSSL takes a group of its own.
    """

    key: str | None = None
    certificate: str | None = None
    password: bytes | None = None
    peerCertificate: PeerCertificate = PeerCertificate.REQUIRE
    authorities: tuple[str, ...] = ()
    authorityDirectories: tuple[str, ...] = ()
    revocationLists: tuple[str, ...] = ()
    revocationCheck: RevocationCheck = RevocationCheck.NONE
    profile: str = DEFAULT_PROFILE
    suites: tuple[str, ...] = ()
    dhParameters: str | None = None


def readPassword(path: str) -> bytes:
    """
    Read the password of a private key: the first line of a file.

    :raises TLSError: that cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return file.readline(_LONGEST_PASSWORD).rstrip(b"\r\n")
    except OSError as error:
        raise TLSError(f"password file {path} cannot be read: {error.strerror}") from error
