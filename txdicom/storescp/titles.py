"""
What there is for each AE title: its own store, its own guests and its own hooks.

`makePart` builds that for one title of a configuration file, or for everybody else; `makeTitles` all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.internet.interfaces import IReactorTime

from txdicom.dimse.entity import ApplicationEntity
from txdicom.interfaces import IServiceProvider
from txdicom.storage.filestore import FileStore
from txdicom.storage.filestores import FileStores
from txdicom.storage.naming import NameOf
from txdicom.storage.sorting import StudyDirectories
from txdicom.storescp.assembly import (
    hasHooks,
    makeAdmission,
    makeAnnouncer,
    makeConfiguration,
    makeFileStore,
    makeProviders,
    makeStore,
)
from txdicom.storescp.faults.plan import FaultPlan
from txdicom.storescp.files import makeBeginning, makeNaming
from txdicom.storescp.hooks.announcer import Announcer
from txdicom.storescp.hooks.announcers import Announcers
from txdicom.storescp.hooks.locks import FileLocks
from txdicom.storescp.options.groups.hooks import HOOKS

if TYPE_CHECKING:
    from txdicom.storescp.workers.announcing import DistantAnnouncer
    from txdicom.storescp.workers.channel import Answers
    from txdicom.storescp.workers.share import Questions, Share

__all__ = ["Part", "Titles", "makeAnswers", "makePart", "makeTitles"]


class Part(NamedTuple):
    """
    What there is for one AE title, or for everybody who asks for none that is named.

    :ivar files: the store; None if nothing is kept.
    :ivar announcer: is told of what is stored; it may be that of everybody.
    :ivar directories: those that are called by time; None if there are none.
    """

    providers: list[IServiceProvider]
    files: FileStore | None
    announcer: Announcer | DistantAnnouncer | None
    directories: NameOf | None


class Titles(NamedTuple):
    """
    What there is for all AE titles.

    :ivar parts: by title; that of everybody has an empty one.
    :ivar entities: what each named title offers.
    :ivar files: the stores to open and to close.
    :ivar announcer: what to stop.
    """

    parts: Mapping[str, Part]
    entities: Mapping[str, ApplicationEntity]
    files: FileStore | FileStores | None
    announcer: Announcer | Announcers | None


def makePart(
    options: Mapping[str, Any],
    reactor: Any,
    locks: FileLocks,
    questions: Questions | None = None,
    announcer: Announcer | DistantAnnouncer | None = None,
) -> Part:
    """
    Build what there is for one AE title, or for everybody.

    :param options: those for it.
    :param locks: shared by all titles, for they may share an output directory.
    :param questions: how to ask the parent, for one of several workers.
    :param announcer: one that is there already; None makes one, if one is needed.
    :raises OSError: the store cannot work with its directory.
    :raises ValueError: a plugin cannot be used.
    """
    if announcer is None and hasHooks(options):
        announcer = makeAnnouncer(options, reactor, locks) if questions is None else questions.announcer()
    directories = _makeDirectories(options, questions)
    if isinstance(announcer, Announcer) and isinstance(directories, StudyDirectories):
        announcer.whenStudyEnds.append(directories.forget)
    naming = makeNaming(options, directories)
    files = None if options["ignore"] else makeFileStore(options, reactor, naming)
    placed = files if questions is None else questions.placed(files, directories)
    store = makeStore(options, placed, IReactorTime(reactor), announcer, questions)
    return Part(makeProviders(options, store, naming.wanted), files, announcer, directories)


def _makeDirectories(options: Mapping[str, Any], questions: Questions | None) -> NameOf | None:
    beginning = makeBeginning(options)
    if beginning is None:
        return None
    return StudyDirectories(beginning) if questions is None else questions.directories(beginning)


def makeTitles(options: Mapping[str, Any], reactor: Any, share: Share | None = None) -> Titles:
    """
    Build what there is for everybody, and what the options say of AE titles.

    :param share: what the receiver has in common with others, if it is one of several workers.
    :raises OSError: one of the stores cannot work with its directory.
    :raises ValueError: a plugin cannot be used.
    """
    locks = FileLocks()
    everybody = makePart(options, reactor, locks, None if share is None else share.questions())
    parts, entities = {"": everybody}, {}
    for title, own in options["titles"].items():
        # One that says nothing of hooks has those of everybody.
        isOther = any(own[option.key] != options[option.key] for option in HOOKS.options)
        questions = None if share is None else share.questions(title)
        parts[title] = part = makePart(own, reactor, locks, questions, None if isOther else everybody.announcer)
        admission = makeAdmission(own)
        if share is not None:
            admission = share.admission(admission, makeConfiguration(options))
        entities[title] = ApplicationEntity(part.providers, admission)
    stores = [part.files for part in parts.values() if part.files is not None]
    announcers = {part.announcer: None for part in parts.values() if isinstance(part.announcer, Announcer)}
    return Titles(
        parts,
        entities,
        FileStores(stores) if entities else everybody.files,
        Announcers(announcers) if announcers else None,
    )


def makeAnswers(options: Mapping[str, Any], titles: Titles) -> Answers:
    """Say who answers what workers ask their parent: what is decided in one place for all of them."""
    # Imported this late because one process needs nothing of it.
    from txdicom.storescp.workers.decisions import Decisions, answersOf

    decisions = []
    for title, part in titles.parts.items():
        own = options["titles"].get(title, options)
        directories = part.directories if isinstance(part.directories, StudyDirectories) else None
        decisions.append(Decisions(title, FaultPlan(own["faults"]), part.announcer, directories))
    return answersOf(decisions)
