"""What is particular to the memory store; what every store must do is in the contract."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from uuid import uuid4

import gevent
import pytest
from gevent.threadpool import ThreadPool

from kombu_green.declarations import QueueSpec
from kombu_green.message import Content
from kombu_green.storage import memory
from kombu_green.storage.contract import Put
from kombu_green.storage.memory import MemoryStore


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def name() -> Iterator[str]:
    name = str(uuid4())
    yield name
    memory.forget(name)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    store = MemoryStore(clock=clock)
    store.declare(QueueSpec("q"))
    return store


def put(store: MemoryStore, *bodies: str, delay: float = 0.0) -> None:
    store.put([Put("q", Content(body.encode()), delay=delay) for body in bodies])


def take(store: MemoryStore, count: int = 99, lease: float = 60.0) -> list[str]:
    return [reserved.content.body.decode() for reserved in store.reserve({"q": count}, lease=lease)]


def test_one_name_is_one_broker(name: str) -> None:
    broker = memory.broker(name)
    assert memory.broker(name) is broker
    assert memory.broker(f"{name} other") is not broker
    memory.forget(f"{name} other")


def test_closing_affects_no_other_user(name: str) -> None:
    one, two = memory.broker(name), memory.broker(name)
    one.declare(QueueSpec("q"))
    one.close()
    one.close()
    put(two, "a")
    assert take(memory.broker(name)) == ["a"]


def test_a_forgotten_broker_is_freed_with_its_last_user(name: str) -> None:
    broker = memory.broker(name)
    kept = weakref.ref(broker)
    memory.forget(name)
    memory.forget(name)
    assert memory.broker(name) is not broker
    del broker
    gc.collect()
    assert kept() is None


def test_delays_and_leases_end_when_the_clock_says_so(store: MemoryStore, clock: Clock) -> None:
    put(store, "delayed", delay=10)
    put(store, "leased")
    assert take(store, lease=20) == ["leased"]
    clock.now += 9.9
    assert take(store) == []
    clock.now += 0.1
    assert store.size("q") == 1
    assert take(store) == ["delayed"]
    clock.now += 9.9
    assert store.size("q") == 0
    clock.now += 0.1
    assert take(store) == ["leased"]


def test_the_shorter_of_two_leases_ends_first(store: MemoryStore, clock: Clock) -> None:
    put(store, "long", "short")
    assert take(store, 1, lease=100) == ["long"]
    assert take(store, 1, lease=5) == ["short"]
    clock.now += 5
    assert take(store, lease=1) == ["short"]
    clock.now += 95
    assert take(store) == ["long", "short"]


def test_thousands_of_leases_that_end_at_once_keep_their_order(store: MemoryStore, clock: Clock) -> None:
    bodies = [str(number) for number in range(3000)]
    put(store, *bodies)
    assert take(store, 1000, lease=5) == bodies[:1000]
    assert take(store, 500, lease=60) == bodies[1000:1500]
    clock.now += 5
    assert take(store, 9999) == bodies[:1000] + bodies[1500:]


def test_a_queue_that_was_dropped_leaves_nothing_behind(store: MemoryStore, clock: Clock) -> None:
    store.declare(QueueSpec("neighbour"))
    store.put([Put("neighbour", Content(b"n"), delay=5)])
    put(store, "late", delay=1)
    put(store, "leased", "ready")
    take(store, 1, lease=1)
    store.drop("q")
    store.declare(QueueSpec("q"))
    clock.now += 10
    assert take(store) == []
    assert store.size("neighbour") == 1


def test_dropping_a_queue_leaves_the_delays_of_the_others_as_they_were(store: MemoryStore, clock: Clock) -> None:
    store.declare(QueueSpec("neighbour"))
    for number in range(61):
        delay = float(number * 37 % 61 + 1)  # each once, in no order
        store.put([Put("neighbour", Content(b"n"), delay=delay)])
        put(store, "late", delay=delay / 2)
    store.drop("q")
    for due in range(1, 62):
        clock.now = 1000.0 + due
        assert store.size("neighbour") == due


def test_native_threads_share_a_broker(store: MemoryStore) -> None:
    pool = ThreadPool(8)
    try:
        jobs = [pool.spawn(put, store, *(f"{name}.{number}" for number in range(250))) for name in range(8)]
        for job in jobs:
            job.get()
        takes = [pool.spawn(take, store, 250) for _ in range(8)]
        taken = [body for job in takes for body in job.get() or ()]
    finally:
        pool.kill()
    assert sorted(taken) == sorted(f"{name}.{number}" for name in range(8) for number in range(250))


def test_no_operation_switches_greenlets(store: MemoryStore) -> None:
    """So no other greenlet sees a state that is changed half."""
    switches: list[int] = []
    other = gevent.spawn(switches.append, 1)
    wakeups = store.wakeups()
    wakeups.interrupt()
    put(store, "a", "b")
    first, second = store.reserve({"q": 2}, lease=1)
    store.extend([first.receipt], 5)
    store.release([first.receipt])
    store.ack([second.receipt])
    store.purge("q")
    assert switches == []
    other.join()
    assert switches == [1]
