"""Delayed delivery over RabbitMQ's own queues."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from time import monotonic

import gevent
import pytest

from kombu_green.channel import Channel
from kombu_green.connection import Connection
from kombu_green.exceptions import NotFound, Unroutable
from kombu_green.message import Content, Message
from kombu_green.transport.amqp.delay_ladder import UNROUTABLE
from tests.support.rabbitmq import RabbitMQ

PATIENCE = 20.0


@pytest.fixture
def channel(rabbitmq: RabbitMQ) -> Iterator[Channel]:
    with gevent.Timeout(PATIENCE), Connection(rabbitmq.url) as connection:
        yield connection.channel()


@pytest.fixture
def name() -> str:
    return f"delay-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def queue(channel: Channel, name: str) -> str:
    channel.queue_declare(name)
    return name


def test_a_delayed_message_arrives_as_it_was_sent(channel: Channel, queue: str) -> None:
    channel.exchange_declare(f"{queue}.topic", "topic")
    channel.queue_bind(queue, f"{queue}.topic", "a.#")
    content = Content(b"body", "text/plain", "utf-8", {"mine": 1, "x-death": [{"count": 1}]}, {"priority": 3})
    channel.basic_publish(content, f"{queue}.topic", "a.b", delay=0.9)
    channel.basic_publish(Content(b"direct"), "", queue, delay=1.5, mandatory=True)
    began = monotonic()
    first, second = waited_for(channel, queue), waited_for(channel, queue)
    assert 1.4 < monotonic() - began < 4
    assert (first.body, first.content_type, first.headers) == (b"body", "text/plain", {"mine": 1})
    assert first.properties == {"priority": 3}
    assert (first.delivery_info["exchange"], first.delivery_info["routing_key"]) == (f"{queue}.topic", "a.b")
    assert (second.body, second.headers) == (b"direct", {})
    assert (second.delivery_info["exchange"], second.delivery_info["routing_key"]) == ("", queue)


def waited_for(channel: Channel, queue: str) -> Message:
    while (message := channel.basic_get(queue)) is None:
        gevent.sleep(0.02)
    message.ack()
    return message


def test_a_third_retry_arrives(channel: Channel, queue: str) -> None:
    channel.basic_publish(Content(b"again"), "", queue)
    for _ in range(3):
        message = waited_for(channel, queue)
        channel.basic_publish(message.content, "", queue, delay=1)
    assert waited_for(channel, queue).body == b"again"


def test_an_expired_delayed_message_is_dead_lettered_on_delivery(channel: Channel, queue: str) -> None:
    dead = channel.queue_declare(f"{queue}.dead").queue
    channel.queue_declare(f"{queue}.2", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
    for expiration in ("1", "60000"):
        content = Content(expiration.encode(), properties={"expiration": expiration})
        channel.basic_publish(content, "", f"{queue}.2", delay=1)
    message = waited_for(channel, f"{queue}.2")
    assert message.body == b"60000"
    assert message.properties["expiration"] == "60000"
    assert waited_for(channel, dead).body == b"1"


def test_a_message_whose_queue_is_deleted_during_the_delay_is_kept(channel: Channel, queue: str) -> None:
    channel.basic_publish(Content(queue.encode()), "", queue, delay=1)
    channel.queue_delete(queue)
    while waited_for(channel, UNROUTABLE).body != queue.encode():
        pass


@pytest.mark.parametrize("mandatory", [True, False])
def test_a_delayed_publish_reports_missing_queues_and_exchanges(channel: Channel, name: str, mandatory: bool) -> None:
    if mandatory:
        with pytest.raises(Unroutable):
            channel.basic_publish(Content(b""), "", name, delay=1, mandatory=True)
    else:
        channel.basic_publish(Content(b""), "", name, delay=1)
    with pytest.raises(NotFound):
        channel.basic_publish(Content(b""), "no-such-exchange", name, delay=1)
