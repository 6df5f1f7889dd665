"""Many greenlets at once, on one handle and on two: every message once, and a killed caller affects no other."""

from __future__ import annotations

from collections import Counter
from contextlib import closing

import gevent

from kombu_green.clock import Deadline
from kombu_green.declarations import QueueSpec
from kombu_green.exceptions import NotFound
from kombu_green.storage.contract import Storage
from kombu_green.testing.storage.store_fixtures import LONG, PATIENCE, StorageTests, bodies, message, put, take

__all__ = ["ConcurrentCallTests"]

MESSAGES = 200


class ConcurrentCallTests(StorageTests):
    def test_every_message_is_taken_once(self, store: Storage, other: Storage) -> None:
        seen: Counter[str] = Counter()

        def publish(handle: Storage, first: int) -> None:
            for number in range(first, MESSAGES, 10):
                put(handle, "q", str(number))

        def consume(handle: Storage) -> None:
            deadline = Deadline.after(PATIENCE)
            with closing(handle.wakeups()) as wakeups:
                while seen.total() < MESSAGES and not deadline.expired:
                    taken = take(handle, count=3)
                    seen.update(bodies(taken))
                    assert not handle.ack([reserved.receipt for reserved in taken])
                    if not taken:
                        wakeups.wait(["q"], deadline.sooner(0.05))

        publishers = [gevent.spawn(publish, (store, other)[n % 2], n) for n in range(10)]
        consumers = [gevent.spawn(consume, (store, other)[n % 2]) for n in range(10)]
        gevent.joinall(publishers, timeout=PATIENCE, raise_error=True)
        gevent.joinall(consumers, timeout=PATIENCE, raise_error=True)
        assert seen == Counter(str(number) for number in range(MESSAGES))
        assert store.size("q") == 0

    def test_each_caller_gets_its_own_error(self, store: Storage) -> None:
        def publish(number: int) -> bool:
            try:
                put(store, "q" if number % 4 else "nowhere", str(number))
            except NotFound:
                return False
            return True

        callers = [gevent.spawn(publish, number) for number in range(40)]
        gevent.joinall(callers, timeout=PATIENCE, raise_error=True)
        assert [caller.value for caller in callers] == [number % 4 != 0 for number in range(40)]
        assert sorted(bodies(take(store, count=99))) == sorted(str(n) for n in range(40) if n % 4)

    def test_different_verbs_at_once(self, store: Storage) -> None:
        put(store, "q", *(str(i) for i in range(20)))
        taken = take(store, count=15)

        def act(at: int) -> object:
            if at >= len(taken):
                return store.declare(QueueSpec(f"new{at - len(taken)}")) and store.size("q") < 0
            receipt = taken[at].receipt
            return (store.ack, store.release, lambda receipts: store.extend(receipts, LONG))[at % 3]([receipt])

        callers = [gevent.spawn(act, at) for at in range(20)]
        gevent.joinall(callers, timeout=PATIENCE, raise_error=True)
        assert not any(caller.value for caller in callers)
        assert store.size("q") == 5 + 5
        assert all(store.describe(f"new{n}") is not None for n in range(5))

    def test_a_killed_caller_affects_no_other(self, store: Storage) -> None:
        callers = [gevent.spawn(store.put, [message("q", str(number))]) for number in range(40)]
        gevent.sleep(0)
        for caller in callers[::2]:
            caller.kill(block=False)
        gevent.joinall(callers, timeout=PATIENCE)
        assert all(caller.dead for caller in callers)
        assert all(caller.successful() for caller in callers)  # a kill is no error
        found = Counter(bodies(take(store, count=99)))
        assert set(found.values()) <= {1}
        assert {str(number) for number in range(40) if number % 2} <= set(found)
        put(store, "q", "after")
        assert bodies(take(store)) == ["after"]

    def test_killed_takers_lose_nothing(self, store: Storage) -> None:
        """What a killed taker had taken comes back when its lease ends."""
        put(store, "q", *(str(i) for i in range(30)))
        takers = [gevent.spawn(take, store, "q", 1, 1.0) for _ in range(30)]
        gevent.sleep(0)
        for taker in takers[::2]:
            taker.kill(block=False)
        gevent.joinall(takers, timeout=PATIENCE)
        seen: set[str] = set()
        deadline = Deadline.after(PATIENCE)
        with closing(store.wakeups()) as wakeups:
            while len(seen) < 30 and not deadline.expired:
                seen.update(bodies(take(store, count=30)))
                wakeups.wait(["q"], deadline.sooner(0.1))
        assert len(seen) == 30
