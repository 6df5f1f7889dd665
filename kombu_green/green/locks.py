"""Patched locks, made fit for native threads.

gevent's ``threading.Lock`` (and ``RLock``, which is made of it) loses wake-ups when native threads contend for it:
tried with gevent 26.9, two threads of a thread pool that log, import, or just take one lock in turn stood still for
ever in nearly every run, and a timeout did not wake them either.  Offloaded callbacks are such threads.

So a native thread never waits inside of gevent: it looks, sleeps for a moment, and looks again.  Greenlets of the
thread that has the hub wait as ever, and look again now and then, since a thread's release may not have woken them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

from gevent.monkey import get_original

__all__ = ["GLANCE", "mend"]

GLANCE: Final = 0.02  # seconds between two looks, at most
_FIRST: Final = 0.0005  # most locks are held for less than a millisecond

_Acquire = Callable[..., Any]


def mend() -> None:
    """Make the patched locks of this process so, once and for all; does nothing where they are not patched.

    The calling thread is the one whose hub must not be blocked.
    """
    threading = sys.modules.get("threading")  # nothing may be imported before the patches
    kind: Any = getattr(threading, "Lock", None)
    if getattr(kind, "__module__", "").startswith("gevent") and not hasattr(kind, "mended"):
        kind.acquire = _mended(kind.acquire)
        kind.mended = True


def _mended(acquire: _Acquire) -> _Acquire:
    thread: Callable[[], int] = get_original("_thread", "get_ident")
    sleep: Callable[[float], None] = get_original("time", "sleep")
    now: Callable[[], float] = get_original("time", "monotonic")
    home = thread()

    def wait_at_home(self: Any) -> Any:
        wait = _FIRST
        while not (taken := acquire(self, True, wait)):
            wait = min(2 * wait, GLANCE)
        return taken

    def wait_elsewhere(self: Any, seconds: float | None) -> bool:
        end = None if seconds is None else now() + seconds
        wait = _FIRST
        while not acquire(self, False):
            if end is not None and now() >= end:
                return False
            sleep(wait if end is None else max(0.0, min(wait, end - now())))
            wait = min(2 * wait, GLANCE)
        return True

    def acquire_and_look(self: Any, blocking: bool = True, timeout: float | None = -1) -> Any:
        unbounded = timeout is None or timeout == -1
        if not blocking or (not unbounded and (thread() == home or timeout < 0)):  # type: ignore[operator]  # a number
            return acquire(self, blocking, timeout)
        if thread() == home:
            return wait_at_home(self)
        return wait_elsewhere(self, None if unbounded else timeout)

    return acquire_and_look
