"""pika's blocking connection, each thing done as its documentation does it; also under gevent, by :mod:`.pika_gevent`.

Its blocking connection confirms one at a time, so what is confirmed many at a time is done by hand with its other one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pika

from benchmarks.bodies import body
from benchmarks.round import Load, Measure, Sample, Span, bounded

QUEUE = "load"
PROPERTIES = pika.BasicProperties(content_type="application/json", content_encoding="utf-8", delivery_mode=2)


def publish(load: Load) -> Sample:
    return _published(load, confirm=False)


def publish_confirmed(load: Load) -> Sample:
    return _published(load, confirm=True)


def consume(load: Load) -> Sample:
    messages = _fill(load)
    handled = 0

    def handle(channel: Any, method: Any, properties: Any, content: bytes) -> None:
        nonlocal handled
        json.loads(content)
        channel.basic_ack(method.delivery_tag)
        handled += 1

    with _connection(load) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=100)
        channel.basic_consume(QUEUE, handle)
        while handled < load.warm_up:
            connection.process_data_events(time_limit=10)
        before = handled
        with Span() as span:
            while handled < messages:
                connection.process_data_events(time_limit=10)
    return span.sample(messages - before)


def many_confirmed(connect: Callable[[Any, Any], Any], window: int) -> Measure:
    """The measure with a connection that *connect* makes of parameters and a callback."""

    def measure(load: Load) -> Sample:
        with _connection(load) as connection:
            _emptied(connection)
        return _Batches(load, connect, window).run()

    return measure


class _Batches:
    """As many messages as confirms came for, with at most *window* in flight."""

    def __init__(self, load: Load, connect: Callable[[Any, Any], Any], window: int) -> None:
        self.load = load
        self.window = window
        self.sent = 0
        self.confirmed = 0
        self.span = Span()
        self.connection = connect(pika.URLParameters(load.url), self._connected)

    def run(self) -> Sample:
        self.connection.ioloop.start()
        return self.span.sample(self.confirmed - self.load.warm_up)

    def _connected(self, connection: Any) -> None:
        connection.channel(on_open_callback=self._opened)

    def _opened(self, channel: Any) -> None:
        self.channel = channel
        self.wanted = self.load.warm_up + self.load.messages
        channel.confirm_delivery(self._settled, callback=lambda _: self._publish())

    def _publish(self) -> None:
        while self.sent < min(self.confirmed + self.window, self.wanted):
            self.channel.basic_publish("", QUEUE, _encoded(self.sent), PROPERTIES)
            self.sent += 1

    def _settled(self, frame: Any) -> None:
        before, self.confirmed = self.confirmed, max(self.confirmed + 1, frame.method.delivery_tag)
        if not frame.method.multiple:
            self.confirmed = before + 1
        if before < self.load.warm_up <= self.confirmed:
            self.span.__enter__()
        if self.confirmed >= self.wanted:
            self.span.__exit__()
            self.connection.ioloop.stop()
        else:
            self._publish()


def _published(load: Load, *, confirm: bool) -> Sample:
    with _connection(load) as connection:
        channel = _emptied(connection)
        if confirm:
            channel.confirm_delivery()
        for number in range(load.warm_up):
            channel.basic_publish("", QUEUE, _encoded(number), PROPERTIES)
        done = 0
        with Span() as span:
            for number in bounded(load.messages, load.seconds):
                channel.basic_publish("", QUEUE, _encoded(number), PROPERTIES)
                done += 1
            channel.queue_declare(QUEUE, passive=True)
        channel.queue_purge(QUEUE)
    return span.sample(done)


def _fill(load: Load) -> int:
    """How many messages wait then."""
    done = 0
    with _connection(load) as connection:
        channel = _emptied(connection)
        for number in bounded(load.messages, load.seconds):
            channel.basic_publish("", QUEUE, _encoded(number), PROPERTIES)
            done += 1
        channel.queue_declare(QUEUE, passive=True)
    return done


def _emptied(connection: Any) -> Any:
    channel = connection.channel()
    channel.queue_declare(QUEUE, durable=True)
    channel.queue_purge(QUEUE)
    return channel


@contextmanager
def _connection(load: Load) -> Iterator[Any]:
    connection = pika.BlockingConnection(pika.URLParameters(load.url))
    try:
        yield connection
    finally:
        connection.close()


def _encoded(number: int) -> bytes:
    return json.dumps(body(number)).encode()


MEASURES: dict[str, Measure] = {
    "amqp-publish": publish,
    "amqp-confirm": publish_confirmed,
    "amqp-confirm-many/greenlets": many_confirmed(pika.SelectConnection, 100),
    "amqp-confirm-many/window": many_confirmed(pika.SelectConnection, 1_000),
    "amqp-consume": consume,
}
