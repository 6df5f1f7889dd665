"""Consumer acks and publisher confirms against models of the broker."""

from __future__ import annotations

import pytest
from amqp.serialization import dumps
from hypothesis import given
from hypothesis import strategies as st

from kombu_green.exceptions import MessageNacked, MessageStateError, ProtocolError, Unroutable
from kombu_green.transport.amqp.protocol.acks import (
    MOST_GIVEN_UP,
    ConsumerAcks,
    PublisherConfirms,
    ack_frame,
    nack_frame,
)
from kombu_green.transport.amqp.protocol.frames import BASIC_ACK, BASIC_NACK
from kombu_green.transport.amqp.protocol.parser import Confirmed, MessageRoute

HERE = MessageRoute("media", "video")
THERE = MessageRoute("media", "audio")


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
def test_the_broker_is_told_exactly_what_was_acked_and_rejected(todo: list[tuple[str, int]]) -> None:
    acks, broker = ConsumerAcks(1), Broker()
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
    assert acks.unacked == len(held)
    assert sorted(broker.acked) == sorted(settled["ack"])
    assert sorted(broker.requeued) == sorted(settled["requeue"])
    assert sorted(broker.dropped) == sorted(settled["reject"])


@given(st.integers(1, 300), st.integers(1, 50))
def test_acks_in_order_are_one_frame(count: int, batch: int) -> None:
    acks, broker = ConsumerAcks(1), Broker()
    for tag in range(1, count + 1):
        broker.waiting.append(tag)
        acks.delivered(tag)
    for first in range(1, count + 1, batch):
        for tag in range(first, min(first + batch, count + 1)):
            acks.ack(tag)
        assert broker.hear(acks.frames()) == 1
    assert broker.waiting == []


def test_an_older_delivery_that_is_unacked_is_never_acked_with_later_ones() -> None:
    acks = ConsumerAcks(1)
    for tag in range(1, 6):
        acks.delivered(tag)
    for tag in (2, 3, 4):
        acks.ack(tag)
    broker = Broker()
    broker.waiting = [1, 2, 3, 4, 5]
    broker.hear(acks.frames())
    assert broker.waiting == [1, 5]


@pytest.mark.parametrize("multiple", [False, True])
def test_a_tag_that_is_not_unacked_is_refused_and_not_written(multiple: bool) -> None:
    acks = ConsumerAcks(1)
    acks.delivered(1)
    acks.ack(1)
    for tag in (1, 2):
        with pytest.raises(MessageStateError, match=str(tag)):
            acks.ack(tag, multiple)
        with pytest.raises(MessageStateError, match=str(tag)):
            acks.reject(tag, True)
    assert acks.pending == 1


def test_forgotten_deliveries_cannot_be_acked_but_pending_acks_are_written() -> None:
    acks = ConsumerAcks(1)
    acks.delivered(1)
    acks.delivered(2)
    acks.ack(1)
    acks.forget()
    with pytest.raises(MessageStateError):
        acks.ack(2)
    assert acks.pending == 1


@given(st.integers(1, 65535), st.integers(0, 2**64 - 1), st.booleans())
def test_acks_and_nacks_are_packed_as_py_amqp_packs_them(channel: int, tag: int, flag: bool) -> None:
    assert parts_of(ack_frame(channel, tag, flag)) == (1, channel, BASIC_ACK, dumps("Lb", (tag, flag)))
    assert parts_of(nack_frame(channel, tag, flag)) == (1, channel, BASIC_NACK, dumps("Lbb", (tag, False, flag)))


def parts_of(frame: bytes) -> tuple[int, int, int, bytes]:
    """Type, channel, method and arguments of a whole frame, whose size and end are right."""
    assert int.from_bytes(frame[3:7], "big") == len(frame) - 8
    assert frame[-1] == 0xCE
    return frame[0], int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[7:11], "big"), frame[11:-1]


# -- publisher confirms


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans(), st.booleans()), max_size=30), st.integers(1, 30))
def test_each_publish_is_settled_once_by_its_own_confirm(said: list[tuple[int, bool, bool]], count: int) -> None:
    confirms = PublisherConfirms()
    flight = {number: confirms.published(HERE) for number in range(1, count + 1)}
    waiting = dict(flight)
    for place, multiple, positive in said:
        if not waiting:
            break
        tag = list(waiting)[place % len(waiting)]
        expected = [number for number in waiting if number == tag or (multiple and number < tag)]
        settled = confirms.confirmed(Confirmed(1, tag, multiple, positive))
        assert [pending.number for pending in settled] == expected
        for number in expected:
            pending = waiting.pop(number)
            assert pending.settled
            assert (pending.error is None) is positive
            assert positive or isinstance(pending.error, MessageNacked)
    assert len(confirms) == len(waiting)
    assert [pending.number for pending in confirms.end()] == list(waiting)
    assert not len(confirms)


