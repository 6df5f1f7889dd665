"""What a slot writes down in its row."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import gevent
import greenlet
import pytest

from kombu_green.clock import Deadline
from kombu_green.ipc.recorder import NO_ROW, RecorderReader, RowState, anonymous_file
from kombu_green.worker.recording import FlightRecorder, RecorderOptions

KEY = bytes(range(16))


@pytest.fixture
def recording() -> Iterator[RecorderReader]:
    made = RecorderReader(anonymous_file("recorder"))
    yield made
    made.close()


@pytest.fixture
def flight(recording: RecorderReader) -> Iterator[FlightRecorder]:
    made = FlightRecorder(2, RecorderOptions(os.dup(recording._fd), 0.0, 0.0), {})
    made.start()
    yield made
    made.stop(Deadline.after(0))
    assert greenlet.gettrace() is None


def in_slot(flight: FlightRecorder, work: Callable[[], object]) -> None:
    def run() -> None:
        flight.sit()
        work()

    gevent.spawn(run).get()


def test_a_row_says_what_is_at_work_and_has_the_hub(flight: FlightRecorder, recording: RecorderReader) -> None:
    def work() -> None:
        flight.row().begin(flight.name("video", "media:handle"), KEY, 7.0, 5.0)
        (row,) = recording.rows()
        assert (row.number, row.queue, row.callback, row.key) == (1, "video", "media:handle", KEY)
        assert (row.since, row.limit, row.state, recording.hub) == (7.0, 5.0, RowState.RUNNING, 1)
        flight.row().end()
        assert not recording.rows()

    in_slot(flight, work)
    assert recording.hub == NO_ROW


def test_each_slot_has_a_row_of_its_own(flight: FlightRecorder, recording: RecorderReader) -> None:
    for _ in range(2):
        in_slot(flight, lambda: flight.row().begin(0, KEY, 1.0))
    assert [row.number for row in recording.rows()] == [1, 2]


def test_what_a_slot_has_spawned_is_its_own_until_its_message_ends(
    flight: FlightRecorder, recording: RecorderReader
) -> None:
    seen: list[int] = []

    def look() -> None:
        seen.append(recording.hub)
        gevent.sleep(0)
        seen.append(recording.hub)

    def work() -> None:
        flight.row().begin(0, KEY, 1.0)
        child = gevent.spawn(look)
        gevent.sleep(0)
        flight.row().end()
        child.get()

    in_slot(flight, work)
    assert seen == [1, NO_ROW]
