"""Queues in this process: an object with a name, shared by every connection that says that name.

No operation switches greenlets, and a native lock is held while one runs, so native threads may share a store.
Nothing that a publisher or a consumer can change is shared: headers and properties are copied on the way in and out.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from copy import deepcopy
from heapq import heapify, heappop, heappush
from typing import Any, Final

from gevent.monkey import get_original

from kombu_green.capabilities import Capabilities
from kombu_green.declarations import ExchangeSpec, QueueSpec
from kombu_green.exceptions import NotFound
from kombu_green.routing import Binding
from kombu_green.storage.bell import Bells, BellWakeups
from kombu_green.storage.contract import Put, QueueInfo, Receipt, Reserved, Topology
from kombu_green.storage.copying import private_copy
from kombu_green.storage.equivalence import check_queue
from kombu_green.storage.exchanges import Exchanges
from kombu_green.storage.priorities import ceiling, clip
from kombu_green.storage.ready import Ready

__all__ = ["MemoryStore", "broker", "forget"]

_new_lock: Callable[[], AbstractContextManager[Any]] = get_original("_thread", "allocate_lock")
_NEVER = float("inf")

# One of the three registries that are global on purpose: connections find each other by the broker's name.
_brokers: dict[str, MemoryStore] = {}
_brokers_lock = _new_lock()


def broker(name: str = "") -> MemoryStore:
    """The broker of that name in this process, made when it is first asked for."""
    with _brokers_lock:
        found = _brokers.get(name)
        if found is None:
            found = _brokers[name] = MemoryStore()
        return found


def forget(name: str = "") -> None:
    """Let the next :func:`broker` of that name be a new, empty one; who has the old one keeps it."""
    with _brokers_lock:
        _brokers.pop(name, None)


class MemoryStore:
    """A store that lives as long as somebody holds it.  *clock* gives seconds and must never go back."""

    capabilities: Final = Capabilities(
        durable=False,
        shared=False,
        priorities=True,
        delay=True,
        ttl=True,
        fifo=True,
        wakeup="at once; what was delayed or leased: at its due time",
        exclusive="nobody: whoever says the broker's name in this process can use it",
        confirms_acks=True,
    )

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = _new_lock()
        self._queues: dict[str, _Queue] = {}
        self._exchanges = Exchanges()
        self._leased: dict[bytes, _Entry] = {}
        self._lease_end = _NEVER  # no lease ends sooner; made exact only when it is reached
        self._delayed: list[tuple[float, int, _Entry]] = []
        self._bells = Bells()
        self._ids = itertools.count(1)
        self._takes = itertools.count(1)

    def declare(self, queue: QueueSpec) -> QueueInfo:
        with self._lock:
            there = self._queues.get(queue.name)
            if there is None:
                there = self._queues[queue.name] = _Queue(queue)
            else:
                check_queue(there.spec, queue)
            return QueueInfo(there.spec, self._ready(there))

    def describe(self, queue: str) -> QueueInfo | None:
        with self._lock:
            there = self._queues.get(queue)
            return None if there is None else QueueInfo(there.spec, self._ready(there))

    def size(self, queue: str) -> int:
        with self._lock:
            return self._ready(self._queue(queue))

    def purge(self, queue: str) -> int:
        with self._lock:
            there = self._queue(queue)
            count = self._ready(there)
            there.ready.clear()
            return count

    def drop(self, queue: str) -> None:
        with self._lock:
            there = self._queues.pop(queue, None)
            if there is None:
                return
            self._leased = {token: entry for token, entry in self._leased.items() if entry.home is not there}
            self._delayed = [item for item in self._delayed if item[2].home is not there]
            heapify(self._delayed)
            self._exchanges.unbind_queue(queue)
        self._bells.ring([queue])

    def put(self, items: Sequence[Put]) -> None:
        entries = [_Entry(item) for item in items]
        with self._lock:
            for entry, item in zip(entries, items, strict=True):  # find all queues before anything goes in
                entry.home = home = self._queue(item.queue)
                entry.priority = clip(item.priority, home.ceiling)
            for entry in entries:
                entry.id = next(self._ids)
                if entry.due > 0:
                    self._delay(entry, self._clock() + entry.due)
                else:
                    entry.home.ready.append(entry)
        if not self._bells.silent:
            self._bells.ring([item.queue for item in items])

    def reserve(self, wants: Mapping[str, int], *, lease: float) -> list[Reserved]:
        taken: list[Reserved] = []
        with self._lock:
            now = self._clock()
            self._promote(now)
            end = now + lease
            for queue, count in [(self._queue(name), count) for name, count in wants.items()]:
                ready = queue.ready
                for _ in range(min(count, ready.count)):
                    entry = ready.pop()
                    entry.token = token = b"%d" % next(self._takes)
                    entry.due = end
                    self._leased[token] = entry
                    taken.append(entry.reserved())
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
            entries = [entry for _, entry in found if entry is not None]
            if delay > 0:
                due = self._clock() + delay
                for entry in entries:
                    self._delay(entry, due)
            else:
                _give_back(entries)
        if not self._bells.silent:
            self._bells.ring([entry.home.spec.name for entry in entries])
        return [receipt for receipt, entry in found if entry is None]

    def extend(self, receipts: Sequence[Receipt], lease: float) -> Sequence[Receipt]:
        lost: list[Receipt] = []
        with self._lock:
            end = self._clock() + lease
            for receipt in receipts:
                entry = self._leased.get(receipt.token)
                if entry is None:
                    lost.append(receipt)
                else:
                    entry.due = end
            self._lease_end = min(self._lease_end, end)
        return lost

    def bindings(self, exchange: str) -> Topology:
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

    def wakeups(self) -> BellWakeups:
        return BellWakeups(self._bells.listening, self._look)

    def _look(self, queues: Collection[str]) -> float | None:
        """Seconds until something may be taken from *queues*: 0 is now, None is never.  May be sooner than it is."""
        with self._lock:
            now = self._clock()
            self._promote(now)
            # one that is not there is an error, of which the consumer learns when it asks
            if any(name not in self._queues or self._queues[name].ready.count for name in queues):
                return 0.0
            due = min(self._lease_end, self._delayed[0][0] if self._delayed else _NEVER)
            return None if due == _NEVER else max(0.0, due - now)

    def close(self) -> None:
        """Nothing: others who say its name go on, and it is gone when nobody holds it."""

    def _queue(self, name: str) -> _Queue:
        try:
            return self._queues[name]
        except KeyError:
            raise NotFound(f"there is no queue {name!r}: declare it first") from None

    def _ready(self, queue: _Queue) -> int:
        self._promote(self._clock())
        return queue.ready.count

    def _delay(self, entry: _Entry, due: float) -> None:
        entry.due = due
        heappush(self._delayed, (due, entry.id, entry))

    def _promote(self, now: float) -> None:
        """Make ready what is due; looks at no message while none is."""
        due: list[_Entry] = []
        while self._delayed and self._delayed[0][0] <= now:
            due.append(heappop(self._delayed)[2])
        if self._lease_end <= now:
            ended = [entry for entry in self._leased.values() if entry.due <= now]
            for entry in ended:
                del self._leased[entry.token]
            due += ended
            self._lease_end = min((entry.due for entry in self._leased.values()), default=_NEVER)
        if due:
            _give_back(due)


class _Queue:
    """A declared queue and what is ready in it."""

    __slots__ = ("ceiling", "ready", "spec")

    def __init__(self, spec: QueueSpec) -> None:
        self.spec = QueueSpec(spec.name, spec.durable, spec.exclusive, spec.auto_delete, deepcopy(dict(spec.arguments)))
        self.ceiling = ceiling(spec.arguments)
        self.ready: Ready[_Entry] = Ready()


class _Entry:
    """A message in a queue; ``due`` ends its delay or its lease, and is a delay in seconds until it is put."""

    __slots__ = ("content", "due", "exchange", "expires", "home", "id", "priority", "routing_key", "takes", "token")

    home: _Queue
    id: int
    priority: int
    token: bytes

    def __init__(self, item: Put) -> None:
        self.content = private_copy(item.content)
        self.exchange = item.exchange
        self.routing_key = item.routing_key
        self.expires = item.expires
        self.due = item.delay
        self.takes = 0

    def reserved(self) -> Reserved:
        self.takes += 1
        return Reserved(
            Receipt(self.home.spec.name, self.id, self.token),
            private_copy(self.content),
            self.exchange,
            self.routing_key,
            self.priority,
            self.takes,
            self.expires,
        )


def _give_back(entries: list[_Entry]) -> None:
    homes: dict[_Queue, list[_Entry]] = {}
    for entry in entries:
        homes.setdefault(entry.home, []).append(entry)
    for home, returned in homes.items():
        home.ready.give_back(returned)
