"""kombu at the other end of RabbitMQ: what it sends is read here, and the reverse."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import kombu
import pytest

from kombu_green import Connection, Consumer, Exchange, Producer, Queue
from kombu_green.exceptions import ContentDisallowed
from kombu_green.message import Message
from kombu_green.testing.transport.base import drain_until
from tests.servers.rabbitmq import RabbitMQ

BODIES = [
    {"plain": [1, 2.5, "ä", None, True]},
    {
        "id": uuid.UUID(int=7),
        "when": datetime(2026, 1, 31, 12, tzinfo=UTC),
        "day": date(2026, 1, 31),
        "price": Decimal("1.10"),
        "raw": b"\xff\x00",
    },
    "text",
    b"\x00bytes\xff",
    [],
]


@pytest.fixture
def name() -> str:
    return f"interop-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def ours(rabbitmq: RabbitMQ) -> Iterator[Connection]:
    with Connection(rabbitmq.url) as connection:
        yield connection


@pytest.fixture
def theirs(rabbitmq: RabbitMQ) -> Iterator[Any]:
    with kombu.Connection(rabbitmq.url) as connection:
        yield connection


def received(connection: Connection, name: str, **how: Any) -> Message:
    """The next message, by this library's consumer."""
    got: list[Message] = []
    with Consumer(connection.channel(), Queue(name), on_message=got.append, **how):
        drain_until(connection, lambda: bool(got))
    got[0].ack()
    return got[0]


def received_by_kombu(connection: Any, name: str) -> Any:
    """The next message, by kombu's consumer."""
    got: list[Any] = []
    queue = kombu.Queue(name, kombu.Exchange(""), routing_key=name, no_declare=True)
    with kombu.Consumer(
        connection.default_channel, [queue], on_message=got.append, accept=["json", "pickle", "text/plain"]
    ):
        while not got:
            connection.drain_events(timeout=10)
    got[0].ack()
    return got[0]


@pytest.mark.parametrize("compression", [None, "zlib", "bzip2"])
@pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
def test_from_kombu(ours: Connection, theirs: Any, name: str, body: Any, compression: str | None) -> None:
    Queue(name)(ours.channel()).declare()
    producer = theirs.Producer()
    producer.publish(
        body, routing_key=name, headers={"mine": 1}, compression=compression, correlation_id="c", priority=3
    )
    message = received(ours, name)
    assert message.payload == body
    assert message.headers["mine"] == 1
    assert (message.properties["correlation_id"], message.properties["priority"]) == ("c", 3)
    assert message.properties["delivery_mode"] == 2


@pytest.mark.parametrize("compression", [None, "zlib", "bzip2"])
@pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
def test_to_kombu(ours: Connection, theirs: Any, name: str, body: Any, compression: str | None) -> None:
    Queue(name)(ours.channel()).declare()
    Producer(ours).publish(
        body,
        routing_key=name,
        headers={"mine": 1, "big": 2**40, "nested": {"a": [1, None, True]}},
        compression=compression,
        message_id="m",
        expiration=60,
    )
    message = received_by_kombu(theirs, name)
    assert message.payload == body
    assert message.headers["mine"] == 1
    assert message.headers["big"] == 2**40
    assert message.headers["nested"] == {"a": [1, None, True]}
    assert (message.properties["message_id"], message.properties["expiration"]) == ("m", "60000")
    assert message.properties["delivery_mode"] == 2


def test_topology_that_kombu_declared_is_the_same(ours: Connection, theirs: Any, name: str) -> None:
    exchange = kombu.Exchange(name, "topic")
    queue = kombu.Queue(name, exchange, "a.#", max_length=10, message_ttl=60, max_priority=5)
    queue(theirs.default_channel).declare()
    again = Queue(name, Exchange(name, "topic"), "a.#", max_length=10, message_ttl=60, max_priority=5)
    again(ours.channel()).declare()
    Producer(ours, Exchange(name, "topic")).publish("x", routing_key="a.b", mandatory=True)
    assert received_by_kombu(theirs, name).delivery_info["routing_key"] == "a.b"


def test_pickle_is_refused_unless_it_is_asked_for(ours: Connection, theirs: Any, name: str) -> None:
    Queue(name)(ours.channel()).declare()
    for _ in range(2):
        theirs.Producer(serializer="pickle").publish({"a": 1}, routing_key=name)
    with pytest.raises(ContentDisallowed):
        received(ours, name).payload  # noqa: B018  looking is what fails
    assert received(ours, name, accept=["pickle"]).payload == {"a": 1}


def test_a_celery_task_is_read(ours: Connection, theirs: Any, name: str) -> None:
    """Protocol 2: what Celery's ``apply_async`` gives to kombu."""
    task_id = str(uuid.uuid4())
    headers: dict[str, Any] = {
        "lang": "py",
        "task": "shop.sell",
        "id": task_id,
        "shadow": None,
        "eta": None,
        "expires": None,
        "group": None,
        "retries": 0,
        "timelimit": [None, None],
        "root_id": task_id,
        "parent_id": None,
        "argsrepr": "(1,)",
        "kwargsrepr": "{}",
        "origin": "gen1@host",
        "ignore_result": False,
        "stamped_headers": None,
        "stamps": {},
    }
    embedded = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    Queue(name)(ours.channel()).declare()
    theirs.Producer().publish(
        [[1], {"n": 2}, embedded], routing_key=name, headers=headers, correlation_id=task_id, serializer="json"
    )
    message = received(ours, name)
    assert message.payload == [[1], {"n": 2}, embedded]
    assert message.headers == headers


def test_kombu_sees_a_retry_with_its_history_and_without_the_ladder(ours: Connection, theirs: Any, name: str) -> None:
    """A delayed message reaches a consumer of kombu's by the same key; the ladder's marks are plain headers to it."""
    Queue(name)(ours.channel()).declare()
    Producer(ours).publish({"n": 1}, routing_key=name, delay=0.5)
    message = received_by_kombu(theirs, name)
    assert message.payload == {"n": 1}
    assert message.delivery_info["routing_key"] == name
