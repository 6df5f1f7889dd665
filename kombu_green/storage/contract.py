"""The one contract of all stores: put, reserve under a lease, settle.

Batched from the start, since batching is where the speed is.  Any greenlet may call any method at any time; a call may
block its greenlet for a round trip, never the hub, and never waits for work to come: waiting is :class:`Wakeups`.

A receipt carries a token *made fresh at each take*: it fences a late ack of an earlier take.  A message whose taker
died is handed out again when its lease ends.  Nothing is restored by destructors, exit hooks or a garbage collector.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from kombu_green.capabilities import Capabilities
from kombu_green.clock import Deadline
from kombu_green.declarations import ExchangeSpec, QueueSpec
from kombu_green.message import Content
from kombu_green.routing import Binding

__all__ = [
    "Put",
    "QueueInfo",
    "Receipt",
    "Reserved",
    "Storage",
    "Topology",
    "Wakeups",
]


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """``ready`` counts what a consumer could take now; leased and delayed messages are not in it."""

    spec: QueueSpec
    ready: int


@dataclass(frozen=True, slots=True)
class Topology:
    """An exchange and what is bound to it; ``spec`` is None when nobody declared it."""

    spec: ExchangeSpec | None
    bindings: Sequence[Binding] = ()


@dataclass(slots=True)
class Put:
    """A message on its way into one queue."""

    queue: str
    content: Content
    exchange: str = ""
    routing_key: str = ""
    priority: int = 0  # 0 to 9, 9 is taken first
    delay: float = 0.0  # seconds before it can be taken
    expires: float | None = None  # seconds since the epoch; kept and handed out, judged by the channel


class Receipt(NamedTuple):
    """Proof of one take of one message."""

    queue: str
    id: int
    token: bytes


@dataclass(slots=True)
class Reserved:
    """A message taken under a lease.  ``takes`` counts this take too: above 1 it is a redelivery."""

    receipt: Receipt
    content: Content
    exchange: str
    routing_key: str
    priority: int
    takes: int
    expires: float | None = None


class Wakeups(Protocol):
    """Waiting for work, apart from taking it."""

    def wait(self, queues: Collection[str], deadline: Deadline) -> None:
        """Return when there may be work in one of *queues*, at *deadline*, or after :meth:`interrupt`.

        When one of them is not there, or is dropped meanwhile, too: ``reserve`` is the one that says so.

        Work that came, and interrupts that were called, since the last ``wait`` of this object returned count: look,
        then wait, never misses.
        """

    def interrupt(self) -> None:
        """Make the current ``wait``, or the next one, return at once (a slot came free)."""

    def close(self) -> None: ...


class Storage(Protocol):
    """A store.  Errors are :exc:`~kombu_green.exceptions.OperationalError`; the driver's own are chained."""

    @property
    def capabilities(self) -> Capabilities: ...

    def declare(self, queue: QueueSpec) -> QueueInfo:
        """Create the queue, or compare: :exc:`~kombu_green.exceptions.PreconditionFailed` names what differs."""
        ...

    def describe(self, queue: str) -> QueueInfo | None: ...

    def put(self, items: Sequence[Put]) -> None:
        """Return when the store has all of them; all or none.  A queue that nobody declared: ``NotFound``."""
        ...

    def reserve(self, wants: Mapping[str, int], *, lease: float) -> list[Reserved]:
        """Take and lease, in one atomic step, up to so many messages of each queue, for *lease* seconds.

        Of one queue: by priority, then in the order they were put.  Messages whose lease or delay has ended are ready.
        May give fewer than there are.  A queue that nobody declared: ``NotFound``, and nothing is taken.
        """
        ...

    def ack(self, receipts: Sequence[Receipt]) -> Sequence[Receipt]:
        """Delete them.

        Like the next two, returns the receipts whose lease was lost meanwhile, and leaves those alone.
        """
        ...

    def release(self, receipts: Sequence[Receipt], *, delay: float = 0.0) -> Sequence[Receipt]:
        """Back to their queue, first in line of their priority; after *delay* seconds."""
        ...

    def extend(self, receipts: Sequence[Receipt], lease: float) -> Sequence[Receipt]:
        """The lease now ends *lease* seconds from now."""
        ...

    def size(self, queue: str) -> int:
        """How many could be taken now."""
        ...

    def purge(self, queue: str) -> int:
        """Delete what is ready; returns how many.  What is leased or delayed stays."""
        ...

    def drop(self, queue: str) -> None:
        """Delete the queue, all its messages and its bindings; a queue that is not there is no error."""
        ...

    def bindings(self, exchange: str) -> Topology:
        """Kept in the store, so that any process can route."""
        ...

    def rebind(self, exchange: ExchangeSpec, add: Iterable[Binding] = (), remove: Iterable[Binding] = ()) -> None:
        """Atomically create or compare the exchange, and add and remove bindings.

        Adding what is there, or removing what is not, does nothing.
        """
        ...

    def forget(self, exchange: str) -> None:
        """Delete the exchange and its bindings; one that is not there is no error."""
        ...

    def wakeups(self) -> Wakeups: ...

    def close(self) -> None:
        """Idempotent.  What is leased stays leased until its lease ends: giving it back is the channel's business."""
        ...
