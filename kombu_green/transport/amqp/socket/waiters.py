"""What greenlets of a connection wait on: one value, a queue of waiting greenlets, the socket itself."""

from __future__ import annotations

from typing import Any, Final

import gevent
from gevent.hub import Hub, Waiter

from kombu_green.clock import Deadline

__all__ = ["SocketWatch", "WaitQueue", "wait", "wake"]

# libev's event numbers
_READ: Final = 1
_WRITE: Final = 2


def wait(waiter: Waiter[Any], deadline: Deadline, what: str) -> Any:
    """The value that :func:`wake` passes; ``TimeoutError``, which names *what* was waited for, at *deadline*."""
    if deadline.at is None:  # a gevent timer costs more than the rest of a wait
        return waiter.get()
    with gevent.Timeout(deadline.remaining(), TimeoutError(f"{what}: the deadline passed")):
        return waiter.get()


def wake(hub: Hub, waiter: Waiter[Any], value: Any = None) -> None:
    """Pass *value* to the greenlet that waits, which continues in the hub's next iteration.

    Does nothing when that wait is over already.  A waiter must be used for one wait only.
    """
    hub.loop.run_callback(waiter.switch, value)


class WaitQueue:
    """Greenlets that wait for the same condition, in the order in which they came."""

    __slots__ = ("_hub", "_waiters")

    def __init__(self, hub: Hub) -> None:
        self._hub: Final = hub
        self._waiters: list[Waiter[Any]] = []

    def __len__(self) -> int:
        return len(self._waiters)

    def wait(self, deadline: Deadline, what: str) -> None:
        """Until the caller is woken; ``TimeoutError``, which names *what* was waited for, at *deadline*."""
        waiter: Waiter[Any] = Waiter(self._hub)
        self._waiters.append(waiter)
        try:
            wait(waiter, deadline, what)
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def wake_all(self) -> None:
        """Wake every waiting greenlet."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            wake(self._hub, waiter)

    def wake_first(self, count: int) -> None:
        """Wake the *count* greenlets that have waited longest."""
        for waiter in self._waiters[:count]:
            wake(self._hub, waiter)
        del self._waiters[:count]


class SocketWatch:
    """Lets one greenlet wait until a file descriptor is readable or writable, or until :meth:`wake` is called."""

    def __init__(self, hub: Hub, descriptor: int) -> None:
        self._hub: Final = hub
        self._readable: Final = hub.loop.io(descriptor, _READ)
        self._writable: Final = hub.loop.io(descriptor, _WRITE)
        self._waiter: Waiter[Any] = Waiter(hub)

    def wait(self, *, read: bool, write: bool) -> None:
        """Until the descriptor is ready for what is asked for, or :meth:`wake`."""
        waiter = self._waiter = Waiter(self._hub)
        if read:
            self._readable.start(waiter.switch, None)
        if write:
            self._writable.start(waiter.switch, None)
        try:
            waiter.get()
        finally:
            self._readable.stop()
            self._writable.stop()

    def wake(self) -> None:
        """End the wait, if there is one, so that the greenlet looks again at what it should wait for."""
        wake(self._hub, self._waiter)

    def close(self) -> None:
        """Must be called before the descriptor is closed."""
        self._readable.close()
        self._writable.close()
