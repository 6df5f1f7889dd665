"""Many at one task: threads, which are greenlets where gevent has patched."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

__all__ = ["CROWD", "by_crowd"]

CROWD = 50


def by_crowd(work: Callable[[int], None], count: int, seconds: float, size: int = CROWD) -> int:
    """Call *work* with the numbers below *count*, by *size* threads, for *seconds* at most; returns how many it was.

    The time is one for all: greenlets that never wait run one after the other.
    """
    numbers = deque(range(count))
    done = deque[int]()
    failures = deque[Exception]()
    end = time.monotonic() + seconds

    def run() -> None:
        try:
            while numbers and time.monotonic() < end:
                number = numbers.popleft()
                work(number)
                done.append(number)
        except Exception as failure:  # noqa: BLE001 raised below, in the caller's thread
            failures.append(failure)

    threads = [threading.Thread(target=run) for _ in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return len(done)
