"""A fixed set of greenlets for one consumer: no greenlet is spawned for a message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gevent.event import Event
from gevent.queue import Empty, SimpleQueue

from kombu_green.clock import Deadline
from kombu_green.green.group import Fail, Group
from kombu_green.message import Message
from kombu_green.service import Service

__all__ = ["Slots"]


class Slots(Service):
    """*count* greenlets that run *handle* on one message at a time.

    A message that is given is started at once, unless the consumer's prefetch is more than *count*.  *handle* must not
    raise: an exception ends the slot, and *on_failure* gets it.  Each greenlet calls *on_begin* once, before its first
    message.
    """

    def __init__(
        self,
        name: str,
        count: int,
        handle: Callable[[Message], None],
        on_failure: Callable[[BaseException], None],
        *,
        on_begin: Callable[[], None] | None = None,
    ) -> None:
        self.name: Final = name
        self.count: Final = count
        self._handle: Final = handle
        self._on_failure: Final = on_failure
        self._on_begin: Final = on_begin
        self._given: SimpleQueue[Message] = SimpleQueue()
        self._busy: set[Message] = set()
        #: set while nothing is being handled
        self.idle: Final = Event()
        self.idle.set()
        self._group: Group

    @property
    def busy(self) -> int:
        """How many messages are being handled now."""
        return len(self._busy)

    def give(self, message: Message) -> None:
        """Hand over a message to the next free slot; never waits."""
        self._given.put(message)

    def on_start(self) -> None:
        self._group = Group(self.name, self._ended)
        self._group.start()
        for number in range(self.count):
            self._group.spawn(self._work, name=f"{self.name}[{number}]", on_end=Fail())

    def take_back(self) -> list[Message]:
        """Remove and return the messages that were given and not begun."""
        waiting = []
        while True:
            try:
                waiting.append(self._given.get_nowait())
            except Empty:
                return waiting

    def on_stop(self, deadline: Deadline) -> None:
        """Kill the slots that still run; their messages are requeued when the channel closes."""
        self._group.stop(deadline)

    def _work(self) -> None:
        if self._on_begin is not None:
            self._on_begin()
        while True:
            message = self._given.get()
            self._busy.add(message)
            self.idle.clear()
            try:
                self._handle(message)
            finally:
                self._busy.discard(message)
                if not self._busy:
                    self.idle.set()

    def _ended(self, name: str, error: BaseException | None) -> None:
        self._on_failure(error or RuntimeError(f"slot {name} ended"))
