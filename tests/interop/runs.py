"""
What DCMTK's storescp and ours are compared in: options and a sender each, and what differs.

`tests.interop.test_sidebyside` does all of that. Each option that both have is in one of these runs, or in another
module of this package.
"""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.certificates import Authority, newKey
from tests.headvectors import EXPLICIT_LITTLE, PATIENT_NAME, element
from tests.interop.senders import echoscu, opensslClient, raw, secondAssociation, storeMessage, storescu
from tests.interop.sidebyside import Sender
from tests.receivers import CT, PROPOSED, dataSet, storeRQ
from txdicom.testing import associateRQ
from txdicom.upperlayer.items import UserInformation

#: A difference that is too long to be written here.
ANY: Any = object()

_LITTLE = "1.2.840.10008.1.2.1"
_IMPLICIT = "1.2.840.10008.1.2"
_HANGING_PROTOCOL = "1.2.840.10008.5.1.4.38.1"
_OTHER_CLASS = "1.2.840.10008.5.1.4.1.1.4"
_UNIDENTIFIED = associateRQ(PROPOSED, userInformation=UserInformation(maximumLength=16384))
_ASKING = associateRQ(PROPOSED, calledAETitle="A", callingAETitle="B").encode()


#: A profile as DCMTK has them.
PROFILES = r"""
[[TransferSyntaxes]]
[Mine]
TransferSyntax1 = LittleEndianImplicit
TransferSyntax2 = LittleEndianExplicit
[[PresentationContexts]]
[Some]
PresentationContext1 = CTImageStorage\Mine
PresentationContext2 = VerificationSOPClass\Mine
[[Profiles]]
[Default]
PresentationContexts = Some
"""


@dataclass(frozen=True)
class Run:
    """
    One comparison.

    :ivar options: those of both.
    :ivar deviation: which one is to be seen; empty for none.
    :ivar differs: the fields of `Outcome` that differ by it: of DCMTK's, and of ours.
    :ivar awaiting: see `compare`.
    :ivar racing: fields that depend on who is the first.
    """

    options: tuple[str, ...]
    sender: Sender
    deviation: str = ""
    differs: Mapping[str, Any] = field(default_factory=dict)
    awaiting: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    racing: tuple[str, ...] = ()


def associationRuns(profiles: Path) -> list[Run]:
    """Compare what becomes of associations and of single messages; there is a file with `PROFILES`."""
    images = storescu()
    return [
        Run((), images),
        Run((), storescu(required=False), "classes", {"contexts": ANY}),
        Run(("--aetitle", "OTHER"), echoscu("-aet", "ME", "-aec", "SOMEBODY ELSE")),
        Run(("-pdu", "131072"), images),
        Run(("--max-pdu", "4096"), images),
        Run(("--refuse",), echoscu()),
        Run((), raw(request=_UNIDENTIFIED)),
        Run(("--reject",), raw(request=_UNIDENTIFIED)),
        Run(("--reject",), echoscu()),
        Run((), raw(request=_ASKING.replace(b"10008.3.1.1.1", b"10008.3.1.1.2"))),
        Run((), raw(request=_ASKING[:6] + b"\0\2" + _ASKING[8:])),
        Run((), raw(request=associateRQ([("1.2.3.4", [_LITTLE]), (CT, ["1.2.3"])]))),
        Run(
            (),
            raw(request=_ASKING.replace(b"A".ljust(16), b" " * 16).replace(b"B".ljust(16), b" " * 16)),
            "blank-titles",
            {
                "result": (("waited in vain", 3), ("answered", 0)),
                "answers": ([], ["AC 16384", "RELEASE"]),
                "contexts": ANY,
            },
        ),
        Run(
            ("--single-process",),
            secondAssociation,
            "at-once",
            {"result": ("waited in vain", "answered")},
            # DCMTK's answers when nobody waits any more.
            racing=("answers", "contexts"),
        ),
        Run(
            ("--config-file", str(profiles), "Default"),
            raw(request=associateRQ([(CT, [_LITTLE, _IMPLICIT]), (_OTHER_CLASS, [_LITTLE]), ("1.2.3", [_LITTLE])])),
        ),
        Run(("--ignore",), images),
        Run(("-dhl", "-ac"), images),
        Run(
            ("-pm",),
            raw(storeMessage(sopInstance="1.2.3"), request=associateRQ([("1.2.3", [_LITTLE]), (CT, [_LITTLE])])),
        ),
        Run(("-pm",), raw(request=associateRQ([(_HANGING_PROTOCOL, [_LITTLE])])), "promiscuous", {"contexts": ANY}),
        Run(("+xa",), storescu("-xs", files=["JPEG-LL.dcm"])),
        Run(("+xa",), storescu("-xw", files=["JPEG2000.dcm"])),
        Run(
            ("+xa",),
            raw(request=associateRQ([(CT, [_LITTLE, "1.2.840.10008.1.2.4.91"])])),
            "accept-all",
            {"contexts": ([{1: (0, "1.2.840.10008.1.2.4.91")}], [{1: (0, _LITTLE)}])},
        ),
        Run(("+xs",), storescu("-xs", files=["JPEG-LL.dcm"])),
        Run(("--abort-after",), images),
        Run(("--abort-during",), images),
        Run(("--sleep-after", "1"), raw(storeMessage(), patience=10)),
        Run(("--sleep-during", "1"), raw(storeMessage(), patience=10)),
        Run(("-ta", "1"), raw(request=b"")),
        Run(
            ("-td", "1"),
            raw(release=False),
            "idle",
            {
                "result": (("waited in vain", 3), ("answered", 1)),
                "answers": (["AC 16384"], ["AC 16384", "ABORT 0/0/0"]),
            },
        ),
        Run(("-ts", "1"), raw(storeMessage()[:-10], release=False)),
        Run(
            ("-ts", "1"),
            raw(storeRQ(), release=False),
            "cut",
            {"result": (("cut off", 1), ("answered", 1)), "answers": (["AC 16384"], ["AC 16384", "ABORT 0/0/0"])},
        ),
    ]


