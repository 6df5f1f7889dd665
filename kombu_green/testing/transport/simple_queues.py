"""Simple queues and buffers."""

from __future__ import annotations

from collections.abc import Callable

import gevent
import pytest

from kombu_green.connection import Connection
from kombu_green.entity import Queue
from kombu_green.simple import Empty
from kombu_green.testing.transport.channel_fixtures import (
    PATIENCE,
    TransportTests,
    declared,
    taken,
)

__all__ = ["SimpleQueueTests"]


class SimpleQueueTests(TransportTests):
    def test_simple_queue(self, connection: Connection, name: str) -> None:
        with connection.SimpleQueue(name) as queue:
            with pytest.raises(Empty):
                queue.get_nowait()
            with pytest.raises(Empty):
                queue.get(timeout=0.05)
            for number in range(3):
                queue.put({"n": number})
            assert len(queue) == 3
            messages = [queue.get(timeout=PATIENCE) for _ in range(3)]
            assert [message.payload["n"] for message in messages] == [0, 1, 2]
            for message in messages:
                message.ack()
            waiting = gevent.spawn(queue.get, timeout=PATIENCE)
            gevent.idle()
            queue.put("last")
            assert waiting.get(timeout=PATIENCE).payload == "last"

    def test_a_simple_queue_takes_nothing_while_no_one_gets(
        self, connection: Connection, connect: Callable[[], Connection], name: str
    ) -> None:
        queue = connection.SimpleQueue(name)
        waiting = gevent.spawn(queue.get, timeout=PATIENCE)
        gevent.idle()
        with connect() as other:
            for number in range(3):
                other.SimpleQueue(name).put(number)
            waiting.get(timeout=PATIENCE).ack()
            with pytest.raises(TimeoutError):  # it takes nothing unless a greenlet waits in get
                connection.drain_events(timeout=0.05)
            assert [message.payload for message in taken(declared(Queue(name, name, name), other.channel()))] == [1, 2]

    def test_simple_buffer(self, connection: Connection, name: str) -> None:
        buffer = connection.SimpleBuffer(name)
        buffer.put(1)
        assert buffer.get(timeout=PATIENCE).payload == 1
        buffer.put(2)
        assert buffer.clear() == 1
        buffer.close()
