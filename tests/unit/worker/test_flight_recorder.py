"""What a slot writes into its row, and by what a message is recognized when it is delivered again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import greenlet
import pytest

from kombu_green.clock import Deadline
from kombu_green.connection import Connection
from kombu_green.entity import Queue
from kombu_green.ipc.message_keys import message_key
from kombu_green.ipc.recorder import NO_ROW, RecorderReader, RowState, anonymous_file
from kombu_green.message import Content, Message
from kombu_green.messaging import Producer
from kombu_green.worker.flight_recorder import FlightRecorder, MessageKeys, RecorderOptions

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
        flight.assign_row()
        work()

    gevent.spawn(run).get()


def test_a_row_says_what_is_at_work_and_has_the_hub(flight: FlightRecorder, recording: RecorderReader) -> None:
    def work() -> None:
        flight.row().begin(flight.recorder.name("video", "media:handle"), KEY, 7.0, 5.0)
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


def made(body: bytes = b"x", **changes: Any) -> Message:
    info = changes.pop("delivery_info", {"redelivered": False})
    headers = changes.pop("headers", {})
    return Message(Content(body, "text/plain", "utf-8", headers, changes), delivery_info=info)


def key(message: Message, queue: str = "q") -> bytes:
    return message_key(MessageKeys(queue).material(message))


def test_what_it_is_made_of_is_never_taken_for_a_key() -> None:
    for one in (made(b""), made(message_id="1"), made(delivery_info={"stored_as": 1})):
        material = MessageKeys("").material(one)
        assert len(material) > len(message_key(material)) == 16


@pytest.mark.parametrize(
    "again",
    [
        lambda: made(delivery_info={"redelivered": True}),
        lambda: made(headers={"x-delivery-count": 2}),
        lambda: made(headers={"x-acquired-count": 2}),
    ],
)
def test_it_is_the_same_when_it_comes_again(again: Callable[[], Message]) -> None:
    assert key(again()) == key(made())


def test_others_differ() -> None:
    different = [
        key(made()),
        key(made(), "another queue"),
        key(made(b"y")),
        key(made(headers={"poison": True})),
        key(made(priority=3)),
        key(made(message_id="1")),
        key(made(message_id="2")),
        key(made(delivery_info={"stored_as": 1})),
        key(made(delivery_info={"stored_as": 2})),
    ]
    assert len(set(different)) == len(different)


def test_an_id_is_all_that_counts_when_there_is_one() -> None:
    assert key(made(b"one", message_id="7")) == key(made(b"two", message_id="7", headers={"a": 1}))


@pytest.mark.parametrize("id", [chr(0xD800), chr(0xDC80), 7, ["a"], "x" * 100_000])
def test_no_id_is_too_odd(id: object) -> None:
    assert key(made(message_id=id)) == key(made(message_id=id)) != key(made())
    assert len(key(made(message_id=id), chr(0xD800))) == 16


def test_a_store_knows_it_by_its_number(connection: Connection) -> None:
    queue = Queue("q")(connection.channel())
    queue.declare()
    producer = Producer(connection, routing_key="q")
    producer.publish("same")
    producer.publish("same")
    first, second = queue.get(), queue.get()
    assert first is not None
    assert second is not None
    known = key(first)
    assert known != key(second)
    first.requeue()
    again = queue.get()
    assert again is not None
    assert again.delivery_info["redelivered"]
    assert key(again) == known
