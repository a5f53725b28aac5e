"""
File names made of attributes: `PathTemplate`.

A template such as ``{StudyDate}/{PatientID|nobody}/{SOPInstanceUID}.dcm`` has literal text and fields. A field is the
keyword of an attribute, or its tag; then perhaps ``:hash`` and a number of digits, for that many hexadecimal digits of
a hash of the value; then perhaps ``|`` and what to take if there is no value. Braces of the text itself are doubled.

What stands in a field comes from a peer. So it is made harmless before it becomes a part of a path: each character
that is not a letter, a digit or one of a few others becomes ``_``, it has a bound, and no part of the path begins with
a dot or a hyphen, or is empty. How long the parts can become is known beforehand, and so is whether a template keeps
different instances apart: both are found out when it is made.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from txdicom.services.storage import ReceivedInstance
from txdicom.services.text import SPECIFIC_CHARACTER_SET, TEXT_VRS, textOf

__all__ = ["PathTemplate", "TemplateError"]

_SOP_INSTANCE_UID = 0x00080018
#: Fields come from the data set before its pixel data.
_GROUPS = range(0x0008, 0x7FE0)

#: Bytes of a value, which no UID exceeds; of a part, which leaves room for what is appended to duplicates; and parts.
_MAXIMUM_VALUE = 64
_MAXIMUM_PART = 240
_MAXIMUM_PARTS = 16
_UID_CHARACTERS = frozenset("0123456789.")
_KEPT = frozenset("-_.^+=@,")
_MISSING = "unknown"

_TOKEN = re.compile(r"(?P<brace>\{\{|\}\})|\{(?P<field>[^{}]*)\}|(?P<literal>[^{}]+)")
_FIELD = re.compile(
    r"(?:(?P<group>[0-9A-Fa-f]{4}),?(?P<element>[0-9A-Fa-f]{4})|(?P<keyword>[A-Za-z][A-Za-z0-9]*))"
    r"(?::hash(?P<digits>[1-8]))?(?:\|(?P<missing>.+))?"
)


class TemplateError(ValueError):
    """A path template cannot be used; the message is one sentence that says why."""


@dataclass(frozen=True, slots=True)
class _Field:
    """
    What stands between two braces.

    :ivar digits: how many hexadecimal digits of a hash to take in place of the value; 0 for the value.
    :ivar missing: what to take if there is no value.
    """

    tag: int
    vr: str
    digits: int
    missing: str

    def textOf(self, instance: ReceivedInstance) -> str:
        """Return what an instance has here: harmless, never empty, of `maximumLength` bytes at most."""
        if self.tag == _SOP_INSTANCE_UID:
            text = instance.sopInstanceUID
        else:
            attributes = instance.attributes
            value = attributes.get(self.tag, b"")
            text = textOf(value, self.vr, attributes.get(SPECIFIC_CHARACTER_SET, b"")).strip()
        if not text:
            return self.missing
        if self.digits:
            return sha256(text.encode("utf-8", "replace")).hexdigest()[: self.digits]
        return _harmless(text)

    @property
    def isSOPInstanceUID(self) -> bool:
        """Whether it gives that, and the whole of it."""
        return self.tag == _SOP_INSTANCE_UID and not self.digits

    @property
    def maximumLength(self) -> int:
        """How many bytes it gives at most."""
        return max(self.digits or _MAXIMUM_VALUE, len(self.missing.encode()))


class PathTemplate:
    """
    Names instances by their attributes.

    :param text: the template.
    :ivar wanted: the tags (0xGGGGEEEE) that it needs.
    :ivar isUnique: whether different instances always get different names.
    :raises TemplateError: it makes no sense, or is too long.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        parts = text.split("/")
        if len(parts) > _MAXIMUM_PARTS:
            raise TemplateError(f"has more than {_MAXIMUM_PARTS} parts")
        self._parts = [tuple(_piecesOf(part)) for part in parts]
        tags = (piece.tag for pieces in self._parts for piece in pieces if isinstance(piece, _Field))
        self.wanted = frozenset({SPECIFIC_CHARACTER_SET, *tags})
        self.isUnique = any(_tellsInstances(pieces) for pieces in self._parts)
        for part, pieces in zip(parts, self._parts, strict=True):
            _check(part, pieces)

    def __eq__(self, other: object) -> bool:
        """Compare the texts."""
        return isinstance(other, PathTemplate) and self._text == other._text

    def __hash__(self) -> int:
        """Agree with the comparison."""
        return hash(self._text)

    def __call__(self, instance: ReceivedInstance) -> str:
        """Return the relative path of an instance."""
        return "/".join([_partOf(pieces, instance) for pieces in self._parts])


