"""Waits between attempts, and calls that are repeated after errors."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["Backoff", "linear", "retry_call"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponentially growing waits with a ceiling, and with jitter unless that is switched off.

    ``first`` and ``ceiling`` are seconds.  With jitter a wait is a random part of its nominal value, half of it at
    least, so that many clients of one lost broker do not reconnect at the same moments.
    """

    first: float = 1.0
    ceiling: float = 30.0
    factor: float = 2.0
    jitter: bool = True

    def delay(self, attempt: int, rand: Callable[[], float] = random.random) -> float:
        """Seconds to wait after attempt number *attempt* (1 is the first) has failed."""
        if attempt < 1:
            raise ValueError(f"attempts are counted from 1, not {attempt}")
        # an unbounded exponent would overflow; the ceiling is reached long before factor**64
        nominal = min(self.ceiling, self.first * self.factor ** min(attempt - 1, 64))
        return nominal * (0.5 + rand() / 2) if self.jitter else nominal

    def delays(self) -> Iterator[float]:
        """The waits one after another, without end."""
        attempt = 0
        while True:
            attempt += 1
            yield self.delay(attempt)


def linear(start: float, step: float, ceiling: float) -> Iterator[float]:
    """kombu's intervals, without end: *start* seconds, then *step* more each time, up to *ceiling*."""
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
    """Call *attempt* until it raises none of *errors*; returns its result.

    After the first call at most *max_retries* more are made (None: without limit).  Before each of them *errback* is
    called with the error and the seconds to wait, and *sleep* with these seconds.  The last error is raised unchanged.
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
