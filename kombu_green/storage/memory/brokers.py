"""The memory store, and the stores of this process by their names.

No operation switches greenlets, and each holds a native lock while it runs, so native threads may share a store.
Headers and properties are copied on the way in and out, so a publisher and a consumer share nothing mutable.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from heapq import heapify, heappop, heappush
from typing import Any, Final

from gevent.monkey import get_original

from kombu_green.capabilities import Capabilities
from kombu_green.declarations import ExchangeSpec, QueueSpec
from kombu_green.exceptions import NotFound
from kombu_green.routing import Binding
from kombu_green.storage.contract import ExchangeBindings, Put, QueueInfo, Receipt, Reserved
from kombu_green.storage.declaration_rules import clip_priority, require_same_queue
from kombu_green.storage.memory.exchanges import MemoryExchanges
from kombu_green.storage.memory.queues import MemoryQueue, StoredMessage, return_to_queues
from kombu_green.storage.wakeups import QueueListeners, StoreWakeups

__all__ = ["MemoryStore", "broker", "forget"]

_new_lock: Callable[[], AbstractContextManager[Any]] = get_original("_thread", "allocate_lock")
_NEVER = float("inf")

# Global on purpose: connections of one process that say the same name share a store.
_brokers: dict[str, MemoryStore] = {}
_brokers_lock = _new_lock()


def broker(name: str = "") -> MemoryStore:
    """The store of that name in this process, created when it is first asked for."""
    with _brokers_lock:
        found = _brokers.get(name)
        if found is None:
            found = _brokers[name] = MemoryStore()
        return found


def forget(name: str = "") -> None:
    """The next :func:`broker` of that name creates a new, empty store; who holds the old one keeps it."""
    with _brokers_lock:
        _brokers.pop(name, None)


class MemoryStore:
    """A store that lives as long as it is referred to.  *clock* returns seconds and must be monotonic."""

    capabilities: Final = Capabilities(
        durable=False,
        shared=False,
        priorities=True,
        delay=True,
        ttl=True,
        fifo=True,
        wakeup="at once; what was delayed or leased: at its due time",
        leases="by the monotonic clock, as delays; expiry: by the wall clock",
        exclusive="nobody: every connection of this process to that name can use it",
        confirms_acks=True,
    )

    connected: Final = True  # it cannot get out of reach

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = _new_lock()
        self._queues: dict[str, MemoryQueue] = {}
        self._exchanges = MemoryExchanges()
        self._leased: dict[bytes, StoredMessage] = {}  # by the token of the take
        self._lease_end = _NEVER  # no lease ends before; computed exactly only when it is reached
        self._delayed: list[tuple[float, int, StoredMessage]] = []  # a heap by due time
        self._listeners = QueueListeners()
        self._ids = itertools.count(1)
        self._takes = itertools.count(1)

    def declare(self, queue: QueueSpec) -> QueueInfo:
        with self._lock:
            existing = self._queues.get(queue.name)
            if existing is None:
                existing = self._queues[queue.name] = MemoryQueue(queue)
            else:
                require_same_queue(existing.spec, queue)
            return QueueInfo(existing.spec, self._count_ready(existing))

    def describe(self, queue: str) -> QueueInfo | None:
        with self._lock:
            existing = self._queues.get(queue)
            return None if existing is None else QueueInfo(existing.spec, self._count_ready(existing))

    def size(self, queue: str) -> int:
        with self._lock:
            return self._count_ready(self._queue(queue))

    def purge(self, queue: str) -> int:
        with self._lock:
            existing = self._queue(queue)
            count = self._count_ready(existing)
            existing.ready.clear()
            return count

    def drop(self, queue: str) -> None:
        with self._lock:
            existing = self._queues.pop(queue, None)
            if existing is None:
                return
            self._leased = {token: message for token, message in self._leased.items() if message.queue is not existing}
            self._delayed = [item for item in self._delayed if item[2].queue is not existing]
            heapify(self._delayed)
            self._exchanges.unbind_queue(queue)
        self._listeners.wake([queue])

    def put(self, items: Sequence[Put]) -> None:
        messages = [StoredMessage(item) for item in items]
        with self._lock:
            for message, item in zip(messages, items, strict=True):  # so that nothing is put if a queue is missing
                message.queue = queue = self._queue(item.queue)
                message.priority = clip_priority(item.priority, queue.max_priority)
            for message in messages:
                message.id = next(self._ids)
                if message.due > 0:
                    self._delay(message, self._clock() + message.due)
                else:
                    message.queue.ready.append(message)
        if not self._listeners.empty:
            self._listeners.wake([item.queue for item in items])

    def reserve(self, wants: Mapping[str, int], *, lease: float) -> list[Reserved]:
        taken: list[Reserved] = []
        with self._lock:
            now = self._clock()
            self._promote(now)
            end = now + lease
            for queue, count in [(self._queue(name), count) for name, count in wants.items()]:
                ready = queue.ready
                for _ in range(min(count, ready.count)):
                    message = ready.pop()
                    message.token = token = b"%d" % next(self._takes)
                    message.due = end
                    self._leased[token] = message
                    taken.append(message.reserved())
            if taken and end < self._lease_end:
                self._lease_end = end
        return taken

    def ack(self, receipts: Sequence[Receipt]) -> Sequence[Receipt]:
        leased = self._leased
        with self._lock:
            return [receipt for receipt in receipts if leased.pop(receipt.token, None) is None]

    def release(self, receipts: Sequence[Receipt], *, delay: float = 0.0) -> Sequence[Receipt]:
        with self._lock:
            found = [(receipt, self._leased.pop(receipt.token, None)) for receipt in receipts]
            messages = [message for _, message in found if message is not None]
            if delay > 0:
                due = self._clock() + delay
                for message in messages:
                    self._delay(message, due)
            else:
                return_to_queues(messages)
        if not self._listeners.empty:
            self._listeners.wake([message.queue.spec.name for message in messages])
        return [receipt for receipt, message in found if message is None]

    def extend(self, receipts: Sequence[Receipt], lease: float) -> Sequence[Receipt]:
        lost: list[Receipt] = []
        with self._lock:
            end = self._clock() + lease
            for receipt in receipts:
                message = self._leased.get(receipt.token)
                if message is None:
                    lost.append(receipt)
                else:
                    message.due = end
            self._lease_end = min(self._lease_end, end)
        return lost

    def bindings(self, exchange: str) -> ExchangeBindings:
        return self._exchanges.get(exchange)

    def rebind(self, exchange: ExchangeSpec, add: Iterable[Binding] = (), remove: Iterable[Binding] = ()) -> None:
        added, removed = list(add), list(remove)
        with self._lock:
            for binding in added:
                self._queue(binding.queue)
            self._exchanges.rebind(exchange, added, removed)

    def forget(self, exchange: str) -> None:
        with self._lock:
            self._exchanges.forget(exchange)

    def wakeups(self) -> StoreWakeups:
        return StoreWakeups(self._listeners.listen, self._due_in)

    def _due_in(self, queues: Collection[str]) -> float | None:
        """Seconds until a message may be taken from one of *queues*: 0 is now, None is never.  May be too soon."""
        with self._lock:
            now = self._clock()
            self._promote(now)
            # a queue that does not exist counts as ready: reserve raises the error
            if any(name not in self._queues or self._queues[name].ready.count for name in queues):
                return 0.0
            due = min(self._lease_end, self._delayed[0][0] if self._delayed else _NEVER)
            return None if due == _NEVER else max(0.0, due - now)

    def close(self) -> None:
        """Does nothing: other connections of that name go on using it."""

    def _queue(self, name: str) -> MemoryQueue:
        try:
            return self._queues[name]
        except KeyError:
            raise NotFound(f"there is no queue {name!r}: declare it first") from None

    def _count_ready(self, queue: MemoryQueue) -> int:
        self._promote(self._clock())
        return queue.ready.count

    def _delay(self, message: StoredMessage, due: float) -> None:
        message.due = due
        heappush(self._delayed, (due, message.id, message))

    def _promote(self, now: float) -> None:
        """Make ready what is due.  As long as nothing is, no message is looked at."""
        due: list[StoredMessage] = []
        while self._delayed and self._delayed[0][0] <= now:
            due.append(heappop(self._delayed)[2])
        if self._lease_end <= now:
            ended = [message for message in self._leased.values() if message.due <= now]
            for message in ended:
                del self._leased[message.token]
            due += ended
            self._lease_end = min((message.due for message in self._leased.values()), default=_NEVER)
        if due:
            return_to_queues(due)
