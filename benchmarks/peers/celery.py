"""Celery under gevent on RabbitMQ: its own way to publish, and its worker with a pool of greenlets."""

from __future__ import annotations

import os
import sys
from typing import Any

import kombu

from benchmarks.bodies import body
from benchmarks.round import Load, Measure, Sample, Span, bounded
from benchmarks.workers import consumed

QUEUE = "load-celery"
COMMAND = ["-m", "celery", "-A", "benchmarks.applications.celery_tasks", "worker", "-P", "gevent", "-l", "warning"]
QUIET = ["--without-gossip", "--without-mingle", "--without-heartbeat"]


def publish(load: Load) -> Sample:
    return _published(load, confirm=False)


def publish_confirmed(load: Load) -> Sample:
    return _published(load, confirm=True)


def work(load: Load) -> Sample:
    return _worked(load, "handle", 100)


def wait(load: Load) -> Sample:
    return _worked(load, "wait", 200)


def _published(load: Load, *, confirm: bool) -> Sample:
    tasks = _tasks(load)
    tasks.app.conf.broker_transport_options = {"confirm_publish": confirm}
    for number in range(load.warm_up):
        tasks.handle.delay(body(number))
    done = 0
    with Span() as span:
        for number in bounded(load.messages, load.seconds):
            tasks.handle.delay(body(number))
            done += 1
        with tasks.app.producer_pool.acquire() as producer:
            producer.channel.queue_declare(QUEUE, passive=True)
    _purge(load)
    return span.sample(done)


def _worked(load: Load, task: str, slots: int) -> Sample:
    _purge(load)
    tasks = _tasks(load)
    done = 0
    for number in bounded(load.messages, load.seconds):
        getattr(tasks, task).delay(body(number))
        done += 1
    return consumed(load, [[sys.executable, *COMMAND, "-c", str(slots), *QUIET]], 1, done)


def _tasks(load: Load) -> Any:
    os.environ["BENCH_BROKER"] = load.url
    from benchmarks.applications import celery_tasks  # it reads its broker when it is imported

    return celery_tasks


def _purge(load: Load) -> None:
    with kombu.Connection(load.url) as connection:
        queue = kombu.Queue(QUEUE, kombu.Exchange(QUEUE), routing_key=QUEUE)(connection.channel())
        queue.declare()
        queue.purge()


MEASURES: dict[str, Measure] = {
    "amqp-publish": publish,
    "amqp-confirm": publish_confirmed,
    "amqp-worker": work,
    "amqp-wait/slots": wait,
}
