"""Who is told to have held a message for half of its time, and when somebody looks."""

from __future__ import annotations

import logging
from time import monotonic
from typing import Any

import gevent
import pytest

from kombu_green.clock import Deadline
from kombu_green.entity import Queue
from kombu_green.ipc.message_keys import BY_ID, identity_prefix
from kombu_green.ipc.recorder import Recorder
from kombu_green.testing import stress_service
from kombu_green.worker.long_callbacks import LongCallbacks, hold_limits
from kombu_green.worker.spec import ConsumerSpec

ID = identity_prefix("q", BY_ID)


@pytest.mark.parametrize(
    ("argument", "seconds"), [(None, 1800.0), (60_000, 60.0), (1500, 1.5), (0, 1800.0), (True, 1800.0), ("1h", 1800.0)]
)
def test_a_queue_may_say_itself_how_long(argument: Any, seconds: float) -> None:
    arguments = {} if argument is None else {"x-consumer-timeout": argument}
    assert hold_limits([ConsumerSpec(Queue("q", queue_arguments=arguments))], 1800.0) == {"q": seconds}


def test_what_is_acked_early_and_what_may_stay_for_ever_is_not_looked_at() -> None:
    early, late = ConsumerSpec(Queue("early"), ack="early"), ConsumerSpec(Queue("late"))
    assert hold_limits([early, late], 60.0) == {"late": 60.0}
    assert hold_limits([early, late], 0.0) == {}


def test_a_running_one_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(2)
    watch = LongCallbacks(recorder, {"q": 0.2})
    watch.start()
    for number in (1, 2):
        recorder.row(number).begin(recorder.name("q", "media:handle"), ID + b"m%d" % number, monotonic())
    begun = monotonic()
    with caplog.at_level(logging.WARNING), gevent.Timeout(10):
        while len(caplog.records) < 2:
            gevent.sleep(0.001)
        assert monotonic() - begun >= 0.099
        recorder.row(1).end()
        recorder.row(1).begin(recorder.name("q", "media:handle"), ID + b"m3", monotonic())
        while len(caplog.records) < 3:
            gevent.sleep(0.001)
    watch.stop(Deadline.after(1))
    told: list[Any] = caplog.records
    assert [(each.event, each.message_id) for each in told] == [("long callback", f"m{number}") for number in (1, 2, 3)]
    assert "message m1 of queue q in media:handle runs for 0.1 s, half of the 0.2 s" in told[0].getMessage()
    assert "ack = early" in told[0].getMessage()


def test_it_starts_and_stops_as_every_service() -> None:
    recorder = Recorder(1)
    stress_service(lambda: LongCallbacks(recorder, {"q": 1.0}))
