"""A receipt settles its take once, and has no effect after the message was taken again."""

from __future__ import annotations

import pytest

from kombu_green.storage.contract import Receipt, Storage
from kombu_green.testing.storage.store_fixtures import LONG, SHORT, StorageTests, bodies, put, take, take_later

__all__ = ["LeaseTests"]


class LeaseTests(StorageTests):
    def test_a_leased_message_is_not_handed_out_again(self, store: Storage, other: Storage) -> None:
        put(store, "q", "a")
        (taken,) = take(store)
        assert taken.takes == 1
        assert taken.receipt.queue == "q"
        assert take(store) == []
        assert take(other) == []

    def test_an_acked_message_is_gone(self, store: Storage, other: Storage) -> None:
        put(store, "q", "a", "b")
        a, b = take(store, count=2, lease=SHORT)
        assert not store.ack([a.receipt, b.receipt])
        put(store, "q", "c")
        assert bodies(take_later(other, {"q": 9})) == ["c"]

    def test_a_receipt_settles_once(self, store: Storage) -> None:
        put(store, "q", "a", "b")
        a, b = take(store, count=2)
        assert not store.ack([a.receipt])
        assert store.ack([a.receipt, b.receipt]) == [a.receipt]
        assert store.release([b.receipt]) == [b.receipt]
        assert store.extend([b.receipt], LONG) == [b.receipt]
        assert not store.ack([])
        assert not store.release([])
        assert not store.extend([], LONG)

    def test_the_same_receipt_twice_in_one_call_does_no_harm(self, store: Storage) -> None:
        put(store, "q", "a", "b")
        a, b = take(store, count=2)
        store.release([a.receipt, a.receipt])
        store.ack([b.receipt, b.receipt])
        assert bodies(take(store, count=9)) == ["a"]

    def test_any_handle_can_settle(self, store: Storage, other: Storage) -> None:
        put(store, "q", "a", "b", "c")
        a, b, c = take(store, count=3)
        assert not other.ack([a.receipt])
        assert not other.release([b.receipt])
        assert not other.extend([c.receipt], LONG)
        assert bodies(take(store, count=9)) == ["b"]

    def test_a_lease_that_ended_hands_the_message_out_again(self, store: Storage, other: Storage) -> None:
        put(store, "q", "a")
        (first,) = take(store, lease=SHORT)
        (second,) = take_later(other, lease=SHORT)
        (third,) = take_later(store)
        assert bodies([first, second, third]) == ["a", "a", "a"]
        assert [reserved.takes for reserved in (first, second, third)] == [1, 2, 3]
        assert len({reserved.receipt.id for reserved in (first, second, third)}) == 1
        assert len({reserved.receipt.token for reserved in (first, second, third)}) == 3

    @pytest.mark.parametrize("verb", ["ack", "release", "extend"])
    def test_a_late_receipt_is_returned_and_leaves_the_new_take_alone(self, store: Storage, verb: str) -> None:
        put(store, "q", "a")
        (first,) = take(store, lease=SHORT)
        (second,) = take_later(store)
        put(store, "q", "b")
        (b,) = take(store)
        receipts = [first.receipt, b.receipt]
        late = {
            "ack": lambda: store.ack(receipts),
            "release": lambda: store.release(receipts),
            "extend": lambda: store.extend(receipts, LONG),
        }[verb]()
        assert late == [first.receipt]
        assert bodies(take(store, count=9)) == (["b"] if verb == "release" else [])
        assert not store.extend([second.receipt], LONG)
        assert not store.ack([second.receipt])

    def test_an_unknown_receipt_is_returned(self, store: Storage) -> None:
        put(store, "q", "a")
        (a,) = take(store)
        wrong = [a.receipt._replace(token=b"never"), a.receipt._replace(id=a.receipt.id + 1000, token=b"")]
        assert store.ack(wrong) == wrong
        assert store.release(wrong) == wrong
        assert store.extend(wrong, LONG) == wrong
        assert not store.ack([a.receipt])

    def test_a_receipt_is_not_valid_after_its_release(self, store: Storage) -> None:
        put(store, "q", "a")
        (first,) = take(store)
        store.release([first.receipt])
        assert store.ack([first.receipt]) == [first.receipt]
        (second,) = take(store)
        assert second.takes == 2
        assert second.receipt.token != first.receipt.token
        assert store.release([first.receipt]) == [first.receipt]
        assert take(store) == []

    def test_a_longer_lease(self, store: Storage) -> None:
        put(store, "q", "a", "b")
        a, b = take(store, count=2, lease=10 * SHORT)
        assert not store.extend([a.receipt], LONG)
        assert bodies(take_later(store, {"q": 9})) == ["b"]
        assert not store.ack([a.receipt])
        assert store.ack([b.receipt]) == [b.receipt]

    def test_a_shorter_lease(self, store: Storage) -> None:
        put(store, "q", "a")
        (a,) = take(store, lease=LONG)
        assert not store.extend([a.receipt], SHORT)
        (again,) = take_later(store)
        assert again.takes == 2
        assert store.ack([a.receipt]) == [a.receipt]

    def test_many_receipts_at_once(self, store: Storage) -> None:
        put(store, "q", *(str(i) for i in range(50)))
        receipts = [reserved.receipt for reserved in take(store, count=50)]
        assert len(receipts) == len(set(receipts)) == 50
        gone = [Receipt("q", receipt.id, b"gone") for receipt in receipts[:5]]
        assert list(store.extend([*receipts[:20], *gone], LONG)) == gone
        assert list(store.release([*gone, *receipts[:10]])) == gone
        assert list(store.ack(receipts)) == receipts[:10]
        assert store.size("q") == 10

    def test_closing_gives_nothing_back(self, store: Storage, other: Storage) -> None:
        put(store, "q", "a", "b")
        (a,) = take(other)
        other.close()
        other.close()
        assert bodies(take(store, count=9)) == ["b"]
        assert not store.ack([a.receipt])
