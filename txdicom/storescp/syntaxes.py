"""
Which transfer syntaxes storescp takes, and which it likes best: what each option that says so stands for.
"""

from __future__ import annotations

from collections.abc import Mapping

from txdicom.uids import (
    ACCEPT_ALL,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    UNCOMPRESSED_TRANSFER_SYNTAXES,
)
from txdicom.upperlayer.negotiation import TransferSyntaxes

__all__ = ["TRANSFER_SYNTAX_OPTIONS"]

#: Long name of an option -> the one transfer syntax that is preferred to the uncompressed ones.
_PREFERRED = {
    "prefer-lossless": "1.2.840.10008.1.2.4.70",
    "prefer-jpeg8": "1.2.840.10008.1.2.4.50",
    "prefer-jpeg12": "1.2.840.10008.1.2.4.51",
    "prefer-j2k-lossless": "1.2.840.10008.1.2.4.90",
    "prefer-j2k-lossy": "1.2.840.10008.1.2.4.91",
    "prefer-jls-lossless": "1.2.840.10008.1.2.4.80",
    "prefer-jls-lossy": "1.2.840.10008.1.2.4.81",
    "prefer-mpeg2": "1.2.840.10008.1.2.4.100",
    "prefer-mpeg2-high": "1.2.840.10008.1.2.4.101",
    "prefer-mpeg4": "1.2.840.10008.1.2.4.102",
    "prefer-mpeg4-bd": "1.2.840.10008.1.2.4.103",
    "prefer-mpeg4-2-2d": "1.2.840.10008.1.2.4.104",
    "prefer-mpeg4-2-3d": "1.2.840.10008.1.2.4.105",
    "prefer-mpeg4-2-st": "1.2.840.10008.1.2.4.106",
    "prefer-hevc": "1.2.840.10008.1.2.4.107",
    "prefer-hevc10": "1.2.840.10008.1.2.4.108",
    "prefer-rle": "1.2.840.10008.1.2.5",
    "prefer-deflated": "1.2.840.10008.1.2.1.99",
}

#: Long name of an option -> the transfer syntaxes accepted with it, in the order in which they are liked. Of all these
#: options one may be given at most.
TRANSFER_SYNTAX_OPTIONS: Mapping[str, TransferSyntaxes] = {
    "prefer-uncompr": UNCOMPRESSED_TRANSFER_SYNTAXES,
    "prefer-little": (EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN),
    "prefer-big": (EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN),
    **{option: (preferred, *UNCOMPRESSED_TRANSFER_SYNTAXES) for option, preferred in _PREFERRED.items()},
    "implicit": (IMPLICIT_VR_LITTLE_ENDIAN,),
    "accept-all": ACCEPT_ALL,
}
