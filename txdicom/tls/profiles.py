"""
The secure transport profiles of PS3.15 Annex B: which versions of TLS and which cipher suites may be negotiated.

Suites have the names of the standards here, as users write them; OpenSSL's names are in `SUITES`. What the profiles
list and OpenSSL does not do, or does not at the security level we ask of it, is left out: TLS 1.0 and 1.1, 3DES,
Camellia in GCM, and CCM with the short tag.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT_PROFILE", "PROFILES", "SUITES", "Profile", "suitesOf"]

#: Cipher suites of TLS 1.2: the name of the IANA registry -> OpenSSL's name. The first is the one we like best. Those
#: of TLS 1.3 are not chosen among, as all of them are good.
SUITES = {
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384": "DHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "DHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CCM": "ECDHE-ECDSA-AES256-CCM",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256": "DHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CCM": "ECDHE-ECDSA-AES128-CCM",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384": "ECDHE-ECDSA-AES256-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384": "ECDHE-RSA-AES256-SHA384",
    "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256": "DHE-RSA-AES256-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256": "ECDHE-ECDSA-AES128-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256": "ECDHE-RSA-AES128-SHA256",
    "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256": "DHE-RSA-AES128-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_DHE_RSA_WITH_AES_256_CBC_SHA": "DHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_DHE_RSA_WITH_AES_128_CBC_SHA": "DHE-RSA-AES128-SHA",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_CBC_SHA256": "AES256-SHA256",
    "TLS_RSA_WITH_AES_128_CBC_SHA256": "AES128-SHA256",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
}

_RECOMMENDED = frozenset(
    f"TLS_ECDHE_{signature}_WITH_AES_{cipher}"
    for signature in ("ECDSA", "RSA")
    for cipher in ("128_GCM_SHA256", "256_GCM_SHA384")
)
_WITH_DHE = _RECOMMENDED | {"TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384"}


@dataclass(frozen=True, slots=True)
class Profile:
    """
    One profile.

    :ivar title: what PS3.15 calls it.
    :ivar suites: the suites of TLS 1.2 that it has.
    :ivar version13: whether TLS 1.3 may be negotiated; TLS 1.2 always may.
    :ivar extensible: whether further suites may be added.
    :ivar sha1: whether these may have SHA-1 as their message authentication code.
    """

    title: str
    suites: frozenset[str]
    version13: bool = True
    extensible: bool = True
    sha1: bool = True


#: The profiles by the names that their options have.
PROFILES = {
    "8996": Profile("BCP 195 RFC 8996, 9325 TLS Profile (B.12)", _RECOMMENDED, sha1=False),
    "8996-mod": Profile(
        "Modified BCP 195 RFC 8996, 9325 TLS Profile (B.13)",
        _RECOMMENDED
        | {
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
            "TLS_ECDHE_ECDSA_WITH_AES_256_CCM",
            "TLS_ECDHE_ECDSA_WITH_AES_128_CCM",
        },
        extensible=False,
        sha1=False,
    ),
    "bcp195-nd": Profile("Non-Downgrading BCP 195 TLS Profile (B.10)", _WITH_DHE),
    "bcp195": Profile("BCP 195 TLS Profile (B.9)", _WITH_DHE | {"TLS_RSA_WITH_AES_128_CBC_SHA"}),
    "bcp195-ex": Profile("Extended BCP 195 TLS Profile (B.11)", _WITH_DHE, version13=False, extensible=False),
}
DEFAULT_PROFILE = "8996"


def suitesOf(profile: str, added: tuple[str, ...] = ()) -> tuple[str, ...]:
    """
    Return the suites of TLS 1.2 that may be negotiated, the best ones first.

    :param profile: a key of `PROFILES`.
    :param added: suites to take besides those of the profile.
    :raises ValueError: one of them is not known, or not with this profile.
    """
    rules = PROFILES[profile]
    for suite in added:
        if suite not in SUITES:
            raise ValueError(f"--cipher {suite!r} is none of the cipher suites that --list-ciphers lists")
        if not rules.extensible:
            raise ValueError(f"--profile-{profile} allows no other cipher suites, so no --cipher {suite}")
        if not rules.sha1 and suite.endswith("_SHA"):
            raise ValueError(f"--profile-{profile} allows no cipher suites with SHA-1, so no --cipher {suite}")
    return tuple(suite for suite in SUITES if suite in rules.suites or suite in added)
