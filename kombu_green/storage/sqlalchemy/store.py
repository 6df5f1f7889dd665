"""A store in an SQL database, shared by processes and safe against their sudden end.  So far: SQLite."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from kombu_green.capabilities import Capabilities
from kombu_green.declarations import ExchangeSpec, QueueSpec
from kombu_green.exceptions import ConnectionLost, UnsupportedOption
from kombu_green.green.threads import Threads
from kombu_green.routing import Binding
from kombu_green.storage.bell import Bells, BellWakeups
from kombu_green.storage.contract import Put, QueueInfo, Receipt, Reserved, Topology
from kombu_green.storage.sqlalchemy import sqlite, verbs
from kombu_green.storage.sqlalchemy.database import Database
from kombu_green.storage.sqlalchemy.envelope import decoded, encoded
from kombu_green.storage.sqlalchemy.grouping import Grouping, Verb
from kombu_green.storage.sqlalchemy.newsroom import Newsroom
from kombu_green.storage.sqlalchemy.settling import Change
from kombu_green.storage.sqlalchemy.taking import Demand
from kombu_green.url import mask

__all__ = ["REMEMBERED", "SQLAlchemyStore"]

A = TypeVar("A")
T = TypeVar("T")


#: seconds after which bindings are read again, whatever the bulletin says
REMEMBERED: Final = 1.0

_LOOK: Final = 1.0  # seconds after which a waiting consumer looks by itself
_LOOK_ALONE: Final = 0.02  # the same where there is no bulletin


class _Known(NamedTuple):
    version: int  # count of changes of the topology, when the database was asked
    until: float
    topology: Topology


class SQLAlchemyStore:
    """``url`` is SQLAlchemy's: ``sqlite:///relative/path`` or ``sqlite:////absolute/path``.

    Opening it creates what is missing: folder, file, tables.  It is used by the process that opened it; after a fork
    the child opens its own.  *clock* gives epoch seconds, and must be the same in all processes.

    Raises :exc:`~kombu_green.exceptions.AccessRefused` when there cannot be a database at that path, and
    :exc:`~kombu_green.exceptions.UnsupportedOption` for a URL of another kind.
    """

    capabilities: Final = Capabilities(
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

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time) -> None:
        self._where: Final = _path(url)
        self._process: Final = os.getpid()
        self._bells: Final = Bells()
        self._threads: Final = Threads(1)  # SQLAlchemy's first connect must not be done by several threads at once
        self._database: Final = Database(self._where, self._bells, clock)
        self._grouping: Final = Grouping(self._threads, self._database.run)
        self._clock: Final = clock
        self._closed = False
        self._routes: dict[str, _Known] = {}
        try:
            self._bulletin: Final = self._threads.call(self._database.open)
        except BaseException:
            self._database.abandon()
            self._threads.close()
            raise
        self._newsroom: Final = Newsroom(self._bells, self._bulletin)

    def declare(self, queue: QueueSpec) -> QueueInfo:
        return self._call(verbs.DECLARE, queue)

    def describe(self, queue: str) -> QueueInfo | None:
        return self._call(verbs.DESCRIBE, queue)

    def put(self, items: Sequence[Put]) -> None:
        self._call(verbs.PUT, [encoded(item) for item in items])

    def reserve(self, wants: Mapping[str, int], *, lease: float) -> list[Reserved]:
        return [decoded(taken) for taken in self._call(verbs.RESERVE, Demand(dict(wants), lease))]

    def ack(self, receipts: Sequence[Receipt]) -> Sequence[Receipt]:
        return self._call(verbs.ACK, list(receipts))

    def release(self, receipts: Sequence[Receipt], *, delay: float = 0.0) -> Sequence[Receipt]:
        return self._call(verbs.RELEASE, Change(list(receipts), delay))

    def extend(self, receipts: Sequence[Receipt], lease: float) -> Sequence[Receipt]:
        return self._call(verbs.EXTEND, Change(list(receipts), lease))

    def size(self, queue: str) -> int:
        return self._call(verbs.SIZE, queue)

    def purge(self, queue: str) -> int:
        return self._call(verbs.PURGE, queue)

    def drop(self, queue: str) -> None:
        self._call(verbs.DROP, queue)

    def bindings(self, exchange: str) -> Topology:
        """What another process has bound, this one routes to at once.

        It is a change of a process that died in the midst of it, or one made while somebody removed the bulletin, that
        may be noticed :data:`REMEMBERED` seconds late.
        """
        version, now = self._bulletin.topology, time.monotonic()
        known = self._routes.get(exchange)
        if known is not None and known.version == version and now < known.until:
            return known.topology
        topology = self._call(verbs.BINDINGS, exchange)
        if self._bulletin.shared:
            self._routes[exchange] = _Known(version, now + REMEMBERED, topology)
        return topology

    def rebind(self, exchange: ExchangeSpec, add: Iterable[Binding] = (), remove: Iterable[Binding] = ()) -> None:
        self._call(verbs.REBIND, verbs.Rebinding(exchange, list(add), list(remove)))

    def forget(self, exchange: str) -> None:
        self._call(verbs.FORGET, exchange)

    def wakeups(self) -> BellWakeups:
        longest = _LOOK if self._bulletin.shared else _LOOK_ALONE
        return BellWakeups(self._newsroom.listening, self._look, longest)

    def _look(self, queues: Collection[str]) -> float | None:
        """Seconds until something may be taken; None when nothing is there that will be due."""
        look = self._call(verbs.LOOK, list(queues))
        if look.ready:
            return 0.0
        return None if look.due is None else max(0.0, look.due - self._clock())

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if os.getpid() != self._process:
            return  # the connection belongs to the process that opened it
        try:
            self._threads.call(self._database.close)
        finally:
            self._threads.close()
            self._bells.ring_all()

    def _call(self, verb: Verb[A, T], argument: A) -> T:
        if self._closed:
            raise ConnectionLost(f"{self._where}: this store is closed")
        if os.getpid() != self._process:
            raise ConnectionLost(
                f"{self._where}: this store was opened by process {self._process}, and SQLite's connections do not"
                " survive a fork: open another one here"
            )
        return self._grouping.call(verb, argument)


def _path(url: str) -> Path:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise UnsupportedOption(f"{mask(url)!r} is not a URL of SQLAlchemy: write sqlite:///PATH") from error
    if parsed.get_backend_name() != "sqlite":
        raise UnsupportedOption(f"{mask(url)}: of SQL databases only SQLite is supported so far: write sqlite:///PATH")
    return sqlite.database_path(parsed)
