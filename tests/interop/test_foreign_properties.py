"""A message with any properties that RabbitMQ accepts is handled or dead-lettered, and never stuck.

RabbitMQ refuses invalid properties by closing the producer's connection, so these never arrive.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from struct import pack
from typing import Any

import pytest

from kombu_green.connection import Connection
from kombu_green.dispatch.history import ATTEMPTS, REASON, UNREADABLE, UNWRITABLE, attempt_of
from kombu_green.dispatch.outcome import DeadLetter, Failure, Retry, Verdict
from kombu_green.dispatch.registry import Registry
from kombu_green.entity import Queue
from kombu_green.green.threads import Threads
from kombu_green.message import Content, Message
from kombu_green.messaging import Consumer
from kombu_green.republish import dead_queue
from kombu_green.transport.amqp.protocol.properties import PropertyPacker
from kombu_green.worker.dispatcher import Dispatcher
from kombu_green.worker.settler import Counters, Settler
from kombu_green.worker.spec import ConsumerSpec
from tests.interop.test_kombu_amqp import HEADERS, PROPERTIES, WHEN
from tests.support.foreign import Foreign

PATIENCE = 30.0
BODY = b'{"id": 7}'
FAILURE = Failure("builtins.ValueError", "bad", "Traceback …\n" * 500)


def table(*entries: bytes) -> bytes:
    """Properties that are headers alone, each entry with its name before it."""
    inside = b"".join(b"\x01a" + entry for entry in entries)
    return b"\x20\0" + pack(">I", len(inside)) + inside


def nested(depth: int, letter: bytes) -> bytes:
    inside = b""
    for _ in range(depth):
        name = b"\x01a" if letter == b"F" else b""
        inside = name + letter + pack(">I", len(inside)) + inside
    return table(inside.removeprefix(b"\x01a"))


CRAFTED: dict[str, bytes] = {
    "tables nested 33 times": nested(34, b"F"),
    "tables nested 5000 times": nested(5000, b"F"),
    "arrays nested 5000 times": nested(5000, b"A"),
    "a header as large as a frame": table(b"S" + pack(">I", 131_000) + b"x" * 131_000),
    "a header that leaves little room": table(b"S" + pack(">I", 128_000) + b"x" * 128_000),
    "a time beyond the year 9999": table(b"T" + pack(">Q", 2**64 - 1)),
    "a timestamp of 64 bits": b"\0\x40" + pack(">Q", 2**64 - 1),
    "a delivery mode that there is not": b"\x10\0\x07",
    "names and values that are no UTF-8": b"\xb0\0\x01\xff\0\0\0\x09\x01\xffS\0\0\0\2\xff\xfe\1",
    "a decimal of 255 places": table(b"D\xff" + pack(">i", -1)),
    "not a number": table(b"d" + pack(">d", float("nan"))),
    "an expiration with a sign": b"\x01\0\x07+900000",
    "an exchange's headers of the broker's own": table(b"V"),
    **{
        f"letter {letter}": table(letter.encode() + value)
        for letter, value in {
            "b": b"\xff", "B": b"\xff", "s": b"\xff\xfe", "u": b"\xff\xfe", "I": b"\xff" * 4, "i": b"\xff" * 4,
            "l": b"\xff" * 8, "L": b"\xff" * 8, "f": b"\xff" * 4, "d": b"\0" * 8, "t": b"\2", "V": b"",
            "x": b"\0\0\0\1\xff", "S": b"\0\0\0\1\xff", "U": b"\xff\xfe",
        }.items()
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)  # what is set aside is logged, some hundred times here


def stumble(body: Any, message: Message) -> Verdict:
    attempt = attempt_of(message.headers, message.delivery_info["routing_key"])
    return Retry(0.0, FAILURE) if attempt == 1 else DeadLetter("enough", FAILURE)


@pytest.fixture
def dispatcher(connection: Connection, name: str) -> Dispatcher:
    """The worker's dispatcher for the queue, with a callback that fails twice."""
    for queue in (name, dead_queue(name)):
        Queue(queue)(connection.default_channel).declare()
    registry = Registry()
    registry.register(stumble, queue=name)
    settler = Settler(name, lambda: connection.default_channel, Counters())
    return Dispatcher(ConsumerSpec(Queue(name)), registry, settler.settle, Threads(1))


