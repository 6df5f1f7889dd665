"""Signals as values in a queue, so that a greenlet can handle them, which may wait, log and take locks.

gevent's signal watchers put them there: they wake a hub that waits in the kernel, and their callback runs in the hub,
never between two bytecodes of other code.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any, Final

from gevent import get_hub
from gevent.queue import Empty, SimpleQueue

from kombu_green.clock import Deadline
from kombu_green.green.fork import forks
from kombu_green.service import Service

__all__ = ["SignalQueue"]


class SignalQueue(Service):
    """Receives the signals *wanted* from :meth:`start` to :meth:`stop`, which restores the handlers of before.

    To be started in the main thread.  A signal that comes twice before the hub turns is received once.

    >>> signals = SignalQueue(signal.SIGTERM)
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
        forks.add(self)

    def after_fork(self) -> None:
        """In the child of a fork the signals do again what they did before."""
        for number, _, before in self._watched:
            signal.signal(number, signal.SIG_DFL if before is None else before)
        forks.keep(self._watched)
        self._watched = []

    def get(self, deadline: Deadline = Deadline.never()) -> signal.Signals:  # noqa: B008  never changes
        """The next signal, in order of arrival.

        Raises ``TimeoutError`` at *deadline*, and when this is stopped.
        """
        try:
            number = self._arrived.get(timeout=deadline.remaining())
        except Empty:
            raise TimeoutError("no signal came before the deadline") from None
        if number is None:
            self._arrived.put(None)  # for the next greenlet that waits
            raise TimeoutError("no signal will come: the watch for them was stopped")
        return number

    def __iter__(self) -> Iterator[signal.Signals]:
        """One signal after another, until this is stopped."""
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
            if before is not None:  # None: set by C code, and Python cannot restore it
                signal.signal(number, before)
        self._arrived.put(None)
