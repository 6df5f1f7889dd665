"""A message that was delivered before waits for the parent's word: it may have killed the process that had it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gevent.event import AsyncResult

from kombu_green.ipc.messages import AdmissionClosed, AdmissionReply, AdmissionRequest

__all__ = ["Gate", "GateClosed"]

Say = Callable[[AdmissionRequest | AdmissionClosed], None]


class GateClosed(Exception):
    """The worker stops before the answer came: the message goes back to its queue."""


class Gate:
    """Where slots wait for answers.  Without a parent nobody asks, and everything may start."""

    def __init__(self) -> None:
        self._say: Say | None = None
        #: whether there is somebody to ask
        self.guarded = False
        self._waiting: Final[dict[int, AsyncResult[str]]] = {}
        self._closed = False

    def guard(self, say: Say) -> None:
        """From now on whoever listens to *say* is asked."""
        self._say = say
        self.guarded = True

    def ask(self, row: int, key: bytes, queue: str) -> str:
        """Wait for the answer: empty when the message may start, else the reason why it is to be parked.

        Raises :exc:`GateClosed`.
        """
        assert self._say is not None
        if self._closed:
            raise GateClosed
        result = self._waiting[row] = AsyncResult()
        try:
            self._say(AdmissionRequest(row, key.hex(), queue))
            return str(result.get())
        finally:
            del self._waiting[row]

    def answered(self, answer: AdmissionReply) -> None:
        waiting = self._waiting.get(answer.row)
        if waiting is not None:  # else its slot was killed meanwhile
            waiting.set(answer.park)

    def settled(self, row: int, key: bytes, *, back: bool = False) -> None:
        """Tell that what was asked about is settled, or given *back* before it began."""
        if self._say is not None:
            self._say(AdmissionClosed(row, key.hex(), back))

    def open(self) -> None:
        self._closed = False

    def close(self) -> None:
        """Nobody who waits will start."""
        self._closed = True
        for waiting in list(self._waiting.values()):
            waiting.set_exception(GateClosed())
