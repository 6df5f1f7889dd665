"""The messages of one queue that can be taken now, in the order in which they will be."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from heapq import merge
from operator import attrgetter
from typing import Generic, Protocol, TypeVar

__all__ = ["Numbered", "Ready"]


class Numbered(Protocol):
    """Something with a place: ``id`` grows in the order of the first put, and a higher ``priority`` goes first."""

    id: int
    priority: int


T = TypeVar("T", bound=Numbered)
_by_id = attrgetter("id")


class Ready(Generic[T]):
    """By priority, then in the order of the first put: what comes back goes to the place it had."""

    __slots__ = ("_levels", "_lines", "count")

    def __init__(self) -> None:
        self.count = 0
        self._lines: dict[int, deque[T]] = {}
        self._levels: list[deque[T]] = []  # the same lines, the most urgent first

    def append(self, item: T) -> None:
        """A new one, with a higher id than all before."""
        line = self._lines.get(item.priority)
        if line is None:
            line = self._add_level(item.priority)
        line.append(item)
        self.count += 1

    def pop(self) -> T:
        """The next one; ``IndexError`` when there is none."""
        for line in self._levels:
            if line:
                self.count -= 1
                return line.popleft()
        raise IndexError("nothing is ready")

    def give_back(self, items: Iterable[T]) -> None:
        """Some that were here before, or were delayed, in any order."""
        levels: dict[int, list[T]] = {}
        for item in items:
            levels.setdefault(item.priority, []).append(item)
        for priority, returned in levels.items():
            returned.sort(key=_by_id)
            self._insert(priority, returned)
            self.count += len(returned)

    def clear(self) -> None:
        self.count = 0
        for line in self._levels:
            line.clear()

    def __iter__(self) -> Iterator[T]:
        for line in self._levels:
            yield from line

    def _insert(self, priority: int, returned: list[T]) -> None:
        line = self._lines.get(priority)
        if line is None:
            line = self._add_level(priority)
        if not line or returned[0].id > line[-1].id:
            line.extend(returned)
        elif returned[-1].id < line[0].id:
            line.extendleft(reversed(returned))
        else:
            ordered = list(merge(line, returned, key=_by_id))
            line.clear()
            line.extend(ordered)

    def _add_level(self, priority: int) -> deque[T]:
        line = self._lines[priority] = deque()
        self._levels = [self._lines[level] for level in sorted(self._lines, reverse=True)]
        return line
