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
from kombu_green.ipc.recorder import Recorder, Row, RowState
from kombu_green.testing import stress_service
from kombu_green.worker.overstay import Overstays, longest_stays, overstaying
from kombu_green.worker.spec import ConsumerSpec

KEY = bytes(range(16))
ID = identity_prefix("q", BY_ID)
STAYS = {"slow": 100.0, "slower": 1000.0}
NOBODY: frozenset[tuple[int, float]] = frozenset()


def row(number: int, queue: str, since: float) -> Row:
    return Row(number, queue, "media:handle", KEY, "", since, 0.0, RowState.RUNNING)


@pytest.mark.parametrize(
    ("argument", "seconds"), [(None, 1800.0), (60_000, 60.0), (1500, 1.5), (0, 1800.0), (True, 1800.0), ("1h", 1800.0)]
)
def test_a_queue_may_say_itself_how_long(argument: Any, seconds: float) -> None:
    arguments = {} if argument is None else {"x-consumer-timeout": argument}
    assert longest_stays([ConsumerSpec(Queue("q", queue_arguments=arguments))], 1800.0) == {"q": seconds}


def test_what_is_acked_early_and_what_may_stay_for_ever_is_not_looked_at() -> None:
    early, late = ConsumerSpec(Queue("early"), ack="early"), ConsumerSpec(Queue("late"))
    assert longest_stays([early, late], 60.0) == {"late": 60.0}
    assert longest_stays([early, late], 0.0) == {}


def test_at_half_of_its_queues_time_and_not_before() -> None:
    rows = [row(1, "slow", 0.0), row(2, "slower", 0.0), row(3, "slow", 1.0), row(4, "another", -5000.0)]
    found, next_look = overstaying(rows, STAYS, NOBODY, 50.0)
    assert [each.number for each in found] == [1]
    assert next_look == 51.0  # when row 3 has reached it


def test_what_begins_after_a_look_cannot_be_late_for_the_next() -> None:
    assert overstaying([], STAYS, NOBODY, 7.0) == ([], 57.0)
    assert overstaying([row(1, "slower", 6.0)], STAYS, NOBODY, 7.0) == ([], 57.0)


def test_who_was_told_is_not_told_again_and_its_row_may_have_another() -> None:
    told = frozenset({(1, 0.0)})
    assert overstaying([row(1, "slow", 0.0)], STAYS, told, 60.0) == ([], 110.0)
    found, _ = overstaying([row(1, "slow", 0.5)], STAYS, told, 60.0)
    assert found


def test_a_running_one_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(2)
    overstays = Overstays(recorder, {"q": 0.2})
    overstays.start()
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
    overstays.stop(Deadline.after(1))
    told: list[Any] = caplog.records
    assert [(each.event, each.message_id) for each in told] == [("overstays", f"m{number}") for number in (1, 2, 3)]
    assert "message m1 of queue q in media:handle runs for 0.1 s, half of the 0.2 s" in told[0].getMessage()
    assert "ack = early" in told[0].getMessage()


def test_it_starts_and_stops_as_every_service() -> None:
    recorder = Recorder(1)
    stress_service(lambda: Overstays(recorder, {"q": 1.0}))
