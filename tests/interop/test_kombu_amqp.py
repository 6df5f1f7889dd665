"""kombu at the other end of a real RabbitMQ, in both directions: what one writes the other reads."""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Iterator
from typing import Any

import kombu
import pytest

from kombu_green import Connection, Consumer, Exchange, Message, Producer, Queue
from kombu_green.exceptions import ContentDisallowed
from kombu_green.serialization import prepare_accept_content
from tests.servers.rabbitmq import RabbitMQ

BODIES: list[Any] = [
    {"path": "a.jpg", "size": 3, "tags": ["x", None, True], "nested": {"ü": 1.5}},
    {},
    [1, [2, [3]]],
    {"at": datetime.datetime(2026, 11, 25, 3, 4, 5, 678000)},
    {"at": datetime.datetime(2026, 11, 25, 3, 4, 5, tzinfo=datetime.UTC)},
    {"day": datetime.date(2026, 11, 25), "time": datetime.time(3, 4, 5)},
    {"price": decimal.Decimal("12.30"), "id": uuid.UUID("12345678123456781234567812345678")},
    {"raw": b"\x00\xff", "text": b"plain"},
    "plain text, ünïcode",
    b"\x00\x01\xff",
]


@pytest.fixture
def name() -> str:
    return f"interop-{uuid.uuid4().hex[:10]}"


@pytest.fixture
def ours(rabbitmq: RabbitMQ, name: str) -> Iterator[Connection]:
    with Connection(rabbitmq.url) as connection:
        yield connection
        Queue(name)(connection.channel()).delete()


@pytest.fixture
def theirs(rabbitmq: RabbitMQ) -> Iterator[Any]:
    with kombu.Connection(rabbitmq.url) as connection:
        yield connection


def our_message(connection: Connection, name: str) -> Message:
    message = Queue(name)(connection.default_channel).get()
    assert message is not None
    message.ack()
    return message


def their_message(connection: Any, name: str) -> Any:
    message = kombu.Queue(name)(connection.default_channel).get(accept=["json", "application/data", "text/plain"])
    assert message is not None
    message.ack()
    return message


class TestBodies:
    @pytest.mark.parametrize("compression", [None, "zlib", "bzip2", "lzma"])
    @pytest.mark.parametrize("body", BODIES, ids=str)
    def test_ours_to_theirs(self, ours: Connection, theirs: Any, name: str, body: Any, compression: str | None) -> None:
        Producer(ours).publish(body, routing_key=name, declare=[Queue(name)], compression=compression)
        assert their_message(theirs, name).payload == body

    @pytest.mark.parametrize("compression", [None, "zlib", "bzip2", "lzma"])
    @pytest.mark.parametrize("body", BODIES, ids=str)
    def test_theirs_to_ours(self, ours: Connection, theirs: Any, name: str, body: Any, compression: str | None) -> None:
        queue = kombu.Queue(name, kombu.Exchange(""), routing_key=name)
        with theirs.Producer() as producer:
            producer.publish(body, routing_key=name, declare=[queue], compression=compression)
        assert our_message(ours, name).payload == body


PROPERTIES: dict[str, Any] = {
    "correlation_id": "c-1",
    "reply_to": "answers",
    "message_id": "m-1",
    "type": "resize",
    "app_id": "shop",
    "priority": 3,
}


