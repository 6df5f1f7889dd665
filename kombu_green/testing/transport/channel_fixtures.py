"""What the transport tests share: the fixtures, and functions that declare, take and drain."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from kombu_green.channel import Channel
from kombu_green.connection import Connection
from kombu_green.entity import Queue
from kombu_green.message import Message

__all__ = [
    "PATIENCE",
    "TransportTests",
    "declared",
    "drain_until",
    "eventually",
    "recording",
    "required",
    "taken",
]

#: seconds until a test gives up; only a broken transport needs them
PATIENCE = 20.0


class TransportTests:
    """Base of all parts of the suite; needs the fixture ``connect``.  *name* is used by no other test."""

    @pytest.fixture
    def connection(self, connect: Callable[[], Connection]) -> Iterator[Connection]:
        with connect() as made:
            yield made

    @pytest.fixture
    def channel(self, connection: Connection) -> Channel:
        return connection.channel()

    @pytest.fixture
    def name(self) -> str:
        return f"contract-{uuid.uuid4().hex[:12]}"


def declared(queue: Queue, channel: Channel) -> Queue:
    """*queue* bound to *channel* and declared."""
    bound = queue(channel)
    bound.declare()
    return bound


def required(queue: Queue) -> Message:
    """The next message; fails when the queue is empty."""
    message = queue.get()
    assert message is not None, f"{queue.name} is empty"
    return message


def eventually(queue: Queue) -> Message:
    """The next message, as soon as the broker has moved it here."""
    with gevent.Timeout(PATIENCE):
        while (message := queue.get()) is None:
            gevent.sleep(0.01)
    return message


def taken(queue: Queue) -> list[Message]:
    """Everything in *queue* now, acked."""
    messages = []
    while (message := queue.get()) is not None:
        message.ack()
        messages.append(message)
    return messages


def recording(got: list[tuple[str, Any]], who: str) -> Callable[[Any, Message], None]:
    """A callback that appends ``(who, body)`` to *got* and acks."""

    def record(body: Any, message: Message) -> None:
        got.append((who, body))
        message.ack()

    return record


def drain_until(connection: Connection, done: Callable[[], bool], timeout: float | None = PATIENCE) -> None:
    """Drain until *done*; each call with *timeout*, all of them within :data:`PATIENCE`."""
    with gevent.Timeout(PATIENCE):
        while not done():
            try:
                connection.drain_events(timeout=timeout)
            except TimeoutError:
                gevent.sleep(0.001)
