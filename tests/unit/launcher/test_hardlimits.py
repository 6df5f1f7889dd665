"""When a process is ended for a message beyond its limit, or for its memory."""

from __future__ import annotations

import pytest

from kombu_green.ipc.recorder import IDLE, Row, RowState
from kombu_green.launcher.blame import Manner
from kombu_green.launcher.hardlimits import next_look, overdue, too_large


def row(since: float, limit: float, *, number: int = 1, state: RowState = RowState.RUNNING) -> Row:
    return Row(number, "jobs", "app:handle", b"k" * 16, "m", since, limit, state)


@pytest.mark.parametrize(
    ("row", "hub", "heard", "passed"),
    [
        (row(100, 0), 1, 109, False),
        (row(100, 20), 1, 109, False),
        (row(100, 5), 1, None, True),  # it has the hub itself
        (row(100, 5), IDLE, 106, True),  # the hub turned after its limit, and left it waiting
        (row(100, 5), IDLE, 104, False),  # ... before: it may be about to end
        (row(100, 5), 2, 104, False),  # another one keeps the hub
        (row(100, 5, state=RowState.OFFLOADED), 2, 104, True),
    ],
)
def test_who_is_beyond_a_hard_time_limit(row: Row, hub: int, heard: float | None, passed: bool) -> None:
    doom = overdue([row], hub, heard, 110.0)
    if not passed:
        assert doom is None
        return
    assert doom is not None
    assert (doom.manner, doom.overdue) == (Manner.OVERDUE, frozenset({(1, 100.0)}))
    assert doom.words == "message m of queue jobs in app:handle runs longer than its hard time limit of 5 s"


def test_memory() -> None:
    assert too_large(None, 1 << 20) is None
    assert too_large(1 << 30, 0) is None
    assert too_large(1 << 20, 1 << 20) is None
    doom = too_large(3 << 20, 2 << 20)
    assert doom is not None
    assert (doom.manner, doom.words) == (Manner.MEMORY, "has 3 MB of memory (hard_memory = 2 MB)")


def test_when_to_look_again() -> None:
    assert next_look([], 0, 100.0) == 101.0
    assert next_look([], 1, 100.0) == 100.1
    assert next_look([row(98, 2.5), row(98, 2.7), row(90, 1), row(90, 0)], 0, 100.0) == 100.5
