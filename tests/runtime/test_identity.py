"""A message has the same key when a real broker delivers it again."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kombu_green.connection import Connection
from kombu_green.entity import Queue
from kombu_green.message import Message
from kombu_green.messaging import Producer
from kombu_green.worker.flight_recorder import MessageKeys


@pytest.fixture(params=["memory", "sqlite", "classic", "quorum"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Queue]:
    """A queue on each kind of broker, bound to a channel."""
    if request.param in ("classic", "quorum"):
        url = str(request.getfixturevalue("rabbitmq").url)
    else:
        url = f"sqla+sqlite:///{tmp_path}/broker.db" if request.param == "sqlite" else f"memory://{uuid.uuid4().hex}"
    arguments = {"x-queue-type": "quorum"} if request.param == "quorum" else None
    with Connection(url) as connection:
        made = Queue(f"identity-{uuid.uuid4().hex[:8]}", queue_arguments=arguments)(connection.channel())
        made.declare()
        yield made
        made.delete()


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"headers": {"a": 1, "b": "text", "c": [1, {"d": None}], "e": 1.5, "f": True, "g": 2**40}},
        {"headers": {"x-delivery": 1}, "priority": 3, "correlation_id": "c", "expiration": 600},
        {"message_id": "ä" * 20, "headers": {"a": 1}},
    ],
    ids=["plain", "headers", "properties", "id"],
)
def test_a_redelivered_message_has_its_old_key_and_no_other_has(queue: Queue, properties: dict[str, Any]) -> None:
    producer = Producer(queue.channel, routing_key=queue.name)
    producer.publish({"n": 1}, **properties)
    producer.publish({"n": 2}, **{**properties, "message_id": None, "priority": 1})
    known_by = MessageKeys(queue.name).material
    known = [known_by(one) for one in taken(queue, redelivered=False)]
    assert len(set(known)) == 2
    for _ in range(3):
        assert [known_by(one) for one in taken(queue, redelivered=True)] == known


def test_the_delivery_count_is_known_if_the_broker_counts(queue: Queue, request: pytest.FixtureRequest) -> None:
    Producer(queue.channel, routing_key=queue.name).publish({"n": 1})
    found = []
    for _ in range(4):
        message = queue.get()
        assert message is not None
        found.append(deliveries_before(message))
        message.requeue()
    counted = "classic" not in request.node.name
    assert found == ([0, 1, 2, 3] if counted else [0, 0, 0, 0])


def deliveries_before(message: Message) -> int:
    """As a store (``takes``) or a quorum queue (``x-delivery-count``) counts them; 0 where the broker does not."""
    takes = message.delivery_info.get("takes")
    return int(message.headers.get("x-delivery-count", 0)) if takes is None else int(takes) - 1


def taken(queue: Queue, *, redelivered: bool) -> list[Message]:
    """Take both messages, requeue them, and return them sorted by number."""
    got = []
    for _ in range(2):
        message = queue.get()
        assert message is not None
        assert message.delivery_info["redelivered"] is redelivered
        got.append(message)
    for message in got:
        message.requeue()
    return sorted(got, key=lambda message: bytes(message.body))
