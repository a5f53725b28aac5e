"""
The association state machine of PS3.8 clause 9.2 as data: Table 9-10, one lookup per event.

Theory of operation. There are 13 states and 19 events. `TRANSITIONS` holds what Table 9-10 holds, row by row, for both
roles: ``TRANSITIONS[event][state]`` is the action to perform and the state to enter. A cell that the table leaves empty
is not there; `Machine.next` then raises `LocalProtocolError`, because only our own caller can bring such an event
about: what a peer can send has an action in every state in which there is a connection.

Two cells of the table leave the choice of the next state to the action. AE-6 lets the provider itself refuse an
A-ASSOCIATE-RQ, which leads to State 13: here every refusal is the local user's and goes through State 3 and AE-8, which
looks the same from outside. AR-8 (the release collision) leads the requestor of the association to State 9 and the
acceptor to State 10: that is the argument `requestor` of `Machine`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from txdicom.errors import LocalProtocolError

__all__ = ["TRANSITIONS", "Action", "Event", "Machine", "State", "Transition"]


class State(IntEnum):
    """The states of PS3.8 Tables 9-1 to 9-5."""

    #: Sta1: no association, no connection.
    IDLE = 1
    #: Sta2: the connection is open; awaiting A-ASSOCIATE-RQ.
    AWAITING_ASSOCIATE_RQ = 2
    #: Sta3: awaiting the local user's A-ASSOCIATE response.
    AWAITING_LOCAL_RESPONSE = 3
    #: Sta4: awaiting the transport connection.
    AWAITING_CONNECTION = 4
    #: Sta5: awaiting A-ASSOCIATE-AC or A-ASSOCIATE-RJ.
    AWAITING_ASSOCIATE_AC = 5
    #: Sta6: association established, ready for data transfer.
    ESTABLISHED = 6
    #: Sta7: awaiting A-RELEASE-RP.
    AWAITING_RELEASE_RP = 7
    #: Sta8: awaiting the local user's A-RELEASE response.
    AWAITING_LOCAL_RELEASE = 8
    #: Sta9: release collision, requestor's side: awaiting the local user's A-RELEASE response.
    COLLISION_REQUESTOR_LOCAL = 9
    #: Sta10: release collision, acceptor's side: awaiting A-RELEASE-RP.
    COLLISION_ACCEPTOR_RP = 10
    #: Sta11: release collision, requestor's side: awaiting A-RELEASE-RP.
    COLLISION_REQUESTOR_RP = 11
    #: Sta12: release collision, acceptor's side: awaiting the local user's A-RELEASE response.
    COLLISION_ACCEPTOR_LOCAL = 12
    #: Sta13: awaiting the transport connection's close.
    AWAITING_CLOSE = 13


class Event(IntEnum):
    """The events of PS3.8 Table 9-10, in its order."""

    ASSOCIATE_REQUEST = 1
    TRANSPORT_CONFIRMED = 2
    ASSOCIATE_AC_RECEIVED = 3
    ASSOCIATE_RJ_RECEIVED = 4
    TRANSPORT_INDICATION = 5
    ASSOCIATE_RQ_RECEIVED = 6
    ASSOCIATE_ACCEPT = 7
    ASSOCIATE_REJECT = 8
    DATA_REQUEST = 9
    DATA_RECEIVED = 10
    RELEASE_REQUEST = 11
    RELEASE_RQ_RECEIVED = 12
    RELEASE_RP_RECEIVED = 13
    RELEASE_RESPONSE = 14
    ABORT_REQUEST = 15
    ABORT_RECEIVED = 16
    TRANSPORT_CLOSED = 17
    ARTIM_EXPIRED = 18
    INVALID_PDU = 19


class Action(IntEnum):
    """The actions of PS3.8 Tables 9-6 to 9-9; the values are ours, the names the standard's."""

    #: Issue TRANSPORT CONNECT request.
    AE_1 = 1
    #: Send A-ASSOCIATE-RQ.
    AE_2 = 2
    #: Issue A-ASSOCIATE confirmation (accept).
    AE_3 = 3
    #: Issue A-ASSOCIATE confirmation (reject), close the connection.
    AE_4 = 4
    #: Issue connection response, start ARTIM.
    AE_5 = 5
    #: Stop ARTIM; indicate A-ASSOCIATE to the user, or refuse it and start ARTIM.
    AE_6 = 6
    #: Send A-ASSOCIATE-AC.
    AE_7 = 7
    #: Send A-ASSOCIATE-RJ, start ARTIM.
    AE_8 = 8
    #: Send P-DATA-TF.
    DT_1 = 9
    #: Issue P-DATA indication.
    DT_2 = 10
    #: Send A-RELEASE-RQ.
    AR_1 = 11
    #: Issue A-RELEASE indication.
    AR_2 = 12
    #: Issue A-RELEASE confirmation, close the connection.
    AR_3 = 13
    #: Send A-RELEASE-RP, start ARTIM.
    AR_4 = 14
    #: Stop ARTIM.
    AR_5 = 15
    #: Issue P-DATA indication (while releasing).
    AR_6 = 16
    #: Send P-DATA-TF (while releasing).
    AR_7 = 17
    #: Issue A-RELEASE indication (release collision).
    AR_8 = 18
    #: Send A-RELEASE-RP.
    AR_9 = 19
    #: Issue A-RELEASE confirmation.
    AR_10 = 20
    #: Send A-ABORT, start or restart ARTIM.
    AA_1 = 21
    #: Stop ARTIM, close the connection.
    AA_2 = 22
    #: Issue A-ABORT or A-P-ABORT indication, close the connection.
    AA_3 = 23
    #: Issue A-P-ABORT indication.
    AA_4 = 24
    #: Stop ARTIM.
    AA_5 = 25
    #: Ignore the PDU.
    AA_6 = 26
    #: Send A-ABORT.
    AA_7 = 27
    #: Send A-ABORT (service-provider), issue A-P-ABORT indication, start ARTIM.
    AA_8 = 28


