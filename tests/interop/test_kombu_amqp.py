"""kombu 5 and kombu_green exchange messages through RabbitMQ, in both directions."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, timezone
from datetime import time as clock_time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from kombu_green.connection import Connection
from kombu_green.dispatch.history import REASON
from kombu_green.entity import Exchange, Queue, binding
from kombu_green.exceptions import ContentDisallowed, DecodeError, PreconditionFailed
from kombu_green.message import Message
from kombu_green.messaging import Consumer, Producer
from tests.support.foreign import Foreign, ForeignError

PATIENCE = 30.0


class Ours:
    """kombu_green with the same operations as the kombu program."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def declare(self, queue: dict[str, Any] | None = None, exchange: dict[str, Any] | None = None) -> None:
        channel = self.connection.default_channel
        if exchange is not None:
            Exchange(**exchange)(channel).declare()
        if queue is not None:
            queue_of(queue)(channel).declare()

    def publish(self, body: Any, routing_key: str, exchange: str = "", **options: Any) -> None:
        Producer(self.connection).publish(body, routing_key, exchange=exchange, mandatory=True, **options)

    def take(self, queue: str, accept: Iterable[str] | None = None) -> Message:
        """The next message, not settled."""
        found: list[Message] = []
        with self.consuming(queue, on_message=found.append, prefetch_count=1) as consumer:
            while not found:
                self.connection.drain_events(timeout=PATIENCE)
        if accept is not None:
            found[0].accept = Consumer(consumer.channel, accept=accept).accept
        return found[0]

    def consuming(self, queue: str, **options: Any) -> Consumer:
        there = Queue(queue, no_declare=True)
        return Consumer(self.connection.channel(), there, auto_declare=False, **options)


def queue_of(described: dict[str, Any]) -> Queue:
    values = dict(described)
    if values.get("exchange"):
        values["exchange"] = Exchange(**values["exchange"])
    values["bindings"] = [
        binding(Exchange(**each["exchange"]), each["routing_key"], arguments=each.get("arguments"))
        for each in values.pop("bindings", ())
    ]
    return Queue(**values)


@pytest.fixture
def ours(connection: Connection) -> Ours:
    return Ours(connection)


@pytest.fixture
def queue(name: str, ours: Ours) -> str:
    ours.declare(queue={"name": name})
    return name


# -- bodies

PLAIN: dict[str, Any] = {"id": 7, "path": "/tmp/lölcat.avi", "size": 2**70, "tags": ["a", None, True, 2.5], "more": {}}
EXTENDED: dict[str, Any] = {
    "datetime": datetime(2026, 1, 31, 12, 30, 1, 250000, UTC),
    "naive": datetime(2026, 1, 31, 12),
    "elsewhere": datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    "date": date(2026, 2, 28),
    "time": clock_time(23, 59, 59, 1),
    "decimal": Decimal("12345678901234567890.01"),
    "uuid": UUID(int=2**127 + 1),
    "bytes": b"plain",
    "binary": b"\xff\x00",
    "nested": [{"when": date(2026, 1, 1)}],
}
BODIES: list[tuple[Any, str | None]] = [
    (PLAIN, None),
    (EXTENDED, None),
    ([], None),
    (0, "json"),
    ("häß", None),
    (b"\xff\x00\xce", None),
    (PLAIN | {"size": 2**60}, "yaml"),
    (PLAIN | {"size": 2**60}, "msgpack"),
    ({"set": {1, 2}}, "pickle"),
    (b"x" * 400_000, None),  # more than one frame
]


def accept_of(serializer: str | None) -> list[str]:
    return ["json", *([serializer] if serializer else [])]


@pytest.mark.parametrize(("body", "serializer"), BODIES)
def test_what_kombu_publishes_is_read_here(
    kombu: Foreign, ours: Ours, queue: str, body: Any, serializer: str | None
) -> None:
    kombu.call("publish", body=body, routing_key=queue, serializer=serializer)
    message = ours.take(queue, accept=accept_of(serializer))
    message.ack()
    assert message.payload == body
    assert type(message.payload) is type(body)


