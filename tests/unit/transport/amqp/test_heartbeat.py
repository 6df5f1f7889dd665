"""Heartbeats, by a clock that is told."""

from __future__ import annotations

import pytest

from kombu_green.transport.amqp.heartbeat import Heart


@pytest.mark.parametrize("interval", [1, 2, 10, 60])
def test_something_is_sent_at_least_every_interval(interval: int) -> None:
    heart = Heart(interval, 0.0)
    now, sends, last = 0.0, 0, 0.0
    while now < 5 * interval:
        now += heart.pause
        if heart.due(now, sends):
            sends += 1
            last = now
            heart.due(now, sends)
        assert now - last < interval


def test_what_was_sent_anyway_saves_a_heartbeat() -> None:
    heart = Heart(10, 0.0)
    for second in range(100):
        assert not heart.due(float(second), second)


def test_two_intervals_of_silence_are_the_end() -> None:
    heart = Heart(10, 0.0)
    assert not heart.silent(120.0, 100.0)
    assert heart.silent(120.1, 100.0)


def test_none_are_agreed_on() -> None:
    heart = Heart(0, 0.0)
    assert not heart.due(1e6, 0)
    assert not heart.silent(1e6, 0.0)
    assert heart.pause > 0
