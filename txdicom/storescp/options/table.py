"""The table of all options: the groups, in the order in which they are shown. A new group is a line here."""

from __future__ import annotations

from txdicom.storescp.options.groups.admission import ADMISSION
from txdicom.storescp.options.groups.configuration import CONFIGURATION
from txdicom.storescp.options.groups.dcmtk import ALWAYS, REFUSED
from txdicom.storescp.options.groups.faults import FAULTS
from txdicom.storescp.options.groups.forms import FORMS
from txdicom.storescp.options.groups.general import GENERAL
from txdicom.storescp.options.groups.hooks import HOOKS
from txdicom.storescp.options.groups.limits import LIMITS
from txdicom.storescp.options.groups.listening import LISTENING
from txdicom.storescp.options.groups.log import LOG
from txdicom.storescp.options.groups.names import NAMES
from txdicom.storescp.options.groups.negotiation import NEGOTIATION
from txdicom.storescp.options.groups.output import OUTPUT
from txdicom.storescp.options.groups.tls import TLS
from txdicom.storescp.options.option import Group, Option, Refused

__all__ = ["BY_SPELLING", "GROUPS", "OPTIONS"]

GROUPS: tuple[Group, ...] = (
    GENERAL,
    CONFIGURATION,
    LOG,
    LISTENING,
    ADMISSION,
    NEGOTIATION,
    TLS,
    OUTPUT,
    NAMES,
    FORMS,
    HOOKS,
    LIMITS,
    FAULTS,
    ALWAYS,
)

#: Every option that is offered, by its long name.
OPTIONS: dict[str, Option] = {option.name: option for group in GROUPS for option in group.options}

_ALL: tuple[Option | Refused, ...] = (*REFUSED, *OPTIONS.values())

#: Every option, and every one that is refused, by each of its spellings.
BY_SPELLING: dict[str, Option | Refused] = {
    spelling: option for option in _ALL for spelling in (f"--{option.name}", *option.short)
}
