"""
Data sets as pydicom has them, to and from what is on the wire: for identifiers, and for instances that are converted.

pydicom is imported when it is first needed, because it takes longer than all of a receiver's start.
"""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import TYPE_CHECKING, Any

from txdicom.errors import MessageError, SourceError
from txdicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["CONVERTIBLE", "convert", "decodeDataSet", "encodeDataSet"]

#: The transfer syntaxes that `convert` can produce, the one it likes best first.
CONVERTIBLE = (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
)
#: The VRs whose values pydicom keeps as they are encoded -> bytes of one number.
_NUMBERS = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}


def decodeDataSet(data: bytes, transferSyntaxUID: str) -> Dataset:
    """
    Decode an identifier or another small data set whole; one that is large takes long, and belongs into a thread.

    :param data: without preamble and file meta information, as a message carries it.
    :param transferSyntaxUID: how it is encoded; of compressed pixel data only the rest is decoded.
    :raises MessageError: pydicom cannot read it.
    """
    from pydicom.filereader import read_dataset

    implicit, little = transferSyntaxUID == IMPLICIT_VR_LITTLE_ENDIAN, transferSyntaxUID != EXPLICIT_VR_BIG_ENDIAN
    try:
        if transferSyntaxUID == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
            inflater = zlib.decompressobj(-zlib.MAX_WBITS)
            # As much as it could have been without compression.
            data = inflater.decompress(data, 16 * len(data) + 4096)
        dataSet = read_dataset(BytesIO(data), implicit, little, bytelength=len(data))
        # Values are read when they are looked at; what is wrong with them is to come out here.
        for element in dataSet.iterall():
            _ = element.value
    except Exception as error:
        raise MessageError(f"a data set cannot be read: {error}") from error
    dataSet.set_original_encoding(implicit, little, dataSet.get("SpecificCharacterSet") or "iso8859")
    return dataSet


def encodeDataSet(dataSet: Dataset, transferSyntaxUID: str) -> bytes:
    """
    Encode a data set; its file meta information and command elements are left out.

    Whatever it was read from, numbers come out in the byte order of the transfer syntax. Encapsulated pixel data is
    encoded as it is, so the transfer syntax has to be its own.

    :raises SourceError: pydicom cannot write it.
    """
    from pydicom import Dataset
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    little = transferSyntaxUID != EXPLICIT_VR_BIG_ENDIAN
    buffer = DicomBytesIO()
    buffer.is_little_endian = little
    buffer.is_implicit_VR = transferSyntaxUID == IMPLICIT_VR_LITTLE_ENDIAN
    try:
        body = Dataset({tag: element for tag, element in dataSet.items() if tag.group > 2})
        implicit, wasLittle = dataSet.original_encoding
        body.set_original_encoding(implicit, wasLittle, dataSet.original_character_set)
        if wasLittle not in (None, little):
            body = _inOtherByteOrder(body)
        write_dataset(buffer, body)
    except Exception as error:
        raise SourceError(f"the data set cannot be encoded: {error}") from error
    encoded = buffer.getvalue()
    if transferSyntaxUID == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        encoded = deflater.compress(encoded) + deflater.flush()
        encoded += b"\0" * (len(encoded) % 2)
    return encoded


def convert(dataSet: Dataset, fromSyntaxUID: str, toSyntaxUID: str) -> bytes:
    """
    Encode a data set in one of `CONVERTIBLE`, with its pixel data decompressed if need be.

    This takes time and memory, and belongs into a thread.

    :raises SourceError: that cannot be done, for want of a decoder for example.
    """
    if toSyntaxUID not in CONVERTIBLE:
        raise SourceError(f"nothing is converted to transfer syntax {toSyntaxUID}")
    if fromSyntaxUID not in CONVERTIBLE:
        try:
            dataSet.decompress(generate_instance_uid=False)
        except Exception as error:
            if _lacksDecoder(fromSyntaxUID):
                why = "without numpy and pylibjpeg: install txdicom[convert]"
            else:
                why = f"by pydicom: {' '.join(str(error).split())}"
            raise SourceError(f"pixel data in {fromSyntaxUID} cannot be decompressed {why}") from error
    return encodeDataSet(dataSet, toSyntaxUID)


def _lacksDecoder(transferSyntaxUID: str) -> bool:
    """Say whether pydicom could do it with more installed."""
    from pydicom import config
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    try:
        return not (config.have_numpy and get_decoder(UID(transferSyntaxUID)).is_available)
    except NotImplementedError:
        return False


def _inOtherByteOrder(dataSet: Dataset) -> Dataset:
    """Copy a data set, with the values swapped that pydicom keeps as bytes."""
    from copy import deepcopy

    swapped = deepcopy(dataSet)

    def swap(_: Dataset, element: Any) -> None:
        size = _NUMBERS.get(element.VR)
        if size is not None and isinstance(element.value, bytes):
            numbers = memoryview(bytearray(element.value))
            if len(numbers) % size:
                raise ValueError(f"{element.tag} has a length that is none of its VR {element.VR}")
            turned = bytearray(len(numbers))
            for position in range(size):
                turned[position::size] = numbers[size - 1 - position :: size]
            element.value = bytes(turned)

    swapped.walk(swap)
    return swapped
