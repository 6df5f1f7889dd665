"""A thousand greenlets on one connection, whose socket accepts a few bytes at a time."""

from __future__ import annotations

import socket
import uuid
from collections import Counter

import gevent
import pytest
from gevent.pool import Pool

from kombu_green.connection import Connection
from kombu_green.exceptions import PreconditionFailed
from kombu_green.message import Content, Message
from kombu_green.transport.amqp.amqp_transport import AMQPTransport
from kombu_green.transport.amqp.socket.connection import AMQPConnection
from kombu_green.transport.amqp.socket.inbox import MOST_MESSAGES, Inbox
from tests.support.rabbitmq import RabbitMQ

GREENLETS = 1000
PATIENCE = 60.0


def actor(connection: Connection) -> AMQPConnection:
    """The socket connection behind *connection*."""
    transport = connection.connect()
    assert isinstance(transport, AMQPTransport)
    assert transport._session is not None
    return transport._session.connection


def is_full(inbox: Inbox) -> bool:
    return inbox.full


def takes_little(connection: Connection) -> None:
    """Make the kernel take no more than a few kilobytes at a time, so that most sends are partial."""
    actor(connection)._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


@pytest.mark.timeout(90)
def test_a_thousand_greenlets_publish_declare_and_ack_concurrently(rabbitmq: RabbitMQ) -> None:
    name = f"greenlets-{uuid.uuid4().hex}"
    handled: Counter[bytes] = Counter()
    refused = 0
    with Connection(rabbitmq.url) as connection:
        takes_little(connection)
        shared = connection.channel()
        channels = [shared, connection.channel(), connection.channel()]
        shared.queue_declare(name)

        def handle(message: Message) -> None:
            handled[message.body[:8]] += 1
            message.ack()

        def work(number: int) -> None:
            nonlocal refused
            channel = channels[number % 3]
            body = b"%08d" % number + b"x" * (number % 50 * 400)
            if number % 10 == 0:
                with pytest.raises(PreconditionFailed, match="durable"):
                    channel.queue_declare(name, durable=False)
                refused += 1
            if number % 10 == 1:
                channel.queue_declare(f"{name}-{number}", auto_delete=True, exclusive=True)
            channel.basic_publish(Content(body, properties={"delivery_mode": 1}), "", name, mandatory=True)

        for channel in channels:
            channel.basic_qos(prefetch_count=20)
            channel.basic_consume(name, handle)

        def drain() -> None:
            while len(handled) < GREENLETS:
                connection.drain_events(timeout=PATIENCE)

        with gevent.Timeout(PATIENCE):
            draining = gevent.spawn(drain)
            pool = Pool(GREENLETS)
            for number in range(GREENLETS):
                pool.spawn(work, number)
            pool.join(raise_error=True)
            draining.get()
        assert shared.queue_declare(name, passive=True).message_count == 0
    assert refused == GREENLETS / 10
    assert handled == {b"%08d" % number: 1 for number in range(GREENLETS)}


def test_unconsumed_deliveries_stay_in_the_socket_and_answers_are_read(rabbitmq: RabbitMQ) -> None:
    """Without acks there is no prefetch limit: memory is bounded because the socket is not read."""
    name = f"full-{uuid.uuid4().hex}"
    count = MOST_MESSAGES * 3
    with gevent.Timeout(PATIENCE), Connection(rabbitmq.url) as connection:
        channel = connection.channel()
        channel.queue_declare(name, auto_delete=True)
        channel.publish_many((Content(b"%d" % number) for number in range(count)), "", name)
        got: list[bytes] = []
        channel.basic_consume(name, lambda message: got.append(message.body), no_ack=True)
        inbox = actor(connection).inbox
        while not is_full(inbox):
            gevent.sleep(0.01)
        most = len(inbox)
        for _ in range(20):
            gevent.sleep(0.01)
            assert len(inbox) == most < MOST_MESSAGES * 2
        while is_full(inbox):
            connection.drain_events(timeout=PATIENCE)
        left = len(inbox)
        while len(inbox) == left:  # there is room, so it is read again though nobody asks
            gevent.sleep(0.01)
        assert channel.queue_declare(f"{name}-other", exclusive=True).message_count == 0
        channel.basic_publish(Content(b"confirmed all the same"), "", f"{name}-other", mandatory=True)
        while len(got) < count:
            connection.drain_events(timeout=PATIENCE)
    assert got == [b"%d" % number for number in range(count)]


def test_partial_sends_keep_order_and_lose_nothing(rabbitmq: RabbitMQ) -> None:
    """Without confirms, so that only the socket limits the publishers."""
    name = f"partial-{uuid.uuid4().hex}"
    with Connection(rabbitmq.url, transport_options={"confirm": False}) as connection:
        takes_little(connection)
        channel = connection.channel()
        channel.queue_declare(name, auto_delete=True)
        bodies = [b"%06d" % number + b"y" * (number % 7 * 6_000) for number in range(300)]
        for body in bodies:
            channel.basic_publish(Content(body), "", name)
        got: list[bytes] = []
        channel.basic_consume(name, lambda message: got.append(message.body), no_ack=True)
        with gevent.Timeout(PATIENCE):
            while len(got) < len(bodies):
                connection.drain_events(timeout=PATIENCE)
    assert got == bodies
