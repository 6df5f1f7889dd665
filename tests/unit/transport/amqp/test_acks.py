"""Acks against a model of the broker: it never hears of what is not settled, and never what it does not know."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kombu_green.exceptions import MessageStateError
from kombu_green.transport.amqp.acks import Acks
from kombu_green.transport.amqp.methods import BASIC_ACK, BASIC_NACK


class Broker:
    """Waits for the tags that it has delivered, as RabbitMQ's channel does: a tag it does not wait for is a failure."""

    def __init__(self) -> None:
        self.waiting: list[int] = []
        self.acked: list[int] = []
        self.requeued: list[int] = []
        self.dropped: list[int] = []

    def hear(self, frames: bytes) -> int:
        """Returns how many frames there were."""
        count = 0
        while frames:
            size = int.from_bytes(frames[3:7], "big") + 8
            method, tag, bits = int.from_bytes(frames[7:11], "big"), int.from_bytes(frames[11:19], "big"), frames[19]
            frames = frames[size:]
            count += 1
            assert tag in self.waiting, f"406: unknown delivery tag {tag}"
            if method == BASIC_ACK:
                taken = [each for each in self.waiting if each == tag or (bits & 1 and each < tag)]
                self.acked += taken
            else:
                assert method == BASIC_NACK
                taken = [tag]
                (self.requeued if bits & 2 else self.dropped).append(tag)
            self.waiting = [each for each in self.waiting if each not in taken]
        return count


actions = st.lists(
    st.one_of(
        st.tuples(st.just("deliver"), st.integers(2, 10)),
        st.tuples(st.just("ack"), st.integers(0, 50)),
        st.tuples(st.just("ack"), st.integers(0, 50)),
        st.tuples(st.just("skip"), st.just(0)),  # a delivery without ack takes a tag, too
        st.tuples(st.just("ack"), st.integers(0, 50)),
        st.tuples(st.just("ack many"), st.integers(0, 50)),
        st.tuples(st.just("reject"), st.integers(0, 50)),
        st.tuples(st.just("requeue"), st.integers(0, 50)),
        st.tuples(st.just("flush"), st.just(0)),
    ),
    min_size=10,
    max_size=60,
)


@given(actions)
def test_the_broker_hears_what_was_settled_and_nothing_else(todo: list[tuple[str, int]]) -> None:
    acks, broker = Acks(1), Broker()
    last = 0
    held: list[int] = []
    settled: dict[str, set[int]] = {"ack": set(), "reject": set(), "requeue": set()}
    for action, number in todo:
        if action == "deliver":
            for _ in range(number):
                last += 1
                broker.waiting.append(last)
                acks.delivered(last)
                held.append(last)
        elif action == "skip":
            last += 1
        elif action == "flush":
            broker.hear(acks.frames())
            assert acks.frames() == b""
        elif held:
            tag = held[number % len(held)]
            if action == "ack many":
                acks.ack(tag, multiple=True)
                settled["ack"] |= {each for each in held if each <= tag}
                held = [each for each in held if each > tag]
                continue
            acks.ack(tag) if action == "ack" else acks.reject(tag, action == "requeue")
            settled[action].add(tag)
            held.remove(tag)
    broker.hear(acks.frames())
    assert broker.waiting == held
    assert acks.held == len(held)
    assert sorted(broker.acked) == sorted(settled["ack"])
    assert sorted(broker.requeued) == sorted(settled["requeue"])
    assert sorted(broker.dropped) == sorted(settled["reject"])


@given(st.integers(1, 300), st.integers(1, 50))
def test_acks_in_order_are_one_frame(count: int, batch: int) -> None:
    acks, broker = Acks(1), Broker()
    for tag in range(1, count + 1):
        broker.waiting.append(tag)
        acks.delivered(tag)
    for first in range(1, count + 1, batch):
        for tag in range(first, min(first + batch, count + 1)):
            acks.ack(tag)
        assert broker.hear(acks.frames()) == 1
    assert broker.waiting == []


def test_an_older_one_that_still_runs_is_never_acked_along() -> None:
    acks = Acks(1)
    for tag in range(1, 6):
        acks.delivered(tag)
    for tag in (2, 3, 4):
        acks.ack(tag)
    broker = Broker()
    broker.waiting = [1, 2, 3, 4, 5]
    broker.hear(acks.frames())
    assert broker.waiting == [1, 5]


@pytest.mark.parametrize("multiple", [False, True])
def test_a_tag_that_is_not_held_is_refused_and_not_told(multiple: bool) -> None:
    acks = Acks(1)
    acks.delivered(1)
    acks.ack(1)
    for tag in (1, 2):
        with pytest.raises(MessageStateError, match=str(tag)):
            acks.ack(tag, multiple)
        with pytest.raises(MessageStateError, match=str(tag)):
            acks.reject(tag, True)
    assert acks.pending == 1


def test_what_the_broker_took_back_cannot_be_settled_but_the_rest_is_told() -> None:
    acks = Acks(1)
    acks.delivered(1)
    acks.delivered(2)
    acks.ack(1)
    acks.forget()
    with pytest.raises(MessageStateError):
        acks.ack(2)
    assert acks.pending == 1
