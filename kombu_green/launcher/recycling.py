"""When a process has done its part, and a fresh one shall take its place: after so many messages, or grown so large."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from kombu_green.config.settings import WorkerSettings
from kombu_green.ipc.messages import Heartbeat

__all__ = ["Limits", "Need", "resident", "share"]

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_LONGEST: Final = 3600.0  # seconds that a process may be beyond a limit which is too low
_GROWN: Final = 1.5  # times what is needed


class Need:
    """What processes seem to need, by what young ones had: as much will the next one have, which follows it.

    One that is beyond ``soft_memory`` as soon as its memory counts, *settled* seconds after its start, would be
    replaced for ever.  So each of them gives the next one twice as long, up to an hour, unless that grows beyond what
    is needed by half: it leaks, and that is what the limit is for.
    """

    def __init__(self, settled: float) -> None:
        self.patience = settled
        self.memory = 0  # bytes; 0 while nothing is known

    @property
    def most(self) -> int:
        return int(self.memory * _GROWN)

    def excuses(self, memory: int, age: float) -> bool:
        return age < self.patience and memory <= self.most

    def learn(self, memory: int, age: float) -> bool:
        """One with *memory* bytes is replaced at *age*; whether this is the first one that was so young."""
        known = self.memory > 0
        if age >= 2 * self.patience or (known and memory > self.most):
            return False
        self.patience, self.memory = min(2 * self.patience, _LONGEST), self.memory or memory
        return not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """After how many *messages*, or at how many bytes of resident *memory*, a process is recycled; 0 is never.

    Memory counts from *settled* seconds of age on.
    """

    messages: int = 0
    memory: int = 0
    settled: float = 10.0

    @classmethod
    def of(cls, settings: WorkerSettings) -> Self:
        return cls(messages=settings.max_messages or 0, memory=settings.soft_memory or 0)

    def worn(self, counters: Heartbeat, share: float = 1.0) -> str | None:
        """That it has handled enough, in words; *share* is the part of *messages* that counts for this process."""
        done = counters.handled + counters.retried + counters.dead_lettered
        if self.messages and done >= self.messages * share:
            return f"it has handled {done} messages (max_messages = {self.messages})"
        return None

    def swollen(self, memory: int, age: float, need: Need) -> str | None:
        """That it has too much memory, in words."""
        if not self.memory or memory <= self.memory or age < self.settled or need.excuses(memory, age):
            return None
        return f"it has {memory >> 20} MB of memory (soft_memory = {self.memory >> 20} MB)"

    def too_low(self, memory: int, age: float, need: Need) -> str:
        """That the limit may be less than what a process needs, and what to do."""
        return (
            f"{age:.0f} s after its start it has {memory >> 20} MB of memory (soft_memory = {self.memory >> 20} MB):"
            " if it needs that much, so will the next one, and replacing it is in vain; set soft_memory well above"
            f" {memory >> 20} MB.  Such processes are replaced ever more rarely now, but at once beyond"
            f" {need.most >> 20} MB"
        )


def share() -> float:
    """A process's own part of ``max_messages``, so that those that started together do not end together."""
    return random.uniform(0.9, 1.0)


def resident(pid: int) -> int | None:
    """Bytes of memory that *pid* has in use now; None where nobody says so.  Source: proc(5), statm."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return None
