"""Which queues take a message: the store's bindings, compiled, and the queues' declarations, remembered.

Bindings are as fresh as the store says.  A queue's declaration is looked at again after :data:`REMEMBERED` seconds,
so a queue that was deleted and declared anew with another time to live is noticed within that time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from kombu_green.declarations import QueueSpec
from kombu_green.exceptions import NotFound
from kombu_green.routing import Router
from kombu_green.storage.contract import ExchangeBindings, Storage

__all__ = ["Routes"]

REMEMBERED: Final = 1.0


class Routes:
    """Routing for one connection."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._compiled: dict[str, tuple[ExchangeBindings, Router]] = {}
        self._queues: dict[str, tuple[float, QueueSpec | None]] = {}

    def route(self, exchange: str, routing_key: str, headers: Mapping[str, Any]) -> Sequence[QueueSpec]:
        """The queues that take it; :exc:`NotFound` when nobody declared the exchange."""
        names = (routing_key,) if not exchange else self._router(exchange).route(routing_key, headers)
        return [spec for name in names if (spec := self.queue(name)) is not None]

    def queue(self, name: str) -> QueueSpec | None:
        """The queue's declaration, or None when there is no such queue."""
        now = time.monotonic()
        known = self._queues.get(name)
        if known is not None and now < known[0]:
            return known[1]
        found = self._storage.describe(name)
        if found is None:
            self._queues.pop(name, None)  # it may be declared at any moment: do not remember that it is not there
            return None
        self._queues[name] = (now + REMEMBERED, found.spec)
        return found.spec

    def forget_queue(self, name: str) -> None:
        self._queues.pop(name, None)

    def _router(self, exchange: str) -> Router:
        topology = self._storage.bindings(exchange)
        known = self._compiled.get(exchange)
        if known is not None and known[0] is topology:
            return known[1]
        if topology.spec is None:
            self._compiled.pop(exchange, None)
            raise NotFound(f"there is no exchange {exchange!r}: declare it first")
        router = Router(topology.spec.type, topology.bindings)
        self._compiled[exchange] = (topology, router)
        return router
