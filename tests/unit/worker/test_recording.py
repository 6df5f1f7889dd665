"""What a slot writes down at its desk."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import greenlet
import pytest

from kombu_green.clock import Deadline
from kombu_green.control.recorder import NOBODY, Recording, RowState, anonymous_file
from kombu_green.message import Content, Message
from kombu_green.worker.recording import FlightRecorder

KEY = bytes(range(16))


def message(**properties: Any) -> Message:
    return Message(Content(b"x", "text/plain", "utf-8", {}, properties), delivery_info={})


@pytest.fixture
def recording() -> Iterator[Recording]:
    made = Recording(anonymous_file("recorder"))
    yield made
    made.close()


@pytest.fixture
def flight(recording: Recording) -> Iterator[FlightRecorder]:
    made = FlightRecorder(2, os.dup(recording._fd))
    made.start()
    yield made
    made.stop(Deadline.after(0))
    assert greenlet.gettrace() is None


def in_slot(flight: FlightRecorder, work: Callable[[], object]) -> None:
    def run() -> None:
        flight.sit()
        work()

    gevent.spawn(run).get()


def test_a_row_says_what_is_at_work_and_has_the_hub(flight: FlightRecorder, recording: Recording) -> None:
    def work() -> None:
        before = time.monotonic()
        flight.desk().begin(flight.name("video", "media:handle"), message(message_id="nr ä"), KEY, 5.0, False)
        (row,) = recording.rows()
        assert (row.number, row.queue, row.callback, row.key, row.id) == (1, "video", "media:handle", KEY, "nr ä")
        assert (row.limit, row.state, recording.hub) == (5.0, RowState.RUNNING, 1)
        assert before <= row.since <= time.monotonic()
        flight.desk().end()
        assert not recording.rows()

    in_slot(flight, work)
    assert recording.hub == NOBODY


def test_an_offloaded_one_is_told_as_such(flight: FlightRecorder, recording: Recording) -> None:
    in_slot(flight, lambda: flight.desk().begin(0, message(), KEY, 0.0, True))
    assert [row.state for row in recording.rows()] == [RowState.OFFLOADED]


def test_each_slot_has_a_row_of_its_own(flight: FlightRecorder, recording: Recording) -> None:
    for _ in range(2):
        in_slot(flight, lambda: flight.desk().begin(0, message(), KEY, 0.0, False))
    assert [row.number for row in recording.rows()] == [1, 2]


@pytest.mark.parametrize("id", ["x" * 1000, "\ud800", "\0", 7])
def test_no_id_is_too_odd_to_be_written(flight: FlightRecorder, recording: Recording, id: object) -> None:
    in_slot(flight, lambda: flight.desk().begin(0, message(message_id=id), KEY, 0.0, False))
    assert len(recording.rows()) == 1
