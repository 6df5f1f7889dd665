"""A greenlet trace function that writes into shared memory which slot runs, without a system call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import greenlet
from gevent import get_hub, getcurrent

from kombu_green.clock import Deadline
from kombu_green.green.fork import forks
from kombu_green.service import Service

__all__ = ["HubTrace", "TracedSlot"]

Greenlet = greenlet.greenlet
_Trace = Callable[[Any, Any], object]


class TracedSlot(Protocol):
    """The slot that a greenlet belongs to: its number, and how many messages it has finished."""

    finished: int

    @property
    def number(self) -> int: ...


class HubTrace(Service):
    """At each switch of greenlets, writes the number of the slot that runs to ``words[0]``, and 1 to ``words[1]``.

    *idle* is the number for the hub itself, *unowned* that for greenlets of no slot.  A greenlet that was spawned in a
    slot, directly or by another such greenlet, belongs to that slot until that has finished its message.  That is
    found out at its first switch and kept as an attribute of the greenlet.  Only greenlets of the thread that starts
    the trace are traced.
    """

    def __init__(self, words: memoryview[int], *, idle: int, unowned: int) -> None:
        self._words: Final = words
        self._idle: Final = idle
        self._unowned: Final = unowned
        self._numbers: Final[dict[Greenlet, int]] = {}
        self._slots: Final[dict[Greenlet, TracedSlot]] = {}
        self._previous: _Trace | None = None
        forks.add(self)

    def assign(self, slot: TracedSlot) -> None:
        """Make the calling greenlet that of *slot*, until the trace is stopped."""
        current = getcurrent()
        self._slots[current] = slot
        self._numbers[current] = self._words[0] = slot.number

    def on_start(self) -> None:
        self._numbers[get_hub()] = self._idle
        self._previous = greenlet.gettrace()
        trace = self._trace_function()
        greenlet.settrace(trace if self._previous is None else _both(trace, self._previous))

    def on_stop(self, deadline: Deadline) -> None:
        greenlet.settrace(self._previous)
        self._numbers.clear()
        for slot in self._slots.values():
            slot.finished += 1  # what was spawned in it belongs to no slot any more
        self._slots.clear()

    def after_fork(self) -> None:
        """Stop tracing in the child of a fork: it shares the memory, and its switches are not those of this process."""
        if self.running:
            greenlet.settrace(self._previous)

    def _trace_function(self) -> _Trace:
        words, number_of, spawned_number = self._words, self._numbers.get, self._spawned_number

        def trace(event: str, switch: tuple[Greenlet, Greenlet]) -> None:
            number = number_of(switch[1])
            words[0] = spawned_number(switch[1]) if number is None else number
            words[1] = 1

        return trace

    def _spawned_number(self, spawned: Any) -> int:
        """The number for a greenlet that was not assigned to a slot."""
        try:
            owner = spawned._kombu_green_owner
        except AttributeError:
            owner = spawned._kombu_green_owner = self._owner(spawned)
        return self._unowned if owner is None or owner[0].finished != owner[1] else int(owner[0].number)

    def _owner(self, spawned: Greenlet) -> tuple[TracedSlot, int] | None:
        """The slot in which *spawned* was spawned, and how many messages that had finished then."""
        reference = getattr(spawned, "spawning_greenlet", None)
        parent = reference() if callable(reference) else None
        if parent is None:
            return None
        slot = self._slots.get(parent)
        return getattr(parent, "_kombu_green_owner", None) if slot is None else (slot, slot.finished)


def _both(first: _Trace, second: _Trace) -> _Trace:
    def trace(event: Any, switch: Any) -> None:
        first(event, switch)
        second(event, switch)

    return trace
