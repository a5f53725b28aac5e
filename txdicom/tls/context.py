"""What OpenSSL is told: `makeContext` reads the files that the settings name, and builds a context from them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509StoreFlags

from txdicom.tls.faults import MISMATCH, reasonOf
from txdicom.tls.naming import isFor
from txdicom.tls.profiles import PROFILES, SUITES, suitesOf
from txdicom.tls.settings import PeerCertificate, RevocationCheck, TLSError, TLSSettings

__all__ = ["availableSuites", "makeContext", "makeRequestorContext", "suitesAsText"]

#: The most bytes of a file that is read: a bundle of all the world's authorities has a quarter of a MiB.
MAX_FILE_SIZE = 1 << 24
_PEM = b"-----BEGIN "
#: The group of RFC 7919 A.1: left to itself OpenSSL has DHE only for peers that propose groups, and old ones do not.
_FFDHE2048 = str(Path(__file__).with_name("ffdhe2048.pem"))
#: Level 2 of OpenSSL's: RSA and DH of 2048 bits at least, curves of 224, signatures with better than SHA-1. That is
#: what the profiles ask of keys (PS3.15 B.10 to B.13), and it does not depend on how OpenSSL was built.
_SECURITY_LEVEL = "@SECLEVEL=2"
_OPTIONS = (
    SSL.OP_CIPHER_SERVER_PREFERENCE
    # What is resumed is not verified again: a certificate that was revoked meanwhile would still be good.
    | SSL.OP_NO_TICKET
    | SSL.OP_NO_RENEGOTIATION
    | SSL.OP_NO_COMPRESSION
    | SSL.OP_SINGLE_DH_USE
)


def availableSuites() -> list[str]:
    """Return the cipher suites of TLS 1.2 that may be asked for, as far as OpenSSL has them, the best ones first."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_cipher_list(":".join((*SUITES.values(), _SECURITY_LEVEL)).encode("ascii"))
    offered = set(SSL.Connection(context, None).get_cipher_list())
    return [suite for suite, name in SUITES.items() if name in offered]


def suitesAsText() -> str:
    """Return what ``--list-ciphers`` prints, of whatever program: `availableSuites`, a line each."""
    return "\n".join(["Cipher suites of TLS 1.2:", *(f"  {suite}" for suite in availableSuites())])


def makeContext(settings: TLSSettings) -> SSL.Context:
    """
    Read all files, and build a context for the acceptor's side. It verifies by OpenSSL's own rules.

    The application data of its connections has a method `certificateIsBad` that is told of each fault of a peer's
    certificate, and of those of its authorities: a `cryptography.x509.Certificate`, and the number of OpenSSL's.

    :raises TLSError: a file cannot be used, or nobody could ever connect.
    """
    context = _negotiating(SSL.TLS_SERVER_METHOD, settings)
    if settings.key is None or settings.certificate is None:
        raise TLSError("an acceptor needs a private key and a certificate")
    _useIdentity(context, settings.key, settings.certificate, settings.password)
    _useDHParameters(context, _FFDHE2048 if settings.dhParameters is None else settings.dhParameters)
    if settings.peerCertificate is not PeerCertificate.IGNORE:
        _trust(context, settings)
        absent = SSL.VERIFY_FAIL_IF_NO_PEER_CERT if settings.peerCertificate is PeerCertificate.REQUIRE else 0
        context.set_verify(SSL.VERIFY_PEER | absent, _verified)
    return context


def makeRequestorContext(settings: TLSSettings, name: str) -> SSL.Context:
    """
    Likewise for the requestor's side, where we need not have a certificate.

    :param name: what the peer's certificate has to be for, see `isFor`.
    """
    context = _negotiating(SSL.TLS_CLIENT_METHOD, settings)
    if settings.key is not None and settings.certificate is not None:
        _useIdentity(context, settings.key, settings.certificate, settings.password)

    def verified(connection: SSL.Connection, certificate: X509, number: int, depth: int, good: int) -> bool:
        if good and depth == 0 and not isFor(certificate.to_cryptography(), name):
            number, good = MISMATCH, 0
        return _verified(connection, certificate, number, depth, good)

    if settings.peerCertificate is not PeerCertificate.IGNORE:
        _trust(context, settings)
        context.set_verify(SSL.VERIFY_PEER, verified)
    return context


