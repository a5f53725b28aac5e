"""
Commands, negotiations and data sets as lines of text, for ``--verbose`` and ``--debug``.

All of it comes from a peer, who may have sent anything. So nothing here raises, what is shown of a value is bounded,
and no value can break out of its line: `printable` is the only way into one.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address

from txdicom.dimse.commands import Command
from txdicom.dimse.commandsets import elementsOf
from txdicom.uids import DEFLATED_TRANSFER_SYNTAXES, EXPLICIT_VR_BIG_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from txdicom.upperlayer.items import ContextResult, UserInformation
from txdicom.upperlayer.pdu import AAssociateAC, AAssociateRQ

__all__ = [
    "describeAnswer",
    "describeCommand",
    "describeContexts",
    "describeDataSet",
    "describeRequest",
    "peerName",
    "printable",
]

#: How much of one value is shown: characters of text, or numbers.
_SHOWN_TEXT = 64
_SHOWN_NUMBERS = 8
#: VR -> how `struct` unpacks one number of it.
_NUMBERS = {"FD": "d", "FL": "f", "SL": "i", "SS": "h", "SV": "q", "UL": "I", "US": "H", "UV": "Q"}
_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})


def printable(value: object, length: int = _SHOWN_TEXT) -> str:
    """
    Make text of a peer fit for a line of a log.

    :param value: its `str` is taken.
    :param length: what is longer is cut; what cannot be printed, line ends and terminal controls first of all, is
        escaped and gets longer by that.
    """
    text = str(value)
    shown = text[:length]
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in shown)
    return shown if len(text) <= length else f"{shown}..."


def peerName(address: object) -> str:
    """Show the transport address of a peer, of whatever kind."""
    if isinstance(address, IPv4Address):
        return f"{address.host}:{address.port}"
    if isinstance(address, IPv6Address):
        return f"[{address.host}]:{address.port}"
    return printable(address)


def describeCommand(command: Command) -> Iterator[str]:
    """Show every element of a command set."""
    for tag, vr, value in elementsOf(command):
        shown = "\\".join(_tagName(at) for at in value[:_SHOWN_NUMBERS]) if isinstance(value, tuple) else value
        yield f"{_tagName(tag)} {_standardName(tag)} ({vr}) [{printable(shown, 2 * _SHOWN_TEXT)}]"


def describeRequest(request: AAssociateRQ) -> Iterator[str]:
    """Show what is proposed."""
    yield f"Application Context Name: {_uidName(request.applicationContextName)}"
    yield from _describeUser(request.userInformation)
    for context in request.presentationContexts:
        yield f"Context {context.contextID}: {_uidName(context.abstractSyntax)}"
        for transferSyntax in context.transferSyntaxes:
            yield f"    {_uidName(transferSyntax)}"


def describeAnswer(response: AAssociateAC) -> Iterator[str]:
    """Show what is accepted."""
    yield from _describeUser(response.userInformation)
    for context in response.presentationContexts:
        yield f"Context {context.contextID}: result {context.result:d}, {_uidName(context.transferSyntax)}"


def describeContexts(request: AAssociateRQ, response: AAssociateAC) -> Iterator[str]:
    """Show of each presentation context that was answered what it is for, and the answer."""
    proposed = {context.contextID: context for context in request.presentationContexts}
    for answer in response.presentationContexts:
        context = proposed.get(answer.contextID)
        if context is not None:
            try:
                result = ContextResult(answer.result).name.lower().replace("_", " ")
            except ValueError:
                result = f"result {answer.result}"
            if answer.result == ContextResult.ACCEPTANCE:
                result = f"{result}, {_uidName(answer.transferSyntax)}"
            yield f"Context {answer.contextID}: {_uidName(context.abstractSyntax)}: {result}"


def _describeUser(information: UserInformation) -> Iterator[str]:
    yield f"Maximum Length: {information.maximumLength}"
    yield f"Implementation Class UID: {printable(information.implementationClassUID)}"
    yield f"Implementation Version Name: {printable(information.implementationVersionName)}"
    if information.asynchronousOperations is not None:
        yield f"Asynchronous Operations: {information.asynchronousOperations}"
    for items in (information.roleSelections, information.extendedNegotiations, information.commonExtendedNegotiations):
        for item in items:
            yield printable(item, 4 * _SHOWN_TEXT)
    if information.userIdentity is not None:
        # Never the identity itself: it may hold a password.
        yield "User Identity: present"


def describeDataSet(head: bytes, transferSyntaxUID: str) -> list[str]:
    """
    Show the elements at the head of a data set, named from the data dictionary.

    :param head: its first bytes; an element that they end within is not shown, and the last line says so.
    """
    from pydicom.filereader import data_element_generator

    bigEndian = transferSyntaxUID == EXPLICIT_VR_BIG_ENDIAN
    implicit = transferSyntaxUID == IMPLICIT_VR_LITTLE_ENDIAN
    creators: dict[int, str] = {}
    lines = []
    try:
        if transferSyntaxUID in DEFLATED_TRANSFER_SYNTAXES:
            # No more comes out than went in, which is enough to show.
            head = zlib.decompressobj(-zlib.MAX_WBITS).decompress(head, len(head))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for element in data_element_generator(BytesIO(head), implicit, not bigEndian):
                value: Any = element.value
                if isinstance(value, bytes) and len(value) < getattr(element, "length", 0) != 0xFFFFFFFF:
                    raise EOFError
                tag = int(element.tag)
                name, vr = _nameAndVR(tag, creators)
                if name == "PrivateCreator" and isinstance(value, bytes):
                    creators[tag] = value.decode("latin-1").strip(" \0")
                vr = printable(element.VR or vr)
                lines.append(f"{_tagName(tag)} {name} ({vr}) [{_shown(value, vr.partition(' ')[0], bigEndian)}]")
    except EOFError:
        lines.append("...")
    except Exception as error:
        # pydicom's reader trusts its input, and fails in as many ways as there are to betray it.
        lines.append(f"... ({type(error).__name__})")
    return lines


def _shown(value: object, vr: str, bigEndian: bool) -> str:
    if vr == "SQ":
        return "sequence"
    if not isinstance(value, bytes):
        return ""
    if vr in _BINARY:
        return f"{len(value)} bytes"
    if vr in _NUMBERS:
        count = len(value) // struct.calcsize(_NUMBERS[vr])
        numbers = struct.unpack_from(f"{'<>'[bigEndian]}{min(count, _SHOWN_NUMBERS)}{_NUMBERS[vr]}", value)
        shown = "\\".join([f"{number:.9g}" if isinstance(number, float) else f"{number}" for number in numbers])
        return f"{shown}..." if count > _SHOWN_NUMBERS else shown
    if vr == "AT":
        tags = struct.iter_unpack(f"{'<>'[bigEndian]}HH", value[: min(len(value) // 4, _SHOWN_NUMBERS) * 4])
        return "\\".join([_tagName(group << 16 | element) for group, element in tags])
    return printable(value[: 2 * _SHOWN_TEXT].decode("latin-1").rstrip(" \0"))


def _tagName(tag: int) -> str:
    return f"({tag >> 16:04x},{tag & 0xFFFF:04x})"


def _nameAndVR(tag: int, creators: dict[int, str]) -> tuple[str, str]:
    """
    Look an element up.

    :param creators: the private creators so far, by their tags.
    :return: "Unknown" and "??" for what the dictionary does not have; private elements go by their descriptions.
    """
    from pydicom.datadict import dictionary_VR, get_private_entry

    element = tag & 0xFFFF
    if not tag >> 16 & 1:
        try:
            return _standardName(tag), dictionary_VR(tag)
        except KeyError:
            return "Unknown", "??"
    if 0x10 <= element <= 0xFF:
        return "PrivateCreator", "LO"
    creator = creators.get(tag & 0xFFFF0000 | element >> 8)
    if creator is not None:
        try:
            vr, _, name, _ = get_private_entry(tag, creator)
        except KeyError:
            return "Unknown", "??"
        return name, vr
    return "Unknown", "??"


def _standardName(tag: int) -> str:
    from pydicom.datadict import keyword_for_tag

    return keyword_for_tag(tag) or "Unknown"


def _uidName(uid: str) -> str:
    from pydicom.config import IGNORE
    from pydicom.uid import UID

    return f"{printable(UID(uid, IGNORE).name)} ({printable(uid)})" if uid else "-"
