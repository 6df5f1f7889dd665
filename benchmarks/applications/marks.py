"""When each message was handled, and how much CPU its process had used by then, left in a file for who measures.

A worker process makes one file, named by its process id, in the folder that ``BENCH_MARKS`` names.  A mark costs about
a microsecond.
"""

from __future__ import annotations

import cProfile
import mmap
import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.round import Sample

__all__ = ["Marks", "Trail", "handled", "sample", "trails"]

_COUNT: Final = struct.Struct("<q")
_MARK: Final = struct.Struct("<dd")
_ROOM: Final = 200_000  # marks; the file is sparse
_PROFILE_FROM: Final = 100  # marks: by then everything is imported and warm


class Marks:
    """The writing end, in the worker process."""

    def __init__(self, folder: Path, profile: Path | None = None, profile_until: int = 0) -> None:
        with open(folder / f"{os.getpid()}.marks", "w+b") as file:
            file.truncate(_COUNT.size + _ROOM * _MARK.size)
            self._map = mmap.mmap(file.fileno(), 0)
        self.count = 0
        self._profile = profile
        self._profile_until = profile_until
        self._profiler = cProfile.Profile()

    @classmethod
    def from_environment(cls) -> Marks:
        profile = os.environ.get("BENCH_PROFILE")
        until = int(os.environ.get("BENCH_PROFILE_UNTIL", "0"))
        return cls(Path(os.environ["BENCH_MARKS"]), Path(profile) if profile else None, until)

    def mark(self) -> None:
        _MARK.pack_into(self._map, _COUNT.size + self.count % _ROOM * _MARK.size, time.monotonic(), time.process_time())
        self.count += 1
        _COUNT.pack_into(self._map, 0, self.count)
        if self._profile is not None:
            self._profiled(self._profile)

    def _profiled(self, folder: Path) -> None:
        if self.count == _PROFILE_FROM:
            self._profiler.enable()
        elif self.count == self._profile_until:
            self._profiler.disable()
            self._profiler.dump_stats(folder / f"worker-{os.getpid()}.prof")


@dataclass(frozen=True)
class Trail:
    """What one worker process left: *when*, in seconds of the monotonic clock, and *cpu* seconds by then."""

    when: tuple[float, ...]
    cpu: tuple[float, ...]


def handled(folder: Path) -> int:
    """How many so far, by all processes; cheap enough to look often."""
    return sum(_count(path) for path in folder.glob("*.marks"))


def trails(folder: Path) -> list[Trail]:
    """Of the processes that have handled something so far."""
    found = []
    for path in sorted(folder.glob("*.marks")):
        count = _count(path)
        if count:
            with open(path, "rb") as file:
                file.seek(_COUNT.size)
                when, cpu = zip(*_MARK.iter_unpack(file.read(count * _MARK.size)), strict=True)
            found.append(Trail(when, cpu))
    return found


def _count(path: Path) -> int:
    with open(path, "rb") as file:
        head = file.read(_COUNT.size)
    return int(_COUNT.unpack(head)[0]) if len(head) == _COUNT.size else 0  # it was made just now


def sample(found: list[Trail], warm_up: int = 0) -> Sample:
    """What was done since every process had handled something, or *warm_up* messages: all of them were at work."""
    start = max(trail.when[min(max(warm_up, 1), len(trail.when)) - 1] for trail in found)
    end = max(trail.when[-1] for trail in found)
    messages, cpu = 0, 0.0
    for trail in found:
        before = sum(1 for moment in trail.when if moment <= start)
        messages += len(trail.when) - before
        cpu += trail.cpu[-1] - trail.cpu[before - 1]
    return Sample(messages, max(end - start, 1e-9), cpu)
