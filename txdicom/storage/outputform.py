"""
What a file has in it: `OutputForm`.

By itself a file is what PS3.10 says, with the data set as it came. It may also be the data set alone, and it may be
converted into another transfer syntax: what cannot be, because it is compressed, or is what was asked for already,
stays as it came, and its file meta information says so.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import NamedTuple

from twisted.internet.defer import DeferredSemaphore

from txdicom.dimse.status import Status
from txdicom.errors import DIMSEError
from txdicom.services.storage import ReceivedInstance
from txdicom.storage.conversion import CONVERTIBLE, ConversionError, convert
from txdicom.storage.fileformat import encodeFileHead

__all__ = ["Conversion", "OutputForm"]

_BUFFER = 1 << 18
#: How many conversions there are at once: each takes from the reactor's thread, and so from all associations.
_AT_ONCE = 2


class Conversion(NamedTuple):
    """
    What is to be done with a file before it is complete.

    :ivar form: to what it is converted.
    :ivar instance: what is in it.
    :ivar head: what stands before the data set afterwards.
    """

    form: OutputForm
    instance: ReceivedInstance
    head: bytes

    @property
    def turns(self) -> DeferredSemaphore:
        """Limits how many there are at once."""
        return self.form.turns

    def convert(self, received: int, kept: int) -> None:
        """
        Make one file of another.

        :param received: descriptor of a file with the data set as it came, and nothing else.
        :param kept: descriptor of the one to write.
        :raises DIMSEError: 0xC000, it cannot be converted.
        :raises OSError: it cannot be read or written.
        """
        with (
            open(received, "rb", buffering=_BUFFER, closefd=False) as source,
            open(kept, "wb", buffering=_BUFFER, closefd=False) as target,
        ):
            target.write(self.head)
            length = os.fstat(received).st_size
            try:
                convert(source, length, self.instance.transferSyntaxUID, self.form.transferSyntaxUID, target.write)
            except ConversionError as error:
                raise DIMSEError(Status.CANNOT_UNDERSTAND, f"cannot be converted: {error}") from error


@dataclass(frozen=True, slots=True)
class OutputForm:
    """
    How instances are written.

    :ivar hasFileMeta: whether preamble and file meta information stand before the data set.
    :ivar transferSyntaxUID: convert what can be converted into this one, or nothing if it is empty.
    """

    hasFileMeta: bool = True
    transferSyntaxUID: str = ""
    turns: DeferredSemaphore = field(default_factory=lambda: DeferredSemaphore(_AT_ONCE), repr=False, compare=False)

    def converts(self, instance: ReceivedInstance) -> bool:
        """Whether an instance will be converted."""
        received = instance.transferSyntaxUID
        return bool(self.transferSyntaxUID) and received != self.transferSyntaxUID and received in CONVERTIBLE

    def head(self, instance: ReceivedInstance, callingAETitle: str) -> bytes:
        """Encode what stands before the data set of an instance, once it has been converted if it is."""
        if not self.hasFileMeta:
            return b""
        syntax = self.transferSyntaxUID if self.converts(instance) else instance.transferSyntaxUID
        return encodeFileHead(instance.sopClassUID, instance.sopInstanceUID, syntax, callingAETitle)

    def conversion(self, instance: ReceivedInstance, head: bytes) -> Conversion | None:
        """Return what is to be done with the file of an instance, if it is to be converted."""
        return Conversion(self, instance, head) if self.converts(instance) else None