def storageRuns() -> list[Run]:
    """Compare what is kept, and in which form."""
    images = storescu()
    twice = storescu(files=["CT_small.dcm", "CT_small.dcm"])
    spaces = raw(storeMessage(sopInstance="1.2.3", spaces=True))
    gone = {"files": ANY, "contents": ANY}
    return [
        Run(("-B",), images),
        Run(("+B",), images),
        Run(("+F", "+t=", "+u", "-p", "-uc"), images),
        Run(("-F",), images),
        Run(("+B", "-F"), spaces),
        Run((), twice),
        Run((), spaces, "bits", {"contents": ANY}),
        Run(("-up",), spaces, "bits", {"contents": ANY}),
        Run(("-up", "+B"), spaces),
        Run((), raw(storeMessage(dataSet(sopInstance="1.2.3"))), "not-kept", gone),
        Run((), raw(storeMessage(dataSet(sopClass=_OTHER_CLASS))), "not-kept", gone),
        Run((), raw(storeMessage(element(EXPLICIT_LITTLE, PATIENT_NAME, b"PN", b"Doe^Jane"))), "not-kept", gone),
        Run(
            ("+B",),
            raw(storeMessage(dataSet(sopInstance="1.2.3"))),
            "checked-bits",
            {"statuses": (["0000"], ["A900"]), **gone},
        ),
        Run(
            (),
            raw(storeMessage(b"\x08\0\x16\0XX\xff\xffabc"), storeMessage()),
            "malformed",
            {
                "answers": (["AC 16384", "ABORT 0/0/0"], ["AC 16384", "DATA", "DATA", "RELEASE"]),
                "statuses": ([], ["C000", "0000"]),
                **gone,
            },
        ),
        Run((), raw(storeMessage(b"")), "empty", {"statuses": (["A700"], ["C000"])}),
        Run(("+B", "+uf", "-fe", ".dcm"), images),
    ]


def hookRuns(script: Path) -> list[Run]:
    """Compare what commands are told; the script notes its arguments in the directory that is its first."""
    images = storescu("-aet", "MY SCANNER", "-aec", "THE ARCHIVE")
    both = {"note.*": (2, 2)}
    command = f"{script} #p #f #a #c #r"
    return [
        Run(("-dhl", "-xcr", command), images, awaiting=both),
        Run(("-dhl", "-xs", "-xcr", command), images, awaiting=both),
        Run(("-xcr", command), images, "addresses", {"contents": ANY}, both),
        Run(
            ("-xs", "-xcr", "/bin/false #f"),
            images,
            "exec-failed",
            {"statuses": (["0000"] * 2, ["A700"] * 2), "files": ANY, "contents": ANY},
        ),
        Run(
            ("-dhl", "-ss", "P", "-tos", "3", "-xcs", f"{script} #p #a #c #r"), images, awaiting={"P_*/note.*": (2, 2)}
        ),
        Run(
            ("-dhl", "-su", "P", "-tos", "3", "-xcs", f"{script} #p #a"),
            storescu(files=["CT_small.dcm", "MR_small.dcm", "CT_small.dcm"]),
            "studies-end",
            {"files": ANY, "contents": ANY},
            {"P_*/note.*": (3, 2)},
        ),
        Run(("-su", "P", "-tos", "3", "-rns"), images, awaiting={"P_*/CT000001": (1, 1), "P_*/MR000001": (1, 1)}),
        Run(
            ("-ss", "P"),
            storescu(files=["CT_small.dcm", "MR_small.dcm", "CT_small.dcm"]),
            "studies",
            {"files": ANY, "contents": ANY},
        ),
    ]


