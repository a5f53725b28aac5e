"""Tests of `txdicom.storescp.workers.board`: numbers that processes share, and limits that are checked with them."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

import os
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from txdicom.storescp.workers.board import Board, Field, SharedLimits, roomForPeers
from txdicom.testing import associateRQ
from txdicom.upperlayer.pdu import AAssociateRJ

FULL = AAssociateRJ(2, 3, 2)


class FakeAssociation:
    """As much of an association as limits look at."""

    def __init__(self, host: str | None = "10.0.0.1") -> None:
        self.peer = UNIXAddress("/run/x") if host is None else IPv4Address("TCP", host, 104)
        self._ended: Deferred[None] = Deferred()

    def whenEnded(self) -> Deferred[None]:
        """Return what `end` fires."""
        return self._ended

    def end(self) -> None:
        """End."""
        self._ended.callback(None)


class BoardTestCase(SynchronousTestCase):
    """Makes boards."""

    def board(self, workers: int = 2, peers: int = 0) -> Board:
        """Make a board."""
        descriptor = Board.create(workers, peers)
        self.addCleanup(os.close, descriptor)
        self.descriptor = descriptor
        return Board(descriptor, workers, peers)

    def limits(self, most: int = 0, mostPerPeer: int = 0, workers: int = 2) -> list[SharedLimits]:
        """Make the limits of several workers."""
        self.shared = self.board(workers, roomForPeers(most, mostPerPeer))
        return [SharedLimits(self.shared, worker, most, mostPerPeer) for worker in range(workers)]

    def ask(self, limits: SharedLimits, association: Any) -> AAssociateRJ | None:
        """Ask for an association."""
        return limits(association, associateRQ())


class BoardTests(BoardTestCase):
    """`Board` and `Part`."""

    def test_shared(self) -> None:
        """What one writes, another that has mapped the same memory sees, and only in its part."""
        board = self.board(3)
        other = Board(self.descriptor, 3)
        board.part(1)[Field.STORED] += 5
        self.assertEqual([part[Field.STORED] for part in other.parts()], [0, 5, 0])
        self.assertEqual([part[Field.FAILED] for part in other.parts()], [0, 0, 0])

    def test_clear(self) -> None:
        """A worker's successor begins at zero."""
        part = self.board(1, 2).part(0)
        part.add(7)
        part[Field.ENDED] += 1
        part.clear()
        self.assertEqual([part[field] for field in Field], [0] * len(Field))
        self.assertEqual(part.count(7), 0)

    def test_peers(self) -> None:
        """They are counted one by one, until there is no more room."""
        part = self.board(2, 3).part(1)
        for peer in (7, 8, 7):
            self.assertFalse(part.isFull)
            part.add(peer)
        self.assertTrue(part.isFull)
        self.assertEqual([part.count(peer) for peer in (7, 8, 9)], [2, 1, 0])
        part.remove(7)
        self.assertEqual([part.count(peer) for peer in (7, 8, 9)], [1, 1, 0])

    @given(st.lists(st.tuples(st.booleans(), st.integers(1, 4))))
    def test_anyOrder(self, steps: list[tuple[bool, int]]) -> None:
        """Whatever comes and goes, in whatever order, is counted."""
        part = self.board(1, len(steps)).part(0)
        present: list[int] = []
        for comes, peer in steps:
            if comes:
                part.add(peer)
                present.append(peer)
            elif peer in present:
                part.remove(peer)
                present.remove(peer)
            self.assertEqual(part[Field.PRESENT], len(present))
            self.assertEqual([part.count(each) for each in range(1, 5)], [present.count(each) for each in range(1, 5)])


class SharedLimitsTests(BoardTestCase):
    """`SharedLimits`."""

    def test_noLimits(self) -> None:
        one, other = self.limits()
        for limits in (one, other) * 50:
            self.assertIsNone(self.ask(limits, FakeAssociation()))

    def test_all(self) -> None:
        """All workers together have so many, and what ends makes room on any of them."""
        one, other = self.limits(most=3)
        present = [FakeAssociation() for _ in range(3)]
        self.assertEqual(
            [self.ask(one, present[0]), self.ask(one, present[1]), self.ask(other, present[2])], [None] * 3
        )
        self.assertEqual([self.ask(one, FakeAssociation()), self.ask(other, FakeAssociation())], [FULL, FULL])
        present[0].end()
        self.assertIsNone(self.ask(other, FakeAssociation()))
        self.assertEqual([self.ask(one, FakeAssociation()), self.ask(other, FakeAssociation())], [FULL, FULL])

    def test_perPeer(self) -> None:
        """An address has so many on all workers together; others are not concerned."""
        one, other = self.limits(mostPerPeer=2)
        present = [FakeAssociation() for _ in range(2)]
        self.assertEqual([self.ask(one, present[0]), self.ask(other, present[1])], [None, None])
        self.assertEqual([self.ask(one, FakeAssociation()), self.ask(other, FakeAssociation())], [FULL, FULL])
        self.assertIsNone(self.ask(other, FakeAssociation("10.0.0.2")))
        present[0].end()
        self.assertIsNone(self.ask(other, FakeAssociation()))
        self.assertEqual(self.ask(one, FakeAssociation()), FULL)

    def test_unixPeers(self) -> None:
        """They count as one."""
        one, other = self.limits(mostPerPeer=1)
        self.assertIsNone(self.ask(one, FakeAssociation(None)))
        self.assertEqual(self.ask(other, FakeAssociation(None)), FULL)

    def test_room(self) -> None:
        """Where there is no limit but by address, there is one all the same: the board has to end somewhere."""
        self.assertEqual(
            [roomForPeers(0, 0), roomForPeers(5, 0), roomForPeers(5, 2), roomForPeers(0, 2)], [0, 0, 5, 65536]
        )
        board = self.board(2, 1)
        narrow = SharedLimits(board, 0, 0, 5)
        self.assertIsNone(self.ask(narrow, FakeAssociation()))
        self.assertEqual(self.ask(narrow, FakeAssociation()), FULL)
        self.assertIsNone(self.ask(SharedLimits(board, 1, 0, 5), FakeAssociation()))

    def test_gone(self) -> None:
        """The associations of a worker that is gone count no more."""
        one, other = self.limits(most=1)
        self.assertIsNone(self.ask(one, FakeAssociation()))
        self.assertEqual(self.ask(other, FakeAssociation()), FULL)
        self.shared.part(0).clear()
        self.assertIsNone(self.ask(other, FakeAssociation()))

    @given(st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.integers(1, 3))))
    def test_asOneProcess(self, steps: list[tuple[int, bool, int]]) -> None:
        """Whatever comes and goes on whichever worker, the decisions are those of one that knows all."""
        limits = self.limits(most=6, mostPerPeer=3, workers=3)
        present: list[FakeAssociation] = []
        for worker, comes, host in steps:
            association = FakeAssociation(f"10.0.0.{host}")
            same = [other for other in present if other.peer == association.peer]
            if comes:
                isWelcome = len(present) < 6 and len(same) < 3
                self.assertEqual(self.ask(limits[worker], association), None if isWelcome else FULL)
                if isWelcome:
                    present.append(association)
            elif same:
                present.remove(same[0])
                same[0].end()
