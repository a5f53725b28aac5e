"""
One `UpperLayerProtocol` in memory, for its tests: a user that records, a raw peer, and a way into every state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from txdicom.configuration import Configuration
from txdicom.errors import RejectReason, RejectResult
from txdicom.interfaces import IUpperLayerUser, Soon
from txdicom.testing import MemoryLink, RawPeer, associateRQ
from txdicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from txdicom.upperlayer.items import ContextResult, PresentationContextAC, UserInformation
from txdicom.upperlayer.machine import State
from txdicom.upperlayer.pdu import (
    PDV,
    AAssociateAC,
    AAssociateRJ,
    AAssociateRQ,
    AReleaseRP,
    AReleaseRQ,
    PDataTF,
)
from txdicom.upperlayer.protocol import UpperLayerProtocol

#: Everything is tried with whole writes, byte by byte, and in pieces that end in the middle of whatever there is.
SIZES = (None, 1, 7)
ADDRESS = IPv4Address("TCP", "127.0.0.1", 50000)
CONFIGURATION = Configuration(maximumPDULength=1024, artimTimeout=30.0, sendTimeout=60.0)
RQ = associateRQ()
AC = AAssociateAC(
    calledAETitle=RQ.calledAETitle,
    callingAETitle=RQ.callingAETitle,
    presentationContexts=(PresentationContextAC(1, ContextResult.ACCEPTANCE, EXPLICIT_VR_LITTLE_ENDIAN),),
    userInformation=UserInformation(maximumLength=16384),
)
RJ = AAssociateRJ.of(RejectResult.TRANSIENT, RejectReason.LOCAL_LIMIT_EXCEEDED)
DATA = PDataTF((PDV(1, 3, b"command"), PDV(1, 2, b"data set")))


@implementer(IUpperLayerUser)
class RecordingUser:
    """
    Records what an upper layer tells, and answers nothing of itself.

    :ivar told: the names of the calls, in order, but for `fragmentsReceived`.
    :ivar data: the presentation data values that are complete, as ``(context ID, control, data)``.
    :ivar reasons: how the association ended; never more than one if all is well.
    :ivar decision: what an A-ASSOCIATE indication is answered with; the default waits for the test.
    :ivar reactions: name of a call -> what is done within it.
    """

    def __init__(self) -> None:
        self.told: list[str] = []
        self.data: list[tuple[int, int, bytes]] = []
        self.reasons: list[Failure] = []
        self.deciding: Deferred[AAssociateAC | AAssociateRJ] = Deferred()
        self.decision: Callable[[AAssociateRQ], Soon[AAssociateAC | AAssociateRJ]] = lambda request: self.deciding
        self.reactions: dict[str, Callable[[], object]] = {}
        self.request: AAssociateRQ | None = None
        self.response: AAssociateAC | None = None
        self._open = b""

    def associationRequested(self, request: AAssociateRQ) -> Soon[AAssociateAC | AAssociateRJ]:
        """Record it, and decide."""
        self._record("associationRequested")
        return self.decision(request)

    def associationEstablished(self, request: AAssociateRQ, response: AAssociateAC) -> None:
        """Record it."""
        self.request = request
        self.response = response
        self._record("associationEstablished")

    def fragmentsReceived(self, contextID: int, control: int, fragments: list[memoryview], last: bool) -> None:
        """Record each when its PDV is complete."""
        for number, fragment in enumerate(fragments, 1):
            self._open += fragment
            if last or number < len(fragments):
                self.data.append((contextID, control, self._open))
                self._open = b""
        self._react("fragmentsReceived")

    def releaseRequested(self) -> None:
        """Record it."""
        self._record("releaseRequested")

    def associationEnded(self, reason: Failure) -> None:
        """Record it."""
        self.reasons.append(reason)
        self._record("associationEnded")

    def _record(self, name: str) -> None:
        self.told.append(name)
        self._react(name)

    def _react(self, name: str) -> None:
        self.reactions.get(name, lambda: None)()


class Conversation:
    """
    An upper layer under test, its user, and a peer that sends what a test wants.

    :param requestor: whether the upper layer under test requests the association.
    :param size: deliver at most so many bytes at a time.
    :param request: what to request the association with.
    :ivar transport: the transport of the upper layer under test.
    """

    def __init__(
        self,
        requestor: bool,
        size: int | None = None,
        configuration: Configuration = CONFIGURATION,
        request: AAssociateRQ = RQ,
    ) -> None:
        self.requestor = requestor
        self.clock = Clock()
        self.user = RecordingUser()
        self.protocol = UpperLayerProtocol(self.user, configuration, self.clock, request if requestor else None)
        self.peer = RawPeer()
        ends = (self.protocol, self.peer) if requestor else (self.peer, self.protocol)
        self.link = self.peer.link = MemoryLink(*ends, ADDRESS, size)
        self.transport = self.link.client if requestor else self.link.server
        self.link.flush()

    @property
    def state(self) -> State:
        """The state of the upper layer under test."""
        return self.protocol.state

    def decide(self, decision: AAssociateAC | AAssociateRJ) -> None:
        """Have the user answer the A-ASSOCIATE indication."""
        self.user.deciding.callback(decision)
        self.link.flush()

    def ask(self, primitive: str, *arguments: object) -> None:
        """Have the user call a service primitive."""
        getattr(self.protocol, primitive)(*arguments)
        self.link.flush()

    def advance(self, seconds: float) -> None:
        """Let time pass, and what it has brought about arrive."""
        self.clock.advance(seconds)
        self.link.flush()


#: One step of a conversation.
Step = Callable[[Conversation], object]


def hear(pdu: Any) -> Step:
    """Make the step in which the peer sends a PDU."""
    return lambda conversation: conversation.peer.send(pdu)


def call(primitive: str) -> Step:
    """Make the step in which the user calls a service primitive."""
    return lambda conversation: conversation.ask(primitive)


def answer(decision: AAssociateAC | AAssociateRJ) -> Step:
    """Make the step in which the user answers the A-ASSOCIATE indication."""
    return lambda conversation: conversation.decide(decision)


_ESTABLISHED = {False: (hear(RQ), answer(AC)), True: (hear(AC),)}
_RELEASING = {role: (*steps, call("requestRelease")) for role, steps in _ESTABLISHED.items()}
_RELEASED = {role: (*steps, hear(AReleaseRQ())) for role, steps in _ESTABLISHED.items()}
_COLLISION = {role: (*steps, hear(AReleaseRQ())) for role, steps in _RELEASING.items()}

#: (requestor, state) -> the steps that lead there after the connection was made.
PATHS: dict[tuple[bool, int], tuple[Step, ...]] = {
    (False, 2): (),
    (False, 3): (hear(RQ),),
    (False, 6): _ESTABLISHED[False],
    (False, 7): _RELEASING[False],
    (False, 8): _RELEASED[False],
    (False, 10): _COLLISION[False],
    (False, 12): (*_COLLISION[False], hear(AReleaseRP())),
    (False, 13): (hear(RQ), answer(RJ)),
    (True, 5): (),
    (True, 6): _ESTABLISHED[True],
    (True, 7): _RELEASING[True],
    (True, 8): _RELEASED[True],
    (True, 9): _COLLISION[True],
    (True, 11): (*_COLLISION[True], call("acceptRelease")),
    (True, 13): (*_RELEASED[True], call("acceptRelease")),
}
#: All of these with each way to cut the bytes: (requestor, state, size).
CASES = [(requestor, state, size) for requestor, state in PATHS for size in SIZES]


class ConversationTestCase(SynchronousTestCase):
    """What the tests of the upper layer share."""

    def enter(
        self, requestor: bool, state: int, size: int | None = None, configuration: Configuration = CONFIGURATION
    ) -> Conversation:
        """Begin a conversation and lead it into a state; what the peer has received till then is forgotten."""
        conversation = Conversation(requestor, size, configuration)
        for step in PATHS[requestor, state]:
            step(conversation)
        self.assertEqual(conversation.state, state)
        conversation.peer.takePDUs()
        return conversation

    def assertEnded(self, conversation: Conversation, *expected: type[BaseException]) -> Any:
        """Assert that the user was told of the end once, last, and with such a reason; return the error."""
        self.assertEqual(conversation.user.told.count("associationEnded"), 1)
        self.assertEqual(conversation.user.told[-1], "associationEnded")
        self.assertIn(conversation.user.reasons[0].type, expected)
        return conversation.user.reasons[0].value

    def assertOver(self, conversation: Conversation, *expected: type[BaseException]) -> Any:
        """Assert in addition that the connection is closed and that nothing is left of it."""
        error = self.assertEnded(conversation, *expected)
        self.assertFalse(conversation.link.connected)
        self.assertEqual(conversation.state, State.IDLE)
        self.assertEqual(conversation.clock.getDelayedCalls(), [])
        return error
