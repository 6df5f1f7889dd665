from __future__ import annotations

from collections import Counter
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from kombu_green.message import Message
from kombu_green.transport.virtual.prefetch import UNLIMITED_BATCH, VirtualConsumer, fair_shares, rotated, takers


def ignore(message: Message) -> None: ...


def consumer(tag: str, queue: str = "q", prefetch: int = 0, held: int = 0) -> VirtualConsumer:
    return VirtualConsumer(tag, queue, ignore, prefetch, held=held)


class TestConsumer:
    def test_free_is_what_the_prefetch_leaves(self) -> None:
        assert consumer("a", prefetch=5, held=2).free == 3
        assert consumer("a", prefetch=5, held=7).free == 0

    def test_without_limit_it_takes_batches(self) -> None:
        assert consumer("a", held=10_000).free == UNLIMITED_BATCH


class TestShares:
    def test_wants_are_summed_by_queue_and_full_consumers_ask_for_nothing(self) -> None:
        consumers = [
            consumer("a", "video", prefetch=3),
            consumer("b", "video", prefetch=2, held=2),
            consumer("c", "video", prefetch=4, held=1),
            consumer("d", "audio", prefetch=1),
        ]
        shares, wants = fair_shares(consumers)
        assert wants == {"video": 6, "audio": 1}
        assert [share.consumer.tag for share in shares] == ["a", "c", "d"]

    def test_cancelled_consumers_have_no_share(self) -> None:
        gone = consumer("a")
        gone.cancelled = True
        assert fair_shares([gone]) == ([], {})

    @given(st.lists(st.integers(1, 8), min_size=1, max_size=5), st.data())
    def test_messages_are_dealt_in_turn_and_no_more_than_asked(self, counts: list[int], data: st.DataObject) -> None:
        shares, wants = fair_shares(consumer(str(number), prefetch=count) for number, count in enumerate(counts))
        arrived = data.draw(st.integers(0, wants["q"]))
        got = Counter(each.tag for each in islice(takers(shares)["q"], arrived))
        assert sum(got.values()) == arrived
        for number, count in enumerate(counts):
            assert got[str(number)] <= count
        # a consumer that had room for more is at most one turn behind
        best = max(got.values(), default=0)
        assert all(got[str(number)] >= min(count, best - 1) for number, count in enumerate(counts))


def test_rotated_begins_elsewhere_and_keeps_all() -> None:
    three = [consumer(tag) for tag in "abc"]
    assert [each.tag for each in rotated(three, 4)] == ["b", "c", "a"]
    assert rotated([], 3) == []
