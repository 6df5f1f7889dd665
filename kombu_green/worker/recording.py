"""The worker's side of the flight recorder: each slot has a row, where it writes down what it works on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gevent import getcurrent

from kombu_green.clock import Deadline
from kombu_green.green.tracing import HubTrace
from kombu_green.green.watchdog import Watchdog
from kombu_green.ipc.recorder import IDLE, NO_ROW, Recorder, RowWriter
from kombu_green.service import Service
from kombu_green.worker.overstay import Overstays

__all__ = ["FlightRecorder", "RecorderOptions"]


@dataclass(frozen=True, slots=True)
class RecorderOptions:
    """Where it is kept (*fd*, or in memory of its own), and after how many seconds something is told; 0 is never."""

    fd: int | None
    block_warning: float
    consumer_timeout: float


class FlightRecorder(Service):
    """Keeps the record of *rows* slots; started by the thread of the hub.

    Who keeps the hub for too long is told to the log, and who keeps a message for half of *stays*: seconds by queue.
    Each slot's greenlet calls :meth:`sit` once, and finds its :meth:`row` then.
    """

    def __init__(self, rows: int, options: RecorderOptions, stays: Mapping[str, float]) -> None:
        self.recorder: Final = Recorder(rows, options.fd)
        self._trace: Final = HubTrace(self.recorder.words, idle=IDLE, nobody=NO_ROW)
        self._watchdog: Final = Watchdog(self.recorder, options.block_warning)
        self._overstays: Final = Overstays(self.recorder, stays)
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
        self._overstays.start()

    def on_stop(self, deadline: Deadline) -> None:
        self._overstays.stop(deadline)
        self._watchdog.stop(deadline)
        self._trace.stop(deadline)
