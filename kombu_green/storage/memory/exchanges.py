"""Exchanges of the memory store, and the queues that are bound to them."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace

from kombu_green.declarations import ExchangeSpec
from kombu_green.routing import Binding
from kombu_green.storage.contract import ExchangeBindings
from kombu_green.storage.declaration_rules import require_same_exchange

__all__ = ["MemoryExchanges"]

_UNDECLARED = ExchangeBindings(None)


class MemoryExchanges:
    """A change of an exchange replaces its :class:`~kombu_green.storage.contract.ExchangeBindings` by a new object.

    What changes nothing leaves the object, so a router that was compiled from it stays valid.
    """

    def __init__(self) -> None:
        self._bindings: dict[str, ExchangeBindings] = {}

    def get(self, name: str) -> ExchangeBindings:
        return self._bindings.get(name, _UNDECLARED)

    def rebind(self, exchange: ExchangeSpec, add: Iterable[Binding], remove: Iterable[Binding]) -> None:
        """Raises :exc:`~kombu_green.exceptions.PreconditionFailed` when it was declared with other arguments."""
        existing, removed = self.get(exchange.name), list(remove)
        if existing.spec is not None:
            require_same_exchange(existing.spec, exchange)
        kept = [binding for binding in existing.bindings if binding not in removed]
        for binding in add:
            if binding not in kept:
                kept.append(replace(binding, arguments=deepcopy(dict(binding.arguments))))
        if existing.spec is None or kept != existing.bindings:
            spec = existing.spec or replace(exchange, arguments=deepcopy(dict(exchange.arguments)))
            self._bindings[exchange.name] = ExchangeBindings(spec, kept)

    def unbind_queue(self, queue: str) -> None:
        for name, existing in self._bindings.items():
            kept = [binding for binding in existing.bindings if binding.queue != queue]
            if kept != existing.bindings:
                self._bindings[name] = ExchangeBindings(existing.spec, kept)

    def forget(self, name: str) -> None:
        self._bindings.pop(name, None)
