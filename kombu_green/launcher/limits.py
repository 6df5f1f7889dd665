"""The limits of a worker process, and how its memory is measured.

A *soft* limit (``max_messages``, ``soft_memory``) has a process replaced by a fresh one, which starts beside it.  A
*hard* limit (``hard_memory``, ``hard_time_limit``) has it ended, and the message responsible is blamed.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from kombu_green.config.settings import WorkerSettings
from kombu_green.ipc.messages import Heartbeat
from kombu_green.ipc.recorder import Row, RowState
from kombu_green.launcher.death_rules import DeathKind

__all__ = [
    "OOM_WINDOW",
    "OomKills",
    "SoftLimits",
    "Termination",
    "message_share",
    "next_check",
    "over_memory_limit",
    "over_time_limit",
    "resident_memory",
]

#: seconds between two checks of a process's rows, and of its memory if hard_memory is set
_CHECK_ROWS_EVERY: Final = 1.0
_CHECK_MEMORY_EVERY: Final = 0.1
#: seconds after an OOM kill in which a SIGKILL is taken to be one
OOM_WINDOW: Final = 10.0
_READ_OOM_EVERY: Final = 1.0  # seconds
_OOM_COUNT: Final = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftLimits:
    """When to replace a process: after so many *messages*, or over so many bytes of resident *memory*; 0 is never.

    A process is replaced for its memory when it is at least *min_age* seconds old.  If what it needs right after its
    start is over the limit, so will be its successor: without a minimum age they would replace each other without end.
    One that is over the limit before that age, and at least *settled* seconds old, is worth a warning.
    """

    messages: int = 0
    memory: int = 0
    settled: float = 10.0
    min_age: float = 60.0

    @classmethod
    def from_settings(cls, settings: WorkerSettings) -> Self:
        return cls(messages=settings.max_messages or 0, memory=settings.soft_memory or 0)

    def messages_exceeded(self, counters: Heartbeat, share: float = 1.0) -> str | None:
        """In words, that a process has handled enough messages: its *share* (0.9 to 1) of the limit."""
        done = counters.handled + counters.retried + counters.dead_lettered
        if self.messages and done >= self.messages * share:
            return f"it has handled {done} messages (max_messages = {self.messages})"
        return None

    def memory_exceeded(self, memory: int, age: float) -> str | None:
        """In words, that a process *age* seconds old has too many bytes of *memory*, and is old enough to go."""
        if not self.memory or memory <= self.memory or age < self.min_age:
            return None
        return f"it has {memory >> 20} MB of memory (soft_memory = {self.memory >> 20} MB)"

    def too_low(self, memory: int, age: float) -> str | None:
        """In words, that the memory limit may be less than what a process needs right after its start."""
        if not self.memory or memory <= self.memory or not self.settled <= age < self.min_age:
            return None
        return (
            f"{age:.0f} s after its start it has {memory >> 20} MB of memory (soft_memory = {self.memory >> 20} MB):"
            " if it needs that much, so will the next one, and replacing it is in vain; set soft_memory well above"
            f" {memory >> 20} MB.  A process is replaced {self.min_age:g} s after its start at the earliest"
        )


def message_share() -> float:
    """A random share, 0.9 to 1, of ``max_messages`` for one process, so that not all are replaced at the same time."""
    return random.uniform(0.9, 1.0)


@dataclass(frozen=True, slots=True)
class Termination:
    """Why the launcher ends a process; *over_limit* has number and beginning of each row over its time limit."""

    kind: DeathKind
    text: str
    over_limit: frozenset[tuple[int, float]] = frozenset()


def over_time_limit(rows: Iterable[Row], hub: int, last_heartbeat: float | None, now: float) -> Termination | None:
    """The reason to end a process with a message over its hard time limit, if it has one.  Times are monotonic.

    While row *hub* keeps the hub, the messages beside it cannot go on, whatever their limits are.  So a message counts
    when it has the hub itself, when it runs in a thread, or when a heartbeat came after its limit.
    """
    found = [
        row
        for row in rows
        if row.limit
        and (end := row.since + row.limit) < now
        and (
            row.number == hub
            or row.state is RowState.OFFLOADED
            or (last_heartbeat is not None and last_heartbeat > end)
        )
    ]
    if not found:
        return None
    text = "; ".join(f"{row} runs longer than its hard time limit of {row.limit:g} s" for row in found[:5])
    return Termination(DeathKind.OVER_TIME_LIMIT, text, frozenset((row.number, row.since) for row in found))


def over_memory_limit(memory: int | None, limit: int) -> Termination | None:
    """The reason to end a process with *memory* bytes (None: unknown) that may have *limit*; 0 is no limit."""
    if not limit or memory is None or memory <= limit:
        return None
    return Termination(DeathKind.OVER_MEMORY_LIMIT, f"has {memory >> 20} MB of memory (hard_memory = {limit >> 20} MB)")


def next_check(rows: Sequence[Row], memory_limit: int, now: float) -> float:
    """The monotonic time at which to check the hard limits of a process again that has *rows* now."""
    ends = [end for row in rows if row.limit and (end := row.since + row.limit) > now]
    return min([now + (_CHECK_MEMORY_EVERY if memory_limit else _CHECK_ROWS_EVERY), *ends])


def resident_memory(pid: int) -> int | None:
    """Bytes of memory that process *pid* has in use; None on a system without ``/proc/PID/statm``, see proc(5)."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return None


class OomKills:
    """Follows the kernel's count of processes that it killed because memory ran out (the OOM killer), from *file*.

    Linux counts the kills in the whole machine, memory cgroups included, before it sends the signal; a large process
    may take seconds to end.  Source: ``oom_kill`` in ``/proc/vmstat``, proc(5), since Linux 4.13.
    """

    def __init__(self, file: Path = Path("/proc/vmstat"), *, clock: Callable[[], float] = time.monotonic) -> None:
        self._file: Final = file
        self._clock: Final = clock
        self._count = self._read()
        self._read_at = clock()
        self._rose_at: float | None = None  # when a rise was seen last

    def poll(self) -> None:
        """Read the count once a second; to be called often, so that the time of a rise is known."""
        if self._clock() - self._read_at >= _READ_OOM_EVERY:
            self._refresh()

    def recent(self) -> bool | None:
        """Whether the kernel killed a process in the last :data:`OOM_WINDOW` seconds; None if it does not count."""
        self._refresh()
        if self._count is None:
            return None
        return self._rose_at is not None and self._clock() - self._rose_at < OOM_WINDOW

    def _refresh(self) -> None:
        before, self._count, self._read_at = self._count, self._read(), self._clock()
        if before is not None and self._count is not None and self._count > before:
            self._rose_at = self._read_at

    def _read(self) -> int | None:
        try:
            found = _OOM_COUNT.search(self._file.read_text())
        except OSError:
            return None
        return None if found is None else int(found[1])
