"""Two hundred lost connections leak no memory, greenlets or descriptors."""

from __future__ import annotations

import gc
import os
import uuid
from pathlib import Path

import gevent
import pytest

from kombu_green.connection import Connection
from kombu_green.exceptions import ConnectionLost, MessageStateError
from kombu_green.message import Message
from kombu_green.messaging import Consumer, Producer, Queue
from kombu_green.testing import FaultProxy
from kombu_green.testing.transport.channel_fixtures import drain_until
from tests.support.rabbitmq import RabbitMQ

ROUNDS = 200
WARM_UP = 40


def resident() -> int:
    """Kilobytes of memory in use."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise AssertionError


def census() -> tuple[int, int]:
    """Greenlets that have not ended, and open descriptors."""
    gc.collect()
    alive = sum(isinstance(thing, gevent.Greenlet) and not thing.ready() for thing in gc.get_objects())
    return alive, len(os.listdir("/proc/self/fd"))


@pytest.mark.timeout(90)
def test_reconnects_leak_no_memory_greenlets_or_descriptors(rabbitmq: RabbitMQ) -> None:
    name = f"reconnects-{uuid.uuid4().hex}"
    with FaultProxy("127.0.0.1", rabbitmq.port) as proxy:
        url = rabbitmq.url.replace(str(rabbitmq.port), str(proxy.port))
        connection = Connection(url)
        before = (0, 0), 0
        for number in range(ROUNDS):
            if number == WARM_UP:
                before = census(), resident()
            _use_and_lose(connection, proxy, name)
        assert census() == before[0]
        assert resident() <= before[1] * 1.1
        connection.close()
        assert proxy.taken == ROUNDS + 1


def _use_and_lose(connection: Connection, proxy: FaultProxy, name: str) -> None:
    got: list[Message] = []
    consumer = Consumer(connection.channel(), Queue(name), on_message=got.append)
    consumer.consume()
    Producer(connection.channel()).publish({"n": 1}, routing_key=name)
    drain_until(connection, lambda: bool(got))
    got[0].ack()
    Producer(connection.channel()).publish({"n": 2}, routing_key=name)
    drain_until(connection, lambda: len(got) > 1)
    proxy.cut()
    with pytest.raises(ConnectionLost):
        drain_until(connection, lambda: False)
    with pytest.raises(MessageStateError, match="broker's again"):
        got[1].ack()
    with connection.SimpleQueue(name) as queue:
        queue.clear()
