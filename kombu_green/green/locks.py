"""A fix for gevent's patched locks, which lose wake-ups when native threads contend for them.

gevent's ``threading.Lock`` (and ``RLock``, which is made of it) is meant for greenlets.  With gevent 26.9 two threads
of a thread pool that log, import, or take one lock in turn hung in nearly every run, and a timeout did not wake them.
Offloaded callbacks run in such threads.

So with the fix no native thread waits inside gevent: it tries to take the lock, sleeps natively, and tries again.
Greenlets of the thread with the hub wait in gevent as before, but try again from time to time, because a release by
another thread may not wake them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

from gevent.monkey import get_original

__all__ = ["fix_patched_locks"]

_FIRST_WAIT: Final = 0.0005  # seconds before the second attempt; most locks are held for less than a millisecond
_LONGEST_WAIT: Final = 0.02  # seconds between two attempts

_Acquire = Callable[..., Any]


def fix_patched_locks() -> None:
    """Replace ``acquire`` of the patched lock class in this process.

    Call it in the thread with the hub.  Does nothing where locks are not patched, or are fixed already.
    """
    threading = sys.modules.get("threading")  # nothing may be imported before the patches
    lock_class: Any = getattr(threading, "Lock", None)
    if getattr(lock_class, "__module__", "").startswith("gevent") and not hasattr(lock_class, "fixed_by_kombu_green"):
        lock_class.acquire = _fixed(lock_class.acquire)
        lock_class.fixed_by_kombu_green = True


def _fixed(acquire: _Acquire) -> _Acquire:
    thread: Callable[[], int] = get_original("_thread", "get_ident")
    sleep: Callable[[float], None] = get_original("time", "sleep")
    now: Callable[[], float] = get_original("time", "monotonic")
    hub_thread = thread()

    def wait_in_hub_thread(self: Any) -> Any:
        wait = _FIRST_WAIT
        while not (taken := acquire(self, True, wait)):
            wait = min(2 * wait, _LONGEST_WAIT)
        return taken

    def wait_in_other_thread(self: Any, seconds: float | None) -> bool:
        end = None if seconds is None else now() + seconds
        wait = _FIRST_WAIT
        while not acquire(self, False):
            if end is not None and now() >= end:
                return False
            sleep(wait if end is None else max(0.0, min(wait, end - now())))
            wait = min(2 * wait, _LONGEST_WAIT)
        return True

    def fixed_acquire(self: Any, blocking: bool = True, timeout: float | None = -1) -> Any:
        unbounded = timeout is None or timeout == -1
        if not blocking or (not unbounded and (thread() == hub_thread or timeout < 0)):  # type: ignore[operator]  # a number
            return acquire(self, blocking, timeout)
        if thread() == hub_thread:
            return wait_in_hub_thread(self)
        return wait_in_other_thread(self, None if unbounded else timeout)

    return fixed_acquire
