"""Queues, exchanges and bindings in the tables, cached until one of them changes.

The row ``topology`` of the meta table is raised by every change.  A transaction that writes reads it first and then has
the database locked until its end, so no message is ever written to a queue that was dropped meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from kombu_green import extended_json
from kombu_green.declarations import ExchangeSpec, QueueSpec
from kombu_green.exceptions import NotFound
from kombu_green.routing import Binding
from kombu_green.storage.contract import ExchangeBindings
from kombu_green.storage.declaration_rules import max_priority, require_same_exchange, require_same_queue
from kombu_green.storage.sqlalchemy.schema import READY, binding, exchange, message, meta, queue

__all__ = ["VERSION", "Catalog", "KnownQueue", "no_queue"]

S = TypeVar("S", QueueSpec, ExchangeSpec)

VERSION = select(meta.c.value).where(meta.c.name == "topology")
_BUMP = update(meta).where(meta.c.name == "topology").values(value=meta.c.value + 1)
_QUEUES = select(queue).where(queue.c.name.in_(bindparam("names", expanding=True)))
_EXCHANGE = select(exchange).where(exchange.c.name == bindparam("exchange"))
_BINDINGS = (
    select(binding.c.id, queue.c.name, binding.c.routing_key, binding.c.arguments)
    .join_from(binding, queue, binding.c.queue_id == queue.c.id)
    .where(binding.c.exchange == bindparam("exchange"))
    .order_by(binding.c.id)
)
_UNBIND = delete(binding).where(binding.c.id.in_(bindparam("ids", expanding=True)))


class KnownQueue(NamedTuple):
    """A row of the queue table."""

    id: int
    spec: QueueSpec
    max_priority: int


class Catalog:
    """The cache, and the statements behind it.  For one thread at a time, with the connection of its transaction."""

    def __init__(self) -> None:
        self.changed = False  # whether this transaction has changed anything
        self._version: int | None = None
        self._queues: dict[str, KnownQueue] = {}
        self._exchanges: dict[str, ExchangeBindings] = {}

    def refresh(self, version: int) -> None:
        """Begin a transaction: empty the cache if *version*, the count of changes, is another one than before."""
        self.changed = False
        if version != self._version:
            self._clear()
            self._version = version

    def _clear(self) -> None:
        self._version = None  # what a transaction reads after its own changes is cached until its end only
        self._queues.clear()
        self._exchanges.clear()

    def queues(self, connection: Connection, names: Collection[str]) -> Mapping[str, KnownQueue]:
        """All cached queues, with those of *names* that exist among them."""
        missing = [name for name in names if name not in self._queues]
        if missing:
            for row in connection.execute(_QUEUES, {"names": missing}):
                spec = QueueSpec(row.name, row.durable, row.exclusive, row.auto_delete, _read(row.arguments))
                self._queues[row.name] = KnownQueue(row.id, spec, max_priority(spec.arguments))
        return self._queues

    def queue(self, connection: Connection, name: str) -> KnownQueue:
        found = self.queues(connection, [name]).get(name)
        if found is None:
            raise no_queue(name)
        return found

    def declare(self, connection: Connection, asked: QueueSpec) -> KnownQueue:
        arguments = extended_json.dumps(dict(asked.arguments))
        existing = self.queues(connection, [asked.name]).get(asked.name)
        if existing is not None:
            require_same_queue(existing.spec, _with(asked, arguments))
            return existing
        max_priority(asked.arguments)  # raises if it is malformed
        values = {"durable": asked.durable, "exclusive": asked.exclusive, "auto_delete": asked.auto_delete}
        connection.execute(insert(queue).values(name=asked.name, arguments=arguments, **values))
        self._count_change(connection)
        return self.queue(connection, asked.name)

    def drop(self, connection: Connection, name: str) -> None:
        existing = self.queues(connection, [name]).get(name)
        if existing is None:
            return
        for state in (message.c.state == READY, message.c.state != READY):  # an index serves one of them, not both
            connection.execute(delete(message).where(message.c.queue_id == existing.id, state))
        connection.execute(delete(binding).where(binding.c.queue_id == existing.id))
        connection.execute(delete(queue).where(queue.c.id == existing.id))
        self._count_change(connection)

    def exchange(self, connection: Connection, name: str) -> ExchangeBindings:
        known = self._exchanges.get(name)
        if known is None:
            row = connection.execute(_EXCHANGE, {"exchange": name}).one_or_none()
            spec = None
            if row is not None:
                spec = ExchangeSpec(row.name, row.type, row.durable, row.auto_delete, _read(row.arguments))
            known = ExchangeBindings(spec, tuple(found for _, found in self._bindings(connection, name)))
            self._exchanges[name] = known
        return known

    def rebind(
        self, connection: Connection, asked: ExchangeSpec, add: Iterable[Binding], remove: Iterable[Binding]
    ) -> None:
        existing = self.exchange(connection, asked.name).spec
        arguments = extended_json.dumps(dict(asked.arguments))
        if existing is not None:
            require_same_exchange(existing, _with(asked, arguments))
        added, removed = [_normal(one) for one in add], [_normal(one) for one in remove]
        ids = {one.queue: self.queue(connection, one.queue).id for one in added}
        present = self._bindings(connection, asked.name)
        gone = [number for number, one in present if one in removed]
        kept = [one for _, one in present if one not in removed]
        new = [one for at, one in enumerate(added) if one not in kept and one not in added[:at]]
        if existing is None:
            values = {"type": asked.type, "durable": asked.durable, "auto_delete": asked.auto_delete}
            connection.execute(insert(exchange).values(name=asked.name, arguments=arguments, **values))
        if gone:
            connection.execute(_UNBIND, {"ids": gone})
        if new:
            connection.execute(insert(binding), [_row(asked.name, ids[one.queue], one) for one in new])
        if existing is None or gone or new:
            self._count_change(connection)

    def forget(self, connection: Connection, name: str) -> None:
        gone = connection.execute(delete(binding).where(binding.c.exchange == name)).rowcount
        gone += connection.execute(delete(exchange).where(exchange.c.name == name)).rowcount
        if gone:
            self._count_change(connection)

    def _bindings(self, connection: Connection, name: str) -> list[tuple[int, Binding]]:
        rows = connection.execute(_BINDINGS, {"exchange": name})
        return [(row.id, Binding(row.name, row.routing_key, _read(row.arguments))) for row in rows]

    def _count_change(self, connection: Connection) -> None:
        connection.execute(_BUMP)
        self._clear()
        self.changed = True


def no_queue(name: str) -> NotFound:
    return NotFound(f"there is no queue {name!r}: declare it first")


def _row(exchange_name: str, queue_id: int, one: Binding) -> dict[str, Any]:
    arguments = extended_json.dumps(dict(one.arguments))
    return {"exchange": exchange_name, "queue_id": queue_id, "routing_key": one.routing_key, "arguments": arguments}


def _read(arguments: bytes) -> dict[str, Any]:
    found: dict[str, Any] = extended_json.loads(arguments)
    return found


def _normal(one: Binding) -> Binding:
    """The binding with its arguments as they come back from the table, where a tuple is a list."""
    return Binding(one.queue, one.routing_key, _read(extended_json.dumps(dict(one.arguments))))


def _with(spec: S, arguments: bytes) -> S:
    return replace(spec, arguments=_read(arguments))
