"""Dead letters on a memory broker."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator

import pytest
from gevent.event import Event

from kombu_green.connection import Connection
from kombu_green.dead_letters.browser import DeadLetterBrowser, Selection
from kombu_green.entity import Queue
from kombu_green.message import Content
from kombu_green.republish import dead_letter
from kombu_green.worker.connections import Connections

QUEUE = "video"

OpenBrowser = Callable[[Selection, Event], DeadLetterBrowser]


@pytest.fixture
def connection() -> Iterator[Connection]:
    with Connection(f"memory://{uuid.uuid4().hex}") as made:
        yield made


@pytest.fixture
def publish_dead(connection: Connection) -> Callable[[Iterable[int]], None]:
    """Puts messages with these numbers as bodies into the dead queue."""

    def put(bodies: Iterable[int]) -> None:
        queue = Queue(QUEUE).bind(connection.channel())
        queue.declare()
        for body in bodies:
            content = Content(json.dumps(body).encode(), "application/json", "utf-8", {"n": body}, {})
            queue.channel.basic_publish(content, "", QUEUE)
            message = queue.get()
            assert message is not None
            dead_letter(queue.channel, message, QUEUE, reason="enough")
            message.ack()

    return put


@pytest.fixture
def bodies_in(connection: Connection) -> Callable[[str], list[int]]:
    """The bodies of the ready messages in a queue, in order; they stay there."""

    def bodies(queue: str) -> list[int]:
        channel = connection.channel()
        messages = list(iter(Queue(queue).bind(channel).get, None))
        found = [message.payload for message in messages if message is not None]
        channel.close()
        return found

    return bodies


@pytest.fixture
def open_browser(connection: Connection) -> Iterator[OpenBrowser]:
    opened: list[DeadLetterBrowser] = []

    def open_one(selection: Selection, stop: Event) -> DeadLetterBrowser:
        opened.append(DeadLetterBrowser(Connections(connection), selection, stop))
        return opened[-1]

    yield open_one
    for browser in opened:
        browser.close()
