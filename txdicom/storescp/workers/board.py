"""
Numbers that a parent and its workers share: `Board`, and the limits that are checked with it, `SharedLimits`.

Theory of operation. The board is memory that all of them have mapped. Each worker has a part of it, which it alone
writes, so there is no lock that a stopped or killed process could hold, and what a killed worker has counted is not
lost. A part is some counters (`Field`), then a dense list of the peers that the worker's associations are with, as
digests of their addresses. A worker that admits an association first writes it down and then looks at all parts: of two
that come at once each sees the other, and so there is never one too many. At the very edge both may be refused.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from enum import IntEnum
from hashlib import blake2b
from threading import Lock
from typing import TYPE_CHECKING

from txdicom.errors import RejectReason, RejectResult
from txdicom.upperlayer.pdu import AAssociateRJ, AAssociateRQ

if TYPE_CHECKING:
    from txdicom.dimse.association import Association

__all__ = ["Board", "Field", "Part", "SharedLimits", "roomForPeers"]

#: Bytes of a number.
_SIZE = 8
#: A worker whose associations are limited by address only has at most so many.
_MOST_PEERS = 65536


class Field(IntEnum):
    """What a worker counts; all but `PRESENT` and `BEAT` only grow."""

    #: Connections that are over.
    ENDED = 0
    #: Associations that there are.
    PRESENT = 1
    #: Associations there have been.
    ASSOCIATIONS = 2
    #: C-STORE requests that were answered with success or a warning.
    STORED = 3
    #: C-STORE requests that were answered with a failure.
    FAILED = 4
    #: When the worker last had time to say so, in seconds of the system's monotonic clock.
    BEAT = 5


class Board:
    """
    Shared numbers.

    :param descriptor: of what `create` has made, here or in the parent; it may be closed afterwards.
    :param workers: how many parts there are.
    :param peers: of how many associations at once a worker can write down whom they are with.
    """

    def __init__(self, descriptor: int, workers: int, peers: int = 0) -> None:
        self._length = len(Field) + peers
        self._memory = mmap.mmap(descriptor, workers * self._length * _SIZE)
        self._numbers = memoryview(self._memory).cast("Q")
        self._workers = workers

    @staticmethod
    def create(workers: int, peers: int = 0) -> int:
        """Make the memory, all zeros, and return its descriptor; only Linux has what this needs."""
        descriptor = os.memfd_create("storescp")
        os.ftruncate(descriptor, workers * (len(Field) + peers) * _SIZE)
        return descriptor

    def part(self, worker: int) -> Part:
        """
        Return the part of a worker.

        :param worker: from 0.
        """
        start = worker * self._length
        return Part(self._numbers[start : start + self._length])

    def parts(self) -> Iterator[Part]:
        """Return the parts of all workers."""
        return map(self.part, range(self._workers))


class Part:
    """
    What one worker has counted.

    :param numbers: its part of the board.
    """

    __slots__ = ("_numbers", "_peers")

    def __init__(self, numbers: memoryview) -> None:
        self._numbers = numbers
        self._peers = numbers[len(Field) :]

    def __getitem__(self, field: Field) -> int:
        number: int = self._numbers[field]
        return number

    def __setitem__(self, field: Field, number: int) -> None:
        self._numbers[field] = number

    @property
    def isFull(self) -> bool:
        """Whether there is no room for one more peer."""
        return self[Field.PRESENT] >= len(self._peers)

    def add(self, peer: int) -> None:
        """
        Write an association down.

        :param peer: whom it is with; 0 if that does not matter, and there need not be room for it.
        """
        present = self[Field.PRESENT]
        if peer:
            self._peers[present] = peer
        self[Field.PRESENT] = present + 1

    def remove(self, peer: int) -> None:
        """Cross an association out, given what `add` was given."""
        last = self[Field.PRESENT] - 1
        if peer:
            # The last one is there twice for a moment, but never not at all.
            self._peers[self._peers[: last + 1].tolist().index(peer)] = self._peers[last]
        self[Field.PRESENT] = last

    def count(self, peer: int) -> int:
        """Count the associations with one peer."""
        return self._peers[: self[Field.PRESENT]].tolist().count(peer)

    def clear(self) -> None:
        """Begin anew, for a worker that takes the place of one that is gone."""
        for field in Field:
            self[field] = 0


class SharedLimits:
    """
    Refuses associations when all workers together have as many as they may: an `Admission`, to be asked last.

    :param board: of which one part is written.
    :param worker: which one.
    :param most: associations at once; 0 for no limit.
    :param mostPerPeer: those of them with one address; 0 for no limit.
    """

    def __init__(self, board: Board, worker: int, most: int, mostPerPeer: int) -> None:
        self._own = board.part(worker)
        self._parts = list(board.parts())
        self._most = most
        self._mostPerPeer = mostPerPeer
        self._fence = Lock()

    def __call__(self, association: Association, request: AAssociateRQ) -> AAssociateRJ | None:
        """Write the association down; if that makes one too many, cross it out and refuse it."""
        peer = _digest(str(getattr(association.peer, "host", ""))) if self._mostPerPeer else 0
        if peer and self._own.isFull:
            return _refusal()
        self._own.add(peer)
        # A processor may show others late what it has written. Whatever locks makes sure that it is seen.
        with self._fence:
            isTooMany = self._isTooMany(peer)
        if isTooMany:
            self._own.remove(peer)
            return _refusal()
        association.whenEnded().addCallback(lambda _: self._own.remove(peer))
        return None

    def _isTooMany(self, peer: int) -> bool:
        if 0 < self._most < sum(part[Field.PRESENT] for part in self._parts):
            return True
        return bool(peer) and self._mostPerPeer < sum(part.count(peer) for part in self._parts)


def roomForPeers(most: int, mostPerPeer: int) -> int:
    """Return for how many peers a worker needs room on the board, given the limits."""
    return (most or _MOST_PEERS) if mostPerPeer else 0


def _refusal() -> AAssociateRJ:
    return AAssociateRJ.of(RejectResult.TRANSIENT, RejectReason.LOCAL_LIMIT_EXCEEDED)


def _digest(host: str) -> int:
    """Make a number of an address, never 0; two addresses with the same one would share a limit."""
    return int.from_bytes(blake2b(host.encode("utf-8", "replace"), digest_size=_SIZE).digest(), "big") or 1
