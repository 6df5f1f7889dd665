"""What worker processes leave for who measures them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from benchmarks.applications.marks import Marks, Trail, handled, sample, trails


def test_marks_can_be_read_while_they_are_written(tmp_path: Path) -> None:
    assert trails(tmp_path) == []
    marks = Marks(tmp_path)
    assert handled(tmp_path) == 0
    assert trails(tmp_path) == []  # a process that has handled nothing yet
    began = time.monotonic()
    for _ in range(3):
        marks.mark()
    [trail] = trails(tmp_path)
    assert handled(tmp_path) == 3
    assert len(trail.when) == len(trail.cpu) == 3
    assert began <= trail.when[0] <= trail.when[2] <= time.monotonic()


def test_what_counts_begins_when_all_are_at_work() -> None:
    early = Trail((1.0, 2.0, 3.0, 4.0), (0.1, 0.2, 0.3, 0.4))
    late = Trail((2.5, 3.5), (0.5, 0.7))
    found = sample([early, late])
    assert found.messages == 3  # at 3.0, 3.5 and 4.0
    assert found.wall == 1.5
    assert found.cpu == pytest.approx((0.4 - 0.2) + (0.7 - 0.5))
