"""What AMQP and RabbitMQ do beyond the contract of all transports."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from time import monotonic
from typing import Any

import gevent
import pytest

from kombu_green.clock import Deadline
from kombu_green.connection import Connection
from kombu_green.exceptions import (
    AccessRefused,
    ChannelLimitExceeded,
    ConfirmLost,
    ConnectionLost,
    EncodeError,
    MessageNacked,
    MessageStateError,
    NotFound,
    OperationalError,
    PartlyPublished,
    PreconditionFailed,
    ResourceLocked,
    Unroutable,
    UnsupportedOption,
)
from kombu_green.green.threads import Threads
from kombu_green.message import Content, Message
from kombu_green.transport.amqp.amqp_transport import AMQPTransport
from kombu_green.transport.amqp.channel.amqp_channel import AMQPChannel
from kombu_green.transport.amqp.channel.publisher import WINDOW
from kombu_green.transport.amqp.socket.connection import AMQPConnection
from tests.support.rabbitmq import RabbitMQ

PATIENCE = 20.0


@pytest.fixture
def connection(rabbitmq: RabbitMQ) -> Iterator[Connection]:
    with gevent.Timeout(PATIENCE), Connection(rabbitmq.url) as made:
        yield made


@pytest.fixture
def channel(connection: Connection) -> AMQPChannel:
    return opened(connection)


@pytest.fixture
def name() -> str:
    return f"rabbitmq-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def queue(channel: AMQPChannel, name: str) -> str:
    channel.queue_declare(name)
    return name


def opened(connection: Connection) -> AMQPChannel:
    channel = connection.channel()
    assert isinstance(channel, AMQPChannel)
    return channel


def actor(connection: Connection) -> AMQPConnection:
    """The socket connection behind *connection*."""
    transport = connection.connect()
    assert isinstance(transport, AMQPTransport)
    assert transport._session is not None
    return transport._session.connection


def put(channel: AMQPChannel, queue: str, *bodies: bytes, **how: Any) -> None:
    for body in bodies:
        channel.basic_publish(Content(body, properties={"delivery_mode": 1}), "", queue, **how)


def put_for_ever(channel: AMQPChannel, queue: str) -> None:
    while True:
        put(channel, queue, b"x")
        gevent.sleep(0.001)


def all_of(channel: AMQPChannel, queue: str) -> list[bytes]:
    """Take and ack all messages of *queue*."""
    found = []
    while (message := channel.basic_get(queue)) is not None:
        message.ack()
        found.append(message.body)
    return found


def until(connection: Connection, done: Callable[[], bool]) -> None:
    while not done():
        connection.drain_events(timeout=PATIENCE)


# -- logging in


@pytest.mark.parametrize(
    ("user", "password", "host"), [("guest", "wrong", "%2F"), ("nobody", "guest", "%2F"), ("guest", "guest", "nowhere")]
)
def test_wrong_credentials_and_virtual_hosts_raise_at_once(
    rabbitmq: RabbitMQ, user: str, password: str, host: str
) -> None:
    connection = Connection(rabbitmq.url_of("amqp", user, password, host))
    began = monotonic()
    with pytest.raises(AccessRefused):
        connection.ensure_connection()
    assert monotonic() - began < 5, "there is no use in trying again"
    with pytest.raises(AccessRefused):
        connection.channel()


@pytest.mark.parametrize("scheme", ["amqp", "pyamqp", "amqplib"])
def test_pyamqp_and_amqplib_are_aliases(rabbitmq: RabbitMQ, scheme: str) -> None:
    with Connection(rabbitmq.url_of(scheme)) as connection:
        assert isinstance(connection.connect(), AMQPTransport)


def test_a_server_that_does_not_speak_amqp_is_an_error(rabbitmq: RabbitMQ) -> None:
    with pytest.raises(ConnectionLost, match=r"closed the connection|does not speak"):
        Connection(f"amqp://127.0.0.1:{rabbitmq.mapper_port}//").connect()


# -- one greenlet's mistake is no other's


def test_a_failed_declare_leaves_channel_and_consumers_alone(
    connection: Connection, channel: AMQPChannel, queue: str
) -> None:
    got: list[Message] = []
    channel.basic_consume(queue, got.append)
    for _ in range(3):
        with pytest.raises(PreconditionFailed, match=rf"queue '{queue}' exists with other arguments: durable"):
            channel.queue_declare(queue, durable=False)
        with pytest.raises(NotFound):
            channel.queue_declare(f"{queue}-not-there", passive=True)
        with pytest.raises(NotFound):
            channel.queue_bind(queue, f"{queue}-not-there", "key")
        with pytest.raises(AccessRefused):
            channel.queue_bind(queue, "", "key")
    put(channel, queue, b"1")
    until(connection, lambda: bool(got))
    got[0].ack()


def test_a_publish_to_no_exchange_leaves_channel_and_consumers_alone(
    connection: Connection, channel: AMQPChannel, queue: str
) -> None:
    got: list[Message] = []
    channel.basic_consume(queue, got.append)
    with pytest.raises(NotFound, match="not-there"):
        channel.basic_publish(Content(b""), "not-there", "key")
    put(channel, queue, b"1")
    until(connection, lambda: bool(got))
    got[0].ack()


def test_publishes_in_flight_with_a_refused_one_arrive_once(channel: AMQPChannel, queue: str) -> None:
    """The refused one closes the channel; publishes written after it are published again."""
    channel.exchange_declare(f"{queue}.fanout", "fanout")
    channel.queue_bind(queue, f"{queue}.fanout")

    def publish(number: int) -> str:
        try:
            channel.basic_publish(Content(b"%d" % number), f"{queue}.fanout" if number else "not-there", "")
        except NotFound:
            return "refused"
        except ConnectionLost:
            return "unknown"
        return "confirmed"

    greenlets = [gevent.spawn(publish, number) for number in (1, 2, 0, 3, 4, 5)]
    results = [greenlet.get() for greenlet in greenlets]
    assert results[2] == "refused"
    assert results[3:] == ["confirmed"] * 3
    found = all_of(channel, queue)
    assert sorted(set(found)) == sorted(found), "nothing twice"
    assert {b"3", b"4", b"5"} <= set(found)
    assert all(
        b"%d" % number in found for number, result in zip((1, 2), results[:2], strict=True) if result == "confirmed"
    )


def test_consume_and_get_on_a_missing_queue_raise_not_found(channel: AMQPChannel, queue: str) -> None:
    put(channel, queue, b"1")
    held = channel.basic_get(queue)
    assert held is not None
    with pytest.raises(NotFound):
        channel.basic_get("not-there")
    with pytest.raises(NotFound):
        channel.basic_consume("not-there", lambda message: None)
    held.ack()


@pytest.mark.parametrize("name", ["ä" * 118, "a" + "ä" * 118, "ab" + "ä" * 118, "abc" + "ä" * 118])
def test_an_error_text_that_the_broker_truncates_is_decoded(
    connection: Connection, channel: AMQPChannel, name: str
) -> None:
    """The broker cuts off the text after a number of bytes, possibly within a character."""
    with pytest.raises(NotFound, match=r"no queue 'a?b?c?ä+"):
        channel.queue_declare(name, passive=True)
    assert connection.connected


def test_an_exclusive_consumer_keeps_others_out(connection: Connection, channel: AMQPChannel, queue: str) -> None:
    channel.basic_consume(queue, lambda message: None, exclusive=True)
    other = opened(connection)
    with pytest.raises(ResourceLocked):
        other.basic_consume(queue, lambda message: None)
    assert not other.is_open
    assert channel.is_open


# -- what the broker would punish is refused


def test_requests_that_would_close_the_connection_are_refused(
    rabbitmq: RabbitMQ, connection: Connection, channel: AMQPChannel, queue: str
) -> None:
    tag = channel.basic_consume(queue, lambda message: None)
    unsupported: list[Callable[[], object]] = [
        lambda: channel.basic_qos(prefetch_size=1),
        lambda: channel.basic_qos(prefetch_count=10, a_global=True),
        lambda: channel.basic_qos(prefetch_count=70_000),
        lambda: channel.basic_recover(requeue=False),
        lambda: channel.exchange_declare(f"{queue}.x", "x-no-such-type"),
        lambda: channel.basic_publish(Content(b""), "", queue, delay=1e9),
    ]
    for call in unsupported:
        with pytest.raises(UnsupportedOption):
            call()
    unwritable: list[Callable[[], object]] = [
        lambda: channel.queue_declare("q" * 256),
        lambda: channel.queue_declare("\udcff"),  # bytes of a file's name, which are no UTF-8
        lambda: channel.basic_publish(Content(b""), "", "\udcff"),
        lambda: channel.basic_publish(Content(b""), "", "k" * 256),
        lambda: channel.basic_publish(Content(b"", headers={"n": 2**64}), "", queue),
        lambda: channel.basic_publish(Content(b"", properties={"expiration": "soon"}), "", queue),
        lambda: channel.basic_publish(Content(b"", headers={"h": "x" * 131_072}), "", queue),
        lambda: channel.queue_declare(f"{queue}.x", arguments={"a": "x" * 131_072}),
    ]
    for call in unwritable:
        with pytest.raises(EncodeError):
            call()
    with pytest.raises(PreconditionFailed, match="already"):
        channel.basic_consume(queue, lambda message: None, consumer_tag=tag)
    with pytest.raises(MessageStateError):
        channel.basic_ack(99)
    put(channel, queue, b"1", mandatory=True)
    assert connection.connected


def test_too_many_channels_are_refused(rabbitmq: RabbitMQ) -> None:
    with Connection(rabbitmq.url, transport_options={"channel_max": 3}) as connection:
        channels = [opened(connection) for _ in range(4)]
        name = channels[0].queue_declare(exclusive=True).queue
        for channel in channels[:2]:
            assert channel.basic_get(name) is None
        with pytest.raises(ChannelLimitExceeded, match="all 3 channels"):
            channels[2].basic_get(name)
        channels[0].close()
        assert channels[3].basic_get(name) is None


# -- publishing


def test_a_full_queue_nacks(channel: AMQPChannel, name: str) -> None:
    channel.queue_declare(name, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    with pytest.raises(MessageNacked, match=name):
        put(channel, name, *[b"x"] * 10)
    assert channel.queue_purge(name) >= 1
    put(channel, name, b"1")


@pytest.mark.parametrize("confirm", [True, False])
def test_mandatory_raises_unroutable_or_calls_on_return(rabbitmq: RabbitMQ, confirm: bool, name: str) -> None:
    with Connection(rabbitmq.url, transport_options={"confirm": confirm}) as connection:
        channel = opened(connection)
        channel.queue_declare(name, auto_delete=True)

        def publish(number: int) -> str:
            try:
                put(channel, name if number % 3 else "no-such-queue", b"same", mandatory=True)
            except Unroutable as error:
                return error.routing_key
            return "arrived"

        greenlets = [gevent.spawn(publish, number) for number in range(30)]
        assert [greenlet.get() for greenlet in greenlets] == ["no-such-queue", "arrived", "arrived"] * 10


def test_a_refused_unconfirmed_publish_raises_from_the_next_one(rabbitmq: RabbitMQ, name: str) -> None:
    with Connection(rabbitmq.url, transport_options={"confirm": False}) as connection:
        channel = opened(connection)
        channel.queue_declare(name, auto_delete=True)
        channel.basic_publish(Content(b""), "not-there", "")
        with pytest.raises(NotFound, match="not-there"):
            put_for_ever(channel, name)
        channel.queue_purge(name)
        put(channel, name, b"1", b"2")
        assert channel.queue_declare(name, passive=True).message_count == 2, "a passive declare comes after them"


def test_publish_gives_up_at_its_deadline(channel: AMQPChannel, queue: str) -> None:
    put(channel, queue, b"1")
    with pytest.raises(TimeoutError, match="may have it or not"):
        channel.basic_publish(Content(b"2"), "", queue, deadline=Deadline.after(0))
    put(channel, queue, b"3")
    assert all_of(channel, queue) in ([b"1", b"2", b"3"], [b"1", b"3"])


def test_publish_many_keeps_a_window_in_flight(connection: Connection, channel: AMQPChannel, queue: str) -> None:
    """The bodies are generated while they are sent: never more than a window ahead of the confirms."""
    ahead: list[int] = []

    def contents() -> Iterator[Content]:
        for number in range(5000):
            ahead.append(channel._publisher.in_flight)
            yield Content(b"%d" % number)

    outbox = actor(connection).outbox
    before = outbox.sends
    channel.publish_many(contents(), "", queue)
    assert max(ahead) == WINDOW - 1
    assert outbox.sends - before < 500
    assert channel.queue_purge(queue) == 5000


def test_publish_many_to_a_missing_exchange_raises_not_found(channel: AMQPChannel, queue: str) -> None:
    with pytest.raises(PartlyPublished, match=r"100 of 100.*not-there"):
        channel.publish_many([Content(b"")] * 100, "not-there", "")
    with pytest.raises(PartlyPublished) as caught:
        channel.publish_many(
            [Content(b"", headers={"n": 2**64 if number == 3 else 1}) for number in range(5)], "", queue
        )
    assert [(number, type(error)) for number, error in caught.value.failures.items()] == [(3, EncodeError)]
    assert channel.queue_purge(queue) == 4


def test_publish_many_gives_up_at_its_deadline(channel: AMQPChannel, queue: str) -> None:
    put(channel, queue, b"1")
    with pytest.raises(PartlyPublished, match="TimeoutError") as caught:
        channel.publish_many(
            (Content(b"x" * 10_000) for _ in range(1_000_000)), "", queue, deadline=Deadline.after(0.2)
        )
    assert caught.value.taken < 500_000
    channel.queue_purge(queue)


def test_large_bodies_are_sent_in_many_frames(channel: AMQPChannel, queue: str) -> None:
    bodies = [bytes([number]) * size for number, size in enumerate((131064, 131065, 131072 * 3, 5_000_000))]
    put(channel, queue, *bodies)
    assert all_of(channel, queue) == bodies


def test_direct_reply_to_works(connection: Connection, channel: AMQPChannel, queue: str) -> None:
    server = opened(connection)

    def serve(message: Message) -> None:
        put(server, message.properties["reply_to"], message.body.upper())
        message.ack()

    server.basic_consume(queue, serve)
    got: list[Message] = []
    channel.basic_consume("amq.rabbitmq.reply-to", got.append, no_ack=True)
    request = Content(b"hello", properties={"reply_to": "amq.rabbitmq.reply-to"})
    channel.basic_publish(request, "", queue, mandatory=True)
    until(connection, lambda: bool(got))
    assert got[0].body == b"HELLO"


# -- consuming


def test_consumers_of_a_deleted_queue_get_not_found(connection: Connection, channel: AMQPChannel, queue: str) -> None:
    channel.basic_consume(queue, lambda message: None)
    opened(connection).queue_delete(queue)
    with pytest.raises(NotFound, match=queue):
        connection.drain_events(timeout=PATIENCE)
    assert channel.is_open
    serving = opened(connection)
    serving.queue_declare(queue)
    serving.basic_consume(queue, lambda message: None)
    greenlet = gevent.spawn(serve, serving)
    gevent.idle()
    opened(connection).queue_delete(queue)
    assert queue in str(greenlet.get())


def serve(channel: AMQPChannel) -> NotFound | None:
    try:
        channel.serve(Deadline.after(PATIENCE))
    except NotFound as error:
        return error
    return None


def test_a_callback_that_fails_ends_serve_and_not_the_connection(
    connection: Connection, channel: AMQPChannel, queue: str
) -> None:
    def fail(message: Message) -> None:
        raise ValueError("on purpose")

    channel.basic_consume(queue, fail)
    put(channel, queue, b"1")
    with pytest.raises(ValueError, match="on purpose"):
        channel.serve(Deadline.after(PATIENCE))
    assert connection.connected


def test_flow_stops_and_resumes_deliveries(connection: Connection, channel: AMQPChannel, queue: str) -> None:
    got: list[bytes] = []

    def take(message: Message) -> None:
        got.append(message.body)
        message.ack()

    channel.basic_consume(queue, take)
    channel.flow(False)
    put(channel, queue, b"1")
    with pytest.raises(TimeoutError):
        connection.drain_events(timeout=0.1)
    assert channel.queue_declare(queue, passive=True) == (queue, 1, 0)
    channel.flow(True)
    until(connection, lambda: got == [b"1"])
    channel.queue_declare(f"{queue}.auto", auto_delete=True)
    channel.basic_consume(f"{queue}.auto", take)
    with pytest.raises(UnsupportedOption, match="would be deleted"):
        channel.flow(False)


def test_recover_redelivers_only_unsettled_messages(connection: Connection, channel: AMQPChannel, queue: str) -> None:
    got: list[Message] = []
    channel.basic_qos(prefetch_count=10)
    channel.basic_consume(queue, got.append)
    put(channel, queue, *[b"%d" % number for number in range(20)])
    until(connection, lambda: len(got) == 4)
    got[1].ack()
    channel.basic_recover()
    lost = got[0]
    with pytest.raises(MessageStateError):
        lost.ack()
    got.clear()
    until(connection, lambda: len(got) == 10)
    again = {message.body for message in got if message.delivery_info["redelivered"]}
    assert {b"0", b"2", b"3"} <= again
    for message in got:
        message.ack()
    seen = {message.body for message in got}
    channel.close()
    left = all_of(opened(connection), queue)
    assert sorted(int(body) for body in [*seen, *left]) == [0, *range(2, 20)]


def test_an_abandoned_get_goes_back_to_its_queue(channel: AMQPChannel, queue: str) -> None:
    put(channel, queue, b"1")
    abandoned = gevent.spawn(channel.basic_get, queue)
    gevent.sleep(0)
    abandoned.kill()
    while channel.queue_declare(queue, passive=True).message_count != 1:
        gevent.sleep(0.01)
    message = channel.basic_get(queue)
    assert message is not None
    message.ack()


def test_closing_a_channel_sends_earlier_acks(connection: Connection, queue: str) -> None:
    channel = opened(connection)
    put(channel, queue, *[b"%d" % number for number in range(10)])
    messages = [channel.basic_get(queue) for _ in range(10)]
    for message in messages[::2]:
        assert message is not None
        message.ack()
    channel.close()
    channel.close()
    with pytest.raises(MessageStateError, match="has ended"):
        messages[1].ack()  # type: ignore[union-attr]
    with pytest.raises(ConnectionLost, match="closed"):
        channel.basic_get(queue)
    assert all_of(opened(connection), queue) == [b"1", b"3", b"5", b"7", b"9"]


IN_FLIGHT: dict[str, Callable[[AMQPChannel, str], object]] = {
    "cancel": lambda channel, queue: channel.basic_cancel("busy"),
    "consume": lambda channel, queue: channel.basic_consume(queue, lambda message: None),
    "get": lambda channel, queue: channel.basic_get(queue),
    "recover": lambda channel, queue: channel.basic_recover(),
    "pause": lambda channel, queue: channel.flow(False),
    "confirm": lambda channel, queue: channel.confirm_acks(Deadline.after(PATIENCE)),
}


@pytest.mark.parametrize("call", IN_FLIGHT.values(), ids=IN_FLIGHT)
def test_a_channel_can_be_closed_while_a_call_is_in_flight(
    connection: Connection, channel: AMQPChannel, queue: str, call: Callable[[AMQPChannel, str], object]
) -> None:
    channel.publish_many((Content(b"%d" % number) for number in range(3000)), "", queue)
    before = actor(connection)
    for _ in range(3):
        closed = opened(connection)
        got: list[Message] = []
        closed.basic_consume(queue, got.append, consumer_tag="busy")
        until(connection, lambda got=got: bool(got))  # type: ignore[misc]
        got[0].reject(requeue=True)  # there is something to confirm
        calling = gevent.spawn(_whatever_comes, call, closed, queue)
        gevent.sleep(0)
        closed.close()
        calling.get(timeout=PATIENCE)
    assert actor(connection) is before, "the connection is the same"
    assert before.is_open
    assert channel.queue_purge(queue) == 3000, "what came for a closing channel is the broker's again"


@pytest.mark.parametrize("first", ["get", "publish"])
def test_a_channel_that_is_closed_while_it_opens_leaves_nothing_open(
    connection: Connection, channel: AMQPChannel, queue: str, first: str
) -> None:
    calls: dict[str, Callable[[AMQPChannel, str], object]] = {"get": AMQPChannel.basic_get, "publish": put_one}
    before = len(actor(connection)._channels)
    closed = opened(connection)
    calling = gevent.spawn(_whatever_comes, calls[first], closed, queue)
    gevent.sleep(0)
    closed.close()
    calling.get(timeout=PATIENCE)
    assert len(actor(connection)._channels) == before
    assert not closed.is_open


def put_one(channel: AMQPChannel, queue: str) -> None:
    put(channel, queue, b"one")


def _whatever_comes(call: Callable[[AMQPChannel, str], object], channel: AMQPChannel, queue: str) -> None:
    with suppress(OperationalError, MessageStateError):
        call(channel, queue)


def test_a_request_in_flight_ends_with_its_channel(connection: Connection, queue: str) -> None:
    for _ in range(3):
        channel = opened(connection)
        channel.basic_consume("amq.rabbitmq.reply-to", lambda message: None, no_ack=True)
        request = Content(b"x" * 1_000_000, properties={"reply_to": "amq.rabbitmq.reply-to"})
        channel.basic_publish(request, "", queue)
        publishing = gevent.spawn(_publish, channel, request, queue)
        gevent.sleep(0)
        channel.close()
        assert publishing.get(timeout=PATIENCE) in (None, "ConfirmLost")


def _publish(channel: AMQPChannel, content: Content, queue: str) -> str | None:
    try:
        channel.basic_publish(content, "", queue)
    except ConfirmLost as error:
        return type(error).__name__
    return None


# -- when what is written goes out


def test_an_ack_outside_of_drain_is_sent_at_once(rabbitmq: RabbitMQ, channel: AMQPChannel, queue: str) -> None:
    """The hub of a plain script may never run again."""
    put(channel, queue, b"1")
    message = channel.basic_get(queue)
    assert message is not None
    message.ack()
    assert rabbitmq.unacknowledged(queue) == 0


def test_acks_within_drain_are_combined_and_sent_before_it_waits(
    rabbitmq: RabbitMQ, connection: Connection, queue: str
) -> None:
    put(opened(connection), queue, *[b"x"] * 300)
    channel = opened(connection)
    handled = 0

    def take(message: Message) -> None:
        nonlocal handled
        handled += 1
        message.ack()

    channel.basic_qos(prefetch_count=100)
    channel.basic_consume(queue, take)
    outbox = actor(connection).outbox
    before = outbox.sends
    until(connection, lambda: handled == 300)
    assert outbox.sends - before < 100
    assert rabbitmq.unacknowledged(queue) == 0


def test_confirm_acks_returns_when_the_broker_has_every_ack(
    rabbitmq: RabbitMQ, connection: Connection, channel: AMQPChannel, queue: str
) -> None:
    assert connection.connect().capabilities.confirms_acks
    put(channel, queue, *[b"x"] * 3)
    messages = [channel.basic_get(queue) for _ in range(3)]
    batch = actor(connection).batch
    batch.deferring += 1  # as while a delivery is handed over: the acks would wait for the hub
    try:
        for message in messages:
            assert message is not None
            message.ack()
        channel.confirm_acks(Deadline.never())
    finally:
        batch.deferring -= 1
    assert rabbitmq.unacknowledged(queue) == 0


def test_acks_whose_confirmation_was_given_up_are_confirmed_by_the_next_call(
    rabbitmq: RabbitMQ, channel: AMQPChannel, queue: str
) -> None:
    put(channel, queue, b"x")
    message = channel.basic_get(queue)
    assert message is not None
    message.ack()
    with pytest.raises(TimeoutError):
        channel.confirm_acks(Deadline.after(0))
    channel.confirm_acks(Deadline.never())
    assert rabbitmq.unacknowledged(queue) == 0


# -- topology


def test_exchanges_bound_to_exchanges_pass_messages_on(channel: AMQPChannel, queue: str) -> None:
    channel.exchange_declare(f"{queue}.all", "fanout")
    channel.exchange_declare(f"{queue}.some", "topic")
    channel.exchange_bind(f"{queue}.all", f"{queue}.some", "a.*")
    channel.queue_bind(queue, f"{queue}.all")
    for key in ("a.b", "b.a", "a.c"):
        channel.basic_publish(Content(key.encode()), f"{queue}.some", key)
    channel.exchange_unbind(f"{queue}.all", f"{queue}.some", "a.*")
    channel.basic_publish(Content(b"late"), f"{queue}.some", "a.d")
    assert all_of(channel, queue) == [b"a.b", b"a.c"]


def test_an_alternate_exchange_and_a_length_limit_are_honoured(channel: AMQPChannel, name: str) -> None:
    channel.exchange_declare(f"{name}.rest", "fanout")
    channel.exchange_declare(name, "direct", arguments={"alternate-exchange": f"{name}.rest"})
    channel.queue_declare(name, arguments={"x-max-length": 2})
    channel.queue_bind(name, f"{name}.rest")
    for number in range(4):
        channel.basic_publish(Content(b"%d" % number), name, "no such key", mandatory=True)
    assert all_of(channel, name) == [b"2", b"3"]


def test_quorum_queues_work(connection: Connection, channel: AMQPChannel, name: str) -> None:
    channel.queue_declare(name, arguments={"x-queue-type": "quorum"})
    with pytest.raises(PreconditionFailed, match="x-max-priority"):
        channel.queue_declare(f"{name}.2", arguments={"x-queue-type": "quorum", "x-max-priority": 5})
    put(channel, name, b"1", b"2", b"3")
    got: list[Message] = []
    channel.basic_qos(prefetch_count=2)
    channel.basic_consume(name, got.append)
    until(connection, lambda: len(got) == 2)
    got[0].requeue()
    got[1].ack()
    until(connection, lambda: len(got) == 4)
    for message in got[2:]:
        message.ack()
    assert channel.queue_delete(name) == 0


# -- threads


def test_an_offloaded_callback_can_settle_but_not_use_the_channel(channel: AMQPChannel, queue: str) -> None:
    put(channel, queue, b"1", b"2")
    first, second = channel.basic_get(queue), channel.basic_get(queue)
    assert first is not None
    assert second is not None
    threads = Threads(1)
    for refused in (lambda: channel.basic_publish(Content(b""), "", queue), lambda: channel.queue_declare(queue)):
        with pytest.raises(RuntimeError, match="native thread"):
            threads.call(refused)
    threads.call(first.ack)
    threads.call(second.requeue)
    threads.close()
    while (again := channel.basic_get(queue)) is None:
        gevent.sleep(0.01)
    assert again.body == b"2"
    again.ack()
    channel.close()


# -- heartbeats


def test_a_briefly_blocked_hub_keeps_its_connection(rabbitmq: RabbitMQ, name: str) -> None:
    with Connection(rabbitmq.url, heartbeat=1) as connection:
        channel = opened(connection)
        channel.queue_declare(name, auto_delete=True)
        time.sleep(1.8)  # what is tested is that time passes and the hub does not turn
        put(channel, name, b"1")
        assert connection.connected


def test_heartbeats_keep_an_idle_connection_open(rabbitmq: RabbitMQ) -> None:
    with Connection(rabbitmq.url, heartbeat=1) as connection:
        channel = opened(connection)
        for _ in range(2):
            with pytest.raises(TimeoutError):
                connection.drain_events(timeout=1.7)
        assert channel.queue_declare(exclusive=True).message_count == 0
