"""One queue's consumer in a worker: a channel with its greenlet, its slots, and what happens when the broker goes
away."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import gevent
from gevent.event import Event

from kombu_green.channel import Channel
from kombu_green.clock import Deadline
from kombu_green.connection import Connection
from kombu_green.entity import Queue
from kombu_green.exceptions import ConnectionLost, MessageStateError, NotFound, OperationalError
from kombu_green.green.group import Fail, Group
from kombu_green.retry import Backoff
from kombu_green.service import Service
from kombu_green.worker.slots import Slots

__all__ = ["QueueConsumer"]

log = logging.getLogger(__name__)

_RECONNECT: Final = Backoff(first=0.1, ceiling=2.0)  # so that it consumes within 5 s of the broker being back
_TAG: Final = "worker"


class QueueConsumer(Service):
    """Keeps consuming *queue* until it is stopped.

    A lost connection is made again, and a queue that somebody deleted is declared again, with growing waits and never
    given up; anything else that ends the greenlet is told to *on_failure*: a worker that does not consume must not look
    alive.
    """

    def __init__(
        self,
        queue: Queue,
        connection: Connection,
        slots: Slots,
        on_failure: Callable[[BaseException], None],
        *,
        prefetch: int,
    ) -> None:
        self.queue: Final = queue
        self.prefetch: Final = prefetch
        self.slots: Final = slots
        self.ready: Final = Event()
        self._connection: Final = connection
        self._on_failure: Final = on_failure
        self._channel: Channel | None = None
        self._group: Group

    def on_start(self) -> None:
        self.slots.start()
        self._group = Group(f"consumer {self.queue.name}", self._ended)
        self._group.start()
        self._group.spawn(self._consume, name=f"consumer {self.queue.name}", on_end=Fail())

    def quiet(self) -> None:
        """Take nothing more; what was delivered and not begun goes back to its queue at once."""
        try:
            if self._channel is not None:
                self._channel.basic_cancel(_TAG)
            for message in self.slots.take_back():
                message.requeue()
        except (OperationalError, TimeoutError, MessageStateError) as error:
            # what the broker does not hear now it finds out when the connection or the lease ends
            log.warning("%s: could not give back what was not begun: %s", self.queue.name, error)

    def on_stop(self, deadline: Deadline) -> None:
        """Give back what is unfinished: the channel does it when it closes."""
        self._group.stop(deadline)
        self.slots.stop(deadline)
        if self._channel is not None:
            self._channel.close()

    def _consume(self) -> None:
        waits = _RECONNECT.delays()
        down = False
        while True:
            try:
                self._channel = channel = self._subscribed()
                if down:
                    log.info("%s: consuming again", self.queue.name)
                down, waits = False, _RECONNECT.delays()
                self.ready.set()
                channel.serve(Deadline.never())
                if not self.running:
                    return
                raise ConnectionLost("the channel was closed")
            except (ConnectionLost, NotFound, TimeoutError) as error:
                self.ready.clear()
                if not down:
                    log.warning("%s: not consuming: %s; trying again", self.queue.name, error)
                down = True
                gevent.sleep(next(waits))

    def _subscribed(self) -> Channel:
        channel = self._connection.channel()
        try:
            channel.basic_qos(prefetch_count=self.prefetch)
            self.queue.bind(channel).declare()
            channel.basic_consume(self.queue.name, self.slots.give, consumer_tag=_TAG)
        except BaseException:
            channel.close()
            raise
        return channel

    def _ended(self, name: str, error: BaseException | None) -> None:
        if self.running:
            self._on_failure(error or OperationalError(f"{self.queue.name}: its consumer ended"))
