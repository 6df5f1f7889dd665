"""Waiting for work: what comes before, between and during waits is not missed; no wait returns for nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial

import gevent
import pytest

from kombu_green.clock import Deadline
from kombu_green.declarations import QueueSpec
from kombu_green.storage.contract import Storage, Wakeups
from kombu_green.testing.storage.store_fixtures import LONG, PATIENCE, SHORT, StorageTests, bodies, put, take

__all__ = ["WakeupTests"]


class WakeupTests(StorageTests):
    @pytest.fixture
    def wakeups(self, store: Storage) -> Iterator[Wakeups]:
        with closing(store.wakeups()) as wakeups:
            yield wakeups

    def test_a_put_before_the_wait_is_not_missed(self, store: Storage, other: Storage, wakeups: Wakeups) -> None:
        for handle in store, other, store:
            assert take(store) == []
            put(handle, "q", "a")
            assert wakes(wakeups)
            store.ack([reserved.receipt for reserved in take(store)])

    def test_an_interrupt_before_the_wait_is_not_missed(self, store: Storage, wakeups: Wakeups) -> None:
        for _ in range(3):
            wakeups.interrupt()
            wakeups.interrupt()
            assert wakes(wakeups)

    @pytest.mark.parametrize("who", ["same handle", "other handle"])
    def test_a_put_ends_the_wait(self, store: Storage, other: Storage, wakeups: Wakeups, who: str) -> None:
        handle = store if who == "same handle" else other
        assert wakes(wakeups, lambda: put(handle, "q", "a"))
        assert bodies(take(store)) == ["a"]

    def test_an_interrupt_ends_the_wait(self, store: Storage, wakeups: Wakeups) -> None:
        assert wakes(wakeups, wakeups.interrupt)
        assert wakes(wakeups, wakeups.interrupt)

    @pytest.mark.parametrize("who", ["same handle", "other handle"])
    def test_a_release_ends_the_wait(self, store: Storage, other: Storage, wakeups: Wakeups, who: str) -> None:
        handle = store if who == "same handle" else other
        put(store, "q", "a")
        (a,) = take(handle)
        assert wakes(wakeups, lambda: handle.release([a.receipt]))

    def test_each_of_several_queues_ends_the_wait(self, store: Storage, other: Storage, wakeups: Wakeups) -> None:
        store.declare(QueueSpec("r"))
        for handle in store, other:
            for queue in ("r", "q"):
                assert wakes(wakeups, partial(put, handle, queue, "a"), ["q", "r"])
                store.ack([reserved.receipt for reserved in store.reserve({"q": 1, "r": 1}, lease=LONG)])

    def test_every_waiting_consumer_is_woken(self, store: Storage) -> None:
        def consume() -> list[str]:
            with closing(store.wakeups()) as own:
                deadline = Deadline.after(PATIENCE)
                while not (taken := take(store)) and not deadline.expired:
                    own.wait(["q"], deadline)
                return bodies(taken)

        consumers = [gevent.spawn(consume) for _ in range(5)]
        gevent.idle()
        put(store, "q", *"abcde")
        gevent.joinall(consumers, timeout=PATIENCE, raise_error=True)
        assert sorted(body for consumer in consumers for body in consumer.get()) == list("abcde")

    def test_the_end_of_a_lease_ends_the_wait(self, store: Storage, other: Storage, wakeups: Wakeups) -> None:
        put(store, "q", "a")
        take(other, lease=SHORT)
        assert wakes(wakeups)

    def test_the_end_of_a_delay_ends_the_wait(self, store: Storage, other: Storage, wakeups: Wakeups) -> None:
        if not store.capabilities.delay:
            pytest.skip("this store cannot delay")
        put(other, "q", "a", delay=SHORT)
        assert wakes(wakeups)

    def test_without_work_a_wait_lasts_until_the_deadline(self, store: Storage, wakeups: Wakeups) -> None:
        store.declare(QueueSpec("r"))
        put(store, "r", "not asked for")
        put(store, "r", "late", delay=LONG)
        put(store, "q", "leased")
        take(store)
        started = time.monotonic()
        deadline = Deadline.after(3 * SHORT)
        waits = 0
        while not deadline.expired:
            wakeups.wait(["q"], deadline)
            waits += 1
        assert time.monotonic() - started < PATIENCE
        assert waits <= 20, "it returned without a reason"

    def test_a_wait_returns_at_once_when_its_deadline_has_passed(self, wakeups: Wakeups) -> None:
        wakeups.wait(["q"], Deadline.after(0))
        wakeups.wait(["q"], Deadline.after(-1))

    @pytest.mark.parametrize("who", ["same handle", "other handle"])
    def test_a_dropped_queue_ends_the_wait(self, store: Storage, other: Storage, wakeups: Wakeups, who: str) -> None:
        """So that its consumer gets the error, instead of waiting for ever."""
        handle = store if who == "same handle" else other
        store.declare(QueueSpec("r"))
        assert wakes(wakeups, partial(handle.drop, "q"), ["q", "r"])
        assert wakes(wakeups, None, ["q", "r"])

    def test_waiting_for_no_queue_ends_by_an_interrupt(self, wakeups: Wakeups) -> None:
        wakeups.wait([], Deadline.after(SHORT))
        assert wakes(wakeups, wakeups.interrupt, [])

    def test_a_killed_wait_can_be_repeated(self, store: Storage, wakeups: Wakeups) -> None:
        waiting = gevent.spawn(wakeups.wait, ["q"], Deadline.after(PATIENCE))
        gevent.sleep(SHORT)
        waiting.kill(timeout=PATIENCE)
        assert waiting.dead
        assert wakes(wakeups, lambda: put(store, "q", "a"))


def wakes(wakeups: Wakeups, act: Callable[[], object] | None = None, queues: Sequence[str] = ("q",)) -> bool:
    """Whether the wait ends long before its deadline, when *act* is done meanwhile."""
    deadline = Deadline.after(PATIENCE)
    waiting = gevent.spawn(wakeups.wait, queues, deadline)
    if act is not None:
        gevent.sleep(SHORT / 5)  # most likely it waits by now; if not, it must not miss it either
        act()
    waiting.get(timeout=PATIENCE + 10)
    left = deadline.remaining()
    return left is not None and left > PATIENCE / 2
