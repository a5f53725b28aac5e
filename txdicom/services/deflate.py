"""
Reads the head of a data set that is deflated as a whole (PS3.5 A.5); `readerOf` builds what each syntax needs.

A few bytes may inflate to a thousand times as many, and many bytes to nothing at all. Hence both are bounded, what goes
in and what comes out, and nothing is inflated that lies beyond the head.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping

from txdicom.services.head import HeadError, HeadReader
from txdicom.uids import DEFLATED_TRANSFER_SYNTAXES, EXPLICIT_VR_LITTLE_ENDIAN

__all__ = ["InflatingHeadReader", "readerOf"]

#: How much goes in and comes out in one step, in bytes.
_STEP = 4096


def readerOf(
    transferSyntaxUID: str,
    wanted: Collection[int],
    maximumValueLength: int = 1024,
    maximumHeadLength: int = 1 << 20,
    welcome: Collection[int] = (),
) -> HeadReader | InflatingHeadReader:
    """Build the reader for data sets in a transfer syntax; the parameters are those of `HeadReader`."""
    if transferSyntaxUID in DEFLATED_TRANSFER_SYNTAXES:
        return InflatingHeadReader(wanted, maximumValueLength, maximumHeadLength, welcome)
    return HeadReader(transferSyntaxUID, wanted, maximumValueLength, maximumHeadLength, welcome)


class InflatingHeadReader:
    """
    A `HeadReader` before which the bytes are inflated; explicit VR little endian is what comes out.

    A stream that is damaged within 4096 bytes after the head may be refused for that, or not.

    :param wanted: as `HeadReader` has it, and so are the others.
    :param maximumHeadLength: bounds the deflated and the inflated bytes alike.
    """

    __slots__ = ("_allowance", "_failure", "_inflater", "_maximumHeadLength", "_reader")

    def __init__(
        self,
        wanted: Collection[int],
        maximumValueLength: int = 1024,
        maximumHeadLength: int = 1 << 20,
        welcome: Collection[int] = (),
    ) -> None:
        self._reader = HeadReader(EXPLICIT_VR_LITTLE_ENDIAN, wanted, maximumValueLength, maximumHeadLength, welcome)
        # Negative: a raw stream, without a header of zlib's.
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._maximumHeadLength = self._allowance = maximumHeadLength
        self._failure = ""

    @property
    def attributes(self) -> Mapping[int, bytes]:
        """What has been found, as in `HeadReader`."""
        return self._reader.attributes

    @property
    def done(self) -> bool:
        """Whether nothing more needs to be read."""
        return self._reader.done

    def feed(self, fragment: memoryview | bytes) -> bool:
        """
        Read the next bytes of the deflated data set; those after the head are ignored.

        :return: `done`.
        :raise HeadError: if they cannot be inflated, or as `HeadReader.feed` does. Each further call raises the same.
        """
        if self.done:
            return True
        if self._failure:
            raise HeadError(self._failure)
        try:
            finished = self._inflate(fragment[: self._allowance])
            if not finished and len(fragment) > self._allowance:
                raise HeadError(f"head of the data set is longer than {self._maximumHeadLength} bytes, deflated")
        except HeadError as error:
            finished = self._reader.settle()
            if not finished:
                self._failure = str(error)
                raise
        self._allowance -= len(fragment)
        if finished:
            # Its window has 32 KiB, and the instance may be long.
            del self._inflater
        return finished

    def _inflate(self, deflated: memoryview | bytes) -> bool:
        """Inflate step by step, until the head is done (which is what it returns) or no more comes out."""
        for start in range(0, len(deflated), _STEP):
            waiting: memoryview | bytes = deflated[start : start + _STEP]
            inflated = bytes(_STEP)
            while len(inflated) == _STEP:
                try:
                    inflated = self._inflater.decompress(waiting, _STEP)
                except zlib.error as error:
                    raise HeadError(f"the data set cannot be inflated: {error}") from error
                if self._reader.feed(inflated):
                    return True
                waiting = self._inflater.unconsumed_tail
            if self._inflater.eof:
                raise HeadError("the deflated data set ends within its head")
        return False
