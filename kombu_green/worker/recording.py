"""The worker's side of the flight recorder: each slot has a row, where it writes down what it works on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from gevent import getcurrent

from kombu_green.clock import Deadline
from kombu_green.control.recorder import IDLE, NOBODY, Recorder, RowWriter
from kombu_green.green.tracing import HubTrace
from kombu_green.green.watchdog import Watchdog
from kombu_green.service import Service

__all__ = ["FlightRecorder"]


class FlightRecorder(Service):
    """Keeps the record of *rows* slots in the file *fd*, or in memory of its own; started by the thread of the hub.

    Who keeps the hub for *block_warning* seconds is told to the log; 0 is never.
    Each slot's greenlet calls :meth:`sit` once, and finds its :meth:`row` then.
    """

    def __init__(self, rows: int, fd: int | None = None, *, block_warning: float = 0.0) -> None:
        self.recorder: Final = Recorder(rows, fd)
        self._trace: Final = HubTrace(self.recorder.words, idle=IDLE, nobody=NOBODY)
        self._watchdog: Final = Watchdog(self.recorder, block_warning)
        self._free: Iterator[int] = iter(range(1, rows + 1))
        self._rows: Final[dict[Any, RowWriter]] = {}

    def sit(self) -> None:
        row = self._rows[getcurrent()] = self.recorder.row(next(self._free))
        self._trace.seat(row)

    def row(self) -> RowWriter:
        """The calling greenlet's."""
        return self._rows[getcurrent()]

    def name(self, queue: str, callback: str) -> int:
        """The number that stands for both in a row."""
        return self.recorder.name(queue, callback)

    def on_start(self) -> None:
        self._trace.start()
        self._watchdog.start()

    def on_stop(self, deadline: Deadline) -> None:
        self._watchdog.stop(deadline)
        self._trace.stop(deadline)
