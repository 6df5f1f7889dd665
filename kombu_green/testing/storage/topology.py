"""Exchanges and their bindings, kept in the store so that any process can route."""

from __future__ import annotations

import pytest

from kombu_green.declarations import ExchangeSpec, QueueSpec
from kombu_green.exceptions import NotFound, PreconditionFailed
from kombu_green.routing import Binding
from kombu_green.storage.contract import Storage
from kombu_green.testing.storage.base import StorageTests

__all__ = ["Exchanges"]

E = ExchangeSpec("e", "topic")


class Exchanges(StorageTests):
    def test_an_exchange_that_nobody_declared(self, store: Storage) -> None:
        topology = store.bindings("nowhere")
        assert topology.spec is None
        assert list(topology.bindings) == []

    def test_an_exchange_is_kept_as_it_was_declared(self, store: Storage, other: Storage) -> None:
        spec = ExchangeSpec("x", "headers", durable=False, auto_delete=True, arguments={"alternate-exchange": "y"})
        store.rebind(spec)
        for handle in store, other:
            assert handle.bindings("x").spec == spec
            assert list(handle.bindings("x").bindings) == []

    def test_bindings_are_seen_everywhere_at_once(self, store: Storage, other: Storage) -> None:
        store.declare(QueueSpec("r"))
        first = [Binding("q", "a.#"), Binding("r", "a.#"), Binding("q", "", {"x-match": "any", "n": 1, "deep": [{}]})]
        assert other.bindings("e").spec is None
        store.rebind(E, add=first)
        assert same(other, first)
        other.rebind(E, add=[Binding("r", "b")], remove=[Binding("q", "a.#")])
        for handle in store, other:
            assert same(handle, [*first[1:], Binding("r", "b")])

    def test_binding_twice_is_binding_once(self, store: Storage) -> None:
        one, two = Binding("q", "k"), Binding("q", "k", {"n": 1})
        store.rebind(E, add=[one, two, one])
        store.rebind(E, add=[two, one])
        assert same(store, [one, two])
        store.rebind(E, remove=[one, one, Binding("q", "other"), Binding("nowhere", "k")])
        store.rebind(E, remove=[one])
        assert same(store, [two])

    def test_rebinding_is_all_or_none(self, store: Storage, other: Storage) -> None:
        store.rebind(E, add=[Binding("q", "a")])
        with pytest.raises(NotFound, match="nowhere"):
            store.rebind(E, add=[Binding("q", "b"), Binding("nowhere", "c")], remove=[Binding("q", "a")])
        with pytest.raises(NotFound, match="nowhere"):
            store.rebind(ExchangeSpec("half"), add=[Binding("nowhere", "c")])
        for handle in store, other:
            assert same(handle, [Binding("q", "a")])
            assert handle.bindings("half").spec is None

    @pytest.mark.parametrize(
        ("asked", "named"),
        [
            (ExchangeSpec("e", "direct"), "type"),
            (ExchangeSpec("e", "topic", durable=False), "durable"),
            (ExchangeSpec("e", "topic", auto_delete=True), "auto_delete"),
            (ExchangeSpec("e", "topic", arguments={"alternate-exchange": "y"}), "alternate-exchange"),
        ],
    )
    def test_a_mismatch_names_the_exchange_and_the_argument(
        self, store: Storage, other: Storage, asked: ExchangeSpec, named: str
    ) -> None:
        store.rebind(E)
        for handle in store, other:
            with pytest.raises(PreconditionFailed, match=f"'e'.*{named}"):
                handle.rebind(asked, add=[Binding("q", "k")])
        assert store.bindings("e").spec == E
        assert same(store, [])

    def test_a_dropped_queue_takes_its_bindings_along(self, store: Storage, other: Storage) -> None:
        store.declare(QueueSpec("r"))
        store.rebind(E, add=[Binding("q", "a"), Binding("r", "b")])
        assert same(other, [Binding("q", "a"), Binding("r", "b")])
        store.drop("q")
        for handle in store, other:
            assert same(handle, [Binding("r", "b")])
        store.declare(QueueSpec("q"))
        assert same(other, [Binding("r", "b")])

    def test_a_forgotten_exchange_is_gone(self, store: Storage, other: Storage) -> None:
        store.rebind(E, add=[Binding("q", "a")])
        store.rebind(ExchangeSpec("stays"), add=[Binding("q", "a")])
        assert same(other, [Binding("q", "a")])
        store.forget("e")
        store.forget("e")
        for handle in store, other:
            assert handle.bindings("e").spec is None
            assert same(handle, [])
            assert same(handle, [Binding("q", "a")], "stays")
        other.rebind(ExchangeSpec("e", "fanout"))
        assert store.bindings("e").spec == ExchangeSpec("e", "fanout")
        assert same(store, [])


def same(store: Storage, expected: list[Binding], exchange: str = "e") -> bool:
    """Whether these are the bindings, in whatever order."""
    found = list(store.bindings(exchange).bindings)
    return len(found) == len(expected) and all(binding in found for binding in expected)
