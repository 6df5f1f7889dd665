"""``drain_events``: returns with a message as soon as there is one, else at its timeout; any greenlet may call it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from kombu_green.channel import Channel
from kombu_green.connection import Connection
from kombu_green.entity import Queue
from kombu_green.messaging import Consumer, Producer
from kombu_green.testing.transport.channel_fixtures import (
    PATIENCE,
    TransportTests,
    drain_until,
    recording,
)

__all__ = ["DrainEventsTests"]


class DrainEventsTests(TransportTests):
    def test_drain_events_with_zero_polls_once(self, connection: Connection, channel: Channel, name: str) -> None:
        got: list[Any] = []
        consumer = Consumer(channel, Queue(name), callbacks=[recording(got, "")])
        consumer.consume()
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=0)
        Producer(channel).publish(1, routing_key=name)
        drain_until(connection, lambda: bool(got), timeout=0)

    def test_drain_events_times_out(self, connection: Connection, channel: Channel, name: str) -> None:
        Consumer(channel, Queue(name), callbacks=[recording([], "")]).consume()
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=0.05)

    def test_a_waiting_drain_wakes_for_a_message_of_another_connection(
        self, connection: Connection, connect: Callable[[], Connection], name: str
    ) -> None:
        got: list[Any] = []
        Consumer(connection.channel(), Queue(name), callbacks=[recording(got, "")]).consume()
        waiting = gevent.spawn(connection.drain_events, timeout=PATIENCE)
        gevent.idle()
        with connect() as other:
            Producer(other.channel()).publish("news", routing_key=name)
            waiting.get(timeout=PATIENCE)
        assert got == [("", "news")]

    def test_many_greenlets_publish_and_consume_on_one_connection(self, connection: Connection, name: str) -> None:
        got: list[tuple[str, Any]] = []
        consumers = [Consumer(connection.channel(), Queue(name), prefetch_count=7) for _ in range(3)]
        for consumer in consumers:
            consumer.register_callback(recording(got, ""))
            consumer.consume()
        shared = Producer(connection.channel())
        numbers = itertools.count()

        def publish() -> None:
            for _ in range(5):
                shared.publish(next(numbers), routing_key=name)

        def drain() -> None:
            while len(got) < 250:
                try:
                    connection.drain_events(timeout=0.2)
                except TimeoutError:
                    continue

        greenlets = [gevent.spawn(publish) for _ in range(50)] + [gevent.spawn(drain) for _ in range(3)]
        done = gevent.joinall(greenlets, timeout=PATIENCE, raise_error=True)
        assert len(done) == len(greenlets)
        assert sorted(body for _, body in got) == list(range(250))
