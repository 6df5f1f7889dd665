"""What a round is asked to do and what it answers.

Runs in every peer's interpreter, so it stands on the standard library alone.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Self

__all__ = ["Load", "Measure", "Sample", "Span", "bounded"]


@dataclass(frozen=True)
class Load:
    """One round's work.  Its loops end after *messages*, or after *seconds*, whichever comes first."""

    workload: str
    case: str
    messages: int
    warm_up: int
    seconds: float
    url: str  # of the server that the workload owns for its run; empty when it has none
    folder: str  # the round's own, empty, and gone afterwards
    profile: str = ""  # the folder for profiles of the worker processes that a round starts, or empty


@dataclass(frozen=True)
class Sample:
    """What one round took: *wall* and *cpu* (user and system, of every process that did the work) in seconds."""

    messages: int
    wall: float
    cpu: float
    extra: dict[str, float] = field(default_factory=dict)  # by name with its unit: rss_mib, idle_cpu_percent


Measure = Callable[[Load], Sample]


class Span:
    """The wall clock and this process's CPU time over a ``with`` block, all of its threads included."""

    def __enter__(self) -> Self:
        self._cpu = _cpu_seconds()
        self._wall = time.perf_counter()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.wall = time.perf_counter() - self._wall
        self.cpu = _cpu_seconds() - self._cpu

    def sample(self, messages: int) -> Sample:
        return Sample(messages, self.wall, self.cpu)


def bounded(count: int, seconds: float) -> Iterator[int]:
    """0, 1, … *count* - 1, or fewer when *seconds* are over before."""
    end = time.monotonic() + seconds
    for number in range(count):
        if time.monotonic() > end:
            return
        yield number


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
