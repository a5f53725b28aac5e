"""
Sends many files over several associations, and tries again what failed: `Sending`.

Theory of operation. The beginning of every file is read first, to know what has to be proposed. What does not fit into
the presentation contexts of one association is sent in several rounds. In each of them so many associations take files
from one queue. A file whose association is lost, or for which the peer lacked resources, goes back to its end, for as
often as is allowed; what the peer refuses for good is not tried again.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.task import deferLater

from txdicom.cli.outcomes import Kind, Outcome
from txdicom.cli.reporting import sentence
from txdicom.dimse.commands import CStoreRSP
from txdicom.dimse.status import StatusCategory, category, describe
from txdicom.errors import AssociationRejected, LocalProtocolError, RejectResult, SourceError
from txdicom.requestor.association import RequestorAssociation
from txdicom.requestor.connecting import connect
from txdicom.requestor.proposing import Proposal, proposalsFor
from txdicom.services.instances import Identity, identify
from txdicom.storage.disk import Disk

__all__ = ["NO_DICOM", "Sending"]

_T = TypeVar("_T")

#: What is said of files that are something else altogether.
NO_DICOM = "it is no DICOM file"

#: How many files are looked at in one turn of a thread.
_AT_ONCE = 100
#: How many files an association is given at once: one is on its way, and the next is at hand.
_DEPTH = 2


@dataclass
class _File:
    """A file that is to be sent, and how often that has been tried."""

    path: str
    identity: Identity
    size: int
    attempts: int = 0


class Sending:
    """
    Sends files to one peer.

    :param endpoint: makes an endpoint for each connection.
    :param disk: waits for files.
    :param clock: the delays run on it.
    :param associations: how many there are at once.
    :param retries: how often a file, or a connection, is tried again.
    :param retryDelay: how long is waited before that, in seconds.
    :param titles: called and calling AE title.
    :param done: called for each file when it has been dealt with.
    :ivar stopped: whether `stop` was called.
    """

    def __init__(
        self,
        endpoint: Callable[[], IStreamClientEndpoint],
        disk: Disk,
        clock: IReactorTime,
        *,
        associations: int = 1,
        retries: int = 0,
        retryDelay: float = 1.0,
        titles: tuple[str, str] = ("ANY-SCP", "TXDICOM"),
        done: Callable[[Outcome], None] = lambda _: None,
    ) -> None:
        self._endpoint = endpoint
        self._disk = disk
        self._clock = clock
        self._associations = associations
        self._retries = retries
        self._retryDelay = retryDelay
        self._titles = titles
        self._done = done
        self._outcomes: list[Outcome] = []
        self._queue: deque[_File] = deque()
        self._workers = 0
        self._waiting: set[Deferred[Any]] = set()
        self.stopped = False

    async def send(self, paths: Sequence[str]) -> list[Outcome]:
        """Send files, and return what became of each of them."""
        files = await self._lookAtAll(paths)
        for proposal in proposalsFor(file.identity for file in files):
            sopClasses = {sopClassUID for sopClassUID, _ in proposal}
            self._queue.extend(file for file in files if file.identity.sopClassUID in sopClasses)
            self._workers = min(self._associations, len(self._queue))
            await gatherResults([Deferred.fromCoroutine(self._work(proposal)) for _ in range(self._workers)])
        self._giveUp("interrupted")
        return self._outcomes

    def stop(self) -> None:
        """Send no more: what has not been answered now is unsent."""
        self.stopped = True
        for waiting in [*self._waiting]:
            waiting.cancel()

    async def _lookAtAll(self, paths: Sequence[str]) -> list[_File]:
        files: list[_File] = []
        for start in range(0, len(paths), _AT_ONCE):
            some = paths[start : start + _AT_ONCE]
            for path, known in zip(some, await self._disk.inThread(partial(_lookAt, some)), strict=True):
                if isinstance(known, _File):
                    files.append(known)
                else:
                    self._finish(Outcome(path, Kind.FAILED, known))
        return files

    def _finish(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)
        self._done(outcome)

    async def _work(self, proposal: list[Proposal]) -> None:
        """Send what is in the queue over one association after the other."""
        failures = 0
        called, calling = self._titles
        while self._queue and not self.stopped:
            try:
                association = await self._stoppable(
                    connect(
                        self._endpoint(),
                        proposal,
                        calledAETitle=called,
                        callingAETitle=calling,
                        clock=self._clock,
                        disk=self._disk,
                    )
                )
            except Exception as error:
                failures += 1
                if failures > self._retries or _isForGood(error):
                    self._fail(error)
                    return
            else:
                failures = 0
                underway: list[_File] = []
                feeding = [Deferred.fromCoroutine(self._feed(association, underway)) for _ in range(_DEPTH)]
                await gatherResults(feeding)
                if association.endReason is None:
                    await association.release()
            if self._queue and not self.stopped:
                with suppress(CancelledError):
                    await self._stoppable(deferLater(self._clock, self._retryDelay))

    async def _stoppable(self, waiting: Deferred[_T]) -> _T:
        self._waiting.add(waiting)
        try:
            return await waiting
        finally:
            self._waiting.discard(waiting)

    def _fail(self, error: Exception) -> None:
        """This association cannot be had; if none can, nothing more is sent."""
        self._workers -= 1
        if not self._workers and not self.stopped:
            self._giveUp(sentence(error))

    def _giveUp(self, why: str) -> None:
        while self._queue:
            self._finish(Outcome(self._queue.popleft().path, Kind.UNSENT, why))

    async def _feed(self, association: RequestorAssociation, underway: list[_File]) -> None:
        """
        Send one file after the other while the association is there.

        :param underway: what has been given to it and is not answered, the first being with the peer. If the
            association is lost, it is that file's fault; the other has only waited for its turn.
        """
        while self._queue and association.endReason is None and not self.stopped:
            file = self._queue.popleft()
            underway.append(file)
            try:
                response = await self._stoppable(association.store(file.path))
            except (SourceError, LocalProtocolError) as error:
                underway.remove(file)
                self._finish(Outcome(file.path, Kind.FAILED, str(error)))
            except Exception as error:
                file.attempts += file is underway[0]
                self._retryOr(file, sentence(error))
            else:
                underway.remove(file)
                file.attempts += 1
                self._answered(file, response)

    def _answered(self, file: _File, response: CStoreRSP) -> None:
        status = response.status
        what = f"0x{status:04X} {describe(status)}"
        if category(status) in (StatusCategory.SUCCESS, StatusCategory.WARNING):
            self._finish(Outcome(file.path, Kind.STORED, what, file.size))
        elif status >> 8 == _OUT_OF_RESOURCES:
            self._retryOr(file, what, response.errorComment)
        else:
            self._finish(Outcome(file.path, Kind.FAILED, what, comment=response.errorComment))

    def _retryOr(self, file: _File, what: str, comment: str = "") -> None:
        if self.stopped or file.attempts <= self._retries:
            self._queue.append(file)
        else:
            self._finish(Outcome(file.path, Kind.FAILED, what, comment=comment))


#: The first byte of the statuses that may be better next time (PS3.4 Table B.2-1).
_OUT_OF_RESOURCES = 0xA7


def _isForGood(error: Exception) -> bool:
    return isinstance(error, AssociationRejected) and error.result == RejectResult.PERMANENT


def _lookAt(paths: Iterable[str]) -> list[_File | str]:
    """Look at some files; return what there is to be sent, or why it cannot be."""
    looked: list[_File | str] = []
    for path in paths:
        try:
            status = os.stat(path)
            if not stat.S_ISREG(status.st_mode):
                # To open a pipe might take for ever.
                looked.append("it is no regular file")
            else:
                looked.append(_File(path, identify(path), status.st_size))
        except SourceError as error:
            looked.append(str(error) if _isMarked(path) else NO_DICOM)
        except OSError as error:
            looked.append(error.strerror or str(error))
    return looked


def _isMarked(path: str) -> bool:
    """Say whether a file has the marks of PS3.10; it may still be an instance if it has not."""
    try:
        with open(path, "rb") as file:
            return file.read(132).endswith(b"DICM")
    except OSError:
        # What is wrong then is known already.
        return True
