"""The parent as a service: `WorkersService` listens, and has workers serve what comes."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocolFactory

from txdicom.storage.filestore import FileStore
from txdicom.storescp.service import ListeningService, StartError, hurried
from txdicom.storescp.workers.accepting import SharedEndpoints
from txdicom.storescp.workers.channel import Answer
from txdicom.storescp.workers.crew import Crew
from txdicom.storescp.workers.run import Spawn

__all__ = ["WorkersService"]


class WorkersService(ListeningService):
    """
    Listens on endpoints, and has workers serve what comes.

    :param descriptions: endpoint strings (`twisted.internet.endpoints.serverFromString`).
    :param factory: what every worker makes for itself; nothing is asked of this one.
    :param files: what every worker makes for itself; with this one it is found out whether it can be used.
    :param options: those of storescp, parsed and checked.
    :param directory: where the command line was given.
    :param arguments: the command line, which each worker reads anew.
    :param answers: who answers the workers' questions, by their subject.
    :param spawn: starts a process.
    :param reloads: whether SIGHUP means anything to workers.
    """

    def __init__(
        self,
        reactor: Any,
        descriptions: Sequence[str],
        factory: IProtocolFactory,
        files: FileStore | None,
        options: Mapping[str, Any],
        directory: str,
        arguments: Sequence[str],
        answers: Mapping[str, Answer],
        spawn: Spawn,
        reloads: bool = False,
    ) -> None:
        self._shared = SharedEndpoints(reactor, lambda endpoint, connection: self._crew.give(endpoint, connection))
        super().__init__(self._shared, descriptions, factory, files, (lambda: self._crew.reload()) if reloads else None)
        self._descriptions = descriptions
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
        self._crew.start()

    async def _stop(self) -> None:
        with hurried(self._reactor, self._crew.hurry):
            await self._crew.stop(self._grace)
            await self._stopListening()

    def stopService(self) -> Deferred[Any]:
        """
        Stop all workers, as a receiver that is one process stops; listen until the last of them has ended.

        A further SIGTERM or SIGINT meanwhile ends the grace period.
        """
        return Deferred.fromCoroutine(self._stop())