@pytest.mark.parametrize("properties", CRAFTED.values(), ids=CRAFTED)
def test_messages_with_crafted_properties_are_handled_or_dead_lettered(
    kombu: Foreign, connection: Connection, dispatcher: Dispatcher, properties: bytes
) -> None:
    if kombu.call("publish_raw", routing_key=dispatcher.queue, body=BODY, properties=properties):
        go_through(connection, dispatcher)


def test_undecodable_property_bytes_are_kept(kombu: Foreign, connection: Connection, dispatcher: Dispatcher) -> None:
    properties = CRAFTED["tables nested 5000 times"]
    kombu.call("publish_raw", routing_key=dispatcher.queue, body=BODY, properties=properties)
    found = go_through(connection, dispatcher)
    assert found.headers[UNREADABLE] == properties
    assert "nested deeper" in found.headers[REASON]


def test_headers_that_leave_no_room_for_history_are_recorded(
    kombu: Foreign, connection: Connection, dispatcher: Dispatcher
) -> None:
    properties = CRAFTED["a header as large as a frame"]
    kombu.call("publish_raw", routing_key=dispatcher.queue, body=BODY, properties=properties)
    found = go_through(connection, dispatcher)
    assert found.headers[ATTEMPTS] == 1
    assert "xxxx" in found.headers[UNWRITABLE]


def test_a_consumer_dead_letters_unreadable_messages(kombu: Foreign, connection: Connection, name: str) -> None:
    connection.default_channel.queue_declare(name)
    properties = CRAFTED["tables nested 5000 times"]
    assert kombu.call("publish_raw", routing_key=name, body=BODY, properties=properties)
    kombu.call("publish", body={"id": 8}, routing_key=name)
    bodies: list[Any] = []
    consumer = Consumer(connection.channel(), Queue(name), callbacks=[lambda body, message: bodies.append(body)])
    with consumer:
        while not bodies:
            connection.drain_events(timeout=PATIENCE)
    assert bodies == [{"id": 8}]
    dead = Queue(dead_queue(name))(connection.default_channel).get()
    assert dead is not None
    assert dead.headers[UNREADABLE] == properties


def test_most_crafted_messages_pass_the_broker(kombu: Foreign, dispatcher: Dispatcher) -> None:
    taken = {
        name
        for name, properties in CRAFTED.items()
        if kombu.call("publish_raw", routing_key=dispatcher.queue, body=BODY, properties=properties)
    }
    assert {"tables nested 5000 times", "a header as large as a frame", "a timestamp of 64 bits"} <= taken


def test_messages_with_mutated_properties_are_handled_or_dead_lettered(
    kombu: Foreign, connection: Connection, dispatcher: Dispatcher
) -> None:
    taken = 0
    for properties in mutations(random.Random(20), 300):
        if kombu.call("publish_raw", routing_key=dispatcher.queue, body=BODY, properties=properties):
            taken += 1
            go_through(connection, dispatcher)
    assert taken > 30


def mutations(chance: random.Random, count: int) -> Iterator[bytes]:
    packer = PropertyPacker()
    whole = packer.pack(
        Content(BODY, "application/json", "utf-8", HEADERS | {"when": WHEN, "raw": b"\xff"}, PROPERTIES)
    )
    few = packer.pack(Content(BODY, "application/json", "utf-8", {"a": [1, {"b": "c"}]}, {"priority": 1}))
    for _ in range(count):
        mutated = bytearray(chance.choice((whole, few)))
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            # the length of the table, at which most mutations would end, is changed seldom
            at = chance.choice((chance.randrange(len(mutated)), chance.randrange(28, len(mutated))))
            mutated[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, ord("F"), ord("A"), chance.randrange(256)))
        yield bytes(mutated)


def go_through(connection: Connection, dispatcher: Dispatcher) -> Message:
    """Handle the message as often as it is delivered; returns its dead letter."""
    queue, dead = (Queue(name)(connection.default_channel) for name in (dispatcher.queue, dead_queue(dispatcher.queue)))
    for _ in range(2):
        message = queue.get()
        if message is None:
            break
        assert message.body == BODY
        dispatcher.dispatch(message)
        assert message.acknowledged
    assert queue.get() is None
    found = dead.get()
    assert found is not None
    assert dead.get() is None
    assert found.body == BODY
    assert isinstance(found.headers[REASON], str)
    found.ack()
    return found
