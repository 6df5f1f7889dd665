"""Queues: declared, compared, counted, emptied and dropped; puts that are all or none."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from kombu_green.declarations import QueueSpec
from kombu_green.exceptions import NotFound, PreconditionFailed
from kombu_green.storage.contract import Storage
from kombu_green.testing.storage.base import LONG, StorageTests, bodies, message, put, take

__all__ = ["Queues"]


class Queues(StorageTests):
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
    def test_a_mismatch_names_the_queue_and_the_argument(
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

    def test_every_verb_names_the_queue_that_is_not_there(self, store: Storage) -> None:
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

    def test_purge_deletes_what_is_ready_and_nothing_else(self, store: Storage) -> None:
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

    def test_a_queue_declared_elsewhere_can_be_used_at_once(self, store: Storage, other: Storage) -> None:
        with pytest.raises(NotFound):
            put(store, "new", "a")
        other.declare(QueueSpec("new"))
        put(store, "new", "a")
        assert bodies(take(other, "new")) == ["a"]

    def test_the_declaration_cannot_be_changed_from_outside(self, store: Storage) -> None:
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
