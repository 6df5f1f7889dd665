"""A message that was delivered before waits for the parent's word: it may have killed the process that had it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gevent.event import AsyncResult

from kombu_green.ipc.messages import Answer, Ask, Settled
from kombu_green.message import Message

__all__ = ["Gate", "GateClosed", "taken_before"]

Say = Callable[[Ask | Settled], None]


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

    def ask(self, row: int, key: bytes, queue: str, taken: int = 0) -> str:
        """Wait for the answer: empty when the message may start, else the reason why it is to be parked.

        It was *taken* so often before.  Raises :exc:`GateClosed`.
        """
        assert self._say is not None
        if self._closed:
            raise GateClosed
        result = self._waiting[row] = AsyncResult()
        try:
            self._say(Ask(row, key.hex(), queue, taken))
            return str(result.get())
        finally:
            del self._waiting[row]

    def answered(self, answer: Answer) -> None:
        waiting = self._waiting.get(answer.row)
        if waiting is not None:  # else its slot was killed meanwhile
            waiting.set(answer.park)

    def settled(self, row: int, key: bytes, *, back: bool = False) -> None:
        """Tell that what was asked about is settled, or given *back* before it began."""
        if self._say is not None:
            self._say(Settled(row, key.hex(), back))

    def open(self) -> None:
        self._closed = False

    def close(self) -> None:
        """Nobody who waits will start."""
        self._closed = True
        for waiting in list(self._waiting.values()):
            waiting.set_exception(GateClosed())


def taken_before(message: Message) -> int:
    """How often it was delivered before this time, to anybody, as far as its broker counts.

    A store counts every take, a quorum queue the deliveries that came back (``x-delivery-count``).  A classic queue
    counts nothing: 0.  Source: https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling
    """
    takes = message.delivery_info.get("takes")
    count = message.headers.get("x-delivery-count") if takes is None else takes - 1
    return count if type(count) is int and count >= 0 else 0  # anybody may have set the header
