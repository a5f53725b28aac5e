"""
Tests for `txdicom.upperlayer.machine`.

`TABLE` is PS3.8 Table 9-10 as the standard prints it, a row for each event and a column for each of Sta1 to Sta13, and
was typed without looking at the code under test; pynetdicom's table is a second opinion about both.
"""

from __future__ import annotations

from pynetdicom.fsm import TRANSITION_TABLE as ORACLE
from twisted.trial.unittest import SynchronousTestCase

from txdicom.errors import DICOMError, LocalProtocolError
from txdicom.upperlayer.machine import TRANSITIONS, Action, Event, Machine, State

#: ``action:next state`` in every cell, `-` where the standard leaves it empty. Two cells offer a choice of states.
TABLE = """
     Sta1   Sta2      Sta3    Sta4    Sta5    Sta6    Sta7      Sta8    Sta9    Sta10    Sta11   Sta12   Sta13
1    AE-1:4 -         -       -       -       -       -         -       -       -        -       -       -
2    -      -         -       AE-2:5  -       -       -         -       -       -        -       -       -
3    -      AA-1:13   AA-8:13 -       AE-3:6  AA-8:13 AA-8:13   AA-8:13 AA-8:13 AA-8:13  AA-8:13 AA-8:13 AA-6:13
4    -      AA-1:13   AA-8:13 -       AE-4:1  AA-8:13 AA-8:13   AA-8:13 AA-8:13 AA-8:13  AA-8:13 AA-8:13 AA-6:13
5    AE-5:2 -         -       -       -       -       -         -       -       -        -       -       -
6    -      AE-6:3/13 AA-8:13 -       AA-8:13 AA-8:13 AA-8:13   AA-8:13 AA-8:13 AA-8:13  AA-8:13 AA-8:13 AA-7:13
7    -      -         AE-7:6  -       -       -       -         -       -       -        -       -       -
8    -      -         AE-8:13 -       -       -       -         -       -       -        -       -       -
9    -      -         -       -       -       DT-1:6  -         AR-7:8  -       -        -       -       -
10   -      AA-1:13   AA-8:13 -       AA-8:13 DT-2:6  AR-6:7    AA-8:13 AA-8:13 AA-8:13  AA-8:13 AA-8:13 AA-6:13
11   -      -         -       -       -       AR-1:7  -         -       -       -        -       -       -
12   -      AA-1:13   AA-8:13 -       AA-8:13 AR-2:8  AR-8:9/10 AA-8:13 AA-8:13 AA-8:13  AA-8:13 AA-8:13 AA-6:13
13   -      AA-1:13   AA-8:13 -       AA-8:13 AA-8:13 AR-3:1    AA-8:13 AA-8:13 AR-10:12 AR-3:1  AA-8:13 AA-6:13
14   -      -         -       -       -       -       -         AR-4:13 AR-9:11 -        -       AR-4:13 -
15   -      -         AA-1:13 AA-2:1  AA-1:13 AA-1:13 AA-1:13   AA-1:13 AA-1:13 AA-1:13  AA-1:13 AA-1:13 -
16   -      AA-2:1    AA-3:1  -       AA-3:1  AA-3:1  AA-3:1    AA-3:1  AA-3:1  AA-3:1   AA-3:1  AA-3:1  AA-2:1
17   -      AA-5:1    AA-4:1  AA-4:1  AA-4:1  AA-4:1  AA-4:1    AA-4:1  AA-4:1  AA-4:1   AA-4:1  AA-4:1  AR-5:1
18   -      AA-2:1    -       -       -       -       -         -       -       -        -       -       AA-2:1
19   -      AA-1:13   AA-8:13 -       AA-8:13 AA-8:13 AA-8:13   AA-8:13 AA-8:13 AA-8:13  AA-8:13 AA-8:13 AA-7:13
"""

#: (event, state) -> name of the action and the states it may lead to.
CELLS = {
    (int(number), state): (cell.partition(":")[0], tuple(map(int, cell.partition(":")[2].split("/"))))
    for number, *cells in map(str.split, TABLE.strip().splitlines()[1:])
    for state, cell in enumerate(cells, 1)
    if cell != "-"
}
#: Of the two cells with a choice, where this library goes, as requestor of the association and as its acceptor.
CHOICES = {("AE-6", True): 3, ("AE-6", False): 3, ("AR-8", True): 9, ("AR-8", False): 10}
ROLES = (True, False)
ALL_CELLS = [(event, state, requestor) for event in Event for state in State for requestor in ROLES]


