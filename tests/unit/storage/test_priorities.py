from __future__ import annotations

from typing import Any

import pytest

from kombu_green.exceptions import PreconditionFailed
from kombu_green.storage.priorities import ceiling, clip


@pytest.mark.parametrize(("value", "highest"), [(0, 0), (5, 5), (9, 9), (10, 9), (255, 9)])
def test_a_queue_can_lower_the_ceiling_but_not_raise_it(value: int, highest: int) -> None:
    assert ceiling({"x-max-priority": value}) == highest


def test_without_the_argument_there_are_ten() -> None:
    assert ceiling({}) == 9


@pytest.mark.parametrize("value", [-1, 256, "5", 5.0, True, None])
def test_what_is_no_ceiling_is_refused(value: Any) -> None:
    with pytest.raises(PreconditionFailed, match="x-max-priority"):
        ceiling({"x-max-priority": value})


def test_what_is_beyond_counts_as_the_end() -> None:
    assert [clip(priority, 5) for priority in (-1, 0, 4, 5, 6, 255)] == [0, 0, 4, 5, 5, 5]
