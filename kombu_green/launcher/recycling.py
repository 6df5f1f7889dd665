"""When a process has done its part, and a fresh one shall take its place: after so many messages, or grown so large."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from kombu_green.config.settings import WorkerSettings
from kombu_green.control.messages import Heartbeat

__all__ = ["Limits", "resident", "share"]

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """After how many *messages*, or at how many bytes of resident *memory*, a process is recycled; 0 is never.

    A process that is large from the start would be replaced for ever: memory counts from *settled* seconds of age on.
    """

    messages: int = 0
    memory: int = 0
    settled: float = 10.0

    @classmethod
    def of(cls, settings: WorkerSettings) -> Self:
        return cls(messages=settings.max_messages or 0, memory=settings.soft_memory or 0)

    def passed(self, counters: Heartbeat, memory: int | None, age: float, share: float = 1.0) -> str | None:
        """Which limit was passed, in words; *share* is the part of *messages* that counts for this process."""
        done = counters.handled + counters.retried + counters.dead_lettered
        if self.messages and done >= self.messages * share:
            return f"it has handled {done} messages (max_messages = {self.messages})"
        if self.memory and memory is not None and memory > self.memory and age >= self.settled:
            return f"it has {memory >> 20} MB of memory (soft_memory = {self.memory >> 20} MB)"
        return None


def share() -> float:
    """A process's own part of ``max_messages``, so that those that started together do not end together."""
    return random.uniform(0.9, 1.0)


def resident(pid: int) -> int | None:
    """Bytes of memory that *pid* has in use now; None where nobody says so.  Source: proc(5), statm."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return None
