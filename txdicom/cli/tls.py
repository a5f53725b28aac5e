"""The options of TLS, as they are called for the receiver: `addTLSOptions`, and `secured` which acts on them."""

from __future__ import annotations

import sys
from argparse import Action, ArgumentParser, Namespace
from typing import Any, NoReturn

from twisted.internet.interfaces import IStreamClientEndpoint

from txdicom.tls.profiles import DEFAULT_PROFILE, PROFILES, suitesOf
from txdicom.tls.settings import PeerCertificate, RevocationCheck, TLSError, TLSSettings, readPassword

__all__ = ["addTLSOptions", "secured"]


def addTLSOptions(parser: ArgumentParser) -> None:
    """Add the options to a command."""
    group = parser.add_argument_group("TLS", "off, unless --tls or --enable-tls is given")
    group.add_argument("--tls", action="store_true", help="speak TLS, without a certificate of our own")
    group.add_argument(
        "--enable-tls", nargs=2, metavar=("KEY", "CERT"), help="speak TLS, with this private key and certificate"
    )
    group.add_argument("--passwd-file", metavar="FILE", help="the password of the private key is its first line")
    group.add_argument(
        "--add-cert-file", action="append", default=[], metavar="FILE", help="trust these certificates; may be repeated"
    )
    group.add_argument(
        "--add-cert-dir", action="append", default=[], metavar="DIR", help="trust all in this folder; may be repeated"
    )
    group.add_argument("--server-name", metavar="NAME", help="whom the peer's certificate has to be for (HOST)")
    group.add_argument("--ignore-peer-cert", action="store_true", help="whatever the peer's certificate is, go on")
    group.add_argument(
        "--add-crl-file", action="append", default=[], metavar="FILE", help="heed this revocation list; may be repeated"
    )
    for name, profile in PROFILES.items():
        group.add_argument(
            f"--profile-{name}",
            dest="profile",
            action="store_const",
            const=name,
            help=f"by the {profile.title}" + (", as by default" if name == DEFAULT_PROFILE else ""),
        )
    group.add_argument(
        "--cipher",
        action="append",
        default=[],
        metavar="SUITE",
        help="allow this suite of TLS 1.2 too; may be repeated",
    )
    group.add_argument(
        "--list-ciphers", action=_ListCiphers, nargs=0, help="show the suites that --cipher takes and exit"
    )


class _ListCiphers(Action):
    """Shows the cipher suites and exits, whatever else is missing, as ``--help`` does."""

    def __call__(self, parser: ArgumentParser, *_: object) -> NoReturn:
        try:
            from txdicom.tls.context import suitesAsText
        except ImportError:
            parser.error("--list-ciphers needs pyOpenSSL: install txdicom[tls]")
        sys.stdout.write(suitesAsText() + "\n")
        parser.exit()


def secured(endpoint: IStreamClientEndpoint, options: Namespace, clock: Any) -> IStreamClientEndpoint:
    """
    Put TLS around an endpoint, if it is on.

    :raises TLSError: it cannot be had like this.
    """
    if not options.tls and options.enable_tls is None:
        if any(getattr(options, name) for name in _NEEDING):
            raise TLSError("options of TLS mean nothing without --tls or --enable-tls")
        return endpoint
    try:
        from txdicom.tls.requesting import TLSEndpoint
    except ImportError as error:
        raise TLSError("TLS needs pyOpenSSL: install txdicom[tls]") from error
    return TLSEndpoint(endpoint, _settings(options), options.server_name or options.host, clock)


#: What says nothing without TLS.
_NEEDING = (
    "passwd_file",
    "add_cert_file",
    "add_cert_dir",
    "server_name",
    "ignore_peer_cert",
    "add_crl_file",
    "profile",
    "cipher",
)


def _settings(options: Namespace) -> TLSSettings:
    key, certificate = options.enable_tls or (None, None)
    profile = options.profile or DEFAULT_PROFILE
    try:
        suitesOf(profile, tuple(options.cipher))
    except ValueError as error:
        raise TLSError(str(error)) from error
    return TLSSettings(
        key=key,
        certificate=certificate,
        password=None if options.passwd_file is None else readPassword(options.passwd_file),
        peerCertificate=PeerCertificate.IGNORE if options.ignore_peer_cert else PeerCertificate.REQUIRE,
        authorities=tuple(options.add_cert_file),
        authorityDirectories=tuple(options.add_cert_dir),
        revocationLists=tuple(options.add_crl_file),
        revocationCheck=RevocationCheck.LEAF if options.add_crl_file else RevocationCheck.NONE,
        profile=profile,
        suites=tuple(options.cipher),
    )
