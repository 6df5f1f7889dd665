from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from kombu_green import pools
from kombu_green.connection import Connection
from kombu_green.entity import Queue
from kombu_green.exceptions import LimitExceeded


@pytest.fixture
def connection() -> Iterator[Connection]:
    with Connection(f"memory://{uuid.uuid4().hex}") as made:
        yield made
    pools.reset()


def test_equal_connections_share_a_pool(connection: Connection) -> None:
    assert pools.connections[connection] is pools.connections[connection.clone()]
    assert pools.connections[connection] is not pools.connections[Connection("memory://another")]


def test_a_producer_publishes_and_goes_back(connection: Connection) -> None:
    queue = Queue("q")(connection.channel())
    queue.declare()
    for number in range(3):
        with pools.producers[connection].acquire(block=True, timeout=5) as producer:
            producer.publish(number, routing_key="q")
    assert [message.payload for _ in range(3) if (message := queue.get())] == [0, 1, 2]
    assert pools.producers[connection].idle == 1


def test_the_limit_counts_for_all_pools(connection: Connection) -> None:
    pools.producers[connection]
    assert pools.set_limit(1) == pools.get_limit() == 1
    with pools.producers[connection].acquire(), pytest.raises(LimitExceeded):
        pools.producers[connection].acquire(block=True, timeout=0.01)


def test_reset_begins_anew(connection: Connection) -> None:
    before = pools.connections[connection]
    pools.set_limit(3)
    pools.reset()
    assert pools.get_limit() == pools.DEFAULT_LIMIT
    assert before.closed
    assert pools.connections[connection] is not before
