"""Patched locks, made fit for native threads.

gevent's ``threading.Lock`` and ``RLock`` lose wake-ups when native threads contend for them: tried with gevent 26.9,
two threads of a thread pool that log, import, or just take one lock in turn stood still for ever in nearly every run.
Offloaded callbacks are such threads.  So whoever waits without end looks again every :data:`GLANCE` seconds, which is
what a lost wake-up costs then.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

__all__ = ["GLANCE", "mend"]

GLANCE: Final = 0.02

_Acquire = Callable[..., Any]


def mend() -> None:
    """Make the patched locks of this process so, once and for all; does nothing where they are not patched."""
    threading = sys.modules.get("threading")  # nothing may be imported before the patches
    for name in ("Lock", "RLock"):
        kind = getattr(threading, name, None)
        if getattr(kind, "__module__", "").startswith("gevent") and not hasattr(kind, "mended"):
            _mend(kind)


def _mend(kind: Any) -> None:
    kind.acquire = _mended(kind.acquire)
    kind.mended = True


def _mended(acquire: _Acquire) -> _Acquire:
    def acquire_and_glance(self: Any, blocking: bool = True, timeout: float | None = -1) -> Any:
        if not blocking or timeout not in (-1, None):
            return acquire(self, blocking, timeout)
        while not (taken := acquire(self, True, GLANCE)):
            pass
        return taken

    return acquire_and_glance
