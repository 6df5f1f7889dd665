"""What queues can do: purge, delete, time to live, delay, priorities, dead-letter exchanges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest

from kombu_green.channel import Channel
from kombu_green.connection import Connection
from kombu_green.entity import Exchange, Queue
from kombu_green.exceptions import NotFound, PreconditionFailed, Unroutable
from kombu_green.messaging import Consumer, Producer
from kombu_green.testing.transport.channel_fixtures import (
    PATIENCE,
    TransportTests,
    declared,
    drain_until,
    eventually,
    recording,
    required,
    taken,
)

__all__ = ["QueueFeatureTests"]


class QueueFeatureTests(TransportTests):
    def test_size_purge_and_delete(self, channel: Channel, name: str) -> None:
        queue = declared(Queue(name), channel)
        for number in range(3):
            Producer(channel).publish(number, routing_key=name)
        assert queue.queue_declare(passive=True)[1] == 3
        assert queue.purge() == 3
        assert queue.get() is None
        Producer(channel).publish(1, routing_key=name)
        with pytest.raises(PreconditionFailed):
            queue.delete(if_empty=True)

    def test_delete_deletes_messages_and_bindings(self, connection: Connection, name: str) -> None:
        channel = connection.channel()
        exchange = Exchange(name)
        queue = declared(Queue(name, exchange, "k"), channel)
        Producer(channel, exchange).publish(1, routing_key="k")
        assert queue.delete() == 1
        with pytest.raises(Unroutable):
            Producer(channel, exchange).publish(2, routing_key="k", mandatory=True)

    def test_unbind(self, channel: Channel, name: str) -> None:
        exchange = Exchange(name)
        queue = declared(Queue(name, exchange, "k"), channel)
        queue.unbind()
        with pytest.raises(Unroutable):
            Producer(channel, exchange).publish(1, routing_key="k", mandatory=True)

    def test_a_binding_made_on_another_connection_is_seen(self, connect: Callable[[], Connection], name: str) -> None:
        exchange = Exchange(name)
        with connect() as publishing, connect() as consuming:
            producer = Producer(publishing.channel(), exchange)
            producer.publish("early", routing_key="k")
            queue = declared(Queue(name, exchange, "k"), consuming.channel())
            with gevent.Timeout(PATIENCE):
                while True:
                    try:
                        producer.publish("late", routing_key="k", mandatory=True)
                        break
                    except Unroutable:
                        gevent.sleep(0.01)
            assert required(queue).payload == "late"

    def test_a_queue_without_a_name_gets_one(self, channel: Channel) -> None:
        first, second = declared(Queue("", exclusive=True), channel), declared(Queue("", exclusive=True), channel)
        assert first.name
        assert first.name != second.name

    def test_exclusive_queues_are_deleted_with_their_connection(
        self, connect: Callable[[], Connection], name: str
    ) -> None:
        with connect() as connection:
            declared(Queue(name, exclusive=True), connection.channel())
        with connect() as connection, pytest.raises(NotFound):
            Queue(name)(connection.channel()).queue_declare(passive=True)

    def test_a_rejected_message_goes_to_the_dead_letter_exchange(self, channel: Channel, name: str) -> None:
        dead = declared(Queue(f"{name}.dead-lettered", Exchange(f"{name}.dlx"), "gone"), channel)
        queue = declared(
            Queue(
                name,
                queue_arguments={"x-dead-letter-exchange": f"{name}.dlx", "x-dead-letter-routing-key": "gone"},
            ),
            channel,
        )
        Producer(channel).publish({"n": 1}, routing_key=name)
        required(queue).reject()
        message = eventually(dead)
        assert message.payload == {"n": 1}
        (death,) = message.headers["x-death"]
        assert (death["queue"], death["reason"], death["count"]) == (name, "rejected", 1)

    def test_an_expired_message_goes_to_the_dead_letter_exchange(self, channel: Channel, name: str) -> None:
        dead = declared(Queue(f"{name}.dead-lettered", Exchange(f"{name}.dlx", "fanout")), channel)
        queue = declared(Queue(name, queue_arguments={"x-dead-letter-exchange": f"{name}.dlx"}), channel)
        Producer(channel).publish("stale", routing_key=name, expiration=0.01)
        gevent.sleep(0.05)  # what is tested is that time passes
        assert queue.get() is None
        message = eventually(dead)
        assert message.payload == "stale"
        assert message.headers["x-death"][0]["reason"] == "expired"
        assert "expiration" not in message.properties

    def test_what_goes_round_without_being_rejected_is_dropped(self, channel: Channel, name: str) -> None:
        queue = declared(
            Queue(
                name,
                message_ttl=0.02,
                queue_arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": name},
            ),
            channel,
        )
        Producer(channel).publish("round", routing_key=name)
        gevent.sleep(0.1)  # what is tested is that time passes
        assert queue.get() is None
        assert queue.queue_declare(passive=True)[1] == 0

    def test_auto_delete_queues_are_deleted_with_their_last_consumer(self, connection: Connection, name: str) -> None:
        first, second = (
            Consumer(connection.channel(), Queue(name, auto_delete=True), callbacks=[recording([], "")])
            for _ in range(2)
        )
        first.consume()
        second.consume()
        first.cancel()
        assert Queue(name)(connection.channel()).queue_declare(passive=True)[0] == name
        second.cancel()
        with pytest.raises(NotFound):
            Queue(name)(connection.channel()).queue_declare(passive=True)

    def test_queue_ttl(self, channel: Channel, name: str) -> None:
        queue = declared(Queue(name, message_ttl=0.01), channel)
        Producer(channel).publish("stale", routing_key=name)
        gevent.sleep(0.05)  # what is tested is that time passes
        assert queue.get() is None

    def test_priorities(self, connection: Connection, channel: Channel, name: str) -> None:
        if not connection.connect().capabilities.priorities:
            pytest.skip("this transport has no priorities, and says so")
        queue = declared(Queue(name, max_priority=9), channel)
        for priority in (None, 5, 9, 0, 1, 9):
            Producer(channel).publish(priority, routing_key=name, priority=priority)
        assert [message.payload for message in taken(queue)] == [9, 9, 5, 1, None, 0]

    def test_delay(self, connection: Connection, channel: Channel, name: str) -> None:
        if not connection.connect().capabilities.delay:
            pytest.skip("this transport has no delayed delivery, and says so")
        got: list[tuple[str, Any]] = []
        consumer = Consumer(channel, Queue(name), callbacks=[recording(got, "")])
        consumer.consume()
        producer = Producer(channel)
        producer.publish("later", routing_key=name, delay=0.3)
        producer.publish("now", routing_key=name)
        drain_until(connection, lambda: len(got) == 1)
        assert got == [("", "now")]
        drain_until(connection, lambda: len(got) == 2)
        assert got[1] == ("", "later")
