"""
What those who come from DCMTK's storescp have to know: `DCMTK_OPTIONS`, `DEVIATIONS`, and the tables made of them.

`tests/interop/test_sidebyside.py` runs both programs. It knows of no differences but these, and has to see each.
"""

from __future__ import annotations

from dataclasses import dataclass

from txdicom.storescp.options.groups.dcmtk import REFUSED
from txdicom.storescp.options.table import OPTIONS

__all__ = ["DCMTK_OPTIONS", "DEVIATIONS", "TABLES", "Deviation", "deviations", "migration"]

#: The header, and the rows below it.
_Table = tuple[list[str], list[list[str]]]

#: The options of DCMTK's storescp, in the order of its usage text; the last ones came and went with its versions.
_NAMES = """
help version arguments quiet verbose debug log-level log-config verbose-pc single-process fork config-file
prefer-uncompr prefer-little prefer-big prefer-lossless prefer-jpeg8 prefer-jpeg12 prefer-j2k-lossless
prefer-j2k-lossy prefer-jls-lossless prefer-jls-lossy prefer-mpeg2 prefer-mpeg2-high prefer-mpeg4 prefer-mpeg4-bd
prefer-mpeg4-2-2d prefer-mpeg4-2-3d prefer-mpeg4-2-st prefer-hevc prefer-hevc10 prefer-rle prefer-deflated implicit
accept-all access-full access-control inetd socket-timeout acse-timeout dimse-timeout aetitle max-pdu
disable-host-lookup refuse reject ignore sleep-after sleep-during abort-after abort-during promiscuous uid-padding
disable-tls enable-tls std-passwd use-passwd null-passwd pem-keys der-keys add-cert-file add-cert-dir add-crl-file
enable-crl-vfy enable-crl-all profile-bcp195-nd profile-bcp195 profile-bcp195-ex profile-aes profile-null
list-ciphers cipher dhparam seed write-seed write-seed-file require-peer-cert verify-peer-cert ignore-peer-cert
output-directory normal bit-preserving write-file write-dataset write-xfer-same write-xfer-little write-xfer-big
write-xfer-implicit write-xfer-deflated enable-new-vr disable-new-vr group-length-recalc group-length-create
group-length-remove length-explicit length-undefined padding-off padding-create retain-un convert-un
compression-level sort-conc-studies sort-on-study-uid sort-on-patientname default-filenames unique-filenames
timenames filename-extension exec-on-reception exec-on-eostudy rename-on-eostudy eostudy-timeout exec-sync
profile-basic profile-8996 profile-8996-mod
"""
DCMTK_OPTIONS = tuple(_NAMES.split())
#: The refused ones for which there is nothing else.
_NOTHING = frozenset({"profile-basic", "profile-aes", "profile-null"})


@dataclass(frozen=True, slots=True)
class Deviation:
    """
    Something that is different here from DCMTK's storescp.

    :ivar options: the options that it is about; none if it is always so.
    :ivar differs: what ours does, and what DCMTK's does.
    :ivar why: why; empty where that is told.
    :ivar better: whether nobody can miss what DCMTK's does.
    """

    options: tuple[str, ...]
    differs: str
    why: str
    better: bool = True


