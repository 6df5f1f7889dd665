"""A store in an SQL database, shared by processes and safe against their sudden end.  So far: SQLite.

The operations of the store come first, in the order in which a group of calls runs them, and then the store itself.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from kombu_green.capabilities import Capabilities
from kombu_green.declarations import ExchangeSpec, QueueSpec
from kombu_green.exceptions import ConnectionLost, KombuError, UnsupportedOption
from kombu_green.green.threads import Threads
from kombu_green.routing import Binding
from kombu_green.storage.contract import ExchangeBindings, Put, QueueInfo, Receipt, Reserved
from kombu_green.storage.sqlalchemy import message_rows, sqlite
from kombu_green.storage.sqlalchemy.catalog import KnownQueue
from kombu_green.storage.sqlalchemy.change_file import ChangeWatcher
from kombu_green.storage.sqlalchemy.database import Database, Transaction
from kombu_green.storage.sqlalchemy.group_commit import Durability, GroupCommit, Operation
from kombu_green.storage.sqlalchemy.lease_clock import LeaseClock, system_lease_clock
from kombu_green.storage.sqlalchemy.message_rows import (
    EncodedPut,
    LeaseChange,
    Reservation,
    ReservedRow,
    decode,
    encode,
)
from kombu_green.storage.wakeups import QueueListeners, StoreWakeups
from kombu_green.url import mask

__all__ = ["ANSWER_TIMEOUT", "REMEMBERED", "SQLAlchemyStore"]

A = TypeVar("A")
T = TypeVar("T")

#: seconds that another program may keep the database locked, unless a store is opened with another limit
ANSWER_TIMEOUT: Final = 30.0

#: seconds after which bindings are read again, whatever the change file says
REMEMBERED: Final = 1.0

_POLL_INTERVAL: Final = 1.0  # seconds after which a waiting consumer asks the database, whatever the change file says
_POLL_INTERVAL_WITHOUT_FILE: Final = 0.02  # the same where there is no change file


# -- operations


class _Rebinding(NamedTuple):
    exchange: ExchangeSpec
    add: Sequence[Binding]
    remove: Sequence[Binding]


def _declare(transaction: Transaction, queue: QueueSpec) -> QueueInfo:
    return _info(transaction, transaction.catalog.declare(transaction.connection, queue))


def _describe(transaction: Transaction, name: str) -> QueueInfo | None:
    known = transaction.queues([name]).get(name)
    return None if known is None else _info(transaction, known)


def _info(transaction: Transaction, queue: KnownQueue) -> QueueInfo:
    return QueueInfo(queue.spec, message_rows.count(transaction, queue.id))


def _size(transaction: Transaction, name: str) -> int:
    return message_rows.count(transaction, transaction.catalog.queue(transaction.connection, name).id)


def _drop(transaction: Transaction, name: str) -> None:
    transaction.catalog.drop(transaction.connection, name)
    transaction.woken.add(name)  # a consumer that waits for it gets NotFound when it reserves


def _bindings(transaction: Transaction, exchange: str) -> ExchangeBindings:
    return transaction.catalog.exchange(transaction.connection, exchange)


def _rebind(transaction: Transaction, change: _Rebinding) -> None:
    transaction.catalog.rebind(transaction.connection, change.exchange, change.add, change.remove)


def _forget(transaction: Transaction, exchange: str) -> None:
    transaction.catalog.forget(transaction.connection, exchange)


def _one_by_one(run: Callable[[Transaction, A], T]) -> Callable[[Transaction, Sequence[A]], Sequence[T | Exception]]:
    """An operation that is run for one caller after the other.  An error of kombu_green is for its caller alone.

    *run* must raise such an error before its first statement that writes.
    """

    def run_all(transaction: Transaction, arguments: Sequence[A]) -> Sequence[T | Exception]:
        outcomes: list[T | Exception] = []
        for argument in arguments:
            try:
                outcomes.append(run(transaction, argument))
            except KombuError as error:
                outcomes.append(error)
        return outcomes

    return run_all


# The first field is the rank: what is put or released comes before reserve, so that it can be taken in the same group.
_DECLARE: Final[Operation[QueueSpec, QueueInfo]] = Operation(0, Durability.DURABLE, _one_by_one(_declare))
_REBIND: Final[Operation[_Rebinding, None]] = Operation(1, Durability.DURABLE, _one_by_one(_rebind))
_PUT: Final[Operation[Sequence[EncodedPut], None]] = Operation(2, Durability.DURABLE, message_rows.put)
_ACK: Final[Operation[Sequence[Receipt], list[Receipt]]] = Operation(3, Durability.LOSABLE, message_rows.ack)
_EXTEND: Final[Operation[LeaseChange, list[Receipt]]] = Operation(4, Durability.LOSABLE, message_rows.extend)
_RELEASE: Final[Operation[LeaseChange, list[Receipt]]] = Operation(5, Durability.LOSABLE, message_rows.release)
_RESERVE: Final[Operation[Reservation, list[ReservedRow]]] = Operation(6, Durability.LOSABLE, message_rows.reserve)
_PURGE: Final[Operation[str, int]] = Operation(7, Durability.DURABLE, message_rows.purge)
_FORGET: Final[Operation[str, None]] = Operation(8, Durability.DURABLE, _one_by_one(_forget))
_DROP: Final[Operation[str, None]] = Operation(9, Durability.DURABLE, _one_by_one(_drop))
_DESCRIBE: Final[Operation[str, QueueInfo | None]] = Operation(10, Durability.READ_ONLY, _one_by_one(_describe))
_SIZE: Final[Operation[str, int]] = Operation(11, Durability.READ_ONLY, _one_by_one(_size))
_BINDINGS: Final[Operation[str, ExchangeBindings]] = Operation(12, Durability.READ_ONLY, _one_by_one(_bindings))
_DUE_IN: Final[Operation[Sequence[str], float | None]] = Operation(13, Durability.READ_ONLY, message_rows.due_in)


# -- the store

_CAPABILITIES: Final = Capabilities(
    durable=True,
    shared=True,
    priorities=True,
    delay=True,
    ttl=True,
    fifo=True,
    wakeup="at once, from other processes within 1 s at most; what was delayed or leased: at its due time",
    exclusive="nobody: the flag is kept and compared",
    confirms_acks=True,
    max_size=1_000_000_000 - 1_000_000,  # SQLite's limit for a row, less room for headers
)


class _CachedBindings(NamedTuple):
    version: int  # count of topology changes in the change file, read before the database was asked
    until: float  # time.monotonic()
    bindings: ExchangeBindings


class SQLAlchemyStore:
    """A store in the database at *url*: ``sqlite:///relative/path`` or ``sqlite:////absolute/path``.

    To open it creates what is missing: folder, file, tables.  It belongs to the process that opened it; after a fork
    the child opens its own.  *clock* returns epoch seconds, for delays.  *lease_clock* is the clock by which leases
    end, and must be the same in all processes; unless given it is one of the machine that nobody sets.
    *answer_timeout*: seconds after which a call that waits for the lock of another program raises
    :exc:`~kombu_green.exceptions.ConnectionLost`; a call that had to wait for others before takes up to twice as long.

    Raises :exc:`~kombu_green.exceptions.AccessRefused` when there cannot be a database at that path, and
    :exc:`~kombu_green.exceptions.UnsupportedOption` for a URL of another kind.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Callable[[], float] = time.time,
        lease_clock: LeaseClock | None = None,
        answer_timeout: float = ANSWER_TIMEOUT,
    ) -> None:
        clocked = lease_clock or system_lease_clock()
        self.capabilities: Final = replace(_CAPABILITIES, leases=clocked.description)
        self._where: Final = _path(url)
        self._process: Final = os.getpid()
        self._listeners: Final = QueueListeners()
        self._threads: Final = Threads(1)  # one: SQLAlchemy's first connect must not be done by several at once
        self._database: Final = Database(self._where, self._listeners, clock, clocked, answer_timeout)
        self._group_commit: Final = GroupCommit(self._threads, self._database.run)
        self._closed = False
        self._cached: dict[str, _CachedBindings] = {}
        try:
            self._changes: Final = self._threads.call(self._database.open)
        except BaseException:
            self._database.abandon()
            self._threads.close()
            raise
        self._watcher: Final = ChangeWatcher(self._listeners, self._changes)

    @property
    def connected(self) -> bool:
        """False once the file was removed or replaced, or the store is closed."""
        return not self._closed and self._database.lost is None

    def declare(self, queue: QueueSpec) -> QueueInfo:
        return self._call(_DECLARE, queue)

    def describe(self, queue: str) -> QueueInfo | None:
        return self._call(_DESCRIBE, queue)

    def put(self, items: Sequence[Put]) -> None:
        self._call(_PUT, [encode(item) for item in items])

    def reserve(self, wants: Mapping[str, int], *, lease: float) -> list[Reserved]:
        return [decode(row) for row in self._call(_RESERVE, Reservation(dict(wants), lease))]

    def ack(self, receipts: Sequence[Receipt]) -> Sequence[Receipt]:
        return self._call(_ACK, list(receipts))

    def release(self, receipts: Sequence[Receipt], *, delay: float = 0.0) -> Sequence[Receipt]:
        return self._call(_RELEASE, LeaseChange(list(receipts), delay))

    def extend(self, receipts: Sequence[Receipt], lease: float) -> Sequence[Receipt]:
        return self._call(_EXTEND, LeaseChange(list(receipts), lease))

    def size(self, queue: str) -> int:
        return self._call(_SIZE, queue)

    def purge(self, queue: str) -> int:
        return self._call(_PURGE, queue)

    def drop(self, queue: str) -> None:
        self._call(_DROP, queue)

    def bindings(self, exchange: str) -> ExchangeBindings:
        """What is bound to *exchange*; what another process has bound is seen at once.

        It may be seen :data:`REMEMBERED` seconds late if that process died between its commit and its announcement, or
        if the change file was removed meanwhile.
        """
        version, now = self._changes.topology, time.monotonic()
        cached = self._cached.get(exchange)
        if cached is not None and cached.version == version and now < cached.until:
            return cached.bindings
        bindings = self._call(_BINDINGS, exchange)
        if self._changes.shared:
            self._cached[exchange] = _CachedBindings(version, now + REMEMBERED, bindings)
        return bindings

    def rebind(self, exchange: ExchangeSpec, add: Iterable[Binding] = (), remove: Iterable[Binding] = ()) -> None:
        self._call(_REBIND, _Rebinding(exchange, list(add), list(remove)))

    def forget(self, exchange: str) -> None:
        self._call(_FORGET, exchange)

    def wakeups(self) -> StoreWakeups:
        poll_interval = _POLL_INTERVAL if self._changes.shared else _POLL_INTERVAL_WITHOUT_FILE
        return StoreWakeups(self._watcher.listen, self._due_in, poll_interval)

    def _due_in(self, queues: Collection[str]) -> float | None:
        """Seconds until a message can be taken from one of *queues*: 0 is now, None if no lease or delay ends there."""
        return self._call(_DUE_IN, list(queues))

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if os.getpid() != self._process:
            return  # SQLite's connection belongs to the process that opened it
        try:
            self._threads.call(self._database.close)
        finally:
            self._threads.close()
            self._listeners.wake_all()

    def _call(self, operation: Operation[A, T], argument: A) -> T:
        if self._closed:
            raise ConnectionLost(f"{self._where}: this store is closed")
        if os.getpid() != self._process:
            raise ConnectionLost(
                f"{self._where}: this store was opened by process {self._process}, and SQLite's connections do not"
                " survive a fork: open another one here"
            )
        return self._group_commit.call(operation, argument)


def _path(url: str) -> Path:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise UnsupportedOption(f"{mask(url)!r} is not a URL of SQLAlchemy: write sqlite:///PATH") from error
    if parsed.get_backend_name() != "sqlite":
        raise UnsupportedOption(f"{mask(url)}: of SQL databases only SQLite is supported so far: write sqlite:///PATH")
    return sqlite.database_path(parsed)
