"""
The statuses that a response carries in Status (0000,0900), and what kind of outcome each one is (PS3.7 Annex C).

`Status` names the codes that every DIMSE service shares and those of the Storage service class. Any other number may
come from a peer, so `category` and `describe` take plain integers and have an answer for every one of them.
"""

from __future__ import annotations

from enum import Enum, IntEnum

__all__ = ["Status", "StatusCategory", "category", "describe"]


class Status(IntEnum):
    """Values of Status (0000,0900) that this library knows by name (PS3.7 Annex C, PS3.4 Table B.2-1)."""

    #: The operation was done (PS3.7 C.1).
    SUCCESS = 0x0000
    #: The operation was done, but something is worth a look (PS3.7 C.4).
    WARNING = 0x0001
    #: An attribute that was asked for is not one of this SOP instance (PS3.7 C.5).
    NO_SUCH_ATTRIBUTE = 0x0105
    #: An attribute has a value that it may not have (PS3.7 C.5).
    INVALID_ATTRIBUTE_VALUE = 0x0106
    #: Done, but some of the attributes were not recognized (PS3.7 C.4).
    ATTRIBUTE_LIST_ERROR = 0x0107
    #: Something went wrong while the operation was under way (PS3.7 C.5).
    PROCESSING_FAILURE = 0x0110
    #: The instance to be created is there already (PS3.7 C.5).
    DUPLICATE_SOP_INSTANCE = 0x0111
    #: There is no such instance here (PS3.7 C.5).
    NO_SUCH_SOP_INSTANCE = 0x0112
    #: The SOP class has no such event (PS3.7 C.5).
    NO_SUCH_EVENT_TYPE = 0x0113
    #: The event or action takes no such argument (PS3.7 C.5).
    NO_SUCH_ARGUMENT = 0x0114
    #: An argument of the event or action is out of its range (PS3.7 C.5).
    INVALID_ARGUMENT_VALUE = 0x0115
    #: Done, but a value was outside of what is supported (PS3.7 C.4).
    ATTRIBUTE_VALUE_OUT_OF_RANGE = 0x0116
    #: The SOP instance UID breaks the rules for UIDs (PS3.7 C.5).
    INVALID_SOP_INSTANCE = 0x0117
    #: The SOP class is not known here (PS3.7 C.5).
    NO_SUCH_SOP_CLASS = 0x0118
    #: The instance is there, but of another SOP class (PS3.7 C.5).
    CLASS_INSTANCE_CONFLICT = 0x0119
    #: An attribute that has to be there is not (PS3.7 C.5).
    MISSING_ATTRIBUTE = 0x0120
    #: An attribute that has to have a value has none (PS3.7 C.5).
    MISSING_ATTRIBUTE_VALUE = 0x0121
    #: The SOP class is not served on this association (PS3.7 C.5).
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    #: The SOP class has no such action (PS3.7 C.5).
    NO_SUCH_ACTION_TYPE = 0x0123
    #: The peer may not do this (PS3.7 C.5).
    NOT_AUTHORIZED = 0x0124
    #: The Message ID is in use by an operation that still runs (PS3.7 C.5).
    DUPLICATE_INVOCATION = 0x0210
    #: The operation is not one that is served here (PS3.7 C.5).
    UNRECOGNIZED_OPERATION = 0x0211
    #: A parameter of the request was not agreed on, or is not for this use (PS3.7 C.5).
    MISTYPED_ARGUMENT = 0x0212
    #: Something that the operation needs has run out (PS3.7 C.5).
    RESOURCE_LIMITATION = 0x0213
    #: The instance cannot be kept: no space, or no way to write (PS3.4 B.2.3; all of 0xA7xx).
    OUT_OF_RESOURCES = 0xA700
    #: The instance is not what the request said it is (PS3.4 B.2.3; all of 0xA9xx).
    DATA_SET_DOES_NOT_MATCH_SOP_CLASS = 0xA900
    #: Stored, with some values changed (PS3.4 B.2.3).
    COERCION_OF_DATA_ELEMENTS = 0xB000
    #: Stored, with some elements left out (PS3.4 B.2.3).
    ELEMENTS_DISCARDED = 0xB006
    #: Stored, although the instance is not what the request said it is (PS3.4 B.2.3).
    DATA_SET_DOES_NOT_MATCH_SOP_CLASS_WARNING = 0xB007
    #: The data set cannot be read (PS3.4 B.2.3; all of 0xCxxx).
    CANNOT_UNDERSTAND = 0xC000
    #: The operation ended early because its requester asked for that (PS3.7 C.3).
    CANCEL = 0xFE00
    #: More responses follow (PS3.7 C.2).
    PENDING = 0xFF00
    #: More responses follow, and not every optional key was taken into account (PS3.7 C.2).
    PENDING_WARNING = 0xFF01


class StatusCategory(Enum):
    """The five kinds of outcome (PS3.7 Annex C)."""

    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"
    CANCEL = "cancel"
    PENDING = "pending"


# What is neither here nor 0xBxxx is a failure.
_CATEGORIES: dict[int, StatusCategory] = {
    Status.SUCCESS: StatusCategory.SUCCESS,
    Status.WARNING: StatusCategory.WARNING,
    Status.ATTRIBUTE_LIST_ERROR: StatusCategory.WARNING,
    Status.ATTRIBUTE_VALUE_OUT_OF_RANGE: StatusCategory.WARNING,
    Status.CANCEL: StatusCategory.CANCEL,
    Status.PENDING: StatusCategory.PENDING,
    Status.PENDING_WARNING: StatusCategory.PENDING,
}

# The few that need other words than their names.
_WORDINGS: dict[int, str] = {
    # Of Query/Retrieve alone (PS3.4 C.4.2.1.5).
    0xA801: "move destination unknown",
    Status.INVALID_SOP_INSTANCE: "invalid SOP instance UID",
    Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS_WARNING: "data set does not match SOP class",
    Status.PENDING_WARNING: "pending, optional keys not supported",
}

# First byte of the code -> wording, for the codes that have no name of their own.
_RANGES: dict[int, str] = {
    0xA7: "out of resources",
    0xA9: "data set does not match SOP class",
    **dict.fromkeys(range(0xB0, 0xC0), "warning"),
    **dict.fromkeys(range(0xC0, 0xD0), "cannot understand"),
}


def category(status: int) -> StatusCategory:
    """
    Tell what kind of outcome a status is.

    :param status: any integer; one that PS3.7 Annex C does not place is a failure, so that no caller takes an unknown
        answer for consent.
    """
    known = _CATEGORIES.get(status)
    if known is not None:
        return known
    return StatusCategory.WARNING if 0xB000 <= status <= 0xBFFF else StatusCategory.FAILURE


def describe(status: int) -> str:
    """
    Give a short wording for a status, for log lines and error messages.

    :param status: any integer; the code itself is not part of the wording.
    """
    wording = _WORDINGS.get(status)
    if wording is not None:
        return wording
    try:
        return Status(status).name.lower().replace("_", " ").replace("sop", "SOP")
    except ValueError:
        return _RANGES.get(status >> 8, "unknown failure")
