"""The order in which messages are taken: by priority, then first in first out; a release restores the position."""

from __future__ import annotations

import time

import pytest

from kombu_green.declarations import QueueSpec
from kombu_green.storage.contract import Storage
from kombu_green.testing.storage.store_fixtures import LONG, SHORT, StorageTests, bodies, message, put, take, take_later

__all__ = ["MessageOrderTests"]


class MessageOrderTests(StorageTests):
    def test_first_in_first_out(self, store: Storage, other: Storage) -> None:
        store.put([message("q", str(i)) for i in range(5)])
        put(other, "q", "5", "6", "7")
        assert bodies(take(store, count=3)) == ["0", "1", "2"]
        assert bodies(take(other, count=2)) == ["3", "4"]
        assert bodies(take(store, count=9)) == ["5", "6", "7"]

    def test_the_higher_priority_is_taken_first(self, store: Storage) -> None:
        needs_priorities(store)
        for priority in (0, 5, 9, 1, 5):
            put(store, "q", f"{priority}", priority=priority)
        taken = take(store, count=4)
        assert bodies(taken) == ["9", "5", "5", "1"]
        assert [reserved.priority for reserved in taken] == [9, 5, 5, 1]
        put(store, "q", "3", priority=3)
        assert bodies(take(store, count=9)) == ["3", "0"]

    def test_a_priority_out_of_range_is_clipped(self, store: Storage) -> None:
        needs_priorities(store)
        for priority in (9, 200, 0, -3):
            put(store, "q", f"{priority}", priority=priority)
        taken = take(store, count=9)
        assert bodies(taken) == ["9", "200", "0", "-3"]
        assert [reserved.priority for reserved in taken] == [9, 9, 0, 0]

    def test_a_queue_may_have_fewer_priorities(self, store: Storage) -> None:
        needs_priorities(store)
        store.declare(QueueSpec("few", arguments={"x-max-priority": 3}))
        for priority in (2, 3, 9, 1):
            put(store, "few", f"{priority}", priority=priority)
        taken = take(store, "few", count=9)
        assert bodies(taken) == ["3", "9", "2", "1"]
        assert [reserved.priority for reserved in taken] == [3, 3, 2, 1]

    def test_a_released_message_is_the_next_of_its_priority(self, store: Storage) -> None:
        put(store, "q", "a", "b", "c", "d")
        a, b, c = take(store, count=3)
        assert not store.release([b.receipt])
        assert not store.release([c.receipt, a.receipt])
        again = take(store, count=9)
        assert bodies(again) == ["a", "b", "c", "d"]
        assert [reserved.takes for reserved in again] == [2, 2, 2, 1]

    def test_a_release_does_not_overtake_a_higher_priority(self, store: Storage) -> None:
        needs_priorities(store)
        put(store, "q", "low", priority=1)
        (low,) = take(store)
        put(store, "q", "high", priority=8)
        put(store, "q", "low too", priority=1)
        store.release([low.receipt])
        assert bodies(take(store, count=9)) == ["high", "low", "low too"]

    def test_a_message_whose_lease_ended_comes_before_later_ones(self, store: Storage) -> None:
        put(store, "q", "a", "b", "c")
        take(store, count=2, lease=SHORT)
        (c,) = take(store)
        assert bodies(take_later(store)) == ["a"]
        store.release([c.receipt])
        assert bodies(take(store, count=9)) == ["b", "c"]

    def test_each_queue_is_asked_for_its_own_number(self, store: Storage) -> None:
        store.declare(QueueSpec("r"))
        store.declare(QueueSpec("s"))
        for queue in ("q", "r", "s"):
            put(store, queue, *(f"{queue}{i}" for i in range(3)))
        taken = store.reserve({"q": 2, "s": 1, "r": 0}, lease=LONG)
        assert sorted(bodies(taken)) == ["q0", "q1", "s0"]
        assert all(body.startswith(reserved.receipt.queue) for body, reserved in zip(bodies(taken), taken, strict=True))
        assert store.reserve({}, lease=LONG) == []

    def test_asking_for_far_too_many_gives_what_is_there(self, store: Storage) -> None:
        store.put([message("q", str(i)) for i in range(30)])
        assert bodies(take(store, count=10**9)) == [str(i) for i in range(30)]

    def test_asking_many_queues_at_once(self, store: Storage) -> None:
        names = [f"many{i}" for i in range(60)]
        for name in names:
            store.declare(QueueSpec(name))
        store.put([message(name, name) for name in names[::2]])
        taken = store.reserve(dict.fromkeys(names, 3), lease=LONG)
        assert sorted(bodies(taken)) == sorted(names[::2])

    def test_a_delayed_message_cannot_be_taken_before_its_time(self, store: Storage) -> None:
        needs_delay(store)
        put(store, "q", "late", delay=LONG)
        put(store, "q", "now", delay=-5.0)
        assert bodies(take(store, count=9)) == ["now"]

    def test_a_delayed_message_can_be_taken_at_its_time(self, store: Storage, other: Storage) -> None:
        needs_delay(store)
        started = time.monotonic()
        put(store, "q", "later", delay=3 * SHORT)
        put(store, "q", "soon", delay=SHORT)
        assert bodies(take_later(other)) == ["soon"]
        assert time.monotonic() - started >= SHORT
        assert bodies(take_later(store)) == ["later"]
        assert time.monotonic() - started >= 3 * SHORT

    def test_a_release_may_be_delayed(self, store: Storage) -> None:
        needs_delay(store)
        put(store, "q", "a", "b")
        a, b = take(store, count=2)
        assert not store.release([a.receipt], delay=LONG)
        started = time.monotonic()
        assert not store.release([b.receipt], delay=SHORT)
        assert store.ack([a.receipt, b.receipt]) == [a.receipt, b.receipt]
        assert bodies(take_later(store, {"q": 9})) == ["b"]
        assert time.monotonic() - started >= SHORT


def needs_priorities(store: Storage) -> None:
    if not store.capabilities.priorities:
        pytest.skip("this store has no priorities")


def needs_delay(store: Storage) -> None:
    if not store.capabilities.delay:
        pytest.skip("this store cannot delay")
