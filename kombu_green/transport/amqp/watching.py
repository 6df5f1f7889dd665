"""Waiting until a socket can be read or written, or until somebody says that it is time to look again."""

from __future__ import annotations

from typing import Any, Final

from gevent.hub import Hub, Waiter

from kombu_green.transport.amqp.waiting import wake

__all__ = ["Watch"]

_READ: Final = 1  # libev's numbers
_WRITE: Final = 2


class Watch:
    """Of one file descriptor, for the one greenlet that it belongs to."""

    def __init__(self, hub: Hub, descriptor: int) -> None:
        self._hub: Final = hub
        self._readable: Final = hub.loop.io(descriptor, _READ)
        self._writable: Final = hub.loop.io(descriptor, _WRITE)
        self._waiter: Waiter[Any] = Waiter(hub)

    def wait(self, *, read: bool, write: bool) -> None:
        """Until what is asked for can be done without waiting, or :meth:`poke`."""
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

    def poke(self) -> None:
        """Let the greenlet go on that waits."""
        wake(self._hub, self._waiter)

    def close(self) -> None:
        """Before the descriptor is closed."""
        self._readable.close()
        self._writable.close()
