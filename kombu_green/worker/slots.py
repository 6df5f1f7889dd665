"""A fixed set of greenlets for one consumer: no greenlet is spawned for a message."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

import gevent
from gevent import Greenlet, GreenletExit
from gevent.event import Event
from gevent.queue import Empty, SimpleQueue

from kombu_green.clock import Deadline
from kombu_green.exceptions import KombuError
from kombu_green.green.group import Group, MayEnd
from kombu_green.message import Message
from kombu_green.service import Service

__all__ = ["SlotStopped", "Slots"]

log = logging.getLogger(__name__)


class SlotStopped(GreenletExit):
    """Kills a slot as the worker stops.  Any other exception in a slot is a failure of its message."""


class Slots(Service):
    """*count* greenlets that run *handle* on one message at a time.

    A message that is given is started at once, unless the consumer's prefetch is more than *count*.  *handle* should
    not raise.  If it does, or a callback kills the greenlet of another slot, the message is requeued and another
    greenlet takes the slot.

    Each greenlet calls *on_begin* before its first message, with what the call for its predecessor in the slot has
    returned, or None.
    """

    def __init__(
        self,
        name: str,
        count: int,
        handle: Callable[[Message], None],
        on_failure: Callable[[BaseException], None],
        *,
        on_begin: Callable[[Any], Any] | None = None,
    ) -> None:
        self.name: Final = name
        self.count: Final = count
        self._handle: Final = handle
        self._on_failure: Final = on_failure
        self._on_begin: Final = on_begin
        self._given: SimpleQueue[Message] = SimpleQueue()
        self._busy: set[Message] = set()
        #: how many messages were handled
        self.finished = 0
        #: set while nothing is being handled
        self.idle: Final = Event()
        self.idle.set()
        self._greenlets: Final[dict[int, Greenlet[..., Any]]] = {}
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
            self._spawn(number, None)

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
        for greenlet in self._greenlets.values():
            greenlet.kill(SlotStopped, block=False)
        gevent.joinall(list(self._greenlets.values()), timeout=deadline.remaining())
        self._group.stop(deadline)

    def _spawn(self, number: int, begun: Any) -> None:
        name = f"{self.name}[{number}]"
        self._greenlets[number] = self._group.spawn(self._work, number, begun, name=name, on_end=MayEnd())

    def _work(self, number: int, begun: Any) -> None:
        if self._on_begin is not None:
            begun = self._on_begin(begun)
        message: Message | None = None
        try:
            while True:
                message = None
                message = self._given.get()
                self._busy.add(message)
                self.idle.clear()
                try:
                    self._handle(message)
                    self.finished += 1
                finally:
                    self._busy.discard(message)
                    if not self._busy:
                        self.idle.set()
        except SlotStopped:
            raise
        except BaseException as error:
            kind = type(error).__name__
            log.error("%s: slot %d was ended by %s, and is started again", self.name, number, kind, exc_info=error)
            if self.running:
                self._spawn(number, begun)
            _requeue(message)

    def _ended(self, name: str, error: BaseException | None) -> None:
        self._on_failure(error or RuntimeError(f"slot {name} ended"))


def _requeue(message: Message | None) -> None:
    if message is None or message.acknowledged:
        return
    try:
        message.requeue()
    except (KombuError, TimeoutError) as error:
        log.warning("%s could not be requeued: %s", message, error)