def _partOf(pieces: tuple[str | _Field, ...], instance: ReceivedInstance) -> str:
    part = "".join([piece if isinstance(piece, str) else piece.textOf(instance) for piece in pieces])
    # A hidden file would not be found, ".." would lead out, and a hyphen would begin an option of many a command.
    return f"_{part[1:]}" if part[0] in ".-" else part


def _harmless(text: str) -> str:
    """Make a text one that may stand in a file name, of the bytes that a value may have."""
    # What is cut off here could only be cut off below.
    text = unicodedata.normalize("NFC", text[:_MAXIMUM_VALUE])
    text = "".join([c if c in _KEPT or unicodedata.category(c)[0] in "LMN" else "_" for c in text])
    return text.encode("utf-8")[:_MAXIMUM_VALUE].decode("utf-8", "ignore")


def _piecesOf(part: str) -> Iterator[str | _Field]:
    """Divide a part of a template into literal text and fields."""
    position = 0
    while position < len(part):
        token = _TOKEN.match(part, position)
        if token is None:
            raise TemplateError(f"has a brace that stands alone, in {part!r}")
        position = token.end()
        if token["field"] is not None:
            yield _fieldOf(token["field"])
        else:
            yield token["literal"] or token["brace"][0]


def _fieldOf(text: str) -> _Field:
    field = _FIELD.fullmatch(text)
    if field is None:
        raise TemplateError(f"has a field that is neither keyword nor tag: {text!r}")
    missing = field["missing"] or _MISSING
    if missing != _harmless(missing):
        raise TemplateError(f"has {missing!r} for a missing value, which is too long or not fit for a file name")
    tag, vr = _known(field["keyword"]) if field["keyword"] else _tagged(int(field["group"] + field["element"], 16))
    if tag >> 16 not in _GROUPS:
        raise TemplateError(f"has a field that does not stand before the pixel data: {text!r}")
    if vr not in TEXT_VRS:
        raise TemplateError(f"has a field that is not text: {text!r}")
    return _Field(tag, vr, int(field["digits"] or 0), missing)


def _known(keyword: str) -> tuple[int, str]:
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    tag = tag_for_keyword(keyword)
    if tag is None:
        raise TemplateError(f"has the keyword {keyword!r}, which is not in the data dictionary")
    return int(tag), dictionary_VR(tag)


def _tagged(tag: int) -> tuple[int, str]:
    from pydicom.datadict import dictionary_VR

    try:
        return tag, dictionary_VR(tag)
    except KeyError:
        # A private element; most have text.
        return tag, "LO"


def _tellsInstances(pieces: tuple[str | _Field, ...]) -> bool:
    """
    Whether the SOP Instance UID can be found in whatever a part of a template becomes.

    It can if there are fields on one side of it only, behind a character that no UID has.
    """
    uids = [n for n, piece in enumerate(pieces) if isinstance(piece, _Field) and piece.isSOPInstanceUID]
    if not uids:
        return False
    before, after = pieces[: uids[0]], pieces[uids[0] + 1 :]
    startsFree = _isLiteral(before) or (isinstance(before[-1], str) and before[-1][-1] not in _UID_CHARACTERS)
    endsFree = _isLiteral(after) or (isinstance(after[0], str) and after[0][0] not in _UID_CHARACTERS)
    return startsFree and endsFree and (_isLiteral(before) or _isLiteral(after))


def _isLiteral(pieces: tuple[str | _Field, ...]) -> bool:
    return all(isinstance(piece, str) for piece in pieces)


def _check(part: str, pieces: tuple[str | _Field, ...]) -> None:
    """Check that whatever a part of a template becomes is a file name."""
    literals = "".join(piece for piece in pieces if isinstance(piece, str))
    length = len(literals.encode("utf-8", "surrogateescape"))
    length += sum(piece.maximumLength for piece in pieces if isinstance(piece, _Field))
    if not pieces:
        raise TemplateError("has an empty part")
    if isinstance(pieces[0], str) and pieces[0][0] in ".-":
        raise TemplateError(f"has a part that begins with {pieces[0][0]!r}: {part!r}")
    if not literals.isprintable():
        raise TemplateError(f"has a character that cannot be printed, in {part!r}")
    if length > _MAXIMUM_PART:
        raise TemplateError(
            f"has a part of up to {length} bytes, and {_MAXIMUM_PART} are possible, "
            f"{_MAXIMUM_VALUE} of each field: {part!r}"
        )