@pytest.mark.parametrize(("body", "serializer"), BODIES)
def test_what_is_published_here_is_read_by_kombu(
    kombu: Foreign, ours: Ours, queue: str, body: Any, serializer: str | None
) -> None:
    ours.publish(body, queue, serializer=serializer)
    # kombu refuses its own plain text, too, where there is a list and it is not on it
    found = kombu.call("take", queue=queue, accept=[*accept_of(serializer), "text/plain"])
    assert found["body"] == body
    assert type(found["body"]) is type(body)


@pytest.mark.parametrize("method", ["zlib", "bzip2", "lzma"])
def test_compressed_bodies_are_read_in_both_directions(kombu: Foreign, ours: Ours, queue: str, method: str) -> None:
    body = {"text": "to be or not to be, " * 500}
    kombu.call("publish", body=body, routing_key=queue, compression=method)
    message = ours.take(queue)
    message.ack()
    assert len(message.body) < 1000
    assert message.payload == body

    ours.publish(body, queue, compression=method)
    found = kombu.call("take", queue=queue)
    assert found["body"] == body
    assert found["headers"] == message.headers


# -- pickle


def test_pickle_from_kombu_goes_to_on_decode_error(kombu: Foreign, ours: Ours, queue: str) -> None:
    kombu.call("publish", body=PLAIN, routing_key=queue, serializer="pickle")
    refused: list[tuple[Message, Exception]] = []
    with ours.consuming(queue, on_decode_error=lambda *seen: refused.append(seen), callbacks=[unwanted]):
        ours.connection.drain_events(timeout=PATIENCE)
    message, error = refused[0]
    assert isinstance(error, ContentDisallowed)
    assert not message.acknowledged


def test_pickle_from_kombu_is_dead_lettered(kombu: Foreign, ours: Ours, queue: str) -> None:
    kombu.call("publish", body=PLAIN, routing_key=queue, serializer="pickle", headers={"from": "kombu"})
    with ours.consuming(queue, callbacks=[unwanted]):
        ours.connection.drain_events(timeout=PATIENCE)
    assert waiting(ours, queue) == 0

    # and whoever does accept it can still read it, with kombu, too
    found = kombu.call("take", queue=f"{queue}.dead", accept=["pickle"])
    assert found["body"] == PLAIN
    assert found["headers"]["from"] == "kombu"
    assert found["headers"][REASON] == "undecodable"


def test_pickle_from_kombu_is_read_with_accept(kombu: Foreign, ours: Ours, queue: str) -> None:
    kombu.call("publish", body=PLAIN, routing_key=queue, serializer="pickle")
    bodies: list[Any] = []
    with ours.consuming(queue, accept=["pickle"], callbacks=[lambda body, message: bodies.append(body)]):
        ours.connection.drain_events(timeout=PATIENCE)
    assert bodies == [PLAIN]


def test_kombu_refuses_pickle_from_here(kombu: Foreign, ours: Ours, queue: str) -> None:
    ours.publish(PLAIN, queue, serializer="pickle")
    assert kombu.call("take", queue=queue)["error"].startswith("ContentDisallowed")


def test_a_malformed_body_is_dead_lettered(kombu: Foreign, ours: Ours, queue: str) -> None:
    kombu.call(
        "publish", body=b"{not json", routing_key=queue, content_type="application/json", content_encoding="utf-8"
    )
    with ours.consuming(queue, callbacks=[unwanted]):
        ours.connection.drain_events(timeout=PATIENCE)
    found = kombu.call("take", queue=f"{queue}.dead")
    assert found["raw"] == "{not json"  # kombu has it decoded as the content encoding says
    assert found["headers"][REASON] == "undecodable"


def test_a_decompression_bomb_is_not_decompressed(kombu: Foreign, ours: Ours, queue: str) -> None:
    kombu.call("publish", body="0" * 200_000_000, routing_key=queue, compression="zlib")
    message = ours.take(queue)
    message.ack()
    with pytest.raises(DecodeError, match=r"MiB|bytes"):
        message.payload  # noqa: B018  looking is what fails


def unwanted(body: Any, message: Message) -> None:
    raise AssertionError(f"a callback got {body!r}")


def waiting(ours: Ours, queue: str) -> int:
    return Queue(queue)(ours.connection.default_channel).queue_declare(passive=True)[1]


# -- properties and headers

