"""Ours, each thing done as its documentation does it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.bodies import body
from benchmarks.crowd import by_crowd
from benchmarks.peers import kombu_green_amqp
from benchmarks.round import Load, Measure, Sample, Span, bounded
from benchmarks.workers import consumed, started
from kombu_green import Connection, Consumer, Producer, Queue

ROOT = Path(__file__).parents[2]
CHUNK = 1_000  # messages that wait at a time, at most
QUEUE = Queue("load", routing_key="load")

CONFIG = """\
[worker]
path = {path}
state = state
processes = {processes}
{app}
[broker]
url = {url}
[queue:load]
[consumer:load]
queue = load
{callback}
"""
CALLBACK = "callback = benchmarks.applications.counting:handle"


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
        producer = _producer(connection)
        for number in range(load.warm_up):
            producer.publish(body(number))
        done = 0
        with Span() as span:
            for number in bounded(load.messages, load.seconds):
                producer.publish(body(number))
                done += 1
    return span.sample(done)


def put_50(load: Load) -> Sample:
    """Many at a time with one producer: any greenlet may use it."""
    with Connection(_url(load)) as connection:
        producer = _producer(connection)

        def publish(number: int) -> None:
            producer.publish(body(number))

        by_crowd(publish, load.warm_up, load.seconds)
        with Span() as span:
            done = by_crowd(publish, load.messages, load.seconds)
    return span.sample(done)


def consume_1(load: Load) -> Sample:
    return _consume(load, 1)


def consume_2(load: Load) -> Sample:
    return _consume(load, 2)


def start(load: Load, *, app: str = "") -> Sample:
    """*app* is a worker that was made in code, for what cannot be set."""
    _filled(load)
    return started(load, _worker(load, 1, app))


def _consume(load: Load, processes: int) -> Sample:
    return consumed(_filled(load), [_worker(load, processes)], processes)


def _producer(connection: Connection) -> Producer:
    channel = connection.channel()
    QUEUE(channel).declare()
    return Producer(channel, routing_key="load", serializer="json")


def _filled(load: Load) -> Load:
    """The load that is left when no more goes into the file in the time given."""
    with Connection(_url(load)) as connection:
        producer = _producer(connection)
        done = by_crowd(lambda number: producer.publish(body(number)), load.messages, load.seconds)
    return replace(load, messages=done)


def _worker(load: Load, processes: int, app: str = "") -> list[str]:
    config = Path(load.folder) / "worker.ini"
    made = {"app": f"app = {app}", "callback": ""} if app else {"app": "", "callback": CALLBACK}
    config.write_text(CONFIG.format(path=ROOT, processes=processes, url=_url(load), **made))
    return [sys.executable, "-m", "kombu_green.cli", "-c", str(config)]


def _url(load: Load) -> str:
    return f"sqla+sqlite:///{load.folder}/broker.db"


MEASURES: dict[str, Measure] = {
    "memory": memory,
    "start": start,
    "stores/put": put,
    "stores/put-50": put_50,
    "stores/consume-1": consume_1,
    "stores/consume-2": consume_2,
    **kombu_green_amqp.MEASURES,
}
