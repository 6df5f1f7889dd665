"""A message is known again, and not taken for another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kombu_green.connection import Connection
from kombu_green.entity import Queue
from kombu_green.ipc.message_keys import message_key
from kombu_green.message import Content, Message
from kombu_green.messaging import Producer
from kombu_green.worker.identity import Identity


def made(body: bytes = b"x", **changes: Any) -> Message:
    info = changes.pop("delivery_info", {"redelivered": False})
    headers = changes.pop("headers", {})
    return Message(Content(body, "text/plain", "utf-8", headers, changes), delivery_info=info)


def key(message: Message, queue: str = "q") -> bytes:
    return message_key(Identity(queue).origin(message))


def test_what_it_is_made_of_is_never_taken_for_a_key() -> None:
    for one in (made(b""), made(message_id="1"), made(delivery_info={"stored_as": 1})):
        origin = Identity("").origin(one)
        assert len(origin) > len(message_key(origin)) == 16


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
