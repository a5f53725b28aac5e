"""Options about what files have in them."""

from __future__ import annotations

from txdicom.storescp.options.option import Group, Option
from txdicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)

__all__ = ["FORMS"]

_CONVERTING = ("write-xfer-little", "write-xfer-big", "write-xfer-implicit", "write-xfer-deflated")
_CONVERTED = """
Convert what came in another uncompressed transfer syntax into {}. See `Converted files`_.
"""

FORMS = Group(
    "What files have in them",
    (
        Option(
            name="bit-preserving",
            perTitle=True,
            short=("+B",),
            key="bits",
            excludes=_CONVERTING,
            help="Keep data sets exactly as they came; always so where no conversion is asked for.",
            manual="""
Keep data sets byte for byte as they came. That is always so, unless one of the options that convert is given, with
which this one cannot be; all else goes together with it.
""",
        ),
        Option(
            name="normal",
            perTitle=True,
            short=("-B",),
            key="bits",
            constant=False,
            default=False,
            help="Nothing: as long as no conversion is asked for, none is made.",
            manual="""
Nothing: DCMTK's storescp reads and writes a data set anew with it, and here that is done only where a conversion is
asked for.
""",
        ),
        Option(
            name="write-file",
            perTitle=True,
            short=("+F",),
            key="file-form",
            constant="file",
            default="file",
            help="Write the file format, with file meta information; the default.",
            manual="Write preamble and file meta information before the data set (PS3.10). The default.",
        ),
        Option(
            name="write-dataset",
            perTitle=True,
            short=("-F",),
            key="file-form",
            constant="dataset",
            help="Write the data set without file meta information.",
            manual="""
Write the data set alone, without preamble and file meta information. Nothing in the file says then in which transfer
syntax it is.
""",
        ),
        Option(
            name="write-xfer-same",
            perTitle=True,
            short=("+t=",),
            key="write-xfer",
            constant="",
            default="",
            help="Write files in the transfer syntax they came in; the default.",
        ),
        Option(
            name="write-xfer-little",
            perTitle=True,
            short=("+te",),
            key="write-xfer",
            constant=EXPLICIT_VR_LITTLE_ENDIAN,
            help="Convert files to explicit VR little endian.",
            manual=_CONVERTED.format("explicit VR little endian"),
        ),
        Option(
            name="write-xfer-big",
            perTitle=True,
            short=("+tb",),
            key="write-xfer",
            constant=EXPLICIT_VR_BIG_ENDIAN,
            help="Convert files to explicit VR big endian.",
            manual=_CONVERTED.format("explicit VR big endian"),
        ),
        Option(
            name="write-xfer-implicit",
            perTitle=True,
            short=("+ti",),
            key="write-xfer",
            constant=IMPLICIT_VR_LITTLE_ENDIAN,
            help="Convert files to implicit VR little endian.",
            manual=_CONVERTED.format("implicit VR little endian"),
        ),
        Option(
            name="write-xfer-deflated",
            perTitle=True,
            short=("+td",),
            key="write-xfer",
            constant=DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
            help="Convert files to deflated explicit VR little endian.",
            manual=_CONVERTED.format("deflated explicit VR little endian"),
        ),
    ),
)
