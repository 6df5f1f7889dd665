"""Leases that are renewed while messages are held, and delivery tags, on a real store."""

from __future__ import annotations

import gc
import sqlite3
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import gevent
import pytest

from kombu_green.connection import Connection
from kombu_green.declarations import QueueSpec
from kombu_green.entity import Queue
from kombu_green.exceptions import MessageStateError
from kombu_green.message import Content, Message
from kombu_green.messaging import Producer
from kombu_green.storage.contract import Put
from kombu_green.storage.memory import MemoryStore
from kombu_green.storage.sqlalchemy import SQLAlchemyStore
from kombu_green.transport.virtual.prefetch import VirtualConsumer
from kombu_green.transport.virtual.unacked import LeaseKeeper, Unacked

LEASE = 0.15
PATIENCE = 10.0


@pytest.fixture
def url() -> str:
    return f"memory://{uuid.uuid4().hex}"


def connect(url: str) -> Connection:
    return Connection(url, transport_options={"lease": LEASE})


def take(connection: Connection, **declaration: Any) -> Message:
    queue = Queue("q", **declaration)(connection.channel())
    queue.declare()
    Producer(connection.channel()).publish("x", routing_key="q")
    message = queue.get()
    assert message is not None
    return message


def test_the_lease_of_a_held_message_does_not_end(url: str) -> None:
    with connect(url) as holder, connect(url) as other:
        message = take(holder)
        gevent.sleep(3 * LEASE)  # what is tested is that time passes
        assert Queue("q")(other.channel()).get() is None
        message.ack()


def test_a_renewal_that_failed_is_tried_again_soon(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Not after the next third of a lease, when some of the leases may have ended."""
    path, lease = tmp_path / "broker.db", 15.0
    with closing(SQLAlchemyStore(f"sqlite:///{path}", answer_timeout=0.1)) as store:
        store.declare(QueueSpec("q"))
        store.put([Put("q", Content(b"x"))])
        (taken,) = store.reserve({"q": 1}, lease=lease)
        keeper = LeaseKeeper(store, lease)
        keeper.hold(taken.receipt, lambda: None)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            wait_until(lambda: "could not renew 1 leases" in caplog.text)
            other.execute("ROLLBACK")
            failed = time.monotonic()
            (before,) = other.execute("SELECT ends FROM kombu_green_message").fetchone()
            wait_until(lambda: other.execute("SELECT ends FROM kombu_green_message").fetchone()[0] > before)
        assert time.monotonic() - failed < lease / 3 - 1
        keeper.close()


def wait_until(condition: Callable[[], bool]) -> None:
    with gevent.Timeout(PATIENCE):
        while not condition():
            gevent.sleep(0.01)


def test_a_message_whose_lease_was_lost_cannot_be_settled(url: str) -> None:
    with connect(url) as holder, connect(url) as other:
        message = take(holder)
        holder.connect().store_connection.leases.close()  # type: ignore[attr-defined]  # as if this process had been stopped for a while
        again = eventually(other)
        assert again.delivery_info["redelivered"]
        with pytest.raises(MessageStateError, match="lease"):
            message.ack()
        again.ack()


def test_a_message_whose_lease_was_lost_is_not_dead_lettered(url: str) -> None:
    with connect(url) as holder, connect(url) as other:
        dead = Queue("dead")(other.channel())
        dead.declare()
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
        message = take(holder, queue_arguments=arguments)
        other.connect().store_connection.store.drop("q")  # type: ignore[attr-defined]
        holder.connect().store_connection.leases.renew()  # type: ignore[attr-defined]  # learns that it is not held any more
        with pytest.raises(MessageStateError):
            message.reject()
        assert dead.get() is None


def test_a_connection_that_was_dropped_without_closing_keeps_no_lease(url: str) -> None:
    with connect(url) as other:
        take(connect(url))
        gc.collect()
        assert eventually(other).payload == "x"


def eventually(connection: Connection) -> Message:
    queue = Queue("q")(connection.channel())
    with gevent.Timeout(PATIENCE):
        while (message := queue.get()) is None:
            gevent.sleep(0.01)
    return message


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.declare(QueueSpec("q"))
    store.put([Put("q", Content(b"%d" % number)) for number in range(4)])
    return store


def unacked_of(store: MemoryStore, consumer: VirtualConsumer | None, freed: list[int]) -> Unacked:
    """Four deliveries, with the tags 1 to 4."""
    unacked = Unacked(LeaseKeeper(store, 60.0), lambda: freed.append(len(unacked)))
    tags = [unacked.add(reserved, consumer) for reserved in store.reserve({"q": 4}, lease=60)]
    assert tags == [1, 2, 3, 4]
    return unacked


def test_a_tag_stands_for_one_delivery_or_for_all_up_to_it(store: MemoryStore) -> None:
    unacked = unacked_of(store, None, [])
    assert [delivery.reserved.content.body for delivery in unacked.take(2)] == [b"1"]
    with pytest.raises(MessageStateError, match="delivery 2"):
        unacked.take(2)
    assert [delivery.reserved.content.body for delivery in unacked.take(3, multiple=True)] == [b"0", b"2"]
    assert [delivery.reserved.content.body for delivery in unacked.take(0, multiple=True)] == [b"3"]
    assert len(unacked) == 0


def test_settling_returns_how_many_leases_were_lost(store: MemoryStore) -> None:
    unacked = unacked_of(store, None, [])
    taken = unacked.take(0, multiple=True)
    taken[0].lose()
    store.ack([taken[1].reserved.receipt])
    assert unacked.settle(taken, store.ack) == 2


def test_a_consumer_that_was_full_is_woken_once(store: MemoryStore) -> None:
    freed: list[int] = []
    consumer = VirtualConsumer("c", "q", lambda message: None, prefetch=4)
    unacked = unacked_of(store, consumer, freed)
    assert (consumer.held, consumer.free) == (4, 0)
    unacked.settle(unacked.take(2, multiple=True), store.ack)
    assert (consumer.held, consumer.free) == (2, 2)
    assert freed == [2]
