"""kombu on RabbitMQ, plain and under gevent, each thing done as its documentation does it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu import Connection, Consumer, Producer, Queue
from kombu.pools import producers

from benchmarks.bodies import body
from benchmarks.crowd import by_crowd
from benchmarks.round import Load, Measure, Sample, Span, bounded
from benchmarks.workers import consumed

QUEUE = Queue("load", routing_key="load")


def publish(load: Load) -> Sample:
    return _published(load, confirm=False)


def publish_confirmed(load: Load) -> Sample:
    return _published(load, confirm=True)


def publish_confirmed_by_many(load: Load) -> Sample:
    """From kombu's pool, of ten connections: one of them is not for more than one greenlet."""
    with _producer(load, confirm=True) as producer:
        pool = producers[producer.channel.connection.client]

        def work(number: int) -> None:
            with pool.acquire(block=True) as producer:
                producer.publish(body(number), routing_key="load", serializer="json")

        by_crowd(work, load.warm_up, load.seconds, 100)
        with Span() as span:
            done = by_crowd(work, load.messages, load.seconds, 100)
    return span.sample(done)


def consume(load: Load) -> Sample:
    messages = _fill(load)
    with Connection(load.url) as connection:
        handled = 0

        def handle(content: Any, message: Any) -> None:
            nonlocal handled
            message.ack()
            handled += 1

        with Consumer(connection.channel(), QUEUE, callbacks=[handle], prefetch_count=100):
            while handled < load.warm_up:
                connection.drain_events(timeout=10)
            with Span() as span:
                while handled < messages:
                    connection.drain_events(timeout=10)
    return span.sample(messages - load.warm_up)


def wait(load: Load) -> Sample:
    messages = _fill(load)
    command = [sys.executable, "-m", "benchmarks.applications.kombu_waiting", load.url, QUEUE.name]
    return consumed(load, [command], 1, messages)


def _published(load: Load, *, confirm: bool) -> Sample:
    with _producer(load, confirm) as producer:
        for number in range(load.warm_up):
            producer.publish(body(number))
        done = 0
        with Span() as span:
            for number in bounded(load.messages, load.seconds):
                producer.publish(body(number))
                done += 1
            producer.channel.queue_declare(QUEUE.name, passive=True)
    return span.sample(done)


@contextmanager
def _producer(load: Load, confirm: bool) -> Iterator[Producer]:
    """With an empty queue before and after."""
    with Connection(load.url, transport_options={"confirm_publish": confirm}) as connection:
        queue = QUEUE(connection.channel())
        queue.declare()
        queue.purge()
        yield Producer(connection.channel(), routing_key="load", serializer="json")
        queue.purge()


def _fill(load: Load) -> int:
    """How many messages wait then."""
    done = 0
    with Connection(load.url) as connection:
        queue = QUEUE(connection.channel())
        queue.declare()
        queue.purge()
        producer = Producer(connection.channel(), routing_key="load", serializer="json")
        for number in bounded(load.messages, load.seconds):
            producer.publish(body(number))
            done += 1
        producer.channel.queue_declare(QUEUE.name, passive=True)
    return done


MEASURES: dict[str, Measure] = {
    "amqp-publish": publish,
    "amqp-confirm": publish_confirmed,
    "amqp-confirm-many/greenlets": publish_confirmed_by_many,
    "amqp-consume": consume,
    "amqp-wait/slots": wait,
}
