"""One connection to one store, which its transport and its channels share.

It routes, dead-letters, and knows the queues that are exclusive to it.  What it knows of the store is remembered as
follows: bindings are as fresh as the store says; the declaration of a queue is read again after :data:`REMEMBERED`
seconds.  So a queue that was deleted and declared with other arguments is noticed within that time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from kombu_green.declarations import QueueSpec
from kombu_green.exceptions import NotFound
from kombu_green.routing import Router
from kombu_green.storage.contract import ExchangeBindings, QueueInfo, Reserved, Storage
from kombu_green.transport.virtual.death_headers import cycles, dead_content
from kombu_green.transport.virtual.deliveries import Deliveries
from kombu_green.transport.virtual.queue_arguments import check_queue_support, put_for
from kombu_green.transport.virtual.unacked import LeaseKeeper

__all__ = ["REMEMBERED", "StoreConnection"]

#: seconds for which the declaration of a queue is remembered
REMEMBERED: Final = 1.0


class StoreConnection:
    """An open store, and what one connection to it needs: routes, leases, deliveries.  *lease* is in seconds."""

    def __init__(self, store: Storage, lease: float) -> None:
        self.store = store
        self.lease: Final = lease
        self.leases: Final = LeaseKeeper(store, lease)
        self.deliveries: Final = Deliveries(store, lease)
        self._routers: dict[str, tuple[ExchangeBindings, Router]] = {}
        self._queues: dict[str, tuple[float, QueueSpec]] = {}  # with the time until which it is remembered
        self._exclusive: set[str] = set()

    # -- queues

    def declare_queue(self, spec: QueueSpec) -> QueueInfo:
        """Raises :exc:`~kombu_green.exceptions.UnsupportedOption` for arguments that the store cannot honour."""
        check_queue_support(spec, self.store.capabilities)
        found = self.store.declare(spec)
        self._queues.pop(spec.name, None)
        if spec.exclusive:
            self._exclusive.add(spec.name)
        return found

    def drop_queue(self, name: str) -> None:
        self.store.drop(name)
        self._queues.pop(name, None)
        self._exclusive.discard(name)

    def queue(self, name: str) -> QueueSpec | None:
        """The queue's declaration, or None when there is no such queue."""
        now = time.monotonic()
        known = self._queues.get(name)
        if known is not None and now < known[0]:
            return known[1]
        found = self.store.describe(name)
        if found is None:
            self._queues.pop(name, None)  # that it does not exist is not remembered: it may be declared at any moment
            return None
        self._queues[name] = (now + REMEMBERED, found.spec)
        return found.spec

    # -- routing

    def route(self, exchange: str, routing_key: str, headers: Mapping[str, Any]) -> Sequence[QueueSpec]:
        """The queues that take the message; :exc:`NotFound` when the exchange was not declared."""
        names = (routing_key,) if not exchange else self._router(exchange).route(routing_key, headers)
        return [spec for name in names if (spec := self.queue(name)) is not None]

    def _router(self, exchange: str) -> Router:
        found = self.store.bindings(exchange)
        known = self._routers.get(exchange)
        if known is not None and known[0] is found:
            return known[1]
        if found.spec is None:
            self._routers.pop(exchange, None)
            raise NotFound(f"there is no exchange {exchange!r}: declare it first")
        router = Router(found.spec.type, found.bindings)
        self._routers[exchange] = (found, router)
        return router

    # -- dead-lettering

    def dead_letter(self, reserved: Reserved, reason: str) -> None:
        """Move a message as the ``x-dead-letter-*`` arguments of its queue say; without them it is deleted.

        It is put at the dead-letter exchange before it is deleted here, so it may come twice, but is never lost.
        """
        spec = self.queue(reserved.receipt.queue)
        exchange = spec.arguments.get("x-dead-letter-exchange") if spec is not None else None
        if spec is not None and exchange is not None:
            self._publish_dead(reserved, spec, exchange, reason)
        self.store.ack([reserved.receipt])

    def _publish_dead(self, reserved: Reserved, spec: QueueSpec, exchange: str, reason: str) -> None:
        routing_key = spec.arguments.get("x-dead-letter-routing-key", reserved.routing_key)
        dead = dead_content(reserved, reason, now=int(time.time()))
        try:
            queues = self.route(exchange, routing_key, dead.headers)
        except NotFound:
            queues = ()  # as in RabbitMQ: the message is dropped if the exchange does not exist
        self.store.put(
            [put_for(target, dead, exchange, routing_key) for target in queues if not cycles(dead.headers, target.name)]
        )

    # -- end

    def drop_exclusive_queues(self) -> None:
        for queue in self._exclusive:
            self.store.drop(queue)

    def close(self) -> None:
        """End the renewal of leases, end all waits, close the store.  Close the channels before."""
        self.leases.close()
        self.deliveries.close()
        self.store.close()
