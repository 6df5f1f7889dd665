"""Publish and consume: each message reaches the queues it is routed to, as it was published."""

from __future__ import annotations

from typing import Any

import pytest

from kombu_green.channel import Channel
from kombu_green.connection import Connection
from kombu_green.entity import Exchange, Queue
from kombu_green.exceptions import EncodeError, PartlyPublished, Unroutable
from kombu_green.message import Content, Message
from kombu_green.messaging import Consumer, Producer
from kombu_green.testing.transport.channel_fixtures import (
    TransportTests,
    declared,
    drain_until,
    recording,
    taken,
)

__all__ = ["PublishTests"]


class PublishTests(TransportTests):
    def test_overview_flow(self, connection: Connection, name: str) -> None:
        """kombu 0.9.6's overview: a queue with ``key=``, a producer without routing key."""
        media = Exchange(name, "direct", durable=True)
        with pytest.warns(DeprecationWarning, match="routing_key"):
            video = Queue(f"{name}.video", exchange=media, key="video")
        channel = connection.channel()
        consumer = Consumer(channel, video)
        got: list[Any] = []

        def process(body: Any, message: Message) -> None:
            got.append(body)
            message.ack()

        consumer.register_callback(process)
        consumer.consume()
        producer = Producer(channel, exchange=media, serializer="json")
        producer.publish({"name": "/tmp/lolcat1.avi", "size": 1301013})
        drain_until(connection, lambda: bool(got))
        assert got == [{"name": "/tmp/lolcat1.avi", "size": 1301013}]

    def test_direct_reaches_the_queues_bound_with_that_key(self, channel: Channel, name: str) -> None:
        self._check_routing(channel, name, "direct", ["video", "audio"], {"video": {"video"}, "none": set()})

    def test_fanout_reaches_all(self, channel: Channel, name: str) -> None:
        self._check_routing(channel, name, "fanout", ["", "x"], {"anything": {"", "x"}})

    def test_topic(self, channel: Channel, name: str) -> None:
        patterns = ["a.#", "a.*", "*.stock.#"]
        expected = {
            "a": {"a.#"},
            "a.b": {"a.#", "a.*"},
            "a.b.c": {"a.#"},
            "usd.stock": {"*.stock.#"},
            "eur.stock.db": {"*.stock.#"},
            "stock.nasdaq": set(),
        }
        self._check_routing(channel, name, "topic", patterns, expected)

    def _check_routing(
        self, channel: Channel, name: str, type: str, keys: list[str], expected: dict[str, set[str]]
    ) -> None:
        exchange = Exchange(name, type)
        queues = {key: declared(Queue(f"{name}.{number}", exchange, key), channel) for number, key in enumerate(keys)}
        producer = Producer(channel, exchange)
        for routing_key in expected:
            producer.publish({"key": routing_key}, routing_key=routing_key)
        for key, queue in queues.items():
            wanted = {routing_key for routing_key, reached in expected.items() if key in reached}
            assert {message.payload["key"] for message in taken(queue)} == wanted

    def test_headers_exchange(self, channel: Channel, name: str) -> None:
        exchange = Exchange(name, "headers")
        both = declared(
            Queue(f"{name}.all", exchange, binding_arguments={"x-match": "all", "kind": "pdf", "pages": 2}), channel
        )
        either = declared(
            Queue(f"{name}.any", exchange, binding_arguments={"x-match": "any", "kind": "pdf", "pages": 2}), channel
        )
        producer = Producer(channel, exchange)
        producer.publish(1, headers={"kind": "pdf", "pages": 2})
        producer.publish(2, headers={"kind": "pdf", "pages": 3})
        producer.publish(3, headers={"kind": "png"})
        assert [message.payload for message in taken(both)] == [1]
        assert [message.payload for message in taken(either)] == [1, 2]

    def test_nameless_exchange_routes_to_the_queue_of_that_name(self, channel: Channel, name: str) -> None:
        queue = declared(Queue(name), channel)
        Producer(channel).publish({"a": 1}, routing_key=name)
        assert [message.payload for message in taken(queue)] == [{"a": 1}]

    def test_properties_and_headers_are_kept(self, channel: Channel, name: str) -> None:
        queue = declared(Queue(name), channel)
        Producer(channel).publish(
            "text",
            routing_key=name,
            headers={"lang": "py", "n": 3},
            message_id="m1",
            correlation_id="c1",
            reply_to="replies",
        )
        (message,) = taken(queue)
        assert message.payload == "text"
        assert message.content_type == "text/plain"
        assert message.headers["lang"] == "py"
        assert message.headers["n"] == 3
        assert {key: message.properties[key] for key in ("message_id", "correlation_id", "reply_to")} == {
            "message_id": "m1",
            "correlation_id": "c1",
            "reply_to": "replies",
        }
        assert message.delivery_info["routing_key"] == name

    @pytest.mark.parametrize(
        "body", [b"", bytes(range(256)) * 8, "", "ünïcode", {}, [], 0, None, False, {"deep": [{}]}]
    )
    def test_bodies_are_kept(self, channel: Channel, name: str, body: Any) -> None:
        queue = declared(Queue(name), channel)
        Producer(channel).publish(body, routing_key=name)
        (message,) = taken(queue)
        assert message.payload == body
        assert type(message.payload) is type(body)

    def test_compression(self, channel: Channel, name: str) -> None:
        queue = declared(Queue(name), channel)
        Producer(channel, compression="zlib").publish({"text": "a" * 10_000}, routing_key=name)
        (message,) = taken(queue)
        assert len(message.body) < 1000
        assert message.payload == {"text": "a" * 10_000}

    def test_two_queues_on_one_channel_and_two_channels(self, connection: Connection, name: str) -> None:
        got: list[tuple[str, Any]] = []
        first, second = connection.channel(), connection.channel()
        for channel, queue in ((first, "a"), (first, "b"), (second, "c")):
            consumer = Consumer(channel, Queue(f"{name}.{queue}"))
            consumer.register_callback(recording(got, queue))
            consumer.consume()
        producer = Producer(connection.channel())
        for queue in "abc":
            producer.publish(queue, routing_key=f"{name}.{queue}")
        drain_until(connection, lambda: len(got) == 3)
        assert sorted(got) == [("a", "a"), ("b", "b"), ("c", "c")]

    def test_two_consumers_of_one_queue_share_fairly(self, connection: Connection, name: str) -> None:
        got: list[tuple[str, Any]] = []
        for who in ("one", "two"):
            consumer = Consumer(connection.channel(), Queue(name), prefetch_count=5)
            consumer.register_callback(recording(got, who))
            consumer.consume()
        producer = Producer(connection.channel())
        for number in range(40):
            producer.publish(number, routing_key=name)
        drain_until(connection, lambda: len(got) == 40)
        assert sorted(body for _, body in got) == list(range(40))
        assert min(sum(who == each for who, _ in got) for each in ("one", "two")) >= 10

    def test_first_in_first_out(self, channel: Channel, connection: Connection, name: str) -> None:
        got: list[tuple[str, Any]] = []
        consumer = Consumer(channel, Queue(name))
        consumer.register_callback(recording(got, ""))
        producer = Producer(channel)
        for number in range(250):
            producer.publish(number, routing_key=name)
        consumer.consume()
        drain_until(connection, lambda: len(got) == 250)
        assert [body for _, body in got] == list(range(250))

    def test_publish_many_keeps_the_order(self, channel: Channel, name: str) -> None:
        queue = declared(Queue(name), channel)
        producer = Producer(channel, routing_key=name)
        producer.publish_many(({"n": number} for number in range(250)), message_id="same")
        messages = taken(queue)
        assert [message.payload["n"] for message in messages] == list(range(250))
        assert {message.properties["message_id"] for message in messages} == {"same"}
        producer.publish_many([])

    def test_publish_many_reports_each_failure(self, channel: Channel, name: str) -> None:
        queue = declared(
            Queue(name, Exchange(name, "headers"), binding_arguments={"x-match": "all", "to": "here"}), channel
        )
        contents = [Content(b"%d" % number, headers={"to": "here" if number % 3 else "nowhere"}) for number in range(8)]
        with pytest.raises(PartlyPublished, match="3 of 8") as caught:
            channel.publish_many(contents, name, "", mandatory=True)
        assert {number: type(error) for number, error in caught.value.failures.items()} == dict.fromkeys(
            (0, 3, 6), Unroutable
        )
        assert [message.body for message in taken(queue)] == [b"1", b"2", b"4", b"5", b"7"]

    def test_publish_many_ends_at_what_cannot_be_encoded(self, channel: Channel, name: str) -> None:
        queue = declared(Queue(name), channel)
        with pytest.raises(EncodeError):
            Producer(channel, routing_key=name).publish_many([1, 2, object(), 4])
        assert [message.payload for message in taken(queue)] == [1, 2]