PROPERTIES: dict[str, Any] = {
    "priority": 7,
    "correlation_id": "c-1",
    "reply_to": "answers",
    "message_id": "m-1",
    "timestamp": 1769860800,
    "type": "media.Uploaded",
    "user_id": "guest",
    "app_id": "shop",
    "cluster_id": "eu",
    "delivery_mode": 1,
}
HEADERS: dict[str, Any] = {
    "text": "häß",
    "number": 2**31 - 1,
    "large": -(2**62),
    "real": 0.1,
    "no": False,
    "nothing": None,
    "price": Decimal("12.50"),
    "list": [1, "a", [None], {"deep": True}],
    "table": {"a": {"b": {"c": 1}}},
    "": "empty name",
}
WHEN = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_properties_and_headers_from_kombu_are_read(kombu: Foreign, ours: Ours, queue: str) -> None:
    sent = PROPERTIES | {"expiration": 60.5}
    headers = HEADERS | {"when": WHEN, "raw": b"\xff\x00"}
    kombu.call("publish", body={}, routing_key=queue, headers=headers, **sent)
    message = ours.take(queue)
    message.ack()
    assert message.properties == PROPERTIES | {"expiration": "60500"}
    assert message.headers == headers


def test_kombu_reads_properties_and_headers_from_here(kombu: Foreign, ours: Ours, queue: str) -> None:
    ours.publish({}, queue, headers=HEADERS | {"when": WHEN, "raw": b"\xff\x00"}, expiration=60.5, **PROPERTIES)
    found = kombu.call("take", queue=queue)
    assert found["properties"] == PROPERTIES | {"expiration": "60500"}
    naive = WHEN.replace(tzinfo=None)  # how kombu reads all times
    assert found["headers"] == HEADERS | {"when": naive, "raw": b"\xff\x00"}


def test_default_properties_are_the_same_as_kombus(kombu: Foreign, ours: Ours, queue: str) -> None:
    kombu.call("publish", body={}, routing_key=queue)
    theirs = ours.take(queue)
    theirs.ack()
    ours.publish({}, queue)
    found = kombu.call("take", queue=queue)
    # kombu always says a priority, and its default is what none at all means to the broker
    assert {"priority": 0} | found["properties"] == theirs.properties
    assert (found["content_type"], found["content_encoding"]) == (theirs.content_type, theirs.content_encoding)
    assert found["headers"] == theirs.headers == {}


@pytest.mark.parametrize("publisher", ["kombu", "ours"])
def test_the_highest_priority_comes_first(kombu: Foreign, ours: Ours, name: str, publisher: str) -> None:
    ours.declare(queue={"name": name, "max_priority": 9})
    for priority in (0, 9, None, 4):
        told: dict[str, Any] = {"body": priority, "routing_key": name, "priority": priority, "serializer": "json"}
        if publisher == "kombu":
            kombu.call("publish", **told)
        else:
            ours.publish(**told)
    ours.publish("last", name, priority=0)
    assert kombu.call("take_until", queue=name, last="last") == [9, 4, 0, None]


def test_expired_messages_are_not_delivered(kombu: Foreign, ours: Ours, queue: str) -> None:
    kombu.call("publish", body="late", routing_key=queue, expiration=0.001)
    ours.publish("late", queue, expiration=0.001)
    deadline = time.monotonic() + PATIENCE
    while waiting(ours, queue):
        assert time.monotonic() < deadline
    ours.publish("last", queue)
    assert kombu.call("take_until", queue=queue, last="last") == []


def test_kombu_gets_a_delayed_message_in_time_and_unchanged(kombu: Foreign, ours: Ours, queue: str) -> None:
    ours.publish({"id": 1}, queue, delay=1, headers={"a": 1}, correlation_id="c-1")
    began = time.monotonic()
    found = kombu.call("take", queue=queue)
    assert time.monotonic() - began > 0.5
    assert found["body"] == {"id": 1}
    assert found["properties"]["correlation_id"] == "c-1"
    routes = ("x-", "kombu-green-delay-")  # what the broker noted on the way, and what led it
    assert {name: value for name, value in found["headers"].items() if not name.startswith(routes)} == {"a": 1}


