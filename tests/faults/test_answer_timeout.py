"""What waits for a broker without a deadline ends after ``answer_timeout`` without progress, whatever it waits for."""

from __future__ import annotations

import gc
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

import gevent
import pytest

from kombu_green.channel import Channel
from kombu_green.clock import Deadline
from kombu_green.connection import Connection
from kombu_green.dispatch.outcome import Ack, DeadLetter, Failure, Retry, Verdict
from kombu_green.exceptions import BrokerBlocked, PartlyPublished
from kombu_green.message import Content, Message
from kombu_green.testing import FaultProxy, Way
from kombu_green.transport.amqp.amqp_transport import AMQPTransport
from kombu_green.worker.connections import Connections
from kombu_green.worker.settler import Counters, Settler
from tests.support.rabbitmq import RabbitMQ

TIMEOUT = 1.0
SLACK = 4.0
PATIENCE = 60.0


@pytest.fixture
def name() -> str:
    return f"answer-{uuid.uuid4().hex[:12]}"


@contextmanager
def in_time() -> Iterator[None]:
    began = monotonic()
    yield
    took = monotonic() - began
    assert TIMEOUT * 0.9 <= took < TIMEOUT + SLACK


@contextmanager
def through(rabbitmq: RabbitMQ, name: str, answer_timeout: float = TIMEOUT) -> Iterator[tuple[FaultProxy, Connection]]:
    """A connection through a proxy, with heartbeats so rare that they do not end it sooner; and the queue *name*."""
    with gevent.Timeout(PATIENCE), FaultProxy("127.0.0.1", rabbitmq.port) as proxy:
        url = rabbitmq.url.replace(str(rabbitmq.port), str(proxy.port))
        with Connection(rabbitmq.url) as outside:
            outside.channel().queue_declare(name, arguments={"x-expires": 60_000})
        with Connection(url, heartbeat=60, answer_timeout=answer_timeout) as connection:
            try:
                yield proxy, connection
            finally:
                proxy.heal()


def amqp(connection: Connection) -> AMQPTransport:
    transport = connection.connect()
    assert isinstance(transport, AMQPTransport)
    return transport


PUBLISHES: dict[str, Callable[[Channel, str], None]] = {
    "one": lambda channel, name: channel.basic_publish(Content(b"x"), "", name),
    "mandatory": lambda channel, name: channel.basic_publish(Content(b"x"), "", name, mandatory=True),
    "late deadline": lambda channel, name: channel.basic_publish(Content(b"x"), "", name, deadline=Deadline.after(99)),
    "many": lambda channel, name: channel.publish_many([Content(b"x")] * 3000, "", name),
}


@pytest.mark.parametrize("publish", PUBLISHES.values(), ids=PUBLISHES)
def test_a_publish_whose_confirm_never_comes(
    rabbitmq: RabbitMQ, name: str, publish: Callable[[Channel, str], None]
) -> None:
    with through(rabbitmq, name) as (proxy, connection):
        channel = connection.channel()
        publish(channel, name)
        proxy.stall(Way.DOWN)
        with in_time(), pytest.raises((TimeoutError, PartlyPublished), match="not confirmed within 1 s"):
            publish(channel, name)
        given_up = amqp(connection).publishes_given_up
        assert given_up in (1, 1000), "no more than a window is taken"
        assert connection.connected, "a queue may be stuck, and nothing else"
        proxy.heal()
        publish(channel, name)
        assert amqp(connection).publishes_given_up == given_up


def test_a_publish_that_there_is_no_room_for(rabbitmq: RabbitMQ, name: str) -> None:
    with through(rabbitmq, name) as (proxy, connection):
        channel = connection.channel()
        channel.basic_publish(Content(b"x"), "", name)
        proxy.stall(Way.UP)
        large = Content(b"x" * 20_000_000)
        with in_time(), pytest.raises((TimeoutError, PartlyPublished)):
            channel.publish_many([large] * 3, "", name)
        with in_time(), pytest.raises(TimeoutError):
            channel.basic_publish(Content(b"small"), "", name)