def _negotiating(method: int, settings: TLSSettings) -> SSL.Context:
    context = SSL.Context(method)
    context.set_options(_OPTIONS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    if not PROFILES[settings.profile].version13:
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
    names = [SUITES[suite] for suite in suitesOf(settings.profile, settings.suites)]
    context.set_cipher_list(":".join((*names, _SECURITY_LEVEL)).encode("ascii"))
    return context


def _verified(connection: SSL.Connection, certificate: X509, number: int, depth: int, good: int) -> bool:
    """Take note of a fault; OpenSSL's own judgement stands."""
    if not good:
        connection.get_app_data().certificateIsBad(certificate.to_cryptography(), number)
    return bool(good)


def _useIdentity(context: SSL.Context, keyPath: str, certificatePath: str, password: bytes | None) -> None:
    certificate, *chain = _certificates(certificatePath)
    key = _privateKey(keyPath, password)
    try:
        context.use_certificate(certificate)
        for intermediate in chain:
            context.add_extra_chain_cert(intermediate)
    except SSL.Error as error:
        raise TLSError(f"certificate {certificatePath} cannot be used: {reasonOf(error)}") from error
    try:
        context.use_privatekey(key)
        context.check_privatekey()
    except (SSL.Error, TypeError) as error:
        raise TLSError(
            f"private key {keyPath} does not belong to certificate {certificatePath}: {reasonOf(error)}"
        ) from error


def _privateKey(path: str, password: bytes | None) -> Any:
    data = _read("private key", path)
    load: Any = load_pem_private_key if _PEM in data else load_der_private_key
    try:
        try:
            key = load(data, None)
        except TypeError as error:
            # It is encrypted. One that is not needs no password, though there may be one.
            if password is None:
                raise TLSError(
                    f"private key {path} is encrypted, and nobody can be asked for its password: give it by"
                    " --passwd-file"
                ) from error
            key = load(data, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        why = "the password is wrong, or it is no private key" if password is not None else "it is no private key"
        raise TLSError(f"private key {path} cannot be used: {why}") from error
    return key


def _useDHParameters(context: SSL.Context, path: str) -> None:
    if _PEM not in _read("file of Diffie-Hellman parameters", path):
        raise TLSError(f"file of Diffie-Hellman parameters {path} is not in PEM")
    try:
        context.load_tmp_dh(path)
    except SSL.Error as error:
        raise TLSError(f"file of Diffie-Hellman parameters {path} cannot be used: {reasonOf(error)}") from error


def _trust(context: SSL.Context, settings: TLSSettings) -> None:
    authorities = [*_authorities(settings)]
    if not authorities:
        raise TLSError(
            "no peer's certificate can be verified without --add-cert-file or --add-cert-dir;"
            " with --ignore-peer-cert none has to be"
        )
    store: Any = context.get_cert_store()
    for authority in authorities:
        store.add_cert(X509.from_cryptography(authority))
    for path in settings.revocationLists:
        for revocationList in _revocationLists(path):
            store.add_crl(revocationList)
    if settings.revocationCheck is not RevocationCheck.NONE:
        if not settings.revocationLists:
            raise TLSError("revocation cannot be looked up without --add-crl-file")
        leaf, chain = X509StoreFlags.CRL_CHECK, X509StoreFlags.CRL_CHECK | X509StoreFlags.CRL_CHECK_ALL
        store.set_flags(chain if settings.revocationCheck is RevocationCheck.CHAIN else leaf)


def _authorities(settings: TLSSettings) -> Iterator[Any]:
    for path in settings.authorities:
        yield from _certificates(path)
    for directory in settings.authorityDirectories:
        try:
            files = sorted(path for path in Path(directory).iterdir() if path.is_file())
        except OSError as error:
            raise TLSError(f"directory of certificates {directory} cannot be read: {error.strerror}") from error
        found = [certificate for path in files for certificate in _certificatesIn(_read("file", str(path)))]
        if not found:
            raise TLSError(f"directory of certificates {directory} has no certificate in it")
        yield from found


def _certificates(path: str) -> list[Any]:
    found = _certificatesIn(_read("certificate", path))
    if not found:
        raise TLSError(f"certificate {path} cannot be used: it is no certificate")
    return found


def _certificatesIn(data: bytes) -> list[Any]:
    """Return the certificates in a file, which is none's if there is none in it."""
    try:
        if _PEM not in data:
            return [x509.load_der_x509_certificate(data)]
        return [*x509.load_pem_x509_certificates(data)]
    except ValueError:
        return []


def _revocationLists(path: str) -> list[Any]:
    data = _read("revocation list", path)
    try:
        if _PEM not in data:
            return [x509.load_der_x509_crl(data)]
        end = b"-----END X509 CRL-----"
        return [x509.load_pem_x509_crl(part + end) for part in data.split(end)[:-1]] or [x509.load_pem_x509_crl(data)]
    except ValueError as error:
        raise TLSError(f"revocation list {path} cannot be used: it is no revocation list") from error


def _read(what: str, path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_SIZE + 1)
    except OSError as error:
        raise TLSError(f"{what} {path} cannot be read: {error.strerror}") from error
    if len(data) > MAX_FILE_SIZE:
        raise TLSError(f"{what} {path} has more than {MAX_FILE_SIZE} bytes")
    return data
