"""A worker process's life as a table: what leads where, what cannot happen, and that silence always ends in SIGKILL."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kombu_green.config.settings import WorkerSettings
from kombu_green.ipc.phases import MOVES as MOVES_OF_PROCESSES
from kombu_green.ipc.phases import Phase
from kombu_green.launcher.child_states import (
    TRANSITIONS,
    ChildEvent,
    ChildState,
    ChildTimeouts,
    Lifecycle,
    next_state,
    next_step,
)

TIMEOUTS = ChildTimeouts(start=100, heartbeat=10, graceful=30, margin=5, release=3, stack_dump=1, abort=2)
STARTED_AT = 1000.0

#: from, to, by; whatever is not here cannot happen.  What a process says and cannot follow changes nothing.
TABLE = """
starting  standby   standby
starting  ready     ready
starting  quiet     quiet drain
starting  starting  draining stopping
standby   standby   standby draining stopping
standby   ready     ready
standby   quiet     quiet drain
ready     ready     ready draining stopping
ready     standby   standby
ready     quiet     quiet drain
quiet     quiet     standby ready quiet stopping drain
quiet     draining  draining
draining  draining  standby ready quiet draining drain
draining  stopping  stopping
stopping  stopping  standby ready quiet draining stopping drain
starting  releasing release
standby   releasing release
ready     releasing release
quiet     releasing release
draining  releasing release
stopping  releasing release
starting  dumping   hung overdue
starting  killed    too-large
standby   dumping   hung overdue
standby   killed    too-large
ready     dumping   hung overdue
ready     killed    too-large
quiet     dumping   hung overdue
quiet     killed    too-large
draining  dumping   hung overdue
draining  killed    too-large
stopping  dumping   hung overdue
stopping  killed    too-large
releasing releasing standby ready quiet draining stopping
releasing killed    kill
dumping   dumping   standby ready quiet draining stopping
dumping   aborting  abort
aborting  aborting  standby ready quiet draining stopping
aborting  killed    kill
killed    killed    standby ready quiet draining stopping
starting  gone      exit
standby   gone      exit
ready     gone      exit
quiet     gone      exit
draining  gone      exit
stopping  gone      exit
releasing gone      exit
dumping   gone      exit
aborting  gone      exit
killed    gone      exit
"""
MOVES = {
    (ChildState(start), ChildEvent(event)): ChildState(end)
    for start, end, *events in map(str.split, TABLE.strip().splitlines())
    for event in events
}


@pytest.mark.parametrize(("state", "event"), [*itertools.product(ChildState, ChildEvent)])
def test_the_table(state: ChildState, event: ChildEvent) -> None:
    if (state, event) in MOVES:
        assert next_state(state, event) is MOVES[state, event]
    else:
        with pytest.raises(AssertionError, match=f"a process that is {state} cannot see {event}"):
            next_state(state, event)


def test_every_state_has_its_row() -> None:
    assert set(TRANSITIONS) == set(ChildState)


def lifecycle(state: ChildState, entered: float = STARTED_AT, last_heartbeat: float | None = None) -> Lifecycle:
    found = Lifecycle(STARTED_AT, state, last_heartbeat=last_heartbeat)
    found.entered_at = entered
    return found


@pytest.mark.parametrize(
    ("known", "step"),
    [
        (lifecycle(ChildState.STARTING), (STARTED_AT + 100, ChildEvent.HUNG)),
        (lifecycle(ChildState.STARTING, last_heartbeat=1090), (1100, ChildEvent.HUNG)),
        (lifecycle(ChildState.STANDBY, 1005, last_heartbeat=1020), (1030, ChildEvent.HUNG)),
        (lifecycle(ChildState.READY, 1005, last_heartbeat=1020), (1030, ChildEvent.HUNG)),
        (lifecycle(ChildState.QUIET, 1050, last_heartbeat=1080), (1085, ChildEvent.RELEASE)),
        (lifecycle(ChildState.STOPPING, 1050, last_heartbeat=1060), (1070, ChildEvent.HUNG)),
        (lifecycle(ChildState.DRAINING, 1050, last_heartbeat=1060), (1070, ChildEvent.HUNG)),
        (lifecycle(ChildState.DRAINING, 1050, last_heartbeat=1080), (1085, ChildEvent.RELEASE)),
        (lifecycle(ChildState.DRAINING, 1090), (1100, ChildEvent.HUNG)),
        (lifecycle(ChildState.RELEASING, 1050, last_heartbeat=1050), (1053, ChildEvent.KILL)),
        (lifecycle(ChildState.DUMPING, 1050), (1051, ChildEvent.ABORT)),
        (lifecycle(ChildState.ABORTING, 1050), (1052, ChildEvent.KILL)),
        (lifecycle(ChildState.KILLED, 1050), None),
        (lifecycle(ChildState.GONE, 1050), None),
    ],
)
def test_the_next_step_and_its_time(known: Lifecycle, step: tuple[float, ChildEvent] | None) -> None:
    assert next_step(known, TIMEOUTS) == step


@given(
    st.sampled_from([state for state in ChildState if state is not ChildState.GONE]),
    st.one_of(st.none(), st.floats(STARTED_AT, STARTED_AT + 50)),
    st.floats(STARTED_AT, STARTED_AT + 50),
)
def test_a_process_that_says_nothing_is_killed_in_bounded_time(
    state: ChildState, last_heartbeat: float | None, entered: float
) -> None:
    known = lifecycle(state, entered, last_heartbeat)
    now = entered
    for _ in ChildState:
        step = next_step(known, TIMEOUTS)
        if step is None:
            break
        now = max(now, step[0])
        known.enter(step[1], now)
    assert known.state is ChildState.KILLED
    timeouts = (
        *(TIMEOUTS.start, TIMEOUTS.graceful, TIMEOUTS.margin, TIMEOUTS.release),
        *(TIMEOUTS.stack_dump, TIMEOUTS.abort),
    )
    assert now <= entered + sum(timeouts)


def test_entering_the_same_state_again_does_not_restart_its_time() -> None:
    known = lifecycle(ChildState.DRAINING, 1050)
    known.enter(ChildEvent.READY, 1060)
    assert known.entered_at == 1050
    known.enter(ChildEvent.RELEASE, 1070)
    assert (known.state, known.entered_at) == (ChildState.RELEASING, 1070)


def test_a_stop_is_timed_from_its_first_phase() -> None:
    known = lifecycle(ChildState.READY, last_heartbeat=1150)
    for event, now in ((ChildEvent.DRAIN, 1110), (ChildEvent.DRAINING, 1120), (ChildEvent.STOPPING, 1130)):
        known.enter(event, now)
    assert next_step(known, TIMEOUTS) == (1145, ChildEvent.RELEASE)


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_of_a_process_is_a_state_here_and_moves_alike(phase: Phase) -> None:
    for then in MOVES_OF_PROCESSES[phase] - {Phase.GONE}:
        assert next_state(ChildState(phase.value), ChildEvent(then.value)) is ChildState(then.value)


def test_while_the_launcher_stood_still_no_heartbeat_was_missed() -> None:
    starting, running = lifecycle(ChildState.STARTING), lifecycle(ChildState.READY, last_heartbeat=1010)
    for known in (starting, running):
        known.extend(7)
    assert next_step(starting, TIMEOUTS) == (STARTED_AT + 107, ChildEvent.HUNG)
    assert next_step(running, TIMEOUTS) == (1027, ChildEvent.HUNG)


def test_the_timeouts_of_settings() -> None:
    settings = WorkerSettings(start_timeout=1, heartbeat_timeout=2, graceful_timeout=3)
    assert ChildTimeouts.from_settings(settings) == ChildTimeouts(start=1, heartbeat=2, graceful=3)
