"""Confirms against a model of the broker, in whatever order and however bundled they come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kombu_green.exceptions import MessageNacked, ProtocolError, Unroutable
from kombu_green.transport.amqp.confirms import Confirms
from kombu_green.transport.amqp.events import Confirmed
from kombu_green.transport.amqp.methods import Route

HERE = Route("media", "video")
THERE = Route("media", "audio")


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans(), st.booleans()), max_size=30), st.integers(1, 30))
def test_each_publish_is_settled_once_with_its_own_verdict(said: list[tuple[int, bool, bool]], count: int) -> None:
    confirms = Confirms()
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


def test_returned_ones_are_matched_first_in_first_out() -> None:
    confirms = Confirms()
    same = [confirms.published(HERE, b"same") for _ in range(3)]
    other = confirms.published(THERE, b"same")
    confirms.published(HERE)
    assert confirms.returned(HERE, b"same") is same[0]
    assert confirms.returned(THERE, b"same") is other
    assert confirms.returned(HERE, b"same") is same[1]
    assert confirms.returned(HERE, b"another") is None
    confirms.confirmed(Confirmed(1, 5, True, True))
    assert [type(pending.error) for pending in (*same, other)] == [Unroutable, Unroutable, type(None), Unroutable]


def test_what_was_confirmed_twice_is_nobodys() -> None:
    confirms = Confirms()
    confirms.published(HERE)
    assert confirms.confirmed(Confirmed(1, 1, False, True))
    assert confirms.confirmed(Confirmed(1, 1, False, True)) == []


def test_what_was_never_published_breaks_the_protocol() -> None:
    confirms = Confirms()
    confirms.published(HERE)
    with pytest.raises(ProtocolError, match="publish 2"):
        confirms.confirmed(Confirmed(1, 2, True, True))


def test_zero_confirms_all() -> None:
    confirms = Confirms()
    flight = [confirms.published(HERE) for _ in range(3)]
    assert confirms.confirmed(Confirmed(1, 0, True, True)) == flight
