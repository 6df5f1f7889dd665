from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from kombu_green.declarations import ExchangeSpec, QueueSpec
from kombu_green.exceptions import NotFound, UnsupportedOption
from kombu_green.message import Content
from kombu_green.routing import Binding
from kombu_green.storage.contract import Put, Reserved
from kombu_green.storage.memory import MemoryStore
from kombu_green.transport.virtual.death_headers import REJECTED
from kombu_green.transport.virtual.store_connection import StoreConnection


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def connection(store: MemoryStore) -> Iterator[StoreConnection]:
    with closing(StoreConnection(store, 60.0)) as connection:
        yield connection


def take(store: MemoryStore, queue: str) -> list[Reserved]:
    return store.reserve({queue: 9}, lease=60)


def routed(connection: StoreConnection, exchange: str, routing_key: str) -> list[str]:
    return [spec.name for spec in connection.route(exchange, routing_key, {})]


def test_the_nameless_exchange_routes_to_the_queue_of_that_name(connection: StoreConnection) -> None:
    assert routed(connection, "", "q") == []
    connection.declare_queue(QueueSpec("q"))
    assert routed(connection, "", "q") == ["q"]


def test_a_changed_binding_is_used_by_the_next_route(connection: StoreConnection, store: MemoryStore) -> None:
    connection.declare_queue(QueueSpec("q"))
    with pytest.raises(NotFound, match="'e'"):
        connection.route("e", "k", {})
    store.rebind(ExchangeSpec("e"), add=[Binding("q", "k")])
    assert routed(connection, "e", "k") == ["q"]
    store.rebind(ExchangeSpec("e"), remove=[Binding("q", "k")])
    assert routed(connection, "e", "k") == []


def test_a_dropped_queue_is_forgotten_at_once(connection: StoreConnection) -> None:
    connection.declare_queue(QueueSpec("q"))
    assert connection.queue("q") == QueueSpec("q")
    connection.drop_queue("q")
    assert connection.queue("q") is None


def test_unsupported_arguments_are_refused_before_the_store_is_asked(
    connection: StoreConnection, store: MemoryStore
) -> None:
    with pytest.raises(UnsupportedOption):
        connection.declare_queue(QueueSpec("q", arguments={"x-expires": 1}))
    assert store.describe("q") is None


def test_only_its_exclusive_queues_are_dropped(connection: StoreConnection, store: MemoryStore) -> None:
    connection.declare_queue(QueueSpec("mine", exclusive=True))
    connection.declare_queue(QueueSpec("everyones"))
    connection.drop_exclusive_queues()
    assert store.describe("mine") is None
    assert store.describe("everyones") is not None


def test_a_dead_letter_is_moved_with_its_reason(connection: StoreConnection, store: MemoryStore) -> None:
    connection.declare_queue(QueueSpec("dead"))
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    connection.declare_queue(QueueSpec("q", arguments=arguments))
    store.put([Put("q", Content(b"x", properties={"expiration": "1"}))])
    (taken,) = take(store, "q")
    connection.dead_letter(taken, REJECTED)
    (dead,) = take(store, "dead")
    assert dead.content.body == b"x"
    assert dead.content.headers["x-death"][0]["reason"] == REJECTED
    assert "expiration" not in dead.content.properties
    assert store.ack([taken.receipt]) == [taken.receipt]


@pytest.mark.parametrize("arguments", [{}, {"x-dead-letter-exchange": "nowhere"}])
def test_without_a_dead_letter_exchange_the_message_is_deleted(
    connection: StoreConnection, store: MemoryStore, arguments: dict[str, str]
) -> None:
    connection.declare_queue(QueueSpec("q", arguments=arguments))
    store.put([Put("q", Content(b"x"))])
    (taken,) = take(store, "q")
    connection.dead_letter(taken, REJECTED)
    assert store.ack([taken.receipt]) == [taken.receipt]
