"""How often and how long to wait between attempts: one immutable value, used everywhere."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["Backoff"]


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