#: By the names under which `tests/interop/test_sidebyside.py` knows them.
DEVIATIONS = {
    "classes": Deviation(
        (),
        "Without options the 17 storage SOP classes of the original program are accepted, and not nearly all that there"
        " are.",
        "The original's manual says so; --all-storage-classes accepts them.",
        better=False,
    ),
    "accept-all": Deviation(
        ("accept-all",),
        "Of the transfer syntaxes that are proposed together the sender's first lossless one is taken. DCMTK takes the"
        " first in an order of its own, which begins with lossy JPEG 2000.",
        "What a sender offers whole should not be taken reduced. Those that DCMTK does not know are taken as well.",
    ),
    "promiscuous": Deviation(
        ("promiscuous",),
        "Hanging protocols, colour palettes and implant templates are accepted, which DCMTK knows and does not accept."
        " UIDs of the standard that are not among those of storage are not accepted.",
        "They are stored like everything else.",
    ),
    "bits": Deviation(
        ("normal", "uid-padding", "write-dataset"),
        "The data set is kept byte for byte as it came, for instance with the spaces behind a UID. DCMTK does so only"
        " with --bit-preserving, and otherwise writes it anew.",
        "What is not asked for is not changed.",
    ),
    "checked-bits": Deviation(
        ("bit-preserving",),
        "The UIDs of the data set are compared with those of the request (0xA900) here as well. DCMTK does not look.",
        "The head can be read without changing anything.",
    ),
    "not-kept": Deviation(
        (),
        "An instance that is answered with a failure is not kept. DCMTK leaves the file of one whose UIDs are wrong.",
        "The sender will send it again, and nobody looks for it under this name.",
    ),
    "malformed": Deviation(
        (),
        "An instance whose head cannot be understood is answered with 0xC000. DCMTK aborts the association.",
        "The instances behind it may be good.",
    ),
    "empty": Deviation((), "An empty data set is answered with 0xC000, and with 0xA700 by DCMTK.", "The disk is well."),
    "blank-titles": Deviation(
        (),
        "AE titles of nothing but spaces are accepted. DCMTK does not answer such a request.",
        "There are machines that send them.",
    ),
    "at-once": Deviation(
        ("single-process",),
        "All associations are served at once. With DCMTK the second waits for the end of the first, or of its silence.",
        "There is nothing to be waited for. It is the same with --sleep-after and --sleep-during.",
    ),
    "idle": Deviation(
        ("dimse-timeout",),
        "An association is aborted on which no message begins for so long. DCMTK goes on waiting.",
        "That is what it is called.",
    ),
    "cut": Deviation(
        ("socket-timeout",),
        "When the rest of a message does not come the sender gets an A-ABORT. DCMTK sends one only within a PDU, and"
        " otherwise just closes the connection.",
        "The sender learns that it was on purpose.",
    ),
    "long-pdu": Deviation(
        ("max-pdu",), "Up to 16 MiB, or 0 for no limit. DCMTK takes up to 131072.", "Data is passed on as it comes."
    ),
    "long-title": Deviation(
        ("aetitle",),
        "A title of more than 16 characters is refused. DCMTK takes it.",
        "No peer could send it.",
        better=False,
    ),
    "sorted-bits": Deviation(
        ("bit-preserving", "sort-conc-studies", "sort-on-study-uid", "sort-on-patientname"),
        "Sorting goes together with --bit-preserving, which DCMTK refuses.",
        "What it needs is read while the data set streams past.",
    ),
    "one-sorting": Deviation(
        ("sort-conc-studies", "sort-on-study-uid", "sort-on-patientname"),
        "Two ways to sort are refused. With DCMTK the last one counts.",
        "They would name different directories.",
        better=False,
    ),
    "studies": Deviation(
        ("sort-conc-studies", "sort-on-patientname"),
        "A study keeps its directory when another one comes between, or on another association. With DCMTK it gets a"
        " new one each time.",
        "A study is not a sequence of messages.",
    ),
    "characters": Deviation(
        ("sort-on-patientname",),
        "The name is read in its Specific Character Set. DCMTK knows no UTF-8 there.",
        "Names should be legible.",
    ),
    "compressed": Deviation(
        ("write-xfer-little", "write-xfer-big", "write-xfer-implicit", "write-xfer-deflated"),
        "May be given with options that prefer compressed transfer syntaxes; what comes in these stays so. DCMTK"
        " refuses to start.",
        "Only the uncompressed ones are converted.",
    ),
    "no-shell": Deviation(
        ("exec-on-reception", "exec-on-eostudy"),
        "The command is run without a shell, and refused if it has what only a shell would act on: put that into a"
        " script. With DCMTK a shell reads it, and whatever peers call themselves.",
        "What a peer sends must not be run.",
        better=False,
    ),
    "addresses": Deviation(
        ("exec-on-reception", "exec-on-eostudy"),
        "#r is always the address of the peer, and #p absolute. With DCMTK #r is the host name, unless"
        " --disable-host-lookup is given, and #p as --output-directory has it.",
        "Asking for a name would hold up everybody.",
        better=False,
    ),
    "exec-failed": Deviation(
        ("exec-sync",),
        "If the command fails, the instance is withdrawn and answered with 0xA700. DCMTK does not look.",
        "Who wants the sender to wait wants to have a say.",
    ),
    "unsorted-studies": Deviation(
        ("exec-on-eostudy", "rename-on-eostudy", "eostudy-timeout"),
        "They need no option that sorts, which DCMTK asks for.",
        "Studies are known by their UIDs.",
    ),
    "studies-end": Deviation(
        ("exec-on-eostudy", "rename-on-eostudy", "eostudy-timeout"),
        "A study ends when nothing of it has come for --eostudy-timeout seconds, 60 by default. With DCMTK it also ends"
        " when an instance of another one comes; without a timeout only then. Files that are renamed never replace"
        " others.",
        "Several senders, or one that sends two studies in turn, must not end each other's.",
    ),
    "dhe": Deviation(
        ("enable-tls",),
        "Without another one the profile is --profile-8996, which has no DHE. With DCMTK 3.6.7 it is"
        " --profile-bcp195-nd.",
        "PS3.15 has retired the older profiles.",
        better=False,
    ),
    "old-tls": Deviation(
        ("profile-bcp195",),
        "TLS 1.0 and 1.1 are not spoken.",
        "They are broken, and forbidden by RFC 8996.",
        better=False,
    ),
    "certificate-directory": Deviation(
        ("add-cert-dir",),
        "All certificates in the directory are read. DCMTK finds only those whose files are called by their hashes.",
        "It need not be prepared by openssl rehash.",
    ),
    "no-arguments": Deviation(
        ("help", "version"),
        "They print our options and version. Without any arguments the exit status is 1, as the original's manual has"
        " it, and 0 with DCMTK.",
        "",
        better=False,
    ),
    "log": Deviation(
        ("verbose", "debug"),
        "The log has its own lines, and goes where twistd says.",
        "The page about storescp lists them all.",
        better=False,
    ),
}


def migration() -> _Table:
    """List the options of DCMTK's storescp: what is here the same, better, other, there instead, or not."""
    refused = {option.name: option for option in REFUSED}
    rows = []
    for name in DCMTK_OPTIONS:
        option = OPTIONS.get(name) or refused[name]
        spelled = ", ".join([*option.short, f"--{name}"])
        if name in refused:
            rows.append([spelled, "not" if name in _NOTHING else "instead", f"{_sentence(refused[name].instead)}."])
        else:
            found = [each for each in DEVIATIONS.values() if name in each.options]
            verdict = "same" if not found else "better" if all(each.better for each in found) else "other"
            rows.append([spelled, verdict, " ".join(each.differs for each in found)])
    return ["DCMTK", "Here", "What is different, or what to do"], rows


def deviations() -> _Table:
    """List what differs without any option, and why all differences are there."""
    return ["Options", "What is different", "Why"], [
        [", ".join(f"--{name}" for name in each.options) or "(always)", each.differs, each.why]
        for each in DEVIATIONS.values()
    ]


#: The names by which the directive `code-table` knows them.
TABLES = {"deviations": deviations, "migration": migration}


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
