"""Queues and exchanges: declared, compared, bound, counted, purged and dropped."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from kombu_green.declarations import ExchangeSpec, QueueSpec
from kombu_green.exceptions import NotFound, PreconditionFailed
from kombu_green.routing import Binding
from kombu_green.storage.contract import Storage
from kombu_green.testing.storage.store_fixtures import LONG, StorageTests, bodies, message, put, take

__all__ = ["ExchangeTests", "QueueTests"]

E = ExchangeSpec("e", "topic")


class QueueTests(StorageTests):
    def test_a_declared_queue_is_described_as_it_was_declared(self, store: Storage, other: Storage) -> None:
        arguments = {"x-max-priority": 5, "x-dead-letter-exchange": "dead", "x-odd": [1, {"a": None}]}
        spec = QueueSpec("described", durable=False, auto_delete=True, arguments=arguments)
        assert store.declare(spec).ready == 0
        for handle in store, other:
            info = handle.describe("described")
            assert info is not None
            assert info.spec == spec
            assert info.ready == 0

    def test_declaring_the_same_again_counts_what_is_ready(self, store: Storage, other: Storage) -> None:
        put(store, "q", "a", "b")
        take(store)
        assert store.declare(QueueSpec("q")).ready == 1
        assert other.declare(QueueSpec("q")).ready == 1

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"durable": False}, "durable"),
            ({"exclusive": True}, "exclusive"),
            ({"auto_delete": True}, "auto_delete"),
            ({"arguments": {"x-message-ttl": 2000}}, "x-message-ttl"),
            ({"arguments": {}}, "x-message-ttl"),
            ({"arguments": {"x-message-ttl": 1000, "x-expires": 5}}, "x-expires"),
        ],
    )
    def test_another_declaration_of_a_queue_names_it_and_the_argument(
        self, store: Storage, other: Storage, change: dict[str, Any], named: str
    ) -> None:
        there: dict[str, Any] = {"arguments": {"x-message-ttl": 1000}}
        store.declare(QueueSpec("fixed", **there))
        for handle in store, other:
            with pytest.raises(PreconditionFailed, match=f"fixed.*{named}"):
                handle.declare(QueueSpec("fixed", **there | change))
        info = store.describe("fixed")
        assert info is not None
        assert info.spec == QueueSpec("fixed", **there)

    def test_an_unknown_queue_is_described_as_none(self, store: Storage) -> None:
        assert store.describe("nowhere") is None

    def test_an_error_names_the_queue_that_does_not_exist(self, store: Storage) -> None:
        with pytest.raises(NotFound, match="nowhere"):
            put(store, "nowhere", "a")
        with pytest.raises(NotFound, match="nowhere"):
            store.size("nowhere")
        with pytest.raises(NotFound, match="nowhere"):
            store.purge("nowhere")
        store.drop("nowhere")

    def test_a_reserve_that_asks_an_unknown_queue_takes_nothing(self, store: Storage) -> None:
        put(store, "q", "a")
        with pytest.raises(NotFound, match="nowhere"):
            store.reserve({"q": 1, "nowhere": 1}, lease=LONG)
        assert bodies(take(store)) == ["a"]

    def test_a_put_is_all_or_none(self, store: Storage) -> None:
        with pytest.raises(NotFound, match="nowhere"):
            store.put([message("q", "a"), message("nowhere", "b"), message("q", "c")])
        assert store.size("q") == 0
        store.put([])
        store.put([message("q", "a"), message("q", "b")])
        assert store.size("q") == 2

    def test_size_counts_what_can_be_taken_now(self, store: Storage, other: Storage) -> None:
        put(store, "q", "a", "b", "c")
        put(store, "q", "late", delay=LONG)
        take(store)
        assert store.size("q") == 2
        assert other.size("q") == 2

    def test_purge_deletes_ready_messages_and_nothing_else(self, store: Storage) -> None:
        store.declare(QueueSpec("neighbour"))
        put(store, "neighbour", "n")
        put(store, "q", "leased", "a", "b")
        put(store, "q", "late", delay=LONG)
        (leased,) = take(store)
        assert store.purge("q") == 2
        assert store.purge("q") == 0
        assert store.size("neighbour") == 1
        assert not store.extend([leased.receipt], LONG)
        assert not store.release([leased.receipt])
        assert bodies(take(store, count=9)) == ["leased"]

    def test_a_dropped_queue_is_gone_with_all_its_messages(self, store: Storage, other: Storage) -> None:
        put(store, "q", "leased", "a")
        put(store, "q", "late", delay=LONG)
        (leased,) = take(store)
        other.drop("q")
        assert store.describe("q") is None
        with pytest.raises(NotFound):
            put(store, "q", "b")
        assert store.ack([leased.receipt]) == [leased.receipt]
        store.declare(QueueSpec("q", arguments={"x-expires": 1000}))
        assert store.size("q") == 0
        assert take(store) == []
        assert store.release([leased.receipt]) == [leased.receipt]
        assert store.size("q") == 0

    def test_an_error_of_one_call_leaves_the_store_connected(self, store: Storage) -> None:
        assert store.connected
        with pytest.raises(NotFound):
            put(store, "nowhere", "a")
        assert store.connected

    def test_a_queue_declared_elsewhere_can_be_used_at_once(self, store: Storage, other: Storage) -> None:
        with pytest.raises(NotFound):
            put(store, "new", "a")
        other.declare(QueueSpec("new"))
        put(store, "new", "a")
        assert bodies(take(other, "new")) == ["a"]

    def test_a_declaration_does_not_share_the_callers_arguments(self, store: Storage) -> None:
        arguments: dict[str, Any] = {"x-nested": {"a": [1]}}
        store.declare(QueueSpec("own", arguments=arguments))
        arguments["x-nested"]["a"].append(2)
        store.declare(QueueSpec("own", arguments={"x-nested": {"a": [1]}}))

    def test_names_may_hold_any_text(self, store: Storage, other: Storage) -> None:
        for name in ("ünïcode ☃", "a.b:c/d\\e", "'; DROP TABLE q; --", "%s ? :x", " ", "q" * 255):
            store.declare(QueueSpec(name))
            put(store, name, name)
            assert bodies(take(other, name)) == [name]

    def test_arguments_of_unusual_types_compare_equal_after_a_round_trip(self, store: Storage, other: Storage) -> None:
        spec = QueueSpec("odd", arguments={"x-when": datetime(2026, 1, 31, 12, 0), "x-flag": True, "x-none": None})
        store.declare(spec)
        other.declare(spec)
        with pytest.raises(PreconditionFailed, match="x-flag"):
            other.declare(QueueSpec("odd", arguments={**spec.arguments, "x-flag": 1}))


class ExchangeTests(StorageTests):
    def test_an_undeclared_exchange_has_no_spec_and_no_bindings(self, store: Storage) -> None:
        found = store.bindings("nowhere")
        assert found.spec is None
        assert list(found.bindings) == []

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
        assert is_bound(other, first)
        other.rebind(E, add=[Binding("r", "b")], remove=[Binding("q", "a.#")])
        for handle in store, other:
            assert is_bound(handle, [*first[1:], Binding("r", "b")])

    def test_exchanges_and_bindings_do_not_share_the_callers_arguments(self, store: Storage) -> None:
        declared: dict[str, Any] = {"x-nested": {"a": [1]}}
        bound: dict[str, Any] = {"x-match": "any", "deep": [1]}
        store.rebind(ExchangeSpec("own", "headers", arguments=declared), add=[Binding("q", "", bound)])
        declared["x-nested"]["a"].append(2)
        bound["deep"].append(2)
        found = store.bindings("own")
        assert found.spec == ExchangeSpec("own", "headers", arguments={"x-nested": {"a": [1]}})
        assert list(found.bindings) == [Binding("q", "", {"x-match": "any", "deep": [1]})]

    def test_binding_twice_is_binding_once(self, store: Storage) -> None:
        one, two = Binding("q", "k"), Binding("q", "k", {"n": 1})
        store.rebind(E, add=[one, two, one])
        store.rebind(E, add=[two, one])
        assert is_bound(store, [one, two])
        store.rebind(E, remove=[one, one, Binding("q", "other"), Binding("nowhere", "k")])
        store.rebind(E, remove=[one])
        assert is_bound(store, [two])

    def test_rebinding_is_all_or_none(self, store: Storage, other: Storage) -> None:
        store.rebind(E, add=[Binding("q", "a")])
        with pytest.raises(NotFound, match="nowhere"):
            store.rebind(E, add=[Binding("q", "b"), Binding("nowhere", "c")], remove=[Binding("q", "a")])
        with pytest.raises(NotFound, match="nowhere"):
            store.rebind(ExchangeSpec("half"), add=[Binding("nowhere", "c")])
        for handle in store, other:
            assert is_bound(handle, [Binding("q", "a")])
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
    def test_another_declaration_of_an_exchange_names_it_and_the_argument(
        self, store: Storage, other: Storage, asked: ExchangeSpec, named: str
    ) -> None:
        store.rebind(E)
        for handle in store, other:
            with pytest.raises(PreconditionFailed, match=f"'e'.*{named}"):
                handle.rebind(asked, add=[Binding("q", "k")])
        assert store.bindings("e").spec == E
        assert is_bound(store, [])

    def test_a_dropped_queue_takes_its_bindings_along(self, store: Storage, other: Storage) -> None:
        store.declare(QueueSpec("r"))
        store.rebind(E, add=[Binding("q", "a"), Binding("r", "b")])
        assert is_bound(other, [Binding("q", "a"), Binding("r", "b")])
        store.drop("q")
        for handle in store, other:
            assert is_bound(handle, [Binding("r", "b")])
        store.declare(QueueSpec("q"))
        assert is_bound(other, [Binding("r", "b")])

    def test_a_forgotten_exchange_is_gone(self, store: Storage, other: Storage) -> None:
        store.rebind(E, add=[Binding("q", "a")])
        store.rebind(ExchangeSpec("stays"), add=[Binding("q", "a")])
        assert is_bound(other, [Binding("q", "a")])
        store.forget("e")
        store.forget("e")
        for handle in store, other:
            assert handle.bindings("e").spec is None
            assert is_bound(handle, [])
            assert is_bound(handle, [Binding("q", "a")], "stays")
        other.rebind(ExchangeSpec("e", "fanout"))
        assert store.bindings("e").spec == ExchangeSpec("e", "fanout")
        assert is_bound(store, [])


def is_bound(store: Storage, expected: list[Binding], exchange: str = "e") -> bool:
    """Whether these are the bindings, in whatever order."""
    found = list(store.bindings(exchange).bindings)
    return len(found) == len(expected) and all(binding in found for binding in expected)
