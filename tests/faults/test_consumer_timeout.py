"""RabbitMQ closes the channel when a message is held for longer than ``consumer_timeout``.

The worker warns at half of that time, consumes again, and logs the reason.  A message acked early may take any time.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fleet import RabbitMQFleet
from tests.support.launcher import until
from tests.support.rabbitmq import RabbitMQ

HELD = 5.0  # seconds that the callback takes; the broker looks every half second
HELD_EARLY = 3.0


@pytest.fixture
def impatient(rabbitmq: RabbitMQ) -> Iterator[RabbitMQ]:
    """The shared server, with a ``consumer_timeout`` of a second during the test."""
    timeout, tick = _exchanged(rabbitmq, "1000", "500")
    yield rabbitmq
    _exchanged(rabbitmq, timeout, tick)


def _exchanged(server: RabbitMQ, timeout: str, tick: str) -> tuple[str, str]:
    """Set both values in milliseconds; returns the previous ones."""
    before = server.evaluate(
        "Before = [application:get_env(rabbit, Name, undefined) || Name <- [consumer_timeout, channel_tick_interval]],"
        f" application:set_env(rabbit, consumer_timeout, {timeout}),"
        f" application:set_env(rabbit, channel_tick_interval, {tick}), Before."
    )
    before_timeout, before_tick = before.strip(" \n[]").split(",")
    return before_timeout, before_tick


@pytest.mark.timeout(120)
def test_after_a_consumer_timeout_the_worker_consumes_again(tmp_path: Path, impatient: RabbitMQ) -> None:
    fleet = RabbitMQFleet(tmp_path, impatient)
    fleet.publish([0])
    settings = ["worker.consumer_timeout=1s"]
    with fleet.launch(processes=1, longest=HELD, callback="overstay", settings=settings) as launched:
        child = launched.wait_for("ready")["child"]
        until(lambda: fleet.handled().get(0) == [child], "handled by the second delivery")
        until(lambda: fleet.handled().get(0) == [child, child], "the first one ends, too late")
        fleet.publish([1])
        until(lambda: fleet.begun() == 3, "the next one is delivered")
        launched.signal(signal.SIGTERM)
        launched.wait_for("draining", child=child)
        assert launched.exit_code() == 0
        warnings = [event["message"] for event in launched.events if "not consuming" in event["message"]]
        assert "restarting" not in launched.log()
        told = [event for event in launched.events if event.get("event") == "long callback"]
    assert "consumer_timeout" in warnings[0]
    assert len(told) == len({event["key"] for event in told}) == 2  # each message once
    assert 0.5 <= told[0]["seconds"] < 1.0
    assert (told[0]["queue"], told[0]["limit"]) == (fleet.queue, 1.0)


@pytest.mark.timeout(120)
def test_a_message_acked_early_may_take_longer_and_is_still_retried(tmp_path: Path, impatient: RabbitMQ) -> None:
    fleet = RabbitMQFleet(tmp_path, impatient)
    fleet.publish([0, 1])
    settings = ["worker.consumer_timeout=1s", "consumer:jobs.ack=early"]
    how = {"processes": 1, "concurrency": 1, "longest": HELD_EARLY, "callback": "linger"}
    with fleet.launch(**how, settings=settings) as launched:  # type: ignore[arg-type]  # each is of its own type
        child = launched.wait_for("ready")["child"]
        until(lambda: len(fleet.handled()) == 2, "both handled, one at a time, at the second attempt")
        launched.signal(signal.SIGTERM)
        assert launched.exit_code() == 0
        log = launched.log()
    assert fleet.handled() == {0: [child], 1: [child]}
    assert (fleet.begun(0), fleet.begun(1)) == (2, 2)
    assert "long callback" not in log
    assert "not consuming" not in log
    assert fleet.waiting() == 0
