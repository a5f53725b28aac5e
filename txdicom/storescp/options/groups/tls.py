"""Options about TLS: who we are, whom we trust, what is negotiated."""

from __future__ import annotations

from typing import Any

from twisted.python import usage

from txdicom.storescp.options.kinds import Directory, File, Text
from txdicom.storescp.options.option import Group, Option
from txdicom.tls.profiles import DEFAULT_PROFILE, PROFILES, suitesOf
from txdicom.tls.settings import PeerCertificate

__all__ = ["TLS"]

_NEEDS = ("enable-tls",)


def _check(options: dict[str, Any]) -> None:
    if options["enable-tls"] is None:
        return
    try:
        suitesOf(options["tls-profile"], tuple(options["ciphers"]))
    except ValueError as error:
        raise usage.UsageError(str(error)) from error
    for description in options["endpoints"]:
        if "ssl" in description.split(":"):
            raise usage.UsageError(f"endpoint {description!r} has TLS of its own: leave --enable-tls out")


def _listCiphers(options: usage.Options) -> str:
    try:
        from txdicom.tls.context import suitesAsText
    except ImportError as error:
        raise usage.UsageError("--list-ciphers needs pyOpenSSL: install txdicom[tls]") from error
    return suitesAsText()


def _profile(name: str, short: str, manual: str) -> Option:
    return Option(
        name=f"profile-{name}",
        short=(short,),
        key="tls-profile",
        constant=name,
        default=name if name == DEFAULT_PROFILE else None,
        needs=_NEEDS,
        help=f"Negotiate by the {PROFILES[name].title}.",
        manual=manual,
    )


_IDENTITY = (
    Option(
        name="disable-tls",
        short=("-tls",),
        excludes=("enable-tls",),
        help="Do without TLS, as by default.",
    ),
    Option(
        name="enable-tls",
        short=("+tls",),
        takes=(File("key"), File("certificate")),
        help="Speak TLS only, with this private key and certificate.",
        manual="""
Speak TLS, and only TLS, wherever the receiver listens, with this private key and this certificate. In PEM, certificates
of authorities may stand behind ours, and are sent with it. Keys and certificates may also be in DER. They are read
before the receiver gives its privileges up. Needs pyOpenSSL, which comes with `txdicom[tls]`.
""",
    ),
    Option(
        name="use-passwd",
        short=("+pw",),
        takes=(Text("password"),),
        needs=_NEEDS,
        excludes=("passwd-file", "null-passwd"),
        help="The password of the private key; --passwd-file keeps it from other users.",
        manual="""
The password that the private key is encrypted with. Other users of the computer can see it in the list of processes:
:option:`--passwd-file` is better.
""",
    ),
    Option(
        name="passwd-file",
        takes=(File(),),
        needs=_NEEDS,
        excludes=("null-passwd",),
        help="Take the password of the private key from the first line of a file.",
    ),
    Option(
        name="null-passwd",
        short=("-pw",),
        needs=_NEEDS,
        help="The password of the private key is empty.",
    ),
)

