"""Waits between attempts, and calls that are repeated."""

from __future__ import annotations

from itertools import islice, repeat

import pytest

from kombu_green.retry import Backoff, linear, retry_call


def test_waits_grow_up_to_the_ceiling() -> None:
    backoff = Backoff(first=1, ceiling=5, jitter=False)
    assert list(islice(backoff.delays(), 5)) == [1, 2, 4, 5, 5]
    assert backoff.delay(10_000) == 5


def test_jitter_spreads_a_wait_over_its_upper_half() -> None:
    backoff = Backoff(first=4, ceiling=30)
    assert (backoff.delay(1, lambda: 0.0), backoff.delay(1, lambda: 1.0)) == (2, 4)


def test_attempts_are_counted_from_one() -> None:
    with pytest.raises(ValueError, match="counted from 1, not 0"):
        Backoff().delay(0)


def test_linear_intervals() -> None:
    assert list(islice(linear(2, 3, 7), 4)) == [2, 5, 7, 7]


class Flaky:
    """Fails *failures* times, then returns the number of calls."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        if self.calls <= self.failures:
            raise ConnectionError(str(self.calls))
        return self.calls


def test_a_call_is_repeated_until_it_succeeds() -> None:
    told: list[tuple[str, float]] = []
    slept: list[float] = []
    result = retry_call(
        Flaky(2),
        (ConnectionError,),
        intervals=linear(1, 1, 9),
        sleep=slept.append,
        errback=lambda error, seconds: told.append((str(error), seconds)),
    )
    assert result == 3
    assert slept == [1, 2]
    assert told == [("1", 1), ("2", 2)]


def test_the_last_error_is_raised_when_the_retries_are_used_up() -> None:
    flaky = Flaky(9)
    with pytest.raises(ConnectionError, match="3"):
        retry_call(flaky, (ConnectionError,), intervals=repeat(0.0), sleep=lambda seconds: None, max_retries=2)
    assert flaky.calls == 3


def test_other_errors_are_raised_at_once() -> None:
    flaky = Flaky(9)
    with pytest.raises(ConnectionError):
        retry_call(flaky, (ValueError,), intervals=repeat(0.0), sleep=lambda seconds: None)
    assert flaky.calls == 1
