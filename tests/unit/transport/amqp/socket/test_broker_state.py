"""When heartbeats are due and missing, with a clock of numbers; and waiting while the broker is blocked."""

from __future__ import annotations

import gevent
import pytest

from kombu_green.clock import Deadline
from kombu_green.exceptions import BrokerBlocked
from kombu_green.transport.amqp.socket.broker_state import BlockedState, HeartbeatTimer


@pytest.mark.parametrize("interval", [1, 2, 10, 60])
def test_something_is_sent_at_least_every_interval(interval: int) -> None:
    timer = HeartbeatTimer(interval, 0.0)
    now, sends, last = 0.0, 0, 0.0
    while now < 5 * interval:
        now += timer.pause
        if timer.due(now, sends):
            sends += 1
            last = now
            timer.due(now, sends)
        assert now - last < interval


def test_what_was_sent_anyway_saves_a_heartbeat() -> None:
    timer = HeartbeatTimer(10, 0.0)
    for second in range(100):
        assert not timer.due(float(second), second)


def test_two_intervals_of_silence_are_the_end() -> None:
    timer = HeartbeatTimer(10, 0.0)
    assert not timer.silent(120.0, 100.0)
    assert timer.silent(120.1, 100.0)


def test_none_are_agreed_on() -> None:
    timer = HeartbeatTimer(0, 0.0)
    assert not timer.due(1e6, 0)
    assert not timer.silent(1e6, 0.0)
    assert timer.pause > 0


def test_blocked_publishers_wait_until_the_broker_accepts_messages_again(caplog: pytest.LogCaptureFixture) -> None:
    blocked = BlockedState(gevent.get_hub(), "broker")
    blocked.block("low on memory")
    blocked.block("low on disk")
    waiting = gevent.spawn(blocked.wait, Deadline.after(20), "publish")
    gevent.idle()
    assert (waiting.ready(), blocked.reason, blocked.times) == (False, "low on disk", 1)
    blocked.unblock()
    waiting.get(timeout=20)
    assert [record.levelname for record in caplog.records if record.levelname == "WARNING"] == ["WARNING"]


def test_a_deadline_that_passes_while_it_is_blocked_says_so() -> None:
    blocked, late = BlockedState(gevent.get_hub(), "broker"), TimeoutError("publish: the deadline passed")
    assert blocked.deadline_error(late) is late
    blocked.block("low on memory")
    error = blocked.deadline_error(late)
    assert isinstance(error, BrokerBlocked)
    assert str(error) == "publish: the deadline passed: the broker takes no messages: low on memory"
