"""When collected writes go out."""

from __future__ import annotations

from kombu_green.transport.amqp.acks import Acks
from kombu_green.transport.amqp.collecting import MOST_WRITES, Collected
from kombu_green.transport.amqp.methods import ack_frame


def settled(collected: Collected, acks: Acks, tag: int) -> bool:
    """What :meth:`Collected.add` says when *tag* is acked."""
    first = not acks.pending
    acks.ack(tag)
    if first:
        collected.settled(acks)
    return collected.add()


def due(collected: Collected) -> tuple[bool, bool]:
    """Whether it goes out before the turn ends, and before the next message is handed over."""
    return collected.many, collected.enough


def test_the_first_write_asks_for_the_end_of_the_turn_and_many_go_out_before_it() -> None:
    acks, collected = Acks(1), Collected()
    for tag in range(1, MOST_WRITES + 2):
        acks.delivered(tag)
    assert settled(collected, acks, 1)
    for tag in range(2, MOST_WRITES):
        assert not settled(collected, acks, tag)
        assert not collected.many
    assert not settled(collected, acks, MOST_WRITES)
    assert due(collected) == (True, True)
    assert collected.take() == ack_frame(1, MOST_WRITES, True)
    assert due(collected) == (False, False)
    assert settled(collected, acks, MOST_WRITES + 1)  # whoever is next is the first again


def test_what_waited_too_long_is_enough_however_little_it_is() -> None:
    collected = Collected()
    assert due(collected) == (False, False)
    collected.add()
    while due(collected) != (False, True):  # for a few milliseconds
        pass
    assert collected.take() == b""
    assert due(collected) == (False, False)
