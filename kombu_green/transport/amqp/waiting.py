"""One greenlet waits, by a deadline, for what another one will hand it."""

from __future__ import annotations

from typing import Any, Final

import gevent
from gevent.hub import Hub, Waiter

from kombu_green.clock import Deadline

__all__ = ["Gate", "wait", "wake"]


def wait(waiter: Waiter[Any], deadline: Deadline, what: str) -> Any:
    """What :func:`wake` hands over; ``TimeoutError`` saying *what* was not done by *deadline*."""
    if deadline.at is None:  # a gevent timer costs more than the rest of a wait
        return waiter.get()
    with gevent.Timeout(deadline.remaining(), TimeoutError(f"{what}: the deadline passed")):
        return waiter.get()


def wake(hub: Hub, waiter: Waiter[Any], value: Any = None) -> None:
    """Let the one who waits go on, at the hub's next turn.

    Nothing happens to one that waits no more: a waiter belongs to one wait.
    """
    hub.loop.run_callback(waiter.switch, value)


class Gate:
    """Many may wait; all of them are let through together."""

    __slots__ = ("_hub", "_waiters")

    def __init__(self, hub: Hub) -> None:
        self._hub: Final = hub
        self._waiters: list[Waiter[Any]] = []

    def __len__(self) -> int:
        return len(self._waiters)

    def wait(self, deadline: Deadline, what: str) -> None:
        waiter: Waiter[Any] = Waiter(self._hub)
        self._waiters.append(waiter)
        try:
            wait(waiter, deadline, what)
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def open(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            wake(self._hub, waiter)

    def let_in(self, most: int) -> None:
        """Only so many, those that have waited longest."""
        for waiter in self._waiters[:most]:
            wake(self._hub, waiter)
        del self._waiters[:most]
