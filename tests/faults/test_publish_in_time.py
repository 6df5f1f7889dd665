"""``publish(timeout=…)`` ends within its timeout, including connecting and declaring."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import gevent
import pytest

from kombu_green.connection import Connection
from kombu_green.entity import Queue
from kombu_green.messaging import Producer
from kombu_green.testing import FaultProxy, Way
from tests.support.rabbitmq import RabbitMQ

TIMEOUT = 0.5
SLACK = 1.5
#: what has to be read or written before the message can be
STEPS = {
    "connecting": (Way.DOWN, b"\x00\x0a\x00\x0a"),
    "opening a channel": (Way.DOWN, b"\x00\x14\x00\x0b"),
    "declaring": (Way.DOWN, b"\x00\x32\x00\x0b"),
}


@contextmanager
def in_time() -> Iterator[None]:
    began = monotonic()
    yield
    assert monotonic() - began < TIMEOUT + SLACK


@pytest.mark.parametrize("step", STEPS)
def test_the_timeout_includes_connecting_and_declaring(rabbitmq: RabbitMQ, step: str) -> None:
    way, marker = STEPS[step]
    queue = Queue(f"in-time-{uuid.uuid4().hex}", expires=60)
    with FaultProxy("127.0.0.1", rabbitmq.port) as proxy:
        proxy.at(marker, proxy.black_hole, way)
        url = rabbitmq.url.replace(str(rabbitmq.port), str(proxy.port))
        with Connection(url, connect_timeout=30) as connection:
            producer = Producer(connection, routing_key=queue.name, serializer="json")
            with in_time(), pytest.raises(TimeoutError):
                producer.publish({}, declare=[queue], timeout=TIMEOUT)
            proxy.heal()


def test_the_timeout_includes_waiting_for_another_greenlet_to_connect(rabbitmq: RabbitMQ) -> None:
    with FaultProxy("127.0.0.1", rabbitmq.port) as proxy:
        proxy.black_hole()
        url = rabbitmq.url.replace(str(rabbitmq.port), str(proxy.port))
        with Connection(url, connect_timeout=30) as connection:
            other = gevent.spawn(connection.connect)
            gevent.sleep(0)
            with in_time(), pytest.raises(TimeoutError):
                Producer(connection).publish({}, routing_key="anywhere", timeout=TIMEOUT)
            other.kill()
