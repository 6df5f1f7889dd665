"""One queue's consumer in a worker: a channel, the greenlet that serves it, its slots, and reconnecting."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from time import monotonic
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
from kombu_green.worker.early_ack import ConsumerSwitch
from kombu_green.worker.slots import Slots

__all__ = ["QueueConsumer", "ReconnectWaits"]

log = logging.getLogger(__name__)

_RECONNECT: Final = Backoff(first=0.1, ceiling=2.0)  # so that it consumes within 5 s of the broker being back
_STEADY: Final = 10.0  # seconds of consuming after which the waits begin anew
_TAG: Final = "worker"
_END_TIMEOUT: Final = 1.0  # seconds for its greenlet to end by itself, which takes a round trip
_STANDBY_WAIT: Final = (0.1, 0.2)  # seconds between two tries to become the exclusive consumer, at random


class ReconnectWaits:
    """The seconds before each attempt to consume again: they grow until there is progress.

    Progress is a message that was handled, or :data:`_STEADY` seconds of consuming.  To have subscribed is none: a
    broker that ends the connection over each delivery would be connected to as fast as it can be.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock: Final = clock
        self._failures = 0  # without progress between them
        self._since: float | None = None  # when it began to consume
        self._finished = 0  # messages that had been handled then

    def subscribed(self, finished: int) -> None:
        """It consumes, and has handled *finished* messages since its start."""
        self._since = self._clock()
        self._finished = finished

    def after_failure(self, finished: int) -> float:
        """The next wait; *finished*: messages handled since its start."""
        since, self._since = self._since, None
        if since is not None and (finished > self._finished or self._clock() - since >= _STEADY):
            self._failures = 0
        self._failures += 1
        return _RECONNECT.delay(self._failures)


class QueueConsumer(Service):
    """Keeps consuming *queue* until it is stopped.

    It reconnects after a lost connection, and declares a queue again that was deleted, with growing waits
    (:class:`ReconnectWaits`) and without end.  *on_failure* gets any other error that ends its greenlet: a worker that
    does not consume must not look alive.

    An *exclusive* consumer stands by while another one consumes: :attr:`stands_by` is true then.  *on_change* is called
    when :attr:`stands_by` or :attr:`ready` becomes true.

    With a *switch* (early acks) it consumes only while a slot is free.
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
        switch: ConsumerSwitch | None = None,
    ) -> None:
        self.queue: Final = queue
        self.prefetch: Final = prefetch
        self.exclusive: Final = exclusive
        self.slots: Final = slots
        self.ready: Final = Event()
        self.stands_by = False
        self._connection: Final = connection
        self._on_failure: Final = on_failure
        self._on_change: Final = on_change
        self._switch: Final = switch
        self._channel: Channel | None = None
        self._quiet: Event  # set once no more messages are wanted; a new one for each start
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
        """Take no more messages; what was delivered and not begun is requeued at once."""
        self._quiet.set()
        if self._switch is not None:
            self._switch.close()
        try:
            if self._channel is not None:
                self._channel.basic_cancel(_TAG)
            for message in self.slots.take_back():
                message.requeue()
        except (OperationalError, TimeoutError, MessageStateError) as error:
            # the broker requeues them when the connection or the lease ends
            log.warning("%s: could not requeue what was not begun: %s", self.queue.name, error)

    def on_stop(self, deadline: Deadline) -> None:
        """Requeue what is unfinished: the channel does that when it closes.

        The greenlet gets time to end by itself.  If it were killed while a store is taking messages for it, these would
        be leased to a consumer that is gone.
        """
        quiet, channel, greenlet, group = self._quiet, self._channel, self._greenlet, self._group
        quiet.set()
        self.slots.stop(deadline)
        if channel is not None:
            channel.close()
        left = deadline.remaining()
        greenlet.join(_END_TIMEOUT if left is None else min(_END_TIMEOUT, left))
        group.stop(deadline)

    def _consume(self, quiet: Event) -> None:
        waits = ReconnectWaits()
        down = False
        while not quiet.is_set():
            try:
                channel = self._subscribed(quiet)
                if channel is None:
                    continue
                if down:
                    log.info("%s: consuming again", self.queue.name)
                down = False
                waits.subscribed(self.slots.finished)
                self._changed(ready=True)
                channel.serve(Deadline.never())
                if not quiet.is_set():
                    raise ConnectionLost("the channel was closed")
            except (ConnectionLost, NotFound, TimeoutError) as error:
                self.ready.clear()
                if not down and not quiet.is_set():
                    log.warning("%s: not consuming: %s; trying again", self.queue.name, error)
                down = True
                quiet.wait(waits.after_failure(self.slots.finished))

    def _subscribed(self, quiet: Event) -> Channel | None:
        """A channel that consumes; None when *quiet* is set, or after it had to stand by."""
        channel = self._connection.channel()
        try:
            channel.basic_qos(prefetch_count=self.prefetch)
            self.queue.bind(channel).declare()
            if self.exclusive:
                self._await_exclusive(channel, quiet)
            if not quiet.is_set() and self._begun(channel, quiet) and not quiet.is_set():
                self._channel = channel
                return channel
            channel.close()
            return None
        except BaseException:
            channel.close()
            raise

    def _begun(self, channel: Channel, quiet: Event) -> bool:
        """Whether it consumes now; another process may have become the exclusive consumer a moment before."""
        try:
            if self._switch is not None:
                self._switch.open(channel)
            channel.basic_consume(
                self.queue.name,
                self.slots.give,
                consumer_tag=_TAG,
                exclusive=self.exclusive,
                arguments=self.queue.consumer_arguments,
            )
        except ResourceLocked:
            if not self.exclusive:  # another consumer is exclusive, and this one is not meant to stand by
                raise
            self._stand_by(quiet)
            return False
        return True

    def _await_exclusive(self, channel: Channel, quiet: Event) -> None:
        """Wait until the queue has no consumer.

        A passive declare says how many there are.  A consume that is refused would close the channel, and would be
        logged by the broker.
        """
        while not quiet.is_set() and channel.queue_declare(self.queue.name, passive=True)[2]:
            self._stand_by(quiet)

    def _stand_by(self, quiet: Event) -> None:
        """Wait a moment; logged once until this consumer is ready again."""
        if not self.stands_by:
            log.info("%s: it has an exclusive consumer: standing by", self.queue.name)
            self._changed(ready=False)
        quiet.wait(random.uniform(*_STANDBY_WAIT))

    def _changed(self, *, ready: bool) -> None:
        self.stands_by = not ready
        if ready:
            self.ready.set()
        if not self._quiet.is_set():
            self._on_change()

    def _ended(self, name: str, error: BaseException | None) -> None:
        if self.running:
            self._on_failure(error or OperationalError(f"{self.queue.name}: its consumer ended"))
