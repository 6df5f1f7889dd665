"""Which process slots there are while one plan follows another, and how far a successor is; no process is started."""

from __future__ import annotations

import pytest

from kombu_green.launcher.child_states import ChildState, Lifecycle
from kombu_green.launcher.plan import Plan
from kombu_green.launcher.rolling_restart import Generations, RestartProgress, successor_progress
from kombu_green.retry import Backoff


def plan(processes: int) -> Plan:
    return Plan(command=["false"], processes=processes)


def numbers(generations: Generations) -> list[int]:
    generations.remove_empty_slots()
    return [slot.number for slot in generations.staying()]


def test_a_generation_that_was_never_begun_leaves_no_slot_behind() -> None:
    generations = Generations(plan(1), Backoff())
    generations.replace_all(plan(3), "first")
    generations.replace_all(plan(1), "second")
    assert numbers(generations) == [1]


def test_a_new_slot_gets_the_lowest_free_number() -> None:
    generations = Generations(plan(3), Backoff())
    generations.shrink()
    assert numbers(generations) == [1, 2]
    generations.grow()
    generations.grow()
    assert numbers(generations) == [1, 2, 3, 4]


def test_one_slot_stays() -> None:
    generations = Generations(plan(2), Backoff())
    for _ in range(3):
        generations.shrink()
    assert numbers(generations) == [1]


@pytest.mark.parametrize(
    ("state", "age", "seen"),
    [
        (ChildState.STARTING, 9.9, RestartProgress.WAITING),
        (ChildState.STARTING, 10.0, RestartProgress.FAILED),
        (ChildState.STANDBY, 5.0, RestartProgress.DONE),
        (ChildState.READY, 99.0, RestartProgress.DONE),  # it waits for the others of its generation
        (ChildState.AWAY, 9.9, RestartProgress.WAITING),  # it was ready, and its broker is away
        (ChildState.AWAY, 10.0, RestartProgress.FAILED),
        (ChildState.QUIET, 5.0, RestartProgress.WAITING),  # its exit code says why
        (ChildState.DRAINING, 5.0, RestartProgress.WAITING),
        (ChildState.STOPPING, 50.0, RestartProgress.WAITING),
        (ChildState.RELEASING, 5.0, RestartProgress.FAILED),
        (ChildState.ABORTING, 5.0, RestartProgress.FAILED),
        (ChildState.KILLED, 5.0, RestartProgress.FAILED),
        (ChildState.GONE, 5.0, RestartProgress.FAILED),
    ],
)
def test_how_far_a_successor_is(state: ChildState, age: float, seen: RestartProgress) -> None:
    assert (
        successor_progress(Lifecycle(1000.0, state, last_heartbeat=1001.0), start_timeout=10.0, now=1000.0 + age)
        is seen
    )


def test_a_successor_without_a_heartbeat_is_asked_for_its_stacks_before_it_has_failed() -> None:
    assert successor_progress(Lifecycle(1000.0), start_timeout=10.0, now=1010.0) is RestartProgress.WAITING
    assert (
        successor_progress(Lifecycle(1000.0, ChildState.DUMPING), start_timeout=10.0, now=1010.0)
        is RestartProgress.FAILED
    )
