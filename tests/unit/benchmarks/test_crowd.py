"""Many threads at one task."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from benchmarks.crowd import CROWD, by_crowd


def test_each_number_is_worked_on_once_by_many() -> None:
    seen: Counter[int] = Counter()
    threads = set()
    everybody = threading.Barrier(CROWD)

    def work(number: int) -> None:
        if number < CROWD:
            everybody.wait(30)
        seen[number] += 1
        threads.add(threading.get_ident())

    assert by_crowd(work, 200, 60.0) == 200
    assert seen == Counter(range(200))
    assert len(threads) == CROWD


def test_the_time_is_one_for_all() -> None:
    assert by_crowd(print, 200, 0.0) == 0


def test_a_failure_is_raised() -> None:
    def fail(number: int) -> None:
        raise ValueError(number)

    with pytest.raises(ValueError, match=r"\d"):
        by_crowd(fail, 5, 60.0)
