"""Tests of `txdicom.dimse.observers`: several observers as one."""

# trial's assertions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from txdicom.dimse.acceptor import AcceptorFactory
from txdicom.dimse.observers import Observers
from txdicom.interfaces import IAssociationObserver
from txdicom.services.verification import VerificationService, echo
from txdicom.testing import connectInMemory, requestor


@implementer(IAssociationObserver)
class Recorder:
    """Writes down what it is told, in a list that it shares with others."""

    def __init__(self, name: str, told: list[tuple[str, str, int]]) -> None:
        self._name = name
        self._told = told

    def associationRequested(self, association, request):  # type: ignore[no-untyped-def]
        self._told.append((self._name, "requested", association.number))

    def associationEstablished(self, association, request, response):  # type: ignore[no-untyped-def]
        self._told.append((self._name, "established", association.number))

    def commandReceived(self, association, context, command):  # type: ignore[no-untyped-def]
        self._told.append((self._name, "received", association.number))

    def commandSent(self, association, context, command):  # type: ignore[no-untyped-def]
        self._told.append((self._name, "sent", association.number))

    def associationEnded(self, association, reason):  # type: ignore[no-untyped-def]
        self._told.append((self._name, "ended", association.number))


class ObserversTests(SynchronousTestCase):
    """`Observers`."""

    def test_interface(self) -> None:
        verifyObject(IAssociationObserver, Recorder("", []))

    def test_tellsEachInTurn(self) -> None:
        """Each is told of everything, in their order; the numbers of associations are counted from 1."""
        told: list[tuple[str, str, int]] = []
        clock = Clock()
        observer = Observers([Recorder("a", told), Recorder("b", told)])
        factory = AcceptorFactory([VerificationService()], clock=clock, observer=observer)
        for _ in range(2):
            association = requestor(clock)
            link = connectInMemory(factory, association)
            echo(association)
            link.flush()
            association.release()
            link.flush()
        steps = ("requested", "established", "received", "sent", "ended")
        self.assertEqual(told, [(name, step, number) for number in (1, 2) for step in steps for name in "ab"])
