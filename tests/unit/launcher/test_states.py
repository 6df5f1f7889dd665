"""A worker process's life as a table: what leads where, what cannot happen, and that silence always ends in SIGKILL."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kombu_green.config.settings import WorkerSettings
from kombu_green.ipc.phases import MOVES as MOVES_OF_PROCESSES
from kombu_green.ipc.phases import Phase
from kombu_green.launcher.states import TRANSITIONS, Event, State, Timing, Vitals, after, next_step

TIMING = Timing(start=100, heartbeat=10, graceful=30, margin=5, release=3, telling=1, abort=2)
BORN = 1000.0

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
starting  telling   hung overdue
starting  killed    too-large
standby   telling   hung overdue
standby   killed    too-large
ready     telling   hung overdue
ready     killed    too-large
quiet     telling   hung overdue
quiet     killed    too-large
draining  telling   hung overdue
draining  killed    too-large
stopping  telling   hung overdue
stopping  killed    too-large
releasing releasing standby ready quiet draining stopping
releasing killed    kill
telling   telling   standby ready quiet draining stopping
telling   aborting  abort
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
telling   gone      exit
aborting  gone      exit
killed    gone      exit
"""
MOVES = {
    (State(start), Event(event)): State(end)
    for start, end, *events in map(str.split, TABLE.strip().splitlines())
    for event in events
}


@pytest.mark.parametrize(("state", "event"), [*itertools.product(State, Event)])
def test_the_table(state: State, event: Event) -> None:
    if (state, event) in MOVES:
        assert after(state, event) is MOVES[state, event]
    else:
        with pytest.raises(AssertionError, match=f"a process that is {state} cannot see {event}"):
            after(state, event)


def test_every_state_has_its_row() -> None:
    assert set(TRANSITIONS) == set(State)


def vitals(state: State, entered: float = BORN, heard: float | None = None) -> Vitals:
    found = Vitals(BORN, state, heard=heard)
    found.entered = entered
    return found


@pytest.mark.parametrize(
    ("known", "step"),
    [
        (vitals(State.STARTING), (BORN + 100, Event.HUNG)),
        (vitals(State.STARTING, heard=1090), (1100, Event.HUNG)),
        (vitals(State.STANDBY, 1005, heard=1020), (1030, Event.HUNG)),
        (vitals(State.READY, 1005, heard=1020), (1030, Event.HUNG)),
        (vitals(State.QUIET, 1050, heard=1080), (1085, Event.RELEASE)),
        (vitals(State.STOPPING, 1050, heard=1060), (1070, Event.HUNG)),
        (vitals(State.DRAINING, 1050, heard=1060), (1070, Event.HUNG)),
        (vitals(State.DRAINING, 1050, heard=1080), (1085, Event.RELEASE)),
        (vitals(State.DRAINING, 1090), (1100, Event.HUNG)),
        (vitals(State.RELEASING, 1050, heard=1050), (1053, Event.KILL)),
        (vitals(State.TELLING, 1050), (1051, Event.ABORT)),
        (vitals(State.ABORTING, 1050), (1052, Event.KILL)),
        (vitals(State.KILLED, 1050), None),
        (vitals(State.GONE, 1050), None),
    ],
)
def test_what_is_due_when(known: Vitals, step: tuple[float, Event] | None) -> None:
    assert next_step(known, TIMING) == step


@given(
    st.sampled_from([state for state in State if state is not State.GONE]),
    st.one_of(st.none(), st.floats(BORN, BORN + 50)),
    st.floats(BORN, BORN + 50),
)
def test_a_process_that_says_nothing_is_killed_in_bounded_time(
    state: State, heard: float | None, entered: float
) -> None:
    known = vitals(state, entered, heard)
    now = entered
    for _ in State:
        step = next_step(known, TIMING)
        if step is None:
            break
        now = max(now, step[0])
        known.enter(step[1], now)
    assert known.state is State.KILLED
    assert (
        now <= entered + TIMING.start + TIMING.graceful + TIMING.margin + TIMING.release + TIMING.telling + TIMING.abort
    )


def test_entering_the_same_state_again_does_not_begin_it_anew() -> None:
    known = vitals(State.DRAINING, 1050)
    known.enter(Event.READY, 1060)
    assert known.entered == 1050
    known.enter(Event.RELEASE, 1070)
    assert (known.state, known.entered) == (State.RELEASING, 1070)


def test_the_way_out_is_timed_from_its_first_step() -> None:
    known = vitals(State.READY, heard=1150)
    for event, now in ((Event.DRAIN, 1110), (Event.DRAINING, 1120), (Event.STOPPING, 1130)):
        known.enter(event, now)
    assert next_step(known, TIMING) == (1145, Event.RELEASE)


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_of_a_process_is_a_state_here_and_moves_alike(phase: Phase) -> None:
    for then in MOVES_OF_PROCESSES[phase] - {Phase.GONE}:
        assert after(State(phase.value), Event(then.value)) is State(then.value)


def test_what_could_not_be_heard_is_forgiven() -> None:
    starting, running = vitals(State.STARTING), vitals(State.READY, heard=1010)
    for known in (starting, running):
        known.forgive(7)
    assert next_step(starting, TIMING) == (BORN + 107, Event.HUNG)
    assert next_step(running, TIMING) == (1027, Event.HUNG)


def test_the_timing_of_settings() -> None:
    settings = WorkerSettings(start_timeout=1, heartbeat_timeout=2, graceful_timeout=3)
    assert Timing.of(settings) == Timing(start=1, heartbeat=2, graceful=3)
