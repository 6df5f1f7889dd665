"""dramatiq under gevent on RabbitMQ: its actors' ``send``, and its worker of one process and many greenlets."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.bodies import body
from benchmarks.round import Load, Measure, Sample, Span, bounded
from benchmarks.workers import consumed

# by the interpreter, not by the script's first line: environments are moved into place after they were made
COMMAND = [
    sys.executable,
    str(Path(sys.executable).with_name("dramatiq-gevent")),
    "benchmarks.applications.dramatiq_actors",
]


def publish(load: Load) -> Sample:
    return _published(load, "no")


def publish_confirmed(load: Load) -> Sample:
    return _published(load, "yes")


def work(load: Load) -> Sample:
    return _worked(load, "handle", 100)


def wait(load: Load) -> Sample:
    return _worked(load, "wait", 200)


def _published(load: Load, confirm: str) -> Sample:
    actors = _actors(load, confirm)
    for number in range(load.warm_up):
        actors.handle.send(body(number))
    done = 0
    with Span() as span:
        for number in bounded(load.messages, load.seconds):
            actors.handle.send(body(number))
            done += 1
        actors.broker.channel.queue_declare(actors.handle.queue_name, passive=True)
    actors.broker.flush(actors.handle.queue_name)
    return span.sample(done)


def _worked(load: Load, actor: str, slots: int) -> Sample:
    actors = _actors(load, "no")
    actors.broker.declare_queue(actors.handle.queue_name, ensure=True)
    actors.broker.flush(actors.handle.queue_name)
    done = 0
    for number in bounded(load.messages, load.seconds):
        getattr(actors, actor).send(body(number))
        done += 1
    return consumed(load, [[*COMMAND, "--processes", "1", "--threads", str(slots)]], 1, done)


def _actors(load: Load, confirm: str) -> Any:
    os.environ |= {"BENCH_BROKER": load.url, "BENCH_CONFIRM": confirm}
    from benchmarks.applications import dramatiq_actors  # it reads its broker when it is imported

    return dramatiq_actors


MEASURES: dict[str, Measure] = {
    "amqp-publish": publish,
    "amqp-confirm": publish_confirmed,
    "amqp-worker": work,
    "amqp-wait/ahead": wait,
}
