"""Exchanges and their bindings, for stores that keep them in this process."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace

from kombu_green.declarations import ExchangeSpec
from kombu_green.routing import Binding
from kombu_green.storage.contract import Topology
from kombu_green.storage.equivalence import check_exchange

__all__ = ["Exchanges"]

_NOTHING = Topology(None)


class Exchanges:
    """Each change makes a new :class:`Topology`; one that changes nothing does not, so that routers stay compiled."""

    def __init__(self) -> None:
        self._topologies: dict[str, Topology] = {}

    def get(self, name: str) -> Topology:
        return self._topologies.get(name, _NOTHING)

    def rebind(self, exchange: ExchangeSpec, add: Iterable[Binding], remove: Iterable[Binding]) -> None:
        """:exc:`~kombu_green.exceptions.PreconditionFailed` when it is there with another argument."""
        there, removed = self.get(exchange.name), list(remove)
        if there.spec is not None:
            check_exchange(there.spec, exchange)
        kept = [binding for binding in there.bindings if binding not in removed]
        for binding in add:
            if binding not in kept:
                kept.append(replace(binding, arguments=deepcopy(dict(binding.arguments))))
        if there.spec is None or kept != there.bindings:
            spec = there.spec or replace(exchange, arguments=deepcopy(dict(exchange.arguments)))
            self._topologies[exchange.name] = Topology(spec, kept)

    def unbind_queue(self, queue: str) -> None:
        for name, there in self._topologies.items():
            kept = [binding for binding in there.bindings if binding.queue != queue]
            if kept != there.bindings:
                self._topologies[name] = Topology(there.spec, kept)

    def forget(self, name: str) -> None:
        self._topologies.pop(name, None)
