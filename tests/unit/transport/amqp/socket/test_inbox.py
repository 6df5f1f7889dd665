"""Arrivals that wait to be handed over, and the bound beyond which the socket is not read."""

from __future__ import annotations

from typing import Any

import gevent
import pytest
from gevent.hub import Hub

from kombu_green.clock import Deadline
from kombu_green.exceptions import ConnectionLost
from kombu_green.transport.amqp.protocol.parser import Delivery
from kombu_green.transport.amqp.socket.inbox import MOST_BYTES, MOST_MESSAGES, Arrival, Inbox


class Target:
    """A consumer that is never called."""

    def hand_over(self, delivery: Delivery) -> None:
        raise AssertionError(delivery)


class Room:
    """Counts how often the inbox said that it has room again."""

    def __init__(self) -> None:
        self.said = 0

    def __call__(self) -> None:
        self.said += 1


def hub() -> Hub:
    return gevent.get_hub()


def arrival(consumer: Target, tag: int = 1, body: bytes = b"") -> Arrival:
    return Arrival(consumer, Delivery(1, b"tag", tag, 0, b"\0\0", b"\0\0", body))


def tags(arrivals: Any) -> list[int]:
    return [each.delivery.delivery_tag for each in arrivals]


def is_full(inbox: Inbox) -> bool:
    return inbox.full


@pytest.mark.parametrize(("count", "body"), [(MOST_MESSAGES, b""), (64, b"x" * (MOST_BYTES // 64))])
def test_it_is_full_from_the_bound_on_until_it_is_half_empty(count: int, body: bytes) -> None:
    room = Room()
    inbox, consumer = Inbox(hub(), room), Target()
    for tag in range(count):
        assert not is_full(inbox)
        inbox.put(arrival(consumer, tag, body))
    assert is_full(inbox)
    for _ in range(count // 2 - 1):
        inbox.pop()
        assert (is_full(inbox), room.said) == (True, 0)
    inbox.pop()
    assert (is_full(inbox), room.said) == (False, 1)


def test_taking_out_a_consumer_leaves_the_others_in_order() -> None:
    room = Room()
    inbox, one, other = Inbox(hub(), room), Target(), Target()
    for tag in range(MOST_MESSAGES):
        inbox.put(arrival(one if tag % 4 else other, tag))
    assert tags(inbox.take_out((one,))) == [tag for tag in range(MOST_MESSAGES) if tag % 4]
    assert (is_full(inbox), room.said) == (False, 1)
    assert tags(inbox.arrivals) == list(range(0, MOST_MESSAGES, 4))


def test_an_error_is_raised_once() -> None:
    inbox, error = Inbox(hub(), Room()), ConnectionLost("gone")
    inbox.put_error(error)
    with pytest.raises(ConnectionLost, match="gone") as raised:
        inbox.raise_error()
    assert raised.value is not error
    inbox.raise_error()


def test_an_announcement_wakes_as_many_as_there_are_arrivals_and_closing_wakes_all() -> None:
    inbox = Inbox(hub(), Room())
    waiting = [gevent.spawn(inbox.wait, Deadline.after(20)) for _ in range(3)]
    gevent.idle()
    inbox.put(arrival(Target()))
    inbox.announce()
    waiting[0].get(timeout=20)
    assert not waiting[1].ready()
    inbox.close()
    gevent.joinall(waiting, timeout=20, raise_error=True)
    assert len(inbox) == 0
