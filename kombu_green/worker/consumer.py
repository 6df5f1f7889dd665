"""One queue's consumer in a worker: a channel with its greenlet, its slots, and what happens when the broker goes
away."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any, Final

from gevent import Greenlet
from gevent.event import Event

from kombu_green.channel import Channel
from kombu_green.clock import Deadline
from kombu_green.connection import Connection
from kombu_green.entity import Queue
from kombu_green.exceptions import (
    ConnectionLost,
    MessageStateError,
    NotFound,
    OperationalError,
    ResourceLocked,
)
from kombu_green.green.group import Group, MayEnd
from kombu_green.retry import Backoff
from kombu_green.service import Service
from kombu_green.worker.slots import Slots
from kombu_green.worker.turnstile import Turnstile

__all__ = ["QueueConsumer"]

log = logging.getLogger(__name__)

_RECONNECT: Final = Backoff(first=0.1, ceiling=2.0)  # so that it consumes within 5 s of the broker being back
_TAG: Final = "worker"
_END: Final = 1.0  # seconds for its greenlet to end by itself, which takes a round trip
_LOOK_AGAIN: Final = (0.1, 0.2)  # seconds, at random between the two, for who waits for an exclusive place


class QueueConsumer(Service):
    """Keeps consuming *queue* until it is stopped.

    A lost connection is made again, and a queue that somebody deleted is declared again, with growing waits and never
    given up; anything else that ends the greenlet is told to *on_failure*: a worker that does not consume must not look
    alive.

    An *exclusive* one waits as long as somebody else consumes: :attr:`waits` is true then, and *on_change* is called
    when that, or :attr:`ready`, has come to be.

    With a *turnstile* it consumes only while that lets somebody in.
    """

    def __init__(
        self,
        queue: Queue,
        connection: Connection,
        slots: Slots,
        on_failure: Callable[[BaseException], None],
        on_change: Callable[[], None] = lambda: None,
        *,
        prefetch: int,
        exclusive: bool = False,
        turnstile: Turnstile | None = None,
    ) -> None:
        self.queue: Final = queue
        self.prefetch: Final = prefetch
        self.exclusive: Final = exclusive
        self.slots: Final = slots
        self.ready: Final = Event()
        self.waits = False
        self._connection: Final = connection
        self._on_failure: Final = on_failure
        self._on_change: Final = on_change
        self._turnstile: Final = turnstile
        self._channel: Channel | None = None
        self._quiet: Event  # nothing more is wanted; a new one for each start
        self._greenlet: Greenlet[..., Any]
        self._group: Group

    def on_start(self) -> None:
        self._quiet = Event()
        self.slots.start()
        self._group = Group(f"consumer {self.queue.name}", self._ended)
        self._group.start()
        name = f"consumer {self.queue.name}"
        self._greenlet = self._group.spawn(self._consume, self._quiet, name=name, on_end=MayEnd())

    def quiet(self) -> None:
        """Take nothing more; what was delivered and not begun goes back to its queue at once."""
        self._quiet.set()
        if self._turnstile is not None:
            self._turnstile.close()
        try:
            if self._channel is not None:
                self._channel.basic_cancel(_TAG)
            for message in self.slots.take_back():
                message.requeue()
        except (OperationalError, TimeoutError, MessageStateError) as error:
            # what the broker does not hear now it finds out when the connection or the lease ends
            log.warning("%s: could not give back what was not begun: %s", self.queue.name, error)

    def on_stop(self, deadline: Deadline) -> None:
        """Give back what is unfinished: the channel does it when it closes.

        Its greenlet is not killed before it had time to end: what a store is just asked for would be nobody's then,
        until its lease ends.
        """
        quiet, channel, greenlet, group = self._quiet, self._channel, self._greenlet, self._group
        quiet.set()
        self.slots.stop(deadline)
        if channel is not None:
            channel.close()
        left = deadline.remaining()
        greenlet.join(_END if left is None else min(_END, left))
        group.stop(deadline)

    def _consume(self, quiet: Event) -> None:
        waits = _RECONNECT.delays()
        down = False
        while not quiet.is_set():
            try:
                channel = self._subscribed(quiet)
                if channel is None:
                    continue
                if down:
                    log.info("%s: consuming again", self.queue.name)
                down, waits = False, _RECONNECT.delays()
                self._changed(ready=True)
                channel.serve(Deadline.never())
                if not quiet.is_set():
                    raise ConnectionLost("the channel was closed")
            except (ConnectionLost, NotFound, TimeoutError) as error:
                self.ready.clear()
                if not down and not quiet.is_set():
                    log.warning("%s: not consuming: %s; trying again", self.queue.name, error)
                down = True
                quiet.wait(next(waits))

    def _subscribed(self, quiet: Event) -> Channel | None:
        """A channel that consumes; None when nothing more is wanted, or, after a wait, when the place is taken."""
        channel = self._connection.channel()
        try:
            channel.basic_qos(prefetch_count=self.prefetch)
            self.queue.bind(channel).declare()
            if self.exclusive:
                self._await_place(channel, quiet)
            if not quiet.is_set() and self._begun(channel, quiet) and not quiet.is_set():
                self._channel = channel
                return channel
            channel.close()
            return None
        except BaseException:
            channel.close()
            raise

    def _begun(self, channel: Channel, quiet: Event) -> bool:
        """Whether it consumes now; an exclusive one may have been beaten to it."""
        try:
            if self._turnstile is not None:
                self._turnstile.open(channel)
            channel.basic_consume(self.queue.name, self.slots.give, consumer_tag=_TAG, exclusive=self.exclusive)
        except ResourceLocked:
            if not self.exclusive:  # another one's is, and this one was not told that it may wait
                raise
            self._stand_by(quiet)
            return False
        return True

    def _await_place(self, channel: Channel, quiet: Event) -> None:
        """Wait until nobody consumes.  Asking who does is quiet; a consume that is refused costs a channel, and the
        broker logs it."""
        while not quiet.is_set() and channel.queue_declare(self.queue.name, passive=True)[2]:
            self._stand_by(quiet)

    def _stand_by(self, quiet: Event) -> None:
        """Wait a moment; said once for each time that the place is found taken."""
        if not self.waits:
            log.info("%s: another consumer has its place: standing by", self.queue.name)
            self._changed(ready=False)
        quiet.wait(random.uniform(*_LOOK_AGAIN))

    def _changed(self, *, ready: bool) -> None:
        self.waits = not ready
        if ready:
            self.ready.set()
        if not self._quiet.is_set():
            self._on_change()

    def _ended(self, name: str, error: BaseException | None) -> None:
        if self.running:
            self._on_failure(error or OperationalError(f"{self.queue.name}: its consumer ended"))
