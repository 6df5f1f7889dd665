"""Whether the kernel has just ended processes as memory ran out: the one SIGKILL that a native thread can bring on.

Linux counts what its OOM killer ends, in the whole machine and in memory cgroups alike, before the signal is sent; the
end of a large process may follow seconds later.  Source: ``oom_kill`` in ``/proc/vmstat``, proc(5), since Linux 4.13.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

__all__ = ["RECENT", "Shortage"]

RECENT: Final = 10.0  # seconds, in which a process may end of it
_LOOK_EVERY: Final = 1.0  # seconds
_COUNT: Final = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


class Shortage:
    """Follows the kernel's count in *file*; somebody has to :meth:`look` now and then, so that a rise has a time."""

    def __init__(self, file: Path = Path("/proc/vmstat"), *, clock: Callable[[], float] = time.monotonic) -> None:
        self._file: Final = file
        self._clock: Final = clock
        self._count = self._read()
        self._looked = clock()
        self._risen: float | None = None  # when that was seen last

    def look(self) -> None:
        """Look, if the last time is a while ago."""
        if self._clock() - self._looked >= _LOOK_EVERY:
            self._look()

    def recent(self) -> bool | None:
        """Whether it ended a process, any process, a moment ago; None when nobody knows."""
        self._look()
        if self._count is None:
            return None
        return self._risen is not None and self._clock() - self._risen < RECENT

    def _look(self) -> None:
        before, self._count, self._looked = self._count, self._read(), self._clock()
        if before is not None and self._count is not None and self._count > before:
            self._risen = self._looked

    def _read(self) -> int | None:
        try:
            found = _COUNT.search(self._file.read_text())
        except OSError:
            return None
        return None if found is None else int(found[1])
