"""The contract of all stores: put messages, reserve them under a lease, settle them.

All of it is for several messages at once, since one round trip for many is where the speed is.  Any greenlet may call
any method at any time.  A call may block its greenlet for a round trip, but never the hub, and never until work comes:
that is what :class:`Wakeups` is for.

Each reserve gives a message a *fresh* token, which is part of its receipt.  So an ack that comes after the lease has
ended does not delete the message under its next consumer.  A message whose consumer died is handed out again when its
lease ends; no destructor, exit hook or garbage collector is needed for that.

Leases end by a clock that nobody sets and that all processes of the store share: a wall clock that is set must neither
hand out what is being handled nor keep what a dead process had.  Delays and expiry are times of the wall clock, and may
go by it.  ``capabilities.leases`` says which clocks they are: ``kombu-worker --check`` prints it.

A store is a package beside this module, ``kombu_green.storage.<name>``, and a module that opens it for a URL,
``kombu_green.transport.<name>``.
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
    "ExchangeBindings",
    "Put",
    "QueueInfo",
    "Receipt",
    "Reserved",
    "Storage",
    "Wakeups",
]


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """A declared queue.  ``ready`` counts the messages that could be taken now; leased and delayed ones are not."""

    spec: QueueSpec
    ready: int


@dataclass(frozen=True, slots=True)
class ExchangeBindings:
    """An exchange and the queues that are bound to it; ``spec`` is None when it was not declared."""

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
    expires: float | None = None  # seconds since the epoch; the store keeps it, the channel acts on it


class Receipt(NamedTuple):
    """Identifies one take of one message; it settles that take and no other."""

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

        It returns too when one of the queues does not exist or is dropped meanwhile: ``reserve`` raises the error.

        Work and interrupts that came after the previous ``wait`` of this object returned count.  So to reserve, and to
        wait only if nothing came, misses nothing.
        """

    def interrupt(self) -> None:
        """Make the current ``wait``, or the next one, return at once: a consumer may take more, or was cancelled."""

    def close(self) -> None: ...


class Storage(Protocol):
    """A store.  Errors are :exc:`~kombu_green.exceptions.OperationalError`; the driver's own are chained.

    What is put, declared or bound is copied, nested values too; what is handed out belongs to the taker.  Exchange
    types, time to live, exclusive and auto-delete are the channel's business: a store keeps a declaration as it is.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def connected(self) -> bool:
        """False once its data is out of reach for good: its file was replaced, or its server ended the connection.

        Then every call raises :exc:`~kombu_green.exceptions.ConnectionLost`, its leases are lost, and the connection
        opens the store anew.  A call that failed for a while (the data is locked) leaves it True.
        """
        ...

    def declare(self, queue: QueueSpec) -> QueueInfo:
        """Create the queue, or compare it with the existing one.

        Raises :exc:`~kombu_green.exceptions.PreconditionFailed`, which names what differs.
        """
        ...

    def describe(self, queue: str) -> QueueInfo | None:
        """The queue, or None when it was not declared."""
        ...

    def put(self, items: Sequence[Put]) -> None:
        """Return when the store has all of them.

        Raises ``NotFound`` for a queue that was not declared; then none of them is stored.
        """
        ...

    def reserve(self, wants: Mapping[str, int], *, lease: float) -> list[Reserved]:
        """Take and lease, in one atomic step, up to ``wants[queue]`` messages of each queue, for *lease* seconds.

        Messages of one queue come by priority, then in the order they were put.  Those whose lease or delay has ended
        are ready.  May return fewer than there are.  Raises ``NotFound`` for a queue that was not declared; then
        nothing is taken.
        """
        ...

    def ack(self, receipts: Sequence[Receipt]) -> Sequence[Receipt]:
        """Delete these messages.

        Returns the receipts that are not valid any more, because their lease has ended and the message was taken
        again, or because it is gone; it does nothing for those.  ``release`` and ``extend`` do the same.
        """
        ...

    def release(self, receipts: Sequence[Receipt], *, delay: float = 0.0) -> Sequence[Receipt]:
        """Make these messages ready again, in their old position in the queue; after *delay* seconds."""
        ...

    def extend(self, receipts: Sequence[Receipt], lease: float) -> Sequence[Receipt]:
        """Let these leases end *lease* seconds from now."""
        ...

    def size(self, queue: str) -> int:
        """How many messages could be taken now."""
        ...

    def purge(self, queue: str) -> int:
        """Delete the messages that are ready, and return how many.  Leased and delayed ones stay."""
        ...

    def drop(self, queue: str) -> None:
        """Delete the queue, all its messages and its bindings.  It is no error if it does not exist."""
        ...

    def bindings(self, exchange: str) -> ExchangeBindings:
        """What is bound to *exchange*.  Bindings are kept in the store, so that every process can route.

        Returning the same object as long as nothing has changed saves the caller from compiling its router again.
        """
        ...

    def rebind(self, exchange: ExchangeSpec, add: Iterable[Binding] = (), remove: Iterable[Binding] = ()) -> None:
        """Atomically create the exchange, or compare it with the existing one, and add and remove bindings.

        To add a binding that exists, or to remove one that does not, does nothing.  Raises ``PreconditionFailed``,
        which names what differs, or ``NotFound`` for a queue in *add* that was not declared; then nothing is changed.
        """
        ...

    def forget(self, exchange: str) -> None:
        """Delete the exchange and its bindings.  It is no error if it does not exist."""
        ...

    def wakeups(self) -> Wakeups:
        """A new object to wait with, for one greenlet at a time."""
        ...

    def close(self) -> None:
        """Close; a second call does nothing.  Leases stay until they end: the channel releases what it holds before."""
        ...