class Transition(NamedTuple):
    """One cell of Table 9-10; `nextState` is None where the association's role decides (AR-8)."""

    action: Action
    nextState: State | None


_E = Event
_A = Action


def _row(*cells: tuple[tuple[int, ...], Action, int | None]) -> dict[State, Transition]:
    """One event's row from ``(states, action, next state)``; states that share a cell's content stand together."""
    return {
        State(state): Transition(action, None if following is None else State(following))
        for states, action, following in cells
        for state in states
    }


#: PS3.8 Table 9-10: ``TRANSITIONS[event][state]``. The numbers are those of the standard's Sta1 to Sta13.
TRANSITIONS: dict[Event, dict[State, Transition]] = {
    _E.ASSOCIATE_REQUEST: _row(((1,), _A.AE_1, 4)),
    _E.TRANSPORT_CONFIRMED: _row(((4,), _A.AE_2, 5)),
    _E.ASSOCIATE_AC_RECEIVED: _row(
        ((2,), _A.AA_1, 13), ((5,), _A.AE_3, 6), ((3, 6, 7, 8, 9, 10, 11, 12), _A.AA_8, 13), ((13,), _A.AA_6, 13)
    ),
    _E.ASSOCIATE_RJ_RECEIVED: _row(
        ((2,), _A.AA_1, 13), ((5,), _A.AE_4, 1), ((3, 6, 7, 8, 9, 10, 11, 12), _A.AA_8, 13), ((13,), _A.AA_6, 13)
    ),
    _E.TRANSPORT_INDICATION: _row(((1,), _A.AE_5, 2)),
    _E.ASSOCIATE_RQ_RECEIVED: _row(
        ((2,), _A.AE_6, 3), ((3, 5, 6, 7, 8, 9, 10, 11, 12), _A.AA_8, 13), ((13,), _A.AA_7, 13)
    ),
    _E.ASSOCIATE_ACCEPT: _row(((3,), _A.AE_7, 6)),
    _E.ASSOCIATE_REJECT: _row(((3,), _A.AE_8, 13)),
    _E.DATA_REQUEST: _row(((6,), _A.DT_1, 6), ((8,), _A.AR_7, 8)),
    _E.DATA_RECEIVED: _row(
        ((2,), _A.AA_1, 13),
        ((6,), _A.DT_2, 6),
        ((7,), _A.AR_6, 7),
        ((3, 5, 8, 9, 10, 11, 12), _A.AA_8, 13),
        ((13,), _A.AA_6, 13),
    ),
    _E.RELEASE_REQUEST: _row(((6,), _A.AR_1, 7)),
    _E.RELEASE_RQ_RECEIVED: _row(
        ((2,), _A.AA_1, 13),
        ((6,), _A.AR_2, 8),
        ((7,), _A.AR_8, None),
        ((3, 5, 8, 9, 10, 11, 12), _A.AA_8, 13),
        ((13,), _A.AA_6, 13),
    ),
    _E.RELEASE_RP_RECEIVED: _row(
        ((2,), _A.AA_1, 13),
        ((7, 11), _A.AR_3, 1),
        ((10,), _A.AR_10, 12),
        ((3, 5, 6, 8, 9, 12), _A.AA_8, 13),
        ((13,), _A.AA_6, 13),
    ),
    _E.RELEASE_RESPONSE: _row(((8, 12), _A.AR_4, 13), ((9,), _A.AR_9, 11)),
    _E.ABORT_REQUEST: _row(((3, 5, 6, 7, 8, 9, 10, 11, 12), _A.AA_1, 13), ((4,), _A.AA_2, 1)),
    _E.ABORT_RECEIVED: _row(((2, 13), _A.AA_2, 1), ((3, 5, 6, 7, 8, 9, 10, 11, 12), _A.AA_3, 1)),
    _E.TRANSPORT_CLOSED: _row(((2,), _A.AA_5, 1), ((3, 4, 5, 6, 7, 8, 9, 10, 11, 12), _A.AA_4, 1), ((13,), _A.AR_5, 1)),
    _E.ARTIM_EXPIRED: _row(((2, 13), _A.AA_2, 1)),
    _E.INVALID_PDU: _row(((2,), _A.AA_1, 13), ((3, 5, 6, 7, 8, 9, 10, 11, 12), _A.AA_8, 13), ((13,), _A.AA_7, 13)),
}


class Machine:
    """
    Where one association stands in Table 9-10.

    :param requestor: whether we requested the association; it decides who waits for whom when releases collide.
    """

    __slots__ = ("requestor", "state")

    def __init__(self, requestor: bool) -> None:
        self.requestor = requestor
        self.state = State.IDLE

    def next(self, event: Event) -> Action:
        """
        Enter the state that the event leads to, and return the action to perform.

        :raises LocalProtocolError: the table has no such cell; the state is as it was.
        """
        transition = TRANSITIONS[event].get(self.state)
        if transition is None:
            raise LocalProtocolError(f"{event.name} is not possible in state {self.state} ({self.state.name})")
        if transition.nextState is not None:
            self.state = transition.nextState
        elif self.requestor:
            self.state = State.COLLISION_REQUESTOR_LOCAL
        else:
            self.state = State.COLLISION_ACCEPTOR_RP
        return transition.action
