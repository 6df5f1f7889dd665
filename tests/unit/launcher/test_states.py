"""A worker process's life as a table: what leads where, what cannot happen, and that silence always ends in SIGKILL."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kombu_green.config.settings import WorkerSettings
from kombu_green.launcher.states import TRANSITIONS, Event, State, Timing, Vitals, after, next_step

TIMING = Timing(start=100, heartbeat=10, graceful=30, margin=5, release=3, abort=2)
BORN = 1000.0

#: from, to, by; whatever is not here cannot happen
TABLE = """
starting  ready     ready
starting  draining  drain
starting  releasing release
starting  aborting  hung
starting  gone      exit
ready     ready     ready
ready     draining  drain
ready     releasing release
ready     aborting  hung
ready     gone      exit
draining  draining  ready
draining  releasing release
draining  aborting  hung
draining  gone      exit
releasing releasing ready
releasing killed    kill
releasing gone      exit
aborting  aborting  ready
aborting  killed    kill
aborting  gone      exit
killed    killed    ready
killed    gone      exit
"""
MOVES = {(State(start), Event(event)): State(end) for start, end, event in map(str.split, TABLE.strip().splitlines())}


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
        (vitals(State.READY, 1005, heard=1020), (1030, Event.HUNG)),
        (vitals(State.DRAINING, 1050, heard=1060), (1070, Event.HUNG)),
        (vitals(State.DRAINING, 1050, heard=1080), (1085, Event.RELEASE)),
        (vitals(State.DRAINING, 1090), (1100, Event.HUNG)),
        (vitals(State.RELEASING, 1050, heard=1050), (1053, Event.KILL)),
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
    assert now <= entered + TIMING.start + TIMING.graceful + TIMING.margin + TIMING.release + TIMING.abort


def test_entering_the_same_state_again_does_not_begin_it_anew() -> None:
    known = vitals(State.DRAINING, 1050)
    known.enter(Event.READY, 1060)
    assert known.entered == 1050
    known.enter(Event.RELEASE, 1070)
    assert (known.state, known.entered) == (State.RELEASING, 1070)


def test_what_could_not_be_heard_is_forgiven() -> None:
    starting, running = vitals(State.STARTING), vitals(State.READY, heard=1010)
    for known in (starting, running):
        known.forgive(7)
    assert next_step(starting, TIMING) == (BORN + 107, Event.HUNG)
    assert next_step(running, TIMING) == (1027, Event.HUNG)


def test_the_timing_of_settings() -> None:
    settings = WorkerSettings(start_timeout=1, heartbeat_timeout=2, graceful_timeout=3)
    assert Timing.of(settings) == Timing(start=1, heartbeat=2, graceful=3)
