"""Waiting for messages: as long as was said, and not a moment longer than needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest

from kombu_green.channel import Channel
from kombu_green.connection import Connection
from kombu_green.entity import Queue
from kombu_green.messaging import Consumer, Producer
from kombu_green.testing.transport.base import (
    PATIENCE,
    TransportTests,
    drain_until,
    recorder,
)

__all__ = ["Waiting"]


class Waiting(TransportTests):
    def test_drain_events_with_zero_polls_once(self, connection: Connection, channel: Channel, name: str) -> None:
        got: list[Any] = []
        consumer = Consumer(channel, Queue(name), callbacks=[recorder(got, "")])
        consumer.consume()
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=0)
        Producer(channel).publish(1, routing_key=name)
        drain_until(connection, lambda: bool(got), timeout=0)

    def test_drain_events_times_out(self, connection: Connection, channel: Channel, name: str) -> None:
        Consumer(channel, Queue(name), callbacks=[recorder([], "")]).consume()
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=0.05)

    def test_a_waiting_drain_wakes_for_a_message_of_another_connection(
        self, connection: Connection, connect: Callable[[], Connection], name: str
    ) -> None:
        got: list[Any] = []
        Consumer(connection.channel(), Queue(name), callbacks=[recorder(got, "")]).consume()
        waiting = gevent.spawn(connection.drain_events, timeout=PATIENCE)
        gevent.idle()
        with connect() as other:
            Producer(other.channel()).publish("news", routing_key=name)
            waiting.get(timeout=PATIENCE)
        assert got == [("", "news")]
