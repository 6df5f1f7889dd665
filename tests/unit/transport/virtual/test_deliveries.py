"""What is particular to one connection's deliveries; what consumers may rely on is in the transport contract."""

from __future__ import annotations

from typing import Any

import gevent
import pytest

from kombu_green.clock import Deadline
from kombu_green.declarations import QueueSpec
from kombu_green.exceptions import ConnectionLost
from kombu_green.message import Content, Message
from kombu_green.storage.contract import Put, Reserved
from kombu_green.storage.memory import MemoryStore
from kombu_green.transport.virtual.deliveries import ChannelConsumers, Deliveries
from kombu_green.transport.virtual.prefetch import VirtualConsumer

PATIENCE = 20.0


class Seen:
    """A channel that counts its deliveries, and what its consumers were called with."""

    def __init__(self, deliveries: Deliveries, *, expired: bool = False) -> None:
        self.bodies: list[bytes] = []
        self.tag = 0
        self._expired = expired
        self.consumers: ChannelConsumers = deliveries.add_channel(self._receive)

    def consume(self, tag: str, prefetch: int = 0) -> VirtualConsumer:
        consumer = VirtualConsumer(tag, "q", lambda message: self.bodies.append(message.body), prefetch)
        self.consumers.by_tag[tag] = consumer
        return consumer

    def _receive(self, reserved: Reserved, consumer: VirtualConsumer) -> Message | None:
        if self._expired:
            return None
        self.tag += 1
        consumer.held += 1
        channel: Any = self
        return Message(reserved.content, channel=channel, delivery_tag=self.tag)


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.declare(QueueSpec("q"))
    return store


@pytest.fixture
def deliveries(store: MemoryStore) -> Deliveries:
    return Deliveries(store, 60.0)


def put(store: MemoryStore, *bodies: bytes) -> None:
    store.put([Put("q", Content(body)) for body in bodies])


def test_a_drain_hands_over_one_message(store: MemoryStore, deliveries: Deliveries) -> None:
    seen = Seen(deliveries)
    seen.consume("c")
    put(store, b"1", b"2")
    deliveries.drain(Deadline.after(PATIENCE))
    assert seen.bodies == [b"1"]
    deliveries.drain(Deadline.after(0))
    assert seen.bodies == [b"1", b"2"]
    with pytest.raises(TimeoutError):
        deliveries.drain(Deadline.after(0))


def test_withdrawn_messages_are_named_by_their_tags(store: MemoryStore, deliveries: Deliveries) -> None:
    seen = Seen(deliveries)
    consumer = seen.consume("c")
    put(store, b"1", b"2", b"3")
    deliveries.drain(Deadline.after(PATIENCE))
    assert deliveries.withdraw(consumer) == [2, 3]
    assert deliveries.withdraw(consumer) == []


def test_an_inactive_channel_takes_nothing_until_it_is_woken(store: MemoryStore, deliveries: Deliveries) -> None:
    seen = Seen(deliveries)
    seen.consume("c")
    seen.consumers.active = False
    put(store, b"1")
    draining = gevent.spawn(deliveries.drain, Deadline.after(PATIENCE))
    gevent.idle()
    assert store.size("q") == 1
    seen.consumers.active = True
    deliveries.wake(seen.consumers)
    draining.get(timeout=PATIENCE)
    assert seen.bodies == [b"1"]


def test_a_served_channel_is_left_out_of_drains(store: MemoryStore, deliveries: Deliveries) -> None:
    served, drained = Seen(deliveries), Seen(deliveries)
    served.consume("s")
    serving = gevent.spawn(deliveries.serve, served.consumers, Deadline.after(PATIENCE))
    gevent.idle()
    with pytest.raises(TimeoutError):
        deliveries.drain(Deadline.after(0))
    put(store, b"1")
    gevent.idle()
    assert (served.bodies, drained.bodies) == ([b"1"], [])
    served.consumers.is_open = False
    deliveries.remove_channel(served.consumers)
    serving.get(timeout=PATIENCE)


def test_an_expired_message_is_not_handed_over(store: MemoryStore, deliveries: Deliveries) -> None:
    seen = Seen(deliveries, expired=True)
    seen.consume("c")
    put(store, b"1")
    with pytest.raises(TimeoutError):
        deliveries.drain(Deadline.after(0))
    assert seen.bodies == []


def test_consumers_of_a_queue_are_counted_over_all_channels(deliveries: Deliveries) -> None:
    one, two = Seen(deliveries), Seen(deliveries)
    one.consume("a"), two.consume("b"), two.consume("c")
    assert (deliveries.consumer_count("q"), deliveries.consumer_count("other")) == (3, 0)
    deliveries.remove_channel(two.consumers)
    assert deliveries.consumer_count("q") == 1


def test_a_stopped_connection_ends_its_drains(deliveries: Deliveries) -> None:
    seen = Seen(deliveries)
    seen.consume("c")
    draining = gevent.spawn(deliveries.drain, Deadline.never())
    gevent.idle()
    deliveries.close()
    with pytest.raises(ConnectionLost):
        draining.get(timeout=PATIENCE)