_PEERS = (
    Option(
        name="require-peer-cert",
        short=("-rc",),
        key="peer-cert",
        constant=PeerCertificate.REQUIRE,
        default=PeerCertificate.REQUIRE,
        needs=_NEEDS,
        help="Let nobody in without a good certificate, as by default.",
        manual="""
Let nobody in without a certificate, nor with one that is not good: that has expired, is not meant for a client, or is
not signed by one of :option:`--add-cert-file` and :option:`--add-cert-dir`, directly or by way of authorities that the
peer sends along. This is the default. Needs one of the two.
""",
    ),
    Option(
        name="verify-peer-cert",
        short=("-vc",),
        key="peer-cert",
        constant=PeerCertificate.VERIFY,
        needs=_NEEDS,
        help="Let in who has no certificate, or a good one.",
    ),
    Option(
        name="ignore-peer-cert",
        short=("-ic",),
        key="peer-cert",
        constant=PeerCertificate.IGNORE,
        needs=_NEEDS,
        help="Do not ask for certificates.",
        manual="Do not ask peers for certificates: what is sent is encrypted, and anybody may send it.",
    ),
    Option(
        name="add-cert-file",
        short=("+cf",),
        key="cert-files",
        repeatable=True,
        takes=(File(),),
        needs=_NEEDS,
        help="Trust the certificates in this file, and whom they have signed; may be repeated.",
        manual="""
Trust the certificates in this file, and those that they have signed. May be repeated. A certificate that is signed by
itself may be a peer's own, which then is the only one that it lets in.
""",
    ),
    Option(
        name="add-cert-dir",
        short=("+cd",),
        key="cert-dirs",
        repeatable=True,
        takes=(Directory(),),
        needs=_NEEDS,
        help="Likewise, all certificates in this directory; may be repeated.",
        manual="""
Trust likewise the certificates in all files of this directory, whatever they are called. May be repeated. What else is
in it does not matter. It is read once, at the start, and need not be prepared with `openssl rehash`.
""",
    ),
    Option(
        name="add-crl-file",
        short=("+crl",),
        key="crl-files",
        repeatable=True,
        takes=(File(),),
        needs=_NEEDS,
        help="Let nobody in whose certificate is in this revocation list; may be repeated.",
        manual="""
Let nobody in whose certificate is in this revocation list, nor anybody whose authority has no list here, or an old one.
May be repeated; a file in PEM may have several lists.
""",
    ),
    Option(
        name="enable-crl-vfy",
        short=("+crv",),
        needs=("add-crl-file",),
        help="Look peers' certificates up in the revocation lists, as --add-crl-file does by itself.",
    ),
    Option(
        name="enable-crl-all",
        short=("+cra",),
        needs=("add-crl-file",),
        help="Look the certificates of their authorities up as well.",
        manual="""
Look the certificates of peers' authorities up in the revocation lists as well. There has to be a list of each of them.
""",
    ),
    Option(
        name="require-cert-aet",
        perTitle=True,
        needs=_NEEDS,
        excludes=("ignore-peer-cert",),
        help="Refuse peers whose calling AE title is not in their certificate.",
        manual="""
Refuse associations of peers whose calling AE title is not in their certificate (A-ASSOCIATE-RJ of result 1, source 1,
reason 3): it has to be the common name of the subject or one of the DNS names among the subject's alternative names,
with the same capital letters. So no peer can pass for another one, if the authorities issue by AE titles.
""",
    ),
)

_NEGOTIATION = (
    _profile(
        "8996",
        "+pg",
        """
Negotiate by the profile of PS3.15 B.12: TLS 1.3 and 1.2, the latter with ECDHE and AES in GCM only. This is the
default.
""",
    ),
    _profile(
        "8996-mod",
        "+pm",
        """
Negotiate by the profile of PS3.15 B.13: likewise, with ChaCha20-Poly1305 and AES in CCM besides. What OpenSSL does not
do of it, or holds to be too weak, is left out: Camellia in GCM, and CCM with the tag of 8 bytes.
""",
    ),
    _profile(
        "bcp195-nd",
        "+py",
        """
Negotiate by the profile of PS3.15 B.10, which has been retired: as :option:`--profile-8996`, with DHE besides.
""",
    ),
    _profile(
        "bcp195",
        "+px",
        """
Negotiate by the profile of PS3.15 B.9, which has been retired, for old peers: as :option:`--profile-bcp195-nd`, with
`TLS_RSA_WITH_AES_128_CBC_SHA` besides. TLS 1.0 and 1.1, which it allowed, are nevertheless not spoken (RFC 8996).
""",
    ),
    _profile(
        "bcp195-ex",
        "+pz",
        """
Negotiate by the profile of PS3.15 B.11, which has been retired: as :option:`--profile-bcp195-nd`, but TLS 1.2 only, and
nothing by :option:`--cipher`.
""",
    ),
    Option(
        name="cipher",
        short=("+cs",),
        key="ciphers",
        repeatable=True,
        takes=(Text("suite"),),
        needs=_NEEDS,
        help="Allow this cipher suite of TLS 1.2 besides those of the profile; may be repeated.",
        manual="""
Allow this cipher suite of TLS 1.2 besides those of the profile, if that may have others. May be repeated. It has its
name of the standard, such as `TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256`.
""",
    ),
    Option(
        name="list-ciphers",
        short=("+cc",),
        answer=_listCiphers,
        help="Print the cipher suites that --cipher takes and exit.",
    ),
    Option(
        name="dhparam",
        short=("+dp",),
        takes=(File(),),
        needs=_NEEDS,
        help="Use the Diffie-Hellman parameters in this file, in PEM, for suites with DHE.",
        manual="""
Use the Diffie-Hellman parameters in this file, in PEM and of 2048 bits at least, for cipher suites with DHE. Without it
they are those of RFC 7919 (ffdhe2048), which are good, so this is for those who have to.
""",
    ),
)

TLS = Group(
    "TLS",
    (*_IDENTITY, *_PEERS, *_NEGOTIATION),
    _check,
    introduction="""
Off, unless :option:`--enable-tls` is given. How to make certificates, and what to do when a peer
is not let in, is told in :doc:`tls`.
""",
)
