"""Whether two data sets say the same, however they are encoded: `differences`."""

from __future__ import annotations

import warnings
from array import array
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, Sequence, dcmread

__all__ = ["differences"]

#: The length of the words of a value whose bytes depend on the byte order, as `array` calls it.
_WORDS = {
    **dict.fromkeys(("OW", "US", "SS", "AT"), "H"),
    **dict.fromkeys(("OF", "OL", "UL", "SL", "FL"), "I"),
    **dict.fromkeys(("OD", "OV", "UV", "SV", "FD"), "Q"),
}
#: Data Set Trailing Padding is nothing but that.
_PADDING = 0xFFFCFFFC


def differences(source: Path, stored: bytes) -> list[str]:
    """
    Compare a file with what was made of it on its way.

    Group lengths and padding do not count: senders leave them out as they please.

    :return: a line for each element in which they differ.
    """
    with warnings.catch_warnings():
        # Some of the files are wrong on purpose.
        warnings.simplefilter("ignore")
        ours, theirs = dcmread(source, force=True), dcmread(BytesIO(stored))
        swapped = ours.original_encoding[1] != theirs.original_encoding[1]
        return list(_compared(ours, theirs, swapped, ""))


def _compared(ours: Dataset, theirs: Dataset, swapped: bool, path: str) -> Iterator[str]:
    tags = {tag for tag in (*ours.keys(), *theirs.keys()) if tag.element and tag != _PADDING}
    for tag in sorted(tags):
        where = f"{path}{tag}"
        if tag not in ours or tag not in theirs:
            yield f"{where} is in one of them only"
            continue
        raw = ours.get_item(tag).value, theirs.get_item(tag).value
        before, after = ours[tag], theirs[tag]
        if isinstance(before.value, Sequence) and isinstance(after.value, Sequence):
            if len(before.value) != len(after.value):
                yield f"{where}: {len(before.value)} and {len(after.value)} items"
            for number, (item, other) in enumerate(zip(before.value, after.value, strict=False)):
                yield from _compared(item, other, swapped, f"{where}[{number}]")
        elif before.VR == after.VR and not isinstance(before.value, bytes):
            if before.value != after.value:
                yield f"{where}: {before.repval} and {after.repval}"
        elif _inOtherOrder(before.VR, raw[0] or b"", swapped) != (raw[1] or b""):
            # An implicit encoding loses the VR of what is not in the dictionary: the bytes have to be the same then.
            yield f"{where}: the bytes of {before.VR} and {after.VR} differ"


def _inOtherOrder(vr: str, value: bytes, swapped: bool) -> bytes:
    if not swapped or vr not in _WORDS:
        return value
    words = array(_WORDS[vr], value)
    words.byteswap()
    return words.tobytes()
