"""The AE titles of a configuration file, each with its own store, its own guests and its own hooks: `makeTitles`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from twisted.internet.interfaces import IReactorTime

from txdicom.dimse.entity import ApplicationEntity
from txdicom.storage.filestore import FileStore
from txdicom.storage.filestores import FileStores
from txdicom.storescp.assembly import makeAdmission, makeAnnouncer, makeFileStore, makeProviders, makeStore
from txdicom.storescp.hooks.announcer import Announcer
from txdicom.storescp.hooks.announcers import Announcers
from txdicom.storescp.options.groups.hooks import HOOKS

__all__ = ["Titles", "makeTitles"]


class Titles(NamedTuple):
    """
    What there is for the AE titles.

    :ivar entities: what each of them offers.
    :ivar files: the stores to open and to close; those of everybody too.
    :ivar announcer: what to stop; that of everybody too.
    """

    entities: Mapping[str, ApplicationEntity]
    files: FileStore | FileStores | None
    announcer: Announcer | Announcers | None


def makeTitles(
    options: Mapping[str, Any], reactor: Any, files: FileStore | None, announcer: Announcer | None
) -> Titles:
    """
    Build what the options say of AE titles.

    :param files: the store of everybody.
    :param announcer: that of everybody; it is for the titles too that say nothing of hooks.
    :raises OSError: one of the stores cannot work with its directory.
    :raises ValueError: a plugin cannot be used.
    """
    if not options["titles"]:
        return Titles({}, files, announcer)
    entities = {}
    stores = [] if files is None else [files]
    announcers = [] if announcer is None else [announcer]
    for title, own in options["titles"].items():
        ownFiles = None if own["ignore"] else makeFileStore(own, reactor)
        if ownFiles is not None:
            stores.append(ownFiles)
        ownAnnouncer = announcer
        if any(own[option.key] != options[option.key] for option in HOOKS.options):
            ownAnnouncer = makeAnnouncer(own, reactor)
            if ownAnnouncer is not None:
                announcers.append(ownAnnouncer)
        store = makeStore(own, ownFiles, IReactorTime(reactor), ownAnnouncer)
        entities[title] = ApplicationEntity(makeProviders(own, store), makeAdmission(own))
    return Titles(entities, FileStores(stores), Announcers(announcers))
