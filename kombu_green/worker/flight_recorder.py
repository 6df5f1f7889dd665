"""A stage: while a slot handles a message, the slot's row in shared memory says which one.

The launcher reads the rows after the process has died.  They say which message had the hub at that moment; the layout
is :mod:`kombu_green.ipc.recorder`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from gevent import getcurrent

from kombu_green.clock import Deadline
from kombu_green.green.hub_trace import HubTrace
from kombu_green.green.watchdog import Watchdog
from kombu_green.ipc.message_keys import BY_BYTES, BY_ID, BY_NUMBER, identity_prefix
from kombu_green.ipc.recorder import IDLE, NO_ROW, Recorder, RowState, RowWriter
from kombu_green.message import Message
from kombu_green.service import Service
from kombu_green.worker.handler import HandleMessage, Job, Stage
from kombu_green.worker.long_callbacks import LongCallbacks

__all__ = ["FlightRecorder", "MessageKeys", "RecorderOptions", "RecorderStage"]


@dataclass(frozen=True, slots=True)
class RecorderOptions:
    """*fd* is the file that the launcher reads; without one the memory is this process's own.

    *block_warning* and *consumer_timeout* are seconds; 0 switches the warning off.
    """

    fd: int | None
    block_warning: float
    consumer_timeout: float


class FlightRecorder(Service):
    """Has a row for each of *rows* slots; the thread of the hub starts it.

    It also watches by these rows: the log names what blocks the hub, and callbacks that run for half of the time in
    *hold_limits* (seconds, by queue).  The greenlet of each slot calls :meth:`assign_row` once.
    """

    def __init__(self, rows: int, options: RecorderOptions, hold_limits: Mapping[str, float]) -> None:
        self.recorder: Final = Recorder(rows, options.fd)
        self._trace: Final = HubTrace(self.recorder.words, idle=IDLE, unowned=NO_ROW)
        self._watchdog: Final = Watchdog(self.recorder, options.block_warning)
        self._long_callbacks: Final = LongCallbacks(self.recorder, hold_limits)
        self._free: Iterator[int] = iter(range(1, rows + 1))
        self._rows: Final[dict[Any, RowWriter]] = {}

    def assign_row(self, row: RowWriter | None = None) -> RowWriter:
        """Give the calling greenlet *row*, which another one had before it, or else the next free one."""
        if row is None:
            row = self.recorder.row(next(self._free))
        else:
            for greenlet in [greenlet for greenlet, taken in self._rows.items() if taken is row]:
                del self._rows[greenlet]
        self._rows[getcurrent()] = row
        self._trace.assign(row)
        return row

    def row(self) -> RowWriter:
        """The row of the calling greenlet."""
        return self._rows[getcurrent()]

    def on_start(self) -> None:
        self._trace.start()
        self._watchdog.start()
        self._long_callbacks.start()

    def on_stop(self, deadline: Deadline) -> None:
        self._long_callbacks.stop(deadline)
        self._watchdog.stop(deadline)
        self._trace.stop(deadline)


class RecorderStage(Stage):
    """Records the messages of one queue; *hard_limit* is the seconds after which the launcher ends the process."""

    def __init__(self, recorder: FlightRecorder, queue: str, hard_limit: float | None) -> None:
        self._recorder: Final = recorder
        self._queue: Final = queue
        self._material: Final = MessageKeys(queue).material
        self._hard_limit: Final = hard_limit or 0.0

    def around_handling(self, job: Job, handle: HandleMessage) -> HandleMessage:
        name = self._recorder.recorder.name(self._queue, job.callback)
        state = int(RowState.OFFLOADED if job.offload else RowState.RUNNING)
        row_of_slot, material, limit = self._recorder.row, self._material, self._hard_limit

        def record(message: Message) -> None:
            row = row_of_slot()
            row.begin(name, material(message), monotonic(), limit, state)
            try:
                handle(message)
            finally:
                row.end()

        return record


class MessageKeys:
    """By what the messages of *queue* are recognized, however often they are delivered.

    That is the message id; without one, the number that a store has given the message; without that, all of its bytes.
    Neither kombu nor kombu_green sets a message id, so on AMQP most messages are recognized by their bytes.
    """

    __slots__ = ("_by_bytes", "_by_id", "_by_number")

    def __init__(self, queue: str) -> None:
        self._by_id: Final = identity_prefix(queue, BY_ID)
        self._by_number: Final = identity_prefix(queue, BY_NUMBER)
        self._by_bytes: Final = identity_prefix(queue, BY_BYTES)

    def material(self, message: Message) -> bytes:
        """What the key of *message* is a digest of: the same at each delivery.

        Messages without an id that are identical to the last byte share a key.
        """
        id = message.properties.get("message_id")
        if id:
            return self._by_id + str(id).encode("utf-8", "surrogatepass")
        stored_as = message.delivery_info.get("stored_as")
        if stored_as is not None:
            return self._by_number + str(stored_as).encode("utf-8", "surrogatepass")
        properties, body = message.fingerprint()
        return self._by_bytes + properties + body
