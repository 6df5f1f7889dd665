"""pika under gevent: its blocking connection after patching, and its connection for gevent for what is done by hand."""

from __future__ import annotations

from pika.adapters.gevent_connection import GeventConnection

from benchmarks.peers import pika
from benchmarks.round import Measure

MEASURES: dict[str, Measure] = {
    **pika.MEASURES,
    "amqp-confirm-many/greenlets": pika.many_confirmed(GeventConnection, 100),
    "amqp-confirm-many/window": pika.many_confirmed(GeventConnection, 1_000),
}
