"""A queue of the memory store: its messages, and the order in which those that are ready will be taken."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from copy import deepcopy
from heapq import merge
from operator import attrgetter
from typing import Any, Final, Generic, Protocol, TypeVar

from kombu_green.declarations import QueueSpec
from kombu_green.exceptions import EncodeError
from kombu_green.message import Content
from kombu_green.storage.contract import Put, Receipt, Reserved
from kombu_green.storage.declaration_rules import max_priority

__all__ = ["MemoryQueue", "Prioritized", "ReadyMessages", "StoredMessage", "private_copy", "return_to_queues"]

_IMMUTABLE: Final = frozenset({str, int, float, bool, bytes, type(None)})


class Prioritized(Protocol):
    """What :class:`ReadyMessages` orders: a higher ``priority`` goes first, then the lower ``id``."""

    id: int
    priority: int


T = TypeVar("T", bound=Prioritized)
_by_id = attrgetter("id")


class ReadyMessages(Generic[T]):
    """Messages by priority, then in the order of their first put.  One that is returned gets its old position back."""

    __slots__ = ("_by_priority", "_levels", "count")

    def __init__(self) -> None:
        self.count = 0
        self._by_priority: dict[int, deque[T]] = {}
        self._levels: list[deque[T]] = []  # the same deques, the highest priority first

    def append(self, item: T) -> None:
        """Add a new message, whose id is higher than all before."""
        level = self._by_priority.get(item.priority)
        if level is None:
            level = self._add_level(item.priority)
        level.append(item)
        self.count += 1

    def pop(self) -> T:
        """Remove and return the next one; ``IndexError`` when none is ready."""
        for level in self._levels:
            if level:
                self.count -= 1
                return level.popleft()
        raise IndexError("no message is ready")

    def put_back(self, items: Iterable[T]) -> None:
        """Add messages that were released, or whose delay has ended, in any order."""
        levels: dict[int, list[T]] = {}
        for item in items:
            levels.setdefault(item.priority, []).append(item)
        for priority, returned in levels.items():
            returned.sort(key=_by_id)
            self._insert(priority, returned)
            self.count += len(returned)

    def clear(self) -> None:
        self.count = 0
        for level in self._levels:
            level.clear()

    def __iter__(self) -> Iterator[T]:
        for level in self._levels:
            yield from level

    def _insert(self, priority: int, returned: list[T]) -> None:
        level = self._by_priority.get(priority)
        if level is None:
            level = self._add_level(priority)
        if not level or returned[0].id > level[-1].id:
            level.extend(returned)
        elif returned[-1].id < level[0].id:
            level.extendleft(reversed(returned))
        else:
            ordered = list(merge(level, returned, key=_by_id))
            level.clear()
            level.extend(ordered)

    def _add_level(self, priority: int) -> deque[T]:
        level = self._by_priority[priority] = deque()
        self._levels = [self._by_priority[each] for each in sorted(self._by_priority, reverse=True)]
        return level


class MemoryQueue:
    """A declared queue and what is ready in it; leased and delayed messages are kept by the store."""

    __slots__ = ("max_priority", "ready", "spec")

    def __init__(self, spec: QueueSpec) -> None:
        self.spec = QueueSpec(spec.name, spec.durable, spec.exclusive, spec.auto_delete, deepcopy(dict(spec.arguments)))
        self.max_priority = max_priority(spec.arguments)
        self.ready: ReadyMessages[StoredMessage] = ReadyMessages()


class StoredMessage:
    """A message in a queue.

    ``due`` is the store's clock at which its lease or its delay ends; until it is put, the delay in seconds.
    """

    __slots__ = ("content", "due", "exchange", "expires", "id", "priority", "queue", "routing_key", "takes", "token")

    queue: MemoryQueue
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
        """Count this take, and return a copy for its consumer."""
        self.takes += 1
        return Reserved(
            Receipt(self.queue.spec.name, self.id, self.token),
            private_copy(self.content),
            self.exchange,
            self.routing_key,
            self.priority,
            self.takes,
            self.expires,
        )


def return_to_queues(messages: list[StoredMessage]) -> None:
    """Make *messages* ready in their queues."""
    by_queue: dict[MemoryQueue, list[StoredMessage]] = {}
    for message in messages:
        by_queue.setdefault(message.queue, []).append(message)
    for queue, returned in by_queue.items():
        queue.ready.put_back(returned)


def private_copy(content: Content) -> Content:
    """A copy of *content* that shares nothing mutable with it.

    Raises :exc:`~kombu_green.exceptions.EncodeError` for a header that cannot be copied.
    """
    return Content(
        content.body,
        content.content_type,
        content.content_encoding,
        _private_dict(content.headers),
        _private_dict(content.properties),
    )


def _private_dict(values: dict[str, Any]) -> dict[str, Any]:
    for value in values.values():
        if type(value) not in _IMMUTABLE:
            try:
                return deepcopy(values)
            except Exception as error:
                raise EncodeError(f"a header that cannot be copied: {type(error).__name__}: {error}") from error
    return values.copy()
