"""RabbitMQ: publishing, consuming, and whole workers.

``amqp-publish``: unconfirmed, ended by a question that the broker answers after it has taken everything.
``amqp-confirm``: one greenlet, one message at a time, each confirmed before the next.
``amqp-confirm-many``, many messages under way at a time on one connection.  ``greenlets``: 100 of them, by as many
greenlets where a library allows it, by hand where it does not; kombu takes ten connections from its pool.  ``window``:
1,000 of them by one greenlet, ours with ``publish_many``, others by hand.
``amqp-consume``: messages that wait are consumed with a prefetch of 100, and each is acked by itself.
``amqp-worker``: messages that wait go through a whole worker with 100 slots.
``amqp-wait``: the same with a callback that waits 50 ms, 200 at a time: 4 000 a second is all that there can be.
``slots``, with a prefetch of 200; ``ahead``, with one of 400 where that can be told (dramatiq takes twice as many as
it has slots by itself).
``kombu_green-unrecorded`` is ours without its flight recorder: the difference is what that costs.

Queues are durable and messages persistent.  ``probe`` is a client of the fewest lines that do it: the practical limit
of pure Python under gevent, and not a product.
"""

from __future__ import annotations

from benchmarks.contract import Case, Workload
from benchmarks.servers import rabbitmq

__all__ = ["AMQP"]

_LIBRARIES = ("kombu_green", "kombu", "kombu-gevent", "pika", "pika-gevent")
_WORKERS = ("kombu_green", "kombu_green-unrecorded", "celery-gevent", "dramatiq-gevent", "probe")

AMQP = (
    Workload(
        "amqp-publish",
        (
            Case(
                "RabbitMQ, publish unconfirmed",
                (*_LIBRARIES, "dramatiq-gevent", "celery-gevent", "probe"),
                messages=20_000,
                warm_up=500,
                seconds=4,
            ),
        ),
        rabbitmq,
    ),
    Workload(
        "amqp-confirm",
        (
            Case(
                "RabbitMQ, publish confirmed, one at a time",
                (*_LIBRARIES, "dramatiq-gevent", "celery-gevent", "probe"),
                messages=4_000,
                warm_up=200,
                seconds=4,
            ),
        ),
        rabbitmq,
    ),
    Workload(
        "amqp-confirm-many",
        (
            Case(
                "RabbitMQ, publish confirmed, 100 at a time",
                ("kombu_green", "kombu-gevent", "pika", "pika-gevent", "probe"),
                messages=20_000,
                name="greenlets",
                warm_up=500,
                seconds=4,
            ),
            Case(
                "RabbitMQ, publish confirmed, 1,000 at a time by one greenlet",
                ("kombu_green", "pika", "pika-gevent", "probe"),
                messages=20_000,
                name="window",
                warm_up=500,
                seconds=4,
            ),
        ),
        rabbitmq,
    ),
    Workload(
        "amqp-consume",
        (
            Case(
                "RabbitMQ, consume and ack each, prefetch 100",
                (*_LIBRARIES, "probe"),
                messages=20_000,
                warm_up=500,
                seconds=8,
            ),
        ),
        rabbitmq,
    ),
    Workload(
        "amqp-worker",
        (
            Case(
                "RabbitMQ, a whole worker with 100 slots",
                _WORKERS,
                messages=20_000,
                warm_up=500,
                seconds=10,
            ),
        ),
        rabbitmq,
    ),
    Workload(
        "amqp-wait",
        (
            Case(
                "RabbitMQ, callbacks that wait 50 ms, 200 at a time (ideal: 4,000/s)",
                ("kombu_green", "kombu_green-unrecorded", "kombu-gevent", "celery-gevent", "probe"),
                messages=12_000,
                name="slots",
                warm_up=200,  # the first wave begins at once, and its end is where counting is right
                seconds=10,
            ),
            Case(
                "RabbitMQ, callbacks that wait 50 ms, 200 at a time and 200 in advance",
                ("kombu_green", "dramatiq-gevent"),
                messages=12_000,
                name="ahead",
                warm_up=200,
                seconds=10,
            ),
        ),
        rabbitmq,
    ),
)
