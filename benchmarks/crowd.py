"""Many at one task: threads, which are greenlets where gevent has patched."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from benchmarks.round import bounded

__all__ = ["CROWD", "by_crowd"]

CROWD = 50


def by_crowd(work: Callable[[int], None], count: int, seconds: float) -> int:
    """Call *work* with each number below *count*, by 50 threads; returns how many calls were made."""
    numbers = deque(range(count))
    done = deque[int]()
    failures = deque[BaseException]()

    def run() -> None:
        try:
            for _ in bounded(count, seconds):
                number = numbers.popleft()
                work(number)
                done.append(number)
        except IndexError:
            pass  # nothing is left
        except Exception as failure:
            failures.append(failure)
            raise

    threads = [threading.Thread(target=run) for _ in range(CROWD)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return len(done)
