"""Signals as values in a queue: the handler does nothing but put them there.

What a signal means is decided by whoever takes it out, in a greenlet of its own, at a time when it may wait, log and
take locks.  gevent's own watchers are used: they wake a hub that waits in the kernel, and their callback runs in the
hub, never between two bytecodes of some other code.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any, Final

from gevent import get_hub
from gevent.queue import Empty, SimpleQueue

from kombu_green.clock import Deadline
from kombu_green.service import Service

__all__ = ["Signals"]


class Signals(Service):
    """The signals *wanted*, from :meth:`start` to :meth:`stop`; the handlers that were there before come back then.

    Start it in the main thread.  A signal that comes twice before the hub turns counts once, as signals do.

    >>> signals = Signals(signal.SIGTERM)
    >>> signals.start()
    >>> signal.raise_signal(signal.SIGTERM)
    >>> signals.get(Deadline.after(10)).name
    'SIGTERM'
    >>> signals.stop(Deadline.after(0))
    """

    def __init__(self, *wanted: signal.Signals) -> None:
        self.wanted: Final = wanted
        self._arrived: SimpleQueue[signal.Signals | None] = SimpleQueue()
        self._watched: list[tuple[signal.Signals, Any, Any]] = []

    def get(self, deadline: Deadline = Deadline.never()) -> signal.Signals:  # noqa: B008  never changes
        """The next signal, in order of arrival; waits in its greenlet.

        Raises ``TimeoutError`` at *deadline*, and when the service is stopped.
        """
        try:
            number = self._arrived.get(timeout=deadline.remaining())
        except Empty:
            raise TimeoutError("no signal came before the deadline") from None
        if number is None:
            self._arrived.put(None)  # for the next one who waits
            raise TimeoutError("no signal will come: the watch for them was stopped")
        return number

    def __iter__(self) -> Iterator[signal.Signals]:
        """One signal after another, until the service is stopped."""
        while (number := self._arrived.get()) is not None:
            yield number
        self._arrived.put(None)

    def on_start(self) -> None:
        loop = get_hub().loop
        if not loop.default:
            raise RuntimeError("signals are watched by the main thread's hub only")
        self._arrived = SimpleQueue()
        for number in self.wanted:
            before = signal.getsignal(number)
            watcher = loop.signal(number)
            watcher.start(self._arrived.put, number)
            self._watched.append((number, watcher, before))

    def on_stop(self, deadline: Deadline) -> None:
        while self._watched:
            number, watcher, before = self._watched.pop()
            watcher.stop()
            watcher.close()
            if before is not None:  # None: not set by Python, which cannot set it again
                signal.signal(number, before)
        self._arrived.put(None)
