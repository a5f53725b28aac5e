"""``--exec-on-reception`` and ``--exec-on-eostudy`` as a plugin: `CommandPlugin`."""

from __future__ import annotations

import json
import os
from typing import Any

from zope.interface import implementer

from txdicom.dimse.status import Status
from txdicom.errors import DIMSEError
from txdicom.interfaces import IReceiverPlugin
from txdicom.storescp.hooks.commandline import CommandLine
from txdicom.storescp.hooks.events import Event, InstanceStored, StudyEnded
from txdicom.storescp.hooks.process import run

__all__ = ["CommandPlugin"]


@implementer(IReceiverPlugin)
class CommandPlugin:
    """
    Runs a command for every instance, every study, or both; it has the event as JSON on its standard input.

    :param reactor: runs processes.
    """

    def __init__(
        self, reactor: Any, onReception: CommandLine | None = None, onEndOfStudy: CommandLine | None = None
    ) -> None:
        self._reactor = reactor
        self._onReception = onReception
        self._onEndOfStudy = onEndOfStudy

    async def instanceStored(self, event: InstanceStored) -> None:
        """
        Run the command for instances.

        :raises DIMSEError: 0xA700, it could not be run, or did not end with status 0.
        """
        if self._onReception is not None:
            await self._run(self._onReception, event, os.path.basename(event.path or ""))

    async def studyEnded(self, event: StudyEnded) -> None:
        """
        Run the command for studies.

        :raises DIMSEError: likewise.
        """
        if self._onEndOfStudy is not None:
            await self._run(self._onEndOfStudy, event, "")

    async def _run(self, command: CommandLine, event: Event, fileName: str) -> None:
        values = {
            "p": event.directory or "",
            "f": fileName,
            "a": event.callingAETitle,
            "c": event.calledAETitle,
            "r": event.peer,
        }
        try:
            status = await run(self._reactor, command.arguments(values), json.dumps(event.describe()).encode("ascii"))
        except OSError as error:
            raise DIMSEError(Status.OUT_OF_RESOURCES, f"the command cannot be run: {error.strerror}") from error
        if status:
            raise DIMSEError(Status.OUT_OF_RESOURCES, f"the command failed with status {status}")

    def __repr__(self) -> str:
        return "the command"
