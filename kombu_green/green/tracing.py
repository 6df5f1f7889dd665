"""Who has the hub: written at every switch of greenlets, without a system call."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final, Protocol
from weakref import WeakMethod

import greenlet
from gevent import get_hub, getcurrent

from kombu_green.clock import Deadline
from kombu_green.service import Service

__all__ = ["HubTrace", "Seat"]

Greenlet = greenlet.greenlet
_Trace = Callable[[Any, Any], object]


class Seat(Protocol):
    """The number of a slot's greenlet, and how many messages it has *finished*.

    What the greenlet has spawned counts as its work until it finishes the message.
    """

    finished: int

    @property
    def number(self) -> int: ...


class HubTrace(Service):
    """Writes into *words*: first the number of the greenlet that is switched to, then 1.

    *idle* is the hub's own number; *nobody* that of a greenlet without a seat.  One that was spawned by a seated
    greenlet, or by another one of its family, counts as that one until that has finished its message.
    Which one that is, is kept on the greenlet itself from its first switch on.  It is for the thread that starts it.
    """

    def __init__(self, words: memoryview[int], *, idle: int, nobody: int) -> None:
        self._words: Final = words
        self._idle: Final = idle
        self._nobody: Final = nobody
        self._numbers: Final[dict[Greenlet, int]] = {}
        self._seats: Final[dict[Greenlet, Seat]] = {}
        self._before: _Trace | None = None
        forked = WeakMethod(self._forked)
        os.register_at_fork(after_in_child=lambda: (method := forked()) and method())

    def seat(self, seat: Seat) -> None:
        """Give the calling greenlet *seat*, until the trace is stopped."""
        current = getcurrent()
        self._seats[current] = seat
        self._numbers[current] = self._words[0] = seat.number

    def on_start(self) -> None:
        self._numbers[get_hub()] = self._idle
        self._before = greenlet.gettrace()
        made = self._made()
        greenlet.settrace(made if self._before is None else _chained(made, self._before))

    def on_stop(self, deadline: Deadline) -> None:
        greenlet.settrace(self._before)
        self._numbers.clear()
        for seat in self._seats.values():
            seat.finished += 1  # whoever was spawned is nobody's now
        self._seats.clear()

    def _forked(self) -> None:
        """A callback may fork, and its child has the same memory: what happens there is not to be written down."""
        if self.running:
            greenlet.settrace(self._before)

    def _made(self) -> _Trace:
        words, number_of, stranger = self._words, self._numbers.get, self._stranger

        def trace(event: str, switch: tuple[Greenlet, Greenlet]) -> None:
            number = number_of(switch[1])
            words[0] = stranger(switch[1]) if number is None else number
            words[1] = 1

        return trace

    def _stranger(self, stranger: Any) -> int:
        try:
            family = stranger._kombu_green_family
        except AttributeError:
            family = stranger._kombu_green_family = self._family(stranger)
        return self._nobody if family is None or family[0].finished != family[1] else int(family[0].number)

    def _family(self, stranger: Greenlet) -> tuple[Seat, int] | None:
        reference = getattr(stranger, "spawning_greenlet", None)
        parent = reference() if callable(reference) else None
        if parent is None:
            return None
        seat = self._seats.get(parent)
        return getattr(parent, "_kombu_green_family", None) if seat is None else (seat, seat.finished)


def _chained(first: _Trace, second: _Trace) -> _Trace:
    def trace(event: Any, switch: Any) -> None:
        first(event, switch)
        second(event, switch)

    return trace
