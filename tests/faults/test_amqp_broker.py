"""The broker is killed and started under load, or blocks publishers because of a memory alarm."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic

import gevent
import pytest
from gevent.event import Event
from gevent.pool import Group

from kombu_green.clock import Deadline
from kombu_green.connection import Connection
from kombu_green.exceptions import BrokerBlocked, ConnectionLost, MessageStateError
from kombu_green.message import Content, Message
from kombu_green.transport.amqp.amqp_transport import AMQPTransport
from tests.support.rabbitmq import RabbitMQ, missing

KILLS = 5
PUBLISHERS = 10
PATIENCE = 20.0
#: seconds after the broker is back in which messages must flow again
BACK_WITHIN = 5.0


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[RabbitMQ]:
    """A RabbitMQ of this module, which tests may kill."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    server = RabbitMQ(tmp_path / "mortal")
    try:
        server.start()
        yield server
    finally:
        server.stop()


class Load:
    """Publishers and a consumer that reconnect when their connection is lost."""

    def __init__(self, url: str, queue: str) -> None:
        self.url = url
        self.queue = queue
        self.confirmed: set[bytes] = set()
        self.handled: Counter[bytes] = Counter()
        self.stopping = Event()
        self.greenlets = Group()

    def start(self) -> None:
        with Connection(self.url) as connection:
            connection.channel().queue_declare(self.queue)
        for number in range(PUBLISHERS):
            self.greenlets.spawn(self._publish, number)
        self.greenlets.spawn(self._consume)

    def stop(self) -> None:
        self.stopping.set()
        self.greenlets.join(raise_error=True)

    def _publish(self, number: int) -> None:
        count = 0
        connection = Connection(self.url)
        while not self.stopping.wait(0.002):
            body = b"%d-%d" % (number, count)
            count += 1
            try:
                connection.default_channel.basic_publish(
                    Content(body, properties={"delivery_mode": 2}), "", self.queue, deadline=Deadline.after(2)
                )
                self.confirmed.add(body)
            except (ConnectionLost, TimeoutError):
                gevent.sleep(0.1)
        connection.close()

    def _consume(self) -> None:
        connection = Connection(self.url)
        while not (self.stopping.is_set() and self.confirmed <= self.handled.keys()):
            try:
                channel = connection.channel()
                channel.basic_qos(prefetch_count=20)
                channel.basic_consume(self.queue, self._handle)
                while not (self.stopping.is_set() and self.confirmed <= self.handled.keys()):
                    channel.serve(Deadline.after(0.2))
            except (ConnectionLost, TimeoutError):
                gevent.sleep(0.1)
        connection.close()

    def _handle(self, message: Message) -> None:
        self.handled[message.body] += 1
        with suppress(MessageStateError):  # it comes again
            message.ack()

    def wait_for(self, count: int, seconds: float) -> None:
        """Until so many more messages, confirmed from now on, are handled."""
        before = self.confirmed.copy()
        with gevent.Timeout(seconds):
            while len((self.handled.keys() & self.confirmed) - before) < count:
                gevent.sleep(0.01)


@pytest.mark.timeout(120)  # a start takes five seconds
def test_a_broker_that_is_killed_under_load_loses_no_confirmed_message(mortal: RabbitMQ) -> None:
    load = Load(mortal.url, "load")
    load.start()
    for _ in range(KILLS):
        load.wait_for(100, PATIENCE)
        mortal.kill()
        gevent.get_hub().threadpool.apply(mortal.start)
        load.wait_for(1, BACK_WITHIN)
    load.wait_for(100, PATIENCE)
    load.stop()
    assert not load.confirmed - load.handled.keys(), "confirmed and lost"
    with Connection(mortal.url) as connection:
        assert connection.channel().queue_declare("load", passive=True).message_count == 0


@pytest.fixture
def alarmed(rabbitmq: RabbitMQ) -> Iterator[RabbitMQ]:
    """The server; its memory alarm is cleared afterwards."""
    yield rabbitmq
    call_off(rabbitmq)


def alarm(server: RabbitMQ) -> None:
    server.control("set_vm_memory_high_watermark", "absolute", "1")


def call_off(server: RabbitMQ) -> None:
    server.control("set_vm_memory_high_watermark", "absolute", "1GB")


def test_a_memory_alarm_blocks_only_publishers(alarmed: RabbitMQ, caplog: pytest.LogCaptureFixture) -> None:
    name = f"alarm-{uuid.uuid4().hex}"
    with gevent.Timeout(PATIENCE), Connection(alarmed.url) as publishing, Connection(alarmed.url) as consuming:
        publisher, consumer = publishing.channel(), consuming.channel()
        publisher.queue_declare(name)
        for number in range(30):
            publisher.basic_publish(Content(b"%d" % number), "", name)
        got: list[Message] = []
        consumer.basic_qos(prefetch_count=5)
        consumer.basic_consume(name, got.append)
        alarm(alarmed)
        assert blocked_at_its_deadline(publishing, name)
        while len(got) < 30:  # more than the prefetch, so the acks arrive
            consuming.drain_events(timeout=PATIENCE)
            got[-1].ack()
        assert alarmed.unacknowledged(name) == 0
        waiting = gevent.spawn(publisher.basic_publish, Content(b"patient"), "", name)
        gevent.sleep(0.1)
        assert not waiting.ready()
        call_off(alarmed)
        waiting.get()
        while got[-1].body != b"patient":
            consuming.drain_events(timeout=PATIENCE)
            got[-1].ack()
        transport = publishing.connect()
        assert isinstance(transport, AMQPTransport)
        assert (transport.blocked, transport.times_blocked) == (None, 1)
        consumer.queue_delete(name)
    said = [record.getMessage() for record in caplog.records]
    assert sum("takes no messages for now" in line for line in said) == 1
    assert sum("takes messages again" in line for line in said if line) <= 1


def blocked_at_its_deadline(publishing: Connection, name: str) -> bool:
    """Whether publishers get BrokerBlocked at their deadline."""
    channel = publishing.default_channel
    for _ in range(20):
        began = monotonic()
        try:
            channel.basic_publish(Content(b"held up"), "", name, deadline=Deadline.after(0.3))
        except BrokerBlocked as error:
            return "low on memory" in str(error) and monotonic() - began < 2
    return False