class TestProperties:
    def test_ours_to_theirs(self, ours: Connection, theirs: Any, name: str) -> None:
        headers = {"text": "ü", "number": 7, "yes": True, "nothing": None, "list": [1, "a"], "table": {"k": "v"}}
        Producer(ours).publish(
            {}, routing_key=name, declare=[Queue(name)], headers=headers, expiration=60, **PROPERTIES
        )
        message = their_message(theirs, name)
        assert message.headers == headers
        got = message.properties
        assert {key: got[key] for key in PROPERTIES} == PROPERTIES
        assert (got["expiration"], got["delivery_mode"]) == ("60000", 2)
        assert (message.content_type, message.content_encoding) == ("application/json", "utf-8")

    def test_theirs_to_ours(self, ours: Connection, theirs: Any, name: str) -> None:
        headers = {"text": "ü", "number": 7, "yes": True, "nothing": None, "list": [1, "a"], "table": {"k": "v"}}
        queue = kombu.Queue(name, kombu.Exchange(""), routing_key=name)
        with theirs.Producer() as producer:
            producer.publish({}, routing_key=name, declare=[queue], headers=headers, expiration=60, **PROPERTIES)
        message = our_message(ours, name)
        assert message.headers == headers
        got = message.properties
        assert {key: got[key] for key in PROPERTIES} == PROPERTIES
        assert (got["expiration"], got["delivery_mode"]) == ("60000", 2)


class TestDeclarations:
    @pytest.mark.parametrize("first", ["ours", "theirs"])
    def test_the_same_declaration_is_the_same_to_the_broker(
        self, ours: Connection, theirs: Any, name: str, first: str
    ) -> None:
        arguments: dict[str, Any] = {"message_ttl": 30, "expires": 600, "max_length": 100, "max_priority": 5}
        mine = Queue(name, Exchange(name, "topic"), routing_key="a.#", **arguments)
        other = kombu.Queue(name, kombu.Exchange(name, "topic"), routing_key="a.#", **arguments)
        bound = [mine(ours.channel()), other(theirs.channel())]
        for queue in bound if first == "ours" else reversed(bound):
            queue.declare()
        Exchange(name, "topic")(ours.channel()).delete()

    def test_both_consume_from_one_queue(self, ours: Connection, theirs: Any, name: str) -> None:
        got: dict[str, list[int]] = {"ours": [], "theirs": []}
        consumer = Consumer(ours.channel(), Queue(name), prefetch_count=1)

        def take(body: Any, message: Any) -> None:
            got["ours" if isinstance(message, Message) else "theirs"].append(body["n"])
            message.ack()

        consumer.register_callback(take)
        consumer.consume()
        channel = theirs.channel()
        foreign = kombu.Consumer(channel, kombu.Queue(name), callbacks=[take], prefetch_count=1, accept=["json"])
        foreign.consume()
        producer = Producer(ours)
        for number in range(20):
            producer.publish({"n": number}, routing_key=name)
        while sum(map(len, got.values())) < 20:
            for drain in (ours.drain_events, theirs.drain_events):
                try:
                    drain(timeout=0.05)
                except TimeoutError:
                    continue
        assert sorted(got["ours"] + got["theirs"]) == list(range(20))
        assert got["ours"]
        assert got["theirs"]


class TestPickle:
    @pytest.fixture
    def pickled(self, theirs: Any, name: str) -> None:
        queue = kombu.Queue(name, kombu.Exchange(""), routing_key=name)
        with theirs.Producer() as producer:
            producer.publish({"a": 1}, routing_key=name, declare=[queue], serializer="pickle")

    @pytest.mark.usefixtures("pickled")
    def test_it_is_refused_unless_accepted(self, ours: Connection, name: str) -> None:
        message = our_message(ours, name)
        with pytest.raises(ContentDisallowed):
            message.decode()
        message.accept = prepare_accept_content(["pickle"])
        assert message.decode() == {"a": 1}

    @pytest.mark.usefixtures("pickled")
    def test_a_consumer_sets_it_aside(self, ours: Connection, name: str) -> None:
        consumer = Consumer(ours.channel(), Queue(name))
        consumer.register_callback(lambda body, message: pytest.fail("it was handed over"))
        consumer.consume()
        ours.drain_events(timeout=10)
        dead = our_message(ours, f"{name}.dead")
        assert dead.content_type == "application/x-python-serialize"
        Queue(f"{name}.dead")(ours.channel()).delete()