def test_a_body_that_takes_long_to_send_makes_progress(rabbitmq: RabbitMQ, name: str) -> None:
    with through(rabbitmq, name, answer_timeout=3) as (proxy, connection):
        channel = connection.channel()
        channel.basic_publish(Content(b"x"), "", name)
        proxy.split(250_000, pause=0.01)
        began = monotonic()
        channel.basic_publish(Content(b"x" * 40_000_000), "", name)
        assert monotonic() - began > 4
        assert amqp(connection).publishes_given_up == 0


def test_bodies_of_publishes_that_were_given_up_are_not_kept(
    rabbitmq: RabbitMQ, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with through(rabbitmq, name) as (proxy, connection):
        channel = connection.channel()
        channel.basic_publish(Content(b"x"), "", name)
        proxy.stall(Way.DOWN)
        for number in range(20):
            with pytest.raises(TimeoutError):
                channel.basic_publish(
                    Content(b"given up %d" % number), "", name, mandatory=True, deadline=Deadline.after(0.01)
                )
        gevent.idle()
        assert not [thing for thing in gc.get_objects() if isinstance(thing, Content) and b"given up" in thing.body]
        assert amqp(connection).publishes_given_up == 20
        told = [record.getMessage() for record in caplog.records if "were given up before" in record.getMessage()]
        assert [line.split(": ")[1].split()[0] for line in told] == ["1", "2", "4", "8", "16"]
        connection.close()
    assert "20 publishes that were given up and never confirmed" in caplog.text


VERDICTS: dict[str, Verdict] = {
    "retry": Retry(0.0),
    "delayed retry": Retry(5.0),
    "dead letter": DeadLetter("why", Failure.of(ValueError())),
    "reply": Ack(reply={"done": True}),
}


@pytest.mark.parametrize("verdict", VERDICTS.values(), ids=VERDICTS)
def test_what_a_verdict_publishes(rabbitmq: RabbitMQ, name: str, verdict: Verdict) -> None:
    """The message goes back to its queue when its retry, dead letter or reply is not confirmed."""
    with through(rabbitmq, name) as (proxy, connection), Connection(rabbitmq.url) as consuming:
        connections = Connections(consuming)
        connections._publishing = connection
        counters = Counters()
        settler = Settler(name, connections.channel, counters)
        channel = consuming.channel()
        properties = {"reply_to": name}
        for stalled in (False, True):
            channel.basic_publish(Content(b"1", properties=properties), "", name)
            message = channel.basic_get(name)
            assert isinstance(message, Message)
            if stalled:
                proxy.stall(Way.DOWN)
                with in_time():
                    assert settler.settle(message, verdict) is None
                assert (message.settled_as, counters.unsettled) == ("REQUEUED", 1)
            else:
                assert settler.settle(message, verdict) == verdict
                channel.queue_purge(name)


@pytest.fixture
def alarmed(rabbitmq: RabbitMQ) -> Iterator[RabbitMQ]:
    """The server, whose memory alarm is on, and is called off afterwards."""
    rabbitmq.control("set_vm_memory_high_watermark", "absolute", "1")
    yield rabbitmq
    rabbitmq.control("set_vm_memory_high_watermark", "absolute", "1GB")


@pytest.mark.parametrize("publish", PUBLISHES.values(), ids=PUBLISHES)
def test_a_publish_during_a_memory_alarm(alarmed: RabbitMQ, name: str, publish: Callable[[Channel, str], None]) -> None:
    with gevent.Timeout(PATIENCE), Connection(alarmed.url, answer_timeout=TIMEOUT) as connection:
        channel = connection.channel()
        for _ in range(2):  # in flight when the broker says that it is short of memory, and after it
            with in_time(), pytest.raises((BrokerBlocked, PartlyPublished), match="low on memory"):
                publish(channel, name)
        assert connection.connected