class Certificates:
    """Keys and certificates in files."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory.absolute()
        self.authority = Authority()
        _, self.trusted = self.authority.writeTo(self.directory, "authority")
        self.server = self._issue(self.authority, "localhost")
        self.encrypted = self.authority.issue("localhost", newKey(2048)).writeTo(self.directory, "encrypted", b"word")
        self.client = self._issue(self.authority, "CT1")
        self.stranger = self._issue(Authority("X"), "CT2")
        revoked = self.authority.issue("REVOKED", newKey(2048))
        self.revoked = revoked.writeTo(self.directory, "REVOKED")
        self.list = str(self.directory / "list")
        Path(self.list).write_bytes(self.authority.revoking(revoked))
        self.folder = self.directory / "folder"
        self.folder.mkdir()
        (self.folder / "authority.pem").write_bytes(Path(self.trusted).read_bytes())

    def _issue(self, authority: Authority, name: str) -> tuple[str, str]:
        return authority.issue(name, newKey(2048)).writeTo(self.directory, name)


def tlsRuns(files: Certificates) -> list[Run]:
    """Compare who is let in."""
    trusting = ("-cf".replace("-", "+"), files.trusted)
    tls = ("+tls", *files.server, *trusting)
    good = storescu("+tls", *files.client, *trusting)
    stranger = echoscu("+tls", *files.stranger, *trusting)
    nobody = echoscu("+tla", *trusting)
    revoked = echoscu("+tls", *files.revoked, *trusting)
    version = ("-key", files.client[0], "-cert", files.client[1])
    listed = (*tls, "+crl", files.list)
    return [
        *(Run((*tls, *more), sender) for more in ((), ("-vc",), ("-ic",)) for sender in (good, stranger, nobody)),
        Run(("-tls",), echoscu()),
        Run(tls, echoscu()),
        Run((*tls, "-rc", "-pem"), good),
        Run(("+tls", *files.encrypted, *trusting, "+pw", "word"), good),
        Run((*tls, "-pw"), good),
        *(Run((*listed, *more), sender) for more in ((), ("+crv",)) for sender in (good, revoked)),
        *(Run((*tls, f"--profile-{name}"), good) for name in ("bcp195-nd", "bcp195", "bcp195-ex")),
        Run((*tls, "+cs", "TLS_RSA_WITH_AES_128_GCM_SHA256"), good),
        Run(tls, opensslClient("-tls1_2", *version)),
        Run(tls, opensslClient("-tls1_3", *version)),
        Run(
            tls,
            opensslClient("-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256", *version),
            "dhe",
            {"result": (True, False)},
        ),
        Run((*tls, "+py"), opensslClient("-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256", *version)),
        Run(
            (*tls, "+px"),
            opensslClient("-tls1_1", "-cipher", "ALL:@SECLEVEL=0", *version),
            "old-tls",
            {"result": (True, False)},
        ),
        Run(
            ("+tls", *files.server, "+cd", str(files.folder)),
            echoscu("+tls", *files.client, *trusting),
            "certificate-directory",
            {"result": (1, 0)},
        ),
    ]


#: Command lines, without port: whether DCMTK's takes them, whether ours does, and by which deviation.
STARTS: list[tuple[tuple[str, ...], bool, bool, str]] = [
    (("-pdu", "4095"), False, False, ""),
    (("-pdu", "131073"), False, True, "long-pdu"),
    (("-ta", "0"), False, False, ""),
    (("-s", "x"), False, False, ""),
    (("--unknown",), False, False, ""),
    (("105",), False, False, ""),
    (("-aet", "A" * 17), True, False, "long-title"),
    (("+B", "+te"), False, False, ""),
    (("+B", "-su", "P"), False, True, "sorted-bits"),
    (("-su", "P", "-sp"), True, False, "one-sorting"),
    (("+te", "+xs"), False, True, "compressed"),
    (("+uf", "-tn"), False, False, ""),
    (("-uf", "-tn"), True, True, ""),
    (("-rns",), False, True, "unsorted-studies"),
    (("-xcs", "/bin/true #p"), False, True, "unsorted-studies"),
    (("-su", "P", "-xcs", "/bin/true #p", "-tos", "0"), True, True, ""),
    (("-xcr", "/bin/true #f; /bin/true"), True, False, "no-shell"),
    (("-su", "", "-xs", "-xcs", "/bin/true #r #a #c #p"), True, True, ""),
    (("-q",), True, True, ""),
    (("-v", "+v"), True, True, ""),
    (("-d",), True, True, ""),
    (("-ll", "trace"), True, True, ""),
    (("-ll", "verbose"), False, False, ""),
    (("-xf", "/nowhere", "Default"), False, False, ""),
    (("+crv",), False, False, ""),
]