def test_the_history_of_what_kombu_rejects_can_be_read(kombu: Foreign, ours: Ours, name: str, queue: str) -> None:
    living = f"{name}-living"
    ours.declare(
        queue={
            "name": living,
            "queue_arguments": {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue},
        }
    )
    ours.publish({"id": 1}, living)
    kombu.call("take", queue=living, reject=True)
    message = ours.take(queue)
    message.ack()
    assert message.payload == {"id": 1}
    (death,) = message.headers["x-death"]
    assert (death["queue"], death["reason"], death["count"]) == (living, "rejected", 1)
    assert death["time"].tzinfo is UTC


# -- declarations

QUEUES: dict[str, dict[str, Any]] = {
    "plain": {},
    "transient": {"durable": False},
    "auto-delete": {"auto_delete": True},
    "with limits": {
        "expires": 60,
        "message_ttl": 1.5,
        "max_length": 10,
        "max_length_bytes": 2**33,
        "max_priority": 5,
    },
    "quorum": {"queue_arguments": {"x-queue-type": "quorum", "x-delivery-limit": 3}},
    "dead letters": {"queue_arguments": {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "else"}},
    "overflow": {"max_length": 10, "queue_arguments": {"x-overflow": "reject-publish", "x-queue-mode": "lazy"}},
    "single active": {"queue_arguments": {"x-single-active-consumer": True}},
}
EXCHANGES: dict[str, dict[str, Any]] = {
    "no type said": {},
    "direct": {"type": "direct"},
    "topic": {"type": "topic"},
    "fanout": {"type": "fanout"},
    "headers": {"type": "headers"},
    "transient": {"type": "direct", "durable": False},
    "auto-delete": {"type": "direct", "auto_delete": True},
    "transient messages": {"type": "direct", "delivery_mode": 1},
    "alternate": {"type": "direct", "arguments": {"alternate-exchange": "amq.fanout"}},
}


def in_turn(kombu: Foreign, ours: Ours, first: str, **declared: Any) -> None:
    """Declare by one and then by the other."""
    ends = [lambda: ours.declare(**declared), lambda: kombu.call("declare", **declared)]
    for declare in ends if first == "ours" else reversed(ends):
        declare()


@pytest.mark.parametrize("first", ["kombu", "ours"])
@pytest.mark.parametrize("options", QUEUES.values(), ids=QUEUES)
def test_queues_are_declared_alike(kombu: Foreign, ours: Ours, name: str, first: str, options: dict[str, Any]) -> None:
    in_turn(kombu, ours, first, queue={"name": name, **options})


@pytest.mark.parametrize("first", ["kombu", "ours"])
@pytest.mark.parametrize("options", EXCHANGES.values(), ids=EXCHANGES)
def test_exchanges_are_declared_alike(
    kombu: Foreign, ours: Ours, name: str, first: str, options: dict[str, Any]
) -> None:
    exchange = {"name": name, **options}
    in_turn(kombu, ours, first, exchange=exchange)
    in_turn(kombu, ours, first, queue={"name": name, "exchange": exchange, "routing_key": "key"})


@pytest.mark.parametrize("first", ["kombu", "ours"])
def test_both_declare_the_same_binding(kombu: Foreign, ours: Ours, name: str, first: str) -> None:
    headers = {"name": f"{name}-h", "type": "headers"}
    topic = {"name": f"{name}-t", "type": "topic"}
    rule = {"x-match": "all", "kind": "video", "size": 3, "large": 2**40, "new": True}
    bindings = [
        {"exchange": headers, "routing_key": "", "arguments": rule},
        {"exchange": topic, "routing_key": "media.#"},
    ]
    in_turn(kombu, ours, first, queue={"name": name, "bindings": bindings})
    ours.publish("by headers", "", exchange=f"{name}-h", headers=rule)
    kombu.call("publish", body="by topic", routing_key="media.video.hd", exchange=f"{name}-t")
    bodies = [ours.take(name) for _ in range(2)]
    assert [message.payload for message in bodies] == ["by headers", "by topic"]

    channel = ours.connection.default_channel
    channel.queue_unbind(name, f"{name}-h", "", rule)
    channel.queue_unbind(name, f"{name}-t", "media.#", {})
    for exchange in (f"{name}-h", f"{name}-t"):
        Exchange(exchange)(channel).delete(if_unused=True)  # refused if the other had made a binding of its own


