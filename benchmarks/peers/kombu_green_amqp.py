"""Ours on RabbitMQ, each thing done as its documentation does it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.bodies import body
from benchmarks.crowd import by_crowd
from benchmarks.round import Load, Measure, Sample, Span, bounded
from benchmarks.workers import consumed
from kombu_green import Connection, Consumer, Producer, Queue

ROOT = Path(__file__).parents[2]
QUEUE = Queue("load", routing_key="load")

CONFIG = """\
[worker]
path = {path}
state = state
concurrency = {concurrency}
[broker]
url = {url}
[queue:load]
[consumer:load]
queue = load
prefetch = {prefetch}
"""


def publish(load: Load) -> Sample:
    return _published(load, confirm=False)


def publish_confirmed(load: Load) -> Sample:
    return _published(load, confirm=True)


def publish_confirmed_by_many(load: Load) -> Sample:
    """One producer for all: any greenlet may use it."""
    with _producer(load, confirm=True) as producer:

        def work(number: int) -> None:
            producer.publish(body(number))

        by_crowd(work, load.warm_up, load.seconds, 100)
        with Span() as span:
            done = by_crowd(work, load.messages, load.seconds, 100)
    return span.sample(done)


def publish_many(load: Load) -> Sample:
    with _producer(load, confirm=True) as producer:
        producer.publish_many(map(body, range(load.warm_up)))
        done = 0

        def bodies() -> Iterator[Any]:
            nonlocal done
            for number in bounded(load.messages, load.seconds):
                done += 1
                yield body(number)

        with Span() as span:
            producer.publish_many(bodies())
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


def work(load: Load) -> Sample:
    return worked(load, 100, "handle")


def wait(load: Load) -> Sample:
    return worked(load, 200, "wait")


def wait_ahead(load: Load) -> Sample:
    return worked(load, 200, "wait", prefetch=400)


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
    with Connection(load.url, transport_options={"confirm": confirm}) as connection:
        channel = connection.channel()
        queue = QUEUE(channel)
        queue.declare()
        queue.purge()
        yield Producer(channel, routing_key="load", serializer="json")
        queue.purge()


def _fill(load: Load) -> int:
    """How many messages wait then."""
    done = 0
    with Connection(load.url, transport_options={"confirm": False}) as connection:
        channel = connection.channel()
        queue = QUEUE(channel)
        queue.declare()
        queue.purge()
        producer = Producer(channel, routing_key="load", serializer="json")
        for number in bounded(load.messages, load.seconds):
            producer.publish(body(number))
            done += 1
        channel.queue_declare(QUEUE.name, passive=True)
    return done


def worked(load: Load, concurrency: int, callback: str, *, prefetch: int | None = None, app: str = "") -> Sample:
    """*app* is a module with workers made in code, one by the name of each callback, for what cannot be set."""
    config = Path(load.folder) / "worker.ini"
    text = CONFIG.format(path=ROOT, concurrency=concurrency, prefetch=prefetch or concurrency, url=load.url)
    if app:
        text = text.replace("[worker]\n", f"[worker]\napp = {app}:{callback}\n")
    else:
        text += f"callback = benchmarks.applications.counting:{callback}\n"
    config.write_text(text)
    return consumed(load, [[sys.executable, "-m", "kombu_green.cli", "-c", str(config)]], 1, _fill(load))


MEASURES: dict[str, Measure] = {
    "amqp-publish": publish,
    "amqp-confirm": publish_confirmed,
    "amqp-confirm-many/greenlets": publish_confirmed_by_many,
    "amqp-confirm-many/window": publish_many,
    "amqp-consume": consume,
    "amqp-worker": work,
    "amqp-wait/slots": wait,
    "amqp-wait/ahead": wait_ahead,
}
