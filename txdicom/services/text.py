"""
What the value of an element says: `textOf` decodes it by its VR and the data set's Specific Character Set.

pydicom is imported when it is first needed, because it takes longer than all of a receiver's start.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache

__all__ = ["SPECIFIC_CHARACTER_SET", "TEXT_VRS", "tagOf", "textOf"]

SPECIFIC_CHARACTER_SET = 0x00080005
#: The VRs whose values Specific Character Set is about (PS3.5 6.1.2.3).
_CUSTOMISED_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
#: The VRs whose values are text.
TEXT_VRS = _CUSTOMISED_VRS | {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"}
#: After these, text is in the first character set again (PS3.5 6.1.2.5.3); in names, also after ``^`` and ``=``.
_DELIMITERS = frozenset(b"\\\r\n\t\f")
_NAME_DELIMITERS = _DELIMITERS | frozenset(b"^=")
_ESCAPE = 0x1B


@lru_cache(maxsize=256)
def tagOf(keyword: str) -> int:
    """
    Look up the tag (0xGGGGEEEE) of an element by its keyword (PS3.6 clause 6), such as ``PatientID``.

    :raises ValueError: the data dictionary has no such keyword.
    """
    from pydicom.datadict import tag_for_keyword

    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"{keyword!r} is no keyword of the data dictionary")
    return int(tag)


def textOf(value: bytes, vr: str, characterSets: bytes) -> str:
    """
    Decode the value of an element.

    A character that cannot be decoded becomes U+FFFD. Of a name of several component groups, the first that is there is
    taken: the alphabetic one, otherwise the ideographic one, otherwise the phonetic one (PS3.5 6.2.1).

    :param value: as it came, padding included.
    :param vr: one of `TEXT_VRS`.
    :param characterSets: the value of Specific Character Set (0008,0005), empty if the data set has none.
    :return: without the spaces and NULs at its end.
    """
    if value.isascii() and _ESCAPE not in value:
        text = value.decode("ascii")
    elif vr in _CUSTOMISED_VRS:
        text = _decoded(value, _codecs(characterSets), _NAME_DELIMITERS if vr == "PN" else _DELIMITERS)
    else:
        text = value.decode("ascii", "replace")
    text = text.rstrip("\0 ")
    if vr == "PN":
        return next((group for group in text.split("=") if group.strip("^ ")), "")
    return text


@lru_cache(maxsize=64)
def _codecs(characterSets: bytes) -> Sequence[str]:
    """
    Translate the terms of Specific Character Set (PS3.3 C.12.1.1.2) to Python's names.

    Only what stands in the table is used: a peer could name any codec of Python's, and some of them are no character
    sets, or take for ever.
    """
    from pydicom.charset import default_encoding, python_encoding

    terms = (term.strip(b"\0 ").decode("ascii", "replace") for term in characterSets.split(b"\\"))
    return [python_encoding.get(term, default_encoding) for term in terms]


def _decoded(value: bytes, codecs: Sequence[str], delimiters: frozenset[int]) -> str:
    if _ESCAPE not in value:
        return value.decode(codecs[0], "replace")
    from pydicom.charset import decode_bytes

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return decode_bytes(value, codecs, set(delimiters))
