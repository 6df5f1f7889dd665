"""Messages that are larger than agreed on: taken, or rejected one by one; never at the expense of others."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import gevent
import pytest

from kombu_green.connection import Connection
from kombu_green.exceptions import Unroutable
from kombu_green.message import Content, Message
from kombu_green.transport.amqp.amqp_transport import AMQPTransport
from kombu_green.transport.amqp.channel.amqp_channel import AMQPChannel
from tests.support.rabbitmq import RabbitMQ

PATIENCE = 30.0
LARGEST = 100_000


@pytest.fixture
def connection(rabbitmq: RabbitMQ) -> Iterator[Connection]:
    with gevent.Timeout(PATIENCE), Connection(rabbitmq.url, transport_options={"largest_message": LARGEST}) as made:
        yield made


@pytest.fixture
def channel(connection: Connection) -> AMQPChannel:
    return opened(connection)


def opened(connection: Connection) -> AMQPChannel:
    found = connection.channel()
    assert isinstance(found, AMQPChannel)
    return found


@pytest.fixture
def queue(channel: AMQPChannel) -> Iterator[str]:
    """A queue whose dead letters go to ``<queue>-dead``."""
    name = f"oversized-{uuid.uuid4().hex[:12]}"
    channel.queue_declare(f"{name}-dead")
    channel.queue_declare(name, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{name}-dead"})
    yield name
    channel.queue_delete(name)
    channel.queue_delete(f"{name}-dead")


def consumed(connection: Connection, channel: AMQPChannel, queue: str, count: int) -> list[Message]:
    got: list[Message] = []
    channel.basic_consume(queue, got.append)
    while len(got) < count:
        connection.drain_events(timeout=PATIENCE)
        got[-1].ack()
    return got


def put(channel: AMQPChannel, queue: str, *bodies: bytes) -> None:
    channel.publish_many([Content(body) for body in bodies], "", queue)


# in one frame, in several frames, in more than one recv
@pytest.mark.parametrize("size", [LARGEST + 1, 300_000, 20_000_000])
def test_an_oversized_body_is_rejected_and_the_others_are_handled(
    connection: Connection, channel: AMQPChannel, queue: str, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    put(channel, queue, b"1", b"x" * size, b"2", b"y" * size, b"3", b"z" * LARGEST)
    got = consumed(connection, opened(connection), queue, 4)
    assert [message.body for message in got] == [b"1", b"2", b"3", b"z" * LARGEST]
    while channel.queue_declare(f"{queue}-dead", passive=True).message_count < 2:
        gevent.sleep(0.01)
    assert connection.connected
    told = [record.getMessage() for record in caplog.records if f"{size} bytes" in record.getMessage()]
    assert len(told) == 2
    assert queue in told[0]
    assert f"{LARGEST}" in told[0]


def test_a_get_rejects_an_oversized_body_and_returns_the_next_message(
    channel: AMQPChannel, queue: str, caplog: pytest.LogCaptureFixture
) -> None:
    put(channel, queue, b"x" * 300_000, b"1", b"y" * 300_000)
    message = channel.basic_get(queue)
    assert message is not None
    assert message.body == b"1"
    message.ack()
    assert channel.basic_get(queue) is None
    while channel.queue_declare(f"{queue}-dead", passive=True).message_count < 2:
        gevent.sleep(0.01)
    assert caplog.text.count("300000 bytes") == 2


def test_without_acks_an_oversized_body_is_lost_and_told(
    connection: Connection, channel: AMQPChannel, queue: str, caplog: pytest.LogCaptureFixture
) -> None:
    put(channel, queue, b"x" * 300_000, b"y" * 300_000, b"1")
    assert channel.basic_get(queue, no_ack=True) is not None
    put(channel, queue, b"x" * 300_000, b"2")
    got: list[Message] = []
    channel.basic_consume(queue, got.append, no_ack=True)
    while not got:
        connection.drain_events(timeout=PATIENCE)
    assert got[0].body == b"2"
    assert caplog.text.count("300000 bytes") == 3
    assert "lost" in caplog.text


def test_an_oversized_return_belongs_to_its_publish(channel: AMQPChannel, queue: str) -> None:
    content = Content(b"x" * 300_000)
    channel.basic_publish(content, "", queue, mandatory=True)
    with pytest.raises(Unroutable):
        channel.basic_publish(content, "", "no-such-queue", mandatory=True)
    channel.basic_publish(content, "", queue, mandatory=True)


def test_headers_that_outgrow_a_frame_at_the_broker_are_read(
    connection: Connection, channel: AMQPChannel, rabbitmq: RabbitMQ
) -> None:
    """A quorum queue adds ``x-delivery-count``, and RabbitMQ does not split a header frame."""
    queue = f"outgrown-{uuid.uuid4().hex[:12]}"
    channel.queue_declare(queue, arguments={"x-queue-type": "quorum"})
    transport = connection.connect()
    assert isinstance(transport, AMQPTransport)
    assert transport._session is not None
    room = transport._session.connection.tuning.frame_max - 20 - 2 - 4 - (1 + 4 + 1 + 4) - 3
    channel.basic_publish(Content(b"large", headers={"blob": "x" * room}, properties={"delivery_mode": 2}), "", queue)
    channel.basic_publish(Content(b"small", properties={"delivery_mode": 2}), "", queue)
    first = opened(connection)
    message = first.basic_get(queue)
    assert message is not None
    message.requeue()
    first.close()
    bodies: list[bytes] = []
    got = consumed(connection, opened(connection), queue, 2)
    for message in got:
        bodies.append(message.body)
    assert sorted(bodies) == [b"large", b"small"]
    large = next(message for message in got if message.body == b"large")
    assert large.headers["x-delivery-count"] == 1
    assert len(large.headers["blob"]) == room
    channel.queue_delete(queue)
