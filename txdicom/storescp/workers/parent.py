"""The parent as a service: `WorkersService` listens, and has workers serve what comes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.storage.filestore import FileStore
from txdicom.storage.filestores import FileStores
from txdicom.storescp.hooks.announcer import Announcer
from txdicom.storescp.hooks.announcers import Announcers
from txdicom.storescp.service import ListeningService, StartError, hurried
from txdicom.storescp.workers.accepting import SharedEndpoints
from txdicom.storescp.workers.channel import Answers
from txdicom.storescp.workers.crew import Crew
from txdicom.storescp.workers.run import Spawn
from txdicom.tls.settings import TLSError

__all__ = ["WorkersService"]


class WorkersService(ListeningService):
    """
    Listens on endpoints, and has workers serve what comes.

    :param descriptions: endpoint strings (`twisted.internet.endpoints.serverFromString`).
    :param files: what every worker makes for itself; with this one it is found out whether it can be used.
    :param options: those of storescp, parsed and checked.
    :param directory: where the command line was given.
    :param arguments: the command line, which each worker reads anew.
    :param answers: gives who answers a worker's questions.
    :param spawn: starts a process.
    :param prepareTLS: what each worker does to have TLS; None without TLS. It raises `TLSError`.
    :param announcer: what tells commands and plugins of what workers receive, in the end of what is left to be told.
    """

    _crew: Crew

    def __init__(
        self,
        reactor: Any,
        descriptions: Sequence[str],
        files: FileStore | FileStores | None,
        options: Mapping[str, Any],
        directory: str,
        arguments: Sequence[str],
        answers: Answers,
        spawn: Spawn,
        prepareTLS: Callable[[], object] | None = None,
        announcer: Announcer | Announcers | None = None,
    ) -> None:
        self._shared = SharedEndpoints(reactor, lambda endpoint, connection: self._crew.give(endpoint, connection))
        # Nothing is asked of this factory: what it would serve is handed over before.
        factory = AcceptorFactory([], clock=reactor)
        # There is nothing else that workers read again.
        reload = None if prepareTLS is None else lambda: self._crew.reload()
        super().__init__(self._shared, descriptions, factory, files, reload)
        self._descriptions = descriptions
        self._announcer = announcer
        self._prepareTLS = prepareTLS
        self._grace = options["grace-period"]
        self._crew = Crew(reactor, spawn, options, directory, arguments, answers, self._shared.open)

    def startService(self) -> None:
        """
        Listen, see whether the store can be used, and start the workers.

        :raises StartError: that is not possible.
        """
        super().startService()
        if self._files is not None:
            self._files.close()
        if self._shared.count != len(self._descriptions):
            raise StartError("one of the endpoints is of a kind that workers cannot share", sys.__stderr__)
        try:
            # Whoever started this could read the files; now it is what the workers are.
            if self._prepareTLS is not None:
                self._prepareTLS()
        except TLSError as error:
            raise StartError(f"the workers cannot have TLS: {error}", sys.__stderr__) from error
        self._crew.start()

    async def _stop(self) -> None:
        with hurried(self._reactor, self._hurry):
            await self._crew.stop(self._grace)
            await self._stopListening()
            if self._announcer is not None:
                await self._announcer.stop(self._grace)

    def _hurry(self) -> None:
        self._crew.hurry()
        if self._announcer is not None:
            self._announcer.abandon()

    def stopService(self) -> Deferred[Any]:
        """
        Stop all workers, as a receiver that is one process stops; listen until the last of them has ended.

        Then studies are taken for ended, and commands and plugins get as much time for what they have not done. A
        further SIGTERM or SIGINT meanwhile ends either period.
        """
        return Deferred.fromCoroutine(self._stop())
