"""Ack, reject, requeue, recover, and how many unacked messages a consumer may hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kombu_green.channel import Channel
from kombu_green.connection import Connection
from kombu_green.entity import Queue
from kombu_green.exceptions import MessageStateError
from kombu_green.message import Message
from kombu_green.messaging import Consumer, Producer
from kombu_green.testing.transport.channel_fixtures import (
    TransportTests,
    declared,
    drain_until,
    recording,
    required,
    taken,
)

__all__ = ["AckTests"]


class AckTests(TransportTests):
    def test_ack_removes(self, connect: Callable[[], Connection], name: str) -> None:
        with connect() as connection:
            channel = connection.channel()
            queue = declared(Queue(name), channel)
            Producer(channel).publish(1, routing_key=name)
            message = required(queue)
            message.ack()
            assert message.acknowledged
        with connect() as connection:
            assert declared(Queue(name), connection.channel()).get() is None

    def test_settling_twice_is_an_error(self, channel: Channel, name: str) -> None:
        queue = declared(Queue(name), channel)
        Producer(channel).publish(1, routing_key=name)
        message = required(queue)
        message.ack()
        for again in (message.ack, message.reject, message.requeue):
            with pytest.raises(MessageStateError):
                again()

    def test_a_requeued_message_is_the_next_and_marked_as_redelivered(self, channel: Channel, name: str) -> None:
        queue = declared(Queue(name), channel)
        for number in range(3):
            Producer(channel).publish(number, routing_key=name)
        first = required(queue)
        assert first.delivery_info["redelivered"] is False
        first.requeue()
        again = required(queue)
        assert again.payload == 0
        assert again.delivery_info["redelivered"] is True

    def test_closing_the_channel_releases_what_is_unacked(
        self, connection: Connection, channel: Channel, name: str
    ) -> None:
        queue = declared(Queue(name), channel)
        for number in range(3):
            Producer(channel).publish(number, routing_key=name)
        assert [required(queue).payload, required(queue).payload] == [0, 1]
        channel.close()
        other = declared(Queue(name), connection.channel())
        assert [message.payload for message in taken(other)] == [0, 1, 2]

    def test_recover(self, channel: Channel, name: str) -> None:
        queue = declared(Queue(name), channel)
        Producer(channel).publish("x", routing_key=name)
        required(queue)
        assert queue.get() is None
        channel.basic_recover(requeue=True)
        assert required(queue).payload == "x"

    def test_ack_multiple(self, connection: Connection, channel: Channel, name: str) -> None:
        queue = declared(Queue(name), channel)
        for number in range(3):
            Producer(channel).publish(number, routing_key=name)
        _, second, _ = (required(queue) for _ in range(3))
        second.ack(multiple=True)
        channel.close()
        assert [message.payload for message in taken(declared(Queue(name), connection.channel()))] == [2]

    def test_no_ack(self, connection: Connection, channel: Channel, name: str) -> None:
        got: list[Any] = []
        consumer = Consumer(channel, Queue(name), no_ack=True)
        consumer.register_callback(lambda body, message: got.append(body))
        consumer.consume()
        for number in range(3):
            Producer(channel).publish(number, routing_key=name)
        drain_until(connection, lambda: len(got) == 3)
        channel.close()
        assert declared(Queue(name), connection.channel()).get() is None

    def test_prefetch_limits_what_is_delivered(self, connection: Connection, channel: Channel, name: str) -> None:
        messages: list[Message] = []
        consumer = Consumer(channel, Queue(name), on_message=messages.append, prefetch_count=2)
        consumer.consume()
        for number in range(5):
            Producer(channel).publish(number, routing_key=name)
        drain_until(connection, lambda: len(messages) == 2)
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=0.05)
        messages[0].ack()
        drain_until(connection, lambda: len(messages) == 3)
        assert [message.payload for message in messages] == [0, 1, 2]

    def test_cancel_stops_and_releases_what_was_not_delivered(
        self, connection: Connection, channel: Channel, name: str
    ) -> None:
        got: list[tuple[str, Any]] = []
        consumer = Consumer(channel, Queue(name), callbacks=[recording(got, "")])
        consumer.consume()
        for number in range(4):
            Producer(channel).publish(number, routing_key=name)
        drain_until(connection, lambda: len(got) == 1)
        consumer.cancel()
        queue = declared(Queue(name), connection.channel())
        assert [message.payload for message in taken(queue)] == [1, 2, 3]
