"""How often and how long to wait between attempts: one immutable value, used everywhere."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["Backoff", "linear", "retry_call"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponentially growing waits, with a ceiling and full jitter above half.

    ``first`` and ``ceiling`` are seconds.  With jitter a wait lies between half of its nominal value
    and the whole of it, so that many clients that lost one broker do not come back in step.
    """

    first: float = 1.0
    ceiling: float = 30.0
    factor: float = 2.0
    jitter: bool = True

    def delay(self, attempt: int, rand: Callable[[], float] = random.random) -> float:
        """Seconds to wait after attempt number *attempt* (1 is the first) has failed."""
        if attempt < 1:
            raise ValueError(f"attempts are counted from 1, not {attempt}")
        # above 2**64 the ceiling has long been reached; an unbounded exponent would overflow
        nominal = min(self.ceiling, self.first * self.factor ** min(attempt - 1, 64))
        return nominal * (0.5 + rand() / 2) if self.jitter else nominal

    def delays(self) -> Iterator[float]:
        """The waits one after another, without end."""
        attempt = 0
        while True:
            attempt += 1
            yield self.delay(attempt)


def linear(start: float, step: float, ceiling: float) -> Iterator[float]:
    """kombu's intervals: *start*, then *step* more each time, up to *ceiling* seconds, without end."""
    interval = start
    while True:
        yield min(interval, ceiling)
        interval += step


def retry_call(
    attempt: Callable[[], T],
    errors: tuple[type[Exception], ...],
    *,
    intervals: Iterator[float],
    sleep: Callable[[float], object],
    max_retries: int | None = None,
    errback: Callable[[Exception, float], object] | None = None,
) -> T:
    """Call *attempt* until it does not raise one of *errors*.

    *max_retries* further calls are made after the first, None is no limit; before each, *errback* gets the error and
    the seconds that will be slept.  When all have failed the last error is raised as it is.
    """
    retries = 0
    while True:
        try:
            return attempt()
        except errors as error:
            if max_retries is not None and retries >= max_retries:
                raise
            retries += 1
            interval = next(intervals)
            if errback is not None:
                errback(error, interval)
            sleep(interval)
