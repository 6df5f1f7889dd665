"""How far a successor is, by what is known of it."""

from __future__ import annotations

import pytest

from kombu_green.launcher.renewal import Progress, progress
from kombu_green.launcher.states import State, Vitals


@pytest.mark.parametrize(
    ("state", "age", "seen"),
    [
        (State.STARTING, 9.9, Progress.WAITING),
        (State.STARTING, 10.0, Progress.FAILED),
        (State.STANDBY, 5.0, Progress.DONE),
        (State.READY, 99.0, Progress.DONE),  # it waits for the others of its generation
        (State.QUIET, 5.0, Progress.WAITING),  # its exit code says why
        (State.DRAINING, 5.0, Progress.WAITING),
        (State.STOPPING, 50.0, Progress.WAITING),
        (State.RELEASING, 5.0, Progress.FAILED),
        (State.ABORTING, 5.0, Progress.FAILED),
        (State.KILLED, 5.0, Progress.FAILED),
        (State.GONE, 5.0, Progress.FAILED),
    ],
)
def test_progress(state: State, age: float, seen: Progress) -> None:
    assert progress(Vitals(1000.0, state, heard=1001.0), start=10.0, now=1000.0 + age) is seen


def test_one_that_was_never_heard_is_asked_for_its_stacks_before_it_is_given_up() -> None:
    assert progress(Vitals(1000.0), start=10.0, now=1010.0) is Progress.WAITING
    assert progress(Vitals(1000.0, State.TELLING), start=10.0, now=1010.0) is Progress.FAILED
