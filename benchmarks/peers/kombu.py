"""kombu, plain and under gevent, each thing done as its documentation does it."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from kombu import Connection, Consumer, Producer, Queue
from kombu.pools import producers

from benchmarks.bodies import body
from benchmarks.crowd import by_crowd
from benchmarks.peers import kombu_amqp
from benchmarks.round import Load, Measure, Sample, Span, bounded
from benchmarks.workers import consumed, started

CHUNK = 1_000  # messages that wait at a time, at most

QUEUE = Queue("load", routing_key="load")


def memory(load: Load) -> Sample:
    with Connection("memory://") as connection:
        producer = Producer(connection.channel(), routing_key="load", serializer="json")
        handled = 0

        def handle(content: Any, message: Any) -> None:
            nonlocal handled
            message.ack()
            handled += 1

        def work(messages: int) -> int:
            before = handled
            for _ in bounded(messages // CHUNK, load.seconds):
                for number in range(CHUNK):
                    producer.publish(body(number))
                wanted = handled + CHUNK
                while handled < wanted:
                    connection.drain_events(timeout=10)
            return handled - before

        with Consumer(connection.channel(), QUEUE, callbacks=[handle]):
            work(load.warm_up)
            with Span() as span:
                done = work(load.messages)
    return span.sample(done)


def put(load: Load) -> Sample:
    with Connection(_url(load)) as connection:
        QUEUE(connection.channel()).declare()
        producer = Producer(connection.channel(), routing_key="load", serializer="json")
        for number in range(load.warm_up):
            producer.publish(body(number))
        done = 0
        with Span() as span:
            for number in bounded(load.messages, load.seconds):
                producer.publish(body(number))
                done += 1
    return span.sample(done)


def put_50(load: Load) -> Sample:
    """Many at a time, from kombu's pool: one of its connections is not for more than one greenlet."""
    with Connection(_url(load)) as connection:
        QUEUE(connection.channel()).declare()
        pool = producers[connection]

        def publish(number: int) -> None:
            with pool.acquire(block=True) as producer:
                producer.publish(body(number), routing_key="load", serializer="json")

        by_crowd(publish, load.warm_up, load.seconds)
        with Span() as span:
            done = by_crowd(publish, load.messages, load.seconds)
    return span.sample(done)


def consume_1(load: Load) -> Sample:
    return _consume(load, 1)


def consume_2(load: Load) -> Sample:
    return _consume(load, 2)


def start(load: Load) -> Sample:
    _filled(load)
    return started(load, _worker(load))


def _consume(load: Load, processes: int) -> Sample:
    return consumed(_filled(load), [_worker(load)] * processes, processes)


def _filled(load: Load) -> Load:
    """The load that is left when no more goes into the file in the time given."""
    with Connection(_url(load)) as connection:
        QUEUE(connection.channel()).declare()
        producer = Producer(connection.channel(), routing_key="load", serializer="json")
        done = 0
        for number in bounded(load.messages, load.seconds):
            producer.publish(body(number))
            done += 1
    return replace(load, messages=done)


def _worker(load: Load) -> list[str]:
    return [sys.executable, "-m", "benchmarks.applications.kombu_mixin", _url(load), QUEUE.name]


def _url(load: Load) -> str:
    return f"sqla+sqlite:///{load.folder}/broker.db"


MEASURES: dict[str, Measure] = {
    "memory": memory,
    "start": start,
    "stores/put": put,
    "stores/put-50": put_50,
    "stores/consume-1": consume_1,
    "stores/consume-2": consume_2,
    **kombu_amqp.MEASURES,
}