def machineIn(state: State, requestor: bool) -> Machine:
    """Return a machine in a state, however it got there."""
    machine = Machine(requestor)
    machine.state = state
    return machine


class TypedTableTests(SynchronousTestCase):
    """The table these tests go by."""

    def test_isComplete(self) -> None:
        """It has 19 rows of 13 cells."""
        rows = [line.split() for line in TABLE.strip().splitlines()]
        self.assertEqual([len(row) for row in rows], [13] + [14] * 19)
        self.assertEqual([row[0] for row in rows[1:]], [str(number) for number in range(1, 20)])

    def test_agreesWithPynetdicom(self) -> None:
        """Pynetdicom has the same actions in the same cells, and no others."""
        ours = {(f"Evt{event}", f"Sta{state}"): action for (event, state), (action, _) in CELLS.items()}
        self.assertEqual(ours, ORACLE)


class MachineTests(SynchronousTestCase):
    """Tests for `Machine` and the table it looks into."""

    def test_startsIdle(self) -> None:
        """A new machine is in State 1 and knows its role."""
        for requestor in ROLES:
            machine = Machine(requestor)
            self.assertEqual((machine.state, machine.requestor), (State.IDLE, requestor))

    def test_everyCell(self) -> None:
        """Every cell of the table, in both roles, gives the action and the next state of the standard."""
        for event, state, requestor in ALL_CELLS:
            if (event, state) not in CELLS:
                continue
            name, states = CELLS[event, state]
            expected = states[0] if len(states) == 1 else CHOICES[name, requestor]
            machine = machineIn(state, requestor)
            action = machine.next(event)
            self.assertEqual((action.name, machine.state), (name.replace("-", "_"), expected), (event, state))
            self.assertIs(type(machine.state), State)

    def test_emptyCells(self) -> None:
        """Every empty cell is our own caller's mistake, and leaves the state as it was."""
        for event, state, requestor in ALL_CELLS:
            if (event, state) in CELLS:
                continue
            machine = machineIn(state, requestor)
            error = self.assertRaises(LocalProtocolError, machine.next, event)
            self.assertEqual(machine.state, state)
            self.assertIn(event.name, str(error))
            self.assertIn(state.name, str(error))

    def test_machineCanGoOnAfterAnEmptyCell(self) -> None:
        """What was refused is forgotten."""
        machine = machineIn(State.ESTABLISHED, True)
        self.assertRaises(DICOMError, machine.next, Event.RELEASE_RESPONSE)
        self.assertEqual(machine.next(Event.RELEASE_REQUEST), Action.AR_1)

    def test_peerHasAnActionWheneverThereIsAConnection(self) -> None:
        """Nothing that comes from the peer or the transport can hit an empty cell while there is a connection."""
        fromOutside = (3, 4, 6, 10, 12, 13, 16, 17, 19)
        connected = set(State) - {State.IDLE, State.AWAITING_CONNECTION}
        for number in fromOutside:
            self.assertLessEqual(connected, set(TRANSITIONS[Event(number)]))

    def test_onlyTheReleaseCollisionDependsOnTheRole(self) -> None:
        """AR-8 is the one transition without a next state of its own."""
        undecided = [
            (event, state, transition.action)
            for event, row in TRANSITIONS.items()
            for state, transition in row.items()
            if transition.nextState is None
        ]
        self.assertEqual(undecided, [(Event.RELEASE_RQ_RECEIVED, State.AWAITING_RELEASE_RP, Action.AR_8)])

    def test_everyActionLeadsToOneState(self) -> None:
        """An action that occurs in several cells has the same next state in all of them, and no action is left over."""
        following: dict[Action, set[State | None]] = {}
        for row in TRANSITIONS.values():
            for transition in row.values():
                following.setdefault(transition.action, set()).add(transition.nextState)
        self.assertEqual([action for action, states in following.items() if len(states) > 1], [])
        self.assertEqual(set(following), set(Action))
