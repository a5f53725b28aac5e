"""Options about which SOP classes are accepted, and in which transfer syntaxes."""

from __future__ import annotations

from txdicom.storescp.options.option import Group, Option
from txdicom.uids import (
    ACCEPT_ALL,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    UNCOMPRESSED_TRANSFER_SYNTAXES,
)
from txdicom.upperlayer.negotiation import TransferSyntaxes

__all__ = ["NEGOTIATION"]


def _syntaxes(
    name: str, short: str, transferSyntaxes: TransferSyntaxes, text: str, default: bool = False, manual: str = ""
) -> Option:
    """Make an option of those that say which transfer syntaxes are accepted, of which the last one counts."""
    return Option(
        name=name,
        short=(short,),
        perTitle=True,
        key="transfer-syntaxes",
        constant=transferSyntaxes,
        default=transferSyntaxes if default else None,
        help=text,
        manual=manual,
    )


def _prefer(name: str, short: str, transferSyntax: str, text: str) -> Option:
    """Make an option that prefers one transfer syntax to the uncompressed ones."""
    return _syntaxes(
        f"prefer-{name}",
        short,
        (transferSyntax, *UNCOMPRESSED_TRANSFER_SYNTAXES),
        f"Prefer {text}.",
        manual=f"Prefer {text} ({transferSyntax}), and take the three uncompressed ones too.",
    )


NEGOTIATION = Group(
    "What is accepted",
    (
        Option(
            name="all-storage-classes",
            perTitle=True,
            help="Accept every storage SOP class of the standard.",
            manual="""
Accept every storage SOP class of the standard, retired ones too, and those of DICOS and DICONDE: all that have a prefix
in :doc:`conformance`. DCMTK's storescp accepts nearly as many by itself.
""",
        ),
        Option(
            name="promiscuous",
            perTitle=True,
            short=("-pm",),
            help="Accept unknown SOP classes as well as all storage SOP classes.",
            manual="""
Accept all of these, and unknown SOP classes as well: private ones, and such as the standard may have some day. SOP
classes of other services, as those of queries and of worklists, are not accepted. The prefix of an unknown one is
`UNKNOWN`.
""",
        ),
        _syntaxes(
            "prefer-uncompr",
            "+x=",
            UNCOMPRESSED_TRANSFER_SYNTAXES,
            "Prefer explicit VR in the byte order of this machine.",
            default=True,
            manual="""
Prefer explicit VR in the byte order of this machine, then explicit VR in the other, then implicit VR little endian.
This is the default.
""",
        ),
        _syntaxes(
            "prefer-little",
            "+xe",
            (EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN),
            "Prefer explicit VR little endian.",
            manual="Prefer explicit VR little endian, then explicit VR big endian, then implicit VR little endian.",
        ),
        _syntaxes(
            "prefer-big",
            "+xb",
            (EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN),
            "Prefer explicit VR big endian.",
            manual="Prefer explicit VR big endian, then explicit VR little endian, then implicit VR little endian.",
        ),
        _prefer("lossless", "+xs", "1.2.840.10008.1.2.4.70", "JPEG lossless, first-order prediction"),
        _prefer("jpeg8", "+xy", "1.2.840.10008.1.2.4.50", "JPEG baseline, for 8 bit data"),
        _prefer("jpeg12", "+xx", "1.2.840.10008.1.2.4.51", "JPEG extended, for 12 bit data"),
        _prefer("j2k-lossless", "+xv", "1.2.840.10008.1.2.4.90", "JPEG 2000, lossless only"),
        _prefer("j2k-lossy", "+xw", "1.2.840.10008.1.2.4.91", "JPEG 2000, lossless or lossy"),
        _prefer("jls-lossless", "+xt", "1.2.840.10008.1.2.4.80", "JPEG-LS lossless"),
        _prefer("jls-lossy", "+xu", "1.2.840.10008.1.2.4.81", "JPEG-LS near-lossless"),
        _prefer("mpeg2", "+xm", "1.2.840.10008.1.2.4.100", "MPEG2 main profile at main level"),
        _prefer("mpeg2-high", "+xh", "1.2.840.10008.1.2.4.101", "MPEG2 main profile at high level"),
        _prefer("mpeg4", "+xn", "1.2.840.10008.1.2.4.102", "MPEG-4 AVC/H.264 high profile, level 4.1"),
        _prefer("mpeg4-bd", "+xl", "1.2.840.10008.1.2.4.103", "MPEG-4 AVC/H.264 high profile for Blu-ray, level 4.1"),
        _prefer("mpeg4-2-2d", "+x2", "1.2.840.10008.1.2.4.104", "MPEG-4 AVC/H.264 high profile, level 4.2, in 2D"),
        _prefer("mpeg4-2-3d", "+x3", "1.2.840.10008.1.2.4.105", "MPEG-4 AVC/H.264 high profile, level 4.2, in 3D"),
        _prefer("mpeg4-2-st", "+xo", "1.2.840.10008.1.2.4.106", "MPEG-4 AVC/H.264 stereo high profile, level 4.2"),
        _prefer("hevc", "+x4", "1.2.840.10008.1.2.4.107", "HEVC/H.265 main profile, level 5.1"),
        _prefer("hevc10", "+x5", "1.2.840.10008.1.2.4.108", "HEVC/H.265 main 10 profile, level 5.1"),
        _prefer("rle", "+xr", "1.2.840.10008.1.2.5", "RLE lossless"),
        _prefer("deflated", "+xd", "1.2.840.10008.1.2.1.99", "deflated explicit VR little endian"),
        _syntaxes(
            "implicit",
            "+xi",
            (IMPLICIT_VR_LITTLE_ENDIAN,),
            "Accept implicit VR little endian only.",
        ),
        _syntaxes(
            "accept-all",
            "+xa",
            ACCEPT_ALL,
            "Accept every transfer syntax of the standard, the sender's first lossless one before all others.",
            manual="""
Accept every transfer syntax of the standard that a data set can have; :doc:`conformance` lists them. Of those proposed
together the first lossless one is taken, and only where there is none the first lossy one: what a sender offers whole
is never taken reduced. Private ones are not accepted, for it could not be checked which instances come in them.
""",
        ),
    ),
    introduction="""
Verification and 17 storage SOP classes, in three transfer syntaxes, unless one of these options says otherwise. Which
SOP classes are accepted and in which transfer syntaxes are two questions: :option:`--accept-all` does not widen the SOP
classes, nor :option:`--promiscuous` the transfer syntaxes. Of several options about transfer syntaxes the last one
counts.

Of the transfer syntaxes that a sender proposes in one presentation context the one is taken that this receiver likes
best, whatever their order; with :option:`--accept-all` their order counts. Whatever the transfer syntax is, the data
set is stored as it comes: nothing is compressed or decompressed.
""",
)
