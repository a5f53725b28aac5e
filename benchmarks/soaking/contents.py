"""What the soak sends: `Contents` makes instances from a seed, and makes them again to compare."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from itertools import count
from struct import pack

__all__ = ["EXPLICIT_VR_LITTLE_ENDIAN", "SMALLEST", "SOP_CLASSES", "Contents", "Instance", "seededRandom"]

#: SOP class UID -> what names of stored files begin with; typed here once more, to be the receiver's judge.
SOP_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.1": "CR",
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.6.1": "US",
    "1.2.840.10008.5.1.4.1.1.7": "SC",
}
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"

#: Bytes of pixel data: at least, and at most.
SMALLEST = 2 << 10
_LARGEST = 4 << 20
#: How many of a thousand instances are at most how long; the others may be as long as any.
_MIX = ((880, 16 << 10), (988, 256 << 10))


def seededRandom(*seed: object) -> random.Random:
    """Make a generator whose numbers depend on nothing but the seed."""
    return random.Random("/".join(map(str, seed)))  # noqa: S311 - to repeat a run, not to keep a secret


@dataclass(frozen=True, slots=True)
class Instance:
    """
    One instance, as far as it has to be remembered.

    :ivar length: bytes of its pixel data, even.
    """

    sopClassUID: str
    uid: str
    length: int

    @property
    def fileName(self) -> str:
        """The name it has to be stored under."""
        return f"{SOP_CLASSES[self.sopClassUID]}.{self.uid}"


class Contents:
    """
    All instances of one run.

    Pixel data are a piece of one pool of random bytes, cut where a hash of the UID says: as good as random bytes of
    their own for telling one from another, and made without a copy.

    :param seed: the same one gives the same instances.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._pool = memoryview(seededRandom(seed, "pool").randbytes(3 * _LARGEST))
        self._number = count()

    def draw(self, rng: random.Random, largest: int = _LARGEST) -> Instance:
        """
        Make up an instance that has not been there before.

        :param largest: the most bytes of pixel data.
        """
        share = rng.randrange(1000)
        bound = next((bound for limit, bound in _MIX if share < limit), _LARGEST)
        length = rng.randrange(SMALLEST, max(SMALLEST, min(bound, largest)) + 1) & ~1
        digest = hashlib.sha256(f"{self._seed}/{next(self._number)}".encode()).digest()
        # The form that PS3.5 B.2 gives to UIDs made from 128 bits.
        return Instance(rng.choice(list(SOP_CLASSES)), f"2.25.{int.from_bytes(digest[:16])}", length)

    def dataSet(self, instance: Instance, variant: int = 0) -> bytes:
        """
        Encode an instance in explicit VR little endian.

        :param variant: 0 or 1: other content, and another length, under the same UID.
        """
        length = instance.length + 2 * variant
        digest = hashlib.sha256(f"{instance.uid}/{variant}".encode()).digest()
        start = int.from_bytes(digest[:8]) % (len(self._pool) - length)
        uid = instance.uid.encode()
        return b"".join(
            (
                _element(0x0008, 0x0016, b"UI", instance.sopClassUID.encode()),
                _element(0x0008, 0x0018, b"UI", uid),
                _element(0x0008, 0x0060, b"CS", SOP_CLASSES[instance.sopClassUID].encode()),
                _element(0x0010, 0x0010, b"PN", b"SOAK^VARIANT %d" % variant),
                _element(0x0010, 0x0020, b"LO", uid[:64]),
                _element(0x0020, 0x000D, b"UI", b"1.2.3.%d" % self._seed),
                _element(0x0020, 0x000E, b"UI", b"1.2.3.%d.1" % self._seed),
                pack("<HH2sxxI", 0x7FE0, 0x0010, b"OB", length),
                self._pool[start : start + length],
            )
        )


def _element(group: int, element: int, vr: bytes, value: bytes) -> bytes:
    if len(value) % 2:
        value += b"\0" if vr == b"UI" else b" "
    return pack("<HH2sH", group, element, vr, len(value)) + value