def test_a_return_belongs_to_the_first_equal_publish() -> None:
    confirms = PublisherConfirms()
    same = [confirms.published(HERE, b"same") for _ in range(3)]
    other = confirms.published(THERE, b"same")
    confirms.published(HERE)
    assert confirms.returned(HERE, b"same") is same[0]
    assert confirms.returned(THERE, b"same") is other
    assert confirms.returned(HERE, b"same") is same[1]
    assert confirms.returned(HERE, b"another") is None
    confirms.confirmed(Confirmed(1, 5, True, True))
    assert [type(pending.error) for pending in (*same, other)] == [Unroutable, Unroutable, type(None), Unroutable]


def test_a_second_confirm_of_a_publish_settles_nothing() -> None:
    confirms = PublisherConfirms()
    confirms.published(HERE)
    assert confirms.confirmed(Confirmed(1, 1, False, True))
    assert confirms.confirmed(Confirmed(1, 1, False, True)) == []


def test_a_confirm_of_an_unknown_number_is_a_protocol_error() -> None:
    confirms = PublisherConfirms()
    confirms.published(HERE)
    with pytest.raises(ProtocolError, match="publish 2"):
        confirms.confirmed(Confirmed(1, 2, True, True))


def test_a_confirm_of_number_0_with_multiple_confirms_all() -> None:
    confirms = PublisherConfirms()
    flight = [confirms.published(HERE) for _ in range(3)]
    assert confirms.confirmed(Confirmed(1, 0, True, True)) == flight


# -- publishes that are not confirmed


def overdue(confirms: PublisherConfirms, elapsed: float = 1.0, within: float = 3.0) -> list[int]:
    """The numbers of the publishes that are found overdue, which are given up."""
    found = confirms.overdue(elapsed, within)
    for pending in found:
        confirms.give_up(pending)
    return [pending.number for pending in found]


def test_a_publish_without_progress_is_overdue_once() -> None:
    confirms = PublisherConfirms()
    confirms.published(HERE)
    assert [overdue(confirms) for _ in range(3)] == [[], [], []]
    confirms.published(HERE)
    assert [overdue(confirms) for _ in range(6)] == [[1], [], [], [2], [], []]
    assert confirms.given_up == len(confirms) == 2


def test_a_publish_makes_progress_while_those_before_it_are_confirmed() -> None:
    confirms = PublisherConfirms()
    for _ in range(20):
        confirms.published(HERE)
    for number in range(1, 18):  # far longer than a publish may take without progress
        assert not overdue(confirms)
        confirms.confirmed(Confirmed(1, number, False, True))
    assert [overdue(confirms) for _ in range(4)] == [[], [], [], [18, 19, 20]]


def test_a_stuck_publish_is_overdue_while_later_ones_are_confirmed() -> None:
    confirms = PublisherConfirms()
    confirms.published(HERE)
    found = []
    for number in range(2, 8):
        confirms.published(HERE)
        found += overdue(confirms)
        confirms.confirmed(Confirmed(1, number, False, True))
    assert found == [1]


def test_nothing_is_overdue_while_frames_are_being_sent() -> None:
    confirms = PublisherConfirms()
    confirms.published(HERE)
    for _ in range(10):
        assert not overdue(confirms)
        confirms.progress()
    assert [overdue(confirms) for _ in range(4)] == [[], [], [], [1]]


def test_a_publish_that_is_given_up_keeps_no_body_and_its_return_is_still_its_own() -> None:
    confirms = PublisherConfirms()
    first = confirms.published(HERE, b"same")
    confirms.give_up(first)
    assert first.mandatory_body is None
    second = confirms.published(HERE, b"same")
    assert confirms.returned(HERE, b"other") is None
    assert confirms.returned(HERE, b"same") is first
    confirms.confirmed(Confirmed(1, 1, False, True))
    assert isinstance(first.error, Unroutable)
    confirms.confirmed(Confirmed(1, 2, False, True))
    assert (second.settled, second.error) == (True, None)
    assert (len(confirms), confirms.given_up) == (0, 0)


def test_those_that_are_given_up_are_bounded() -> None:
    confirms = PublisherConfirms()
    waited_for = confirms.published(HERE, b"body")
    for _ in range(MOST_GIVEN_UP + 500):
        confirms.give_up(confirms.published(HERE, b"x" * 1000))
    assert confirms.given_up == MOST_GIVEN_UP
    assert len(confirms) == MOST_GIVEN_UP + 1
    assert confirms.confirmed(Confirmed(1, 2, False, True)) == []  # it was forgotten
    assert confirms.confirmed(Confirmed(1, 0, True, True))[0] is waited_for
    assert (len(confirms), confirms.given_up) == (0, 0)


def test_a_publish_of_another_channel_is_not_given_up() -> None:
    before, now = PublisherConfirms(), PublisherConfirms()
    now.published(HERE)
    now.give_up(before.published(HERE))
    assert now.given_up == 0
