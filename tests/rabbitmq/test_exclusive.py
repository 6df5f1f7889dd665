"""Many exclusive consumers of one RabbitMQ queue: one consumes, the others wait, and none fails."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import gevent
import pytest

from kombu_green.clock import Deadline
from kombu_green.connection import Connection
from kombu_green.entity import Queue
from kombu_green.message import Message
from kombu_green.worker.consumer import QueueConsumer
from kombu_green.worker.slots import Slots
from tests.support.rabbitmq import RabbitMQ

CONSUMERS = 8
PATIENCE = 20.0


class Crowd:
    def __init__(self, connections: list[Connection], queue: str) -> None:
        self.failures: list[BaseException] = []
        self.moves = 0  # how often one has found its place, or found it taken
        self.members = [self._member(connection, queue) for connection in connections]

    def _member(self, connection: Connection, queue: str) -> QueueConsumer:
        slots = Slots(queue, 1, Message.ack, self.failures.append)
        return QueueConsumer(
            Queue(queue), connection, slots, self.failures.append, self._moved, prefetch=1, exclusive=True
        )

    def _moved(self) -> None:
        self.moves += 1

    def settled(self) -> list[QueueConsumer]:
        """Wait until each that runs has its place or waits for it; who has it."""
        with gevent.Timeout(PATIENCE):
            while True:
                running = [one for one in self.members if one.running]
                holders = [one for one in running if one.ready.is_set()]
                if holders and all(one.stands_by for one in running if one not in holders):
                    return holders
                gevent.sleep(0.01)


@pytest.fixture
def crowd(rabbitmq: RabbitMQ) -> Iterator[Crowd]:
    name = f"exclusive-{uuid.uuid4().hex[:8]}"
    with ExitStack() as stack:
        connections = [stack.enter_context(Connection(rabbitmq.url)) for _ in range(CONSUMERS)]
        for connection in connections:
            connection.ensure_connection()
        made = Crowd(connections, name)
        yield made
        for member in made.members:
            member.stop(Deadline.after(5))
        Queue(name)(connections[0].channel()).delete()


def test_exclusive_consumers_take_turns(crowd: Crowd) -> None:
    for member in crowd.members:
        member.start()
    for left in range(CONSUMERS, 1, -1):
        (holder,) = crowd.settled()
        assert len([one for one in crowd.members if one.running]) == left
        holder.stop(Deadline.after(5))
        assert not crowd.failures
    assert len(crowd.settled()) == 1
    assert crowd.moves >= 2 * CONSUMERS - 1  # all but the first have waited, and each had it in the end
