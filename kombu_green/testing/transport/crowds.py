"""Many greenlets on one connection."""

from __future__ import annotations

import itertools
from typing import Any

import gevent

from kombu_green.connection import Connection
from kombu_green.entity import Queue
from kombu_green.messaging import Consumer, Producer
from kombu_green.testing.transport.base import (
    PATIENCE,
    TransportTests,
    recorder,
)

__all__ = ["Crowds"]


class Crowds(TransportTests):
    def test_many_greenlets_publish_and_consume_on_one_connection(self, connection: Connection, name: str) -> None:
        got: list[tuple[str, Any]] = []
        consumers = [Consumer(connection.channel(), Queue(name), prefetch_count=7) for _ in range(3)]
        for consumer in consumers:
            consumer.register_callback(recorder(got, ""))
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
