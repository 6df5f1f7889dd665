"""The launcher's signals: the handler only queues the number and wakes the loop."""

from __future__ import annotations

import signal
import socket
from collections import deque
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["SignalPipe"]


class SignalPipe:
    """While it is entered, *numbers* are queued and their former handlers are not called.

    Signals that were blocked until then are let in, and are blocked again at the end.

    Its ``fileno`` is readable while there are signals to take.  Only for the main thread, as ``signal.signal`` is.
    """

    def __init__(self, *numbers: signal.Signals) -> None:
        self._numbers = numbers
        self._arrived: deque[int] = deque()
        self._handlers_before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        # a full buffer loses nothing: the loop wakes, and the numbers are in the queue
        self._fd_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in self._numbers:
            self._handlers_before[number] = signal.signal(number, self._enqueue)
        self._mask_before = signal.pthread_sigmask(signal.SIG_UNBLOCK, self._numbers)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask_before)
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._fd_before)
        self._reader.close()
        self._writer.close()

    def _enqueue(self, number: int, frame: FrameType | None) -> None:
        self._arrived.append(number)

    def fileno(self) -> int:
        return self._reader.fileno()

    def take(self) -> list[int]:
        """The numbers that arrived since the last call, in order."""
        try:
            while self._reader.recv(4096):
                pass
        except BlockingIOError:
            pass
        return [self._arrived.popleft() for _ in range(len(self._arrived))]
