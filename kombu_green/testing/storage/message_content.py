"""What is put is what is taken: bodies, properties, headers of unusual types; and nothing mutable is shared."""

from __future__ import annotations

from datetime import UTC, date, datetime
from datetime import time as clock_time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from kombu_green.exceptions import EncodeError
from kombu_green.message import Content
from kombu_green.storage.contract import Put, Storage
from kombu_green.testing.storage.store_fixtures import SHORT, StorageTests, bodies, message, take, take_later

__all__ = ["MessageContentTests"]

HEADERS: dict[str, Any] = {
    "text": "ünïcode \x00 ☃ \U0001f40d",
    "bytes": b"\x00\xff\xfe",
    "plain bytes": b"abc",
    "datetime": datetime(2026, 1, 31, 12, 30, 15, 123456),
    "aware": datetime(2026, 1, 31, tzinfo=UTC),
    "date": date(2026, 1, 31),
    "time": clock_time(23, 59),
    "decimal": Decimal("1.10"),
    "uuid": UUID(int=5),
    "nested": {"list": [1, {"deep": None}, [], {}], "": "empty name"},
    "big": 2**70,
    "float": 0.1,
    "true": True,
    "none": None,
}


class MessageContentTests(StorageTests):
    @pytest.mark.parametrize(
        "body",
        [b"", bytes(range(256)), b"\x00", b"\xc3\x28 not UTF-8", b"x" * 2**20],
        ids=["empty", "all byte values", "zero", "not text", "1 MiB"],
    )
    def test_a_body_is_bytes_and_comes_out_as_it_went_in(self, store: Storage, other: Storage, body: bytes) -> None:
        limit = store.capabilities.max_size
        if limit is not None and len(body) > limit:
            pytest.skip(f"this store takes bodies of {limit} bytes at most")
        store.put([message("q", body)])
        (taken,) = take(other)
        assert type(taken.content.body) is bytes
        assert taken.content.body == body

    def test_headers_properties_and_routing_are_kept(self, store: Storage, other: Storage) -> None:
        properties = {"delivery_mode": 2, "priority": 3, "correlation_id": "c", "expiration": "5000", "timestamp": 17}
        content = Content(b"b", "application/json", "utf-8", dict(HEADERS), properties)
        store.put([Put("q", content, exchange="media", routing_key="video.new ☃", priority=3, expires=1.9e9)])
        (taken,) = take(other)
        assert taken.content == Content(b"b", "application/json", "utf-8", HEADERS, properties)
        for name, value in HEADERS.items():
            assert type(taken.content.headers[name]) is type(value), name
        assert (taken.exchange, taken.routing_key) == ("media", "video.new ☃")
        assert taken.expires == 1.9e9

    def test_a_header_that_looks_like_a_marked_type(self, store: Storage) -> None:
        headers = {"marker": {"__type__": "not registered", "__value__": 1}}
        try:
            store.put([Put("q", Content(b"b", headers=headers))])
        except EncodeError:
            assert store.size("q") == 0
        else:
            assert take(store)[0].content.headers == headers

    def test_what_was_not_set_stays_unset(self, store: Storage) -> None:
        store.put([Put("q", Content(b"b"))])
        (taken,) = take(store)
        assert taken.content == Content(b"b", None, None, {}, {})
        assert (taken.exchange, taken.routing_key, taken.priority, taken.expires) == ("", "", 0, None)

    def test_a_publisher_may_change_its_dictionaries_after_the_put(self, store: Storage) -> None:
        headers: dict[str, Any] = {"n": 1, "nested": {"list": [1]}}
        properties: dict[str, Any] = {"priority": 1}
        store.put([Put("q", Content(b"b", headers=headers, properties=properties))])
        headers["n"] = 2
        headers["nested"]["list"].append(2)
        properties.clear()
        (taken,) = take(store)
        assert taken.content.headers == {"n": 1, "nested": {"list": [1]}}
        assert taken.content.properties == {"priority": 1}

    def test_a_consumer_may_change_what_it_took(self, store: Storage) -> None:
        store.put([Put("q", Content(b"b", headers={"n": 1, "nested": {"list": [1]}}))])
        (first,) = take(store, lease=SHORT)
        (second,) = take_later(store)
        for taken in first, second:
            taken.content.headers["n"] = 5
            taken.content.headers["nested"]["list"].append(2)
        store.release([second.receipt])
        (third,) = take(store)
        assert third.content.headers == {"n": 1, "nested": {"list": [1]}}

    def test_one_content_in_two_queues_is_two_messages(self, store: Storage) -> None:
        content = Content(b"b", headers={"n": 1})
        store.put([Put("q", content), Put("q", content)])
        one, two = take(store, count=2)
        one.content.headers["n"] = 2
        assert two.content.headers == {"n": 1}
        assert not store.ack([one.receipt])
        assert not store.release([two.receipt])
        assert store.size("q") == 1

    def test_a_header_that_cannot_be_stored_stores_nothing(self, store: Storage) -> None:
        bad = Put("q", Content(b"bad", headers={"generator": iter(())}))
        try:
            store.put([message("q", "good"), bad])
        except EncodeError:
            assert store.size("q") == 0
        else:  # a store may be able to keep even that
            assert store.purge("q") == 2
        store.put([message("q", "good")])
        assert bodies(take(store)) == ["good"]
