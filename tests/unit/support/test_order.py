"""Long tests come first in each process, and the others stay together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.order import LONG, spread, time_limit


@dataclass(frozen=True)
class Item:
    """As much of a collected test as is looked at."""

    number: int
    limit: float | None = None

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        assert name == "timeout"
        return None if self.limit is None else pytest.mark.timeout(self.limit).mark


def ordered(tests: list[Item], processes: int) -> list[Item]:
    return cast("list[Item]", spread(cast("list[pytest.Item]", tests), processes))


def test_each_process_begins_with_its_share_of_the_long_tests() -> None:
    tests = [Item(0), Item(1, 300), Item(2), Item(3, 5), Item(4, 500), Item(5), Item(6, 120), Item(7)]
    assert [test.number for test in ordered(tests, 2)] == [4, 6, 0, 2, 1, 3, 5, 7]


@given(st.lists(st.none() | st.sampled_from([5.0, LONG, 2 * LONG])), st.integers(1, 5))
def test_no_test_is_lost_and_the_short_ones_keep_their_order(limits: list[float | None], processes: int) -> None:
    tests = [Item(number, limit) for number, limit in enumerate(limits)]
    found = ordered(tests, processes)
    assert sorted(found, key=lambda test: test.number) == tests
    short = [test.number for test in found if time_limit(cast("pytest.Item", test)) < LONG]
    assert short == sorted(short)
