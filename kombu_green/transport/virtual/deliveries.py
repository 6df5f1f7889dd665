"""Deliveries of one connection: its consumers by channel, what they take from the store, and waiting for more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from gevent.lock import BoundedSemaphore

from kombu_green.clock import Deadline
from kombu_green.exceptions import ConnectionLost, MessageStateError
from kombu_green.message import Message
from kombu_green.storage.contract import Receipt, Reserved, Storage, Wakeups
from kombu_green.transport.virtual.prefetch import Share, VirtualConsumer, fair_shares, rotated, takers

__all__ = ["ChannelConsumers", "Deliveries"]

Receive = Callable[[Reserved, VirtualConsumer], Message | None]


class ChannelConsumers:
    """The consumers of one channel.

    *receive* is called with each message that was taken for one of them.  It returns what to pass to the consumer's
    callback, or None for a message that has expired.
    """

    __slots__ = ("active", "by_tag", "is_open", "receive", "wakeups")

    def __init__(self, receive: Receive) -> None:
        self.receive: Final = receive
        self.by_tag: Final[dict[str, VirtualConsumer]] = {}
        self.active = True  # AMQP's channel.flow
        self.is_open = True
        self.wakeups: Wakeups | None = None  # while a greenlet serves this channel alone


class _Delivery(NamedTuple):
    consumer: VirtualConsumer
    message: Message


class Deliveries:
    """Takes messages from the store for all consumers of a connection, and calls their callbacks.

    What was taken and not handed to its callback yet is in the inbox.  *lease* is in seconds.
    """

    def __init__(self, store: Storage, lease: float) -> None:
        self._store: Final = store
        self._lease: Final = lease
        self._wakeups: Final = store.wakeups()
        self._channels: list[ChannelConsumers] = []
        self._inbox: deque[_Delivery] = deque()
        self._take_turn: Final = BoundedSemaphore()
        self._takes = 0
        self._open = True

    # -- consumers

    def add_channel(self, receive: Receive) -> ChannelConsumers:
        consumers = ChannelConsumers(receive)
        self._channels.append(consumers)
        return consumers

    def remove_channel(self, consumers: ChannelConsumers) -> None:
        """The channel is closed; a greenlet that serves it returns."""
        if consumers in self._channels:
            self._channels.remove(consumers)
        self.wake(consumers)

    def wake(self, consumers: ChannelConsumers) -> None:
        """Let the greenlet that waits for these consumers ask the store again: one may take more, or has changed."""
        (self._wakeups if consumers.wakeups is None else consumers.wakeups).interrupt()

    def withdraw(self, consumer: VirtualConsumer) -> list[int]:
        """Remove what is in the inbox for a consumer that was cancelled, and return the delivery tags."""
        withdrawn = [delivery.message.delivery_tag for delivery in self._inbox if delivery.consumer is consumer]
        self._inbox = deque(delivery for delivery in self._inbox if delivery.consumer is not consumer)
        return withdrawn

    def consumer_count(self, queue: str) -> int:
        """Consumers of *queue* on this connection; a store does not know those of others."""
        return sum(consumer.queue == queue for channel in self._channels for consumer in channel.by_tag.values())

    # -- delivering

    def drain(self, deadline: Deadline) -> None:
        """Call the callback of one consumer with its next message; ``TimeoutError`` when none came in time."""
        self._hand_over(self._inbox.popleft() if self._inbox else self._next(deadline))

    def _next(self, deadline: Deadline) -> _Delivery:
        """The next delivery.  One greenlet at a time asks the store, so that no two take for the same consumer."""
        if not self._take_turn.acquire(timeout=deadline.remaining()):
            raise TimeoutError("no message came in time")
        try:
            while not self._inbox:
                if not self._open:
                    raise ConnectionLost("this connection is not open")
                channels = [channel for channel in self._channels if channel.wakeups is None]
                self._inbox.extend(self._take(channels))
                if self._inbox:
                    break
                if deadline.expired:
                    raise TimeoutError("no message came in time")
                self._wakeups.wait(_wanted_queues(channels), deadline)
            return self._inbox.popleft()
        finally:
            self._take_turn.release()

    def serve(self, consumers: ChannelConsumers, deadline: Deadline) -> None:
        """Deliver to the consumers of one channel alone, until it is closed or *deadline*."""
        wakeups = consumers.wakeups = self._store.wakeups()
        try:
            while consumers.is_open and not deadline.expired:
                taken = self._take([consumers])
                for delivery in taken:
                    self._hand_over(delivery)
                if not taken:
                    wakeups.wait(_wanted_queues([consumers]), deadline)
        finally:
            consumers.wakeups = None
            wakeups.close()

    def _hand_over(self, delivery: _Delivery) -> None:
        consumer, message = delivery
        if consumer.no_ack:
            try:
                message.ack()
            except MessageStateError:
                return  # it was in the inbox for longer than its lease, and another consumer has it now
        consumer.callback(message)

    def _take(self, channels: Sequence[ChannelConsumers]) -> list[_Delivery]:
        """Take from the store what the consumers of *channels* may still hold, and divide it among them."""
        owners = {consumer: channel for channel in channels if channel.active for consumer in channel.by_tag.values()}
        self._takes += 1
        shares, wants = fair_shares(rotated(list(owners), self._takes))
        if not wants:
            return []
        for share in shares:
            share.consumer.held += share.count
        try:
            taken = self._store.reserve(wants, lease=self._lease)
        finally:
            for share in shares:
                share.consumer.held -= share.count
        return self._divide(taken, shares, owners)

    def _divide(
        self, taken: Iterable[Reserved], shares: Sequence[Share], owners: dict[VirtualConsumer, ChannelConsumers]
    ) -> list[_Delivery]:
        turns = takers(shares)
        deliveries: list[_Delivery] = []
        unwanted: list[Receipt] = []
        for reserved in taken:
            consumer = next(turns[reserved.receipt.queue])
            channel = owners[consumer]
            if consumer.cancelled or not channel.is_open:
                unwanted.append(reserved.receipt)  # cancelled while the store was asked
                continue
            message = channel.receive(reserved, consumer)
            if message is not None:
                deliveries.append(_Delivery(consumer, message))
        if unwanted:
            self._store.release(unwanted)
        return deliveries

    # -- end

    def stop(self) -> None:
        """Take nothing more; a greenlet that drains gets ``ConnectionLost``."""
        self._open = False

    def close(self) -> None:
        self.stop()
        self._wakeups.interrupt()
        self._wakeups.close()


def _wanted_queues(channels: Iterable[ChannelConsumers]) -> set[str]:
    """The queues with a consumer that may take more."""
    return {
        consumer.queue
        for channel in channels
        if channel.active
        for consumer in channel.by_tag.values()
        if consumer.free
    }
