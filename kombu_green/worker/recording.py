"""The worker's side of the flight recorder: each slot has a desk, where it writes down what it works on."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from typing import Any, Final

from gevent import getcurrent

from kombu_green.clock import Deadline
from kombu_green.control.recorder import IDLE, NOBODY, Recorder, RowState, RowWriter
from kombu_green.green.tracing import HubTrace, Seat
from kombu_green.green.watchdog import Watchdog
from kombu_green.message import Message
from kombu_green.service import Service

__all__ = ["Desk", "FlightRecorder"]

_RUNNING: Final = int(RowState.RUNNING)
_OFFLOADED: Final = int(RowState.OFFLOADED)


class Desk:
    """One slot's row."""

    __slots__ = ("_row", "_seat", "number")

    def __init__(self, row: RowWriter, seat: Seat) -> None:
        self.number: Final = row.number
        self._row: Final = row
        self._seat: Final = seat

    def begin(self, name: int, message: Message, origin: bytes, limit: float, offloaded: bool) -> None:
        """*message*, whose key comes of *origin*, goes to the callback *name*, for *limit* seconds at most; 0 is no
        limit."""
        self._seat.turn += 1
        id = message.properties.get("message_id")
        self._row.begin(
            name,
            origin,
            monotonic(),
            limit,
            str(id).encode("utf-8", "replace") if id else b"",  # a store keeps any type
            _OFFLOADED if offloaded else _RUNNING,
        )

    def end(self) -> None:
        """It is settled, or given back; with a free row, what it has spawned is nobody's either."""
        self._row.end()


class FlightRecorder(Service):
    """Keeps the record of *rows* slots in the file *fd*, or in memory of its own; started by the thread of the hub.

    Who keeps the hub for *block_warning* seconds is told to the log; 0 is never.
    Each slot's greenlet calls :meth:`sit` once, and finds its :meth:`desk` then.
    """

    def __init__(self, rows: int, fd: int | None = None, *, block_warning: float = 0.0) -> None:
        self.recorder: Final = Recorder(rows, fd)
        self._trace: Final = HubTrace(self.recorder.words, idle=IDLE, nobody=NOBODY)
        self._watchdog: Final = Watchdog(self.recorder, block_warning)
        self._free: Iterator[int] = iter(range(1, rows + 1))
        self._desks: Final[dict[Any, Desk]] = {}

    def sit(self) -> None:
        number = next(self._free)
        self._desks[getcurrent()] = Desk(self.recorder.row(number), self._trace.seat(number))

    def desk(self) -> Desk:
        """The calling greenlet's."""
        return self._desks[getcurrent()]

    def name(self, queue: str, callback: str) -> int:
        """The number that stands for both in a row."""
        return self.recorder.name(queue, callback)

    def on_start(self) -> None:
        self._trace.start()
        self._watchdog.start()

    def on_stop(self, deadline: Deadline) -> None:
        self._watchdog.stop(deadline)
        self._trace.stop(deadline)