def test_exchanges_bound_by_kombu_pass_messages_on(kombu: Foreign, ours: Ours, name: str) -> None:
    source: dict[str, Any] = {"name": f"{name}-source", "type": "topic"}
    destination: dict[str, Any] = {"name": f"{name}-destination", "type": "topic"}
    ours.declare(exchange=source)
    ours.declare(queue={"name": name, "exchange": destination, "routing_key": "#"})
    kombu.call("bind_exchange", destination=destination, source=source, routing_key="a.*")
    Exchange(**destination)(ours.connection.default_channel).bind_to(Exchange(**source), "a.*")
    ours.publish("once", "a.b", exchange=source["name"])
    ours.publish("last", name)
    assert kombu.call("take_until", queue=name, last="last") == ["once"]


@pytest.mark.parametrize("first", ["kombu", "ours"])
def test_a_different_declaration_is_an_error_on_both_sides(kombu: Foreign, ours: Ours, name: str, first: str) -> None:
    short, long = ({"name": name, "message_ttl": seconds} for seconds in (1, 2))
    if first == "kombu":
        kombu.call("declare", queue=short)
        with pytest.raises(PreconditionFailed, match="x-message-ttl: there '1000', asked '2000'"):
            ours.declare(queue=long)
    else:
        ours.declare(queue=short)
        with pytest.raises(ForeignError, match="PreconditionFailed"):
            kombu.call("declare", queue=long)


# -- in one running system


def test_kombu_replies_to_requests_from_here(kombu: Foreign, ours: Ours, name: str, queue: str) -> None:
    answers = f"{name}-answers"
    ours.declare(queue={"name": answers, "exclusive": True})
    count = 50
    kombu.begin("echo", queue=queue, count=count)
    for number in range(count):
        ours.publish({"number": number}, queue, reply_to=answers, correlation_id=str(number))
    found: dict[str, Any] = {}

    def receive(body: Any, message: Message) -> None:
        found[message.properties["correlation_id"]] = body
        message.ack()

    with ours.consuming(answers, callbacks=[receive]):
        while len(found) < count:
            ours.connection.drain_events(timeout=PATIENCE)
    kombu.result()
    assert found == {str(number): {"number": number} for number in range(count)}


def test_requests_from_kombu_are_replied_to(kombu: Foreign, ours: Ours, queue: str) -> None:
    producer = Producer(ours.connection)

    def reply(body: Any, message: Message) -> None:
        asked = message.properties
        producer.publish(
            {"echo": body}, asked["reply_to"], correlation_id=asked["correlation_id"], exchange="", mandatory=True
        )
        message.ack()

    kombu.begin("ask", queue=queue, body=PLAIN, correlation_id="c-1")
    with ours.consuming(queue, callbacks=[reply]):
        ours.connection.drain_events(timeout=PATIENCE)
    assert kombu.result() == ({"echo": PLAIN}, "c-1")


def test_consumers_of_both_share_a_queue(kombu: Foreign, ours: Ours, queue: str) -> None:
    """Each has one unsettled message at a time; the last messages end the two consumers."""
    kombu.begin("take_until", queue=queue, last="end")
    deadline = time.monotonic() + PATIENCE
    while not consumers(ours, queue):
        assert time.monotonic() < deadline
    mine: list[Any] = []

    def receive(body: Any, message: Message) -> None:
        mine.append(body)
        message.ack()

    count = 200
    with ours.consuming(queue, callbacks=[receive], prefetch_count=1):
        for number in range(count):
            ours.publish(number, queue, serializer="json")
        ours.publish("end", queue)
        ours.publish("end", queue)
        while "end" not in mine:
            ours.connection.drain_events(timeout=PATIENCE)
    theirs = kombu.result()
    mine.remove("end")
    assert sorted(mine + theirs) == list(range(count))
    assert mine
    assert theirs


def consumers(ours: Ours, queue: str) -> int:
    return Queue(queue)(ours.connection.default_channel).queue_declare(passive=True)[2]


def test_simple_queues_of_both_share_messages(kombu: Foreign, ours: Ours, name: str) -> None:
    with ours.connection.SimpleQueue(name) as mine:
        kombu.call("simple_put", name=name, body={"from": "kombu"})
        message = mine.get(timeout=PATIENCE)
        message.ack()
        assert message.payload == {"from": "kombu"}
        mine.put({"from": "here"})
        assert kombu.call("simple_get", name=name) == {"from": "here"}
