"""What cannot be routed, declared or decoded: an error says so, and no message is lost."""

from __future__ import annotations

from typing import Any

import pytest

from kombu_green.channel import Channel
from kombu_green.connection import Connection
from kombu_green.entity import Exchange, Queue
from kombu_green.exceptions import (
    EncodeError,
    NotFound,
    PartlyPublished,
    PreconditionFailed,
    Unroutable,
    UnsupportedOption,
)
from kombu_green.message import Content, Message
from kombu_green.messaging import Consumer, Producer
from kombu_green.testing.transport.channel_fixtures import (
    TransportTests,
    declared,
    drain_until,
    recording,
    taken,
)

__all__ = ["RefusalTests"]


class RefusalTests(TransportTests):
    def test_mandatory_raises_unroutable(self, channel: Channel, name: str) -> None:
        exchange = Exchange(name, "direct")
        producer = Producer(channel, exchange)
        producer.publish(1, routing_key="nowhere")
        with pytest.raises(Unroutable) as caught:
            producer.publish(1, routing_key="nowhere", mandatory=True)
        assert (caught.value.exchange, caught.value.routing_key) == (name, "nowhere")
        with pytest.raises(Unroutable):
            Producer(channel).publish(1, routing_key=f"{name}-no-queue", mandatory=True)

    def test_mandatory_with_a_delay(self, connection: Connection, channel: Channel, name: str) -> None:
        if not connection.connect().capabilities.delay:
            pytest.skip("this transport has no delayed delivery")
        queue = Queue(name, Exchange(name, "direct"), routing_key="key")
        declared(queue, channel)
        with pytest.raises(Unroutable):
            Producer(channel).publish(1, routing_key=f"{name}-no-queue", mandatory=True, delay=0.1)
        # what its bindings will be when the delay ends is not known
        for key in ("key", "nowhere"):
            with pytest.raises(UnsupportedOption, match="mandatory"):
                Producer(channel, Exchange(name, "direct")).publish(1, routing_key=key, mandatory=True, delay=0.1)
        Producer(channel).publish(2, routing_key=name, mandatory=True, delay=0.1)
        got: list[tuple[str, Any]] = []
        Consumer(connection.channel(), queue, callbacks=[recording(got, "late")]).consume()
        drain_until(connection, lambda: bool(got))
        assert got == [("late", 2)]

    def test_on_return(self, channel: Channel, name: str) -> None:
        returned: list[tuple[Any, ...]] = []
        producer = Producer(channel, Exchange(name), on_return=lambda *args: returned.append(args))
        producer.publish({"a": 1}, routing_key="nowhere", mandatory=True)
        ((error, exchange, key, content),) = returned
        assert isinstance(error, Unroutable)
        assert (exchange, key) == (name, "nowhere")
        assert content.body == b'{"a":1}'

    def test_a_passive_declare_of_what_does_not_exist(self, connection: Connection, name: str) -> None:
        with pytest.raises(NotFound, match=name):
            Queue(name)(connection.channel()).queue_declare(passive=True)
        with pytest.raises(NotFound, match=name):
            Exchange(name)(connection.channel()).declare(passive=True)

    def test_declaring_a_queue_with_another_argument_names_it(self, connection: Connection, name: str) -> None:
        declared(Queue(name, message_ttl=1), connection.channel())
        with pytest.raises(PreconditionFailed, match="x-message-ttl"):
            declared(Queue(name, message_ttl=2), connection.channel())
        declared(Queue(name, message_ttl=1), connection.channel())

    def test_declaring_an_exchange_with_another_type_names_it(self, connection: Connection, name: str) -> None:
        Exchange(name, "direct")(connection.channel()).declare()
        with pytest.raises(PreconditionFailed, match="type"):
            Exchange(name, "topic")(connection.channel()).declare()

    @pytest.mark.parametrize("verb", ["publish", "publish_many"])
    def test_a_keyword_of_publish_that_is_no_property_is_an_error(self, channel: Channel, name: str, verb: str) -> None:
        queue = declared(Queue(name), channel)
        publish = getattr(Producer(channel), verb)
        with pytest.raises(TypeError, match=r"'mesage_id'; did you mean 'message_id'"):
            publish(["x"], routing_key=name, mesage_id="1")
        with pytest.raises(TypeError, match=r"'tenant'.*headers"):
            publish(["x"], routing_key=name, tenant=5)
        assert taken(queue) == []

    def test_the_retry_of_kombus_publish_is_refused_unless_it_is_off(self, channel: Channel, name: str) -> None:
        queue = declared(Queue(name), channel)
        producer = Producer(channel)
        for keywords in ({"retry": True}, {"retry_policy": {"max_retries": 3}}):
            with pytest.raises(UnsupportedOption, match=r"retry.*Connection\.ensure"):
                producer.publish("x", routing_key=name, **keywords)
        assert taken(queue) == []
        producer.publish("x", routing_key=name, retry=False, retry_policy=None, declare=None)
        (message,) = taken(queue)
        assert not {"retry", "retry_policy", "declare"} & set(message.properties)

    @pytest.mark.parametrize("properties", [{"tenant": 5}, {"expiration": "-5"}, {"expiration": "soon"}], ids=str)
    def test_a_property_that_amqp_does_not_have_is_refused(
        self, channel: Channel, name: str, properties: dict[str, Any]
    ) -> None:
        queue = declared(Queue(name), channel)
        (named,) = properties
        content = Content(b"x", properties=properties)
        with pytest.raises(EncodeError, match=named):
            channel.basic_publish(content, "", name)
        with pytest.raises(PartlyPublished, match=f"EncodeError.*{named}"):
            channel.publish_many([content], "", name)
        assert taken(queue) == []

    @pytest.mark.parametrize("delay", [-1, -0.001, float("nan")])
    def test_a_negative_delay_is_refused(self, channel: Channel, name: str, delay: float) -> None:
        queue = declared(Queue(name), channel)
        with pytest.raises(ValueError, match="delay"):
            Producer(channel).publish("x", routing_key=name, delay=delay)
        with pytest.raises(ValueError, match="delay"):
            channel.basic_publish(Content(b"x"), "", name, delay=delay)
        assert taken(queue) == []

    @pytest.mark.parametrize("verb", ["publish", "publish_many"])
    def test_a_negative_expiration_is_refused(self, channel: Channel, name: str, verb: str) -> None:
        queue = declared(Queue(name), channel)
        with pytest.raises(ValueError, match="expiration"):
            getattr(Producer(channel), verb)(["x"], routing_key=name, expiration=-1)
        assert taken(queue) == []

    def test_a_negative_time_to_live_is_refused(self, connection: Connection, name: str) -> None:
        with pytest.raises(PreconditionFailed, match="x-message-ttl"):
            declared(Queue(name, message_ttl=-1), connection.channel())
        with pytest.raises(NotFound):
            Queue(name)(connection.channel()).queue_declare(passive=True)

    @pytest.mark.parametrize(
        ("how", "named"),
        [
            ({"prefetch_size": 1000}, "size"),
            ({"prefetch_count": 5, "a_global": True}, "all consumers"),
            ({"prefetch_count": -1}, "-1"),
            ({"prefetch_count": 65536}, "65536"),
        ],
    )
    def test_a_prefetch_that_no_broker_keeps_is_refused(
        self, channel: Channel, how: dict[str, Any], named: str
    ) -> None:
        with pytest.raises(UnsupportedOption, match=named):
            channel.basic_qos(**how)

    def test_arguments_of_a_consumer_are_honoured_or_refused(
        self, connection: Connection, channel: Channel, name: str
    ) -> None:
        """A broker with priorities of consumers serves the higher one first."""
        got: list[tuple[str, Any]] = []
        low, high = (
            Consumer(channel, Queue(name, consumer_arguments=arguments), callbacks=[recording(got, who)])
            for who, arguments in (("low", {}), ("high", {"x-priority": 5}))
        )
        low.consume()
        try:
            high.consume()
        except UnsupportedOption:
            expected = "low"
        else:
            expected = "high"
        Producer(channel).publish(1, routing_key=name)
        drain_until(connection, lambda: bool(got))
        assert got == [(expected, 1)]

    def test_undecodable_goes_to_on_decode_error(self, connection: Connection, channel: Channel, name: str) -> None:
        failed: list[tuple[Message, Exception]] = []
        got: list[Any] = []

        def keep(message: Message, error: Exception) -> None:
            failed.append((message, error))
            message.ack()

        consumer = Consumer(
            channel,
            Queue(name),
            callbacks=[recording(got, "")],
            on_decode_error=keep,
        )
        consumer.consume()
        producer = Producer(channel)
        producer.publish(b"{not json", routing_key=name, content_type="application/json", content_encoding="utf-8")
        producer.publish({"fine": True}, routing_key=name)
        drain_until(connection, lambda: bool(got) and bool(failed))
        assert failed[0][0].body == b"{not json"

    def test_a_consumer_decodes_only_what_it_accepts(self, connection: Connection, channel: Channel, name: str) -> None:
        refused: list[Message] = []

        def keep(message: Message, error: Exception) -> None:
            refused.append(message)
            message.ack()

        got: list[tuple[str, Any]] = []
        consumer = Consumer(
            channel, Queue(name), callbacks=[recording(got, "")], on_decode_error=keep, accept=["text/plain"]
        )
        consumer.consume()
        Producer(channel).publish({"refused": True}, routing_key=name)
        Producer(channel).publish("fine", routing_key=name)
        drain_until(connection, lambda: bool(got) and bool(refused))
        assert got == [("", "fine")]

    @pytest.mark.parametrize(
        ("content_type", "encoding", "body"),
        [
            ("application/json", "utf-8", b"{not json"),
            ("application/json", "no-such-charset", b"{}"),
            ("application/x-python-serialize", "binary", b"cos\nsystem\n."),
            ("application/unheard-of", "utf-8", b"?"),
        ],
    )
    def test_undecodable_without_handler_is_kept_in_the_dead_queue(
        self, connection: Connection, channel: Channel, name: str, content_type: str, encoding: str, body: bytes
    ) -> None:
        got: list[Any] = []
        consumer = Consumer(channel, Queue(name), callbacks=[recording(got, "")])
        consumer.consume()
        producer = Producer(channel)
        producer.publish(body, routing_key=name, content_type=content_type, content_encoding=encoding)
        producer.publish({"fine": True}, routing_key=name)
        drain_until(connection, lambda: bool(got))
        dead = declared(Queue(f"{name}.dead"), connection.channel())
        (message,) = taken(dead)
        assert message.body == body
        assert message.content_type == content_type
        assert any("reason" in header for header in message.headers)
